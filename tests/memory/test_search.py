"""Search over real embeddings: what is written is found at once, by meaning, by words, by both, and within filters."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from factory.domain.errors import BadInputError
from factory.domain.ids import new_id
from factory.domain.memory import HeldDocument, NewSegment
from factory.memory import registry, upkeep
from factory.memory.collections import Collection
from factory.memory.documents import Document
from factory.memory.embedding import Embedder, EmbeddingModel, load_embedder
from factory.memory.filters import Filter
from factory.memory.fleet import Fleet, ShardClient, ShardLostError
from factory.memory.host import Answer, Request, ShardHost
from factory.memory.local import LocalShard, local_fleet
from factory.memory.registry import SMALL_RUN
from factory.memory.search import Hit, Mode, Searcher
from factory.memory.tending import tend
from factory.memory.writing import write_documents
from factory.settings import Settings
from factory.storage.database import Database

NOTES = {
    "billing": "An invoice is issued when an appointment ends. The patient pays it within thirty days.",
    "access": "Doctors see the records of their own patients only. Every access is written to the audit log.",
    "stack": "We chose PostgreSQL for persistence, because one transaction must cover orders and stock.",
    "alarm": "The error code ZX-4711 means that the freezer is too warm.",
}


class Memory:
    """A collection with one writer."""

    def __init__(self, database: Database, settings: Settings, embedder: Embedder) -> None:
        self.database = database
        self.settings = settings
        self.embedder = embedder

    @property
    def collection(self) -> Collection:
        model = self.embedder.model
        return Collection("notes", model.name, model.dimension)

    async def write(self, *documents: Document, known: Sequence[HeldDocument] = ()) -> NewSegment:
        segment = write_documents(
            documents,
            segment_id=new_id(),
            collection="notes",
            folder=self.settings.segment_url,
            embedder=self.embedder,
            version=max(document.version for document in documents),
            known=known,
        )
        assert segment is not None
        async with self.database.transaction() as connection:
            await registry.register(connection, [segment])
        return segment


def note(
    key: str, text: str, *, version: int = 1, kind: str = "note", tenant: str = "t", project: str = "p"
) -> Document:
    return Document(key=key, text=text, path=f"{key}.md", tenant=tenant, project_id=project, kind=kind, version=version)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return load_embedder()


@pytest.fixture
async def memory(
    new_database_url: Callable[[], Awaitable[str]], tmp_path: Path, embedder: Embedder
) -> AsyncIterator[Memory]:
    settings = Settings(database_url=await new_database_url(), data_dir=tmp_path)
    async with await Database.open(settings) as database:
        yield Memory(database, settings, embedder)


@pytest.fixture
async def searcher(memory: Memory) -> AsyncIterator[Searcher]:
    await memory.write(*(note(key, text) for key, text in NOTES.items()))
    async with local_fleet(memory.database, memory.settings, memory.collection) as fleet:
        yield Searcher(fleet, memory.embedder)


async def keys(searcher: Searcher, query: str, **how: object) -> list[str]:
    (hits,) = await searcher.search([query], **how)  # type: ignore[arg-type]
    return [hit.passage.document_key for hit in hits]


async def test_meaning_words_and_both(searcher: Searcher) -> None:
    assert (await keys(searcher, "who may look at medical data?", mode=Mode.DENSE))[0] == "access"
    assert await keys(searcher, "who may look at medical data?", mode=Mode.KEYWORD) == []
    assert await keys(searcher, "ZX-4711", mode=Mode.KEYWORD) == ["alarm"]
    (first, *_), (second, *_) = await searcher.search(["paying the bill", "ZX-4711"])
    assert first.passage.document_key == "billing"
    assert second.passage.document_key == "alarm"
    assert second.keyword_rank == 1
    assert second.passage.text == NOTES["alarm"]
    assert 0 < second.score <= 1


async def test_what_was_written_is_found_at_once_and_what_was_replaced_is_not(
    memory: Memory, searcher: Searcher
) -> None:
    assert await keys(searcher, "freezer", mode=Mode.KEYWORD) == ["alarm"]
    await memory.write(note("alarm", "The error code ZX-9999 means that the door is open.", version=2))
    assert await keys(searcher, "freezer", mode=Mode.KEYWORD) == []
    (hit, *_) = (await searcher.search(["ZX-9999"]))[0]
    assert (hit.passage.document_key, hit.passage.version) == ("alarm", 2)
    async with memory.database.transaction() as connection:
        await registry.forget_documents(connection, "notes", "t", ["alarm"])
    assert "alarm" not in await keys(searcher, "The error code ZX-9999 means that the door is open.")


async def test_a_new_version_embeds_what_changed_only(memory: Memory, searcher: Searcher) -> None:
    sections = [f"# Part {number}\n\n{text} " * 8 for number, text in enumerate(NOTES.values())]
    first = await memory.write(note("long", "\n\n".join(sections)))
    held = first.documents[0]
    known = HeldDocument(
        collection="notes",
        tenant="t",
        key="long",
        kind="note",
        project_id="p",
        chunk_ids=held.chunk_ids,
        url=first.url,
    )
    sections[1] += "\n\nNobody else sees them."
    second = await memory.write(note("long", "\n\n".join(sections), version=2), known=[known])
    assert 0 < second.embedded < second.rows
    (hits,) = await searcher.search(["audit log"], condition=Filter(versions=(2, None)))
    assert {hit.passage.version for hit in hits} == {2}
    found = await keys(searcher, "PostgreSQL persistence", condition=Filter(versions=(2, 2)))
    assert found[0] == "long"  # in a chunk that did not change


async def test_filters_narrow_both_searches(memory: Memory, searcher: Searcher) -> None:
    await memory.write(
        note("theirs", NOTES["alarm"], tenant="other", project="q"), note("ours", NOTES["alarm"], kind="runbook")
    )
    for mode in Mode:
        everyone = await keys(searcher, "error code ZX-4711", mode=mode)
        assert set(everyone[:3]) == {"alarm", "theirs", "ours"}
        assert "theirs" not in await keys(searcher, "error code ZX-4711", mode=mode, condition=Filter(tenant="t"))
        assert await keys(searcher, "error code ZX-4711", mode=mode, condition=Filter(kinds=("runbook",))) == ["ours"]
        assert await keys(searcher, "error code ZX-4711", mode=mode, condition=Filter(project_ids=("q",))) == ["theirs"]


async def test_compaction_changes_no_answer(memory: Memory, searcher: Searcher, tmp_path: Path) -> None:
    for number in range(20):
        await memory.write(note(f"n{number % 7}", f"Fact {number}: {NOTES['stack']}", version=number))
    before = await searcher.search(["a fact on persistence", "Fact 17", "ZX-4711"], 30)
    done = await upkeep.keep_up(memory.database, "notes", memory.settings.segment_url)
    assert done.before == 21
    assert done.after == 1
    assert done.rows_after == len(NOTES) + 7
    after = await searcher.search(["a fact on persistence", "Fact 17", "ZX-4711"], 30)
    assert [[told(hit) for hit in hits] for hits in after] == [[told(hit) for hit in hits] for hits in before]
    fleet = spread(memory, tmp_path / "elsewhere", shards=3, replicas=1)
    anew = await Searcher(fleet, memory.embedder).search(["a fact on persistence", "Fact 17", "ZX-4711"], 30)
    assert [{told(hit)[0] for hit in hits} for hits in anew] == [{told(hit)[0] for hit in hits} for hits in before]


async def test_a_crowded_collection_is_tended(memory: Memory) -> None:
    for number in range(SMALL_RUN - 1):
        await memory.write(note(f"n{number}", f"Fact {number}."))
    assert await tend(memory.database, memory.settings.segment_url) == []
    await memory.write(note("last", "The last fact."))
    assert await tend(memory.database, memory.settings.segment_url) == ["notes"]
    async with memory.database.transaction() as connection:
        (segment,) = (await registry.read_manifest(connection, "notes")).added
    assert segment.rows == SMALL_RUN
    assert await tend(memory.database, memory.settings.segment_url) == []


def told(hit: Hit) -> tuple[bytes, str, int]:
    return hit.passage.chunk_id, hit.passage.text, hit.passage.version


def spread(memory: Memory, folder: Path, *, shards: int, replicas: int) -> Fleet:
    return Fleet(
        memory.database,
        memory.collection,
        [
            {
                f"shard-{number}": LocalShard(ShardHost(memory.collection, folder / f"{replica}-{number}"))
                for number in range(shards)
            }
            for replica in range(replicas)
        ],
    )


class Lost(LocalShard):
    """A shard that has stopped answering."""

    async def search(self, request: Request) -> Answer:
        raise ShardLostError(f"gone, with {request.k}")


async def test_several_shards_answer_as_one(memory: Memory, searcher: Searcher, tmp_path: Path) -> None:
    for number in range(12):
        await memory.write(note(f"n{number}", f"Fact {number}: {NOTES['billing']}"))
    queries = ["Fact 3", "payment of an invoice", "ZX-4711"]
    alone = await searcher.search(queries, 20, mode=Mode.DENSE)
    many = Searcher(spread(memory, tmp_path / "many", shards=4, replicas=2), memory.embedder)
    for _ in range(2):  # one replica after the other
        together = await many.search(queries, 20, mode=Mode.DENSE)
        assert [[told(hit) for hit in hits] for hits in together] == [[told(hit) for hit in hits] for hits in alone]
    assert await keys(many, "ZX-4711", mode=Mode.KEYWORD) == ["alarm"]


@pytest.mark.usefixtures("searcher")
async def test_another_replica_answers_for_a_lost_shard(memory: Memory, tmp_path: Path) -> None:
    lost: dict[str, ShardClient] = {"shard-0": Lost(ShardHost(memory.collection, tmp_path / "lost"))}
    whole: dict[str, ShardClient] = {"shard-0": LocalShard(ShardHost(memory.collection, tmp_path / "whole"))}
    degraded = Searcher(Fleet(memory.database, memory.collection, [lost, whole]), memory.embedder)
    for _ in range(2):
        assert await keys(degraded, "ZX-4711", mode=Mode.KEYWORD) == ["alarm"]
    with pytest.raises(ShardLostError):
        await keys(Searcher(Fleet(memory.database, memory.collection, [lost]), memory.embedder), "anything")


@pytest.mark.usefixtures("searcher")
async def test_a_shard_that_comes_up_anew_is_told_everything(memory: Memory, tmp_path: Path) -> None:
    shard = LocalShard(ShardHost(memory.collection, tmp_path / "first"))
    fleet = Fleet(memory.database, memory.collection, [{"shard-0": shard}])
    found = Searcher(fleet, memory.embedder)
    assert await keys(found, "ZX-4711", mode=Mode.KEYWORD) == ["alarm"]
    # As when Ray restarts the actor: the same handle, and nothing behind it.
    vars(shard)["_host"] = ShardHost(memory.collection, tmp_path / "second")
    assert await keys(found, "ZX-4711", mode=Mode.KEYWORD) == ["alarm"]


@pytest.mark.usefixtures("searcher")
async def test_a_restart_finds_the_keywords_where_they_were(memory: Memory, tmp_path: Path) -> None:
    async def restarted() -> list[str]:
        host = ShardHost(memory.collection, tmp_path / "kept")
        try:
            fleet = Fleet(memory.database, memory.collection, [{"shard-0": LocalShard(host)}])
            return await keys(Searcher(fleet, None), "error code", mode=Mode.KEYWORD)
        finally:
            host.close()

    assert await restarted() == ["alarm"]
    for version in range(2, 19):
        await memory.write(note("alarm", f"The error code is now {version}.", version=version))
    await upkeep.keep_up(memory.database, "notes", memory.settings.segment_url, everything=True)
    assert await restarted() == ["alarm"]
    async with memory.database.transaction() as connection:
        await registry.forget_project(connection, "notes", "p")
    assert await restarted() == []


@pytest.mark.parametrize(
    ("queries", "k", "field"),
    [([], 10, "queries"), ([" "], 10, "query"), (["x" * 30_000], 10, "query"), (["x"], 0, "k"), (["x"], 201, "k")],
)
async def test_bad_input_is_named(searcher: Searcher, queries: list[str], k: int, field: str) -> None:
    with pytest.raises(BadInputError) as refused:
        await searcher.search(queries, k)
    assert refused.value.field == field


async def test_hostile_queries_are_only_text(searcher: Searcher) -> None:
    for query in ('"', "a AND (b", "kind:note OR *", "\x00", "\ud800", "' OR 1=1 --", "🦄" * 50, "a" * 9000):
        (hits,) = await searcher.search([query])
        assert len(hits) <= len(NOTES)


async def test_queries_of_another_model_are_refused(memory: Memory) -> None:
    class Other:
        model = EmbeddingModel("other", 384)

    with pytest.raises(BadInputError, match="FACTORY_EMBEDDING_MODEL=all-MiniLM-L6-v2"):
        Searcher(spread(memory, memory.settings.data_dir / "x", shards=1, replicas=1), Other())  # type: ignore[arg-type]
