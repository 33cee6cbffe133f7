"""What is checked about a request before its fields are: who, how large, is it JSON at all."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from uuid import UUID

from ivy import card_numbers, credentials, errors, idempotency, recognition
from ivy.callers import Caller
from ivy.database import Tenant
from ivy.serve import guard

if TYPE_CHECKING:
    from ivy.serve.declaration import Route

MAX_BODY_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_DIGITS = 4_200
"""Of a number: below what Python refuses to read, so that whatever is read names its field."""

_TOO_DEEP = f"The body is nested deeper than {MAX_DEPTH} levels."
MODE_HEADER = "ivy-mode"
MODES = ("test", "live")


class _UnusualJsonError(ValueError):
    """What readers of JSON disagree about; its text is ours."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One request as API Gateway hands it over, in the parts that are used.

    ``instance`` is its path as an answer may repeat it; ``query`` its parameters in pairs.
    """

    request_id: str
    path: str
    query: tuple[tuple[str, str], ...]
    instance: str
    base_url: str
    source_ip: str
    headers: dict[str, str]
    body: bytes
    caller: Caller | None
    allowed_ips: tuple[str, ...] = field(default=())

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Incoming:
        """Read a REST proxy event. Header names become lower case."""
        context = event.get("requestContext") or {}
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        principal = context.get("authorizer") or {}
        path = str(event.get("path", ""))
        full_path = str(context.get("path", path))
        return cls(
            request_id=str(context.get("requestId", "")),
            path=path,
            query=_query(event),
            instance=_repeatable(full_path),
            base_url=_base_url(headers, full_path.removesuffix(path)),
            source_ip=str((context.get("identity") or {}).get("sourceIp", "")),
            headers=headers,
            body=_body(event),
            caller=_caller(principal, headers) if "merchant_id" in principal else None,
            allowed_ips=tuple(principal.get("allowed_ips", "").split()),
        )

    @property
    def authenticated(self) -> Caller:
        """The caller of a route that is not public."""
        if self.caller is None:
            raise errors.CredentialMissing
        return self.caller

    def json(self) -> Any:
        """Return the parsed body, {} when there is none.

        Raises:
            BodyMalformed: Not UTF-8, not JSON, a duplicate key, a number that JSON does not have,
                or more digits or nesting than any real request has.
        """
        if not self.body:
            return {}
        try:
            text = self.body.decode()
            parsed = json.loads(
                text,
                object_pairs_hook=_unique,
                parse_constant=_no_constant,
                parse_int=_integer,
            )
        except UnicodeDecodeError as error:
            raise errors.BodyMalformed("The body is not UTF-8.") from error
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise errors.BodyMalformed(
                f"The body is not valid JSON: {error.msg}, {where}."
            ) from error
        except RecursionError as error:
            raise errors.BodyMalformed(_TOO_DEEP) from error
        except _UnusualJsonError as error:
            raise errors.BodyMalformed(f"The body is not valid JSON: {error}.") from error
        if _depth(parsed) > MAX_DEPTH:
            raise errors.BodyMalformed(_TOO_DEEP)
        return parsed

    def under_key(self, route: Route) -> bool:
        """Return whether a route is asked under a key: it has to be, or may be and is."""
        return route.idempotent or (route.repeatable and "idempotency-key" in self.headers)

    def idempotency_key(self, route: Route) -> idempotency.Key:
        """Return the request's idempotency key; raises when it has none or a bad one."""
        return idempotency.key(
            self.headers.get("idempotency-key"),
            method=route.method,
            route=route.path,
            path=self.path,
            body=_without_bank_numbers(route, self.json()),
        )


def check(route: Route, incoming: Incoming) -> None:
    """Refuse what no field needs to be looked at for, most general first.

    Raises:
        BodyTooLarge, CredentialMissing, AddressRefused, ScopeMissing, MediaTypeUnsupported,
        RequestInvalid, BodyMalformed, IdempotencyKeyMissing, IdempotencyKeyInvalid.
    """
    if len(incoming.body) > MAX_BODY_BYTES:
        raise errors.BodyTooLarge
    if not route.public:
        caller = incoming.authenticated
        if not recognition.address_allowed(incoming.source_ip, incoming.allowed_ips):
            raise errors.AddressRefused(f"{incoming.source_ip} is not on the key's allow-list.")
        if route.scope is not None:
            caller.demand(route.scope)
        if caller.user and incoming.headers.get(MODE_HEADER, "test").lower() not in MODES:
            raise errors.RequestInvalid("Ivy-Mode must be test or live.", param="Ivy-Mode")
    if incoming.body:
        media_type = incoming.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise errors.MediaTypeUnsupported(f"Not {media_type or 'a body without a type'}.")
    guard.refuse_card_numbers(route, incoming, incoming.json())
    if incoming.under_key(route):
        incoming.idempotency_key(route)


def _without_bank_numbers(route: Route, body: Any) -> Any:
    """Return a body with a keyed hash in place of each number of a bank account.

    The plain hash that is kept of a request would tell it to whoever tries all numbers.
    """
    if not route.bank_numbers or not isinstance(body, dict):
        return body
    return {
        name: credentials.bank_number_hash(json.dumps(sent)) if name in route.bank_numbers else sent
        for name, sent in body.items()
    }


def _body(event: dict[str, Any]) -> bytes:
    text = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(text).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b"\xff"  # not JSON, and refused as such


def _query(event: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return every parameter of the query, from either of the two forms it comes in."""
    single = event.get("queryStringParameters") or {}
    several = event.get("multiValueQueryStringParameters") or {}
    return (
        *((str(name), str(value)) for name, value in single.items()),
        *((str(name), str(value)) for name, values in several.items() for value in values or ()),
    )


def _repeatable(path: str) -> str:
    plain = unquote(path)
    return card_numbers.redact(plain) if card_numbers.found(plain) else path


def _base_url(headers: dict[str, str], stage_path: str) -> str:
    scheme = headers.get("x-forwarded-proto", "http").partition(",")[0].strip()
    return f"{scheme}://{headers.get('host', '')}{stage_path}"


def _caller(principal: dict[str, Any], headers: dict[str, str]) -> Caller:
    """Read the authoriser's context. A person chooses the mode; a key carries its own."""
    user = principal.get("user")
    livemode = principal["livemode"] == "true"
    if user:
        livemode = headers.get(MODE_HEADER, "test").lower() == "live"
    return Caller(
        tenant=Tenant(int(principal["merchant_id"]), livemode),
        merchant=UUID(hex=principal["merchant"]),
        scopes=frozenset(principal["scopes"].split()),
        credential=UUID(hex=principal["credential"]) if principal.get("credential") else None,
        user=UUID(hex=user) if user else None,
    )


def context_of(recognised: recognition.Recognised) -> dict[str, str]:
    """Return the authoriser's context of a caller: what ``from_event`` reads back."""
    caller = recognised.caller
    return {
        "merchant_id": str(caller.tenant.merchant_id),
        "merchant": caller.merchant.hex,
        "livemode": str(caller.tenant.livemode).lower(),
        "scopes": " ".join(sorted(caller.scopes)),
        "credential": caller.credential.hex if caller.credential else "",
        "user": caller.user.hex if caller.user else "",
        "allowed_ips": " ".join(recognised.allowed_ips),
    }


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _UnusualJsonError("a key appears twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise _UnusualJsonError(f"{name} is not a JSON number")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise _UnusualJsonError(f"a number has more than {MAX_DIGITS} digits")
    return int(digits)


def _depth(value: Any) -> int:
    """Return how deep a parsed body nests, without recursion."""
    deepest, level = 0, [value]
    while level:
        deepest += 1
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
    return deepest
