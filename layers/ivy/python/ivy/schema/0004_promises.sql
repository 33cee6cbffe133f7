-- What is promised beside the money: the answer to a retried request, the events that announce a
-- change, and the work that must still be done. All three are written in the money's transaction.

-- The truth behind Idempotency-Key. The row is inserted before anything else happens, so a racing
-- copy waits on the primary key; the stored answer is written before the commit.
CREATE TABLE idempotency_keys (
    merchant_id bigint      NOT NULL,
    livemode    boolean     NOT NULL,
    scope       bytea       NOT NULL CHECK (length(scope) = 32),
    fingerprint bytea       NOT NULL CHECK (length(fingerprint) = 32),
    status      smallint,
    body        bytea,
    provisional boolean     NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (merchant_id, livemode, scope),
    CHECK ((status IS NULL) = (body IS NULL))
) WITH (fillfactor = 80);
COMMENT ON COLUMN idempotency_keys.scope IS 'SHA-256 of method, route and key.';
COMMENT ON COLUMN idempotency_keys.provisional IS 'The caller waits for an outcome that was not known yet.';
COMMENT ON COLUMN idempotency_keys.fingerprint IS 'SHA-256 of method, path and canonical body.';
-- not brin: expiry frees space, and a range that has been reused holds every age
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

CREATE TABLE events (
    merchant_id bigint      NOT NULL,
    livemode    boolean     NOT NULL,
    id          uuid        NOT NULL,
    object_id   uuid        NOT NULL,
    version     integer     NOT NULL CHECK (version >= 1),
    type        text        NOT NULL,
    data        jsonb       NOT NULL,
    -- the posting that this change made, where it moved money
    ledger_transaction uuid UNIQUE,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id),
    -- every change of state has exactly one event
    UNIQUE (merchant_id, livemode, object_id, version)
);

-- Work that a committed change still owes. The row stays until the work is *done*: its consumer
-- deletes it in the transaction of the effect, so the deletion is also the claim that makes a
-- duplicate delivery harmless. Whatever is overdue is sent again by the relay.
CREATE TABLE outbox (
    id              uuid        PRIMARY KEY,
    merchant_id     bigint      NOT NULL,
    livemode        boolean     NOT NULL,
    queue           text        NOT NULL,
    subject         uuid        NOT NULL,
    action          text        NOT NULL,
    amount          bigint      CHECK (amount > 0),
    correlation     text        NOT NULL,
    sends           integer     NOT NULL DEFAULT 1,
    next_send_at    timestamptz NOT NULL,
    expected_at     timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    -- one thing at a time: a capture and a cancellation cannot both be under way
    CONSTRAINT one_open_operation UNIQUE (subject)
);
COMMENT ON COLUMN outbox.action IS 'What is to be done about the subject: authorize, capture, refund, …';
COMMENT ON COLUMN outbox.expected_at IS 'When it should be done; later than that, it is stuck.';
CREATE INDEX outbox_due ON outbox (next_send_at);
CREATE INDEX outbox_expected ON outbox (expected_at);

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
ALTER TABLE events FORCE ROW LEVEL SECURITY;
ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox FORCE ROW LEVEL SECURITY;

CREATE POLICY own ON idempotency_keys TO ivy_app
    USING (merchant_id = current_merchant() AND livemode = current_livemode());
-- an answer that was given is never rewritten, except by the outcome that it was waiting for
CREATE POLICY unanswered ON idempotency_keys AS RESTRICTIVE FOR UPDATE TO ivy_app
    USING (body IS NULL OR provisional) WITH CHECK (true);
CREATE POLICY own ON events TO ivy_app
    USING (merchant_id = current_merchant() AND livemode = current_livemode());
CREATE POLICY own ON outbox TO ivy_app
    USING (merchant_id = current_merchant() AND livemode = current_livemode());
CREATE POLICY every ON idempotency_keys TO ivy_jobs USING (true);
CREATE POLICY every ON outbox TO ivy_jobs USING (true);
CREATE POLICY every ON events FOR SELECT TO ivy_jobs, ivy_read USING (true);
CREATE POLICY reading ON idempotency_keys FOR SELECT TO ivy_read USING (true);
CREATE POLICY reading ON outbox FOR SELECT TO ivy_read USING (true);

GRANT SELECT, INSERT ON idempotency_keys TO ivy_app;
GRANT UPDATE (status, body, provisional) ON idempotency_keys TO ivy_app;
GRANT SELECT (merchant_id, livemode, scope, created_at), DELETE ON idempotency_keys TO ivy_jobs;
-- not the body: whoever proves the books asks whether a key was answered, not what
GRANT SELECT (merchant_id, livemode, scope, status, provisional, created_at)
    ON idempotency_keys TO ivy_read;
GRANT SELECT, INSERT ON events TO ivy_app;
GRANT SELECT ON events TO ivy_jobs, ivy_read;
GRANT SELECT, INSERT, DELETE ON outbox TO ivy_app;
GRANT UPDATE (action, next_send_at, expected_at) ON outbox TO ivy_app;
GRANT SELECT, INSERT, UPDATE (sends, next_send_at) ON outbox TO ivy_jobs;
GRANT SELECT ON outbox TO ivy_read;
