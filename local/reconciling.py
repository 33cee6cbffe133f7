"""The operators' part of ``ivy`` about banks: what is unexplained, and a month compared."""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from local import tables
from local.explaining import explained

if TYPE_CHECKING:
    from local.home import Home

reconcile = typer.Typer(
    help="Show what banks state and nobody has explained; say what it is; compare a month."
)

AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]

COLUMNS = ("item", "mode", "days", "booked", "amount", "reference", "description", "file")


@reconcile.callback(invoke_without_command=True)
def open_items(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Show lines of statements that nobody has explained yet, the oldest first."""
    if context.invoked_subcommand is not None:
        return
    with explained():
        found = _run("bank/suspense", {})["data"]
        print(json.dumps(found) if as_json else items_table(found))  # noqa: T201 - the answer


@reconcile.command()
def resolve(
    item: Annotated[str, typer.Argument(help="sus_…")],
    *,
    resolved_as: Annotated[str, typer.Option("--as", help="payout, acquirer, rounding or loss.")],
    payout: Annotated[str, typer.Option(help="The po_ id of the payout that it is.")] = "",
    connector: Annotated[str, typer.Option(help="The acquirer whose payment it is.")] = "",
    reason: Annotated[str, typer.Option(help="How you know; it is kept with your name.")],
    as_json: AsJson = False,
) -> None:
    """Say what an item is. It is posted once; the same again changes nothing."""
    said = {"item": item, "resolved_as": resolved_as, "reason": reason, "by": getpass.getuser()}
    with explained():
        named = {"payout": payout, "connector": connector}
        answer = _run("bank/resolve", said | {name: each for name, each in named.items() if each})
        became = "resolved" if answer["changed"] else "was resolved already"
        print(json.dumps(answer) if as_json else f"{item}: {became} as {resolved_as}")  # noqa: T201 - same


@reconcile.command()
def report(
    *,
    currency: Annotated[str, typer.Option(help="Such as USD.")],
    month: Annotated[str, typer.Option(help="Such as 2026-11.")],
    live: Annotated[bool, typer.Option("--live", help="Of live mode.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare what banks state of a month with the books."""
    with explained():
        found = _run("bank/report", {"currency": currency, "month": month, "livemode": live})
        print(json.dumps(found) if as_json else report_text(found))  # noqa: T201 - same


def items_table(found: list[dict[str, Any]]) -> str:
    """Return open items as lines of a table; one sentence when there is none."""
    if not found:
        return "Nothing is in suspense."
    rows = [
        (
            each["id"],
            "live" if each["livemode"] else "test",
            f"{each['age_days']:.1f}",
            each["booked_on"],
            f"{each['amount']} {each['currency']}",
            each["end_to_end_id"] or each["bank_reference"] or "-",
            each["description"] or "-",
            f"{each['file']}, line {each['line']}",
        )
        for each in found
    ]
    return tables.lines(COLUMNS, rows)


def report_text(found: dict[str, Any]) -> str:
    """Return a month as text, in minor units."""
    statement, books, way = found["statement"], found["books"], found["on_its_way"]
    mode = "live mode" if found["livemode"] else "test mode"
    rows = [
        ("Statements: opening", statement["opening"]),
        *((f"  {each['kind']} ({each['count']})", each["amount"]) for each in statement["lines"]),
        ("Statements: closing", statement["closing"]),
        ("  on a statement, not posted yet", -way["not_posted"]),
        ("  posted, on no statement yet", way["not_stated"]),
        ("Books: bank:client opening", books["opening"]),
        ("Books: bank:client closing", books["closing"]),
        ("Difference", found["difference"]),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{found['currency']}, {mode}, {found['month']}, in minor units"]
    lines += [f"{name.ljust(width)}  {amount:>15}" for name, amount in rows]
    if not found["stated"]["continuous"]:
        lines.append("The statements do not open where the ones before them closed.")
    return "\n".join([*lines, "", items_table(found["open_items"])])


def _run(function: str, payload: dict[str, Any]) -> dict[str, Any]:
    from local import operators  # noqa: PLC0415 - each command loads what it needs

    return operators.run(_home(), function, payload)


def _home() -> Home:
    from local.home import Home  # noqa: PLC0415 - each command loads what it needs

    return Home.current()
