"""What two projects made, side by side: for a sandbox and its original, or two builds of one vision."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from factory.artifacts import records
from factory.artifacts.blobs import BlobStore
from factory.artifacts.diff import ContentDiff, diff
from factory.domain.artifact import ArtifactRef, ArtifactStatus, Content
from factory.storage.database import Connection


class Verdict(StrEnum):
    """How the newest valid versions of one kind compare."""

    SAME = "same"
    DIFFERENT = "different"
    ONLY_FIRST = "only-first"
    ONLY_SECOND = "only-second"


@dataclass(frozen=True, slots=True)
class KindComparison:
    """One kind of artifact in two projects; None where a project has no valid version of it."""

    kind: str
    verdict: Verdict
    first: ArtifactRef | None
    second: ArtifactRef | None


async def compare(connection: Connection, first: UUID, second: UUID) -> list[KindComparison]:
    """Compare the newest valid artifacts of two projects by kind; equal hashes mean equal bytes."""
    ours = {ref.kind: ref for ref in await records.latest(connection, first, status=ArtifactStatus.VALID)}
    theirs = {ref.kind: ref for ref in await records.latest(connection, second, status=ArtifactStatus.VALID)}
    return [_compared(kind, ours.get(kind), theirs.get(kind)) for kind in sorted(ours.keys() | theirs.keys())]


async def difference(store: BlobStore, compared: KindComparison) -> ContentDiff:
    """Return how the files of the two artifacts differ; a missing artifact has none."""
    before, after = await asyncio.gather(_content(store, compared.first), _content(store, compared.second))
    return diff(before, after)


async def _content(store: BlobStore, artifact: ArtifactRef | None) -> Content:
    return Content(files={}) if artifact is None else await asyncio.to_thread(store.content, artifact)


def _compared(kind: str, first: ArtifactRef | None, second: ArtifactRef | None) -> KindComparison:
    if first is None or second is None:
        verdict = Verdict.ONLY_SECOND if first is None else Verdict.ONLY_FIRST
    else:
        verdict = Verdict.SAME if first.hash == second.hash else Verdict.DIFFERENT
    return KindComparison(kind, verdict, first, second)
