"""Recovery debits as the tables hold them: what no statement can make of one."""

from __future__ import annotations

import psycopg
import pytest

from ivy.database import Database, Tenant
from tests.bank_accounts import add
from tests.recoveries.collector import Collector


@pytest.mark.parametrize(
    "change",
    [
        "amount = amount - 1",
        "mandate = 'OTHER'",
        "status = 'collected', version = version + 1",
        "status = 'in_transit', version = version + 1",  # it is in no file
        "status = 'canceled', version = version + 1",  # by nobody
        "bank_file = (SELECT id FROM bank_files WHERE kind = 'micro_deposit')",
    ],
)
def test_the_table_refuses_what_is_no_change(collector: Collector, change: str) -> None:
    collector.owe()
    collector.debit()
    collector.agree(None)
    add(collector.here.platform, collector.till.account, account_number="000123456780")
    collector.submit()
    with psycopg.connect(collector.here.platform.store.url("postgres")) as root:
        root.execute("SET search_path = ivy")
        with pytest.raises(psycopg.errors.CheckViolation):
            root.execute(f"UPDATE recovery_debits SET {change}".encode())


@pytest.mark.parametrize(
    "changed",
    [
        "recovery_id = (SELECT id FROM recoveries LIMIT 1), mandate = 'OTHER'",
        "mandate_signed_on = '2020-01-01'",
        "currency = 'EUR'",
        "bank_account_id = gen_random_uuid()",
        "status = 'pending'",  # a second that is open
    ],
)
def test_the_table_refuses_what_is_not_allowed(collector: Collector, changed: str) -> None:
    collector.owe()
    collector.debit()
    with psycopg.connect(collector.here.platform.store.url("postgres")) as root:
        root.execute("SET search_path = ivy")
        root.execute("CREATE TEMP TABLE copy AS SELECT * FROM recovery_debits")
        root.execute("UPDATE copy SET id = gen_random_uuid(), trace = trace + 1000")
        if "pending" not in changed:
            root.execute("SET LOCAL session_replication_role = replica")
            root.execute("UPDATE recovery_debits SET status = 'canceled', canceled_by = 'x'")
            root.execute("SET LOCAL session_replication_role = origin")
        root.execute(f"UPDATE copy SET {changed}".encode())
        with pytest.raises(psycopg.errors.IntegrityError):
            root.execute("INSERT INTO recovery_debits SELECT * FROM copy")


def test_a_recovery_does_not_end_before_its_debit(collector: Collector) -> None:
    collector.owe()
    collector.debit()
    database = Database(collector.here.platform.store.url("ivy_jobs"))
    tenant = Tenant(collector.debtor.account.merchant_id, livemode=False)
    with pytest.raises(psycopg.errors.CheckViolation), database.transaction(tenant) as tx:
        tx.run("UPDATE recoveries SET status = 'recovered', version = version + 1")
