"""What the invariants ask with: the journal leg by leg, and the numbers of currencies."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg

Connection = psycopg.Connection[Any]

LEGS: LiteralString = """
    legs AS (
        SELECT id, source, kind, part, owner, livemode, xid, leg.account, leg.amount,
               leg.account % 1000 AS code
        FROM journal
        CROSS JOIN LATERAL (VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) leg (account, amount)
        WHERE leg.account IS NOT NULL OR leg.amount IS NOT NULL)
"""

MONEY: LiteralString = """
    money (currency, number, cent) AS (VALUES
        ('USD', 840, 1), ('EUR', 978, 1), ('GBP', 826, 1), ('JPY', 392, 1),
        ('KWD', 414, 10), ('BHD', 48, 10))
"""
"""The currencies that tests use: their ISO numbers, and what a cent of a price list is there."""

ACQUIRERS: LiteralString = """
    acquirers (connector, receivable, disputed) AS (
        VALUES ('simulated', 110, 160), ('stripe', 111, 161))
"""
"""Each with the codes of its accounts."""


def lines(connection: Connection, statement: LiteralString) -> list[str]:
    """Return one line of text for each row that a statement finds."""
    return [" ".join(map(str, row)) for row in connection.execute(statement).fetchall()]
