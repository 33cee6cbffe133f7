"""Lines of statements in the books: each is a payout's posting or in suspense; none vanishes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date, timedelta
from threading import Barrier
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.bank import report, resolve
from functions.bank import suspense as show
from ivy import bank_receipts, ids, suspense
from ivy.bank_files import camt053, pain002
from ivy.bank_files.statements import Statement, StatementLine
from ivy.database import Database
from ivy.serve.schedules import JobError
from tests.bank.exchange import EXECUTED, RETURNED, Exchange
from tests.bank.test_receiving import DAY, IBAN, NOON, STRANGER, file_of, line, returned, stated
from tests.driving import LambdaContext

COVER = 5_000
"""Of our own money, so that what leaves unexplained is not missed by law L11."""


@pytest.fixture
def payout(exchange: Exchange) -> str:
    """A payout in USD that the bank was told of."""
    exchange.earn()
    made = exchange.pay(exchange.linked())
    exchange.submit()
    return made


def outcomes(exchange: Exchange) -> list[tuple[int, str]]:
    return exchange.rows("SELECT amount, outcome FROM bank_lines ORDER BY amount, outcome")


def balance(exchange: Exchange, account: str) -> int:
    ((found,),) = exchange.rows(
        "SELECT coalesce(sum(amount), 0)::bigint FROM entries WHERE account_name = %s", account
    )
    return int(found)


def items(exchange: Exchange) -> list[tuple[int, str | None]]:
    return exchange.rows("SELECT amount, resolved_as FROM suspense_items ORDER BY amount, id")


def run(exchange: Exchange, command: Any, **said: Any) -> Any:
    exchange.here.platform.enter(command.needs)
    return command(said, LambdaContext())


def open_items(exchange: Exchange) -> list[dict[str, Any]]:
    return list(run(exchange, show.handler)["data"])


def explain(exchange: Exchange, item: str, resolved_as: str, **said: Any) -> Any:
    return run(
        exchange, resolve.handler, item=item, resolved_as=resolved_as, by="grace", reason="seen",
        **said,
    )  # fmt: skip


def test_what_is_nobodys_is_posted_with_its_line(exchange: Exchange) -> None:
    exchange.give("a.bai2", stated(line(COVER, "OURS"), line(-300, None)))
    assert outcomes(exchange) == [(-300, "suspense"), (COVER, "suspense")]
    assert balance(exchange, "bank:client") == COVER - 300
    assert balance(exchange, "suspense:bank") == 300 - COVER
    assert exchange.rows("SELECT DISTINCT owner, value_on, kind FROM journal") == [(0, DAY, 60)]
    first, second = open_items(exchange)
    assert {first["amount"], second["amount"]} == {COVER, -300}
    assert {each["file"] for each in (first, second)} == {"a.bai2"}
    assert {first["end_to_end_id"], second["end_to_end_id"]} == {"OURS", None}
    assert 0 <= first["age_days"] < 1


def test_how_many_are_open_is_said_beside_those_that_are_shown(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspense, "MAX_SHOWN", 2)
    exchange.give("a.bai2", stated(*[line(COVER, None)] * 3))
    found = run(exchange, show.handler)
    assert (len(found["data"]), found["total"], found["refused"]) == (2, 3, [])
    assert run(exchange, show.handler, currency="EUR")["total"] == 0
    month = run(exchange, report.handler, currency="USD", month="2026-11")
    assert (len(month["open_items"]), month["open_items_total"]) == (2, 3)


def test_a_payouts_line_is_its_own_posting(exchange: Exchange, payout: str) -> None:
    exchange.give("a.bai2", stated(line(-1_000, payout)))
    assert outcomes(exchange) == [(-1_000, "new")]
    assert exchange.status(payout) == "paid"
    exchange.receive()
    assert outcomes(exchange) == [(-1_000, "payout")]
    assert balance(exchange, "bank:client") == -1_000
    assert items(exchange) == []


def test_the_same_file_twice_posts_once(exchange: Exchange) -> None:
    content = stated(line(COVER, None))
    for name in ("a.bai2", "b.bai2"):
        exchange.give(name, content)
    exchange.give("c.bai2", content.replace(b",1200,", b",1201,"))
    assert balance(exchange, "bank:client") == COVER
    assert items(exchange) == [(COVER, None)]
    assert exchange.rows("SELECT opening, closing FROM bank_statements") == [(0, COVER)]


def test_a_rejected_file_posts_nothing(exchange: Exchange) -> None:
    exchange.give("a.bai2", stated(line(COVER, None))[:-40])
    exchange.give("b.bai2", stated(line(COVER, None), account="900000000002"))
    assert exchange.rows("SELECT count(*) FROM journal") == [(0,)]
    assert exchange.rows("SELECT count(*) FROM bank_statements") == [(0,)]


def test_a_second_debit_of_a_payout_is_in_suspense(exchange: Exchange, payout: str) -> None:
    exchange.give("a.bai2", stated(line(-1_000, payout), line(-1_000, payout), line(COVER, "OURS")))
    exchange.receive()
    assert [outcome for _, outcome in outcomes(exchange)] == ["payout", "suspense", "suspense"]
    assert exchange.postings(payout) == [40, 41]
    assert balance(exchange, "bank:client") == COVER - 2_000


def test_a_payout_that_failed_does_not_take_its_line(exchange: Exchange, payout: str) -> None:
    """The bank returned it, and then says that it paid: money is gone until it gives it back."""
    exchange.give("r.ach", returned(exchange, payout))
    exchange.give("t.bai2", stated(line(-1_000, payout), line(COVER, "OURS")))
    exchange.receive()
    assert outcomes(exchange) == [(-1_000, "suspense"), (COVER, "suspense")]
    exchange.give("u.bai2", stated(line(1_000, payout), number=8))
    assert items(exchange) == [(-1_000, "opposite"), (1_000, "opposite"), (COVER, None)]
    assert balance(exchange, "suspense:bank") == -COVER
    assert exchange.status(payout) == "failed"


def test_money_back_before_the_bank_says_whose(exchange: Exchange, payout: str) -> None:
    """BAI2 shows it, and the file of returns says why, days later."""
    exchange.give("a.bai2", stated(line(-1_000, payout)))
    exchange.give("b.bai2", stated(line(1_000, payout), number=8))
    assert outcomes(exchange) == [(-1_000, "payout"), (1_000, "suspense")]
    assert balance(exchange, "bank:client") == 0
    exchange.give("r.ach", returned(exchange, payout))
    exchange.receive()
    assert exchange.status(payout) == "returned"
    assert outcomes(exchange) == [(-1_000, "payout"), (1_000, "payout")]
    assert items(exchange) == [(1_000, "payout")]
    assert balance(exchange, "bank:client") == balance(exchange, "suspense:bank") == 0
    reversals = exchange.rows(
        "SELECT undone.kind, correction.reason FROM journal AS correction"
        " JOIN journal AS undone ON undone.id = correction.reverses"
    )
    assert reversals == [(60, "the payout came back")]


def test_a_payout_that_was_paid_before_its_line_came(exchange: Exchange) -> None:
    exchange.earn("EUR")
    payout = exchange.pay(exchange.linked("DE89370400440532013000"), currency="EUR")
    exchange.submit()
    settled = pain002.Transfer(payout, "ACSC")
    said = pain002.write(pain002.Report("M", NOON, file_of(exchange), None, None, (settled,)))
    exchange.give("r.xml", said)
    assert exchange.status(payout) == "paid"
    assert balance(exchange, "bank:client") == -1_000
    november = run(exchange, report.handler, currency="EUR", month="2026-11")
    assert november["on_its_way"] == {"not_posted": 0, "not_stated": -1_000}
    assert november["difference"] == 0
    debit = StatementLine(-1_000, date(2026, 12, 1), "B", payout, "PAYOUT")
    statement = Statement(IBAN, "EUR", "S1", date(2026, 12, 1), 1_000, 0, (debit,))
    exchange.give("c.xml", camt053.write([statement], message_id="C", created_at=NOON))
    assert outcomes(exchange) == [(-1_000, "payout")]
    assert balance(exchange, "bank:client") == -1_000
    november = run(exchange, report.handler, currency="EUR", month="2026-11")
    assert november["on_its_way"] == {"not_posted": 0, "not_stated": -1_000}
    december = run(exchange, report.handler, currency="EUR", month="2026-12")
    assert december["on_its_way"] == {"not_posted": 0, "not_stated": 0}
    assert (december["statement"]["closing"], december["difference"]) == (-1_000, 0)


# -- what operators find out


def test_an_item_is_given_to_its_payout_once(exchange: Exchange, payout: str) -> None:
    """The bank has cut the reference."""
    exchange.give("a.bai2", stated(line(-1_000, "po_019"), line(COVER, "OURS")))
    (item,) = [each["id"] for each in open_items(exchange) if each["amount"] < 0]
    answer = explain(exchange, item, "payout", payout=payout)
    assert (answer["changed"], answer["ledger_transaction"][:4]) == (True, "ltx_")
    assert explain(exchange, item, "payout", payout=payout) == answer | {"changed": False}
    exchange.receive()
    assert exchange.status(payout) == "paid"
    exchange.receive()
    assert outcomes(exchange) == [(-1_000, "payout"), (COVER, "suspense")]
    assert balance(exchange, "bank:client") == COVER - 1_000
    assert exchange.rows("SELECT resolved_by, reason FROM suspense_items WHERE amount < 0") == [
        ("grace", "seen")
    ]
    assert explain(exchange, item, "loss")["code"] == "resource_missing"


def test_what_comes_back_is_given_to_its_payout(exchange: Exchange, payout: str) -> None:
    exchange.give("a.bai2", stated(line(-1_000, payout), line(1_000, "RETURN")))
    (item,) = [each["id"] for each in open_items(exchange)]
    assert explain(exchange, item, "payout", payout=payout)["changed"]
    exchange.receive()
    exchange.receive()
    assert exchange.seen(payout)["failure_code"] == "returned"
    assert outcomes(exchange) == [(-1_000, "payout"), (1_000, "payout")]


def test_what_an_item_is_not(exchange: Exchange, payout: str) -> None:
    exchange.give("a.bai2", stated(line(-999, payout), line(-1_000, None), line(COVER, "OURS")))
    by_amount = {each["amount"]: each["id"] for each in open_items(exchange)}

    def refused(amount: int, resolved_as: str, **said: Any) -> str:
        answer = explain(exchange, by_amount[amount], resolved_as, **said)
        assert answer["code"] == "request_invalid", answer
        return str(answer["errors"][0]["code"])

    assert refused(-999, "payout", payout=payout) == "other_amount"
    assert refused(-999, "payout") == "missing"
    assert refused(-999, "payout", payout=STRANGER) == "missing"
    assert refused(-999, "rounding") == "too_much"
    assert refused(-999, "loss", payout=payout) == "not_wanted"
    assert explain(exchange, "sus_" + "0" * 32, "loss")["code"] == "resource_missing"
    exchange.give("b.bai2", stated(line(-1_000, payout), number=8))
    assert refused(-1_000, "payout", payout=payout) == "stated"
    assert items(exchange) == [(-1_000, None), (-999, None), (COVER, None)]


def test_a_payout_that_failed_is_given_nothing(exchange: Exchange, payout: str) -> None:
    exchange.give("r.ach", returned(exchange, payout))
    exchange.give("a.bai2", stated(line(-1_000, None), line(COVER, "OURS")))
    item = next(each["id"] for each in open_items(exchange) if each["amount"] < 0)
    answer = explain(exchange, item, "payout", payout=payout)
    assert answer["errors"][0]["code"] == "state"


def test_what_stays_unexplained_is_written_off(exchange: Exchange) -> None:
    exchange.give("a.bai2", stated(line(COVER, None), line(-700, None), line(1, None)))
    by_amount = {each["amount"]: each["id"] for each in open_items(exchange)}
    assert explain(exchange, by_amount[-700], "loss")["changed"]
    assert explain(exchange, by_amount[1], "rounding")["changed"]
    assert not explain(exchange, by_amount[1], "rounding")["changed"]
    assert balance(exchange, "loss:writeoff") == 700
    assert balance(exchange, "rounding") == -1
    assert balance(exchange, "suspense:bank") == -COVER
    assert balance(exchange, "bank:client") == COVER - 699
    assert [each["amount"] for each in open_items(exchange)] == [COVER]


def test_an_acquirers_payment_makes_its_debt_less(exchange: Exchange, payout: str) -> None:
    owed = balance(exchange, "acquirer_receivable:simulated")
    assert owed > 0
    exchange.give("a.bai2", stated(line(owed, "ACQ")))
    (item,) = open_items(exchange)
    for wrong, code in (
        ({"resolved_as": "acquirer"}, "unknown"),
        ({"resolved_as": "acquirer", "connector": "nobody"}, "unknown"),
        ({"resolved_as": "acquirer", "connector": "simulated", "payout": payout}, "not_wanted"),
        ({"resolved_as": "loss", "connector": "simulated"}, "not_wanted"),
        ({"resolved_as": "payout", "connector": "simulated", "payout": payout}, "not_wanted"),
    ):
        assert explain(exchange, item["id"], **wrong)["errors"][0]["code"] == code, wrong
    assert explain(exchange, item["id"], "acquirer", connector="simulated")["changed"]
    assert not explain(exchange, item["id"], "acquirer", connector="simulated")["changed"]
    assert explain(exchange, item["id"], "acquirer", connector="stripe")["code"] == (
        "resource_missing"
    )
    assert balance(exchange, "acquirer_receivable:simulated") == 0
    assert balance(exchange, "bank:client") == owed
    assert balance(exchange, "suspense:bank") == 0


def test_the_database_refuses_what_the_program_would_not_do(exchange: Exchange) -> None:
    exchange.give("a.bai2", stated(line(COVER, None), line(-2, None)))
    item = next(each["id"] for each in open_items(exchange) if each["amount"] < 0)
    explain(exchange, item, "loss")
    refused = [
        (
            "INSERT INTO suspense_items (id, line_id, ledger_transaction, livemode, currency,"
            " amount, opened_at) SELECT uuidv7(), line_id, uuidv7(), livemode, currency, amount,"
            " now() FROM suspense_items"
        ),
        "UPDATE suspense_items SET reason = 'another' WHERE resolved_at IS NOT NULL",
        (
            "UPDATE suspense_items SET (resolution, resolved_at, resolved_as, resolved_by, reason)"
            f" = (uuidv7(), now(), 'rounding', 'me', 'so') WHERE amount = {COVER}"
        ),
        "UPDATE suspense_items SET resolved_at = now() WHERE resolved_at IS NULL",
        "UPDATE bank_lines SET outcome = 'payout'",
    ]
    for statement in refused:
        with pytest.raises(psycopg.errors.IntegrityError):
            exchange.rows(statement)
    jobs = psycopg.connect(exchange.here.platform.store.url("ivy_jobs"))
    for owner, kind in ((0, 41), (exchange.till.account.merchant_id, 60)):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), jobs.transaction():
            jobs.execute(
                "INSERT INTO journal (id, source, owner, livemode, recorded_at, value_on, kind,"
                " a1, v1, a2, v2) VALUES (uuidv7(), uuidv7(), %s, false, now(), now(), %s,"
                " 8400150, 5, 8400180, -5)",
                (owner, kind),
            )
    jobs.close()


# -- deaths and races


@pytest.mark.parametrize("point", ["bank.lines.before_commit", "bank.lines.before_second_commit"])
def test_a_death_while_lines_are_posted(exchange: Exchange, payout: str, point: str) -> None:
    given = stated(line(-1_000, payout), line(COVER, "OURS"))
    with exchange.here.dying_at(point) as died:
        for name in ("a.bai2", "b.bai2", "c.bai2"):
            with suppress(JobError):
                exchange.give(name, given)
            exchange.process()
    exchange.receive()
    assert died == [point]
    assert outcomes(exchange) == [(-1_000, "payout"), (COVER, "suspense")]
    assert balance(exchange, "bank:client") == COVER - 1_000
    assert exchange.files("bank/in/") == {}


def test_a_death_while_an_item_is_resolved(exchange: Exchange, payout: str) -> None:
    exchange.give("a.bai2", stated(line(-1_000, None), line(COVER, "OURS")))
    item = next(each["id"] for each in open_items(exchange) if each["amount"] < 0)
    with exchange.here.dying_at("suspense.resolve.before_commit"):
        with pytest.raises(Exception, match="resolve"):
            explain(exchange, item, "payout", payout=payout)
        assert outcomes(exchange)[0] == (-1_000, "suspense")
        assert explain(exchange, item, "payout", payout=payout)["changed"]
    exchange.receive()
    exchange.receive()
    assert exchange.status(payout) == "paid"
    assert outcomes(exchange)[0] == (-1_000, "payout")


@pytest.fixture
def two(exchange: Exchange) -> Iterator[list[Database]]:
    made = [Database(exchange.here.platform.store.url("ivy_jobs")) for _ in range(2)]
    yield made
    for each in made:
        each.close()


def test_two_receivers_of_one_file_post_it_once(exchange: Exchange, two: list[Database]) -> None:
    for number in range(12):
        file = bank_receipts.received(
            livemode=False, name="x", content=stated(line(100, None), number=100 + number)
        )
        start = Barrier(2)

        def take(
            database: Database, file: Any = file, start: Barrier = start
        ) -> bank_receipts.Receipt:
            start.wait()
            with database.transaction() as tx:
                return bank_receipts.record(tx, file, ids.now())

        with ThreadPoolExecutor(2) as pool:
            taken = [pool.submit(take, database) for database in two]
        failed = [each.exception() for each in taken if each.exception()]
        assert all(isinstance(each, psycopg.errors.UniqueViolation) for each in failed), failed
        assert balance(exchange, "bank:client") == 100 * (number + 1)


def test_two_runs_place_waiting_lines_once(
    exchange: Exchange, payout: str, two: list[Database]
) -> None:
    exchange.give("r.ach", returned(exchange, payout))
    for number in range(8):
        lines = (line(-1_000, payout), line(1_000, payout), line(1, None))
        exchange.give(f"{number}.bai2", stated(*lines, number=50 + number))
    start = Barrier(2)

    def look(database: Database) -> None:
        start.wait()
        with database.transaction() as tx:
            bank_receipts.answered(tx)

    with ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(look, database) for database in two]:
            each.result()
    exchange.receive()
    assert [each for each in items(exchange) if each[1] != "opposite"] == [(1, None)] * 8
    assert balance(exchange, "bank:client") == 8


# -- a month


def test_a_month_adds_up(exchange: Exchange) -> None:
    exchange.earn()
    good, bad = (exchange.pay(exchange.linked(n)) for n in ("000123456789", "000123000002"))
    exchange.submit()
    exchange.bank()
    exchange.bank(EXECUTED)
    exchange.give("x.bai2", stated(line(COVER, None), number=90))
    exchange.bank(RETURNED)
    exchange.receive()
    assert (exchange.status(good), exchange.status(bad)) == ("paid", "returned")
    november = run(exchange, report.handler, currency="USD", month="2026-11")
    december = run(exchange, report.handler, currency="USD", month="2026-12")
    assert november["statement"] == {
        "opening": 0,
        "lines": [
            {"kind": "payouts", "count": 2, "amount": -2_000},
            {"kind": "suspense", "count": 1, "amount": COVER},
        ],
        "closing": COVER - 2_000,
    }
    assert december["statement"] == {
        "opening": COVER - 2_000,
        "lines": [{"kind": "payouts_returned", "count": 1, "amount": 1_000}],
        "closing": COVER - 1_000,
    }
    for month in (november, december):
        statement = month["statement"]
        total = sum(each["amount"] for each in statement["lines"])
        assert statement["opening"] + total == statement["closing"]
        assert month["books"]["closing"] == statement["closing"]
        assert (month["difference"], month["on_its_way"]) == (0, {"not_posted": 0, "not_stated": 0})
        assert [each["amount"] for each in month["open_items"]] == [COVER]
    assert november["stated"]["statements"] == 2
    other = run(exchange, report.handler, currency="EUR", month="2026-11")
    assert (other["statement"]["closing"], other["books"]["closing"]) == (0, 0)
    live = run(exchange, report.handler, currency="USD", month="2026-11", livemode=True)
    assert live["statement"]["closing"] == 0


def test_balances_that_do_not_follow_on_are_told(exchange: Exchange) -> None:
    for number, (opening, amount) in enumerate(((100, 50), (150, -20), (131, 5))):
        day = DAY - timedelta(days=5 - number)
        lines = (StatementLine(amount, day, "R", None, "X"),)
        made = Statement(IBAN, "EUR", f"S{number}", day, opening, opening + amount, lines)
        content = camt053.write([made], message_id=f"C{number}", created_at=NOON)
        exchange.give(f"{number}.xml", content)
        stated_now = run(exchange, report.handler, currency="EUR", month="2026-11")["stated"]
        assert stated_now == {
            "statements": number + 1,
            "opening": 100,
            "closing": opening + amount,
            "continuous": number < 2,
        }


# -- any statement

FAR_FROM_REAL = st.lists(
    st.tuples(
        st.sampled_from([-1_000, -400, -300, -1, 1, 300, 400, 1_000]),
        st.sampled_from(["first", "second", "failed", "nobody", "somebody"]),
    ),
    min_size=1,
    max_size=6,
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=FAR_FROM_REAL)
def test_whatever_is_stated_is_in_the_books(
    exchange: Exchange, several: dict[str, str | None], drawn: list[tuple[int, str]]
) -> None:
    """Payouts are paid by these lines alone, so that nothing but their sum has moved."""
    ((number,),) = exchange.rows("SELECT 200 + count(*) FROM bank_receipts")
    lines = [line(amount, several[whose]) for amount, whose in drawn]
    exchange.give(f"{number}.bai2", stated(*lines, number=number))
    exchange.receive()
    exchange.receive()
    ((total, waiting),) = exchange.rows(
        "SELECT sum(amount)::bigint, count(*) FILTER (WHERE outcome = 'new') FROM bank_lines"
    )
    assert waiting == 0
    assert balance(exchange, "bank:client") == total
    in_suspense = exchange.rows(
        "SELECT coalesce(sum(amount), 0)::bigint FROM suspense_items WHERE resolved_at IS NULL"
    )
    assert in_suspense == [(-balance(exchange, "suspense:bank"),)]
    twice = exchange.rows(
        "SELECT payout_id FROM bank_lines WHERE outcome = 'payout'"
        " GROUP BY payout_id, amount > 0 HAVING count(*) > 1"
    )
    assert twice == []


@pytest.fixture
def several(exchange: Exchange, payout: str) -> dict[str, str | None]:
    account = exchange.linked("000123000031")
    made = {"first": payout}
    made |= {name: exchange.pay(account, amount) for name, amount in FURTHER.items()}
    exchange.submit()
    changed = {"amount_minor": 300}
    exchange.give("r.ach", returned(exchange, made["failed"], **changed))
    exchange.give("cover.bai2", stated(line(1_000_000, None), number=199))
    assert exchange.status(made["failed"]) == "failed"
    return {**made, "nobody": None, "somebody": "SOMEBODY"}


FURTHER = {"second": 400, "failed": 300}
