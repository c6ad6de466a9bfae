"""Tags of dead letters, and the questions put to people about them."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Only columns that may be null and new indexes and tables, so that older processes go on beside newer ones.
UPGRADE = """
ALTER TABLE dead_letter
    ADD COLUMN agent text,
    ADD COLUMN step text,
    ADD COLUMN event_type text,
    ADD COLUMN severity text,
    ADD COLUMN criticality text,
    ADD COLUMN trace_id text;
CREATE INDEX dead_letter_by_subscription ON dead_letter (subscription, dead_at);

CREATE TABLE escalation (
    id               uuid PRIMARY KEY,
    project_id       uuid REFERENCES project (id),
    letter           bigint,
    fence            bigint,
    breach           text,
    task_id          uuid,
    step             text NOT NULL DEFAULT '',
    agent            text NOT NULL,
    subscription     text NOT NULL,
    severity         text NOT NULL,
    criticality      text NOT NULL,
    rule             text NOT NULL,
    question         text NOT NULL,
    options          text[] NOT NULL,
    owners           text[] NOT NULL,
    channel          text NOT NULL,
    fallback         text NOT NULL,
    reassign_to      text,
    state            text NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'approved', 'rejected', 'retried', 'expired')),
    deadline         timestamptz NOT NULL,
    raised           jsonb NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    decided_at       timestamptz,
    decided_by       text,
    note             text
);
CREATE INDEX escalation_open ON escalation (project_id) WHERE state = 'open';
CREATE INDEX escalation_by_age ON escalation (created_at);
CREATE INDEX escalation_by_breach ON escalation (subscription, created_at) WHERE breach IS NOT NULL;
CREATE UNIQUE INDEX escalation_one_per_letter ON escalation (letter) WHERE state = 'open' AND letter IS NOT NULL;
CREATE UNIQUE INDEX escalation_one_per_breach ON escalation (breach) WHERE state = 'open' AND breach IS NOT NULL;
"""

DOWNGRADE = """
DROP TABLE escalation;
DROP INDEX dead_letter_by_subscription;
ALTER TABLE dead_letter
    DROP COLUMN agent, DROP COLUMN step, DROP COLUMN event_type, DROP COLUMN severity, DROP COLUMN criticality,
    DROP COLUMN trace_id;
"""


def upgrade() -> None:
    """Add the tags and the table of escalations."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Take the tags and the table of escalations away."""
    op.execute(DOWNGRADE)
