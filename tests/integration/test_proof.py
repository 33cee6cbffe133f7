"""The proof of the books: it holds after weeks of business, and each law fails alone.

A superuser, past every grant, constraint and trigger, plants one corruption in a copy of healthy
books; exactly one law must find it, in the words of the part of its query that is for it.
"""

from __future__ import annotations

from typing import get_args

import pytest

from functions.ledger import proof as prove_mine
from ivy import ids, ledger, money, payouts, proof
from ivy.database import Database, Tenant
from ivy.proof import LedgerProof
from tests.books import Business, clock, hear, work
from tests.cloud import Cloud
from tests.conftest import Store
from tests.corruptions import CORRUPTIONS, Corruption
from tests.driving import Platform
from tests.integration.conftest import History

READER, APP, JOBS = "ivy_read", "ivy_app", "ivy_jobs"


def prove(store: Store, role: str = READER, tenant: Tenant | None = None) -> LedgerProof:
    database = Database(store.url(role))
    try:
        with database.transaction(tenant, snapshot=True) as tx:
            livemode = tenant.livemode if tenant else None
            return proof.prove(tx, livemode=livemode, at=ids.now())
    finally:
        database.close()


def broken(found: LedgerProof) -> dict[str, list[str]]:
    return {each.law: each.witnesses for each in found.laws if not each.holds}


def twin(history: History) -> str:
    return history.books.twins[0].removeprefix("ch_")


def roll_up(store: Store) -> None:
    database = Database(store.url(JOBS))
    with database.transaction() as tx:
        ledger.roll_up(tx)
    database.close()


# -- healthy books


def test_weeks_of_business_keep_every_law(history: History) -> None:
    found = prove(history.store)
    assert broken(found) == {}
    assert found.holds
    assert [each.law for each in found.laws] == [law.name for law in proof.LAWS]
    assert all(each.rows_checked > 0 for each in found.laws)


def test_the_business_had_everything_in_it(history: History) -> None:
    with history.store.superuser() as root:
        states = {tuple(row) for row in root.execute("SELECT 'ch', status FROM charges")}
        states |= {
            tuple(row)
            for row in root.execute("SELECT 're', coalesce(pending_reason, status) FROM refunds")
        }
        states |= {tuple(row) for row in root.execute("SELECT 'dp', status FROM disputes")}
        states |= {tuple(row) for row in root.execute("SELECT 'rsv', status FROM reserves")}
        states |= {tuple(row) for row in root.execute("SELECT 'ba', status FROM bank_accounts")}
        states |= {tuple(row) for row in root.execute("SELECT 'po', status FROM payouts")}
        states |= {tuple(row) for row in root.execute("SELECT 'rcv', status FROM recoveries")}
        states |= {tuple(row) for row in root.execute("SELECT 'bal', status FROM balance_states")}
        kinds = root.execute(
            "SELECT name FROM posting_kinds WHERE code NOT IN (SELECT kind FROM journal)"
        ).fetchall()
        assert root.execute("SELECT FROM journal, rollup WHERE xid >= watermark").rowcount > 0
        assert root.execute("SELECT FROM refunds WHERE fee_returned > 0").rowcount > 0
    charges = {"authorized", "succeeded", "failed", "canceled"}
    refunds = {"processing", "insufficient_funds", "succeeded", "failed"}
    wanted = {("ch", state) for state in charges} | {("re", state) for state in refunds}
    accounts = {"pending_verification", "verified", "verification_failed", "deleted"}
    wanted |= {("ba", state) for state in accounts}
    wanted |= {("po", state) for state in get_args(payouts.Status)}
    wanted |= {("dp", "needs_response"), ("dp", "won"), ("dp", "lost")}
    wanted |= {("rcv", "written_off"), ("bal", "negative")}
    assert wanted | {("rsv", "held"), ("rsv", "released")} <= states
    assert kinds == []


def test_each_merchant_proves_their_own_books(cloud: Cloud, copy: Store, history: History) -> None:
    with Platform(cloud, copy) as platform:
        answers = [
            platform.request(prove_mine.handler, bearer=who.account.secret_key).json()
            for who in (history.books.ada, history.books.bob)
        ]
    everything = prove(copy)
    for answer in answers:
        assert answer["object"] == "ledger_proof"
        assert (answer["holds"], answer["livemode"]) == (True, False)
        assert answer["snapshot"]
        assert {law["law"] for law in answer["laws"]} == {law.name for law in proof.LAWS}
        for mine, whole in zip(answer["laws"], everything.laws, strict=True):
            assert 0 < mine["rows_checked"] <= whole.rows_checked
    mine = [answer["laws"][0]["rows_checked"] for answer in answers]
    assert 0 < sum(mine) <= everything.laws[0].rows_checked  # the first counts transactions


def test_a_merchant_sees_their_own_corruption_and_nobody_elses(
    copy: Store, history: History
) -> None:
    with copy.superuser() as root:
        root.execute(
            "UPDATE charges SET cost = cost + 1 WHERE id = (SELECT id FROM charges"
            " WHERE merchant_id = %s AND status = 'succeeded' LIMIT 1)",
            (history.ada,),
        )
    assert list(broken(prove(copy, APP, Tenant(history.ada, livemode=False)))) == ["L5"]
    assert broken(prove(copy, APP, Tenant(history.bob, livemode=False))) == {}
    assert broken(prove(copy, APP, Tenant(history.ada, livemode=True))) == {}


def test_a_proof_sees_one_moment(cloud: Cloud, copy: Store, history: History) -> None:
    database = Database(copy.url(READER))
    with Platform(cloud, copy) as platform, database.transaction(snapshot=True) as tx:
        before = proof.prove(tx, livemode=None, at=ids.now())
        seller = Business(platform, history.books.bob.account)
        seller._keys = iter(range(1_000, 1_010))
        seller.charge(5_000)
        after = proof.prove(tx, livemode=None, at=ids.now())
    database.close()
    assert [law.rows_checked for law in after.laws] == [law.rows_checked for law in before.laws]
    assert (after.snapshot, after.holds) == (before.snapshot, True)
    assert prove(copy).laws[0].rows_checked == before.laws[0].rows_checked + 1


def test_a_snapshot_is_read_only_and_the_next_transaction_is_not(store: Store) -> None:
    database = Database(store.url(JOBS))
    with database.transaction(snapshot=True) as tx:
        assert tx.value("SHOW transaction_isolation") == "repeatable read"
        assert tx.value("SHOW transaction_read_only") == "on"
    with database.transaction() as tx:
        assert tx.value("SHOW transaction_isolation") == "read committed"
        assert ledger.roll_up(tx) == 0
    database.close()


def test_the_currencies_in_the_database_are_the_programs(store: Store) -> None:
    with store.superuser() as root:
        found = set(root.execute("SELECT code, number, exponent FROM currencies"))
    assert found == {(c.code, c.number, c.exponent) for c in money.currencies().values()}


# -- planted corruptions


@pytest.mark.parametrize("planted", CORRUPTIONS, ids=lambda each: f"{each.law}: {each.name}")
def test_each_law_fails_alone(copy: Store, history: History, planted: Corruption) -> None:
    if planted.law == "L3":
        roll_up(copy)  # so that nothing hides behind the watermark
    with copy.superuser() as root:
        planted.plant(root, history.books)
    found = broken(prove(copy))
    assert list(found) == [planted.law], found
    assert any(planted.words in witness for witness in found[planted.law]), found
    assert all(found[planted.law])


def test_every_law_has_its_corruption() -> None:
    laws = {law.name for law in proof.LAWS} - {"L11"}  # which is broken by real business, below
    assert {planted.law for planted in CORRUPTIONS} == laws


def test_a_posting_of_no_known_kind_is_found(copy: Store, history: History) -> None:
    """Not alone: what no kind describes, no event can announce."""
    with copy.superuser() as root:
        root.execute("SET session_replication_role = replica")
        root.execute("UPDATE journal SET kind = 99 WHERE source = %s", (twin(history),))
    assert any("is of no known kind: 99" in witness for witness in broken(prove(copy))["L1"])


def test_only_the_first_witnesses_are_shown(copy: Store) -> None:
    with copy.superuser() as root:
        changed = root.execute("UPDATE events SET type = 'charge.pending'").rowcount
    law = next(each for each in prove(copy).laws if each.law == "L14")
    assert len(law.witnesses) == proof.WITNESSES
    assert proof.WITNESSES < law.violations <= changed


def test_money_of_one_merchant_that_went_to_another_is_missed(
    cloud: Cloud, copy: Store, history: History
) -> None:
    """A bank debit refunded before it came back: its merchant owes more than all our fees."""
    with Platform(cloud, copy) as platform:
        dan = Business(platform, platform.open_account("dan@example.com"))
        with clock() as time:
            debit = dan.charge(400_000, "tok_ach_r01")
            time.pass_days(3.1)
            hear(platform)
            dan.refund(debit)
            time.pass_days(6)
            hear(platform)
            work(platform)
        assert dan.status_of(debit) == "failed"
    found = broken(prove(copy))
    assert list(found) == ["L11"], found
    assert found["L11"][0].startswith("USD, test mode: ")
    for merchant in (dan.account.merchant_id, history.ada, history.bob):
        assert broken(prove(copy, APP, Tenant(merchant, livemode=False))) == {}


def test_costs_above_our_fees_are_ours_to_bring(platform: Platform) -> None:
    """A bank debit earns less than its acquirer keeps: the pool is short, and nobody's money is."""
    eve = Business(platform, platform.open_account("eve@example.com"))
    with clock() as time:
        debit = eve.charge(10_000, "tok_ach")
        time.pass_days(3.1)
        hear(platform)
    assert eve.status_of(debit) == "succeeded"
    with platform.store.superuser() as root:
        assert root.execute("SELECT FROM charges WHERE cost > fee").rowcount == 1
    assert broken(prove(platform.store)) == {}
