-- Webhooks: where a merchant wants its events, and what came of each.
--
-- The secrets that sign are not here but in DynamoDB, encrypted: the function that signs and sends
-- lies outside the database's network, and this database never sees a secret.

CREATE TABLE webhook_endpoints (
    merchant_id     bigint      NOT NULL,
    livemode        boolean     NOT NULL,
    id              uuid        NOT NULL,
    created_at      timestamptz NOT NULL,
    url             text        NOT NULL CHECK (length(url) BETWEEN 1 AND 2048),
    description     text,
    events          text[]      NOT NULL CHECK (cardinality(events) BETWEEN 1 AND 50),
    ordered         boolean     NOT NULL DEFAULT false,
    api_version     text        NOT NULL,
    status          text        NOT NULL DEFAULT 'enabled'
                    CHECK (status IN ('enabled', 'paused', 'disabled', 'deleted')),
    disabled_reason text        CHECK (disabled_reason IN ('failing', 'gone')),
    disabled_at     timestamptz,
    version         integer     NOT NULL DEFAULT 1,
    -- how it has been answering
    allowance       integer     NOT NULL DEFAULT 5 CHECK (allowance >= 1),
    failures        integer     NOT NULL DEFAULT 0 CHECK (failures >= 0),
    failing_since   timestamptz,
    warned_percent  smallint    NOT NULL DEFAULT 0 CHECK (warned_percent IN (0, 50, 70, 90)),
    warned_at       timestamptz,
    resting_until   timestamptz,
    PRIMARY KEY (merchant_id, livemode, id),
    CONSTRAINT disabled_means_why CHECK (
        (status = 'disabled') = (disabled_reason IS NOT NULL)
        AND (status = 'disabled') = (disabled_at IS NOT NULL)),
    CONSTRAINT failing_means_since CHECK ((failures > 0) = (failing_since IS NOT NULL))
);
COMMENT ON COLUMN webhook_endpoints.allowance IS 'Deliveries that may be under way at once.';
COMMENT ON COLUMN webhook_endpoints.failures IS 'Attempts that failed since one last succeeded.';

-- One event on its way to one endpoint. Open while it is pending or being sent; sending it again
-- by hand is another row.
CREATE TABLE deliveries (
    merchant_id     bigint      NOT NULL,
    livemode        boolean     NOT NULL,
    id              uuid        NOT NULL,
    endpoint_id     uuid        NOT NULL,
    event_id        uuid        NOT NULL,
    sequence        bigint      NOT NULL,
    created_at      timestamptz NOT NULL,
    status          text        NOT NULL DEFAULT 'pending'
                    CHECK (status IN ('pending', 'sending', 'succeeded', 'failed', 'canceled')),
    attempts        smallint    NOT NULL DEFAULT 0 CHECK (attempts BETWEEN 0 AND 10),
    next_attempt_at timestamptz,
    failure_reason  text CHECK (failure_reason IN (
                        'attempts_exhausted', 'endpoint_disabled', 'endpoint_deleted')),
    PRIMARY KEY (merchant_id, livemode, id),
    FOREIGN KEY (merchant_id, livemode, endpoint_id) REFERENCES webhook_endpoints,
    CONSTRAINT open_means_when CHECK (
        (status IN ('pending', 'sending')) = (next_attempt_at IS NOT NULL)),
    CONSTRAINT given_up_means_why CHECK (
        (status IN ('failed', 'canceled')) = (failure_reason IS NOT NULL))
) WITH (fillfactor = 80);
COMMENT ON COLUMN deliveries.next_attempt_at IS
    'When it is attempted; of one being sent, when it is sent again if nothing is heard of it.';
CREATE UNIQUE INDEX deliveries_open ON deliveries (endpoint_id, sequence)
    WHERE status IN ('pending', 'sending');
CREATE INDEX deliveries_due ON deliveries (endpoint_id, next_attempt_at)
    WHERE status IN ('pending', 'sending');
CREATE INDEX deliveries_endpoint ON deliveries (endpoint_id, id);
CREATE INDEX deliveries_event ON deliveries (event_id);

CREATE TABLE delivery_attempts (
    merchant_id  bigint      NOT NULL,
    livemode     boolean     NOT NULL,
    delivery_id  uuid        NOT NULL,
    number       smallint    NOT NULL CHECK (number >= 1),
    at           timestamptz NOT NULL,
    outcome      text        NOT NULL CHECK (outcome IN ('delivered', 'failed')),
    status_code  smallint,
    error        text,
    milliseconds integer     NOT NULL,
    response     text        CHECK (length(response) <= 4096),
    PRIMARY KEY (merchant_id, livemode, delivery_id, number),
    FOREIGN KEY (merchant_id, livemode, delivery_id) REFERENCES deliveries ON DELETE CASCADE,
    CONSTRAINT failed_means_why CHECK ((outcome = 'failed') = (error IS NOT NULL))
);

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['webhook_endpoints', 'deliveries', 'delivery_attempts'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON %I TO ivy_app USING '
            '(merchant_id = current_merchant() AND livemode = current_livemode())', name);
        EXECUTE format('CREATE POLICY every ON %I TO ivy_jobs USING (true)', name);
        EXECUTE format('CREATE POLICY reading ON %I FOR SELECT TO ivy_read USING (true)', name);
        EXECUTE format('GRANT SELECT ON %I TO ivy_app, ivy_jobs, ivy_read', name);
    END LOOP;
END $$;

-- not a status, nor how it has been answering: every endpoint begins enabled and in good health
GRANT INSERT (merchant_id, livemode, id, created_at, url, description, events, ordered,
              api_version) ON webhook_endpoints TO ivy_app;
GRANT UPDATE (url, description, events, ordered, status, disabled_reason, disabled_at, version,
              allowance, failures, failing_since, warned_percent, warned_at, resting_until)
    ON webhook_endpoints TO ivy_app;
GRANT INSERT (merchant_id, livemode, id, endpoint_id, event_id, sequence, created_at,
              next_attempt_at) ON deliveries TO ivy_app, ivy_jobs;
GRANT UPDATE (status, attempts, next_attempt_at, failure_reason) ON deliveries TO ivy_app;
GRANT UPDATE (status, next_attempt_at), DELETE ON deliveries TO ivy_jobs;
GRANT INSERT ON delivery_attempts TO ivy_app;
