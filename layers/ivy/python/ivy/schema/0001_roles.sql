-- Roles, their time limits, and how a transaction says whose rows it touches.
--
-- ivy_owner runs migrations and owns every table. Nothing else connects as it, so nothing that
-- serves a request can alter a table, a policy or a trigger.
--   ivy_app   one merchant in one mode per transaction, through row-level security
--   ivy_jobs  scheduled work across merchants: relay, roll-up, expiry
--   ivy_read  reports and people; sees everything, changes nothing

DO $$
DECLARE role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['ivy_app', 'ivy_jobs', 'ivy_read'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE', role_name);
        END IF;
        EXECUTE format('ALTER ROLE %I SET search_path = ivy', role_name);
        EXECUTE format('ALTER ROLE %I SET timezone = %L', role_name, 'UTC');
        -- function 15 s > statement 8 s > lock 3 s
        EXECUTE format('ALTER ROLE %I SET statement_timeout = %L', role_name, '8s');
        EXECUTE format('ALTER ROLE %I SET lock_timeout = %L', role_name, '3s');
        EXECUTE format('ALTER ROLE %I SET transaction_timeout = %L', role_name, '14s');
        EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = %L', role_name, '14s');
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA ivy TO ivy_app, ivy_jobs, ivy_read;

CREATE FUNCTION current_merchant() RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.merchant', true), '')::bigint;

CREATE FUNCTION current_livemode() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.livemode', true), '')::boolean;

-- The hash of an API key, an e-mail address, a user's id: whoever presents one may see the rows it
-- identifies. This is how somebody unknown becomes known, before any merchant is chosen.
CREATE FUNCTION presented() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.presented', true), '');
