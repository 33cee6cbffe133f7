"""Statements of months: what was there, what changed it, and a journal that beancount checks."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.merchants import balance
from functions.payouts import create as create_payout
from functions.reports import content, create, get, make
from functions.reports import list as list_reports
from ivy import ids, ledger, proof, statements
from ivy.database import Database, Tenant
from ivy.ids import UUID
from ivy.ledger import Chart, Posting, PostingKind, credit, debit
from ivy.outbox import Task
from ivy.report_files import UnbalancedError
from ivy.statements import Buckets, Day, Entry, Statement
from local.home import PROJECT
from tests.bank_accounts import added, verified
from tests.driving import Reply
from tests.settlement.test_payouts import outcome
from tests.settlement.till import Till

BUCKETS = ("pending", "available", "reserved", "disputed", "in_transit")
BIN = Path(sys.prefix) / "bin"


@pytest.fixture(autouse=True)
def _proven(till: Till) -> Iterator[None]:
    """Whatever a test did, the books keep every law."""
    yield
    for law in proof.LAWS:
        found = till.here.connection.execute(law.query).fetchall()
        assert [witness for (witness,) in found if witness] == [], law.name


def live(till: Till) -> None:
    """From November to January: something of everything, in two currencies."""
    till.set(reserve_basis_points=1_000, reserve_days=10, time_zone="America/New_York")
    platform = till.here.platform
    verified(platform, till.account, added(platform, till.account))
    till.charge(amount=20_000)
    till.charge(currency="EUR")
    till.be("2026-12-01 04:30")  # still November in New York
    till.charge(amount=3_000)
    till.be("2026-12-01 05:30")
    till.charge(amount=4_000)
    refunded = till.charge(amount=8_000)
    till.authorized(amount=900)
    till.refund(refunded, amount=2_500)
    till.work()
    till.close("2026-12-04 06:00")
    till.disputed(amount=6_000)
    paid, failed, returned = (
        till.post(create_payout.handler, {"currency": "USD", "amount": amount}).json()["id"]
        for amount in (1_000, 2_000, 3_000)
    )
    for payout in (paid, failed, returned):
        outcome(till, payout, "sent", date(2026, 12, 7))
    for payout in (paid, returned):
        outcome(till, payout, "paid")
    for payout in (failed, returned):
        outcome(till, payout, "came_back", "account_closed")
    till.be("2026-12-10 12:00")
    till.charge(amount=1_500)
    till.close("2026-12-20 06:00")
    till.be("2027-01-01 04:59")
    till.charge(amount=700)
    till.be("2027-01-01 05:00")
    till.charge(amount=800)
    till.be("2027-02-02 12:00")


def ask(till: Till, **fields: Any) -> Reply:
    body = {"type": "statement", "currency": "USD", "month": "2026-12", "format": "csv"} | fields
    return till.post(create.handler, {name: each for name, each in body.items() if each})


def fetch(till: Till, report: Any, who: int = 0) -> Reply:
    return till.here.get(content.handler, till.here.accounts[who], id=report["id"])


def made(till: Till, **fields: Any) -> tuple[Any, bytes]:
    """Return a report that is ready, and its bytes."""
    asked = ask(till, **fields)
    assert asked.status == 201, asked.body
    till.here.report()
    report = till.here.get(get.handler, till.account, id=asked.json()["id"]).json()
    return report, fetch(till, report).body


def rows(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode())))


def numbers(row: Any) -> list[int]:
    return [int(row[name]) for name in BUCKETS]


def bean_check(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "books.beancount"
    file.write_text(text)
    return subprocess.run(
        [BIN / "bean-check", str(file)], capture_output=True, text=True, check=False
    )


def test_a_month_is_what_was_there_and_what_changed_it(till: Till) -> None:
    live(till)
    report, text = made(till)
    found = rows(text)
    opening, closing = found[0], found[-1]
    assert (opening["record"], opening["date"]) == ("opening", "2026-12-01")
    assert (closing["record"], closing["date"]) == ("closing", "2026-12-31")
    reached = numbers(opening)
    for row in found[1:-1]:
        if row["record"] == "day":
            assert numbers(row) == reached
        else:
            reached = [a + b for a, b in zip(reached, numbers(row), strict=True)]
            assert int(row["net"]) == int(row["amount"]) - int(row["fee"])
            if row["balance_transaction"]:
                assert numbers(row)[0] + numbers(row)[1] == int(row["net"])
    assert reached == numbers(closing)
    transactions = [row for row in found if row["record"] == "transaction"]
    assert report["file"]["line_count"] == len(transactions)
    assert {row["type"] for row in transactions} >= {
        "charge.captured", "refund.accepted", "dispute.opened", "settlement.closed",
        "reserve.released", "payout.created", "payout.paid", "payout.reversed", "payout.returned",
    }  # fmt: skip
    assert [row["created_at"] for row in transactions] == sorted(
        row["created_at"] for row in transactions
    )
    assert {row["currency"] for row in found} == {"USD"}


def test_months_follow_each_other_by_the_merchants_midnight(till: Till) -> None:
    live(till)
    november, december, january = (
        rows(made(till, month=month)[1]) for month in ("2026-11", "2026-12", "2027-01")
    )
    assert numbers(november[0]) == [0] * 5
    assert numbers(november[-1]) == numbers(december[0])
    assert numbers(december[-1]) == numbers(january[0])
    (line,) = [
        each
        for each in till.here.get(balance.handler, till.account).json()["balances"]
        if each["currency"] == "USD"
    ]
    assert numbers(january[-1]) == numbers(line)
    captured = [
        sorted(int(row["amount"]) for row in month if row["type"] == "charge.captured")
        for month in (november, december, january)
    ]
    assert captured == [[3_000, 20_000], [700, 1_500, 4_000, 6_000, 8_000], [800]]
    report, _ = made(till, month="2026-11")
    assert report["time_zone"] == "America/New_York"
    assert (report["begins_at"], report["ends_at"]) == (
        "2026-11-01T04:00:00.000Z", "2026-12-01T05:00:00.000Z",
    )  # fmt: skip


def test_json_says_the_same(till: Till) -> None:
    live(till)
    found = rows(made(till)[1])
    report, _ = made(till, format="json")
    reply = fetch(till, report)
    assert reply.headers["content-type"] == "application/json"
    said = reply.json()
    assert (said["object"], said["month"], said["exponent"]) == ("statement", "2026-12", 2)
    assert numbers(said["opening"]) == numbers(found[0])
    assert numbers(said["closing"]) == numbers(found[-1])
    for record, told in (
        ("transaction", [each["changes"] for each in said["transactions"]]),
        ("day", [each["closing"] for each in said["days"]]),
    ):
        assert [numbers(each) for each in told] == [
            numbers(row) for row in found if row["record"] == record
        ]


def test_the_report_is_an_object_and_events_tell_of_it(till: Till) -> None:
    till.be("2026-12-02 09:00")
    asked = ask(till, month="2026-11", currency="usd").json()
    assert (asked["status"], asked["file"], asked["currency"]) == ("pending", None, "USD")
    early = fetch(till, asked)
    assert (early.status, early.code) == (409, "report_not_ready")
    assert early.headers["retry-after"] == "5"
    till.here.report()
    report = till.here.get(get.handler, till.account, id=asked["id"]).json()
    reply = fetch(till, report)
    assert report["file"] == {
        "ready_at": "2026-12-02T09:00:00.000Z",
        "line_count": 0,
        "size": len(reply.body),
        "sha256": hashlib.sha256(reply.body).hexdigest(),
    }
    name = "statement-2026-11-USD.csv"
    assert reply.headers["content-disposition"] == f'attachment; filename="{name}"'
    created, ready = till.told("report")
    assert (created["type"], created["data"]) == ("report.created", asked)
    assert (ready["type"], ready["data"]) == ("report.ready", report)
    assert till.here.get(list_reports.handler, till.account).json()["data"] == [report]
    euros = till.here.get(list_reports.handler, till.account, {"currency": "EUR"}).json()
    assert euros["data"] == []


@pytest.mark.parametrize("form", ["csv", "json", "beancount"])
def test_bytes_are_the_same_twice_and_later(till: Till, form: str) -> None:
    live(till)
    first, text = made(till, format=form)
    till.charge()
    till.close("2027-03-01 12:00")
    second, again = made(till, format=form)
    assert first["id"] != second["id"]
    assert again == text


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"month": "2026-13"}, "/month"), ({"month": "2026-1"}, "/month"),
        ({"month": "2026-12-01"}, "/month"), ({"month": None}, "/month"),
        ({"month": "2027-01"}, "/month"), ({"month": "2027-02"}, "/month"),
        ({"currency": "XXX"}, "/currency"), ({"currency": None}, "/currency"),
        ({"format": "pdf"}, "/format"), ({"type": "invoice"}, "/type"),
        ({"type": None}, "/type"), ({"zone": "UTC"}, "/zone"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(till: Till, fields: dict[str, Any], pointer: str) -> None:
    till.be("2027-01-31 23:59")
    refused = ask(till, **fields)
    assert refused.status == 422
    assert [each["pointer"] for each in refused.json()["errors"]] == [pointer]


def test_a_month_is_over_a_minute_after_its_end(till: Till) -> None:
    till.set(time_zone="America/New_York")
    till.be("2027-01-01 05:00")
    refused = ask(till)
    assert "2027-01-01T05:00:00+00:00" in refused.json()["errors"][0]["detail"]
    till.be("2027-01-01 05:01")
    assert ask(till).status == 201


def test_nobody_elses_report(till: Till) -> None:
    till.be("2027-02-02 12:00")
    report, _ = made(till)
    other = till.here.accounts[1]
    assert till.here.get(get.handler, other, id=report["id"]).code == "resource_missing"
    assert fetch(till, report, who=1).code == "resource_missing"
    assert till.here.get(list_reports.handler, other).json()["data"] == []


@pytest.mark.parametrize("point", ["reports.make.after_put", "reports.make.before_commit"])
def test_whoever_died_is_followed_by_the_same_bytes(till: Till, point: str) -> None:
    live(till)
    asked = ask(till).json()
    with till.here.dying_at(point) as died:
        till.here.report()
    assert died == [point]
    report = till.here.get(get.handler, till.account, id=asked["id"]).json()
    written = fetch(till, report).body
    assert report["file"]["sha256"] == hashlib.sha256(written).hexdigest()
    assert len(till.told("report")) == 2
    tenant = Tenant(till.account.merchant_id, livemode=False)
    late = Task(UUID(int=1), "reports", tenant, UUID(hex=asked["id"][4:]), "")
    assert till.here.hand_over(make.handler, late.message()) == []  # a late copy does nothing
    assert till.here.get(get.handler, till.account, id=asked["id"]).json() == report


def test_a_statement_that_is_not_the_ledgers_is_not_written(till: Till) -> None:
    live(till)
    root, kept = till.here.connection, dict(till.here.pocket.documents)
    account = till.account.merchant_id * 10_000_000 + 840_0_220
    root.execute("UPDATE accounts SET balance = balance - 1 WHERE number = %s", (account,))
    assert ask(till).status == 201
    with pytest.raises(AssertionError):
        till.here.report()
    assert "UnbalancedError" in till.here.failures[-1]
    assert till.here.pocket.documents == kept
    root.execute("UPDATE accounts SET balance = balance + 1 WHERE number = %s", (account,))


# -- beancount


def test_bean_check_accepts_the_month_and_no_other_amount(till: Till, tmp_path: Path) -> None:
    live(till)
    for month in ("2026-10", "2026-11", "2026-12", "2027-01"):
        report, text = made(till, month=month, format="beancount")
        checked = bean_check(text.decode(), tmp_path)
        assert (checked.returncode, checked.stderr) == (0, ""), month
    report, text = made(till, format="beancount")
    journal = text.decode()
    assert journal.count("\n  ltx: ") >= report["file"]["line_count"] > 10
    assert '2026-12-01 * "opening balance"' in journal
    days = set(re.findall(r"^(\S+) balance \S+:Available ", journal, re.MULTILINE))
    assert {"2026-12-05", "2027-01-01"} <= days
    for before, after in (
        (r"(balance \S+Available -\d+\.\d)\d", r"\g<1>x"),
        (r'2026-12-\d\d \* "payout.paid"(\n|.)*?\n\n', ""),
        (r"(Dispute-Hold  -6)0", r"\g<1>1"),
    ):
        changed, times = re.subn(before, after, journal, count=1)
        assert times == 1
        assert bean_check(changed, tmp_path).returncode == 1, before


def test_an_amount_that_is_changed_on_both_sides_fails(till: Till, tmp_path: Path) -> None:
    """Each transaction balances by itself all the same: only the assertions see it."""
    live(till)
    journal = made(till, format="beancount")[1].decode()
    wrong, times = re.subn(
        r"(In-Transit  )10\.00( USD\n  \S+Bank:Client  -)10\.00", r"\g<1>10.01\g<2>10.01", journal
    )
    assert times == 1
    checked = bean_check(wrong, tmp_path)
    assert checked.returncode == 1
    assert "Balance failed" in checked.stderr
    assert "does not balance" not in checked.stderr


def test_the_commands_of_the_guide_work(till: Till, tmp_path: Path) -> None:
    guide = (PROJECT / "docs" / "statements.md").read_text()
    (_, commands) = re.findall(r"^```sh\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    live(till)
    report, text = made(till)
    (tmp_path / "statement-2026-12-USD.csv").write_bytes(text)
    journal = made(till, format="beancount")[1]
    (tmp_path / "statement-2026-12-USD.beancount").write_bytes(journal)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    closing = rows(text)[-1]
    assert done.stdout.split() == [
        report["file"]["sha256"], "statement-2026-12-USD.csv",
        closing["available"], closing["available"],
    ]  # fmt: skip


# -- adding up


class RolledBackError(Exception):
    """What was posted is forgotten."""


LEGS = (*statements._CHART.values(), Chart.BANK_CLIENT)


def moments() -> st.SearchStrategy[datetime]:
    """Times around the ends of a month, to the millisecond that decides."""
    edges = st.sampled_from(("2026-12-01T05:00", "2026-12-31T05:00", "2027-01-01T05:00"))
    return st.builds(
        lambda edge, milliseconds: (
            datetime.fromisoformat(edge).replace(tzinfo=UTC) + timedelta(milliseconds=milliseconds)
        ),
        edges,
        st.one_of(st.integers(-2, 2), st.integers(-(10**8), 10**8)),
    )


MOVES = st.tuples(
    st.sampled_from(("USD", "JPY")),
    moments(),
    st.sampled_from([(a, b) for a in LEGS for b in LEGS if a != b]),
    st.integers(1, 10**9),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=st.lists(MOVES, max_size=25))
def test_any_history_adds_up(
    till: Till, history: list[tuple[str, datetime, tuple[Chart, Chart], int]]
) -> None:
    """Whatever was posted around the ends of a month, in this currency and in another."""
    tenant = Tenant(till.account.merchant_id, livemode=False)
    begins, ends = (datetime(*day, 5, tzinfo=UTC) for day in ((2026, 12, 1), (2027, 1, 1)))
    period = statements.Period("USD", begins, ends, "America/New_York")
    expected = {"opening": dict.fromkeys(LEGS, 0), "closing": dict.fromkeys(LEGS, 0)}
    database = Database(till.here.platform.store.url("ivy_app"))
    with suppress(RolledBackError), database.transaction(tenant) as tx:
        for currency, at, (debited, credited), amount in history:
            ledger.post(tx, tenant, posted(currency, at, debited, credited, amount))
            for name, until in (("opening", begins), ("closing", ends)):
                if currency == "USD" and at < until:
                    expected[name][credited] += amount
                    expected[name][debited] -= amount
        found = statements._statement(tx, tenant, "2026-12", period)
        within = [at for currency, at, *_ in history if currency == "USD" and begins <= at < ends]
        raise RolledBackError
    database.close()
    statements.check(found)
    for name, sums in expected.items():
        bucket = getattr(found, name).model_dump()
        assert bucket == {each: sums[chart] for each, chart in statements._CHART.items()}
    assert [entry.created_at for entry in found.transactions] == sorted(within)
    zone = ZoneInfo("America/New_York")
    assert [day.date for day in found.days] == sorted({at.astimezone(zone).date() for at in within})


def posted(currency: str, at: datetime, debited: Chart, credited: Chart, amount: int) -> Posting:
    """Return a posting whose kind says nothing: only its legs matter here."""
    return Posting(
        id=ids.new(at),
        kind=PostingKind.CHARGE_CAPTURED,
        source=ids.new(at),
        currency=currency,
        legs=(debit(debited, amount), credit(credited, amount)),
        value_on=at.date(),
        recorded_at=at,
    )


amounts = st.integers(-(10**12), 10**12)
buckets = st.builds(Buckets, **dict.fromkeys(BUCKETS, amounts))


def statement(opening: Buckets, changes: list[tuple[int, Buckets]]) -> Statement:
    """Return a statement in which these changes happened on these days of a month."""
    entries = [
        Entry.model_construct(date=date(2026, 12, day), changes=change)
        for day, change in sorted(changes, key=lambda each: each[0])
    ]
    days: list[Day] = list(statements._days(opening, entries))
    return Statement.model_construct(
        month="2026-12",
        currency="USD",
        opening=opening,
        closing=days[-1].closing if days else opening,
        days=days,
        transactions=entries,
    )


@given(buckets, st.lists(st.tuples(st.integers(1, 31), buckets), max_size=20), st.data())
def test_what_adds_up_passes_and_one_unit_does_not(
    opening: Buckets, changes: list[tuple[int, Buckets]], data: st.DataObject
) -> None:
    found = statement(opening, changes)
    statements.check(found)
    total = {
        name: getattr(opening, name) + sum(getattr(change, name) for _, change in changes)
        for name in BUCKETS
    }
    assert found.closing.model_dump() == total
    name, unit = data.draw(st.sampled_from(BUCKETS)), data.draw(st.sampled_from((-1, 1)))
    wrong = found.closing.plus(Buckets(**{name: unit}))
    with pytest.raises(UnbalancedError, match=f"{name}={-unit}"):
        statements.check(found.model_copy(update={"closing": wrong}))
