"""Checking the books from outside: the laws over all of them, and an export for other programs.

Reads as ``ivy_read``, past row-level security and with no right to change anything, in one
snapshot of the database that ``local.json`` names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg.conninfo import make_conninfo

from ivy import beancount, ids, proof
from ivy.database import Database, Transaction
from local.errors import LocalError, UsageError

if TYPE_CHECKING:
    from ivy.proof import LedgerProof
    from local.home import Home

PATIENCE_SECONDS = 600
"""How long one query may take here; the servers' own limit is 8."""


@contextmanager
def snapshot(home: Home) -> Iterator[Transaction]:
    """Open a transaction that sees all books as they are at one moment.

    Raises:
        LocalError: The stack does not run.
    """
    facts = home.running()
    limits = f"-c statement_timeout={PATIENCE_SECONDS}s -c transaction_timeout=0"
    database = Database(make_conninfo(facts["database"], options=limits))
    try:
        with database.transaction(snapshot=True) as tx:
            yield tx
    finally:
        database.close()


def prove(home: Home) -> LedgerProof:
    """Return what every law finds in the books of all merchants, in both modes."""
    with snapshot(home) as tx:
        return proof.prove(tx, livemode=None, at=ids.now())


def query(name: str) -> str:
    """Return the query of a law, ready for psql.

    Raises:
        LocalError: There is no such law.
    """
    for law in proof.LAWS:
        if law.name == name.upper():
            return f"{law.query.strip()};"
    raise LocalError(f"There is no law {name}.", f"One of {', '.join(x.name for x in proof.LAWS)}.")


def show(found: LedgerProof) -> None:
    """Print a proof as a table, with the first witnesses under each law that fails."""
    from rich.console import Console  # noqa: PLC0415 - only people need it
    from rich.table import Table  # noqa: PLC0415 - same
    from rich.text import Text  # noqa: PLC0415 - same

    table = Table(box=None, pad_edge=False)
    table.add_column("Law")
    table.add_column("Says", ratio=1)
    table.add_column("Checked", justify="right")
    table.add_column("Holds")
    for law in found.laws:
        holds = Text("yes", "green") if law.holds else Text("NO", "bold red")
        table.add_row(law.law, law.statement, f"{law.rows_checked:,}", holds)
        for witness in law.witnesses:
            table.add_row("", Text(witness, "red"), "", "")
        if law.violations > len(law.witnesses):
            table.add_row("", Text(f"… {law.violations:,} in all", "red"), "", "")
    console = Console(highlight=False)
    console.print(table)
    verdict = "Every law holds" if found.holds else "The books are broken"
    console.print(f"{verdict}: snapshot {found.snapshot}, {found.duration_ms} ms.", soft_wrap=True)


def export(home: Home, out: Path, *, merchant: str, livemode: bool) -> int:
    """Write the books of one mode as a beancount file, and return how many transactions are in it.

    Args:
        home: Whose stack.
        out: The file.
        merchant: ``mer_…``, for one merchant's books; empty for all.
        livemode: Which mode.

    Raises:
        LocalError: The stack does not run, or there is no such merchant.
        UsageError: The file cannot be written.
    """
    with snapshot(home) as tx:
        owner = _number_of(tx, merchant) if merchant else None
        which = {"owner": owner, "livemode": livemode}
        transactions = tx.rows(beancount.Transaction, _TRANSACTIONS, **which)
        balances = tx.rows(beancount.Balance, _BY_DAY, **which)
        last_day = max((balance.day for balance in balances), default=None)
        if last_day:
            balances += tx.rows(beancount.Balance, _KEPT, **which, day=last_day)
        chart = beancount.chart(tx)
    title = f"Ivy, {'live' if livemode else 'test'} mode{f', {merchant}' if merchant else ''}"
    lines = beancount.journal(title, chart, transactions, balances)
    try:
        out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        fix = "Name a file in a folder that exists and that you may write to."
        raise UsageError(f"{out} cannot be written: {reason}.", fix) from error
    return len(transactions)


def _number_of(tx: Transaction, merchant: str) -> int:
    missing = LocalError(f"There is no merchant {merchant}.", "Its id begins with mer_.")
    try:
        public_id = ids.Prefix("mer").read(merchant)
    except ValueError:
        raise missing from None
    number = tx.value("SELECT id FROM merchants WHERE public_id = %(id)s", id=public_id)
    if number is None:
        raise missing
    return int(number)


_ROWS = """
    FROM journal
    JOIN posting_kinds ON code = kind
    WHERE livemode = %(livemode)s AND (%(owner)s::bigint IS NULL OR owner = %(owner)s)
"""

_TRANSACTIONS = (
    """
    SELECT id, name AS kind, source_prefix, source, owner, value_on, recorded_at,
           ARRAY[a1, a2, a3, a4] AS accounts, ARRAY[v1, v2, v3, v4] AS amounts
    """
    + _ROWS
    + "ORDER BY value_on, id"
)

_LEG = """
    CROSS JOIN LATERAL (VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) AS leg (account, amount)
    WHERE leg.account IS NOT NULL AND livemode = %(livemode)s
      AND (%(owner)s::bigint IS NULL OR owner = %(owner)s)
"""

_BY_DAY = (
    """
    SELECT account, value_on AS day,
           (sum(sum(amount)) OVER (PARTITION BY account ORDER BY value_on))::bigint AS amount
    FROM journal
    """
    + _LEG
    + "GROUP BY account, value_on"
)

# What the ledger itself keeps: stored, plus what came after the watermark. Of one merchant's books
# only the merchant's own accounts, because what is stored of ours is everybody's.
_KEPT = """
    SELECT number AS account, %(day)s::date AS day, (balance + coalesce(tail, 0))::bigint AS amount
    FROM accounts
    LEFT JOIN (
        SELECT leg.account, sum(leg.amount) AS tail
        FROM journal CROSS JOIN rollup
        CROSS JOIN LATERAL (VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) AS leg (account, amount)
        WHERE xid >= watermark GROUP BY leg.account) AS later ON later.account = number
    WHERE mod(number / 1000, 10) = %(livemode)s::boolean::integer
      AND (%(owner)s::bigint IS NULL OR number / 10000000 = %(owner)s)
      AND (balance <> 0 OR tail IS NOT NULL)
"""
