"""The closed list of errors a caller can meet.

Each class is one documented ``code``: its docstring is the documentation that ``/docs/errors``
shows, its status and title are what `problem+json <https://www.rfc-editor.org/rfc/rfc9457>`_
carries. Raise one anywhere below an entry point; ``ivy.serve`` is the only place that renders it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One invalid field: where it stands (RFC 6901 pointer), which rule, and why."""

    pointer: str
    code: str
    detail: str


class Problem(Exception):  # noqa: N818 - the RFC's own word for what an HTTP API answers
    """Something the caller is told, with a stable code."""

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]
    retryable: ClassVar[bool] = False
    members: ClassVar[Mapping[str, str | int]] = {}
    """What its problem document can say beyond every other's, with an example of each."""

    def __init__(
        self,
        detail: str | None = None,
        *,
        param: str | None = None,
        fields: tuple[FieldError, ...] = (),
        retry_after_seconds: int | None = None,
        facts: Mapping[str, str | int | None] | None = None,
    ) -> None:
        self.detail = detail or self.documentation()
        super().__init__(self.detail)
        self.param = param
        self.fields = fields
        self.retry_after_seconds = retry_after_seconds
        self.facts = {name: fact for name, fact in (facts or {}).items() if fact is not None}
        """What is known of ``members``."""

    @classmethod
    def documentation(cls) -> str:
        """Return the docstring in one line of plain text: what it means and what to do."""
        return " ".join((cls.__doc__ or "").replace("``", "").split())

    @classmethod
    def every(cls) -> Iterator[type[Problem]]:
        """Yield each concrete error below this class, in the order of this file."""
        for child in cls.__subclasses__():
            if "code" in child.__dict__:
                yield child
            yield from child.every()


class BodyMalformed(Problem):
    """The body is not one JSON object: not JSON at all, a duplicate key, or a number like NaN."""

    code, status, title = "body_malformed", 400, "The body is not valid JSON"


class IdempotencyKeyMissing(Problem):
    """A POST that moves money needs an ``Idempotency-Key`` header, so that it is safe to retry."""

    code, status, title = "idempotency_key_missing", 400, "Idempotency-Key is required"


class IdempotencyKeyInvalid(Problem):
    """``Idempotency-Key`` must be 1 to 255 printable ASCII characters."""

    code, status, title = "idempotency_key_invalid", 400, "Idempotency-Key is not acceptable"


class CredentialMissing(Problem):
    """No ``Authorization: Bearer …`` header was sent."""

    code, status, title = "credential_missing", 401, "A credential is required"


class CredentialInvalid(Problem):
    """The key or access token is unknown, mistyped, expired or revoked."""

    code, status, title = "credential_invalid", 401, "The credential is not valid"


class LoginInvalid(Problem):
    """The e-mail and password do not belong to an account. Which of the two is never said."""

    code, status, title = "login_invalid", 401, "E-mail or password is wrong"


class ScopeMissing(Problem):
    """The credential is valid but does not carry the scope that this route needs."""

    code, status, title = "scope_missing", 403, "The credential lacks a scope"


class ChargeDeclined(Problem):
    """The payment was refused: ``failure_code`` and ``decline_code`` say why, ``charge`` which."""

    code, status, title = "charge_declined", 402, "The charge was declined"
    members = MappingProxyType(
        {
            "charge": "ch_019ab2c4d5e67f8091a2b3c4d5e6f708",
            "failure_code": "card_declined",
            "decline_code": "insufficient_funds",
        }
    )


class BalanceInsufficient(Problem):
    """Less is available than a payout and its fee would take: ``available`` says how much is."""

    code, status, title = "balance_insufficient", 402, "Not enough is available"
    members = MappingProxyType({"available": 9680, "currency": "USD"})


class AddressRefused(Problem):
    """The key may only be used from the IP addresses on its allow-list."""

    code, status, title = "address_refused", 403, "This address may not use the key"


class LiveModeLocked(Problem):
    """Live mode opens when the merchant's verification is approved. Use a test key until then."""

    code, status, title = "live_mode_locked", 403, "Live mode is not open yet"


class TestModeOnly(Problem):
    """This route exists in test mode only. Use a test key."""

    code, status, title = "test_mode_only", 403, "Only in test mode"


class ResourceMissing(Problem):
    """No such object for this merchant in this mode."""

    code, status, title = "resource_missing", 404, "No such object"


class RouteUnknown(Problem):
    """No route has this method and path."""

    code, status, title = "route_unknown", 404, "No such route"


class IdempotencyKeyInUse(Problem):
    """The first request with this key is still being worked on. Ask again shortly."""

    code, status, title = "idempotency_key_in_use", 409, "The first request is still running"
    retryable = True


class OperationInProgress(Problem):
    """Something is under way with this object. Ask again when it has ended."""

    code, status, title = "operation_in_progress", 409, "Another operation is under way"
    retryable = True


class ChargeAlreadyCaptured(Problem):
    """The charge has been captured. A charge is captured once; what was left is released."""

    code, status, title = "charge_already_captured", 409, "The charge is captured already"


class ChargeNotCapturable(Problem):
    """Only a charge that is ``authorized`` can be captured."""

    code, status, title = "charge_not_capturable", 409, "The charge cannot be captured"


class ChargeNotCancelable(Problem):
    """Only a charge that is ``authorized`` or ``requires_action`` can be canceled.

    Refund one that has been captured.
    """

    code, status, title = "charge_not_cancelable", 409, "The charge cannot be canceled"


class ChargeNotRefundable(Problem):
    """Only a charge that has succeeded, or still may, can be refunded."""

    code, status, title = "charge_not_refundable", 409, "The charge cannot be refunded"


class DisputeClosed(Problem):
    """The dispute takes no evidence and cannot be accepted any more."""

    code, status, title = "dispute_closed", 409, "The dispute is closed"


class BankAccountLimitReached(Problem):
    """At most 10 bank accounts are added in live mode in 30 days, those counted that were deleted.

    Two amounts are sent to each. Verify one that is there, or add this one later.
    """

    code, status, title = "bank_account_limit_reached", 409, "Too many bank accounts were added"


class EndpointLimitReached(Problem):
    """A merchant has at most 20 webhook endpoints in each mode. Delete one that is not needed."""

    code, status, title = "endpoint_limit_reached", 409, "There are enough webhook endpoints"


class EndpointNotEnabled(Problem):
    """Nothing is sent to a webhook endpoint that is paused or disabled. Enable it first."""

    code, status, title = "endpoint_not_enabled", 409, "The webhook endpoint is not enabled"


class BankAccountExists(Problem):
    """The merchant has this bank account already. Delete that one first to add it anew."""

    code, status, title = "bank_account_exists", 409, "The bank account is there already"


class BankAccountAlreadyVerified(Problem):
    """The bank account has been verified. There is nothing more to do."""

    code, status, title = "bank_account_already_verified", 409, "The bank account is verified"


class BankAccountVerificationFailed(Problem):
    """The amounts were wrong three times within 30 days, or a bank gave them back.

    ``failure_code`` of the bank account says which. Another account, or this one added anew, can
    be verified; of one number three answers may be wrong in 30 days.
    """

    code, status, title = "bank_account_verification_failed", 409, "The verification has failed"


class MicroDepositsNotSent(Problem):
    """The two amounts are not on their way yet: ``bank_account.deposits_sent`` says when they are.

    Only in live mode; in test mode they are known.
    """

    code, status, title = "micro_deposits_not_sent", 409, "The two amounts were not sent yet"


class BankAccountUnverified(Problem):
    """Money is only sent to a bank account that is ``verified``."""

    code, status, title = "bank_account_unverified", 409, "The bank account is not verified"


class BankAccountCoolingOff(Problem):
    """The account replaces or joins another, and is payable 24 hours after it was verified.

    ``payable_from`` says when. So whoever steals a session cannot send the money elsewhere at once.
    """

    code, status, title = "bank_account_cooling_off", 409, "The bank account is too new"
    members = MappingProxyType({"payable_from": "2026-11-25T09:30:00.000Z"})


class ApproverNotAPerson(Problem):
    """Payouts are approved and rejected by people, who log in; a key is no second pair of eyes."""

    code, status, title = "approver_not_a_person", 403, "Only a person can approve"


class SelfApproval(Problem):
    """Whoever asked for it cannot approve it: somebody else must."""

    code, status, title = "self_approval", 403, "Somebody else must approve"


class LiveKeyRequired(Problem):
    """What is to be changed holds in live mode too: a key of test mode cannot."""

    code, status, title = "live_key_required", 403, "A key of live mode is required"


class OwnerRequired(Problem):
    """Only an owner who is logged in proposes that fewer payouts need approval."""

    code, status, title = "owner_required", 403, "Only an owner can propose this"


class ConfirmationRequired(Problem):
    """Somebody else must confirm that fewer payouts need approval, by sending the same limit.

    An owner who is alone confirms it 24 hours after proposing it.
    """

    code, status, title = "confirmation_required", 403, "Somebody else must confirm this"


class PayoutNotApprovable(Problem):
    """The payout does not wait for approval: it was decided already, or needs none."""

    code, status, title = "payout_not_approvable", 409, "The payout does not wait for approval"


class PayoutNotCancelable(Problem):
    """Only a payout that is not on its way to the bank yet can be canceled."""

    code, status, title = "payout_not_cancelable", 409, "The payout cannot be canceled"


class SettlementReportNotReady(Problem):
    """The report of a settlement is written just after it is closed. Ask again in a moment.

    Or wait for ``settlement.report_ready``.
    """

    code, status, title = "settlement_report_not_ready", 409, "The report is not ready yet"
    retryable = True


class ReportNotReady(Problem):
    """The report is still being made. Ask again in a moment, or wait for ``report.ready``."""

    code, status, title = "report_not_ready", 409, "The report is not ready yet"
    retryable = True


class ClockAdvancing(Problem):
    """The test clock is on its way. Wait until it is ``ready``, or for ``test_clock.ready``."""

    code, status, title = "clock_advancing", 409, "The clock is advancing"
    retryable = True


class BodyTooLarge(Problem):
    """The body is larger than 256 KB."""

    code, status, title = "body_too_large", 413, "The body is too large"


class MediaTypeUnsupported(Problem):
    """The body must be sent as ``Content-Type: application/json``."""

    code, status, title = "media_type_unsupported", 415, "The body must be JSON"


class RequestInvalid(Problem):
    """One or more fields are not acceptable; ``errors`` names each with a pointer."""

    code, status, title = "request_invalid", 422, "The request is not valid"

    @classmethod
    def of(cls, field: str, code: str, detail: str) -> RequestInvalid:
        """Return the refusal of one field of a body."""
        return cls(fields=(FieldError(f"/{field}", code, detail),))


class AmountExceedsAuthorized(Problem):
    """No more can be captured than was authorised."""

    code, status, title = "amount_exceeds_authorized", 422, "More than was authorised"


class RefundExceedsCharge(Problem):
    """No more can be refunded than was captured and is neither refunded nor disputed."""

    code, status, title = "refund_exceeds_charge", 422, "More than is left of the charge"


class CurrencyMismatch(Problem):
    """The currency is not that of the charge, or of the bank account."""

    code, status, title = "currency_mismatch", 422, "Another currency"


class MicroDepositMismatch(Problem):
    """These are not the two amounts that were sent; ``attempts_left`` says how often to try again.

    They can be given in any order.
    """

    code, status, title = "micro_deposit_mismatch", 422, "Not the amounts that were sent"
    members = MappingProxyType({"attempts_left": 2})


class ClockNotForward(Problem):
    """A test clock only goes forward: ``to`` must be later than the clock's ``now``."""

    code, status, title = "clock_not_forward", 422, "Time does not go back"


class ClockTooFar(Problem):
    """A test clock goes at most 366 days at once, and is at most five years ahead of real time."""

    code, status, title = "clock_too_far", 422, "Too far ahead"


class IdempotencyKeyReused(Problem):
    """This key was used before for a different request. Use a new key for a new request."""

    code, status, title = "idempotency_key_reused", 422, "The key belongs to another request"


class RateLimited(Problem):
    """Too many requests. Wait for the seconds in ``Retry-After``."""

    code, status, title = "rate_limited", 429, "Too many requests"
    retryable = True


class Internal(Problem):
    """Something failed on our side. Retry with the same ``Idempotency-Key``."""

    code, status, title = "internal_error", 500, "Something failed on our side"
    retryable = True


class Unavailable(Problem):
    """A part we depend on did not answer in time. Retry with the same ``Idempotency-Key``."""

    code, status, title = "unavailable", 503, "Temporarily unavailable"
    retryable = True
