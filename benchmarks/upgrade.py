"""A rolling upgrade, rehearsed: two versions of the factory side by side on one database.

    python benchmarks/upgrade.py                    from the commit before the newest migration to this working tree
    python benchmarks/upgrade.py --from v0.1.0 --each 5 --json

The old version, from a Git worktree, is handed visions and builds; meanwhile the new version migrates the database
under it. Then the new one starts beside the old one: both are handed visions and take one another's work. Then the old
one is told to go and drains, and the new one is handed visions and goes on alone. The run fails, with exit code 1,
where a request is refused, an accepted project is not released, or a delivery is lost, done twice or given up.
"""

import argparse
import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import asyncpg
import httpx
from rich.console import Console

from benchmarks.contest.machine import machine
from benchmarks.scale.projects import outcome, reached
from benchmarks.scale.rehearsal import rehearse, tell
from factory.serve.deployment import free_port
from factory.service import FactoryService
from factory.settings import Settings
from factory.storage.embedded import EmbeddedServer
from factory.storage.migrate import current_revision

ROOT = Path(__file__).resolve().parents[1]
MIGRATIONS = ROOT / "factory" / "storage" / "migrations" / "versions"
VISION = "# Shop {number}\n\nAs a clerk I want to record an order of a customer.\n"
PATIENCE_SECONDS = 900
REQUEST_SECONDS = 60


class Version:
    """One version of the factory, as `factory up` starts it.

    Args:
        code: Where its code is.
        folder: Its data directory.
        shared: Settings that all versions have.

    Attributes:
        url: Where its gateway answers.
    """

    def __init__(self, code: Path, folder: Path, shared: dict[str, str]) -> None:
        port = free_port("127.0.0.1")
        self._environment = {
            **os.environ,
            **shared,
            "PYTHONPATH": str(code),
            "FACTORY_DATA_DIR": str(folder),
            "FACTORY_GATEWAY_PORT": str(port),
            "FACTORY_GATEWAY_GRPC_PORT": "0",
            "FACTORY_MEMORY": "off",
        }
        self._code = code
        self._serves = False
        self.url = f"http://127.0.0.1:{port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def serve(self) -> None:
        """Start it; return when it answers."""
        self.command("up")
        self._serves = True

    def leave(self) -> None:
        """Let the work under way end, and stop; doing it twice does no harm."""
        if self._serves:
            self._serves = False
            self.command("down")

    def command(self, *arguments: str) -> str:
        """Run one of its commands and return what it says."""
        done = subprocess.run(
            [sys.executable, "-m", "factory", *arguments],
            cwd=self._code,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"factory {' '.join(arguments)}: {done.stderr}")
        return done.stdout


async def run(options: argparse.Namespace, folder: Path, console: Console) -> dict[str, Any]:
    """Rehearse, and return what was seen."""
    server = EmbeddedServer(folder / "postgres")
    await asyncio.to_thread(server.attach)
    shared = {
        "FACTORY_DATABASE_URL": server.dsn("postgres"),
        "FACTORY_ARTIFACT_URL": (folder / "blobs").as_uri(),
        "FACTORY_ISSUER_SECRET": secrets.token_hex(32),
        # Both stand behind one name, as behind the load balancer of a cluster: tokens of one count at the other.
        "FACTORY_GATEWAY_URL": "https://factory.example.com",
    }
    # On a cluster it is one volume.
    for name in ("old", "new"):
        (folder / name).mkdir()
    (folder / "new" / "repositories").symlink_to(folder / "old" / "repositories")
    try:
        with worktree(options.revision, folder / "code") as code, Version(code, folder / "old", shared) as old:
            await asyncio.to_thread(old.serve)
            old.command("user", "add", "root", "--role", "admin")
            token = old.command("token", "issue", "--user", "root").strip()
            feed = Feed(token, console)
            before = await _revision(server)
            await feed.hand_in([old.url], options.each)
            new = Version(ROOT, folder / "new", shared)
            # What `factory up` does first; the rest waits until this machine has room for a second Ray.
            await asyncio.to_thread(new.command, "project", "list")
            after = await _revision(server)
            console.print(f"migrated from {before} to {after} under the old version's work")
            settings = Settings(data_dir=folder / "new", database_url=server.dsn("postgres"), memory="off")
            async with await FactoryService.open(settings) as factory:
                await reached(factory, lambda now: now.ended >= options.each, PATIENCE_SECONDS)
            with new:
                await asyncio.to_thread(new.serve)
                console.print("both versions serve")
                await feed.hand_in([old.url, new.url], options.each)
                leaving = asyncio.create_task(asyncio.to_thread(old.leave))
                await feed.hand_in([new.url], options.each)
                await leaving
                console.print("the old version has gone")
                async with await FactoryService.open(settings) as factory:
                    count = len(feed.accepted)
                    now = await reached(factory, lambda now: now.ended >= count, PATIENCE_SECONDS)
                    console.print(f"{now.released} of {count} released")
                    found = await outcome(factory, count)
    finally:
        await asyncio.to_thread(server.detach)
    if feed.refused:
        found["faults"]["requests refused"] = feed.refused
    return {
        "machine": machine(),
        "from": options.revision,
        "migrations": f"{before} to {after}",
        "accepted": len(feed.accepted),
        **found,
    }


class Feed:
    """Hands in one vision after another, and counts what became of them."""

    def __init__(self, token: str, console: Console) -> None:
        self._token = token
        self._console = console
        self.accepted: list[str] = []
        self.refused: list[str] = []

    async def hand_in(self, urls: list[str], count: int) -> None:
        """Hand in so many, to each of the gateways in turn."""
        turns = cycle(urls)
        async with httpx.AsyncClient(timeout=REQUEST_SECONDS) as client:
            for _ in range(count):
                number = len(self.accepted) + len(self.refused)
                try:
                    answer = await client.post(
                        f"{next(turns)}/api/v1/vision/create",
                        json={"vision": VISION.format(number=number)},
                        headers={"Authorization": f"Bearer {self._token}"},
                    )
                    answer.raise_for_status()
                except httpx.HTTPError as error:
                    self.refused.append(str(error))
                else:
                    self.accepted.append(answer.json()["project_id"])
        self._console.print(f"{len(self.accepted)} visions were accepted, {len(self.refused)} refused")


@contextmanager
def worktree(revision: str, folder: Path) -> Iterator[Path]:
    """Give the code of a revision in a folder, for as long as it is needed."""
    git = ("git", "-C", str(ROOT), "worktree")
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), revision], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def before_newest_migration() -> str:
    """Return the revision of the code that does not have the newest migration yet."""
    newest = max(path.name for path in MIGRATIONS.glob("[0-9]*.py"))
    command = ["git", "-C", str(ROOT), "log", "--diff-filter=A", "--format=%H", "-1", "--", f"{MIGRATIONS}/{newest}"]
    return f"{subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()}^"


async def _revision(server: EmbeddedServer) -> str | None:
    connection = await asyncpg.connect(server.dsn("postgres"))
    try:
        return await current_revision(connection)
    finally:
        await connection.close()


def main() -> int:
    """Rehearse and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="revision", help="the old version (default: before the newest migration)")
    parser.add_argument("--each", type=int, default=2, help="visions in each of the three parts")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    options.revision = options.revision or before_newest_migration()
    found = rehearse(lambda folder: run(options, folder, Console(stderr=True)))
    tell(found, as_json=options.json)
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
