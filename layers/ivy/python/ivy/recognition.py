"""Recognition: whom a bearer credential speaks for, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from uuid import UUID

from ivy import credentials
from ivy.callers import Caller, Scope
from ivy.database import Tenant, Transaction


@dataclass(frozen=True, slots=True)
class _KeyRow:
    merchant_id: int
    public_id: UUID
    id: UUID
    livemode: bool
    scopes: list[str]
    allowed_ips: list[str]


@dataclass(frozen=True, slots=True)
class Recognised:
    """A caller, and the networks their key may be used from (none: any)."""

    caller: Caller
    allowed_ips: tuple[str, ...] = ()


def recognise(tx: Transaction, bearer: str) -> Recognised | None:
    """Return whom a bearer credential speaks for; None when it is not, or no longer, valid.

    Args:
        tx: A transaction without a tenant.
        bearer: What followed ``Bearer`` in the ``Authorization`` header.
    """
    if bearer.startswith("ivy_"):
        return _recognise_key(tx, bearer) if credentials.well_formed(bearer) else None
    return _recognise_person(tx, bearer) if bearer.isascii() else None


def _recognise_key(tx: Transaction, bearer: str) -> Recognised | None:
    key_hash = credentials.api_key_hash(bearer)
    tx.present(key_hash)
    merchant_id = tx.value(_KEY_MERCHANT, hash=key_hash)
    if merchant_id is None:
        return None
    tx.choose(Tenant(merchant_id, livemode=False))
    key = tx.row(_KeyRow, _KEY, hash=key_hash)
    if key is None:
        return None
    tx.run(_KEY_USED, id=key.id)
    caller = Caller(
        tenant=Tenant(key.merchant_id, key.livemode),
        merchant=key.public_id,
        scopes=frozenset(key.scopes),
        credential=key.id,
    )
    return Recognised(caller, tuple(key.allowed_ips))


def _recognise_person(tx: Transaction, bearer: str) -> Recognised | None:
    claims = credentials.read_access_token(bearer)
    if claims is None:
        return None
    user_id, merchant_id = UUID(hex=claims["sub"]), int(claims["merchant_id"])
    tx.choose(Tenant(merchant_id, livemode=False))
    role = tx.value(
        "SELECT role FROM members WHERE user_id = %(user_id)s AND merchant_id = %(merchant_id)s",
        user_id=user_id,
        merchant_id=merchant_id,
    )
    if role is None:
        return None
    return Recognised(
        Caller(
            tenant=Tenant(merchant_id, livemode=False),
            merchant=UUID(hex=claims["merchant"]),
            scopes=ROLE_SCOPES[role],
            user=user_id,
        )
    )


def address_allowed(address: str, networks: tuple[str, ...]) -> bool:
    """Say whether an IP address lies in one of some networks; no networks allow every address.

    Text that is no address lies in none.
    """
    if not networks:
        return True
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in ip_network(network) for network in networks)


_READ = frozenset(
    {
        Scope.CHARGES_READ,
        Scope.REFUNDS_READ,
        Scope.DISPUTES_READ,
        Scope.BALANCE_READ,
        Scope.LEDGER_READ,
        Scope.EVENTS_READ,
        Scope.WEBHOOKS_READ,
        Scope.BANK_ACCOUNTS_READ,
        Scope.SETTLEMENTS_READ,
        Scope.PAYOUTS_READ,
        Scope.REPORTS_READ,
        Scope.MERCHANT_READ,
    }
)
_EVERYTHING = frozenset(str(scope) for scope in Scope)

ROLE_SCOPES: dict[str, frozenset[str]] = {
    "owner": _EVERYTHING,
    "admin": _EVERYTHING,
    "developer": frozenset(
        {
            *_READ,
            Scope.CHARGES_WRITE,
            Scope.REFUNDS_WRITE,
            Scope.DISPUTES_WRITE,
            Scope.WEBHOOKS_WRITE,
            Scope.API_KEYS_READ,
            Scope.API_KEYS_WRITE,
        }
    ),
    "finance": frozenset(
        {
            *_READ,
            Scope.REFUNDS_WRITE,
            Scope.DISPUTES_WRITE,
            Scope.BANK_ACCOUNTS_WRITE,
            Scope.PAYOUTS_WRITE,
            Scope.REPORTS_WRITE,
            Scope.MERCHANT_WRITE,
        }
    ),
    "support": frozenset(
        {Scope.CHARGES_READ, Scope.REFUNDS_READ, Scope.DISPUTES_READ, Scope.EVENTS_READ}
    ),
    "auditor": frozenset({*_READ, Scope.API_KEYS_READ}),
}
"""What a person may do at a merchant, by role."""

_KEY_MERCHANT = """
    SELECT merchant_id FROM api_keys
    WHERE hash = %(hash)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""

_KEY = """
    SELECT merchant_id, public_id, api_keys.id, livemode, scopes, allowed_ips::text[] AS allowed_ips
    FROM api_keys JOIN merchants ON merchants.id = merchant_id
    WHERE hash = %(hash)s
"""

_KEY_USED = """
    UPDATE api_keys SET last_used_at = now()
    WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
"""
