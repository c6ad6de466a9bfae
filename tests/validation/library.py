"""A small library by hand: every artifact of a project, as good as they come, for rules to be broken on."""

import json

import yaml

from factory.domain.artifact import Content
from factory.domain.documents import Backlog, ProductRequirements, VisionDocument
from factory.domain.product import DomainModel
from factory.skills.native.test_report.report import CaseReport, CheckReport, ProjectTestReport, SuiteReport

VISION = """---
name: Library
---
As a librarian I want to lend a copy so that members can read.

- Book: title, isbn
- Loan: due date; belongs to Book
"""
STORY = "As a librarian I want to lend a copy so that members can read."


def _trace(text: str = "", rule: str = "story-template") -> dict[str, object]:
    start = VISION.index(text) if text else 0
    return {"start": start, "end": start + len(text), "text": text, "rule": rule, "confidence": 0.9}


_STORY = {
    "id": "US-1",
    "actor": "librarian",
    "goal": "lend a copy",
    "benefit": "members can read",
    "trace": _trace(STORY),
}
MODEL = {
    "name": "Library",
    "slug": "library",
    "summary": "Lends books.",
    "actors": [{"name": "librarian", "label": "Librarian", "trace": _trace("librarian")}],
    "entities": [
        {
            "name": "Book",
            "collection": "books",
            "label": "Book",
            "fields": [
                {"name": "title", "type": "text", "trace": _trace("title")},
                {"name": "isbn", "type": "text", "required": False, "trace": _trace("isbn")},
            ],
            "trace": _trace("Book"),
        },
        {
            "name": "BookLoan",
            "collection": "book_loans",
            "label": "Loan",
            "fields": [
                {"name": "due_on", "type": "date", "trace": _trace("due date")},
                {"name": "status", "type": "enum", "enum": "LoanStatus", "trace": _trace("Loan")},
            ],
            "trace": _trace("Loan"),
        },
    ],
    "enums": [{"name": "LoanStatus", "values": ["open", "returned"], "trace": _trace()}],
    "relations": [
        {
            "name": "book",
            "kind": "many-to-one",
            "source": "BookLoan",
            "target": "Book",
            "inverse": "loans",
            "trace": _trace("belongs to Book"),
        },
        {
            "name": "related",
            "kind": "many-to-many",
            "source": "Book",
            "target": "Book",
            "inverse": "related_by",
            "required": False,
            "trace": _trace(),
        },
    ],
    "lifecycles": [
        {
            "entity": "BookLoan",
            "field": "status",
            "initial": "open",
            "transitions": [
                {
                    "name": "return_loan",
                    "sources": ["open"],
                    "target": "returned",
                    "event": "LoanReturned",
                    "trace": _trace(),
                }
            ],
            "trace": _trace(),
        }
    ],
    "operations": [
        {"name": "add_book", "kind": "create", "verb": "add", "entity": "Book", "trace": _trace()},
        {"name": "list_books", "kind": "list", "verb": "list", "entity": "Book", "trace": _trace()},
        {
            "name": "lend_loan",
            "kind": "create",
            "verb": "lend",
            "entity": "BookLoan",
            "stories": ["US-1"],
            "trace": _trace("lend a copy"),
        },
        {
            "name": "return_loan",
            "kind": "transition",
            "verb": "give_back",
            "entity": "BookLoan",
            "transition": "return_loan",
            "event": "LoanReturned",
            "trace": _trace(),
        },
    ],
    "events": [
        {
            "name": "LoanReturned",
            "entity": "BookLoan",
            "operation": "return_loan",
            "fields": ["due_on"],
            "relations": ["book"],
            "trace": _trace(),
        }
    ],
    "stories": [_STORY],
}
_UUID = {"type": "string", "format": "uuid"}
_KEPT = {"id": _UUID, "created_at": {"type": "string"}, "updated_at": {"type": "string"}}


def _answer(schema: str) -> dict[str, object]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"200": {"description": "Done", "content": content}}


_ID = {"name": "id", "in": "path", "required": True, "schema": _UUID}
OPENAPI = {
    "openapi": "3.1.0",
    "info": {"title": "Library", "version": "1.0.0"},
    "paths": {
        "/books": {
            "get": {"operationId": "list_books", "responses": _answer("Book")},
            "post": {"operationId": "add_book", "responses": _answer("Book")},
        },
        "/book-loans": {"post": {"operationId": "lend_loan", "responses": _answer("BookLoan")}},
        "/book-loans/{id}/give-back": {
            "post": {"operationId": "return_loan", "parameters": [_ID], "responses": _answer("BookLoan")}
        },
        "/health/live": {"get": {"operationId": "is_alive", "responses": {"200": {"description": "Alive"}}}},
    },
    "components": {
        "schemas": {
            "Book": {
                "type": "object",
                "properties": {
                    **_KEPT,
                    "title": {"type": "string"},
                    "isbn": {"type": "string"},
                    "related_ids": {"type": "array", "items": _UUID},
                },
            },
            "BookLoan": {
                "type": "object",
                "properties": {
                    **_KEPT,
                    "due_on": {"type": "string"},
                    "status": {"enum": ["open", "returned"]},
                    "book_id": _UUID,
                },
            },
        }
    },
}
ASYNCAPI = {
    "asyncapi": "3.0.0",
    "info": {"title": "Events of the library", "version": "1.0.0"},
    "channels": {
        "book_loans": {
            "address": "/",
            "messages": {"LoanReturned": {"$ref": "#/components/messages/LoanReturned"}},
        }
    },
    "operations": {"send_loans": {"action": "send", "channel": {"$ref": "#/channels/book_loans"}}},
    "components": {
        "messages": {
            "LoanReturned": {
                "name": "LoanReturned",
                "payload": {
                    "type": "object",
                    "properties": {
                        "id": _UUID,
                        "data": {"type": "object", "properties": {"due_on": {"type": "string"}, "book_id": _UUID}},
                    },
                },
            }
        }
    },
}

APPLICATION = '''"""The library over HTTP."""

from enum import StrEnum
from typing import Literal

from fastapi import APIRouter, FastAPI
from pydantic_settings import BaseSettings

books = APIRouter(prefix="/books")
loans = APIRouter(prefix="/book-loans")
health = APIRouter(prefix="/health")


class Role(StrEnum):
    """Who calls."""

    LIBRARIAN = "librarian"


class Settings(BaseSettings):
    """What may be set."""

    database_url: str = "sqlite:///library.db"
    environment: Literal["development", "production"] = "development"
    auth_secret: str = "for-development-only-never-in-production"


@books.get("")
def list_books() -> list[str]:
    """Return the books."""
    return []


@books.post("", status_code=201)
def add_book() -> None:
    """Add a book."""


@loans.post("")
def lend_loan() -> None:
    """Lend a book."""


@loans.post("/{loan_id}/give-back")
def return_loan(loan_id: str) -> str:
    """Take a book back."""
    return f"LoanReturned {loan_id}" if loan_id else "LoanReturned"


@health.get("/live")
def is_alive() -> None:
    """Answer."""


def create_app() -> FastAPI:
    """Return the application."""
    app = FastAPI()
    for router in (books, loans, health):
        app.include_router(router)
    return app
'''
TABLES = '''"""The tables of the library."""

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """All tables."""


class Book(Base):
    """A book."""

    __tablename__ = "books"


class Loan(Base):
    """A loan."""

    __tablename__ = "book_loans"


RELATED = sa.Table(
    "book_related",
    Base.metadata,
    sa.Column("book_id"),
    sa.Column("related_id"),
)
'''
MIGRATION = '''"""Make the tables."""

import sqlalchemy as sa
from alembic import op


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "books",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("title", sa.String(500)),
        sa.Column("isbn", sa.String(500)),
        sa.Column("created_at", sa.DateTime()),
        sa.Column("updated_at", sa.DateTime()),
    )
    op.create_table(
        "book_loans",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("due_on", sa.Date()),
        sa.Column("status", sa.String(20)),
        sa.Column("created_at", sa.DateTime()),
        sa.Column("updated_at", sa.DateTime()),
    )
    op.create_table(
        "book_related",
        sa.Column("book_id", sa.Uuid()),
        sa.Column("related_id", sa.Uuid()),
    )
    op.add_column("book_loans", sa.Column("book_id", sa.Uuid()))


def downgrade() -> None:
    """Drop them."""
    op.drop_table("book_related")
    op.drop_table("book_loans")
    op.drop_table("books")
'''
DOCKERFILE = """# The service
FROM python:3.12-slim AS build
COPY requirements.txt ./
RUN pip install \\
    --no-cache-dir -r requirements.txt

FROM python:3.12-slim
COPY --from=build /usr/local /usr/local
COPY src ./src
ENV PYTHONUNBUFFERED=1 ENVIRONMENT=production
USER 10001
EXPOSE 8000
CMD ["uvicorn", "library.app:create_app", "--factory", "--host", "0.0.0.0", "--port", "8000"]
"""
_LABELS = {"app": "library"}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "library"},
    "spec": {
        "selector": {"matchLabels": _LABELS},
        "template": {
            "metadata": {"labels": _LABELS},
            "spec": {
                "containers": [
                    {
                        "name": "library",
                        "image": "library",
                        "ports": [{"name": "http", "containerPort": 8000}],
                        "env": [{"name": "DATABASE_URL", "value": "sqlite:///library.db"}],
                        "livenessProbe": {"httpGet": {"path": "/health/live", "port": "http"}},
                    }
                ]
            },
        },
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "library"},
    "spec": {"selector": _LABELS, "ports": [{"port": 80, "targetPort": "http"}]},
}
COMPOSE = """x-service: &service
  image: library:development
  environment: {DATABASE_URL: "postgresql://library@database/library"}

services:
  database:
    image: postgres:17
    environment: {POSTGRES_USER: library}
  api:
    <<: *service
    ports: ["127.0.0.1:8000:8000"]
"""
WORKFLOW = """name: CI
on: [push]
jobs:
  test:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v4
      - run: make install
      - run: |
          make lint && make test
  image:
    needs: test
    runs-on: ubuntu-24.04
    steps:
      - run: docker build -t library .
"""


def project() -> dict[str, Content]:
    """Return every artifact of the library by kind."""
    backlog = {
        "title": "Library",
        "items": [
            {
                "story": _STORY,
                "epic": "Lending books",
                "priority": "must",
                "points": 3,
                "operations": ["lend_loan"],
                "criteria": [{"id": "AC-1", "given": "a copy", "when": "it is lent", "then": "it is out"}],
            }
        ],
    }
    requirement = {
        "id": "FR-1",
        "statement": "When a librarian lends a copy, the library shall record a loan.",
        "kind": "functional",
        "priority": "must",
        "stories": ["US-1"],
        "trace": _trace(STORY),
    }
    requirements = {"title": "Library", "requirements": [requirement]}
    document = {"title": "Library", "summary": "Lends books.", "problem": "Books get lost.", "draft": MODEL}
    report = ProjectTestReport(
        passed=1,
        failed=0,
        skipped=0,
        errors=0,
        checks=(CheckReport(name="pytest", passed=True, output="1 passed"),),
        suites=(SuiteReport(name="tests.test_api", tests=(CaseReport(name="test_book", outcome="passed"),)),),
        requirements_hash="0" * 24,
        sandbox="bubblewrap",
    )
    model = DomainModel.model_validate(MODEL)
    diagram = '```mermaid\nflowchart LR\n    caller(["Librarian (person)"]) -->|HTTP| service[Library]\n```\n'
    trees: dict[str, dict[str, str]] = {
        "vision": {".factory/vision.md": VISION},
        "vision-document": {
            "docs/vision.md": "# Library\n",
            ".factory/vision-document.json": VisionDocument.model_validate(document).model_dump_json(indent=2),
        },
        "product-requirements": {
            "docs/requirements.md": "# Requirements\n",
            ".factory/product-requirements.json": ProductRequirements.model_validate(requirements).model_dump_json(),
        },
        "backlog": {
            "docs/backlog.md": "# Backlog\n",
            ".factory/backlog.json": Backlog.model_validate(backlog).model_dump_json(),
        },
        "domain-model": {
            "docs/domain-model.md": "# Domain model\n",
            ".factory/domain-model.json": model.model_dump_json(indent=2),
        },
        "architecture": {"docs/architecture.md": f"# Architecture\n\nKeeps Book and Loan.\n\n{diagram}"},
        "event-catalogue": {"specs/asyncapi.yaml": _yaml(ASYNCAPI)},
        "api-specification": {"specs/openapi.yaml": _yaml(OPENAPI)},
        "backend": {
            "README.md": "# Library\n\nWrite to help@example.com.\n",
            "pyproject.toml": '[project]\nname = "library"\nversion = "1.0.0"\nlicense = "MIT"\n',
            "requirements.txt": "fastapi==0.116.0\nSQLAlchemy==2.0.43\npydantic_settings==2.10.1\n",
            "Makefile": "VENV := .venv\n\ninstall:\n\tpip install\n\nlint test: install\n\ttrue\n",
            "src/library/__init__.py": "",
            "src/library/app.py": APPLICATION,
            "src/library/tables.py": TABLES,
            "migrations/versions/0001_tables.py": MIGRATION,
            "tests/test_api.py": 'PATHS = ("/books", "/book-loans")\n',
        },
        "deployment": {
            "Dockerfile": DOCKERFILE,
            "compose.yaml": COMPOSE,
            "deploy/base/deployment.yaml": _yaml(DEPLOYMENT),
            "deploy/base/service.yaml": _yaml(SERVICE),
            "deploy/base/kustomization.yaml": "resources:\n  - deployment.yaml\n  - service.yaml\n",
            "deploy/overlays/production/kustomization.yaml": (
                "resources:\n  - ../../base\nimages:\n  - name: library\n    newTag: 1.0.0\n"
                "configMapGenerator:\n  - name: library\n    literals:\n      - ENVIRONMENT=production\n"
            ),
        },
        "pipeline": {".github/workflows/ci.yml": WORKFLOW},
        "release-plan": {
            "docs/release-plan.md": "# Release plan\n\n1. Lending\nbooks\n",
            "CHANGELOG.md": "# Changes\n",
        },
        "test-report": {"test-report.json": report.model_dump_json() + "\n"},
    }
    return {kind: Content(files=files) for kind, files in trees.items()}


def _yaml(document: object) -> str:
    # Through JSON, so that nothing is shared and written as an anchor.
    return yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False)
