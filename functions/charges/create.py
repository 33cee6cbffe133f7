"""POST /v1/charges."""

from ivy import charge_postings, charges
from ivy.callers import Caller, Scope
from ivy.charges import Charge, NewCharge
from ivy.database import Transaction
from ivy.errors import ChargeDeclined, LiveModeLocked
from ivy.ledger_transactions import DryRun
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint(
    "POST /v1/charges",
    status=201,
    scope=Scope.CHARGES_WRITE,
    idempotent=True,
    settled=charges.settled,
    errors=(LiveModeLocked, ChargeDeclined),
    uses=(Need.DATABASE, Need.CHARGES_QUEUE),
    snapshot=True,
)
def handler(tx: Transaction, caller: Caller, new: NewCharge) -> Charge | DryRun:
    """Charge a customer.

    Answers at once with a `pending` charge; the acquirer is asked right after. The charge then
    becomes `succeeded`, with its fee, its `available_on` date and the `ledger_transaction` that
    moved the money; `authorized`, if it is to be captured separately; `requires_action`, if the
    payer must confirm it at `next_action.url`; or `failed`, with a `failure_code` and, for a card,
    the issuer's `decline_code`. With `"wait": true` the answer is the outcome, if it is known
    within 5 seconds, and a decline is a 402. Safe to retry with the same `Idempotency-Key`.

    Test tokens: `tok_visa` succeeds; `tok_declined`, `tok_insufficient_funds`,
    `tok_expired_card` and `tok_processing_error` fail as they say; `tok_timeout` succeeds, but the
    acquirer never answers, so it takes a minute to find out; `tok_requires_action` waits for its
    payer; `tok_dispute` succeeds and is disputed; `tok_ach` is a bank debit that succeeds after
    three business days, `tok_ach_r01` one that is returned afterwards.
    """
    if new.dry_run:
        return charge_postings.preview(tx, caller, new)
    return charges.accept(tx, caller, new)
