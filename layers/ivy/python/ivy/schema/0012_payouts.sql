-- Payouts: what merchants have available goes to their banks, and every entry goes with it.

ALTER TABLE merchants
    ADD COLUMN payout_schedule text NOT NULL DEFAULT 'manual'
        CHECK (payout_schedule IN ('manual', 'daily', 'weekly', 'monthly')),
    ADD COLUMN payout_minimum_cents bigint NOT NULL DEFAULT 100 CHECK (payout_minimum_cents >= 1),
    ADD COLUMN payout_approval_cents bigint CHECK (payout_approval_cents >= 0);
COMMENT ON COLUMN merchants.payout_schedule IS
    'When all that is available is paid out by itself: weekly on Mondays, monthly on the first.';
COMMENT ON COLUMN merchants.payout_minimum_cents IS
    'What a payout by schedule takes at least: cents, or as many yen, or ten times as many fils.';
COMMENT ON COLUMN merchants.payout_approval_cents IS
    'Above this somebody else than who asked must approve; none: nobody needs to.';

INSERT INTO posting_kinds (code, name, source_prefix) VALUES
    (40, 'payout.created', 'po'),
    (41, 'payout.paid', 'po'),
    (42, 'payout.reversed', 'po'),
    (43, 'payout.returned', 'po');

INSERT INTO transitions (object, from_status, to_status, event, posting) VALUES
    ('payout', '', 'requires_approval', 'payout.approval_requested', NULL),
    ('payout', '', 'pending', 'payout.created', 'payout.created'),
    ('payout', 'requires_approval', 'pending', 'payout.approved', 'payout.created'),
    ('payout', 'requires_approval', 'rejected', 'payout.rejected', NULL),
    ('payout', 'requires_approval', 'canceled', 'payout.canceled', NULL),
    ('payout', 'pending', 'canceled', 'payout.canceled', 'payout.reversed'),
    ('payout', 'pending', 'in_transit', 'payout.in_transit', NULL),
    ('payout', 'in_transit', 'paid', 'payout.paid', 'payout.paid'),
    ('payout', 'in_transit', 'failed', 'payout.failed', 'payout.reversed'),
    ('payout', 'paid', 'returned', 'payout.returned', 'payout.returned');

CREATE TABLE payouts (
    merchant_id        bigint      NOT NULL,
    livemode           boolean     NOT NULL,
    id                 uuid        NOT NULL,
    bank_account_id    uuid        NOT NULL,
    amount             bigint      NOT NULL CHECK (amount > 0),
    fee                bigint      NOT NULL DEFAULT 0 CHECK (fee >= 0),
    opening            bigint,
    items              bigint,
    closing            bigint,
    item_count         integer,
    sequence           integer,
    items_before_xid   bigint,
    ledger_transaction uuid,
    created_by         uuid,
    decided_by         uuid,
    bank_file          uuid,
    trace              bigint      GENERATED ALWAYS AS IDENTITY,
    created_at         timestamptz NOT NULL,
    scheduled_on       date,
    arrives_on         date,
    version            integer     NOT NULL DEFAULT 1,
    currency           text        NOT NULL,
    status             text        NOT NULL CHECK (status IN (
        'requires_approval', 'pending', 'in_transit', 'paid', 'rejected', 'canceled', 'failed',
        'returned')),
    failure_code       text,
    description        text,
    metadata           jsonb       NOT NULL DEFAULT '{}',
    PRIMARY KEY (merchant_id, livemode, id),
    FOREIGN KEY (merchant_id, livemode, bank_account_id) REFERENCES bank_accounts,
    -- the fence behind the lock: what is paid out was there
    CONSTRAINT never_overdraws CHECK (closing >= 0),
    CONSTRAINT adds_up CHECK (closing = opening + items - amount - fee),
    CONSTRAINT posted_means_itemised CHECK (
        (ledger_transaction IS NOT NULL) = (closing IS NOT NULL)
        AND (closing IS NOT NULL) = (opening IS NOT NULL)
        AND (closing IS NOT NULL) = (items IS NOT NULL)
        AND (closing IS NOT NULL) = (sequence IS NOT NULL)
        AND (ledger_transaction IS NOT NULL
             OR status IN ('requires_approval', 'rejected', 'canceled'))),
    CONSTRAINT one_after_the_other UNIQUE (merchant_id, livemode, currency, sequence),
    CONSTRAINT one_a_day_by_schedule UNIQUE (merchant_id, livemode, currency, scheduled_on),
    -- four eyes: whoever asked for it does not approve it
    CONSTRAINT maker_is_not_checker CHECK (
        decided_by IS NULL OR status = 'rejected' OR decided_by IS DISTINCT FROM created_by),
    CONSTRAINT failed_means_why CHECK (
        (status IN ('failed', 'returned')) = (failure_code IS NOT NULL))
);
COMMENT ON COLUMN payouts.opening IS 'What was available after the payout before; closing is what is after this one.';
COMMENT ON COLUMN payouts.items IS 'Sum of the entries in payout_items: all that changed what is available in between.';
COMMENT ON COLUMN payouts.items_before_xid IS 'Entries of older transactions are in this payout or an earlier one.';
CREATE INDEX payouts_pending ON payouts (created_at) WHERE status = 'pending' AND bank_file IS NULL;
CREATE INDEX payouts_file ON payouts (bank_file) WHERE bank_file IS NOT NULL;
CREATE UNIQUE INDEX payouts_trace ON payouts (trace);

-- The entries that a payout takes with it: each is in one payout at most.
CREATE TABLE payout_items (
    merchant_id        bigint  NOT NULL,
    livemode           boolean NOT NULL,
    ledger_transaction uuid    NOT NULL,
    payout_id          uuid    NOT NULL,
    amount             bigint  NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (merchant_id, livemode, ledger_transaction),
    FOREIGN KEY (merchant_id, livemode, payout_id) REFERENCES payouts DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX payout_items_payout ON payout_items (payout_id);

-- Finds what changed available; a captured charge is not in it.
CREATE INDEX journal_available ON journal (owner, xid)
    WHERE mod(a1, 1000) = 220 OR mod(a2, 1000) = 220 OR mod(a3, 1000) = 220 OR mod(a4, 1000) = 220;

CREATE FUNCTION check_payout_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.amount, OLD.currency, OLD.bank_account_id, OLD.created_by, OLD.created_at)
        IS DISTINCT FROM
        (NEW.amount, NEW.currency, NEW.bank_account_id, NEW.created_by, NEW.created_at) THEN
        RAISE EXCEPTION 'payout %: what was asked for does not change', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF (OLD.version, OLD.status) IS DISTINCT FROM (NEW.version, NEW.status) THEN
        PERFORM check_transition('payout', OLD.id, OLD.status, NEW.status, OLD.version, NEW.version);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER legal_change BEFORE UPDATE ON payouts
    FOR EACH ROW EXECUTE FUNCTION check_payout_change();

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['payouts', 'payout_items'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON %I TO ivy_app USING '
            '(merchant_id = current_merchant() AND livemode = current_livemode())', name);
        EXECUTE format('CREATE POLICY every ON %I TO ivy_jobs USING (true)', name);
        EXECUTE format('CREATE POLICY reading ON %I FOR SELECT TO ivy_read USING (true)', name);
        EXECUTE format('GRANT SELECT ON %I TO ivy_app, ivy_jobs, ivy_read', name);
    END LOOP;
END $$;

GRANT INSERT ON payout_items TO ivy_app;
GRANT INSERT (merchant_id, livemode, id, bank_account_id, amount, fee, opening, items, closing,
              item_count, sequence, items_before_xid, ledger_transaction, created_by, created_at,
              scheduled_on, currency, status, description, metadata) ON payouts TO ivy_app;
GRANT UPDATE (status, version, fee, opening, items, closing, item_count, sequence,
              items_before_xid, ledger_transaction, decided_by, arrives_on, failure_code)
    ON payouts TO ivy_app;
-- whoever writes the bank's files says which payouts are in them, and nothing else
GRANT UPDATE (bank_file) ON payouts TO ivy_jobs;

ALTER TABLE api_keys NO FORCE ROW LEVEL SECURITY;
UPDATE api_keys SET scopes = scopes || '{payouts:read,payouts:write}'
WHERE kind = 'secret' AND scopes @> '{charges:read,charges:write,refunds:read,refunds:write,
    disputes:read,disputes:write,balance:read,ledger:read,events:read,webhooks:read,
    webhooks:write,api_keys:read,api_keys:write}';
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
