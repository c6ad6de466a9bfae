"""The asynchronous client."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path, PurePosixPath
from typing import Any, Self
from uuid import UUID, uuid4

from factory.client.errors import RunFailedError
from factory.client.models import Answers, Artifact, Event, Hit, Project, Status
from factory.client.transport import ClientCredentials, Token, Transport
from factory.domain.errors import BadInputError

_API = "/api/v1"
_ENDED = "project-ended"


class AsyncFactory:
    """A factory behind its gateway.

    Args:
        url: Of the gateway; else FACTORY_URL, else that of the factory that runs on this machine.
        token: An access token, a function that gives one, or the credentials of a service; else FACTORY_TOKEN.
        timeout: Seconds to wait for an answer.

    Raises:
        BadInputError: It is not known where the factory is.
    """

    def __init__(
        self, url: str | None = None, token: Token | ClientCredentials | None = None, *, timeout: float = 30.0
    ) -> None:
        self._transport = Transport(url, token, timeout)

    @property
    def url(self) -> str:
        """Of the gateway."""
        return self._transport.url

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def create(
        self,
        vision: str | Path,
        *,
        name: str | None = None,
        blueprint: str | None = None,
        stakeholders: Sequence[str] = (),
        goals: Sequence[str] = (),
        risk: str = "normal",
        priority: int = 0,
        key: str | None = None,
    ) -> "AsyncRun":
        """Hand in a vision, and return the run that begins.

        Args:
            vision: Its text, or the path of its file.
            name: Of the product, where the vision does not say it.
            blueprint: The workflow to follow.
            stakeholders: For people.
            goals: For people.
            risk: How bad a failure would be.
            priority: For people.
            key: The same key begins the same run once, however often it is sent; made up where it is None.

        Raises:
            InvalidRequestError: Nothing can be built from the text.
        """
        body: dict[str, Any] = {
            "vision": await asyncio.to_thread(_text, vision),
            "stakeholders": list(stakeholders),
            "goals": list(goals),
            "risk": risk,
            "priority": priority,
        }
        body |= {name_: value for name_, value in (("name", name), ("blueprint", blueprint)) if value is not None}
        created = await self._transport.post(f"{_API}/vision/create", body, key=key or str(uuid4()))
        return AsyncRun(self, UUID(created["project_id"]))

    async def run(self, project_id: UUID | str) -> "AsyncRun":
        """Return the run of a project that exists.

        Raises:
            NotFoundError: There is none, or none that the caller may see.
        """
        project = Project.model_validate(await self._transport.get(f"{_API}/project/{project_id}"))
        return AsyncRun(self, project.id)

    async def projects(self, *, status: str | None = None, limit: int | None = None) -> Answers:
        """Return the projects that the caller may see, the newest first; `limit` of them at most."""
        found = await self._pages(f"{_API}/projects", limit, status=status)
        return Answers(Project.model_validate(one) for one in found)

    async def counts(self) -> dict[str, int]:
        """Return how many projects are in each state."""
        answer = await self._transport.get(f"{_API}/projects/counts")
        counts: dict[str, int] = answer["by_status"]
        return counts

    async def artifact(self, artifact_id: UUID | str) -> Artifact:
        """Return an artifact's metadata."""
        answer = await self._transport.get(f"{_API}/artifact/{artifact_id}")
        return Artifact.model_validate(answer["artifact"])

    async def files(self, artifact_id: UUID | str) -> dict[str, str]:
        """Return an artifact's files: texts by path."""
        answer = await self._transport.get(f"{_API}/artifact/{artifact_id}/retrieve")
        files: dict[str, str] = answer["files"]
        return files

    async def search(self, query: str, **filters: Any) -> Answers:  # noqa: ANN401 - fields of the request
        """Search semantic memory; filters as in `/openapi.json`: `mode`, `limit`, `kinds`, `project_ids`."""
        answer = await self._transport.post(f"{_API}/memory/search", {"query": query, **filters})
        return Answers(Hit.model_validate(one) for one in answer["hits"])

    async def escalations(self, *, state: str | None = "open", limit: int | None = None) -> Answers:
        """Return what people are asked, the newest first."""
        return Answers(await self._pages(f"{_API}/escalations", limit, state=state))

    async def decide(self, escalation_id: UUID | str, answer: str, note: str) -> dict[str, Any]:
        """Answer an escalation: `approve`, `reject` or `retry`, with the reason."""
        body = {"answer": answer, "note": note}
        return dict(await self._transport.post(f"{_API}/escalation/{escalation_id}/decide", body))

    async def dead_letters(self, *, state: str = "open", limit: int | None = None) -> Answers:
        """Return dead letters, the newest first."""
        return Answers(await self._pages(f"{_API}/dead-letters", limit, state=state))

    async def dead_letter(self, uid: int) -> dict[str, Any]:
        """Return everything about a dead letter."""
        return dict(await self._transport.get(f"{_API}/dead-letter/{uid}"))

    async def replay_dead_letter(
        self, uid: int, reason: str, payload: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Deliver a dead letter again, with another payload where one is given."""
        body = {"reason": reason, "payload": dict(payload) if payload is not None else None}
        return dict(await self._transport.post(f"{_API}/dead-letter/{uid}/replay", body))

    async def discard_dead_letter(self, uid: int, reason: str) -> dict[str, Any]:
        """Close a dead letter without delivering it."""
        return dict(await self._transport.post(f"{_API}/dead-letter/{uid}/discard", {"reason": reason}))

    async def usage(self, *, by: str = "agent", project_id: UUID | str | None = None) -> Answers:
        """Return what was used, summed by `agent`, `project` or `event-type`."""
        answer = await self._transport.get(f"{_API}/usage", by=by, project_id=project_id)
        return Answers(answer["items"])

    async def agents(self) -> Answers:
        """Return the agents."""
        return Answers((await self._transport.get(f"{_API}/agents"))["items"])

    async def task_status(self, agent: str, *, status: str | None = None, limit: int | None = None) -> Answers:
        """Return an agent's tasks, the latest first."""
        return Answers(await self._pages(f"{_API}/agent/{agent}/task-status", limit, status=status))

    async def notify(self, channel: str, subject: str, text: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        """Ask for a notification; `severity` and `project_id` may be given."""
        body = {"channel": channel, "subject": subject, "text": text, **more}
        return dict(await self._transport.post(f"{_API}/notification/send", body))

    async def graphql(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return what a GraphQL query answers, errors included."""
        return dict(await self._transport.post(f"{_API}/graphql", {"query": query, "variables": variables or {}}))

    async def me(self) -> dict[str, Any]:
        """Return who the caller is."""
        return dict(await self._transport.get(f"{_API}/me"))

    async def _pages(self, path: str, limit: int | None, **query: Any) -> list[Any]:  # noqa: ANN401 - of the query
        found: list[Any] = []
        cursor: str | None = None
        while limit is None or len(found) < limit:
            size = min(200, limit - len(found)) if limit is not None else 200
            page = await self._transport.get(path, limit=size, cursor=cursor, **query)
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
        return found


def _text(vision: str | Path) -> str:
    return vision.read_text(encoding="utf-8") if isinstance(vision, Path) else vision


class AsyncRun:
    """One project on its way from a vision to a repository.

    Attributes:
        id: Of the project.
    """

    def __init__(self, factory: AsyncFactory, project_id: UUID) -> None:
        self._factory = factory
        self._transport = factory._transport  # noqa: SLF001 - of one package
        self.id = project_id

    async def status(self) -> Status:
        """Return how far it is."""
        return Status.model_validate(await self._transport.get(f"{_API}/project/{self.id}/status"))

    async def events(self, after: str | None = None) -> AsyncGenerator[Event, None]:
        """Yield events as they happen, from the first or after a place, until the project has ended.

        A connection that breaks is taken up again where it was.
        """
        path = f"{_API}/project/{self.id}/events/stream"
        async with aclosing(self._transport.stream(path, after)) as stream:
            async for one in stream:
                if one.event == _ENDED:
                    return
                yield Event.model_validate({**json.loads(one.data), "place": one.id})

    async def result(self) -> Status:
        """Wait until the project has ended, and return how.

        Raises:
            RunFailedError: It was not released.
        """
        async with aclosing(self.events()) as events:
            async for _ in events:
                pass
        status = await self.status()
        if status.project.status != "released":
            raise RunFailedError(status.project.status, status.failure or "no reason was given")
        return status

    async def artifacts(self, *, kind: str | None = None) -> Answers:
        """Return every version of its artifacts, in the order they were made."""
        found = await self._factory._pages(f"{_API}/project/{self.id}/artifacts", None, kind=kind)  # noqa: SLF001
        return Answers(Artifact.model_validate(one) for one in found)

    async def files(self, kind: str) -> dict[str, str]:
        """Return the files of the latest version of a kind: texts by path.

        Raises:
            BadInputError: There is no artifact of this kind.
        """
        found = await self.artifacts(kind=kind)
        if not found:
            raise BadInputError(f"the project has no artifact {kind!r}.", remedy="See artifacts().", field="kind")
        return await self._factory.files(found[-1].id)

    async def save(self, kind: str, folder: Path) -> list[Path]:
        """Write the files of the latest version of a kind into a folder, and return their paths.

        Raises:
            BadInputError: There is no artifact of this kind, or a path in it leads out of the folder.
        """
        written = []
        for path, text in (await self.files(kind)).items():
            parts = PurePosixPath(path).parts
            if not parts or ".." in parts or path.startswith("/"):
                raise BadInputError(f"{path!r} leads out of the folder.", field="path")
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            written.append(target)
        return written

    async def lineage(self) -> dict[str, Any]:
        """Return the graph of everything the project was made of."""
        return dict(await self._transport.get(f"{_API}/project/{self.id}/lineage"))

    async def compensate(self, reason: str, from_step: str | None = None) -> None:
        """Undo what the project has done, or a step and what builds on it."""
        body = {"reason": reason, "from_step": from_step}
        await self._transport.post(f"{_API}/project/{self.id}/compensate", body)

    async def replay(self) -> "AsyncRun":
        """Run the whole flow again in a sandbox, and return that run."""
        sandbox = await self._transport.post(f"{_API}/project/{self.id}/replay", None)
        return AsyncRun(self._factory, UUID(sandbox["id"]))
