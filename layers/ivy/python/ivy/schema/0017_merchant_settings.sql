-- What merchants set themselves, what operators set for them, and who changed what.

ALTER TABLE merchants
    ADD COLUMN settings_version integer NOT NULL DEFAULT 1,
    ADD COLUMN payout_approval_decided_by uuid,
    ADD COLUMN payout_approval_proposed_cents bigint CHECK (payout_approval_proposed_cents >= 0),
    ADD COLUMN payout_approval_proposed_by uuid,
    ADD COLUMN payout_approval_proposed_at timestamptz,
    ADD CONSTRAINT proposal_is_whole CHECK (
        (payout_approval_proposed_at IS NULL) = (payout_approval_proposed_by IS NULL)
        AND (payout_approval_proposed_at IS NOT NULL OR payout_approval_proposed_cents IS NULL)),
    ADD CONSTRAINT cutoff_is_a_minute CHECK (cutoff = date_trunc('minute', cutoff::interval)::time);
COMMENT ON COLUMN merchants.settings_version IS 'Counts the changes of settings.';
COMMENT ON COLUMN merchants.payout_approval_proposed_cents IS
    'A higher limit, or none, that an owner has proposed and nobody has confirmed.';

-- A time zone that the server does not know would stop the settlement of everybody beside it.
CREATE FUNCTION check_time_zone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM now() AT TIME ZONE NEW.time_zone;
    RETURN NEW;
END $$;
CREATE TRIGGER known_time_zone BEFORE INSERT OR UPDATE OF time_zone ON merchants
    FOR EACH ROW EXECUTE FUNCTION check_time_zone();

-- Four eyes are not taken away by two: a higher limit, or none, is what one person has proposed and
-- another confirms. Where there is nobody else, the one confirms it a day later.
CREATE FUNCTION check_approval_limit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.payout_approval_cents IS NOT NULL
        AND (NEW.payout_approval_cents IS NULL
             OR NEW.payout_approval_cents > OLD.payout_approval_cents)
        AND (OLD.payout_approval_proposed_at IS NULL
             OR NEW.payout_approval_cents IS DISTINCT FROM OLD.payout_approval_proposed_cents
             OR NEW.payout_approval_decided_by IS NULL
             OR (NEW.payout_approval_decided_by = OLD.payout_approval_proposed_by
                 AND OLD.payout_approval_proposed_at > now() - interval '24 hours')) THEN
        RAISE EXCEPTION 'merchant %: a looser limit needs two people', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER four_eyes BEFORE UPDATE OF payout_approval_cents ON merchants
    FOR EACH ROW WHEN (current_user = 'ivy_app') EXECUTE FUNCTION check_approval_limit();

-- Every change, who made it and what was before; rows are added and never changed.
CREATE TABLE merchant_changes (
    merchant_id bigint      NOT NULL REFERENCES merchants,
    version     integer     NOT NULL CHECK (version > 1),
    created_at  timestamptz NOT NULL,
    changed_by  text        NOT NULL CHECK (length(changed_by) BETWEEN 1 AND 300),
    reason      text,
    before      jsonb       NOT NULL,
    after       jsonb       NOT NULL,
    PRIMARY KEY (merchant_id, version)
);
ALTER TABLE merchant_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE merchant_changes FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON merchant_changes TO ivy_app USING (merchant_id = current_merchant());
CREATE POLICY every ON merchant_changes TO ivy_jobs USING (true);
CREATE POLICY reading ON merchant_changes FOR SELECT TO ivy_read USING (true);
GRANT SELECT, INSERT ON merchant_changes TO ivy_app, ivy_jobs;
GRANT SELECT ON merchant_changes TO ivy_read;

GRANT UPDATE (time_zone, cutoff, payout_schedule, payout_minimum_cents, payout_approval_cents,
              payout_approval_decided_by, payout_approval_proposed_cents,
              payout_approval_proposed_by, payout_approval_proposed_at, settings_version)
    ON merchants TO ivy_app;
-- what is the operators' to set, and no merchant's
CREATE POLICY operators ON merchants FOR UPDATE TO ivy_jobs USING (true);
GRANT UPDATE (reserve_basis_points, reserve_days, overdraft_cents, settings_version)
    ON merchants TO ivy_jobs;
GRANT INSERT, DELETE ON bank_holidays TO ivy_jobs;
CREATE POLICY operators ON events FOR INSERT TO ivy_jobs WITH CHECK (
    type = 'merchant.updated' AND ledger_transaction IS NULL);
GRANT INSERT (merchant_id, livemode, id, object_id, version, type, data, ledger_transaction,
              created_at) ON events TO ivy_jobs;

-- A secret key that may do everything goes on doing everything.
ALTER TABLE api_keys NO FORCE ROW LEVEL SECURITY;
UPDATE api_keys SET scopes = scopes || '{merchant:read,merchant:write}'
WHERE kind = 'secret' AND scopes @> '{charges:read,charges:write,refunds:read,refunds:write,
    disputes:read,disputes:write,balance:read,ledger:read,events:read,webhooks:read,
    webhooks:write,payouts:read,payouts:write,api_keys:read,api_keys:write}';
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
