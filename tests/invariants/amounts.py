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
    """But for what disputes and returned debits took, funds are above the overdraft's end."""
    return lines(
        connection,
        f"WITH {LEGS}, {MONEY}"
        """, funds AS (
            SELECT owner, livemode, account / 10000 % 1000 AS number, -sum(amount) AS amount,
                   coalesce(sum(amount) FILTER (WHERE kind IN (4, 20)), 0) AS taken
            FROM legs WHERE code IN (210, 220) GROUP BY owner, livemode, account / 10000 % 1000)
        SELECT 'merchant', owner, livemode, currency, funds.amount, taken
        FROM funds JOIN money USING (number) JOIN merchants ON merchants.id = owner
        WHERE funds.amount + taken < -overdraft_cents * cent
        """,
    )


_SAID_BY_CHARGES: LiteralString = """
    SELECT merchant_id, livemode, currency, part.*
    FROM charges JOIN money USING (currency) JOIN acquirers USING (connector)
    JOIN fee_plans ON fee_plans.code = fee_plan AND fee_plans.version = fee_plan_version,
    LATERAL (SELECT
        coalesce(fee, 0) AS earned,
        CASE WHEN status = 'authorized' THEN amount ELSE 0 END AS held,
        CASE WHEN status = 'failed' THEN amount_captured ELSE 0 END AS back,
        CASE WHEN status = 'failed' AND amount_captured > 0
             THEN cent * (terms->>'return_fee_cents')::bigint ELSE 0 END AS penalty) AS fact,
    LATERAL (VALUES
        (210, amount_captured - earned - back - penalty),
        (410, earned + penalty),
        (510, -cost),
        (receivable, cost - amount_captured + back),
        (910, -held),
        (960, held)
    ) AS part (code, amount)
"""

_SAID_BY_REFUNDS: LiteralString = """
    SELECT refunds.merchant_id, refunds.livemode, refunds.currency, part.*
    FROM refunds JOIN charges ON charges.id = charge_id JOIN acquirers USING (connector),
    LATERAL (SELECT
        CASE WHEN refunds.status = 'succeeded' THEN refunds.amount ELSE 0 END AS given,
        CASE WHEN pending_reason = 'processing' THEN refunds.amount ELSE 0 END AS owed) AS fact,
    LATERAL (VALUES
        (210, refunds.fee_returned - given - owed),
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
        (210, -gone - fee),
        (240, open),
        (420, fee),
        (receivable, gone),
        (disputed, -open)
    ) AS part (code, amount)
"""


def i6_accounts_hold_what_objects_say(connection: Connection) -> list[str]:
    """Each account, of merchants and of ours, is the sum of what its objects should have in it.

    Credits are positive here. A merchant's pending and available money count as one: what is in
    which is a matter of time.
    """
    return lines(
        connection,
        f"WITH {LEGS}, {MONEY}, {ACQUIRERS}"
        f", said AS ({_SAID_BY_CHARGES} UNION ALL {_SAID_BY_REFUNDS} UNION ALL {_SAID_BY_DISPUTES})"
        """, wanted AS (
            SELECT CASE WHEN said.code BETWEEN 200 AND 299 OR said.code BETWEEN 900 AND 949
                        THEN merchant_id ELSE 0 END AS owner,
                   livemode, number, said.code, sum(said.amount) AS amount
            FROM said JOIN money USING (currency) GROUP BY 1, 2, 3, 4),
        booked AS (
            SELECT account / 10000000 AS owner, account / 1000 % 10 = 1 AS livemode,
                   account / 10000 % 1000 AS number,
                   CASE code WHEN 220 THEN 210 ELSE code END AS code, -sum(amount) AS amount
            FROM legs GROUP BY 1, 2, 3, 4)
        SELECT 'account', owner, livemode, number, code, wanted.amount, booked.amount
        FROM wanted FULL JOIN booked USING (owner, livemode, number, code)
        WHERE coalesce(wanted.amount, 0) <> coalesce(booked.amount, 0)
        """,
    )
