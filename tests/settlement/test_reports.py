"""Reports of settlements: every item in a file that anybody can check, written once."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from functions.balance_transactions import list as list_transactions
from functions.payouts import cancel, create
from functions.settlements import itemise, report
from ivy import documents, proof, settlement_reports
from ivy.database import Database, Tenant
from ivy.ids import UUID
from ivy.models import Accept
from ivy.outbox import Task
from ivy.report_files import preferred
from local.home import PROJECT
from tests.bank_accounts import added, verified
from tests.driving import Reply
from tests.settlement.test_payouts import outcome
from tests.settlement.till import Till

FEE = 320
BEAN_CHECK = Path(sys.prefix) / "bin" / "bean-check"


@pytest.fixture(autouse=True)
def _proven(till: Till) -> Iterator[None]:
    """Whatever a test did, the books keep every law."""
    yield
    for law in proof.LAWS:
        found = till.here.connection.execute(law.query).fetchall()
        assert [witness for (witness,) in found if witness] == [], law.name


def busy_day(till: Till) -> Any:
    """Return a batch with something of everything that can be in one."""
    till.set(reserve_basis_points=1_000, reserve_days=30)
    refunded, failing, _ = (
        till.charge(payment_method=token) for token in ("tok_visa", "tok_refund_fails", "tok_visa")
    )
    till.refund(refunded, amount=2_000)
    till.refund(failing, amount=500)
    returned = till.charge(payment_method="tok_ach_r01", amount=7_000)
    till.work()
    till.be("2026-11-30 09:00")
    till.go_on()
    till.here.connection.execute("UPDATE charges SET available_on = '2026-12-20'")
    till.be("2026-12-08 09:00")
    till.go_on()
    assert till.see(returned)["status"] == "failed"
    (batch,) = till.close("2026-12-20 00:05")
    return batch


def unreported(till: Till) -> Any:
    """Return a batch that was just closed, whose report nobody has written yet."""
    till.charge()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(till.here, "itemise", lambda: None)
        (batch,) = till.close("2026-11-27 00:05")
    return batch


def fetched(till: Till, batch: Any, form: str = "", accept: str = "", who: int = 0) -> Reply:
    return till.here.platform.request(
        report.handler,
        bearer=till.here.accounts[who].secret_key,
        headers={"Accept": accept} if accept else None,
        query={"format": form} if form else None,
        id=batch["id"],
    )


def rows(reply: Reply) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(reply.body.decode())))


def bean_check(text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    file = directory / "books.beancount"
    file.write_text(text)
    return subprocess.run([BEAN_CHECK, str(file)], capture_output=True, text=True, check=False)


def test_the_report_is_the_items(till: Till) -> None:
    batch = busy_day(till)
    reply = fetched(till, batch)
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert reply.headers["content-disposition"] == f'attachment; filename="{batch["id"]}.csv"'
    found = rows(reply)
    query = {"settlement": batch["id"], "limit": "100"}
    listed = till.here.get(list_transactions.handler, till.account, query).json()["data"]
    assert [row["id"] for row in found] == [each["id"] for each in reversed(listed)]
    assert {row["type"] for row in found} == {
        "charge", "charge_return", "refund", "refund_failure", "reserve_hold",
    }  # fmt: skip
    for row, each in zip(found, reversed(listed), strict=True):
        for name in ("amount", "fee", "net", "exponent"):
            assert int(row[name]) == each[name]
        for name in ("type", "category", "source", "created_at", "available_on", "currency"):
            assert row[name] == each[name]
    charges = {row["source"] for row in found if row["type"] == "charge"}
    assert len(charges) == 4
    assert all(row["charge"] in charges for row in found if row["type"] != "reserve_hold")
    assert sum(int(row["net"]) for row in found) == batch["totals"]["available"]
    assert min(row["created_at"] for row in found) == "2026-11-24T09:00:00.000Z"


def test_the_hash_is_of_the_bytes(till: Till) -> None:
    batch = busy_day(till)
    reply = fetched(till, batch)
    assert batch["report"] == {
        "ready_at": "2026-12-20T00:05:00.000Z",
        "item_count": len(rows(reply)),
        "items_sha256": hashlib.sha256(reply.body).hexdigest(),
        "size": len(reply.body),
    }
    ready = till.told("settlement")[-1]
    assert (ready["type"], ready["data"]) == ("settlement.report_ready", batch)


def test_json_says_the_same_with_totals(till: Till) -> None:
    batch = busy_day(till)
    said = fetched(till, batch, "json").json()
    assert said["object"] == "settlement_report"
    for name in ("livemode", "settled_on", "currency", "exponent", "totals"):
        assert said[name] == batch[name]
    assert said["settlement"] == batch["id"]
    assert said["items_sha256"] == batch["report"]["items_sha256"]
    as_text = [
        {name: "" if value is None else str(value) for name, value in item.items()}
        for item in said["items"]
    ]
    assert as_text == rows(fetched(till, batch))


def test_bean_check_accepts_the_journal_and_no_other_amount(till: Till, tmp_path: Path) -> None:
    batch = busy_day(till)
    reply = fetched(till, batch, "beancount")
    assert reply.headers["content-type"] == "text/x-beancount; charset=utf-8"
    text = reply.body.decode()
    assert bean_check(text, tmp_path).returncode == 0
    assert text.count("\n  ltx: ") == batch["report"]["item_count"]
    assert " balance Liabilities:Merchants:M" in text
    wrong = text.replace("Pending  -96.80 USD", "Pending  -96.70 USD", 1)
    wrong = wrong.replace("Income:Processing  -3.20 USD", "Income:Processing  -3.30 USD", 1)
    checked = bean_check(wrong, tmp_path)
    assert (checked.returncode, "Balance failed" in checked.stderr) == (1, True)


def test_a_batch_that_comes_to_nothing_or_less_has_a_report(till: Till, tmp_path: Path) -> None:
    till.refund(till.charge(), amount=10_000 - FEE)
    till.work()
    (nothing,) = till.close("2026-11-27 00:05")
    assert nothing["totals"]["net"] == sum(int(r["net"]) for r in rows(fetched(till, nothing))) == 0
    text = fetched(till, nothing, "beancount").body.decode()
    assert bean_check(text, tmp_path).returncode == 0

    charge = till.charge()
    till.refund(charge, amount=10_000)
    till.work()
    (_, less) = till.close("2026-12-10 00:05")
    assert sum(int(row["net"]) for row in rows(fetched(till, less))) == -FEE
    assert bean_check(fetched(till, less, "beancount").body.decode(), tmp_path).returncode == 0


def test_a_charge_of_which_only_the_fee_is_left_is_an_item(till: Till, tmp_path: Path) -> None:
    charge = till.authorized(amount=1_000)
    till.work()
    assert till.capture(charge, amount=31).status == 200
    till.work()
    (batch,) = till.close("2026-11-27 00:05")
    (row,) = rows(fetched(till, batch))
    assert (row["charge"], row["amount"], row["fee"], row["net"]) == (charge, "31", "31", "0")
    assert bean_check(fetched(till, batch, "beancount").body.decode(), tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "csv"), ("*/*", "csv"), ("text/html", "csv"), ("application/json", "json"),
        ("text/csv;q=0.5, application/json", "json"), ("Text/X-Beancount", "beancount"),
        ("application/json, text/csv", "json"), ("text/csv; q=what, application/json;q=.1", "json"),
    ],
)  # fmt: skip
def test_accept_chooses(accept: str, form: str) -> None:
    assert preferred(Accept(accept)) == form


def test_the_query_outweighs_accept_and_is_checked(till: Till) -> None:
    till.charge()
    (batch,) = till.close("2026-11-27 00:05")
    assert fetched(till, batch, accept="application/json").json()["settlement"] == batch["id"]
    assert rows(fetched(till, batch, "csv", "application/json"))
    refused = fetched(till, batch, "xlsx")
    assert (refused.status, refused.json()["errors"][0]["pointer"]) == (422, "?format")


def test_a_report_that_is_not_ready_is_worth_asking_for_again(till: Till) -> None:
    batch = unreported(till)
    assert batch["report"] is None
    early = fetched(till, batch)
    assert (early.status, early.code) == (409, "settlement_report_not_ready")
    assert (early.json()["retryable"], early.headers["retry-after"]) == (True, "5")
    till.here.itemise()
    assert fetched(till, batch).status == 200


def test_nobody_elses_report(till: Till) -> None:
    till.charge()
    (batch,) = till.close("2026-11-27 00:05")
    assert fetched(till, batch, who=1).code == "resource_missing"
    assert fetched(till, {"id": f"stl_{'0' * 32}"}).code == "resource_missing"


def test_what_is_large_is_had_elsewhere(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    till.charge()
    (batch,) = till.close("2026-11-27 00:05")
    size = batch["report"]["size"]
    monkeypatch.setattr(documents, "MAX_ANSWER_BYTES", size)
    assert fetched(till, batch).status == 200
    monkeypatch.setattr(documents, "MAX_ANSWER_BYTES", size - 1)
    reply = fetched(till, batch)
    assert (reply.status, reply.body) == (302, b"")
    assert reply.headers["location"].endswith(f"{batch['id']}.csv")


def test_the_file_is_below_its_merchant_and_mode(till: Till) -> None:
    till.charge()
    (batch,) = till.close("2026-11-27 00:05")
    (public_id,) = till.here.connection.execute(
        "SELECT public_id FROM merchants WHERE id = %s", (till.account.merchant_id,)
    ).fetchone() or (None,)
    prefix = f"reports/test/mer_{public_id.hex}/{batch['id']}"
    written = {f"{prefix}.{form}" for form in ("csv", "json", "beancount")}
    assert set(till.here.pocket.documents) == written


@pytest.mark.parametrize(
    "point", ["settlements.itemise.after_put", "settlements.itemise.before_commit"]
)
def test_whoever_died_is_followed_by_the_same_bytes(till: Till, point: str) -> None:
    name = unreported(till)["id"]
    with till.here.dying_at(point) as died:
        till.here.itemise()
    assert died == [point]
    written, batch = dict(till.here.pocket.documents), till.batch(name)
    assert (
        batch["report"]["items_sha256"]
        == hashlib.sha256(written[next(key for key in written if key.endswith("csv"))]).hexdigest()
    )
    assert len(till.told("settlement")) == 2
    assert batch["version"] == 2
    task = Task(
        UUID(int=1), "settlement_reports", Tenant(till.account.merchant_id, livemode=False),
        UUID(hex=batch["id"][4:]), "",
    )  # fmt: skip
    assert till.here.hand_over(itemise.handler, task.message()) == []  # a late copy does nothing
    assert till.batch(batch["id"]) == batch
    assert till.here.pocket.documents == written


def test_bytes_are_the_same_when_the_world_has_moved_on(till: Till) -> None:
    refunded = till.charge()
    till.disputed()
    batch = unreported(till)
    database = Database(till.here.platform.store.url("ivy_app"))
    tenant = Tenant(till.account.merchant_id, livemode=False)
    owed = till.owed(batch["id"])
    assert owed is not None
    task = Task.from_message(owed[1])

    def written() -> settlement_reports.Written | None:
        with database.transaction(tenant, snapshot=True) as tx:
            return settlement_reports.write(tx, task)

    before = written()
    till.refund(refunded, amount=1_000)
    till.charge()
    till.work()
    till.be("2026-12-24 00:05")
    assert written() == before is not None
    database.close()
    till.here.itemise()


def test_a_report_that_does_not_add_up_is_not_written(till: Till) -> None:
    batch = unreported(till)
    root = till.here.connection
    root.execute("SET session_replication_role = replica")
    root.execute("UPDATE settlements SET net = net + 1, charges = charges + 1")
    with pytest.raises(AssertionError):
        till.here.itemise()
    assert "UnbalancedError" in till.here.failures[-1]
    assert till.here.pocket.documents == {}
    root.execute("UPDATE settlements SET net = net - 1, charges = charges - 1")
    root.execute("SET session_replication_role = origin")
    till.run("relay")
    root.execute("UPDATE outbox SET next_send_at = clock.now()")
    till.run("relay")
    till.here.itemise()
    assert fetched(till, batch).status == 200


def test_what_is_settled_does_not_change_in_sql_either(till: Till) -> None:
    till.charge()
    till.close("2026-11-27 00:05")
    for change, words in (
        ("net = net - 1, charges = charges - 1, version = version + 1", "does not change"),
        ("report_size = 1, version = version + 1", "is reported once"),
        ("status = 'paid_out'", "version"),
    ):
        with pytest.raises(psycopg.errors.CheckViolation, match=words):
            till.here.connection.execute(f"UPDATE settlements SET {change}".encode())


def test_the_commands_of_the_guide_work(till: Till, tmp_path: Path) -> None:
    guide = (PROJECT / "docs" / "statements.md").read_text()
    (commands, *_) = re.findall(r"^```sh\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    batch = busy_day(till)
    for form in ("csv", "beancount"):
        (tmp_path / f"settlement.{form}").write_bytes(fetched(till, batch, form).body)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{BEAN_CHECK.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [
        batch["report"]["items_sha256"], "settlement.csv", str(batch["totals"]["available"]),
    ]  # fmt: skip


# -- paid out


@pytest.fixture
def account(till: Till) -> str:
    platform = till.here.platform
    made = verified(platform, till.account, added(platform, till.account))
    return str(made["id"])


def pay(till: Till, **fields: Any) -> str:
    made = till.post(create.handler, {"currency": "USD"} | fields)
    assert made.status == 201, made.body
    return str(made.json()["id"])


def arrive(till: Till, payout: str) -> None:
    outcome(till, payout, "sent", till.here.clock.at.date())
    assert outcome(till, payout, "paid") == "paid"


def earned(till: Till) -> Any:
    till.charge()
    return till.close("2026-11-27 00:05")[-1]


@pytest.mark.usefixtures("account")
def test_a_batch_is_paid_out_when_its_payout_is_paid(till: Till) -> None:
    batch = earned(till)
    payout = pay(till)
    outcome(till, payout, "sent", till.here.clock.at.date())
    assert till.batch(batch["id"])["status"] == "closed"
    assert outcome(till, payout, "paid") == "paid"
    after = till.batch(batch["id"])
    assert after == batch | {"status": "paid_out", "version": 3}
    told = till.told("settlement")[-1]
    assert (told["type"], told["data"]) == ("settlement.paid_out", after)


@pytest.mark.usefixtures("account")
def test_only_what_the_payout_took_is_paid_out(till: Till) -> None:
    batch = earned(till)
    first = pay(till, amount=100)
    till.charge()
    (_, later) = till.close("2026-12-01 00:05")
    arrive(till, first)
    assert till.batch(batch["id"])["status"] == "paid_out"
    assert till.batch(later["id"])["status"] == "closed"


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("how", ["failed", "canceled"])
def test_a_batch_waits_for_the_payout_that_takes_it_again(till: Till, how: str) -> None:
    batch = earned(till)
    first = pay(till)
    if how == "canceled":
        assert till.post(cancel.handler, {}, id=first).status == 200
    else:
        outcome(till, first, "sent", till.here.clock.at.date())
        assert outcome(till, first, "came_back", "account_closed") == "failed"
    assert till.batch(batch["id"])["status"] == "closed"
    arrive(till, pay(till))
    assert till.batch(batch["id"])["status"] == "paid_out"


@pytest.mark.usefixtures("account")
def test_a_payout_that_a_bank_gives_back_takes_its_batches_back(till: Till) -> None:
    batch = earned(till)
    first = pay(till)
    arrive(till, first)
    assert outcome(till, first, "came_back", "account_closed") == "returned"
    assert till.batch(batch["id"])["status"] == "closed"
    assert till.told("settlement")[-1]["type"] == "settlement.payout_returned"
    second = pay(till)
    arrive(till, second)
    assert till.batch(batch["id"])["status"] == "paid_out"
    assert outcome(till, second, "came_back", "account_closed") == "returned"
    assert till.batch(batch["id"])["status"] == "closed"
    assert till.batch(batch["id"])["version"] == 6


@pytest.mark.usefixtures("account")
def test_a_batch_below_zero_is_paid_out_with_what_makes_up_for_it(till: Till) -> None:
    till.refund(till.charge(), amount=10_000)
    till.work()
    (below,) = till.close("2026-11-27 00:05")
    till.charge()
    till.close("2026-12-10 00:05")
    arrive(till, pay(till))
    assert {each["status"] for each in till.batches()} == {"paid_out"}
    assert till.batch(below["id"])["totals"]["available"] == -FEE


@pytest.mark.usefixtures("account")
def test_a_report_may_come_after_the_money(till: Till) -> None:
    batch = unreported(till)
    arrive(till, pay(till))
    till.here.itemise()
    after = till.batch(batch["id"])
    assert (after["status"], after["version"]) == ("paid_out", 3)
    assert after["report"] is not None
    assert json.loads(fetched(till, batch, "json").body)["item_count"] == 1
