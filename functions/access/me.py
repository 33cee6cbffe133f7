"""GET /v1/me."""

from ivy import access
from ivy.access import Me
from ivy.callers import Caller
from ivy.database import Transaction
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint("GET /v1/me", uses=(Need.DATABASE,))
def handler(tx: Transaction, caller: Caller) -> Me:
    """Retrieve who the credential speaks for and what it may do."""
    return access.me(tx, caller)
