"""One index of what is ready: `delivery_ready_by_priority` took the place of `delivery_ready` with 0003.

Every delivery was entered into both. No release since then reads the old one.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

DOWNGRADE = """
CREATE INDEX delivery_ready ON delivery (subscription, project_id, id) WHERE owner IS NULL AND sequence IS NULL
"""


def upgrade() -> None:
    """Drop the index that nobody reads."""
    op.execute("DROP INDEX delivery_ready")


def downgrade() -> None:
    """Make it again."""
    op.execute(DOWNGRADE)
