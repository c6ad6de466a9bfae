"""Writes the schema for readers: `python -m factory.serve.graphql.publish`."""

from pathlib import Path

from factory.serve.graphql.schema import schema

TARGET = Path(__file__).parents[3] / "docs/reference/schema.graphql"


def main() -> None:
    """Write the schema where the documentation is."""
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(schema.as_str() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
