"""Self-tests of the harness: it must see what is wrong before it is believed about what is right.

A server without durability is refused; a twin that locks funds and reads them in one statement
overdraws, where the product's two statements do not; and a pause of a millisecond moves a figure.
"""

from __future__ import annotations

from functools import partial

from bench import cluster as clusters
from bench import pgbench, posting
from bench.cluster import Cluster, NotDurableError
from bench.pgbench import Load
from bench.rounds import interleave, rate_ratio
from bench.statements import taken_down
from ivy import ledger
from ivy.database import Tenant
from ivy.ledger import Chart

DRAINED = 7_001
"""The merchant whose funds are drained; nobody charges it."""

FUNDS = 20_000
DEBIT = 100
ATTEMPTS = 2 * FUNDS // DEBIT // pgbench.CLIENTS
"""Of each client: together twice as many as there are funds for."""

SECONDS = 1
PAUSE_MS = 1
MOVED = 0.8
"""A figure of one client falls below this when each of its transactions waits a millisecond."""


class BlindError(RuntimeError):
    """The harness does not see what it is there to see."""


def run(cluster: Cluster) -> list[str]:
    """Run every self-test, and return what was seen.

    Raises:
        BlindError: Something wrong was not seen.
    """
    return [_refuses_speed_over_safety(), _twin_overdraws(cluster), _pause_is_seen(cluster)]


def _refuses_speed_over_safety() -> str:
    try:
        with clusters.running(durable=False):
            pass
    except NotDurableError as refused:
        return f"refused: {refused}"
    raise BlindError("a server with fsync=off was accepted")


def _pause_is_seen(cluster: Cluster) -> str:
    alone = Load("SELECT 1;\n", clients=1)
    paused = Load(f"\\sleep {PAUSE_MS} ms\nSELECT 1;\n", clients=1)
    works = {
        name: partial(pgbench.run, cluster, load, SECONDS)
        for name, load in (("alone", alone), ("paused", paused))
    }
    seen = rate_ratio(interleave(3, works), "paused", "alone").median
    if seen > MOVED:
        raise BlindError(f"a pause of {PAUSE_MS} ms leaves {seen:.2f} of the rate")
    return f"a pause of {PAUSE_MS} ms leaves {seen:.2f} of a client's rate"


def _twin_overdraws(cluster: Cluster) -> str:
    """Drain one merchant's funds by many at once, as the product does and as the twin does."""
    left = {}
    for name, twin in (("product", False), ("twin", True)):
        tenant = Tenant(DRAINED + twin, livemode=True)
        _fund(cluster, tenant)
        pgbench.repeat(cluster, Load(*_drain(tenant, twin=twin)), ATTEMPTS)
        left[name] = _left(cluster, tenant)
        _forget(cluster, tenant)
    if left["product"] != 0:
        raise BlindError(f"void: the product left {left['product']} of the funds")
    if left["twin"] >= 0:
        raise BlindError("the twin that locks and reads in one statement did not overdraw")
    return f"the twin that locks and reads in one statement overdraws by {-left['twin']:,}"


def _drain(tenant: Tenant, *, twin: bool) -> tuple[str, dict[str, str]]:
    """Return a script that takes a little, if there is enough; the product's statements decide."""
    taken = taken_down(tenant, lambda tx: ledger.lock_funds(tx, tenant, "USD"))
    chosen, lock, read = (line.rstrip(";") for line in taken.lines)
    asked = [f"{lock};", f"{read} \\gset"]
    if twin:
        locked = f"WITH locked AS MATERIALIZED ({lock})"
        asked = [f"{locked} SELECT ({read}) AS have FROM locked \\gset"]
    else:
        asked[1] = f"SELECT ({read}) AS have \\gset"
    pending = ledger.account_number(Chart.PENDING, "USD", tenant)
    platform = ledger.account_number(Chart.BANK_CLIENT, "USD", tenant)
    lines = [
        *("BEGIN;", f"{chosen} \\gset ignored_", *asked),
        f"\\if :have >= {DEBIT}",
        _INSERT.format(owner=tenant.merchant_id, a1=pending, a2=platform, amount=DEBIT),
        "\\endif",
        "COMMIT;\n",
    ]
    return "\n".join(lines), dict(taken.constants)


def _fund(cluster: Cluster, tenant: Tenant) -> None:
    pending = ledger.account_number(Chart.PENDING, "USD", tenant)
    platform = ledger.account_number(Chart.BANK_CLIENT, "USD", tenant)
    with cluster.superuser() as root:
        root.execute(
            _INSERT.format(owner=tenant.merchant_id, a1=platform, a2=pending, amount=FUNDS).encode()
        )


def _left(cluster: Cluster, tenant: Tenant) -> int:
    with cluster.superuser() as root:
        row = root.execute(
            "SELECT -sum(amount) FROM entries WHERE account = %s",
            (ledger.account_number(Chart.PENDING, "USD", tenant),),
        ).fetchone()
    assert row is not None
    return int(row[0])


def _forget(cluster: Cluster, tenant: Tenant) -> None:
    """Take what the self-test did out of the books again, past the trigger that refuses it."""
    with cluster.superuser() as root:
        root.execute("ALTER TABLE journal DISABLE TRIGGER append_only")
        root.execute("DELETE FROM journal WHERE owner = %s", (tenant.merchant_id,))
        root.execute("ALTER TABLE journal ENABLE TRIGGER append_only")


assert posting.MERCHANTS < DRAINED

_INSERT = """INSERT INTO journal (id, source, owner, livemode, kind, value_on, recorded_at, a1, v1,
 a2, v2) VALUES (uuidv7(), uuidv7(), {owner}, true, 1, '2026-11-24', now(), {a1}, {amount}, {a2},
 -{amount});"""
