-- Charges: their states, the only ways between them, and every question asked of an acquirer.

CREATE TABLE charge_transitions (
    from_status text NOT NULL,
    to_status   text NOT NULL,
    PRIMARY KEY (from_status, to_status)
);
INSERT INTO charge_transitions (from_status, to_status) VALUES
    ('pending', 'succeeded'),
    ('pending', 'failed');

-- merchant_id has no foreign key: it can only be the one that row-level security lets in, and the
-- key-share lock on a busy merchant's row would make every charge of that merchant meet there.
CREATE TABLE charges (
    merchant_id          bigint      NOT NULL,
    livemode             boolean     NOT NULL,
    id                   uuid        NOT NULL,
    amount               bigint      NOT NULL CHECK (amount BETWEEN 1 AND 999999999999),
    amount_captured      bigint      NOT NULL DEFAULT 0,
    amount_refunded      bigint      NOT NULL DEFAULT 0,
    fee                  bigint      CHECK (fee >= 0),
    ledger_transaction   uuid,
    created_at           timestamptz NOT NULL,
    version              integer     NOT NULL DEFAULT 1,
    available_on         date,
    disputed             boolean     NOT NULL DEFAULT false,
    currency             text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    status               text        NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    payment_method       text        NOT NULL,
    failure_code         text,
    decline_code         text,
    description          text,
    statement_descriptor text,
    metadata             jsonb       NOT NULL DEFAULT '{}',
    PRIMARY KEY (merchant_id, livemode, id),
    CONSTRAINT captured_within_amount CHECK (amount_captured BETWEEN 0 AND amount),
    CONSTRAINT refunded_within_captured CHECK (amount_refunded BETWEEN 0 AND amount_captured),
    CONSTRAINT succeeded_means_posted CHECK (
        (status = 'succeeded') = (ledger_transaction IS NOT NULL)
        AND (status = 'succeeded') = (fee IS NOT NULL)
        AND (status = 'succeeded') = (available_on IS NOT NULL)
        AND (status = 'succeeded') = (amount_captured > 0)),
    CONSTRAINT failed_means_why CHECK ((status = 'failed') = (failure_code IS NOT NULL))
);
CREATE INDEX charges_pending ON charges (created_at) WHERE status = 'pending';
CREATE INDEX charges_failed ON charges (merchant_id, livemode, id) WHERE status = 'failed';

-- A change of state is legal when the table above lists it, adds one to the version, and leaves
-- what was agreed alone. Everything else is refused here, whatever the program does.
CREATE FUNCTION check_charge_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.amount, OLD.currency, OLD.payment_method, OLD.created_at)
        IS DISTINCT FROM (NEW.amount, NEW.currency, NEW.payment_method, NEW.created_at) THEN
        RAISE EXCEPTION 'charge %: what was agreed does not change', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.version <> OLD.version + 1 THEN
        RAISE EXCEPTION 'charge %: version % must follow %', OLD.id, NEW.version, OLD.version
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status <> OLD.status AND NOT EXISTS (
        SELECT FROM charge_transitions
        WHERE from_status = OLD.status AND to_status = NEW.status) THEN
        RAISE EXCEPTION 'charge %: no way from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER legal_change BEFORE UPDATE ON charges
    FOR EACH ROW EXECUTE FUNCTION check_charge_change();

-- Each call to an acquirer: written before it is made, completed with its answer.
CREATE TABLE attempts (
    merchant_id  bigint      NOT NULL,
    livemode     boolean     NOT NULL,
    charge_id    uuid        NOT NULL,
    number       integer     NOT NULL CHECK (number >= 1),
    connector    text        NOT NULL,
    started_at   timestamptz NOT NULL,
    outcome      text,
    reference    text,
    milliseconds integer,
    PRIMARY KEY (merchant_id, livemode, charge_id, number),
    FOREIGN KEY (merchant_id, livemode, charge_id) REFERENCES charges
);

ALTER TABLE charges ENABLE ROW LEVEL SECURITY;
ALTER TABLE charges FORCE ROW LEVEL SECURITY;
ALTER TABLE attempts ENABLE ROW LEVEL SECURITY;
ALTER TABLE attempts FORCE ROW LEVEL SECURITY;

CREATE POLICY own ON charges TO ivy_app
    USING (merchant_id = current_merchant() AND livemode = current_livemode());
CREATE POLICY own ON attempts TO ivy_app
    USING (merchant_id = current_merchant() AND livemode = current_livemode());
CREATE POLICY every ON charges FOR SELECT TO ivy_jobs, ivy_read USING (true);
CREATE POLICY every ON attempts FOR SELECT TO ivy_jobs, ivy_read USING (true);

GRANT SELECT ON charge_transitions TO ivy_app, ivy_jobs, ivy_read;
GRANT SELECT ON charges TO ivy_app;
-- not what the acquirer decides: a charge begins without an outcome
GRANT INSERT (merchant_id, livemode, id, amount, created_at, currency, status, payment_method,
              description, statement_descriptor, metadata) ON charges TO ivy_app;
GRANT UPDATE (status, version, amount_captured, fee, available_on, ledger_transaction,
              failure_code, decline_code) ON charges TO ivy_app;
GRANT SELECT, INSERT ON attempts TO ivy_app;
GRANT UPDATE (outcome, reference, milliseconds) ON attempts TO ivy_app;
GRANT SELECT ON charges, attempts TO ivy_jobs, ivy_read;
