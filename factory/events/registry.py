"""The registry of contracts: look up, validate, export as JSON Schema (R08).

`python -m factory.events.registry --write` regenerates the schema files; without `--write` it names the differences.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import ValidationError

from factory.domain.errors import ErrorCategory, TerminalError
from factory.events.contracts import system, tasks
from factory.events.contracts.payload import Payload
from factory.events.envelope import Envelope

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Registry:
    """The known contracts, by event type and major version."""

    def __init__(self, contracts: Iterable[type[Payload]]) -> None:
        self._contracts: dict[tuple[str, int], type[Payload]] = {}
        for contract in contracts:
            key = (contract.event_type, contract.event_version)
            if key in self._contracts:
                raise ValueError(f"two contracts are called {key[0]} version {key[1]}; give one the next version.")
            if not contract.event_topics:
                raise ValueError(f"the contract {key[0]} version {key[1]} names no topic.")
            self._contracts[key] = contract

    def __iter__(self) -> Iterator[type[Payload]]:
        return iter(self._contracts.values())

    def find(self, event_type: str, version: int) -> type[Payload]:
        """Return a contract.

        Raises:
            TerminalError: It is not registered.
        """
        try:
            return self._contracts[event_type, version]
        except KeyError:
            known = ", ".join(sorted(f"{name} v{number}" for name, number in self._contracts))
            raise TerminalError(
                f"no contract {event_type!r} version {version}.",
                category=ErrorCategory.SCHEMA,
                remedy=f"Known: {known}.",
                field="event_type",
            ) from None

    def check_publication(self, event: Envelope) -> None:
        """Hold an event against its contract strictly, as its writer must: no unknown field, the right topic.

        Raises:
            TerminalError: It does not fulfil its contract; the message names the fields.
        """
        contract = self.find(event.event_type, event.version)
        if event.topic not in contract.event_topics:
            allowed = ", ".join(sorted(contract.event_topics))
            raise TerminalError(
                f"{event.event_type} may not be published on topic {event.topic!r}.",
                category=ErrorCategory.SCHEMA,
                remedy=f"Allowed: {allowed}.",
                field="topic",
            )
        _validate(contract, event, extra="forbid")

    def check_consumption(self, event: Envelope) -> None:
        """Hold an event against its contract tolerantly, as a reader must: fields it does not know are ignored.

        Raises:
            TerminalError: It does not fulfil its contract; the message names the fields.
        """
        _validate(self.find(event.event_type, event.version), event, extra="ignore")

    def schemas(self) -> dict[str, str]:
        """Return the JSON Schema files: relative path to text."""
        return {
            f"{contract.event_type}/v{contract.event_version}.json": json.dumps(_schema(contract), indent=2) + "\n"
            for contract in self
        }

    def differences(self, folder: Path) -> list[str]:
        """Name the files in a folder that differ from the contracts in code, those missing and those left over."""
        expected = self.schemas()
        present = {path.relative_to(folder).as_posix(): path for path in folder.glob("*/v*.json")}
        changed = [
            name for name in expected if name not in present or present[name].read_text("utf-8") != expected[name]
        ]
        return sorted(changed + [name for name in present if name not in expected])

    def write(self, folder: Path) -> None:
        """Write the schema files and remove those left over."""
        expected = self.schemas()
        for name in self.differences(folder):
            path = folder / name
            if name in expected:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(expected[name], encoding="utf-8")
            else:
                path.unlink()


def _validate(contract: type[Payload], event: Envelope, *, extra: Literal["forbid", "ignore"]) -> None:
    try:
        # Both ends see JSON, so strings stand for ids and enum members.
        contract.model_validate(event.payload, extra=extra)
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'payload'}: {e['msg']}" for e in error.errors())
        raise TerminalError(
            f"the payload of {event.event_type} v{event.version} ({event.event_id}) breaks its contract: {places}.",
            category=ErrorCategory.SCHEMA,
            remedy="Mend the publisher, or publish a new version of the contract.",
            field="payload",
        ) from error


def _schema(contract: type[Payload]) -> dict[str, Any]:
    schema = contract.model_json_schema(mode="serialization")
    head = {
        "$schema": SCHEMA_DIALECT,
        "$id": f"urn:factory:contract:{contract.event_type}:v{contract.event_version}",
        "x-topics": sorted(contract.event_topics),
    }
    return {**head, **schema}


def _contracts_in(*modules: ModuleType) -> list[type[Payload]]:
    return [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Payload) and value.__module__ == module.__name__
    ]


REGISTRY = Registry(_contracts_in(system, tasks))
CONTRACTS_FOLDER = Path(__file__).parents[2] / "contracts"


def main(arguments: list[str] | None = None) -> int:
    """Compare the schema files with the code, or write them."""
    parser = argparse.ArgumentParser(description="Compare the contract files with the code.")
    parser.add_argument("--write", action="store_true", help="write the files instead of comparing")
    parser.add_argument("--folder", type=Path, default=CONTRACTS_FOLDER)
    options = parser.parse_args(arguments)
    differences = REGISTRY.differences(options.folder)
    if options.write:
        REGISTRY.write(options.folder)
    for name in differences:
        sys.stdout.write(f"{'wrote' if options.write else 'differs'}: {name}\n")
    return 1 if differences and not options.write else 0


if __name__ == "__main__":
    raise SystemExit(main())
