"""Whether the books are right after a run: without that its figures are void."""

from __future__ import annotations

import random

from bench.cluster import Cluster
from ivy import ledger
from ivy.database import Database, Tenant
from ivy.ledger import Chart
from local.postgres import DATABASE

BALANCES = 100
"""How many balances are held against the full sum of all their legs."""


class VoidError(RuntimeError):
    """What was measured did not do what it should have done."""


def check(cluster: Cluster, postings: int, merchants: int, database: str = DATABASE) -> str:
    """Check the journal after postings to the first merchants in live mode; returns what held.

    Raises:
        VoidError: Legs or balances do not sum to zero, a posting is missing, or a balance as the
            product reads it is not the sum of all its legs.
    """
    with cluster.superuser(database) as root:
        held = root.execute("SELECT count(*) FROM journal").fetchone()
        _hold(held == (postings,), f"{held} rows for {postings} postings")
        _sums(cluster, database)
        jobs = Database(cluster.url("ivy_jobs", database))
        with jobs.transaction() as tx:
            ledger.roll_up(tx)
        jobs.close()
        _sums(cluster, database)
    chosen = [random.Random(1).randint(1, merchants) for _ in range(BALANCES)]  # noqa: S311 - repeatable
    app = Database(cluster.url(database=database))
    with cluster.superuser(database) as root:
        for merchant in chosen:
            tenant = Tenant(merchant, livemode=True)
            with app.transaction(tenant) as tx:
                told = ledger.balance(tx, tenant, "USD", Chart.PENDING)
            account = ledger.account_number(Chart.PENDING, "USD", tenant)
            row = root.execute(
                "SELECT -coalesce(sum(leg.v), 0) FROM journal CROSS JOIN LATERAL (VALUES (a1, v1),"
                " (a2, v2), (a3, v3), (a4, v4)) AS leg (a, v) WHERE owner = %s AND leg.a = %s",
                (merchant, account),
            ).fetchone()
            _hold(row == (told,), f"merchant {merchant} has {row}, the product says {told}")
    app.close()
    return f"{postings:,} postings sum to zero; {BALANCES} balances equal their legs"


def _sums(cluster: Cluster, database: str) -> None:
    """Hold all legs, and all balances, against zero."""
    with cluster.superuser(database) as root:
        legs = root.execute(
            "SELECT sum(v1 + v2 + coalesce(v3, 0) + coalesce(v4, 0)),"
            " sum(v1 + v2 + coalesce(v3, 0) + coalesce(v4, 0)) FILTER"
            " (WHERE xid >= (SELECT watermark FROM rollup)) FROM journal"
        ).fetchone()
        balances = root.execute("SELECT coalesce(sum(balance), 0) FROM accounts").fetchone()
    _hold(legs is not None and not any(legs), f"the legs come to {legs}")
    _hold(balances == (0,), f"the balances come to {balances}")


def _hold(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not condition:
        raise VoidError(f"void: {otherwise}")
