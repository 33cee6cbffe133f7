"""Which settlement of an acquirer a line of a statement is, if it is one.

*Exact*: the line names the settlement's reference and has its amount. *Tolerance*: it names the
reference, and its amount is off by no more than is allowed. *Rule*: it names nothing that we know,
but its text is what a rule of an operator looks for, and of the settlements that are expected
around that day exactly one has its amount. A line that names a settlement which has been received
already is none. Runs as ``ivy_jobs``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import LiteralString, Protocol
from uuid import UUID

from ivy.acquirer_settlements import EXPECTED, Expected, How
from ivy.database import Transaction
from ivy.suspense_items import Unexplained

TOLERANCE_MINOR = 1
"""What an acquirer's own rounding can be; a rule may allow more."""


class Line(Unexplained, Protocol):
    """A line that came in and is no payout's."""

    @property
    def bank_reference(self) -> str:
        """The bank's own reference, which may be the payer's."""

    @property
    def end_to_end_id(self) -> str | None:
        """The payer's reference, if the bank shows it."""

    @property
    def description(self) -> str:
        """Its text."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What an operator has said of the lines of an acquirer."""

    livemode: bool
    connector: str
    description_contains: str
    days: int
    tolerance: int


@dataclass(frozen=True, slots=True)
class Match:
    """A line that is a settlement, and how it was recognised."""

    line: UUID
    settlement: Expected
    how: How


def matches(tx: Transaction, lines: Sequence[Line]) -> list[Match]:
    """Return which lines are settlements, and keep others from receiving those meanwhile."""
    if not lines:
        return []
    rules = tx.rows(Rule, _RULES)
    known = tx.rows(
        Expected,
        _CANDIDATES,
        references=[name for line in lines for name in _names(line)],
        amounts=[line.amount for line in lines] if rules else [],
    )
    return decide(lines, known, rules)


def decide(lines: Sequence[Line], known: Sequence[Expected], rules: Sequence[Rule]) -> list[Match]:
    """Return which lines are settlements; each line is one at most, and each settlement one's."""
    by_reference: dict[tuple[bool, str, str], list[Expected]] = defaultdict(list)
    for each in known:
        by_reference[each.livemode, each.currency, each.reference].append(each)
    found: dict[UUID, Match] = {}
    unnamed: list[Line] = []
    for line in lines:
        names = _names(line)
        named = [each for n in names for each in by_reference[line.livemode, line.currency, n]]
        if not named:
            unnamed.append(line)
        elif match := _named(line, named, rules, found):
            found[match.settlement.id] = match
    for line in unnamed:  # which take nothing that another line names
        if match := _by_rule(line, known, rules, found):
            found[match.settlement.id] = match
    return list(found.values())


def _names(line: Line) -> list[str]:
    """Return what a line names, each name once."""
    return [*{name: None for name in (line.end_to_end_id, line.bank_reference) if name}]


def _named(
    line: Line, named: Sequence[Expected], rules: Sequence[Rule], taken: Container[UUID]
) -> Match | None:
    """Return the settlement that a line names, unless it has come or is another amount."""
    if len(named) > 1:
        return None  # two acquirers call theirs the same
    (settlement,) = named
    if settlement.status != "expected" or settlement.id in taken:
        return None
    off = abs(line.amount - settlement.net)
    if off == 0:
        return Match(line.id, settlement, "exact")
    allowed = [
        rule.tolerance
        for rule in rules
        if (rule.livemode, rule.connector) == (settlement.livemode, settlement.connector)
    ]
    if off <= max(allowed, default=0) or off <= TOLERANCE_MINOR:
        return Match(line.id, settlement, "tolerance")
    return None


def _by_rule(
    line: Line, known: Sequence[Expected], rules: Sequence[Rule], taken: Container[UUID]
) -> Match | None:
    """Return the one settlement that rules find for a line."""
    meant = [
        each
        for each in known
        if each.status == "expected"
        and each.id not in taken
        and (each.livemode, each.currency, each.net) == (line.livemode, line.currency, line.amount)
        and any(_applies(rule, line, each) for rule in rules)
    ]
    return Match(line.id, meant[0], "rule") if len(meant) == 1 else None


def _applies(rule: Rule, line: Line, settlement: Expected) -> bool:
    return (
        (rule.livemode, rule.connector) == (settlement.livemode, settlement.connector)
        and rule.description_contains.casefold() in line.description.casefold()
        and abs((line.booked_on - settlement.expected_on).days) <= rule.days
    )


_RULES = """
    SELECT livemode, connector, description_contains, days, tolerance
    FROM matching_rules WHERE retired_at IS NULL ORDER BY id
"""

# In one order for everybody. One whom another receives meanwhile is seen as received.
_CANDIDATES: LiteralString = (
    EXPECTED
    + """
    WHERE reference = ANY(%(references)s)
       OR (status = 'expected' AND net = ANY(%(amounts)s::bigint[]))
    ORDER BY id FOR NO KEY UPDATE
    """
)
