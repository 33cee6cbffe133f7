"""The authoriser: who an API key or an access token speaks for."""

from ivy import recognition
from ivy.database import Database
from ivy.needs import Need
from ivy.recognition import Recognised
from ivy.serve import authorizer


@authorizer(uses=(Need.DATABASE, Need.ACCESS_SECRET), snapshot=True)
def handler(database: Database, bearer: str) -> Recognised | None:
    """Look a credential up; a key with wrong check digits never reaches the database."""
    with database.transaction() as tx:
        return recognition.recognise(tx, bearer)
