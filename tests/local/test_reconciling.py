"""``ivy reconcile``: what it asks the functions, and how it shows what they answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from local import operators
from local.cli import app
from local.errors import LocalError

ITEM = {
    "id": "sus_1",
    "livemode": False,
    "amount": -700,
    "currency": "USD",
    "booked_on": "2026-11-30",
    "opened_at": "2026-11-30T12:00:00.000Z",
    "age_days": 3.04,
    "bank_reference": "R1",
    "end_to_end_id": None,
    "description": "UNKNOWN",
    "payout": None,
    "receipt": "br_1",
    "file": "a.bai2",
    "statement": "S1",
    "line": 2,
}
REPORT = {
    "object": "reconciliation_report",
    "livemode": False,
    "currency": "USD",
    "month": "2026-11",
    "statement": {
        "opening": 100,
        "lines": [{"kind": "payouts", "count": 2, "amount": -2_000}],
        "closing": -1_900,
    },
    "books": {"opening": 100, "closing": -1_900},
    "on_its_way": {"not_posted": 0, "not_stated": 0},
    "difference": 0,
    "stated": {"statements": 2, "opening": 0, "closing": 5, "continuous": False},
    "acquirers": [
        {"connector": "simulated", "kind": "received", "count": 3, "amount": 700, "stated": 699}
    ],
    "open_items": [ITEM],
    "open_items_total": 201,
}
SETTLEMENT = {
    "id": "acs_1",
    "livemode": True,
    "connector": "stripe",
    "reference": "IVY 4711",
    "currency": "USD",
    "gross": 10_000,
    "refunds": 0,
    "returns": 0,
    "disputes": 0,
    "costs": 180,
    "net": 9_820,
    "expected_on": "2026-11-27",
    "overdue_days": 3,
    "status": "expected",
    "received_as": None,
    "received_at": None,
}
SETTLEMENTS = {"object": "acquirer_settlement_list", "data": [SETTLEMENT], "total": 300}
REFUSED = {
    "payout": "po_1",
    "debit": None,
    "livemode": True,
    "amount": 1_000,
    "currency": "EUR",
    "refused_at": "2026-11-27T00:00:00.000Z",
    "age_days": 2.04,
    "code": "AC04",
    "failure_code": "account_closed",
    "receipt": "br_1",
    "file": "r.xml",
}
SUSPENSE = {"object": "suspense_list", "data": [ITEM], "total": 1, "refused": [REFUSED]}
RULE = {
    "id": "mru_1",
    "livemode": False,
    "connector": "stripe",
    "contains": "STRIPE",
    "days": 3,
    "tolerance": 0,
    "created_at": "2026-11-27T00:00:00.000Z",
    "created_by": "grace",
    "reason": "no names",
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Functions that are somebody else's machine, and what they were asked."""
    made: list[tuple[str, dict[str, Any]]] = []
    answers: dict[str, dict[str, Any]] = {
        "bank/suspense": SUSPENSE,
        "bank/resolve": {"item": "sus_1", "resolved_as": "loss", "changed": True},
        "bank/report": REPORT,
        "bank/settlements": SETTLEMENTS,
        "bank/expect": {"settlement": "acs_1", "net": 9_820, "changed": True},
        "bank/rules": {"object": "matching_rule_list", "data": [RULE]},
        "bank/rule": {"rule": "mru_1", "applies": True},
    }

    def run(_home: Any, function: str, payload: dict[str, Any]) -> dict[str, Any]:
        made.append((function, payload))
        if payload.get("item") == "sus_0":
            raise LocalError("No suspense item sus_0.")
        return answers[function]

    monkeypatch.setattr(operators, "run", run)
    monkeypatch.setattr("getpass.getuser", lambda: "grace")
    return made


def say(*arguments: str) -> str:
    said = CliRunner().invoke(app, ["reconcile", *arguments])
    assert said.exit_code == 0, said.output
    return str(said.output)


def test_open_items_are_a_table(asked: list[tuple[str, dict[str, Any]]]) -> None:
    header, row, many, nothing, title, columns, waits, _, late, missing, rest = say().splitlines()
    assert header.split() == [
        *("item", "mode", "days", "booked", "amount", "reference", "description", "file")
    ]
    assert row.split() == [
        *("sus_1", "test", "3.0", "2026-11-30", "-700", "USD", "R1", "UNKNOWN", "a.bai2,"),
        *("line", "2"),
    ]
    assert (many, nothing, rest) == ("1 in all.", "", "The first 1 of 300.")
    assert title == "Paid, then refused, and on no statement yet:"
    assert columns.split() == ["order", "mode", "days", "amount", "refused", "as", "file"]
    assert waits.split() == [
        *("po_1", "live", "2.0", "1000", "EUR", "AC04", "account_closed", "r.xml")
    ]
    assert late.split()[-2:] == ["days", "late"]
    assert missing.split() == [
        *("acs_1", "live", "stripe", "IVY", "4711", "2026-11-27", "9820", "USD", "expected", "3")
    ]
    assert json.loads(say("--json")) == SUSPENSE
    assert asked == [
        *(("bank/suspense", {}), ("bank/settlements", {"overdue": True}), ("bank/suspense", {}))
    ]


def test_settlements_and_rules_are_tables_or_json(asked: list[tuple[str, dict[str, Any]]]) -> None:
    assert "acs_1" in say("settlements", "--overdue")
    assert json.loads(say("settlements", "--json")) == SETTLEMENTS
    assert say("rules").splitlines()[1].split() == [
        *("mru_1", "test", "stripe", "STRIPE", "3", "0", "grace", "no", "names")
    ]
    assert json.loads(say("rules", "--json")) == [RULE]
    assert [payload for _, payload in asked] == [{"overdue": True}, {"overdue": False}, {}, {}]


def test_what_operators_say_of_acquirers(asked: list[tuple[str, dict[str, Any]]]) -> None:
    told = ["--connector", "stripe", "--reference", "IVY 4711", "--currency", "USD"]
    amounts = ["--on", "2026-11-27", "--gross", "10000", "--costs", "180"]
    assert say("expect", *told, *amounts) == "acs_1: 9820 USD expected\n"
    assert say("rule", "--connector", "stripe", "--contains", "STRIPE", "--reason", "so") == (
        "mru_1: applies\n"
    )
    say("rule", "--retire", "mru_1", "--reason", "so")
    kept = {"reason": "so", "by": "grace"}
    added = {"connector": "stripe", "contains": "STRIPE", "days": 3, "tolerance": 0}
    assert [payload for _, payload in asked] == [
        {
            "connector": "stripe", "reference": "IVY 4711", "currency": "USD",
            "expected_on": "2026-11-27", "gross": 10_000, "refunds": 0, "returns": 0,
            "disputes": 0, "costs": 180, "by": "grace",
        },
        kept | added | {"livemode": False},
        kept | {"retire": "mru_1"},
    ]  # fmt: skip


@pytest.mark.parametrize("other", [("--connector", "stripe"), ("--contains", "STRIPE")])
def test_who_retires_a_rule_names_no_other(
    asked: list[tuple[str, dict[str, Any]]], other: tuple[str, str]
) -> None:
    said = CliRunner().invoke(
        app, ["reconcile", "rule", "--retire", "mru_1", *other, "--reason", "so"]
    )
    assert (said.exit_code, asked) == (2, [])
    assert "add that one by itself" in said.output


def test_a_resolution_carries_the_operators_name(asked: list[tuple[str, dict[str, Any]]]) -> None:
    assert say("resolve", "sus_1", "--as", "loss", "--reason", "a fee") == (
        "sus_1: resolved as loss\n"
    )
    say("resolve", "sus_1", "--as", "payout", "--payout", "po_1", "--reason", "cut")
    say("resolve", "sus_1", "--as", "acquirer", "--connector", "simulated", "--reason", "paid")
    say("resolve", "sus_1", "--as", "acquirer", "--connector", "simulated", "--settlement", "acs_1",
        "--reason", "paid")  # fmt: skip
    loss = {"item": "sus_1", "resolved_as": "loss", "reason": "a fee", "by": "grace"}
    given = {"resolved_as": "payout", "payout": "po_1", "reason": "cut"}
    paid = {"resolved_as": "acquirer", "connector": "simulated", "reason": "paid"}
    assert [each for _, each in asked] == [
        *(loss, loss | given, loss | paid, loss | paid | {"settlement": "acs_1"})
    ]
    assert {function for function, _ in asked} == {"bank/resolve"}
    refused = CliRunner().invoke(
        app, ["reconcile", "resolve", "sus_0", "--as", "loss", "--reason", "x"]
    )
    assert refused.exit_code == 1
    assert "No suspense item" in refused.output


def test_a_month_is_text_or_json(asked: list[tuple[str, dict[str, Any]]]) -> None:
    text = say("report", "--currency", "USD", "--month", "2026-11")
    rows = {row.rpartition("  ")[0].strip(): row.split()[-1] for row in text.splitlines() if row}
    assert rows["Statements: opening"] == "100"
    assert rows["payouts (2)"] == "-2000"
    assert rows["Books: bank:client closing"] == "-1900"
    assert rows["Difference"] == "0"
    assert rows["Acquirers: simulated, received (3)"] == "700"
    assert "do not open where the ones before them closed" in text
    assert "sus_1" in text
    found = say("report", "--currency", "USD", "--month", "2026-11", "--live", "--json")
    assert json.loads(found) == REPORT
    assert [payload["livemode"] for _, payload in asked] == [False, True]
