"""Operators: make a day a bank holiday."""

from ivy import holidays
from ivy.database import Transaction
from ivy.holidays import Holiday, HolidayChange
from ivy.needs import Need
from ivy.serve import command


@command(uses=(Need.DATABASE_JOBS,))
def handler(tx: Transaction, holiday: Holiday) -> HolidayChange:
    """Add a day to a currency's calendar; charges that are captured keep their day."""
    return holidays.add(tx, holiday)
