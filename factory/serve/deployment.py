"""The gateway on Ray Serve: replicas that follow the load, drained before they go."""

import asyncio
import socket
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from ray import serve
from ray.exceptions import RayError
from ray.serve.config import gRPCOptions
from starlette.types import ASGIApp

from factory.actors.host import HostError
from factory.domain.errors import TerminalError
from factory.garbage import collect_rarely
from factory.observability.logs import configure_logging
from factory.serve.app import build_app
from factory.serve.gateway import open_gateway
from factory.serve.grpc.methods import SERVICER_FUNCTIONS, GrpcMethods
from factory.serve.health import is_ready
from factory.serve.memory import ClusterMemory
from factory.settings import Settings
from factory.skills.native.language.parser import language

NAME = "gateway"
# A replica that reads from the database waits most of the time: many requests share it.
_ONGOING_REQUESTS = 2_000
_TARGET_ONGOING = 100
_QUEUED_REQUESTS = 10_000
_DRAIN_SECONDS = 20
_KEEP_ALIVE_SECONDS = 60
_HEALTH_SECONDS = 10
# Ray Serve's gRPC proxy cannot be told to listen on one address alone.
_EVERYWHERE = "::"


@serve.deployment(name=NAME)
@serve.ingress()
class GatewayDeployment(GrpcMethods):
    """One replica, over HTTP and gRPC.

    Args:
        settings: Of the factory; None reads them from the replica's own environment.
        url: How clients reach the gateway.
    """

    async def __init__(self, settings: Settings | None, url: str) -> None:  # type: ignore[misc] # Ray Serve awaits it
        settings = settings or Settings()
        configure_logging(settings, service=NAME)
        # A vision is read while its request waits, and the first would hold up all others. What cannot be loaded is
        # told to whoever asks.
        with suppress(TerminalError):
            await asyncio.to_thread(language)
        self._stack = AsyncExitStack()
        gateway = await self._stack.enter_async_context(open_gateway(settings, url, ClusterMemory))
        self._gateway = gateway
        self.rest = build_app(gateway)
        self.ready = partial(is_ready, gateway)
        collect_rarely()

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Return what answers HTTP requests."""
        return self.rest

    async def check_health(self) -> None:
        """Let Ray Serve replace a replica whose audit trail cannot be written any more.

        Raises:
            FactoryError: It cannot.
        """
        self._gateway.audit.check()

    async def __del__(self) -> None:
        """Write what is left to the audit trail, and leave the database."""
        await self._stack.aclose()


def gateway_application(settings: Settings, url: str, *, carry: bool = True) -> serve.Application:
    """Return the application, for `ray.serve.run`.

    Args:
        settings: Of the factory.
        url: How clients reach the gateway, without a slash at the end.
        carry: Hand the settings to the replicas, through Ray's own store; otherwise each reads its own environment.
    """
    deployment: Any = GatewayDeployment
    options: dict[str, Any] = {
        "max_ongoing_requests": _ONGOING_REQUESTS,
        "max_queued_requests": _QUEUED_REQUESTS,
        "graceful_shutdown_timeout_s": _DRAIN_SECONDS,
        "health_check_period_s": _HEALTH_SECONDS,
        # The gateway waits for others most of the time, and must start on a machine whose cores are taken.
        "ray_actor_options": {"num_cpus": 0},
        "logging_config": {"enable_access_log": False, "log_level": "WARNING"},
    }
    if settings.gateway_max_replicas > settings.gateway_replicas:
        options["autoscaling_config"] = {
            "min_replicas": settings.gateway_replicas,
            "max_replicas": settings.gateway_max_replicas,
            "target_ongoing_requests": _TARGET_ONGOING,
        }
    else:
        options["num_replicas"] = settings.gateway_replicas
    application: serve.Application = deployment.options(**options).bind(settings if carry else None, url)
    return application


@dataclass(frozen=True, slots=True)
class Address:
    """Where the gateway is reached.

    Attributes:
        url: Over HTTP, without a slash at the end.
        grpc: Over gRPC, as `host:port`; None where it is not served.
    """

    url: str
    grpc: str | None


def start_gateway(settings: Settings) -> Address:
    """Start the gateway on the Ray that this process is connected to, and return its address once it answers.

    Raises:
        HostError: Its port is taken, or a replica did not start.
    """
    port = settings.gateway_port or free_port(settings.gateway_host)
    if settings.gateway_port:
        check_port(settings.gateway_host, port)
    url = (settings.gateway_url or f"http://{_shown(settings.gateway_host)}:{port}").rstrip("/")
    grpc_port = settings.gateway_grpc_port
    if grpc_port:
        check_port(_EVERYWHERE, grpc_port, "FACTORY_GATEWAY_GRPC_PORT")
    elif grpc_port is not None:
        grpc_port = free_port(_EVERYWHERE)
    try:
        serve.start(
            proxy_location="HeadOnly",
            http_options={
                "host": settings.gateway_host,
                "port": port,
                "request_timeout_s": None,
                "keep_alive_timeout_s": _KEEP_ALIVE_SECONDS,
            },
            grpc_options=None
            if grpc_port is None
            else gRPCOptions(port=grpc_port, grpc_servicer_functions=list(SERVICER_FUNCTIONS)),
        )
        serve.run(gateway_application(settings, url), name=NAME, route_prefix="/")
    except (RayError, RuntimeError, OSError) as error:
        raise HostError(f"the gateway did not start: {error}", remedy="See `factory doctor`.") from error
    return Address(url, None if grpc_port is None else f"{_shown(settings.gateway_host)}:{grpc_port}")


def stop_gateway() -> None:
    """Stop the gateway; requests under way are answered first."""
    with suppress(RayError, RuntimeError):
        serve.shutdown()  # type: ignore[no-untyped-call]


def check_port(host: str, port: int, setting: str = "FACTORY_GATEWAY_PORT") -> None:
    """Make sure that a port can be listened on.

    Args:
        host: An address of this machine.
        port: On it.
        setting: That names the port, for the error.

    Raises:
        HostError: Something else listens on it.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise HostError(
                f"port {port} of {host} is taken: {error.strerror}.",
                remedy=f"Set {setting} to another one; 0 takes any that is free.",
                field=setting,
            ) from error


def free_port(host: str) -> int:
    """Return a port that nothing listens on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared with, not bound to
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
