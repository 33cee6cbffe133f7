-- A promise is found by its subject, of which there is one. Every piece of work paid for two more
-- indexes on a table that is almost empty: whoever wants its oldest row can look at all of them.
ALTER TABLE outbox
    DROP CONSTRAINT outbox_pkey,
    DROP CONSTRAINT one_open_operation,
    ADD CONSTRAINT one_open_operation PRIMARY KEY (subject);
DROP INDEX outbox_expected;
