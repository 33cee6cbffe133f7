"""Operators: set a merchant's reserve and overdraft."""

from ivy import merchants
from ivy.database import Transaction
from ivy.merchants import MerchantSettings, Terms
from ivy.needs import Need
from ivy.serve import command


@command(uses=(Need.DATABASE_JOBS, Need.EVENTS_QUEUE))
def handler(tx: Transaction, terms: Terms) -> MerchantSettings:
    """Set what of its charges is held back and for how long, and how far refunds may overdraw.

    It holds for settlements and refunds from now on; what is in reserve already is released on its
    day.
    """
    return merchants.set_terms(tx, terms)
