"""POST /v1/disputes/{id}/evidence."""

from ivy import disputes
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.disputes import Dispute, Evidence
from ivy.errors import DisputeClosed, OperationInProgress
from ivy.ids import DisputeId
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint(
    "POST /v1/disputes/{id}/evidence",
    scope=Scope.DISPUTES_WRITE,
    idempotent=True,
    errors=(DisputeClosed, OperationInProgress),
    uses=(Need.DATABASE, Need.DISPUTES_QUEUE),
)
def handler(
    tx: Transaction,
    caller: Caller,
    id: DisputeId,  # noqa: A002 - the path's own name
    evidence: Evidence,
) -> Dispute:
    """Answer a dispute.

    Kept as a draft until sent with `"submit": true`, which is final: the dispute is then
    `under_review` until the payer's bank decides. In test mode a text containing
    `winning_evidence` wins and any other loses.
    """
    return disputes.submit(tx, caller.tenant, id, evidence)
