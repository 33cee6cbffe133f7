"""GET /v1/api_keys."""

from ivy import api_keys
from ivy.api_keys import ApiKey, ApiKeyQuery
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.needs import Need
from ivy.pages import Listing
from ivy.serve import endpoint


@endpoint("GET /v1/api_keys", scope=Scope.API_KEYS_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, caller: Caller, query: ApiKeyQuery) -> Listing[ApiKey]:
    """List API keys, newest first.

    A person sees the keys of both modes, a key those of its own.
    """
    return api_keys.page(tx, caller, query)
