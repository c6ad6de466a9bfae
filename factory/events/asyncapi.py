"""The AsyncAPI 3 document of the bus: written from the registry and from who sends and receives what."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from factory.events.contracts.payload import Payload
from factory.events.envelope import Envelope
from factory.events.examples import example
from factory.events.lifecycle import CHANGES
from factory.events.registry import Registry, schema_of
from factory.events.subscriptions import Subscription
from factory.events.topics import Topic

VERSION = "3.0.0"
UNKNOWN_SENDER = "factory"

_DESCRIPTION = (
    "Events of the factory. Each is published in one transaction with its effects and delivered at least once; "
    "event_id is the key of duplicate detection. The headers are the envelope; the payload follows the contract."
)
_PURPOSE = {
    Topic.VISION: "Tasks of the agents that understand a vision.",
    Topic.ARCHITECTURE: "Tasks of the agents that design.",
    Topic.DEVELOPMENT: "Tasks of the agents that write and test code.",
    Topic.DEPLOYMENT: "Tasks of the agents that deliver.",
    Topic.SYSTEM: "What happened to projects, artifacts, tasks and deliveries.",
}


@dataclass(frozen=True, slots=True)
class Sender:
    """Something that publishes.

    Attributes:
        name: The `originating_agent` of its events.
        event_types: What it publishes.
    """

    name: str
    event_types: tuple[str, ...]


def document(
    registry: Registry,
    *,
    version: str,
    subscriptions: Iterable[Subscription] = (),
    senders: Iterable[Sender] = (),
) -> dict[str, Any]:
    """Return the document.

    Args:
        registry: Its contracts become messages, in every version.
        version: Of the factory.
        subscriptions: Each becomes one receiving operation per topic it listens to.
        senders: Each becomes one sending operation per topic of its events. An event that nobody is known to send
            is sent by `factory`.
    """
    contracts = list(registry)
    schemas: dict[str, Any] = {"Envelope": _headers()}
    messages: dict[str, Any] = {}
    for contract in contracts:
        schemas |= _payload_schemas(contract)
        messages[message_name(contract)] = _message(contract)
    return {
        "asyncapi": VERSION,
        "info": {"title": "AI software factory", "version": version, "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {topic.value: _channel(topic, contracts) for topic in Topic},
        "operations": _sends(contracts, senders) | _receives(contracts, subscriptions),
        "components": {"messages": messages, "schemas": schemas},
    }


def message_name(contract: type[Payload]) -> str:
    """Return what a contract is called in the document."""
    return f"{contract.event_type}.v{contract.event_version}"


def payload_example(contract: type[Payload]) -> dict[str, Any] | None:
    """Return a payload that fulfils a contract; None where none can be made of its schema."""
    made: dict[str, Any] = example(schema_of(contract))
    try:
        contract.model_validate(made)
    except ValidationError:
        return None
    return made


def _headers() -> dict[str, Any]:
    schema = Envelope.model_json_schema(mode="serialization")
    definitions = schema.pop("$defs", {})
    del schema["properties"]["payload"]
    schema["required"] = [name for name in schema["required"] if name != "payload"]
    schema["properties"]["topic"] = definitions["Topic"]
    schema["description"] = "The envelope of every event."
    return schema


def _payload_schemas(contract: type[Payload]) -> dict[str, Any]:
    """Return a contract's schema and its definitions, which the document keeps side by side."""
    schema = copy.deepcopy(schema_of(contract))
    for key in ("$schema", "$id"):
        del schema[key]
    name = message_name(contract)
    definitions = schema.pop("$defs", {})
    prefix = f"#/components/schemas/{name}."
    found = {name: schema} | {f"{name}.{key}": inner for key, inner in definitions.items()}
    return {key: _relocated(inner, prefix) for key, inner in found.items()}


def _relocated(node: Any, prefix: str) -> Any:  # noqa: ANN401 - JSON
    if isinstance(node, list):
        return [_relocated(item, prefix) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: value.replace("#/$defs/", prefix)
        if key == "$ref" and isinstance(value, str)
        else _relocated(value, prefix)
        for key, value in node.items()
    }


def _message(contract: type[Payload]) -> dict[str, Any]:
    name = message_name(contract)
    description = (contract.__doc__ or "").strip()
    deprecation = contract.event_deprecation
    tags = [{"name": f"minor {contract.event_minor}"}]
    if deprecation is not None:
        instead = f"; publish v{deprecation.successor}" if deprecation.successor else ""
        tags.append({"name": "deprecated", "description": f"Until {deprecation.sunset.isoformat()}{instead}."})
    found: dict[str, Any] = {
        "name": name,
        "title": f"{contract.event_type} version {contract.event_version}",
        "summary": description.splitlines()[0] if description else contract.event_type,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/Envelope"},
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "correlationId": {
            "description": "The conversation the event belongs to.",
            "location": "$message.header#/correlation_id",
        },
        "tags": tags,
    }
    if contract.event_changes:
        found[CHANGES] = list(contract.event_changes)
    payload = payload_example(contract)
    if payload is not None:
        found["examples"] = [{"name": "made", "headers": _header_example(contract), "payload": payload}]
    return found


def _header_example(contract: type[Payload]) -> dict[str, Any]:
    made: dict[str, Any] = example(Envelope.model_json_schema(mode="serialization"))
    del made["payload"]
    chosen = {"event_type": contract.event_type, "version": contract.event_version}
    return {**made, **chosen, "topic": min(contract.event_topics).value}


def _channel(topic: Topic, contracts: Iterable[type[Payload]]) -> dict[str, Any]:
    return {
        "address": topic.value,
        "description": _PURPOSE[topic],
        "messages": {
            message_name(contract): {"$ref": f"#/components/messages/{message_name(contract)}"}
            for contract in contracts
            if topic in contract.event_topics
        },
    }


def _sends(contracts: list[type[Payload]], senders: Iterable[Sender]) -> dict[str, Any]:
    known = list(senders)
    sent = {name for sender in known for name in sender.event_types}
    rest = tuple(sorted({contract.event_type for contract in contracts} - sent))
    operations: dict[str, Any] = {}
    for sender in [*known, Sender(UNKNOWN_SENDER, rest)]:
        for topic in Topic:
            chosen = [c for c in contracts if topic in c.event_topics and c.event_type in sender.event_types]
            if chosen:
                summary = f"{sender.name} publishes on {topic.value}."
                operations[f"{sender.name}.send.{topic.value}"] = _operation("send", topic, chosen, summary)
    return operations


def _receives(contracts: list[type[Payload]], subscriptions: Iterable[Subscription]) -> dict[str, Any]:
    operations: dict[str, Any] = {}
    for subscription in subscriptions:
        for topic in subscription.topics or tuple(Topic):
            chosen = [
                c
                for c in contracts
                if topic in c.event_topics
                and (not subscription.event_types or c.event_type in subscription.event_types)
            ]
            if chosen:
                operation = _operation("receive", topic, chosen, f"{subscription.name} listens to {topic.value}.")
                operations[f"{subscription.name}.receive.{topic.value}"] = operation | _filters(subscription)
    return operations


def _operation(action: str, topic: Topic, contracts: Iterable[type[Payload]], summary: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.value}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{topic.value}/messages/{message_name(c)}"} for c in contracts],
    }


def _filters(subscription: Subscription) -> dict[str, Any]:
    filters = {
        "payload": dict(subscription.payload),
        "agents": list(subscription.agents),
        "projects": [str(project) for project in subscription.projects],
    }
    present = {name: value for name, value in filters.items() if value}
    return {"x-filter": present} if present else {}
