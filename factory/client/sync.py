"""The client for scripts and notebooks: the asynchronous one, in a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import UUID

from factory.client.aio import AsyncFactory, AsyncRun
from factory.client.models import Answers, Artifact, Event, Status
from factory.client.transport import ClientCredentials, Token

T = TypeVar("T")


class _Loop:
    """An event loop in a thread: it works beside the loop that a notebook already runs."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="factory-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Factory:
    """A factory behind its gateway; every method does what that of `AsyncFactory` does.

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
        self._factory = AsyncFactory(url, token, timeout=timeout)
        self._loop = _Loop()

    @property
    def url(self) -> str:
        """Of the gateway."""
        return self._factory.url

    def close(self) -> None:
        """Close the connections."""
        self._loop.run(self._factory.close())
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _repr_html_(self) -> str:
        counts = self.counts()
        shown = ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "no projects yet"
        return f"<p><b>Factory</b> at {self.url}: {shown}</p>"

    def create(
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
    ) -> "Run":
        """Hand in a vision, and return the run that begins."""
        work = self._factory.create(
            vision,
            name=name,
            blueprint=blueprint,
            stakeholders=stakeholders,
            goals=goals,
            risk=risk,
            priority=priority,
            key=key,
        )
        return Run(self._loop, self._loop.run(work))

    def run(self, project_id: UUID | str) -> "Run":
        """Return the run of a project that exists."""
        return Run(self._loop, self._loop.run(self._factory.run(project_id)))

    def projects(self, *, status: str | None = None, limit: int | None = None) -> Answers:
        """Return the projects that the caller may see, the newest first."""
        return self._loop.run(self._factory.projects(status=status, limit=limit))

    def counts(self) -> dict[str, int]:
        """Return how many projects are in each state."""
        return self._loop.run(self._factory.counts())

    def artifact(self, artifact_id: UUID | str) -> Artifact:
        """Return an artifact's metadata."""
        return self._loop.run(self._factory.artifact(artifact_id))

    def files(self, artifact_id: UUID | str) -> dict[str, str]:
        """Return an artifact's files: texts by path."""
        return self._loop.run(self._factory.files(artifact_id))

    def search(self, query: str, **filters: Any) -> Answers:  # noqa: ANN401 - fields of the request
        """Search semantic memory."""
        return self._loop.run(self._factory.search(query, **filters))

    def escalations(self, *, state: str | None = "open", limit: int | None = None) -> Answers:
        """Return what people are asked, the newest first."""
        return self._loop.run(self._factory.escalations(state=state, limit=limit))

    def decide(self, escalation_id: UUID | str, answer: str, note: str) -> dict[str, Any]:
        """Answer an escalation: `approve`, `reject` or `retry`, with the reason."""
        return self._loop.run(self._factory.decide(escalation_id, answer, note))

    def dead_letters(self, *, state: str = "open", limit: int | None = None) -> Answers:
        """Return dead letters, the newest first."""
        return self._loop.run(self._factory.dead_letters(state=state, limit=limit))

    def dead_letter(self, uid: int) -> dict[str, Any]:
        """Return everything about a dead letter."""
        return self._loop.run(self._factory.dead_letter(uid))

    def replay_dead_letter(self, uid: int, reason: str, payload: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Deliver a dead letter again, with another payload where one is given."""
        return self._loop.run(self._factory.replay_dead_letter(uid, reason, payload))

    def discard_dead_letter(self, uid: int, reason: str) -> dict[str, Any]:
        """Close a dead letter without delivering it."""
        return self._loop.run(self._factory.discard_dead_letter(uid, reason))

    def usage(self, *, by: str = "agent", project_id: UUID | str | None = None) -> Answers:
        """Return what was used, summed by `agent`, `project` or `event-type`."""
        return self._loop.run(self._factory.usage(by=by, project_id=project_id))

    def agents(self) -> Answers:
        """Return the agents."""
        return self._loop.run(self._factory.agents())

    def task_status(self, agent: str, *, status: str | None = None, limit: int | None = None) -> Answers:
        """Return an agent's tasks, the latest first."""
        return self._loop.run(self._factory.task_status(agent, status=status, limit=limit))

    def notify(self, channel: str, subject: str, text: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        """Ask for a notification; `severity` and `project_id` may be given."""
        return self._loop.run(self._factory.notify(channel, subject, text, **more))

    def graphql(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return what a GraphQL query answers, errors included."""
        return self._loop.run(self._factory.graphql(query, variables))

    def me(self) -> dict[str, Any]:
        """Return who the caller is."""
        return self._loop.run(self._factory.me())


class Run:
    """One project on its way from a vision to a repository."""

    def __init__(self, loop: _Loop, run: AsyncRun) -> None:
        self._loop = loop
        self._run = run

    @property
    def id(self) -> UUID:
        """Of the project."""
        return self._run.id

    def status(self) -> Status:
        """Return how far it is."""
        return self._loop.run(self._run.status())

    def events(self, after: str | None = None) -> Iterator[Event]:
        """Yield events as they happen, until the project has ended."""
        events = self._run.events(after)
        try:
            while True:
                try:
                    yield self._loop.run(anext(events))
                except StopAsyncIteration:
                    return
        finally:
            self._loop.run(events.aclose())

    def wait(self, *, progress: bool = True) -> Status:
        """Follow the run until it has ended, with a bar of its steps, and return how it ended."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        status = self.status()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, disable=not progress) as bar:
            task = bar.add_task(status.project.status, total=len(status.steps), completed=status.done)
            for event in self.events():
                if event.event_type in {"ArtifactCreated", "ValidationPassed", "ProjectStatusChanged", "ProjectFailed"}:
                    status = self.status()
                    bar.update(task, description=status.project.status, completed=status.done)
            status = self.status()
            bar.update(task, description=status.project.status, completed=status.done)
        return status

    def result(self) -> Status:
        """Wait until the project has ended, and return how.

        Raises:
            RunFailedError: It was not released.
        """
        return self._loop.run(self._run.result())

    def artifacts(self, *, kind: str | None = None) -> Answers:
        """Return every version of its artifacts, in the order they were made."""
        return self._loop.run(self._run.artifacts(kind=kind))

    def files(self, kind: str) -> dict[str, str]:
        """Return the files of the latest version of a kind: texts by path."""
        return self._loop.run(self._run.files(kind))

    def save(self, kind: str, folder: Path | str) -> list[Path]:
        """Write the files of the latest version of a kind into a folder, and return their paths."""
        return self._loop.run(self._run.save(kind, Path(folder)))

    def lineage(self) -> dict[str, Any]:
        """Return the graph of everything the project was made of."""
        return self._loop.run(self._run.lineage())

    @property
    def graph(self) -> "Picture":
        """The workflow as a picture, as it is now."""
        return Picture(self.status().graph())

    def compensate(self, reason: str, from_step: str | None = None) -> None:
        """Undo what the project has done, or a step and what builds on it."""
        self._loop.run(self._run.compensate(reason, from_step))

    def replay(self) -> "Run":
        """Run the whole flow again in a sandbox, and return that run."""
        return Run(self._loop, self._loop.run(self._run.replay()))

    def _repr_html_(self) -> str:
        return self.status()._repr_html_()


class Picture:
    """An SVG that shows itself in notebooks."""

    def __init__(self, svg: str) -> None:
        self.svg = svg

    def _repr_svg_(self) -> str:
        return self.svg
