-- What a request is answered is mostly what it announces: the object as it left it. Such an answer
-- is kept once, as the event, and the key names it; events are written once and never change.
ALTER TABLE idempotency_keys ADD COLUMN event_id uuid;
COMMENT ON COLUMN idempotency_keys.event_id IS 'The event, of this transaction, whose data is the answer; then there is no body.';
ALTER TABLE idempotency_keys
    DROP CONSTRAINT idempotency_keys_check,
    ADD CONSTRAINT answered_once CHECK (
        num_nonnulls(body, event_id) = (status IS NOT NULL)::integer);
ALTER POLICY unanswered ON idempotency_keys USING (status IS NULL OR provisional);
GRANT UPDATE (event_id) ON idempotency_keys TO ivy_app;
GRANT SELECT (event_id) ON idempotency_keys TO ivy_read;

CREATE VIEW answers WITH (security_invoker = true) AS
    SELECT keys.merchant_id, keys.livemode, scope, fingerprint, status, provisional,
           coalesce(body, convert_to(events.data::text, 'UTF8')) AS body
    FROM idempotency_keys AS keys
    LEFT JOIN events ON (events.merchant_id, events.livemode, events.id)
        = (keys.merchant_id, keys.livemode, event_id);
COMMENT ON VIEW answers IS 'What each key was answered, byte for byte.';
GRANT SELECT ON answers TO ivy_app;

-- Most events move no money; they need no place among those that do.
ALTER TABLE events DROP CONSTRAINT events_ledger_transaction_key;
CREATE UNIQUE INDEX events_ledger_transaction ON events (ledger_transaction)
    WHERE ledger_transaction IS NOT NULL;
