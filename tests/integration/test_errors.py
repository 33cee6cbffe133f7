"""Every code of the closed list is met here by asking for it: one table, kept complete."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from functions.access import login, me
from functions.api_keys import create as create_key
from functions.api_keys import revoke
from functions.bank_accounts import create as create_account
from functions.bank_accounts import verify as verify_account
from functions.charges import cancel, capture, create
from functions.charges import get as get_charge
from functions.connectors import collect
from functions.disputes import accept, evidence
from functions.disputes import list as list_disputes
from functions.events import trigger
from functions.merchants import update as update_merchant
from functions.payouts import approve, reject
from functions.payouts import cancel as cancel_payout
from functions.payouts import create as create_payout
from functions.refunds import create as refund
from functions.reports import content
from functions.reports import create as create_report
from functions.settlements import report
from functions.test_clock import advance
from functions.webhooks import create as create_endpoint
from functions.webhooks import test as test_endpoint
from functions.webhooks import update as update_endpoint
from infra import responses
from ivy import bank_accounts, errors, ids, webhooks
from ivy.database import Tenant
from ivy.serve import endpoint, http
from ivy.serve.declaration import Route
from ivy.serve.front import Front
from ivy.serve.requests import Incoming
from tests.driving import Account, LambdaContext, Platform, Reply, reply, rest_event

TABLES = (
    *("charges", "refunds", "disputes", "attempts", "journal", "events", "outbox"),
    *("bank_accounts", "payouts", "payout_items"),
    "idempotency_keys",
)
RIGHT, WRONG = [32, 45], [1, 2]
CHARGE = {"amount": 100, "currency": "USD", "payment_method": "tok_visa"}


COUNTS = {"charge_declined", "micro_deposit_mismatch"}
"""A decline is what became of a charge; a wrong attempt to verify a bank account is one less."""


class World:
    """What the table's requests are made with."""

    def __init__(self, platform: Platform, account: Account) -> None:
        self.platform = platform
        self.account = account

    def charge(
        self, body: Any = None, *, bearer: str = "", key: str | None = "", **more: str
    ) -> Reply:
        """Charge; ``key`` is made up unless given, None leaves the header out."""
        sent = {} if key is None else {"Idempotency-Key": key or uuid.uuid4().hex}
        return self._send(
            create.handler,
            CHARGE if body is None else body,
            bearer=bearer or self.account.secret_key,
            headers=sent | more,
        )

    def post(self, route: Route, *, id: str = "", **body: Any) -> Reply:  # noqa: A002 - the path's
        path = {"id": id} if id else {}
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        return self._send(route, body, bearer=self.account.secret_key, headers=headers, **path)

    def _send(self, route: Route, body: Any, **more: Any) -> Reply:
        """Send a request; one that is refused leaves nothing behind, but for what counts."""
        before = self._everything()
        answer = self.platform.request(route, body, **more)
        if answer.status >= 400 and answer.code not in COUNTS:
            assert self._everything() == before
        return answer

    def _everything(self) -> list[Any]:
        with self.platform.store.superuser() as root:
            return [
                root.execute(
                    f"SELECT md5(string_agg(t::text, '|')) FROM {table} t".encode()
                ).fetchall()
                for table in TABLES
            ]

    def charged(self, payment_method: str = "tok_visa", **fields: Any) -> str:
        """Return the id of a charge that the acquirer has answered."""
        made = self.charge(CHARGE | {"payment_method": payment_method} | fields)
        self.platform.drain()
        return str(made.json()["id"])

    def event(self, route: Route, **changes: Any) -> Reply:
        """Hand over an event of which some parts are changed."""
        principal = self.platform.principal(self.account.secret_key)
        event = rest_event(route, principal=principal, path={"id": "ch_" + "0" * 32})
        event.update(changes)
        self.platform.enter(route.needs)
        return reply(route(event, LambdaContext()))

    def key(self, **fields: Any) -> dict[str, Any]:
        made = self.platform.request(
            create_key.handler, {"name": "k"} | fields, bearer=self.account.access_token
        )
        found: dict[str, Any] = made.json()
        return found


def without_credential(world: World) -> Reply:
    world.platform.enter(me.handler.needs)
    return reply(me.handler(rest_event(me.handler), LambdaContext()))


def with_revoked_key(world: World) -> Reply:
    key = world.key()
    world.platform.principal(key["secret"])
    world.platform.request(revoke.handler, bearer=world.account.access_token, id=key["id"])
    return world.charge(bearer=key["secret"])


def with_wrong_password(world: World) -> Reply:
    login_as = {"email": "ada@example.com", "password": "not the right one"}
    return world.platform.request(login.handler, login_as)


def from_elsewhere(world: World) -> Reply:
    return world.charge(bearer=world.key(allowed_ips=["203.0.113.0/24"])["secret"])


def live(world: World) -> Reply:
    return world.charge(bearer=world.account.access_token, **{"Ivy-Mode": "live"})


def of_nobody(world: World) -> Reply:
    return world.platform.request(
        get_charge.handler, bearer=world.account.secret_key, id="ch_" + "0" * 32
    )


def off_the_map(world: World) -> Reply:
    return world.event(get_charge.handler, path="/v1/charges/a/b")


def while_running(world: World) -> Reply:
    headers = {"Idempotency-Key": "running"}
    incoming = Incoming.from_event(rest_event(create.handler, CHARGE, headers=headers))
    world.platform.enter(create.handler.needs)
    tenant = Tenant(world.account.merchant_id, livemode=False)
    assert Front(tenant, incoming.idempotency_key(create.handler)).claim() is None
    return world.charge(key="running")


def twice_different(world: World) -> Reply:
    world.charge(key="twice")
    return world.charge(CHARGE | {"amount": 101}, key="twice")


def broken(world: World) -> Reply:
    @endpoint("GET /v1/broken")
    def handler() -> None:
        raise ZeroDivisionError

    return world.event(handler, path="/v1/broken")


def without_database(world: World) -> Reply:
    platform = world.platform
    principal = platform.principal(world.account.secret_key)
    platform.connect_role(
        "ivy_app", platform.store.url("ivy_app").replace("127.0.0.1:", "127.0.0.1:1")
    )
    try:
        event = rest_event(me.handler, principal=principal)
        platform.enter(me.handler.needs)
        return reply(me.handler(event, LambdaContext()))
    finally:
        platform.connect_role("ivy_app", platform.store.url("ivy_app"))


def declined(world: World) -> Reply:
    """Ask for the outcome, which is known when the same request comes again."""
    waiting, key = CHARGE | {"payment_method": "tok_declined", "wait": True}, uuid.uuid4().hex
    world.charge(waiting, key=key)
    world.platform.drain()
    return world.charge(waiting, key=key)


def under_way(world: World) -> Reply:
    held = world.charged(capture=False)
    world.post(capture.handler, id=held, amount=50)
    return world.post(cancel.handler, id=held)


def captured_again(world: World) -> Reply:
    held = world.charged(capture=False)
    world.post(capture.handler, id=held)
    world.platform.drain()
    return world.post(capture.handler, id=held)


def of_a_closed_dispute(world: World) -> Reply:
    charge = world.charged("tok_dispute")
    world.platform.hear()
    found = world.platform.request(
        list_disputes.handler, bearer=world.account.secret_key, query={"charge": charge}
    )
    (dispute,) = found.json()["data"]
    world.post(accept.handler, id=dispute["id"])
    return world.post(evidence.handler, id=dispute["id"], text="Too late.", submit=True)


def refunded_twice(world: World) -> Reply:
    charge = world.charged()
    world.post(refund.handler, charge=charge, amount=60)
    return world.post(refund.handler, charge=charge, amount=60)


def triggered_in_live_mode(world: World) -> Reply:
    key = world.key(mode="live")["secret"]
    return world._send(trigger.handler, {"type": "charge.succeeded"}, bearer=key)


def with_endpoints_enough(world: World) -> Reply:
    live = world.key(mode="live")["secret"]
    new = {"url": "https://example.com/", "events": ["*"]}
    for _ in range(webhooks.MAX_ENDPOINTS):
        assert world._send(create_endpoint.handler, new, bearer=live).status == 201
    return world._send(create_endpoint.handler, new, bearer=live)


def while_paused(world: World) -> Reply:
    key = world.account.secret_key
    new = {"url": "https://example.com/", "events": ["*"]}
    made = world._send(create_endpoint.handler, new, bearer=key).json()["id"]
    world._send(update_endpoint.handler, {"status": "paused"}, bearer=key, id=made)
    return world._send(test_endpoint.handler, None, bearer=key, id=made)


def of_another_bank() -> dict[str, Any]:
    """A bank account that nobody has added yet."""
    number = f"{uuid.uuid4().int % 10**12:012}"
    return {
        "country": "US",
        "currency": "USD",
        "account_holder_name": "Ada",
        "routing_number": "110000000",
        "account_number": number,
    }


def added(world: World, *attempts: list[int]) -> str:
    """Return the id of a new bank account, after some attempts to verify it."""
    made = world.post(create_account.handler, **of_another_bank()).json()["id"]
    for amounts in attempts:
        world.post(verify_account.handler, id=made, amounts=amounts)
    return str(made)


def added_live(world: World, key: str, times: int = 1) -> Reply:
    """Add bank accounts in live mode, which is open meanwhile; returns the last answer."""
    with world.platform.store.superuser() as root:
        root.execute("UPDATE merchants SET live_open = true")
        for _ in range(times):
            headers = {"Idempotency-Key": uuid.uuid4().hex}
            made = world._send(
                create_account.handler, of_another_bank(), bearer=key, headers=headers
            )
        root.execute("UPDATE merchants SET live_open = false")
    return made


def with_accounts_enough(world: World) -> Reply:
    answer = added_live(world, world.key(mode="live")["secret"], bank_accounts.MAX_ADDED + 1)
    with world.platform.store.superuser() as root:
        root.execute("SET session_replication_role = replica")
        root.execute("UPDATE bank_accounts SET created_at = '2026-01-01' WHERE livemode")
    return answer


def verified_too_early(world: World) -> Reply:
    """Name the amounts of a live account before any bank has been told of them."""
    key = world.key(mode="live")["secret"]
    made = added_live(world, key)
    return world._send(verify_account.handler, {"amounts": RIGHT}, bearer=key, id=made.json()["id"])


def added_twice(world: World) -> Reply:
    new = of_another_bank()
    world.post(create_account.handler, **new)
    return world.post(create_account.handler, **new)


def paid_to(world: World, account: str) -> Reply:
    return world.post(
        create_payout.handler, amount=999_999_999, currency="USD", bank_account=account
    )


def payable(world: World, available: int = 0) -> str:
    """Return the id of a bank account that can be paid to, and make an amount available."""
    account = added(world, RIGHT)
    with world.platform.store.superuser() as root:
        root.execute("SET session_replication_role = replica")
        root.execute("UPDATE bank_accounts SET payable_from = verified_at, cools_off = false")
        if available:
            root.execute(
                "INSERT INTO journal (id, source, owner, livemode, recorded_at, a1, v1, a2, v2,"
                " value_on, kind) VALUES (uuidv7(), uuidv7(), %(owner)s, false, now(),"
                " %(owner)s::bigint * 10000000 + 8400210, %(amount)s,"
                " %(owner)s::bigint * 10000000 + 8400220, -%(amount)s, now(), 30)",
                {"owner": world.account.merchant_id, "amount": available},
            )
    return account


def to_be_approved(world: World) -> str:
    """Return the id of a payout that its person's colleague must approve."""
    account = payable(world, 1_000_000)
    with world.platform.store.superuser() as root:
        root.execute("UPDATE merchants SET payout_approval_cents = 0")
    body = {"amount": 100, "currency": "USD", "bank_account": account}
    made = by_the_person(world, create_payout.handler, body)
    assert made.status == 201, made.body
    return str(made.json()["id"])


def by_the_person(world: World, route: Route, body: Any = None, **path: str) -> Reply:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    return world.platform.request(
        route, body or {}, bearer=world.account.access_token, headers=headers, **path
    )


def approved_twice(world: World) -> Reply:
    payout = to_be_approved(world)
    by_the_person(world, reject.handler, id=payout)
    return by_the_person(world, approve.handler, id=payout)


def canceled_twice(world: World) -> Reply:
    payout = to_be_approved(world)
    world.post(cancel_payout.handler, id=payout)
    return world.post(cancel_payout.handler, id=payout)


def with_a_sandbox_key(world: World) -> Reply:
    """Settings hold in both modes, and its merchant takes live money."""
    with world.platform.store.superuser() as root:
        root.execute("UPDATE merchants SET live_open = true")
    try:
        return world._send(
            update_merchant.handler, {"payout_minimum": 1}, bearer=world.account.secret_key
        )
    finally:
        with world.platform.store.superuser() as root:
            root.execute("UPDATE merchants SET live_open = false")


def limit_loosened(world: World, bearer: str, times: int = 1) -> Reply:
    key = world.account.secret_key
    world._send(update_merchant.handler, {"payout_approval_limit": 0}, bearer=key)
    for _ in range(times):
        answer = world._send(update_merchant.handler, {"payout_approval_limit": 1}, bearer=bearer)
    return answer


def reported_too_early(world: World) -> Reply:
    """A settlement is closed, and nobody has written its report yet."""
    settlement = ids.new(ids.now())
    with world.platform.store.superuser() as root:
        root.execute(
            "INSERT INTO settlements (merchant_id, livemode, id, charges, fees, refunds, returns,"
            " net, reserved, created_at, settled_on, charge_count, currency) VALUES (%s, false, %s,"
            " 1, 1, 0, 0, 0, 0, now(), '2026-11-27', 1, 'USD')",
            (world.account.merchant_id, settlement),
        )
    return world.platform.request(
        report.handler, bearer=world.account.secret_key, id=f"stl_{settlement.hex}"
    )


def content_too_early(world: World) -> Reply:
    """A report is asked for, and nobody has made it yet."""
    body = {"type": "statement", "currency": "USD", "month": "2026-01"}
    made = world.platform.post(create_report.handler, world.account, body)
    return world.platform.request(
        content.handler, bearer=world.account.secret_key, id=made.json()["id"]
    )


def advanced_twice(world: World) -> Reply:
    """In an account of its own: the clock does not arrive."""
    account = world.platform.open_account("tomorrow@example.com")
    assert world.platform.post(advance.handler, account, {"days": 1}).status == 202
    return world.platform.post(advance.handler, account, {"days": 1})


def of_the_gateway(kind: str) -> Callable[[World], Reply]:
    """An answer that the gateway gives without asking us, filled in as it would."""

    def answer(_world: World) -> Reply:
        given = responses.answers()[kind]
        headers = {name: value.strip("'") for name, value in given.headers.items()}
        headers["Request-Id"] = "a-request"
        body = given.body.replace(responses.REQUEST_ID, "a-request")
        lower = {name.lower(): value for name, value in headers.items()}
        return Reply(given.status, lower, body.encode())

    return answer


REACHED: dict[str, Callable[[World], Reply]] = {
    "body_malformed": lambda world: world.charge("{"),
    "idempotency_key_missing": lambda world: world.charge(key=None),
    "idempotency_key_invalid": lambda world: world.charge(key="x" * 256),
    "credential_missing": without_credential,
    "credential_invalid": with_revoked_key,
    "login_invalid": with_wrong_password,
    "scope_missing": lambda world: world.charge(
        bearer=world.key(scopes=["charges:read"])["secret"]
    ),
    "charge_declined": declined,
    "balance_insufficient": lambda world: paid_to(world, payable(world)),
    "address_refused": from_elsewhere,
    "live_mode_locked": live,
    "test_mode_only": triggered_in_live_mode,
    "resource_missing": of_nobody,
    "route_unknown": off_the_map,
    "idempotency_key_in_use": while_running,
    "operation_in_progress": under_way,
    "charge_already_captured": captured_again,
    "charge_not_capturable": lambda world: world.post(
        capture.handler, id=world.charged("tok_declined")
    ),
    "charge_not_cancelable": lambda world: world.post(cancel.handler, id=world.charged()),
    "charge_not_refundable": lambda world: world.post(
        refund.handler, charge=world.charged(capture=False)
    ),
    "dispute_closed": of_a_closed_dispute,
    "bank_account_limit_reached": with_accounts_enough,
    "endpoint_limit_reached": with_endpoints_enough,
    "endpoint_not_enabled": while_paused,
    "bank_account_exists": added_twice,
    "bank_account_already_verified": lambda world: world.post(
        verify_account.handler, id=added(world, RIGHT), amounts=RIGHT
    ),
    "bank_account_verification_failed": lambda world: world.post(
        verify_account.handler, id=added(world, WRONG, WRONG, WRONG), amounts=RIGHT
    ),
    "micro_deposits_not_sent": verified_too_early,
    "bank_account_unverified": lambda world: paid_to(world, added(world)),
    "bank_account_cooling_off": lambda world: paid_to(world, added(world, RIGHT)),
    "approver_not_a_person": lambda world: world.post(approve.handler, id="po_" + "0" * 32),
    "self_approval": lambda world: by_the_person(world, approve.handler, id=to_be_approved(world)),
    "live_key_required": with_a_sandbox_key,
    "owner_required": lambda world: limit_loosened(world, world.account.secret_key),
    "confirmation_required": lambda world: limit_loosened(world, world.account.access_token, 2),
    "payout_not_approvable": approved_twice,
    "payout_not_cancelable": canceled_twice,
    "settlement_report_not_ready": reported_too_early,
    "report_not_ready": content_too_early,
    "clock_advancing": advanced_twice,
    "body_too_large": lambda world: world.charge({"x": "y" * 256 * 1024}),
    "media_type_unsupported": lambda world: world.charge(**{"Content-Type": "text/plain"}),
    "request_invalid": lambda world: world.charge({}),
    "amount_exceeds_authorized": lambda world: world.post(
        capture.handler, id=world.charged(capture=False), amount=101
    ),
    "refund_exceeds_charge": refunded_twice,
    "currency_mismatch": lambda world: world.post(
        refund.handler, charge=world.charged(), currency="EUR"
    ),
    "micro_deposit_mismatch": lambda world: world.post(
        verify_account.handler, id=added(world), amounts=WRONG
    ),
    "clock_not_forward": lambda world: world.post(advance.handler, to="2026-01-01T00:00:00Z"),
    "clock_too_far": lambda world: world.post(advance.handler, to="2099-01-01T00:00:00Z"),
    "idempotency_key_reused": twice_different,
    "rate_limited": of_the_gateway("THROTTLED"),
    "internal_error": broken,
    "unavailable": without_database,
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for an outcome does so for an instant: nobody works on it meanwhile."""
    monkeypatch.setattr(http, "WAIT_SECONDS", 0)


@pytest.fixture(scope="module")
def world(deployed: Platform, ada: Account) -> World:
    return World(deployed, ada)


def test_the_table_holds_every_code() -> None:
    assert list(REACHED) == [problem.code for problem in errors.Problem.every()]


def check(answer: Reply, problem: type[errors.Problem]) -> None:
    """A problem document as the contract describes it."""
    document = answer.json()
    assert (answer.status, document["code"]) == (problem.status, problem.code)
    assert answer.headers["content-type"] == "application/problem+json"
    required = {"type", "title", "status", "detail", "code", "request_id", "retryable"}
    allowed = required | {"instance", "param", "errors"} | problem.members.keys()
    assert required <= document.keys() <= allowed
    assert document["type"].endswith(f"/v1/docs/errors#{problem.code}")
    assert (document["title"], document["status"]) == (problem.title, problem.status)
    assert document["retryable"] is problem.retryable
    assert document["request_id"] == answer.headers["request-id"] != ""
    assert document["detail"]
    for error in document.get("errors", ()):
        assert error.keys() == {"pointer", "code", "detail"}


@pytest.mark.parametrize("code", REACHED)
def test_each_code_is_reached(world: World, code: str) -> None:
    (problem,) = [problem for problem in errors.Problem.every() if problem.code == code]
    answer = REACHED[code](world)
    check(answer, problem)
    assert problem.members.keys() <= answer.json().keys()
    if code in {"idempotency_key_in_use", "operation_in_progress", "rate_limited", "unavailable"}:
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("kind", responses.BY_TYPE)
def test_the_gateway_speaks_the_same_language(world: World, kind: str) -> None:
    check(of_the_gateway(kind)(world), responses.BY_TYPE[kind])


def test_instance_and_type_are_addresses_of_the_caller(world: World) -> None:
    document = of_nobody(world).json()
    assert document["instance"] == "/api/v1/charges/ch_" + "0" * 32
    assert document["type"] == "http://localhost:8000/api/v1/docs/errors#resource_missing"


def test_a_missing_scope_is_named(world: World) -> None:
    document = REACHED["scope_missing"](world).json()
    assert document["param"] == "charges:write"
    assert "charges:write" in document["detail"]


def test_less_than_nothing_may_be_left_to_refund(world: World) -> None:
    """A dispute takes all of a charge of which a part is on its way back already."""
    charge = world.charged("tok_dispute")
    assert world.post(refund.handler, charge=charge, amount=60).status == 201
    world.platform.run(collect.handler)
    check(world.post(refund.handler, charge=charge), errors.RefundExceedsCharge)
    world.platform.drain()


def test_a_refused_request_sends_nothing(world: World) -> None:
    world.platform.drain()
    for code in ("request_invalid", "scope_missing", "live_mode_locked", "body_malformed"):
        REACHED[code](world)
    assert world.platform.messages() == []
