"""Webhook endpoints: where a merchant wants its events, and how each has been answering.

An endpoint is ``enabled``; ``paused`` by its merchant, so that events wait; or ``disabled`` by Ivy,
because it answered 410 or only failed for five days: it gets what it missed once it is enabled.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from ivy import api_keys, egress, errors, events, ids, objects, pages
from ivy.callers import Caller
from ivy.database import Tenant, Transaction
from ivy.events import EndpointEventType, TypePattern
from ivy.models import API_VERSION, Flag, Input, LongText, Object, Time, example
from ivy.settings import settings

MAX_ENDPOINTS = 20
MAX_PATTERNS = 50
MAX_OVERLAP_HOURS = 7 * 24

Status = Literal["enabled", "paused", "disabled"]
DisabledReason = Literal["failing", "gone"]


def _allowed(url: str) -> str:
    """Refuse a URL that nothing would ever be sent to; no name is looked up."""
    try:
        egress.check_url(url, allow_loopback=settings().target == "local")
    except egress.RefusedError as refused:
        raise PydanticCustomError(refused.code, "{rule}", {"rule": str(refused)}) from None
    return url


Url = Annotated[
    str,
    AfterValidator(_allowed),
    Field(
        description="An https address on the public internet, port 443 or 8443.",
        max_length=egress.MAX_URL,
        json_schema_extra={"examples": ["https://example.com/webhooks/ivy"]},
    ),
]
Patterns = Annotated[
    list[TypePattern],
    Field(min_length=1, max_length=MAX_PATTERNS, description="Which events to send there."),
    AfterValidator(lambda named: list(dict.fromkeys(named))),
]
Ordered = Annotated[
    Flag,
    Field(
        description="Send one event at a time, in the order of `sequence`: each waits until the one"
        " before has arrived or been given up."
    ),
]


class NewEndpoint(Input):
    """An endpoint to make."""

    model_config = example(url="https://example.com/webhooks/ivy", events=["charge.*"])

    url: Url
    events: Patterns
    description: LongText | None = None
    ordered: Ordered = False
    api_version: Annotated[
        Literal["2026-12-01"], Field(description="The version that events are written in.")
    ] = API_VERSION


class EndpointChange(Input):
    """What to change of an endpoint; what is left out stays."""

    model_config = example(status="paused")

    url: Url | None = None
    events: Patterns | None = None
    description: LongText | None = None
    ordered: Ordered | None = None
    status: Annotated[
        Literal["enabled", "paused"] | None,
        Field(
            description="`paused` keeps events until it is enabled again. A disabled endpoint that"
            " is enabled, or paused and then enabled, also gets what it missed."
        ),
    ] = None


class Rotation(Input):
    """How to replace a secret."""

    model_config = example(overlap_hours=24)

    overlap_hours: Annotated[
        int,
        Field(
            strict=True,
            ge=0,
            le=MAX_OVERLAP_HOURS,
            description="For how long the secrets before go on signing beside the new one.",
        ),
    ] = 24


class Endpoint(Object):
    """Where events are sent, and how that has been going."""

    model_config = example(
        id="whe_019ab2c9b1c27d3e8f4a5b6c7d8e9f01",
        object="webhook_endpoint",
        livemode=False,
        created_at="2026-11-24T09:00:00.000Z",
        url="https://example.com/webhooks/ivy",
        description=None,
        events=["charge.*"],
        ordered=False,
        api_version=API_VERSION,
        status="enabled",
        disabled_reason=None,
        disabled_at=None,
        failures=0,
        failing_since=None,
        warned_percent=0,
        resting_until=None,
        version=1,
    )

    id: ids.WebhookEndpointId
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    livemode: bool
    created_at: Time
    url: str
    description: str | None
    events: list[str]
    ordered: bool
    api_version: str
    status: Status = "enabled"
    disabled_reason: DisabledReason | None = None
    disabled_at: Time | None = None
    failures: Annotated[int, Field(description="Failed attempts since one last succeeded.")] = 0
    failing_since: Time | None = None
    warned_percent: Annotated[
        int, Field(description="How much of the five days until it is disabled was warned of.")
    ] = 0
    resting_until: Annotated[
        Time | None, Field(description="Nothing is sent before: it failed again and again.")
    ] = None
    version: int = 1


class CreatedEndpoint(Endpoint):
    """An endpoint, at the moment when its secret is shown."""

    secret: Annotated[str, Field(description="Verifies what arrives. Shown once; keep it now.")]


class Tested(Object):
    """A test event on its way to one endpoint."""

    object: Literal["webhook_test"] = "webhook_test"
    endpoint: ids.WebhookEndpointId
    event: ids.EventId


class EndpointQuery(pages.Page):
    """Which endpoints to list."""

    of = "whe"

    status: Status | None = None


def propose(tx: Transaction, caller: Caller, new: NewEndpoint) -> Endpoint:
    """Return the endpoint that a request asks for; nothing is written."""
    at = tx.now()
    return Endpoint(
        id=ids.new(at),
        livemode=caller.tenant.livemode,
        created_at=at,
        url=new.url,
        description=new.description,
        events=new.events,
        ordered=new.ordered,
        api_version=new.api_version,
    )


def add(tx: Transaction, caller: Caller, endpoint: Endpoint) -> None:
    """Write a proposed endpoint, whose secret is made.

    Raises:
        CredentialInvalid: The caller's key has been revoked.
        EndpointLimitReached: The merchant has as many as it may.
    """
    api_keys.check_standing(tx, caller)
    tx.run("SELECT pg_advisory_xact_lock(%(id)s)", id=caller.tenant.merchant_id)
    if (
        tx.value("SELECT count(*) FROM webhook_endpoints WHERE status <> 'deleted'")
        >= MAX_ENDPOINTS
    ):
        raise errors.EndpointLimitReached
    tx.run(
        _INSERT,
        merchant_id=caller.tenant.merchant_id,
        livemode=endpoint.livemode,
        id=endpoint.id,
        created_at=endpoint.created_at,
        url=endpoint.url,
        description=endpoint.description,
        events=endpoint.events,
        ordered=endpoint.ordered,
        api_version=endpoint.api_version,
    )


def get(tx: Transaction, endpoint_id: UUID) -> Endpoint:
    """Return one endpoint of the transaction's tenant.

    Raises:
        ResourceMissing: This merchant has no such endpoint in this mode.
    """
    return objects.one(tx, Endpoint, _ONE, endpoint_id)


def lock(tx: Transaction, endpoint_id: UUID) -> Endpoint:
    """Return one endpoint that nobody else changes until the transaction ends.

    Raises:
        ResourceMissing: This merchant has no such endpoint in this mode.
    """
    return objects.one(tx, Endpoint, _ONE + " FOR NO KEY UPDATE", endpoint_id)


def page(tx: Transaction, query: EndpointQuery) -> pages.Listing[Endpoint]:
    """Return one page of endpoints, newest first."""
    return pages.read(tx, Endpoint, _SELECT + " AND", query, {"status": query.status})


def edit(
    tx: Transaction, caller: Caller, endpoint_id: UUID, wanted: EndpointChange
) -> tuple[Endpoint, Endpoint]:
    """Change what a request names of an endpoint; returns it as it was and as it is.

    Another address, or taking up again what was paused or disabled, is a fresh start; one that is
    disabled keeps what it was disabled for until then.

    Raises:
        CredentialInvalid, ResourceMissing.
    """
    api_keys.check_standing(tx, caller)
    before = lock(tx, endpoint_id)
    named = {
        name: each
        for name, each in wanted.model_dump(exclude_unset=True).items()
        if each is not None or name == "description"
    }
    status = named.get("status", before.status)
    moved = named.get("url", before.url) != before.url and status != "disabled"
    revived = before.status not in ("enabled", status)
    if moved or revived:
        named |= _FRESH
    if revived:
        named |= {"disabled_reason": None, "disabled_at": None}
    after = _save(tx, before, before.model_copy(update=named))
    tx.to_publish = True
    return before, after


def fanning_out(tx: Transaction) -> None:
    """Let no endpoint be deleted or resumed until the transaction ends; who does so is waited for.

    Otherwise the one would not see the deliveries, and the other not what became of the endpoint.
    """
    a, b = _FAN_OUT_LOCK
    tx.run("SELECT pg_advisory_xact_lock_shared(%(a)s::integer, %(b)s::integer)", a=a, b=b)


def hold_fan_outs(tx: Transaction) -> None:
    """Wait until nobody fans out, and let nobody until the transaction ends."""
    a, b = _FAN_OUT_LOCK
    tx.run("SELECT pg_advisory_xact_lock(%(a)s::integer, %(b)s::integer)", a=a, b=b)


def delete(tx: Transaction, caller: Caller, endpoint_id: UUID) -> Endpoint:
    """Remove an endpoint for good; nothing more is sent there.

    Whatever was being fanned out has its deliveries by the time this returns; end them too.

    Raises:
        CredentialInvalid, ResourceMissing.
    """
    api_keys.check_standing(tx, caller)
    endpoint = lock(tx, endpoint_id)
    hold_fan_outs(tx)
    tx.run(
        "UPDATE webhook_endpoints SET status = 'deleted', disabled_reason = NULL,"
        " disabled_at = NULL WHERE id = %(id)s",
        id=endpoint.id,
    )
    return endpoint


def _save(tx: Transaction, before: Endpoint, after: Endpoint) -> Endpoint:
    """Write what changed of an endpoint and return it; nothing at all where nothing did."""
    if after == before:
        return before
    after = after.model_copy(update={"version": before.version + 1})
    tx.run(_UPDATE, **{name: getattr(after, name) for name in _CHANGEABLE}, id=after.id)
    return after


def announce(
    tx: Transaction, tenant: Tenant, event: EndpointEventType, endpoint: Endpoint, at: datetime
) -> UUID:
    """Record an event about an endpoint as it now is, and return the event's id."""
    return events.record(
        tx,
        tenant,
        event=event,
        subject=endpoint.id,
        version=endpoint.version,
        data=endpoint,
        at=at,
    )


def test(tx: Transaction, caller: Caller, endpoint_id: UUID) -> UUID:
    """Record an event that goes to this endpoint alone, whatever it subscribes to.

    Raises:
        CredentialInvalid, ResourceMissing.
        EndpointNotEnabled: It is paused or disabled.
    """
    api_keys.check_standing(tx, caller)
    endpoint = lock(tx, endpoint_id)
    require_enabled(endpoint)
    tx.run("UPDATE webhook_endpoints SET version = version + 1 WHERE id = %(id)s", id=endpoint.id)
    tested = endpoint.model_copy(update={"version": endpoint.version + 1})
    return announce(tx, caller.tenant, "webhook_endpoint.test", tested, tx.now())


def require_enabled(endpoint: Endpoint) -> None:
    """Refuse to send to an endpoint that takes nothing now.

    Raises:
        EndpointNotEnabled: It is paused or disabled.
    """
    if endpoint.status != "enabled":
        raise errors.EndpointNotEnabled(f"The endpoint is {endpoint.status}.")


_FAN_OUT_LOCK = (0x1777, 1)
"""Two numbers: locks of one number are merchants' and accounts'."""

_FRESH = {"failures": 0, "failing_since": None, "warned_percent": 0, "resting_until": None}
"""A clean slate; how many deliveries it may have under way it must earn again."""

_CHANGEABLE = (
    *("url", "description", "events", "ordered", "status", "disabled_reason", "disabled_at"),
    *("version", "failures", "failing_since", "warned_percent", "resting_until"),
)

COLUMNS = """
    id, livemode, created_at, url, description, events, ordered, api_version, status,
    disabled_reason, disabled_at, failures, failing_since, warned_percent, resting_until, version
"""

_SELECT = "SELECT " + COLUMNS + " FROM webhook_endpoints WHERE status <> 'deleted'"

_ONE = _SELECT + " AND id = %(id)s"

_INSERT = """
    INSERT INTO webhook_endpoints (merchant_id, livemode, id, created_at, url, description, events,
                                   ordered, api_version)
    VALUES (%(merchant_id)s, %(livemode)s, %(id)s, %(created_at)s, %(url)s, %(description)s,
            %(events)s, %(ordered)s, %(api_version)s)
"""

_UPDATE = """
    UPDATE webhook_endpoints
    SET url = %(url)s, description = %(description)s, events = %(events)s, ordered = %(ordered)s,
        status = %(status)s, disabled_reason = %(disabled_reason)s, disabled_at = %(disabled_at)s,
        version = %(version)s, failures = %(failures)s, failing_since = %(failing_since)s,
        warned_percent = %(warned_percent)s, resting_until = %(resting_until)s
    WHERE id = %(id)s
"""
