-- The order of events: each stream (a merchant in a mode) counts its events 1, 2, 3, … without gaps.
--
-- An event is written in the transaction of the change itself and takes no number there, because
-- whoever counts must wait for whoever counted before. It is numbered afterwards, by one worker at
-- a time, from events.xid on: every transaction before the watermark has ended, so none can appear
-- behind it later.

-- text as it was written: receivers get the members in the order of the API's own answers
ALTER TABLE events ALTER COLUMN data TYPE json USING data::json;
ALTER TABLE events ADD COLUMN xid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;
CREATE INDEX events_xid ON events (xid);

CREATE TABLE event_watermark (
    single    boolean PRIMARY KEY DEFAULT true CHECK (single),
    watermark bigint  NOT NULL
);
COMMENT ON COLUMN event_watermark.watermark IS 'Every event with events.xid before it has a number.';
INSERT INTO event_watermark (watermark) VALUES (0);

CREATE TABLE event_numbers (
    merchant_id bigint  NOT NULL,
    livemode    boolean NOT NULL,
    sequence    bigint  NOT NULL CHECK (sequence >= 1),
    event_id    uuid    NOT NULL,
    PRIMARY KEY (merchant_id, livemode, sequence),
    UNIQUE (event_id)
);

ALTER TABLE event_numbers ENABLE ROW LEVEL SECURITY;
ALTER TABLE event_numbers FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON event_numbers TO ivy_app
    USING (merchant_id = current_merchant() AND livemode = current_livemode());
CREATE POLICY every ON event_numbers TO ivy_jobs USING (true);
CREATE POLICY reading ON event_numbers FOR SELECT TO ivy_read USING (true);

-- not xid: an event that claimed an older transaction would hide behind the watermark
REVOKE INSERT ON events FROM ivy_app;
GRANT INSERT (merchant_id, livemode, id, object_id, version, type, data, ledger_transaction,
              created_at) ON events TO ivy_app;
GRANT SELECT ON event_numbers, event_watermark TO ivy_app, ivy_jobs, ivy_read;
GRANT INSERT ON event_numbers TO ivy_jobs;
GRANT UPDATE (watermark) ON event_watermark TO ivy_jobs;

-- A secret key that may do everything goes on doing everything.
UPDATE api_keys SET scopes = scopes || '{events:read,webhooks:read,webhooks:write}'
WHERE kind = 'secret' AND scopes @> '{charges:read,charges:write,refunds:read,refunds:write,
    disputes:read,disputes:write,balance:read,ledger:read,api_keys:read,api_keys:write}';
