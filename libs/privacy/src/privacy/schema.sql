-- The keys of subjects. In a database of its own, whose backups are kept apart and for a short time only.

CREATE TABLE subject_keys (
    subject   text        PRIMARY KEY,
    kek       text,  -- the key-encryption key that has wrapped it
    wrapped   bytea,
    made_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    erased_at timestamptz,  -- the row is a tombstone then
    CHECK ((kek IS NULL) = (wrapped IS NULL)),
    CHECK ((wrapped IS NULL) = (erased_at IS NOT NULL))
);
CREATE INDEX subject_keys_kek ON subject_keys (kek, subject) WHERE kek IS NOT NULL;

-- An erased key never comes back.
CREATE FUNCTION subject_keys_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'subject %: % refused, its key was erased or is to be erased', OLD.subject, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER subject_keys_stay_erased BEFORE UPDATE ON subject_keys
    FOR EACH ROW WHEN (OLD.erased_at IS NOT NULL) EXECUTE FUNCTION subject_keys_refuse();
CREATE TRIGGER subject_keys_stay BEFORE DELETE ON subject_keys
    FOR EACH ROW EXECUTE FUNCTION subject_keys_refuse();

-- How far what a log orders (erasures, copies) has been carried out here. Restored with the keys, so what is missing
-- is repeated.
CREATE TABLE carried_out (
    task     text   NOT NULL,
    log_id   uuid   NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (task, log_id)
);

-- Copies of what is held of a subject, sealed to a key that only the subject has, until they are fetched or expire.
CREATE TABLE copies (
    request_id text        NOT NULL,
    subject    text        NOT NULL,
    service    text        NOT NULL,  -- whose log it is of
    box        bytea       NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (request_id, subject, service)
);
CREATE INDEX copies_subject ON copies (subject);

-- By what a subject is found: a keyed hash of a value that is sealed in the log.
CREATE TABLE tokens (
    field   text  NOT NULL,
    subject text  NOT NULL,
    token   bytea NOT NULL,
    PRIMARY KEY (field, subject)
);
CREATE INDEX tokens_token ON tokens (field, token);
CREATE INDEX tokens_subject ON tokens (subject);
