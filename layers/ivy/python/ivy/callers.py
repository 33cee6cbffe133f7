"""Who is calling: the merchant, the mode, and what the credential may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from ivy import errors

if TYPE_CHECKING:
    from ivy.database import Tenant


class Scope(StrEnum):
    """What a credential may be allowed to do. A secret key gets all of them unless told fewer."""

    CHARGES_READ = "charges:read"
    CHARGES_WRITE = "charges:write"
    REFUNDS_READ = "refunds:read"
    REFUNDS_WRITE = "refunds:write"
    DISPUTES_READ = "disputes:read"
    DISPUTES_WRITE = "disputes:write"
    PAYOUTS_READ = "payouts:read"
    PAYOUTS_WRITE = "payouts:write"
    REPORTS_READ = "reports:read"
    REPORTS_WRITE = "reports:write"
    SETTLEMENTS_READ = "settlements:read"
    BALANCE_READ = "balance:read"
    LEDGER_READ = "ledger:read"
    EVENTS_READ = "events:read"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    BANK_ACCOUNTS_READ = "bank_accounts:read"
    BANK_ACCOUNTS_WRITE = "bank_accounts:write"
    MERCHANT_READ = "merchant:read"
    MERCHANT_WRITE = "merchant:write"
    API_KEYS_READ = "api_keys:read"
    API_KEYS_WRITE = "api_keys:write"


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated caller of one request, as the authoriser found it.

    ``credential`` is the API key's id, or None for a person's access token; ``user`` is the
    person, or None for a key.
    """

    tenant: Tenant
    merchant: UUID
    scopes: frozenset[str]
    credential: UUID | None = None
    user: UUID | None = None

    def demand(self, scope: Scope) -> None:
        """Refuse the request unless the credential carries a scope."""
        if scope not in self.scopes:
            raise errors.ScopeMissing(f"This route needs the scope {scope}.", param=str(scope))
