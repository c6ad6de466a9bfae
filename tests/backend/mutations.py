"""Ways to break the generated clinic; its own tests must notice each of them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """One line of one file, what it becomes, and the tests that are to notice."""

    name: str
    path: str
    before: str
    after: str

    @property
    def tests(self) -> tuple[str, ...]:
        """Return the tests to run: those of the resource, or all where the change is elsewhere."""
        return ("tests/api/test_appointments_api.py",) if self.path in (_APPOINTMENTS, _QUERIES) else ()


_APPOINTMENTS = "src/clinic/api/appointments.py"
_QUERIES = "src/clinic/persistence/appointments.py"
_RULES = "src/clinic/domain/appointment.py"

MUTATIONS = (
    Mutation("drop a guard", _RULES, "if start <= now + dt.timedelta(days=1):", "if start is None:"),
    Mutation(
        "allow another source state",
        _RULES,
        "if status not in {AppointmentStatus.BOOKED, AppointmentStatus.CONFIRMED}:",
        "if status is AppointmentStatus.CANCELLED:",
    ),
    Mutation("reach the wrong state", _RULES, "return AppointmentStatus.CANCELLED", "return AppointmentStatus.DONE"),
    Mutation("drop an invariant", _RULES, "if end <= start:", "if end == start and start is None:"),
    Mutation(
        "forget to call an invariant",
        _APPOINTMENTS,
        "    rules.check_ends_after_start(end=row.end, start=row.start)\n",
        "",
    ),
    Mutation(
        "skip the permission",
        "src/clinic/domain/permissions.py",
        "if caller.role not in self.roles:",
        "if caller.role not in Role:",
    ),
    Mutation(
        "let a role in too many",
        "src/clinic/domain/permissions.py",
        '"confirm_appointment",\n    roles=frozenset({Role.RECEPTIONIST}),',
        '"confirm_appointment",\n    roles=frozenset({Role.RECEPTIONIST, Role.DOCTOR}),',
    ),
    Mutation(
        "let strangers in",
        "src/clinic/persistence/queries.py",
        "if not matches(session, table, table.id == row.id, own):",
        "if not matches(session, table, table.id == row.id):",
    ),
    Mutation(
        "list everybody's records",
        _APPOINTMENTS,
        "statement = statement.where(belongs_to(caller))",
        "belongs_to(caller)",
    ),
    Mutation("break a filter", _QUERIES, "AppointmentRow.status == status)", "AppointmentRow.status.is_not(None))"),
    Mutation("turn a range round", _QUERIES, "AppointmentRow.start >= start", "AppointmentRow.start <= start"),
    Mutation("count the limit wrong", _QUERIES, ">= 3", "> 3"),
    Mutation(
        "let a cancelled visit keep its slot",
        "migrations/versions/0001_initial.py",
        "sqlite_where=sa.text(\"status NOT IN ('cancelled')\"),",
        "",
    ),
    Mutation(
        "ignore what is unique",
        _QUERIES,
        'raise DuplicateError("A doctor sees one patient at a time.")',
        "return",
    ),
    Mutation(
        "forget uniqueness when a visit is reopened",
        _APPOINTMENTS,
        "rules.reopen(row.status)\n    require_unique(session, row)",
        "rules.reopen(row.status)",
    ),
    Mutation("ignore the sort direction", "src/clinic/persistence/queries.py", "column.desc()", "column.asc()"),
    Mutation("ignore the offset", "src/clinic/persistence/queries.py", ".offset(offset)", ".offset(0)"),
    Mutation(
        "skip the outbox",
        _APPOINTMENTS,
        "    outbox.record(session, messages.appointment_cancelled(row))\n",
        "",
    ),
    Mutation(
        "leave a value out of an event",
        "src/clinic/events/messages.py",
        '            "patient_id": str(row.patient_id),\n',
        "",
    ),
    Mutation(
        "forget to commit",
        _APPOINTMENTS,
        "    outbox.record(session, messages.appointment_confirmed(row))\n    session.commit()\n",
        "    outbox.record(session, messages.appointment_confirmed(row))\n",
    ),
    Mutation("believe expired tokens", "src/clinic/api/auth.py", '"require": ["exp", "sub"]', '"verify_exp": False'),
    Mutation(
        "let a column be null",
        "migrations/versions/0001_initial.py",
        "sa.String(120), nullable=False",
        "sa.String(120)",
    ),
    Mutation("answer with another status", _APPOINTMENTS, "status_code=201", "status_code=200"),
    Mutation("rename a path", _APPOINTMENTS, '"/{id}/cancel"', '"/{id}/call-off"'),
    Mutation(
        "loosen a schema",
        "src/clinic/api/schemas/patients.py",
        "Field(min_length=1, max_length=120, pattern=TEXT)",
        "Field(min_length=1, max_length=120)",
    ),
    Mutation(
        "point an import the wrong way",
        _RULES,
        "from clinic.domain.enums import AppointmentStatus",
        "import sqlalchemy\nfrom clinic.domain.enums import AppointmentStatus\nassert sqlalchemy",
    ),
    Mutation(
        "send events in the wrong order",
        "src/clinic/events/relay.py",
        ".order_by(OutboxRow.position)",
        ".order_by(OutboxRow.position.desc())",
    ),
)  # fmt: skip
