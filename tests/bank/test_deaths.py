"""Whoever dies between the books and the bank leaves what the next run finishes, once."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

import pytest

from functions.bank import receive, simulated
from functions.outbox import relay
from functions.payouts import process, submit
from ivy import errors, ids, order_files, payout_requests
from ivy.callers import Caller
from ivy.database import Database, Tenant
from ivy.ids import UUID
from ivy.serve.schedules import JobError
from tests.bank.exchange import EXECUTED, RETURNED, Exchange
from tests.bank_accounts import caller_of, open_live

OUT = [
    "payouts.submit.before_commit", "payouts.submit.after_prepare", "payouts.submit.after_put",
    "payouts.submit.before_sent", "payouts.submit.after_sent", "payout.sent.before_commit",
    "payout.process.after_commit",
]  # fmt: skip
BACK = [
    "bank.simulated.after_due", "bank.simulated.after_given", "bank.receive.before_commit",
    "bank.receive.after_commit", "bank.receive.after_promise", "bank.receive.after_move",
    "payout.paid.before_commit", "payout.came_back.before_commit",
]  # fmt: skip
RACES = 25


def one_round(exchange: Exchange) -> None:
    """Run everything once, as schedules, queues and the relay do, whoever dies on the way."""
    for job in (submit.handler, simulated.handler, receive.handler):
        with suppress(JobError):  # it died
            exchange.here.run(job)
        for body in exchange.here.pocket.take("payouts"):
            exchange.here.hand_over(process.handler, body)
    _relay(exchange)


def _relay(exchange: Exchange) -> None:
    exchange.here.platform.make_overdue()
    exchange.here.run(relay.handler)
    for body in exchange.here.pocket.take("payouts"):
        exchange.here.hand_over(process.handler, body)


@pytest.mark.parametrize("point", OUT + BACK)
def test_a_death_at_each_point(exchange: Exchange, point: str) -> None:
    exchange.earn()
    good, bad = (exchange.pay(exchange.linked(n)) for n in ("000123456789", "000123000002"))
    with exchange.here.dying_at(point) as died:
        for day in ("2026-11-27 10:00", EXECUTED, RETURNED):
            exchange.till.be(day)
            for _ in range(3):
                one_round(exchange)
    assert died == [point]
    assert (exchange.status(good), exchange.status(bad)) == ("paid", "returned")
    assert (exchange.postings(good), exchange.postings(bad)) == ([40, 41], [40, 41, 43])
    ((content),) = exchange.files().values()
    assert exchange.rows("SELECT sha256, status, transfer_count FROM bank_files") == [
        (hashlib.sha256(content).hexdigest(), "sent", 2)
    ]
    assert exchange.rows("SELECT count(*), count(DISTINCT ordinal) FROM bank_lines") == [(3, 2)]
    assert len(exchange.receipts()) == 3
    assert exchange.rows("SELECT count(*) FROM outbox") == [(0,)]
    assert exchange.files("bank/in/") == {}
    assert exchange.files("bank/simulated/due/") == {}


def test_a_prepared_file_has_the_same_bytes_on_another_day(exchange: Exchange) -> None:
    exchange.earn()
    account = exchange.linked()
    payout = exchange.pay(account)
    with exchange.here.dying_at("payouts.submit.after_put"), pytest.raises(JobError):
        exchange.here.run(submit.handler)
    before = exchange.files()
    exchange.till.be("2026-12-03 09:00")
    exchange.pay(account, 500)
    assert exchange.submit() == {"finished": 1, "begun": 1, "promised": 1}
    after = exchange.files()
    assert len(after) == 2
    assert before.items() <= after.items()
    versions = exchange.s3.list_object_versions(Bucket=exchange.bucket, Prefix="bank/out/")
    assert len(versions["Versions"]) == 2  # a bank that is told of what is new pays it once
    assert exchange.seen(payout)["arrives_on"] == "2026-11-30"


def test_a_prepared_file_that_has_changed_is_not_sent(exchange: Exchange) -> None:
    exchange.earn()
    exchange.pay(exchange.linked())
    with (
        exchange.here.dying_at("payouts.submit.after_prepare"),
        pytest.raises(Exception, match="f"),
    ):
        exchange.here.run(submit.handler)
    exchange.here.connection.execute("UPDATE bank_originators SET name = 'Somebody Else'")
    with pytest.raises(JobError):
        exchange.here.run(submit.handler)
    assert "ChangedError" in exchange.here.failures[-1]
    assert exchange.files() == {}


def test_a_changed_file_does_not_hold_up_others(exchange: Exchange) -> None:
    exchange.earn()
    stuck = exchange.pay(exchange.linked())
    with (
        exchange.here.dying_at("payouts.submit.after_prepare"),
        pytest.raises(Exception, match="f"),
    ):
        exchange.here.run(submit.handler)
    exchange.here.connection.execute("UPDATE bank_files SET sha256 = repeat('0', 64)")
    other = exchange.pay(exchange.linked("000123000002"))
    with pytest.raises(JobError):
        exchange.here.run(submit.handler)
    exchange.process()
    assert [exchange.status(each) for each in (stuck, other)] == ["pending", "in_transit"]
    assert len(exchange.files()) == 1


def test_a_bank_that_takes_no_files(exchange: Exchange) -> None:
    exchange.earn()
    payout = exchange.pay(exchange.linked())
    with (
        exchange.here.platform.cloud.failing("fail", "PUT"),
        pytest.raises(Exception, match="fail"),
    ):
        exchange.here.run(submit.handler)
    assert exchange.status(payout) == "pending"
    exchange.submit()
    assert exchange.status(payout) == "in_transit"


def test_two_runs_at_once_make_one_file(exchange: Exchange) -> None:
    exchange.earn()
    account = exchange.linked()
    for _ in range(4):
        exchange.pay(account)
    start = Barrier(2)

    def prepare(_: int) -> int:
        database = Database(exchange.here.platform.store.url("ivy_jobs"))
        start.wait()
        with database.transaction() as tx:
            begun = order_files.prepare(tx, ids.now())
        database.close()
        return begun

    with ThreadPoolExecutor(2) as threads:
        sum(threads.map(prepare, range(2)))
    assert exchange.rows("SELECT sum(transfer_count)::integer FROM bank_files") == [(4,)]
    assert exchange.rows("SELECT count(*) FROM payouts WHERE bank_file IS NULL") == [(0,)]


def test_a_cancellation_races_the_file(exchange: Exchange) -> None:
    """Either the payout is in a file, or its money is back: never both."""
    exchange.earn()
    account = exchange.linked()
    caller = caller_of(exchange.till.account)
    for _ in range(RACES):
        payout = UUID(hex=exchange.pay(account, 100).partition("_")[2])
        canceled = _race(exchange, caller, payout)
        ((status, file),) = exchange.rows(
            "SELECT status, bank_file IS NOT NULL FROM payouts WHERE id = %s", payout
        )
        assert (status, file) == (("canceled", False) if canceled else ("pending", True))
    ((total,),) = exchange.rows("SELECT coalesce(sum(transfer_count), 0)::integer FROM bank_files")
    assert exchange.rows("SELECT count(*) FROM payouts WHERE status = 'pending'") == [(total,)]


def _race(exchange: Exchange, caller: Caller, payout: UUID) -> bool:
    """Cancel while a run prepares; says whether the payout was canceled."""
    start = Barrier(2)
    store = exchange.here.platform.store

    def cancel() -> bool:
        database = Database(store.url("ivy_app"))
        try:
            with database.transaction(caller.tenant) as tx:
                start.wait()
                payout_requests.cancel(tx, caller, payout)
        except errors.PayoutNotCancelable:
            return False
        finally:
            database.close()
        return True

    def prepare() -> None:
        database = Database(store.url("ivy_jobs"))
        with database.transaction() as tx:
            start.wait()
            order_files.prepare(tx, ids.now())
        database.close()

    with ThreadPoolExecutor(2) as threads:
        canceling, preparing = threads.submit(cancel), threads.submit(prepare)
        preparing.result()
        return canceling.result()


def _go_live(exchange: Exchange) -> str:
    """Make the payout of a merchant into one of live mode, which has no account to leave from."""
    exchange.earn()
    payout = exchange.pay(exchange.linked())
    open_live(exchange.here.platform.store)
    exchange.rows(
        "WITH account AS (INSERT INTO bank_accounts (merchant_id, livemode, id, created_at,"
        " country, currency, account_holder_name, account_type, routing_number, account_number,"
        " last4, fingerprint, cools_off, micro_deposits, status, verified_at, payable_from)"
        " SELECT merchant_id, true, uuidv7(), created_at, country, currency, account_holder_name,"
        " account_type, routing_number, account_number, last4, fingerprint, false, micro_deposits,"
        " status, verified_at, payable_from FROM bank_accounts RETURNING merchant_id, id)"
        " INSERT INTO payouts (merchant_id, livemode, id, bank_account_id, amount, opening, items,"
        " closing, item_count, sequence, ledger_transaction, created_at, currency, status)"
        " SELECT merchant_id, true, uuidv7(), id, 700, 0, 700, 0, 1, 1, uuidv7(), now(), 'USD',"
        " 'pending' FROM account RETURNING id"
    )
    return payout


def test_test_and_live_never_share_a_file(exchange: Exchange) -> None:
    payout = _go_live(exchange)
    try:
        assert exchange.submit()["begun"] == 1
        assert exchange.status(payout) == "in_transit"
        assert exchange.rows("SELECT livemode, total FROM bank_files") == [(False, 1_000)]
        exchange.here.connection.execute(
            "INSERT INTO bank_originators SELECT true, currency, rail, name, 'IVYLIVE001',"
            " bank_name, routing_number, '900000000009', account_type, iban, bic"
            " FROM bank_originators WHERE currency = 'USD'"
        )
        exchange.here.run(submit.handler)
        assert exchange.rows("SELECT livemode, total FROM bank_files ORDER BY livemode") == [
            (False, 1_000), (True, 700),
        ]  # fmt: skip
        (live,) = exchange.files("bank/out/live/").values()
        assert b"IVYLIVE001" in live
        assert b"IVYTEST001" not in live
        assert exchange.bank()["taken"] == 1  # the simulated bank does not see the other
    finally:
        exchange.here.connection.execute("SET session_replication_role = replica")
        for table in ("outbox", "events", "payouts", "bank_accounts"):
            exchange.here.connection.execute(f"DELETE FROM {table} WHERE livemode".encode())
        exchange.here.connection.execute("SET session_replication_role = origin")


def test_a_payout_in_a_file_stays_in_it(exchange: Exchange) -> None:
    """The program does not do it; the database does not let anything else."""
    exchange.earn()
    exchange.pay(exchange.linked())
    exchange.submit()
    with pytest.raises(Exception, match="is in a file already"):
        exchange.here.connection.execute("UPDATE payouts SET bank_file = NULL")
    tenant = Tenant(exchange.till.account.merchant_id, livemode=False)
    database = Database(exchange.here.platform.store.url("ivy_app"))
    with pytest.raises(Exception, match="permission denied"), database.transaction(tenant) as tx:
        tx.value("SELECT total FROM bank_files")
    database.close()


def test_a_payout_goes_into_no_file_of_another_merchant(exchange: Exchange) -> None:
    """The program does not do it; the database does not let it."""
    exchange.earn()
    account = exchange.linked()
    exchange.pay(account)
    exchange.submit()
    exchange.pay(account)
    connection = exchange.here.connection
    (file,) = exchange.rows(
        "INSERT INTO bank_files (id, merchant_id, livemode, total, created_at, execute_on,"
        " transfer_count, rail, currency, key, sha256) SELECT uuidv7(), merchant_id, livemode,"
        " total, created_at, execute_on, transfer_count, rail, currency, key || '2', sha256"
        " FROM bank_files RETURNING id"
    )
    put = b"UPDATE payouts SET bank_file = %s WHERE bank_file IS NULL"
    connection.execute(b"UPDATE bank_files SET merchant_id = merchant_id + 1 WHERE id = %s", file)
    with pytest.raises(Exception, match="is not for the file"):
        connection.execute(put, file)
    connection.execute(b"UPDATE bank_files SET merchant_id = merchant_id - 1 WHERE id = %s", file)
    assert connection.execute(put, file).rowcount == 1
