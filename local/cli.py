"""The ``ivy`` command: the whole stack on this machine, started, looked at and stopped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from local import operating, reconciling
from local.explaining import explained

if TYPE_CHECKING:
    from local.home import Home

app = typer.Typer(
    name="ivy",
    help="Run the payment gateway on this machine: PostgreSQL, the AWS emulator, one address.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def up(
    *,
    detach: Annotated[bool, typer.Option("--detach", help="Return once it runs.")] = False,
    watch: Annotated[bool, typer.Option(help="Update functions as files change.")] = True,
) -> None:
    """Start everything, print how to use it, and stay until Ctrl-C."""
    from local import running  # noqa: PLC0415 - each command loads what it needs

    with explained():
        raise typer.Exit(running.detached() if detach else running.foreground(watch=watch))


@app.command()
def down() -> None:
    """Stop the stack, and whatever a killed one left behind."""
    from local import running  # noqa: PLC0415 - each command loads what it needs

    with explained():
        ended = running.shut_down(_home())
        print("Stopped." if ended else "Nothing was running.")  # noqa: T201 - a command's answer


@app.command()
def status(
    *, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False
) -> None:
    """Say what runs and where; exit code 1 when not everything answers."""
    from local import report  # noqa: PLC0415 - each command loads what it needs
    from local.home import typed  # noqa: PLC0415 - same

    state = report.status(_home())
    print(report.as_json(state) if as_json else typed(report.as_text(state)))  # noqa: T201 - same
    raise typer.Exit(0 if state["running"] else 1)


@app.command()
def logs(
    name: Annotated[
        str, typer.Argument(help="charges/create, a part of a name, or emulator, postgres, ivy.")
    ] = "",
    *,
    follow: Annotated[bool, typer.Option(help="Go on until Ctrl-C.")] = True,
) -> None:
    """Follow what the functions log: all of them, or one."""
    from local import report  # noqa: PLC0415 - each command loads what it needs

    with explained():
        report.logs(_home(), name, follow=follow)


@app.command()
def invoke(name: Annotated[str, typer.Argument(help="Such as outbox/relay.")]) -> None:
    """Run one function now, with its sample from events/, and print its answer."""
    from local import report  # noqa: PLC0415 - each command loads what it needs

    with explained():
        print(report.invoke(_home(), name))  # noqa: T201 - a command's answer


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(
    context: typer.Context,
    *,
    role: Annotated[
        str, typer.Option(help="ivy_read sees every row and changes none.")
    ] = "ivy_read",
) -> None:
    """Open psql on the stack's database; further arguments are psql's own, such as -c."""
    from local.home import ROLES  # noqa: PLC0415 - each command loads what it needs
    from local.postgres import DATABASE, Postgres, binaries  # noqa: PLC0415 - same

    with explained():
        home = _home()
        if role not in ROLES:
            raise typer.BadParameter(f"one of {', '.join(ROLES)}", param_hint="--role")
        port = _running_port(home)
        url = Postgres(home.cluster, port, home.secrets()).url(role, database=DATABASE)
        program = str(binaries() / "psql")
        address, _, rest = url.partition("@")
        user, _, password = address.removeprefix("postgresql://").partition(":")
        os.environ["PGPASSWORD"] = password  # the process list shows arguments, not this
        os.execv(program, [program, f"postgresql://{user}@{rest}", *context.args])  # noqa: S606 - ours


@app.command()
def key(
    *, publishable: Annotated[bool, typer.Option("--publishable", help="The public one.")] = False
) -> None:
    """Print the demo merchant's secret test key, for use in other commands."""
    with explained():
        merchant = _home().running()["merchant"]
        print(merchant["publishable_key" if publishable else "secret_key"])  # noqa: T201 - the answer


@app.command()
def stuck(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what is under way and not overdue.")
    ] = False,
    resolve: Annotated[str, typer.Option(help="The ch_, re_ or dp_ id to resolve.")] = "",
    outcome: Annotated[str, typer.Option(help="approved, declined or ask_again.")] = "ask_again",
    reference: Annotated[str, typer.Option(help="The acquirer's own name of the payment.")] = "",
    reason: Annotated[str, typer.Option(help="How you know.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show work that no connector has answered for, or say what became of it."""
    import getpass  # noqa: PLC0415 - each command loads what it needs
    import json  # noqa: PLC0415 - same

    from local import operators  # noqa: PLC0415 - same

    with explained():
        home = _home()
        every = {"everything": everything or bool(resolve)}
        found = operators.run(home, "outbox/stuck", every)["data"]
        if resolve:
            account = operators.account_of(found, resolve)
            said = {"account": account, "subject": resolve, "outcome": outcome, "reason": reason}
            optional = {"reference": reference} if reference else {}
            answer = operators.run(
                home, "outbox/resolve", {**said, **optional, "by": getpass.getuser()}
            )
            print(json.dumps(answer) if as_json else f"{resolve}: {answer['outcome']}")  # noqa: T201 - the answer
        else:
            print(json.dumps(found) if as_json else operators.stuck_table(found))  # noqa: T201 - same


@app.command()
def listen(
    *,
    forward_to: Annotated[
        str, typer.Option(help="Pass each delivery on, such as to localhost:3000/webhooks.")
    ] = "",
    events: Annotated[
        str, typer.Option(help="Which types, such as charge.*; several with commas.")
    ] = "*",
) -> None:
    """Receive the demo merchant's webhooks, verify them, and print a line for each until Ctrl-C."""
    from local import listen as receiver  # noqa: PLC0415 - each command loads what it needs

    with explained():
        wanted = [each.strip() for each in events.split(",")]
        receiver.listen(_home(), forward_to=forward_to, events=wanted)


@app.command()
def trigger(
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help="charge.succeeded")] = "",
    *,
    types: Annotated[bool, typer.Option("--list", help="Which types there are.")] = False,
) -> None:
    """Make an event happen, with real objects, and print their ids."""
    from local import trigger as events  # noqa: PLC0415 - each command loads what it needs

    if not event_type and not types:
        raise typer.BadParameter("name one, or use --list", param_hint="TYPE")
    with explained():
        lines = events.types(_home()) if types else events.trigger(_home(), event_type)
        print("\n".join(lines))  # noqa: T201 - a command's answer


app.add_typer(operating.merchant, name="merchant")
app.add_typer(operating.holidays, name="holidays")
app.add_typer(operating.recoveries, name="recoveries", invoke_without_command=True)
app.add_typer(reconciling.reconcile, name="reconcile")

clock = typer.Typer(help="Show the demo merchant's test clock, or move it forward.")
app.add_typer(clock, name="clock", invoke_without_command=True)


@clock.callback(invoke_without_command=True)
def show_clock(context: typer.Context) -> None:
    """Show what time it is in the demo merchant's test mode, or move that time forward."""
    from local import clock as clocks  # noqa: PLC0415 - each command loads what it needs

    if context.invoked_subcommand is None:
        with explained():
            print(clocks.show(_home()))  # noqa: T201 - a command's answer


@clock.command()
def advance(
    how_far: Annotated[str, typer.Argument(help="3d, 12h, or a time: 2026-12-01T00:00:00Z.")],
) -> None:
    """Let time pass, wait until everything has happened that it brings, and count it."""
    from local import clock as clocks  # noqa: PLC0415 - each command loads what it needs

    with explained():
        print("\n".join(clocks.advance(_home(), how_far)))  # noqa: T201 - a command's answer


@app.command(name="files")
def show_files(
    prefix: Annotated[str, typer.Argument(help="Such as bank/out; everything if left out.")] = "",
    *,
    show: Annotated[
        bool, typer.Option("--print", help="Print the one that was written last.")
    ] = False,
) -> None:
    """List the documents that the stack has written and read, or print one."""
    from local import files  # noqa: PLC0415 - each command loads what it needs

    with explained():
        found = files.Files.of(_home())
        print(found.newest(prefix) if show else found.table(prefix))  # noqa: T201 - an answer


@app.command()
def redrive(
    queue: Annotated[
        str, typer.Argument(help="Such as charges; without one, nothing is sent.")
    ] = "",
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be sent.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Send at most so many; all if left out.")
    ] = None,
) -> None:
    """Show what consumers gave up on, queue by queue, or send a queue's messages back to it."""
    from local import dead_letters  # noqa: PLC0415 - each command loads what it needs
    from local.home import typed  # noqa: PLC0415 - same

    with explained():
        sqs = dead_letters.client(_home())
        found = dead_letters.every(sqs)
        if not queue:
            print(typed(dead_letters.table(found)))  # noqa: T201 - a command's answer
            return
        chosen = dead_letters.named(found, queue)
        if dry_run:
            count, done = min(chosen.count, limit or chosen.count), "would be sent"
        else:
            count, done = dead_letters.redrive(sqs, chosen, limit), "sent"
        print(f"{queue}: {count} of {chosen.count} {done} back.")  # noqa: T201 - same


@app.command(name="proof")
def prove(
    *,
    sql: Annotated[
        str, typer.Option(help="Print the query of a law, such as L5, to run it yourself.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Prove the books: every law, over all merchants; exit code 1 when one does not hold."""
    from local import books  # noqa: PLC0415 - each command loads what it needs

    with explained():
        if sql:
            print(books.query(sql))  # noqa: T201 - a command's answer
            return
        found = books.prove(_home())
        if as_json:
            print(found.model_dump_json())  # noqa: T201 - a command's answer
        else:
            books.show(found)
        raise typer.Exit(0 if found.holds else 1)


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="The file to write.")],
    *,
    merchant: Annotated[str, typer.Option(help="Only the books of one: mer_…")] = "",
    live: Annotated[bool, typer.Option("--live", help="Live mode instead of test mode.")] = False,
) -> None:
    """Write the books as a beancount journal, for bean-check and every tool of its family."""
    from local import books  # noqa: PLC0415 - each command loads what it needs

    with explained():
        count = books.export(_home(), out, merchant=merchant, livemode=live)
        print(f"{out}: {count} transactions.")  # noqa: T201 - a command's answer


@app.command()
def doctor() -> None:
    """Check every prerequisite and name the exact fix of each that fails."""
    from local import doctor as checks  # noqa: PLC0415 - each command loads what it needs
    from local.home import typed  # noqa: PLC0415 - same

    findings = checks.examine(_home())
    for finding in findings:
        print(typed(finding.line()))  # noqa: T201 - a command's answer
    raise typer.Exit(1 if any(finding.fix for finding in findings) else 0)


def _home() -> Home:
    from local.home import Home  # noqa: PLC0415 - each command loads what it needs

    return Home.current()


def _running_port(home: Home) -> int:
    from local.errors import LocalError  # noqa: PLC0415 - each command loads what it needs
    from local.home import port_taken  # noqa: PLC0415 - same

    port = int(home.read("ports").get("postgres", 0))
    if not port or not port_taken(port):
        raise LocalError("The database does not run.", "Start it with `ivy up`.")
    return port


if __name__ == "__main__":
    app()
