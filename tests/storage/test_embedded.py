import asyncio
import os
import signal
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

import asyncpg
import psutil
import pytest

from factory.domain.errors import TerminalError
from factory.settings import Settings
from factory.storage.database import Connection, Database, is_connection_lost
from factory.storage.embedded import DatabaseUnavailableError, EmbeddedServer

USER = Path(__file__).with_name("user.py")


def own_settings(folder: Path) -> Settings:
    return Settings(data_dir=folder, database_url=None, database_connect_timeout=timedelta(seconds=60))


def server_of(folder: Path) -> EmbeddedServer:
    return EmbeddedServer(folder / "postgres")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


async def start_user(folder: Path) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if name != "FACTORY_DATABASE_URL"}
    return await asyncio.create_subprocess_exec(
        sys.executable, str(USER), str(folder), env=environment,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def first_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def test_processes_that_start_together_share_one_migrated_server_and_the_last_one_stops_it(
    tmp_path: Path,
) -> None:
    users = [await start_user(tmp_path) for _ in range(4)]
    lines = await asyncio.gather(*(first_line(user) for user in users))
    assert len(set(lines)) == 1
    assert lines[0].startswith("1 ")
    server = server_of(tmp_path)
    pid = server.postmaster_pid()

    kill(users[0].pid)
    for user in users[1:-1]:
        await user.communicate(b"\n")
    await users[0].wait()
    assert server.postmaster_pid() == pid
    await users[-1].communicate(b"\n")
    assert server.postmaster_pid() is None


async def test_a_killed_server_comes_back_with_what_was_committed(tmp_path: Path) -> None:
    server = server_of(tmp_path)
    async with await Database.open(own_settings(tmp_path)) as one, await Database.open(own_settings(tmp_path)) as two:
        await one.run(lambda connection: connection.execute("CREATE TABLE kept (n int PRIMARY KEY)"))
        for number in range(3):
            # The session that the server before left behind may break only now.
            await one.run(partial(_keep, number=number))
            # A session may outlive its server for a moment, and commit.
            while (pid := server.postmaster_pid()) is None:
                await one.run(_count_kept)
            kill(pid)
            counts = await asyncio.gather(*(database.run(_count_kept) for database in (one, two, two)))
            assert counts == [number + 1] * 3


async def _keep(connection: Connection, *, number: int) -> None:
    await connection.execute("INSERT INTO kept VALUES ($1) ON CONFLICT DO NOTHING", number)


async def _count_kept(connection: Connection) -> int:
    count: int = await connection.fetchval("SELECT count(*) FROM kept")
    return count


async def test_a_transaction_under_way_when_the_server_dies_fails_as_lost(tmp_path: Path) -> None:
    server = server_of(tmp_path)
    async with await Database.open(own_settings(tmp_path)) as database:
        with pytest.raises(Exception) as caught:  # noqa: PT011, PT012 - the kind is asserted below
            async with database.transaction() as connection:
                await connection.execute("CREATE TABLE gone (n int)")
                pid = server.postmaster_pid()
                assert pid is not None
                kill(pid)
                await connection.execute("SELECT pg_sleep(60)")
        assert is_connection_lost(caught.value)
        assert await database.run(lambda c: c.fetchval("SELECT to_regclass('gone')")) is None


def test_a_pid_file_that_names_a_stranger_does_not_stop_the_start(tmp_path: Path) -> None:
    server = server_of(tmp_path)
    server.attach()
    server.detach()
    (tmp_path / "postgres/data/postmaster.pid").write_text(f"{os.getpid()}\n/somewhere\n1\n5432\n/tmp\n\n1 1\nready\n")
    assert server.postmaster_pid() is None
    server.attach()
    assert server.postmaster_pid() not in {None, os.getpid()}
    server.detach()


def test_a_half_made_cluster_is_made_anew(tmp_path: Path) -> None:
    half = tmp_path / "postgres/data.new/base"
    half.mkdir(parents=True)
    server = server_of(tmp_path)
    server.attach()
    assert server.postmaster_pid() is not None
    server.detach()


def test_a_path_too_long_for_a_socket_is_worked_around(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 25)
    server = server_of(folder)
    server.attach()
    try:
        assert asyncio.run(_answers(server.dsn("postgres")))
        assert len(server.dsn("postgres")) < 100
    finally:
        server.detach()


async def _answers(dsn: str) -> bool:
    connection = await asyncpg.connect(dsn)
    try:
        return bool(await connection.fetchval("SELECT true"))
    finally:
        await connection.close()


def test_the_server_waits_for_the_disk_and_listens_to_nobody_outside(tmp_path: Path) -> None:
    server = server_of(tmp_path)
    server.attach()
    try:
        pid = server.postmaster_pid()
        assert pid is not None
        listening = [c for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert listening == []
        configuration = (tmp_path / "postgres/data/factory.conf").read_text()
        assert "fsync = 'on'" in configuration
        assert (tmp_path / "postgres/data").stat().st_mode & 0o077 == 0
    finally:
        server.detach()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "postgres", {"shared_buffers": "many"})
    with pytest.raises(DatabaseUnavailableError, match="shared_buffers"):
        server.attach()
    server.detach()


def test_data_of_another_version_are_left_alone(tmp_path: Path) -> None:
    server = server_of(tmp_path)
    server.attach()
    server.detach()
    (tmp_path / "postgres/data/PG_VERSION").write_text("9.6\n")
    with pytest.raises(TerminalError, match=r"9\.6"):
        server.attach()
    server.detach()
