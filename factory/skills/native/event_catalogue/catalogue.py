"""The AsyncAPI document: channels per entity, a message per event, payloads as the outbox stores them."""

from collections.abc import Iterable

import yaml
from pydantic import JsonValue

from factory.domain.product import DomainEvent, DomainModel
from factory.skills.native.event_catalogue.examples import example_message
from factory.skills.native.rendering.english import listing, sentence, words
from factory.skills.native.rendering.markdown import escape, one_line
from factory.skills.native.rendering.phrases import Phrases
from factory.skills.native.service_design.design import ServiceDesign, design_service
from factory.skills.native.service_design.events import envelope_schema, subject_of

Node = dict[str, JsonValue]

_DELIVERY = (
    "Every event is written to an outbox in the same transaction as the change it reports, and a relay posts it "
    "afterwards, oldest first, until the receiver answers 2xx. Delivery is at least once: a receiver must ignore an "
    "`id` it has seen before."
)


def write_catalogue(model: DomainModel) -> tuple[str, int]:
    """Return the document as YAML, and how many events it describes."""
    design = design_service(model)
    document = _Catalogue(design).document()
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text, len(design.events)


class _Dumper(yaml.SafeDumper):
    """Writes text of several paragraphs as a block, which people can read."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


class _Catalogue:
    """Builds the document of one service."""

    def __init__(self, design: ServiceDesign) -> None:
        self.design = design
        self.model = design.model
        self.phrases = Phrases(design.model)
        self.entities = list(dict.fromkeys(event.entity for event in design.events))

    def document(self) -> Node:
        """Return the whole document."""
        document: Node = {
            "asyncapi": "3.0.0",
            "info": self._info(),
            "defaultContentType": "application/json",
            "servers": {"receiver": _server()},
            "channels": {self._channel_id(entity): self._channel(entity) for entity in self.entities},
            "operations": dict(self._operations()),
            "components": {
                "messages": {event.name: self._message(event) for event in self.design.events},
                "correlationIds": {
                    "eventId": {
                        "description": "The event's own id: equal ids are the same event, sent again.",
                        "location": "$message.payload#/id",
                    }
                },
            },
        }
        if not self.design.events:
            del document["components"]
        return document

    def _info(self) -> Node:
        told = _DELIVERY if self.design.events else "The product publishes no events."
        summary = sentence(str(escape(self.design.summary))) if self.design.summary else ""
        return {
            "title": f"Events of {one_line(self.model.name)}",
            "version": "1.0.0",
            "description": f"{summary}\n\n{told}".strip(),
        }

    def _of(self, entity: str) -> list[DomainEvent]:
        return [event for event in self.design.events if event.entity == entity]

    def _channel_id(self, entity: str) -> str:
        return self.model.entity(entity).collection

    def _channel(self, entity: str) -> Node:
        return {
            "address": "/",
            "title": one_line(self.phrases.title(entity)),
            "summary": f"What happens to {escape(self.phrases.nouns(entity))!s}.",
            "description": "The address is the path of the receiver's URL; `type` in the payload tells events apart.",
            "servers": [{"$ref": "#/servers/receiver"}],
            "messages": {event.name: {"$ref": f"#/components/messages/{event.name}"} for event in self._of(entity)},
        }

    def _operations(self) -> Iterable[tuple[str, Node]]:
        for entity in self.entities:
            channel = f"#/channels/{self._channel_id(entity)}"
            names = [event.name for event in self._of(entity)]
            yield (
                f"send_{self._channel_id(entity)}",
                {
                    "action": "send",
                    "title": f"Send events of {one_line(self.phrases.nouns(entity))}",
                    "summary": f"Publishes {listing(names)}.",
                    "channel": {"$ref": channel},
                    "messages": [{"$ref": f"{channel}/messages/{name}"} for name in names],
                    "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
                },
            )

    def _message(self, event: DomainEvent) -> Node:
        causes = [
            point.id
            for point in self.design.resource(event.entity).endpoints
            if any(published.name == event.name for published in point.events)
        ]
        summary = one_line(event.description) or self.phrases.event(event.name)
        message: Node = {
            "name": event.name,
            "title": one_line(words(event.name)).capitalize(),
            "summary": sentence(str(escape(summary))),
            "description": f"Follows {listing(causes, 'or')}. The subject is `{subject_of(self.model, event)}`.",
            "contentType": "application/json",
            "correlationId": {"$ref": "#/components/correlationIds/eventId"},
            "payload": envelope_schema(self.model, event),
        }
        personal = self._personal(event)
        if personal:
            message["x-personal-data"] = personal
        example = example_message(self.model, event)
        if example is not None:
            message["examples"] = [{"name": f"{event.name}Example", "payload": example}]
        return message

    def _personal(self, event: DomainEvent) -> list[JsonValue]:
        """Return the keys of the payload that hold personal data, for whoever receives them."""
        fields = self.model.entity(event.entity).fields
        return [field.name for field in fields if field.personal_data and field.name in event.fields]


def _server() -> Node:
    return {
        "host": "{host}",
        "protocol": "https",
        "description": "Whoever receives the events, named by a setting of the service.",
        "variables": {"host": {"default": "receiver.example.com", "description": "Host and port of the receiver."}},
    }
