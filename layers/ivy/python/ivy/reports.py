"""Reports that a merchant asks for: statements of a month that is over, in one currency.

Asking promises the work; ``make`` and ``ready`` do it, around the writing of the file. What that
says is in ``ivy.statements``. The month is the merchant's: it begins and ends at its own midnight.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Literal, LiteralString
from uuid import UUID

from pydantic import Field

from ivy import errors, faults, ids, objects, outbox, pages, report_files, statements, states
from ivy.callers import Caller
from ivy.database import Transaction
from ivy.errors import FieldError
from ivy.models import CurrencyCode, Input, Month, Object, Time, example
from ivy.outbox import Task
from ivy.report_files import Form

RETRY_SECONDS = 5
"""When to ask again for the content of a report that is not ready."""

LATE = timedelta(minutes=1)
"""How long after its end a month is over: what was begun before has been committed by then."""


class NewReport(Input):
    """A report to make."""

    model_config = example(type="statement", currency="USD", month="2026-11", format="csv")

    type: Literal["statement"]
    currency: CurrencyCode
    month: Annotated[Month, Field(description="A month that is over in your time zone.")]
    format: Form = "csv"


class StoredFile(Object):
    """The file of a report: ``sha256`` is of its bytes."""

    ready_at: Time
    line_count: Annotated[int, Field(description="Ledger transactions in it.")]
    size: int
    sha256: str


class Report(Object):
    """A report, and its file once it is ``ready``; a month's bounds are those of ``time_zone``."""

    model_config = example(
        id="rpt_019ac2c4d5e67f8091a2b3c4d5e6f70d",
        object="report",
        livemode=False,
        created_at="2026-12-01T09:00:00.000Z",
        type="statement",
        status="ready",
        currency="USD",
        month="2026-11",
        format="csv",
        time_zone="America/New_York",
        begins_at="2026-11-01T04:00:00.000Z",
        ends_at="2026-12-01T05:00:00.000Z",
        file={
            "ready_at": "2026-12-01T09:00:01.000Z",
            "line_count": 1042,
            "size": 146000,
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        },
        version=2,
    )

    id: ids.ReportId
    object: Literal["report"] = "report"
    livemode: bool
    created_at: Time
    type: Literal["statement"] = "statement"
    status: Literal["pending", "ready"] = "pending"
    currency: str
    month: str
    format: Form
    time_zone: str
    begins_at: Time
    ends_at: Time
    file: StoredFile | None = None
    version: int = 1


class ReportQuery(pages.Page):
    """Which reports to list."""

    of = "rpt"

    currency: CurrencyCode | None = None


@dataclass(frozen=True, slots=True)
class _Bounds:
    time_zone: str
    begins_at: datetime
    ends_at: datetime


def ask(tx: Transaction, caller: Caller, new: NewReport) -> Report:
    """Write down what is wanted, and promise to make it.

    Raises:
        RequestInvalid: The month is not over for the merchant.
    """
    month, at = date.fromisoformat(f"{new.month}-01"), tx.now()
    bounds = tx.row(_Bounds, _BOUNDS, month=month)
    assert bounds is not None  # noqa: S101 - a merchant is asking
    if at < bounds.ends_at + LATE:
        ends = bounds.ends_at.isoformat(timespec="seconds")
        wrong = FieldError("/month", "month", f"is not over: it ends at {ends}")
        raise errors.RequestInvalid(fields=(wrong,))
    report = Report(
        id=ids.new(at),
        livemode=caller.tenant.livemode,
        created_at=at,
        currency=new.currency,
        month=new.month,
        format=new.format,
        time_zone=bounds.time_zone,
        begins_at=bounds.begins_at,
        ends_at=bounds.ends_at,
    )
    tx.run(
        _INSERT,
        merchant_id=caller.tenant.merchant_id,
        **report.model_dump(
            include={"id", "livemode", "type", "currency", "format", "time_zone"}, mode="python"
        )
        | {"id": report.id},
        month=month,
        begins_at=bounds.begins_at,
        ends_at=bounds.ends_at,
        created_at=at,
    )
    begun = states.transition("report", states.BEGIN, "pending")
    states.record(tx, caller.tenant, begun, report, at=at)
    outbox.owe(tx, caller.tenant, "reports", report.id, "make", at=at)
    return report


def get(tx: Transaction, report_id: UUID) -> Report:
    """Return one report of the transaction's tenant.

    Raises:
        ResourceMissing: This merchant has no such report in this mode.
    """
    return objects.one(tx, Report, _SELECT + " WHERE id = %(id)s", report_id)


def page(tx: Transaction, query: ReportQuery) -> pages.Listing[Report]:
    """Return one page of reports, newest first."""
    return pages.read(tx, Report, _SELECT + " WHERE", query, {"currency": query.currency})


def where(tx: Transaction, report_id: UUID) -> tuple[Report, str]:
    """Return a report and the key of its file.

    Raises:
        ResourceMissing: This merchant has no such report in this mode.
        ReportNotReady: It is still being made.
    """
    report = get(tx, report_id)
    key: str | None = tx.value("SELECT key FROM reports WHERE id = %(id)s", id=report_id)
    if key is None:
        raise errors.ReportNotReady(retry_after_seconds=RETRY_SECONDS)
    return report, key


@dataclass(frozen=True, slots=True)
class Made:
    """A report's file about to be written, and how many transactions are in it."""

    file: report_files.File
    line_count: int


def make(tx: Transaction, task: Task) -> Made | None:
    """Return the file of a promised report, from one snapshot; None when the promise was kept.

    Raises:
        ResourceMissing: The task is about a report that its merchant does not have in its mode.
        UnbalancedError: Its sums do not come to what the ledger holds.
    """
    report = get(tx, task.subject)
    if not outbox.is_owed(tx, task):
        return None
    period = statements.Period(report.currency, report.begins_at, report.ends_at, report.time_zone)
    content, line_count = statements.written(tx, task.tenant, report.month, period, report.format)
    merchant = tx.value("SELECT public_id FROM merchants WHERE id = current_merchant()")
    name = ids.Prefix("rpt").write(report.id)
    key = report_files.key(merchant, name, livemode=report.livemode)
    return Made(report_files.File(f"{key}.{report.format}", content), line_count)


def ready(tx: Transaction, task: Task, made: Made) -> Report | None:
    """Note that the file of a report is there, and announce it; None when that was done."""
    one = _SELECT + " WHERE id = %(id)s FOR NO KEY UPDATE"
    report = objects.one(tx, Report, one, task.subject)
    if not outbox.is_owed(tx, task):
        return None
    at = tx.now()
    file = StoredFile(
        ready_at=at,
        line_count=made.line_count,
        size=len(made.file.content),
        sha256=made.file.sha256,
    )
    after = report.model_copy(
        update={"status": "ready", "file": file, "version": report.version + 1}
    )
    tx.run(
        _READY,
        id=after.id,
        version=after.version,
        key=made.file.key,
        at=at,
        size=file.size,
        sha256=file.sha256,
        line_count=file.line_count,
    )
    change = states.transition("report", report.status, after.status)
    states.record(tx, task.tenant, change, after, at=at)
    outbox.settle(tx, task)
    faults.point("reports.make.before_commit")
    return after


_SELECT: LiteralString = """
    SELECT id, livemode, created_at, type, status, currency, to_char(month, 'YYYY-MM') AS month,
           format, time_zone, begins_at, ends_at, version,
           CASE WHEN ready_at IS NOT NULL THEN jsonb_build_object('ready_at', ready_at,
               'line_count', line_count, 'size', size, 'sha256', sha256) END AS file
    FROM reports
"""

_BOUNDS = """
    SELECT time_zone, %(month)s::date::timestamp AT TIME ZONE time_zone AS begins_at,
           (%(month)s::date + interval '1 month') AT TIME ZONE time_zone AS ends_at
    FROM merchants WHERE id = current_merchant()
"""

_INSERT = """
    INSERT INTO reports (merchant_id, livemode, id, type, currency, month, format, time_zone,
                         begins_at, ends_at, created_at)
    VALUES (%(merchant_id)s, %(livemode)s, %(id)s, %(type)s, %(currency)s, %(month)s, %(format)s,
            %(time_zone)s, %(begins_at)s, %(ends_at)s, %(created_at)s)
"""

_READY = """
    UPDATE reports
    SET status = 'ready', version = %(version)s, ready_at = %(at)s, key = %(key)s, size = %(size)s,
        sha256 = %(sha256)s, line_count = %(line_count)s
    WHERE id = %(id)s
"""
