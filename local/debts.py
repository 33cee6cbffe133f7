"""Balances below zero, as a table."""

from __future__ import annotations

from typing import Any

from local import tables

COLUMNS = ("account", "currency", "available", "days", "since", "recovery", "tried")


def table(found: list[dict[str, Any]]) -> str:
    """Return balances below zero as lines of a table; one sentence when there is none."""
    if not found:
        return "No balance is below zero."
    rows = [
        (
            each["account"],
            each["currency"],
            str(each["available"]),
            each["bucket"],
            each["negative_since"][:10],
            each["recovery"] or "-",
            tried(each),
        )
        for each in found
    ]
    return tables.lines(COLUMNS, rows)


def tried(debt: dict[str, Any]) -> str:
    """Say what has been done about a balance below zero."""
    said = []
    if debt["opened_at"]:
        said.append(f"opened {debt['opened_at'][:10]} at -{debt['opened_with']}")
    if debt["debit"]:
        said.append(f"debit of {debt['debit_amount']} {debt['debit_status']}")
    if debt["write_off_proposed"]:
        said.append(f"write-off of {debt['write_off_proposed']} proposed by {debt['proposed_by']}")
    return ", ".join(said) or "nothing yet"
