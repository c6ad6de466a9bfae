"""Writes the descriptions of the API where its readers are: `python -m factory.serve.publish`."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from factory.serve.app import build_routes
from factory.serve.gateway import Gateway
from factory.serve.graphql.schema import schema
from factory.settings import Settings

_FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def descriptions() -> dict[str, str]:
    """Return each description by the name of its file."""
    # A description needs no database and nobody to serve, but limits.
    described = build_routes(cast("Gateway", SimpleNamespace(settings=Settings())))
    return {
        "openapi.json": json.dumps(described.openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n",
        "schema.graphql": schema.as_str() + "\n",
    }


def main() -> None:
    """Write the descriptions."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in descriptions().items():
        (_FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
