"""What a payout consists of: every entry that changed what is available, each once.

Whoever reads or takes them holds the lock on the merchant's funds, so two payouts never see the
same entry as free; the table's key says so too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from ivy import ledger
from ivy.database import Tenant, Transaction
from ivy.ledger import Chart


@dataclass(frozen=True, slots=True)
class Taken:
    """What a payout has taken: ``opening`` is what the one before it left.

    Every entry of a transaction before ``before_xid`` is in this payout or an earlier one.
    """

    opening: int
    items: int
    item_count: int
    before_xid: int


def available(tx: Transaction, tenant: Tenant, currency: str) -> int:
    """Return what can be paid out, and let nobody else pay it out until the transaction ends."""
    ledger.lock_funds(tx, tenant, currency)
    found: int = tx.value(_AVAILABLE, **_of(tenant, currency))
    return found


def take(tx: Transaction, tenant: Tenant, payout_id: UUID, currency: str) -> Taken:
    """Put everything into a payout that is in none yet, and return what that is."""
    ledger.lock_funds(tx, tenant, currency)
    taken = tx.row(Taken, _TAKE, payout=payout_id, **_of(tenant, currency))
    assert taken is not None  # noqa: S101 - sums are one row
    return taken


def _of(tenant: Tenant, currency: str) -> dict[str, object]:
    return {
        "merchant_id": tenant.merchant_id,
        "livemode": tenant.livemode,
        "currency": currency,
        "available": ledger.account_number(Chart.AVAILABLE, currency, tenant),
    }


_FRESH: LiteralString = """
    WITH last AS (
        SELECT closing, items_before_xid FROM payouts
        WHERE (merchant_id, livemode) = (%(merchant_id)s, %(livemode)s)
          AND currency = %(currency)s AND sequence IS NOT NULL
        ORDER BY sequence DESC LIMIT 1
    ), fresh AS (
        SELECT journal.id, -leg.amount AS amount
        FROM journal
        CROSS JOIN LATERAL (VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) leg (account, amount)
        WHERE owner = %(merchant_id)s AND livemode = %(livemode)s
          AND xid >= coalesce((SELECT items_before_xid FROM last), 0)
          AND (mod(a1, 1000) = 220 OR mod(a2, 1000) = 220 OR mod(a3, 1000) = 220
               OR mod(a4, 1000) = 220)
          AND leg.account = %(available)s AND kind <> 40
          AND NOT EXISTS (
            SELECT FROM payout_items
            WHERE (payout_items.merchant_id, payout_items.livemode, ledger_transaction)
                = (%(merchant_id)s, %(livemode)s, journal.id))
    )
"""

_AVAILABLE: LiteralString = (
    _FRESH
    + """
    SELECT (coalesce((SELECT closing FROM last), 0) + coalesce(sum(amount), 0))::bigint FROM fresh
    """
)

_TAKE: LiteralString = (
    _FRESH
    + """
    , taken AS (
        INSERT INTO payout_items (merchant_id, livemode, ledger_transaction, payout_id, amount)
        SELECT %(merchant_id)s, %(livemode)s, id, %(payout)s, amount FROM fresh
        RETURNING amount
    )
    SELECT coalesce((SELECT closing FROM last), 0) AS opening,
           coalesce(sum(amount), 0)::bigint AS items, count(*)::integer AS item_count,
           pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS before_xid
    FROM taken
    """
)
