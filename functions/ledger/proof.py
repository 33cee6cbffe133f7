"""GET /v1/ledger/proof."""

from ivy import proof
from ivy.callers import Caller, Scope
from ivy.database import Database
from ivy.needs import Need
from ivy.proof import LedgerProof
from ivy.serve import endpoint


@endpoint("GET /v1/ledger/proof", scope=Scope.LEDGER_READ, uses=(Need.DATABASE,))
def handler(database: Database, caller: Caller) -> LedgerProof:
    """Prove your books: every law of the ledger, evaluated now, in one snapshot.

    Covers everything of the caller's in the caller's mode. Of accounts that are ours it covers the
    caller's own entries; what is true only of all merchants together is proved by the operator.
    """
    with database.transaction(caller.tenant, snapshot=True) as tx:
        return proof.prove(tx, livemode=caller.tenant.livemode, at=tx.now())
