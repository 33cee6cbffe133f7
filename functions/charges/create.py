"""POST /v1/charges."""

from ivy import charges
from ivy.callers import Caller, Scope
from ivy.charges import Charge, NewCharge
from ivy.database import Transaction
from ivy.errors import LiveModeLocked
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint(
    "POST /v1/charges",
    status=201,
    scope=Scope.CHARGES_WRITE,
    idempotent=True,
    errors=(LiveModeLocked,),
    uses=(Need.DATABASE, Need.CHARGES_QUEUE),
)
def handler(tx: Transaction, caller: Caller, new: NewCharge) -> Charge:
    """Charge a customer.

    Answers at once with a `pending` charge; the acquirer is asked right after. The charge then
    becomes `succeeded`, with its fee, its `available_on` date and the `ledger_transaction` that
    moved the money, or `failed`, with a `failure_code` and, for a card, the issuer's
    `decline_code`. Safe to retry with the same `Idempotency-Key`.

    Test tokens: `tok_visa` succeeds; `tok_declined`, `tok_insufficient_funds`,
    `tok_expired_card` and `tok_processing_error` fail as they say.
    """
    return charges.accept(tx, caller, new)
