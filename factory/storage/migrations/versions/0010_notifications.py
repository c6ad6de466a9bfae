"""Notifications: what people were told, and whether it went out."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

UPGRADE = """
-- The id is that of the event that asks for it.
CREATE TABLE notification (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    project_id uuid REFERENCES project (id),
    channel text NOT NULL,
    subject text NOT NULL,
    severity text NOT NULL,
    requested_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz
);
CREATE INDEX notification_by_tenant ON notification (tenant, id DESC);
CREATE INDEX dead_letter_by_event ON dead_letter (event_id);
"""

DOWNGRADE = """
DROP INDEX dead_letter_by_event;
DROP TABLE notification;
"""


def upgrade() -> None:
    """Create them."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drop them."""
    op.execute(DOWNGRADE)
