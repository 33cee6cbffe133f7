"""POST /v1/auth/register."""

from ivy import access, credentials
from ivy.access import Registered, Registration
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint(
    "POST /v1/auth/register",
    status=201,
    public=True,
    uses=(Need.DATABASE, Need.ACCESS_SECRET),
)
def handler(database: Database, new: Registration) -> Registered:
    """Open an account.

    Makes a person, their business, and its books in test and live mode. The answer is the same
    whether or not the address is known. The access token lives 15 minutes and can make the first
    API key.
    """
    password_hash = credentials.password_hash(new.email, new.password)
    with database.transaction() as tx:
        return access.register(tx, new, password_hash)
