"""What acquirers pay: said, shown by the bank, recognised, and taken off what they owe."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Barrier
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.bank import (
    acquirer,
    expect,
    receive,
    report,
    rule,
    rules,
    simulated,
)
from functions.bank import settlements as show
from ivy import acquirer_settlements, bank_receipts, ids, proof, simulated_settlements
from ivy.bank_files.statements import StatementLine
from ivy.connectors import SettlementReport
from ivy.database import Database
from ivy.serve.schedules import JobError
from tests.bank.exchange import Exchange
from tests.bank.test_lines import COVER, balance, explain, items, open_items, outcomes, run
from tests.bank.test_receiving import DAY, line, stated

PAID_ON = "2026-11-27 06:00"
"""Two banking days after Tuesday the 24th: Thursday is Thanksgiving."""

RECEIVABLE = "acquirer_receivable:simulated"


def said(exchange: Exchange, columns: str = "net, status, received_as") -> list[Any]:
    return exchange.rows(
        f"SELECT {columns} FROM acquirer_settlements ORDER BY expected_on, currency, net"
    )


def pay(exchange: Exchange, at: str | None = None) -> dict[str, Any]:
    if at is not None:
        exchange.till.be(at)
    return exchange.here.run(acquirer.handler)


def captured(exchange: Exchange, amount: int = 10_000, **fields: Any) -> str:
    return str(exchange.till.charge(amount=amount, **fields))


def refunded(exchange: Exchange, charge: str, amount: int) -> None:
    assert exchange.till.refund(charge, amount=amount).status == 201
    exchange.till.work()


def expected(exchange: Exchange, reference: str, net: int = COVER, *, after_days: int = 0) -> str:
    """Let the acquirer say that it pays something, and return what that is called."""
    on = DAY + timedelta(days=after_days)
    report = SettlementReport(reference=reference, currency="USD", expected_on=on, gross_minor=net)
    database = Database(exchange.here.platform.store.url("ivy_jobs"))
    with database.transaction() as tx:
        whose = exchange.till.account.merchant_id
        made = acquirer_settlements.record(tx, "simulated", whose, report, ids.now())
    database.close()
    assert made is not None
    return ids.Prefix("acs").write(made)


# -- what it pays


def test_the_acquirer_pays_what_was_captured_two_banking_days_before(exchange: Exchange) -> None:
    captured(exchange)
    assert balance(exchange, RECEIVABLE) == 9_820
    assert pay(exchange, "2026-11-26 23:59") == {"said": 0, "sent": 0}
    assert pay(exchange, PAID_ON) == {"said": 1, "sent": 1}
    assert pay(exchange) == {"said": 0, "sent": 0}
    assert said(exchange) == [(9_820, "expected", None)]
    assert exchange.bank() == {"taken": 0, "given": 1}
    assert said(exchange) == [(9_820, "received", "exact")]
    assert outcomes(exchange) == [(9_820, "acquirer")]
    assert items(exchange) == []
    assert balance(exchange, RECEIVABLE) == 0
    assert balance(exchange, "bank:client") == 9_820
    assert exchange.rows("SELECT value_on::text FROM journal WHERE kind = 62") == [("2026-11-27",)]
    assert pay(exchange, "2026-12-15 06:00") == {"said": 0, "sent": 0}


@pytest.mark.parametrize("currency", ["EUR", "GBP"])
def test_it_pays_each_currency_to_its_account(exchange: Exchange, currency: str) -> None:
    captured(exchange, currency=currency)
    captured(exchange, currency="JPY")  # in which we have no account
    pay(exchange, PAID_ON)
    exchange.bank()
    assert said(exchange, "currency, received_as") == [(currency, "exact")]
    assert [key.rpartition(".")[2] for key in exchange.files("bank/archive/")] == ["xml"]
    ((owed,),) = exchange.rows(
        "SELECT sum(amount)::bigint FROM entries WHERE account_name = %s", RECEIVABLE
    )
    assert owed == balance(exchange, RECEIVABLE) > 0  # the yen


def test_what_it_gave_back_is_netted(exchange: Exchange) -> None:
    first = captured(exchange)
    refunded(exchange, first, 2_000)
    exchange.till.disputed(amount=3_000)
    pay(exchange, PAID_ON)
    ((gross, refunds, disputes, costs, net),) = said(
        exchange, "gross, refunds, disputes, costs, net"
    )
    assert (gross, refunds, disputes, costs) == (13_000, 2_000, 3_000, 255)
    assert net == 13_000 - 2_000 - 3_000 - 255 == balance(exchange, RECEIVABLE)


def test_what_comes_to_less_than_nothing_is_netted_into_the_next(exchange: Exchange) -> None:
    charge = captured(exchange)
    pay(exchange, PAID_ON)
    exchange.bank()
    refunded(exchange, charge, 10_000)
    assert balance(exchange, RECEIVABLE) == -10_000
    assert pay(exchange, "2026-12-08 06:00") == {"said": 0, "sent": 0}
    captured(exchange, 4_000)
    assert pay(exchange, "2026-12-10 06:00") == {"said": 0, "sent": 0}
    captured(exchange, 9_000)
    assert pay(exchange, "2026-12-14 06:00") == {"said": 1, "sent": 1}
    owed = balance(exchange, RECEIVABLE)
    assert 0 < owed < 3_000
    assert said(exchange, "gross, refunds, net")[1] == (13_000, 10_000, owed)
    exchange.bank()
    assert balance(exchange, RECEIVABLE) == 0


def test_a_schedule_that_stood_still_makes_up_for_it_day_by_day(exchange: Exchange) -> None:
    for at in ("2026-11-23 09:00", "2026-11-24 09:00", "2026-11-27 09:00", "2026-11-29 09:00"):
        exchange.till.be(at)
        captured(exchange)
    assert pay(exchange, "2026-12-02 06:00") == {"said": 3, "sent": 3}
    assert said(exchange, "expected_on::text, gross") == [
        ("2026-11-25", 10_000), ("2026-11-27", 10_000), ("2026-12-01", 20_000),
    ]  # fmt: skip
    exchange.bank()
    assert balance(exchange, RECEIVABLE) == 0


# -- how it is recognised


def test_the_same_file_twice_and_the_same_line_again(exchange: Exchange) -> None:
    expected(exchange, "ACQ-1")
    content = stated(line(COVER, "ACQ-1"))
    exchange.give("a.bai2", content)
    exchange.give("b.bai2", content)
    assert outcomes(exchange) == [(COVER, "acquirer")]
    exchange.give("c.bai2", stated(line(COVER, "ACQ-1"), number=8))
    assert outcomes(exchange) == [(COVER, "acquirer"), (COVER, "suspense")]
    assert balance(exchange, RECEIVABLE) == -COVER
    assert balance(exchange, "suspense:bank") == -COVER


def test_a_cent_less_is_received_and_the_cent_explained(exchange: Exchange) -> None:
    settlement = expected(exchange, "ACQ-1")
    exchange.give("a.bai2", stated(line(COVER - 1, "ACQ-1")))
    assert said(exchange) == [(COVER, "received", "tolerance")]
    assert balance(exchange, RECEIVABLE) == -COVER
    assert balance(exchange, "bank:client") == COVER - 1
    (item,) = open_items(exchange)
    assert (item["amount"], item["settlement"]) == (-1, settlement)
    refused = explain(exchange, item["id"], "payout", payout="po_" + "0" * 32)
    assert refused["errors"][0]["code"] == "difference"
    assert explain(exchange, item["id"], "rounding")["changed"]
    assert balance(exchange, "rounding") == 1
    assert balance(exchange, "suspense:bank") == 0


def test_a_rule_allows_more_and_knows_text(exchange: Exchange) -> None:
    added = run(
        exchange, rule.handler, connector="simulated", contains="acme card", days=2, tolerance=60,
        by="grace", reason="its bank takes a fee",
    )  # fmt: skip
    for number in (1, 2, 3):
        expected(exchange, f"ACQ-{number}", COVER + number, after_days=number - 1)
    unnamed = StatementLine(COVER + 1, DAY, "R", None, "ACME CARD PAYMENTS")
    exchange.give("a.bai2", stated(line(COVER + 2 - 60, "ACQ-2"), unnamed))
    assert said(exchange) == [
        (COVER + 1, "received", "rule"),
        (COVER + 2, "received", "tolerance"),
        (COVER + 3, "expected", None),
    ]
    assert [(each["amount"], each["settlement"] is None) for each in open_items(exchange)] == [
        (-60, False)
    ]
    (shown,) = run(exchange, rules.handler)["data"]
    assert (shown["id"], shown["contains"]) == (added["rule"], "acme card")
    gone = {"retire": added["rule"], "by": "grace", "reason": "another bank"}
    assert run(exchange, rule.handler, **gone) == added | {"applies": False}
    assert run(exchange, rule.handler, **gone)["code"] == "resource_missing"
    assert run(exchange, rules.handler)["data"] == []
    late = StatementLine(COVER + 3, DAY, "R", None, "ACME CARD PAYMENTS")
    exchange.give("b.bai2", stated(late, number=8))
    assert said(exchange)[2] == (COVER + 3, "expected", None)


def test_rules_that_are_none(exchange: Exchange) -> None:
    by = {"by": "grace", "reason": "so"}
    for wrong in ({"connector": "nobody", "contains": "abc"}, {"contains": "abc"}):
        assert run(exchange, rule.handler, **wrong, **by)["errors"][0]["code"] == "unknown"
    found = run(exchange, rule.handler, connector="simulated", **by)
    assert found["errors"][0]["code"] == "missing"


def test_money_that_came_before_it_was_said(exchange: Exchange) -> None:
    exchange.give("a.bai2", stated(line(COVER, "ACQ-1"), line(COVER, "ACQ-1")))
    assert [amount for amount, _ in items(exchange)] == [COVER, COVER]
    expected(exchange, "ACQ-1")
    exchange.receive()
    exchange.receive()
    assert said(exchange) == [(COVER, "received", "resolved")]
    assert sorted(items(exchange), key=str) == [(COVER, "acquirer"), (COVER, None)]
    assert balance(exchange, RECEIVABLE) == -COVER


def test_an_operator_says_which_it_is(exchange: Exchange) -> None:
    settlement = expected(exchange, "ACQ-1")
    exchange.give("a.bai2", stated(line(COVER - 50, "WIRE"), line(-7, None)))
    by_amount = {each["amount"]: each["id"] for each in open_items(exchange)}
    item = by_amount[COVER - 50]
    paid = {"connector": "simulated", "settlement": settlement}
    for wrong, code in (
        (paid | {"connector": "stripe"}, "missing"),
        (paid | {"settlement": "acs_" + "0" * 32}, "missing"),
        ({"settlement": settlement}, "missing"),
    ):
        assert explain(exchange, item, "acquirer", **wrong)["errors"][0]["code"] == code, wrong
    assert explain(exchange, item, "loss", settlement=settlement)["errors"][0]["code"] == (
        "not_wanted"
    )
    outgoing = explain(exchange, by_amount[-7], "acquirer", **paid)
    assert outgoing["errors"][0]["code"] == "not_wanted"
    assert explain(exchange, item, "acquirer", **paid)["changed"]
    assert not explain(exchange, item, "acquirer", **paid)["changed"]
    other = explain(exchange, item, "acquirer", connector="simulated")
    assert other["code"] == "resource_missing"
    assert said(exchange) == [(COVER, "received", "resolved")]
    assert balance(exchange, RECEIVABLE) == -COVER
    (left,) = [each for each in open_items(exchange) if each["amount"] != -7]
    assert (left["amount"], left["settlement"]) == (-50, settlement)
    assert explain(exchange, left["id"], "acquirer", **paid)["errors"][0]["code"] == "received"
    assert explain(exchange, left["id"], "loss")["changed"]
    assert balance(exchange, "suspense:bank") == 7


def test_what_is_missing_is_seen(exchange: Exchange) -> None:
    expected(exchange, "ACQ-1")
    exchange.till.be("2026-12-02 09:00")
    (missing,) = run(exchange, show.handler, overdue=True)["data"]
    assert (missing["reference"], missing["overdue_days"], missing["net"]) == ("ACQ-1", 2, COVER)
    month = run(exchange, report.handler, currency="USD", month="2026-11")
    kept = {"connector": "simulated", "count": 1, "amount": COVER}
    assert month["acquirers"] == [kept | {"kind": "overdue", "stated": 0}]
    exchange.give("a.bai2", stated(line(COVER - 1, "ACQ-1")))
    nothing = {"object": "acquirer_settlement_list", "data": [], "total": 0}
    assert run(exchange, show.handler, overdue=True) == nothing
    (came,) = run(exchange, show.handler, status="received")["data"]
    assert (came["received_as"], came["overdue_days"]) == ("tolerance", 0)
    month = run(exchange, report.handler, currency="USD", month="2026-11")
    assert month["acquirers"] == [kept | {"kind": "received", "stated": COVER - 1}]
    assert month["statement"]["lines"] == [{"kind": "acquirers", "count": 1, "amount": COVER - 1}]
    assert month["difference"] == 0


def test_the_age_of_the_oldest_is_counted(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: dict[str, float] = {}
    monkeypatch.setattr(
        "ivy.observe.count", lambda name, value=1, **_: counted.update({name: value})
    )
    exchange.receive()
    assert counted["AcquirerSettlementOverdueDays"] == 0
    expected(exchange, "ACQ-1")
    exchange.till.be("2026-12-05 09:00")
    exchange.receive()
    assert counted["AcquirerSettlementOverdueDays"] == 5


def test_in_live_mode_operators_read_reports(exchange: Exchange) -> None:
    read = {
        "connector": "stripe", "reference": "IVY 4711", "currency": "USD",
        "expected_on": "2026-11-27", "gross": 10_000, "costs": 180, "by": "grace",
    }  # fmt: skip
    made = run(exchange, expect.handler, **read)
    assert (made["net"], made["changed"]) == (9_820, True)
    assert run(exchange, expect.handler, **read) == made | {"changed": False}
    for change, code in (
        ({"gross": 10_001}, "taken"),
        ({"gross": 180}, "nothing"),
        ({"connector": "nobody"}, "unknown"),
    ):
        answer = run(exchange, expect.handler, **read | change)
        assert answer["errors"][0]["code"] == code, change
    found = run(exchange, show.handler, livemode=True)
    (shown,) = found["data"]
    assert found["total"] == 1
    assert (shown["livemode"], shown["net"], shown["status"]) == (True, 9_820, "expected")
    assert pay(exchange) == {"said": 0, "sent": 0}


def test_the_database_refuses_what_the_program_would_not_do(exchange: Exchange) -> None:
    expected(exchange, "ACQ-1")
    exchange.give("a.bai2", stated(line(COVER, "ACQ-1"), line(700, None), line(-9, None)))
    receiving = (
        "UPDATE acquirer_settlements SET (status, received_as, received_at, ledger_transaction,"
        " line_id) = ('received', '{}', now(), uuidv7(), (SELECT id FROM bank_lines"
        " WHERE amount = {}))"
    )
    another = (
        "INSERT INTO acquirer_settlements (id, merchant_id, livemode, gross, refunds, returns,"
        " disputes, costs, net, created_at, expected_on, connector, currency, reference)"
        " VALUES (uuidv7(), 1001, {}, 10, 0, 0, 0, {}, 10, now(), '2026-12-09', 'simulated',"
        " 'USD', '{}')"
    )
    for statement in (
        receiving.format("exact", COVER),  # again
        another.format("false", 1, "X"),  # parts that are not the whole
        another.format("true", 0, "X"),  # live, and one merchant's
        another.format("false", 0, "ACQ-1"),
        "UPDATE bank_lines SET outcome = 'suspense' WHERE outcome = 'acquirer'",
        "UPDATE bank_lines SET outcome = 'acquirer' WHERE amount = -9",
    ):
        with pytest.raises(psycopg.errors.IntegrityError):
            exchange.rows(statement)
    exchange.here.connection.execute(another.format("false", 0, "ACQ-9").encode())
    for how in ("exact", "rule", "tolerance"):  # of a line that is in suspense
        with pytest.raises(psycopg.errors.IntegrityError):
            exchange.rows(receiving.format(how, 700) + " WHERE reference = 'ACQ-9'")


# -- deaths and races


@pytest.mark.parametrize(
    "point",
    [
        "bank.acquirer.before_commit", "bank.acquirer.after_commit", "bank.acquirer.after_told",
        "bank.acquirer.before_sent", "bank.simulated.after_given", "bank.lines.before_commit",
        "bank.lines.before_second_commit", "bank.receive.before_commit",
        "bank.receive.after_commit",
    ],
)  # fmt: skip
def test_a_death_at_each_point(exchange: Exchange, point: str) -> None:
    captured(exchange)
    captured(exchange, currency="EUR")
    exchange.till.be(PAID_ON)
    with exchange.here.dying_at(point) as died:
        for _ in range(4):
            for job in (acquirer.handler, simulated.handler, receive.handler):
                with suppress(JobError):
                    exchange.here.run(job)
    assert died == [point]
    assert said(exchange, "status, received_as") == [("received", "exact")] * 2
    assert [outcome for _, outcome in outcomes(exchange)] == ["acquirer"] * 2
    assert balance(exchange, RECEIVABLE) == 0
    assert exchange.rows("SELECT count(*) FROM journal WHERE kind = 62") == [(2,)]
    assert exchange.files("bank/in/") == exchange.files("bank/simulated/due/") == {}


def test_two_runs_at_once_say_it_once(exchange: Exchange) -> None:
    captured(exchange)
    captured(exchange, currency="EUR")
    exchange.till.be(PAID_ON)
    exchange.here.platform.enter(acquirer.handler.needs)
    made = [Database(exchange.here.platform.store.url("ivy_jobs")) for _ in range(2)]
    start = Barrier(2)

    def go(database: Database) -> int:
        start.wait()
        return simulated_settlements.pay(database)["said"]

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(go, made)) == 2
    for each in made:
        each.close()
    assert len(said(exchange)) == 2
    exchange.bank()
    assert balance(exchange, RECEIVABLE) == 0


def test_whoever_says_what_is_due_waits_for_whoever_does(exchange: Exchange) -> None:
    """Else it speaks of days that the other has spoken of, and takes the stream back to them."""
    captured(exchange)
    exchange.till.be(PAID_ON)
    merchant = exchange.till.account.merchant_id
    other = exchange.here.connection
    other.execute(
        "INSERT INTO acquirer_streams (merchant_id, currency, said_through)"
        " VALUES (%s, 'USD', '0001-01-01')",
        (merchant,),
    )
    database = Database(exchange.here.platform.store.url("ivy_jobs"))
    with ThreadPoolExecutor(1) as pool:
        with other.transaction():
            other.execute("SELECT FROM acquirer_streams FOR UPDATE")
            waiting = pool.submit(simulated_settlements.pay, database)
            waits = "SELECT 1 FROM pg_locks WHERE NOT granted"
            while not waiting.done() and not other.execute(waits).fetchone():
                time.sleep(0.01)
            other.execute("UPDATE acquirer_streams SET said_through = '2026-11-24'")
        assert waiting.result() == {"said": 0, "sent": 0}
    database.close()
    assert said(exchange) == []
    assert exchange.rows("SELECT said_through::text FROM acquirer_streams") == [("2026-11-24",)]


def test_two_lines_at_once_receive_it_once(exchange: Exchange) -> None:
    made = [Database(exchange.here.platform.store.url("ivy_jobs")) for _ in range(2)]
    for number in range(10):
        expected(exchange, f"ACQ-{number}", 100, after_days=number)
        start = Barrier(2)

        def take(which: int, number: int = number, start: Barrier = start) -> None:
            content = stated(line(100, f"ACQ-{number}"), number=100 + 2 * number + which)
            file = bank_receipts.received(livemode=False, name="x", content=content)
            start.wait()
            with made[which].transaction() as tx:
                bank_receipts.record(tx, file, ids.now())

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(take, range(2)))
        assert balance(exchange, RECEIVABLE) == -100 * (number + 1)
    for each in made:
        each.close()
    assert [outcome for _, outcome in outcomes(exchange)].count("acquirer") == 10


# -- any weeks

TOKENS = {"charge": "tok_visa", "dispute": "tok_dispute", "returned": "tok_ach_r01"}

DAYS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["charge", "dispute", "returned", "refund", "win", "euros", "pay"]),
            st.integers(1, 9),
        ),
        max_size=3,
    ),
    min_size=1,
    max_size=6,
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(days=DAYS)
def test_whatever_happens_the_acquirer_owes_what_it_has_not_paid(
    exchange: Exchange, days: list[list[tuple[str, int]]]
) -> None:
    start = exchange.here.clock.at.replace(year=2026, month=11, day=20, hour=9)
    exchange.here.reset(start)
    for number, doings in enumerate(days):
        exchange.here.clock.set(start + timedelta(days=number))
        for what, size in doings:
            _do(exchange, what, size * 1_000)
        exchange.till.run("collect")
        exchange.till.work()
    exchange.here.clock.set(start + timedelta(days=len(days) + 9))
    pay(exchange)
    exchange.bank()
    owed = exchange.rows(
        "SELECT sum(amount)::bigint FROM entries WHERE account_name = %s GROUP BY account",
        RECEIVABLE,
    )
    assert all(amount <= 0 for (amount,) in owed)  # nothing is left to pay, at most to be netted
    assert {how for (how,) in said(exchange, "received_as")} <= {"exact"}
    assert items(exchange) == []
    (law,) = [each for each in proof.LAWS if each.name == "L5"]
    found = exchange.here.connection.execute(law.query).fetchall()
    assert [witness for (witness,) in found if witness] == []


def _do(exchange: Exchange, what: str, amount: int) -> None:
    """Do one thing of a day, if it can be done."""
    till = exchange.till
    if what in TOKENS:
        till.charge(amount=amount, payment_method=TOKENS[what])
    elif what == "euros":
        till.charge(amount=amount, currency="EUR")
    elif what == "pay":
        pay(exchange)
        exchange.bank()
    elif what == "refund":
        refunded_or_not = exchange.rows("SELECT id FROM charges WHERE status = 'succeeded'")
        for (charge,) in refunded_or_not[:1]:
            till.refund(ids.Prefix("ch").write(charge), amount=amount // 10)
            till.work()
    else:
        for (dispute,) in exchange.rows("SELECT id FROM disputes WHERE status = 'needs_response'"):
            till.answer(ids.Prefix("dp").write(dispute), "winning_evidence")
            till.work()
