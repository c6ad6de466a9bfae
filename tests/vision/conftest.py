"""What the tests of reading visions share."""

from collections.abc import Callable

import pytest

from factory.domain.product import DomainModel
from factory.skills.native.vision_document import parse_vision


@pytest.fixture
def read() -> Callable[[str], DomainModel]:
    """Return a function from a vision's text to its model."""
    return lambda text: parse_vision(text, "sample").draft
