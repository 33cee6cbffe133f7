"""The naive peer: a ledger as it is usually written first, and not badly.

A row per entry, a balance per account that is updated in place, the accounts locked in one order so
that nothing deadlocks, and eleven statements of which each waits for the answer to the one before.
Its tables have the keys that they need and no other.
"""

from __future__ import annotations

from bench.books import VoidError
from bench.cluster import Cluster
from bench.pgbench import Load
from bench.statements import round_trip

MERCHANTS_FROM = 100
"""Accounts below this are the platform's: 1 receivable, 2 income, 3 expense."""


def prepare(cluster: Cluster, merchants: int) -> None:
    """Make the peer's tables and its accounts."""
    with cluster.superuser() as root:
        for statement in _TABLES.split(";"):
            root.execute(statement.encode())
        root.execute(
            "INSERT INTO peer_accounts SELECT n, 0 FROM (SELECT generate_series(1, 3) UNION ALL"
            " SELECT %s + generate_series(1, %s)) AS numbered (n)",
            (MERCHANTS_FROM, merchants),
        )


def load(merchants: int, *, slow: bool) -> Load:
    """Return a charge as the peer posts it."""
    wait = round_trip(slow=slow)
    lines = [f"\\set merchant {MERCHANTS_FROM} + random(1, {merchants})"]
    for statement in _CHARGE.strip().split("\n"):
        lines += [*wait, statement.strip()]
    return Load("\n".join(lines) + "\n")


def check(cluster: Cluster, charges: int) -> None:
    """Void the figure unless the peer's books are right as well.

    Raises:
        VoidError: They are not.
    """
    with cluster.superuser() as root:
        row = root.execute(
            "SELECT (SELECT count(*) FROM peer_transactions), (SELECT count(*) FROM peer_entries),"
            " (SELECT coalesce(sum(amount), 0) FROM peer_entries),"
            " (SELECT sum(balance) FROM peer_accounts)"
        ).fetchone()
    if row != (charges, 4 * charges, 0, 0):
        raise VoidError(f"void: the peer made {charges} charges and has {row}")


_TABLES = """
    CREATE TABLE peer_accounts (id bigint PRIMARY KEY, balance bigint NOT NULL);
    CREATE TABLE peer_transactions (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, reference uuid NOT NULL UNIQUE,
        created_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE peer_entries (
        transaction_id bigint NOT NULL REFERENCES peer_transactions,
        account_id bigint NOT NULL REFERENCES peer_accounts, amount bigint NOT NULL,
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
    CREATE INDEX ON peer_entries (transaction_id);
    CREATE INDEX ON peer_entries (account_id);
    GRANT ALL ON peer_accounts, peer_transactions, peer_entries TO ivy_app
"""

_CHARGE = r"""
    BEGIN;
    SELECT id FROM peer_transactions WHERE reference = uuidv7();
    SELECT id, balance FROM peer_accounts WHERE id IN (1, 2, 3, :merchant) ORDER BY id FOR UPDATE;
    INSERT INTO peer_transactions (reference) VALUES (uuidv7()) RETURNING id AS charge \gset
    INSERT INTO peer_entries VALUES (:charge, 1, 9820), (:charge, 3, 180);
    INSERT INTO peer_entries VALUES (:charge, :merchant, -9680), (:charge, 2, -320);
    UPDATE peer_accounts SET balance = balance + 9820 WHERE id = 1;
    UPDATE peer_accounts SET balance = balance + 180 WHERE id = 3;
    UPDATE peer_accounts SET balance = balance - 320 WHERE id = 2;
    UPDATE peer_accounts SET balance = balance - 9680 WHERE id = :merchant;
    COMMIT;
"""
