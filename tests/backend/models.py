"""Three products written by hand: each brings what is awkward about a part of the domain model."""

from typing import Any

from factory.domain.product import DomainModel

_TRACE = {"start": 0, "end": 0, "text": "", "rule": "by-hand", "confidence": 1.0}


def field(name: str, kind: str = "text", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "trace": _TRACE, **more}


def entity(name: str, collection: str, *fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    label = more.pop("label", name)
    return {"name": name, "collection": collection, "label": label, "fields": fields, "trace": _TRACE, **more}


def relation(source: str, name: str, target: str, inverse: str, **more: Any) -> dict[str, Any]:
    kind = more.pop("kind", "many-to-one")
    return {"source": source, "name": name, "target": target, "inverse": inverse, "kind": kind, "trace": _TRACE, **more}


def operation(kind: str, verb: str, entity: str, name: str, *actors: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "verb": verb, "entity": entity, "name": name, "actors": actors, "trace": _TRACE, **more}


def enum(name: str, *values: str) -> dict[str, Any]:
    return {"name": name, "values": values, "trace": _TRACE}


def event(name: str, entity: str, operation: str, *fields: str, relations: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "name": name,
        "entity": entity,
        "operation": operation,
        "fields": fields,
        "relations": relations,
        "trace": _TRACE,
    }


def actor(name: str, label: str, entity: str | None = None) -> dict[str, Any]:
    return {"name": name, "label": label, "entity": entity, "trace": _TRACE}


def transition(name: str, sources: tuple[str, ...], target: str, event: str, *guards: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "sources": sources, "target": target, "event": event, "guards": guards, "trace": _TRACE}


def model(**parts: Any) -> DomainModel:
    return DomainModel.model_validate(parts)


def clinic() -> DomainModel:
    """Lifecycle with guards, own records by reference, unique slot that a cancelled visit frees, a limit."""
    return model(
        name="Clinic",
        slug="clinic",
        summary="Patients book appointments with doctors.",
        actors=[
            actor("receptionist", "Receptionist"),
            actor("patient", "Patient", "Patient"),
            actor("doctor", "Doctor", "Doctor"),
        ],
        enums=[enum("AppointmentStatus", "booked", "confirmed", "done", "cancelled"), enum("Sex", "female", "male")],
        entities=[
            entity(
                "Patient",
                "patients",
                field("name", personal_data=True, constraints={"max_length": 120}),
                field("email", "email", constraints={"unique": True}, personal_data=True),
                field("phone", "phone", required=False, personal_data=True),
                field("birth_date", "date", required=False),
                field("sex", "enum", enum="Sex", required=False),
            ),
            entity(
                "Doctor",
                "doctors",
                field("name"),
                field("specialty", default="general practice"),
                field("fee", "money", constraints={"minimum": 5, "maximum": 1000}),
            ),
            entity(
                "Appointment",
                "appointments",
                field("start", "datetime"),
                field("end", "datetime"),
                field("status", "enum", enum="AppointmentStatus"),
                field("note", "rich-text", required=False),
                description="A visit of a patient to a doctor.",
            ),
            entity("Invoice", "invoices", field("amount", "money", constraints={"minimum": 0})),
        ],
        relations=[
            relation("Appointment", "patient", "Patient", "appointments"),
            relation("Appointment", "doctor", "Doctor", "appointments"),
            relation("Invoice", "appointment", "Appointment", "invoice", kind="one-to-one", on_delete="cascade"),
        ],
        lifecycles=[
            {
                "entity": "Appointment",
                "field": "status",
                "initial": "booked",
                "trace": _TRACE,
                "transitions": [
                    transition("confirm", ("booked",), "confirmed", "AppointmentConfirmed"),
                    transition(
                        "cancel",
                        ("booked", "confirmed"),
                        "cancelled",
                        "AppointmentCancelled",
                        {"left": "start", "op": "gt", "right_kind": "now", "offset_minutes": 1440},
                    ),
                    transition(
                        "complete",
                        ("confirmed",),
                        "done",
                        "AppointmentCompleted",
                        {"left": "start", "op": "le", "right_kind": "now"},
                    ),
                    transition("reopen", ("cancelled",), "booked", "AppointmentReopened"),
                ],
            }
        ],
        operations=[
            operation("create", "register", "Patient", "register_patient", "receptionist", event="PatientRegistered"),
            operation("read", "view", "Patient", "view_patient", "receptionist", "patient", own_only=["patient"]),
            operation("list", "search", "Patient", "search_patients", "receptionist"),
            operation("update", "update", "Patient", "update_patient", "receptionist", "patient", own_only=["patient"]),
            operation("delete", "remove", "Patient", "remove_patient", "receptionist"),
            operation("create", "add", "Doctor", "add_doctor", "receptionist"),
            operation("list", "list", "Doctor", "list_doctors"),
            operation("delete", "remove", "Doctor", "remove_doctor", "receptionist"),
            operation(
                "create",
                "book",
                "Appointment",
                "book_appointment",
                "receptionist",
                "patient",
                own_only=["patient"],
                event="AppointmentBooked",
                stories=["S1"],
            ),
            operation("read", "view", "Appointment", "view_appointment"),
            operation(
                "list",
                "list",
                "Appointment",
                "list_appointments",
                "receptionist",
                "patient",
                "doctor",
                own_only=["patient", "doctor"],
            ),
            operation(
                "change",
                "reschedule",
                "Appointment",
                "reschedule_appointment",
                "receptionist",
                "patient",
                own_only=["patient"],
                fields=["start", "end"],
                event="AppointmentRescheduled",
            ),
            operation("change", "assign", "Appointment", "assign_appointment", "receptionist", relations=["doctor"]),
            operation(
                "transition",
                "confirm",
                "Appointment",
                "confirm_appointment",
                "receptionist",
                transition="confirm",
                event="AppointmentConfirmed",
            ),
            operation(
                "transition",
                "cancel",
                "Appointment",
                "cancel_appointment",
                "receptionist",
                "patient",
                own_only=["patient"],
                transition="cancel",
                event="AppointmentCancelled",
            ),
            operation(
                "transition",
                "complete",
                "Appointment",
                "complete_appointment",
                "doctor",
                own_only=["doctor"],
                transition="complete",
                event="AppointmentCompleted",
            ),
            operation(
                "transition",
                "reopen",
                "Appointment",
                "reopen_appointment",
                "receptionist",
                transition="reopen",
            ),
            operation("create", "issue", "Invoice", "issue_invoice", "receptionist"),
            operation("read", "view", "Invoice", "view_invoice", "receptionist", "patient", own_only=["patient"]),
        ],
        events=[
            event("PatientRegistered", "Patient", "register_patient", "name"),
            event(
                "AppointmentBooked",
                "Appointment",
                "book_appointment",
                "start",
                "status",
                relations=("patient", "doctor"),
            ),
            event("AppointmentRescheduled", "Appointment", "reschedule_appointment", "start", "end"),
            event("AppointmentConfirmed", "Appointment", "confirm_appointment", "status"),
            event("AppointmentCancelled", "Appointment", "cancel_appointment", "start", "note", relations=("patient",)),
            event("AppointmentCompleted", "Appointment", "complete_appointment"),
        ],
        policies=[
            {
                "kind": "invariant",
                "name": "ends_after_start",
                "entity": "Appointment",
                "condition": {"left": "end", "op": "gt", "right_kind": "field", "right": "start"},
                "statement": "An appointment ends after it starts.",
                "trace": _TRACE,
            },
            {
                "kind": "invariant",
                "name": "born_in_the_past",
                "entity": "Patient",
                "condition": {"left": "birth_date", "op": "le", "right_kind": "today"},
                "statement": "A patient was born in the past.",
                "trace": _TRACE,
            },
            {
                "kind": "unique-together",
                "name": "one_visit_at_a_time",
                "entity": "Appointment",
                "fields": ["start"],
                "relations": ["doctor"],
                "except_states": ["cancelled"],
                "statement": "A doctor sees one patient at a time.",
                "trace": _TRACE,
            },
            {
                "kind": "related-limit",
                "name": "few_open_visits",
                "entity": "Appointment",
                "relation": "patient",
                "limit": 3,
                "states": ["booked", "confirmed"],
                "statement": "A patient has at most three open appointments.",
                "trace": _TRACE,
            },
            {
                "kind": "stated",
                "name": "polite",
                "statement": "Reception is polite.",
                "trace": _TRACE,
            },
        ],
        stories=[
            {
                "id": "S1",
                "actor": "receptionist",
                "goal": "book an appointment for a patient",
                "benefit": "nobody waits",
                "trace": _TRACE,
            }
        ],
    )


def school() -> DomainModel:
    """Every field type, a join entity, self relations of both kinds, a circle of references, plain many-to-many."""
    return model(
        name="School",
        slug="evening-school",
        summary="Courses, their students and what they hand in.",
        actors=[actor("registrar", "Registrar"), actor("student", "Student", "Student"), actor("guest", "Guest")],
        enums=[enum("Level", "none", "beginner", "advanced"), enum("EnrollmentState", "open", "closed")],
        entities=[
            entity(
                "Student",
                "students",
                field("name"),
                field("email", "email", constraints={"unique": True}),
                field("mentor_note", required=False),
            ),
            entity(
                "Course",
                "courses",
                field("title", constraints={"min_length": 3, "max_length": 80, "unique": True}),
                field("code", constraints={"pattern": "^[A-Z]{3}-[0-9]{2}$"}),
                field("description", "rich-text", required=False),
                field("contact", "phone", required=False),
                field("website", "url", required=False),
                field("price", "money", constraints={"minimum": 0}, default=10),
                field("discount", "percentage", required=False),
                field("seats", "integer", constraints={"minimum": 1, "maximum": 500}, default=20),
                field("weight", "decimal", required=False, constraints={"minimum": -2.5}),
                field("active", "boolean", default=True),
                field("first_day", "date", required=False),
                field("last_day", "date", required=False),
                field("opens_at", "time", required=False),
                field("announced", "datetime", required=False),
                field("lesson", "duration", required=False),
                field("reference", "uuid", required=False),
                field("level", "enum", enum="Level", default="beginner"),
                field("syllabus", "file", required=False),
                field("place", "geo-point", required=False),
                field("extras", "json", required=False),
            ),
            entity(
                "Enrollment",
                "enrollments",
                field("grade", "integer", required=False),
                field("state", "enum", enum="EnrollmentState"),
            ),
            entity("Room", "rooms", field("name")),
            entity("Tag", "tags", field("word")),
            entity("Building", "buildings", field("name")),
        ],
        relations=[
            relation(
                "Student",
                "courses",
                "Course",
                "students",
                kind="many-to-many",
                join_entity="Enrollment",
                required=False,
            ),
            relation("Enrollment", "student", "Student", "enrollments", on_delete="cascade"),
            relation("Enrollment", "course", "Course", "enrollments"),
            relation("Course", "predecessor", "Course", "successors", required=False, on_delete="set-null"),
            relation("Course", "tags", "Tag", "tagged_courses", kind="many-to-many", required=False),
            relation("Student", "friends", "Student", "befriended_by", kind="many-to-many", required=False),
            relation("Student", "mentor", "Student", "mentees"),
            relation("Room", "building", "Building", "rooms"),
            relation("Building", "main_room", "Room", "main_room_of"),
            relation("Room", "spare", "Room", "spare_for", required=False, on_delete="set-null"),
        ],
        lifecycles=[
            {
                "entity": "Enrollment",
                "field": "state",
                "initial": "open",
                "trace": _TRACE,
                "transitions": [
                    transition(
                        "close",
                        ("open",),
                        "closed",
                        "EnrollmentClosed",
                        {"left": "grade", "op": "is-set"},
                        {"left": "grade", "op": "le", "right_kind": "literal", "right": 6},
                    )
                ],
            }
        ],
        operations=[
            operation("create", "add", "Course", "add_course", "registrar"),
            operation("read", "view", "Course", "view_course"),
            operation("list", "find", "Course", "find_courses"),
            operation("update", "update", "Course", "update_course", "registrar"),
            operation("delete", "drop", "Course", "drop_course", "registrar"),
            operation("change", "archive", "Course", "archive_course", "registrar"),
            operation("create", "admit", "Student", "admit_student", "registrar", fields=["name"]),
            operation("create", "join", "Student", "join_school", "student", own_only=["student"], fields=["email"]),
            operation("list", "list", "Student", "list_students", "registrar", "student", own_only=["student"]),
            operation("create", "enroll", "Enrollment", "enroll", "student", own_only=["student"], event="Enrolled"),
            operation("read", "view", "Enrollment", "view_enrollment", "student", own_only=["student"]),
            operation("change", "grade", "Enrollment", "grade_enrollment", "registrar", fields=["grade"]),
            operation("transition", "close", "Enrollment", "close_enrollment", "registrar", transition="close"),
            operation("create", "propose", "Tag", "propose_tag", "guest", "registrar", own_only=["guest"]),
            operation("update", "rename", "Tag", "rename_tag", "guest", "registrar", own_only=["guest"]),
            operation("list", "list", "Tag", "list_tags", "guest", own_only=["guest"]),
            operation("create", "add", "Room", "add_room", "registrar"),
            operation("delete", "remove", "Building", "remove_building", "registrar"),
        ],
        events=[
            event("Enrolled", "Enrollment", "enroll", "grade", "state", relations=("student", "course")),
            event(
                "CourseAdded",
                "Course",
                "add_course",
                "title",
                "price",
                "weight",
                "opens_at",
                "announced",
                "first_day",
                "reference",
                "level",
                "place",
                "syllabus",
                "extras",
                "active",
                "lesson",
                relations=("tags", "predecessor"),
            ),
            event("CourseDropped", "Course", "drop_course", "title"),
            event("RoomAdded", "Room", "add_room", relations=("building", "spare")),
        ],
        policies=[
            {
                "kind": "invariant",
                "name": "last_day_not_before_first",
                "entity": "Course",
                "condition": {"left": "last_day", "op": "ge", "right_kind": "field", "right": "first_day"},
                "statement": "A course's last day is not before its first.",
                "trace": _TRACE,
            },
            {
                "kind": "unique-together",
                "name": "enrolled_once",
                "entity": "Enrollment",
                "relations": ["student", "course"],
                "statement": "A student enrolls in a course once.",
                "trace": _TRACE,
            },
            {
                "kind": "related-limit",
                "name": "class_size",
                "entity": "Enrollment",
                "relation": "course",
                "limit": 2,
                "statement": "A course has at most two students.",
                "trace": _TRACE,
            },
        ],
    )


def shop() -> DomainModel:
    """Names that Python, SQL, FastAPI, pydantic and SQLAlchemy would like to keep for themselves."""
    awkward = [
        "type", "metadata", "registry", "query", "date", "time", "datetime", "json", "copy", "list", "int", "str",
        "dict", "schema", "session", "row", "body", "caller", "limit", "offset", "sort", "id_number", "model_dump",
        "property", "select", "order", "group", "user", "key", "value", "name",
    ]  # fmt: skip
    return model(
        name='The "Corner" Shop',
        slug="json",
        summary='Sells "things" of all kinds.\nAnd more.',
        actors=[actor("user", "User", "User"), actor("admin", "Administrator")],
        enums=[
            enum("Kind", "none", "import", "class", "name", "value", "mro", "true"),
            enum("Status", "open", "closed"),
        ],
        entities=[
            entity("Order", "orders", field("status", "enum", enum="Status"), field("total", "money")),
            entity("User", "users", field("name")),
            entity("Group", "groups", *[field(name) for name in awkward], field("date_from", "date")),
            entity("Session", "sessions", field("kind", "enum", enum="Kind", default="none"), field("date", "date")),
            entity("Event", "events", field("name")),
            entity("Base", "base", field("name")),
            entity("Model", "models", field("name")),
            entity("Field", "fields", field("name")),
            entity("Request", "requests", field("name")),
            entity("Response", "responses", field("name")),
            entity("File", "files", field("content", "file")),
            entity("Path", "paths", field("name")),
            entity("Date", "dates", field("date", "date"), field("time", "time"), field("datetime", "datetime")),
            entity("Class", "classes", field("name")),
            entity("Outbox", "outbox", field("name")),
            entity("Problem", "problems", field("name")),
            entity("Health", "health", field("is_well", "boolean")),
            entity("Permission", "permissions", field("name")),
            entity("Empty", "empties"),
            entity("Silent", "silents", field("name")),
            entity("TestResult", "test_results", field("name")),
            entity("Status", "statuses", field("name")),
        ],
        relations=[
            relation("Order", "user", "User", "orders"),
            relation("Order", "approver", "User", "approved_orders", required=False, on_delete="set-null"),
            relation("Session", "class_room", "Class", "sessions", required=False, on_delete="set-null"),
            relation("Event", "session", "Session", "events", on_delete="cascade"),
        ],
        lifecycles=[
            {
                "entity": "Order",
                "field": "status",
                "initial": "open",
                "trace": _TRACE,
                "transitions": [transition("import", ("open",), "closed", "OrderImported")],
            }
        ],
        operations=[
            operation(kind, kind, name, f"{kind}_{name.lower()}")
            for name in (
                "Order",
                "User",
                "Group",
                "Session",
                "Event",
                "Base",
                "Model",
                "Field",
                "Request",
                "Response",
                "File",
                "Path",
                "Date",
                "Class",
                "Outbox",
                "Problem",
                "Health",
                "Permission",
                "Empty",
                "Status",
                "TestResult",
            )
            for kind in ("create", "read", "list", "update", "delete")
        ]
        + [
            operation("transition", "import", "Order", "import_order", transition="import"),
            operation("change", "class", "Session", "class_session", relations=["class_room"], fields=["kind"]),
        ],
        events=[event("OrderImported", "Order", "import_order", "total", relations=("user", "approver"))],
    )


MODELS = {"clinic": clinic, "school": school, "shop": shop}
