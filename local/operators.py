"""Operators' commands, run through the deployed functions as they would be on AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local import tables
from local.aws import Aws
from local.errors import LocalError
from local.home import PREFIX
from local.stack import invoke

if TYPE_CHECKING:
    from local.home import Home

COLUMNS = ("account", "subject", "action", "overdue", "sends", "attempts", "last outcome")


def run(home: Home, function: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Run a command such as ``outbox/stuck`` and return its answer.

    Raises:
        LocalError: The stack does not run, or the command was refused; the message says why.
    """
    facts = home.running()
    name = f"{PREFIX}-{function}".replace("/", "-").replace("_", "-")
    answer: dict[str, Any] = invoke(Aws(facts["emulator"]), name, payload)
    if "code" in answer and "status" in answer:
        fields = [f"{each['pointer']}: {each['detail']}" for each in answer.get("errors", ())]
        raise LocalError("\n".join([str(answer["detail"]), *fields]))
    return answer


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
