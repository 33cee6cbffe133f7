"""Merchants' settings: what a merchant decides about its days and payouts.

They are those of both modes, and a change is announced in both. Nothing here reaches back: a
charge keeps the day that it got when it was captured, and a payout that waits for approval goes on
waiting.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal, LiteralString
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer
from pydantic_core import PydanticCustomError

from ivy import api_keys, errors, events, ids, money
from ivy.access import Merchant
from ivy.callers import Caller
from ivy.database import Tenant, Transaction
from ivy.errors import FieldError
from ivy.models import Input, Object, Time, example

CONFIRM_ALONE = timedelta(hours=24)
"""How long an owner waits who has nobody to confirm a looser limit; the table says so too."""

Schedule = Literal["manual", "daily", "weekly", "monthly"]

_IN_CENTS = (
    " In cents, whatever the currency: as many yen where there are no decimals, ten times as many"
    " fils where there are three."
)


_LEFT_OUT: Any = Field(default_factory=lambda: None)
"""Of what can be left out and not be null: ``model_fields_set`` says what was sent."""

_MINUTE = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


def _minute(text: object) -> object:
    if text is None or isinstance(text, time):
        return text
    if isinstance(text, str) and _MINUTE.fullmatch(text):
        return time.fromisoformat(text)
    raise PydanticCustomError("time_of_day", "must be hours and minutes: 17:00")


_WRITTEN_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+\-]*(/[A-Za-z0-9_+\-]+){0,2}")


def _zone(name: str) -> str:
    if _WRITTEN_ZONE.fullmatch(name):
        return name
    raise PydanticCustomError("time_zone", "must be a time zone's name in the IANA database")


TimeZone = Annotated[
    str,
    AfterValidator(_zone),
    Field(
        max_length=64,
        description="A name in the IANA database. The merchant's day, which the cut-off and"
        " settlement go by, is the one there. A charge that is captured keeps its `available_on`.",
        examples=["America/New_York"],
    ),
]
MinuteOfDay = Annotated[
    time | None,
    BeforeValidator(_minute),
    PlainSerializer(lambda at: at and at.strftime("%H:%M"), return_type=str | None),
    Field(
        description="Captures from this local time on count as the next day's; null: midnight."
        " Charges that are captured keep their day.",
        examples=["17:00"],
    ),
]
Cents = Annotated[int, Field(strict=True, le=money.MAX_AMOUNT_MINOR // 10)]
"""An amount that is the same in every currency."""

Minimum = Annotated[
    Cents, Field(ge=1, description="What a payout by schedule takes at least." + _IN_CENTS)
]
ApprovalLimit = Annotated[
    Annotated[Cents, Field(ge=0)] | None,
    Field(
        description="A payout above it needs somebody else's approval; null: none does." + _IN_CENTS
    ),
]


class MerchantChange(Input):
    """What to change of a merchant's settings; what is left out stays."""

    model_config = example(
        time_zone="America/New_York", settlement_cutoff="17:00", payout_schedule="daily"
    )

    time_zone: TimeZone = _LEFT_OUT
    settlement_cutoff: MinuteOfDay = _LEFT_OUT
    payout_schedule: Annotated[
        Schedule, Field(description="When all that is available is paid out by itself.")
    ] = _LEFT_OUT
    payout_minimum: Minimum = _LEFT_OUT
    payout_approval_limit: ApprovalLimit = _LEFT_OUT


class DebitMandate(Object):
    """What a merchant has signed: that what it owes may be taken from its bank account."""

    model_config = example(reference="IVY-2026-17", signed_on="2026-11-02")

    reference: Annotated[str, Field(pattern="^[A-Za-z0-9./:-]{1,35}$")]
    signed_on: date


class LimitProposal(Object):
    """A higher limit, or none, that an owner has proposed and that somebody else must confirm."""

    limit: int | None
    proposed_by: ids.UserId
    proposed_at: Time


class MerchantSettings(Merchant):
    """A business with an account, and how it is settled and paid out, in both modes."""

    model_config = example(
        id="mer_019ab2c4d0007a01b2c3d4e5f6071829",
        object="merchant",
        livemode=False,
        created_at="2026-11-24T09:00:00.000Z",
        name="Analytical Engines",
        country="US",
        default_currency="USD",
        live_open=False,
        time_zone="America/New_York",
        settlement_cutoff="17:00",
        payout_schedule="daily",
        payout_minimum=100,
        payout_approval_limit=500_000,
        payout_approval_proposal=None,
        overdraft=50_000,
        reserve_basis_points=0,
        reserve_days=90,
        recovery_days=3,
        debit_mandate=None,
        version=2,
    )

    time_zone: str
    settlement_cutoff: MinuteOfDay
    payout_schedule: Schedule
    payout_minimum: int
    payout_approval_limit: int | None
    payout_approval_proposal: LimitProposal | None
    overdraft: Annotated[
        int, Field(description="How far refunds may take a balance below zero." + _IN_CENTS)
    ]
    reserve_basis_points: Annotated[
        int, Field(description="What of each batch's charges is held back, in hundredths of 1 %.")
    ]
    reserve_days: Annotated[int, Field(description="For how many days it is held back.")]
    recovery_days: Annotated[
        int, Field(description="Banking days below zero before the recovery of a balance opens.")
    ]
    debit_mandate: Annotated[
        DebitMandate | None,
        Field(description="By which what it owes may be debited; null: it has signed none."),
    ]
    version: Annotated[int, Field(description="Counts the changes of these settings.")]


class _Limit(Object):
    """The limit above which payouts need approval, and what is proposed instead."""

    in_force: int | None
    decided_by: UUID | None
    proposed: int | None
    proposed_by: UUID | None
    proposed_at: datetime | None

    def loosened_by(self, wanted: int | None) -> bool:
        """Say whether payouts that need approval now would not."""
        return self.in_force is not None and (wanted is None or wanted > self.in_force)

    def shown(self) -> dict[str, int | LimitProposal | None]:
        """Return it as callers see it."""
        proposal = None
        if self.proposed_by is not None and self.proposed_at is not None:
            proposal = LimitProposal(
                limit=self.proposed, proposed_by=self.proposed_by, proposed_at=self.proposed_at
            )
        return {"payout_approval_limit": self.in_force, "payout_approval_proposal": proposal}


def get(tx: Transaction, caller: Caller) -> MerchantSettings:
    """Return the caller's merchant."""
    return settings_of(tx, caller.tenant.merchant_id, livemode=caller.tenant.livemode)


def edit(tx: Transaction, caller: Caller, wanted: MerchantChange) -> MerchantSettings:
    """Change what a request names of the caller's merchant; returns it as it is now.

    Raises:
        CredentialInvalid: The caller has lost its right to act.
        LiveKeyRequired: A key of test mode would change how live money is paid out.
        RequestInvalid: The time zone is none.
        OwnerRequired: Only an owner proposes a looser limit.
        ConfirmationRequired: It is proposed, and the same person cannot confirm it.
    """
    api_keys.check_standing(tx, caller)
    tx.run("SELECT FROM merchants WHERE id = current_merchant() FOR NO KEY UPDATE")
    before = get(tx, caller)
    if before.live_open and caller.user is None and not caller.tenant.livemode:
        raise errors.LiveKeyRequired
    named = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    if "time_zone" in named and not tx.value(_KNOWN_ZONE, name=wanted.time_zone):
        detail = "is not a time zone in the IANA database"
        raise errors.RequestInvalid(fields=(FieldError("/time_zone", "time_zone", detail),))
    limit = tx.row(_Limit, _LIMIT)
    assert limit is not None  # noqa: S101 - the merchant is locked
    if "payout_approval_limit" in named:
        limit = _limited(tx, caller, limit, wanted.payout_approval_limit)
    after = before.model_copy(update={**named, **limit.shown()})
    if after == before:
        return before
    after = after.model_copy(update={"version": before.version + 1})
    tx.run(_UPDATE, **chosen(after, _OWN), **limit.model_dump(), version=after.version)
    by = ids.Prefix("usr").write(caller.user) if caller.user else None
    by = by or (ids.Prefix("key").write(caller.credential) if caller.credential else "nobody")
    record(tx, caller.tenant.merchant_id, before, after, by=by, reason=None)
    tx.choose(caller.tenant)
    return after


def _limited(tx: Transaction, caller: Caller, held: _Limit, wanted: int | None) -> _Limit:
    """Return the limit as a request leaves it: in force, or proposed by one and not confirmed.

    A lower limit is in force at once, and any but the proposed one ends a proposal.
    """
    decided: dict[str, Any] = {"in_force": wanted, "decided_by": caller.user}
    decided |= {"proposed": None, "proposed_by": None, "proposed_at": None}
    if not held.loosened_by(wanted):
        return held.model_copy(update=decided)
    if caller.user is None:
        raise errors.OwnerRequired("A key cannot loosen it: log in.")
    if held.proposed_at is None or held.proposed != wanted:
        if tx.value(_ROLE, user=caller.user) != "owner":
            raise errors.OwnerRequired
        return held.model_copy(
            update={"proposed": wanted, "proposed_by": caller.user, "proposed_at": ids.now()}
        )
    alone = not tx.value(_SOMEBODY_ELSE, user=caller.user)
    waited = ids.now() >= held.proposed_at + CONFIRM_ALONE
    if held.proposed_by == caller.user and not (alone and waited):
        raise errors.ConfirmationRequired
    return held.model_copy(update=decided)


def chosen(settings: MerchantSettings, names: tuple[str, ...]) -> dict[str, Any]:
    """Return some of a merchant's settings by their names."""
    return {name: getattr(settings, name) for name in names}


def record(
    tx: Transaction,
    merchant_id: int,
    before: MerchantSettings,
    after: MerchantSettings,
    *,
    by: str,
    reason: str | None,
) -> None:
    """Write who changed what, and announce it in both modes.

    Leaves the transaction with the last tenant chosen: a change is both modes' business.
    """
    at = ids.now()
    tx.run(
        _RECORD,
        merchant_id=merchant_id,
        version=after.version,
        at=at,
        by=by,
        reason=reason,
        before=before.model_dump_json(include=_RECORDED),
        after=after.model_dump_json(include=_RECORDED),
    )
    for livemode in (True, False):
        tenant = Tenant(merchant_id, livemode)
        tx.choose(tenant)
        events.record(
            tx,
            tenant,
            event="merchant.updated",
            subject=events.of_merchant(after.id),
            version=after.version,
            data=after.model_copy(update={"livemode": livemode}),
            at=tx.now(),
        )


def settings_of(tx: Transaction, merchant_id: int, *, livemode: bool) -> MerchantSettings:
    """Return a merchant's settings as they are shown in a mode.

    Raises:
        ResourceMissing: There is no such merchant, or not for this role.
    """
    found = tx.row(MerchantSettings, _SELECT, id=merchant_id, livemode=livemode)
    if found is None:
        raise errors.ResourceMissing("No such merchant.")
    return found


_OWN = ("time_zone", "settlement_cutoff", "payout_schedule", "payout_minimum")
OPERATORS = (
    "reserve_basis_points", "reserve_days", "recovery_days", "overdraft", "debit_mandate",
)  # fmt: skip
_RECORDED = {*_OWN, *OPERATORS, "version", "payout_approval_limit", "payout_approval_proposal"}

_SELECT: LiteralString = """
    SELECT public_id AS id, %(livemode)s AS livemode, created_at, name, country, default_currency,
           live_open, time_zone, cutoff AS settlement_cutoff, payout_schedule,
           payout_minimum_cents AS payout_minimum, payout_approval_cents AS payout_approval_limit,
           CASE WHEN payout_approval_proposed_at IS NOT NULL THEN jsonb_build_object(
               'limit', payout_approval_proposed_cents,
               'proposed_by', 'usr_' || replace(payout_approval_proposed_by::text, '-', ''),
               'proposed_at', payout_approval_proposed_at) END AS payout_approval_proposal,
           overdraft_cents AS overdraft, reserve_basis_points, reserve_days,
           recovery_days, CASE WHEN debit_mandate IS NOT NULL THEN jsonb_build_object(
               'reference', debit_mandate, 'signed_on', debit_mandate_signed_on)
               END AS debit_mandate, settings_version AS version
    FROM merchants WHERE id = %(id)s
"""

# Not the files that are no zones of anybody's, nor those that count leap seconds.
_KNOWN_ZONE = """
    SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = %(name)s
                   AND name !~ '^(posix|right)/|^(posixrules|localtime|Factory)$')
"""

_LIMIT = """
    SELECT payout_approval_cents AS in_force, payout_approval_decided_by AS decided_by,
           payout_approval_proposed_cents AS proposed, payout_approval_proposed_by AS proposed_by,
           payout_approval_proposed_at AS proposed_at
    FROM merchants WHERE id = current_merchant()
"""

_ROLE = """
    SELECT role FROM members WHERE (merchant_id, user_id) = (current_merchant(), %(user)s)
"""

_SOMEBODY_ELSE = """
    SELECT EXISTS (
        SELECT FROM members WHERE merchant_id = current_merchant() AND user_id <> %(user)s
           AND role IN ('owner', 'admin', 'finance'))
"""

_UPDATE = """
    UPDATE merchants
    SET time_zone = %(time_zone)s, cutoff = %(settlement_cutoff)s,
        payout_schedule = %(payout_schedule)s, payout_minimum_cents = %(payout_minimum)s,
        payout_approval_cents = %(in_force)s, payout_approval_decided_by = %(decided_by)s,
        payout_approval_proposed_cents = %(proposed)s,
        payout_approval_proposed_by = %(proposed_by)s,
        payout_approval_proposed_at = %(proposed_at)s, settings_version = %(version)s
    WHERE id = current_merchant()
"""

_RECORD = """
    INSERT INTO merchant_changes (merchant_id, version, created_at, changed_by, reason, before,
                                  after)
    VALUES (%(merchant_id)s, %(version)s, %(at)s, %(by)s, %(reason)s, %(before)s, %(after)s)
"""
