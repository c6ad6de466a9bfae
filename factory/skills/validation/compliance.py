"""May the artifact be published: licences, secrets, personal data, paths of the machine that made it."""

import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterator

from factory.skills.validation.licences import LICENCES, is_allowed
from factory.skills.validation.rules import COMPLIANCE, Problem, Rule, Subject

_SECRETS = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "an AWS access key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})\b"),
    "a GitLab token": re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}\b"),
    "a Slack token": re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    "an OpenAI key": re.compile(r"\bsk-(?:proj-)?[A-Za-z0-9_-]{32,}\b"),
    "a Google key": re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b"),
    "an Azure storage key": re.compile(r"AccountKey=[A-Za-z0-9+/]{60,}={0,2}"),
    "a JSON Web Token": re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
}
_ASSIGNED = re.compile(
    r"""(?ix) \b([a-z0-9_.-]*(?:secret|password|passwd|token|api_?key|credential)[a-z0-9_]*)
    ["']? \s* (?::\s*\w+\s*)? [=:] \s* (?:\w+\()? ["']? ([^\s"'`,)#]{8,})"""
)
_URL_PASSWORD = re.compile(r"[a-z][a-z0-9+]*://[^/\s:@\"']+:([^@\s/\"'{}$]+)@")
# Values that say themselves that they are no secret; documented development defaults carry one of these words.
_HARMLESS = re.compile(
    r"(?i)development|for-tests?|test|example|change|placeholder|dummy|local|replace|insecure|not-?set|postgres|<|\$|\{"
)
_ENTROPY = 3.5
_LONG_VALUE = 16

_EMAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9][A-Za-z0-9._%+-]*@((?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,})\b")
_EXAMPLE_DOMAIN = re.compile(r"(?i)(^|\.)(example\.(com|net|org)|example|test|invalid|localhost|local)$")
_GIT_ADDRESS = re.compile(r"(?i)(^|\.)(github\.com|gitlab\.com|bitbucket\.org)$")
_PHONE = re.compile(r"(?<![\w.:/+-])\+\d[\d ()./-]{6,18}\d(?![\w.-])")
# Numbers set aside for fiction: 555-01xx in North America, Ofcom's ranges for drama, ACMA's, ARCEP's, and Germany's.
_FICTITIOUS = re.compile(
    r"^(1\d{3}55501\d\d|155501\d\d|44(113496|114496|115496|116496|117496|118496|121496|131496|141496|151496|161496)0\d{3}"
    r"|4420794600?\d{2,3}|447700900\d{3}|4416329600?\d{2,3}|614915701\d\d|61\d5550\d{4}"
    r"|33(19900|26191|35301|46571|53649|63998)\d{4}|4930231259\d{2,3}|49301234567?8?\d?|15550\d{3,6}|15551234567)$"
)
_MACHINE_PATH = re.compile(
    r"(?<![\w./:~$}-])(/(?:home|root|Users|work|workspace|mnt|private/var|tmp/[\w-]*factory[\w-]*)/[\w.-]+[\w./-]*|[A-Z]:\\\\?Users\\)"
)


def licence_is_stated(subject: Subject) -> Iterator[Problem]:
    """The project names its licence in pyproject.toml, or brings it as a file."""
    files = subject.files_of("backend")
    try:
        project = tomllib.loads(files.get("pyproject.toml", "")).get("project", {})
    except tomllib.TOMLDecodeError:
        return
    if not project.get("license") and not any(path.upper().startswith("LICEN") for path in files):
        yield Problem("the project states no licence.", "pyproject.toml")


def dependencies_are_allowed(subject: Subject) -> Iterator[Problem]:
    """Every pinned requirement has a known licence that a product may build on."""
    for name in _required(subject.files_of("backend").get("requirements.txt", "")):
        licence = LICENCES.get(name)
        if licence is None:
            yield Problem(f"the licence of {name} is not known to the factory.", "requirements.txt")
        elif not is_allowed(licence):
            yield Problem(f"{name} has the licence {licence}, which is not allowed.", "requirements.txt")


def holds_no_secret(subject: Subject) -> Iterator[Problem]:
    """No file holds a key, a token or a password; what is for development says so in its value."""
    for path, text in subject.content.files.items():
        for what, pattern in _SECRETS.items():
            if pattern.search(text):
                yield Problem(f"it holds {what}.", path)
        if path.startswith((".factory/", "docs/", "specs/")) or path == "test-report.json":
            continue
        for name, value in _ASSIGNED.findall(text):
            if len(value) >= _LONG_VALUE and entropy(value) >= _ENTROPY and _is_random(value):
                yield Problem(f"{name} looks like a secret.", path)
        for value in _URL_PASSWORD.findall(text):
            if not _HARMLESS.search(value) and entropy(value) > _URL_ENTROPY:
                yield Problem("it holds a URL with a password.", path)


def holds_no_personal_data(subject: Subject) -> Iterator[Problem]:
    """Email addresses stand at example domains, telephone numbers in ranges set aside for fiction."""
    for path, text in subject.content.files.items():
        for found in _EMAIL.finditer(text):
            domain = found[1].rstrip(".")
            if not _EXAMPLE_DOMAIN.search(domain) and not _is_address_of_git(found[0], domain):
                message = f"the address {found[0]} may be a person's; use one at example.com."
                yield Problem(message, path, _severity(subject, found[0]))
        for found in _PHONE.finditer(text):
            digits = re.sub(r"\D", "", found[0])
            if not _FICTITIOUS.match(digits):
                message = f"the number {found[0]} may be a person's; use one set aside for fiction."
                yield Problem(message, path, _severity(subject, found[0]))


def holds_no_machine_path(subject: Subject) -> Iterator[Problem]:
    """No file names a folder of the machine that made it."""
    for path, text in subject.content.files.items():
        for found in sorted(set(_MACHINE_PATH.findall(text))):
            yield Problem(f"it names the path {found} of one machine.", path, _severity(subject, found))


def _severity(subject: Subject, found: str) -> str:
    """Return `warning` for what the author wrote in the vision: it is quoted, not made up."""
    return "warning" if found in (subject.vision or "") else "error"


def entropy(value: str) -> float:
    """Return the Shannon entropy of a text in bits per character."""
    counts = Counter(value).values()
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts)


def _is_random(value: str) -> bool:
    """Tell a random value from words, names, paths and expressions."""
    if _HARMLESS.search(value) or re.search(r"[(){}\[\]./\\]", value):
        return False
    return bool(re.search(r"\d", value) and re.search(r"[A-Za-z]", value)) and not re.fullmatch(r"[a-z_]+\d?", value)


def _is_address_of_git(address: str, domain: str) -> bool:
    return address.startswith("git@") and bool(_GIT_ADDRESS.search(domain))


def _required(text: str) -> list[str]:
    names = []
    for line in text.splitlines():
        found = re.match(r"^\s*([A-Za-z0-9][\w.-]*)", line)
        if found:
            names.append(re.sub(r"[-_.]+", "-", found[1]).lower())
    return names


_URL_ENTROPY = 2.5
# The vision is the author's own text; what it says is not an example that the factory made up.
_MADE = frozenset(
    {
        "vision-document",
        "product-requirements",
        "backlog",
        "domain-model",
        "architecture",
        "event-catalogue",
        "api-specification",
        "backend",
        "deployment",
        "pipeline",
        "release-plan",
    }
)
_BACKEND = frozenset({"backend"})
RULES = (
    Rule("licence-is-stated", COMPLIANCE, licence_is_stated, kinds=_BACKEND),
    Rule("dependencies-are-allowed", COMPLIANCE, dependencies_are_allowed, kinds=_BACKEND),
    Rule("holds-no-secret", COMPLIANCE, holds_no_secret, kinds=_MADE),
    Rule("holds-no-personal-data", COMPLIANCE, holds_no_personal_data, kinds=_MADE - {"vision-document"}),
    Rule("holds-no-machine-path", COMPLIANCE, holds_no_machine_path, kinds=_MADE),
)
