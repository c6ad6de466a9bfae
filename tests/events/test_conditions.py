from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from factory.domain.errors import BadInputError
from factory.events.bus import EventBus
from factory.events.conditions import (
    DEEPEST_PATH,
    LONGEST_TEXT,
    MOST_CONDITIONS,
    MOST_NAMES,
    MOST_VALUES,
    Condition,
    Operator,
    compiled,
)
from factory.events.envelope import Envelope
from factory.events.subscriptions import Subscription
from factory.storage.database import Database

NewEvent = Callable[..., Envelope]

PAYLOAD = {
    "text": "abc",
    "number": 5,
    "zero": 0,
    "yes": True,
    "nothing": None,
    "tags": ["red", "green"],
    "none": [],
    "order": {"total": 12.5, "lines": [{"sku": "a1"}, {"sku": "b2"}]},
    'a "quoted" name': "x",
    "a.b": "dotted",
    "$": "dollar",
    "": "empty",
    "emoji\N{GRINNING FACE}": "\N{GRINNING FACE}\n\t'",
    "5": "digit",
}
Given = tuple[str | tuple[str, ...], str, Any]
TRUE: list[Given] = [
    ("text", "equals", "abc"),
    ("text", "not-equals", "abd"),
    ("text", "in", ["x", "abc"]),
    ("text", "at-least", "abb"),
    ("text", "at-most", "abc"),
    ("text", "starts-with", "ab"),
    ("text", "starts-with", ""),
    ("text", "exists", None),
    ("text", "not-equals", 5),
    ("number", "equals", 5),
    ("number", "equals", 5.0),
    ("number", "at-least", 5),
    ("number", "at-least", -5),
    ("number", "at-most", 5.5),
    ("number", "at-most", 10**30),
    ("number", "not-equals", "5"),
    ("number", "in", ["5", 5]),
    ("zero", "equals", 0),
    ("zero", "at-least", -1e-300),
    ("yes", "equals", True),
    ("yes", "not-equals", 1),
    ("nothing", "equals", None),
    ("nothing", "exists", None),
    ("nothing", "in", [None]),
    ("tags", "equals", "green"),
    ("tags", "in", ["blue", "red"]),
    ("tags", "not-equals", "blue"),
    ("none", "exists", None),
    ("none", "not-equals", "x"),
    ("order.total", "at-least", 12.5),
    ("order.lines.sku", "equals", "b2"),
    ("order.total.deeper", "absent", None),
    ("missing", "absent", None),
    ("missing", "not-equals", "x"),
    (('a "quoted" name',), "equals", "x"),
    (("a.b",), "equals", "dotted"),
    ("a.b", "absent", None),
    ("$", "equals", "dollar"),
    ("emoji\N{GRINNING FACE}", "equals", "\N{GRINNING FACE}\n\t'"),
    ("5", "equals", "digit"),
]
FALSE: list[Given] = [
    ("text", "equals", "ABC"),
    ("text", "equals", None),
    ("text", "at-least", 1),
    ("text", "starts-with", "b"),
    ("text", "absent", None),
    ("number", "equals", "5"),
    ("number", "at-least", "4"),
    ("number", "at-most", 4.999),
    ("number", "not-equals", 5),
    ("yes", "equals", "true"),
    ("nothing", "absent", None),
    ("missing", "equals", None),
    ("missing", "exists", None),
    ("missing", "at-most", 3),
    ("tags", "not-equals", "red"),
    ("order", "equals", "x"),
    ("order.lines.sku", "not-equals", "a1"),
    ("order.missing.sku", "exists", None),
]
# Attempts to break out of the literal or the name; each must simply not match.
INJECTIONS = [
    '" || true || "',
    '") || (1 == 1) || exists($."x',
    "') OR true --",
    "\\",
    '\\"',
    "\\u0022 || true",
    "$.*",
    "@",
    "* ? (true)",
    "}}",
    "{0}",
    "%s",
    "\N{RIGHT-TO-LEFT OVERRIDE}\x7f\x01",
]


async def holds(database: Database, *conditions: Condition) -> bool | None:
    async with database.transaction() as connection:
        answer: bool | None = await connection.fetchval(
            "SELECT $1::jsonb @@ $2::text::jsonpath", PAYLOAD, compiled(conditions)
        )
        return answer


def condition(field: str | tuple[str, ...], operator: str, value: Any) -> Condition:
    return Condition.model_validate({"field": field, "operator": operator, "value": value})


async def test_conditions_hold_where_the_field_agrees(database: Database) -> None:
    wrong = [given for given in TRUE if await holds(database, condition(*given)) is not True]
    wrong += [given for given in FALSE if await holds(database, condition(*given))]
    assert wrong == []
    assert {operator for _, operator, _ in TRUE} == {operator for _, operator, _ in FALSE} | {"in"} == set(Operator)


async def test_all_conditions_must_hold(database: Database) -> None:
    true, false = condition(*TRUE[0]), condition(*FALSE[0])
    assert await holds(database, true, true)
    assert not await holds(database, true, false)
    assert compiled(()) is None


@pytest.mark.parametrize("text", INJECTIONS)
async def test_hostile_text_is_taken_literally(database: Database, text: str) -> None:
    for hostile in (
        condition("text", "equals", text),
        condition("text", "starts-with", text),
        condition("text", "in", [text]),
        condition((text,), "exists", None),
        condition(("order", text), "equals", text),
    ):
        assert not await holds(database, hostile)
    assert await holds(database, condition((text,), "absent", None), condition("text", "not-equals", text))


@pytest.mark.parametrize("text", INJECTIONS)
async def test_hostile_text_finds_its_like(database: Database, bus: EventBus, new_event: NewEvent, text: str) -> None:
    await bus.declare(
        [
            Subscription(name="same", conditions=(condition("reason", "equals", text),)),
            Subscription(name="contains", payload={"reason": text}),
            Subscription(name="other", conditions=(condition("reason", "not-equals", text),)),
        ]
    )
    event = new_event(reason=text)
    async with database.transaction() as connection:
        await bus.publish(connection, [event])
    taken = await bus.claim(dict.fromkeys(("same", "contains", "other"), 5), await bus.register("test"))
    assert sorted(d.subscription for d in taken) == ["contains", "same"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"field": "", "value": 1}, "empty name"),
        ({"field": "a..b", "value": 1}, "empty name"),
        ({"field": (), "value": 1}, "does not name a field"),
        ({"field": 7, "value": 1}, "does not name a field"),
        ({"field": ("a", 7), "value": 1}, "does not name a field"),
        ({"field": ".".join("x" * (DEEPEST_PATH + 1)), "value": 1}, f"{DEEPEST_PATH + 1} names deep"),
        ({"field": ".".join("x" * 100_000), "value": 1}, "names deep"),
        ({"field": "x" * (LONGEST_TEXT + 1), "value": 1}, "characters"),
        ({"field": "a\x00", "value": 1}, "no payload can hold"),
        ({"field": "a", "operator": "like", "value": 1}, "not an operator"),
        ({"field": "a", "operator": "at-least || true", "value": 1}, "not an operator"),
        ({"field": "a", "value": "x" * (LONGEST_TEXT + 1)}, "characters"),
        ({"field": "a", "value": "\ud800"}, "no payload can hold"),
        ({"field": "a", "value": "\x00"}, "no payload can hold"),
        ({"field": "a", "value": float("nan")}, "cannot be compared"),
        ({"field": "a", "operator": "at-least", "value": float("inf")}, "cannot be compared"),
        ({"field": "a", "operator": "at-most", "value": -float("inf")}, "cannot be compared"),
        ({"field": "a", "value": 10**5_000}, "cannot be compared"),
        ({"field": "a", "value": {"b": 1}}, "cannot be compared"),
        ({"field": "a", "value": ["b"]}, "cannot be compared"),
        ({"field": "a", "operator": "in", "value": "b"}, "list of values"),
        ({"field": "a", "operator": "in", "value": []}, "list of values"),
        ({"field": "a", "operator": "in", "value": [float("nan")]}, "cannot be compared"),
        ({"field": "a", "operator": "in", "value": [0] * (MOST_VALUES + 1)}, f"{MOST_VALUES + 1} values"),
        ({"field": "a", "operator": "starts-with", "value": 1}, "takes a text"),
        ({"field": "a", "operator": "at-least"}, "a number or a text"),
        ({"field": "a", "operator": "at-most", "value": True}, "a number or a text"),
        ({"field": "a", "operator": "exists", "value": 1}, "takes no value"),
    ],
)
def test_a_condition_that_cannot_be_evaluated_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message) as caught:
        Subscription.model_validate({"name": "hostile", "conditions": [given]})
    assert caught.value.field == "conditions"
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"conditions": [{"field": "a", "value": 1}] * (MOST_CONDITIONS + 1)}, "conditions"),
        ({"conditions": [{"field": "a", "operator": "in", "value": ["x" * LONGEST_TEXT] * MOST_VALUES}]}, "conditions"),
        ({"event_types": ["x"] * (MOST_NAMES + 1)}, "event_types"),
        ({"projects": [UUID(int=n) for n in range(MOST_NAMES + 1)]}, "projects"),
        ({"agents": ["a\x00"]}, "agents"),
        ({"payload": {"a": float("nan")}}, "payload"),
        ({"payload": {"a": "b\x00"}}, "payload"),
        ({"payload": {"a": "\ud800"}}, "payload"),
        ({"payload": {"a": "x" * 100_000}}, "payload"),
    ],
)
def test_filters_over_a_limit_are_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInputError) as caught:
        Subscription.model_validate({"name": "hostile", **given})
    assert caught.value.field == field


async def test_the_largest_filters_work(database: Database, bus: EventBus, new_event: NewEvent) -> None:
    deep = tuple("x" * 40 for _ in range(DEEPEST_PATH))
    many = [f"{n:0>400}" for n in range(MOST_VALUES - 1)]
    conditions = (
        *(condition(deep, "absent", None) for _ in range(MOST_CONDITIONS - 1)),
        condition("reason", "in", [*many, "because"]),
    )
    await bus.declare(
        [Subscription(name="large", conditions=conditions, agents=tuple(f"agent-{n}" for n in range(999)))]
    )
    async with database.transaction() as connection:
        await bus.publish(connection, [new_event(agent="agent-7"), new_event(reason="other", agent="agent-7")])
    assert len(await bus.claim({"large": 5}, await bus.register("test"))) == 1


async def test_conditions_can_be_changed_and_taken_away(database: Database, bus: EventBus, new_event: NewEvent) -> None:
    owner = await bus.register("test")
    strict = Subscription(name="reader", conditions=(condition("step", "equals", "x"),))
    for subscription, expected in ((strict, 0), (strict.model_copy(update={"conditions": ()}), 1), (strict, 0)):
        await bus.declare([subscription])
        async with database.transaction() as connection:
            await bus.publish(connection, [new_event(step="y")])
        assert len(await bus.claim({"reader": 5}, owner)) == expected


async def test_a_filter_can_be_tried_on_history(
    database: Database, bus: EventBus, new_event: NewEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factory.events.matching.PAGE", 3)
    project = uuid4()
    events = [new_event(project, step=str(n % 4), reason=f"{n}") for n in range(20)]
    for event in events:
        async with database.transaction() as connection:
            await bus.publish(connection, [event])
    wanted = Subscription(name="tried", projects=(project,), conditions=(condition("step", "in", ["1", "2"]),))
    now = datetime.now(UTC)
    ages = (now - timedelta(hours=1), now + timedelta(hours=1))
    expected = [event for event in events if event.payload["step"] in {"1", "2"}]
    assert [logged.event for logged in await bus.matches(wanted, *ages, limit=100)] == expected
    assert [logged.event for logged in await bus.matches(wanted, *ages, limit=4)] == expected[:4]
    assert await bus.matches(wanted, now - timedelta(hours=2), ages[0]) == []
    assert await bus.matches(wanted.model_copy(update={"agents": ("nobody",)}), *ages) == []
    assert (await bus.backlog(["tried"]))["tried"].total == 0

    # What is tried is what happens.
    await bus.declare([wanted])
    again = [event.model_copy(update={"event_id": uuid4()}) for event in events]
    async with database.transaction() as connection:
        await bus.publish(connection, again)
    taken = await bus.claim({"tried": 100}, await bus.register("test"))
    assert {d.event.event_id for d in taken} == {e.event_id for e in again if e.payload["step"] in {"1", "2"}}
