"""Each rule is silent on a good project and speaks on one that breaks it."""

import json

import pytest

from factory.domain.artifact import Content
from factory.domain.task import Finding
from factory.skills.validation import RULES, validate
from tests.validation.library import project

Trees = dict[str, Content]


@pytest.fixture
def trees() -> Trees:
    return project()


def judge(trees: Trees, kind: str) -> tuple[Finding, ...]:
    siblings = {name: content for name, content in trees.items() if name != kind}
    return validate(kind, trees[kind], siblings)


def change(trees: Trees, kind: str, path: str, old: str, new: str) -> None:
    text = trees[kind].files[path]
    assert old in text, f"{old!r} is not in {path}"
    trees[kind] = Content(files={**trees[kind].files, path: text.replace(old, new)})


@pytest.mark.parametrize("kind", list(project()))
def test_good_project_has_no_finding(trees: Trees, kind: str) -> None:
    assert judge(trees, kind) == ()


@pytest.mark.parametrize("kind", list(project()))
def test_artifact_without_siblings_is_judged_by_what_is_there(trees: Trees, kind: str) -> None:
    assert validate(kind, trees[kind], {}) == ()


API, EVENTS, APP = "specs/openapi.yaml", "specs/asyncapi.yaml", "src/library/app.py"
MODEL, PLAN = ".factory/domain-model.json", ".factory/backlog.json"
MIGRATION, SERVICE = "migrations/versions/0001_tables.py", "deploy/base/service.yaml"
WORKLOAD, CI = "deploy/base/deployment.yaml", ".github/workflows/ci.yml"
PRODUCTION = "deploy/overlays/production/kustomization.yaml"
# (rule, kind, file, text in it, what it becomes, words of the finding)
BROKEN = [
    ("files-parse", "api-specification", API, "info:", "info: : :", "does not parse"),
    ("files-parse", "api-specification", API, "info:\n", "info: {}\ninfo:\n", "given twice"),
    ("files-parse", "backend", "pyproject.toml", "name =", "name", "does not parse"),
    ("files-parse", "backend", APP, "def is_alive", "def is alive", "does not parse"),
    ("files-parse", "backend", "README.md", "# Library", "```sh\nmake", "never closed"),
    ("files-parse", "architecture", "docs/architecture.md", "flowchart LR", "flowchrt LR", "no diagram"),
    ("files-parse", "architecture", "docs/architecture.md", "service[Library]", "service[Library", "open"),
    ("files-parse", "architecture", "docs/architecture.md", "LR\n", "LR\n    subgraph Inner\n", "'end'"),
    ("files-parse", "release-plan", "CHANGELOG.md", "# Changes\n", "\n", "empty"),
    ("documents-follow-their-schema", "domain-model", MODEL, '"target": "Book"', '"target": "Tome"', "unknown entity"),
    ("documents-follow-their-schema", "backlog", PLAN, '"points":3', '"points":"many"', "points"),
    ("python-is-clean", "backend", APP, "from enum import", "import os\nfrom enum import", "F401"),
    ("python-is-clean", "backend", APP, "return []", "return [ ]", "not formatted"),
    ("openapi-is-valid", "api-specification", API, "openapi: 3.1.0", "openapi: 3.0.0", "openapi"),
    ("openapi-is-valid", "api-specification", API, "title: Library\n", "name: Library\n", "info"),
    ("openapi-is-valid", "api-specification", API, "operationId: add_book", "operationId: list_books", "operation id"),
    ("openapi-is-valid", "api-specification", API, "schemas/BookLoan", "schemas/Loan", "leads nowhere"),
    ("openapi-is-valid", "api-specification", API, "name: id", "name: key", "disagree"),
    (
        "openapi-is-valid",
        "api-specification",
        API,
        "    Book:\n      type: object",
        "    Book:\n      type: thing",
        "Book",
    ),
    ("asyncapi-is-valid", "event-catalogue", EVENTS, "asyncapi: 3.0.0", "asyncapi: 2.6.0", "version 3"),
    ("asyncapi-is-valid", "event-catalogue", EVENTS, "action: send", "action: shout", "neither"),
    ("asyncapi-is-valid", "event-catalogue", EVENTS, "address: /", "title: x", "no address"),
    ("asyncapi-is-valid", "event-catalogue", EVENTS, "#/channels/book_loans", "#/channels/loans", "leads nowhere"),
    (
        "asyncapi-is-valid",
        "event-catalogue",
        EVENTS,
        "payload:\n        type: object",
        "payload:\n        type: x",
        "payload",
    ),
    ("dockerfile-parses", "deployment", "Dockerfile", "RUN pip", "DO pip", "no Dockerfile instruction"),
    ("dockerfile-parses", "deployment", "Dockerfile", "USER 10001", "USER root", "as root"),
    ("dockerfile-parses", "deployment", "Dockerfile", "FROM python:3.12-slim AS", "FROM python AS", "no version"),
    ("dockerfile-parses", "deployment", "Dockerfile", '"8000"]', '8000"]', "JSON list"),
    ("manifests-are-complete", "deployment", SERVICE, "apiVersion: v1\n", "", "apiVersion"),
    ("manifests-are-complete", "deployment", SERVICE, "name: library", "name: Library_1", "Kubernetes refuses"),
    ("manifests-are-complete", "deployment", SERVICE, "name: library", f"name: {'x' * 64}", "Kubernetes refuses"),
    (
        "manifests-are-complete",
        "deployment",
        WORKLOAD,
        "matchLabels:\n      app: library",
        "matchLabels: {}",
        "own pods",
    ),
    ("manifests-are-complete", "deployment", WORKLOAD, "        image: library\n", "", "no image"),
    (
        "kustomizations-lead-to-files",
        "deployment",
        "deploy/base/kustomization.yaml",
        "service.yaml",
        "gone.yaml",
        "gone",
    ),
    (
        "kustomizations-lead-to-files",
        "deployment",
        "deploy/overlays/production/kustomization.yaml",
        "../../base",
        "../base",
        "does not exist",
    ),
    ("workflow-is-complete", "pipeline", CI, "on: [push]\n", "", "no trigger"),
    ("workflow-is-complete", "pipeline", CI, "needs: test", "needs: tests", "does not exist"),
    ("workflow-is-complete", "pipeline", CI, "checkout@v4", "checkout", "no version"),
    (
        "workflow-is-complete",
        "pipeline",
        CI,
        "  image:\n    needs: test\n    runs-on: ubuntu-24.04",
        "  image:",
        "runner",
    ),
    ("traces-quote-the-vision", "domain-model", MODEL, '"text": "lend a copy"', '"text": "sell a copy"', "quotes"),
    (
        "requirements-have-a-source",
        "product-requirements",
        ".factory/product-requirements.json",
        "US-1",
        "US-9",
        "unknown stories",
    ),
    ("stories-are-covered", "backlog", PLAN, '"id":"US-1"', '"id":"US-2"', "US-1 is not in the backlog"),
    ("stories-are-covered", "backlog", PLAN, '"operations":["lend_loan"]', '"operations":["sell"]', "sell"),
    ("architecture-names-every-entity", "architecture", "docs/architecture.md", "Loan", "Lending", "BookLoan"),
    ("events-are-catalogued", "event-catalogue", EVENTS, "LoanReturned", "LoanGone", "LoanReturned is not"),
    ("events-are-catalogued", "event-catalogue", EVENTS, "LoanReturned", "LoanGone", "the domain model has not"),
    ("events-are-catalogued", "event-catalogue", EVENTS, "due_on", "due", "lacks due_on"),
    ("operations-have-endpoints", "api-specification", API, "give-back", "take-back", "return_loan"),
    ("operations-have-endpoints", "api-specification", API, "/books:", "/tomes:", "add_book"),
    (
        "endpoints-have-operations",
        "api-specification",
        API,
        "    get:\n      operationId: list_b",
        "    delete:\n      operationId: list_b",
        "DELETE",
    ),
    ("endpoints-have-operations", "api-specification", API, "/health/live", "/pages", "belongs to no entity"),
    ("schemas-equal-the-model", "api-specification", API, "isbn", "number", "lacks isbn"),
    ("schemas-equal-the-model", "api-specification", API, "isbn", "number", "has number"),
    ("entities-have-tables", "backend", MIGRATION, '"books",', '"tomes",', "no migration makes a table of Book"),
    ("entities-have-tables", "backend", MIGRATION, '"book_id"', '"tome_id"', "lacks the column book_id"),
    ("links-have-tables", "backend", MIGRATION, '"related_id"', '"other"', "related"),
    ("tables-equal-the-migration", "backend", "src/library/tables.py", '"books"', '"tomes"', "tomes"),
    ("entities-have-tests", "backend", "tests/test_api.py", '"/book-loans"', '"/users"', "BookLoan"),
    (
        "code-equals-the-specification",
        "backend",
        APP,
        '@loans.post("/{loan_id}/give-back")',
        '@loans.post("/{loan_id}")',
        "not in the code",
    ),
    ("code-equals-the-specification", "backend", APP, '@books.post("", s', '@books.put("", s', "not specified"),
    ("code-equals-the-specification", "backend", APP, 'prefix="/books"', 'prefix="/tomes"', "not specified"),
    ("code-publishes-the-catalogue", "backend", APP, 'else "LoanReturned"', 'else "x"', "never publishes"),
    ("roles-equal-the-actors", "backend", APP, '"librarian"', '"clerk"', "clerk"),
    ("roles-equal-the-actors", "backend", APP, "Role(StrEnum)", "Person(StrEnum)", "no enumeration"),
    ("image-copies-what-exists", "deployment", "Dockerfile", "COPY src ./src", "COPY app ./app", "app"),
    ("ports-agree", "deployment", WORKLOAD, "containerPort: 8000", "containerPort: 8080", "8080"),
    ("ports-agree", "deployment", SERVICE, "targetPort: http", "targetPort: web", "nobody listens"),
    ("ports-agree", "deployment", "Dockerfile", "EXPOSE 8000", "EXPOSE 9000", "exposes 9000"),
    ("probes-exist", "deployment", WORKLOAD, "/health/live", "/healthz", "does not answer"),
    ("probes-exist", "deployment", WORKLOAD, "port: http", "port: web", "asks port web"),
    ("variables-are-settings", "deployment", WORKLOAD, "DATABASE_URL", "DB_URL", "DB_URL"),
    ("variables-are-settings", "deployment", PRODUCTION, "ENVIRONMENT=", "ENV=", "ENV is set"),
    ("variables-are-settings", "deployment", "compose.yaml", "{DATABASE_URL", "{DB_URL", "DB_URL"),
    ("ports-agree", "deployment", "compose.yaml", "8000:8000", "8000:80", "nobody listens"),
    ("images-have-versions", "deployment", PRODUCTION, "newTag: 1.0.0", "newName: other", "a version"),
    (
        "images-have-versions",
        "deployment",
        PRODUCTION,
        "name: library\n    newTag",
        "name: lib\n    newTag",
        "no container",
    ),
    ("entry-points-exist", "deployment", "Dockerfile", "library.app:create_app", "library.app:make_app", "make_app"),
    (
        "entry-points-exist",
        "deployment",
        WORKLOAD,
        "name: library\n        image",
        "command: [python, -m, library.cli]\n        image",
        "library.cli",
    ),
    ("pipeline-calls-targets-that-exist", "pipeline", CI, "make lint", "make polish", "polish"),
    ("release-plan-names-every-epic", "release-plan", "docs/release-plan.md", "Lending", "Selling", "Lending books"),
    ("project-tests-pass", "test-report", "test-report.json", '"outcome":"passed"', '"outcome":"failed"', "test_book"),
    ("project-tests-pass", "test-report", "test-report.json", '"passed":1', '"passed":0', "no test passed"),
    ("licence-is-stated", "backend", "pyproject.toml", 'license = "MIT"\n', "", "licence"),
    ("dependencies-are-allowed", "backend", "requirements.txt", "fastapi==", "fastapy==", "fastapy"),
    ("holds-no-secret", "backend", "README.md", "help@", "ghp_" + "a1B2" * 9 + " help@", "GitHub token"),
    ("holds-no-secret", "backend", APP, "for-development-only-never-in-production", "q9Zx7Lm2Kp4Rt8Vw1Yb3", "secret"),
    ("holds-no-secret", "deployment", WORKLOAD, "sqlite:///library.db", "postgresql://app:x8Kq2Lm9@db/app", "password"),
    ("holds-no-personal-data", "backend", "README.md", "help@example.com", "jane@company.com", "jane@company.com"),
    ("holds-no-personal-data", "backend", "README.md", "Write to", "Call +49 89 636 48018 or", "+49"),
    ("holds-no-machine-path", "backend", "README.md", "Write", "See /home/jane/library. Write", "/home/jane"),
]


@pytest.mark.parametrize(("rule", "kind", "path", "old", "new", "words"), BROKEN)
def test_rule_speaks_on_a_broken_project(  # noqa: PLR0917 - columns of the table
    trees: Trees, rule: str, kind: str, path: str, old: str, new: str, words: str
) -> None:
    change(trees, kind, path, old, new)

    findings = [finding for finding in judge(trees, kind) if finding.rule == rule]

    assert findings, f"{rule} is silent"
    assert any(words in finding.message for finding in findings), findings
    assert {finding.severity for finding in findings} == {"error"}


def test_every_rule_has_a_broken_project() -> None:
    others = {"paths-are-inside", "paths-belong-to-one-kind", "model-serves-the-stories"}

    assert {rule.id for rule in RULES} == {entry[0] for entry in BROKEN} | others


@pytest.mark.parametrize("path", ["../up", "/absolute", ".git/config", "a//b"])
def test_path_outside_is_refused(trees: Trees, path: str) -> None:
    trees["pipeline"] = Content(files={**trees["pipeline"].files, path: "x\n"})

    assert "paths-are-inside" in {finding.rule for finding in judge(trees, "pipeline")}


def test_missing_primary_file_is_named(trees: Trees) -> None:
    trees["pipeline"] = Content(files={".github/workflows/other.yml": trees["pipeline"].text(CI)})

    assert [finding.path for finding in judge(trees, "pipeline")] == [CI]


def test_path_of_another_kind_is_refused(trees: Trees) -> None:
    trees["pipeline"] = Content(files={**trees["pipeline"].files, "Dockerfile": "FROM scratch\n"})

    (finding,) = judge(trees, "pipeline")
    assert finding.rule == "paths-belong-to-one-kind"
    assert "deployment" in finding.message


def test_story_without_operation_is_a_warning_and_a_lost_one_an_error(trees: Trees) -> None:
    model = json.loads(trees["domain-model"].text(MODEL))
    model["stories"].append({**model["stories"][0], "id": "US-2"})
    trees["domain-model"] = _with(trees["domain-model"], MODEL, model)
    assert [finding.severity for finding in judge(trees, "domain-model")] == ["warning"]

    model["stories"] = model["stories"][1:]
    model["operations"][2]["stories"] = ["US-2"]
    trees["domain-model"] = _with(trees["domain-model"], MODEL, model)
    (finding,) = judge(trees, "domain-model")
    assert "lost the story US-1" in finding.message


def test_what_the_author_wrote_is_a_warning_where_it_is_quoted(trees: Trees) -> None:
    change(trees, "vision", ".factory/vision.md", "- Loan", "Ask jane@company.com.\n\n- Loan")
    change(trees, "backend", "README.md", "help@example.com", "jane@company.com")

    assert [(finding.rule, finding.severity) for finding in judge(trees, "backend")] == [
        ("holds-no-personal-data", "warning")
    ]


def test_test_report_is_judged_by_the_whole_project(trees: Trees) -> None:
    change(trees, "backend", APP, '"librarian"', '"clerk"')
    change(trees, "api-specification", API, "isbn", "number")

    rules = {finding.rule for finding in judge(trees, "test-report")}

    assert {"roles-equal-the-actors", "schemas-equal-the-model"} <= rules


@pytest.mark.parametrize(
    "text",
    [
        "docker run -e AUTH_SECRET=change-me-change-me-1 app",
        "AUTH_SECRET: str = os.environ['AUTH_SECRET_OF_THE_SERVICE_1']",
        "secretKeyRef: {name: library-secrets-2024-production}",
        "password = settings.database_password_for_version_2",
        "postgresql://postgres:postgres@localhost/app",
        "call +1 555 555 0123 or +44 20 7946 0123",
        "from fastapi import Depends  # git@github.com:someone/library.git",
        "image: registry.example.com/team/app@sha256:abc",
        "open /home page, see docs/home/start.md and https://example.com/home/jane/x",
    ],
)
def test_harmless_texts_are_left_alone(trees: Trees, text: str) -> None:
    change(trees, "backend", "README.md", "Write to", f"{text}\n\nWrite to")

    assert judge(trees, "backend") == ()


def test_names_that_the_service_needs_itself_may_stand_aside(trees: Trees) -> None:
    change(trees, "api-specification", API, "    Book:\n", "    Book: {type: object}\n    BookRecord:\n")
    change(trees, "backend", MIGRATION, '"books"', '"books_records"')
    change(trees, "backend", "src/library/tables.py", '"books"', '"books_records"')

    assert judge(trees, "test-report") == ()


def test_paths_of_the_service_belong_to_no_entity_of_that_name(trees: Trees) -> None:
    change(trees, "domain-model", MODEL, '"collection": "books"', '"collection": "health"')
    change(trees, "api-specification", API, "/books:", "/health-records:")

    assert judge(trees, "api-specification") == ()


@pytest.mark.parametrize(
    "diagram",
    [
        "stateDiagram-v2\n    [*] --> open\n    critical --> closed: close\n    closed --> [*]",
        "erDiagram\n    BOOK ||--o{ LOAN : has\n    LOAN }o--|| BOOK : of\n    BOOK {\n        string title\n    }",
        "sequenceDiagram\n    A->>B: lend (a copy)\n    alt out\n    B-->>A: 409\n    end\n    B--)A: told",
        "classDiagram\n    Book <|-- Novel\n    class Book {\n        +title(int) str\n    }",
        'flowchart LR\n    a[["A (b"]] --> b{{x}}\n    subgraph s\n    b -.-> c[(db)]\n    end',
    ],
)
def test_diagrams_of_every_kind_are_read(trees: Trees, diagram: str) -> None:
    change(trees, "architecture", "docs/architecture.md", "# Architecture", f"# A\n\n```mermaid\n{diagram}\n```\n")

    assert judge(trees, "architecture") == ()


def _with(content: Content, path: str, document: object) -> Content:
    return Content(files={**content.files, path: json.dumps(document)})
