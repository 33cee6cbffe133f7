"""What settlement is measured on: merchants, their captured charges with postings, some refunds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import LiteralString

from bench.cluster import Cluster

MERCHANTS = 10_000
FIRST_MERCHANT = 1_000_001
CAPTURED_ON = datetime(2026, 11, 24, 12, tzinfo=UTC)
FIRST_DAY, NEXT_DAY = datetime(2026, 11, 27, 1, tzinfo=UTC), datetime(2026, 11, 30, 1, tzinfo=UTC)
SECOND_DAY = 5
"""The second day, settled while captures go on, has this part of the first one's charges."""


def prepare(cluster: Cluster, charges: int, peer_charges: int) -> None:
    """Make merchants, their charges of two days with their postings, and the peer's own of both."""
    with cluster.superuser() as root:
        root.execute("SET session_replication_role = replica")
        root.execute(_MERCHANTS, {"merchants": MERCHANTS, "first": FIRST_MERCHANT})
        for number, day in ((charges, FIRST_DAY), (charges // SECOND_DAY, NEXT_DAY)):
            values = {
                "charges": number,
                "merchants": MERCHANTS,
                "first": FIRST_MERCHANT,
                "at": CAPTURED_ON,
                "day": day.date(),
            }
            root.execute(_CHARGES, values)
        root.execute(_CAPTURES)
        root.execute(_REFUNDS)
        root.execute(_REFUND_POSTINGS)
        root.execute("SET session_replication_role = origin")
        for statement in _PEER:
            root.execute(statement, {"sample": peer_charges} if "%(" in statement else None)
        root.execute("VACUUM ANALYZE")
        root.execute("CHECKPOINT")


_MERCHANTS = """
    WITH made AS (
        INSERT INTO merchants (id, public_id, name, country, default_currency, created_at,
                               reserve_basis_points)
        SELECT %(first)s + n, uuidv7(), 'Bench', 'US', 'USD', now(), CASE n %% 10 WHEN 0 THEN 500
               ELSE 0 END
        FROM generate_series(0, %(merchants)s - 1) AS n RETURNING id)
    INSERT INTO settled_through (merchant_id, livemode, currency, settled_on)
    SELECT id, false, 'USD', '2026-11-24' FROM made
"""

_CHARGES = """
    INSERT INTO charges (merchant_id, livemode, id, amount, amount_captured, fee, cost, created_at,
                         ledger_transaction, version, available_on, currency, status, capture,
                         method, payment_method, connector, fee_plan, fee_plan_version)
    SELECT %(first)s + n %% %(merchants)s, false, uuidv7(), 10000, 10000, 320, 180, %(at)s,
           uuidv7(), 2, %(day)s, 'USD', 'succeeded', true, 'card', 'tok_visa', 'simulated',
           'standard', 1
    FROM generate_series(0, %(charges)s - 1) AS n
"""

_CAPTURES = """
    INSERT INTO journal (id, source, owner, livemode, kind, value_on, recorded_at,
                         a1, v1, a2, v2, a3, v3, a4, v4)
    SELECT ledger_transaction, id, merchant_id, false, 1, created_at::date, created_at,
           8400110, 9820, merchant_id * 10000000 + 8400210, -9680, 8400410, -320, 8400510, 180
    FROM charges
"""

# One charge in fifty had a refund before its day.
_REFUNDS = """
    WITH chosen AS (
        UPDATE charges SET amount_refunded = 1000, version = 3
        WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM charges)
                     AS numbered WHERE n % 50 = 0)
        RETURNING merchant_id, id)
    INSERT INTO refunds (merchant_id, livemode, id, charge_id, amount, ledger_transaction,
                         created_at, version, currency, status)
    SELECT merchant_id, false, uuidv7(), id, 1000, uuidv7(), now(), 2, 'USD', 'succeeded'
    FROM chosen
"""

_REFUND_POSTINGS = """
    INSERT INTO journal (id, source, owner, livemode, kind, value_on, recorded_at, a1, v1, a2, v2)
    SELECT CASE kind WHEN 10 THEN ledger_transaction ELSE uuidv7() END, id, merchant_id, false,
           kind, created_at::date, created_at, CASE kind WHEN 10 THEN
           merchant_id * 10000000 + 8400210 ELSE 8400310 END, 1000,
           CASE kind WHEN 10 THEN 8400310 ELSE 8400110 END, -1000
    FROM refunds CROSS JOIN (VALUES (10), (11)) AS posted (kind)
"""

_PEER: tuple[LiteralString, ...] = (
    "CREATE TABLE peer_charges (LIKE charges INCLUDING ALL, settled boolean DEFAULT false)",
    "CREATE TABLE peer_journal (LIKE journal INCLUDING ALL)",
    "CREATE INDEX ON peer_charges (id)",
    "INSERT INTO peer_charges SELECT * FROM charges LIMIT %(sample)s",
    "GRANT ALL ON peer_charges, peer_journal TO ivy_app",
)
