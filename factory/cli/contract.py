"""`factory contract`: the contracts of the events, whether they may be released, and the AsyncAPI document."""

import json
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import factory
from factory.cli.output import write_json, write_table
from factory.domain.errors import BadInputError, FactoryError, NotFoundError

if TYPE_CHECKING:
    from factory.events.baselines import Baseline
    from factory.events.compatibility import Report
    from factory.events.contracts.payload import Payload

app = typer.Typer(
    help="Look at the contracts of the events and check them.", no_args_is_help=True, add_completion=False
)

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class DocumentFormat(StrEnum):
    """How the AsyncAPI document is written."""

    YAML = "yaml"
    JSON = "json"


@app.callback()
def _group() -> None:
    """Look at the contracts of the events and check them."""


@app.command("list")
def list_contracts(*, as_json: _AsJson = False) -> None:
    """List the contracts with their versions and topics."""
    from factory.events.registry import REGISTRY  # noqa: PLC0415 - keeps `factory --help` quick

    rows = [_summary(contract) for contract in sorted(REGISTRY, key=lambda c: (c.event_type, c.event_version))]
    if as_json:
        write_json(rows)
        return
    write_table(
        ("CONTRACT", "VERSION", "STATE", "TOPICS", "FIELDS"),
        ((r["type"], r["release"], r["state"], ", ".join(r["topics"]), ", ".join(r["fields"])) for r in rows),
        empty="There are no contracts.",
    )


@app.command("show")
def show(
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help="Event type, as `factory contract list` names it.")],
    *,
    version: Annotated[int | None, typer.Option("--version", min=1, help="Major version; the newest.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON Schema.")] = False,
) -> None:
    """Show one contract: its fields, its history and an example."""
    from factory.events.asyncapi import payload_example  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.events.registry import schema_of  # noqa: PLC0415 - same

    contract = _find(event_type, version)
    schema = schema_of(contract)
    if as_json:
        write_json(schema)
        return
    summary = _summary(contract)
    typer.echo(f"{summary['type']} {summary['release']} ({summary['state']}) on {', '.join(summary['topics'])}")
    typer.echo((contract.__doc__ or "").strip())
    for number, note in enumerate(contract.event_changes, start=1):
        typer.echo(f"  {contract.event_version}.{number}  {note}")
    typer.echo("")
    required = set(schema.get("required", ()))
    write_table(
        ("FIELD", "TYPE", "", "NOTES"),
        (
            (name, _kind(field), "required" if name in required else "optional", _notes(field))
            for name, field in schema.get("properties", {}).items()
        ),
        empty="It has no fields.",
    )
    example = payload_example(contract)
    if example is not None:
        typer.echo(f"\n{json.dumps(example, ensure_ascii=False)}")


@app.command("check")
def check(
    *,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            help="A folder of contracts or a Git revision; every released tag, or HEAD where there is none.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as a JSON array.")] = False,
) -> None:
    """Refuse changes to contracts that readers or writers would not survive. Exit code 1 where any is refused."""
    baselines = _baselines(against)
    report = _check(baselines)
    if as_json:
        write_json([_fields(finding) for finding in report.findings])
    else:
        for finding in report.findings:
            typer.echo(str(finding))
    if report.refused:
        count = len(report.refused)
        raise FactoryError(
            f"{count} change{'s are' if count > 1 else ' is'} refused.",
            remedy="docs/design/02-contracts.md says how contracts evolve.",
        )
    if not as_json:
        names = ", ".join(baseline.name for baseline in baselines)
        typer.echo(f"The contracts may follow those of {names}.")


@app.command("asyncapi")
def asyncapi(
    *,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file.")] = None,
    style: Annotated[
        DocumentFormat | None, typer.Option("--format", help="yaml, unless the file ends in .json.")
    ] = None,
) -> None:
    """Print the AsyncAPI 3 document of the bus."""
    import yaml  # noqa: PLC0415 - keeps `factory --help` quick

    from factory.actors.roster import load_roster  # noqa: PLC0415 - imports the agents
    from factory.actors.senders import known_senders  # noqa: PLC0415 - same
    from factory.actors.subscriptions import CONTROL, agent_subscriptions  # noqa: PLC0415 - same
    from factory.cli.session import load_settings  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.events.asyncapi import document  # noqa: PLC0415 - same
    from factory.events.registry import REGISTRY  # noqa: PLC0415 - same

    agents = list(load_roster(load_settings().plugins))
    made = document(
        REGISTRY,
        version=factory.__version__,
        subscriptions=[*CONTROL, *agent_subscriptions(agents)],
        senders=known_senders(agents),
    )
    if style is None:
        style = DocumentFormat.JSON if out is not None and out.suffix == ".json" else DocumentFormat.YAML
    text = (
        json.dumps(made, ensure_ascii=False, indent=2) + "\n"
        if style is DocumentFormat.JSON
        else yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=120)
    )
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInputError(
            f"{out} cannot be written: {error.strerror}.", remedy="Name a file in a folder that exists.", field="out"
        ) from None


def _find(event_type: str, version: int | None) -> "type[Payload]":
    from factory.events.registry import REGISTRY  # noqa: PLC0415 - keeps `factory --help` quick

    versions = REGISTRY.versions(event_type)
    if not versions:
        raise NotFoundError(
            f"there is no contract {event_type[:100]!r}.", remedy=REGISTRY.nearest(event_type), field="type"
        )
    if version is not None and version not in versions:
        known = ", ".join(str(number) for number in versions)
        raise NotFoundError(f"{event_type} has no version {version}.", remedy=f"Known: {known}.", field="version")
    return REGISTRY.find(event_type, version or versions[-1])


def _baselines(against: str | None) -> "list[Baseline]":
    from factory.events import baselines  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.events.registry import CONTRACTS_FOLDER  # noqa: PLC0415 - same

    if against is None:
        return baselines.released(CONTRACTS_FOLDER)
    if Path(against).is_dir():
        return [baselines.from_folder(Path(against))]
    return [baselines.from_revision(CONTRACTS_FOLDER, against)]


def _check(baselines: "list[Baseline]") -> "Report":
    from factory.events.compatibility import check, merge, stale_files  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.events.registry import CONTRACTS_FOLDER, REGISTRY, schema_of  # noqa: PLC0415 - same
    from factory.events.upcasting import UPCASTERS  # noqa: PLC0415 - same

    contracts = {(contract.event_type, contract.event_version): schema_of(contract) for contract in REGISTRY.own()}
    today = datetime.now(UTC).date()
    ways = [(step.event_type, step.source) for step in UPCASTERS]
    reports = [
        check(baseline.contracts, contracts, today=today, retired=REGISTRY.retired, upcast=ways)
        for baseline in baselines
    ]
    return merge([stale_files(REGISTRY.differences(CONTRACTS_FOLDER)), *reports])


def _summary(contract: "type[Payload]") -> dict[str, Any]:
    deprecation = contract.event_deprecation
    return {
        "type": contract.event_type,
        "version": contract.event_version,
        "minor": contract.event_minor,
        "release": f"{contract.event_version}.{contract.event_minor}",
        "state": f"deprecated until {deprecation.sunset.isoformat()}" if deprecation else "active",
        "successor": deprecation.successor if deprecation else None,
        "topics": sorted(topic.value for topic in contract.event_topics),
        "fields": list(contract.model_fields),
        "description": (contract.__doc__ or "").strip(),
    }


def _fields(finding: Any) -> dict[str, str]:  # noqa: ANN401 - the class is imported late
    names = ("rule", "severity", "breaks", "contract", "path", "old", "new", "remedy")
    return {name: str(getattr(finding, name)) for name in names}


def _kind(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in field:
        return " or ".join(_kind(variant) for variant in field["anyOf"])
    if field.get("type") == "array":
        return f"array of {_kind(field.get('items', {}))}"
    return str(field.get("format") or field.get("type") or "anything")


def _notes(field: dict[str, Any]) -> str:
    marks = [str(field["description"])] if "description" in field else []
    marks += [
        f"{key} {field[key]}" for key in ("minimum", "maximum", "minLength", "maxLength", "default") if key in field
    ]
    if field.get("x-unit"):
        marks.append(f"in {field['x-unit']}")
    if field.get("deprecated"):
        instead = f", use {field['x-replaced-by']}" if field.get("x-replaced-by") else ""
        marks.append(f"deprecated{instead}")
    return "; ".join(marks)
