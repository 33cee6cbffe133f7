"""The operators' part of ``ivy``: merchants' terms, bank holidays, balances below zero."""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from local.explaining import explained

if TYPE_CHECKING:
    from local.home import Home

merchant = typer.Typer(help="Set what operators decide about a merchant.", no_args_is_help=True)
holidays = typer.Typer(help="Show or change when the banks of a currency are closed.")
recoveries = typer.Typer(
    help="Show balances below zero by age; collect one by a bank debit, or write one off by two."
)

Reason = Annotated[str, typer.Option(help="Why; it is written down with your name.")]
Currency = Annotated[str, typer.Argument(help="Such as USD.")]
Recovery = Annotated[str, typer.Argument(help="rcv_…, as `ivy recoveries` shows it.")]
Day = Annotated[str, typer.Argument(help="Such as 2026-12-24.")]


@merchant.command("set")
def set_terms(
    name: Annotated[str, typer.Argument(metavar="MERCHANT", help="mer_…")],
    terms: Annotated[
        list[str],
        typer.Argument(
            help="reserve_basis_points=1000, reserve_days=90, recovery_days=3, overdraft=50000."
        ),
    ],
    *,
    reason: Reason,
) -> None:
    """Set what of its charges is held back, how far refunds may overdraw, when recovery begins."""
    with explained():
        answer = _run("merchants/configure", merchant=name, reason=reason, **_numbers(terms))
        kept = ("reserve_basis_points", "reserve_days", "recovery_days", "overdraft", "version")
        print(json.dumps({each: answer[each] for each in ("id", *kept)}))  # noqa: T201 - the answer


@merchant.command()
def mandate(
    name: Annotated[str, typer.Argument(metavar="MERCHANT", help="mer_…")],
    reference: Annotated[
        str, typer.Argument(help="Of what the merchant has signed; none takes it away.")
    ] = "",
    *,
    signed_on: Annotated[str, typer.Option(help="Such as 2026-11-02.")] = "",
    reason: Reason,
) -> None:
    """Record that what a merchant owes may be taken from its bank account, or that no more."""
    if signed_on and not reference:
        raise typer.BadParameter("--signed-on is of a reference, and none is given")
    signed = {"reference": reference, "signed_on": signed_on} if reference else None
    with explained():
        answer = _run("merchants/configure", merchant=name, reason=reason, debit_mandate=signed)
        kept = ("id", "debit_mandate", "version")
        print(json.dumps({each: answer[each] for each in kept}))  # noqa: T201 - the answer


@holidays.command("list")
def list_holidays(
    currency: Annotated[str, typer.Argument(help="Such as USD; all if left out.")] = "",
    *,
    year: Annotated[int | None, typer.Option(help="Only of this year.")] = None,
) -> None:
    """Show the days on which banks do not settle, besides weekends."""
    from local import operators  # noqa: PLC0415 - each command loads what it needs

    wanted = {"currency": currency or None, "year": year}
    with explained():
        found = operators.run(_home(), "holidays/list", wanted)["data"]
        print("\n".join(f"{each['currency']}  {each['day']}" for each in found))  # noqa: T201 - same


@holidays.command()
def add(currency: Currency, day: Day, *, reason: Reason) -> None:
    """Make a day a holiday. Charges that are captured keep the day on which they are available."""
    _change("holidays/add", currency, day, reason)


@holidays.command()
def remove(currency: Currency, day: Day, *, reason: Reason) -> None:
    """Make a holiday a banking day again. Charges that are captured keep their day."""
    _change("holidays/remove", currency, day, reason)


@recoveries.callback(invoke_without_command=True)
def show_debts(
    context: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show every balance below zero, oldest first, with what has been tried."""
    from local import debts, operators  # noqa: PLC0415 - each command loads what it needs

    if context.invoked_subcommand is None:
        with explained():
            found = operators.run(_home(), "recoveries/report", {})["data"]
            print(json.dumps(found) if as_json else debts.table(found))  # noqa: T201 - the answer


@recoveries.command()
def debit(
    recovery: Recovery,
    *,
    amount: Annotated[
        int | None, typer.Option(help="Minor units; all that is below zero if left out.")
    ] = None,
    bank_account: Annotated[
        str | None, typer.Option(help="ba_…; the newest payable one if left out.")
    ] = None,
    reason: Reason,
) -> None:
    """Collect what a balance lacks from the merchant's bank account, by its mandate."""
    with explained():
        said = _run(
            "recoveries/debit",
            account=_account_of(recovery),
            recovery=recovery,
            amount=amount,
            bank_account=bank_account,
            reason=reason,
        )
        print(f"{said['id']}: {said['amount']} {said['currency']} {said['status']}.")  # noqa: T201 - same


@recoveries.command()
def cancel(recovery: Recovery) -> None:
    """Take a debit back that no bank has been told of."""
    with explained():
        said = _run("recoveries/cancel", account=_account_of(recovery), recovery=recovery)
        print(f"{said['id']}: {said['status']}.")  # noqa: T201 - same


@recoveries.command("write-off")
def propose(recovery: Recovery, *, reason: Reason) -> None:
    """Propose to write off what a balance lacks; somebody else approves it."""
    with explained():
        account = _account_of(recovery)
        said = _run("recoveries/propose", account=account, recovery=recovery, reason=reason)
        print(f"{recovery}: {said['proposed']} {said['currency']} proposed. Now somebody else:"  # noqa: T201 - same
              f" ivy recoveries approve {recovery}")  # fmt: skip


@recoveries.command()
def approve(recovery: Recovery) -> None:
    """Approve what somebody else has proposed: no more is written off than the balance lacks."""
    with explained():
        account = _account_of(recovery)
        said = _run("recoveries/approve", account=account, recovery=recovery)
        print(f"{recovery}: {said['written_off']} {said['currency']} written off.")  # noqa: T201 - same


def _account_of(recovery: str) -> str:
    """Return whose account a recovery that is under way is about."""
    from local import operators  # noqa: PLC0415 - each command loads what it needs
    from local.errors import LocalError  # noqa: PLC0415 - same

    for each in operators.run(_home(), "recoveries/report", {})["data"]:
        if each["recovery"] == recovery:
            return str(each["account"])
    raise LocalError(f"No balance is below zero with {recovery}.", "`ivy recoveries` lists them.")


def _change(function: str, currency: str, day: str, reason: str) -> None:
    with explained():
        answer = _run(function, currency=currency, day=day, reason=reason)
        kind = "a holiday" if answer["holiday"] else "no holiday"
        became = "is now" if answer["changed"] else "was already"
        print(f"{answer['currency']} {answer['day']} {became} {kind}.")  # noqa: T201 - the answer


def _run(function: str, **said: Any) -> dict[str, Any]:
    """Run a command in the name of whoever is logged in on this machine."""
    from local import operators  # noqa: PLC0415 - each command loads what it needs

    return operators.run(_home(), function, {**said, "by": getpass.getuser()})


def _numbers(terms: list[str]) -> dict[str, int]:
    """Read ``name=number`` pairs; a name that nobody knows is the function's to refuse."""
    found: dict[str, int] = {}
    for term in terms:
        name, _, number = term.partition("=")
        if not number.isdecimal() or name in found:
            raise typer.BadParameter(f"{term!r} is not a name and a number: reserve_days=90")
        found[name] = int(number)
    return found


def _home() -> Home:
    from local.home import Home  # noqa: PLC0415 - each command loads what it needs

    return Home.current()
