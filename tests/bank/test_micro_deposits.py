"""Micro-deposits: the two amounts go to the bank, come back from it, and are in our books alone."""

from __future__ import annotations

from contextlib import suppress
from importlib.resources import files
from typing import Any

import pytest
import xmlschema

from functions.bank import receive, simulated
from functions.bank_accounts import create, delete, get, verify
from functions.ledger import get_transaction
from functions.ledger import proof as prove_own
from functions.outbox import relay
from functions.payouts import process, submit
from ivy import ids
from ivy.bank_files import bai2
from ivy.bank_files.statements import Statement, StatementLine
from ivy.serve.schedules import JobError
from tests.bank.exchange import EXECUTED, RETURNED, Exchange
from tests.bank_accounts import RIGHT, live_key, open_live
from tests.unit.bank_files.ach_checker import complaints

SCHEMA = xmlschema.XMLSchema(str(files("sepaxml").joinpath("schemas", "pain.001.001.09.xsd")))
TOLD = ["created", "deposits_sent"]
POINTS = [
    "payouts.submit.before_commit", "payouts.submit.after_prepare", "payouts.submit.after_put",
    "payouts.submit.before_sent", "payouts.submit.after_sent", "payout.process.after_commit",
    "bank.accounts.before_commit", "bank.simulated.after_due", "bank.simulated.after_given",
    "bank.receive.before_commit", "bank.receive.after_commit", "bank.receive.after_promise",
    "bank.receive.after_move", "bank.lines.before_commit",
]  # fmt: skip


def body(number: str) -> dict[str, Any]:
    named: dict[str, Any] = {"account_holder_name": "Analytical Engines"}
    if number[:2].isalpha():
        currency = "GBP" if number.startswith("GB") else "EUR"
        return named | {"country": number[:2], "currency": currency, "iban": number}
    us = {"country": "US", "currency": "USD", "routing_number": "110000000"}
    return named | us | {"account_number": number}


def added(exchange: Exchange, number: str = "000123456789") -> str:
    exchange.till.be("2026-11-27 09:00")
    made = exchange.till.post(create.handler, body(number))
    assert made.status == 201, made.body
    return str(made.json()["id"])


def seen(exchange: Exchange, account: str) -> Any:
    return exchange.here.get(get.handler, exchange.till.account, id=account).json()


def told(exchange: Exchange, account: str) -> list[str]:
    """Return what an account's events say happened, oldest first."""
    found = exchange.till.told("bank_account")
    return [each["type"].partition(".")[2] for each in found if each["data"]["id"] == account]


def deposits(exchange: Exchange) -> list[Any]:
    """Return of each deposit: amount, whether it left, whether it came back, and why."""
    return exchange.rows(
        "SELECT amount, ledger_transaction IS NOT NULL, returned_as IS NOT NULL, failure_code"
        " FROM micro_deposits ORDER BY amount"
    )


def posted(exchange: Exchange) -> list[Any]:
    return exchange.rows("SELECT owner, kind, a1, v1, a2 FROM journal ORDER BY kind, abs(v1)")


def placed(exchange: Exchange) -> list[Any]:
    return exchange.rows("SELECT outcome, amount FROM bank_lines ORDER BY amount")


def test_the_amounts_go_out_as_account_verification(exchange: Exchange) -> None:
    account = added(exchange)
    assert exchange.submit() == {"finished": 0, "begun": 1, "promised": 1}
    ((key, content),) = exchange.files().items()
    assert key.endswith(".ach")
    assert complaints(content) == []
    records = content.decode().splitlines()
    (batch,) = [each for each in records if each[0] == "5"]
    assert (batch[1:4], batch[50:53], batch[53:63]) == ("220", "CCD", "ACCTVERIFY")
    entries = [each for each in records if each[0] == "6"]
    assert [(each[1:3], int(each[29:39])) for each in entries] == [("22", 32), ("22", 45)]
    after = seen(exchange, account)
    assert (after["status"], after["version"]) == ("pending_verification", 2)
    assert after["verification"]["deposits_arrive_on"] == "2026-11-30"
    assert exchange.bank(EXECUTED)["given"] == 1
    assert deposits(exchange) == [(32, True, False, None), (45, True, False, None)]
    assert posted(exchange) == [
        (0, 64, 8400150, -32, 8400510), (0, 64, 8400150, -45, 8400510),
    ]  # fmt: skip
    assert placed(exchange) == [("deposit", -45), ("deposit", -32)]
    assert exchange.rows("SELECT description FROM bank_lines LIMIT 1") == [("ACCTVERIFY",)]
    assert exchange.rows("SELECT count(*) FROM suspense_items") == [(0,)]
    assert exchange.rows("SELECT count(*) FROM outbox") == [(0,)]
    assert exchange.submit() == {"finished": 0, "begun": 0, "promised": 0}
    checked = exchange.till.post(verify.handler, {"amounts": RIGHT}, id=account)
    assert checked.json()["status"] == "verified"
    assert told(exchange, account) == [*TOLD, "verified"]


@pytest.mark.parametrize("number", ["DE89370400440532013000", "GB29NWBK60161331926819"])
def test_they_go_out_as_credit_transfers(exchange: Exchange, number: str) -> None:
    account = added(exchange, number)
    exchange.submit()
    ((_, content),) = exchange.files().items()
    SCHEMA.validate(content.decode())
    assert content.count(b"ACCTVERIFY") == 2
    exchange.bank()
    exchange.bank(EXECUTED)
    assert placed(exchange) == [("deposit", -45), ("deposit", -32)]
    assert told(exchange, account) == TOLD


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("000123000002", "account_closed"),
        ("000123000003", "no_account"),
        ("DE19370400440000000106", "account_frozen"),
    ],
)
def test_what_comes_back_fails_the_verification(exchange: Exchange, number: str, code: str) -> None:
    account = added(exchange, number)
    exchange.submit()
    exchange.bank(EXECUTED)
    assert seen(exchange, account)["status"] == "pending_verification"
    exchange.bank(RETURNED)
    after = seen(exchange, account)
    assert (after["status"], after["failure_code"]) == ("verification_failed", code)
    assert after["verification"]["attempts_left"] == 3
    assert told(exchange, account) == [*TOLD, "verification_failed"]
    assert deposits(exchange) == [(32, True, True, code), (45, True, True, code)]
    assert [kind for _, kind, *_ in posted(exchange)] == [64, 64, 65, 65]
    assert placed(exchange) == [("deposit", n) for n in (-45, -32, 32, 45)]
    refused = exchange.till.post(verify.handler, {"amounts": RIGHT}, id=account)
    assert refused.code == "bank_account_verification_failed"


def test_what_is_refused_at_once_never_leaves(exchange: Exchange) -> None:
    account = added(exchange, "DE73370400440000000104")
    exchange.submit()
    exchange.bank()
    assert seen(exchange, account)["failure_code"] == "account_closed"
    exchange.bank(EXECUTED)
    assert posted(exchange) == placed(exchange) == []


@pytest.mark.parametrize("ending", ["verified", "deleted", "failed"])
def test_nothing_is_sent_to_an_account_that_does_not_wait(exchange: Exchange, ending: str) -> None:
    """In test mode the amounts are known, so nobody has to wait for a file."""
    account = added(exchange)
    if ending == "deleted":
        key = exchange.till.account.secret_key
        exchange.here.platform.request(delete.handler, bearer=key, id=account)
    for _ in range({"verified": 1, "failed": 3}.get(ending, 0)):
        amounts = RIGHT if ending == "verified" else [1, 2]
        exchange.till.post(verify.handler, {"amounts": amounts}, id=account)
    assert exchange.submit() == {"finished": 0, "begun": 0, "promised": 0}
    assert exchange.rows("SELECT DISTINCT canceled FROM micro_deposits") == [(True,)]


def test_an_account_deleted_on_the_way_hears_nothing(exchange: Exchange) -> None:
    account = added(exchange, "000123000002")
    exchange.submit()
    key = exchange.till.account.secret_key
    exchange.here.platform.request(delete.handler, bearer=key, id=account)
    exchange.bank(EXECUTED)
    exchange.bank(RETURNED)
    assert told(exchange, account) == [*TOLD, "deleted"]
    assert [kind for _, kind, *_ in posted(exchange)] == [64, 64, 65, 65]
    assert exchange.rows("SELECT DISTINCT untold FROM micro_deposits") == [(False,)]
    assert exchange.rows("SELECT count(*) FROM outbox") == [(0,)]


def test_payouts_and_deposits_go_in_files_of_their_own(exchange: Exchange) -> None:
    exchange.earn()
    payout = exchange.pay(exchange.linked())
    added(exchange, "000123000002")
    assert exchange.submit()["begun"] == 2
    assert exchange.rows("SELECT kind, transfer_count FROM bank_files ORDER BY kind") == [
        ("micro_deposit", 2), ("payout", 1),
    ]  # fmt: skip
    traces = exchange.rows("SELECT trace FROM bank_orders ORDER BY trace")
    assert len(set(traces)) == len(traces) == 5  # two of the account that was verified at once
    assert exchange.bank(EXECUTED)["given"] == 2
    exchange.bank(RETURNED)
    assert exchange.status(payout) == "paid"
    assert placed(exchange) == [
        ("payout", -1_000), *(("deposit", n) for n in (-45, -32, 32, 45)),
    ]  # fmt: skip


def _stated(exchange: Exchange, *amounts: int) -> None:
    """State deposits on one day, as a bank does that says why in another file."""
    at = ids.now()
    names = dict(exchange.rows("SELECT amount, id FROM micro_deposits"))
    lines = tuple(
        StatementLine(n, at.date(), "R", ids.Prefix("md").write(names[abs(n)]), "LINE")
        for n in amounts
    )
    number = len(exchange.receipts()) + 1
    statement = Statement("900000000001", "USD", f"S{number}", at.date(), 0, sum(amounts), lines)
    content = bai2.write([statement], sender="B", receiver="I", created_at=at, number=number)
    exchange.give(f"{number}.bai2", content)


def test_lines_find_their_deposit_in_any_order_and_once(exchange: Exchange) -> None:
    added(exchange)
    exchange.submit()
    _stated(exchange, 32, -45)
    _stated(exchange, -32)
    assert placed(exchange) == [("deposit", n) for n in (-45, -32, 32)]
    assert deposits(exchange) == [(32, True, True, None), (45, True, False, None)]
    _stated(exchange, -45)
    assert ("suspense", -45) in placed(exchange)  # it has left already


def test_a_line_of_another_amount_is_no_deposits(exchange: Exchange) -> None:
    added(exchange)
    exchange.submit()
    exchange.here.connection.execute(
        "SET session_replication_role = replica;"
        " UPDATE micro_deposits SET amount = 33 WHERE amount = 32;"
        " SET session_replication_role = origin"
    )
    exchange.bank(EXECUTED)
    assert placed(exchange) == [("deposit", -45), ("suspense", -32)]


def test_a_merchant_cannot_read_the_amounts_anywhere(exchange: Exchange) -> None:
    """The posting is ours: neither its journal nor its proof nor an event has the amounts."""
    account = added(exchange)
    exchange.submit()
    exchange.bank(EXECUTED)
    me = exchange.till.account
    for (posting,) in exchange.rows("SELECT ledger_transaction FROM micro_deposits"):
        name = ids.Prefix("ltx").write(posting)
        assert exchange.here.get(get_transaction.handler, me, id=name).code == "resource_missing"
    assert exchange.here.get(prove_own.handler, me).json()["holds"]
    told_of = exchange.rows("SELECT data::text FROM events")
    assert account in str(told_of)
    assert "amount" not in str(told_of).replace("attempts", "")


def test_live_amounts_are_secret_and_named_after_they_were_sent(exchange: Exchange) -> None:
    exchange.till.be("2026-11-27 09:00")
    platform, till = exchange.here.platform, exchange.till
    open_live(platform.store)
    live = live_key(platform, till.account)
    made = platform.post(create.handler, live, body("000123456789")).json()["id"]
    ((amounts,),) = exchange.rows("SELECT micro_deposits FROM bank_accounts WHERE livemode")

    def attempt() -> Any:
        sent = {"amounts": amounts}
        return platform.request(verify.handler, sent, bearer=live.secret_key, id=made)

    try:
        exchange.submit()
        assert attempt().code == "micro_deposits_not_sent"
        assert exchange.files() == {}
        exchange.here.connection.execute(
            "INSERT INTO bank_originators SELECT true, currency, rail, name, 'IVYLIVE001',"
            " bank_name, routing_number, '900000000009', account_type, iban, bic"
            " FROM bank_originators WHERE currency = 'USD'"
        )
        exchange.submit()
        (content,) = exchange.files("bank/out/live/").values()
        assert b"ACCTVERIFY" in content
        entries = [each for each in content.decode().splitlines() if each[0] == "6"]
        assert sorted(int(each[29:39]) for each in entries) == amounts
        assert attempt().json()["status"] == "verified"
    finally:
        exchange.here.connection.execute(
            "SET session_replication_role = replica; DELETE FROM micro_deposits WHERE livemode;"
            " DELETE FROM bank_files WHERE livemode; DELETE FROM events WHERE livemode;"
            " DELETE FROM idempotency_keys WHERE livemode;"
            " DELETE FROM bank_accounts WHERE livemode; SET session_replication_role = origin"
        )


def _one_round(exchange: Exchange) -> None:
    for job in (submit.handler, simulated.handler, receive.handler):
        with suppress(JobError):  # it died
            exchange.here.run(job)
        for body_ in exchange.here.pocket.take("payouts"):
            exchange.here.hand_over(process.handler, body_)
    exchange.here.platform.make_overdue()
    exchange.here.run(relay.handler)
    for body_ in exchange.here.pocket.take("payouts"):
        exchange.here.hand_over(process.handler, body_)


@pytest.mark.parametrize("point", POINTS)
def test_a_death_at_each_point(exchange: Exchange, point: str) -> None:
    good, bad = added(exchange), added(exchange, "000123000002")
    with exchange.here.dying_at(point) as died:
        for day in ("2026-11-27 10:00", EXECUTED, RETURNED):
            exchange.till.be(day)
            for _ in range(3):
                _one_round(exchange)
    assert died == [point]
    assert told(exchange, good) == TOLD
    assert told(exchange, bad) == [*TOLD, "verification_failed"]
    assert len(exchange.files()) == 1
    assert [kind for _, kind, *_ in posted(exchange)] == [64] * 4 + [65] * 2
    assert {outcome for outcome, _ in placed(exchange)} == {"deposit"}
    assert exchange.rows("SELECT count(*) FROM outbox") == [(0,)]


@pytest.mark.parametrize(
    "change",
    [
        "amount = 33", "bank_file = NULL", "canceled = true", "ledger_transaction = NULL",
        "currency = 'EUR'",
    ],
)  # fmt: skip
def test_what_has_happened_to_a_deposit_stays(exchange: Exchange, change: str) -> None:
    added(exchange)
    exchange.submit()
    exchange.bank(EXECUTED)
    with pytest.raises(Exception, match=r"does not change|in_a_file_means_not_canceled"):
        exchange.here.connection.execute(f"UPDATE micro_deposits SET {change}".encode())


def test_a_deposit_is_what_its_account_is_verified_with(exchange: Exchange) -> None:
    added(exchange)
    exchange.here.connection.execute("DELETE FROM micro_deposits")
    with pytest.raises(Exception, match="is not what its account is verified with"):
        exchange.here.connection.execute(
            "INSERT INTO micro_deposits (merchant_id, livemode, id, bank_account_id, amount,"
            " created_at, ordinal, currency) SELECT merchant_id, livemode, uuidv7(), id, 1, now(),"
            " 1, currency FROM bank_accounts"
        )
