-- Test clocks: how far a merchant's test mode is ahead of the real time. Live mode has no clock.

CREATE TABLE test_clocks (
    merchant_id    bigint      NOT NULL,
    livemode       boolean     NOT NULL DEFAULT false CHECK (NOT livemode),
    id             uuid        NOT NULL,
    created_at     timestamptz NOT NULL,
    ahead          interval    NOT NULL DEFAULT '0',
    target         timestamptz,
    status         text        NOT NULL DEFAULT 'advancing' CHECK (status IN ('advancing', 'ready')),
    version        integer     NOT NULL DEFAULT 1,
    -- how its advance is getting on
    turns          integer     NOT NULL DEFAULT 0 CHECK (turns >= 0),
    held_until     timestamptz,
    looked_at      timestamptz,
    passed_over    timestamptz,
    PRIMARY KEY (merchant_id, livemode),
    CONSTRAINT ahead_within_limits CHECK (ahead BETWEEN '0' AND '1827 days'),
    CONSTRAINT advancing_means_whereto CHECK ((status = 'advancing') = (target IS NOT NULL))
);
COMMENT ON COLUMN test_clocks.ahead IS 'The merchant''s present is the real time and this.';
COMMENT ON COLUMN test_clocks.turns IS 'Invocations that waited in vain since it last moved.';
COMMENT ON COLUMN test_clocks.held_until IS
    'In real time: somebody is moving it, and nobody else does before.';
COMMENT ON COLUMN test_clocks.looked_at IS
    'In real time: when it was last looked for what had come due meanwhile.';
COMMENT ON COLUMN test_clocks.passed_over IS
    'On the clock: what was due by then was waited for in vain, and is not waited for again.';
CREATE INDEX test_clocks_moved ON test_clocks (looked_at NULLS FIRST) WHERE ahead > '0';

CREATE FUNCTION check_test_clock_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.ahead < OLD.ahead THEN
        RAISE EXCEPTION 'test clock %: time does not go back', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF (OLD.version, OLD.status) IS DISTINCT FROM (NEW.version, NEW.status) THEN
        PERFORM check_transition(
            'test_clock', OLD.id, OLD.status, NEW.status, OLD.version, NEW.version);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER legal_change BEFORE UPDATE ON test_clocks
    FOR EACH ROW EXECUTE FUNCTION check_test_clock_change();

INSERT INTO transitions (object, from_status, to_status, event, posting) VALUES
    ('test_clock', '', 'advancing', 'test_clock.advancing', NULL),
    ('test_clock', 'advancing', 'ready', 'test_clock.ready', NULL),
    ('test_clock', 'ready', 'advancing', 'test_clock.advancing', NULL);

ALTER TABLE test_clocks ENABLE ROW LEVEL SECURITY;
ALTER TABLE test_clocks FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON test_clocks TO ivy_app
    USING (merchant_id = current_merchant() AND livemode = current_livemode());
CREATE POLICY every ON test_clocks TO ivy_jobs USING (true);
CREATE POLICY reading ON test_clocks FOR SELECT TO ivy_read, ivy_settle USING (true);
GRANT SELECT ON test_clocks TO ivy_app, ivy_jobs, ivy_read, ivy_settle;
-- not ahead: every clock begins with the real time
GRANT INSERT (merchant_id, livemode, id, created_at, target) ON test_clocks TO ivy_app;
GRANT UPDATE (ahead, target, status, version, turns, held_until, passed_over)
    ON test_clocks TO ivy_app;
GRANT UPDATE (looked_at) ON test_clocks TO ivy_jobs;

-- The outbox keeps the real times at which work is sent; this is the merchant's own time.
ALTER TABLE outbox ADD COLUMN due_at timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN outbox.due_at IS
    'On the merchant''s clock: when there is something to do; infinity: when something else happens.';
GRANT UPDATE (due_at) ON outbox TO ivy_app;

-- What a clock looks for when it moves. Live rows are in none of them.
CREATE INDEX outbox_clock ON outbox (merchant_id, due_at) WHERE NOT livemode;
CREATE INDEX charges_clock ON charges (merchant_id, capture_before)
    WHERE status = 'authorized' AND NOT livemode;
CREATE INDEX disputes_clock ON disputes (merchant_id, evidence_due_by)
    WHERE status = 'needs_response' AND NOT livemode;
