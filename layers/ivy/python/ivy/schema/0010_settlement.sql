-- Settlement: on the day that captured money becomes available it moves from pending to available,
-- all of a merchant's charges of that day, currency and mode in one batch.
--
-- Which batch a charge is in is not stored: it is the one of the charge's own day. So settling a
-- million charges writes no row of theirs, and no charge can be in two.

-- Who settles: many merchants in one transaction, and nothing but settlement.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ivy_settle') THEN
        CREATE ROLE ivy_settle LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
    END IF;
END $$;
ALTER ROLE ivy_settle SET search_path = ivy;
ALTER ROLE ivy_settle SET timezone = 'UTC';
ALTER ROLE ivy_settle SET statement_timeout = '8s';
ALTER ROLE ivy_settle SET lock_timeout = '3s';
ALTER ROLE ivy_settle SET transaction_timeout = '14s';
ALTER ROLE ivy_settle SET idle_in_transaction_session_timeout = '14s';
GRANT USAGE ON SCHEMA ivy TO ivy_settle;

ALTER TABLE merchants
    ADD COLUMN cutoff time,
    ADD COLUMN reserve_basis_points integer NOT NULL DEFAULT 0
        CHECK (reserve_basis_points BETWEEN 0 AND 10000),
    ADD COLUMN reserve_days integer NOT NULL DEFAULT 90 CHECK (reserve_days BETWEEN 1 AND 540);
COMMENT ON COLUMN merchants.cutoff IS
    'Captures from this local time on count as the next day''s; none: midnight.';
COMMENT ON COLUMN merchants.reserve_basis_points IS
    'What of each batch''s charges is held back, for reserve_days.';

ALTER TABLE charges DROP COLUMN settlement;
CREATE INDEX charges_available ON charges (merchant_id, livemode, currency, available_on)
    WHERE available_on IS NOT NULL;

-- One row for each merchant, mode and currency in which anything was ever captured. Captures look
-- at it under a shared lock, and settlement moves it on under the exclusive one: no charge can get
-- a day that is settled already.
CREATE TABLE settled_through (
    merchant_id bigint  NOT NULL,
    livemode    boolean NOT NULL,
    currency    text    NOT NULL,
    settled_on  date    NOT NULL,
    PRIMARY KEY (merchant_id, livemode, currency)
);
COMMENT ON COLUMN settled_through.settled_on IS
    'Charges that are available on this day or before are settled.';

INSERT INTO posting_kinds (code, name, source_prefix) VALUES
    (30, 'settlement.closed', 'stl'),
    (31, 'reserve.released', 'rsv');

INSERT INTO transitions (object, from_status, to_status, event, posting) VALUES
    ('settlement', '', 'closed', 'settlement.closed', 'settlement.closed'),
    ('reserve', '', 'held', 'reserve.held', NULL),
    ('reserve', 'held', 'released', 'reserve.released', 'reserve.released');

CREATE TABLE settlements (
    merchant_id        bigint      NOT NULL,
    livemode           boolean     NOT NULL,
    id                 uuid        NOT NULL,
    charges            bigint      NOT NULL CHECK (charges > 0),
    fees               bigint      NOT NULL CHECK (fees >= 0),
    refunds            bigint      NOT NULL CHECK (refunds >= 0),
    returns            bigint      NOT NULL CHECK (returns >= 0),
    net                bigint      NOT NULL,
    reserved           bigint      NOT NULL,
    ledger_transaction uuid,
    created_at         timestamptz NOT NULL,
    settled_on         date        NOT NULL,
    charge_count       integer     NOT NULL CHECK (charge_count > 0),
    version            integer     NOT NULL DEFAULT 1,
    currency           text        NOT NULL,
    status             text        NOT NULL DEFAULT 'closed' CHECK (status IN ('closed')),
    PRIMARY KEY (merchant_id, livemode, id),
    CONSTRAINT one_batch_a_day UNIQUE (merchant_id, livemode, currency, settled_on),
    CONSTRAINT adds_up CHECK (net = charges - fees - refunds - returns),
    CONSTRAINT reserved_of_what_there_is CHECK (reserved BETWEEN 0 AND greatest(net, 0)),
    CONSTRAINT moved_means_posted CHECK ((net = 0) = (ledger_transaction IS NULL))
);
COMMENT ON COLUMN settlements.returns IS 'Bank debits that came back before the day, with their fees.';

CREATE TABLE reserves (
    merchant_id        bigint      NOT NULL,
    livemode           boolean     NOT NULL,
    id                 uuid        NOT NULL,
    settlement_id      uuid        NOT NULL,
    amount             bigint      NOT NULL CHECK (amount > 0),
    ledger_transaction uuid,
    created_at         timestamptz NOT NULL,
    release_on         date        NOT NULL,
    version            integer     NOT NULL DEFAULT 1,
    currency           text        NOT NULL,
    status             text        NOT NULL DEFAULT 'held' CHECK (status IN ('held', 'released')),
    PRIMARY KEY (merchant_id, livemode, id),
    FOREIGN KEY (merchant_id, livemode, settlement_id) REFERENCES settlements,
    CONSTRAINT one_a_batch UNIQUE (merchant_id, livemode, settlement_id),
    CONSTRAINT released_means_posted CHECK (
        (status = 'released') = (ledger_transaction IS NOT NULL))
);
CREATE INDEX reserves_due ON reserves (merchant_id, release_on) WHERE status = 'held';

CREATE FUNCTION check_reserve_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.amount, OLD.settlement_id, OLD.currency)
        IS DISTINCT FROM (NEW.amount, NEW.settlement_id, NEW.currency) THEN
        RAISE EXCEPTION 'reserve %: what is held does not change', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    PERFORM check_transition('reserve', OLD.id, OLD.status, NEW.status, OLD.version, NEW.version);
    RETURN NEW;
END $$;
CREATE TRIGGER legal_change BEFORE UPDATE ON reserves
    FOR EACH ROW EXECUTE FUNCTION check_reserve_change();

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['settled_through', 'settlements', 'reserves'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON %I TO ivy_app USING '
            '(merchant_id = current_merchant() AND livemode = current_livemode())', name);
        EXECUTE format('CREATE POLICY every ON %I FOR SELECT TO ivy_jobs, ivy_read USING (true)', name);
        EXECUTE format('CREATE POLICY settling ON %I TO ivy_settle USING (true)', name);
        EXECUTE format('GRANT SELECT ON %I TO ivy_app, ivy_jobs, ivy_read, ivy_settle', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['charges', 'refunds'] LOOP
        EXECUTE format('CREATE POLICY settling ON %I FOR SELECT TO ivy_settle USING (true)', name);
    END LOOP;
END $$;

GRANT INSERT ON settled_through TO ivy_app;
GRANT UPDATE (settled_on) ON settled_through TO ivy_settle;
GRANT INSERT ON settlements, reserves TO ivy_settle;
GRANT UPDATE (status, version, ledger_transaction) ON reserves TO ivy_settle;
GRANT SELECT ON chart, currencies, posting_kinds, transitions, fee_plans, bank_holidays TO ivy_settle;
GRANT SELECT (merchant_id, livemode, id, currency, status, available_on, amount_captured, fee,
              amount_refunded, amount_refund_pending, fee_plan, fee_plan_version)
    ON charges TO ivy_settle;
GRANT SELECT (merchant_id, livemode, charge_id, amount, status, pending_reason)
    ON refunds TO ivy_settle;

-- Postings of settlement and no others, and the events that announce them.
CREATE POLICY settling ON journal FOR INSERT TO ivy_settle WITH CHECK (kind IN (30, 31));
GRANT INSERT (id, source, owner, recorded_at, a1, v1, a2, v2, a3, v3, a4, v4, value_on, kind,
              part, livemode, reverses, reason) ON journal TO ivy_settle;
CREATE POLICY settling ON events FOR INSERT TO ivy_settle WITH CHECK (
    type IN ('settlement.closed', 'reserve.held', 'reserve.released'));
GRANT INSERT (merchant_id, livemode, id, object_id, version, type, data, ledger_transaction,
              created_at) ON events TO ivy_settle;

CREATE POLICY settling ON merchants FOR SELECT TO ivy_settle USING (true);
GRANT SELECT (id, time_zone, reserve_basis_points, reserve_days) ON merchants TO ivy_settle;

-- A secret key that may do everything goes on doing everything: also those that 0007 did not reach,
-- because no policy shows the owner a row. For this one statement it is not held to them.
ALTER TABLE api_keys NO FORCE ROW LEVEL SECURITY;
UPDATE api_keys SET scopes = ARRAY(SELECT DISTINCT unnest(
    scopes || '{events:read,webhooks:read,webhooks:write,settlements:read}'))
WHERE kind = 'secret' AND scopes @> '{charges:read,charges:write,refunds:read,refunds:write,
    disputes:read,disputes:write,balance:read,ledger:read,api_keys:read,api_keys:write}';
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
