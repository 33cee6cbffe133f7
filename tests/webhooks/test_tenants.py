"""Who may do what to endpoints and deliveries: their merchant in their mode, with the scope."""

from __future__ import annotations

from typing import Any

import pytest

from functions.api_keys import revoke
from functions.deliveries import get as get_delivery
from functions.deliveries import resend
from functions.events import get as get_event
from functions.webhooks import (
    create,
    delete,
    get,
    list_deliveries,
    replay,
    rotate_secret,
    test,
    update,
)
from functions.webhooks import list as list_endpoints
from infra.catalogue import read_functions
from ivy import callers
from ivy.serve.declaration import Route
from tests.webhooks.conftest import OpenShop
from tests.webhooks.shop import URL, Shop, asked

SINCE = {"since": "2026-01-01T00:00:00Z"}
OF_AN_ENDPOINT: dict[str, tuple[Route, Any]] = {
    "get": (get.handler, None),
    "update": (update.handler, {"status": "paused"}),
    "delete": (delete.handler, None),
    "rotate_secret": (rotate_secret.handler, {}),
    "test": (test.handler, None),
    "replay": (replay.handler, SINCE),
    "list_deliveries": (list_deliveries.handler, None),
}
"""Every route with the id of an endpoint in its path, and a body that it takes."""


def test_every_route_of_an_endpoint_is_tried_here() -> None:
    routes = [each.declaration for each in read_functions()]
    paths = {
        (each.method, each.path)
        for each in routes
        if isinstance(each, Route) and each.path.startswith("/v1/webhooks/{id}")
    }
    assert paths == {(route.method, route.path) for route, _ in OF_AN_ENDPOINT.values()}


@pytest.mark.parametrize("name", OF_AN_ENDPOINT)
def test_anothers_endpoint_does_not_exist(shop: Shop, open_shop: OpenShop, name: str) -> None:
    route, body = OF_AN_ENDPOINT[name]
    endpoint = shop.endpoint()
    before, secrets = shop.get(endpoint), shop.stored_secrets()
    for bearer in (open_shop("eve@example.com").account.secret_key, shop.key(mode="live")):
        answer = shop.platform.request(route, body, bearer=bearer, id=endpoint)
        assert (answer.status, answer.code) == (404, "resource_missing")
        assert URL.encode() not in answer.body
    assert shop.get(endpoint) == before
    assert shop.stored_secrets() == secrets


def test_anothers_deliveries_and_events_do_not_exist(shop: Shop, open_shop: OpenShop) -> None:
    endpoint = shop.endpoint()
    shop.pay()
    shop.platform.publish()
    delivery, *_ = shop.deliveries(endpoint)
    eve = open_shop("eve@example.com")
    eve.endpoint()
    for bearer in (eve.account.secret_key, shop.key(mode="live")):
        for route, id_ in (
            (get_delivery.handler, delivery["id"]),
            (resend.handler, delivery["id"]),
            (get_event.handler, delivery["event"]),
        ):
            answer = shop.platform.request(route, bearer=bearer, id=id_)
            assert (answer.status, answer.code) == (404, "resource_missing")
        listed = shop.platform.request(list_endpoints.handler, bearer=bearer).json()["data"]
        assert endpoint not in [each["id"] for each in listed]
    eve.platform.publish()
    assert len(shop.arrived()) == len(shop.events()) == 2  # and nothing of it at Eve's


@pytest.mark.parametrize("missing", ["webhooks:write", "webhooks:read"])
def test_a_key_without_the_scope_is_refused(shop: Shop, missing: str) -> None:
    endpoint = shop.endpoint()
    shop.pay()
    shop.platform.publish()
    delivery = shop.deliveries(endpoint)[0]["id"]
    scopes = [each for each in callers.Scope if each != missing]
    narrow = shop.key(scopes=scopes)
    routes = [
        *((route, body, endpoint) for route, body in OF_AN_ENDPOINT.values()),
        (get_delivery.handler, None, delivery),
        (resend.handler, None, delivery),
    ]
    tried = 0
    for route, body, id_ in routes:
        if route.scope == missing:
            answer = shop.platform.request(route, body, bearer=narrow, id=id_)
            assert (answer.status, answer.code) == (403, "scope_missing")
            assert answer.json()["param"] == missing
            tried += 1
    for other, body in ((create.handler, asked()), (list_endpoints.handler, None)):
        answer = shop.platform.request(other, body, bearer=narrow)
        assert (answer.status == 403) == (other.scope == missing)
    assert tried == (6 if missing == "webhooks:write" else 3)


def test_a_revoked_key_changes_nothing(shop: Shop) -> None:
    """Also within the minute for which the gateway remembers that it was good."""
    endpoint = shop.endpoint()
    shop.pay()
    shop.platform.publish()
    delivery = shop.deliveries(endpoint)[0]["id"]
    key = shop.account.key_id
    before, secrets = shop.get(endpoint), shop.stored_secrets()
    token = {"bearer": shop.account.access_token}
    assert shop.platform.request(revoke.handler, id=key, **token).status == 200
    writing = [
        (create.handler, asked(), {}),
        (resend.handler, None, {"id": delivery}),
        *(
            (route, body, {"id": endpoint})
            for route, body in OF_AN_ENDPOINT.values()
            if route.scope == callers.Scope.WEBHOOKS_WRITE
        ),
    ]
    assert len(writing) == 7
    for route, body, path in writing:
        answer = shop.ask(route, body, **path)
        assert (answer.status, answer.code) == (401, "credential_invalid"), route.path
    assert shop.platform.request(get.handler, id=endpoint, **token).json() == before
    assert shop.stored_secrets() == secrets
