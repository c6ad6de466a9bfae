"""Operations that not every record allows: refused by the service, said in the documents, and noticed when dropped."""

from typing import Any

from factory.domain.product import DomainModel
from tests.backend.models import actor, entity, enum, event, field, model, operation, relation, transition

_IN_TIME = {
    "left": "start_time",
    "op": "ge",
    "right_kind": "now",
    "offset_minutes": 1440,
}
_WORDS = "Patients pay once only"


def practice() -> DomainModel:
    """Changes, an update and a deletion that depend on the state, on the time, and on what is there."""
    return model(
        name="Practice",
        slug="practice",
        summary="Patients book appointments.",
        actors=[actor("receptionist", "Receptionist"), actor("patient", "Patient", "Patient")],
        enums=[enum("Status", "booked", "confirmed", "done", "cancelled")],
        entities=[
            entity("Patient", "patients", field("name"), field("joined_on", "date")),
            entity(
                "Appointment",
                "appointments",
                field("start_time", "datetime"),
                field("end_time", "datetime"),
                field("status", "enum", enum="Status"),
                field("paid_on", "date", required=False),
                field("seats", "integer", constraints={"minimum": 0, "maximum": 9}),
                field("note", required=False),
            ),
        ],
        relations=[relation("Appointment", "patient", "Patient", "appointments")],
        lifecycles=[
            {
                "entity": "Appointment",
                "field": "status",
                "initial": "booked",
                "transitions": [
                    transition("confirm", ("booked",), "confirmed", "AppointmentConfirmed"),
                    transition("complete", ("confirmed",), "done", "AppointmentCompleted"),
                    transition("cancel", ("booked", "confirmed"), "cancelled", "AppointmentCancelled", _IN_TIME),
                ],
                "trace": {"start": 0, "end": 0, "text": "", "rule": "by-hand", "confidence": 1.0},
            }
        ],
        operations=_operations(),
        events=[
            event("AppointmentConfirmed", "Appointment", "confirm_appointment"),
            event("AppointmentCompleted", "Appointment", "complete_appointment"),
            event("AppointmentCancelled", "Appointment", "cancel_appointment"),
            event("AppointmentRescheduled", "Appointment", "reschedule_appointment", "start_time"),
            event("AppointmentPaid", "Appointment", "pay_appointment", "paid_on"),
            event("AppointmentDeleted", "Appointment", "delete_appointment"),
        ],
        policies=[
            {
                "kind": "invariant",
                "name": "ends_after_start",
                "entity": "Appointment",
                "condition": {"left": "end_time", "op": "gt", "right_kind": "field", "right": "start_time"},
                "statement": "An appointment ends after it starts.",
                "trace": {"start": 0, "end": 0, "text": "", "rule": "by-hand", "confidence": 1.0},
            },
            {
                "kind": "unique-together",
                "name": "one_slot",
                "entity": "Appointment",
                "fields": ["start_time"],
                "relations": ["patient"],
                "except_states": ["cancelled"],
                "statement": "A patient has one appointment at a time.",
                "trace": {"start": 0, "end": 0, "text": "", "rule": "by-hand", "confidence": 1.0},
            },
        ],
    )


def _operations() -> list[dict[str, Any]]:
    def on_appointment(kind: str, verb: str, *actors: str, **more: Any) -> dict[str, Any]:
        return operation(kind, verb, "Appointment", f"{verb}_appointment", *actors, **more)

    return [
        on_appointment("create", "book"),
        on_appointment("read", "view", own_only=["patient"]),
        on_appointment(
            "change",
            "reschedule",
            own_only=["patient"],
            fields=["start_time", "end_time"],
            states=["booked", "confirmed"],
            guards=[_IN_TIME],
            event="AppointmentRescheduled",
        ),
        on_appointment(
            "change",
            "pay",
            "receptionist",
            fields=["paid_on"],
            states=["done"],
            guards=[{"left": "paid_on", "op": "is-not-set", "statement": _WORDS}],
            event="AppointmentPaid",
        ),
        on_appointment("change", "archive", "receptionist", states=["cancelled", "done"]),
        on_appointment(
            "update",
            "edit",
            "receptionist",
            fields=["note", "seats"],
            guards=[{"left": "seats", "op": "gt", "right_kind": "literal", "right": 2}],
        ),
        on_appointment(
            "delete",
            "delete",
            "receptionist",
            states=["cancelled"],
            guards=[{"left": "end_time", "op": "lt", "right_kind": "now", "offset_minutes": -4320}],
            event="AppointmentDeleted",
        ),
        *(on_appointment("transition", verb, transition=verb) for verb in ("confirm", "complete", "cancel")),
        operation(
            "delete",
            "remove",
            "Patient",
            "remove_patient",
            guards=[{"left": "joined_on", "op": "le", "right_kind": "today", "offset_minutes": -1440}],
        ),
        operation("list", "list", "Patient", "list_patients"),
    ]
