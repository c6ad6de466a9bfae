"""The registry of contracts: look up, validate, export as JSON Schema (R08).

`python -m factory.events.registry --write` regenerates the schema files; without `--write` it names the differences.
"""

import argparse
import difflib
import json
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import structlog
from pydantic import JsonValue, ValidationError

from factory.domain.errors import ErrorCategory, TerminalError
from factory.events import contracts as contracts_package
from factory.events.contracts.payload import Payload
from factory.events.contracts.retired import RETIRED
from factory.events.envelope import Envelope, problems
from factory.events.lifecycle import CHANGES, DEPRECATION, TOPICS, DeprecatedField, Retired
from factory.events.upcasting import UPCASTERS, Upcasters

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NEAREST = 3

_log = structlog.stdlib.get_logger(__name__)


class Registry:
    """The known contracts, by event type and major version.

    Args:
        contracts: The versions that can be published and read.
        upcasters: The ways from older versions to newer ones.
        retired: Versions that were known once.
    """

    def __init__(
        self,
        contracts: Iterable[type[Payload]],
        *,
        upcasters: Upcasters = UPCASTERS,
        retired: Iterable[Retired] = RETIRED,
    ) -> None:
        self._contracts: dict[tuple[str, int], type[Payload]] = {}
        self._upcasters = upcasters
        self._retired = {(gone.event_type, gone.version): gone for gone in retired}
        self._noted: set[tuple[str, int]] = set()
        self._added: set[type[Payload]] = set()
        for contract in contracts:
            self._know(contract)
        for contract in self:
            self._check_lifecycle(contract)

    def __iter__(self) -> Iterator[type[Payload]]:
        return iter(self._contracts.values())

    @property
    def retired(self) -> frozenset[tuple[str, int]]:
        """The versions that are gone, as type and version."""
        return frozenset(self._retired)

    def add(self, contract: type[Payload]) -> None:
        """Make a plugin's contract known; plugins call it for `REGISTRY` when they are imported, in every process.

        Raises:
            ValueError: Another contract has that type and version or had it once, or this one names no topic.
        """
        self._know(contract)
        self._check_lifecycle(contract)
        self._added.add(contract)

    def find(self, event_type: str, version: int) -> type[Payload]:
        """Return a contract.

        Raises:
            TerminalError: It is not registered; the message says what comes nearest.
        """
        try:
            return self._contracts[event_type, version]
        except KeyError:
            raise self._unknown(event_type, version) from None

    def versions(self, event_type: str) -> tuple[int, ...]:
        """Return the versions of an event type, oldest first; none where the type is not known."""
        return tuple(sorted(version for name, version in self._contracts if name == event_type))

    def nearest(self, event_type: str) -> str:
        """Return a hint for a type that is not known."""
        names = sorted({name for name, _ in self._contracts})
        by_folded = {name.casefold(): name for name in names}
        close = difflib.get_close_matches(event_type[:100].casefold(), by_folded, n=_NEAREST)
        if close:
            return f"Did you mean {' or '.join(by_folded[name] for name in close)}?"
        return "`factory contract list` shows the known ones."

    def check_publication(self, event: Envelope) -> None:
        """Hold an event against its contract strictly, as its writer must: no unknown field, the right topic.

        A deprecated version may still be published; that is logged once per process.

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
        _validate(contract, event, event.payload, extra="forbid")
        if contract.event_deprecation is not None:
            self._note(contract, event)

    def check_consumption(self, event: Envelope) -> None:
        """Hold an event against its contract tolerantly, as a reader must: fields it does not know are ignored.

        An event whose version is gone from the code passes where upcasters lead to one that is there.

        Raises:
            TerminalError: It does not fulfil its contract; the message names the fields.
        """
        contract = self._contracts.get((event.event_type, event.version))
        if contract is not None:
            _validate(contract, event, event.payload, extra="ignore")
            return
        for version in self._upcasters.reachable(event.event_type, event.version):
            if (event.event_type, version) in self._contracts:
                self._lift(event, version)
                return
        raise self._unknown(event.event_type, event.version)

    def upcast(self, event: Envelope) -> Envelope:
        """Return an event in the newest version that upcasters lead to, everything but version and payload the same.

        Raises:
            TerminalError: An upcaster failed, or what it made does not fulfil its contract.
        """
        known = [
            version
            for version in self._upcasters.reachable(event.event_type, event.version)
            if (event.event_type, version) in self._contracts
        ]
        if not known:
            return event
        payload = self._lift(event, known[-1])
        return event.model_copy(update={"version": known[-1], "payload": payload})

    def own(self) -> list[type[Payload]]:
        """Return the factory's own contracts, without those of plugins."""
        return [contract for contract in self if contract not in self._added]

    def schemas(self) -> dict[str, str]:
        """Return the JSON Schema files of the factory's own contracts, without those of plugins: path to text."""
        return {
            f"{contract.event_type}/v{contract.event_version}.json": json.dumps(schema_of(contract), indent=2) + "\n"
            for contract in self.own()
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

    def _lift(self, event: Envelope, target: int) -> Mapping[str, JsonValue]:
        """Upcast a payload; hold it against every version on the way that is in the code."""
        payload = event.payload
        for step in self._upcasters.chain(event.event_type, event.version, target) or ():
            payload = step(payload)
            contract = self._contracts.get((event.event_type, step.target))
            if contract is not None:
                _validate(contract, event, payload, extra="ignore")
        return payload

    def _note(self, contract: type[Payload], event: Envelope) -> None:
        key = (contract.event_type, contract.event_version)
        if key in self._noted or contract.event_deprecation is None:
            return
        self._noted.add(key)
        _log.warning(
            "a deprecated contract is published",
            contract=f"{key[0]} v{key[1]}",
            successor=contract.event_deprecation.successor,
            sunset=contract.event_deprecation.sunset.isoformat(),
            originating_agent=event.originating_agent,
        )

    def _unknown(self, event_type: str, version: int) -> TerminalError:
        gone = self._retired.get((event_type, version))
        versions = self.versions(event_type)
        if gone is not None:
            message = f"{event_type} version {version} is retired."
            remedy = f"Publish version {gone.successor}." if gone.successor else "The event is no longer published."
        elif versions:
            message = f"no contract {event_type!r} version {version}."
            remedy = f"Known: {', '.join(f'v{number}' for number in versions)}."
        else:
            message = f"no contract {event_type[:100]!r} version {version}."
            remedy = self.nearest(event_type)
        field = "version" if gone or versions else "event_type"
        return TerminalError(message, category=ErrorCategory.SCHEMA, remedy=remedy, field=field)

    def _know(self, contract: type[Payload]) -> None:
        key = (contract.event_type, contract.event_version)
        if self._contracts.get(key, contract) is not contract:
            raise ValueError(f"two contracts are called {key[0]} version {key[1]}; give one the next version.")
        if key in self._retired:
            raise ValueError(f"the contract {key[0]} version {key[1]} is retired; give it the next version.")
        if not contract.event_topics:
            raise ValueError(f"the contract {key[0]} version {key[1]} names no topic.")
        self._contracts[key] = contract

    def _check_lifecycle(self, contract: type[Payload]) -> None:
        name = f"{contract.event_type} version {contract.event_version}"
        successor = contract.event_deprecation.successor if contract.event_deprecation else None
        if successor is not None and (contract.event_type, successor) not in self._contracts:
            raise ValueError(f"the contract {name} names version {successor} as its successor, which does not exist.")
        for field, info in contract.model_fields.items():
            for mark in info.metadata:
                if isinstance(mark, DeprecatedField) and not 1 <= mark.since <= contract.event_minor:
                    raise ValueError(
                        f"the field {field} of {name} is deprecated since minor {mark.since}; its newest is "
                        f"{contract.event_minor}: add a note to `changes`."
                    )


def schema_of(contract: type[Payload]) -> dict[str, Any]:
    """Return a contract as JSON Schema, with its topics and its age in `x-` keywords."""
    schema = contract.model_json_schema(mode="serialization")
    head: dict[str, Any] = {
        "$schema": SCHEMA_DIALECT,
        "$id": f"urn:factory:contract:{contract.event_type}:v{contract.event_version}",
        TOPICS: sorted(topic.value for topic in contract.event_topics),
    }
    if contract.event_changes:
        head[CHANGES] = list(contract.event_changes)
    if contract.event_deprecation is not None:
        head |= {"deprecated": True, DEPRECATION: contract.event_deprecation.to_schema()}
    return {**head, **schema}


def _validate(
    contract: type[Payload], event: Envelope, payload: Mapping[str, JsonValue], *, extra: Literal["forbid", "ignore"]
) -> None:
    try:
        # Both ends see JSON, so strings stand for ids and enum members. `model_validate` does the same more slowly.
        contract.__pydantic_validator__.validate_python(payload, extra=extra)
    except ValidationError as error:
        upcast = "" if contract.event_version == event.version else f", upcast from v{event.version},"
        raise TerminalError(
            f"the payload of {event.event_type} v{contract.event_version} ({event.event_id}){upcast} breaks its "
            f"contract: {problems(error)}.",
            category=ErrorCategory.SCHEMA,
            remedy="Mend the upcaster, then redrive the dead letter."
            if upcast
            else "Mend the publisher, or publish a new version of the contract.",
            field="payload",
        ) from error


def _contracts_in_package() -> list[type[Payload]]:
    """Return the contracts of every module in the package, so that a new module only has to exist."""
    modules = [
        import_module(f"{contracts_package.__name__}.{found.name}")
        for found in pkgutil.iter_modules(contracts_package.__path__)
    ]
    return [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Payload)
        and value.__module__ == module.__name__
        and value is not Payload
    ]


REGISTRY = Registry(_contracts_in_package())
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
