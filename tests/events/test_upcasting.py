"""Old events are consumed by new code, through upcasters, up to the dead letters of those that cannot be."""

import re
import textwrap
from collections.abc import Mapping
from datetime import date
from typing import Annotated
from uuid import uuid4

import pytest
from pydantic import Field, JsonValue
from structlog.testing import capture_logs

from factory.domain.errors import ErrorCategory, TerminalError
from factory.domain.ids import new_id
from factory.events.bus import EventBus
from factory.events.contracts.payload import Payload
from factory.events.contracts.system import ProjectFailed
from factory.events.envelope import Envelope
from factory.events.lifecycle import DeprecatedField, Deprecation, Retired, Unit
from factory.events.registry import CONTRACTS_FOLDER, REGISTRY, Registry, schema_of
from factory.events.subscriptions import Subscription
from factory.events.topics import Topic
from factory.events.upcasting import Upcasters
from factory.recovery.classification import classify
from factory.storage.database import Database

TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"
SYSTEM = (Topic.SYSTEM,)
UPCASTERS = Upcasters()


class First(
    Payload,
    event_type="Measured",
    topics=SYSTEM,
    changes=("place is replaced by site",),
    deprecation=Deprecation(successor=2, sunset=date(2027, 1, 1)),
):
    """A value was measured."""

    value: float
    place: Annotated[str, DeprecatedField(since=1, replaced_by="site")] = ""


class Second(Payload, event_type="Measured", version=2, topics=SYSTEM):
    """A value was measured, with its site."""

    value: Annotated[float, Unit("metres")]
    site: str = Field(min_length=1)


class Third(Payload, event_type="Measured", version=3, topics=SYSTEM):
    """Values were measured."""

    values: list[float]
    site: str


@UPCASTERS.register("Measured", source=1, target=2)
def name_the_site(payload: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    return {"value": payload["value"], "site": payload.get("place", "")}


@UPCASTERS.register("Measured", source=2, target=3)
def collect_values(payload: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    return {"values": [payload["value"]], "site": payload["site"]}


ALL = Registry([First, Second, Third], upcasters=UPCASTERS)
NEWEST = Registry([Third, *REGISTRY], upcasters=UPCASTERS, retired=[Retired("Measured", 1, successor=3)])


def envelope(payload: Payload) -> Envelope:
    return Envelope.of(
        payload, topic=Topic.SYSTEM, project_id=new_id(), originating_agent="test", traceparent=TRACEPARENT
    )


def test_an_old_event_is_read_by_new_code() -> None:
    old = envelope(First(value=1.5, place="north"))
    assert old.read(First, upcasters=UPCASTERS) == First(value=1.5, place="north")
    assert old.read(Second, upcasters=UPCASTERS) == Second(value=1.5, site="north")
    assert old.read(Third, upcasters=UPCASTERS) == Third(values=[1.5], site="north")


def test_the_newest_version_of_an_event_keeps_everything_else() -> None:
    old = envelope(First(value=1.5, place="north"))
    newest = ALL.upcast(old)
    assert (newest.version, newest.payload) == (3, {"values": [1.5], "site": "north"})
    assert newest.model_copy(update={"version": 1, "payload": old.payload}) == old
    assert ALL.upcast(newest) is newest


def test_a_newer_event_or_another_one_cannot_be_read() -> None:
    new = envelope(Third(values=[1], site="north"))
    with pytest.raises(TerminalError, match=r"Measured v3 and cannot be read as v2\. Register an upcaster") as caught:
        new.read(Second, upcasters=UPCASTERS)
    assert caught.value.category is ErrorCategory.SCHEMA
    with pytest.raises(TerminalError, match="is a Measured, not a ProjectFailed"):
        new.read(ProjectFailed)


def test_what_an_upcaster_makes_is_validated_on_every_step() -> None:
    siteless = envelope(First(value=1))
    with pytest.raises(TerminalError, match=r"upcast from v1, breaks its contract: site: .* Mend the upcaster"):
        siteless.read(Second, upcasters=UPCASTERS)
    with pytest.raises(TerminalError, match=r"Measured v2 .* upcast from v1, breaks its contract: site") as caught:
        ALL.upcast(siteless)
    assert caught.value.category is ErrorCategory.SCHEMA


def test_a_failing_upcaster_says_which_it_is() -> None:
    broken = envelope(First(value=1)).model_copy(update={"payload": {}})
    with pytest.raises(TerminalError, match=r"upcaster of Measured from v1 to v2 failed: KeyError") as caught:
        broken.read(Third, upcasters=UPCASTERS)
    assert classify(caught.value).category is ErrorCategory.SCHEMA
    assert not classify(caught.value).retryable


def test_there_is_one_way_forward() -> None:
    ways = Upcasters()
    ways.register("X", source=1, target=3)(dict)
    with pytest.raises(ValueError, match="chain the new one"):
        ways.register("X", source=1, target=2)
    with pytest.raises(ValueError, match="must lead forward"):
        ways.register("X", source=3, target=3)
    assert ways.chain("X", 1, 2) is None
    assert ways.chain("X", 2, 3) is None
    assert ways.chain("X", 2, 2) == ()
    assert [step.target for step in ways] == [3]


def test_a_deprecated_version_is_published_and_noted_once() -> None:
    registry = Registry([First, Second], upcasters=UPCASTERS)
    with capture_logs() as logs:
        registry.check_publication(envelope(First(value=1)))
        registry.check_publication(envelope(First(value=2)))
        registry.check_publication(envelope(Second(value=2, site="s")))
    (noted,) = logs
    assert (noted["contract"], noted["successor"], noted["sunset"]) == ("Measured v1", 2, "2027-01-01")


def test_a_retired_version_is_refused_by_name() -> None:
    with pytest.raises(TerminalError, match=r"Measured version 1 is retired\. Publish version 3\.") as caught:
        NEWEST.check_publication(envelope(First(value=1)))
    assert (caught.value.category, caught.value.field) == (ErrorCategory.SCHEMA, "version")
    gone = Registry([], retired=[Retired("Measured", 1)])
    with pytest.raises(TerminalError, match="no longer published"):
        gone.check_consumption(envelope(First(value=1)))


def test_the_registry_refuses_contradictions() -> None:
    with pytest.raises(ValueError, match="names version 2 as its successor"):
        Registry([First])
    with pytest.raises(ValueError, match="is retired"):
        Registry([Second], retired=[Retired("Measured", 2)])

    class Hasty(Payload, topics=SYSTEM):
        """Deprecates without a minor version."""

        old: Annotated[str, DeprecatedField(since=1)] = ""

    with pytest.raises(ValueError, match="add a note to `changes`"):
        Registry([Hasty])


def test_schema_files_carry_the_marks() -> None:
    schema = schema_of(First)
    assert schema["x-changes"] == ["place is replaced by site"]
    assert (schema["deprecated"], schema["x-deprecation"]) == (True, {"successor": 2, "sunset": "2027-01-01"})
    place = schema["properties"]["place"]
    assert (place["deprecated"], place["x-deprecated-since"], place["x-replaced-by"]) == (True, 1, "site")
    assert schema_of(Second)["properties"]["value"]["x-unit"] == "metres"


async def test_the_bus_delivers_old_events_to_new_code(database: Database) -> None:
    """Published by old code; the new code knows version 3 alone."""
    old_bus, new_bus = EventBus(database, ALL), EventBus(database, NEWEST)
    await new_bus.declare([Subscription(name="reader", event_types=("Measured",))])
    event = envelope(First(value=1.5, place="north"))
    async with database.transaction() as connection:
        await old_bus.publish(connection, [event])

    owner = await new_bus.register("test")
    (delivery,) = await new_bus.claim({"reader": 10}, owner)
    assert delivery.event == event
    assert delivery.event.read(Third, upcasters=UPCASTERS) == Third(values=[1.5], site="north")
    async with database.transaction() as connection:
        assert await new_bus.finish(connection, [delivery]) == {delivery.uid}


async def test_what_cannot_be_upcast_becomes_a_dead_letter(database: Database) -> None:
    failing = Upcasters()

    @failing.register("Measured", source=1, target=3)
    def refuse(payload: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        raise LookupError(f"no site for {payload['place']!r}")

    old_bus = EventBus(database, ALL)
    new_bus = EventBus(database, Registry([Third, *REGISTRY], upcasters=failing))
    await new_bus.declare([Subscription(name="reader", event_types=("Measured",))])
    event = envelope(First(value=1, place="nowhere"))
    async with database.transaction() as connection:
        await old_bus.publish(connection, [event])

    owner = await new_bus.register("test")
    assert await new_bus.claim({"reader": 10}, owner) == []
    async with database.transaction() as connection:
        letter = await connection.fetchrow("SELECT * FROM dead_letter")
    assert letter is not None
    assert (letter["event_id"], letter["category"]) == (event.event_id, "schema")
    assert "no site for 'nowhere'" in letter["error"]


def test_unknown_types_and_versions_name_the_nearest() -> None:
    event = envelope(ProjectFailed(reason="no"))
    misspelt = event.model_copy(update={"event_type": "projectfaild"})
    with pytest.raises(TerminalError) as caught:
        REGISTRY.check_publication(misspelt)
    assert str(caught.value).startswith("no contract 'projectfaild' version 1. Did you mean ProjectFailed")
    with pytest.raises(TerminalError, match=r"'ProjectFailed' version 7\. Known: v1\.$"):
        REGISTRY.check_consumption(event.model_copy(update={"version": 7}))
    with pytest.raises(TerminalError) as caught:
        REGISTRY.check_publication(event.model_copy(update={"event_type": "z" * 100_000}))
    assert "`factory contract list`" in str(caught.value)
    assert len(str(caught.value)) < 250


def test_a_message_names_the_first_problems_only() -> None:
    event = envelope(ProjectFailed(reason="no"))
    crowded = event.model_copy(update={"payload": {f"field{number}": number for number in range(5_000)}})
    with pytest.raises(TerminalError, match="and 4998 more") as caught:
        REGISTRY.check_publication(crowded)
    assert len(str(caught.value)) < 400


def test_a_trusted_envelope_equals_a_validated_one() -> None:
    event = envelope(ProjectFailed(reason="no"))
    trusted = Envelope.trusted(**dict(event))
    assert trusted == event
    assert trusted.model_dump_json() == event.model_dump_json()
    assert trusted.model_copy(update={"version": 2}).version == 2
    assert Envelope.trusted(**dict(event)).model_fields_set == set(Envelope.model_fields)
    caused = trusted.caused(ProjectFailed(reason="b"), topic=Topic.SYSTEM, originating_agent="x", event_id=uuid4())
    assert caused.causation_id == event.event_id


def test_the_examples_of_the_documentation_work() -> None:
    text = (CONTRACTS_FOLDER.parent / "docs/design/02-contracts.md").read_text("utf-8")
    blocks = re.findall(r"^ *```python\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    ways = Upcasters()
    names = {**globals(), "upcaster": ways.register, "__name__": "documented"}
    for block in blocks:
        exec(textwrap.dedent(block), names)  # noqa: S102 - the documentation is ours
    paused = names["ProjectPaused"]
    Registry([paused]).check_publication(envelope(paused(reason="lunch")))
    (step,) = ways
    assert step({"reason": "no"}) == {"causes": ["no"]}
