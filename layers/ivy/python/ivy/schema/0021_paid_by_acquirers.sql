-- What is in suspense may be an acquirer's: it pays what it owes us.

ALTER TABLE suspense_items ADD COLUMN connector text;
ALTER TABLE suspense_items DROP CONSTRAINT suspense_items_resolved_as_check;
ALTER TABLE suspense_items ADD CONSTRAINT resolved_as_known
    CHECK (resolved_as IN ('payout', 'opposite', 'acquirer', 'rounding', 'loss'));
ALTER TABLE suspense_items ADD CONSTRAINT acquirer_means_which
    CHECK ((connector IS NOT NULL) = coalesce(resolved_as = 'acquirer', false));
COMMENT ON COLUMN suspense_items.connector IS 'Which acquirer it was, whose debt is less by it.';
GRANT UPDATE (connector) ON suspense_items TO ivy_jobs;
GRANT SELECT (connector) ON suspense_items TO ivy_app;
