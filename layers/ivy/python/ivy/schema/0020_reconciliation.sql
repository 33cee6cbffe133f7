-- Every line of a bank's statement is in the books: it is what a payout posted, or it is in suspense.

INSERT INTO posting_kinds (code, name, source_prefix) VALUES
    (60, 'suspense.opened', 'sus'),
    (61, 'suspense.resolved', 'sus');

-- Balances as banks state them.
CREATE TABLE bank_statements (
    id           uuid        PRIMARY KEY,
    livemode     boolean     NOT NULL,
    receipt_id   uuid        NOT NULL REFERENCES bank_receipts,
    opening      bigint      NOT NULL,
    closing      bigint      NOT NULL,
    created_at   timestamptz NOT NULL,
    closed_on    date        NOT NULL,
    lines        integer     NOT NULL CHECK (lines >= 0),
    currency     text        NOT NULL,
    account      text        NOT NULL,
    statement_id text        NOT NULL,
    CONSTRAINT stated_once UNIQUE (livemode, account, statement_id)
);
CREATE INDEX bank_statements_day ON bank_statements (livemode, currency, closed_on);

-- 'new' until it is known whether the payout that it is about takes it. What is there already is
-- looked at again by the next run.
ALTER TABLE bank_lines ADD COLUMN outcome text NOT NULL DEFAULT 'new'
    CHECK (outcome IN ('new', 'payout', 'suspense'));
COMMENT ON COLUMN bank_lines.outcome IS
    'Whose posting moved bank:client: a payout''s or a suspense item''s; new: nobody''s yet.';
ALTER TABLE bank_lines ADD CONSTRAINT payout_means_which
    CHECK (outcome <> 'payout' OR payout_id IS NOT NULL);
CREATE UNIQUE INDEX bank_lines_payout_once ON bank_lines (payout_id, (amount > 0))
    WHERE outcome = 'payout';
CREATE INDEX bank_lines_new ON bank_lines (id) WHERE outcome = 'new';
CREATE INDEX bank_lines_day ON bank_lines (livemode, currency, booked_on);
DROP INDEX bank_lines_unmatched;

-- Money on our account that nobody has claimed yet, or that left it and nobody knows why.
CREATE TABLE suspense_items (
    id                 uuid        PRIMARY KEY,
    livemode           boolean     NOT NULL,
    line_id            uuid        NOT NULL REFERENCES bank_lines,
    ledger_transaction uuid        NOT NULL UNIQUE,
    resolution         uuid        UNIQUE,
    target             uuid,
    amount             bigint      NOT NULL CHECK (amount <> 0),
    opened_at          timestamptz NOT NULL,
    resolved_at        timestamptz,
    currency           text        NOT NULL,
    resolved_as        text        CHECK (resolved_as IN ('payout', 'opposite', 'rounding', 'loss')),
    resolved_by        text,
    reason             text,
    CONSTRAINT resolved_means_how CHECK (
        num_nulls(resolved_at, resolved_as, resolved_by, reason) IN (0, 4)),
    -- what the opposite line makes good needs no posting: the two sum to nothing
    CONSTRAINT resolved_means_posted CHECK (
        (resolution IS NOT NULL) = coalesce(resolved_as <> 'opposite', false)),
    CONSTRAINT target_of_the_kind CHECK (
        (target IS NOT NULL) = coalesce(resolved_as IN ('payout', 'opposite'), false)),
    CONSTRAINT rounding_is_one_unit CHECK (resolved_as <> 'rounding' OR abs(amount) = 1)
);
COMMENT ON COLUMN suspense_items.amount IS 'As on the statement: positive came in, negative left.';
COMMENT ON COLUMN suspense_items.target IS 'The payout, or the item of the opposite line.';
COMMENT ON COLUMN suspense_items.opened_at IS 'By the clock of the database: its age is real.';
-- One line is in suspense once; again only if the payout that it was given to did not take it.
CREATE UNIQUE INDEX suspense_items_line ON suspense_items (line_id)
    WHERE resolved_as IS DISTINCT FROM 'payout';
CREATE INDEX suspense_items_open ON suspense_items (opened_at) WHERE resolved_at IS NULL;

-- For how long what is on a clearing account may stay open, before law L13 is broken.
CREATE TABLE clearing_accounts (
    code          smallint PRIMARY KEY REFERENCES chart,
    max_open_days integer  NOT NULL CHECK (max_open_days > 0)
);
INSERT INTO clearing_accounts (code, max_open_days) VALUES (180, 5);

CREATE FUNCTION check_bank_line_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.outcome = 'payout' THEN
        RAISE EXCEPTION 'line %: is what a payout has posted, and stays so', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER legal_change BEFORE UPDATE ON bank_lines
    FOR EACH ROW EXECUTE FUNCTION check_bank_line_change();

CREATE FUNCTION check_suspense_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.resolved_at IS NOT NULL THEN
        RAISE EXCEPTION 'suspense item %: is resolved', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER resolved_once BEFORE UPDATE ON suspense_items
    FOR EACH ROW EXECUTE FUNCTION check_suspense_change();

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['bank_statements', 'suspense_items'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY every ON %I TO ivy_jobs USING (true)', name);
        EXECUTE format('CREATE POLICY reading ON %I FOR SELECT TO ivy_read USING (true)', name);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO ivy_jobs', name);
        EXECUTE format('GRANT SELECT ON %I TO ivy_read', name);
    END LOOP;
END $$;
GRANT UPDATE (resolution, target, resolved_at, resolved_as, resolved_by, reason)
    ON suspense_items TO ivy_jobs;
GRANT UPDATE (outcome, payout_id, merchant_id) ON bank_lines TO ivy_jobs;
GRANT SELECT ON clearing_accounts TO ivy_app, ivy_jobs, ivy_read;

-- The laws are one query each, whoever asks. A merchant's proof reads these two and finds no row.
GRANT SELECT (livemode, id, payout_id, amount, currency, outcome) ON bank_lines TO ivy_app;
GRANT SELECT (livemode, id, line_id, ledger_transaction, resolution, amount, opened_at, currency,
              resolved_at, resolved_as) ON suspense_items TO ivy_app;

-- Whoever takes in statements posts what is ours alone, and nothing in a merchant's books.
CREATE POLICY ours ON journal FOR INSERT TO ivy_jobs
    WITH CHECK (owner = 0 AND kind BETWEEN 60 AND 69);
GRANT INSERT (id, source, owner, recorded_at, a1, v1, a2, v2, a3, v3, a4, v4, value_on, kind,
              part, livemode, reverses, reason) ON journal TO ivy_jobs;
