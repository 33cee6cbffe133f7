"""Laws of the bank: what its statements say of our accounts, and what waits to be explained.

A merchant sees no line of a statement and nothing in suspense. In its own proof every movement of
its payouts and debits is one that no statement shows yet, and the laws hold as they do for all.
"""

from __future__ import annotations

from typing import LiteralString

from ivy.laws import Law

OWED: LiteralString = """
        SELECT 0, livemode, currency, line.name, line.amount FROM bank_lines
        CROSS JOIN LATERAL (VALUES
            ('bank:client', amount),
            ('suspense:bank', -amount)) AS line (name, amount)
        WHERE outcome = 'suspense'
        UNION ALL
        SELECT 0, livemode, currency, line.name, line.amount FROM deposited
        CROSS JOIN LATERAL (VALUES
            ('bank:client', -amount),
            ('expense:processor', amount)) AS line (name, amount)
        UNION ALL
        SELECT 0, lines.livemode, lines.currency, line.name, line.amount
        FROM bank_lines AS lines LEFT JOIN acquirer_settlements AS said ON line_id = lines.id
        CROSS JOIN LATERAL (VALUES
            ('bank:client', lines.amount),
            ('acquirer_receivable:' || connector, -coalesce(net, 0)),
            ('suspense:bank', coalesce(net, 0) - lines.amount)) AS line (name, amount)
        WHERE outcome = 'acquirer'
        UNION ALL
        SELECT 0, items.livemode, items.currency, line.name, line.amount
        FROM suspense_items AS items
        LEFT JOIN acquirer_settlements AS said ON said.id = target
        CROSS JOIN LATERAL (
            SELECT CASE resolved_as WHEN 'acquirer' THEN coalesce(net, amount) ELSE amount END
                AS moved) AS resolved
        CROSS JOIN LATERAL (VALUES
            ('suspense:bank', moved),
            (CASE resolved_as WHEN 'acquirer' THEN 'acquirer_receivable:' || items.connector
                              WHEN 'loss' THEN 'loss:writeoff'
                              ELSE resolved_as END, -moved)) AS line (name, amount)
        WHERE resolved_as IN ('acquirer', 'rounding', 'loss')"""
"""What lines that are no order's owe to our accounts; what was resolved to an order owes nothing.
A line that is a settlement owes its acquirer what that said, and to suspense what it differs by.
"""

# What banks state is in the books, but for what is on its way: an order is posted when its bank
# speaks of it in whichever file; its line may come before that is carried out, or days after.
STATED: LiteralString = """
    stated AS (
        SELECT livemode::integer AS mode, currency, sum(amount) AS amount,
               coalesce(sum(amount) FILTER (WHERE outcome = 'new'), 0) AS not_posted
        FROM bank_lines GROUP BY 1, 2),
    moved AS (
        SELECT livemode, currency, id, way * amount AS amount FROM bank_orders
        WHERE status IN ('paid', 'collected', 'returned')
        UNION ALL
        SELECT livemode, currency, id, -way * amount FROM bank_orders WHERE status = 'returned'),
    not_stated AS (
        SELECT moved.livemode::integer AS mode, moved.currency, sum(moved.amount) AS amount
        FROM moved
        LEFT JOIN bank_lines ON coalesce(payout_id, debit_id) = moved.id
            AND outcome IN ('payout', 'debit') AND bank_lines.amount = moved.amount
        WHERE bank_lines.id IS NULL GROUP BY 1, 2),
    in_suspense AS (
        SELECT livemode::integer AS mode, currency, sum(amount) AS amount
        FROM suspense_items WHERE resolved_at IS NULL GROUP BY 1, 2),
    booked AS (
        SELECT mod(account / 1000, 10) AS mode, currencies.code AS currency,
               coalesce(sum(amount) FILTER (WHERE mod(account, 1000) = 150), 0) AS bank,
               coalesce(-sum(amount) FILTER (WHERE mod(account, 1000) = 180), 0) AS suspense
        FROM legs JOIN currencies ON number = mod(account / 10000, 1000)
        WHERE mod(account, 1000) IN (150, 180) GROUP BY 1, 2)"""

RECONCILED: LiteralString = """
    SELECT CASE
        WHEN coalesce(booked.bank, 0) <> coalesce(stated.amount - not_posted, 0)
                + coalesce(not_stated.amount, 0) THEN
            concat(currency, CASE mode WHEN 0 THEN ', test' ELSE ', live' END,
                   ', bank:client: entries sum to ', coalesce(booked.bank, 0),
                   ', the lines of statements to ', coalesce(stated.amount, 0), ', of which ',
                   coalesce(not_posted, 0), ' are not posted yet, and ',
                   coalesce(not_stated.amount, 0), ' are posted and on no statement yet')
        WHEN coalesce(booked.suspense, 0) <> coalesce(in_suspense.amount, 0) THEN
            concat(currency, CASE mode WHEN 0 THEN ', test' ELSE ', live' END,
                   ', suspense:bank: entries sum to ', coalesce(booked.suspense, 0),
                   ', the open items to ', coalesce(in_suspense.amount, 0))
    END
    FROM stated
    FULL JOIN not_stated USING (mode, currency)
    FULL JOIN in_suspense USING (mode, currency)
    FULL JOIN booked USING (mode, currency)"""

L13 = Law(
    "L13",
    "Nothing on a clearing account stays open for longer than is allowed, and no payout or debit"
    " that was refused after it was paid.",
    """
    WITH open AS (
        SELECT 'sus_' || replace(id::text, '-', '') AS item, 180 AS code, opened_at
        FROM suspense_items WHERE resolved_at IS NULL)
    SELECT CASE WHEN now() - opened_at >= make_interval(days => max_open_days) THEN
        concat(item, ' has been open on ', name, ' for ',
               extract(day FROM now() - opened_at), ' days')
    END
    FROM clearing_accounts
    JOIN chart USING (code)
    LEFT JOIN open USING (code)
    UNION ALL
    SELECT CASE WHEN now() - said.created_at >= make_interval(days => max_open_days) THEN
        concat(coalesce('po_' || replace(payout_id::text, '-', ''),
                        'rd_' || replace(debit_id::text, '-', '')), ' was refused ',
               extract(day FROM now() - said.created_at),
               ' days ago, after it was paid, and no statement shows it back')
    END
    FROM bank_answers AS said
    JOIN bank_orders AS orders ON (orders.merchant_id, orders.livemode, orders.id)
        = (said.merchant_id, said.livemode, coalesce(payout_id, debit_id))
    JOIN clearing_accounts ON clearing_accounts.code = 180
    WHERE unstated AND applied_at IS NULL AND orders.status IN ('paid', 'collected')
    """,
)
