"""Laws of settlement: what is in a batch is in no other, and a batch is its items."""

from __future__ import annotations

from ivy.laws import LEGS, Law

# The items of a batch are the entries in pending of the charges of its day and of their refunds;
# with the batch's own entry they come to nothing. Where a day is not settled there is no batch.
L6 = Law(
    "L6",
    "Each charge whose day is settled is in the one batch of that day, and each batch moved what"
    " its items had left in pending.",
    "WITH"
    + LEGS
    + """,
    days AS (
        SELECT merchant_id, livemode, currency, id, available_on,
               coalesce(available_on <= settled_on, false) AS settled
        FROM charges LEFT JOIN settled_through USING (merchant_id, livemode, currency)
        WHERE available_on IS NOT NULL),
    sources AS (
        SELECT merchant_id, livemode, currency, available_on, id AS source FROM days
        UNION ALL
        SELECT days.merchant_id, days.livemode, days.currency, available_on, refunds.id
        FROM refunds JOIN days ON (days.merchant_id, days.livemode, days.id)
            = (refunds.merchant_id, refunds.livemode, charge_id)),
    items AS (
        SELECT merchant_id, sources.livemode, currency, available_on, -sum(amount) AS amount
        FROM sources JOIN legs USING (source)
        WHERE mod(account, 1000) = 210
        GROUP BY 1, 2, 3, 4),
    counted AS (
        SELECT merchant_id, livemode, currency, available_on, settled, count(*) AS charges
        FROM days GROUP BY 1, 2, 3, 4, 5),
    batches AS (SELECT *, settled_on AS available_on FROM settlements),
    moved AS (
        SELECT source, sum(amount) FILTER (WHERE mod(account, 1000) = 210) AS pending,
               -sum(amount) FILTER (WHERE mod(account, 1000) = 230) AS reserved
        FROM legs WHERE kind = 30 GROUP BY source)
    SELECT CASE
        WHEN batches.id IS NULL AND settled THEN
            concat('merchant ', merchant_id, ' has ', counted.charges, ' charges of ',
                   available_on, ' in ', currency, ', a settled day without a batch')
        WHEN batches.id IS NOT NULL AND settled IS NOT TRUE THEN
            concat('stl_', replace(batches.id::text, '-', ''), ' is of a day not settled yet')
        WHEN batches.charge_count <> counted.charges THEN
            concat('stl_', replace(batches.id::text, '-', ''), ' says ', charge_count,
                   ' charges, there are ', counted.charges)
        WHEN (batches.net, batches.net, batches.reserved)
            <> (coalesce(items.amount, 0), coalesce(moved.pending, 0), coalesce(moved.reserved, 0))
            THEN
            concat('stl_', replace(batches.id::text, '-', ''), ' says ', net, ' with ',
                   batches.reserved, ' in reserve; its items come to ',
                   coalesce(items.amount, 0), ', its entries to ', coalesce(moved.pending, 0),
                   ' with ', coalesce(moved.reserved, 0))
    END
    FROM counted
    LEFT JOIN items USING (merchant_id, livemode, currency, available_on)
    FULL JOIN batches USING (merchant_id, livemode, currency, available_on)
    LEFT JOIN moved ON source = batches.id
    """,
)
