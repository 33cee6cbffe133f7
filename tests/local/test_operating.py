"""The operators' commands say what their functions are to do, and print what those answer."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from ivy.holidays import Holiday
from ivy.matching_rules import RuleChange
from ivy.reconciliation_report import ReportQuery
from ivy.serve import problems
from ivy.suspense import SuspenseResolution
from local import operators
from local.cli import app
from local.errors import LocalError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


class Functions:
    """Stands in for the deployed functions, which are somebody else's machine."""

    def __init__(self, answer: dict[str, Any] | LocalError) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def run(self, _home: Any, function: str, payload: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((function, payload))
        if isinstance(self.answer, LocalError):
            raise self.answer
        return self.answer


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Functions]:
    def answer(what: dict[str, Any] | LocalError) -> Functions:
        made = Functions(what)
        monkeypatch.setattr(operators, "run", made.run)
        monkeypatch.setattr("getpass.getuser", lambda: "grace")
        return made

    return answer


def test_terms_are_numbers_by_name(answering: Callable[..., Functions]) -> None:
    found = {"id": "mer_1", "reserve_basis_points": 5, "reserve_days": 9, "overdraft": 0}
    functions = answering(found | {"recovery_days": 3, "version": 3, "name": "Ada"})
    said = CliRunner().invoke(
        app, ["merchant", "set", "mer_1", "reserve_basis_points=5", "overdraft=0", "--reason", "r"]
    )
    assert said.exit_code == 0, said.output
    asked = {"merchant": "mer_1", "reserve_basis_points": 5, "overdraft": 0, "reason": "r"}
    assert functions.asked == [("merchants/configure", asked | {"by": "grace"})]
    assert '"version": 3' in said.output
    assert "Ada" not in said.output


@pytest.mark.parametrize("term", ["overdraft", "overdraft=", "overdraft=-1", "overdraft=1.5"])
def test_what_is_no_number_is_not_sent(answering: Callable[..., Functions], term: str) -> None:
    functions = answering({})
    said = CliRunner().invoke(app, ["merchant", "set", "mer_1", term, "--reason", "r"])
    assert said.exit_code == 2
    assert functions.asked == []


def test_a_refusal_is_told(answering: Callable[..., Functions]) -> None:
    add = ["holidays", "add", "USD", "2026-12-26", "--reason", "r"]
    answering(LocalError("No such thing."))
    assert CliRunner().invoke(app, add).exit_code == 1
    answering(UsageError("day is at a weekend.", "Take another."))
    said = CliRunner().invoke(app, add)
    assert said.exit_code == 2
    assert said.output == "\nday is at a weekend.\n→ Take another.\n"


@pytest.mark.parametrize(
    ("model", "sent", "told"),
    [
        (Holiday, {"day": "2026-12-26"}, ["day is at a weekend, which no bank settles on anyway."]),
        (Holiday, {"day": "9999-12-31"}, ["day must lie in the years 2000 to 2100."]),
        (Holiday, {"day": "1999-12-31"}, ["day must lie in the years 2000 to 2100."]),
        (Holiday, {"day": "tomorrow"}, ["day must be a day, such as 2026-12-24."]),
        (Holiday, {"day": "2026-12-24T10:00"}, ["day must be a day, such as 2026-12-24."]),
        (Holiday, {"currency": "XXQ", "reason": ""}, [
            "currency must be an active ISO 4217 currency code.", "reason is empty.",
        ]),
        (SuspenseResolution, {"item": "x"}, ["item must look like sus_…."]),
        (SuspenseResolution, {"resolved_as": "gift"}, [
            "--as must be 'payout', 'debit', 'acquirer', 'rounding' or 'loss'.",
        ]),
        (RuleChange, {"days": 99}, ["days must be less than or equal to 31."]),
        (ReportQuery, {"month": "May", "year": 1}, [
            "month must be a year and a month, such as 2026-11.", "year is not known here.",
        ]),
    ],
)  # fmt: skip
def test_what_is_refused_is_told_in_plain_words(
    monkeypatch: pytest.MonkeyPatch, model: Any, sent: dict[str, Any], told: list[str]
) -> None:
    """By no pointer into a document that nobody has typed, and not as those say it who check."""
    body = model.model_config["json_schema_extra"]["examples"][0] | sent
    with pytest.raises(ValidationError) as refused:
        model.model_validate(body)
    located = [{**each, "loc": ("body", *each["loc"])} for each in refused.value.errors()]
    answer = json.loads(
        problems.body(problems.from_validation(located), base_url="", instance="", request_id="r")
    )
    monkeypatch.setattr(operators, "Aws", lambda _: None)
    monkeypatch.setattr(operators, "invoke", lambda *_: answer)
    with pytest.raises(UsageError) as said:
        operators.run(SimpleNamespace(running=lambda: {"emulator": ""}), "x/y", {})
    assert str(said.value).split("\n") == told
    assert said.value.fix


def test_what_is_missing_is_told_as_its_function_says_it() -> None:
    """That an option may be left out, and why it may not be this time."""
    wanted = {"pointer": "/bank_account", "code": "missing", "detail": "is wanted: none is payable"}
    assert operators.sentence(wanted) == "bank_account is wanted: none is payable."
    required = {"pointer": "/reason", "code": "missing", "detail": "Field required"}
    assert operators.sentence(required) == "reason is missing."


@pytest.mark.parametrize(
    ("verb", "holiday", "changed", "told"),
    [
        ("add", True, True, "USD 2026-12-24 is now a holiday."),
        ("add", True, False, "USD 2026-12-24 was already a holiday."),
        ("remove", False, True, "USD 2026-12-24 is now no holiday."),
    ],
)
def test_a_day_is_changed(
    answering: Callable[..., Functions], verb: str, *, holiday: bool, changed: bool, told: str
) -> None:
    day = {"currency": "USD", "day": "2026-12-24"}
    functions = answering(day | {"holiday": holiday, "changed": changed})
    said = CliRunner().invoke(app, ["holidays", verb, "usd", "2026-12-24", "--reason", "r"])
    assert said.output.strip() == told
    sent = {"currency": "usd", "day": "2026-12-24", "reason": "r", "by": "grace"}
    assert functions.asked == [(f"holidays/{verb}", sent)]


def test_days_are_listed(answering: Callable[..., Functions]) -> None:
    functions = answering({"data": [{"currency": "USD", "day": "2026-12-25"}]})
    said = CliRunner().invoke(app, ["holidays", "list", "USD", "--year", "2026"])
    assert said.output == "USD  2026-12-25\n"
    assert functions.asked == [("holidays/list", {"currency": "USD", "year": 2026})]


DEBT = {
    "account": "1001-live", "currency": "USD", "available": -1820, "days": 31, "bucket": "31-90",
    "negative_since": "2026-11-24T09:00:00.000Z", "recovery": "rcv_1", "status": "open",
    "opened_at": "2026-11-30T00:05:00.000Z", "opened_with": 2000, "write_off_proposed": 1820,
    "proposed_by": "mary", "reason": "insolvent", "debit": None, "debit_amount": None,
    "debit_status": None,
}  # fmt: skip


def test_debts_are_a_table(answering: Callable[..., Functions]) -> None:
    functions = answering({"data": [DEBT, DEBT | {"recovery": None, "opened_at": None,
                                                  "write_off_proposed": None}]})  # fmt: skip
    said = CliRunner().invoke(app, ["recoveries"])
    assert said.exit_code == 0, said.output
    _, first, second = said.output.splitlines()
    assert first.split()[:6] == ["1001-live", "USD", "-1820", "31-90", "2026-11-24", "rcv_1"]
    assert first.endswith("opened 2026-11-30 at -2000, write-off of 1820 proposed by mary")
    assert second.split()[-3:] == ["-", "nothing", "yet"]
    assert functions.asked == [("recoveries/report", {})]
    answering({"data": []})
    assert CliRunner().invoke(app, ["recoveries"]).output == "No balance is below zero.\n"


def test_a_mandate_is_recorded_and_taken_away(answering: Callable[..., Functions]) -> None:
    mandate = {"reference": "IVY-1", "signed_on": "2026-11-02"}
    functions = answering({"id": "mer_1", "debit_mandate": mandate, "version": 4, "name": "Ada"})
    said = CliRunner().invoke(
        app,
        ["merchant", "mandate", "mer_1", "IVY-1", "--signed-on", "2026-11-02", "--reason", "r"],
    )
    assert said.exit_code == 0, said.output
    assert "IVY-1" in said.output
    CliRunner().invoke(app, ["merchant", "mandate", "mer_1", "--reason", "r"])
    asked = {"merchant": "mer_1", "reason": "r", "by": "grace"}
    assert functions.asked == [
        ("merchants/configure", asked | {"debit_mandate": mandate}),
        ("merchants/configure", asked | {"debit_mandate": None}),
    ]


@pytest.mark.parametrize("reference", [[], [""]])
def test_a_mandate_is_not_taken_away_by_who_forgets_its_reference(
    answering: Callable[..., Functions], reference: list[str]
) -> None:
    functions = answering({})
    said = CliRunner().invoke(
        app,
        ["merchant", "mandate", "mer_1", *reference, "--signed-on", "2026-11-02", "--reason", "r"],
    )
    assert (said.exit_code, functions.asked) == (2, [])
    assert "none is given" in said.output


def test_a_debit_is_opened_and_taken_back(answering: Callable[..., Functions]) -> None:
    debit = {"id": "rd_1", "amount": 1820, "currency": "USD", "status": "pending"}
    functions = answering({"data": [DEBT]} | debit)
    said = CliRunner().invoke(app, ["recoveries", "debit", "rcv_1", "--reason", "agreed"])
    assert said.output == "rd_1: 1820 USD pending.\n"
    said = CliRunner().invoke(app, ["recoveries", "cancel", "rcv_1"])
    assert said.output == "rd_1: pending.\n"
    named = {"account": "1001-live", "recovery": "rcv_1", "by": "grace"}
    wanted = {"amount": None, "bank_account": None, "reason": "agreed"}
    assert functions.asked[1::2] == [
        ("recoveries/debit", named | wanted), ("recoveries/cancel", named),
    ]  # fmt: skip
    under_way = {"debit": "rd_1", "debit_amount": 1820, "debit_status": "in_transit"}
    answering({"data": [DEBT | under_way]})
    said = CliRunner().invoke(app, ["recoveries"])
    assert "debit of 1820 in_transit, write-off of 1820" in said.output


def test_write_offs_name_the_account_and_the_person(answering: Callable[..., Functions]) -> None:
    functions = answering(
        {"data": [DEBT], "proposed": 1820, "written_off": 1820, "currency": "USD"}
    )
    said = CliRunner().invoke(app, ["recoveries", "write-off", "rcv_1", "--reason", "case 12"])
    assert "1820 USD proposed" in said.output
    said = CliRunner().invoke(app, ["recoveries", "approve", "rcv_1"])
    assert said.output == "rcv_1: 1820 USD written off.\n"
    named = {"account": "1001-live", "recovery": "rcv_1", "by": "grace"}
    assert functions.asked[1::2] == [
        ("recoveries/propose", named | {"reason": "case 12"}), ("recoveries/approve", named),
    ]  # fmt: skip
    said = CliRunner().invoke(app, ["recoveries", "approve", "rcv_2"])
    assert said.exit_code == 1
