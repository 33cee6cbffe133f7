"""One account at a stand-in for Stripe: what its API does, in memory.

Follows the published requests, answers, errors and idempotency of the endpoints that the connector
uses; a parameter that is not published for an endpoint is an error. What a token does is chosen by
its name, with the names that Stripe's own test mode uses. ``stripe_server`` serves it over HTTP.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.connectors.stripe_published import (
    AUTHENTICATION,
    BANK,
    CUSTOMERS,
    DECLINES,
    PARAMETERS,
    TOKENS,
)

TEST_KEY = "rk_test_51Stand1nForA1lTests"
LIVE_KEY = "rk_live_51Stand1nForA1lTests"
CAPTURE_DAYS = 7
DAY = 86_400

Object = dict[str, Any]
Params = dict[str, Any]


class ApiError(Exception):
    """An error object, as Stripe answers it."""

    def __init__(self, status: int, kind: str, code: str | None = None, **more: Any) -> None:
        super().__init__(code)
        self.status = status
        more = {key: value for key, value in more.items() if value is not None}
        error = {"type": kind, "message": f"What happened: {code}", **more}
        self.body = {"error": {**error, "code": code} if code else error}


def invalid(code: str, status: int = 400, **more: Any) -> ApiError:
    return ApiError(status, "invalid_request_error", code, **more)


@dataclass
class Call:
    """One request that arrived."""

    method: str
    path: str
    params: Params
    headers: Mapping[str, str]


@dataclass
class StripeAccount:
    """One account, in both modes."""

    objects: dict[str, Object] = field(default_factory=dict)
    events: list[Object] = field(default_factory=list)
    unindexed: set[str] = field(default_factory=set)
    indexing: bool = True
    settlement_currency: str | None = None
    keys: set[str] = field(default_factory=lambda: {TEST_KEY, LIVE_KEY})
    _saved: dict[str, tuple[str, tuple[int, Object]]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    # -- what tests do

    def forget_keys(self) -> None:
        """Prune the idempotency keys, as Stripe may after a day."""
        self._saved.clear()

    def index(self) -> None:
        """Let the search know everything."""
        self.unindexed.clear()

    def all(self, kind: str) -> list[Object]:
        return [each for each in self.objects.values() if each["object"] == kind]

    # -- what the API does

    def happened(self, kind: str, about: Object, created: int | None = None) -> Object:
        event: Object = {
            "id": f"evt_{next(self._numbers)}",
            "object": "event",
            "api_version": "2024-06-20",
            "created": int(time.time()) if created is None else created,
            "data": {"object": json.loads(json.dumps(about))},
            "livemode": about["livemode"],
            "pending_webhooks": 0,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        self.events.append(event)
        return event

    def answer(self, call: Call) -> tuple[int, Object, bool]:
        """Return status, body, and whether it is the saved answer to an earlier request."""
        with self._lock:
            try:
                key = self._authenticated(call)
                route, run = self._route(call)
                for name in call.params.keys() - PARAMETERS[route]:
                    raise invalid("parameter_unknown", param=name)
            except ApiError as error:
                return error.status, error.body, False
            idempotency = call.headers.get("Idempotency-Key")
            if call.method != "POST" or idempotency is None:
                return *self._run(run), False
            return self._once(f"{key}|{idempotency}", call, run)

    def _authenticated(self, call: Call) -> str:
        key = call.headers.get("Authorization", "").removeprefix("Bearer ")
        if key not in self.keys:
            raise ApiError(401, "invalid_request_error", message="Invalid API Key provided")
        self._livemode = "_live_" in key
        return key

    def _once(self, key: str, call: Call, run: Callable[[], Object]) -> tuple[int, Object, bool]:
        """Run a request, or repeat the answer to the one that had this key."""
        asked = json.dumps([call.path, call.params], sort_keys=True)
        if key in self._saved:
            before, answer = self._saved[key]
            if before != asked:
                error = ApiError(400, "idempotency_error")
                return error.status, error.body, False
            return *answer, True
        answer = self._run(run)
        self._saved[key] = (asked, answer)
        return *answer, False

    def _run(self, run: Callable[[], Object]) -> tuple[int, Object]:
        try:
            return 200, json.loads(json.dumps(run()))
        except ApiError as error:
            return error.status, json.loads(json.dumps(error.body))

    def _route(self, call: Call) -> tuple[str, Callable[[], Object]]:
        kind, *rest = call.path.removeprefix("/v1/").split("/")
        name = rest[0] if rest else ""
        searched = name == "search"
        shape = "/".join([kind, *(["search"] if searched else [":id"] * bool(rest)), *rest[1:]])
        route = f"{call.method} {shape}"
        routes: Mapping[str, Callable[[], Object]] = {
            "POST payment_intents": lambda: self._create(call.params),
            "GET payment_intents/:id": lambda: self._get(name, "payment_intent", call.params),
            "GET payment_intents/search": lambda: self._search(call.params),
            "POST payment_intents/:id/capture": lambda: self._capture(name, call.params),
            "POST payment_intents/:id/cancel": lambda: self._cancel(name, call.params),
            "GET payment_methods/:id": lambda: self._method(name),
            "POST refunds": lambda: self._refund(call.params),
            "GET refunds": lambda: self._refunds(call.params),
            "GET disputes/:id": lambda: self._get(name, "dispute", call.params),
            "POST disputes/:id": lambda: self._contest(name, call.params),
            "POST disputes/:id/close": lambda: self._close(name),
            "GET events": lambda: self._events(call.params),
        }
        if route not in routes:
            raise invalid("url_invalid", status=404)
        return route, routes[route]

    def _add(self, kind: str, prefix: str, **fields: Any) -> Object:
        made = {
            "id": f"{prefix}_{next(self._numbers):06}Test",
            "object": kind,
            "created": int(time.time()),
            **fields,
        }
        self.objects[made["id"]] = made
        return made

    def _get(self, name: str, kind: str, params: Params) -> Object:
        found = self.objects.get(name)
        if found is None or found["object"] != kind or found["livemode"] != self._livemode:
            raise invalid("resource_missing", status=404, param="id")
        return self._expanded(found, params)

    def _expanded(self, found: Object, params: Params, prefix: str = "") -> Object:
        """Return an object in which names are replaced by what they name, as far as asked."""
        copy: Object = json.loads(json.dumps(found))
        for path in params.get("expand", []):
            inside: Object | None = copy
            for step in path.removeprefix(prefix).split("."):
                if inside is None:
                    break
                if isinstance(inside.get(step), str):
                    inside[step] = json.loads(json.dumps(self.objects[inside[step]]))
                inside = inside.get(step)
        return copy

    def _method(self, name: str) -> Object:
        if name not in TOKENS:
            raise invalid("resource_missing", status=404, param="payment_method")
        kind = "us_bank_account" if name in BANK else "card"
        return {
            "id": name,
            "object": "payment_method",
            "billing_details": {"address": None, "email": None, "name": None, "phone": None},
            kind: {"last4": "4242"},
            "created": int(time.time()),
            "customer": CUSTOMERS.get(name),
            "livemode": self._livemode,
            "metadata": {},
            "type": kind,
        }

    def _create(self, params: Params) -> Object:
        token = params["payment_method"]
        if token not in TOKENS:
            raise invalid("resource_missing", status=404, param="payment_method")
        if params.get("customer") != CUSTOMERS.get(token):
            raise invalid("payment_method_customer_mismatch", param="customer")
        if int(params["amount"]) < 50:
            raise invalid("amount_too_small", param="amount")
        redirects = params["automatic_payment_methods"].get("allow_redirects", "always")
        if redirects == "always" and "return_url" not in params:
            raise invalid("parameter_missing", param="return_url")
        if params["capture_method"] == "manual" and token in BANK:
            raise invalid("payment_intent_invalid_parameter", param="capture_method")
        intent = self._add(
            "payment_intent",
            "pi",
            amount=int(params["amount"]),
            amount_capturable=0,
            amount_received=0,
            cancellation_reason=None,
            capture_method=params["capture_method"],
            client_secret="never used",
            currency=params["currency"],
            customer=params.get("customer"),
            last_payment_error=None,
            latest_charge=None,
            livemode=self._livemode,
            metadata=params.get("metadata", {}),
            next_action=None,
            payment_method=token,
            status="requires_confirmation",
        )
        if not self.indexing:
            self.unindexed.add(intent["id"])
        self._confirmed(intent, params)
        return self._expanded(intent, params)

    def _confirmed(self, intent: Object, params: Params) -> None:
        token = intent["payment_method"]
        code, decline_code = DECLINES.get(token, (None, None))
        absent = params.get("off_session") == "true" or "error_on_requires_action" in params
        if token in AUTHENTICATION and absent:
            code = decline_code = "authentication_required"
        if code is not None:
            error = {"type": "card_error", "code": code, "decline_code": decline_code}
            intent["status"] = "requires_payment_method"
            intent["last_payment_error"] = error
            raise ApiError(
                402, "card_error", code, decline_code=decline_code, payment_intent=intent
            )
        if token in AUTHENTICATION:
            intent["status"] = "requires_action"
            intent["next_action"] = {
                "type": "redirect_to_url",
                "redirect_to_url": {
                    "return_url": params["return_url"],
                    "url": f"https://hooks.stripe.test/3d_secure/{intent['id']}",
                },
            }
        else:
            self._charge(intent)

    def _charge(self, intent: Object) -> None:
        """Attempt the payment that an intent is about."""
        manual = intent["capture_method"] == "manual"
        bank = intent["payment_method"] in BANK
        card: Object = {"brand": "visa", "last4": "4242"}
        if manual:
            card["capture_before"] = int(time.time()) + CAPTURE_DAYS * DAY
        charge = self._add(
            "charge",
            "ch",
            amount=intent["amount"],
            amount_captured=0,
            balance_transaction=None,
            captured=False,
            currency=intent["currency"],
            livemode=intent["livemode"],
            metadata=intent["metadata"],
            payment_intent=intent["id"],
            payment_method_details=(
                {"type": "us_bank_account", "us_bank_account": {"last4": "6789"}}
                if bank
                else {"type": "card", "card": card}
            ),
        )
        intent["latest_charge"] = charge["id"]
        if bank:
            intent["status"] = "processing"
        elif manual:
            intent["status"], intent["amount_capturable"] = "requires_capture", intent["amount"]
        else:
            self._take(intent, intent["amount"])

    def _take(self, intent: Object, amount: int) -> None:
        charge = self.objects[intent["latest_charge"]]
        taken = self._add(
            "balance_transaction",
            "txn",
            amount=amount,
            currency=self.settlement_currency or intent["currency"],
            exchange_rate=None,
            fee=amount * 29 // 1000 + 30,
        )
        charge |= {
            "balance_transaction": taken["id"],
            "captured": True,
            "amount_captured": amount,
        }
        intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}

    def _unexpected(self, intent: Object) -> ApiError:
        return invalid("payment_intent_unexpected_state", payment_intent=intent)

    def _capture(self, name: str, params: Params) -> Object:
        self._get(name, "payment_intent", {})
        intent = self.objects[name]
        amount = int(params.get("amount_to_capture") or intent["amount"])
        if intent["status"] != "requires_capture":
            raise self._unexpected(intent)
        if amount > intent["amount_capturable"]:
            raise invalid("amount_too_large", param="amount_to_capture")
        self._take(intent, amount)
        return self._expanded(intent, params)

    def _cancel(self, name: str, params: Params) -> Object:
        self._get(name, "payment_intent", {})
        intent = self.objects[name]
        if intent["status"] in ("succeeded", "canceled", "processing"):
            raise self._unexpected(intent)
        intent["status"] = "canceled"
        intent["cancellation_reason"] = params.get("cancellation_reason")
        return self._expanded(intent, params)

    def _search(self, params: Params) -> Object:
        asked = re.fullmatch(r"metadata\['(\w+)'\]:'((?:[^'\\]|\\.)*)'", params["query"])
        if asked is None:
            raise invalid("search_query_invalid", param="query")
        value = re.sub(r"\\(.)", r"\1", asked[2])
        found = [
            self._expanded(each, params, "data.")
            for each in self.all("payment_intent")
            if each["livemode"] == self._livemode
            and each["id"] not in self.unindexed
            and each["metadata"].get(asked[1]) == value
        ]
        return {
            "object": "search_result",
            "url": "/v1/payment_intents/search",
            "has_more": False,
            "next_page": None,
            "data": found,
        }

    def _refund(self, params: Params) -> Object:
        intent = self._get(str(params["payment_intent"]), "payment_intent", {})
        amount = int(params["amount"])
        back = sum(
            each["amount"]
            for each in self.all("refund")
            if each["payment_intent"] == intent["id"] and each["status"] != "failed"
        )
        if amount > intent["amount_received"] - back:
            raise invalid("charge_already_refunded", param="amount")
        status = {"pm_card_refundFail": "failed", "pm_card_pendingRefund": "pending"}.get(
            intent["payment_method"], "succeeded"
        )
        return self._add(
            "refund",
            "re",
            amount=amount,
            charge=intent["latest_charge"],
            currency=intent["currency"],
            failure_reason="expired_or_canceled_card" if status == "failed" else None,
            livemode=intent["livemode"],
            metadata=params.get("metadata", {}),
            payment_intent=intent["id"],
            status=status,
        )

    def _refunds(self, params: Params) -> Object:
        about = params.get("payment_intent")
        found = [each for each in reversed(self.all("refund")) if each["payment_intent"] == about]
        return self._page(found, params, "/v1/refunds")

    def _contest(self, name: str, params: Params) -> Object:
        self._get(name, "dispute", {})
        dispute = self.objects[name]
        if dispute["status"] not in ("needs_response", "warning_needs_response"):
            raise invalid("dispute_not_updatable")
        dispute["evidence"] |= params.get("evidence", {})
        dispute["evidence_details"]["has_evidence"] = True
        if params.get("submit", "true") == "true":
            dispute["status"] = "under_review"
            dispute["evidence_details"]["submission_count"] += 1
        return dispute

    def _close(self, name: str) -> Object:
        self._get(name, "dispute", {})
        dispute = self.objects[name]
        if dispute["status"] != "needs_response":
            raise invalid("dispute_not_closable")
        dispute["status"] = "lost"
        self.happened("charge.dispute.closed", dispute)
        return dispute

    def _events(self, params: Params) -> Object:
        since = int(params.get("created", {}).get("gte", 0))
        found = [
            each
            for each in reversed(self.events)
            if each["type"] in params["types"]
            and each["created"] >= since
            and each["livemode"] == self._livemode
        ]
        return self._page(found, params, "/v1/events")

    @staticmethod
    def _page(found: list[Object], params: Params, url: str) -> Object:
        """Return a page of a list that is newest first."""
        if after := params.get("starting_after"):
            found = found[[each["id"] for each in found].index(after) + 1 :]
        limit = int(params.get("limit", 10))
        return {
            "object": "list",
            "url": url,
            "has_more": len(found) > limit,
            "data": found[:limit],
        }
