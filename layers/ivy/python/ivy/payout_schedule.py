"""Payouts by schedule: all that is available, on banking days, once a day, week or month."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

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
    """Return whom the schedule would pay out now; runs as ``ivy_jobs``.

    A week's payout is due from Monday on and a month's from the first on, on the first banking day
    that finds it not made.
    """
    return tx.rows(Due, _DUE, at=at)


def make(tx: Transaction, wanted: Due, at: datetime) -> Payout | None:
    """Pay out what is available; None when it is made already, too little, or goes nowhere.

    A payout above the merchant's limit waits for approval, as one that somebody asked for would.
    """
    if tx.value(_MADE, currency=wanted.currency, day=wanted.on):
        return None
    account = bank_accounts.default(tx, wanted.currency)
    if account is None or account.payable_from is None or at < account.payable_from:
        return None
    currency = money.currencies()[wanted.currency]
    least: Any = tx.value("SELECT payout_minimum_cents FROM merchants")
    asked = Asked(wanted.tenant, None, wanted.currency, account.id, scheduled_on=wanted.on)
    amount = payout_requests.wanted(tx, asked)
    if amount < currency.scaled(least):
        return None
    return payout_requests.begin(tx, asked, amount, at)


_DUE = """
    SELECT merchant_id, livemode, currency, today AS on
    FROM settled_through
    JOIN merchants ON merchants.id = merchant_id
    LEFT JOIN test_clocks USING (merchant_id, livemode)
    CROSS JOIN LATERAL (
        SELECT ((%(at)s + coalesce(ahead, '0')) AT TIME ZONE time_zone)::date AS today) AS wall
    WHERE payout_schedule <> 'manual'
      AND extract(isodow FROM today) < 6
      AND NOT EXISTS (
        SELECT FROM bank_holidays
        WHERE bank_holidays.currency = settled_through.currency AND day = today)
      AND EXISTS (
        SELECT FROM bank_accounts
        WHERE (bank_accounts.merchant_id, bank_accounts.livemode, bank_accounts.currency)
            = (settled_through.merchant_id, settled_through.livemode, settled_through.currency)
          AND status = 'verified')
      AND NOT EXISTS (
        SELECT FROM payouts
        WHERE (payouts.merchant_id, payouts.livemode, payouts.currency)
            = (settled_through.merchant_id, settled_through.livemode, settled_through.currency)
          AND scheduled_on >= CASE payout_schedule
              WHEN 'weekly' THEN date_trunc('week', today)::date
              WHEN 'monthly' THEN date_trunc('month', today)::date
              ELSE today END)
    ORDER BY merchant_id, livemode, currency
"""

_MADE = """
    SELECT true FROM payouts WHERE currency = %(currency)s AND scheduled_on = %(day)s
"""
