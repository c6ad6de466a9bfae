"""The database as the factory uses it: a pool that survives the server's death, and transactions."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Self, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from asyncpg.transaction import Transaction

from factory.domain.errors import RetryableError
from factory.settings import Settings
from factory.storage.embedded import DatabaseUnavailableError, EmbeddedServer
from factory.storage.migrate import migrate

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
T = TypeVar("T")

EMBEDDED_NAME = "factory"
_CONNECT_SECONDS = 10
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    # What asyncpg raises when a connection dies between two of its own steps.
    asyncpg.InternalClientError,
    ConnectionError,
)
# Everything that asyncpg raises.
CLIENT_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
# The statistics of a queue are always wrong, and a plan made while it was empty must not scan it when it is full.
_HOT = {"enable_seqscan": "off", "enable_bitmapscan": "off", "plan_cache_mode": "force_generic_plan"}
_CONTENTION = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)


class CommitUnknownError(RetryableError):
    """The connection broke during COMMIT: the transaction may or may not have happened."""


def is_connection_lost(error: BaseException) -> bool:
    """Tell whether an error means that the server or the connection to it has gone away."""
    if isinstance(error, asyncpg.InterfaceError):
        # The pool takes a dead connection back from whoever still uses it.
        return any(word in str(error) for word in ("closed", "terminated", "released back to the pool"))
    return isinstance(error, (*_LOST, CommitUnknownError, DatabaseUnavailableError))


def is_contention(error: BaseException) -> bool:
    """Tell whether a transaction failed only because of another one, and may simply be run again."""
    return isinstance(error, _CONTENTION)


def is_passing(error: BaseException) -> bool:
    """Tell whether a transaction failed for a reason that passes by itself, so that running it again is right."""
    return is_connection_lost(error) or is_contention(error)


class Database:
    """A pool of connections. `jsonb` values are Python objects in both directions.

    A server that vanished is waited for, and restarted where it is the embedded one, whenever a transaction begins;
    a transaction under way fails with an error for which `is_connection_lost` holds. Open it in the event loop that
    uses it.
    """

    def __init__(self, settings: Settings, server: EmbeddedServer | None, dsn: str) -> None:
        self._settings = settings
        self._server = server
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._hot_pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._after_commit: dict[int, list[Callable[[], None]]] = {}
        self._background: set[asyncio.Task[None]] = set()
        self.dsn = dsn

    @classmethod
    async def open(cls, settings: Settings, *, name: str = EMBEDDED_NAME) -> Self:
        """Start or find the server, bring the schema up to date, and open the pool.

        Args:
            settings: `database_url` decides between an external server and the embedded one.
            name: The database on the embedded server, made if missing.

        Raises:
            DatabaseUnavailableError: No server answered within `database_connect_timeout`.
        """
        if settings.database_url is not None:
            server, dsn = None, settings.database_url
        else:
            server = EmbeddedServer(settings.data_dir / "postgres", settings.database_options)
            await asyncio.to_thread(server.attach)
            dsn = server.dsn(name)
        database = cls(settings, server, dsn)
        try:
            await database._patiently(lambda: database._prepare(name))
        except BaseException:
            await database.close()
            raise
        return database

    @property
    def settings(self) -> Settings:
        """The settings it was opened with."""
        return self._settings

    async def close(self) -> None:
        """Close the connections and leave the server; the last user of an embedded one stops it."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        pools = [pool for pool in (self._pool, self._hot_pool) if pool is not None]
        self._pool = self._hot_pool = None
        for pool in pools:
            try:
                await asyncio.wait_for(pool.close(), timeout=10)
            except CLIENT_ERRORS:
                pool.terminate()
        if self._server is not None:
            await asyncio.to_thread(self._server.detach)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def transaction(self, *, hot: bool = False) -> AsyncIterator[Connection]:
        """Run a block in one READ COMMITTED transaction.

        Args:
            hot: On a connection that plans each statement once and always by its indexes: for the few statements of
                the event core, which are run all the time and whose tables no statistics describe in time.

        Raises:
            CommitUnknownError: The connection broke during COMMIT.
            DatabaseUnavailableError: The server did not come back within `database_connect_timeout`.
        """
        pool = self._open_pool(hot=hot)
        connection, transaction = await self._patiently(lambda: self._begin(pool))
        hooks = self._after_commit[id(connection)] = []
        try:
            try:
                yield connection
            except BaseException as error:
                if is_connection_lost(error):
                    with suppress(asyncpg.InterfaceError):
                        connection.terminate()
                with suppress(*CLIENT_ERRORS):
                    await transaction.rollback()
                raise
            await _commit(transaction)
            for hook in hooks:
                hook()
        finally:
            self._after_commit.pop(id(connection), None)
            with suppress(*CLIENT_ERRORS):
                await pool.release(connection)

    @asynccontextmanager
    async def session(self, *, hot: bool = False) -> AsyncIterator[Connection]:
        """Lend a connection outside any transaction: each statement is one of its own, and commits at once.

        Args:
            hot: As for `transaction`.

        Raises:
            DatabaseUnavailableError: The server did not come back within `database_connect_timeout`.
        """
        pool = self._open_pool(hot=hot)
        connection = await self._patiently(pool.acquire)
        try:
            yield connection
        except BaseException as error:
            if is_connection_lost(error):
                with suppress(asyncpg.InterfaceError):
                    connection.terminate()
            raise
        finally:
            with suppress(*CLIENT_ERRORS):
                await pool.release(connection)

    async def fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:  # noqa: ANN401 - whatever SQL takes
        """Run one statement that only reads, on its own; again if the connection breaks."""

        async def attempt() -> list[asyncpg.Record]:
            async with self._open_pool().acquire() as connection:
                return await connection.fetch(query, *arguments)

        return await self._patiently(attempt)

    def after_commit(self, connection: Connection, hook: Callable[[], None]) -> None:
        """Call a hook, once however often it is given, if the connection's present transaction commits.

        Without effect for a connection that is not in a `transaction` of this database.
        """
        hooks = self._after_commit.get(id(connection))
        if hooks is not None and hook not in hooks:
            hooks.append(hook)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the caller, until it ends or the database is closed."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run work in a transaction, again if the connection breaks or another transaction is in the way.

        The work must be repeatable: after a COMMIT of unknown outcome it runs once more.
        """
        deadline = self._deadline()
        delay = 0.01
        while True:
            try:
                async with self.transaction() as connection:
                    return await work(connection)
            except Exception as error:
                if not is_passing(error) or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(delay)
            delay = min(delay * 2, 1.0)

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        """Open a connection outside the pool (to LISTEN on); the caller closes it."""
        return await self._patiently(self._connect)

    def _open_pool(self, *, hot: bool = False) -> "asyncpg.Pool[asyncpg.Record]":
        pool = self._hot_pool if hot else self._pool
        if pool is None:
            raise DatabaseUnavailableError("the database is closed.", remedy="Open it with Database.open.")
        return pool

    async def _prepare(self, name: str) -> None:
        if self._server is not None:
            await _ensure_database(self._server.dsn("postgres"), name)
        await migrate(self.dsn)
        self._pool = await self._create_pool({})
        self._hot_pool = await self._create_pool(_HOT)

    async def _create_pool(self, more_settings: Mapping[str, str]) -> "asyncpg.Pool[asyncpg.Record]":
        return await asyncpg.create_pool(
            self.dsn,
            min_size=0,
            max_size=self._settings.database_pool_size,
            max_inactive_connection_lifetime=300,
            timeout=_CONNECT_SECONDS,
            server_settings={**self._server_settings(), **more_settings},
            init=_init_connection,
            reset=_leave_as_it_is,
        )

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        connection = await asyncpg.connect(self.dsn, timeout=_CONNECT_SECONDS, server_settings=self._server_settings())
        await _init_connection(connection)
        return connection

    def _server_settings(self) -> dict[str, str]:
        return {
            "application_name": "factory",
            "timezone": "UTC",
            "jit": "off",
            "statement_timeout": _milliseconds(self._settings.database_statement_timeout),
            "idle_in_transaction_session_timeout": _milliseconds(self._settings.database_idle_timeout),
        }

    async def _begin(
        self, pool: "asyncpg.Pool[asyncpg.Record]"
    ) -> tuple["PoolConnectionProxy[asyncpg.Record]", Transaction]:
        connection = await pool.acquire()
        transaction = connection.transaction()
        try:
            await transaction.start()
        except BaseException:
            with suppress(*CLIENT_ERRORS):
                connection.terminate()
                await pool.release(connection)
            raise
        return connection, transaction

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat an attempt that changes nothing when it fails, until the server is there."""
        deadline = self._deadline()
        delay = 0.02
        while True:
            try:
                return await attempt()
            except (*CLIENT_ERRORS, DatabaseUnavailableError) as error:
                if not _may_come_back(error):
                    raise
                if self._pool is None and isinstance(error, DatabaseUnavailableError):
                    raise
                if time.monotonic() > deadline:
                    raise DatabaseUnavailableError(
                        f"the database does not answer: {error}", remedy="See `factory doctor`."
                    ) from error
            if self._server is not None:
                await asyncio.to_thread(self._server.ensure_running)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 1.0)

    def _deadline(self) -> float:
        return time.monotonic() + self._settings.database_connect_timeout.total_seconds()


async def _commit(transaction: Transaction) -> None:
    try:
        await transaction.commit()
    except CLIENT_ERRORS as error:
        if not is_connection_lost(error):
            raise
        raise CommitUnknownError(
            f"the connection broke during COMMIT: {error}", remedy="Look whether its effects are there."
        ) from error


# Made once: `json.dumps` makes one for every call with options.
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


async def _init_connection(connection: Connection) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=_encode, decoder=json.loads)


async def _leave_as_it_is(_: Connection) -> None:
    """Spare the round trip that would undo session state: nothing here makes any outside a transaction."""


def _encode(value: object) -> str:
    return _JSON.encode(value)


async def _ensure_database(dsn: str, name: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS)
    try:
        if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name) is None:
            # Another process may make it between the question and the answer, which shows in two ways.
            with suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
                await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()


def _may_come_back(error: BaseException) -> bool:
    return is_connection_lost(error) or isinstance(error, (OSError, asyncpg.TooManyConnectionsError))


def _milliseconds(duration: timedelta) -> str:
    return str(int(duration.total_seconds() * 1000))
