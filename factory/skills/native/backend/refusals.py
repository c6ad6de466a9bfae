"""JSON values that the schema of a member refuses, for the generated tests."""

from factory.skills.native.service_design.conditions import ValueKind, value_kind
from factory.skills.native.service_design.parts import Member
from factory.skills.native.service_design.shapes import TEXTUAL


def invalid_values(member: Member) -> tuple[tuple[str, str], ...]:
    """Return JSON values, as source, that the member's schema refuses."""
    if member.is_collection:
        return ((member.name, '"no list"'), (member.name, '["no id"]'))
    if member.field is None:
        return ((member.name, '"no id"'),)
    if member.field.enum is not None:
        return ((member.name, '"no such value"'),)
    schema = member.schema
    found: list[str] = []
    if member.field.type in TEXTUAL:
        found = ["17", '"\\x00"', f'"x" * {int(str(schema["maxLength"])) + 1}']
        if schema.get("minLength"):
            found.append('""')
        if member.field.type.value in ("email", "phone", "url"):
            found.append('"neither here nor there"')
    else:
        found = {
            ValueKind.DECIMAL: ["1.5", '"1,50"', '"NaN"', '"1.123456789"'],
            ValueKind.INTEGER: ['"17"', "1.5", f"{schema.get('maximum')} + 1"],
            ValueKind.FLOAT: ['"17"', "100.5", "-0.5"],
            ValueKind.BOOLEAN: ['"yes"', "1"],
            ValueKind.DATE: ['"2030-02-30"', '"tomorrow"', "20300101"],
            ValueKind.TIME: ['"25:00"', "930"],
            ValueKind.DATETIME: ['"2030-05-01T09:30:00"', '"2030-13-01T00:00:00Z"', "1900000000"],
            ValueKind.UUID: ['"no id"'],
            ValueKind.DOCUMENT: ['"no object"', "[1]"],
        }[value_kind(member.field)]
    return tuple((member.name, value) for value in found)
