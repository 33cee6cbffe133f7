"""What banks are asked for: payouts, amounts that verify an account, debits of what is owed.

Each kind goes out in files of its own, because a batch of ACH says what it is for. The view
``bank_orders`` has them all; what locks or changes rows is a statement for each kind here.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Literal, LiteralString
from uuid import UUID

from ivy import ids, ledger

Kind = Literal["payout", "micro_deposit", "recovery_debit"]

PREFIXES: Mapping[Kind, ids.Prefix] = {
    "payout": ids.Prefix("po"),
    "micro_deposit": ids.Prefix("md"),
    "recovery_debit": ids.Prefix("rd"),
}
"""Of the ids that name an order to a bank."""

DESCRIPTIONS: Mapping[Kind, str] = {
    "payout": "PAYOUT",
    "micro_deposit": "ACCTVERIFY",
    "recovery_debit": "RECOVERY",
}
"""What receivers see as the reason. That of a micro-deposit is Nacha's rule."""

COLLECTING = frozenset({"recovery_debit"})
"""Those that bring money to our account; the others take it from there."""


def named(reference: str | None) -> tuple[Kind, UUID] | None:
    """Return which order of ours an end-to-end id names, which may be anybody's."""
    for kind, prefix in PREFIXES.items():
        with suppress(ValueError):
            return kind, prefix.read(reference)
    return None


_COLUMNS: LiteralString = """
    SELECT bank_orders.id, trace, amount, bank_orders.currency, account_holder_name AS name,
           routing_number, account_number, account_type, iban, bic
"""

_NO_MANDATE: LiteralString = ", NULL::text AS mandate, NULL::date AS mandate_signed_on"
_MANDATE: LiteralString = ", mandate, mandate_signed_on"

_ACCOUNTS: LiteralString = """
    JOIN bank_accounts
      ON (bank_accounts.merchant_id, bank_accounts.livemode, bank_accounts.id)
       = (bank_orders.merchant_id, bank_orders.livemode, bank_account_id)
"""

COLLECTABLE: LiteralString = """
    bank_orders.status = 'pending' AND bank_accounts.status = 'verified'
    AND EXISTS (SELECT FROM merchants
                WHERE (merchants.id, debit_mandate, debit_mandate_signed_on)
                    = (bank_orders.merchant_id, mandate, mandate_signed_on))
    AND bank_orders.amount <= -""" + ledger.available_of("bank_orders")
"""Of debits: what its merchant has agreed to still, and still owes."""

# Whoever is just canceling one holds its row: it is looked at again by the next run.
_OURS: LiteralString = """
      AND bank_orders.livemode = %(livemode)s AND bank_orders.currency = %(currency)s
      AND (%(merchant)s::bigint IS NULL OR bank_orders.merchant_id = %(merchant)s)
    ORDER BY trace LIMIT %(limit)s
    FOR NO KEY UPDATE OF bank_orders SKIP LOCKED
"""

GOING: Mapping[Kind, LiteralString] = {
    "payout": (
        _COLUMNS
        + _NO_MANDATE
        + " FROM payouts AS bank_orders"
        + _ACCOUNTS
        + " WHERE bank_orders.status = 'pending' AND bank_file IS NULL"
        + " AND bank_accounts.status = 'verified'"
        + _OURS
    ),
    "micro_deposit": (
        _COLUMNS
        + _NO_MANDATE
        + " FROM micro_deposits AS bank_orders"
        + _ACCOUNTS
        + " WHERE NOT canceled AND bank_file IS NULL"
        + " AND bank_accounts.status = 'pending_verification'"
        + _OURS
    ),
    "recovery_debit": (
        _COLUMNS
        + _MANDATE
        + " FROM recovery_debits AS bank_orders"
        + _ACCOUNTS
        + " WHERE bank_file IS NULL AND "
        + COLLECTABLE
        + _OURS
    ),
}
"""Orders for the next file, which nobody else takes or cancels until the transaction ends."""

PUT: Mapping[Kind, LiteralString] = {
    "payout": "UPDATE payouts SET bank_file = %(file)s WHERE id = ANY(%(ids)s)",
    "micro_deposit": "UPDATE micro_deposits SET bank_file = %(file)s WHERE id = ANY(%(ids)s)",
    "recovery_debit": "UPDATE recovery_debits SET bank_file = %(file)s WHERE id = ANY(%(ids)s)",
}

IN_FILE: LiteralString = (
    _COLUMNS
    + _MANDATE
    + " FROM bank_orders"
    + _ACCOUNTS
    + " WHERE bank_file = %(file)s ORDER BY trace"
)
