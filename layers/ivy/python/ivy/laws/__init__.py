"""The laws of the ledger: what must be true of the books at any moment, one query each.

A query returns one row for each thing that it looked at: NULL where the law holds, and otherwise a
sentence, its witness. ``concat`` makes the sentences, because no NULL inside can swallow one. A
query reads whatever the connected role may see. As ``ivy_read`` those are all books; as ``ivy_app``
one merchant's in one mode, and then our accounts count with that merchant's own entries. Nothing
takes a parameter, so each query runs in psql as it stands.

A new law is a ``Law`` in one of these modules and its place in ``ivy.proof.LAWS``. A new kind of
object is a line of ``OBJECTS`` and, where it moves money, what it owes to each account (L5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString


@dataclass(frozen=True, slots=True)
class Law:
    """One law: its name, what it says, and the query that returns a row per thing checked."""

    name: str
    statement: LiteralString
    query: LiteralString


LEGS: LiteralString = """
    legs AS (
        SELECT id, source, kind, owner, livemode, xid, leg.account, leg.amount
        FROM journal
        CROSS JOIN LATERAL (VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) AS leg (account, amount)
        WHERE leg.account IS NOT NULL OR leg.amount IS NOT NULL)"""
"""The entries of the journal, one a row; half an entry shows, and does not vanish."""

OBJECTS: LiteralString = """
    objects (prefix, object, merchant_id, livemode, id, version, state) AS (
        SELECT 'ch', 'charge', merchant_id, livemode, id, version, status FROM charges
        UNION ALL
        SELECT 're', 'refund', merchant_id, livemode, id, version,
               status || coalesce('(' || pending_reason || ')', '') FROM refunds
        UNION ALL
        SELECT 'dp', 'dispute', merchant_id, livemode, id, version, status FROM disputes
        UNION ALL
        SELECT 'stl', 'settlement', merchant_id, livemode, id, version, status FROM settlements
        UNION ALL
        SELECT 'rpt', 'report', merchant_id, livemode, id, version, status FROM reports
        UNION ALL
        SELECT 'rsv', 'reserve', merchant_id, livemode, id, version, status FROM reserves
        UNION ALL
        SELECT 'po', 'payout', merchant_id, livemode, id, version, status FROM payouts
        UNION ALL
        SELECT 'ba', 'bank_account', merchant_id, livemode, id, version, status
        FROM bank_accounts
        UNION ALL
        SELECT 'clk', 'test_clock', merchant_id, livemode, id, version, status
        FROM test_clocks
        UNION ALL
        SELECT 'bal', 'balance', merchant_id, livemode, id, version, status
        FROM balance_states
        UNION ALL
        SELECT 'rcv', 'recovery', merchant_id, livemode, id, version, status
        FROM recoveries
        UNION ALL
        SELECT 'rd', 'recovery_debit', merchant_id, livemode, id, version, status
        FROM recovery_debits)"""
"""Everything with a state machine, and its state in the machine's terms."""
