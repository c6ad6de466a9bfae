"""Rules of delivery: conditions, priority, time to live, blocked lanes, limits, pauses that say why, replays.

Only adds: code of the revision before goes on beside it. That code serves the bands of priority as one, which is why
`delivery_ready` stays; the migration that follows its last release may drop it.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# `conditions` is what a person wrote, `condition_path` is what is evaluated.
SUBSCRIPTIONS = """
ALTER TABLE subscription
    ADD COLUMN conditions        jsonb    NOT NULL DEFAULT '[]',
    ADD COLUMN condition_path    jsonpath,
    ADD COLUMN time_to_live      interval CHECK (time_to_live > interval '0'),
    ADD COLUMN after_dead_letter text     NOT NULL DEFAULT 'skip' CHECK (after_dead_letter IN ('skip', 'block')),
    ADD COLUMN max_backlog       integer  CHECK (max_backlog > 0),
    ADD COLUMN paused_at         timestamptz,
    ADD COLUMN paused_by         text,
    ADD COLUMN pause_reason      text;
"""

# Where a delivery is both delayed and mortal, due_at is the earlier of the two times.
DELIVERIES = """
ALTER TABLE delivery
    ADD COLUMN priority   smallint NOT NULL DEFAULT 0,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN replay     uuid;
CREATE INDEX delivery_ready_by_priority ON delivery (subscription, priority DESC, project_id, id)
    WHERE owner IS NULL AND sequence IS NULL;
CREATE INDEX delivery_mortal ON delivery (expires_at) WHERE expires_at IS NOT NULL AND owner IS NULL;

ALTER TABLE delivery_delayed
    ADD COLUMN priority   smallint NOT NULL DEFAULT 0,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN replay     uuid;
CREATE INDEX delivery_delayed_by_event ON delivery_delayed (event_id);

-- A lane may not pass an open dead letter of a subscription that blocks.
CREATE TABLE lane_block (
    uid          bigint      PRIMARY KEY,
    subscription text        NOT NULL,
    project_id   uuid        NOT NULL,
    sequence     bigint      NOT NULL,
    blocked_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX lane_block_by_lane ON lane_block (subscription, project_id, sequence);
"""

RECORDS = """
ALTER TABLE delivery_log ADD COLUMN replay uuid;
ALTER TABLE dead_letter
    ADD COLUMN priority smallint NOT NULL DEFAULT 0,
    ADD COLUMN replay   uuid;

-- What was delivered once more, for whom, and how far a long one has come.
CREATE TABLE replay (
    id             uuid        PRIMARY KEY,
    subscription   text,
    event_id       uuid,
    since          timestamptz,
    until          timestamptz,
    event_types    text[]      NOT NULL DEFAULT '{}',
    requested_by   text        NOT NULL,
    reason         text        NOT NULL,
    transaction_id xid8        NOT NULL DEFAULT '0',
    position       bigint      NOT NULL DEFAULT 0,
    count          bigint      NOT NULL DEFAULT 0,
    started_at     timestamptz NOT NULL DEFAULT now(),
    finished_at    timestamptz
);
"""

DOWNGRADE = """
DROP TABLE replay, lane_block;
ALTER TABLE dead_letter DROP COLUMN priority, DROP COLUMN replay;
ALTER TABLE delivery_log DROP COLUMN replay;
DROP INDEX delivery_delayed_by_event, delivery_mortal, delivery_ready_by_priority;
ALTER TABLE delivery_delayed DROP COLUMN priority, DROP COLUMN expires_at, DROP COLUMN replay;
ALTER TABLE delivery DROP COLUMN priority, DROP COLUMN expires_at, DROP COLUMN replay;
ALTER TABLE subscription
    DROP COLUMN conditions, DROP COLUMN condition_path, DROP COLUMN time_to_live, DROP COLUMN after_dead_letter,
    DROP COLUMN max_backlog, DROP COLUMN paused_at, DROP COLUMN paused_by, DROP COLUMN pause_reason;
"""


def upgrade() -> None:
    """Add the columns, the tables and their indexes."""
    for part in (SUBSCRIPTIONS, DELIVERIES, RECORDS):
        op.execute(part)


def downgrade() -> None:
    """Take them away again."""
    op.execute(DOWNGRADE)
