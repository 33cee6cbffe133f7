"""Figures 8 and 9: what a posting costs in a journal of millions of legs, and what reading costs.

Two databases of one server are measured in turn: one that begins empty, and one that is filled
first, by the same rows that postings write. In the full one, one merchant has two fifths of all.
"""

from __future__ import annotations

from functools import partial

from bench import books, pgbench, posting
from bench.cluster import Cluster, running
from bench.pgbench import Load
from bench.rounds import TIMES, Figure, Rounds, Work, costs, cpu_ratio, interleave, rates
from bench.statements import Statements, script, taken_down
from ivy import balance_transactions, balances, ids, ledger
from ivy.balance_transactions import BalanceTransactionQuery
from ivy.database import Database, Tenant, Transaction
from local.postgres import DATABASE

EMPTY = "ivy_empty"
LEGS, FULL_LEGS = 5_000_000, 50_000_000
LEGS_OF_A_CHARGE = 4
MERCHANTS = 10_000
DEEP, TAILED, MIDDLE, USUAL = 10_001, 10_002, 10_003, 3
"""One with two fifths of all postings, one not rolled up, one with a hundredth of all, and one of
the others, with more than a page."""

TAIL = 1000
PAGE, DEEP_PAGE = 50, 10_000
CHUNK = 250_000
SELECT = "SELECT 1"


def measure(rounds: int, seconds: float, *, full: bool) -> list[Figure]:
    """Fill, measure, check the books of both databases.

    Raises:
        VoidError: They are not right.
    """
    legs = FULL_LEGS if full else LEGS
    filled = legs // LEGS_OF_A_CHARGE
    with running() as cluster:
        cluster.copy(EMPTY)
        _fill(cluster, filled)
        postings = {
            name: partial(
                pgbench.run,
                cluster,
                posting.posting(MERCHANTS, slow=False, database=name),
                seconds,
            )
            for name in (EMPTY, DATABASE)
        }
        reads = interleave(rounds, _reads(cluster, seconds))
        grown = interleave(rounds, postings)
        for name, before in ((EMPTY, 0), (DATABASE, filled + TAIL)):
            done = sum(run.count for run in grown[name])
            books.check(cluster, before + done, MERCHANTS, name)
    base = costs(grown, EMPTY)
    return [
        Figure(
            "8", f"CPU of a posting among {legs // 1_000_000} million legs / empty", TIMES,
            cpu_ratio(grown, DATABASE, EMPTY), "cpu", gate=1.20, target=1.05, anchor=base,
            note=f"{costs(grown, DATABASE).median:.0f} µs and {base.median:.0f} µs;"
            f" {rates(grown, DATABASE).median:,.0f} and {rates(grown, EMPTY).median:,.0f} a second",
        ),
        *_of_reads(reads),
    ]  # fmt: skip


def _fill(cluster: Cluster, charges: int) -> None:
    """Write charges of the past, roll their balances up, and leave one merchant a tail."""
    with cluster.superuser() as root:
        for first in range(0, charges, CHUNK):
            count = min(CHUNK, charges - first)
            root.execute(
                _FILL, {"count": count, "merchants": MERCHANTS, "deep": DEEP, "middle": MIDDLE}
            )
        root.execute("SET session_replication_role = replica")
        root.execute(_CHARGES, {"usual": USUAL, "deep": DEEP, "middle": MIDDLE})
    owner = Database(cluster.server.url("postgres") + "?options=-c%20search_path%3Divy")
    with owner.transaction() as tx:
        ledger.roll_up(tx)
    owner.close()
    with cluster.superuser() as root:
        root.execute(_TAIL, {"count": TAIL, "owner": TAILED})
        root.execute("VACUUM ANALYZE")
        root.execute("CHECKPOINT")


def _reads(cluster: Cluster, seconds: float) -> dict[str, Work]:
    tailed, deep, middle, usual = (
        Tenant(number, livemode=True) for number in (TAILED, DEEP, MIDDLE, USUAL)
    )
    _look(cluster, deep, middle, usual)
    loads = {
        SELECT: Load("SELECT 1;\n"),
        "balance": _load(tailed, partial(_balance, tailed)),
        "page": _load(deep, partial(_page, None)),
        "deep page": _load(deep, partial(_page, _cursor(cluster))),
        "page of some": _load(middle, partial(_page, None)),
        "page of few": _load(usual, partial(_page, None)),
    }
    return {name: partial(pgbench.run, cluster, load, seconds) for name, load in loads.items()}


def _look(cluster: Cluster, *tenants: Tenant) -> None:
    """Void the figures unless each of the pages is a full one."""
    app = Database(cluster.url())
    for tenant in tenants:
        with app.transaction(tenant) as tx:
            found = balance_transactions.page(tx, BalanceTransactionQuery(limit=PAGE))
        if len(found.data) != PAGE:
            raise books.VoidError(f"void: a page of {tenant} has {len(found.data)} lines")
    app.close()


def _load(tenant: Tenant, work: partial[None]) -> Load:
    taken: Statements = taken_down(tenant, work, new_ids=False)
    return Load(script(taken, MERCHANTS), taken.constants)


def _balance(tenant: Tenant, tx: Transaction) -> None:
    balances.balance(tx, tenant, ids.now())


def _page(cursor: str | None, tx: Transaction) -> None:
    balance_transactions.page(tx, BalanceTransactionQuery(limit=PAGE, cursor=cursor))


def _cursor(cluster: Cluster) -> str:
    """Return the cursor that leads to the deep page."""
    with cluster.superuser() as root:
        row = root.execute(
            "SELECT id FROM journal WHERE owner = %s ORDER BY id DESC OFFSET %s LIMIT 1",
            (DEEP, (DEEP_PAGE - 1) * PAGE - 1),
        ).fetchone()
    if row is None:
        raise books.VoidError("void: there is no page so deep")
    return f"cur_{BalanceTransactionQuery.of}_{row[0].hex}"


def _of_reads(reads: Rounds) -> list[Figure]:
    base = costs(reads, SELECT)

    def figure(number: str, name: str, subject: str, gate: float, target: float) -> Figure:
        return Figure(
            number, name, TIMES, cpu_ratio(reads, subject, SELECT), "cpu", gate=gate,
            target=target, anchor=base,
            note=f"{costs(reads, subject).median:.0f} µs and {base.median:.0f} µs",
        )  # fmt: skip

    return [
        figure("9a", f"balance with a tail of {TAIL:,} / SELECT 1", "balance", 25, 8),
        figure("9b", f"page of {PAGE} balance transactions / SELECT 1", "page", 40, 12),
        figure("9c", f"page {DEEP_PAGE:,} of the same / SELECT 1", "deep page", 40, 12),
        figure("9d", f"page of {PAGE} of a merchant with few / SELECT 1", "page of few", 40, 12),
        figure("9e", "the same with a hundredth of all / SELECT 1", "page of some", 40, 12),
    ]


_ROW = """
    INSERT INTO journal (id, source, owner, livemode, kind, value_on, recorded_at,
                         a1, v1, a2, v2, a3, v3, a4, v4)
    SELECT uuidv7(), uuidv7(), owner, true, 1, '2026-11-24', now(),
           8401110, 9820, owner * 10000000 + 8401210, -9680, 8401410, -320, 8401510, 180
"""

_FILL = (
    _ROW
    + """
    FROM (SELECT CASE WHEN n %% 5 < 2 THEN %(deep)s WHEN n %% 61 = 0 THEN %(middle)s
          ELSE 1 + n %% %(merchants)s END::bigint
          FROM generate_series(1, %(count)s) AS n) AS numbered (owner)
"""
)

_TAIL = _ROW + "FROM (SELECT %(owner)s::bigint FROM generate_series(1, %(count)s)) AS tail (owner)"

_CHARGES = """
    INSERT INTO charges (merchant_id, livemode, id, amount, amount_captured, fee, cost, created_at,
                         ledger_transaction, version, available_on, currency, status, capture,
                         method, payment_method, connector, fee_plan, fee_plan_version)
    SELECT owner, true, source, 10000, 10000, 320, 180, recorded_at, id, 2, '2026-11-27', 'USD',
           'succeeded', true, 'card', 'pm_bench', 'stripe', 'standard', 1
    FROM journal WHERE owner IN (%(usual)s, %(deep)s, %(middle)s)
"""
