-- Every statement of a merchant finds its rows by that merchant's index, whoever it is: one plan serves
-- all values. Left to itself the planner makes a new one each time where it believes that of these
-- values to be cheaper than that of any, and to plan takes longer than to run.
ALTER ROLE ivy_app SET plan_cache_mode = force_generic_plan;

-- Whether a file may be read is asked of a whole statement. Only where its plan was made for these very
-- values, and none of them was a file, could a merchant's change of a deposit do without.
CREATE OR REPLACE FUNCTION check_micro_deposit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.bank_account_id, OLD.amount, OLD.trace, OLD.ordinal, OLD.currency, OLD.created_at)
        IS DISTINCT FROM
       (NEW.bank_account_id, NEW.amount, NEW.trace, NEW.ordinal, NEW.currency, NEW.created_at)
        OR OLD.canceled AND NOT NEW.canceled
        OR OLD.bank_file IS NOT NULL AND NEW.bank_file IS DISTINCT FROM OLD.bank_file
        OR OLD.ledger_transaction IS NOT NULL
            AND NEW.ledger_transaction IS DISTINCT FROM OLD.ledger_transaction
        OR OLD.returned_as IS NOT NULL AND NEW.returned_as IS DISTINCT FROM OLD.returned_as THEN
        RAISE EXCEPTION 'micro-deposit %: what has happened to it does not change', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.bank_file IS NULL AND NEW.bank_file IS NOT NULL THEN
        IF NOT EXISTS (SELECT FROM bank_files WHERE id = NEW.bank_file AND livemode = NEW.livemode
                       AND coalesce(merchant_id, NEW.merchant_id) = NEW.merchant_id
                       AND kind = 'micro_deposit' AND currency = NEW.currency
                       AND status = 'prepared') THEN
            RAISE EXCEPTION 'micro-deposit %: is not for the file %', OLD.id, NEW.bank_file
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;
