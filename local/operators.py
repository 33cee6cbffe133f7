"""Operators' commands, run through the deployed functions as they would be on AWS."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from local import tables
from local.aws import Aws
from local.errors import LocalError, UsageError
from local.home import PREFIX
from local.stack import invoke

if TYPE_CHECKING:
    from local.home import Home

_HELP = "`--help` after the command says what it takes."
_OPTIONS = {"resolved_as": "--as", "expected_on": "--on"}
"""Fields that are called otherwise on the command line."""

_PATTERN = re.compile(r"match pattern '\^([a-z]+)_")
_SAID = {
    "extra_forbidden": "is not known here",
    "string_pattern_mismatch": "has not the form that it must have",
    "date_parsing": "must be a day, such as 2026-12-24",
    "date_from_datetime_inexact": "must be a day, such as 2026-12-24",
    "date_from_datetime_parsing": "must be a day, such as 2026-12-24",
    "string_too_short": "is empty",
    "too_short": "is empty",
}
_PLAINLY = (
    *(("Input should be", "must be"), ("String should have", "must have")),
    ("Field required", "is missing"),
)
"""How those who check fields say things, and how people do."""

COLUMNS = ("account", "subject", "action", "overdue", "sends", "attempts", "last outcome")


def run(home: Home, function: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Run a command such as ``outbox/stuck`` and return its answer.

    Raises:
        UsageError: What was said is not acceptable; the message says what, and why.
        LocalError: The stack does not run, or the command was refused; the message says why.
    """
    facts = home.running()
    name = f"{PREFIX}-{function}".replace("/", "-").replace("_", "-")
    answer: dict[str, Any] = invoke(Aws(facts["emulator"]), name, payload)
    if "code" in answer and "status" in answer:
        if answer.get("errors"):
            raise UsageError("\n".join(map(sentence, answer["errors"])), _HELP)
        raise LocalError(str(answer["detail"]))
    return answer


def sentence(refused: dict[str, str]) -> str:
    """Return what is wrong with one field in plain words, by the name that it has on a command."""
    name = refused["pointer"].strip("/").replace("/", " ")
    detail = refused["detail"]
    if looks := _PATTERN.search(detail):
        detail = f"must look like {looks[1]}_…"
    elif refused["code"] in _SAID:
        detail = _SAID[refused["code"]]
    for before, after in _PLAINLY:
        detail = detail.replace(before, after)
    return f"{_OPTIONS.get(name, name)} {detail[:1].lower()}{detail[1:]}."


def account_of(found: list[dict[str, Any]], subject: str) -> str:
    """Return the account that owes work about an object.

    Raises:
        LocalError: Nothing is under way with it.
    """
    for each in found:
        if each["subject"] == subject:
            return str(each["account"])
    raise LocalError(f"Nothing is under way with {subject}.", "`ivy stuck --all` lists what is.")


def stuck_table(found: list[dict[str, Any]]) -> str:
    """Return stuck work as lines of a table; one sentence when there is none."""
    if not found:
        return "Nothing is stuck."
    rows = [
        (
            each["account"],
            each["subject"],
            each["action"],
            f"{each['overdue_seconds']} s",
            str(each["sends"]),
            str(each["attempts"]),
            each["last_outcome"] or "no answer",
        )
        for each in found
    ]
    return tables.lines(COLUMNS, rows)
