import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateVisionRequest(_message.Message):
    __slots__ = ("vision", "name", "blueprint", "stakeholders", "goals", "deadline", "risk", "priority")
    VISION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    BLUEPRINT_FIELD_NUMBER: _ClassVar[int]
    STAKEHOLDERS_FIELD_NUMBER: _ClassVar[int]
    GOALS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    RISK_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    vision: str
    name: str
    blueprint: str
    stakeholders: _containers.RepeatedScalarFieldContainer[str]
    goals: _containers.RepeatedScalarFieldContainer[str]
    deadline: _timestamp_pb2.Timestamp
    risk: str
    priority: int
    def __init__(self, vision: _Optional[str] = ..., name: _Optional[str] = ..., blueprint: _Optional[str] = ..., stakeholders: _Optional[_Iterable[str]] = ..., goals: _Optional[_Iterable[str]] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., risk: _Optional[str] = ..., priority: _Optional[int] = ...) -> None: ...

class CreatedProject(_message.Message):
    __slots__ = ("project_id", "name", "slug", "blueprint", "status")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SLUG_FIELD_NUMBER: _ClassVar[int]
    BLUEPRINT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    name: str
    slug: str
    blueprint: str
    status: str
    def __init__(self, project_id: _Optional[str] = ..., name: _Optional[str] = ..., slug: _Optional[str] = ..., blueprint: _Optional[str] = ..., status: _Optional[str] = ...) -> None: ...

class ListProjectsRequest(_message.Message):
    __slots__ = ("status", "limit", "cursor")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    status: str
    limit: int
    cursor: str
    def __init__(self, status: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ProjectPage(_message.Message):
    __slots__ = ("items", "next")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Project]
    next: str
    def __init__(self, items: _Optional[_Iterable[_Union[Project, _Mapping]]] = ..., next: _Optional[str] = ...) -> None: ...

class GetProjectRequest(_message.Message):
    __slots__ = ("project_id",)
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    def __init__(self, project_id: _Optional[str] = ...) -> None: ...

class Project(_message.Message):
    __slots__ = ("id", "name", "slug", "blueprint", "status", "revision", "trace_id", "sandbox_of", "tenant", "metadata", "created_at", "updated_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SLUG_FIELD_NUMBER: _ClassVar[int]
    BLUEPRINT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_OF_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    slug: str
    blueprint: str
    status: str
    revision: int
    trace_id: str
    sandbox_of: str
    tenant: str
    metadata: ProjectMetadata
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., slug: _Optional[str] = ..., blueprint: _Optional[str] = ..., status: _Optional[str] = ..., revision: _Optional[int] = ..., trace_id: _Optional[str] = ..., sandbox_of: _Optional[str] = ..., tenant: _Optional[str] = ..., metadata: _Optional[_Union[ProjectMetadata, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ProjectMetadata(_message.Message):
    __slots__ = ("stakeholders", "goals", "deadline", "risk", "priority")
    STAKEHOLDERS_FIELD_NUMBER: _ClassVar[int]
    GOALS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    RISK_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    stakeholders: _containers.RepeatedScalarFieldContainer[str]
    goals: _containers.RepeatedScalarFieldContainer[str]
    deadline: _timestamp_pb2.Timestamp
    risk: str
    priority: int
    def __init__(self, stakeholders: _Optional[_Iterable[str]] = ..., goals: _Optional[_Iterable[str]] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., risk: _Optional[str] = ..., priority: _Optional[int] = ...) -> None: ...

class ProjectProgress(_message.Message):
    __slots__ = ("project", "steps", "failure", "tests", "released_commit", "waits_for")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    TESTS_FIELD_NUMBER: _ClassVar[int]
    RELEASED_COMMIT_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    project: Project
    steps: _containers.RepeatedCompositeFieldContainer[StepProgress]
    failure: str
    tests: _containers.RepeatedScalarFieldContainer[int]
    released_commit: str
    waits_for: _containers.RepeatedCompositeFieldContainer[OpenQuestion]
    def __init__(self, project: _Optional[_Union[Project, _Mapping]] = ..., steps: _Optional[_Iterable[_Union[StepProgress, _Mapping]]] = ..., failure: _Optional[str] = ..., tests: _Optional[_Iterable[int]] = ..., released_commit: _Optional[str] = ..., waits_for: _Optional[_Iterable[_Union[OpenQuestion, _Mapping]]] = ...) -> None: ...

class StepProgress(_message.Message):
    __slots__ = ("step", "agent", "goal", "status", "attempt", "round", "seconds", "artifact_version", "artifact_hash", "message")
    STEP_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    GOAL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_VERSION_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_HASH_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    step: str
    agent: str
    goal: str
    status: str
    attempt: int
    round: int
    seconds: float
    artifact_version: int
    artifact_hash: str
    message: str
    def __init__(self, step: _Optional[str] = ..., agent: _Optional[str] = ..., goal: _Optional[str] = ..., status: _Optional[str] = ..., attempt: _Optional[int] = ..., round: _Optional[int] = ..., seconds: _Optional[float] = ..., artifact_version: _Optional[int] = ..., artifact_hash: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class OpenQuestion(_message.Message):
    __slots__ = ("escalation_id", "agent", "question")
    ESCALATION_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    escalation_id: str
    agent: str
    question: str
    def __init__(self, escalation_id: _Optional[str] = ..., agent: _Optional[str] = ..., question: _Optional[str] = ...) -> None: ...

class ListEventsRequest(_message.Message):
    __slots__ = ("project_id", "limit", "cursor")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    limit: int
    cursor: str
    def __init__(self, project_id: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class EventPage(_message.Message):
    __slots__ = ("items", "next")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Event]
    next: str
    def __init__(self, items: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., next: _Optional[str] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("event_id", "event_type", "version", "topic", "project_id", "originating_agent", "trace_id", "traceparent", "correlation_id", "causation_id", "timestamp", "artifact_uri", "payload")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGINATING_AGENT_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_URI_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    event_type: str
    version: int
    topic: str
    project_id: str
    originating_agent: str
    trace_id: str
    traceparent: str
    correlation_id: str
    causation_id: str
    timestamp: _timestamp_pb2.Timestamp
    artifact_uri: str
    payload: _struct_pb2.Struct
    def __init__(self, event_id: _Optional[str] = ..., event_type: _Optional[str] = ..., version: _Optional[int] = ..., topic: _Optional[str] = ..., project_id: _Optional[str] = ..., originating_agent: _Optional[str] = ..., trace_id: _Optional[str] = ..., traceparent: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., artifact_uri: _Optional[str] = ..., payload: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class FollowProjectRequest(_message.Message):
    __slots__ = ("project_id", "after")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    after: str
    def __init__(self, project_id: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class LoggedEvent(_message.Message):
    __slots__ = ("place", "event")
    PLACE_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    place: str
    event: Event
    def __init__(self, place: _Optional[str] = ..., event: _Optional[_Union[Event, _Mapping]] = ...) -> None: ...

class ListArtifactsRequest(_message.Message):
    __slots__ = ("project_id", "kind", "status", "limit", "cursor")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    kind: str
    status: str
    limit: int
    cursor: str
    def __init__(self, project_id: _Optional[str] = ..., kind: _Optional[str] = ..., status: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ArtifactPage(_message.Message):
    __slots__ = ("items", "next")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Artifact]
    next: str
    def __init__(self, items: _Optional[_Iterable[_Union[Artifact, _Mapping]]] = ..., next: _Optional[str] = ...) -> None: ...

class Artifact(_message.Message):
    __slots__ = ("id", "project_id", "kind", "version", "hash", "uri", "media_type", "status", "agent", "trace_id", "task_id", "created_at", "inputs", "sequence", "size", "metadata")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    id: str
    project_id: str
    kind: str
    version: int
    hash: str
    uri: str
    media_type: str
    status: str
    agent: str
    trace_id: str
    task_id: str
    created_at: _timestamp_pb2.Timestamp
    inputs: _containers.RepeatedScalarFieldContainer[str]
    sequence: int
    size: int
    metadata: _struct_pb2.Struct
    def __init__(self, id: _Optional[str] = ..., project_id: _Optional[str] = ..., kind: _Optional[str] = ..., version: _Optional[int] = ..., hash: _Optional[str] = ..., uri: _Optional[str] = ..., media_type: _Optional[str] = ..., status: _Optional[str] = ..., agent: _Optional[str] = ..., trace_id: _Optional[str] = ..., task_id: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., inputs: _Optional[_Iterable[str]] = ..., sequence: _Optional[int] = ..., size: _Optional[int] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class RetrieveArtifactRequest(_message.Message):
    __slots__ = ("artifact_id", "file")
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    artifact_id: str
    file: str
    def __init__(self, artifact_id: _Optional[str] = ..., file: _Optional[str] = ...) -> None: ...

class ListAgentTasksRequest(_message.Message):
    __slots__ = ("agent_id", "status", "limit", "cursor")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    status: str
    limit: int
    cursor: str
    def __init__(self, agent_id: _Optional[str] = ..., status: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class TaskPage(_message.Message):
    __slots__ = ("items", "next", "agent", "counts")
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Task]
    next: str
    agent: str
    counts: _containers.ScalarMap[str, int]
    def __init__(self, items: _Optional[_Iterable[_Union[Task, _Mapping]]] = ..., next: _Optional[str] = ..., agent: _Optional[str] = ..., counts: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("id", "project_id", "project", "revision", "step", "round", "agent", "goal", "status", "attempt", "worker", "skill", "message", "assigned_at", "started_at", "ended_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    GOAL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    SKILL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    project_id: str
    project: str
    revision: int
    step: str
    round: int
    agent: str
    goal: str
    status: str
    attempt: int
    worker: str
    skill: str
    message: str
    assigned_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., project_id: _Optional[str] = ..., project: _Optional[str] = ..., revision: _Optional[int] = ..., step: _Optional[str] = ..., round: _Optional[int] = ..., agent: _Optional[str] = ..., goal: _Optional[str] = ..., status: _Optional[str] = ..., attempt: _Optional[int] = ..., worker: _Optional[str] = ..., skill: _Optional[str] = ..., message: _Optional[str] = ..., assigned_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SearchMemoryRequest(_message.Message):
    __slots__ = ("query", "collection", "mode", "limit", "project_ids", "kinds", "agents")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PROJECT_IDS_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    query: str
    collection: str
    mode: str
    limit: int
    project_ids: _containers.RepeatedScalarFieldContainer[str]
    kinds: _containers.RepeatedScalarFieldContainer[str]
    agents: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, query: _Optional[str] = ..., collection: _Optional[str] = ..., mode: _Optional[str] = ..., limit: _Optional[int] = ..., project_ids: _Optional[_Iterable[str]] = ..., kinds: _Optional[_Iterable[str]] = ..., agents: _Optional[_Iterable[str]] = ...) -> None: ...

class MemoryAnswer(_message.Message):
    __slots__ = ("hits",)
    HITS_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[MemoryHit]
    def __init__(self, hits: _Optional[_Iterable[_Union[MemoryHit, _Mapping]]] = ...) -> None: ...

class MemoryHit(_message.Message):
    __slots__ = ("score", "dense_rank", "keyword_rank", "chunk_id", "project_id", "kind", "version", "agent", "created_at", "path", "title", "text")
    SCORE_FIELD_NUMBER: _ClassVar[int]
    DENSE_RANK_FIELD_NUMBER: _ClassVar[int]
    KEYWORD_RANK_FIELD_NUMBER: _ClassVar[int]
    CHUNK_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    score: float
    dense_rank: int
    keyword_rank: int
    chunk_id: str
    project_id: str
    kind: str
    version: int
    agent: str
    created_at: _timestamp_pb2.Timestamp
    path: str
    title: str
    text: str
    def __init__(self, score: _Optional[float] = ..., dense_rank: _Optional[int] = ..., keyword_rank: _Optional[int] = ..., chunk_id: _Optional[str] = ..., project_id: _Optional[str] = ..., kind: _Optional[str] = ..., version: _Optional[int] = ..., agent: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., path: _Optional[str] = ..., title: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class SendNotificationRequest(_message.Message):
    __slots__ = ("channel", "subject", "text", "severity", "project_id")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    channel: str
    subject: str
    text: str
    severity: str
    project_id: str
    def __init__(self, channel: _Optional[str] = ..., subject: _Optional[str] = ..., text: _Optional[str] = ..., severity: _Optional[str] = ..., project_id: _Optional[str] = ...) -> None: ...

class AcceptedNotification(_message.Message):
    __slots__ = ("notification_id", "state")
    NOTIFICATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    notification_id: str
    state: str
    def __init__(self, notification_id: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...
