-- In test mode every merchant has a present of its own, by which its payouts are made, sent to the
-- bank, and returned by it. So a file of test mode is one merchant's; live files are everybody's.

ALTER TABLE settled_through ADD COLUMN paid_through date;
COMMENT ON COLUMN settled_through.paid_through IS
    'The last banking day on which it was looked whether the schedule wants a payout.';
GRANT UPDATE (paid_through) ON settled_through TO ivy_app;

-- For this once the owner sees the rows that no policy shows it.
ALTER TABLE bank_files NO FORCE ROW LEVEL SECURITY;
ALTER TABLE payouts NO FORCE ROW LEVEL SECURITY;
ALTER TABLE bank_files ADD COLUMN merchant_id bigint;
UPDATE bank_files
SET merchant_id = (SELECT min(merchant_id) FROM payouts WHERE bank_file = bank_files.id)
WHERE NOT livemode;
ALTER TABLE bank_files ADD CONSTRAINT test_means_whose
    CHECK (livemode = (merchant_id IS NULL));
ALTER TABLE bank_files FORCE ROW LEVEL SECURITY;
ALTER TABLE payouts FORCE ROW LEVEL SECURITY;
COMMENT ON COLUMN bank_files.merchant_id IS 'Whose a file of test mode is.';

CREATE OR REPLACE FUNCTION check_payout_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.bank_file IS NOT NULL THEN
        RAISE EXCEPTION 'payout %: is in a file already', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.status <> 'pending' THEN
        RAISE EXCEPTION 'payout %: is % and goes into no file', OLD.id, OLD.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (SELECT FROM bank_files WHERE id = NEW.bank_file AND livemode = NEW.livemode
                   AND coalesce(merchant_id, NEW.merchant_id) = NEW.merchant_id
                   AND currency = NEW.currency AND status = 'prepared') THEN
        RAISE EXCEPTION 'payout %: is not for the file %', OLD.id, NEW.bank_file
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

-- What a clock looks for when it moves.
CREATE INDEX payouts_clock ON payouts (merchant_id, created_at)
    WHERE status = 'pending' AND NOT livemode;
