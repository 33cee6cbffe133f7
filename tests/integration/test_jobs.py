"""Jobs: what each does when its schedule or a deployment starts it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from functions.database import migrate
from functions.idempotency import expire
from functions.ledger import roll_up
from functions.outbox import relay
from ivy import idempotency, migrations
from ivy.database import Database
from ivy.serve import job
from ivy.serve.schedules import JobError
from tests.conftest import ROLES, Store
from tests.driving import LambdaContext, Platform
from tests.integration.conftest import Charging

Logged = Callable[[], list[dict[str, Any]]]
SECRET_TEXT = "nobody else's business"


def test_a_job_that_fails_is_raised_without_its_words(logged: Logged) -> None:
    @job("rate(1 minute)")
    def handler() -> dict[str, Any]:
        raise LookupError(SECRET_TEXT)

    with pytest.raises(JobError) as failed:
        handler({"id": "e-1"}, LambdaContext())
    assert SECRET_TEXT not in str(failed.value)
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__
    written = logged()
    (failure,) = [line for line in written if line.get("message") == "job.failed"]
    assert (failure["detail"], failure["correlation_id"]) == (SECRET_TEXT, "e-1")
    assert [line["JobFailed"] for line in written if "JobFailed" in line] == [[1.0]]


def test_a_job_reports_what_it_did(logged: Logged) -> None:
    @job(None)
    def handler() -> dict[str, Any]:
        return {"things": 7}

    @job(None)
    def silent() -> None:
        pass

    context = LambdaContext()
    assert handler({}, context) == {"things": 7}
    assert silent({}, context) == {}
    first, second = logged()
    assert (first["message"], first["things"]) == ("job.done", 7)
    assert first["correlation_id"] == second["correlation_id"] == context.aws_request_id
    assert first["duration_ms"] >= 0


def test_rolling_up(platform: Platform, charging: Charging) -> None:
    ada = platform.open_account()
    charging(platform, ada, "one")
    charging(platform, ada, "two")
    assert platform.run(roll_up.handler) == {"accounts": 4}
    assert platform.run(roll_up.handler) == {"accounts": 0}


def keep(store: Store, age: str) -> None:
    with store.superuser() as root:
        root.execute(
            "INSERT INTO idempotency_keys (merchant_id, livemode, scope, fingerprint, created_at)"
            " VALUES (1, false, sha256(%s), sha256('f'), now() - %s::interval)",
            (uuid.uuid4().bytes, age),
        )


def kept(store: Store) -> int:
    with store.superuser() as root:
        (found,) = root.execute("SELECT count(*) FROM idempotency_keys").fetchone() or (0,)
    return int(found)


def test_answers_are_forgotten_after_a_month(platform: Platform, store: Store) -> None:
    for age in ("0 days", "29 days 23 hours", "30 days 1 minute", "400 days"):
        keep(store, age)
    assert platform.run(expire.handler) == {"deleted": 2}
    assert kept(store) == 2
    assert platform.run(expire.handler) == {"deleted": 0}


def test_forgetting_goes_in_small_steps_and_has_an_end(
    platform: Platform, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(7):
        keep(store, "31 days")
    database = Database(store.url("ivy_jobs"))
    with database.transaction() as tx:
        assert idempotency.expire(tx, limit=3) == 3
    database.close()
    monkeypatch.setattr(expire, "MAX_TURNS", 2)
    monkeypatch.setattr(idempotency, "EXPIRE_LIMIT", 4)
    monkeypatch.setattr(idempotency.expire, "__defaults__", (1,))
    assert platform.run(expire.handler) == {"deleted": 1}  # fewer than the limit: done
    monkeypatch.setattr(idempotency, "EXPIRE_LIMIT", 1)
    assert platform.run(expire.handler) == {"deleted": 2}  # two turns, the rest next hour
    assert kept(store) == 1


def test_the_relay_with_nothing_to_do(platform: Platform) -> None:
    report = {"overdue": 0, "sent": 0, "overdue_seconds": 0.0}
    assert platform.run(relay.handler) == report


def test_migrating_gives_the_roles_their_passwords(platform: Platform, store: Store) -> None:
    secrets = {}
    for role in ROLES:
        platform.put_secret(f"role-{role}", {"password": f"new-{role}"})
        secrets[role] = platform._secret_id(f"role-{role}")
    platform.override(IVY_ROLE_SECRETS=json.dumps(secrets))
    try:
        assert platform.run(migrate.handler) == {"applied": []}
        for role in ROLES:
            url = store.url(role).replace("only-for-tests", f"new-{role}")
            psycopg.connect(url).close()
    finally:
        with store.superuser() as root:
            for role in ROLES:
                migrations.set_password(root, role, "only-for-tests")
