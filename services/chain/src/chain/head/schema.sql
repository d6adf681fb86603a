-- The head log: what chain.head is told, in its order. Positions have no gaps: an append names the last one before it.
CREATE TABLE head_entries (
    position bigint PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
    type text NOT NULL,
    number bigint NOT NULL,
    hash text NOT NULL,
    part int,             -- of an added block; these two are in data, too, which may be large
    solidified bigint,
    data jsonb NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
