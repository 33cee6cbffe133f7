-- Charges, refunds and disputes: their states, the only ways between them, and every question
-- asked of an acquirer.

-- The machines. Equal to ivy/states.py, which a test compares; printed in docs/states.md.
CREATE TABLE transitions (
    object      text NOT NULL,
    from_status text NOT NULL,
    to_status   text NOT NULL,
    event       text NOT NULL,
    posting     text REFERENCES posting_kinds (name),
    PRIMARY KEY (object, from_status, to_status)
);
COMMENT ON COLUMN transitions.from_status IS 'Empty: the object begins here.';
INSERT INTO transitions (object, from_status, to_status, event, posting) VALUES
    ('charge', '', 'pending', 'charge.pending', NULL),
    ('charge', 'pending', 'requires_action', 'charge.requires_action', NULL),
    ('charge', 'pending', 'authorized', 'charge.authorized', 'charge.authorized'),
    ('charge', 'pending', 'succeeded', 'charge.succeeded', 'charge.captured'),
    ('charge', 'pending', 'failed', 'charge.failed', NULL),
    ('charge', 'requires_action', 'authorized', 'charge.authorized', 'charge.authorized'),
    ('charge', 'requires_action', 'succeeded', 'charge.succeeded', 'charge.captured'),
    ('charge', 'requires_action', 'failed', 'charge.failed', NULL),
    ('charge', 'requires_action', 'canceled', 'charge.canceled', NULL),
    ('charge', 'authorized', 'succeeded', 'charge.captured', 'charge.captured'),
    ('charge', 'authorized', 'canceled', 'charge.canceled', 'charge.released'),
    ('charge', 'authorized', 'expired', 'charge.expired', 'charge.released'),
    ('charge', 'authorized', 'failed', 'charge.failed', 'charge.released'),
    ('charge', 'succeeded', 'succeeded', 'charge.refunded', NULL),
    ('charge', 'succeeded', 'failed', 'charge.failed', 'charge.returned'),
    ('charge', 'failed', 'failed', 'charge.refunded', NULL),
    ('refund', '', 'pending(processing)', 'refund.created', 'refund.accepted'),
    ('refund', '', 'pending(insufficient_funds)', 'refund.created', NULL),
    ('refund', '', 'pending(charge_pending)', 'refund.created', NULL),
    ('refund', 'pending(charge_pending)', 'pending(insufficient_funds)', 'refund.updated', NULL),
    ('refund', 'pending(charge_pending)', 'pending(processing)', 'refund.updated', 'refund.accepted'),
    ('refund', 'pending(charge_pending)', 'canceled', 'refund.canceled', NULL),
    ('refund', 'pending(insufficient_funds)', 'pending(processing)', 'refund.updated', 'refund.accepted'),
    ('refund', 'pending(insufficient_funds)', 'canceled', 'refund.canceled', NULL),
    ('refund', 'pending(processing)', 'succeeded', 'refund.succeeded', 'refund.succeeded'),
    ('refund', 'pending(processing)', 'failed', 'refund.failed', 'refund.returned'),
    ('dispute', '', 'needs_response', 'dispute.created', 'dispute.opened'),
    ('dispute', 'needs_response', 'needs_response', 'dispute.funds_withdrawn', 'dispute.withdrawn'),
    ('dispute', 'needs_response', 'under_review', 'dispute.updated', NULL),
    ('dispute', 'needs_response', 'won', 'dispute.won', 'dispute.won'),
    ('dispute', 'needs_response', 'lost', 'dispute.lost', 'dispute.lost'),
    ('dispute', 'under_review', 'won', 'dispute.won', 'dispute.won'),
    ('dispute', 'under_review', 'lost', 'dispute.lost', 'dispute.lost'),
    ('dispute', 'won', 'won', 'dispute.funds_reinstated', 'dispute.reinstated');

-- Refuses a change that the table does not list, or that does not count the version.
CREATE FUNCTION check_transition(
    object_name text, id uuid, old_status text, new_status text, old_version integer,
    new_version integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF new_version <> old_version + 1 THEN
        RAISE EXCEPTION '% %: version % must follow %', object_name, id, new_version, old_version
            USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (
        SELECT FROM transitions WHERE object = object_name
        AND from_status = old_status AND to_status = new_status) THEN
        RAISE EXCEPTION '% %: no way from % to %', object_name, id, old_status, new_status
            USING ERRCODE = 'check_violation';
    END IF;
END $$;

-- merchant_id has no foreign key: it can only be the one that row-level security lets in, and the
-- key-share lock on a busy merchant's row would make every charge of that merchant meet there.
CREATE TABLE charges (
    merchant_id           bigint      NOT NULL,
    livemode              boolean     NOT NULL,
    id                    uuid        NOT NULL,
    amount                bigint      NOT NULL CHECK (amount BETWEEN 1 AND 999999999999),
    amount_captured       bigint      NOT NULL DEFAULT 0,
    amount_refunded       bigint      NOT NULL DEFAULT 0,
    amount_refund_pending bigint      NOT NULL DEFAULT 0,
    amount_disputed       bigint      NOT NULL DEFAULT 0,
    fee                   bigint      CHECK (fee >= 0),
    fee_returned          bigint      NOT NULL DEFAULT 0,
    cost                  bigint      NOT NULL DEFAULT 0,
    ledger_transaction    uuid,
    settlement            uuid,
    created_at            timestamptz NOT NULL,
    capture_before        timestamptz,
    version               integer     NOT NULL DEFAULT 1,
    fee_plan_version      integer     NOT NULL,
    available_on          date,
    capture               boolean     NOT NULL,
    currency              text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    status                text        NOT NULL DEFAULT 'pending',
    method                text        NOT NULL CHECK (method IN ('card', 'bank_debit')),
    payment_method        text        NOT NULL,
    connector             text        NOT NULL,
    fee_plan              text        NOT NULL,
    reference             text,
    next_action_url       text,
    failure_code          text,
    decline_code          text,
    description           text,
    statement_descriptor  text,
    metadata              jsonb       NOT NULL DEFAULT '{}',
    PRIMARY KEY (merchant_id, livemode, id),
    CONSTRAINT known_status CHECK (status IN (
        'pending', 'requires_action', 'authorized', 'succeeded', 'failed', 'canceled', 'expired')),
    CONSTRAINT captured_within_amount CHECK (amount_captured BETWEEN 0 AND amount),
    CONSTRAINT refunded_within_captured CHECK (
        amount_refunded >= 0 AND amount_refund_pending >= 0 AND amount_disputed >= 0
        AND amount_refunded + amount_disputed <= amount_captured),
    CONSTRAINT fee_returned_within_fee CHECK (
        fee_returned >= 0 AND fee_returned <= coalesce(fee, 0)),
    CONSTRAINT captured_means_posted CHECK (
        (amount_captured > 0) = (ledger_transaction IS NOT NULL)
        AND (amount_captured > 0) = (fee IS NOT NULL)
        AND (amount_captured > 0) = (available_on IS NOT NULL)
        AND (amount_captured > 0 OR status <> 'succeeded')
        AND (amount_captured = 0 OR status IN ('succeeded', 'failed'))),
    CONSTRAINT failed_means_why CHECK ((status = 'failed') = (failure_code IS NOT NULL)),
    CONSTRAINT action_means_where CHECK (
        (status = 'requires_action') = (next_action_url IS NOT NULL)),
    CONSTRAINT authorized_until CHECK (status <> 'authorized' OR capture_before IS NOT NULL)
);
CREATE INDEX charges_pending ON charges (created_at) WHERE status = 'pending';
CREATE INDEX charges_authorized ON charges (capture_before) WHERE status = 'authorized';
CREATE INDEX charges_failed ON charges (merchant_id, livemode, id) WHERE status = 'failed';

-- What was agreed never changes. What a caller sees of a charge changes only by a transition;
-- what is committed to pending refunds and open disputes is bookkeeping of ours.
CREATE FUNCTION check_charge_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.amount, OLD.currency, OLD.payment_method, OLD.created_at)
        IS DISTINCT FROM (NEW.amount, NEW.currency, NEW.payment_method, NEW.created_at) THEN
        RAISE EXCEPTION 'charge %: what was agreed does not change', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF (OLD.version, OLD.status, OLD.amount_captured, OLD.amount_refunded, OLD.fee)
        IS DISTINCT FROM
        (NEW.version, NEW.status, NEW.amount_captured, NEW.amount_refunded, NEW.fee) THEN
        PERFORM check_transition(
            'charge', OLD.id, OLD.status, NEW.status, OLD.version, NEW.version);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER legal_change BEFORE UPDATE ON charges
    FOR EACH ROW EXECUTE FUNCTION check_charge_change();

CREATE TABLE refunds (
    merchant_id        bigint      NOT NULL,
    livemode           boolean     NOT NULL,
    id                 uuid        NOT NULL,
    charge_id          uuid        NOT NULL,
    amount             bigint      NOT NULL CHECK (amount > 0),
    fee_returned       bigint      NOT NULL DEFAULT 0 CHECK (fee_returned >= 0),
    ledger_transaction uuid,
    created_at         timestamptz NOT NULL,
    version            integer     NOT NULL DEFAULT 1,
    currency           text        NOT NULL,
    status             text        NOT NULL DEFAULT 'pending'
                       CHECK (status IN ('pending', 'succeeded', 'failed', 'canceled')),
    pending_reason     text
                       CHECK (pending_reason IN ('processing', 'insufficient_funds', 'charge_pending')),
    reason             text        CHECK (reason IN ('duplicate', 'fraudulent', 'requested_by_customer')),
    failure_code       text,
    reference          text,
    metadata           jsonb       NOT NULL DEFAULT '{}',
    PRIMARY KEY (merchant_id, livemode, id),
    FOREIGN KEY (merchant_id, livemode, charge_id) REFERENCES charges,
    CONSTRAINT pending_means_why CHECK ((status = 'pending') = (pending_reason IS NOT NULL)),
    CONSTRAINT failed_means_why CHECK ((status = 'failed') = (failure_code IS NOT NULL)),
    CONSTRAINT moved_means_posted CHECK (
        (ledger_transaction IS NOT NULL)
        = (coalesce(pending_reason, '') = 'processing' OR status IN ('succeeded', 'failed')))
);
CREATE INDEX refunds_charge ON refunds (charge_id);

CREATE FUNCTION check_refund_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.amount, OLD.charge_id, OLD.currency) IS DISTINCT FROM (NEW.amount, NEW.charge_id, NEW.currency) THEN
        RAISE EXCEPTION 'refund %: what was agreed does not change', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    PERFORM check_transition(
        'refund', OLD.id,
        OLD.status || coalesce('(' || OLD.pending_reason || ')', ''),
        NEW.status || coalesce('(' || NEW.pending_reason || ')', ''),
        OLD.version, NEW.version);
    RETURN NEW;
END $$;
CREATE TRIGGER legal_change BEFORE UPDATE ON refunds
    FOR EACH ROW EXECUTE FUNCTION check_refund_change();

CREATE TABLE disputes (
    merchant_id     bigint      NOT NULL,
    livemode        boolean     NOT NULL,
    id              uuid        NOT NULL,
    charge_id       uuid        NOT NULL,
    amount          bigint      NOT NULL CHECK (amount > 0),
    fee             bigint      NOT NULL CHECK (fee >= 0),
    created_at      timestamptz NOT NULL,
    evidence_due_by timestamptz NOT NULL,
    version         integer     NOT NULL DEFAULT 1,
    currency        text        NOT NULL,
    status          text        NOT NULL DEFAULT 'needs_response'
                    CHECK (status IN ('needs_response', 'under_review', 'won', 'lost')),
    reason          text        NOT NULL,
    connector       text        NOT NULL,
    reference       text        NOT NULL,
    evidence        text,
    submitted_at    timestamptz,
    PRIMARY KEY (merchant_id, livemode, id),
    FOREIGN KEY (merchant_id, livemode, charge_id) REFERENCES charges,
    -- the acquirer may tell us twice
    CONSTRAINT opened_once UNIQUE (merchant_id, livemode, connector, reference)
);
CREATE INDEX disputes_charge ON disputes (charge_id);
CREATE INDEX disputes_due ON disputes (evidence_due_by) WHERE status = 'needs_response';

CREATE FUNCTION check_dispute_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.amount, OLD.charge_id, OLD.currency, OLD.reference)
        IS DISTINCT FROM (NEW.amount, NEW.charge_id, NEW.currency, NEW.reference) THEN
        RAISE EXCEPTION 'dispute %: what was claimed does not change', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF (OLD.version, OLD.status) IS DISTINCT FROM (NEW.version, NEW.status) THEN
        PERFORM check_transition(
            'dispute', OLD.id, OLD.status, NEW.status, OLD.version, NEW.version);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER legal_change BEFORE UPDATE ON disputes
    FOR EACH ROW EXECUTE FUNCTION check_dispute_change();

-- Each call to an acquirer: written before it is made, completed with its answer.
CREATE TABLE attempts (
    merchant_id  bigint      NOT NULL,
    livemode     boolean     NOT NULL,
    subject      uuid        NOT NULL,
    number       integer     NOT NULL CHECK (number >= 1),
    connector    text        NOT NULL,
    request_id   text        NOT NULL,
    started_at   timestamptz NOT NULL,
    outcome      text,
    reference    text,
    milliseconds integer,
    resolved_by  text,
    PRIMARY KEY (merchant_id, livemode, subject, number)
);
COMMENT ON COLUMN attempts.resolved_by IS 'Who found out what the acquirer could not be asked.';
COMMENT ON COLUMN attempts.request_id IS 'Our idempotency key at the acquirer: one per order, the same in each of its attempts.';

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['charges', 'refunds', 'disputes', 'attempts'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON %I TO ivy_app USING '
            '(merchant_id = current_merchant() AND livemode = current_livemode())', name);
        EXECUTE format('CREATE POLICY every ON %I FOR SELECT TO ivy_jobs, ivy_read USING (true)', name);
        EXECUTE format('GRANT SELECT ON %I TO ivy_app, ivy_jobs, ivy_read', name);
    END LOOP;
END $$;

GRANT SELECT ON transitions TO ivy_app, ivy_jobs, ivy_read;
-- not a status, nor what the acquirer decides: everything begins at its first state
GRANT INSERT (merchant_id, livemode, id, amount, created_at, currency, capture, method,
              payment_method, connector, fee_plan, fee_plan_version, description,
              statement_descriptor, metadata) ON charges TO ivy_app;
GRANT UPDATE (status, version, amount_captured, amount_refunded, amount_refund_pending,
              amount_disputed, fee, fee_returned, cost, available_on, capture_before,
              ledger_transaction, reference, next_action_url, failure_code, decline_code)
    ON charges TO ivy_app;
GRANT INSERT (merchant_id, livemode, id, charge_id, amount, created_at, currency, pending_reason,
              reason, ledger_transaction, metadata) ON refunds TO ivy_app;
GRANT UPDATE (status, version, pending_reason, fee_returned, ledger_transaction, failure_code,
              reference) ON refunds TO ivy_app;
GRANT INSERT (merchant_id, livemode, id, charge_id, amount, fee, created_at, evidence_due_by,
              currency, reason, connector, reference) ON disputes TO ivy_app;
GRANT UPDATE (status, version, evidence, submitted_at) ON disputes TO ivy_app;
GRANT INSERT ON attempts TO ivy_app;
GRANT UPDATE (outcome, reference, milliseconds, resolved_by) ON attempts TO ivy_app;
