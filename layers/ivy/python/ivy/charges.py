"""Charges: what a merchant asks for, and what becomes visible of it.

``accept`` writes the pending charge, its event and the promise to authorise it; ``capture`` and
``cancel`` promise the next step. What an acquirer answers is written by ``ivy.charge_outcomes``.
"""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, computed_field

from ivy import errors, faults, ids, money, objects, outbox, pages, states
from ivy.callers import Caller
from ivy.connectors import tokens
from ivy.database import Tenant, Transaction
from ivy.errors import FieldError
from ivy.models import (
    AmountMinor,
    CurrencyCode,
    Flag,
    Input,
    Link,
    LongText,
    Metadata,
    Object,
    Text,
    Time,
    example,
)
from ivy.settings import settings

Status = Literal[
    "pending", "requires_action", "authorized", "succeeded", "failed", "canceled", "expired"
]
Wait = Annotated[
    Flag,
    Field(
        description="Answer with the outcome if it is known within 5 seconds; a declined charge is"
        " then answered with 402."
    ),
]


class NewCharge(Input):
    """A charge to make."""

    model_config = example(
        amount=10000,
        currency="USD",
        payment_method="tok_visa",
        description="INV-7",
        metadata={"order": "1042"},
    )

    amount: AmountMinor
    currency: CurrencyCode
    payment_method: Annotated[
        Text,
        StringConstraints(pattern="^(tok|pm)_[A-Za-z0-9_]{1,60}$"),
        Field(description="A token; Ivy never takes card numbers.", examples=["tok_visa"]),
    ]
    capture: Annotated[
        Flag, Field(description="False only authorises: capture or cancel it within 7 days.")
    ] = True
    description: LongText | None = None
    metadata: Annotated[Metadata, Field(default_factory=dict)]
    statement_descriptor: Annotated[Text | None, StringConstraints(min_length=1, max_length=22)] = (
        None
    )
    wait: Wait = False
    dry_run: Annotated[
        Flag, Field(description="Write nothing; answer with the entries it would post.")
    ] = False


class Capture(Input):
    """How much of an authorised charge to capture."""

    model_config = example(amount=7500)

    amount: Annotated[
        AmountMinor | None, Field(description="All of it when left out; what is left is released.")
    ] = None
    currency: CurrencyCode | None = None
    wait: Wait = False


class Cancellation(Input):
    """Nothing more to say about a charge that is no longer wanted."""

    model_config = example()

    wait: Wait = False


class NextAction(Object):
    """Where to send the payer."""

    type: Literal["redirect_to_url"] = "redirect_to_url"
    url: Link


class Charge(Object):
    """A payment from a customer to the merchant; amounts in minor units of ``currency``."""

    model_config = example(
        id="ch_019ab2c4d5e67f8091a2b3c4d5e6f708",
        object="charge",
        livemode=False,
        created_at="2026-11-24T09:30:00.000Z",
        amount=10000,
        currency="USD",
        exponent=2,
        status="succeeded",
        capture=True,
        capture_before=None,
        amount_captured=10000,
        amount_refunded=0,
        disputed=False,
        fee=320,
        fee_returned=0,
        net=9680,
        available_on="2026-11-27",
        next_action=None,
        failure_code=None,
        decline_code=None,
        method="card",
        payment_method="tok_visa",
        description="INV-7",
        statement_descriptor=None,
        metadata={"order": "1042"},
        fee_plan="standard/1",
        ledger_transaction="ltx_019ab2c4d7117a3c9e55d02f8b1c4e6a",
        version=2,
    )

    id: ids.ChargeId
    object: Literal["charge"] = "charge"
    livemode: bool
    created_at: Time
    amount: int
    currency: str
    status: Status
    capture: bool
    capture_before: Time | None = None
    amount_captured: int = 0
    amount_refunded: int = 0
    disputed: bool = False
    fee: int | None = None
    fee_returned: int = 0
    available_on: date | None = None
    next_action: NextAction | None = None
    failure_code: str | None = None
    decline_code: str | None = None
    method: tokens.Method
    payment_method: str
    description: str | None
    statement_descriptor: str | None
    metadata: dict[str, str]
    fee_plan: str
    ledger_transaction: ids.LedgerTransactionId | None = None
    version: int = 1

    @computed_field  # type: ignore[prop-decorator]  # mypy cannot see through the decorator
    @property
    def exponent(self) -> int:
        """Decimals of the currency's major unit."""
        return money.currencies()[self.currency].exponent

    @computed_field  # type: ignore[prop-decorator]  # mypy cannot see through the decorator
    @property
    def net(self) -> int | None:
        """What the merchant keeps: captured less fee; null until the charge is captured."""
        return None if self.fee is None else self.amount_captured - self.fee


class ChargeQuery(pages.Page):
    """Which charges to list."""

    of = "ch"

    status: Status | None = None


def accept(tx: Transaction, caller: Caller, new: NewCharge) -> Charge:
    """Take on a charge: the pending row, its event, and the promise to authorise it.

    Raises:
        LiveModeLocked: A live charge before the merchant's verification is approved.
        RequestInvalid: The amount is below the currency's minimum, the token is unknown, or a
            bank debit is only to be authorised.
    """
    tenant = caller.tenant
    charge = propose(tx, caller, new)
    code, _, version = charge.fee_plan.partition("/")
    tx.run(
        _INSERT,
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        id=charge.id,
        created_at=charge.created_at,
        amount=charge.amount,
        currency=charge.currency,
        capture=charge.capture,
        method=charge.method,
        payment_method=charge.payment_method,
        connector=tokens.connector_of(charge.payment_method),
        description=charge.description,
        statement_descriptor=charge.statement_descriptor,
        metadata=json.dumps(charge.metadata),
        fee_plan=code,
        fee_plan_version=int(version),
    )
    at = charge.created_at
    states.record(tx, tenant, states.transition("charge", states.BEGIN, "pending"), charge, at=at)
    outbox.owe(tx, tenant, "charges", charge.id, "authorize", at=at)
    faults.point("charge.accept.before_commit")
    return charge


def propose(tx: Transaction, caller: Caller, new: NewCharge) -> Charge:
    """Return the pending charge that a request asks for, priced by the merchant's current plan.

    Raises:
        LiveModeLocked, RequestInvalid: As ``accept`` says.
    """
    tenant = caller.tenant
    if tenant.livemode and not tx.value("SELECT live_open FROM merchants"):
        raise errors.LiveModeLocked
    _check(tenant, new)
    at = tx.now()
    return Charge(
        id=ids.new(at),
        livemode=tenant.livemode,
        created_at=at,
        amount=new.amount,
        currency=new.currency,
        status="pending",
        capture=new.capture,
        method=tokens.method_of(new.payment_method),
        payment_method=new.payment_method,
        description=new.description,
        statement_descriptor=new.statement_descriptor,
        metadata=new.metadata,
        fee_plan=tx.value(_CURRENT_PLAN),
    )


def _check(tenant: Tenant, new: NewCharge) -> None:
    """Refuse, in one reply, everything about a charge that a schema cannot say."""
    wrong: list[FieldError] = []
    currency = money.currencies()[new.currency]
    if new.amount < currency.minimum_minor:
        detail = f"The minimum is {currency.minimum_minor} minor units of {currency.code}."
        wrong.append(FieldError("/amount", "amount_too_small", detail))
    connector = tokens.connector_of(new.payment_method)
    if connector not in settings().connector_names:
        detail = f"No such token: {new.payment_method}. In test mode use tok_visa."
        wrong.append(FieldError("/payment_method", "token_unknown", detail))
    elif tenant.livemode and connector == "simulated":
        detail = f"{new.payment_method} is a test token; this is live mode."
        wrong.append(FieldError("/payment_method", "token_for_tests", detail))
    if not new.capture and tokens.method_of(new.payment_method) == "bank_debit":
        detail = "A bank debit is captured at once; it cannot only be authorised."
        wrong.append(FieldError("/capture", "capture_required", detail))
    if wrong:
        raise errors.RequestInvalid(fields=tuple(wrong))


def capture(tx: Transaction, tenant: Tenant, charge_id: UUID, wanted: Capture) -> Charge:
    """Promise to capture an authorised charge, or a part of it.

    Raises:
        ResourceMissing, CurrencyMismatch, AmountExceedsAuthorized.
        ChargeAlreadyCaptured, ChargeNotCapturable: By the charge's state.
        OperationInProgress: It is being captured or canceled at this moment.
    """
    charge = lock(tx, charge_id)
    if charge.amount_captured:
        raise errors.ChargeAlreadyCaptured
    if charge.status != "authorized":
        raise errors.ChargeNotCapturable(f"The charge is {charge.status}.")
    if wanted.currency not in (None, charge.currency):
        raise errors.CurrencyMismatch(f"The charge is in {charge.currency}.", param="currency")
    amount = charge.amount if wanted.amount is None else wanted.amount
    if amount > charge.amount:
        raise errors.AmountExceedsAuthorized(
            f"{charge.amount} minor units of {charge.currency} were authorised.", param="amount"
        )
    outbox.request(tx, tenant, "charges", charge.id, "capture", at=tx.now(), amount_minor=amount)
    faults.point("charge.capture.before_commit")
    return charge


def cancel(tx: Transaction, tenant: Tenant, charge_id: UUID) -> Charge:
    """Promise to cancel a charge that is authorised or waits for its payer.

    Raises:
        ResourceMissing: No such charge.
        ChargeNotCancelable: By the charge's state.
        OperationInProgress: It is being captured or canceled at this moment.
    """
    charge = lock(tx, charge_id)
    if charge.status == "authorized":
        outbox.request(tx, tenant, "charges", charge.id, "void", at=tx.now())
    elif charge.status == "requires_action":
        outbox.replace(tx, tenant, "charges", charge.id, before="authorize", action="void")
    else:
        raise errors.ChargeNotCancelable(f"The charge is {charge.status}.")
    faults.point("charge.cancel.before_commit")
    return charge


def get(tx: Transaction, charge_id: UUID) -> Charge:
    """Return one charge of the transaction's tenant.

    Raises:
        ResourceMissing: This merchant has no such charge in this mode.
    """
    return objects.one(tx, Charge, _ONE, charge_id)


def lock(tx: Transaction, charge_id: UUID) -> Charge:
    """Return one charge that nobody else changes until the transaction ends.

    Raises:
        ResourceMissing: This merchant has no such charge in this mode.
    """
    return objects.one(tx, Charge, _ONE + " FOR UPDATE", charge_id)


def settled(tx: Transaction, charge_id: UUID) -> Charge | None:
    """Return a charge once what was asked of it is decided; None while it is not.

    Raises:
        ChargeDeclined: It was declined.
    """
    charge = get(tx, charge_id)
    under_way = tx.value("SELECT action FROM outbox WHERE subject = %(id)s", id=charge.id)
    if charge.status == "failed":
        raise errors.ChargeDeclined(
            facts={
                "charge": ids.Prefix("ch").write(charge.id),
                "failure_code": charge.failure_code,
                "decline_code": charge.decline_code,
            }
        )
    waits_for_payer = charge.status == "requires_action" and under_way == "authorize"
    return charge if under_way is None or waits_for_payer else None


def page(tx: Transaction, query: ChargeQuery) -> pages.Listing[Charge]:
    """Return one page of charges, newest first."""
    return pages.read(
        tx, Charge, SELECT + " WHERE", query, {"status": query.status}, identity="charges.id"
    )


_CURRENT_PLAN = """
    SELECT code || '/' || max(version)
    FROM fee_plans WHERE code = (SELECT fee_plan FROM merchants)
    GROUP BY code
"""

_INSERT = """
    INSERT INTO charges (merchant_id, livemode, id, created_at, amount, currency, capture, method,
                         payment_method, connector, description, statement_descriptor, metadata,
                         fee_plan, fee_plan_version)
    VALUES (%(merchant_id)s, %(livemode)s, %(id)s, %(created_at)s, %(amount)s, %(currency)s,
            %(capture)s, %(method)s, %(payment_method)s, %(connector)s, %(description)s,
            %(statement_descriptor)s, %(metadata)s, %(fee_plan)s, %(fee_plan_version)s)
"""

COLUMNS = """
    charges.id, charges.livemode, charges.created_at, charges.amount, charges.currency,
    charges.status, capture, capture_before, amount_captured, amount_refunded,
    amount_disputed > 0 AS disputed, fee, charges.fee_returned, available_on,
    CASE WHEN next_action_url IS NOT NULL
         THEN jsonb_build_object('type', 'redirect_to_url', 'url', next_action_url)
    END AS next_action, charges.failure_code, decline_code, method, payment_method, description,
    statement_descriptor, charges.metadata, fee_plan || '/' || fee_plan_version AS fee_plan,
    charges.ledger_transaction, charges.version
"""

SELECT = "SELECT " + COLUMNS + " FROM charges"

_ONE = SELECT + " WHERE charges.id = %(id)s"
