"""Hosts a supervisor on this machine: local Ray in this process, and the supervisor as its first actor."""

import contextlib
import fcntl
import hashlib
import logging
import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Self

import psutil
import ray
from ray.exceptions import GetTimeoutError, RayError

from factory.actors.pool import PoolSize
from factory.actors.roster import SUBCLUSTERS
from factory.actors.supervisor import SupervisorActor
from factory.domain.errors import FactoryError
from factory.settings import Settings

NAMESPACE = "factory"
_SLOTS = 64
_PLACES = 1_000
_OBJECT_STORE_BYTES = 128 * 1024 * 1024
_START_SECONDS = 120
_DRAIN_SECONDS = 10
_END_SECONDS = 10


class HostError(FactoryError):
    """Ray or the supervisor did not come up."""


class Slot:
    """A name that one living process of this machine holds.

    The kernel frees the lock with the process, however it dies, so the next process takes the same name and
    with it the dead one's deliveries.
    """

    def __init__(self, run_dir: Path) -> None:
        run_dir.mkdir(parents=True, exist_ok=True)
        for number in range(_SLOTS):
            handle = (run_dir / f"supervisor-{number}.lock").open("a")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.close()
                continue
            self._handle: IO[str] = handle
            # Factories of one machine may share a database.
            place = hashlib.blake2b(str(run_dir).encode(), digest_size=4).hexdigest()
            self.name = f"{socket.gethostname()}-{place}-{number}"
            return
        raise HostError(f"{_SLOTS} supervisors run on this machine already.", remedy="Stop some of them.")

    def release(self) -> None:
        """Give the name back."""
        self._handle.close()


class Host:
    """A local Ray with a supervisor, for as long as this process lives. Its methods block."""

    def __init__(self, slot: Slot, supervisor: Any) -> None:  # noqa: ANN401 - actor handles are untyped
        self._slot = slot
        self._supervisor = supervisor
        self._warming: Any = None

    @classmethod
    def start(cls, settings: Settings, agents: Sequence[str] | None = None, *, dashboard: bool = False) -> Self:
        """Start Ray and the supervisor, and return once it works.

        Args:
            settings: Of the factory.
            agents: The agents whose pools may grow here; None for all.
            dashboard: Start Ray's dashboard as well.

        Raises:
            HostError: Ray did not start, or the supervisor ended at once.
        """
        slot = Slot(settings.run_dir)
        try:
            start_ray(settings, dashboard=dashboard, object_store_bytes=_OBJECT_STORE_BYTES)
            supervisor: Any = (
                ray.remote(SupervisorActor)
                .options(name="supervisor", num_cpus=0, max_restarts=-1, max_task_retries=2)
                .remote(settings, slot.name, agents)
            )
            ray.get(supervisor.sizes.remote(), timeout=_START_SECONDS)
        except (RayError, GetTimeoutError, OSError, RuntimeError) as error:
            ray.shutdown()
            slot.release()
            raise HostError(f"the factory did not start: {error}", remedy="See `factory doctor`.") from error
        return cls(slot, supervisor)

    @property
    def dashboard(self) -> str | None:
        """URL of Ray's dashboard, where it was started."""
        url = ray.get_runtime_context().worker.node.webui_url if ray.is_initialized() else None
        return f"http://{url}" if url else None

    def warm(self, agents: Sequence[str]) -> None:
        """Let the supervisor start one actor of each of these pools."""
        self._warming = self._supervisor.warm.remote(list(agents))

    def sizes(self) -> list[PoolSize]:
        """Return what the pools look like now."""
        sizes: list[PoolSize] = ray.get(self._supervisor.sizes.remote(), timeout=_START_SECONDS)
        return sizes

    def stop(self) -> None:
        """Let the work under way end, then stop Ray. Calling it twice does no harm."""
        if ray.is_initialized():
            patience = timedelta(seconds=_DRAIN_SECONDS)
            # A supervisor that does not answer keeps nothing: what it held is released when its successor
            # registers, or when its lease ends.
            with contextlib.suppress(RayError, GetTimeoutError):
                ray.get(self._supervisor.drain.remote(patience), timeout=_DRAIN_SECONDS + 5)
            started = psutil.Process().children(recursive=True)
            ray.shutdown()
            # Ray does not wait for the processes it ends, and one that is still there counts as a user of the
            # embedded server, which then nobody would stop.
            psutil.wait_procs(started, timeout=_END_SECONDS)
        self._slot.release()


def start_ray(settings: Settings, *, dashboard: bool = False, object_store_bytes: int | None = None) -> None:
    """Start a local Ray in this process, which `ray.shutdown` ends.

    Args:
        settings: Of the factory.
        dashboard: Start Ray's dashboard as well.
        object_store_bytes: For objects that processes share; a share of the machine's memory by default.
    """
    # The first says nothing to anyone outside; the second silences a warning about machines without GPUs.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Whose X-Forwarded-For the gateway's proxy believes: nobody's, unless whoever puts a proxy before it says so.
    os.environ.setdefault("FORWARDED_ALLOW_IPS", "")
    subclusters = [folder.__name__.rpartition(".")[2] for folder in SUBCLUSTERS]
    ray.init(
        # One of its own, whatever else runs on this machine, or ran and left its address behind.
        address="local",
        num_cpus=settings.ray_cpus,
        resources=dict.fromkeys(subclusters, _PLACES),
        object_store_memory=object_store_bytes,
        include_dashboard=dashboard,
        namespace=NAMESPACE,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    _protect_token()


def _protect_token() -> None:
    """Make Ray's authentication token readable by its owner alone; Ray itself writes it for everyone."""
    token = Path.home() / ".ray" / "auth_token"
    if token.exists():
        token.chmod(0o600)
