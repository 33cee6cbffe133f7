"""What acquirers say that they pay, until a line of a bank's statement is it.

In test mode each settlement is one merchant's, who has a present of its own; in live mode it is
ours. Runs as ``ivy_jobs``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal, LiteralString
from uuid import UUID

from pydantic import Field

from ivy import errors, faults, ids, observe
from ivy.connectors import SettlementReport
from ivy.database import Tenant, Transaction
from ivy.ledger import ACQUIRER_RECEIVABLE
from ivy.models import CurrencyCode, Input, Object, ShortText, Time, example

MAX_SHOWN = 200
MAX_MINOR = 10**15
_SETTLEMENT = ids.Prefix("acs")

Status = Literal["expected", "received"]
How = Literal["exact", "rule", "tolerance", "resolved"]
Amount = Annotated[int, Field(strict=True, ge=0, le=MAX_MINOR)]


class SettlementQuery(Input):
    """Which settlements to show; ``overdue`` those whose day is past."""

    model_config = example(overdue=True)

    livemode: bool | None = None
    overdue: bool = False
    status: Status | None = None


class AcquirerSettlement(Object):
    """What an acquirer says that it pays, in minor units.

    ``overdue_days`` is how long its money has been missing.
    """

    id: str
    livemode: bool
    connector: str
    reference: str
    currency: str
    gross: int
    refunds: int
    returns: int
    disputes: int
    costs: int
    net: int
    expected_on: date
    overdue_days: int
    status: Status
    received_as: How | None
    received_at: Time | None


class SettlementList(Object):
    """Settlements of acquirers, the one that was expected first comes first.

    There are ``total``, of which no more than 200 are shown.
    """

    object: Literal["acquirer_settlement_list"] = "acquirer_settlement_list"
    data: list[AcquirerSettlement]
    total: int


class ExpectedSettlement(Input):
    """What the report of an acquirer of live mode says, as an operator read it."""

    model_config = example(
        connector="stripe",
        reference="IVY PAYMENTS 4711",
        currency="USD",
        expected_on="2026-11-27",
        gross=10_000,
        costs=180,
        by="operator@example.com",
    )

    connector: str
    reference: Annotated[str, Field(pattern="^[!-~]([ -~]{0,33}[!-~])?$")]
    currency: CurrencyCode
    expected_on: date
    gross: Amount
    refunds: Amount = 0
    returns: Amount = 0
    disputes: Annotated[int, Field(strict=True, ge=-MAX_MINOR, le=MAX_MINOR)] = 0
    costs: Amount = 0
    by: ShortText


class SettlementExpected(Object):
    """What became of a report; not ``changed`` when it was known."""

    object: Literal["acquirer_settlement_expected"] = "acquirer_settlement_expected"
    settlement: str
    net: int
    changed: bool


@dataclass(frozen=True, slots=True)
class Expected:
    """A settlement that a line may be."""

    id: UUID
    merchant_id: int | None
    livemode: bool
    connector: str
    currency: str
    reference: str
    net: int
    expected_on: date
    status: Status


def record(
    tx: Transaction, connector: str, whose: int | None, report: SettlementReport, at: datetime
) -> UUID | None:
    """Expect what an acquirer says that it pays; None when that has been said before.

    Args:
        tx: The transaction.
        connector: Which acquirer.
        whose: The merchant in test mode; None: it is live.
        report: What it says.
        at: The present.
    """
    recorded: UUID | None = tx.value(
        _INSERT,
        id=ids.new(at),
        merchant=whose,
        livemode=whose is None,
        connector=connector,
        reference=report.reference,
        currency=report.currency,
        expected_on=report.expected_on,
        gross=report.gross_minor,
        refunds=report.refunds_minor,
        returns=report.returns_minor,
        disputes=report.disputes_minor,
        costs=report.costs_minor,
        net=report.net_minor,
        at=at,
    )
    return recorded


def expect(tx: Transaction, said: ExpectedSettlement) -> SettlementExpected:
    """Expect in live mode what an operator read in an acquirer's report; again changes nothing.

    Raises:
        RequestInvalid: No such acquirer, nothing is paid, or the reference is another settlement's.
    """
    if said.connector not in ACQUIRER_RECEIVABLE:
        raise errors.RequestInvalid.of("connector", "unknown", "is no acquirer's")
    report = SettlementReport(
        reference=said.reference,
        currency=said.currency,
        expected_on=said.expected_on,
        gross_minor=said.gross,
        refunds_minor=said.refunds,
        returns_minor=said.returns,
        disputes_minor=said.disputes,
        costs_minor=said.costs,
    )
    if report.net_minor <= 0:
        raise errors.RequestInvalid.of(
            "gross", "nothing", "leaves nothing to pay: it is netted into the next"
        )
    recorded = record(tx, said.connector, None, report, ids.now())
    known = tx.row(_Known, _KNOWN, connector=said.connector, reference=said.reference)
    assert known is not None  # noqa: S101 - recorded now or before
    if (known.currency, known.net) != (said.currency, report.net_minor):
        raise errors.RequestInvalid.of("reference", "taken", "names a settlement of another amount")
    observe.line("acquirer_settlement.expected", settlement=known.id.hex, by=said.by)
    return SettlementExpected(
        settlement=_SETTLEMENT.write(known.id), net=known.net, changed=recorded is not None
    )


def find(tx: Transaction, query: SettlementQuery) -> SettlementList:
    """Return settlements by the day on which they were expected."""
    of: dict[str, Any] = {
        "livemode": query.livemode,
        "status": "expected" if query.overdue else query.status,
        "overdue": query.overdue,
    }
    shown = tx.rows(_Shown, _SHOWN, **of, limit=MAX_SHOWN)
    return SettlementList(data=[_seen(each) for each in shown], total=tx.value(_HOW_MANY, **of))


def longest_overdue_days(tx: Transaction) -> int:
    """Return for how many days the money of a settlement has been missing; 0 if none is."""
    found: int = tx.value(_LONGEST_OVERDUE)
    return found


def lock(tx: Transaction, settlement_id: UUID, *, livemode: bool) -> Expected | None:
    """Return a settlement of a mode and keep others from receiving it."""
    return tx.row(Expected, _LOCK, id=settlement_id, livemode=livemode)


def receive(
    tx: Transaction, settlement: Expected, how: How, *, line: UUID, posting: UUID, at: datetime
) -> None:
    """Write down that a line is a settlement, and by which posting."""
    tx.run(_RECEIVE, id=settlement.id, how=how, line=line, posting=posting, at=at)


def to_send(tx: Transaction, connector: str, tenant: Tenant | None, limit: int) -> list[Expected]:
    """Return settlements whose bank may not have been told of them, the first expected first."""
    merchant = tenant.merchant_id if tenant else None
    return tx.rows(Expected, _TO_SEND, connector=connector, merchant=merchant, limit=limit)


def sent(tx: Transaction, settlements: list[Expected], at: datetime) -> None:
    """Write down that the bank has been told."""
    tx.run(_SENT, ids=[each.id for each in settlements], at=at)
    faults.point("bank.acquirer.before_sent")


@dataclass(frozen=True, slots=True)
class _Known:
    id: UUID
    currency: str
    net: int


@dataclass(frozen=True, slots=True)
class _Shown:
    id: UUID
    livemode: bool
    connector: str
    reference: str
    currency: str
    gross: int
    refunds: int
    returns: int
    disputes: int
    costs: int
    net: int
    expected_on: date
    overdue_days: int
    status: Status
    received_as: How | None
    received_at: datetime | None


def _seen(shown: _Shown) -> AcquirerSettlement:
    named = {name: getattr(shown, name) for name in _Shown.__slots__}
    return AcquirerSettlement(**named | {"id": _SETTLEMENT.write(shown.id)})


_INSERT = """
    INSERT INTO acquirer_settlements (
        id, merchant_id, livemode, connector, reference, currency, expected_on, gross, refunds,
        returns, disputes, costs, net, created_at)
    VALUES (
        %(id)s, %(merchant)s, %(livemode)s, %(connector)s, %(reference)s, %(currency)s,
        %(expected_on)s, %(gross)s, %(refunds)s, %(returns)s, %(disputes)s, %(costs)s, %(net)s,
        %(at)s)
    ON CONFLICT DO NOTHING
    RETURNING id
"""

_KNOWN = """
    SELECT id, currency, net FROM acquirer_settlements
    WHERE livemode AND (connector, reference) = (%(connector)s, %(reference)s)
"""

_WHICH: LiteralString = """
    FROM acquirer_settlements
    WHERE (%(livemode)s::boolean IS NULL OR livemode = %(livemode)s)
      AND (%(status)s::text IS NULL OR status = %(status)s)
      AND (NOT %(overdue)s OR expected_on < now()::date)
"""

_HOW_MANY: LiteralString = "SELECT count(*)" + _WHICH

_SHOWN: LiteralString = (
    """
    SELECT id, livemode, connector, reference, currency, gross, refunds, returns, disputes, costs,
           net, expected_on, status, received_as, received_at,
           CASE status WHEN 'expected' THEN greatest(now()::date - expected_on, 0) ELSE 0 END
               AS overdue_days
    """
    + _WHICH
    + " ORDER BY expected_on, id LIMIT %(limit)s"
)

_LONGEST_OVERDUE = """
    SELECT greatest(now()::date - min(expected_on), 0)
    FROM acquirer_settlements WHERE status = 'expected'
"""

EXPECTED: LiteralString = """
    SELECT id, merchant_id, livemode, connector, currency, reference, net, expected_on, status
    FROM acquirer_settlements
"""
"""Selects what ``Expected`` is."""

_LOCK: LiteralString = EXPECTED + " WHERE id = %(id)s AND livemode = %(livemode)s FOR NO KEY UPDATE"

_RECEIVE = """
    UPDATE acquirer_settlements
    SET (status, received_as, line_id, ledger_transaction, received_at)
      = ('received', %(how)s, %(line)s, %(posting)s, %(at)s)
    WHERE id = %(id)s
"""

_TO_SEND: LiteralString = (
    EXPECTED
    + """
    WHERE sent_at IS NULL AND NOT livemode AND connector = %(connector)s
      AND (%(merchant)s::bigint IS NULL OR merchant_id = %(merchant)s)
    ORDER BY expected_on, id LIMIT %(limit)s
    """
)

_SENT = """
    UPDATE acquirer_settlements SET sent_at = %(at)s WHERE id = ANY(%(ids)s) AND sent_at IS NULL
"""
