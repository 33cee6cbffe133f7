"""The journal's own rules: what it refuses whoever writes, and what nobody may do to it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from ivy.ledger import MERCHANT_ACCOUNTS, Chart, PostingKind
from tests.conftest import Store

PLATFORM = 840_0_000  # USD, test mode
MERCHANT = 1042_840_0_000

GOOD: dict[str, Any] = {
    "owner": 1042,
    "livemode": False,
    "kind": 1,
    "value_on": "2026-01-01",
    "recorded_at": "2026-01-01T00:00:00Z",
    "a1": PLATFORM + 110,
    "v1": 98,
    "a2": MERCHANT + 210,
    "v2": -96,
    "a3": PLATFORM + 410,
    "v3": -4,
    "a4": PLATFORM + 510,
    "v4": 2,
}


def insert(connection: psycopg.Connection[Any], **changes: Any) -> uuid.UUID:
    row = GOOD | {"id": uuid.uuid4(), "source": uuid.uuid4()} | changes
    statement = sql.SQL("INSERT INTO journal ({}) VALUES ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join(map(sql.Placeholder, row))
    )
    connection.execute(statement, row)
    identity: uuid.UUID = row["id"]
    return identity


@pytest.fixture(scope="module")
def root(shared_store: Store) -> Iterator[psycopg.Connection[Any]]:
    with shared_store.superuser() as connection:
        yield connection


TWO_LEGS = {"a3": None, "v3": None, "a4": None, "v4": None}


def test_good_postings_are_accepted(root: psycopg.Connection[Any]) -> None:
    insert(root)
    insert(root, **TWO_LEGS, v1=96)
    insert(root, a4=None, v4=None, v1=100)
    live = {leg: GOOD[leg] + 1_000 for leg in ("a1", "a2", "a3", "a4")}
    insert(root, livemode=True, **live)
    insert(root, a1=MERCHANT + 910, v1=5, a2=PLATFORM + 960, v2=-5, **TWO_LEGS)  # memo accounts


@pytest.mark.parametrize(
    ("constraint", "changes"),
    [
        ("legs_sum_to_zero", {"v1": 99}),
        ("legs_sum_to_zero", {**TWO_LEGS, "v1": 97}),
        ("legs_sum_to_zero", {"v4": -2}),
        ("legs_are_not_zero", {**TWO_LEGS, "v1": 0, "v2": 0}),
        ("legs_are_not_zero", {"v1": 100, "v4": 0}),
        ("legs_are_not_zero", {"v1": 94, "v3": 0}),
        ("legs_are_whole", {"a4": None, "v4": None, "v3": None, "v1": 96}),
        ("legs_are_whole", {"a4": None, "v1": 98}),
        ("legs_are_whole", {"a3": None, "v3": None, "v1": 94}),  # the middle leg is missing
        ("legs_are_distinct_accounts", {**TWO_LEGS, "a2": PLATFORM + 110, "v1": 96}),
        ("legs_are_distinct_accounts", {"a3": PLATFORM + 110}),
        ("legs_are_distinct_accounts", {"a4": PLATFORM + 410}),
        ("legs_share_currency_and_mode", {"a2": 1042_978_0_210}),
        ("legs_share_currency_and_mode", {"a3": 978_0_410}),
        ("legs_share_currency_and_mode", {"a4": 978_0_510}),
        ("legs_share_currency_and_mode", {"a2": 1042_840_1_210}),
        ("legs_share_currency_and_mode", {"a4": 840_1_510}),
        ("legs_share_currency_and_mode", {"livemode": True}),
        ("legs_have_one_merchant", {"a2": 1043_840_0_210}),
        ("legs_have_one_merchant", {"owner": 1043}),
        ("legs_have_one_merchant", {"a3": 1043_840_0_220}),
        ("legs_have_one_merchant", {"a2": PLATFORM + 210}),  # pending belongs to somebody
        ("legs_have_one_merchant", {"a1": MERCHANT + 110}),  # a receivable is the platform's
        ("legs_have_one_merchant", {"owner": 0}),
        ("legs_have_one_merchant", {"a4": 1043_840_0_910}),
    ],
    ids=str,
)
def test_each_rule_refuses_its_violation(
    root: psycopg.Connection[Any], constraint: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(errors.CheckViolation) as refused:
        insert(root, **changes)
    assert refused.value.diag.constraint_name == constraint


@pytest.mark.parametrize("column", ["a1", "v1", "a2", "v2", "owner", "livemode", "value_on"])
def test_a_posting_without_its_essentials_is_refused(
    root: psycopg.Connection[Any], column: str
) -> None:
    with pytest.raises(errors.NotNullViolation):
        insert(root, **{column: None})


def test_sums_beyond_the_integers_are_refused(root: psycopg.Connection[Any]) -> None:
    with pytest.raises(errors.NumericValueOutOfRange):
        insert(root, v1=2**63 - 1, v2=2**63 - 1, v3=1, v4=1)


def test_a_transition_of_an_object_is_posted_once(root: psycopg.Connection[Any]) -> None:
    source = uuid.uuid4()
    insert(root, source=source)
    insert(root, source=source, part=1)  # more legs of the same
    with pytest.raises(errors.UniqueViolation) as refused:
        insert(root, source=source)
    assert refused.value.diag.constraint_name == "posted_once"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET v1 = v1",
        "UPDATE journal SET reason = 'x' WHERE false",
        "DELETE FROM journal",
        "DELETE FROM journal WHERE false",
        "TRUNCATE journal",
        "TRUNCATE journal CASCADE",
    ],
)
@pytest.mark.parametrize("role", ["postgres", "ivy_owner", "ivy_app", "ivy_jobs", "ivy_read"])
def test_nobody_changes_the_journal(
    shared_store: Store, root: psycopg.Connection[Any], role: str, statement: str
) -> None:
    insert(root)
    before = root.execute("SELECT count(*) FROM journal").fetchone()
    refusal: type[psycopg.Error] = errors.InsufficientPrivilege
    if role in {"postgres", "ivy_owner"}:
        refusal = errors.RestrictViolation  # the owner has the right; the trigger says no
    with psycopg.connect(shared_store.url(role), options="-c search_path=ivy") as connection:
        if role == "ivy_app":
            connection.execute(
                "SELECT set_config('app.merchant', '1042', true),"
                " set_config('app.livemode', 'false', true)"
            )
        with pytest.raises(refusal):
            connection.execute(statement.encode())
    assert root.execute("SELECT count(*) FROM journal").fetchone() == before


_MEMO = {"auth": "authorized", "auth_contra": "authorized_contra"}
"""Accounts that the books abbreviate."""


def test_the_tables_of_codes_are_the_enums(root: psycopg.Connection[Any]) -> None:
    chart = {code: (name, owner) for code, name, owner in root.execute(
        "SELECT code, name, owned_by FROM chart"
    )}  # fmt: skip
    for account in Chart:
        name, owner = chart[account]
        assert _MEMO.get(name, name).replace(":", "_").upper() == account.name
        assert (owner == "merchant") is (account in MERCHANT_ACCOUNTS)
    kinds = dict(root.execute("SELECT code, name FROM posting_kinds").fetchall())
    assert kinds == {kind.value: kind.name.lower().replace("_", ".") for kind in PostingKind}


def test_the_entries_are_the_legs(root: psycopg.Connection[Any]) -> None:
    posted = insert(root)
    found = root.execute(
        "SELECT account, account_name, amount, kind FROM entries"
        " WHERE ledger_transaction = %s ORDER BY account",
        (posted,),
    ).fetchall()
    assert found == [
        (PLATFORM + 110, "acquirer_receivable:simulated", 98, "charge.captured"),
        (PLATFORM + 410, "income:processing", -4, "charge.captured"),
        (PLATFORM + 510, "expense:processor", 2, "charge.captured"),
        (MERCHANT + 210, "pending", -96, "charge.captured"),
    ]
