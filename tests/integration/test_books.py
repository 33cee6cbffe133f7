"""Checking the books from outside: ``ivy proof``, ``ivy export``, all of docs/ledger.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from ivy import ledger, proof
from ivy.database import Database
from local.home import ROLES, Home
from tests.conftest import PASSWORD, Store
from tests.corruptions import CORRUPTIONS
from tests.integration.conftest import History

PROJECT = Path(__file__).parents[2]
GUIDE = (PROJECT / "docs" / "ledger.md").read_text()
BLOCKS = re.findall(r"^```(sh|sql)\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


class Shell:
    """A command line beside a running stack, whose database is a test's."""

    def __init__(self, home: Path, store: Store) -> None:
        self.directory = home
        kept = Home(home)
        reader = store.url("ivy_read")
        kept.write("local", {"database": reader})
        kept.write("ports", {"postgres": urlsplit(reader).port})
        kept.write("secrets", dict.fromkeys((*ROLES, "pepper", "signing_key"), PASSWORD))

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.directory,
            env={**os.environ, "PATH": path, "IVY_HOME": str(self.directory), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def shell(tmp_path: Path, history: History) -> Shell:
    return Shell(tmp_path, history.store)


@pytest.fixture
def shell_on_copy(tmp_path: Path, copy: Store) -> Shell:
    return Shell(tmp_path, copy)


# -- the guide


@pytest.mark.parametrize(
    "command", [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
)
def test_the_commands_of_the_guide_work(shell: Shell, command: str) -> None:
    if command.startswith("bean-check"):
        assert shell.run("ivy export --out books.beancount").returncode == 0
    done = shell.run(command)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("statement", [text for kind, text in BLOCKS if kind == "sql"])
def test_the_queries_of_the_guide_work(history: History, statement: str) -> None:
    with psycopg.connect(history.store.url("ivy_read")) as reader:
        assert reader.execute(statement.encode()).fetchall()


def test_the_sums_in_the_guide_are_zero_and_its_balances_are_the_ledgers(history: History) -> None:
    sums, _, balances = [text for kind, text in BLOCKS if kind == "sql"]
    with psycopg.connect(history.store.url("ivy_read")) as reader:
        found = reader.execute(sums.encode()).fetchall()
        assert {(row[0], row[3]) for row in found} == {(c, 0) for c in ("USD", "EUR", "JPY", "KWD")}
        by_entries = reader.execute("SELECT account, sum(amount) FROM entries GROUP BY 1")
        expected = {number: amount for number, amount in by_entries if amount}
        assert {n: a for n, a in reader.execute(balances.encode()) if a} == expected


def test_the_guide_states_every_law() -> None:
    stated = re.findall(r"^\| (L\d+) \| (.*) \|$", GUIDE, re.MULTILINE)
    assert stated == [(law.name, law.statement) for law in proof.LAWS]


# -- ivy proof


def test_a_proof_for_people_and_for_programs(shell: Shell) -> None:
    shown = shell.run("ivy proof")
    assert shown.returncode == 0
    for law in proof.LAWS:
        assert re.search(rf"^{law.name} .* yes *$", shown.stdout, re.MULTILINE)
    assert "Every law holds" in shown.stdout
    told = json.loads(shell.run("ivy proof --json").stdout)
    assert told["holds"] is True
    assert told["livemode"] is None
    assert {"snapshot", "known_at", "duration_ms", "laws"} <= told.keys()
    assert set(told["laws"][0]) == {
        "law", "statement", "rows_checked", "holds", "violations", "witnesses",
    }  # fmt: skip


def test_a_broken_law_is_shown_with_its_witnesses_and_an_exit_code(
    shell_on_copy: Shell, copy: Store, history: History
) -> None:
    planted = next(each for each in CORRUPTIONS if each.law == "L5")
    with copy.superuser() as root:
        planted.plant(root, history.books)
    shown = shell_on_copy.run("ivy proof")
    assert shown.returncode == 1
    assert re.search(r"^L5 .* NO *$", shown.stdout, re.MULTILINE)
    assert planted.words in shown.stdout
    assert "The books are broken" in shown.stdout
    told = shell_on_copy.run("ivy proof --json")
    assert told.returncode == 1
    assert json.loads(told.stdout)["holds"] is False


def test_the_query_of_a_law_runs_as_it_stands(shell: Shell, history: History) -> None:
    for law in proof.LAWS:
        printed = shell.run(f"ivy proof --sql {law.name.lower()}")
        with psycopg.connect(history.store.url("ivy_read")) as reader:
            rows = reader.execute(printed.stdout.encode()).fetchall()
        assert rows
        assert all(row == (None,) for row in rows)


def test_what_cannot_be_proved_is_said(shell: Shell, tmp_path: Path) -> None:
    unknown = shell.run("ivy proof --sql L99")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "There is no law L99." in unknown.stderr
    (tmp_path / "local.json").unlink()
    stopped = shell.run("ivy proof")
    assert stopped.returncode == 1
    assert "The stack does not run." in stopped.stderr


# -- ivy export


def bean_check(shell: Shell) -> subprocess.CompletedProcess[str]:
    return shell.run("bean-check books.beancount")


def test_bean_check_accepts_the_books(shell: Shell, history: History) -> None:
    done = shell.run("ivy export --out books.beancount")
    text = (shell.directory / "books.beancount").read_text()
    with history.store.superuser() as root:
        rows = root.execute("SELECT FROM journal").rowcount
    assert done.stdout.strip() == f"books.beancount: {rows} transactions."
    assert text.count('\n  ltx: "ltx_') == rows
    for currency, decimals in (("USD", 2), ("EUR", 2), ("JPY", 0), ("KWD", 3)):
        amounts = re.findall(rf"^  \S+  -?\d+\.?(\d*) {currency}$", text, re.MULTILINE)
        assert amounts
        assert {len(part) for part in amounts} == {decimals}
    checked = bean_check(shell)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_one_merchants_books_are_theirs_alone(shell: Shell, history: History) -> None:
    with history.store.superuser() as root:
        found = root.execute("SELECT public_id FROM merchants WHERE id = %s", (history.bob,))
        (public_id,) = found.fetchone() or (None,)
        rows = root.execute("SELECT FROM journal WHERE owner = %s", (history.bob,)).rowcount
    done = shell.run(f"ivy export --out books.beancount --merchant mer_{public_id.hex}")
    assert f" {rows} transactions." in done.stdout
    text = (shell.directory / "books.beancount").read_text()
    assert f":M{history.bob}:" in text
    assert f":M{history.ada}:" not in text
    assert bean_check(shell).returncode == 0
    for bad, why in (("no/such/folder.beancount", "no such file"), (".", "is a directory")):
        refused = shell.run(f"ivy export --out {bad}")
        assert refused.returncode == 2
        assert f"{bad} cannot be written: {why}" in refused.stderr
        assert "Traceback" not in refused.stderr
    missing = shell.run("ivy export --out no.beancount --merchant mer_1")
    assert (missing.returncode, "There is no merchant mer_1." in missing.stderr) == (1, True)


def test_a_mode_without_business_is_an_empty_journal(shell: Shell) -> None:
    done = shell.run("ivy export --out books.beancount --live")
    assert done.stdout.strip() == "books.beancount: 0 transactions."
    assert bean_check(shell).returncode == 0


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        (r"(Income:Processing  -3\.2)0", r"\g<1>1", "Transaction does not balance"),
        (r"(balance Assets:\S+ \d+\.\d)(\d)", r"\g<1>", "Balance failed"),
        (r"2026-\d\d-\d\d \* \"refund.succeeded\"(\n|.)*?\n\n", "", "Balance failed"),
    ],
)
def test_bean_check_sees_one_unit_and_one_transaction(
    shell: Shell, before: str, after: str, complaint: str
) -> None:
    shell.run("ivy export --out books.beancount")
    file = shell.directory / "books.beancount"
    changed, times = re.subn(before, after, file.read_text(), count=1)
    assert times == 1
    file.write_text(changed)
    checked = bean_check(shell)
    assert checked.returncode == 1
    assert complaint in checked.stderr


def test_bean_check_sees_a_stored_balance_that_is_not_the_sum(
    shell_on_copy: Shell, copy: Store
) -> None:
    database = Database(copy.url("ivy_jobs"))
    with database.transaction() as tx:
        ledger.roll_up(tx)
    database.close()
    with copy.superuser() as root:
        root.execute("UPDATE accounts SET balance = balance + 1 WHERE number = 8400110")
    shell_on_copy.run("ivy export --out books.beancount")
    checked = bean_check(shell_on_copy)
    assert checked.returncode == 1
    assert "Balance failed for 'Assets:Acquirer-Receivable:Simulated'" in checked.stderr
