-- Reports that merchants ask for: statements of a month, written once into a file.

INSERT INTO transitions (object, from_status, to_status, event, posting) VALUES
    ('report', '', 'pending', 'report.created', NULL),
    ('report', 'pending', 'ready', 'report.ready', NULL);

CREATE TABLE reports (
    merchant_id bigint      NOT NULL,
    livemode    boolean     NOT NULL,
    id          uuid        NOT NULL,
    size        bigint      CHECK (size > 0),
    begins_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL CHECK (ends_at > begins_at),
    created_at  timestamptz NOT NULL CHECK (created_at >= ends_at),
    ready_at    timestamptz,
    month       date        NOT NULL CHECK (extract(day FROM month) = 1),
    line_count  integer     CHECK (line_count >= 0),
    version     integer     NOT NULL DEFAULT 1,
    type        text        NOT NULL CHECK (type = 'statement'),
    currency    text        NOT NULL,
    format      text        NOT NULL CHECK (format IN ('csv', 'json', 'beancount')),
    time_zone   text        NOT NULL,
    status      text        NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'ready')),
    key         text,
    sha256      text        CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    PRIMARY KEY (merchant_id, livemode, id),
    CONSTRAINT ready_means_written CHECK (
        num_nulls(size, ready_at, line_count, key, sha256) = CASE status WHEN 'ready' THEN 0 ELSE 5 END),
    CONSTRAINT key_of_the_mode CHECK (
        starts_with(key, CASE WHEN livemode THEN 'reports/live/' ELSE 'reports/test/' END))
);
COMMENT ON COLUMN reports.time_zone IS 'The merchant''s when it asked: by which the month begins and ends.';

CREATE FUNCTION check_report_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.type, OLD.currency, OLD.month, OLD.format, OLD.time_zone, OLD.begins_at, OLD.ends_at)
        IS DISTINCT FROM
        (NEW.type, NEW.currency, NEW.month, NEW.format, NEW.time_zone, NEW.begins_at, NEW.ends_at) THEN
        RAISE EXCEPTION 'report %: what was asked for does not change', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    PERFORM check_transition('report', OLD.id, OLD.status, NEW.status, OLD.version, NEW.version);
    RETURN NEW;
END $$;
CREATE TRIGGER legal_change BEFORE UPDATE ON reports
    FOR EACH ROW EXECUTE FUNCTION check_report_change();

ALTER TABLE reports ENABLE ROW LEVEL SECURITY;
ALTER TABLE reports FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON reports TO ivy_app
    USING (merchant_id = current_merchant() AND livemode = current_livemode());
CREATE POLICY reading ON reports FOR SELECT TO ivy_jobs, ivy_read USING (true);
GRANT SELECT ON reports TO ivy_app, ivy_jobs, ivy_read;
GRANT INSERT (merchant_id, livemode, id, type, currency, month, format, time_zone, begins_at,
              ends_at, created_at) ON reports TO ivy_app;
GRANT UPDATE (status, version, ready_at, key, size, sha256, line_count) ON reports TO ivy_app;

-- A secret key that may do everything goes on doing everything.
ALTER TABLE api_keys NO FORCE ROW LEVEL SECURITY;
UPDATE api_keys SET scopes = scopes || '{reports:read,reports:write}'
WHERE kind = 'secret' AND scopes @> '{charges:read,charges:write,refunds:read,refunds:write,
    disputes:read,disputes:write,balance:read,ledger:read,events:read,webhooks:read,
    webhooks:write,payouts:read,payouts:write,api_keys:read,api_keys:write}';
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
