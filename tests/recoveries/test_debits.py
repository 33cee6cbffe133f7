"""Recovery debits: opened by a mandate, collected by the bank, or owed again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.resources import files
from typing import Any

import psycopg
import pytest
import xmlschema

from functions.bank import receive, resolve, simulated
from functions.bank import suspense as show
from functions.bank_accounts import delete
from functions.connectors import collect
from functions.ledger import proof as prove_own
from functions.ledger import roll_up
from functions.outbox import relay
from functions.payouts import process, submit
from ivy import balance_watch, ids, ledger, recovery_debit_outcomes, recovery_debits
from ivy import simulated_bank_accounts as numbers
from ivy.bank_files import bai2, reasons
from ivy.bank_files.statements import Statement, StatementLine
from ivy.database import Database, Tenant, Transaction
from ivy.serve.commands import CommandError
from ivy.serve.schedules import JobError
from tests.bank.test_receiving import euros_stated, reported
from tests.bank_accounts import add
from tests.faults import points
from tests.recoveries.collector import EXECUTED, MANDATE, OWED, RETURNED, Collector
from tests.recoveries.debtor import Debtor
from tests.recoveries.test_deaths import at_once
from tests.simulation.sandbox import Sandbox
from tests.unit.bank_files.ach_checker import complaints
from tests.webhooks.test_races import wait_for_lock

PAIN_008 = xmlschema.XMLSchema(str(files("sepaxml").joinpath("schemas", "pain.008.001.08.xsd")))
IBAN = "DE89370400440532013000"
COLLECTED = ["created", "in_transit", "collected"]


@pytest.fixture
def collector(debtor: Debtor) -> Collector:
    made = Collector(debtor)
    made.agree()
    return made


def told(collector: Collector) -> list[str]:
    return [each["type"].partition(".")[2] for each in collector.till.told("recovery_debit")]


def legs(collector: Collector) -> list[tuple[str, str, int]]:
    return collector.rows(
        "SELECT kind, account_name, amount FROM entries WHERE kind LIKE 'debit.%%'"
        " ORDER BY ledger_transaction, amount DESC"
    )


# -- the way to the bank and back


def test_it_is_sent_and_collected(collector: Collector) -> None:
    account = collector.owe()
    made = collector.debit()
    assert (made["status"], made["amount"], made["mandate"]) == ("pending", OWED, "IVY-2026-17")
    assert made["bank_account"] == account
    assert collector.debtor.available() == -OWED
    assert collector.submit() == {"finished": 0, "begun": 1, "promised": 1}
    collector.debtor.watch()
    assert collector.debtor.available() == 0
    assert collector.recovery_states() == ["open"]
    (debt,) = collector.debtor.debts()
    assert (debt["available"], debt["debit_amount"], debt["debit_status"]) == (
        0, OWED, "in_transit",
    )  # fmt: skip
    own = collector.here.get(prove_own.handler, collector.till.account).json()
    assert own["holds"], own
    collector.bank(EXECUTED)
    collector.receive()
    assert collector.debits() == [("collected", OWED, None)]
    assert (OWED, "debit") in collector.lines()
    assert collector.rows("SELECT count(*) FROM suspense_items") == [(0,)]
    assert collector.debtor.watch()["ended"] == 1
    assert collector.recovery_states() == ["recovered"]
    assert collector.debtor.debts() == []
    assert told(collector) == COLLECTED
    assert legs(collector) == [
        ("debit.sent", "debit_in_transit", OWED),
        ("debit.sent", "available", -OWED),
        ("debit.collected", "bank:client", OWED),
        ("debit.collected", "debit_in_transit", -OWED),
    ]
    assert collector.rows("SELECT count(*) FROM outbox") == [(0,)]


def test_what_is_on_its_way_is_in_the_merchants_own_proof(collector: Collector) -> None:
    """More is owed than our fees: a bank debit came back of which a part had been refunded."""
    debtor = collector.debtor
    charge = debtor.charge(payment_method="tok_ach_r01", amount=20_000)
    hear(debtor, "2026-11-27 09:30")
    assert debtor.refund(charge, amount=7_000).status == 201
    hear(debtor, "2026-12-02 09:30")
    debtor.watch()
    for at in ("2026-12-08 00:05", "2026-12-14 00:05"):
        debtor.later(at)
    collector.linked("000123456789")
    assert collector.debit()["amount"] >= 7_000
    collector.submit()
    assert collector.debits()[0][0] == "in_transit"
    own = collector.here.get(prove_own.handler, collector.till.account).json()
    assert own["holds"], own


def hear(debtor: Debtor, at: str) -> None:
    """Let it be a time, and hear what the acquirer has to say by then."""
    debtor.be(at)
    debtor.here.platform.make_overdue()
    debtor.here.run(relay.handler)
    debtor.work()
    debtor.here.run(collect.handler)
    debtor.work()


def test_it_goes_out_as_debits_of_ach_only(collector: Collector) -> None:
    collector.owe()
    made = collector.debit()
    collector.submit()
    (content,) = collector.files().values()
    assert complaints(content) == []
    records = content.decode().splitlines()
    (batch,) = [each for each in records if each[0] == "5"]
    assert (batch[1:4], batch[50:53], batch[53:63]) == ("225", "CCD", "RECOVERY  ")
    (entry,) = [each for each in records if each[0] == "6"]
    assert (entry[1:3], int(entry[29:39])) == ("27", OWED)
    assert any(each[0] == "7" and made["id"] in each for each in records)
    (control,) = [each for each in records if each[0] == "8"]
    assert (int(control[20:32]), int(control[32:44])) == (OWED, 0)


def test_a_savings_account_is_debited_as_one(collector: Collector) -> None:
    collector.debtor.accept(collector.debtor.disputed())
    collector.debtor.work()
    collector.debtor.watch()
    collector.debtor.later("2026-11-30 00:05")
    collector.linked("000123456789", account_type="savings")
    collector.debit()
    collector.submit()
    (content,) = collector.files().values()
    assert [each[1:3] for each in content.decode().splitlines() if each[0] == "6"] == ["37"]


def test_it_goes_out_as_a_direct_debit_of_the_sepa(collector: Collector) -> None:
    collector.owe(IBAN, "EUR")
    collector.debit()
    collector.submit()
    (content,) = collector.files().values()
    PAIN_008.validate(content.decode())
    for part in (b"IVY-2026-17", b"2026-11-02", b"DE98ZZZ09999999999", b"B2B", IBAN.encode()):
        assert part in content
    collector.bank()
    assert collector.debits()[0][0] == "in_transit"
    collector.bank(EXECUTED)
    collector.receive()
    collector.debtor.watch()
    assert collector.debits()[0][0] == "collected"
    assert [outcome for _, outcome in collector.lines()].count("debit") == 1
    assert collector.recovery_states() == ["recovered"]


@pytest.mark.parametrize(
    ("number", "code"),
    [(number, code) for number, code in numbers.ACCOUNT_NUMBERS.items() if code],
)
def test_ach_returns_what_was_collected(collector: Collector, number: str, code: str) -> None:
    collector.owe(number)
    collector.debit()
    collector.submit()
    collector.bank(EXECUTED)
    collector.debtor.watch()
    assert collector.recovery_states() == ["recovered"]
    collector.bank(RETURNED)
    collector.receive()
    assert collector.debits() == [("returned", OWED, reasons.ACH[code])]
    debited = [(amount, how) for amount, how in collector.lines() if abs(amount) == OWED]
    assert debited == [(OWED, "debit"), (-OWED, "debit")]
    open_items = collector.rows("SELECT count(*) FROM suspense_items WHERE resolved_at IS NULL")
    assert open_items == [(0,)]
    assert collector.debtor.available() == -OWED
    seen = collector.debtor.watch()  # without the three days: it has had them
    assert (seen["crossed"], seen["opened"]) == (1, 1)
    assert collector.recovery_states() == ["recovered", "open"]
    assert told(collector) == [*COLLECTED, "returned"]


@pytest.mark.parametrize(
    ("number", "code", "at_once"),
    [
        ("DE57370400440000000101", "AC01", True),
        ("DE73370400440000000104", "AC04", True),
        ("DE19370400440000000106", "AC06", False),
        ("DE73370400440000000201", "AG01", False),
    ],
)
def test_a_bank_of_the_sepa_rejects_or_returns(
    collector: Collector, number: str, code: str, *, at_once: bool
) -> None:
    collector.owe(number, "EUR")
    owed = -collector.debtor.balance("EUR")[1]
    collector.debit()
    collector.submit()
    collector.debtor.watch()
    collector.bank()
    for at in (EXECUTED, RETURNED):
        collector.bank(at)
        collector.receive()
    status = "failed" if at_once else "returned"
    assert collector.debits() == [(status, owed, reasons.ISO[code])]
    assert collector.debtor.balance("EUR")[1] == -owed
    collector.debtor.watch()
    assert collector.recovery_states() == ["open"]  # it has not ended meanwhile
    assert collector.rows("SELECT count(*) FROM suspense_items WHERE resolved_at IS NULL") == [(0,)]
    assert collector.debit()["status"] == "pending"


def test_three_kinds_of_orders_share_one_row_of_traces(collector: Collector) -> None:
    account = collector.owe()
    collector.debit()
    add(collector.here.platform, collector.till.account, account_number="000123456780")
    collector.submit()
    collector.bank(EXECUTED)
    collector.debtor.charge()
    collector.debtor.later("2026-12-04 00:05")
    collector.pay(account, 500)
    collector.submit()
    traces = collector.rows("SELECT kind, trace FROM bank_orders WHERE bank_file IS NOT NULL")
    assert Counter(kind for kind, _ in traces) == {
        "micro_deposit": 2, "recovery_debit": 1, "payout": 1,
    }  # fmt: skip
    assert len({trace for _, trace in traces}) == 4


# -- refusals


def refusal(answer: dict[str, Any]) -> str:
    return str(answer["errors"][0]["code"] if "errors" in answer else answer["code"])


def test_what_is_refused(collector: Collector) -> None:
    account = collector.owe()
    collector.agree(None)
    assert refusal(collector.debit()) == "no_mandate"
    collector.agree()
    assert refusal(collector.debit(amount=OWED + 1)) == "too_much"
    assert refusal(collector.debit(amount=0)) != "too_much"
    assert refusal(collector.debit(bank_account="ba_" + "0" * 32)) == "resource_missing"
    assert refusal(collector.debit(recovery="rcv_" + "0" * 32)) == "resource_missing"
    live = collector.debtor.name.replace("test", "live")
    assert refusal(collector.debit(account=live)) == "resource_missing"
    other = Debtor(collector.here, 1)
    assert refusal(collector.debit(account=other.name)) == "resource_missing"
    made = collector.here.platform.request(
        delete.handler, bearer=collector.till.account.secret_key, id=account
    )
    assert made.status == 200
    assert refusal(collector.debit()) == "missing"
    collector.linked("000123456789")
    assert collector.debit(amount=1_000)["amount"] == 1_000
    assert refusal(collector.debit()) == "debit_open"
    assert collector.debits() == [("pending", 1_000, None)]


def test_nothing_is_collected_in_pounds(collector: Collector) -> None:
    collector.owe("GB29NWBK60161331926819", "GBP")
    assert refusal(collector.debit()) == "no_format"


def test_live_mode_wants_an_account_of_ours_first(collector: Collector) -> None:
    """What a merchant of live mode would be told: there is no row of originators for it."""
    collector.owe(IBAN, "EUR")
    with psycopg.connect(collector.here.platform.store.url("postgres")) as root:
        root.execute("UPDATE ivy.bank_originators SET creditor_id = NULL")
        root.commit()
        try:
            assert refusal(collector.debit()) == "no_originator"
        finally:
            root.execute(
                "UPDATE ivy.bank_originators SET creditor_id = 'DE98ZZZ09999999999'"
                " WHERE currency = 'EUR'"
            )
            root.commit()


def test_a_debt_that_was_netted_is_not_collected(collector: Collector) -> None:
    collector.owe()
    collector.debtor.charge()
    collector.debtor.be("2026-12-02 00:05")
    collector.here.settle()
    assert refusal(collector.debit()) == "resource_missing"


def test_a_mandate_that_was_withdrawn_holds_the_debit_back(collector: Collector) -> None:
    collector.owe()
    collector.debit()
    collector.agree(None)
    collector.submit()
    assert collector.debits() == [("pending", OWED, None)]
    assert collector.files() == {}
    assert collector.cancel()["status"] == "canceled"


def test_the_mandate_is_the_operators_to_record(collector: Collector) -> None:
    seen = collector.agree()
    assert seen["debit_mandate"] == MANDATE
    changed = [each["data"]["debit_mandate"] for each in collector.till.told("merchant")]
    assert changed == [MANDATE]
    assert collector.agree()["version"] == seen["version"]
    assert collector.agree(None)["debit_mandate"] is None
    assert collector.agree({"reference": "has blanks", "signed_on": "2026-11-02"})["code"] == (
        "request_invalid"
    )


def test_a_mandate_that_is_not_signed_yet_allows_nothing(collector: Collector) -> None:
    collector.owe()
    collector.agree(MANDATE | {"signed_on": "2026-12-01"})
    assert refusal(collector.debit()) == "no_mandate"
    collector.debtor.be("2026-12-01 09:00")
    assert collector.debit()["status"] == "pending"


# -- taken back, netted


def test_one_in_no_file_is_taken_back(collector: Collector) -> None:
    collector.owe()
    collector.debit()
    assert collector.cancel()["status"] == "canceled"
    assert collector.cancel()["code"] == "resource_missing"
    assert told(collector) == ["created", "canceled"]
    collector.debit()
    collector.submit()
    assert refusal(collector.cancel()) == "debit_sent"
    assert [status for status, *_ in collector.debits()] == ["canceled", "in_transit"]


def test_one_in_no_file_is_not_needed_when_the_debt_was_netted(collector: Collector) -> None:
    collector.owe()
    collector.debit()
    collector.debtor.charge()
    collector.debtor.later("2026-12-02 00:05")
    assert collector.debits() == [("canceled", OWED, None)]
    assert collector.recovery_states() == ["recovered"]
    assert collector.rows("SELECT canceled_by FROM recovery_debits") == [("ivy",)]


def test_one_of_more_than_is_owed_by_then_is_not_collected(collector: Collector) -> None:
    """Netted in part, and nobody has looked yet: the rest alone is to be had."""
    collector.owe()
    collector.debit()
    collector.debtor.charge(amount=1_000)
    collector.debtor.be("2026-12-02 00:05")
    collector.here.settle()
    owed = -collector.debtor.available()
    assert 0 < owed < OWED
    collector.submit()
    assert (collector.debits(), collector.files()) == ([("pending", OWED, None)], {})
    collector.debtor.watch()
    assert collector.debits() == [("canceled", OWED, None)]
    assert collector.rows("SELECT canceled_by FROM recovery_debits") == [("ivy",)]
    assert collector.recovery_states() == ["open"]
    assert collector.debit()["amount"] == owed
    collector.submit()
    collector.debtor.watch()
    assert collector.debits()[-1] == ("in_transit", owed, None)
    assert collector.debtor.available() == 0


def test_one_of_a_mandate_that_was_given_anew_is_not_collected(collector: Collector) -> None:
    """The bank would be told a day on which what is in force was not signed."""
    collector.owe()
    collector.debit()
    collector.agree(None)
    collector.agree(MANDATE | {"signed_on": "2026-11-30"})
    collector.submit()
    assert (collector.debits(), collector.files()) == ([("pending", OWED, None)], {})


def test_a_debit_that_fails_as_its_recovery_would_end(collector: Collector) -> None:
    """Who waits for the failure has seen the balance that it lowers."""
    collector.owe()
    collector.debit()
    collector.submit()
    collector.here.run(roll_up.handler)
    ((debit,),) = collector.rows("SELECT id FROM recovery_debits")
    store = collector.here.platform.store
    failing = Database(store.url("ivy_app"))
    tenant = Tenant(collector.debtor.account.merchant_id, livemode=False)
    watching = Database(store.url("ivy_jobs"))
    with ThreadPoolExecutor(1) as pool:
        with failing.transaction(tenant) as tx:
            recovery_debit_outcomes.came_back(tx, tenant, debit, "account_closed")
            seen = pool.submit(balance_watch.look, watching, ids.now())
            wait_for_lock(collector.here.connection, seen)
        assert seen.result().crossed == 1
    failing.close()
    watching.close()
    collector.debtor.watch()
    assert collector.debits() == [("failed", OWED, "account_closed")]
    assert collector.recovery_states() == ["open"]


def test_one_on_its_way_keeps_its_recovery_open(collector: Collector) -> None:
    """Netted meanwhile, what it brings is the merchant's."""
    collector.owe()
    collector.debit()
    collector.submit()
    collector.debtor.charge()
    collector.debtor.later("2026-12-02 00:05")
    assert collector.recovery_states() == ["open"]
    collector.bank("2026-12-02 09:00")
    collector.receive()
    collector.debtor.watch()
    assert collector.recovery_states() == ["recovered"]
    assert collector.debtor.available() == 9_680


def test_part_of_a_debt_is_collected_and_the_rest_is_left(collector: Collector) -> None:
    collector.owe()
    collector.debit(amount=1_000)
    collector.submit()
    collector.bank(EXECUTED)
    collector.receive()
    collector.debtor.watch()
    assert collector.recovery_states() == ["open"]
    assert collector.debit()["amount"] == OWED - 1_000


def test_nothing_is_written_off_while_a_debit_is_open(collector: Collector) -> None:
    collector.owe()
    collector.debtor.propose()
    collector.debit(amount=1_000)
    for _ in range(2):
        assert collector.debtor.propose()["code"] == "resource_missing"
        assert "may still pay it" in collector.debtor.approve()["detail"]
        collector.submit()
    collector.bank(EXECUTED)
    assert collector.debtor.approve()["written_off"] == OWED - 1_000


def test_live_mode_alone_raises_the_alarm(collector: Collector) -> None:
    collector.owe()
    collector.debit()
    collector.debtor.be("2026-12-10 12:00")
    with psycopg.connect(collector.here.platform.store.url("postgres")) as root:
        root.execute("SET session_replication_role = replica")
        root.execute("SET search_path = ivy")
        at = collector.here.clock.at
        assert recovery_debits.oldest_open_days(Transaction(root), at) == 0
        root.execute("UPDATE recovery_debits SET livemode = true")
        assert recovery_debits.oldest_open_days(Transaction(root), at) == 10
        root.rollback()


# -- lines of statements


def stated(*lines: tuple[int, str | None], number: int = 7) -> bytes:
    booked = [
        StatementLine(amount, ids.now().date(), "REF", reference, "ACH")
        for amount, reference in lines
    ]
    total = sum(line.amount_minor for line in booked)
    statement = Statement(
        account="900000000001", currency="USD", statement_id=f"S{number}", on=booked[0].booked_on,
        opening_minor=10_000, closing_minor=10_000 + total, lines=tuple(booked),
    )  # fmt: skip
    return bai2.write(
        [statement], sender="BANK", receiver="IVY", created_at=ids.now(), number=number
    )


def items(collector: Collector) -> list[tuple[int, str | None]]:
    return collector.rows("SELECT amount, resolved_as FROM suspense_items ORDER BY amount, id")


def test_a_return_on_a_statement_waits_in_suspense_for_its_file(collector: Collector) -> None:
    collector.owe("000123000002")
    made = collector.debit()
    collector.submit()
    collector.bank(EXECUTED)
    collector.receive()
    collector.give("early.bai2", stated((-OWED, made["id"])))
    assert items(collector) == [(-OWED, None)]
    collector.till.be(RETURNED)
    collector.here.run(simulated.handler)
    for key in [each for each in collector.files("bank/in/") if each.endswith(".bai2")]:
        collector.s3.delete_object(Bucket=collector.bucket, Key=key)
    collector.receive()
    collector.receive()
    assert collector.debits()[0][0] == "returned"
    assert items(collector) == [(-OWED, "debit")]
    assert collector.lines()[-1][1] in {"debit", "deposit"}


def test_one_that_failed_takes_no_line(collector: Collector) -> None:
    """The bank refused it, and then says that it has the money: it gives that back, or it stays."""
    collector.owe("000123000002")
    made = collector.debit()
    collector.submit()
    collector.till.be(RETURNED)
    collector.here.run(simulated.handler)
    for key in [each for each in collector.files("bank/in/") if each.endswith(".bai2")]:
        collector.s3.delete_object(Bucket=collector.bucket, Key=key)
    collector.receive()
    assert collector.debits()[0][0] == "failed"
    collector.give("late.bai2", stated((OWED, made["id"])))
    assert items(collector) == [(OWED, None)]
    collector.give("back.bai2", stated((-OWED, made["id"]), number=8))
    assert items(collector) == [(-OWED, "opposite"), (OWED, "opposite")]


@pytest.mark.parametrize("together", [False, True])
def test_a_refusal_after_it_was_collected_waits_for_the_money(
    collector: Collector, *, together: bool
) -> None:
    collector.owe(IBAN, "EUR")
    owed = -collector.debtor.balance("EUR")[1]
    made = collector.debit()
    collector.submit()
    said = {"paid.xml": ("ACSC", None), "refused.xml": ("RJCT", "AC04")}
    for name, (status, reason) in said.items():
        content = reported(collector, made["id"], status, reason)
        if together:  # both are heard before either is carried out
            key = f"bank/in/test/{name}"
            collector.s3.put_object(Bucket=collector.bucket, Key=key, Body=content)
        else:
            collector.give(name, content)
    collector.receive()
    assert collector.receive()["promised"] == 0
    assert collector.debits() == [("collected", owed, None)]
    refused = collector.debtor.command(show.handler)["refused"]
    assert [(each["payout"], each["debit"]) for each in refused] == [(None, made["id"])]
    for number, amount in enumerate((owed, -owed)):
        line = StatementLine(amount, ids.now().date(), "B", made["id"], "SDD")
        collector.give(f"{number}.xml", euros_stated(line, name=f"S{number}"))
        collector.receive()
        assert collector.debits()[0][0] == ("collected" if number == 0 else "returned")
    assert collector.debits() == [("returned", owed, "account_closed")]
    assert [outcome for _, outcome in collector.lines()] == ["debit", "debit"]
    assert collector.debtor.command(show.handler)["refused"] == []


def test_an_operator_gives_a_debit_its_line(collector: Collector) -> None:
    collector.owe()
    made = collector.debit()
    collector.submit()
    collector.give("cut.bai2", stated((OWED, "rd_cut"), (-5, None)))
    by_amount = {
        each["amount"]: each["id"] for each in collector.debtor.command(show.handler)["data"]
    }

    def explain(amount: int, **said: Any) -> dict[str, Any]:
        named = {"item": by_amount[amount], "by": "grace", "reason": "seen"}
        return collector.debtor.command(resolve.handler, **(named | said))

    assert refusal(explain(OWED, resolved_as="debit")) == "missing"
    assert refusal(explain(OWED, resolved_as="payout", debit=made["id"])) == "not_wanted"
    assert refusal(explain(-5, resolved_as="debit", debit=made["id"])) == "other_amount"
    assert explain(OWED, resolved_as="debit", debit=made["id"])["changed"]
    assert explain(OWED, resolved_as="debit", debit=made["id"])["changed"] is False
    collector.receive()
    collector.receive()
    assert collector.debits()[0][0] == "collected"
    assert (OWED, "debit") in collector.lines()
    assert explain(-5, resolved_as="loss")["changed"]


# -- the table


@pytest.mark.parametrize(
    "change",
    [
        "amount = amount - 1",
        "mandate = 'OTHER'",
        "status = 'collected', version = version + 1",
        "status = 'in_transit', version = version + 1",  # it is in no file
        "status = 'canceled', version = version + 1",  # by nobody
        "bank_file = (SELECT id FROM bank_files WHERE kind = 'micro_deposit')",
    ],
)
def test_the_table_refuses_what_is_no_change(collector: Collector, change: str) -> None:
    collector.owe()
    collector.debit()
    collector.agree(None)
    add(collector.here.platform, collector.till.account, account_number="000123456780")
    collector.submit()
    with psycopg.connect(collector.here.platform.store.url("postgres")) as root:
        root.execute("SET search_path = ivy")
        with pytest.raises(psycopg.errors.CheckViolation):
            root.execute(f"UPDATE recovery_debits SET {change}".encode())


@pytest.mark.parametrize(
    "changed",
    [
        "recovery_id = (SELECT id FROM recoveries LIMIT 1), mandate = 'OTHER'",
        "mandate_signed_on = '2020-01-01'",
        "currency = 'EUR'",
        "bank_account_id = gen_random_uuid()",
        "status = 'pending'",  # a second that is open
    ],
)
def test_the_table_refuses_what_is_not_allowed(collector: Collector, changed: str) -> None:
    collector.owe()
    collector.debit()
    with psycopg.connect(collector.here.platform.store.url("postgres")) as root:
        root.execute("SET search_path = ivy")
        root.execute("CREATE TEMP TABLE copy AS SELECT * FROM recovery_debits")
        root.execute("UPDATE copy SET id = gen_random_uuid(), trace = trace + 1000")
        if "pending" not in changed:
            root.execute("SET LOCAL session_replication_role = replica")
            root.execute("UPDATE recovery_debits SET status = 'canceled', canceled_by = 'x'")
            root.execute("SET LOCAL session_replication_role = origin")
        root.execute(f"UPDATE copy SET {changed}".encode())
        with pytest.raises(psycopg.errors.IntegrityError):
            root.execute("INSERT INTO recovery_debits SELECT * FROM copy")


def test_a_recovery_does_not_end_before_its_debit(collector: Collector) -> None:
    collector.owe()
    collector.debit()
    database = Database(collector.here.platform.store.url("ivy_jobs"))
    tenant = Tenant(collector.debtor.account.merchant_id, livemode=False)
    with pytest.raises(psycopg.errors.CheckViolation), database.transaction(tenant) as tx:
        tx.run("UPDATE recoveries SET status = 'recovered', version = version + 1")


# -- deaths and races


def test_every_point_is_died_at() -> None:
    assert points.of(*points.OF_DEBITS) == sorted(
        ["balances.watch.before_recovery", "recovery_debit.begin.before_commit",
         "recovery_debit.cancel.before_commit", "recovery_debit.came_back.before_commit",
         "recovery_debit.collected.before_commit", "recovery_debit.sent.before_commit"]
    )  # fmt: skip


@pytest.mark.parametrize("point", points.of(*points.OF_DEBITS))
def test_a_death_at_each_point(collector: Collector, point: str) -> None:
    collector.owe("000123000002")
    died: list[str] = []

    def again(work: Callable[[], Any]) -> None:
        """Let it die on the first way, if the point is on it, and be done again."""
        with collector.here.dying_at(point) as here:
            for _ in range(3):
                with suppress(JobError, CommandError):
                    work()
        died.extend(here)

    def carried_out() -> None:
        collector.here.run(receive.handler)
        collector.here.platform.make_overdue()
        collector.here.run(relay.handler)
        bodies = collector.here.pocket.take("payouts")
        collector.here.hand_over(process.handler, *bodies)

    again(collector.debit)
    again(collector.cancel)
    again(collector.debit)
    collector.here.run(submit.handler)
    again(carried_out)
    collector.debtor.watch()
    collector.till.be(EXECUTED)
    collector.here.run(simulated.handler)
    again(carried_out)
    again(collector.debtor.watch)
    collector.till.be(RETURNED)
    collector.here.run(simulated.handler)
    again(carried_out)
    collector.debtor.watch()
    assert set(died) == {point}
    states = [status for status, *_ in collector.debits()]
    assert states == ["canceled", "returned"]
    assert Counter(told(collector)) == Counter(["created", "canceled", *COLLECTED, "returned"])
    assert collector.debtor.available() == -OWED
    assert collector.recovery_states() == ["recovered", "open"]


def test_two_debits_at_once_open_one(collector: Collector) -> None:
    collector.owe()
    name = collector.debtor.recovery()
    answers = at_once(*(lambda who=who: collector.debit(by=who, recovery=name) for who in "abc"))
    found = Counter(refusal(each) if "code" in each else each["status"] for each in answers)
    assert found == {"pending": 1, "debit_open": 2}
    assert collector.debits() == [("pending", OWED, None)]


def test_without_the_lock_the_table_lets_one_be_opened(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: two that do not see each other meet at the index."""
    monkeypatch.setattr(ledger, "lock_funds", lambda *_: 0)
    monkeypatch.setattr(recovery_debits, "lock_open", lambda *_: None)
    collector.owe()
    collector.debit()
    with pytest.raises((CommandError, psycopg.errors.UniqueViolation)):
        collector.debit()
    assert collector.debits() == [("pending", OWED, None)]


@pytest.mark.parametrize("turn", range(6))
def test_a_debit_and_an_approval_at_once(collector: Collector, turn: int) -> None:
    """One of them takes the debt: it is written off, or collected."""
    assert turn < 6
    collector.owe()
    collector.debtor.propose()
    name = collector.debtor.recovery()
    written, opened = at_once(
        lambda: collector.debtor.approve(recovery=name), lambda: collector.debit(recovery=name)
    )
    assert sorted(("code" in written, "code" in opened)) == [False, True]
    collector.submit()
    assert collector.debtor.available() == 0


def test_two_merchants_are_debited_apart(here: Sandbox, collector: Collector) -> None:
    other = Collector(Debtor(here, 1))
    other.agree()
    other.till.be("2026-11-24 09:00")
    collector.owe()
    other.till.be("2026-11-24 09:00")
    other.owe("000123000002")
    for each in (collector, other):
        each.debit()
    collector.submit()
    collector.bank(EXECUTED)
    collector.bank(RETURNED)
    collector.receive()
    by_merchant = collector.rows("SELECT merchant_id, status FROM recovery_debits")
    assert dict(by_merchant) == {
        collector.debtor.account.merchant_id: "collected",
        other.debtor.account.merchant_id: "returned",
    }
