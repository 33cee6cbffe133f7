-- What acquirers say that they pay: expected, until a line of a bank's statement is it.

INSERT INTO posting_kinds (code, name, source_prefix) VALUES
    (62, 'acquirer.paid', 'acs');

-- In test mode each is one merchant's, who has a present of its own; in live mode it is ours.
CREATE TABLE acquirer_settlements (
    id                 uuid        PRIMARY KEY,
    merchant_id        bigint,
    livemode           boolean     NOT NULL,
    gross              bigint      NOT NULL CHECK (gross >= 0),
    refunds            bigint      NOT NULL CHECK (refunds >= 0),
    returns            bigint      NOT NULL CHECK (returns >= 0),
    disputes           bigint      NOT NULL,
    costs              bigint      NOT NULL CHECK (costs >= 0),
    net                bigint      NOT NULL CHECK (net > 0),
    created_at         timestamptz NOT NULL,
    sent_at            timestamptz,
    received_at        timestamptz,
    expected_on        date        NOT NULL,
    line_id            uuid        UNIQUE REFERENCES bank_lines,
    ledger_transaction uuid        UNIQUE,
    connector          text        NOT NULL,
    currency           text        NOT NULL REFERENCES currencies,
    reference          text        NOT NULL CHECK (length(reference) BETWEEN 1 AND 35),
    status             text        NOT NULL DEFAULT 'expected'
                       CHECK (status IN ('expected', 'received')),
    received_as        text        CHECK (received_as IN ('exact', 'rule', 'tolerance', 'resolved')),
    CONSTRAINT parts_are_the_whole CHECK (net = gross - refunds - returns - disputes - costs),
    CONSTRAINT test_means_whose CHECK (livemode = (merchant_id IS NULL)),
    CONSTRAINT named_once UNIQUE (livemode, connector, reference),
    CONSTRAINT received_means_how CHECK (
        num_nulls(received_at, line_id, ledger_transaction, received_as)
        = CASE status WHEN 'received' THEN 0 ELSE 4 END)
);
COMMENT ON COLUMN acquirer_settlements.merchant_id IS 'Whose a settlement of test mode is.';
COMMENT ON COLUMN acquirer_settlements.disputes IS
    'Withdrawn, less reinstated: below zero when more came back.';
COMMENT ON COLUMN acquirer_settlements.sent_at IS
    'When the simulated acquirer had told its bank; of a real one nobody knows.';
CREATE UNIQUE INDEX acquirer_settlements_day
    ON acquirer_settlements (merchant_id, connector, currency, expected_on) WHERE NOT livemode;
CREATE INDEX acquirer_settlements_reference ON acquirer_settlements (reference);
CREATE INDEX acquirer_settlements_unsent
    ON acquirer_settlements (expected_on) WHERE sent_at IS NULL AND NOT livemode;
CREATE INDEX acquirer_settlements_open
    ON acquirer_settlements (expected_on) WHERE status = 'expected';

-- Through which day the simulated acquirer has said what it pays to whom.
CREATE TABLE acquirer_streams (
    merchant_id  bigint  NOT NULL,
    livemode     boolean NOT NULL DEFAULT false CHECK (NOT livemode),
    currency     text    NOT NULL REFERENCES currencies,
    said_through date    NOT NULL,
    untold_on    date,
    PRIMARY KEY (merchant_id, livemode, currency)
);
COMMENT ON COLUMN acquirer_streams.said_through IS
    'The last value date whose entries on acquirer_receivable:simulated it has paid, or netted.';

COMMENT ON COLUMN acquirer_streams.untold_on IS
    'The first day of what it has said, and not told its bank yet.';

-- What the simulated acquirer and a clock look for. Live rows are not in it.
CREATE INDEX journal_acquired ON journal (owner, value_on)
    WHERE NOT livemode AND kind IN (1, 4, 11, 21, 23);

-- How a line is recognised that does not name a settlement, or is not exactly its amount.
CREATE TABLE matching_rules (
    id                   uuid        PRIMARY KEY,
    livemode             boolean     NOT NULL,
    tolerance            bigint      NOT NULL DEFAULT 0 CHECK (tolerance >= 0),
    created_at           timestamptz NOT NULL,
    retired_at           timestamptz,
    days                 integer     NOT NULL CHECK (days BETWEEN 0 AND 31),
    connector            text        NOT NULL,
    description_contains text        NOT NULL CHECK (length(description_contains) BETWEEN 3 AND 100),
    created_by           text        NOT NULL,
    reason               text        NOT NULL,
    retired_by           text,
    CONSTRAINT retired_means_by_whom CHECK ((retired_at IS NULL) = (retired_by IS NULL))
);
COMMENT ON COLUMN matching_rules.tolerance IS 'In minor units of whichever currency.';
COMMENT ON COLUMN matching_rules.days IS 'Between the day that is expected and the one booked.';

ALTER TABLE bank_lines DROP CONSTRAINT bank_lines_outcome_check;
ALTER TABLE bank_lines ADD CONSTRAINT bank_lines_outcome_check
    CHECK (outcome IN ('new', 'payout', 'acquirer', 'suspense'));
COMMENT ON COLUMN bank_lines.outcome IS
    'Whose posting moved bank:client: a payout''s, an acquirer settlement''s or a suspense item''s;'
    ' new: nobody''s yet.';
ALTER TABLE bank_lines ADD CONSTRAINT acquirer_means_it_came
    CHECK (outcome <> 'acquirer' OR (amount > 0 AND payout_id IS NULL));

CREATE OR REPLACE FUNCTION check_bank_line_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.outcome IN ('payout', 'acquirer') THEN
        RAISE EXCEPTION 'line %: is what a posting has moved, and stays so', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

-- A settlement is received once, by a line of its mode and currency: one that is its posting, or
-- one that was in suspense.
CREATE FUNCTION check_acquirer_settlement_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'received' THEN
        RAISE EXCEPTION 'acquirer settlement %: has been received', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status = 'received' AND NOT EXISTS (
        SELECT FROM bank_lines
        WHERE id = NEW.line_id AND (livemode, currency) = (NEW.livemode, NEW.currency)
          AND outcome = CASE NEW.received_as WHEN 'resolved' THEN 'suspense' ELSE 'acquirer' END) THEN
        RAISE EXCEPTION 'acquirer settlement %: is not what the line % shows', OLD.id, NEW.line_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER received_once
    BEFORE UPDATE OF status, received_as, received_at, line_id, ledger_transaction
    ON acquirer_settlements
    FOR EACH ROW EXECUTE FUNCTION check_acquirer_settlement_change();

-- What a line differs by from the settlement that it is, is in suspense by itself.
ALTER TABLE suspense_items ADD COLUMN settlement_id uuid UNIQUE REFERENCES acquirer_settlements;
COMMENT ON COLUMN suspense_items.settlement_id IS
    'The settlement whose line was another amount: this is the difference.';
DROP INDEX suspense_items_line;
CREATE UNIQUE INDEX suspense_items_line ON suspense_items (line_id)
    WHERE resolved_as IS DISTINCT FROM 'payout' AND settlement_id IS NULL;
-- the posting of the line, or of the item that a settlement was matched with by hand, opens it too
ALTER TABLE suspense_items DROP CONSTRAINT suspense_items_ledger_transaction_key;
CREATE UNIQUE INDEX suspense_items_opened ON suspense_items (ledger_transaction)
    WHERE settlement_id IS NULL;
ALTER TABLE suspense_items DROP CONSTRAINT target_of_the_kind;
ALTER TABLE suspense_items ADD CONSTRAINT target_of_the_kind CHECK (
    coalesce(resolved_as = 'acquirer', false)
    OR (target IS NOT NULL) = coalesce(resolved_as IN ('payout', 'opposite'), false));
COMMENT ON COLUMN suspense_items.target IS
    'The payout, the item of the opposite line, or the settlement of an acquirer if it is known.';

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['acquirer_settlements', 'acquirer_streams', 'matching_rules'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY every ON %I TO ivy_jobs USING (true)', name);
        EXECUTE format('CREATE POLICY reading ON %I FOR SELECT TO ivy_read USING (true)', name);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO ivy_jobs', name);
        EXECUTE format('GRANT SELECT ON %I TO ivy_read', name);
    END LOOP;
END $$;
GRANT UPDATE (sent_at, received_at, line_id, ledger_transaction, status, received_as)
    ON acquirer_settlements TO ivy_jobs;
GRANT UPDATE (said_through, untold_on) ON acquirer_streams TO ivy_jobs;
GRANT UPDATE (retired_at, retired_by) ON matching_rules TO ivy_jobs;

-- A clock looks up to which day its merchant has been paid.
CREATE POLICY own ON acquirer_streams FOR SELECT TO ivy_app
    USING (merchant_id = current_merchant() AND livemode = current_livemode());
GRANT SELECT ON acquirer_streams TO ivy_app;
CREATE POLICY currencies ON bank_originators FOR SELECT TO ivy_app
    USING (current_merchant() IS NOT NULL AND livemode = current_livemode());
GRANT SELECT (livemode, currency) ON bank_originators TO ivy_app;

-- The laws are one query each, whoever asks. A merchant's proof reads this and finds no row.
GRANT SELECT (livemode, id, line_id, ledger_transaction, net, connector, currency, status,
              received_as) ON acquirer_settlements TO ivy_app;
GRANT SELECT (target, settlement_id) ON suspense_items TO ivy_app;
