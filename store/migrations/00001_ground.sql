-- +goose Up

-- The dialect is what SQLite and PostgreSQL share. SQLite gives BIGINT integer affinity and keeps a
-- blob in a BYTEA column as it is. Times are milliseconds since 1970, 0 for never; flags are 0 or 1.
-- Every table that holds anything of one account has the column account first in its key, so that a
-- sharded PostgreSQL can split on it and erasure finds it. Tables marked as clustered lie in the order of their key where the
-- database can do that (SQLite: WITHOUT ROWID): their rows are small.

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

-- A channel of which this server is the hub. Of a direct one, pair names both accounts. Whose it is counts where inboxes are full.
CREATE TABLE channels (
    channel  BYTEA  NOT NULL PRIMARY KEY,
    founding BYTEA  NOT NULL,
    founder  TEXT   NOT NULL,
    pair     TEXT,
    slot     BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    floor    BIGINT NOT NULL,
    epochs   BYTEA  NOT NULL,
    timer    BIGINT NOT NULL,
    payload  BIGINT NOT NULL,
    run      BIGINT NOT NULL
);
CREATE UNIQUE INDEX channels_pair ON channels (pair);

-- The accounts that a channel's messages go to, and which of their devices may send.
CREATE TABLE channel_members (
    channel BYTEA  NOT NULL,
    account TEXT   NOT NULL,
    devices BYTEA  NOT NULL,
    PRIMARY KEY (channel, account)
) /* clustered */;
CREATE INDEX channel_members_account ON channel_members (account, channel);

-- Who is being taken out of channels, where they are too many for one transaction: a device that was revoked, or an account that was
-- deleted, whose device is empty. It is out of all channels up to after.
CREATE TABLE leaving (
    account TEXT  NOT NULL,
    device  BYTEA NOT NULL,
    after   BYTEA NOT NULL,
    PRIMARY KEY (account, device)
);

-- Slots are kept for their receipts; those from which commits may go on with roster,
-- and the newest with group state.
CREATE TABLE channel_slots (
    channel     BYTEA  NOT NULL,
    slot        BIGINT NOT NULL,
    parent      BIGINT NOT NULL,
    previous    BYTEA  NOT NULL,
    hash        BYTEA  NOT NULL,
    signature   BYTEA  NOT NULL,
    time        BIGINT NOT NULL,
    sender      TEXT   NOT NULL,
    device      BYTEA  NOT NULL,
    sequence    BIGINT NOT NULL,
    epoch       BIGINT NOT NULL,
    floor       BIGINT NOT NULL,
    timer       BIGINT NOT NULL,
    payload     BIGINT NOT NULL,
    access_slot BIGINT NOT NULL,
    forget      BIGINT NOT NULL,
    roster      BYTEA,
    group_info  BYTEA,
    manifest    BYTEA,
    PRIMARY KEY (channel, slot)
);
CREATE INDEX channel_slots_expiry ON channel_slots (forget) WHERE forget > 0;

CREATE TABLE channel_chunks (
    channel BYTEA NOT NULL,
    hash    BYTEA NOT NULL,
    chunk   BYTEA NOT NULL,
    PRIMARY KEY (channel, hash)
);

-- Access keys of a channel, sealed to accounts.
CREATE TABLE channel_keys (
    account TEXT   NOT NULL,
    channel BYTEA  NOT NULL,
    slot    BIGINT NOT NULL,
    sealed  BYTEA  NOT NULL,
    PRIMARY KEY (channel, slot, account)
);
CREATE INDEX channel_keys_account ON channel_keys (account);

-- What inboxes hold is kept once, however many they are; waiting is how many rows still need the payload.
-- A message is known by the id that its sender chose, 16 bytes; what the hub itself makes by 9 bytes. The row
-- outlives its payload, to recognise repetitions. At due the payload goes, and at the next due the row.
CREATE TABLE messages (
    channel  BYTEA  NOT NULL,
    message  BYTEA  NOT NULL,
    hash     BYTEA  NOT NULL,
    sequence BIGINT NOT NULL,
    time     BIGINT NOT NULL,
    sender   TEXT   NOT NULL,
    device   BYTEA  NOT NULL,
    slot     BIGINT,
    waiting  BIGINT NOT NULL,
    due      BIGINT NOT NULL,
    payload  BYTEA,
    PRIMARY KEY (channel, message)
);
CREATE INDEX messages_due ON messages (due);

-- Payloads that are too large to be written again whenever waiting changes.
CREATE TABLE payloads (
    channel BYTEA NOT NULL,
    message BYTEA NOT NULL,
    payload BYTEA NOT NULL,
    PRIMARY KEY (channel, message)
);

-- Encrypted files, whose bytes are elsewhere: of them, stored are durable. At due it is looked whether one is needed still; expires is 0 until a
-- message refers to it. Of one to be read once, taker is who did.
CREATE TABLE blobs (
    account  TEXT   NOT NULL,
    channel  BYTEA  NOT NULL,
    blob     BYTEA  NOT NULL,
    size     BIGINT NOT NULL,
    stored   BIGINT NOT NULL,
    complete BIGINT NOT NULL,
    once     BIGINT NOT NULL,
    taker    BYTEA,
    message  BYTEA,
    created  BIGINT NOT NULL,
    expires  BIGINT NOT NULL,
    due      BIGINT NOT NULL,
    PRIMARY KEY (channel, blob)
);
CREATE INDEX blobs_account ON blobs (account);
CREATE INDEX blobs_due ON blobs (due);

-- Per inbox: the last sequence number given out, the last one whose row is gone whoever read it, and the
-- bytes that the rows count for. Whoever appends locks this row until commit, so that the order of
-- numbers is the order of commits.
CREATE TABLE mailboxes (
    account TEXT   NOT NULL PRIMARY KEY,
    last    BIGINT NOT NULL,
    dropped BIGINT NOT NULL,
    size    BIGINT NOT NULL
) /* clustered */;

CREATE TABLE inbox (
    account  TEXT   NOT NULL,
    seq      BIGINT NOT NULL,
    kind     BIGINT NOT NULL,
    channel  BYTEA  NOT NULL,
    sequence BIGINT NOT NULL,
    time     BIGINT NOT NULL,
    size     BIGINT NOT NULL,
    message  BYTEA,
    device   BYTEA,
    PRIMARY KEY (account, seq)
) /* clustered */;

CREATE TABLE cursors (
    account TEXT   NOT NULL,
    device  BYTEA  NOT NULL,
    seq     BIGINT NOT NULL,
    moved   BIGINT NOT NULL,
    PRIMARY KEY (account, device)
) /* clustered */;
