-- What is exchanged with banks: files of payouts that go out, and what comes back about them.

-- Whose money leaves from where. Live mode has no account until operators add one, and until then
-- no live file is written.
CREATE TABLE bank_originators (
    livemode       boolean NOT NULL,
    currency       text    NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    rail           text    NOT NULL CHECK (rail IN ('ach', 'iso20022')),
    name           text    NOT NULL,
    company_id     text    NOT NULL,
    bank_name      text    NOT NULL DEFAULT '',
    routing_number text    CHECK (routing_number ~ '^[0-9]{9}$'),
    account_number text    CHECK (account_number ~ '^[0-9]{1,17}$'),
    account_type   text    CHECK (account_type IN ('checking', 'savings')),
    iban           text    CHECK (iban ~ '^[A-Z]{2}[0-9]{2}[0-9A-Z]{11,30}$'),
    bic            text,
    PRIMARY KEY (livemode, currency),
    CONSTRAINT number_of_the_rail CHECK (
        (rail = 'ach') = (iban IS NULL)
        AND (rail = 'ach') = (routing_number IS NOT NULL)
        AND (rail = 'ach') = (account_number IS NOT NULL)
        AND (rail = 'ach') = (account_type IS NOT NULL)
        AND (rail <> 'ach' OR bic IS NULL))
);
INSERT INTO bank_originators (livemode, currency, rail, name, company_id, bank_name, routing_number,
                              account_number, account_type, iban) VALUES
    (false, 'USD', 'ach', 'Ivy Payments', 'IVYTEST001', 'SIMULATED BANK', '110000000',
     '900000000001', 'checking', NULL),
    (false, 'EUR', 'iso20022', 'Ivy Payments', 'IVYTEST001', 'SIMULATED BANK', NULL, NULL, NULL,
     'DE75512108001245126199'),
    (false, 'GBP', 'iso20022', 'Ivy Payments', 'IVYTEST001', 'SIMULATED BANK', NULL, NULL, NULL,
     'GB33BUKB20201555555555');

-- One file of one currency in one mode. Its bytes follow from its row and its payouts, so that
-- whoever finds it prepared can write it again; the hash is what they must come to.
CREATE TABLE bank_files (
    id             uuid        PRIMARY KEY,
    livemode       boolean     NOT NULL,
    total          bigint      NOT NULL CHECK (total > 0),
    created_at     timestamptz NOT NULL,
    sent_at        timestamptz,
    execute_on     date        NOT NULL,
    transfer_count integer     NOT NULL CHECK (transfer_count BETWEEN 1 AND 500),
    rail           text        NOT NULL CHECK (rail IN ('ach', 'iso20022')),
    currency       text        NOT NULL,
    status         text        NOT NULL DEFAULT 'prepared' CHECK (status IN ('prepared', 'sent')),
    key            text        NOT NULL UNIQUE,
    sha256         text        NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT sent_means_when CHECK ((status = 'sent') = (sent_at IS NOT NULL)),
    CONSTRAINT key_of_the_mode CHECK (
        starts_with(key, CASE WHEN livemode THEN 'bank/out/live/' ELSE 'bank/out/test/' END))
);
CREATE INDEX bank_files_prepared ON bank_files (id) WHERE status = 'prepared';
ALTER TABLE payouts ADD FOREIGN KEY (bank_file) REFERENCES bank_files;

-- A payout is put into one file, once, and of its own mode and currency.
CREATE FUNCTION check_payout_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.bank_file IS NOT NULL THEN
        RAISE EXCEPTION 'payout %: is in a file already', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.status <> 'pending' THEN
        RAISE EXCEPTION 'payout %: is % and goes into no file', OLD.id, OLD.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (SELECT FROM bank_files WHERE id = NEW.bank_file AND livemode = NEW.livemode
                   AND currency = NEW.currency AND status = 'prepared') THEN
        RAISE EXCEPTION 'payout %: is not for the file %', OLD.id, NEW.bank_file
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER one_file BEFORE UPDATE OF bank_file ON payouts
    FOR EACH ROW WHEN (OLD.bank_file IS DISTINCT FROM NEW.bank_file)
    EXECUTE FUNCTION check_payout_file();

-- A payout that is in a file is not canceled any more, whatever the program thinks.
ALTER TABLE payouts ADD CONSTRAINT in_a_file_means_not_canceled
    CHECK (status <> 'canceled' OR bank_file IS NULL);

-- Files that banks have put here, each content once in a mode.
CREATE TABLE bank_receipts (
    id          uuid        PRIMARY KEY,
    livemode    boolean     NOT NULL,
    size        bigint      NOT NULL CHECK (size >= 0),
    received_at timestamptz NOT NULL,
    answers     integer     NOT NULL DEFAULT 0,
    lines       integer     NOT NULL DEFAULT 0,
    line        integer,
    name        text        NOT NULL,
    kind        text        CHECK (kind IN ('nacha_returns', 'pain.002', 'camt.053', 'bai2')),
    status      text        NOT NULL CHECK (status IN ('accepted', 'rejected')),
    reason      text,
    unmatched   jsonb       NOT NULL DEFAULT '[]',
    sha256      text        NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT content_once UNIQUE (livemode, sha256),
    CONSTRAINT rejected_means_why CHECK ((status = 'rejected') = (reason IS NOT NULL)),
    CONSTRAINT rejected_has_no_effect CHECK (status = 'accepted' OR (answers = 0 AND lines = 0)),
    CONSTRAINT accepted_means_understood CHECK (status = 'rejected' OR kind IS NOT NULL)
);
COMMENT ON COLUMN bank_receipts.line IS 'Where in the file the reason is, counted from 1.';
COMMENT ON COLUMN bank_receipts.unmatched IS 'What is said of no payout of ours: line, reference, reason.';

-- What banks say of payouts; each is carried out once, by whoever keeps the promise about it.
CREATE TABLE bank_answers (
    merchant_id  bigint      NOT NULL,
    livemode     boolean     NOT NULL,
    id           uuid        NOT NULL,
    payout_id    uuid        NOT NULL,
    receipt_id   uuid        NOT NULL REFERENCES bank_receipts,
    created_at   timestamptz NOT NULL,
    applied_at   timestamptz,
    line         integer,
    outcome      text        NOT NULL CHECK (outcome IN ('paid', 'came_back')),
    code         text        NOT NULL DEFAULT '',
    failure_code text,
    PRIMARY KEY (merchant_id, livemode, id),
    FOREIGN KEY (merchant_id, livemode, payout_id) REFERENCES payouts,
    CONSTRAINT said_once UNIQUE (merchant_id, livemode, payout_id, outcome),
    CONSTRAINT came_back_means_why CHECK ((outcome = 'came_back') = (failure_code IS NOT NULL))
);
COMMENT ON COLUMN bank_answers.code IS 'The bank''s own, such as R03 or AC04.';
CREATE INDEX bank_answers_open ON bank_answers (created_at) WHERE applied_at IS NULL;

-- What banks say of our accounts; the payout that a line is about, where it is one.
CREATE TABLE bank_lines (
    id             uuid        PRIMARY KEY,
    livemode       boolean     NOT NULL,
    receipt_id     uuid        NOT NULL REFERENCES bank_receipts,
    payout_id      uuid,
    merchant_id    bigint,
    amount         bigint      NOT NULL CHECK (amount <> 0),
    created_at     timestamptz NOT NULL,
    booked_on      date        NOT NULL,
    ordinal        integer     NOT NULL CHECK (ordinal > 0),
    currency       text        NOT NULL,
    account        text        NOT NULL,
    statement_id   text        NOT NULL,
    bank_reference text        NOT NULL,
    end_to_end_id  text,
    description    text        NOT NULL,
    CONSTRAINT line_once UNIQUE (livemode, account, statement_id, ordinal),
    CONSTRAINT matched_means_whose CHECK ((payout_id IS NULL) = (merchant_id IS NULL)),
    FOREIGN KEY (merchant_id, livemode, payout_id) REFERENCES payouts
);
CREATE INDEX bank_lines_unmatched ON bank_lines (created_at) WHERE payout_id IS NULL;
CREATE INDEX bank_lines_payout ON bank_lines (payout_id) WHERE payout_id IS NOT NULL;

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['bank_originators', 'bank_files', 'bank_receipts', 'bank_answers',
                                'bank_lines'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY every ON %I TO ivy_jobs USING (true)', name);
        EXECUTE format('CREATE POLICY reading ON %I FOR SELECT TO ivy_read USING (true)', name);
        EXECUTE format('GRANT SELECT ON %I TO ivy_jobs, ivy_read', name);
    END LOOP;
END $$;
GRANT INSERT ON bank_files, bank_receipts, bank_answers, bank_lines TO ivy_jobs;
GRANT UPDATE (status, sent_at) ON bank_files TO ivy_jobs;
-- a file that was rejected may be put again, once it can be read
GRANT UPDATE (status, name, kind, line, reason, unmatched, answers, lines, received_at)
    ON bank_receipts TO ivy_jobs;

-- Whoever carries an answer out sees its merchant's, and when the files with its payouts execute.
CREATE POLICY own ON bank_answers TO ivy_app
    USING (merchant_id = current_merchant() AND livemode = current_livemode());
CREATE POLICY own ON bank_files FOR SELECT TO ivy_app USING (
    EXISTS (SELECT FROM payouts WHERE bank_file = bank_files.id
            AND merchant_id = current_merchant() AND payouts.livemode = current_livemode()));
GRANT SELECT ON bank_answers TO ivy_app;
GRANT UPDATE (applied_at) ON bank_answers TO ivy_app;
GRANT SELECT (id, execute_on) ON bank_files TO ivy_app;
