"""Users, OAuth clients, signing keys, authorization codes, refresh tokens, revoked tokens."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE app_user (
    name text PRIMARY KEY,
    display text NOT NULL DEFAULT '',
    tenant text NOT NULL,
    roles text[] NOT NULL,
    password_hash text,
    disabled boolean NOT NULL DEFAULT false,
    failures integer NOT NULL DEFAULT 0,
    locked_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A secret is a random key, so that a plain hash of it tells nothing.
CREATE TABLE oauth_client (
    id text PRIMARY KEY,
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('service', 'public')),
    secret_hash bytea CHECK ((kind = 'service') = (secret_hash IS NOT NULL)),
    tenant text NOT NULL,
    roles text[] NOT NULL,
    scopes text[] NOT NULL,
    redirect_uris text[] NOT NULL DEFAULT '{}',
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE signing_key (
    id text PRIMARY KEY,
    public_jwk jsonb NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);
CREATE UNIQUE INDEX signing_key_active ON signing_key ((true)) WHERE retired_at IS NULL;

-- What a sign-in gave: the code, and every refresh token that came of it.
CREATE TABLE token_family (
    id uuid PRIMARY KEY,
    client_id text NOT NULL,
    user_name text NOT NULL REFERENCES app_user (name),
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    reason text
);
CREATE INDEX token_family_by_user ON token_family (user_name) WHERE revoked_at IS NULL;

CREATE TABLE authorization_code (
    hash bytea PRIMARY KEY,
    family uuid NOT NULL REFERENCES token_family (id),
    redirect_uri text NOT NULL,
    challenge text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);

CREATE TABLE refresh_token (
    hash bytea PRIMARY KEY,
    family uuid NOT NULL REFERENCES token_family (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX refresh_token_by_family ON refresh_token (family);

-- Access tokens that end before their time: by their id, or all of a subject's until a moment.
CREATE TABLE revoked_token (
    token_id text PRIMARY KEY,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE revoked_subject (
    subject text PRIMARY KEY,
    before timestamptz NOT NULL
);

CREATE TABLE sign_in_link (
    hash bytea PRIMARY KEY,
    user_name text NOT NULL REFERENCES app_user (name),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
"""

DOWNGRADE = """
DROP TABLE sign_in_link, revoked_subject, revoked_token, refresh_token, authorization_code, token_family, signing_key,
    oauth_client, app_user;
"""


def upgrade() -> None:
    """Create what the embedded issuer keeps."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drop it."""
    op.execute(DOWNGRADE)
