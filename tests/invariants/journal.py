"""The journal by itself, and posting by posting."""

from __future__ import annotations

from typing import LiteralString

from tests.invariants.asking import ACQUIRERS, LEGS, MONEY, Connection, lines


def i1_entries_sum_to_zero(connection: Connection) -> list[str]:
    """Each ledger transaction, each currency and mode, and the whole; memo legs by themselves."""
    return lines(
        connection,
        f"WITH {LEGS}"
        """
        SELECT 'transaction', id, sum(amount) FROM legs GROUP BY id
        HAVING coalesce(sum(amount), 1) <> 0 OR count(*) < 2 OR bool_or(amount = 0)
            OR count(DISTINCT account / 1000 % 10000) <> 1 OR count(DISTINCT code >= 900) <> 1
        UNION ALL
        SELECT 'currency and mode', null, account / 1000 % 10000 FROM legs
        GROUP BY account / 1000 % 10000 HAVING sum(amount) <> 0
        """,
    )


def i2_balances_equal_entries(connection: Connection) -> list[str]:
    """A stored balance is the sum of every leg before the watermark: none lost, none twice."""
    return lines(
        connection,
        f"WITH {LEGS}"
        """, summed AS (
            SELECT account, sum(amount) AS amount FROM legs, rollup WHERE xid < watermark
            GROUP BY account)
        SELECT 'account', coalesce(number, account), balance, amount
        FROM accounts FULL JOIN summed ON number = account
        WHERE coalesce(balance, 0) <> coalesce(amount, 0)
        """,
    )


_DUE_OF_CHARGES: LiteralString = """
    SELECT id AS source, merchant_id, livemode, number, leg.*
    FROM charges
    JOIN money USING (currency) JOIN acquirers USING (connector)
    JOIN fee_plans ON fee_plans.code = fee_plan AND fee_plans.version = fee_plan_version
    LEFT JOIN held ON object_id = id,
    LATERAL (SELECT
        object_id IS NOT NULL AS was_held,
        amount_captured > 0 AS taken,
        amount_captured = 0 AND status IN ('canceled', 'expired', 'failed') AS let_go,
        amount_captured > 0 AND status = 'failed' AS back,
        (terms->>'return_fee_cents')::bigint * cent AS penalty) AS fact,
    LATERAL (VALUES
        (2, 910, amount, was_held),
        (2, 960, -amount, was_held),
        (3, 910, -amount, was_held AND let_go),
        (3, 960, amount, was_held AND let_go),
        (1, receivable, amount_captured - cost, taken),
        (1, 510, cost, taken),
        (1, 210, fee - amount_captured, taken),
        (1, 410, -fee, taken),
        (1, 910, -amount, was_held AND taken),
        (1, 960, amount, was_held AND taken),
        (4, 210, amount_captured + penalty, back),
        (4, receivable, -amount_captured, back),
        (4, 410, -penalty, back)
    ) AS leg (kind, code, amount, happened)
"""

_DUE_OF_REFUNDS: LiteralString = """
    SELECT refunds.id, refunds.merchant_id, refunds.livemode, number, leg.*
    FROM refunds
    JOIN charges ON charges.id = charge_id
    JOIN acquirers USING (connector) JOIN money ON money.currency = refunds.currency,
    LATERAL (SELECT
        refunds.amount AS given,
        refunds.status IN ('succeeded', 'failed')
            OR coalesce(pending_reason = 'processing', false) AS accepted,
        refunds.status = 'succeeded' AS succeeded,
        refunds.status = 'failed' AS failed) AS fact,
    LATERAL (VALUES
        (10, 210, given, accepted),
        (10, 310, -given, accepted),
        (11, 310, given, succeeded),
        (11, receivable, -given, succeeded),
        (11, 410, refunds.fee_returned, succeeded),
        (11, 220, -refunds.fee_returned, succeeded),
        (12, 310, given, failed),
        (12, 210, -given, failed)
    ) AS leg (kind, code, amount, happened)
"""

_DUE_OF_DISPUTES: LiteralString = """
    SELECT id, merchant_id, livemode, number, leg.*
    FROM disputes JOIN acquirers USING (connector) JOIN money USING (currency),
    LATERAL (VALUES
        (20, 220, amount + fee, true),
        (20, 240, -amount, true),
        (20, 420, -fee, true),
        (21, disputed, amount, true),
        (21, receivable, -amount, true),
        (22, 240, amount, status = 'won'),
        (22, 220, -amount, status = 'won'),
        (23, receivable, amount, status = 'won'),
        (23, disputed, -amount, status = 'won'),
        (24, 240, amount, status = 'lost'),
        (24, disputed, -amount, status = 'lost')
    ) AS leg (kind, code, amount, happened)
"""


_DUE_OF_SETTLEMENTS: LiteralString = """
    SELECT id, merchant_id, livemode, number, leg.*
    FROM settlements JOIN money USING (currency),
    LATERAL (VALUES
        (30, 210, net, true),
        (30, 220, reserved - net, true),
        (30, 230, -reserved, true)
    ) AS leg (kind, code, amount, happened)
    UNION ALL
    SELECT id, merchant_id, livemode, number, leg.*
    FROM reserves JOIN money USING (currency),
    LATERAL (VALUES
        (31, 230, amount, status = 'released'),
        (31, 220, -amount, status = 'released')
    ) AS leg (kind, code, amount, happened)
"""

_DUE_OF_PAYOUTS: LiteralString = """
    SELECT id, merchant_id, livemode, number, leg.*
    FROM payouts JOIN money USING (currency),
    LATERAL (SELECT
        ledger_transaction IS NOT NULL AS made,
        ledger_transaction IS NOT NULL AND status IN ('canceled', 'failed') AS reversed,
        status IN ('paid', 'returned') AS paid) AS fact,
    LATERAL (VALUES
        (40, 220, amount + fee, made),
        (40, 250, -amount, made),
        (40, 430, -fee, made),
        (41, 250, amount, paid),
        (41, 150, -amount, paid),
        (42, 250, amount, reversed),
        (42, 220, -amount, reversed),
        (43, 150, amount, status = 'returned'),
        (43, 220, -amount, status = 'returned')
    ) AS leg (kind, code, amount, happened)
"""

_DUE_OF_LINES: LiteralString = """
    SELECT items.id, 0, items.livemode, number, leg.*
    FROM suspense_items AS items
    JOIN money USING (currency) LEFT JOIN acquirers ON acquirers.connector = items.connector
    LEFT JOIN acquirer_settlements AS met ON met.ledger_transaction = resolution,
    LATERAL (SELECT coalesce(net, amount) AS moved, resolution IS NOT NULL AS explained) AS fact,
    LATERAL (VALUES
        (60, 150, amount, settlement_id IS NULL),
        (60, 180, -amount, settlement_id IS NULL),
        (61, 180, moved, explained),
        (61, CASE resolved_as WHEN 'payout' THEN 150 WHEN 'debit' THEN 150
                              WHEN 'acquirer' THEN receivable
                              WHEN 'rounding' THEN 530 ELSE 520 END, -moved, explained)
    ) AS leg (kind, code, amount, happened)
    UNION ALL
    SELECT said.id, 0, said.livemode, number, leg.*
    FROM acquirer_settlements AS said
    JOIN money USING (currency) JOIN acquirers USING (connector)
    JOIN bank_lines AS shown ON shown.id = line_id,
    LATERAL (VALUES
        (62, 150, shown.amount, received_as IN ('exact', 'rule', 'tolerance')),
        (62, receivable, -net, received_as IN ('exact', 'rule', 'tolerance')),
        (62, 180, net - shown.amount, received_as = 'tolerance')
    ) AS leg (kind, code, amount, happened)
"""


_DUE_OF_DEPOSITS: LiteralString = """
    SELECT id, 0, livemode, number, leg.*
    FROM micro_deposits JOIN money USING (currency),
    LATERAL (VALUES
        (64, 510, amount, ledger_transaction IS NOT NULL),
        (64, 150, -amount, ledger_transaction IS NOT NULL),
        (65, 150, amount, returned_as IS NOT NULL),
        (65, 510, -amount, returned_as IS NOT NULL)
    ) AS leg (kind, code, amount, happened)
"""

_DUE_OF_RECOVERIES: LiteralString = """
    SELECT id, merchant_id, livemode, number, leg.*
    FROM recoveries JOIN money USING (currency),
    LATERAL (VALUES
        (50, 520, written_off, status = 'written_off'),
        (50, 220, -written_off, status = 'written_off')
    ) AS leg (kind, code, amount, happened)
    UNION ALL
    SELECT id, merchant_id, livemode, number, leg.*
    FROM recovery_debits JOIN money USING (currency),
    LATERAL (SELECT
        status NOT IN ('pending', 'canceled') AS sent,
        status IN ('collected', 'returned') AS collected) AS fact,
    LATERAL (VALUES
        (51, 170, amount, sent),
        (51, 220, -amount, sent),
        (52, 150, amount, collected),
        (52, 170, -amount, collected),
        (53, 220, amount, status = 'failed'),
        (53, 170, -amount, status = 'failed'),
        (54, 220, amount, status = 'returned'),
        (54, 150, -amount, status = 'returned')
    ) AS leg (kind, code, amount, happened)
"""


def i3_each_transition_is_posted_once(connection: Connection) -> list[str]:
    """What became of an object is in the journal once, with exactly these legs, or not at all.

    What goes back is taken from pending or from available, by whether the charge was settled then:
    laws L5 and L6 say which it must have been. A dispute and a fee given back are about what is
    available.
    """
    return lines(
        connection,
        f"WITH {LEGS}, {MONEY}, {ACQUIRERS}"
        ", held AS (SELECT DISTINCT object_id FROM events WHERE type = 'charge.authorized')"
        f", due AS ({_DUE_OF_CHARGES} UNION ALL {_DUE_OF_REFUNDS} UNION ALL {_DUE_OF_DISPUTES}"
        f" UNION ALL {_DUE_OF_SETTLEMENTS} UNION ALL {_DUE_OF_PAYOUTS}"
        f" UNION ALL {_DUE_OF_RECOVERIES} UNION ALL {_DUE_OF_LINES} UNION ALL {_DUE_OF_DEPOSITS})"
        """, wanted AS (
            SELECT source, kind, amount,
                   CASE WHEN code BETWEEN 200 AND 299 OR code BETWEEN 900 AND 949
                        THEN merchant_id ELSE 0 END * 10000000
                   + number * 10000 + livemode::integer * 1000 + code AS account
            FROM due WHERE happened AND amount <> 0),
        posted AS (
            SELECT source, kind, account - CASE WHEN kind IN (4, 10, 12) AND code = 220
                                                THEN 10 ELSE 0 END AS account,
                   sum(amount) AS amount, count(*) AS times
            FROM legs WHERE kind IN (SELECT code FROM posting_kinds)
            GROUP BY 1, 2, 3)
        SELECT 'posting', source, kind, account, wanted.amount, posted.amount, times
        FROM wanted FULL JOIN posted USING (source, kind, account)
        WHERE wanted.amount IS DISTINCT FROM posted.amount OR times <> 1
        UNION ALL
        SELECT 'named posting', object.id, object.kind, null, null, null, null
        FROM (SELECT id, ledger_transaction, 1 AS kind FROM charges UNION ALL
              SELECT id, ledger_transaction, 10 FROM refunds UNION ALL
              SELECT id, ledger_transaction, 30 FROM settlements UNION ALL
              SELECT id, ledger_transaction, 31 FROM reserves UNION ALL
              SELECT id, ledger_transaction, 40 FROM payouts UNION ALL
              SELECT id, ledger_transaction, 64 FROM micro_deposits UNION ALL
              SELECT id, returned_as, 65 FROM micro_deposits UNION ALL
              SELECT id, ledger_transaction, 50 FROM recoveries) AS object
        LEFT JOIN journal ON source = object.id AND journal.kind = object.kind AND part = 0
        WHERE journal.id IS DISTINCT FROM ledger_transaction
        """,
    )


def i11_journal_is_append_only(connection: Connection) -> list[str]:
    """Nobody who serves a request may alter the journal, and a trigger refuses everybody else."""
    return lines(
        connection,
        """
        SELECT grantee, privilege_type FROM information_schema.table_privileges
        WHERE table_schema = 'ivy' AND table_name = 'journal' AND grantee <> 'ivy_owner'
          AND privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE')
        UNION ALL
        SELECT grantee, column_name FROM information_schema.column_privileges
        WHERE table_schema = 'ivy' AND table_name = 'journal' AND grantee <> 'ivy_owner'
          AND privilege_type = 'UPDATE'
        UNION ALL
        SELECT 'the trigger', 'is off' WHERE NOT EXISTS (
            SELECT FROM pg_trigger WHERE tgrelid = 'journal'::regclass
            AND tgname = 'append_only' AND tgenabled IN ('O', 'A'))
        """,
    )
