"""Incidents."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE incident (
    id        uuid PRIMARY KEY,
    rule      text NOT NULL,
    subject   text NOT NULL,
    severity  text NOT NULL,
    figure    text NOT NULL,
    value     double precision NOT NULL,
    "limit"   double precision NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz
);
CREATE UNIQUE INDEX incident_open ON incident (rule, subject) WHERE closed_at IS NULL;
CREATE INDEX incident_by_age ON incident (opened_at);
"""


def upgrade() -> None:
    """Add the table."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE incident")
