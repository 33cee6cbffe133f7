"""Laws of settlement: what is in a batch is in no other, and a batch is its items."""

from __future__ import annotations

from typing import LiteralString

from ivy.laws import LEGS, Law

# Needs ``legs``. Kind 40 is a payout itself, and in none.
_PAYOUTS: LiteralString = """
    SELECT 'po_' || replace(itemised.id::text, '-', '') || CASE
        WHEN opening <> before THEN
            concat(' opens with ', opening, ', the one before it closed with ', before)
        WHEN closing <> opening + items - amount - fee THEN
            concat(' closes with ', closing, ' of ', opening, ' and ', items)
        WHEN (items, item_count) <> (summed, counted) THEN
            concat(' says ', item_count, ' items of ', items, ', there are ', counted, ' of ',
                   summed)
        WHEN astray > 0 THEN concat(' has ', astray, ' items that are not what was posted')
    END
    FROM (
        SELECT payouts.*, coalesce(lag(closing) OVER (
                   PARTITION BY payouts.merchant_id, payouts.livemode, payouts.currency
                   ORDER BY sequence), 0) AS before,
               coalesce(held.summed, 0) AS summed, coalesce(held.counted, 0) AS counted,
               coalesce(held.astray, 0) AS astray
        FROM payouts
        LEFT JOIN (
            SELECT payout_items.payout_id, sum(payout_items.amount) AS summed,
                   count(*) AS counted, count(*) FILTER (
                       WHERE legs.kind = 40 OR legs.amount IS DISTINCT FROM -payout_items.amount)
                       AS astray
            FROM payout_items
            LEFT JOIN legs ON legs.id = ledger_transaction AND mod(account, 1000) = 220
                AND (legs.owner, legs.livemode)
                    = (payout_items.merchant_id, payout_items.livemode)
            GROUP BY payout_items.payout_id) AS held ON held.payout_id = payouts.id
        WHERE payouts.ledger_transaction IS NOT NULL) AS itemised
"""

# Follows a batch's money from the payout that took it to the one that took what that gave back.
_CARRIED: LiteralString = """,
    carried AS (
        SELECT settlements.merchant_id, settlements.livemode, settlements.id, payout_id
        FROM settlements JOIN payout_items USING (merchant_id, livemode, ledger_transaction)
        UNION
        SELECT carried.merchant_id, carried.livemode, carried.id, payout_items.payout_id
        FROM carried
        JOIN journal ON source = carried.payout_id AND kind IN (42, 43)
        JOIN payout_items
            ON (payout_items.merchant_id, payout_items.livemode, ledger_transaction)
            = (carried.merchant_id, carried.livemode, journal.id)),
    at_the_bank AS (
        SELECT carried.merchant_id, carried.livemode, carried.id
        FROM carried JOIN payouts ON payouts.id = payout_id AND status = 'paid')"""

_PAID_OUT: LiteralString = """
    SELECT CASE WHEN (status = 'paid_out') <> (at_the_bank.id IS NOT NULL) THEN
        concat('stl_', replace(id::text, '-', ''), ' is ', status, ', its money is ',
               CASE WHEN at_the_bank.id IS NULL THEN 'in no payout that is paid'
                    ELSE 'in a payout that is paid' END)
    END
    FROM settlements LEFT JOIN at_the_bank USING (merchant_id, livemode, id)
"""

# The items of a batch are the entries in pending of the charges of its day and of their refunds;
# with the batch's own entry they come to nothing. Where a day is not settled there is no batch.
L6 = Law(
    "L6",
    "Each charge whose day is settled is in the one batch of that day, and each batch moved what"
    " its items had left in pending. Each payout is its items: what changed available since the one"
    " before, each entry once; opening and items less payout and fee are closing. A batch is paid"
    " out as long as its money is in a payout that is paid.",
    "WITH RECURSIVE"
    + LEGS
    + _CARRIED
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
    UNION ALL
    """
    + _PAYOUTS
    + " UNION ALL "
    + _PAID_OUT,
)

L8 = Law(
    "L8",
    "No payout takes what is available below zero.",
    """
    SELECT CASE WHEN opening + items - amount - fee < 0 OR closing < 0 THEN
        concat('po_', replace(id::text, '-', ''), ' pays out ', amount, ' and ', fee,
               ' of fee, of ', opening + items)
    END
    FROM payouts WHERE ledger_transaction IS NOT NULL
    """,
)
