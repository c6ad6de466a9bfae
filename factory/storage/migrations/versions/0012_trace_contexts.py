"""The trace that a project continues."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; projects of before began traces of their own."""
    op.execute("ALTER TABLE project ADD COLUMN caused_by text")


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE project DROP COLUMN caused_by")
