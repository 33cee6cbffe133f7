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

SETTLEMENTS = (
    *("settlement", "mode", "acquirer", "reference", "expected", "net", "status", "days late"),
)
RULES = ("rule", "mode", "acquirer", "contains", "days", "tolerance", "by", "reason")
REFUSED = ("order", "mode", "days", "amount", "refused as", "file")
COLUMNS = ("item", "mode", "days", "booked", "amount", "reference", "description", "file")


@reconcile.callback(invoke_without_command=True)
def open_items(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Show what nobody has explained yet, and what banks and acquirers said and did not pay."""
    if context.invoked_subcommand is not None:
        return
    with explained():
        found = _run("bank/suspense", {})
        if as_json:
            print(json.dumps(found))  # noqa: T201 - the answer
            return
        overdue = _run("bank/settlements", {"overdue": True})
        shown = [items_table(found["data"], found["total"])]
        if found["refused"]:
            shown.append(refused_table(found["refused"]))
        if overdue["data"]:
            shown.append(settlements_table(overdue))
        print("\n\n".join(shown))  # noqa: T201 - same


@reconcile.command()
def resolve(
    item: Annotated[str, typer.Argument(help="sus_…")],
    *,
    resolved_as: Annotated[
        str, typer.Option("--as", help="payout, debit, acquirer, rounding or loss.")
    ],
    payout: Annotated[str, typer.Option(help="The po_ id of the payout that it is.")] = "",
    debit: Annotated[str, typer.Option(help="The rd_ id of the recovery debit that it is.")] = "",
    connector: Annotated[str, typer.Option(help="The acquirer whose payment it is.")] = "",
    settlement: Annotated[str, typer.Option(help="The acs_ id of what it said it pays.")] = "",
    reason: Annotated[str, typer.Option(help="How you know; it is kept with your name.")],
    as_json: AsJson = False,
) -> None:
    """Say what an item is. It is posted once; the same again changes nothing."""
    said = {"item": item, "resolved_as": resolved_as, "reason": reason, "by": getpass.getuser()}
    with explained():
        named = {"payout": payout, "debit": debit, "connector": connector}
        named |= {"settlement": settlement}
        answer = _run("bank/resolve", said | {name: each for name, each in named.items() if each})
        became = "resolved" if answer["changed"] else "was resolved already"
        print(json.dumps(answer) if as_json else f"{item}: {became} as {resolved_as}")  # noqa: T201 - same


@reconcile.command()
def settlements(
    *,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only what is missing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what acquirers say that they pay."""
    with explained():
        found = _run("bank/settlements", {"overdue": overdue})
        print(json.dumps(found) if as_json else settlements_table(found))  # noqa: T201 - same


@reconcile.command()
def expect(
    *,
    connector: Annotated[str, typer.Option(help="The acquirer.")],
    reference: Annotated[str, typer.Option(help="What the bank will write beside the money.")],
    currency: Annotated[str, typer.Option(help="Such as USD.")],
    on: Annotated[str, typer.Option(help="The day, such as 2026-11-27.")],
    gross: Annotated[int, typer.Option(help="Captured, in minor units.")],
    refunds: Annotated[int, typer.Option(help="Refunded.")] = 0,
    returns: Annotated[int, typer.Option(help="Bank debits that came back.")] = 0,
    disputes: Annotated[int, typer.Option(help="Withdrawn, less reinstated.")] = 0,
    costs: Annotated[int, typer.Option(help="What the acquirer keeps.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Write down what an acquirer of live mode says that it pays; again changes nothing."""
    parts = {
        "gross": gross, "refunds": refunds, "returns": returns, "disputes": disputes,
        "costs": costs,
    }  # fmt: skip
    named = {
        "connector": connector, "reference": reference, "currency": currency, "expected_on": on,
        "by": getpass.getuser(),
    }  # fmt: skip
    with explained():
        answer = _run("bank/expect", named | parts)
        became = "expected" if answer["changed"] else "was expected already"
        text = f"{answer['settlement']}: {answer['net']} {currency} {became}"
        print(json.dumps(answer) if as_json else text)  # noqa: T201 - same


@reconcile.command()
def rules(*, as_json: AsJson = False) -> None:
    """Show the rules by which lines of acquirers are recognised that name no settlement."""
    with explained():
        found = _run("bank/rules", {})["data"]
        print(json.dumps(found) if as_json else rules_table(found))  # noqa: T201 - same


@reconcile.command()
def rule(
    *,
    connector: Annotated[str, typer.Option(help="The acquirer.")] = "",
    contains: Annotated[str, typer.Option(help="What the text of a line contains.")] = "",
    days: Annotated[int, typer.Option(help="Around the day that is expected.")] = 3,
    tolerance: Annotated[int, typer.Option(help="In minor units, where it is named.")] = 0,
    live: Annotated[bool, typer.Option("--live", help="For live mode.")] = False,
    retire: Annotated[str, typer.Option(help="The mru_ id of a rule that applies no more.")] = "",
    reason: Annotated[str, typer.Option(help="Why; it is kept with your name.")],
) -> None:
    """Add a rule, or retire one."""
    said: dict[str, Any] = {"reason": reason, "by": getpass.getuser()}
    if retire and (connector or contains):
        raise typer.BadParameter("--retire takes no other rule's place: add that one by itself")
    if retire:
        said |= {"retire": retire}
    else:
        said |= {"livemode": live, "days": days, "tolerance": tolerance}
        said |= {n: v for n, v in {"connector": connector, "contains": contains}.items() if v}
    with explained():
        answer = _run("bank/rule", said)
        print(f"{answer['rule']}: {'applies' if answer['applies'] else 'retired'}")  # noqa: T201 - same


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


def items_table(found: list[dict[str, Any]], total: int) -> str:
    """Return open items as lines of a table, and how many there are; a sentence if none is."""
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
    return f"{tables.lines(COLUMNS, rows)}\n{_how_many('oldest', len(found), total)}"


def refused_table(found: list[dict[str, Any]]) -> str:
    """Return payouts and debits that wait for their lines, as lines of a table."""
    rows = [
        (
            each["payout"] or each["debit"],
            "live" if each["livemode"] else "test",
            f"{each['age_days']:.1f}",
            f"{each['amount']} {each['currency']}",
            f"{each['code']} {each['failure_code']}".strip(),
            each["file"],
        )
        for each in found
    ]
    return f"Paid, then refused, and on no statement yet:\n{tables.lines(REFUSED, rows)}"


def settlements_table(found: dict[str, Any]) -> str:
    """Return settlements of acquirers as a table, and how many there are; a sentence if none is."""
    if not found["data"]:
        return "No acquirer says that it pays anything."
    rows = [
        (
            each["id"],
            "live" if each["livemode"] else "test",
            each["connector"],
            each["reference"],
            each["expected_on"],
            f"{each['net']} {each['currency']}",
            each["received_as"] or each["status"],
            str(each["overdue_days"] or "-"),
        )
        for each in found["data"]
    ]
    many = _how_many("first", len(rows), found["total"])
    return f"{tables.lines(SETTLEMENTS, rows)}\n{many}"


def _how_many(which: str, shown: int, total: int) -> str:
    return f"{total} in all." if shown == total else f"The {which} {shown} of {total}."


def rules_table(found: list[dict[str, Any]]) -> str:
    """Return rules as lines of a table; one sentence when there is none."""
    if not found:
        return "No rule applies."
    rows = [
        (
            each["id"],
            "live" if each["livemode"] else "test",
            *(str(each[name]) for name in ("connector", "contains", "days", "tolerance")),
            each["created_by"],
            each["reason"],
        )
        for each in found
    ]
    return tables.lines(RULES, rows)


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
        *(
            (f"Acquirers: {each['connector']}, {each['kind']} ({each['count']})", each["amount"])
            for each in found["acquirers"]
        ),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{found['currency']}, {mode}, {found['month']}, in minor units"]
    lines += [f"{name.ljust(width)}  {amount:>15}" for name, amount in rows]
    if not found["stated"]["continuous"]:
        lines.append("The statements do not open where the ones before them closed.")
    return "\n".join([*lines, "", items_table(found["open_items"], found["open_items_total"])])


def _run(function: str, payload: dict[str, Any]) -> dict[str, Any]:
    from local import operators  # noqa: PLC0415 - each command loads what it needs

    return operators.run(_home(), function, payload)


def _home() -> Home:
    from local.home import Home  # noqa: PLC0415 - each command loads what it needs

    return Home.current()
