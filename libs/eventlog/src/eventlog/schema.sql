-- The log: two tables, one sequence, and the rules that nobody can forget to follow.

CREATE TABLE streams (
    stream  text   PRIMARY KEY,
    version bigint NOT NULL CHECK (version > 0)
) WITH (fillfactor = 80);

CREATE SEQUENCE events_position AS bigint CACHE 1;  -- a cache would let a session draw positions before it is fenced

CREATE TABLE events (
    position     bigint      PRIMARY KEY DEFAULT nextval('events_position'),
    stream       text        NOT NULL,
    version      bigint      NOT NULL,
    event_id     uuid        NOT NULL CONSTRAINT events_event_id UNIQUE,
    type         text        NOT NULL,
    type_version integer     NOT NULL,
    data         json        NOT NULL,  -- as it was written: jsonb is taken apart and put together at each reading
    metadata     jsonb       NOT NULL,
    occurred_at  timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT events_stream_version UNIQUE (stream, version)
);
ALTER SEQUENCE events_position OWNED BY events.position;

-- The identity of this log: consumers and the relay tell a restored or replaced log from the one they knew.
CREATE TABLE log_identity (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    log_id uuid    NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO log_identity DEFAULT VALUES;

-- Append-only.
CREATE FUNCTION events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_refuse_change();

-- Merkle roots of segments of the log, each chained to the one before: what was sealed can't change unnoticed.
CREATE TABLE seals (
    number         bigint      PRIMARY KEY CHECK (number > 0),
    first_position bigint      NOT NULL UNIQUE,
    last_position  bigint      NOT NULL CHECK (last_position BETWEEN first_position AND first_position + 65535),
    events         bigint      NOT NULL,
    root           bytea       NOT NULL CHECK (octet_length(root) = 32),
    previous       bytea       NOT NULL UNIQUE CHECK (octet_length(previous) = 32),
    hash           bytea       NOT NULL CHECK (octet_length(hash) = 32),
    sealed_at      timestamptz NOT NULL
);
CREATE TRIGGER seals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON seals
    FOR EACH STATEMENT EXECUTE FUNCTION events_refuse_change();

-- A log that is being restored takes no other appends (see restore.py). The trigger sleeps until then, so it costs none.
CREATE TABLE log_restore (
    one            boolean     PRIMARY KEY DEFAULT true CHECK (one),
    after_position bigint      NOT NULL,  -- where the log ended when its restoration began
    begun_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION events_refuse_append() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('eventlog.restoring', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION 'the log is closed while it is restored' USING ERRCODE = 'cannot_connect_now';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER events_closed BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION events_refuse_append();
ALTER TABLE events DISABLE TRIGGER events_closed;

-- The fence. A statement trigger runs before the first default is drawn, so every writer holds the shared lock
-- before it holds a position; readers wait for the holders they have seen (see watermark.py).
CREATE FUNCTION events_fence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1095650892, 1);
    RETURN NULL;
END $$;
CREATE TRIGGER events_fence BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION events_fence();

-- First the highest position drawn so far, then who may still be writing at or below it. In this order.
CREATE FUNCTION events_drawn(OUT drawn bigint, OUT writers text[]) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END INTO drawn FROM events_position;
    writers := events_writers(NULL);
END $$;

-- Transactions holding the fence, all of them or those among `known`.
CREATE FUNCTION events_writers(known text[]) RETURNS text[] LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(array_agg(virtualtransaction), '{}') FROM pg_locks
    WHERE locktype = 'advisory' AND classid = 1095650892 AND objid = 1 AND objsubid = 2 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (known IS NULL OR virtualtransaction = ANY (known))
$$;

-- Compare-and-set of the streams of one append, given sorted by name. Returns the version each has now.
-- A mismatch is error AN001 (wrong expected version) with the stream, the expected and the found in the detail.
CREATE FUNCTION take_streams(names text[], expected bigint[], counts integer[]) RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    versions bigint[];  -- in the order of the names, in which the rows are taken
    wrong    integer;
BEGIN
    WITH taken AS (
        INSERT INTO streams AS s (stream, version)
        SELECT n, c FROM unnest(names, counts) AS wanted(n, c)
        ON CONFLICT (stream) DO UPDATE SET version = s.version + excluded.version
        RETURNING s.version
    )
    SELECT array_agg(version) INTO versions FROM taken;

    SELECT i INTO wrong FROM generate_subscripts(names, 1) AS i
    WHERE expected[i] >= 0 AND expected[i] <> versions[i] - counts[i] ORDER BY i LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'stream %: expected version %, found %',
            names[wrong], expected[wrong], versions[wrong] - counts[wrong]
            USING ERRCODE = 'AN001',
                  DETAIL = json_build_array(names[wrong], expected[wrong], versions[wrong] - counts[wrong])::text;
    END IF;
    RETURN versions;
END $$;

-- Appends in one round trip. Event i belongs to names[stream_index[i]] and is its offset_in_stream[i]-th new one.
-- Returns the version that each stream has now, and the position of each event.
CREATE FUNCTION append_events(
    names text[], expected bigint[], counts integer[],
    stream_index integer[], offset_in_stream integer[], ids uuid[], types text[], type_versions integer[],
    payloads json[], metadatas jsonb[], times timestamptz[],
    OUT versions bigint[], OUT positions bigint[]
) LANGUAGE plpgsql AS $$
BEGIN
    versions := take_streams(names, expected, counts);
    WITH added AS (
        INSERT INTO events (stream, version, event_id, type, type_version, data, metadata, occurred_at)
        SELECT names[s], versions[s] - counts[s] + o, i, t, v, d, m, at
        FROM unnest(stream_index, offset_in_stream, ids, types, type_versions, payloads, metadatas, times)
             AS e(s, o, i, t, v, d, m, at)
        RETURNING position
    )
    SELECT array_agg(position ORDER BY position) INTO positions FROM added;
END $$;
