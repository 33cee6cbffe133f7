"""Operators: make a bank holiday a banking day again."""

from ivy import holidays
from ivy.database import Transaction
from ivy.holidays import Holiday, HolidayChange
from ivy.needs import Need
from ivy.serve import command


@command(uses=(Need.DATABASE_JOBS,))
def handler(tx: Transaction, holiday: Holiday) -> HolidayChange:
    """Take a day out of a currency's calendar; charges that are captured keep their day."""
    return holidays.remove(tx, holiday)
