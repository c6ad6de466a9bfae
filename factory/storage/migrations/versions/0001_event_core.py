"""The event log, the deliveries and their records.

`event` and `delivery_log` only ever grow and are partitioned by day, so that retention drops a table instead of
deleting rows. `delivery` is the hot table: thin rows, partial indexes, aggressive vacuum. Work that waits for a
time stands in `delivery_delayed` and enters `delivery` when it is due.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# An event is written once. transaction_id orders readers by offset: everything below the oldest running
# transaction is final, so a reader that stops there never misses a late committer.
EVENT_LOG = """
CREATE SEQUENCE event_position AS bigint;

CREATE TABLE event (
    position          bigint      NOT NULL DEFAULT nextval('event_position'),
    transaction_id    xid8        NOT NULL DEFAULT pg_current_xact_id(),
    recorded_at       timestamptz NOT NULL DEFAULT now(),
    event_id          uuid        NOT NULL,
    event_type        text        NOT NULL,
    version           smallint    NOT NULL,
    topic             text        NOT NULL,
    project_id        uuid,
    originating_agent text        NOT NULL,
    trace_id          text        NOT NULL,
    traceparent       text        NOT NULL,
    correlation_id    uuid        NOT NULL,
    causation_id      uuid,
    "timestamp"       timestamptz NOT NULL,
    artifact_uri      text,
    payload           jsonb       NOT NULL,
    PRIMARY KEY (event_id, recorded_at)
) PARTITION BY RANGE (recorded_at);
CREATE INDEX event_by_order ON event (transaction_id, position);
CREATE INDEX event_by_project ON event (project_id, transaction_id, position);

CREATE TABLE event_key (
    event_id    uuid PRIMARY KEY,
    recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX event_key_by_age ON event_key USING brin (recorded_at);
"""

SUBSCRIPTIONS = """
CREATE TABLE subscription (
    name           text PRIMARY KEY,
    topics         text[]   NOT NULL DEFAULT '{}',
    event_types    text[]   NOT NULL DEFAULT '{}',
    projects       uuid[]   NOT NULL DEFAULT '{}',
    agents         text[]   NOT NULL DEFAULT '{}',
    payload        jsonb    NOT NULL DEFAULT '{}',
    max_attempts   smallint NOT NULL DEFAULT 5,
    max_losses     smallint NOT NULL DEFAULT 50,
    lease          interval NOT NULL DEFAULT '10 minutes',
    ordered        boolean  NOT NULL DEFAULT false,
    priority       smallint NOT NULL DEFAULT 0,
    active         boolean  NOT NULL DEFAULT true,
    paused         boolean  NOT NULL DEFAULT false,
    declared_at    timestamptz NOT NULL DEFAULT now()
);
"""

# A process that takes deliveries is one epoch; its successor of the same name is another.
OWNERS = """
CREATE TABLE delivery_owner (
    epoch      uuid PRIMARY KEY,
    name       text        NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    lease      interval    NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz
) WITH (fillfactor = 50);
CREATE INDEX delivery_owner_live ON delivery_owner (name) WHERE ended_at IS NULL;
"""

DELIVERIES = """
CREATE SEQUENCE delivery_id AS bigint;
CREATE SEQUENCE delivery_uid AS bigint;

CREATE TABLE delivery (
    id           bigint      NOT NULL DEFAULT nextval('delivery_id') PRIMARY KEY,
    uid          bigint      NOT NULL DEFAULT nextval('delivery_uid'),
    subscription text        NOT NULL,
    event_id     uuid        NOT NULL,
    recorded_at  timestamptz NOT NULL,
    project_id   uuid        NOT NULL,
    sequence     bigint,
    not_before   timestamptz,
    attempt      smallint    NOT NULL DEFAULT 0,
    crash_count  smallint    NOT NULL DEFAULT 0,
    losses       smallint    NOT NULL DEFAULT 0,
    fence        bigint      NOT NULL DEFAULT 0,
    owner        uuid,
    claim        uuid,
    deadline     timestamptz
) WITH (
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_analyze_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX delivery_ready ON delivery (subscription, project_id, id) WHERE owner IS NULL AND sequence IS NULL;
CREATE INDEX delivery_lane ON delivery (subscription, project_id, sequence) WHERE sequence IS NOT NULL;
CREATE UNIQUE INDEX delivery_one_in_lane ON delivery (subscription, project_id)
    WHERE sequence IS NOT NULL AND owner IS NOT NULL;
CREATE INDEX delivery_taken ON delivery (owner, deadline) WHERE owner IS NOT NULL;

CREATE TABLE delivery_delayed (
    uid          bigint      PRIMARY KEY DEFAULT nextval('delivery_uid'),
    subscription text        NOT NULL,
    event_id     uuid        NOT NULL,
    recorded_at  timestamptz NOT NULL,
    project_id   uuid        NOT NULL,
    attempt      smallint    NOT NULL DEFAULT 0,
    crash_count  smallint    NOT NULL DEFAULT 0,
    losses       smallint    NOT NULL DEFAULT 0,
    fence        bigint      NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX delivery_delayed_due ON delivery_delayed (due_at);
CREATE INDEX delivery_delayed_by_subscription ON delivery_delayed (subscription);

-- Locked by a publisher until it commits, so that the order of sequences is the order of commits.
CREATE TABLE project_sequence (
    project_id uuid   PRIMARY KEY,
    last       bigint NOT NULL
) WITH (fillfactor = 50);
"""

RECORDS = """
CREATE TABLE delivery_log (
    logged_at    timestamptz NOT NULL DEFAULT now(),
    uid          bigint      NOT NULL,
    subscription text        NOT NULL,
    event_id     uuid        NOT NULL,
    project_id   uuid        NOT NULL,
    outcome      text        NOT NULL,
    attempt      smallint    NOT NULL,
    crash_count  smallint    NOT NULL,
    losses       smallint    NOT NULL,
    fence        bigint      NOT NULL,
    owner        uuid,
    category     text,
    error        text,
    details      jsonb
) PARTITION BY RANGE (logged_at);
CREATE INDEX delivery_log_by_uid ON delivery_log (uid);
CREATE INDEX delivery_log_by_event ON delivery_log (event_id);

CREATE TABLE dead_letter (
    uid          bigint      PRIMARY KEY,
    subscription text        NOT NULL,
    event_id     uuid        NOT NULL,
    recorded_at  timestamptz NOT NULL,
    project_id   uuid        NOT NULL,
    category     text        NOT NULL,
    reason       text        NOT NULL,
    error_type   text        NOT NULL DEFAULT '',
    error        text        NOT NULL DEFAULT '',
    stack        text        NOT NULL DEFAULT '',
    attempts     smallint    NOT NULL,
    crash_count  smallint    NOT NULL,
    losses       smallint    NOT NULL,
    fence        bigint      NOT NULL,
    event        jsonb       NOT NULL,
    dead_at      timestamptz NOT NULL DEFAULT now(),
    state        text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'redriven', 'discarded')),
    resolved_at  timestamptz,
    resolved_by  text,
    resolution   text
);
CREATE INDEX dead_letter_open ON dead_letter (dead_at) WHERE state = 'open';
CREATE INDEX dead_letter_by_project ON dead_letter (project_id, dead_at);
"""

# The default partitions catch what arrives on a day nobody prepared; a day that already has rows there stays there.
PARTITIONS = """
CREATE TABLE event_other PARTITION OF event DEFAULT;
CREATE TABLE delivery_log_other PARTITION OF delivery_log DEFAULT;

CREATE FUNCTION create_day_partitions(first date, days integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    day date;
    made integer := 0;
BEGIN
    FOREACH parent IN ARRAY ARRAY['event', 'delivery_log'] LOOP
        FOR day IN SELECT first + n FROM generate_series(0, days - 1) AS n LOOP
            IF to_regclass(format('%I', parent || to_char(day, '_YYYYMMDD'))) IS NULL THEN
                BEGIN
                    EXECUTE format(
                        'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                        parent || to_char(day, '_YYYYMMDD'), parent,
                        day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
                    made := made + 1;
                EXCEPTION WHEN check_violation OR duplicate_table THEN
                    NULL;
                END;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;

SELECT create_day_partitions((now() AT TIME ZONE 'UTC')::date, 3);
"""

TABLES = (
    "dead_letter",
    "delivery_log",
    "project_sequence",
    "delivery_delayed",
    "delivery",
    "delivery_owner",
    "subscription",
    "event_key",
    "event",
)


def upgrade() -> None:
    """Create the tables of the event core."""
    for part in (EVENT_LOG, SUBSCRIPTIONS, OWNERS, DELIVERIES, RECORDS, PARTITIONS):
        op.execute(part)


def downgrade() -> None:
    """Drop the tables of the event core."""
    op.execute("DROP FUNCTION create_day_partitions")
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
    for sequence in ("delivery_uid", "delivery_id", "event_position"):
        op.execute(f"DROP SEQUENCE {sequence}")
