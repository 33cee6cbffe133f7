"""Which settlement a line is: by its name, by a rule, or none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivy.acquirer_settlements import Expected
from ivy.settlement_matching import Rule, decide

DAY = date(2026, 11, 27)
RULE = Rule(
    livemode=False, connector="simulated", description_contains="acme card", days=2, tolerance=5
)


@dataclass(frozen=True)
class Shown:
    """A line of a statement."""

    id: UUID
    amount: int
    end_to_end_id: str | None = None
    bank_reference: str = ""
    description: str = ""
    livemode: bool = False
    currency: str = "USD"
    booked_on: date = DAY


def line(amount: int, reference: str | None = None, text: str = "", n: int = 1) -> Shown:
    return Shown(UUID(int=n), amount, reference, "", text)


def said(reference: str, net: int = 100, n: int = 1) -> Expected:
    return Expected(
        id=UUID(int=n),
        merchant_id=1,
        livemode=False,
        connector="simulated",
        currency="USD",
        reference=reference,
        net=net,
        expected_on=DAY,
        status="expected",
    )


def how(shown: Shown, *known: Expected, rules: tuple[Rule, ...] = ()) -> str | None:
    found = decide([shown], known, rules)
    return found[0].how if found else None


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (line(100, "A"), "exact"),
        (replace(line(100), bank_reference="A"), "exact"),
        (replace(line(100, "OTHER"), bank_reference="A"), "exact"),
        (line(101, "A"), "tolerance"),
        (line(99, "A"), "tolerance"),
        (line(98, "A"), None),
        (line(100, "B"), None),
        (line(100), None),
        (replace(line(100, "A"), currency="EUR"), None),
        (replace(line(100, "A"), livemode=True), None),
    ],
)
def test_what_a_line_names(shown: Shown, expected: str | None) -> None:
    assert how(shown, said("A")) == expected


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (line(100, None, "PAYMENT ACME CARDS"), "rule"),
        (line(100, "UNKNOWN", "acme card"), "rule"),
        (line(99, None, "ACME CARD"), None),
        (line(100, None, "ACME"), None),
        (replace(line(100, None, "ACME CARD"), booked_on=DAY - timedelta(2)), "rule"),
        (replace(line(100, None, "ACME CARD"), booked_on=DAY + timedelta(3)), None),
        (replace(line(100, None, "ACME CARD"), currency="EUR"), None),
        (replace(line(100, None, "ACME CARD"), livemode=True), None),
        (line(105, "A"), "tolerance"),
        (line(106, "A"), None),
    ],
)
def test_what_a_rule_finds(shown: Shown, expected: str | None) -> None:
    assert how(shown, said("A"), rules=(RULE,)) == expected


def test_a_rule_finds_the_only_one_or_none() -> None:
    shown = line(100, None, "ACME CARD")
    assert how(shown, said("A"), said("B", n=2), rules=(RULE,)) is None
    assert how(shown, said("A"), said("B", 101, n=2), rules=(RULE, RULE)) == "rule"
    assert how(shown, said("A"), rules=(replace(RULE, connector="stripe"),)) is None


def test_what_has_come_does_not_come_again_not_even_by_a_rule() -> None:
    came, other = replace(said("A"), status="received"), said("B", n=2)
    assert how(line(100, "A", "ACME CARD"), came, other, rules=(RULE,)) is None
    assert [each.how for each in decide([line(100, "A"), line(100, "A", n=2)], [other], ())] == []
    twice = decide([line(100, "B"), line(100, "B", n=2)], [other], ())
    assert [(each.line, each.how) for each in twice] == [(UUID(int=1), "exact")]


def test_what_two_acquirers_call_the_same_is_neithers() -> None:
    assert how(line(100, "A"), said("A"), replace(said("A", n=2), connector="stripe")) is None


def test_a_rule_takes_nothing_that_a_later_line_names() -> None:
    lines = [line(100, None, "ACME CARD", n=1), line(100, "A", n=2)]
    found = decide(lines, [said("A")], [RULE])
    assert [(each.line, each.how) for each in found] == [(UUID(int=2), "exact")]


@given(
    shown=st.lists(
        st.tuples(
            st.sampled_from([99, 100, 101, 200]),
            st.sampled_from([None, "A", "B", "C", "Z"]),
            st.sampled_from(["", "ACME CARD"]),
        ),
        max_size=6,
    ),
    known=st.lists(
        st.tuples(st.sampled_from("ABC"), st.sampled_from([100, 200])),
        max_size=4,
        unique_by=lambda each: each[0],
    ),
    ruled=st.booleans(),
)
def test_any_statement(
    shown: list[tuple[int, str | None, str]], known: list[tuple[str, int]], *, ruled: bool
) -> None:
    lines = {UUID(int=n): line(*each, n=n) for n, each in enumerate(shown)}
    settlements = [said(name, net, n) for n, (name, net) in enumerate(known)]
    found = decide([*lines.values()], settlements, [RULE] if ruled else [])
    assert len({each.line for each in found}) == len(found)
    assert len({each.settlement.id for each in found}) == len(found)
    names = {each.reference for each in settlements}
    for each in found:
        matched = lines[each.line]
        named = matched.end_to_end_id == each.settlement.reference
        assert named == (each.how != "rule")
        off = abs(matched.amount - each.settlement.net)
        assert off == 0 if each.how != "tolerance" else 0 < off <= (RULE.tolerance if ruled else 1)
        assert each.how != "rule" or (ruled and matched.end_to_end_id not in names)
