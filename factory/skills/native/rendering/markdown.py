"""Text of a vision's author in Markdown and Mermaid: shown as written, never read as markup."""

import re
from collections.abc import Sequence

from markupsafe import Markup

_ANYWHERE = re.compile(r"([\\`*\[\]|$~])")
_OUTER_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_BLOCK_START = re.compile(r"^([#+\-=]|\d+(?=[.)](\s|$)))")
_MERMAID = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;", "\\": "#92;", "%": "#37;", "|": "#124;"}
MERMAID_LINE = 28


def one_line(text: str) -> str:
    """Return the text with every run of white space and control characters as one space."""
    return " ".join(re.sub(r"[\x00-\x20\x7f\u2028\u2029]+", " ", text).split())


def escape(text: object) -> Markup:
    """Return text that Markdown shows literally, in a paragraph, a list item or a table cell.

    Text that is already `Markup` comes back unchanged, so that escaping twice does no harm.
    """
    if isinstance(text, Markup):
        return text
    plain = one_line(str(text))
    plain = re.sub(r"&(?=#?\w+;)", "&amp;", plain)
    plain = _ANYWHERE.sub(r"\\\1", plain)
    plain = _OUTER_UNDERSCORE.sub(r"\\_", plain)
    plain = plain.replace("<", "&lt;").replace(">", "&gt;")
    plain = _BLOCK_START.sub(lambda match: _escape_start(match[0]), plain)
    return Markup(plain)  # noqa: S704 - this function is the escaping


def _escape_start(mark: str) -> str:
    return f"{mark}\\" if mark.isdigit() else f"\\{mark}"


def code(text: object) -> Markup:
    """Return the text as a code span that also survives inside a table cell."""
    plain = one_line(str(text)).replace("|", "\\|")
    longest = max((len(run) for run in re.findall(r"`+", plain)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    return Markup(f"{fence}{pad}{plain}{pad}{fence}")  # noqa: S704 - nothing inside a code span is markup


def codes(texts: Sequence[object]) -> Markup:
    """Return the texts as code spans with commas between them."""
    return Markup(", ").join(code(text) for text in texts)


def quote(text: str, limit: int = 160) -> Markup:
    """Return the author's words in typographic quotes, cut after whole words where they are long."""
    plain = one_line(text)
    if len(plain) > limit:
        plain = plain[:limit].rsplit(" ", 1)[0].rstrip(" ,;:.") + " …"
    return Markup("“{}”").format(escape(plain))


def anchor(heading: str) -> str:
    """Return the fragment that Git hosts give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def mermaid(text: object, width: int = MERMAID_LINE) -> Markup:
    """Return text for a quoted Mermaid label, broken into lines of about `width` characters.

    Characters that Mermaid could read as syntax or as HTML become its numeric entities.
    """
    lines: list[str] = []
    for word in one_line(str(text)).split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    safe = ["".join(_MERMAID.get(letter, letter) for letter in line) for line in lines]
    return Markup("<br/>".join(safe))  # noqa: S704 - each line was escaped above
