"""Semantic memory: collections, their segments, tombstones and documents; tenants of projects."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Every change of a collection raises its version in the transaction that makes the change, which puts changes in an
# order that readers can follow: a version that is seen has no earlier one still to come.
COLLECTIONS = """
CREATE TABLE memory_collection (
    name text PRIMARY KEY,
    model text NOT NULL,
    dimension integer NOT NULL CHECK (dimension > 0),
    normalised boolean NOT NULL,
    version bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The sequence says which of two rows of one chunk is the later; a compacted segment inherits it.
CREATE TABLE memory_segment (
    id uuid PRIMARY KEY,
    collection text NOT NULL REFERENCES memory_collection (name),
    url text NOT NULL,
    hash text NOT NULL,
    rows bigint NOT NULL CHECK (rows > 0),
    size bigint NOT NULL,
    sequence bigint NOT NULL,
    version bigint NOT NULL,
    dropped_version bigint,
    dropped_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (collection, url)
);
CREATE UNIQUE INDEX memory_segment_live ON memory_segment (collection, sequence) WHERE dropped_version IS NULL;
CREATE INDEX memory_segment_by_version ON memory_segment (collection, version);
CREATE INDEX memory_segment_dropped ON memory_segment (collection, dropped_version) WHERE dropped_version IS NOT NULL;

-- The chunk is dead in every segment up to the sequence.
CREATE TABLE memory_tombstone (
    collection text NOT NULL REFERENCES memory_collection (name),
    chunk_id bytea NOT NULL CHECK (length(chunk_id) = 16),
    sequence bigint NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (collection, chunk_id)
);
CREATE INDEX memory_tombstone_by_version ON memory_tombstone (collection, version);

-- What is alive of each document: the ids of its chunks, in order.
CREATE TABLE memory_document (
    collection text NOT NULL REFERENCES memory_collection (name),
    tenant text NOT NULL,
    key text NOT NULL,
    project_id text NOT NULL,
    kind text NOT NULL,
    version integer NOT NULL,
    chunk_ids bytea[] NOT NULL,
    sequence bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection, tenant, key)
);
CREATE INDEX memory_document_by_project ON memory_document (collection, project_id);
"""

TENANTS = "ALTER TABLE project ADD COLUMN tenant text NOT NULL DEFAULT 'default'"

DOWNGRADE = """
ALTER TABLE project DROP COLUMN tenant;
DROP TABLE memory_document, memory_tombstone, memory_segment, memory_collection;
"""


def upgrade() -> None:
    """Create the registry of semantic memory."""
    op.execute(COLLECTIONS)
    op.execute(TENANTS)


def downgrade() -> None:
    """Drop it again; segments stay where they lie."""
    op.execute(DOWNGRADE)
