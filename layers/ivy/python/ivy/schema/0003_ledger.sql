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

-- Equal to ivy/money.py, which a test compares: whoever checks the books with SQL meets the number
-- in an account and the code in an object.
CREATE TABLE currencies (
    code     text     PRIMARY KEY CHECK (code ~ '^[A-Z]{3}$'),
    number   smallint NOT NULL UNIQUE CHECK (number BETWEEN 1 AND 999),
    exponent smallint NOT NULL CHECK (exponent IN (0, 2, 3))
);
COMMENT ON COLUMN currencies.exponent IS 'Decimals of the major unit.';
INSERT INTO currencies (code, number, exponent) VALUES
    ('AED', 784, 2), ('AFN', 971, 2), ('ALL', 8, 2), ('AMD', 51, 2), ('AOA', 973, 2),
    ('ARS', 32, 2), ('AUD', 36, 2), ('AWG', 533, 2), ('AZN', 944, 2), ('BAM', 977, 2),
    ('BBD', 52, 2), ('BDT', 50, 2), ('BHD', 48, 3), ('BIF', 108, 0), ('BMD', 60, 2),
    ('BND', 96, 2), ('BOB', 68, 2), ('BRL', 986, 2), ('BSD', 44, 2), ('BTN', 64, 2),
    ('BWP', 72, 2), ('BYN', 933, 2), ('BZD', 84, 2), ('CAD', 124, 2), ('CDF', 976, 2),
    ('CHF', 756, 2), ('CLP', 152, 0), ('CNY', 156, 2), ('COP', 170, 2), ('CRC', 188, 2),
    ('CUP', 192, 2), ('CVE', 132, 2), ('CZK', 203, 2), ('DJF', 262, 0), ('DKK', 208, 2),
    ('DOP', 214, 2), ('DZD', 12, 2), ('EGP', 818, 2), ('ERN', 232, 2), ('ETB', 230, 2),
    ('EUR', 978, 2), ('FJD', 242, 2), ('FKP', 238, 2), ('GBP', 826, 2), ('GEL', 981, 2),
    ('GHS', 936, 2), ('GIP', 292, 2), ('GMD', 270, 2), ('GNF', 324, 0), ('GTQ', 320, 2),
    ('GYD', 328, 2), ('HKD', 344, 2), ('HNL', 340, 2), ('HTG', 332, 2), ('HUF', 348, 2),
    ('IDR', 360, 2), ('ILS', 376, 2), ('INR', 356, 2), ('IQD', 368, 3), ('IRR', 364, 2),
    ('ISK', 352, 0), ('JMD', 388, 2), ('JOD', 400, 3), ('JPY', 392, 0), ('KES', 404, 2),
    ('KGS', 417, 2), ('KHR', 116, 2), ('KMF', 174, 0), ('KPW', 408, 2), ('KRW', 410, 0),
    ('KWD', 414, 3), ('KYD', 136, 2), ('KZT', 398, 2), ('LAK', 418, 2), ('LBP', 422, 2),
    ('LKR', 144, 2), ('LRD', 430, 2), ('LSL', 426, 2), ('LYD', 434, 3), ('MAD', 504, 2),
    ('MDL', 498, 2), ('MGA', 969, 2), ('MKD', 807, 2), ('MMK', 104, 2), ('MNT', 496, 2),
    ('MOP', 446, 2), ('MRU', 929, 2), ('MUR', 480, 2), ('MVR', 462, 2), ('MWK', 454, 2),
    ('MXN', 484, 2), ('MYR', 458, 2), ('MZN', 943, 2), ('NAD', 516, 2), ('NGN', 566, 2),
    ('NIO', 558, 2), ('NOK', 578, 2), ('NPR', 524, 2), ('NZD', 554, 2), ('OMR', 512, 3),
    ('PAB', 590, 2), ('PEN', 604, 2), ('PGK', 598, 2), ('PHP', 608, 2), ('PKR', 586, 2),
    ('PLN', 985, 2), ('PYG', 600, 0), ('QAR', 634, 2), ('RON', 946, 2), ('RSD', 941, 2),
    ('RUB', 643, 2), ('RWF', 646, 0), ('SAR', 682, 2), ('SBD', 90, 2), ('SCR', 690, 2),
    ('SDG', 938, 2), ('SEK', 752, 2), ('SGD', 702, 2), ('SHP', 654, 2), ('SLE', 925, 2),
    ('SOS', 706, 2), ('SRD', 968, 2), ('SSP', 728, 2), ('STN', 930, 2), ('SVC', 222, 2),
    ('SYP', 760, 2), ('SZL', 748, 2), ('THB', 764, 2), ('TJS', 972, 2), ('TMT', 934, 2),
    ('TND', 788, 3), ('TOP', 776, 2), ('TRY', 949, 2), ('TTD', 780, 2), ('TWD', 901, 2),
    ('TZS', 834, 2), ('UAH', 980, 2), ('UGX', 800, 0), ('USD', 840, 2), ('UYU', 858, 2),
    ('UZS', 860, 2), ('VED', 926, 2), ('VES', 928, 2), ('VND', 704, 0), ('VUV', 548, 0),
    ('WST', 882, 2), ('XAD', 396, 2), ('XAF', 950, 0), ('XCD', 951, 2), ('XCG', 532, 2),
    ('XOF', 952, 0), ('XPF', 953, 0), ('YER', 886, 2), ('ZAR', 710, 2), ('ZMW', 967, 2),
    ('ZWG', 924, 2);

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

GRANT SELECT ON currencies, chart, posting_kinds, rollup, entries TO ivy_app, ivy_jobs, ivy_read;
-- not xid: a row that claimed an older transaction would hide behind the watermark
GRANT INSERT (id, source, owner, recorded_at, a1, v1, a2, v2, a3, v3, a4, v4, value_on, kind,
              part, livemode, reverses, reason) ON journal TO ivy_app;
GRANT SELECT ON journal TO ivy_app, ivy_jobs, ivy_read;
-- not balance: an account opens empty
GRANT SELECT, INSERT (number) ON accounts TO ivy_app;
GRANT SELECT, INSERT, UPDATE ON accounts TO ivy_jobs;
GRANT UPDATE (watermark) ON rollup TO ivy_jobs;
GRANT SELECT ON accounts TO ivy_read;
