"""Operators: set a merchant's reserve and overdraft."""

from ivy import merchant_terms
from ivy.database import Transaction
from ivy.merchant_terms import Terms
from ivy.merchants import MerchantSettings
from ivy.needs import Need
from ivy.serve import command


@command(uses=(Need.DATABASE_JOBS, Need.EVENTS_QUEUE))
def handler(tx: Transaction, terms: Terms) -> MerchantSettings:
    """Set what of its charges is held back and for how long, and how far refunds may overdraw.

    It holds for settlements and refunds from now on; what is in reserve already is released on its
    day.
    """
    return merchant_terms.set_terms(tx, terms)
