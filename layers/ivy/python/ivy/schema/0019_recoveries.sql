-- Negative balances: noticed, recovered by what is settled next, and in the end written off by two.

ALTER TABLE merchants
    ADD COLUMN recovery_days integer NOT NULL DEFAULT 3 CHECK (recovery_days BETWEEN 0 AND 60);
COMMENT ON COLUMN merchants.recovery_days IS
    'Banking days that a balance may be below zero before its recovery is opened.';
GRANT UPDATE (recovery_days) ON merchants TO ivy_jobs;

INSERT INTO posting_kinds (code, name, source_prefix) VALUES (50, 'recovery.writeoff', 'rcv');

INSERT INTO transitions (object, from_status, to_status, event, posting) VALUES
    ('balance', '', 'negative', 'balance.negative', NULL),
    ('balance', 'negative', 'available', 'balance.available', NULL),
    ('balance', 'available', 'negative', 'balance.negative', NULL),
    ('recovery', '', 'open', 'recovery.opened', NULL),
    ('recovery', 'open', 'recovered', 'recovery.recovered', NULL),
    ('recovery', 'open', 'written_off', 'recovery.written_off', 'recovery.writeoff');

-- On which side of zero an available balance was when it was last looked at. A row begins when one
-- is seen below zero for the first time. The journal is the truth; this is what was announced of it.
CREATE TABLE balance_states (
    merchant_id    bigint      NOT NULL,
    livemode       boolean     NOT NULL,
    currency       text        NOT NULL,
    id             uuid        NOT NULL UNIQUE,
    available      bigint      NOT NULL,
    created_at     timestamptz NOT NULL,
    negative_since timestamptz,
    version        integer     NOT NULL DEFAULT 1,
    status         text        NOT NULL CHECK (status IN ('negative', 'available')),
    PRIMARY KEY (merchant_id, livemode, currency),
    CONSTRAINT says_which_side CHECK (
        (status = 'negative') = (available < 0)
        AND (status = 'negative') = (negative_since IS NOT NULL))
);
COMMENT ON COLUMN balance_states.available IS 'What was available at the change that was last announced.';
CREATE INDEX balance_states_negative ON balance_states (negative_since) WHERE status = 'negative';

CREATE FUNCTION check_balance_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM check_transition('balance', OLD.id, OLD.status, NEW.status, OLD.version, NEW.version);
    RETURN NEW;
END $$;
CREATE TRIGGER legal_change BEFORE UPDATE ON balance_states
    FOR EACH ROW EXECUTE FUNCTION check_balance_change();

CREATE TABLE recoveries (
    merchant_id        bigint      NOT NULL,
    livemode           boolean     NOT NULL,
    id                 uuid        NOT NULL,
    amount             bigint      NOT NULL CHECK (amount > 0),
    written_off        bigint      CHECK (written_off > 0),
    proposed           bigint      CHECK (proposed > 0),
    ledger_transaction uuid,
    created_at         timestamptz NOT NULL,
    negative_since     timestamptz NOT NULL,
    proposed_at        timestamptz,
    version            integer     NOT NULL DEFAULT 1,
    currency           text        NOT NULL,
    status             text        NOT NULL DEFAULT 'open'
                       CHECK (status IN ('open', 'recovered', 'written_off')),
    proposed_by        text        CHECK (length(proposed_by) BETWEEN 1 AND 255),
    approved_by        text        CHECK (length(approved_by) BETWEEN 1 AND 255),
    reason             text,
    PRIMARY KEY (merchant_id, livemode, id),
    CONSTRAINT proposal_is_whole CHECK (
        (proposed IS NULL) = (proposed_by IS NULL)
        AND (proposed IS NULL) = (proposed_at IS NULL)
        AND (proposed IS NULL) = (reason IS NULL)),
    CONSTRAINT written_off_means_posted CHECK (
        (status = 'written_off') = (written_off IS NOT NULL)
        AND (status = 'written_off') = (ledger_transaction IS NOT NULL)
        AND (status = 'written_off') = (approved_by IS NOT NULL)),
    CONSTRAINT no_more_than_proposed CHECK (written_off <= proposed),
    CONSTRAINT maker_is_not_checker CHECK (approved_by <> proposed_by)
);
COMMENT ON COLUMN recoveries.amount IS 'How far below zero the balance was when it was opened.';
COMMENT ON COLUMN recoveries.proposed IS 'How much of it one operator wants to write off; another approves.';
CREATE UNIQUE INDEX one_recovery_at_a_time ON recoveries (merchant_id, livemode, currency)
    WHERE status NOT IN ('recovered', 'written_off');

CREATE FUNCTION check_recovery_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.amount, OLD.currency, OLD.created_at, OLD.negative_since)
        IS DISTINCT FROM (NEW.amount, NEW.currency, NEW.created_at, NEW.negative_since) THEN
        RAISE EXCEPTION 'recovery %: what was opened does not change', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    -- who approves does so of what was proposed before, and by somebody else
    IF NEW.approved_by IS NOT NULL AND (OLD.proposed, OLD.proposed_by)
        IS DISTINCT FROM (NEW.proposed, NEW.proposed_by) THEN
        RAISE EXCEPTION 'recovery %: what is approved was proposed before', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF (OLD.status, OLD.version) IS DISTINCT FROM (NEW.status, NEW.version) THEN
        PERFORM check_transition(
            'recovery', OLD.id, OLD.status, NEW.status, OLD.version, NEW.version);
    ELSIF OLD.status IN ('recovered', 'written_off') THEN
        RAISE EXCEPTION 'recovery %: it has ended', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER legal_change BEFORE UPDATE ON recoveries
    FOR EACH ROW EXECUTE FUNCTION check_recovery_change();

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['balance_states', 'recoveries'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON %I TO ivy_app USING '
            '(merchant_id = current_merchant() AND livemode = current_livemode())', name);
        EXECUTE format('CREATE POLICY every ON %I TO ivy_jobs USING (true)', name);
        EXECUTE format('CREATE POLICY reading ON %I FOR SELECT TO ivy_read USING (true)', name);
        EXECUTE format('GRANT SELECT ON %I TO ivy_app, ivy_jobs, ivy_read', name);
    END LOOP;
END $$;

GRANT INSERT ON balance_states TO ivy_jobs;
GRANT UPDATE (available, negative_since, version, status) ON balance_states TO ivy_jobs;
GRANT INSERT (merchant_id, livemode, id, amount, created_at, negative_since, currency)
    ON recoveries TO ivy_jobs;
GRANT UPDATE (version, status) ON recoveries TO ivy_jobs;
-- the posting of a write-off, and what says so
GRANT UPDATE (version, status, written_off, proposed, proposed_by, proposed_at, reason, approved_by,
              ledger_transaction) ON recoveries TO ivy_app;

DROP POLICY operators ON events;
CREATE POLICY unposted ON events FOR INSERT TO ivy_jobs WITH CHECK (
    ledger_transaction IS NULL AND type IN (
        'merchant.updated', 'balance.negative', 'balance.available', 'recovery.opened',
        'recovery.recovered'));
