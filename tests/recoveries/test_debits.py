"""Recovery debits on their way: collected by the bank, refused, or owed again."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files

import psycopg
import pytest
import xmlschema

from functions.connectors import collect
from functions.ledger import proof as prove_own
from functions.outbox import relay
from ivy import errors, ids, recovery_debit_outcomes, recovery_debits
from ivy import simulated_bank_accounts as numbers
from ivy.bank_files import reasons
from ivy.database import Transaction
from tests.bank_accounts import add
from tests.recoveries.collector import COLLECTED, EXECUTED, IBAN, OWED, RETURNED, Collector
from tests.recoveries.debtor import Debtor
from tests.simulation.sandbox import Sandbox
from tests.unit.bank_files.ach_checker import complaints

PAIN_008 = xmlschema.XMLSchema(str(files("sepaxml").joinpath("schemas", "pain.008.001.08.xsd")))


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
    assert collector.told() == COLLECTED
    assert collector.legs() == [
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
    reports = [said for name, said in collector.files("bank/").items() if "pain002" in name]
    assert [b"<OrgnlMsgNmId>pain.008.001.08<" in each for each in reports] == [True]
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
    assert collector.told() == [*COLLECTED, "returned"]


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


@pytest.mark.parametrize("returns", [True, False])
def test_what_a_bank_says_again_changes_nothing(collector: Collector, *, returns: bool) -> None:
    collector.owe()
    collector.debit()
    collector.submit()
    ((debit,),) = collector.rows("SELECT id FROM recovery_debits")
    arrives_on = collector.here.clock.at.date()
    outcomes = [
        lambda tx, of: recovery_debit_outcomes.sent(tx, of, debit, arrives_on),
        lambda tx, of: recovery_debit_outcomes.came_back(tx, of, debit, "account_closed"),
    ]
    if returns:
        outcomes.insert(1, lambda tx, of: recovery_debit_outcomes.collected(tx, of, debit))
    for each in outcomes:
        heard = [collector.by_itself(each) for _ in range(2)]
        assert heard[0] == heard[1]
    ended = heard[0]
    assert (ended.status, ended.failure_code) == (
        "returned" if returns else "failed", "account_closed",
    )  # fmt: skip
    for each in outcomes:
        assert collector.by_itself(each) == ended
    assert len(collector.legs()) == 2 * len(outcomes)
    assert collector.told()[-1] == ended.status
    assert collector.debtor.available() == -OWED


def test_a_debit_that_there_is_not(collector: Collector) -> None:
    """Nor one of somebody else's."""
    collector.owe()
    collector.debit()
    ((theirs,),) = collector.rows("SELECT id FROM recovery_debits")
    other = Collector(Debtor(collector.here, 1))
    for reader, debit in ((collector, ids.new(ids.now())), (other, theirs)):
        written = f"rd_{debit.hex}"
        with pytest.raises(errors.ResourceMissing, match=written):
            reader.by_itself(lambda tx, _, wanted=debit: recovery_debits.lock(tx, wanted))


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
