"""POST /v1/bank_accounts/{id}/verify."""

from ivy import bank_account_verification as verification
from ivy.bank_account_verification import Deposits
from ivy.bank_accounts import BankAccount
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.errors import (
    BankAccountAlreadyVerified,
    BankAccountVerificationFailed,
    MicroDepositMismatch,
    MicroDepositsNotSent,
)
from ivy.ids import BankAccountId
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint(
    "POST /v1/bank_accounts/{id}/verify",
    scope=Scope.BANK_ACCOUNTS_WRITE,
    repeatable=True,
    errors=(
        BankAccountAlreadyVerified,
        BankAccountVerificationFailed,
        MicroDepositMismatch,
        MicroDepositsNotSent,
    ),
    uses=(Need.DATABASE, Need.EVENTS_QUEUE),
)
def handler(
    tx: Transaction,
    caller: Caller,
    id: BankAccountId,  # noqa: A002 - the path's name
    sent: Deposits,
) -> BankAccount | MicroDepositMismatch:
    """Verify a bank account with the two amounts that were sent to it, in any order.

    `bank_account.deposits_sent` says that they are on their way, and
    `verification.deposits_arrive_on` on which day a statement shows them. Each wrong answer counts,
    and after the third the account is `verification_failed`; of one number three answers may be
    wrong in 30 days, however often it is added. Copies with one `Idempotency-Key` count once. In
    test mode the amounts are 32 and 45, and can be named at once.
    """
    return verification.outcome(verification.verify(tx, caller, id, sent))
