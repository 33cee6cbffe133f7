-- Reports of settlements: a batch's items are written down once, in a file that nobody changes, and
-- the batch follows its money until a bank has paid it.

INSERT INTO transitions (object, from_status, to_status, event, posting) VALUES
    ('settlement', 'closed', 'closed', 'settlement.report_ready', NULL),
    ('settlement', 'paid_out', 'paid_out', 'settlement.report_ready', NULL),
    ('settlement', 'closed', 'paid_out', 'settlement.paid_out', NULL),
    ('settlement', 'paid_out', 'closed', 'settlement.payout_returned', NULL);

ALTER TABLE settlements
    DROP CONSTRAINT settlements_status_check,
    ADD CONSTRAINT settlements_status_check CHECK (status IN ('closed', 'paid_out')),
    ADD COLUMN report_size bigint CHECK (report_size > 0),
    ADD COLUMN reported_at timestamptz,
    ADD COLUMN item_count integer CHECK (item_count > 0),
    ADD COLUMN report_key text,
    ADD COLUMN items_sha256 text CHECK (items_sha256 ~ '^[0-9a-f]{64}$'),
    ADD CONSTRAINT reported_means_all_of_it CHECK (
        num_nulls(report_size, reported_at, item_count, report_key, items_sha256) IN (0, 5)),
    ADD CONSTRAINT report_of_the_mode CHECK (
        starts_with(report_key, CASE WHEN livemode THEN 'reports/live/' ELSE 'reports/test/' END)),
    ADD CONSTRAINT paid_out_means_there_was_something CHECK (
        status = 'closed' OR ledger_transaction IS NOT NULL);
COMMENT ON COLUMN settlements.items_sha256 IS 'Of the bytes of the report, report_key.';

CREATE FUNCTION check_settlement_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.charges, OLD.fees, OLD.refunds, OLD.returns, OLD.net, OLD.reserved, OLD.charge_count,
        OLD.ledger_transaction, OLD.settled_on, OLD.currency, OLD.created_at)
        IS DISTINCT FROM
        (NEW.charges, NEW.fees, NEW.refunds, NEW.returns, NEW.net, NEW.reserved, NEW.charge_count,
        NEW.ledger_transaction, NEW.settled_on, NEW.currency, NEW.created_at) THEN
        RAISE EXCEPTION 'settlement %: what is settled does not change', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.reported_at IS NOT NULL
        AND (OLD.report_key, OLD.report_size, OLD.items_sha256, OLD.item_count, OLD.reported_at)
        IS DISTINCT FROM
        (NEW.report_key, NEW.report_size, NEW.items_sha256, NEW.item_count, NEW.reported_at) THEN
        RAISE EXCEPTION 'settlement %: is reported once', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    PERFORM check_transition(
        'settlement', OLD.id, OLD.status, NEW.status, OLD.version, NEW.version);
    RETURN NEW;
END $$;
CREATE TRIGGER legal_change BEFORE UPDATE ON settlements
    FOR EACH ROW EXECUTE FUNCTION check_settlement_change();

GRANT UPDATE (status, version, report_key, report_size, items_sha256, item_count, reported_at)
    ON settlements TO ivy_app;

-- Whoever settles promises the report of what it closes, and no other work.
CREATE POLICY settling ON outbox FOR INSERT TO ivy_settle WITH CHECK (
    queue = 'settlement_reports' AND action = 'report');
GRANT INSERT (id, merchant_id, livemode, queue, subject, action, correlation, next_send_at,
              expected_at, due_at, created_at) ON outbox TO ivy_settle;

-- What was closed before gets its report too. No policy shows the owner a row or takes one of it.
ALTER TABLE settlements NO FORCE ROW LEVEL SECURITY;
ALTER TABLE outbox NO FORCE ROW LEVEL SECURITY;
INSERT INTO outbox (id, merchant_id, livemode, queue, subject, action, correlation, next_send_at,
                    expected_at, created_at)
SELECT uuidv7(), merchant_id, livemode, 'settlement_reports', id, 'report', '', now(),
       now() + interval '5 minutes', now()
FROM settlements;
ALTER TABLE outbox FORCE ROW LEVEL SECURITY;
ALTER TABLE settlements FORCE ROW LEVEL SECURITY;
