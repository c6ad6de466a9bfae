"""Grants of policies, and the audit trail."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE access_grant (
    id uuid PRIMARY KEY,
    subject text NOT NULL,
    policy text NOT NULL CHECK (policy IN ('read-only', 'editor', 'admin', 'guest')),
    tenant text NOT NULL,
    project_id uuid REFERENCES project (id),
    kinds text[],
    granted_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX access_grant_once ON access_grant (subject, policy, tenant, project_id, kinds) NULLS NOT DISTINCT;
CREATE INDEX access_grant_by_project ON access_grant (project_id);

-- Sequence numbers have no gaps, and each entry's hash covers the hash before it: what is changed or taken out shows.
CREATE TABLE audit_entry (
    sequence bigint PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    at timestamptz NOT NULL,
    subject text NOT NULL,
    tenant text NOT NULL,
    action text NOT NULL,
    resource_type text NOT NULL,
    resource_id text NOT NULL,
    project_id uuid,
    allowed boolean NOT NULL,
    document jsonb NOT NULL,
    hash bytea NOT NULL
);
CREATE INDEX audit_entry_by_subject ON audit_entry (subject, sequence);
CREATE INDEX audit_entry_by_project ON audit_entry (project_id, sequence) WHERE project_id IS NOT NULL;
CREATE INDEX audit_entry_by_tenant ON audit_entry (tenant, sequence);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only';
END $$;
CREATE TRIGGER audit_entry_stays BEFORE UPDATE OR DELETE ON audit_entry FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_trail_stays BEFORE TRUNCATE ON audit_entry FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

DOWNGRADE = """
DROP TABLE audit_entry, access_grant;
DROP FUNCTION refuse_change();
"""


def upgrade() -> None:
    """Create them."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drop them."""
    op.execute(DOWNGRADE)
