"""Recovery debits: by which mandate one is opened, what is refused, and when one is taken back."""

from __future__ import annotations

import psycopg
import pytest

from functions.bank_accounts import delete
from functions.merchants import get
from tests.recoveries.collector import IBAN, MANDATE, OWED, Collector, refusal
from tests.recoveries.debtor import Debtor


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


@pytest.mark.parametrize(
    "reference", ["/IVY-1", "IVY-1/", "IVY//1", "/", "", "x" * 36, "IVY_1", "IVY-1\n", "IVY-\u00e9"]
)
def test_a_reference_that_the_sepa_forbids_is_refused(collector: Collector, reference: str) -> None:
    refused = collector.agree(MANDATE | {"reference": reference})
    (error,) = refused["errors"]
    assert (refused["code"], error["pointer"]) == ("request_invalid", "/debit_mandate/reference")


@pytest.mark.parametrize("reference", ["IVY/2026/17", "7", "x" * 35, ".:-/-:."])
def test_a_reference_that_the_sepa_allows_is_recorded(collector: Collector, reference: str) -> None:
    mandate = MANDATE | {"reference": reference}
    assert collector.agree(mandate)["debit_mandate"] == mandate


def test_a_reference_from_before_it_was_asked_is_shown(collector: Collector) -> None:
    collector.here.connection.execute(
        "UPDATE merchants SET debit_mandate = '/OLD//' WHERE debit_mandate IS NOT NULL"
    )
    seen = collector.here.get(get.handler, collector.till.account).json()
    assert seen["debit_mandate"] == MANDATE | {"reference": "/OLD//"}


def test_a_mandate_that_is_not_signed_yet_allows_nothing(collector: Collector) -> None:
    collector.owe()
    collector.agree(MANDATE | {"signed_on": "2026-12-01"})
    assert refusal(collector.debit()) == "no_mandate"
    collector.debtor.be("2026-12-01 09:00")
    assert collector.debit()["status"] == "pending"


def test_one_in_no_file_is_taken_back(collector: Collector) -> None:
    collector.owe()
    collector.debit()
    assert collector.cancel()["status"] == "canceled"
    assert collector.cancel()["code"] == "resource_missing"
    assert collector.told() == ["created", "canceled"]
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
