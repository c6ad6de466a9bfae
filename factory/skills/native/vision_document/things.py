"""Things, fields and relations that prose and stories name."""

from factory.skills.native.vision_document.draft import Draft
from factory.skills.native.vision_document.readings import Statement


def find_things(draft: Draft, statements: list[Statement]) -> None:
    """Add what prose names."""
    del draft, statements
