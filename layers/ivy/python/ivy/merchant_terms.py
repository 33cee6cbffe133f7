"""Merchants' terms: what operators set about a merchant's reserve, overdraft and recoveries."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from ivy import errors, ids, merchants
from ivy.database import Transaction
from ivy.errors import FieldError
from ivy.merchants import OPERATORS, Cents, DebitMandate, MerchantSettings
from ivy.models import Input, ShortText, example


class SignedMandate(Input):
    """A mandate to record. In its reference no slash is at an end or beside another.

    The SEPA forbids those; one that was recorded before this was asked is still shown.
    """

    model_config = example(reference="IVY-2026-17", signed_on="2026-11-02")

    reference: Annotated[str, Field(pattern="^[A-Za-z0-9.:-]+(/[A-Za-z0-9.:-]+)*$", max_length=35)]
    signed_on: date


class Terms(Input):
    """What an operator sets for a merchant."""

    model_config = example(
        merchant="mer_019ab2c4d0007a01b2c3d4e5f6071829",
        reserve_basis_points=1000,
        by="operator@example.com",
        reason="many disputes in October",
    )

    merchant: ids.MerchantId
    reserve_basis_points: Annotated[int | None, Field(strict=True, ge=0, le=10_000)] = None
    reserve_days: Annotated[int | None, Field(strict=True, ge=1, le=540)] = None
    recovery_days: Annotated[int | None, Field(strict=True, ge=0, le=60)] = None
    overdraft: Annotated[Cents | None, Field(ge=0)] = None
    debit_mandate: Annotated[
        SignedMandate | None, Field(description="Null takes it away; left out, it stays.")
    ] = None
    by: ShortText
    reason: ShortText


def set_terms(tx: Transaction, terms: Terms) -> MerchantSettings:
    """Set what operators set; runs as ``ivy_jobs``, which may set nothing else of a merchant.

    Raises:
        ResourceMissing: There is no such merchant.
        RequestInvalid: Nothing is to be set.
    """
    named = terms.model_dump(include=set(OPERATORS))
    named = {name: getattr(terms, name) for name, each in named.items() if each is not None}
    if "debit_mandate" in terms.model_fields_set:
        signed = terms.debit_mandate
        named["debit_mandate"] = signed and DebitMandate(**signed.model_dump())
    if not named:
        detail = f"name one or more of {', '.join(OPERATORS)}"
        raise errors.RequestInvalid(fields=(FieldError("", "missing", detail),))
    merchant_id = tx.value(
        "SELECT id FROM merchants WHERE public_id = %(id)s FOR NO KEY UPDATE", id=terms.merchant
    )
    if merchant_id is None:
        raise errors.ResourceMissing(f"No merchant {ids.Prefix('mer').write(terms.merchant)}.")
    before = merchants.settings_of(tx, merchant_id, livemode=False)
    if all(getattr(before, name) == each for name, each in named.items()):
        return before
    after = before.model_copy(update={**named, "version": before.version + 1})
    mandate = after.debit_mandate
    tx.run(
        _SET_TERMS,
        **merchants.chosen(after, OPERATORS)
        | {
            "id": merchant_id,
            "version": after.version,
            "debit_mandate": mandate and mandate.reference,
            "signed_on": mandate and mandate.signed_on,
        },
    )
    by = f"operator:{terms.by}"
    merchants.record(tx, merchant_id, before, after, by=by, reason=terms.reason)
    return after


_SET_TERMS = """
    UPDATE merchants
    SET reserve_basis_points = %(reserve_basis_points)s, reserve_days = %(reserve_days)s,
        recovery_days = %(recovery_days)s, overdraft_cents = %(overdraft)s,
        debit_mandate = %(debit_mandate)s, debit_mandate_signed_on = %(signed_on)s,
        settings_version = %(version)s
    WHERE id = %(id)s
"""
