"""Operators: add or retire a rule by which lines of an acquirer are recognised."""

from ivy import matching_rules
from ivy.database import Transaction
from ivy.matching_rules import RuleChange, RuleChanged
from ivy.needs import Need
from ivy.serve import command


@command(uses=(Need.DATABASE_JOBS,))
def handler(tx: Transaction, said: RuleChange) -> RuleChanged:
    """Change what is recognised from now on, with the operator's name."""
    return matching_rules.change(tx, said)
