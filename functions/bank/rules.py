"""Operators: show the rules by which lines of acquirers are recognised."""

from ivy import matching_rules
from ivy.database import Transaction
from ivy.matching_rules import RuleList, RuleQuery
from ivy.needs import Need
from ivy.serve import command


@command(uses=(Need.DATABASE_JOBS,))
def handler(tx: Transaction, query: RuleQuery) -> RuleList:
    """Return the rules that apply."""
    return matching_rules.find(tx, query)
