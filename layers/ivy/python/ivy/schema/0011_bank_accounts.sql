-- Bank accounts: where a merchant's payouts may go, once it has shown that the account is its own.

CREATE TABLE bank_accounts (
    merchant_id           bigint      NOT NULL,
    livemode              boolean     NOT NULL,
    id                    uuid        NOT NULL,
    created_at            timestamptz NOT NULL,
    country               text        NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
    currency              text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    account_holder_name   text        NOT NULL CHECK (length(account_holder_name) BETWEEN 1 AND 70),
    account_type          text        CHECK (account_type IN ('checking', 'savings')),
    routing_number        text        CHECK (routing_number ~ '^[0-9]{9}$'),
    account_number        text        CHECK (account_number ~ '^[0-9]{5,17}$'),
    iban                  text        CHECK (iban ~ '^[A-Z]{2}[0-9]{2}[0-9A-Z]{11,30}$'),
    bic                   text        CHECK (bic ~ '^[A-Z]{6}[0-9A-Z]{2}([0-9A-Z]{3})?$'),
    last4                 text        NOT NULL,
    fingerprint           text        NOT NULL CHECK (fingerprint ~ '^[0-9a-f]{64}$'),
    status                text        NOT NULL DEFAULT 'pending_verification'
                          CHECK (status IN ('pending_verification', 'verified',
                                            'verification_failed', 'deleted')),
    version               integer     NOT NULL DEFAULT 1,
    cools_off             boolean     NOT NULL,
    micro_deposits        smallint[]  NOT NULL,
    verification_attempts smallint    NOT NULL DEFAULT 0 CHECK (verification_attempts BETWEEN 0 AND 3),
    verified_at           timestamptz,
    payable_from          timestamptz,
    PRIMARY KEY (merchant_id, livemode, id),
    CONSTRAINT one_form_of_number CHECK (
        (iban IS NULL) = (routing_number IS NOT NULL)
        AND (iban IS NULL) = (account_number IS NOT NULL)
        AND (iban IS NULL) = (account_type IS NOT NULL)
        AND (iban IS NOT NULL OR bic IS NULL)),
    CONSTRAINT last4_of_the_number CHECK (
        last4 ~ '^[0-9A-Z]{4}$' AND last4 = right(coalesce(account_number, iban), 4)),
    CONSTRAINT two_micro_deposits CHECK (
        cardinality(micro_deposits) = 2
        AND 1 <= micro_deposits[1] AND micro_deposits[1] <= micro_deposits[2]
        AND micro_deposits[2] <= 99),
    CONSTRAINT verified_means_when CHECK (
        (status <> 'verified' OR verified_at IS NOT NULL)
        AND (status IN ('verified', 'deleted') OR verified_at IS NULL)),
    CONSTRAINT payable_once_verified CHECK (
        (payable_from IS NULL) = (verified_at IS NULL) AND payable_from >= verified_at),
    CONSTRAINT payable_once_cooled_off CHECK (
        NOT cools_off OR payable_from >= verified_at + interval '24 hours'),
    CONSTRAINT failed_means_no_attempt_left CHECK (
        CASE status WHEN 'verification_failed' THEN verification_attempts = 3
                    WHEN 'deleted' THEN true ELSE verification_attempts < 3 END)
);
COMMENT ON COLUMN bank_accounts.fingerprint IS 'HMAC-SHA256 of the whole number under the pepper, in hex.';
COMMENT ON COLUMN bank_accounts.cools_off IS 'There was another in its currency when it was added.';
COMMENT ON COLUMN bank_accounts.micro_deposits IS 'Minor units, the smaller first; what is sent proves whose account it is.';
CREATE UNIQUE INDEX bank_accounts_once ON bank_accounts (merchant_id, livemode, fingerprint)
    WHERE status <> 'deleted';
CREATE INDEX bank_accounts_currency ON bank_accounts (merchant_id, livemode, currency, id);

-- Whoever adds an account does not say whether it cools off: the accounts before it do, also the
-- deleted ones. Of two that are added at once the second waits, and sees the first.
CREATE FUNCTION begin_bank_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(NEW.merchant_id);
    NEW.cools_off := EXISTS (
        SELECT FROM bank_accounts
        WHERE merchant_id = NEW.merchant_id AND livemode = NEW.livemode
          AND currency = NEW.currency);
    RETURN NEW;
END $$;
CREATE TRIGGER beginning BEFORE INSERT ON bank_accounts
    FOR EACH ROW EXECUTE FUNCTION begin_bank_account();

-- Which account it is never changes. What a caller sees of it changes only by a transition;
-- attempts that were wrong are bookkeeping of ours, and are not taken back.
CREATE FUNCTION check_bank_account_change() RETURNS trigger LANGUAGE plpgsql AS $$
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
    IF (OLD.version, OLD.status, OLD.verified_at, OLD.payable_from)
        IS DISTINCT FROM (NEW.version, NEW.status, NEW.verified_at, NEW.payable_from) THEN
        PERFORM check_transition(
            'bank_account', OLD.id, OLD.status, NEW.status, OLD.version, NEW.version);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER legal_change BEFORE UPDATE ON bank_accounts
    FOR EACH ROW EXECUTE FUNCTION check_bank_account_change();

INSERT INTO transitions (object, from_status, to_status, event, posting) VALUES
    ('bank_account', '', 'pending_verification', 'bank_account.created', NULL),
    ('bank_account', 'pending_verification', 'verified', 'bank_account.verified', NULL),
    ('bank_account', 'pending_verification', 'verification_failed', 'bank_account.verification_failed', NULL),
    ('bank_account', 'pending_verification', 'deleted', 'bank_account.deleted', NULL),
    ('bank_account', 'verified', 'deleted', 'bank_account.deleted', NULL),
    ('bank_account', 'verification_failed', 'deleted', 'bank_account.deleted', NULL);

ALTER TABLE bank_accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE bank_accounts FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON bank_accounts TO ivy_app
    USING (merchant_id = current_merchant() AND livemode = current_livemode());
CREATE POLICY every ON bank_accounts FOR SELECT TO ivy_jobs, ivy_read USING (true);

-- The whole number is written once and read by the jobs alone, who write it into the bank's files.
GRANT SELECT ON bank_accounts TO ivy_jobs;
GRANT SELECT (merchant_id, livemode, id, created_at, country, currency, account_holder_name,
              account_type, routing_number, bic, last4, fingerprint, status, version, cools_off,
              verification_attempts, verified_at, payable_from) ON bank_accounts TO ivy_app, ivy_read;
-- to compare them with what a merchant says
GRANT SELECT (micro_deposits) ON bank_accounts TO ivy_app;
-- not a status, nor whether it cools off: every account begins unverified
GRANT INSERT (merchant_id, livemode, id, created_at, country, currency, account_holder_name,
              account_type, routing_number, account_number, iban, bic, last4, fingerprint,
              micro_deposits) ON bank_accounts TO ivy_app;
GRANT UPDATE (status, version, verification_attempts, verified_at, payable_from)
    ON bank_accounts TO ivy_app;

-- A secret key that may do everything goes on doing everything. No policy shows the owner a row, so
-- for this one statement it is not held to them.
ALTER TABLE api_keys NO FORCE ROW LEVEL SECURITY;
UPDATE api_keys SET scopes = scopes || '{bank_accounts:read,bank_accounts:write}'
WHERE kind = 'secret' AND scopes @> '{charges:read,charges:write,refunds:read,refunds:write,
    disputes:read,disputes:write,balance:read,ledger:read,events:read,webhooks:read,
    webhooks:write,api_keys:read,api_keys:write}';
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
