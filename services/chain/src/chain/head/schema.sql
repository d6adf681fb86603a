-- The head log: what chain.head is told, in its order. Positions have no gaps: an append names the last one before it.
CREATE TABLE head_entries (
    position bigint PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
    type text NOT NULL,
    number bigint NOT NULL,
    hash text NOT NULL,
    part int,             -- of an added block; these two are in data, too, which may be large
    solidified bigint,
    data text NOT NULL,   -- the message as JSON: written once, published as it is
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Kept for days and read once: compressing it would cost more than all else that is done with it.
ALTER TABLE head_entries ALTER data SET STORAGE EXTERNAL;
