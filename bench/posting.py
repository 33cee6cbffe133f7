"""Figures 1 to 6: what posting a charge costs, and how fast it goes, beside one bare row.

The subject is ``ivy.ledger.post`` in a transaction of its merchant, as the product sends it: the
tenant, the posting and the commit travel together. The anchor is one INSERT of two columns.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from bench import books, peer, pgbench
from bench.cluster import Cluster
from bench.pgbench import Load
from bench.rounds import (
    TIMES,
    Figure,
    Rounds,
    Work,
    costs,
    cpu_ratio,
    interleave,
    rate_ratio,
    rates,
)
from bench.statements import STAND_IN, round_trip, script, taken_down
from ivy import ids, ledger
from ivy.charge_postings import captured as capture_posting
from ivy.charges import Charge
from ivy.database import Tenant, Transaction
from ivy.ledger import Posting
from local.postgres import DATABASE

MERCHANTS = 1000
HOT = 1
BATCH = 100
AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
ANCHOR, POSTING, HOT_POSTING, BATCHES, PEER = "raw", "posting", "hot", "batches", "peer"


def of_charge() -> Posting:
    """Return the posting of a charge of 100.00 captured, with our fee and the acquirer's cost."""
    charge = Charge(
        id=ids.new(AT),
        livemode=True,
        created_at=AT,
        amount=10_000,
        currency="USD",
        status="succeeded",
        amount_captured=10_000,
        fee=320,
        capture=True,
        method="card",
        payment_method="tok_visa",
        description=None,
        statement_descriptor=None,
        metadata={},
        fee_plan="standard/1",
    )
    return capture_posting(charge, "simulated", 320, 180, AT, held=False)


def anchor(*, slow: bool) -> Load:
    """Return the bare row that everything is compared with."""
    insert = "INSERT INTO anchor (id, value) VALUES (uuidv7(), :merchant);\n"
    chosen = f"\\set merchant random(1, {MERCHANTS})"
    return Load("\n".join([*round_trip(slow=slow), chosen, insert]))


def posting(merchants: int, *, slow: bool, database: str = DATABASE) -> Load:
    """Return the posting of one charge of one of some merchants."""
    tenant = Tenant(STAND_IN, livemode=True)

    def work(tx: Transaction) -> None:
        ledger.post(tx, tenant, of_charge())

    taken = taken_down(tenant, work)
    return Load(script(taken, merchants, slow=slow), taken.constants, database=database)


def batches(*, slow: bool) -> Load:
    """Return a hundred charges of one merchant that are posted in one statement."""
    tenant = Tenant(HOT, livemode=True)

    def work(tx: Transaction) -> None:
        ledger.post_all(tx, [(tenant, of_charge()) for _ in range(BATCH)])

    taken = taken_down(tenant, work)
    return Load(script(taken, HOT, slow=slow), taken.constants, times=BATCH)


def prepare(cluster: Cluster) -> None:
    """Make what only the benchmark has: the anchor's table, and the peer's."""
    with cluster.superuser() as root:
        root.execute("CREATE TABLE anchor (id uuid PRIMARY KEY, value bigint)")
        root.execute("GRANT INSERT ON anchor TO ivy_app")
    peer.prepare(cluster, MERCHANTS)


def measure(cluster: Cluster, rounds: int, seconds: float) -> list[Figure]:
    """Measure both commit modes and return the figures; void unless all books are right.

    Raises:
        VoidError: The books are not right.
    """
    prepare(cluster)
    fast = interleave(rounds, _works(cluster, seconds, slow=False))
    with cluster.slow_commits():
        slow = interleave(rounds, _works(cluster, seconds, slow=True))
    subjects = (POSTING, HOT_POSTING, BATCHES)
    done = sum(run.count for each in (fast, slow) for name in subjects for run in each[name])
    books.check(cluster, done, MERCHANTS)
    peer.check(cluster, sum(run.count for each in (fast, slow) for run in each[PEER]))
    return [*_of_cpu(fast), *_of_rates(fast, slow)]


def _works(cluster: Cluster, seconds: float, *, slow: bool) -> dict[str, Work]:
    loads = {
        ANCHOR: anchor(slow=slow),
        POSTING: posting(MERCHANTS, slow=slow),
        HOT_POSTING: posting(HOT, slow=slow),
        BATCHES: batches(slow=slow),
        PEER: peer.load(MERCHANTS, slow=slow),
    }
    return {name: partial(pgbench.run, cluster, load, seconds) for name, load in loads.items()}


def _of_cpu(fast: Rounds) -> list[Figure]:
    base = costs(fast, ANCHOR)
    return [
        Figure(
            "2", "CPU per charge posted / raw row", TIMES, cpu_ratio(fast, POSTING, ANCHOR),
            "cpu", gate=3.0, target=1.5, anchor=base,
            note=f"{costs(fast, POSTING).median:.0f} µs and {base.median:.0f} µs of the server",
        ),
        Figure(
            "6c", "CPU per charge in batches of 100 / raw row", TIMES,
            cpu_ratio(fast, BATCHES, ANCHOR), "cpu", anchor=base,
            note=f"{costs(fast, BATCHES).median:.0f} µs of the server",
        ),
        Figure(
            "5c", "CPU per charge of the naive peer / raw row", TIMES,
            cpu_ratio(fast, PEER, ANCHOR), "cpu", anchor=base,
        ),
    ]  # fmt: skip


def _of_rates(fast: Rounds, slow: Rounds) -> list[Figure]:
    """Return the ratios of rates, each with the anchor of its own commit mode."""

    def figure(  # noqa: PLR0917 - the columns of a table
        number: str, name: str, subject: str, base: str, mode: Rounds, gate: float, target: float
    ) -> Figure:
        return Figure(
            number, name, TIMES, rate_ratio(mode, subject, base), "rate",
            gate=gate, target=target, at_least=True, anchor=rates(mode, base),
            note=f"{rates(mode, subject).median:,.0f} and {rates(mode, base).median:,.0f} a second",
        )  # fmt: skip

    return [
        figure("1", "charges posted / raw rows, fast commit", POSTING, ANCHOR, fast, 0.35, 0.75),
        figure("3", "charges posted / raw rows, slow commit", POSTING, ANCHOR, slow, 0.80, 0.98),
        figure("4a", "one hot merchant / uniform, slow", HOT_POSTING, POSTING, slow, 0.80, 0.97),
        figure("4b", "one hot merchant / raw rows, slow", HOT_POSTING, ANCHOR, slow, 0.65, 0.95),
        figure("5", "charges posted / the naive peer's, slow", POSTING, PEER, slow, 15, 50),
        figure("6a", "batches of 100 / raw rows, fast", BATCHES, ANCHOR, fast, 2, 6),
        figure("6b", "batches of 100 / raw rows, slow", BATCHES, ANCHOR, slow, 6, 25),
    ]
