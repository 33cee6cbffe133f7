"""The ledger: postings that sum to zero, and balances that are exact at any moment.

Amounts in the journal are signed: debit positive, credit negative. What a caller sees of a
merchant's account is the natural side, so money owed to the merchant is positive.

Schema, account numbers and constraints: ``schema/0003_ledger.sql``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum
from typing import Literal
from uuid import UUID

from ivy import errors, ids, money
from ivy.database import Tenant, Transaction
from ivy.models import Object, Time, example

MAX_LEGS = 4
_OWNER = 10_000_000
_CURRENCY = 10_000
_MODE = 1_000


class Chart(IntEnum):
    """Codes of the chart of accounts that the program posts to; equal to the table ``chart``."""

    ACQUIRER_RECEIVABLE_SIMULATED = 110
    PENDING = 210
    AVAILABLE = 220
    RESERVE = 230
    DISPUTE_HOLD = 240
    PAYOUTS_IN_TRANSIT = 250
    INCOME_PROCESSING = 410
    EXPENSE_PROCESSOR = 510


class PostingKind(IntEnum):
    """Which transition a ledger transaction records; equal to the table ``posting_kinds``."""

    CHARGE_CAPTURED = 1


MERCHANT_ACCOUNTS = (
    Chart.PENDING,
    Chart.AVAILABLE,
    Chart.RESERVE,
    Chart.DISPUTE_HOLD,
    Chart.PAYOUTS_IN_TRANSIT,
)
_MERCHANT_CODES = range(200, 300)


def account_number(chart: Chart, currency: str, tenant: Tenant) -> int:
    """Return the number of an account: the merchant's own, or the platform's in that mode."""
    owner = tenant.merchant_id if chart in _MERCHANT_CODES else 0
    number = money.currencies()[currency].number
    return owner * _OWNER + number * _CURRENCY + tenant.livemode * _MODE + chart


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
    """One ledger transaction about to be written: balanced, in one currency, of one merchant."""

    id: UUID
    kind: PostingKind
    source: UUID
    currency: str
    legs: tuple[Leg, ...]
    value_on: date
    recorded_at: datetime

    def __post_init__(self) -> None:
        total = sum(leg.amount_minor for leg in self.legs)
        if total != 0:
            raise ValueError(f"{self.kind.name} of {self.source} is out of balance by {total}")


def post(tx: Transaction, tenant: Tenant, posting: Posting) -> None:
    """Append one ledger transaction.

    Legs of zero are left out and legs on one account are merged, as the journal demands both.
    The journal's constraints refuse anything that does not balance or crosses a merchant, a mode
    or a currency, and a second posting of the same transition of the same object.
    """
    sums: dict[int, int] = {}
    for leg in posting.legs:
        number = account_number(leg.chart, posting.currency, tenant)
        sums[number] = sums.get(number, 0) + leg.amount_minor
    legs = [(number, amount) for number, amount in sums.items() if amount != 0]
    if len(legs) > MAX_LEGS:
        raise ValueError(f"{posting.kind.name} of {posting.source} has {len(legs)} legs")
    padded = [*legs, *[(None, None)] * (MAX_LEGS - len(legs))]
    tx.run(
        _POST,
        id=posting.id,
        source=posting.source,
        owner=tenant.merchant_id,
        livemode=tenant.livemode,
        kind=posting.kind,
        value_on=posting.value_on,
        recorded_at=posting.recorded_at,
        **{f"a{n}": account for n, (account, _) in enumerate(padded, 1)},
        **{f"v{n}": amount for n, (_, amount) in enumerate(padded, 1)},
    )


def open_accounts(tx: Transaction, tenant: Tenant, currency: str) -> None:
    """Open a merchant's accounts in one currency and mode, where they are not open yet."""
    numbers = [account_number(chart, currency, tenant) for chart in MERCHANT_ACCOUNTS]
    tx.run(
        "INSERT INTO accounts (number) SELECT unnest(%(numbers)s::bigint[]) ON CONFLICT DO NOTHING",
        numbers=numbers,
    )


class CurrencyBalance(Object):
    """What a merchant has in one currency, in minor units."""

    currency: str
    exponent: int
    pending: int
    available: int
    reserved: int
    disputed: int
    in_transit: int


class Balance(Object):
    """A merchant's money in one mode, one line per currency it has ever held.

    ``pending`` is earned and not yet available; ``available`` can be paid out; ``reserved`` and
    ``disputed`` are held back; ``in_transit`` has left and is not confirmed by the bank.
    """

    model_config = example(
        object="balance",
        livemode=False,
        as_of="2026-11-24",
        known_at="2026-11-24T09:31:00.000Z",
        balances=[
            {
                "currency": "USD",
                "exponent": 2,
                "pending": 9680,
                "available": 0,
                "reserved": 0,
                "disputed": 0,
                "in_transit": 0,
            }
        ],
    )

    object: Literal["balance"] = "balance"
    livemode: bool
    as_of: date
    known_at: Time
    balances: list[CurrencyBalance]


@dataclass(frozen=True, slots=True)
class _AccountBalance:
    currency_number: int
    code: int
    amount: int


def balance(tx: Transaction, tenant: Tenant, known_at: datetime) -> Balance:
    """Return the merchant's balance, exact in the transaction's own view of the ledger."""
    rows = tx.rows(
        _AccountBalance,
        _BALANCE,
        owner=tenant.merchant_id,
        livemode=tenant.livemode,
        lowest=tenant.merchant_id * _OWNER,
        highest=(tenant.merchant_id + 1) * _OWNER - 1,
    )
    held: dict[str, dict[int, int]] = {}
    for row in rows:
        code = money.currency_codes()[row.currency_number]
        held.setdefault(code, {})[row.code] = -row.amount
    return Balance(
        livemode=tenant.livemode,
        as_of=known_at.date(),
        known_at=known_at,
        balances=[
            CurrencyBalance(
                currency=code,
                exponent=money.currencies()[code].exponent,
                pending=amounts.get(Chart.PENDING, 0),
                available=amounts.get(Chart.AVAILABLE, 0),
                reserved=amounts.get(Chart.RESERVE, 0),
                disputed=amounts.get(Chart.DISPUTE_HOLD, 0),
                in_transit=amounts.get(Chart.PAYOUTS_IN_TRANSIT, 0),
            )
            for code, amounts in sorted(held.items())
        ],
    )


class Entry(Object):
    """One leg of a ledger transaction: a debit is positive, a credit negative."""

    account: str
    number: int
    direction: Literal["debit", "credit"]
    amount: int


class LedgerTransaction(Object):
    """One balanced transaction; its entries sum to zero."""

    model_config = example(
        id="ltx_019ab2c4d7117a3c9e55d02f8b1c4e6a",
        object="ledger_transaction",
        livemode=False,
        created_at="2026-11-24T09:30:00.120Z",
        kind="charge.captured",
        source="ch_019ab2c4d5e67f8091a2b3c4d5e6f708",
        currency="USD",
        exponent=2,
        value_on="2026-11-24",
        entries=[
            {
                "account": "acquirer_receivable:simulated",
                "number": 8400110,
                "direction": "debit",
                "amount": 9820,
            },
            {
                "account": "expense:processor",
                "number": 8400510,
                "direction": "debit",
                "amount": 180,
            },
            {
                "account": "income:processing",
                "number": 8400410,
                "direction": "credit",
                "amount": -320,
            },
            {
                "account": "merchant:pending",
                "number": 10018400210,
                "direction": "credit",
                "amount": -9680,
            },
        ],
    )

    id: ids.LedgerTransactionId
    object: Literal["ledger_transaction"] = "ledger_transaction"
    livemode: bool
    created_at: Time
    kind: str
    source: ids.ChargeId
    currency: str
    exponent: int
    value_on: date
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class _EntryRow:
    kind: str
    source: UUID
    account: int
    account_name: str
    amount: int
    value_on: date
    recorded_at: datetime


def transaction(tx: Transaction, tenant: Tenant, ledger_transaction: UUID) -> LedgerTransaction:
    """Return one ledger transaction with its entries, largest debit first.

    Raises:
        ResourceMissing: This merchant has no such transaction in this mode.
    """
    rows = tx.rows(_EntryRow, _TRANSACTION, id=ledger_transaction)
    if not rows:
        raise errors.ResourceMissing(f"No ledger transaction {_written(ledger_transaction)}.")
    first = rows[0]
    currency = money.currency_codes()[first.account // _CURRENCY % _MODE]
    return LedgerTransaction(
        id=ledger_transaction,
        livemode=tenant.livemode,
        created_at=first.recorded_at,
        kind=first.kind,
        source=first.source,
        currency=currency,
        exponent=money.currencies()[currency].exponent,
        value_on=first.value_on,
        entries=[
            Entry(
                account=f"merchant:{row.account_name}"
                if row.account >= _OWNER
                else row.account_name,
                number=row.account,
                direction="debit" if row.amount > 0 else "credit",
                amount=row.amount,
            )
            for row in rows
        ],
    )


def _written(ledger_transaction: UUID) -> str:
    return ids.Prefix("ltx").write(ledger_transaction)


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
    INSERT INTO journal (id, source, owner, livemode, kind, value_on, recorded_at,
                         a1, v1, a2, v2, a3, v3, a4, v4)
    VALUES (%(id)s, %(source)s, %(owner)s, %(livemode)s, %(kind)s, %(value_on)s, %(recorded_at)s,
            %(a1)s, %(v1)s, %(a2)s, %(v2)s, %(a3)s, %(v3)s, %(a4)s, %(v4)s)
"""

_BALANCE = """
    WITH legs AS (
        SELECT number AS account, balance AS amount
        FROM accounts
        WHERE number BETWEEN %(lowest)s AND %(highest)s
          AND number / 1000 %% 10 = %(livemode)s::boolean::integer
        UNION ALL
        SELECT leg.account, leg.amount
        FROM journal
        CROSS JOIN LATERAL (VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) leg (account, amount)
        WHERE owner = %(owner)s AND livemode = %(livemode)s
          AND xid >= (SELECT watermark FROM rollup)
          AND leg.account BETWEEN %(lowest)s AND %(highest)s
    )
    SELECT (account / 10000 %% 1000)::integer AS currency_number,
           (account %% 1000)::integer AS code,
           sum(amount)::bigint AS amount
    FROM legs
    GROUP BY account
"""

_TRANSACTION = """
    SELECT kind, source, account, account_name, amount, value_on, recorded_at
    FROM entries
    WHERE ledger_transaction = %(id)s
    ORDER BY amount DESC, account
"""

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
