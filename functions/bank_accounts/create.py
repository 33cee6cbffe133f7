"""POST /v1/bank_accounts."""

from ivy import bank_accounts
from ivy.bank_accounts import BankAccount, NewBankAccount
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.errors import (
    BankAccountExists,
    BankAccountLimitReached,
    BankAccountVerificationFailed,
    LiveModeLocked,
)
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint(
    "POST /v1/bank_accounts",
    status=201,
    scope=Scope.BANK_ACCOUNTS_WRITE,
    idempotent=True,
    bank_numbers=("account_number", "iban"),
    errors=(
        LiveModeLocked,
        BankAccountExists,
        BankAccountVerificationFailed,
        BankAccountLimitReached,
    ),
    uses=(Need.DATABASE, Need.ACCESS_SECRET, Need.EVENTS_QUEUE),
)
def handler(tx: Transaction, caller: Caller, new: NewBankAccount) -> BankAccount:
    """Add a bank account that payouts can be sent to.

    `USD` goes to US accounts by routing number, `EUR` to IBANs of SEPA, British ones among them,
    `GBP` to British IBANs. A `bic` is of the country of its IBAN. The number is never shown again,
    only its `last4`. The account is `pending_verification`: two small amounts are sent to it with
    the next file for the bank, and `POST /v1/bank_accounts/{id}/verify` takes them. If a bank gives
    them back, it is `verification_failed`, and `failure_code` says why. The first account in a
    currency is payable once it is verified, a further one 24 hours later: `payable_from`. In live
    mode ten are added in 30 days at most, those counted that were deleted.

    In test mode the amounts are 32 and 45, and nobody has to wait for them. Payouts to
    `000123456789`, with any routing number, to `DE89370400440532013000` and to
    `GB29NWBK60161331926819` arrive. `000123000001` returns them as `R01`; so do
    `…02` `03` `04` `16` `20` `23` `29` `31`. `DE57370400440000000101` returns them as `AC01`,
    `DE73370400440000000104` as `AC04`, `DE19370400440000000106` as `AC06` and
    `DE73370400440000000201` as `AG01`.
    """
    return bank_accounts.add(tx, caller, new)
