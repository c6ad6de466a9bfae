"""Minor failures are mended and recorded; nothing else is touched."""

from factory.domain.artifact import Content
from factory.skills.validation import correct, validate

UNTIDY = {
    "README.md": "# Title \nline  \nnext\t\n   \nend",
    "deploy/base/a.yaml": "a: 1  \r\nb: 2\r\n\n\n",
    "Makefile": "all:\n\ttrue \n",
    "src/app/__init__.py": "import sys\nimport os\nx = { 'a':1 }\nprint(os, sys, x)\ny = '''two  \nlines'''",
    "src/app/broken.py": "def broken(:\n",
    "empty.txt": "",
}


def test_minor_failures_are_mended_and_recorded() -> None:
    content, findings = correct("backend", Content(files=UNTIDY))

    assert content.files["README.md"] == "# Title\nline  \nnext\n\nend\n"
    assert content.files["deploy/base/a.yaml"] == "a: 1\nb: 2\n"
    assert content.files["Makefile"] == "all:\n\ttrue\n"
    assert content.files["src/app/__init__.py"] == (
        'import os\nimport sys\n\nx = {"a": 1}\nprint(os, sys, x)\ny = """two  \nlines"""\n'
    )
    assert content.files["src/app/broken.py"] == UNTIDY["src/app/broken.py"]
    assert content.files["empty.txt"] == ""
    assert {finding.severity for finding in findings} == {"corrected"}
    assert {(finding.rule, finding.path) for finding in findings} == {
        ("trailing-blanks", "README.md"),
        ("final-newline", "README.md"),
        ("line-ends", "deploy/base/a.yaml"),
        ("trailing-blanks", "deploy/base/a.yaml"),
        ("final-newline", "deploy/base/a.yaml"),
        ("trailing-blanks", "Makefile"),
        ("final-newline", "src/app/__init__.py"),
        ("python-is-formatted", "src/app/__init__.py"),
    }


def test_correcting_twice_changes_nothing_more() -> None:
    once, _ = correct("backend", Content(files=UNTIDY))

    twice, findings = correct("backend", once)

    assert twice == once
    assert findings == ()


def test_the_projects_own_configuration_decides_the_format() -> None:
    files = {
        "pyproject.toml": '[tool.ruff.format]\nquote-style = "single"\n',
        "src/app.py": "x = 'a'\n",
        "tests/test_app.py": "y = 'b'\n",
    }

    content, findings = correct("backend", Content(files=files))

    assert findings == ()
    assert content.files == files
    assert not [found for found in validate("backend", content, {}) if found.rule == "python-is-clean"]


def test_the_vision_stays_as_the_author_wrote_it() -> None:
    vision = Content(files={".factory/vision.md": "As a clerk \r\n"})

    assert correct("vision", vision) == (vision, ())
