"""The ledger: an append-only journal of postings, each of which sums to zero.

Amounts in the journal are signed: debit positive, credit negative. What a caller sees of a
merchant's account is the natural side, so money owed to the merchant is positive.

Schema and account numbers: ``schema/0003_ledger.sql``; constraints: ``0026_cheaper_journal.sql``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum
from typing import Any, LiteralString
from uuid import UUID

from ivy import ids, money
from ivy.database import Tenant, Transaction

MAX_LEGS = 4
_OWNER = 10_000_000
_CURRENCY = 10_000
_MODE = 1_000


class Chart(IntEnum):
    """Codes of the chart of accounts that the program posts to; equal to the table ``chart``."""

    ACQUIRER_RECEIVABLE_SIMULATED = 110
    ACQUIRER_RECEIVABLE_STRIPE = 111
    BANK_CLIENT = 150
    DISPUTES_RECEIVABLE_SIMULATED = 160
    DISPUTES_RECEIVABLE_STRIPE = 161
    DEBIT_IN_TRANSIT = 170
    SUSPENSE_BANK = 180
    PENDING = 210
    AVAILABLE = 220
    RESERVE = 230
    DISPUTE_HOLD = 240
    PAYOUTS_IN_TRANSIT = 250
    REFUNDS_PAYABLE = 310
    INCOME_PROCESSING = 410
    INCOME_DISPUTE = 420
    INCOME_PAYOUT = 430
    EXPENSE_PROCESSOR = 510
    LOSS_WRITEOFF = 520
    ROUNDING = 530
    AUTHORIZED = 910
    AUTHORIZED_CONTRA = 960


OURS = 0
"""The owner of what is in nobody's books but ours."""


class PostingKind(IntEnum):
    """Which transition a ledger transaction records; equal to the table ``posting_kinds``."""

    CHARGE_CAPTURED = 1
    CHARGE_AUTHORIZED = 2
    CHARGE_RELEASED = 3
    CHARGE_RETURNED = 4
    REFUND_ACCEPTED = 10
    REFUND_SUCCEEDED = 11
    REFUND_RETURNED = 12
    DISPUTE_OPENED = 20
    DISPUTE_WITHDRAWN = 21
    DISPUTE_WON = 22
    DISPUTE_REINSTATED = 23
    DISPUTE_LOST = 24
    SETTLEMENT_CLOSED = 30
    RESERVE_RELEASED = 31
    PAYOUT_CREATED = 40
    PAYOUT_PAID = 41
    PAYOUT_REVERSED = 42
    PAYOUT_RETURNED = 43
    RECOVERY_WRITEOFF = 50
    DEBIT_SENT = 51
    DEBIT_COLLECTED = 52
    DEBIT_REVERSED = 53
    DEBIT_RETURNED = 54
    SUSPENSE_OPENED = 60
    SUSPENSE_RESOLVED = 61
    ACQUIRER_PAID = 62
    DEPOSIT_PAID = 64
    DEPOSIT_RETURNED = 65


ACQUIRER_RECEIVABLE = {
    "simulated": Chart.ACQUIRER_RECEIVABLE_SIMULATED,
    "stripe": Chart.ACQUIRER_RECEIVABLE_STRIPE,
}
DISPUTES_RECEIVABLE = {
    "simulated": Chart.DISPUTES_RECEIVABLE_SIMULATED,
    "stripe": Chart.DISPUTES_RECEIVABLE_STRIPE,
}
"""What an acquirer owes us, by the name of its connector."""

MERCHANT_ACCOUNTS = (
    Chart.PENDING,
    Chart.AVAILABLE,
    Chart.RESERVE,
    Chart.DISPUTE_HOLD,
    Chart.PAYOUTS_IN_TRANSIT,
    Chart.AUTHORIZED,
)
POSITION = (
    Chart.PENDING,
    Chart.AVAILABLE,
    Chart.RESERVE,
    Chart.DISPUTE_HOLD,
    Chart.PAYOUTS_IN_TRANSIT,
)
"""What is owed to a merchant, wherever it is."""

_MERCHANT_CODES = frozenset((*range(200, 300), *range(900, 950)))


def account_number(chart: Chart, currency: str, tenant: Tenant) -> int:
    """Return the number of an account: the merchant's own, or the platform's in that mode."""
    owner = tenant.merchant_id if chart in _MERCHANT_CODES else 0
    number = money.currencies()[currency].number
    return owner * _OWNER + number * _CURRENCY + tenant.livemode * _MODE + chart


def account_range(tenant: Tenant) -> range:
    """Return the numbers that a merchant's accounts can have, in either mode."""
    return range(tenant.merchant_id * _OWNER, (tenant.merchant_id + 1) * _OWNER)


def is_merchants(account: int) -> bool:
    """Say whether an account belongs to a merchant, rather than to the platform."""
    return account >= _OWNER


def currency_of(account: int) -> str:
    """Return the currency that an account number names."""
    return money.currency_codes()[account // _CURRENCY % 1000]


@dataclass(frozen=True, slots=True)
class Leg:
    """One side of a posting, in minor units; ``debit`` and ``credit`` make them."""

    chart: Chart
    amount_minor: int


def debit(chart: Chart, amount_minor: int) -> Leg:
    """Return a leg that debits an account."""
    return Leg(chart, amount_minor)


def credit(chart: Chart, amount_minor: int) -> Leg:
    """Return a leg that credits an account."""
    return Leg(chart, -amount_minor)


@dataclass(frozen=True, slots=True)
class Posting:
    """One ledger transaction about to be written: balanced, in one currency, of one merchant.

    ``memo`` are its legs on memo accounts, which balance among themselves. A correction names the
    transaction that it ``reverses``, and says why.
    """

    id: UUID
    kind: PostingKind
    source: UUID
    currency: str
    legs: tuple[Leg, ...]
    value_on: date
    recorded_at: datetime
    memo: tuple[Leg, ...] = ()
    reverses: UUID | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        for legs in (self.legs, self.memo):
            total = sum(leg.amount_minor for leg in legs)
            if total != 0:
                raise ValueError(f"{self.kind.name} of {self.source} is out of balance by {total}")


def post(tx: Transaction, tenant: Tenant, posting: Posting) -> None:
    """Append one ledger transaction.

    Legs of zero are left out and legs on one account are merged, as the journal demands both.
    The journal's constraints refuse anything that does not balance or crosses a merchant, a mode
    or a currency, and a second posting of the same transition of the same object.
    """
    for row in _rows(tenant, posting):
        tx.run(_POST, **row)


def post_all(tx: Transaction, postings: Sequence[tuple[Tenant, Posting]]) -> None:
    """Append ledger transactions of several merchants in one statement, as ``post`` does each."""
    rows = [row for tenant, posting in postings for row in _rows(tenant, posting)]
    if rows:
        tx.run(_POST_ALL, **{name: [row[name] for row in rows] for name in rows[0]})


def merged(tenant: Tenant, posting: Posting, legs: tuple[Leg, ...]) -> list[tuple[int, int]]:
    """Return the account numbers and amounts of legs: each account once, and nothing of zero."""
    sums: dict[int, int] = {}
    for leg in legs:
        number = account_number(leg.chart, posting.currency, tenant)
        sums[number] = sums.get(number, 0) + leg.amount_minor
    return [(number, amount) for number, amount in sums.items() if amount != 0]


def _rows(tenant: Tenant, posting: Posting) -> list[dict[str, Any]]:
    """Return the rows of the journal that a posting is: its legs, and its memo legs."""
    return [
        _row(tenant, posting, part, merged(tenant, posting, legs))
        for part, legs in enumerate(filter(None, (posting.legs, posting.memo)))
    ]


def _row(
    tenant: Tenant, posting: Posting, part: int, legs: list[tuple[int, int]]
) -> dict[str, Any]:
    if len(legs) > MAX_LEGS:
        raise ValueError(f"{posting.kind.name} of {posting.source} has {len(legs)} legs")
    padded = [*legs, *[(None, None)] * (MAX_LEGS - len(legs))]
    return {
        "id": posting.id if part == 0 else ids.new(posting.recorded_at),
        "source": posting.source,
        "owner": tenant.merchant_id,
        "livemode": tenant.livemode,
        "kind": int(posting.kind),
        "part": part,
        "value_on": posting.value_on,
        "recorded_at": posting.recorded_at,
        "reverses": posting.reverses,
        "reason": posting.reason,
        **{f"a{n}": account for n, (account, _) in enumerate(padded, 1)},
        **{f"v{n}": amount for n, (_, amount) in enumerate(padded, 1)},
    }


def lock_funds(tx: Transaction, tenant: Tenant, currency: str) -> int:
    """Return what a merchant has, pending and available, and keep others from spending it.

    Until the transaction ends, nobody else who locks this merchant's funds in this currency and
    mode gets past; crediting them needs no lock.
    """
    available = account_number(Chart.AVAILABLE, currency, tenant)
    tx.run("SELECT pg_advisory_xact_lock(%(available)s)", available=available)
    return balance(tx, tenant, currency, Chart.AVAILABLE, Chart.PENDING)


def balance(tx: Transaction, tenant: Tenant, currency: str, *charts: Chart) -> int:
    """Return what some of a merchant's accounts have together; positive is the merchant's."""
    return int(
        tx.value(
            _BALANCE,
            owner=tenant.merchant_id,
            livemode=tenant.livemode,
            numbers=[account_number(chart, currency, tenant) for chart in charts],
        )
    )


def available_of(row: LiteralString) -> LiteralString:
    """Return a subquery in SQL: what the merchant of a row has available, in minor units.

    ``row`` names one with a ``merchant_id``, a ``livemode`` and a ``currency``. For statements that
    look at many merchants; who wants one balance asks ``balance``.
    """
    return f"""(
    SELECT -coalesce(sum(legs.amount), 0)::bigint AS available
    FROM currencies
    CROSS JOIN LATERAL (
        SELECT {row}.merchant_id * {_OWNER} + currencies.number * {_CURRENCY}
               + {row}.livemode::integer * {_MODE} + {Chart.AVAILABLE.value} AS number) AS held
    CROSS JOIN LATERAL (
        SELECT balance AS amount FROM accounts WHERE accounts.number = held.number
        UNION ALL
        SELECT leg.amount
        FROM journal
        CROSS JOIN LATERAL (VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) leg (number, amount)
        WHERE owner = {row}.merchant_id AND journal.livemode = {row}.livemode
          AND xid >= (SELECT watermark FROM rollup) AND leg.number = held.number) AS legs
    WHERE code = {row}.currency)
"""


def open_accounts(tx: Transaction, tenant: Tenant, currency: str) -> None:
    """Open a merchant's accounts in one currency and mode, where they are not open yet."""
    numbers = [account_number(chart, currency, tenant) for chart in MERCHANT_ACCOUNTS]
    tx.run(
        "INSERT INTO accounts (number) SELECT unnest(%(numbers)s::bigint[]) ON CONFLICT DO NOTHING",
        numbers=numbers,
    )


def roll_up(tx: Transaction) -> int:
    """Move every balance forward to the oldest transaction still running.

    One statement, so that the watermark and the rows before it come from one snapshot: a
    transaction in flight has an xid at or after the watermark and cannot be skipped. Returns the
    number of accounts touched. Runs as ``ivy_jobs``; two at once queue on the watermark's row.

    Raises:
        RuntimeError: The server's transaction ids started again, as after a logical restore.
            Moving the watermark back would count the rows behind it twice.
    """
    watermark = tx.value("SELECT watermark FROM rollup FOR UPDATE")
    touched = tx.value(_ROLL_UP, watermark=watermark)
    if touched is None:
        raise RuntimeError(
            f"the watermark {watermark} is ahead of this server's transaction ids; if it was"
            " restored from a dump, follow docs/decisions/ledger-write-path.md"
        )
    return int(touched)


_POST = """
    INSERT INTO journal (id, source, owner, livemode, kind, part, value_on, recorded_at,
                         reverses, reason, a1, v1, a2, v2, a3, v3, a4, v4)
    VALUES (%(id)s, %(source)s, %(owner)s, %(livemode)s, %(kind)s, %(part)s, %(value_on)s,
            %(recorded_at)s, %(reverses)s, %(reason)s,
            %(a1)s, %(v1)s, %(a2)s, %(v2)s, %(a3)s, %(v3)s, %(a4)s, %(v4)s)
"""

_POST_ALL = """
    INSERT INTO journal (id, source, owner, livemode, kind, part, value_on, recorded_at,
                         reverses, reason, a1, v1, a2, v2, a3, v3, a4, v4)
    SELECT * FROM unnest(
        %(id)s::uuid[], %(source)s::uuid[], %(owner)s::bigint[], %(livemode)s::boolean[],
        %(kind)s::smallint[], %(part)s::smallint[], %(value_on)s::date[],
        %(recorded_at)b::timestamptz[], %(reverses)s::uuid[], %(reason)s::text[],
        %(a1)s::bigint[], %(v1)s::bigint[], %(a2)s::bigint[],
        %(v2)s::bigint[], %(a3)s::bigint[], %(v3)s::bigint[], %(a4)s::bigint[], %(v4)s::bigint[])
"""

# Most of a tail moves the same few accounts, so it is added up before its legs are told apart: half
# the CPU of taking every leg by itself.
TAIL: LiteralString = """
    tail AS (
        SELECT a1, sum(v1) AS v1, a2, sum(v2) AS v2, a3, sum(v3) AS v3, a4, sum(v4) AS v4
        FROM journal
        WHERE owner = %(owner)s AND livemode = %(livemode)s
          AND xid >= (SELECT watermark FROM rollup)
        GROUP BY a1, a2, a3, a4)
"""
"""What balances that are rolled up do not hold yet of a merchant, by the accounts it moved."""

_BALANCE: LiteralString = (
    "WITH"
    + TAIL
    + """
    SELECT -coalesce(sum(amount), 0)::bigint
    FROM (
        SELECT balance AS amount FROM accounts WHERE number = ANY (%(numbers)s::bigint[])
        UNION ALL
        SELECT amount
        FROM tail
        CROSS JOIN LATERAL (VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) leg (account, amount)
        WHERE account = ANY (%(numbers)s::bigint[])
    ) legs
    """
)

_ROLL_UP = """
    WITH mark AS (
        SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS next
    ), moved AS (
        SELECT leg.account, sum(leg.amount)::bigint AS amount
        FROM journal
        CROSS JOIN LATERAL (VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) leg (account, amount)
        WHERE xid >= %(watermark)s AND xid < (SELECT next FROM mark)
          AND leg.account IS NOT NULL
        GROUP BY leg.account
    ), rolled AS (
        INSERT INTO accounts AS held (number, balance)
        SELECT account, amount FROM moved ORDER BY account
        ON CONFLICT (number) DO UPDATE SET balance = held.balance + excluded.balance
        RETURNING 1
    ), advanced AS (
        UPDATE rollup SET watermark = mark.next FROM mark
    )
    SELECT CASE WHEN (SELECT next FROM mark) >= %(watermark)s THEN count(*) END FROM rolled
"""
