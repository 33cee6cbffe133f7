"""API keys: made, listed and revoked by the merchant; shown once, stored as a keyed hash."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from ivy import credentials, errors, ids, pages
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.errors import FieldError
from ivy.models import Input, Moment, Object, ShortText, Time, example

MAX_ALLOWED_NETWORKS = 20

Mode = Literal["test", "live"]


def _network(text: str) -> str:
    """Return a network as it is kept; an address is a network of one."""
    try:
        if "%" not in text:  # a zone is another machine's business
            return str(ip_network(text))
    except ValueError:
        pass
    raise PydanticCustomError("network", "must be an IP address or network: 203.0.113.0/24")


Network = Annotated[
    str, AfterValidator(_network), Field(examples=["203.0.113.0/24", "2001:db8::/32"])
]


class NewApiKey(Input):
    """A key to make."""

    model_config = example(name="Checkout server", mode="test", kind="secret")

    name: ShortText
    mode: Mode = "test"
    kind: credentials.Kind = "secret"
    scopes: Annotated[
        list[Scope] | None,
        Field(
            max_length=len(Scope),
            description="What the key may do; a secret key gets all you may do unless told fewer.",
        ),
    ] = None
    expires_at: Moment | None = None
    allowed_ips: Annotated[
        list[Network],
        Field(
            default_factory=list,
            max_length=MAX_ALLOWED_NETWORKS,
            description="Networks; none means any.",
        ),
    ]


class ApiKeyQuery(pages.Page):
    """Which keys to list."""

    of = "key"


class ApiKey(Object):
    """A key as it can be seen at any time."""

    id: ids.KeyId
    object: Literal["api_key"] = "api_key"
    livemode: bool
    created_at: Time
    name: str
    kind: credentials.Kind
    prefix: str
    last4: str
    scopes: list[str]
    allowed_ips: list[str]
    expires_at: Time | None
    last_used_at: Time | None
    revoked_at: Time | None


class CreatedApiKey(ApiKey):
    """A key at the moment it is made."""

    secret: Annotated[str, Field(description="The key itself. Shown once; keep it now.")]


def create(tx: Transaction, caller: Caller, new: NewApiKey) -> CreatedApiKey:
    """Make a key that can do no more than whoever asks for it.

    Raises:
        CredentialInvalid: The caller's own key has been revoked or has expired: a key must not
            outlive its revocation as another key.
        RequestInvalid: A publishable key with scopes, an expiry in the past, or a key that may more
            than the key that asks for it.
        ScopeMissing: A scope that the caller does not have.
    """
    check_standing(tx, caller)
    at = ids.now()
    scopes = _scopes(caller, new)
    wrong = [*_in_the_past(new, at), *_wider_than_its_maker(tx, caller, new)]
    if wrong:
        raise errors.RequestInvalid(fields=tuple(wrong))
    livemode = new.mode == "live"
    key = credentials.new_api_key(new.kind, livemode=livemode)
    created = CreatedApiKey(
        id=ids.new(at),
        livemode=livemode,
        created_at=at,
        name=new.name,
        kind=new.kind,
        prefix=key.prefix,
        last4=key.last4,
        scopes=scopes,
        allowed_ips=new.allowed_ips,
        expires_at=new.expires_at,
        last_used_at=None,
        revoked_at=None,
        secret=key.text,
    )
    tx.run(
        _INSERT,
        merchant_id=caller.tenant.merchant_id,
        id=created.id,
        livemode=livemode,
        kind=new.kind,
        name=new.name,
        hash=key.hash,
        prefix=key.prefix,
        last4=key.last4,
        scopes=scopes,
        allowed_ips=created.allowed_ips,
        created_at=at,
        expires_at=new.expires_at,
        created_by=person_behind(tx, caller),
    )
    return created


def person_behind(tx: Transaction, caller: Caller) -> UUID | None:
    """Return the person who calls, or who made the key that does; None when nobody knows."""
    if caller.user is not None:
        return caller.user
    made_by: UUID | None = tx.value(
        "SELECT created_by FROM api_keys WHERE id = %(id)s", id=caller.credential
    )
    return made_by


def _in_the_past(new: NewApiKey, at: datetime) -> Iterator[FieldError]:
    if new.expires_at is not None and new.expires_at <= at:
        yield FieldError("/expires_at", "in_the_past", "must be in the future")


def _wider_than_its_maker(tx: Transaction, caller: Caller, new: NewApiKey) -> Iterator[FieldError]:
    """Yield what a key asks for a new key that it does not have itself: mode, time, networks."""
    if caller.credential is None:
        return
    if (new.mode == "live") != caller.tenant.livemode:
        yield FieldError("/mode", "not_allowed", "a key can only make keys of its own mode")
    own = tx.row(ApiKey, _SELECT + " WHERE id = %(id)s", id=caller.credential)
    if own is None:
        raise errors.CredentialInvalid
    if own.expires_at is not None and (new.expires_at is None or new.expires_at > own.expires_at):
        yield FieldError("/expires_at", "not_allowed", "must not outlive the key that makes it")
    inside = all(
        any(_within(wanted, network) for network in own.allowed_ips) for wanted in new.allowed_ips
    )
    if own.allowed_ips and not (new.allowed_ips and inside):
        detail = "must lie within the networks of the key that makes it"
        yield FieldError("/allowed_ips", "not_allowed", detail)


def _within(wanted: str, network: str) -> bool:
    inner, outer = ip_network(wanted), ip_network(network)
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)


def _scopes(caller: Caller, new: NewApiKey) -> list[str]:
    if new.kind == "publishable":
        if new.scopes:
            detail = "a publishable key carries no scopes: it is public"
            raise errors.RequestInvalid(fields=(FieldError("/scopes", "not_allowed", detail),))
        return []
    if new.scopes is None:
        return sorted(caller.scopes)
    for scope in new.scopes:
        caller.demand(scope)
    return sorted({str(scope) for scope in new.scopes})


def page(tx: Transaction, caller: Caller, query: ApiKeyQuery) -> pages.Listing[ApiKey]:
    """Return one page of keys, newest first: a person sees both modes, a key its own."""
    select = _SELECT + " WHERE livemode = ANY (%(modes)s) AND"
    return pages.read(tx, ApiKey, select, query, modes=_modes(caller))


def _modes(caller: Caller) -> list[bool]:
    return [False, True] if caller.user is not None else [caller.tenant.livemode]


def revoke(tx: Transaction, caller: Caller, key_id: UUID) -> ApiKey:
    """Revoke a key for good. Revoking it again changes nothing and returns the same.

    Money routes and these refuse it from this commit on; those that only read, within the
    authoriser's cache of a minute.

    Raises:
        CredentialInvalid: The caller's own key has been revoked or has expired.
        ResourceMissing: The merchant has no such key.
    """
    check_standing(tx, caller)
    modes = _modes(caller)
    tx.run(
        "UPDATE api_keys SET revoked_at = now()"
        " WHERE id = %(id)s AND livemode = ANY (%(modes)s) AND revoked_at IS NULL",
        id=key_id,
        modes=modes,
    )
    found = tx.row(
        ApiKey,
        _SELECT + " WHERE id = %(id)s AND livemode = ANY (%(modes)s)",
        id=key_id,
        modes=modes,
    )
    if found is None:
        raise errors.ResourceMissing(f"No API key {ids.Prefix('key').write(key_id)}.")
    return found


def check_standing(tx: Transaction, caller: Caller) -> None:
    """Refuse whoever has lost the right to act since the authoriser looked.

    Raises:
        CredentialInvalid: The key was revoked or has expired, or the person is no member any more.
    """
    valid = tx.value(
        "SELECT EXISTS (SELECT FROM api_keys WHERE id = %(key)s AND revoked_at IS NULL"
        " AND (expires_at IS NULL OR expires_at > now()))"
        " OR EXISTS (SELECT FROM members WHERE user_id = %(user)s"
        " AND merchant_id = current_merchant())",
        key=caller.credential,
        user=caller.user,
    )
    if not valid:
        raise errors.CredentialInvalid("This credential has been revoked or has expired.")


_COLUMNS = """
    id, livemode, created_at, name, kind, prefix, last4, scopes, allowed_ips::text[] AS allowed_ips,
    expires_at, last_used_at, revoked_at
"""

_SELECT = "SELECT " + _COLUMNS + " FROM api_keys"

_INSERT = """
    INSERT INTO api_keys (merchant_id, id, livemode, kind, name, hash, prefix, last4, scopes,
                          allowed_ips, created_at, expires_at, created_by)
    VALUES (%(merchant_id)s, %(id)s, %(livemode)s, %(kind)s, %(name)s, %(hash)s, %(prefix)s,
            %(last4)s, %(scopes)s, %(allowed_ips)s::cidr[], %(created_at)s, %(expires_at)s,
            %(created_by)s)
"""
