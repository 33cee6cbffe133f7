"""Merchants' settings: who may change what, what it changes, and what it leaves alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4
from zoneinfo import available_timezones

import psycopg
import pytest

from functions.events import list as list_events
from functions.holidays import add, remove
from functions.holidays import list as list_holidays
from functions.merchants import configure, get, update
from ivy import ids
from ivy.database import Database, Tenant
from tests import invariants
from tests.bank_accounts import live_key
from tests.driving import LambdaContext

if TYPE_CHECKING:
    from collections.abc import Callable

    from ivy.serve.declaration import Command
    from tests.conftest import Store
    from tests.driving import Account, Platform, Reply

Person = str
"""An access token."""


def command(platform: Platform, function: Command, **said: Any) -> dict[str, Any]:
    platform.enter(function.needs)
    answer: dict[str, Any] = function({"by": "grace", "reason": "asked to"} | said, LambdaContext())
    return answer


def settings(platform: Platform, account: Account) -> dict[str, Any]:
    found: dict[str, Any] = platform.read(get.handler, account)
    return found


def change(platform: Platform, bearer: str, **named: Any) -> Reply:
    return platform.request(update.handler, named, bearer=bearer)


@pytest.fixture
def account(deployed: Platform) -> Account:
    return deployed.open_account(f"{uuid4().hex}@example.com")


@pytest.fixture
def joins(deployed: Platform, shared_store: Store) -> Callable[[Account, str], Person]:
    """Make somebody a member of a merchant, in a role."""

    def join(account: Account, role: str) -> Person:
        other = deployed.open_account(f"{role}.{account.merchant_id}@example.com")
        with shared_store.superuser() as root:
            root.execute(
                "UPDATE members SET merchant_id = %s, role = %s WHERE merchant_id = %s",
                (account.merchant_id, role, other.merchant_id),
            )
            (user, name) = root.execute(
                "SELECT user_id, public_id FROM members JOIN merchants ON merchants.id = %s"
                " WHERE merchant_id = %s AND role = %s ORDER BY members.created_at DESC LIMIT 1",
                (account.merchant_id, account.merchant_id, role),
            ).fetchone() or (None, None)
        deployed.enter(get.handler.needs)
        return _token(deployed, user, account.merchant_id, name)

    return join


def _token(platform: Platform, user: Any, merchant_id: int, merchant: Any) -> str:
    from functions.access import login  # noqa: PLC0415 - only for its needs
    from ivy import credentials  # noqa: PLC0415 - same

    platform.enter(login.handler.needs)
    return credentials.new_access_token(user, merchant_id, merchant, ids.now())


# -- what can be changed


def test_what_is_named_changes_and_the_rest_stays(
    deployed: Platform, account: Account, shared_store: Store
) -> None:
    before = settings(deployed, account)
    assert (before["time_zone"], before["settlement_cutoff"]) == ("UTC", None)
    assert (before["payout_schedule"], before["payout_minimum"]) == ("manual", 100)
    assert (before["overdraft"], before["reserve_days"], before["version"]) == (50_000, 90, 1)
    named = {
        "time_zone": "America/New_York",
        "settlement_cutoff": "17:00",
        "payout_schedule": "weekly",
        "payout_minimum": 2_500,
        "payout_approval_limit": 10_000,
    }
    answer = change(deployed, account.secret_key, **named)
    assert answer.status == 200, answer.body
    assert answer.json() == before | named | {"version": 2}
    assert settings(deployed, account) == answer.json()
    back = change(deployed, account.secret_key, settlement_cutoff=None).json()
    assert back == before | named | {"version": 3, "settlement_cutoff": None}
    with shared_store.superuser() as root:
        rows = root.execute(
            "SELECT version, changed_by, before->>'settlement_cutoff', after->>'settlement_cutoff'"
            " FROM merchant_changes WHERE merchant_id = %s ORDER BY version",
            (account.merchant_id,),
        ).fetchall()
    assert rows == [(2, account.key_id, None, "17:00"), (3, account.key_id, "17:00", None)]


def test_a_change_is_announced_in_both_modes_and_none_is_not(
    deployed: Platform, account: Account, shared_store: Store
) -> None:
    from functions.test_clock import advance  # noqa: PLC0415 - the clock has the merchant's id

    change(deployed, account.secret_key, payout_schedule="daily")
    assert change(deployed, account.secret_key, payout_schedule="daily").json()["version"] == 2
    assert change(deployed, account.secret_key).json()["version"] == 2
    assert deployed.post(advance.handler, account, {"days": 1}).status == 202
    change(deployed, account.secret_key, payout_schedule="weekly")
    deployed.publish()
    query = {"object": settings(deployed, account)["id"]}
    found = deployed.request(list_events.handler, bearer=account.secret_key, query=query).json()
    told = [(each["type"], each["data"]["version"]) for each in found["data"]]
    assert told == [("merchant.updated", 3), ("merchant.updated", 2)]
    assert found["data"][0]["data"] == settings(deployed, account)
    with shared_store.superuser() as root:
        modes = root.execute(
            "SELECT livemode, version, (data->>'livemode')::boolean = livemode FROM events"
            " WHERE merchant_id = %s AND type = 'merchant.updated' ORDER BY version, livemode",
            (account.merchant_id,),
        ).fetchall()
        assert invariants.broken(root) == {}
    assert modes == [(mode, version, True) for version in (2, 3) for mode in (False, True)]


@pytest.mark.parametrize(
    ("named", "pointers"),
    [
        ({"time_zone": "Europe/Nowhere"}, ["/time_zone"]),
        ({"time_zone": "EST5EDT4,M3.2.0"}, ["/time_zone"]),
        ({"time_zone": "posix/Europe/Berlin"}, ["/time_zone"]),
        ({"time_zone": "posixrules"}, ["/time_zone"]),
        ({"time_zone": "+02:00"}, ["/time_zone"]),
        ({"time_zone": "../UTC"}, ["/time_zone"]),
        ({"time_zone": ""}, ["/time_zone"]),
        ({"time_zone": None}, ["/time_zone"]),
        ({"settlement_cutoff": "24:00"}, ["/settlement_cutoff"]),
        ({"settlement_cutoff": "17:00:30"}, ["/settlement_cutoff"]),
        ({"settlement_cutoff": 61200}, ["/settlement_cutoff"]),
        ({"payout_schedule": "hourly"}, ["/payout_schedule"]),
        ({"payout_schedule": None}, ["/payout_schedule"]),
        ({"payout_minimum": 0}, ["/payout_minimum"]),
        ({"payout_minimum": None}, ["/payout_minimum"]),
        ({"payout_minimum": "100"}, ["/payout_minimum"]),
        ({"payout_approval_limit": -1}, ["/payout_approval_limit"]),
        ({"payout_approval_limit": 1.5}, ["/payout_approval_limit"]),
        ({"overdraft": 1}, ["/overdraft"]),
        ({"reserve_basis_points": 0}, ["/reserve_basis_points"]),
        ({"live_open": True}, ["/live_open"]),
        (
            {"payout_minimum": 0, "time_zone": "?", "nonsense": 1},
            ["/nonsense", "/payout_minimum", "/time_zone"],
        ),
    ],
)
def test_what_is_wrong_is_named_and_nothing_changes(
    deployed: Platform, ada: Account, named: dict[str, Any], pointers: list[str]
) -> None:
    before = settings(deployed, ada)
    sound = {"payout_schedule": "daily"} if "payout_schedule" not in named else {}
    answer = change(deployed, ada.secret_key, **sound, **named)
    assert (answer.status, answer.code) == (422, "request_invalid"), answer.body
    assert sorted({each["pointer"] for each in answer.json()["errors"]}) == pointers
    assert settings(deployed, ada) == before


def test_every_zone_that_the_server_and_python_know_is_accepted(
    deployed: Platform, account: Account, shared_store: Store
) -> None:
    with shared_store.superuser() as root:
        known = {name for (name,) in root.execute("SELECT name FROM pg_timezone_names")}
    both = sorted((known & available_timezones()) - {"localtime", "Factory", "posixrules"})
    assert len(both) > 300
    for name in both[:: len(both) // 25]:
        assert change(deployed, account.secret_key, time_zone=name).json()["time_zone"] == name


def test_the_table_refuses_a_zone_that_would_stop_settlement(
    shared_store: Store, ada: Account
) -> None:
    tenant = Tenant(ada.merchant_id, livemode=False)
    database = Database(shared_store.url("ivy_app"))
    with pytest.raises(psycopg.errors.InvalidParameterValue), database.transaction(tenant) as tx:
        tx.run("UPDATE merchants SET time_zone = 'Europe/Nowhere'")
    database.close()


# -- who


def test_a_key_without_the_scope_is_refused(deployed: Platform, account: Account) -> None:
    from functions.api_keys import create as create_key  # noqa: PLC0415 - only here

    made = deployed.request(
        create_key.handler, {"name": "r", "scopes": ["merchant:read"]}, bearer=account.access_token
    ).json()["secret"]
    assert deployed.request(get.handler, bearer=made).status == 200
    assert change(deployed, made, payout_minimum=5).code == "scope_missing"


def test_a_key_of_test_mode_decides_nothing_about_live_money(
    deployed: Platform, account: Account, shared_store: Store
) -> None:
    assert change(deployed, account.secret_key, payout_minimum=5).status == 200
    live = live_key(deployed, account)
    with shared_store.superuser() as root:
        root.execute("UPDATE merchants SET live_open = true WHERE id = %s", (account.merchant_id,))
    before = settings(deployed, account)
    refused = change(deployed, account.secret_key, payout_schedule="daily")
    assert (refused.status, refused.code) == (403, "live_key_required")
    assert settings(deployed, account) == before
    assert change(deployed, live.secret_key, payout_schedule="daily").status == 200
    assert change(deployed, account.access_token, payout_schedule="weekly").status == 200


@pytest.mark.parametrize(
    ("role", "status"),
    [("owner", 200), ("admin", 200), ("finance", 200), ("developer", 403), ("auditor", 403),
     ("support", 403)],
)  # fmt: skip
def test_who_may_change_settings(
    deployed: Platform, account: Account, joins: Callable[..., Person], role: str, status: int
) -> None:
    person = joins(account, role)
    assert change(deployed, person, payout_minimum=7).status == status


# -- four eyes


@pytest.fixture
def limited(deployed: Platform, account: Account) -> Account:
    assert change(deployed, account.secret_key, payout_approval_limit=5_000).status == 200
    return account


def in_force(platform: Platform, account: Account) -> tuple[Any, bool]:
    found = settings(platform, account)
    return found["payout_approval_limit"], found["payout_approval_proposal"] is not None


@pytest.mark.parametrize("looser", [None, 5_001])
def test_two_people_loosen_a_limit(
    deployed: Platform, limited: Account, joins: Callable[..., Person], looser: int | None
) -> None:
    finance = joins(limited, "finance")
    for bearer in (limited.secret_key, finance):
        assert change(deployed, bearer, payout_approval_limit=looser).code == "owner_required"
    proposed = change(deployed, limited.access_token, payout_approval_limit=looser)
    assert proposed.status == 200
    assert proposed.json()["payout_approval_proposal"]["limit"] == looser
    assert in_force(deployed, limited) == (5_000, True)
    again = change(deployed, limited.access_token, payout_approval_limit=looser)
    assert again.code == "confirmation_required"
    assert change(deployed, limited.secret_key, payout_approval_limit=looser).code == (
        "owner_required"
    )
    assert change(deployed, finance, payout_approval_limit=looser).status == 200
    assert in_force(deployed, limited) == (looser, False)


def test_another_limit_than_the_proposed_one_is_not_confirmed(
    deployed: Platform, limited: Account, joins: Callable[..., Person]
) -> None:
    finance = joins(limited, "finance")
    change(deployed, limited.access_token, payout_approval_limit=9_000)
    assert change(deployed, finance, payout_approval_limit=9_001).code == "owner_required"
    assert in_force(deployed, limited) == (5_000, True)


@pytest.mark.parametrize("tighter", [5_000, 0])
def test_whoever_may_can_end_a_proposal_and_tighten_at_once(
    deployed: Platform, limited: Account, joins: Callable[..., Person], tighter: int
) -> None:
    finance = joins(limited, "finance")
    change(deployed, limited.access_token, payout_approval_limit=None)
    assert change(deployed, finance, payout_approval_limit=tighter).status == 200
    assert in_force(deployed, limited) == (tighter, False)
    assert change(deployed, finance, payout_approval_limit=None).code == "owner_required"


def test_an_owner_alone_waits_a_day(
    deployed: Platform, limited: Account, shared_store: Store
) -> None:
    bearer = limited.access_token
    change(deployed, bearer, payout_approval_limit=None)
    assert change(deployed, bearer, payout_approval_limit=None).code == "confirmation_required"
    with shared_store.superuser() as root:
        root.execute(
            "UPDATE merchants SET payout_approval_proposed_at = now() - interval '24 hours'"
            " WHERE id = %s",
            (limited.merchant_id,),
        )
    assert change(deployed, bearer, payout_approval_limit=None).status == 200
    assert in_force(deployed, limited) == (None, False)


def test_an_owner_with_colleagues_does_not_get_round_them_by_waiting(
    deployed: Platform, limited: Account, joins: Callable[..., Person], shared_store: Store
) -> None:
    joins(limited, "admin")
    change(deployed, limited.access_token, payout_approval_limit=None)
    with shared_store.superuser() as root:
        root.execute("UPDATE merchants SET payout_approval_proposed_at = now() - interval '9 days'"
                     " WHERE payout_approval_proposed_at IS NOT NULL")  # fmt: skip
    answer = change(deployed, limited.access_token, payout_approval_limit=None)
    assert answer.code == "confirmation_required"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE merchants SET payout_approval_cents = NULL",
        "UPDATE merchants SET payout_approval_cents = 6000",
        "UPDATE merchants SET payout_approval_cents = NULL, {by} = payout_approval_proposed_by",
        "UPDATE merchants SET payout_approval_cents = 6000, {by} = gen_random_uuid()",
    ],
)
def test_the_table_wants_two_people_too(
    deployed: Platform, limited: Account, shared_store: Store, statement: Any
) -> None:
    change(deployed, limited.access_token, payout_approval_limit=None)
    database = Database(shared_store.url("ivy_app"))
    tenant = Tenant(limited.merchant_id, livemode=False)
    with pytest.raises(psycopg.errors.CheckViolation), database.transaction(tenant) as tx:
        tx.run(statement.format(by="payout_approval_decided_by"))
    with database.transaction(tenant) as tx:
        tx.run(
            "UPDATE merchants SET payout_approval_cents = NULL, payout_approval_decided_by ="
            " gen_random_uuid()"
        )
    database.close()


# -- operators


def test_operators_set_reserve_and_overdraft(
    deployed: Platform, account: Account, shared_store: Store
) -> None:
    name = settings(deployed, account)["id"]
    said = {"merchant": name, "reserve_basis_points": 1_000, "overdraft": 0}
    answer = command(deployed, configure.handler, **said)
    found = settings(deployed, account)
    assert answer == found
    terms = (found["reserve_basis_points"], found["reserve_days"], found["overdraft"])
    assert (*terms, found["version"]) == (1_000, 90, 0, 2)
    assert command(deployed, configure.handler, **said)["version"] == 2
    with shared_store.superuser() as root:
        rows = root.execute(
            "SELECT changed_by, reason FROM merchant_changes WHERE merchant_id = %s",
            (account.merchant_id,),
        ).fetchall()
        events = root.execute(
            "SELECT count(*) FROM events WHERE merchant_id = %s AND type = 'merchant.updated'",
            (account.merchant_id,),
        ).fetchone()
        assert invariants.broken(root) == {}
    assert rows == [("operator:grace", "asked to")]
    assert events == (2,)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({}, "request_invalid"),
        ({"reserve_days": 0}, "request_invalid"),
        ({"reserve_basis_points": 10_001}, "request_invalid"),
        ({"overdraft": -1}, "request_invalid"),
        ({"time_zone": "UTC", "overdraft": 1}, "request_invalid"),
        ({"overdraft": 1, "reason": ""}, "request_invalid"),
        ({"overdraft": 1, "merchant": "mer_" + "0" * 32}, "resource_missing"),
    ],
)
def test_what_operators_get_wrong_changes_nothing(
    deployed: Platform, ada: Account, said: dict[str, Any], code: str
) -> None:
    before = settings(deployed, ada)
    answer = command(deployed, configure.handler, **({"merchant": before["id"]} | said))
    assert answer["code"] == code
    assert settings(deployed, ada) == before


def test_the_jobs_role_announces_nothing_else(shared_store: Store, ada: Account) -> None:
    insert = (
        "INSERT INTO events (merchant_id, livemode, id, object_id, version, type, data, created_at)"
        " VALUES (%s, false, gen_random_uuid(), gen_random_uuid(), 1, %s, %s, now())"
    )
    with psycopg.connect(shared_store.url("ivy_jobs")) as connection:
        connection.execute(insert, (ada.merchant_id, "merchant.updated", "{}"))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(insert, (ada.merchant_id, "charge.succeeded", "{}"))
        connection.rollback()


# -- holidays


def test_a_holiday_is_added_and_removed_and_captured_charges_keep_their_day(
    deployed: Platform, account: Account, charging: Callable[..., dict[str, Any]]
) -> None:
    first = charging(deployed, account, "before")
    day = first["available_on"]
    said = {"currency": "usd", "day": day}
    assert command(deployed, add.handler, **said)["changed"] is True
    assert command(deployed, add.handler, **said)["changed"] is False
    listed = deployed_list(deployed, "USD", int(day[:4]))
    assert {"currency": "USD", "day": day} in listed
    second = charging(deployed, account, "after")
    assert second["available_on"] > day
    assert read(deployed, account, first["id"])["available_on"] == day
    assert command(deployed, remove.handler, **said)["changed"] is True
    assert command(deployed, remove.handler, **said)["changed"] is False
    assert charging(deployed, account, "again")["available_on"] == day
    assert read(deployed, account, second["id"])["available_on"] == second["available_on"]


def deployed_list(platform: Platform, currency: str, year: int) -> list[dict[str, Any]]:
    platform.enter(list_holidays.handler.needs)
    answer: dict[str, Any] = list_holidays.handler(
        {"currency": currency, "year": year}, LambdaContext()
    )
    found: list[dict[str, Any]] = answer["data"]
    return found


def read(platform: Platform, account: Account, charge: str) -> dict[str, Any]:
    from functions.charges import get as get_charge  # noqa: PLC0415 - only here

    found: dict[str, Any] = platform.read(get_charge.handler, account, id=charge)
    return found


@pytest.mark.parametrize(
    "said",
    [
        {"currency": "USD", "day": "2026-12-26"},
        {"currency": "USD", "day": "2026-13-01"},
        {"currency": "XXX", "day": "2026-12-24"},
        {"currency": "USD", "day": "2026-12-24", "by": ""},
        {"currency": "USD", "day": "2026-12-24", "surprise": 1},
    ],
)
def test_a_day_that_is_none_is_refused(deployed: Platform, said: dict[str, Any]) -> None:
    before = deployed_list(deployed, "USD", 2026)
    assert command(deployed, add.handler, **said)["code"] == "request_invalid"
    assert deployed_list(deployed, "USD", 2026) == before


def test_the_example_of_the_event_is_whole() -> None:
    """What the reference shows of a merchant is one."""
    from ivy.merchants import MerchantSettings  # noqa: PLC0415 - only here

    (shown,) = MerchantSettings.model_config["json_schema_extra"]["examples"]  # type: ignore[index,call-overload]  # our own
    assert json.loads(MerchantSettings.model_validate(shown).model_dump_json()) == shown
    assert UUID(hex=shown["id"][4:])
