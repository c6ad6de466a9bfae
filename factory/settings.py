"""Every setting in one typed place; each can be given as an environment variable with the prefix `FACTORY_`."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _default_data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base) / "factory"


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _seconds(value: object) -> object:
    """Read a bare number as seconds: in an environment variable it arrives as text, which must else be ISO 8601."""
    if isinstance(value, str) and value.replace(".", "", 1).isdecimal():
        return float(value)
    return value


# The embedding model that needs no network: a package brings it.
DEFAULT_EMBEDDING_MODEL = "all-MiniLM-L6-v2"

Duration = Annotated[timedelta, BeforeValidator(_seconds)]


class Settings(BaseSettings):
    """Settings of one factory process.

    Attributes:
        data_dir: Where everything that outlives a process is kept: the embedded database, blobs, caches.
        database_url: An external PostgreSQL (`postgresql://user:password@host/name`); None starts the embedded one.
        database_pool_size: Most connections one process opens.
        database_connect_timeout: How long a caller waits for a database that has gone away to come back.
        database_statement_timeout: Longest single statement; migrations are exempt.
        database_idle_timeout: Longest pause inside an open transaction.
        database_options: Extra server parameters for the embedded PostgreSQL, as in `postgresql.conf`.
        lease: How long a supervisor may be silent before others take over its deliveries.
        event_retention: How long events and delivery records are kept.
        duplicate_window: How long a published id is refused as a duplicate; as long as the retention by default.
        event_payload_limit: Most bytes of one event's payload as JSON; larger things belong in artifacts.
        event_clock_ahead: How far an event's own time may be ahead of the database's clock.
        retry_policies: A YAML file whose entries override the shipped retry policies.
        escalation_policies: A YAML file whose rules for dead letters come before the shipped ones.
        incident_rules: A YAML file whose rules for incidents come before the shipped ones.
        observe_seconds: How often the running factory is looked at for incidents; 0 for never.
        routing_rules: A YAML file whose rules for events from outside come before the shipped ones.
        artifact_url: An fsspec URL that artifacts' bytes are stored under; a folder of the data directory by default.
        blueprint_dir: A folder of blueprint files, beside the shipped ones.
        plugins: Modules that define further agents and skills, as a JSON list.
        pool_max_size: Most actors of one pool.
        pool_idle_seconds: An actor that has been idle for so long is ended, down to its pool's minimum.
        poll_seconds: How often a supervisor looks for work that no notification told of.
        commit_group: Most outcomes committed in one transaction.
        ray_cpus: Cores that a local Ray may use; all of the machine by default.
        sandbox: How generated code is confined; `limits` means resource limits alone.
        sandbox_memory_mib: Most memory of one confined command, and of each process in it.
        sandbox_cpu_seconds: Most processor time of each confined process.
        sandbox_processes: Most confined processes and threads at one time.
        sandbox_file_mib: Largest file that confined code may write.
        sandbox_wall_seconds: Longest time of one confined command.
        tenant: Whose projects this process begins.
        memory: Whether valid artifacts are embedded; `auto` does so where there is something to embed with.
        memory_url: An fsspec URL that segments are stored under; a folder of the data directory by default.
        memory_collection: What artifacts are embedded into, and searched in unless another collection is named.
        memory_shards: How many actors search a collection.
        memory_replicas: How many of them hold each segment.
        memory_index: Which kind of index a large segment gets; `auto` chooses by its size.
        memory_sharing: A YAML file that says who may read whose memory beyond a project's own.
        embedding_model: A sentence-transformers model by hub name or folder, or what the endpoint calls its model.
        embedding_url: Base URL of an OpenAI-compatible endpoint, with its `/v1`; by default the model runs here.
        embedding_api_key: For the endpoint.
        embedding_precision: Of a model that runs here; `auto` takes 16 bits where the processor is faster with them.
        gateway: Whether `factory up` starts the gateway.
        gateway_host: The address that it listens on.
        gateway_port: Its HTTP port; 0 for one that is free.
        gateway_grpc_port: Its gRPC port, on every address of this machine; 0 for one that is free, None for no gRPC.
        gateway_url: How clients reach it, where that is not its address; it names the embedded issuer.
        gateway_replicas: Fewest replicas.
        gateway_max_replicas: Most replicas; they follow the requests under way.
        gateway_body_limit: Most bytes of a request's body.
        gateway_origins: Web origins that may call the API from a browser; none by default.
        issuers: A YAML file of OpenID Connect issuers whose tokens are accepted beside the embedded issuer's.
        embedded_issuer: Whether this factory issues tokens itself.
        issuer_secret: Seals the embedded issuer's keys; a file of the data directory does so by default.
        policy_dir: A folder of Cedar policies (`*.cedar`), beside the shipped ones.
        rate_limits: A YAML file whose limits per route come before the shipped ones.
        feature_flags: A YAML file of feature flags; it is read again when it changes.
        notification_channels: A YAML file of channels that people are told over; `log` is always there.
        redis_url: Where replicas share rate limits (`redis://host:port/0`); each counts for itself without it.
        log_level: Lines below this level are not logged.
        otlp_endpoint: Base URL of an OpenTelemetry collector (OTLP/HTTP) that traces are sent to.
        trace_file: A file that traces are appended to, as lines of OTLP JSON.
        trace_sample: Share of traces that are kept, from 0 to 1.
        trace_limit: Attempts, commits and requests that one process traces per second; under more load fewer traces are
            kept.
    """

    model_config = SettingsConfigDict(env_prefix="FACTORY_", frozen=True, extra="ignore", validate_default=True)

    data_dir: Annotated[Path, AfterValidator(_absolute)] = Field(default_factory=_default_data_dir)

    database_url: str | None = None
    database_pool_size: int = Field(default=10, ge=2)
    database_connect_timeout: Duration = timedelta(seconds=60)
    database_statement_timeout: Duration = timedelta(seconds=60)
    database_idle_timeout: Duration = timedelta(seconds=60)
    database_options: dict[str, str] = {}

    lease: Duration = timedelta(seconds=30)
    event_retention: Annotated[Duration, Field(gt=timedelta())] = timedelta(days=90)
    duplicate_window: Annotated[Duration, Field(gt=timedelta())] | None = None
    event_payload_limit: int = Field(default=256 * 1024, ge=1024)
    event_clock_ahead: Annotated[Duration, Field(ge=timedelta())] = timedelta(days=1)
    retry_policies: Annotated[Path, AfterValidator(_absolute)] | None = None
    escalation_policies: Annotated[Path, AfterValidator(_absolute)] | None = None
    incident_rules: Annotated[Path, AfterValidator(_absolute)] | None = None
    observe_seconds: float = Field(default=30, ge=0)
    routing_rules: Annotated[Path, AfterValidator(_absolute)] | None = None

    artifact_url: str | None = None
    blueprint_dir: Annotated[Path, AfterValidator(_absolute)] | None = None
    plugins: tuple[str, ...] = ()
    pool_max_size: int = Field(default=8, ge=1)
    pool_idle_seconds: float = Field(default=300, gt=0)
    poll_seconds: float = Field(default=1, gt=0)
    commit_group: int = Field(default=200, ge=1)
    ray_cpus: int | None = Field(default=None, ge=1)

    sandbox: Literal["bubblewrap", "limits"] = "bubblewrap"
    sandbox_memory_mib: int = Field(default=2048, ge=64)
    sandbox_cpu_seconds: int = Field(default=300, ge=1)
    sandbox_processes: int = Field(default=256, ge=4)
    sandbox_file_mib: int = Field(default=256, ge=1)
    sandbox_wall_seconds: float = Field(default=300, gt=0)

    tenant: str = Field(default="default", min_length=1, max_length=100)
    memory: Literal["auto", "on", "off"] = "auto"
    memory_url: str | None = None
    memory_collection: str = Field(default="artifacts", pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    memory_shards: int = Field(default=1, ge=1)
    memory_replicas: int = Field(default=1, ge=1)
    memory_index: Literal["auto", "flat", "hnsw", "quantised"] = "auto"
    memory_sharing: Annotated[Path, AfterValidator(_absolute)] | None = None
    embedding_model: str = Field(default=DEFAULT_EMBEDDING_MODEL, min_length=1)
    embedding_url: str | None = None
    embedding_api_key: SecretStr | None = None
    embedding_precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"

    gateway: bool = True
    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=8000, ge=0, le=65_535)
    gateway_grpc_port: int | None = Field(default=None, ge=0, le=65_535)
    gateway_url: str | None = None
    gateway_replicas: int = Field(default=1, ge=1)
    gateway_max_replicas: int = Field(default=1, ge=1)
    gateway_body_limit: int = Field(default=2 * 1024 * 1024, ge=1024)
    gateway_origins: tuple[str, ...] = ()
    issuers: Annotated[Path, AfterValidator(_absolute)] | None = None
    embedded_issuer: bool = True
    issuer_secret: SecretStr | None = Field(default=None, min_length=32)
    policy_dir: Annotated[Path, AfterValidator(_absolute)] | None = None
    rate_limits: Annotated[Path, AfterValidator(_absolute)] | None = None
    feature_flags: Annotated[Path, AfterValidator(_absolute)] | None = None
    notification_channels: Annotated[Path, AfterValidator(_absolute)] | None = None
    redis_url: SecretStr | None = None

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    otlp_endpoint: str | None = None
    trace_file: Annotated[Path, AfterValidator(_absolute)] | None = None
    trace_sample: float = Field(default=1, ge=0, le=1)
    trace_limit: int = Field(default=100, ge=1)

    @property
    def blob_url(self) -> str:
        """Where artifacts' bytes are stored."""
        return self.artifact_url or (self.data_dir / "blobs").as_uri()

    @property
    def segment_url(self) -> str:
        """Where segments of semantic memory are stored."""
        return self.memory_url or (self.data_dir / "memory").as_uri()

    @property
    def repositories_dir(self) -> Path:
        """Where the projects' bare Git repositories are kept."""
        return self.data_dir / "repositories"

    @property
    def run_dir(self) -> Path:
        """Where running processes leave their locks and addresses."""
        return self.data_dir / "run"

    @property
    def span_file(self) -> Path:
        """Where the command line has traces kept that no other place was named for."""
        return self.trace_file or self.data_dir / "traces" / "spans.jsonl"

    @property
    def state_file(self) -> Path:
        """What a running factory says of itself."""
        return self.run_dir / "factory.json"

    @property
    def pools_file(self) -> Path:
        """The sizes of a running factory's pools."""
        return self.run_dir / "pools.json"
