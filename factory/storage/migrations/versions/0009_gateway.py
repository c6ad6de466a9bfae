"""What the gateway keeps: answers to requests with an idempotency key, a secret of its replicas; lists by tenant."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UPGRADE = """
-- One row per answered request. It commits with the request's effect, so that there is never one without the other.
CREATE TABLE idempotent_answer (
    subject text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status integer NOT NULL,
    body jsonb NOT NULL,
    headers jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, key)
);
CREATE INDEX idempotent_answer_by_age ON idempotent_answer (created_at);

CREATE TABLE gateway_secret (
    name text PRIMARY KEY,
    value bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX project_by_tenant ON project (tenant, id DESC);
CREATE INDEX project_by_tenant_status ON project (tenant, status, id DESC);
CREATE INDEX task_by_agent ON task (agent, assigned_at DESC, id DESC);
"""

DOWNGRADE = """
DROP INDEX task_by_agent, project_by_tenant_status, project_by_tenant;
DROP TABLE gateway_secret, idempotent_answer;
"""


def upgrade() -> None:
    """Create them."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drop them."""
    op.execute(DOWNGRADE)
