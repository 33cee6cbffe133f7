"""The whole way: a payout into a file, the bank's answers, and the books."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files

import pytest
import xmlschema
from defusedxml import ElementTree  # type: ignore[import-untyped]  # publishes no types

from functions.bank_accounts import create, delete
from functions.outbox import relay
from functions.payouts import cancel, submit
from functions.payouts import create as create_payout
from ivy import order_files, payouts
from ivy import simulated_bank_accounts as numbers
from ivy.bank_files import Originator, Payment, PaymentFile, UsAccount, nacha, reasons
from tests.bank.exchange import EARNED, EXECUTED, RETURNED, Exchange
from tests.bank_accounts import BY_ROUTING
from tests.unit.bank_files.ach_checker import complaints

SCHEMA = xmlschema.XMLSchema(str(files("sepaxml").joinpath("schemas", "pain.001.001.09.xsd")))
SPACE = "{urn:iso:std:iso:20022:tech:xsd:pain.001.001.09}"
REFUSED_AT_ONCE = {"AC01", "AC04"}


def test_a_payout_goes_out_as_an_ach_file_and_is_paid(exchange: Exchange) -> None:
    exchange.earn()
    payout = exchange.pay(exchange.linked())
    assert exchange.submit() == {"finished": 0, "begun": 1, "promised": 1}
    ((key, content),) = exchange.files().items()
    assert key.startswith("bank/out/test/bf_")
    assert key.endswith(".ach")
    assert complaints(content) == []
    (entry,) = [each for each in content.decode().splitlines() if each[0] == "6"]
    assert (entry[3:12], entry[12:29].strip(), int(entry[29:39])) == (
        "110000000", "000123456789", 1_000,
    )  # fmt: skip
    assert payout in content.decode()
    assert (exchange.seen(payout)["status"], exchange.seen(payout)["arrives_on"]) == (
        "in_transit", "2026-11-30",
    )  # fmt: skip
    assert exchange.bank() == {"taken": 1, "given": 0}
    assert exchange.status(payout) == "in_transit"
    assert exchange.bank(EXECUTED) == {"taken": 0, "given": 1}
    assert exchange.status(payout) == "paid"
    assert exchange.postings(payout) == [40, 41]
    assert exchange.bank(RETURNED) == {"taken": 0, "given": 0}
    assert exchange.files("bank/in/") == {}
    assert [key.rpartition(".")[2] for key in exchange.files("bank/archive/")] == ["bai2"]
    assert exchange.rows("SELECT amount, payout_id IS NOT NULL FROM bank_lines") == [(-1_000, True)]
    assert exchange.rows("SELECT count(*) FROM outbox") == [(0,)]


@pytest.mark.parametrize("number", ["DE89370400440532013000", "GB29NWBK60161331926819"])
def test_a_payout_goes_out_as_a_credit_transfer_and_is_paid(
    exchange: Exchange, number: str
) -> None:
    currency = "GBP" if number.startswith("GB") else "EUR"
    exchange.earn(currency)
    payout = exchange.pay(exchange.linked(number), currency=currency)
    exchange.submit()
    ((key, content),) = exchange.files().items()
    assert key.endswith(".xml")
    SCHEMA.validate(content.decode())
    message = ElementTree.fromstring(content)
    assert [each.text for each in message.iter(SPACE + "EndToEndId")] == [payout.replace("_", "-")]
    assert [each.text for each in message.iter(SPACE + "InstdAmt")] == ["10.00"]
    exchange.bank()
    assert exchange.status(payout) == "in_transit"
    exchange.bank(EXECUTED)
    assert exchange.status(payout) == "paid"
    assert exchange.postings(payout) == [40, 41]
    assert {kind for kind, *_ in exchange.receipts()} == {"pain.002", "camt.053"}


def test_each_number_of_the_documentation_comes_back_with_its_reason(exchange: Exchange) -> None:
    exchange.earn("USD")
    exchange.earn("EUR")
    exchange.earn("GBP")
    codes = {**numbers.ACCOUNT_NUMBERS, **numbers.IBANS}
    payouts = {}
    for number in codes:
        currency = {"DE": "EUR", "GB": "GBP"}.get(number[:2], "USD")
        payouts[number] = exchange.pay(exchange.linked(number), 100, currency)
    before = {each: exchange.till.balance(each)[1] for each in ("USD", "EUR", "GBP")}
    assert exchange.submit()["begun"] == 3
    exchange.bank()
    at_once = [n for n, code in codes.items() if code in REFUSED_AT_ONCE]
    assert {exchange.status(payouts[each]) for each in at_once} == {"failed"}
    exchange.bank(EXECUTED)
    paid = [n for n in codes if n not in at_once]
    assert {exchange.status(payouts[each]) for each in paid} == {"paid"}
    exchange.bank(RETURNED)
    for number, code in codes.items():
        found = exchange.seen(payouts[number])
        wanted = "paid" if code is None else "failed" if number in at_once else "returned"
        failure = {**reasons.ACH, **reasons.ISO}[code] if code else None
        assert (found["status"], found["failure_code"]) == (wanted, failure), number
    after = {each: exchange.till.balance(each)[1] for each in before}
    came_back = {"USD": 900, "EUR": 400, "GBP": 400}
    assert after == {each: before[each] + came_back[each] for each in before}
    assert exchange.rows("SELECT count(*) FROM bank_lines WHERE payout_id IS NULL") == [(0,)]
    assert {status for _, status, *_ in exchange.receipts()} == {"accepted"}


def test_one_file_for_all_payouts_of_a_currency(exchange: Exchange) -> None:
    exchange.earn()
    account = exchange.linked()
    payouts = [exchange.pay(account, 100 + n) for n in range(5)]
    assert exchange.submit() == {"finished": 0, "begun": 1, "promised": 5}
    assert exchange.submit() == {"finished": 0, "begun": 0, "promised": 0}
    exchange.bank(EXECUTED)
    assert {exchange.status(each) for each in payouts} == {"paid"}
    assert exchange.rows("SELECT transfer_count, total, status FROM bank_files") == [
        (5, 510, "sent")
    ]


def test_a_name_that_no_bank_can_read_stops_nobody_else(exchange: Exchange) -> None:
    exchange.earn()
    good, bad = exchange.linked(), exchange.linked("000123456780")
    exchange.here.connection.execute(
        "SET session_replication_role = replica; UPDATE bank_accounts SET account_holder_name ="
        " '世界' WHERE last4 = '6780'; SET session_replication_role = origin"
    )
    payouts = [exchange.pay(each) for each in (bad, good)]
    exchange.submit()
    assert [exchange.status(each) for each in payouts] == ["pending", "in_transit"]
    canceled = exchange.till.post(cancel.handler, {}, id=payouts[0])
    assert canceled.json()["status"] == "canceled"


@pytest.mark.parametrize("name", ["世界", "-" * 22 + "A"])
def test_such_a_name_is_refused_with_the_account(exchange: Exchange, name: str) -> None:
    body = BY_ROUTING | {"account_holder_name": name}
    refused = exchange.till.post(create.handler, body)
    assert (refused.status, refused.code) == (422, "request_invalid")
    assert refused.json()["errors"][0]["pointer"] == "/account_holder_name"


def test_nothing_is_sent_to_an_account_that_was_deleted(exchange: Exchange) -> None:
    exchange.earn()
    account = exchange.linked()
    payout = exchange.pay(account)
    platform = exchange.here.platform
    gone = platform.request(delete.handler, bearer=exchange.till.account.secret_key, id=account)
    assert gone.status == 200
    assert exchange.submit()["begun"] == 0
    assert exchange.status(payout) == "pending"


def test_a_payout_in_a_file_is_not_canceled(exchange: Exchange) -> None:
    exchange.earn()
    payout = exchange.pay(exchange.linked())
    exchange.submit()
    assert exchange.till.post(cancel.handler, {}, id=payout).code == "payout_not_cancelable"


def test_a_canceled_payout_is_in_no_file(exchange: Exchange) -> None:
    exchange.earn()
    payout = exchange.pay(exchange.linked())
    exchange.till.post(cancel.handler, {}, id=payout)
    assert exchange.submit() == {"finished": 0, "begun": 0, "promised": 0}
    assert exchange.files() == {}
    assert exchange.till.balance()[1] == EARNED


def test_a_lost_message_is_sent_again(exchange: Exchange) -> None:
    exchange.earn()
    payout = exchange.pay(exchange.linked())
    exchange.here.run(submit.handler)
    assert len(exchange.tasks()) == 1  # and nobody works on it
    assert exchange.status(payout) == "pending"
    exchange.here.platform.make_overdue()
    exchange.here.run(relay.handler)
    exchange.process()
    assert exchange.status(payout) == "in_transit"


def test_a_sum_that_one_file_cannot_state_goes_in_two(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange.earn()
    account = exchange.linked()
    first, second = (exchange.pay(account, amount) for amount in (1_000, 1_001))
    monkeypatch.setattr(order_files, "MAX_TOTAL_MINOR", 2_000)
    exchange.submit()
    assert [exchange.status(each) for each in (first, second)] == ["in_transit", "pending"]
    exchange.submit()
    assert exchange.status(second) == "in_transit"
    assert len(exchange.files("bank/out/")) == 2


def test_a_file_of_the_largest_payouts_can_be_written() -> None:
    count = order_files.MAX_TOTAL_MINOR // payouts.MAX_AMOUNT_MINOR
    transfers = tuple(
        Payment(
            end_to_end_id=f"po_{trace:032x}",
            trace=trace,
            amount_minor=payouts.MAX_AMOUNT_MINOR,
            currency="USD",
            party_name="ANALYTICAL ENGINES",
            party=UsAccount("110000000", "000123456789"),
        )
        for trace in range(1, count + 1)
    )
    originator = Originator("IVY", "IVYTEST001", UsAccount("110000000", "900000000001"), "BANK")
    at = datetime(2026, 11, 27, tzinfo=UTC)
    assert nacha.write(PaymentFile("bf_1", at, at.date(), originator, "USD", transfers))


def test_more_than_a_transfer_holds_is_refused(exchange: Exchange) -> None:
    body = {"currency": "USD", "amount": payouts.MAX_AMOUNT_MINOR + 1}
    refused = exchange.till.post(create_payout.handler, body)
    assert (refused.status, refused.json()["errors"][0]["pointer"]) == (422, "/amount")
