-- How far each consumer group has come, moved in the transaction that holds what its messages led to.
CREATE TABLE IF NOT EXISTS offsets (
    consumer_group text        NOT NULL,
    topic          text        NOT NULL,
    partition      integer     NOT NULL,
    topic_id       uuid        NOT NULL,  -- a topic deleted and created again has another id
    next_offset    bigint      NOT NULL,
    epoch          bigint      NOT NULL,  -- counts the claims; an instance with an older one is fenced
    owner          text        NOT NULL,  -- who claimed it last, for people
    claimed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    moved_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer_group, topic, partition)
) WITH (fillfactor = 50);

-- Messages put aside, and those of the same key behind them. Rows leave when they are applied; a discarded one stays.
CREATE TABLE IF NOT EXISTS parked (
    id                bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer_group    text        NOT NULL,
    topic             text        NOT NULL,
    partition         integer     NOT NULL,
    "offset"          bigint      NOT NULL,
    key               bytea,
    key_hash          bytea       GENERATED ALWAYS AS (sha256(key)) STORED,  -- a key may be too long for an index
    value             bytea,
    headers           json        NOT NULL,  -- [[name, value in base64 or null], …] as they came
    reason            text        NOT NULL CHECK (reason IN ('malformed', 'unknown', 'failed', 'waiting', 'behind')),
    error             text        NOT NULL,
    attempts          integer     NOT NULL,
    parked_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    retry_at          timestamptz,           -- null: waits for a person, or for the message before it
    discarded_at      timestamptz,
    discarded_because text,
    CHECK ((discarded_at IS NULL) = (discarded_because IS NULL))
);
CREATE INDEX IF NOT EXISTS parked_by_key ON parked (consumer_group, topic, key_hash, "offset")
    WHERE discarded_at IS NULL;
CREATE INDEX IF NOT EXISTS parked_due ON parked (consumer_group, retry_at)
    WHERE discarded_at IS NULL AND retry_at IS NOT NULL;

-- Groups whose log is being recovered: their instances wait.
CREATE TABLE IF NOT EXISTS recovering (
    consumer_group text        PRIMARY KEY,
    begun_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Messages at or behind the group's offsets that took effect before the log was recovered (see settled.py).
CREATE TABLE IF NOT EXISTS settled (
    consumer_group text    NOT NULL,
    topic          text    NOT NULL,
    partition      integer NOT NULL,
    key_hash       bytea   NOT NULL,
    first_offset   bigint  NOT NULL,  -- all of the key from here, 0 where a message took effect,
    next_offset    bigint  NOT NULL,  -- to the one before this
    PRIMARY KEY (consumer_group, topic, key_hash, partition, first_offset)
);
