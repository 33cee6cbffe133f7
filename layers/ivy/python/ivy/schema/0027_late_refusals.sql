-- What a bank refused after it had paid is not back before a line of a statement shows it.

ALTER TABLE bank_answers ADD COLUMN unstated boolean NOT NULL DEFAULT false;
ALTER TABLE bank_answers ADD CONSTRAINT unstated_means_back
    CHECK (NOT unstated OR outcome = 'came_back');
COMMENT ON COLUMN bank_answers.unstated IS
    'Said by a report that moves no money: once the payout is paid, it waits for the line.';
CREATE INDEX bank_answers_unstated ON bank_answers (created_at)
    WHERE unstated AND applied_at IS NULL;
GRANT UPDATE (unstated) ON bank_answers TO ivy_jobs;
