"""Payouts by schedule: all that is available, on banking days, once a day, week or month."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, LiteralString

from ivy import bank_accounts, money, payout_requests
from ivy.database import Tenant, Transaction
from ivy.models import Input
from ivy.payout_requests import Asked
from ivy.payouts import Payout


class Due(Input):
    """A merchant whose available money is to be paid out on a day, in one mode and currency."""

    merchant_id: int
    livemode: bool
    currency: str
    on: date

    @property
    def tenant(self) -> Tenant:
        """Whose it is."""
        return Tenant(self.merchant_id, self.livemode)


def due(tx: Transaction, at: datetime) -> list[Due]:
    """Return whom the schedule would pay out now; runs as ``ivy_jobs``, or for one tenant.

    Each banking day is looked at once, when all that it makes available is. A week's payout is due
    from Monday on and a month's from the first on, on the first banking day that pays it out.
    """
    return tx.rows(Due, _DUE, at=at)


def make(tx: Transaction, wanted: Due, at: datetime) -> Payout | None:
    """Pay out what is available; None when it is made already, too little, or goes nowhere.

    A payout above the merchant's limit waits for approval, as one that somebody asked for would.
    """
    if not tx.value(_LOOK, currency=wanted.currency, day=wanted.on):
        return None
    account = bank_accounts.default(tx, wanted.currency, at)
    if account is None or account.payable_from is None or at < account.payable_from:
        return None
    currency = money.currencies()[wanted.currency]
    least: Any = tx.value("SELECT payout_minimum_cents FROM merchants")
    asked = Asked(wanted.tenant, None, wanted.currency, account.id, scheduled_on=wanted.on)
    amount = payout_requests.wanted(tx, asked)
    if amount < currency.scaled(least):
        return None
    return payout_requests.begin(tx, asked, amount, at)


# Of a stream and a day: whether it is a banking day that was not looked at, the payout of the day,
# the week, or the month it is in is not made, and none before it waits for approval, because that
# one is of the same money.
_WANTED: LiteralString = """
    payout_schedule <> 'manual'
    AND extract(isodow FROM day) < 6
    AND (paid_through IS NULL OR paid_through < day)
    AND NOT EXISTS (
        SELECT FROM bank_holidays
        WHERE bank_holidays.currency = settled_through.currency AND bank_holidays.day = wall.day)
    AND NOT EXISTS (
        SELECT FROM payouts
        WHERE (payouts.merchant_id, payouts.livemode, payouts.currency)
            = (settled_through.merchant_id, settled_through.livemode, settled_through.currency)
          AND scheduled_on >= CASE payout_schedule
              WHEN 'weekly' THEN date_trunc('week', day)::date
              WHEN 'monthly' THEN date_trunc('month', day)::date
              ELSE day END)
    AND NOT EXISTS (
        SELECT FROM payouts
        WHERE (payouts.merchant_id, payouts.livemode, payouts.currency)
            = (settled_through.merchant_id, settled_through.livemode, settled_through.currency)
          AND scheduled_on IS NOT NULL AND payouts.status = 'requires_approval')
    AND EXISTS (
        SELECT FROM bank_accounts
        WHERE (bank_accounts.merchant_id, bank_accounts.livemode, bank_accounts.currency)
            = (settled_through.merchant_id, settled_through.livemode, settled_through.currency)
          AND status = 'verified')
"""

NEXT: LiteralString = (
    """
    SELECT min(wall.day::timestamp AT TIME ZONE time_zone)
    FROM settled_through JOIN merchants ON merchants.id = merchant_id
    CROSS JOIN LATERAL (
        SELECT generate_series(today, today + 40, '1 day')::date AS day
        FROM (SELECT (%(now)s AT TIME ZONE time_zone)::date AS today) AS now) AS wall
    WHERE merchant_id = %(merchant_id)s AND NOT livemode AND """
    + _WANTED
)
"""Selects when a merchant's test mode comes to the next day that is to be looked at."""

# What the day settles or releases comes first, so that it is paid out too.
_DUE: LiteralString = (
    """
    SELECT merchant_id, livemode, settled_through.currency, wall.day AS on
    FROM settled_through JOIN merchants ON merchants.id = merchant_id
    LEFT JOIN test_clocks USING (merchant_id, livemode)
    CROSS JOIN LATERAL (
        SELECT ((%(at)s + coalesce(ahead, '0')) AT TIME ZONE time_zone)::date AS day) AS wall
    WHERE """
    + _WANTED
    + """
      AND NOT EXISTS (
        SELECT FROM charges
        WHERE (charges.merchant_id, charges.livemode, charges.currency)
            = (settled_through.merchant_id, settled_through.livemode, settled_through.currency)
          AND available_on > settled_on AND available_on <= wall.day)
      AND NOT EXISTS (
        SELECT FROM reserves
        WHERE (reserves.merchant_id, reserves.livemode)
            = (settled_through.merchant_id, settled_through.livemode)
          AND reserves.status = 'held' AND release_on <= wall.day)
    ORDER BY merchant_id, livemode, currency
    """
)

_LOOK: LiteralString = (
    """
    UPDATE settled_through SET paid_through = wall.day
    FROM merchants, (SELECT %(day)s::date AS day) AS wall
    WHERE merchants.id = merchant_id AND settled_through.currency = %(currency)s AND """
    + _WANTED
    + " RETURNING true"
)
