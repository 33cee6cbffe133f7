-- The ledger: an append-only journal whose rows cannot be unbalanced, and the accounts it moves.
--
-- An account number says everything about the account, like the numbers on a bank statement:
--
--     1042 840 0 210
--     |    |   | +-- code in the chart of accounts (m:pending)
--     |    |   +---- mode: 0 test, 1 live
--     |    +-------- ISO 4217 number of the currency (USD)
--     +------------- owner: the merchant's number, nothing for the platform
--
-- So a CHECK on a single journal row can prove that its legs share one currency and one mode and
-- never join two merchants. No trigger, no look-up, no way round it.

CREATE TABLE chart (
    code     smallint PRIMARY KEY CHECK (code BETWEEN 1 AND 999),
    name     text     NOT NULL UNIQUE,
    side     text     NOT NULL CHECK (side IN ('debit', 'credit')),
    owned_by text     NOT NULL CHECK (owned_by IN ('platform', 'merchant')),
    meaning  text     NOT NULL,
    -- merchant accounts are 200-299 and 900-949; the journal's CHECK relies on it
    CHECK ((owned_by = 'merchant') = (code BETWEEN 200 AND 299 OR code BETWEEN 900 AND 949))
);

INSERT INTO chart (code, name, side, owned_by, meaning) VALUES
    (110, 'acquirer_receivable:simulated', 'debit', 'platform', 'captured, not yet received from the acquirer'),
    (111, 'acquirer_receivable:stripe', 'debit', 'platform', 'captured, not yet received from the acquirer'),
    (150, 'bank:client', 'debit', 'platform', 'safeguarded client money'),
    (151, 'bank:own', 'debit', 'platform', 'our own money'),
    (160, 'disputes_receivable:simulated', 'debit', 'platform', 'withdrawn by the acquirer while a dispute is open'),
    (161, 'disputes_receivable:stripe', 'debit', 'platform', 'withdrawn by the acquirer while a dispute is open'),
    (170, 'debit_in_transit', 'debit', 'platform', 'recovery debits sent, not yet confirmed'),
    (180, 'suspense:bank', 'debit', 'platform', 'bank lines nobody has matched yet'),
    (190, 'fx_position', 'debit', 'platform', 'our open position in this currency'),
    (210, 'pending', 'credit', 'merchant', 'earned, not yet available'),
    (220, 'available', 'credit', 'merchant', 'payable now'),
    (230, 'reserve', 'credit', 'merchant', 'held back for a time'),
    (240, 'dispute_hold', 'credit', 'merchant', 'held while a dispute is open'),
    (250, 'payouts_in_transit', 'credit', 'merchant', 'left available, not yet confirmed by the bank'),
    (310, 'refunds_payable', 'credit', 'platform', 'refunds accepted, not yet confirmed'),
    (320, 'processor_payable', 'credit', 'platform', 'acquirer costs billed later'),
    (410, 'income:processing', 'credit', 'platform', 'fees on charges'),
    (420, 'income:dispute', 'credit', 'platform', 'fees on disputes'),
    (430, 'income:payout', 'credit', 'platform', 'fees on payouts'),
    (440, 'income:fx', 'credit', 'platform', 'margin on conversions'),
    (510, 'expense:processor', 'debit', 'platform', 'what the acquirer charges us'),
    (520, 'loss:writeoff', 'debit', 'platform', 'merchant debts given up'),
    (530, 'rounding', 'debit', 'platform', 'at most one minor unit per posting'),
    (910, 'auth', 'debit', 'merchant', 'memo: amounts authorised and not captured'),
    (960, 'auth_contra', 'credit', 'platform', 'memo: the other side of auth');

-- What a ledger transaction records. The prefix says what kind of object its source is.
CREATE TABLE posting_kinds (
    code          smallint PRIMARY KEY,
    name          text     NOT NULL UNIQUE,
    source_prefix text     NOT NULL
);
INSERT INTO posting_kinds (code, name, source_prefix) VALUES
    (1, 'charge.captured', 'ch'),
    (2, 'charge.authorized', 'ch'),
    (3, 'charge.released', 'ch'),
    (4, 'charge.returned', 'ch'),
    (10, 'refund.accepted', 're'),
    (11, 'refund.succeeded', 're'),
    (12, 'refund.returned', 're'),
    (20, 'dispute.opened', 'dp'),
    (21, 'dispute.withdrawn', 'dp'),
    (22, 'dispute.won', 'dp'),
    (23, 'dispute.reinstated', 'dp'),
    (24, 'dispute.lost', 'dp');

CREATE FUNCTION owned_correctly(account bigint, owner bigint) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN account % 1000 BETWEEN 200 AND 299 OR account % 1000 BETWEEN 900 AND 949
        THEN account / 10000000 = owner AND owner > 0
        ELSE account / 10000000 = 0
    END;

-- One row is one ledger transaction of two to four legs; debit is positive, credit negative.
-- Longer ones are several rows with one (source, kind), each balanced by itself.
CREATE TABLE journal (
    id          uuid        PRIMARY KEY,
    source      uuid        NOT NULL,
    owner       bigint      NOT NULL CHECK (owner >= 0),
    xid         bigint      NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    recorded_at timestamptz NOT NULL,
    a1          bigint      NOT NULL,
    v1          bigint      NOT NULL,
    a2          bigint      NOT NULL,
    v2          bigint      NOT NULL,
    a3          bigint,
    v3          bigint,
    a4          bigint,
    v4          bigint,
    value_on    date        NOT NULL,
    kind        smallint    NOT NULL,
    part        smallint    NOT NULL DEFAULT 0,
    livemode    boolean     NOT NULL,
    reverses    uuid,
    reason      text,

    CONSTRAINT legs_sum_to_zero CHECK (v1 + v2 + coalesce(v3, 0) + coalesce(v4, 0) = 0),
    CONSTRAINT legs_are_not_zero CHECK (
        v1 <> 0 AND v2 <> 0 AND coalesce(v3, 1) <> 0 AND coalesce(v4, 1) <> 0),
    CONSTRAINT legs_are_whole CHECK (
        (a3 IS NULL) = (v3 IS NULL) AND (a4 IS NULL) = (v4 IS NULL) AND (a4 IS NULL OR a3 IS NOT NULL)),
    CONSTRAINT legs_are_distinct_accounts CHECK (
        a1 <> a2 AND coalesce(a3 NOT IN (a1, a2), true) AND coalesce(a4 NOT IN (a1, a2, a3), true)),
    CONSTRAINT legs_share_currency_and_mode CHECK (
        a2 / 1000 % 10000 = a1 / 1000 % 10000
        AND coalesce(a3 / 1000 % 10000 = a1 / 1000 % 10000, true)
        AND coalesce(a4 / 1000 % 10000 = a1 / 1000 % 10000, true)
        AND a1 / 1000 % 10 = livemode::integer),
    CONSTRAINT legs_have_one_merchant CHECK (
        owned_correctly(a1, owner) AND owned_correctly(a2, owner)
        AND coalesce(owned_correctly(a3, owner), true)
        AND coalesce(owned_correctly(a4, owner), true)),
    -- one posting per object and transition, for ever
    CONSTRAINT posted_once UNIQUE (source, kind, part)
);
CREATE INDEX journal_tail ON journal (owner, xid);
CREATE INDEX journal_xid ON journal USING brin (xid);

-- A balance is this figure, true for every transaction before the watermark, plus the journal
-- rows from the watermark on. A credit never touches a row here, so no account is ever hot;
-- a debit that must not overdraw locks its own row first.
CREATE TABLE accounts (
    number         bigint PRIMARY KEY,
    balance        bigint NOT NULL DEFAULT 0
);
COMMENT ON COLUMN accounts.balance IS 'Sum of all legs with journal.xid < rollup.watermark. Debit positive.';

CREATE TABLE rollup (
    single    boolean PRIMARY KEY DEFAULT true CHECK (single),
    watermark bigint  NOT NULL
);
INSERT INTO rollup (watermark) VALUES (0);

-- Outer joins: an entry with a code nobody knows must show, not vanish.
CREATE VIEW entries WITH (security_invoker = true) AS
    SELECT journal.id AS ledger_transaction, posting_kinds.name AS kind, part,
           posting_kinds.source_prefix, source, owner, livemode, leg.account,
           chart.name AS account_name, leg.amount, value_on, recorded_at, xid
    FROM journal
    CROSS JOIN LATERAL (VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) AS leg (account, amount)
    LEFT JOIN chart ON chart.code = leg.account % 1000
    LEFT JOIN posting_kinds ON posting_kinds.code = journal.kind
    WHERE leg.account IS NOT NULL;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only: correct it with a new transaction that reverses'
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

ALTER TABLE journal ENABLE ROW LEVEL SECURITY;
ALTER TABLE journal FORCE ROW LEVEL SECURITY;
ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE accounts FORCE ROW LEVEL SECURITY;

CREATE POLICY own ON journal TO ivy_app
    USING (owner = current_merchant() AND livemode = current_livemode());
CREATE POLICY every ON journal FOR SELECT TO ivy_jobs, ivy_read USING (true);
CREATE POLICY own ON accounts TO ivy_app
    USING (number / 10000000 = current_merchant()
           AND number / 1000 % 10 = current_livemode()::integer);
CREATE POLICY every ON accounts TO ivy_jobs USING (true);
CREATE POLICY reading ON accounts FOR SELECT TO ivy_read USING (true);

GRANT SELECT ON chart, posting_kinds, rollup, entries TO ivy_app, ivy_jobs, ivy_read;
-- not xid: a row that claimed an older transaction would hide behind the watermark
GRANT INSERT (id, source, owner, recorded_at, a1, v1, a2, v2, a3, v3, a4, v4, value_on, kind,
              part, livemode, reverses, reason) ON journal TO ivy_app;
GRANT SELECT ON journal TO ivy_app, ivy_jobs, ivy_read;
-- not balance: an account opens empty
GRANT SELECT, INSERT (number) ON accounts TO ivy_app;
GRANT SELECT, INSERT, UPDATE ON accounts TO ivy_jobs;
GRANT UPDATE (watermark) ON rollup TO ivy_jobs;
GRANT SELECT ON accounts TO ivy_read;
