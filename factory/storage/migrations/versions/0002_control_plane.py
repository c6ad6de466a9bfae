"""Projects, tasks, artifacts, lineage, validations and commits."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE project (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    slug text NOT NULL,
    blueprint text NOT NULL,
    status text NOT NULL,
    revision integer NOT NULL DEFAULT 1 CHECK (revision >= 1),
    trace_id char(32) NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    build_key text NOT NULL,
    out_dir text,
    released_commit text,
    tests_passed integer,
    tests_failed integer,
    failure jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    delivered_at timestamptz
);
CREATE INDEX project_by_build_key ON project (build_key, created_at DESC);
CREATE INDEX project_by_status ON project (status, created_at DESC);

CREATE TABLE task (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES project (id),
    revision integer NOT NULL,
    step text NOT NULL,
    round integer NOT NULL,
    agent text NOT NULL,
    goal text NOT NULL,
    status text NOT NULL DEFAULT 'assigned' CHECK (status IN ('assigned', 'running', 'done', 'failed')),
    attempt integer NOT NULL DEFAULT 0,
    worker text,
    skill text,
    error jsonb,
    input_ids uuid[] NOT NULL,
    parameters jsonb NOT NULL DEFAULT '{}',
    cause_event uuid,
    event_id uuid NOT NULL,
    assigned_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz,
    UNIQUE (project_id, revision, step, round)
);
CREATE INDEX task_unfinished ON task (agent) WHERE status IN ('assigned', 'running');

CREATE TABLE artifact (
    id uuid PRIMARY KEY,
    sequence bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    project_id uuid NOT NULL REFERENCES project (id),
    kind text NOT NULL,
    version integer NOT NULL CHECK (version >= 1),
    hash char(64) NOT NULL,
    uri text NOT NULL,
    media_type text NOT NULL,
    size bigint NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'valid', 'invalid')),
    agent text NOT NULL,
    trace_id char(32) NOT NULL,
    task_id uuid NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (project_id, kind, version)
);
CREATE INDEX artifact_by_task ON artifact (task_id);

CREATE TABLE artifact_input (
    artifact_id uuid NOT NULL REFERENCES artifact (id),
    input_id uuid NOT NULL REFERENCES artifact (id),
    PRIMARY KEY (artifact_id, input_id)
);
CREATE INDEX artifact_input_reverse ON artifact_input (input_id);

CREATE TABLE validation (
    id uuid PRIMARY KEY,
    artifact_id uuid NOT NULL REFERENCES artifact (id),
    task_id uuid NOT NULL,
    passed boolean NOT NULL,
    findings jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX validation_by_artifact ON validation (artifact_id);

CREATE TABLE artifact_commit (
    artifact_id uuid PRIMARY KEY REFERENCES artifact (id),
    project_id uuid NOT NULL REFERENCES project (id),
    position integer NOT NULL,
    commit_sha char(40) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (project_id, position)
);
"""

DOWNGRADE = "DROP TABLE artifact_commit, validation, artifact_input, artifact, task, project"


def upgrade() -> None:
    """Create the control plane's tables."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drop the control plane's tables."""
    op.execute(DOWNGRADE)
