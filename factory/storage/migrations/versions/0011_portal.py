"""Sessions of the portal."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

UPGRADE = """
-- The hash of what the cookie holds: reading this table lets nobody in.
CREATE TABLE portal_session (
    hash bytea PRIMARY KEY,
    user_name text NOT NULL REFERENCES app_user (name),
    csrf text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX portal_session_by_user ON portal_session (user_name);
"""

DOWNGRADE = "DROP TABLE portal_session"


def upgrade() -> None:
    """Create them."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drop them."""
    op.execute(DOWNGRADE)
