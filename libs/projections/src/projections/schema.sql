-- What the runner remembers about each generation (a schema with rows of one projection), beside its rows.

-- Everything up to `position` has taken effect in the schema named `subscription`. Moved by compare-and-set in the
-- transaction that writes the rows; the row's lock serialises runners, retries and swaps. While a generation is divided
-- its position is NULL, and each partition has a row of its own: `<schema>#0/2` and `<schema>#1/2`.
CREATE TABLE checkpoints (
    subscription text        PRIMARY KEY,
    position     bigint      CHECK (position >= 0),
    fingerprint  text        NOT NULL, -- of the declarations that the schema's tables were made from
    partitions   integer     NOT NULL DEFAULT 1 CHECK (partitions > 0), -- into how many the live workers divide it
    updated_at   timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- How far each is: a divided generation as far as the slowest of its partitions.
CREATE VIEW progress AS
    SELECT c.subscription, coalesce(c.position, min(p.position)) AS position,
           coalesce(c.position, max(p.position)) AS furthest, greatest(count(p.position), 1) AS partitions
    FROM checkpoints AS c
    LEFT JOIN checkpoints AS p ON c.position IS NULL AND starts_with(p.subscription, c.subscription || '#')
    GROUP BY c.subscription;

-- Events that did not take effect: the one that failed (`error`), and later ones of its key waiting behind it.
CREATE TABLE dead_letters (
    subscription text        NOT NULL,
    position     bigint      NOT NULL,
    key          text        NOT NULL,
    event_id     uuid        NOT NULL,
    type         text        NOT NULL,
    error        text,
    attempts     integer     NOT NULL,
    parked_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subscription, position)
);
CREATE INDEX dead_letters_key ON dead_letters (subscription, key, position);

-- What people asked of a generation: to stand still, or, of one being built, to go slower.
CREATE TABLE controls (
    subscription      text        PRIMARY KEY,
    paused_at         timestamptz,
    paused_by         text,
    why               text,
    events_per_second integer     CHECK (events_per_second > 0),
    CHECK ((paused_at IS NULL) = (paused_by IS NULL))
);

-- Roles that may read the rows of each generation made from now on, as far as its policies show them.
CREATE TABLE readers (
    role name PRIMARY KEY
);
