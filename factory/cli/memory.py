"""`factory memory`: index a corpus, search, look at collections, compact them, forget a project."""

import asyncio
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from factory.cli.output import clock, short_project, write_json, write_table
from factory.domain.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from factory.memory.corpus import Indexed
    from factory.memory.embedding import Embedder
    from factory.memory.search import Hit, Searcher
    from factory.settings import Settings
    from factory.storage.database import Database

app = typer.Typer(help="Search what was built and learned, and add to it.", no_args_is_help=True, add_completion=False)

_SNIPPET = 300

Collection = Annotated[
    str | None, typer.Option("--collection", "-c", help="Which collection; that of the artifacts by default.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("index")
def index(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A file, folder, glob or fsspec URL: Parquet, JSONL, text, code.")
    ],
    *,
    collection: Collection = None,
    kind: Annotated[str, typer.Option("--kind", help="Kind of documents that say nothing else.")] = "",
    project: Annotated[str, typer.Option("--project", "-p", help="Project id of documents that name none.")] = "",
    text_column: Annotated[str, typer.Option("--text-column", help="In Parquet and JSONL.")] = "text",
    job: Annotated[
        str | None, typer.Option("--job", help="Folder of the job; another one begins anew.", metavar="URL")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Most actors that embed.")] = None,
    as_json: AsJson = False,
) -> None:
    """Chunk and embed a corpus into a collection. Interrupted, the same command goes on where it stopped."""
    from factory.cli.session import load_settings, run  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.memory.jobs.reading import Defaults  # noqa: PLC0415

    settings = load_settings()
    defaults = Defaults(tenant=settings.tenant, project_id=project, kind=kind)
    chosen = collection or settings.memory_collection
    found = run(_index(settings, source, chosen, defaults, job, text_column, workers))
    report = found.report
    if as_json:
        write_json(
            {
                "collection": chosen,
                "version": found.version,
                "documents": report.documents,
                "chunks": report.chunks,
                "segments": [asdict(segment) for segment in report.segments],
                "refused": dict(report.refused),
                "resumed": report.resumed,
                "model": report.model.name,
                "job": found.job,
            }
        )
        return
    typer.echo(f"{report.documents:,} documents in {report.chunks:,} chunks are in the collection {chosen!r}.")
    for reason, number in report.refused.items():
        examples = "; ".join(report.examples.get(reason, [])[:2])
        typer.echo(f"left out, {reason}: {number:,} ({examples})", err=True)


@app.command("search")
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What to look for, in words of your own.")],
    *,
    collection: Collection = None,
    limit: Annotated[int, typer.Option("--limit", "-k", help="How many passages, 1 to 200.")] = 10,
    mode: Annotated[str, typer.Option("--mode", help="hybrid, dense or keyword.")] = "hybrid",
    project: Annotated[
        list[str] | None, typer.Option("--project", "-p", help="Only these projects: ids, or six digits of them.")
    ] = None,
    kind: Annotated[list[str] | None, typer.Option("--kind", help="Only these kinds.")] = None,
    agent: Annotated[list[str] | None, typer.Option("--agent", help="Only what these agents made.")] = None,
    version: Annotated[
        str | None, typer.Option("--version", help="Only these versions of a document: 3, 2.., ..4, 2..4.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", help="Only the latest 90m, 12h, 7d, or from a date.")] = None,
    every_tenant: Annotated[bool, typer.Option("--every-tenant", help="Not only FACTORY_TENANT's.")] = False,
    rerank: Annotated[
        str | None, typer.Option("--rerank", metavar="MODEL", help="A cross-encoder that looks at the best once more.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """Find passages by meaning and by words."""
    from factory.cli.session import load_settings, run  # noqa: PLC0415
    from factory.cli.usage import since_time  # noqa: PLC0415
    from factory.memory.search import Mode  # noqa: PLC0415

    settings = load_settings()
    if mode not in set(Mode):
        raise BadInputError(f"there is no mode {mode!r}.", remedy=f"Choose from {', '.join(Mode)}.", field="mode")
    narrowed: dict[str, Any] = {
        "tenant": None if every_tenant else settings.tenant,
        "kinds": tuple(kind) if kind else None,
        "agents": tuple(agent) if agent else None,
        "versions": _versions(version) if version else None,
        "created": (since_time(since, datetime.now(UTC)), None) if since else None,
    }
    hits = run(_search(settings, query, collection, limit, Mode(mode), narrowed, project or [], rerank))
    if as_json:
        write_json([_fields(hit) for hit in hits])
        return
    if not hits:
        typer.echo("Nothing was found.", err=True)
    for number, hit in enumerate(hits, 1):
        found = hit.passage
        place = " · ".join(part for part in (found.kind, found.path, found.title) if part)
        typer.secho(f"{number:>3}  {hit.score:.3f}  {place}", bold=True)
        origin = f"project {short_project(UUID(found.project_id))}, v{found.version}, " if found.project_id else ""
        typer.secho(f"     {origin}{found.agent or 'corpus'}, {clock(found.created_at)}", dim=True)
        text = " ".join(found.text.split())
        typer.echo(f"     {text[:_SNIPPET]}{'…' if len(text) > _SNIPPET else ''}")


@app.command("status")
def status(*, as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False) -> None:
    """List the collections with their models and sizes."""
    from factory.cli.session import reading, run  # noqa: PLC0415
    from factory.memory.registry import collection_sizes  # noqa: PLC0415

    async def read() -> list[dict[str, Any]]:
        async with reading() as connection:
            return await collection_sizes(connection)

    found = run(read())
    if as_json:
        write_json(found)
        return
    write_table(
        ("collection", "model", "dimension", "version", "documents", "segments", "rows", "dead", "MiB"),
        (
            (
                item["collection"],
                item["model"],
                item["dimension"],
                item["version"],
                item["documents"],
                item["segments"],
                item["rows"],
                item["tombstones"],
                f"{item['bytes'] / 2**20:.1f}",
            )
            for item in found
        ),
        empty="There are no collections: a build makes one, and so does `factory memory index`.",
    )


@app.command("compact")
def compact(
    *,
    collection: Collection = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Rewrite every segment, which removes what was deleted from disk.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Merge small segments and remove what was replaced."""
    from factory.cli.session import load_settings, open_database, run  # noqa: PLC0415
    from factory.memory.upkeep import Compacted, keep_up  # noqa: PLC0415

    settings = load_settings()
    chosen = collection or settings.memory_collection

    async def work() -> Compacted:
        async with open_database(settings) as database:
            return await keep_up(database, chosen, settings.segment_url, everything=everything)

    done = run(work())
    if as_json:
        write_json(asdict(done))
        return
    typer.echo(
        f"{done.before} segments with {done.rows_before:,} rows became {done.after} with {done.rows_after:,}; "
        f"{done.removed} files removed."
    )


@app.command("forget")
def forget(
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="Its id, or six digits of it.")],
    *,
    collection: Collection = None,
    as_json: AsJson = False,
) -> None:
    """Erase a project from a collection: from every search at once, and from disk before the command ends."""
    from factory.cli.session import load_settings, run  # noqa: PLC0415

    settings = load_settings()
    chosen = collection or settings.memory_collection
    project_id, chunks, removed = run(_forget(settings, project, chosen))
    if as_json:
        write_json({"project_id": project_id, "collection": chosen, "chunks": chunks, "files_removed": removed})
        return
    typer.echo(f"{chunks:,} chunks of project {short_project(UUID(project_id))} are erased from {chosen!r}.")


@app.command("serve")
def serve(
    *,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")] = 8100,
    replicas: Annotated[int, typer.Option("--replicas", min=1, help="How many copies of the model.")] = 1,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Cores of each.")] = 1,
    key: Annotated[
        str | None, typer.Option("--api-key", envvar="FACTORY_EMBEDDING_SERVE_KEY", help="That clients must send.")
    ] = None,
) -> None:
    """Serve the embedder as OpenAI's /v1/embeddings, until interrupted."""
    import signal  # noqa: PLC0415
    import threading  # noqa: PLC0415

    from pydantic import SecretStr  # noqa: PLC0415

    from factory.cli.session import load_settings  # noqa: PLC0415

    settings = load_settings()
    if key is None and host not in {"127.0.0.1", "localhost", "::1"}:
        raise BadInputError(
            f"the embedder would be open to everyone who reaches {host}.",
            remedy="Give --api-key, or listen on 127.0.0.1.",
            field="api-key",
        )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with _local_ray(settings):
        from ray import serve as ray_serve  # noqa: PLC0415

        from factory.memory.embedding import EmbedderSpec  # noqa: PLC0415
        from factory.serve.embeddings import embeddings_application  # noqa: PLC0415

        application = embeddings_application(
            EmbedderSpec.of(settings), replicas=replicas, threads=threads, api_key=SecretStr(key) if key else None
        )
        ray_serve.start(http_options=ray_serve.HTTPOptions(host=host, port=port))
        ray_serve.run(application, name="embeddings", route_prefix="/")
        typer.echo(f"http://{host}:{port}/v1")
        stop.wait()
        ray_serve.shutdown()  # type: ignore[no-untyped-call]


async def _index(  # noqa: PLR0917 - what the command was given
    settings: "Settings",
    source: str,
    collection: str,
    defaults: Any,  # noqa: ANN401 - its class is imported by the command
    job: str | None,
    text_column: str,
    workers: int | None,
) -> "Indexed":
    from factory.cli.session import open_database  # noqa: PLC0415
    from factory.memory.corpus import index_corpus  # noqa: PLC0415

    async with open_database(settings) as database:
        with _local_ray(settings), _progress() as told:
            return await index_corpus(
                database,
                settings,
                source,
                collection,
                defaults=defaults,
                job=job,
                text_column=text_column,
                workers=workers,
                progress=told,
            )


async def _search(  # noqa: PLR0917 - what the command was given
    settings: "Settings",
    query: str,
    collection: str | None,
    limit: int,
    mode: Any,  # noqa: ANN401 - its class is imported by the command
    narrowed: dict[str, Any],
    projects: list[str],
    rerank: str | None,
) -> list["Hit"]:
    from factory.cli.session import open_database  # noqa: PLC0415
    from factory.control.projects import get_project  # noqa: PLC0415
    from factory.memory.filters import Filter  # noqa: PLC0415
    from factory.memory.search import Mode  # noqa: PLC0415

    async with open_database(settings) as database:
        if projects:
            async with database.transaction() as connection:
                found = [await get_project(connection, name) for name in projects]
            narrowed["project_ids"] = tuple(str(project.id) for project in found)
        condition = Filter(**narrowed)
        async with _searcher(settings, database, collection, rerank, keywords_only=mode is Mode.KEYWORD) as searcher:
            (hits,) = await searcher.search([query], limit, mode=mode, condition=condition)
    return hits


@asynccontextmanager
async def _searcher(
    settings: "Settings", database: "Database", collection: str | None, rerank: str | None, *, keywords_only: bool
) -> "AsyncIterator[Searcher]":
    from factory.memory.collections import get_collection  # noqa: PLC0415
    from factory.memory.embedding import EmbedderSpec  # noqa: PLC0415
    from factory.memory.local import local_fleet  # noqa: PLC0415
    from factory.memory.rerank import Reranker  # noqa: PLC0415
    from factory.memory.search import Searcher  # noqa: PLC0415

    async with database.transaction() as connection:
        found = await get_collection(connection, collection or settings.memory_collection)
    embedder: Embedder | None = None
    if not keywords_only:
        embedder = await asyncio.to_thread(EmbedderSpec.of(settings).load)
    reranker = await asyncio.to_thread(Reranker, rerank) if rerank else None
    async with local_fleet(database, settings, found) as fleet:
        yield Searcher(fleet, embedder, reranker)


async def _forget(settings: "Settings", project: str, collection: str) -> tuple[str, int, int]:
    from datetime import timedelta  # noqa: PLC0415

    from factory.cli.session import open_database  # noqa: PLC0415
    from factory.control.projects import get_project  # noqa: PLC0415
    from factory.memory import registry  # noqa: PLC0415
    from factory.memory.upkeep import keep_up  # noqa: PLC0415

    async with open_database(settings) as database:
        async with database.transaction() as connection:
            found = await get_project(connection, project)
            chunks = await registry.forget_project(connection, collection, str(found.id))
        done = await keep_up(database, collection, settings.segment_url, everything=True, grace=timedelta())
        return str(found.id), chunks, done.removed


@contextmanager
def _local_ray(settings: "Settings") -> "Iterator[None]":
    import os  # noqa: PLC0415

    import ray  # noqa: PLC0415

    from factory.actors.host import start_ray  # noqa: PLC0415

    # What Ray's core says on standard error is about Ray.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    typer.echo("starting Ray", err=True)
    start_ray(settings)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _progress() -> "Iterator[Any]":
    """Draw how far a job is, on standard error."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    from factory.memory.jobs import JobProgress  # noqa: PLC0415

    columns = (
        TextColumn("embedding"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[chunks]:,} chunks, {task.fields[rate]:,.0f} texts/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("embedding", total=None, chunks=0, rate=0.0)

        def told(progress: JobProgress) -> None:
            shown.update(
                task,
                completed=progress.done,
                total=progress.total,
                chunks=progress.chunks,
                rate=progress.texts_per_second,
            )

        yield told


def _versions(text: str) -> tuple[int | None, int | None]:
    first, dots, last = text.partition("..")
    parts = (first, last if dots else first)
    if not any(parts) or any(part and not part.isdecimal() for part in parts):
        raise BadInputError(f"{text!r} is no range of versions.", remedy="Write 3, 2.., ..4 or 2..4.", field="version")
    low, high = (int(part) if part else None for part in parts)
    return low, high


def _fields(hit: "Hit") -> dict[str, Any]:
    fields = asdict(hit.passage)
    fields["chunk_id"] = hit.passage.chunk_id.hex()
    return {**fields, "score": hit.score, "dense_rank": hit.dense_rank, "keyword_rank": hit.keyword_rank}
