"""Ids are repeatable, and those of events lie near their origin."""

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from factory.domain.ids import derived_id, event_id_near, new_id

_NAMESPACE = UUID("6f2b7a0e-6c4b-5d55-9a0b-3a8f0f1c2d4e")


@given(st.lists(st.one_of(st.text(), st.integers(), st.uuids()), min_size=1, max_size=5))
def test_a_derived_id_is_a_uuid_of_version_five(parts: list[object]) -> None:
    assert derived_id(*parts) == uuid5(_NAMESPACE, "\x1f".join(str(part) for part in parts))


@given(st.text(), st.text())
def test_an_event_id_is_the_same_for_the_same_parts_alone(one: str, other: str) -> None:
    origin = new_id()
    assert (event_id_near(origin, one) == event_id_near(origin, other)) == (one == other)


def test_an_event_id_sorts_with_its_origin() -> None:
    origin = new_id()
    following = event_id_near(origin, "drafted")
    assert (following.version, following.variant) == (8, origin.variant)
    assert following.bytes[:6] == origin.bytes[:6]
    assert event_id_near(following, "next").bytes[:6] == origin.bytes[:6]
