-- +goose Up

-- The dialect is what SQLite and PostgreSQL share. SQLite gives BIGINT integer affinity and keeps a
-- blob in a BYTEA column as it is. Times are milliseconds since 1970, 0 for never; flags are 0 or 1.
-- Every table that holds anything of one account has the column account first in its key, so that a
-- sharded PostgreSQL can split on it and erasure finds it.

CREATE TABLE meta (
    id      BIGINT PRIMARY KEY,
    domain  TEXT   NOT NULL,
    created BIGINT NOT NULL
);

-- An erased account keeps its row as a tombstone: the name and when.
CREATE TABLE accounts (
    name    TEXT   NOT NULL PRIMARY KEY,
    admin   BIGINT NOT NULL,
    record  BYTEA,
    created BIGINT NOT NULL,
    erased  BIGINT NOT NULL
);

CREATE TABLE account_states (
    account TEXT   NOT NULL,
    version BIGINT NOT NULL,
    hash    BYTEA  NOT NULL,
    state   BYTEA  NOT NULL,
    PRIMARY KEY (account, version)
);

CREATE TABLE devices (
    account     TEXT   NOT NULL,
    device      BYTEA  NOT NULL,
    public_key  BYTEA  NOT NULL,
    certificate BYTEA  NOT NULL,
    label       BYTEA  NOT NULL,
    created     BIGINT NOT NULL,
    seen        BIGINT NOT NULL,
    revoked     BIGINT NOT NULL,
    session     BIGINT NOT NULL,
    PRIMARY KEY (account, device)
);

CREATE TABLE vault_items (
    account TEXT   NOT NULL,
    item    TEXT   NOT NULL,
    version BIGINT NOT NULL,
    value   BYTEA  NOT NULL,
    PRIMARY KEY (account, item)
);

CREATE TABLE key_packages (
    account     TEXT   NOT NULL,
    ref         BYTEA  NOT NULL,
    device      BYTEA  NOT NULL,
    suite       BIGINT NOT NULL,
    package     BYTEA  NOT NULL,
    last_resort BIGINT NOT NULL,
    expires     BIGINT NOT NULL,
    PRIMARY KEY (account, ref)
);
CREATE INDEX key_packages_claim ON key_packages (account, device, suite, last_resort, expires);
CREATE INDEX key_packages_expiry ON key_packages (expires);

CREATE TABLE attempts (
    subject BYTEA  NOT NULL PRIMARY KEY,
    opened  BIGINT NOT NULL,
    closes  BIGINT NOT NULL,
    used    BIGINT NOT NULL
);
CREATE INDEX attempts_expiry ON attempts (closes);

CREATE TABLE tokens (
    hash    BYTEA  NOT NULL PRIMARY KEY,
    uses    BIGINT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    revoked BIGINT NOT NULL
);
CREATE INDEX tokens_expiry ON tokens (expires);

-- A message is kept once, however many inboxes it is in. The row outlives its payload, to recognise
-- a repeated send, until forget.
CREATE TABLE messages (
    channel BYTEA  NOT NULL,
    message BYTEA  NOT NULL,
    hash    BYTEA  NOT NULL,
    payload BYTEA,
    expires BIGINT NOT NULL,
    forget  BIGINT NOT NULL,
    PRIMARY KEY (channel, message)
);

-- The last sequence number given out per inbox. Whoever appends locks this row until commit, so that
-- the order of numbers is the order of commits.
CREATE TABLE mailboxes (
    account TEXT   NOT NULL PRIMARY KEY,
    last    BIGINT NOT NULL
);

CREATE TABLE inbox (
    account TEXT   NOT NULL,
    seq     BIGINT NOT NULL,
    channel BYTEA  NOT NULL,
    message BYTEA  NOT NULL,
    PRIMARY KEY (account, seq)
);

CREATE TABLE cursors (
    account TEXT   NOT NULL,
    device  BYTEA  NOT NULL,
    seq     BIGINT NOT NULL,
    moved   BIGINT NOT NULL,
    PRIMARY KEY (account, device)
);
