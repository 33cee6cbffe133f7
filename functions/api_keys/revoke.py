"""DELETE /v1/api_keys/{id}."""

from ivy import api_keys
from ivy.api_keys import ApiKey
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.ids import KeyId
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint("DELETE /v1/api_keys/{id}", scope=Scope.API_KEYS_WRITE, uses=(Need.DATABASE,))
def handler(tx: Transaction, caller: Caller, id: KeyId) -> ApiKey:  # noqa: A002 - the path's name
    """Revoke an API key for good.

    Routes that move money refuse it at once, all others within a minute.
    """
    return api_keys.revoke(tx, caller, id)
