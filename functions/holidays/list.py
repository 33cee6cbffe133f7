"""Operators: show the days on which banks do not settle."""

from ivy import holidays
from ivy.database import Transaction
from ivy.holidays import HolidayList, HolidayQuery
from ivy.needs import Need
from ivy.serve import command


@command(uses=(Need.DATABASE_JOBS,))
def handler(tx: Transaction, query: HolidayQuery) -> HolidayList:
    """Return the holidays of a currency, or of all."""
    return holidays.find(tx, query)
