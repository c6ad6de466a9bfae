"""Sagas with their compensations, withdrawn artifacts, sandbox projects, edited dead letters."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# The key makes "each step is undone once" a fact. Positions say in which order it happened.
SAGAS = """
CREATE TABLE saga (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES project (id),
    revision integer NOT NULL,
    reason text NOT NULL,
    from_step text,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'completed', 'failed')),
    requested_by uuid NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
CREATE UNIQUE INDEX saga_unfinished ON saga (project_id) WHERE state <> 'completed';
CREATE INDEX saga_by_project ON saga (project_id, requested_at);

CREATE TABLE compensation (
    project_id uuid NOT NULL REFERENCES project (id),
    revision integer NOT NULL,
    step text NOT NULL,
    saga_id uuid NOT NULL REFERENCES saga (id),
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'running', 'done', 'failed', 'skipped')),
    position integer,
    round integer NOT NULL DEFAULT 0,
    task_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz,
    PRIMARY KEY (project_id, revision, step),
    UNIQUE (saga_id, position)
);
CREATE UNIQUE INDEX compensation_one_at_a_time ON compensation (saga_id) WHERE state = 'running';
"""

# A withdrawal's commit stands behind the artifact commit of that position, and behind earlier withdrawals there.
WITHDRAWALS = """
ALTER TABLE artifact DROP CONSTRAINT artifact_status_check;
ALTER TABLE artifact ADD CONSTRAINT artifact_status_check
    CHECK (status IN ('pending', 'valid', 'invalid', 'withdrawn')) NOT VALID;
ALTER TABLE artifact VALIDATE CONSTRAINT artifact_status_check;

CREATE TABLE withdrawal (
    artifact_id uuid PRIMARY KEY REFERENCES artifact (id),
    project_id uuid NOT NULL REFERENCES project (id),
    task_id uuid NOT NULL,
    position integer NOT NULL,
    number integer NOT NULL,
    commit_sha char(40) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (project_id, position, number)
);
"""

ADDITIONS = """
ALTER TABLE project ADD COLUMN sandbox_of uuid REFERENCES project (id);
ALTER TABLE dead_letter
    ADD COLUMN edited_payload jsonb, ADD COLUMN edited_by text, ADD COLUMN edited_at timestamptz;
"""

DOWNGRADE = """
ALTER TABLE dead_letter DROP COLUMN edited_payload, DROP COLUMN edited_by, DROP COLUMN edited_at;
ALTER TABLE project DROP COLUMN sandbox_of;
DROP TABLE withdrawal, compensation, saga;
"""


def upgrade() -> None:
    """Create what compensation, replay and the mending of dead letters need."""
    for part in (SAGAS, WITHDRAWALS, ADDITIONS):
        op.execute(part)


def downgrade() -> None:
    """Drop it again. Artifacts keep the status `withdrawn`, and so the wider constraint stays."""
    op.execute(DOWNGRADE)
