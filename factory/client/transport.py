"""Requests to a gateway: tokens that renew themselves, retries that double nothing, streams that go on."""

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from factory.client.errors import ConnectionLostError, FactoryApiError, TooManyRequestsError, UnavailableError, error_of
from factory.domain.errors import BadInputError

_ATTEMPTS = 8
_FIRST_DELAY_SECONDS = 0.2
_LONGEST_DELAY_SECONDS = 10.0
# A server says that it is still there every 15 seconds.
_SILENCE_SECONDS = 45.0
_RENEW_BEFORE_SECONDS = 60.0

Token = str | Callable[[], str | Awaitable[str]]


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A service's own identity (RFC 6749, section 4.4): tokens are fetched with it, and again before they end."""

    client_id: str
    client_secret: str
    scope: str = ""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One server-sent event."""

    event: str
    data: str
    id: str


class Transport:
    """Sends requests.

    A request that changes something carries an `Idempotency-Key`, and is sent again with the same key where it is not
    known whether it arrived.

    Args:
        url: Of the gateway; else FACTORY_URL, else that of the factory that runs on this machine.
        token: Or what gives one when it is asked; else FACTORY_TOKEN.
        timeout: Seconds to wait for an answer.

    Raises:
        BadInputError: It is not known where the gateway is.
    """

    def __init__(self, url: str | None, token: Token | ClientCredentials | None, timeout: float) -> None:
        found = url or os.environ.get("FACTORY_URL") or _running_url()
        if not found:
            raise BadInputError(
                "it is not known where the factory is.",
                remedy="Give its URL, set FACTORY_URL, or start one here: factory up.",
                field="url",
            )
        self.url = found.rstrip("/")
        self._token = token if token is not None else os.environ.get("FACTORY_TOKEN")
        self._client = httpx.AsyncClient(base_url=self.url, timeout=timeout, follow_redirects=False)
        self._renewed: tuple[str, float] | None = None
        self._renewing = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def get(self, path: str, **query: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Return what a GET answers."""
        return (await self.send("GET", path, query=query)).json()

    async def post(self, path: str, body: Any, *, key: str | None = None) -> Any:  # noqa: ANN401 - any JSON value
        """Return what a POST answers.

        Args:
            path: Of the resource.
            body: As JSON.
            key: What makes the request recognisable; made up where it is None.
        """
        headers = {"Idempotency-Key": key or str(uuid4())}
        return (await self.send("POST", path, body=body, headers=headers)).json()

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,  # noqa: ANN401 - any JSON value
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Return an answer that is a success.

        Raises:
            FactoryApiError: It is none.
            ConnectionLostError: The gateway cannot be reached.
        """
        given = {name: value for name, value in (query or {}).items() if value is not None}
        delay = _FIRST_DELAY_SECONDS
        for attempt in range(_ATTEMPTS):
            last = attempt + 1 == _ATTEMPTS
            try:
                response = await self._client.request(
                    method, path, params=given, json=body, headers={**await self._authorization(), **(headers or {})}
                )
            except httpx.HTTPError as error:
                if last:
                    raise ConnectionLostError(
                        f"{self.url} cannot be reached: {type(error).__name__}.", remedy="Is the factory up?"
                    ) from error
            else:
                if response.is_success or response.status_code == httpx.codes.NOT_MODIFIED:
                    return response
                problem = _problem(response)
                if last or not _passes(problem):
                    raise problem
                delay = max(delay, problem.retry_after or 0)
            await asyncio.sleep(min(delay, _LONGEST_DELAY_SECONDS))
            delay *= 2
        raise ConnectionLostError(f"{self.url} cannot be reached.")

    async def stream(self, path: str, after: str | None) -> AsyncGenerator[StreamEvent, None]:
        """Yield server-sent events for ever, going on where a connection broke off; the reader decides when to stop.

        Raises:
            FactoryApiError: The gateway refuses.
            ConnectionLostError: It cannot be reached for a while.
        """
        failures = 0
        place = after
        while True:
            headers = {**await self._authorization(), "Accept": "text/event-stream"}
            if place is not None:
                headers["Last-Event-ID"] = place
            timeout = httpx.Timeout(self._client.timeout.connect, read=_SILENCE_SECONDS)
            try:
                async with self._client.stream("GET", path, headers=headers, timeout=timeout) as response:
                    if not response.is_success:
                        await response.aread()
                        raise _problem(response)
                    async for event in _events(response):
                        failures = 0
                        place = event.id or place
                        yield event
            except httpx.HTTPError as error:
                if failures >= _ATTEMPTS:
                    raise ConnectionLostError(f"{self.url} cannot be reached: {type(error).__name__}.") from error
            except FactoryApiError as error:
                if failures >= _ATTEMPTS or not _passes(error):
                    raise
            await asyncio.sleep(min(_FIRST_DELAY_SECONDS * 2**failures, _LONGEST_DELAY_SECONDS))
            failures += 1

    async def _authorization(self) -> dict[str, str]:
        token = self._token
        if token is None:
            return {}
        if isinstance(token, ClientCredentials):
            return {"Authorization": f"Bearer {await self._renew(token)}"}
        if callable(token):
            given = token()
            token = await given if isinstance(given, Awaitable) else given
        return {"Authorization": f"Bearer {token}"}

    async def _renew(self, credentials: ClientCredentials) -> str:
        async with self._renewing:
            if self._renewed is None or time.monotonic() > self._renewed[1]:
                form = {"grant_type": "client_credentials", "scope": credentials.scope}
                response = await self._client.post(
                    "/oauth/token", data=form, auth=(credentials.client_id, credentials.client_secret)
                )
                if not response.is_success:
                    raise _problem(response)
                answer = response.json()
                life = float(answer["expires_in"])
                self._renewed = (answer["access_token"], time.monotonic() + max(1.0, life - _RENEW_BEFORE_SECONDS))
            return self._renewed[0]


async def _events(response: httpx.Response) -> AsyncGenerator[StreamEvent, None]:
    """Read the format of the HTML standard, section 9.2.6."""
    fields: dict[str, list[str]] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
            continue
        if "data" in fields:
            event = fields.get("event", ["message"])[-1]
            yield StreamEvent(event, "\n".join(fields["data"]), fields.get("id", [""])[-1])
        fields = {}


def _problem(response: httpx.Response) -> FactoryApiError:
    try:
        body = response.json()
    except ValueError:
        body = None
    return error_of(response.status_code, body, response.headers)


def _passes(error: FactoryApiError) -> bool:
    """Tell whether the same request may succeed in a moment. Every request that changes something has a key."""
    at_work = error.status == httpx.codes.CONFLICT and error.retry_after is not None
    # An answer of the proxy, whose replica died over the request: the gateway's own carry a problem.
    died = error.status == httpx.codes.INTERNAL_SERVER_ERROR and not error.problem
    return at_work or died or isinstance(error, UnavailableError | TooManyRequestsError)


def _running_url() -> str | None:
    """Return where the factory of this machine is, as `factory up` left it."""
    base = os.environ.get("FACTORY_DATA_DIR")
    folder = Path(base) if base else Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "factory"
    try:
        state = json.loads((folder.expanduser() / "run" / "factory.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    url = state.get("gateway") if isinstance(state, dict) else None
    return url if isinstance(url, str) else None
