"""POST /v1/auth/login."""

from ivy import access, credentials
from ivy.access import Login, Session
from ivy.database import Database
from ivy.errors import LoginInvalid
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint(
    "POST /v1/auth/login",
    public=True,
    errors=(LoginInvalid,),
    uses=(Need.DATABASE, Need.ACCESS_SECRET),
)
def handler(database: Database, login: Login) -> Session:
    """Log in.

    Answers with an access token that lives 15 minutes.
    """
    password_hash = credentials.password_hash(login.email, login.password)
    with database.transaction() as tx:
        return access.log_in(tx, login.email, password_hash)
