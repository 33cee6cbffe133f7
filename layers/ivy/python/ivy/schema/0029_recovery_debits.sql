-- What a merchant owes is taken from its bank account, where it has agreed to that.

ALTER TABLE merchants
    ADD COLUMN debit_mandate text CHECK (debit_mandate ~ '^[A-Za-z0-9./:-]{1,35}$'),
    ADD COLUMN debit_mandate_signed_on date,
    ADD CONSTRAINT mandate_is_whole CHECK (
        (debit_mandate IS NULL) = (debit_mandate_signed_on IS NULL));
COMMENT ON COLUMN merchants.debit_mandate IS
    'The reference of what the merchant has signed, so that its bank account may be debited.';
GRANT UPDATE (debit_mandate, debit_mandate_signed_on) ON merchants TO ivy_jobs;

ALTER TABLE bank_originators NO FORCE ROW LEVEL SECURITY;
ALTER TABLE bank_originators
    ADD COLUMN creditor_id text CHECK (creditor_id ~ '^[A-Z]{2}[0-9]{2}[A-Z0-9]{4,31}$'),
    ADD CONSTRAINT sepa_collects_euros CHECK (creditor_id IS NULL OR currency = 'EUR');
COMMENT ON COLUMN bank_originators.creditor_id IS 'What the SEPA calls us when we collect.';
UPDATE bank_originators SET creditor_id = 'DE98ZZZ09999999999' WHERE currency = 'EUR' AND NOT livemode;
ALTER TABLE bank_originators FORCE ROW LEVEL SECURITY;
GRANT SELECT (creditor_id) ON bank_originators TO ivy_app;

INSERT INTO posting_kinds (code, name, source_prefix) VALUES
    (51, 'debit.sent', 'rd'),
    (52, 'debit.collected', 'rd'),
    (53, 'debit.reversed', 'rd'),
    (54, 'debit.returned', 'rd');

INSERT INTO transitions (object, from_status, to_status, event, posting) VALUES
    ('recovery_debit', '', 'pending', 'recovery_debit.created', NULL),
    ('recovery_debit', 'pending', 'canceled', 'recovery_debit.canceled', NULL),
    ('recovery_debit', 'pending', 'in_transit', 'recovery_debit.in_transit', 'debit.sent'),
    ('recovery_debit', 'in_transit', 'collected', 'recovery_debit.collected', 'debit.collected'),
    ('recovery_debit', 'in_transit', 'failed', 'recovery_debit.failed', 'debit.reversed'),
    ('recovery_debit', 'collected', 'returned', 'recovery_debit.returned', 'debit.returned');

CREATE TABLE recovery_debits (
    merchant_id       bigint      NOT NULL,
    livemode          boolean     NOT NULL,
    id                uuid        NOT NULL,
    recovery_id       uuid        NOT NULL,
    bank_account_id   uuid        NOT NULL,
    bank_file         uuid        REFERENCES bank_files,
    amount            bigint      NOT NULL CHECK (amount BETWEEN 1 AND 9999999999),
    trace             bigint      NOT NULL UNIQUE DEFAULT nextval('bank_traces'),
    created_at        timestamptz NOT NULL,
    returned_at       timestamptz,
    arrives_on        date,
    mandate_signed_on date        NOT NULL,
    version           integer     NOT NULL DEFAULT 1,
    -- those that a bank has a format for
    currency          text        NOT NULL CHECK (currency IN ('USD', 'EUR')),
    status            text        NOT NULL DEFAULT 'pending' CHECK (status IN (
        'pending', 'in_transit', 'collected', 'failed', 'returned', 'canceled')),
    mandate           text        NOT NULL,
    failure_code      text,
    opened_by         text        NOT NULL CHECK (length(opened_by) BETWEEN 1 AND 255),
    reason            text        NOT NULL,
    canceled_by       text        CHECK (length(canceled_by) BETWEEN 1 AND 255),
    PRIMARY KEY (merchant_id, livemode, id),
    FOREIGN KEY (merchant_id, livemode, recovery_id) REFERENCES recoveries,
    FOREIGN KEY (merchant_id, livemode, bank_account_id) REFERENCES bank_accounts,
    CONSTRAINT failed_means_why CHECK (
        (status IN ('failed', 'returned')) = (failure_code IS NOT NULL)),
    CONSTRAINT returned_means_when CHECK ((status = 'returned') = (returned_at IS NOT NULL)),
    CONSTRAINT canceled_means_by_whom CHECK ((status = 'canceled') = (canceled_by IS NOT NULL)),
    CONSTRAINT sent_means_in_a_file CHECK (
        status = 'pending' OR (status = 'canceled') = (bank_file IS NULL))
);
COMMENT ON COLUMN recovery_debits.mandate IS 'The mandate that was in force when it was opened.';
CREATE UNIQUE INDEX one_debit_at_a_time ON recovery_debits (merchant_id, livemode, recovery_id)
    WHERE status IN ('pending', 'in_transit');
CREATE INDEX recovery_debits_open ON recovery_debits (created_at)
    WHERE status IN ('pending', 'in_transit');
CREATE INDEX recovery_debits_file ON recovery_debits (bank_file) WHERE bank_file IS NOT NULL;
CREATE INDEX recovery_debits_returned ON recovery_debits (merchant_id, livemode, currency, returned_at)
    WHERE status = 'returned';

-- Only an open recovery is debited, only an account of the merchant's own that is verified, and only
-- by the mandate that it has given. Whoever ends the recovery meanwhile is waited for.
CREATE FUNCTION begin_recovery_debit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM recoveries
    WHERE (merchant_id, livemode, id) = (NEW.merchant_id, NEW.livemode, NEW.recovery_id)
      AND status = 'open' AND currency = NEW.currency
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'debit %: of no recovery that is open', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (
        SELECT FROM bank_accounts
        WHERE (merchant_id, livemode, id) = (NEW.merchant_id, NEW.livemode, NEW.bank_account_id)
          AND currency = NEW.currency AND status = 'verified') THEN
        RAISE EXCEPTION 'debit %: of an account that is not verified', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (
        SELECT FROM merchants
        WHERE id = NEW.merchant_id AND (debit_mandate, debit_mandate_signed_on)
            = (NEW.mandate, NEW.mandate_signed_on)) THEN
        RAISE EXCEPTION 'debit %: by no mandate of its merchant', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER allowed AFTER INSERT ON recovery_debits
    FOR EACH ROW EXECUTE FUNCTION begin_recovery_debit();

CREATE FUNCTION check_recovery_debit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.recovery_id, OLD.bank_account_id, OLD.amount, OLD.trace, OLD.created_at, OLD.currency,
        OLD.mandate, OLD.mandate_signed_on, OLD.opened_by)
        IS DISTINCT FROM
       (NEW.recovery_id, NEW.bank_account_id, NEW.amount, NEW.trace, NEW.created_at, NEW.currency,
        NEW.mandate, NEW.mandate_signed_on, NEW.opened_by) THEN
        RAISE EXCEPTION 'debit %: what was asked for does not change', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.bank_file IS DISTINCT FROM NEW.bank_file THEN
        IF OLD.bank_file IS NOT NULL OR OLD.status <> 'pending' THEN
            RAISE EXCEPTION 'debit %: is % and goes into no other file', OLD.id, OLD.status
                USING ERRCODE = 'check_violation';
        END IF;
        IF NOT EXISTS (SELECT FROM bank_files WHERE id = NEW.bank_file AND livemode = NEW.livemode
                       AND coalesce(merchant_id, NEW.merchant_id) = NEW.merchant_id
                       AND kind = 'recovery_debit' AND currency = NEW.currency
                       AND status = 'prepared') THEN
            RAISE EXCEPTION 'debit %: is not for the file %', OLD.id, NEW.bank_file
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    IF (OLD.version, OLD.status) IS DISTINCT FROM (NEW.version, NEW.status) THEN
        PERFORM check_transition(
            'recovery_debit', OLD.id, OLD.status, NEW.status, OLD.version, NEW.version);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER legal_change BEFORE UPDATE ON recovery_debits
    FOR EACH ROW EXECUTE FUNCTION check_recovery_debit_change();

-- A recovery does not end while its debit is on its way: that may still come to nothing.
CREATE FUNCTION check_recovery_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM recovery_debits
        WHERE (merchant_id, livemode, recovery_id) = (NEW.merchant_id, NEW.livemode, NEW.id)
          AND status IN ('pending', 'in_transit')) THEN
        RAISE EXCEPTION 'recovery %: a debit of it is open', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER debits_have_ended BEFORE UPDATE OF status ON recoveries
    FOR EACH ROW WHEN (NEW.status <> 'open') EXECUTE FUNCTION check_recovery_end();

ALTER TABLE recovery_debits ENABLE ROW LEVEL SECURITY;
ALTER TABLE recovery_debits FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON recovery_debits TO ivy_app
    USING (merchant_id = current_merchant() AND livemode = current_livemode());
CREATE POLICY every ON recovery_debits TO ivy_jobs USING (true);
CREATE POLICY reading ON recovery_debits FOR SELECT TO ivy_read USING (true);
GRANT SELECT ON recovery_debits TO ivy_app, ivy_jobs, ivy_read;
GRANT INSERT (merchant_id, livemode, id, recovery_id, bank_account_id, amount, created_at, currency,
              mandate, mandate_signed_on, opened_by, reason) ON recovery_debits TO ivy_app;
GRANT UPDATE (status, version, arrives_on, returned_at, failure_code, canceled_by)
    ON recovery_debits TO ivy_app;
-- files are written by the jobs, and so is what needs no debit any more
GRANT UPDATE (bank_file, status, version, canceled_by) ON recovery_debits TO ivy_jobs;

DROP POLICY unposted ON events;
CREATE POLICY unposted ON events FOR INSERT TO ivy_jobs WITH CHECK (
    ledger_transaction IS NULL AND type IN (
        'merchant.updated', 'balance.negative', 'balance.available', 'recovery.opened',
        'recovery.recovered', 'recovery_debit.canceled'));

-- It is the third kind of what a bank is asked for, and the only one that brings money.
ALTER TABLE bank_files DROP CONSTRAINT bank_files_kind_check;
ALTER TABLE bank_files ADD CONSTRAINT bank_files_kind_check
    CHECK (kind IN ('payout', 'micro_deposit', 'recovery_debit'));
DROP POLICY own ON bank_files;
CREATE POLICY own ON bank_files FOR SELECT TO ivy_app USING (
    EXISTS (SELECT FROM payouts WHERE bank_file = bank_files.id
            AND merchant_id = current_merchant() AND payouts.livemode = current_livemode())
    OR EXISTS (SELECT FROM recovery_debits WHERE bank_file = bank_files.id
               AND merchant_id = current_merchant()
               AND recovery_debits.livemode = current_livemode()));

CREATE OR REPLACE VIEW bank_orders WITH (security_invoker = true) AS
    SELECT 'payout' AS kind, merchant_id, livemode, id, bank_account_id, amount, currency, trace,
           bank_file, status = 'pending' AND bank_file IS NULL AS waiting, status, -1 AS way,
           NULL::text AS mandate, NULL::date AS mandate_signed_on
    FROM payouts
    UNION ALL
    SELECT 'micro_deposit', merchant_id, livemode, id, bank_account_id, amount, currency, trace,
           bank_file, NOT canceled AND bank_file IS NULL, NULL, -1, NULL, NULL
    FROM micro_deposits
    UNION ALL
    SELECT 'recovery_debit', merchant_id, livemode, id, bank_account_id, amount, currency, trace,
           bank_file, status = 'pending' AND bank_file IS NULL, status, 1, mandate,
           mandate_signed_on
    FROM recovery_debits;
COMMENT ON COLUMN bank_orders.status IS 'Of what hears what its bank says; micro-deposits do not.';
COMMENT ON COLUMN bank_orders.way IS
    'Of the money on our account: -1 it leaves, 1 it comes. What comes back moves the other way.';
GRANT SELECT ON bank_orders TO ivy_app;

-- Banks speak of debits as of payouts: each answer and each line is about one order at most.
ALTER TABLE bank_answers
    ALTER payout_id DROP NOT NULL,
    ADD COLUMN debit_id uuid,
    ADD FOREIGN KEY (merchant_id, livemode, debit_id) REFERENCES recovery_debits,
    ADD CONSTRAINT about_one_order CHECK (num_nonnulls(payout_id, debit_id) = 1),
    ADD CONSTRAINT debit_said_once UNIQUE (merchant_id, livemode, debit_id, outcome);

ALTER TABLE bank_lines
    ADD COLUMN debit_id uuid,
    ADD FOREIGN KEY (merchant_id, livemode, debit_id) REFERENCES recovery_debits,
    DROP CONSTRAINT matched_means_whose,
    ADD CONSTRAINT matched_means_whose CHECK (
        (num_nonnulls(payout_id, debit_id) = 0) = (merchant_id IS NULL)),
    ADD CONSTRAINT about_one_order CHECK (num_nonnulls(payout_id, debit_id, deposit_id) <= 1),
    DROP CONSTRAINT bank_lines_outcome_check,
    ADD CONSTRAINT bank_lines_outcome_check
        CHECK (outcome IN ('new', 'payout', 'debit', 'acquirer', 'deposit', 'suspense')),
    ADD CONSTRAINT debit_means_which CHECK (outcome <> 'debit' OR debit_id IS NOT NULL);
COMMENT ON COLUMN bank_lines.outcome IS
    'Whose posting moved bank:client: a payout''s, a debit''s, an acquirer settlement''s, a'
    ' micro-deposit''s or a suspense item''s; new: nobody''s yet.';
CREATE UNIQUE INDEX bank_lines_debit_once ON bank_lines (debit_id, (amount > 0))
    WHERE outcome = 'debit';
CREATE INDEX bank_lines_debit ON bank_lines (debit_id) WHERE debit_id IS NOT NULL;
GRANT SELECT (debit_id) ON bank_lines TO ivy_app;
GRANT UPDATE (debit_id) ON bank_lines TO ivy_jobs;

ALTER TABLE suspense_items DROP CONSTRAINT resolved_as_known;
ALTER TABLE suspense_items ADD CONSTRAINT resolved_as_known
    CHECK (resolved_as IN ('payout', 'debit', 'acquirer', 'opposite', 'rounding', 'loss'));
ALTER TABLE suspense_items DROP CONSTRAINT target_of_the_kind;
ALTER TABLE suspense_items ADD CONSTRAINT target_of_the_kind CHECK (
    coalesce(resolved_as = 'acquirer', false)
    OR (target IS NOT NULL) = coalesce(resolved_as IN ('payout', 'debit', 'opposite'), false));
COMMENT ON COLUMN suspense_items.target IS
    'The payout, the debit, the item of the opposite line, or the settlement of an acquirer if it'
    ' is known.';
DROP INDEX suspense_items_line;
CREATE UNIQUE INDEX suspense_items_line ON suspense_items (line_id)
    WHERE coalesce(resolved_as NOT IN ('payout', 'debit'), true) AND settlement_id IS NULL;
