"""Amounts: of objects among themselves, and of accounts against objects."""

from __future__ import annotations

from typing import LiteralString

from tests.invariants.asking import ACQUIRERS, LEGS, MONEY, Connection, lines


def i4_parts_stay_within_the_whole(connection: Connection) -> list[str]:
    """Captured within authorised, given back within captured.

    What a charge says of its refunds and disputes is their sum.
    """
    return lines(
        connection,
        """
        WITH given AS (
            SELECT charge_id,
                   coalesce(sum(amount) FILTER (WHERE status = 'succeeded'), 0) AS refunded,
                   coalesce(sum(amount) FILTER (WHERE status = 'pending'), 0) AS pending,
                   sum(fee_returned) AS fees
            FROM refunds GROUP BY charge_id),
        taken AS (
            SELECT charge_id, coalesce(sum(amount) FILTER (WHERE status <> 'won'), 0) AS disputed
            FROM disputes GROUP BY charge_id)
        SELECT 'charge', id, amount, amount_captured, amount_refunded, amount_disputed
        FROM charges LEFT JOIN given ON given.charge_id = id LEFT JOIN taken ON taken.charge_id = id
        WHERE NOT (
            amount_captured BETWEEN 0 AND amount
            AND amount_refunded >= 0 AND amount_refund_pending >= 0 AND amount_disputed >= 0
            AND amount_refunded + amount_disputed <= amount_captured
            AND fee_returned BETWEEN 0 AND coalesce(fee, 0)
            AND amount_refunded = coalesce(refunded, 0)
            AND amount_refund_pending = coalesce(pending, 0)
            AND amount_disputed = coalesce(disputed, 0)
            AND fee_returned = coalesce(fees, 0))
        """,
    )


def i5_refunds_overdraw_within_the_limit(connection: Connection) -> list[str]:
    """But for what disputes, returned debits and reserves took, the overdraft has its end.

    A write-off gives no more of it to spend.
    """
    return lines(
        connection,
        f"WITH {LEGS}, {MONEY}"
        """, funds AS (
            SELECT owner, livemode, account / 10000 % 1000 AS number, -sum(amount) AS amount,
                   coalesce(sum(amount) FILTER (WHERE kind IN (4, 20, 30, 31, 50)), 0) AS taken
            FROM legs WHERE code IN (210, 220) GROUP BY owner, livemode, account / 10000 % 1000)
        SELECT 'merchant', owner, livemode, currency, funds.amount, taken
        FROM funds JOIN money USING (number) JOIN merchants ON merchants.id = owner
        WHERE funds.amount + taken < -overdraft_cents * cent
        """,
    )


_SAID_BY_CHARGES: LiteralString = """
    SELECT merchant_id, livemode, currency, part.*
    FROM charges JOIN money USING (currency) JOIN acquirers USING (connector)
    JOIN fee_plans ON fee_plans.code = fee_plan AND fee_plans.version = fee_plan_version
    LEFT JOIN settled_through USING (merchant_id, livemode, currency),
    LATERAL (SELECT
        CASE WHEN available_on <= settled_on THEN 220 ELSE 210 END AS place,
        coalesce(fee, 0) AS earned,
        CASE WHEN status = 'authorized' THEN amount ELSE 0 END AS held,
        CASE WHEN status = 'failed' THEN amount_captured ELSE 0 END AS back,
        CASE WHEN status = 'failed' AND amount_captured > 0
             THEN cent * (terms->>'return_fee_cents')::bigint ELSE 0 END AS penalty) AS fact,
    LATERAL (VALUES
        (place, amount_captured - earned - back - penalty),
        (410, earned + penalty),
        (510, -cost),
        (receivable, cost - amount_captured + back),
        (910, -held),
        (960, held)
    ) AS part (code, amount)
"""

_SAID_BY_REFUNDS: LiteralString = """
    SELECT refunds.merchant_id, refunds.livemode, refunds.currency, part.*
    FROM refunds JOIN charges ON charges.id = charge_id JOIN acquirers USING (connector)
    LEFT JOIN settled_through
        ON (settled_through.merchant_id, settled_through.livemode, settled_through.currency)
         = (charges.merchant_id, charges.livemode, charges.currency),
    LATERAL (SELECT
        CASE WHEN available_on <= settled_on THEN 220 ELSE 210 END AS place,
        CASE WHEN refunds.status = 'succeeded' THEN refunds.amount ELSE 0 END AS given,
        CASE WHEN pending_reason = 'processing' THEN refunds.amount ELSE 0 END AS owed) AS fact,
    LATERAL (VALUES
        (place, -given - owed),
        (220, refunds.fee_returned),
        (310, owed),
        (410, -refunds.fee_returned),
        (receivable, given)
    ) AS part (code, amount)
"""

_SAID_BY_DISPUTES: LiteralString = """
    SELECT merchant_id, livemode, currency, part.*
    FROM disputes JOIN acquirers USING (connector),
    LATERAL (SELECT
        CASE WHEN status = 'won' THEN 0 ELSE amount END AS gone,
        CASE WHEN status IN ('won', 'lost') THEN 0 ELSE amount END AS open) AS fact,
    LATERAL (VALUES
        (220, -gone - fee),
        (240, open),
        (420, fee),
        (receivable, gone),
        (disputed, -open)
    ) AS part (code, amount)
"""

_SAID_BY_RESERVES: LiteralString = """
    SELECT merchant_id, livemode, currency, part.*
    FROM reserves,
    LATERAL (VALUES (220, -amount), (230, amount)) AS part (code, amount)
    WHERE status = 'held'
"""

_SAID_BY_PAYOUTS: LiteralString = """
    SELECT merchant_id, livemode, currency, part.*
    FROM payouts,
    LATERAL (SELECT
        CASE WHEN status IN ('pending', 'in_transit') THEN amount ELSE 0 END AS under_way,
        CASE WHEN status = 'paid' THEN amount ELSE 0 END AS gone) AS fact,
    LATERAL (VALUES
        (220, -under_way - gone - fee),
        (250, under_way),
        (430, fee),
        (150, gone)
    ) AS part (code, amount)
    WHERE ledger_transaction IS NOT NULL
"""

_SAID_BY_LINES: LiteralString = """
    SELECT 0, shown.livemode, shown.currency, part.*
    FROM bank_lines AS shown JOIN suspense_items AS items ON items.line_id = shown.id
    LEFT JOIN acquirers ON acquirers.connector = items.connector
    LEFT JOIN acquirer_settlements AS met ON met.id = target AND resolved_as = 'acquirer',
    LATERAL (SELECT
        CASE WHEN settlement_id IS NULL THEN shown.amount ELSE 0 END AS came,
        CASE WHEN resolved_as IN ('acquirer', 'rounding', 'loss')
             THEN coalesce(net, items.amount) ELSE 0 END AS gone,
        CASE resolved_as WHEN 'acquirer' THEN receivable WHEN 'rounding' THEN 530
                         ELSE 520 END AS whereto) AS fact,
    LATERAL (VALUES
        (150, -came),
        (180, came - gone),
        (whereto, gone)
    ) AS part (code, amount)
    WHERE outcome = 'suspense' AND coalesce(resolved_as NOT IN ('payout', 'debit'), true)
       OR outcome = 'acquirer'
    UNION ALL
    SELECT 0, said.livemode, said.currency, part.*
    FROM acquirer_settlements AS said JOIN acquirers USING (connector)
    JOIN bank_lines AS shown ON shown.id = line_id,
    LATERAL (VALUES
        (150, -shown.amount),
        (receivable, net),
        (180, shown.amount - net)
    ) AS part (code, amount)
    WHERE outcome = 'acquirer'
"""


_SAID_BY_DEPOSITS: LiteralString = """
    SELECT 0, livemode, currency, part.*
    FROM micro_deposits,
    LATERAL (SELECT
        amount * num_nonnulls(ledger_transaction) - amount * num_nonnulls(returned_as) AS gone)
        AS fact,
    LATERAL (VALUES (150, gone), (510, -gone)) AS part (code, amount)
"""

_SAID_BY_RECOVERIES: LiteralString = """
    SELECT merchant_id, livemode, currency, part.*
    FROM recoveries,
    LATERAL (VALUES (220, written_off), (520, -written_off)) AS part (code, amount)
    WHERE status = 'written_off'
    UNION ALL
    SELECT merchant_id, livemode, currency, part.*
    FROM recovery_debits,
    LATERAL (SELECT
        CASE WHEN status = 'in_transit' THEN amount ELSE 0 END AS under_way,
        CASE WHEN status = 'collected' THEN amount ELSE 0 END AS came) AS fact,
    LATERAL (VALUES
        (220, under_way + came),
        (170, -under_way),
        (150, -came)
    ) AS part (code, amount)
"""


def i6_accounts_hold_what_objects_say(connection: Connection) -> list[str]:
    """Each account, of merchants and of ours, is the sum of what its objects should have in it.

    Credits are positive here. What a charge left is pending until its day is settled.
    """
    return lines(
        connection,
        f"WITH {LEGS}, {MONEY}, {ACQUIRERS}"
        f", said AS ({_SAID_BY_CHARGES} UNION ALL {_SAID_BY_REFUNDS} UNION ALL {_SAID_BY_DISPUTES}"
        f" UNION ALL {_SAID_BY_RESERVES} UNION ALL {_SAID_BY_PAYOUTS}"
        f" UNION ALL {_SAID_BY_RECOVERIES} UNION ALL {_SAID_BY_LINES}"
        f" UNION ALL {_SAID_BY_DEPOSITS})"
        """, wanted AS (
            SELECT CASE WHEN said.code BETWEEN 200 AND 299 OR said.code BETWEEN 900 AND 949
                        THEN merchant_id ELSE 0 END AS owner,
                   livemode, number, said.code, sum(said.amount) AS amount
            FROM said JOIN money USING (currency) GROUP BY 1, 2, 3, 4),
        booked AS (
            SELECT account / 10000000 AS owner, account / 1000 % 10 = 1 AS livemode,
                   account / 10000 % 1000 AS number, code, -sum(amount) AS amount
            FROM legs GROUP BY 1, 2, 3, 4)
        SELECT 'account', owner, livemode, number, code, wanted.amount, booked.amount
        FROM wanted FULL JOIN booked USING (owner, livemode, number, code)
        WHERE coalesce(wanted.amount, 0) <> coalesce(booked.amount, 0)
        """,
    )


def i17_each_settled_day_is_one_batch(connection: Connection) -> list[str]:
    """A batch is all that was captured for its day, and moved what that had left in pending."""
    return lines(
        connection,
        f"WITH {LEGS}"
        """, items AS (
            SELECT charges.id AS source, charges.id AS charge, charges.* FROM charges
            WHERE available_on IS NOT NULL
            UNION ALL
            SELECT refunds.id, null, charges.* FROM refunds JOIN charges ON charges.id = charge_id
            WHERE available_on IS NOT NULL),
        pending AS (
            SELECT source, -sum(amount) AS amount FROM legs
            WHERE code = 210 AND kind IN (1, 4, 10, 12, 30) GROUP BY source),
        days AS (
            SELECT merchant_id, livemode, currency, available_on AS settled_on,
                   count(charge) AS charge_count, coalesce(sum(pending.amount), 0) AS net,
                   coalesce(sum(amount_captured) FILTER (WHERE charge IS NOT NULL), 0) AS charges
            FROM items LEFT JOIN pending USING (source) GROUP BY 1, 2, 3, 4),
        settled AS (
            SELECT days.* FROM days JOIN settled_through AS reached
                USING (merchant_id, livemode, currency)
            WHERE days.settled_on <= reached.settled_on),
        kept AS (
            SELECT batches.id, coalesce(sum(reserves.amount), 0) AS amount
            FROM settlements AS batches LEFT JOIN reserves ON settlement_id = batches.id
            GROUP BY batches.id)
        SELECT 'day', merchant_id, livemode, currency, settled_on, batch.id, settled.net, batch.net
        FROM settled
        FULL JOIN settlements AS batch USING (merchant_id, livemode, currency, settled_on)
        LEFT JOIN kept ON kept.id = batch.id
        LEFT JOIN pending ON source = batch.id
        WHERE (settled.charge_count, settled.charges, settled.net, -settled.net, reserved)
            IS DISTINCT FROM (batch.charge_count, batch.charges, batch.net,
                              coalesce(pending.amount, 0), kept.amount)
        """,
    )
