"""POST /v1/api_keys."""

from ivy import api_keys
from ivy.api_keys import CreatedApiKey, NewApiKey
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint(
    "POST /v1/api_keys",
    status=201,
    scope=Scope.API_KEYS_WRITE,
    uses=(Need.DATABASE, Need.ACCESS_SECRET),
)
def handler(tx: Transaction, caller: Caller, new: NewApiKey) -> CreatedApiKey:
    """Make an API key.

    Its `secret` is shown in this answer and never again; a lost key is revoked and made anew.
    """
    return api_keys.create(tx, caller, new)
