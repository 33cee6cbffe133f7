-- The two small amounts that show whose a bank account is go out in files for the bank, as payouts
-- do. They are our cost and in our books: a merchant who could read the posting would know them.

-- One row of numbers for all that files hold, because an ACH return names nothing else.
ALTER TABLE payouts NO FORCE ROW LEVEL SECURITY;
ALTER TABLE payouts ALTER trace DROP IDENTITY;
CREATE SEQUENCE bank_traces;
SELECT setval('bank_traces', coalesce(max(trace), 0) + 1, false) FROM payouts;
ALTER TABLE payouts ALTER trace SET DEFAULT nextval('bank_traces');
ALTER TABLE payouts FORCE ROW LEVEL SECURITY;
GRANT USAGE ON SEQUENCE bank_traces TO ivy_app;

INSERT INTO posting_kinds (code, name, source_prefix) VALUES
    (64, 'deposit.paid', 'md'),
    (65, 'deposit.returned', 'md');

INSERT INTO transitions (object, from_status, to_status, event, posting) VALUES
    ('bank_account', 'pending_verification', 'pending_verification', 'bank_account.deposits_sent', NULL);

-- A file holds orders of one kind: batches of ACH say what they are for.
ALTER TABLE bank_files ADD COLUMN kind text NOT NULL DEFAULT 'payout'
    CHECK (kind IN ('payout', 'micro_deposit'));
COMMENT ON COLUMN bank_files.kind IS 'What all that is in it is, as bank_orders says.';

CREATE OR REPLACE FUNCTION check_payout_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.bank_file IS NOT NULL THEN
        RAISE EXCEPTION 'payout %: is in a file already', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.status <> 'pending' THEN
        RAISE EXCEPTION 'payout %: is % and goes into no file', OLD.id, OLD.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (SELECT FROM bank_files WHERE id = NEW.bank_file AND livemode = NEW.livemode
                   AND coalesce(merchant_id, NEW.merchant_id) = NEW.merchant_id AND kind = 'payout'
                   AND currency = NEW.currency AND status = 'prepared') THEN
        RAISE EXCEPTION 'payout %: is not for the file %', OLD.id, NEW.bank_file
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TABLE micro_deposits (
    merchant_id        bigint      NOT NULL,
    livemode           boolean     NOT NULL,
    id                 uuid        NOT NULL UNIQUE,
    bank_account_id    uuid        NOT NULL,
    bank_file          uuid        REFERENCES bank_files,
    ledger_transaction uuid        UNIQUE,
    returned_as        uuid        UNIQUE,
    amount             bigint      NOT NULL CHECK (amount BETWEEN 1 AND 99),
    trace              bigint      NOT NULL UNIQUE DEFAULT nextval('bank_traces'),
    created_at         timestamptz NOT NULL,
    arrives_on         date,
    ordinal            smallint    NOT NULL CHECK (ordinal IN (1, 2)),
    currency           text        NOT NULL,
    failure_code       text,
    canceled           boolean     NOT NULL DEFAULT false,
    untold             boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (merchant_id, livemode, id),
    FOREIGN KEY (merchant_id, livemode, bank_account_id) REFERENCES bank_accounts,
    CONSTRAINT two_an_account UNIQUE (merchant_id, livemode, bank_account_id, ordinal),
    CONSTRAINT in_a_file_means_not_canceled CHECK (NOT canceled OR bank_file IS NULL),
    CONSTRAINT moved_means_in_a_file CHECK (
        bank_file IS NOT NULL
        OR num_nonnulls(arrives_on, ledger_transaction, returned_as, failure_code) = 0)
);
COMMENT ON COLUMN micro_deposits.canceled IS 'Its account did not wait for it, and it is in no file.';
COMMENT ON COLUMN micro_deposits.arrives_on IS 'When the file with it is debited; set once the bank has that.';
COMMENT ON COLUMN micro_deposits.ledger_transaction IS 'Posted when a statement shows the debit.';
COMMENT ON COLUMN micro_deposits.returned_as IS 'Posted when a statement shows that it came back.';
COMMENT ON COLUMN micro_deposits.untold IS 'Something has become of it that its account does not say yet.';
CREATE INDEX micro_deposits_waiting ON micro_deposits (created_at)
    WHERE NOT canceled AND bank_file IS NULL;
CREATE INDEX micro_deposits_clock ON micro_deposits (merchant_id, created_at)
    WHERE NOT livemode AND NOT canceled AND arrives_on IS NULL;
CREATE INDEX micro_deposits_file ON micro_deposits (bank_file) WHERE bank_file IS NOT NULL;
CREATE INDEX micro_deposits_untold ON micro_deposits (bank_account_id) WHERE untold;

-- What is promised is what the account will be asked for. What has become of it is not taken back.
CREATE FUNCTION begin_micro_deposit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM bank_accounts
        WHERE (merchant_id, livemode, id) = (NEW.merchant_id, NEW.livemode, NEW.bank_account_id)
          AND currency = NEW.currency AND micro_deposits[NEW.ordinal] = NEW.amount) THEN
        RAISE EXCEPTION 'micro-deposit %: is not what its account is verified with', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER beginning AFTER INSERT ON micro_deposits
    FOR EACH ROW EXECUTE FUNCTION begin_micro_deposit();

CREATE FUNCTION check_micro_deposit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.bank_account_id, OLD.amount, OLD.trace, OLD.ordinal, OLD.currency, OLD.created_at)
        IS DISTINCT FROM
       (NEW.bank_account_id, NEW.amount, NEW.trace, NEW.ordinal, NEW.currency, NEW.created_at)
        OR OLD.canceled AND NOT NEW.canceled
        OR OLD.bank_file IS NOT NULL AND NEW.bank_file IS DISTINCT FROM OLD.bank_file
        OR OLD.ledger_transaction IS NOT NULL
            AND NEW.ledger_transaction IS DISTINCT FROM OLD.ledger_transaction
        OR OLD.returned_as IS NOT NULL AND NEW.returned_as IS DISTINCT FROM OLD.returned_as THEN
        RAISE EXCEPTION 'micro-deposit %: what has happened to it does not change', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.bank_file IS NULL AND NEW.bank_file IS NOT NULL
        AND NOT EXISTS (SELECT FROM bank_files WHERE id = NEW.bank_file AND livemode = NEW.livemode
                        AND coalesce(merchant_id, NEW.merchant_id) = NEW.merchant_id
                        AND kind = 'micro_deposit' AND currency = NEW.currency
                        AND status = 'prepared') THEN
        RAISE EXCEPTION 'micro-deposit %: is not for the file %', OLD.id, NEW.bank_file
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER legal_change BEFORE UPDATE ON micro_deposits
    FOR EACH ROW EXECUTE FUNCTION check_micro_deposit_change();

ALTER TABLE micro_deposits ENABLE ROW LEVEL SECURITY;
ALTER TABLE micro_deposits FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON micro_deposits TO ivy_app
    USING (merchant_id = current_merchant() AND livemode = current_livemode());
CREATE POLICY every ON micro_deposits TO ivy_jobs USING (true);
CREATE POLICY reading ON micro_deposits FOR SELECT TO ivy_read USING (true);
GRANT SELECT ON micro_deposits TO ivy_app, ivy_jobs, ivy_read;
GRANT INSERT (merchant_id, livemode, id, bank_account_id, amount, created_at, ordinal, currency)
    ON micro_deposits TO ivy_app;
GRANT UPDATE (canceled, untold) ON micro_deposits TO ivy_app;
GRANT UPDATE (bank_file, arrives_on, ledger_transaction, returned_as, failure_code, untold)
    ON micro_deposits TO ivy_jobs;

-- All that a bank is asked for.
CREATE VIEW bank_orders WITH (security_invoker = true) AS
    SELECT 'payout' AS kind, merchant_id, livemode, id, bank_account_id, amount, currency, trace,
           bank_file, status = 'pending' AND bank_file IS NULL AS waiting
    FROM payouts
    UNION ALL
    SELECT 'micro_deposit', merchant_id, livemode, id, bank_account_id, amount, currency, trace,
           bank_file, NOT canceled AND bank_file IS NULL
    FROM micro_deposits;
GRANT SELECT ON bank_orders TO ivy_jobs, ivy_read;

-- The line of a statement moves a micro-deposit's money by itself: nobody else has to be asked.
ALTER TABLE bank_lines ADD COLUMN deposit_id uuid REFERENCES micro_deposits (id);
ALTER TABLE bank_lines DROP CONSTRAINT bank_lines_outcome_check;
ALTER TABLE bank_lines ADD CONSTRAINT bank_lines_outcome_check
    CHECK (outcome IN ('new', 'payout', 'acquirer', 'deposit', 'suspense'));
COMMENT ON COLUMN bank_lines.outcome IS
    'Whose posting moved bank:client: a payout''s, an acquirer settlement''s, a micro-deposit''s or a'
    ' suspense item''s; new: nobody''s yet.';
ALTER TABLE bank_lines ADD CONSTRAINT deposit_means_which
    CHECK (outcome <> 'deposit' OR deposit_id IS NOT NULL);
CREATE UNIQUE INDEX bank_lines_deposit_once ON bank_lines (deposit_id, (amount > 0))
    WHERE outcome = 'deposit';
GRANT SELECT (deposit_id) ON bank_lines TO ivy_app;

CREATE OR REPLACE FUNCTION check_bank_line_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.outcome NOT IN ('new', 'suspense') THEN
        RAISE EXCEPTION 'line %: is what a % has posted, and stays so', OLD.id, OLD.outcome
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

-- Why a verification has failed, and three wrong answers in all for each number of an account:
-- deleting it and adding it anew gives none back for thirty days.
ALTER TABLE bank_accounts NO FORCE ROW LEVEL SECURITY;
ALTER TABLE bank_accounts
    ADD COLUMN deposits_arrive_on date,
    ADD COLUMN failure_code text,
    ADD COLUMN last_attempt_at timestamptz;
COMMENT ON COLUMN bank_accounts.last_attempt_at IS 'When the last wrong answer was given, also before it was added anew.';
UPDATE bank_accounts SET last_attempt_at = created_at WHERE verification_attempts > 0;
UPDATE bank_accounts SET failure_code = 'wrong_amounts' WHERE verification_attempts = 3;
ALTER TABLE bank_accounts DROP CONSTRAINT failed_means_no_attempt_left;
ALTER TABLE bank_accounts
    ADD CONSTRAINT failed_means_why CHECK (
        status = 'deleted' OR (status = 'verification_failed') = (failure_code IS NOT NULL)),
    ADD CONSTRAINT no_attempt_left_means_failed CHECK (
        (verification_attempts = 3) = coalesce(failure_code = 'wrong_amounts', false)),
    ADD CONSTRAINT attempts_means_when CHECK (
        (verification_attempts = 0) = (last_attempt_at IS NULL));
GRANT SELECT (deposits_arrive_on, failure_code, last_attempt_at) ON bank_accounts
    TO ivy_app, ivy_read;
GRANT UPDATE (deposits_arrive_on, failure_code, last_attempt_at) ON bank_accounts TO ivy_app;
CREATE INDEX bank_accounts_number ON bank_accounts (merchant_id, livemode, fingerprint, last_attempt_at);

-- What was promised of accounts before is kept from now on.
ALTER TABLE micro_deposits NO FORCE ROW LEVEL SECURITY;
INSERT INTO micro_deposits (merchant_id, livemode, id, bank_account_id, amount, created_at, ordinal,
                            currency)
SELECT merchant_id, livemode, uuidv7(), id, micro_deposits[ordinal], created_at, ordinal, currency
FROM bank_accounts CROSS JOIN generate_series(1, 2) AS ordinal
WHERE status = 'pending_verification';
ALTER TABLE micro_deposits FORCE ROW LEVEL SECURITY;
ALTER TABLE bank_accounts FORCE ROW LEVEL SECURITY;

CREATE OR REPLACE FUNCTION begin_bank_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(NEW.merchant_id);
    NEW.cools_off := EXISTS (
        SELECT FROM bank_accounts
        WHERE merchant_id = NEW.merchant_id AND livemode = NEW.livemode
          AND currency = NEW.currency);
    SELECT coalesce(max(verification_attempts), 0), max(last_attempt_at)
    INTO NEW.verification_attempts, NEW.last_attempt_at
    FROM bank_accounts
    WHERE merchant_id = NEW.merchant_id AND livemode = NEW.livemode
      AND fingerprint = NEW.fingerprint
      AND last_attempt_at > NEW.created_at - interval '30 days';
    IF NEW.verification_attempts = 3 THEN
        RETURN NULL; -- nothing is added, as if it were there already
    END IF;
    RETURN NEW;
END $$;

-- Whoever deletes one waits for whoever adds it anew, who thus sees every attempt that was made.
CREATE OR REPLACE FUNCTION check_bank_account_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.country, OLD.currency, OLD.account_holder_name, OLD.account_type, OLD.routing_number,
        OLD.account_number, OLD.iban, OLD.bic, OLD.fingerprint, OLD.created_at, OLD.cools_off,
        OLD.micro_deposits)
        IS DISTINCT FROM
       (NEW.country, NEW.currency, NEW.account_holder_name, NEW.account_type, NEW.routing_number,
        NEW.account_number, NEW.iban, NEW.bic, NEW.fingerprint, NEW.created_at, NEW.cools_off,
        NEW.micro_deposits) THEN
        RAISE EXCEPTION 'bank account %: which account it is does not change', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.verification_attempts < OLD.verification_attempts THEN
        RAISE EXCEPTION 'bank account %: attempts are not taken back', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status = 'deleted' THEN
        PERFORM pg_advisory_xact_lock(NEW.merchant_id);
    END IF;
    IF (OLD.version, OLD.status, OLD.verified_at, OLD.payable_from, OLD.deposits_arrive_on,
        OLD.failure_code)
        IS DISTINCT FROM
       (NEW.version, NEW.status, NEW.verified_at, NEW.payable_from, NEW.deposits_arrive_on,
        NEW.failure_code) THEN
        PERFORM check_transition(
            'bank_account', OLD.id, OLD.status, NEW.status, OLD.version, NEW.version);
    END IF;
    RETURN NEW;
END $$;
