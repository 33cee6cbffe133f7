from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path
from string import printable
from typing import Any

import achkit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivy.bank_files import BankFileError, IbanAccount, Payment, UsAccount, nacha
from tests.unit.bank_files.ach_checker import complaints
from tests.unit.bank_files.samples import AT, IBAN, payout, us_file, us_transfer

LONG = "Ærøskøbing Smørrebrød & Łódź Maschinenbau Gesellschaft mit beschränkter Haftung " * 40


def read(content: bytes) -> dict[str, Any]:
    """The file as a parser that is not ours reads it."""
    assert achkit.validate(content.decode("ascii")) == {"ok": True, "errors": []}
    assert complaints(content) == []
    return achkit.parse(content.decode("ascii"))


def entries(content: bytes) -> list[dict[str, Any]]:
    return [each for batch in read(content)["batches"] for each in batch["entries"]]


def refusal(*transfers: Payment, **changes: Any) -> str:
    with pytest.raises(BankFileError) as caught:
        nacha.write(replace(us_file(*transfers), **changes))
    assert caught.value.line is None
    return caught.value.reason


def test_the_file_is_the_one_that_is_known_to_be_right() -> None:
    content = nacha.write(us_file(us_transfer(2), us_transfer(1, 99, lines=("Invoice 1", "2"))))
    assert content.decode() == Path(__file__).with_name("payouts.ach").read_text("ascii")


def test_a_parser_of_others_reads_what_was_to_be_paid() -> None:
    transfers = (us_transfer(9, 1), us_transfer(3, 9_999_999_999), us_transfer(4, 250))
    found = entries(nacha.write(us_file(*transfers)))
    assert [
        (each["txn_code"], each["routing"], each["account"], each["amount_cents"]) for each in found
    ] == [
        (32, "021000021", "1003", 9_999_999_999),
        (22, "021000021", "1004", 250),
        (32, "021000021", "1009", 1),
    ]
    assert [each["trace_number"] for each in found] == [f"12100024{n:07d}" for n in (3, 4, 9)]
    assert [[a["info"] for a in each["addenda"]] for each in found] == [
        [payout(3)],
        [payout(4)],
        [payout(9)],
    ]


def test_a_parser_of_others_reads_what_is_to_be_collected() -> None:
    transfers = (us_transfer(3, 9_999_999_999), us_transfer(4, 250, lines=("Debt", "Of May")))
    content = nacha.write(us_file(*transfers), description="RECOVERY", collects=True)
    assert [(each["txn_code"], each["amount_cents"]) for each in entries(content)] == [
        (37, 9_999_999_999), (27, 250),
    ]  # fmt: skip
    headers = [each for each in content.decode().splitlines() if each[0] == "5"]
    assert [(each[1:4], each[50:53]) for each in headers] == [("225", "CCD"), ("225", "CTX")]
    (control,) = [each for each in content.decode().splitlines() if each[:2] == "90"]
    assert (int(control[31:43]), int(control[43:55])) == (10_000_000_249, 0)


def test_several_lines_make_a_ctx_entry_with_all_of_them() -> None:
    lines = ("Invoice 1 " + "x" * 200, "Invoice 2")
    content = nacha.write(us_file(us_transfer(1), us_transfer(2, lines=lines)))
    batches = read(content)["batches"]
    assert [(each["sec"], len(each["entries"])) for each in batches] == [("CCD", 1), ("CTX", 1)]
    addenda = batches[1]["entries"][0]["addenda"]
    assert [each["sequence"] for each in addenda] == [1, 2, 3, 4, 5]
    assert "".join(each["info"] for each in addenda[1:4]) == ("Invoice 1 " + "x" * 200)
    assert (addenda[0]["info"], addenda[4]["info"]) == (payout(2), "Invoice 2")
    assert content.splitlines()[6][54:76] == b"0005Acme Supplies     "


def test_ctx_takes_addenda_up_to_its_limit() -> None:
    most = us_transfer(1, lines=("x",) * (nacha.MAX_ADDENDA - 1))
    assert len(entries(nacha.write(us_file(most)))[0]["addenda"]) == nacha.MAX_ADDENDA
    assert "9999 addenda" in refusal(us_transfer(1, lines=("x",) * nacha.MAX_ADDENDA))


@given(
    st.lists(st.integers(1, 9_999_999_999), min_size=1, max_size=30),
    st.lists(st.lists(st.text(printable, max_size=200), max_size=4), min_size=30, max_size=30),
    st.text(min_size=1, max_size=80),
)
def test_whatever_is_paid_the_totals_are_right(
    amounts: list[int], lines: list[list[str]], name: str
) -> None:
    transfers = [
        us_transfer(number, amount, f"A{name}", tuple(lines[number - 1]))
        for number, amount in enumerate(amounts, 1)
    ]
    if sum(amounts) < 10**12:
        control = read(nacha.write(us_file(*transfers)))["control"]
        assert control["total_credit"] == sum(amounts)
        assert control["total_debit"] == 0


@given(st.permutations(range(1, 8)))
def test_the_same_transfers_give_the_same_bytes(order: list[int]) -> None:
    same = nacha.write(us_file(*map(us_transfer, order)))
    assert same == nacha.write(us_file(*map(us_transfer, range(1, 8))))


def test_the_moment_is_written_in_utc() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=-8)))
    assert nacha.write(us_file()) == nacha.write(replace(us_file(), created_at=elsewhere))


def test_the_modifier_is_the_one_given_or_follows_from_the_id() -> None:
    assert read(nacha.write(us_file(), modifier="7"))["file_id_modifier"] == "7"
    derived = read(nacha.write(us_file()))["file_id_modifier"]
    assert derived == nacha.derived_modifier(us_file().file_id)
    assert len({nacha.derived_modifier(str(each)) for each in range(1000)}) == 36
    for wrong in ("a", "", "AB", "-"):
        with pytest.raises(BankFileError, match="modifier"):
            nacha.write(us_file(), modifier=wrong)


def test_names_lose_their_accents_and_are_cut_but_nothing_else_is() -> None:
    found = entries(nacha.write(us_file(us_transfer(1, 9_999_999_999, LONG))))
    assert found[0]["name"] == "AEroskobing Smorrebrod"
    assert found[0]["amount_cents"] == 9_999_999_999
    assert found[0]["addenda"][0]["info"] == payout(1)


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("an amount has more than 10 digits", {"amount_minor": 10_000_000_000}),
        ("an amount must be 1 to", {"amount_minor": 0}),
        ("an amount must be 1 to", {"amount_minor": -5}),
        ("a trace must be 1 to 9999999", {"trace": 10_000_000}),
        ("a trace must be 1 to 9999999", {"trace": 0}),
        ("a transfer in EUR in a file in USD", {"currency": "EUR"}),
        ("end_to_end_id must have 1 to 35", {"end_to_end_id": "x" * 36}),
        ("end_to_end_id must have 1 to 35", {"end_to_end_id": "p\u00f6_1"}),
        ("end_to_end_id must have 1 to 35", {"end_to_end_id": "po 1"}),
        ("no character that this format can carry", {"party_name": "\u682a\u5f0f\u4f1a\u793e"}),
        ("is not one of the United States", {"party": IbanAccount(IBAN)}),
        ("no valid routing number", {"party": UsAccount("021000022", "1")}),
        ("no valid routing number", {"party": UsAccount("02100002", "1")}),
        ("1 to 17 letters, digits", {"party": UsAccount("021000021", "1" * 18)}),
        ("1 to 17 letters, digits", {"party": UsAccount("021000021", "1\n")}),
    ],
)
def test_a_transfer_that_does_not_fit_is_refused(reason: str, change: dict[str, Any]) -> None:
    assert reason in refusal(us_transfer(1), replace(us_transfer(2), **change))


def test_a_file_that_does_not_fit_is_refused() -> None:
    assert "1 to 50000 transfers" in refusal(transfers=())
    assert "not known" in refusal(currency="XXX")
    assert "no time zone" in refusal(created_at=AT.replace(tzinfo=None))
    assert "same trace" in refusal(us_transfer(1), replace(us_transfer(2), trace=1))
    twice = replace(us_transfer(2), end_to_end_id=payout(1))
    assert "same end-to-end id" in refusal(us_transfer(1), twice)
    yen = replace(us_transfer(1), currency="JPY")
    assert "USD only" in refusal(currency="JPY", transfers=(yen,))
    wrong = replace(us_file().originator, company_id="12345678901")
    assert "company_id" in refusal(originator=wrong)


def test_a_sum_of_more_than_twelve_digits_is_refused() -> None:
    many = tuple(us_transfer(each, 9_999_999_999) for each in range(1, 102))
    assert "the sum of credits has more than 12 digits" in refusal(*many)


def test_a_file_is_not_longer_than_what_is_read() -> None:
    lines = ("x",) * 9_000
    many = tuple(us_transfer(each, lines=lines) for each in range(1, 41))
    assert "at most 353204 records" in refusal(*many)


def test_ten_thousand_transfers() -> None:
    content = nacha.write(us_file(count=10_000))
    assert read(content)["control"]["total_credit"] == 10_000 * 12_345
    assert len(content) == 95 * 20_010
