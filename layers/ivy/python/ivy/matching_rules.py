"""Rules by which lines of acquirers are recognised that name no settlement; operators keep them.

A rule is added and retired, never changed: what it has matched was matched by what it said.
Runs as ``ivy_jobs``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from ivy import errors, ids, observe
from ivy.database import Transaction
from ivy.ledger import ACQUIRER_RECEIVABLE
from ivy.models import Input, Object, ShortText, Time, example

MAX_DAYS = 31
MAX_TOLERANCE_MINOR = 10_000
MAX_RULES = 200
_RULE = ids.Prefix("mru")


class RuleQuery(Input):
    """Which rules to show."""

    model_config = example(livemode=False)

    livemode: bool | None = None


class RuleChange(Input):
    """A rule to be added, or the id of one to be retired.

    ``tolerance`` is in minor units, and also of lines that name a settlement of this acquirer.
    """

    model_config = example(
        connector="stripe",
        contains="STRIPE PAYMENTS",
        days=3,
        tolerance=0,
        by="operator@example.com",
        reason="the bank gives no references",
    )

    livemode: bool = False
    connector: str | None = None
    contains: Annotated[str, Field(min_length=3, max_length=100)] | None = None
    days: Annotated[int, Field(strict=True, ge=0, le=MAX_DAYS)] = 3
    tolerance: Annotated[int, Field(strict=True, ge=0, le=MAX_TOLERANCE_MINOR)] = 0
    retire: Annotated[str, Field(pattern="^mru_[0-9a-f]{32}$")] | None = None
    by: ShortText
    reason: ShortText


class RuleChanged(Object):
    """What became of a rule: whether it applies now."""

    object: Literal["matching_rule_change"] = "matching_rule_change"
    rule: str
    applies: bool


class MatchingRule(Object):
    """How lines of an acquirer are recognised."""

    id: str
    livemode: bool
    connector: str
    contains: str
    days: int
    tolerance: int
    created_at: Time
    created_by: str
    reason: str


class RuleList(Object):
    """The rules that apply."""

    object: Literal["matching_rule_list"] = "matching_rule_list"
    data: list[MatchingRule]


@dataclass(frozen=True, slots=True)
class _Rule:
    id: UUID
    livemode: bool
    connector: str
    contains: str
    days: int
    tolerance: int
    created_at: datetime
    created_by: str
    reason: str


def find(tx: Transaction, query: RuleQuery) -> RuleList:
    """Return the rules that apply."""
    found = tx.rows(_Rule, _ALL, livemode=query.livemode, limit=MAX_RULES)
    return RuleList(data=[_shown(each) for each in found])


def change(tx: Transaction, said: RuleChange) -> RuleChanged:
    """Add a rule, or retire one.

    Raises:
        ResourceMissing: The rule to be retired does not apply.
        RequestInvalid: No such acquirer, or a rule that looks for no text.
    """
    if said.retire is not None:
        if not tx.value(_RETIRE, id=_RULE.read(said.retire), at=ids.now(), by=said.by):
            raise errors.ResourceMissing(f"No rule {said.retire} applies.")
        observe.line("matching_rule.retired", rule=said.retire, by=said.by, reason=said.reason)
        return RuleChanged(rule=said.retire, applies=False)
    if said.connector not in ACQUIRER_RECEIVABLE:
        raise errors.RequestInvalid.of("connector", "unknown", "is no acquirer's")
    if said.contains is None:
        raise errors.RequestInvalid.of("contains", "missing", "is what a rule looks for")
    rule = _add(tx, said, said.contains)
    observe.line("matching_rule.added", rule=rule, by=said.by, reason=said.reason)
    return RuleChanged(rule=rule, applies=True)


def _add(tx: Transaction, said: RuleChange, contains: str) -> str:
    at = ids.now()
    rule_id = ids.new(at)
    tx.run(
        _INSERT,
        id=rule_id,
        livemode=said.livemode,
        connector=said.connector,
        contains=contains,
        days=said.days,
        tolerance=said.tolerance,
        at=at,
        by=said.by,
        reason=said.reason,
    )
    return _RULE.write(rule_id)


def _shown(rule: _Rule) -> MatchingRule:
    named = {name: getattr(rule, name) for name in _Rule.__slots__}
    return MatchingRule(**named | {"id": _RULE.write(rule.id)})


_INSERT = """
    INSERT INTO matching_rules (id, livemode, connector, description_contains, days, tolerance,
                                created_at, created_by, reason)
    VALUES (%(id)s, %(livemode)s, %(connector)s, %(contains)s, %(days)s, %(tolerance)s, %(at)s,
            %(by)s, %(reason)s)
"""

_RETIRE = """
    UPDATE matching_rules SET (retired_at, retired_by) = (%(at)s, %(by)s)
    WHERE id = %(id)s AND retired_at IS NULL RETURNING true
"""

_ALL = """
    SELECT id, livemode, connector, description_contains AS contains, days, tolerance, created_at,
           created_by, reason
    FROM matching_rules
    WHERE retired_at IS NULL AND (%(livemode)s::boolean IS NULL OR livemode = %(livemode)s)
    ORDER BY id LIMIT %(limit)s
"""
