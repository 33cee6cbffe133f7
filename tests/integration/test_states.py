"""The state machines: the same in Python, in SQL and in the documentation, and nothing else.

After a change that is meant: ``IVY_APPROVE=1 pytest tests/integration/test_states.py``.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from functions.disputes import list as list_disputes
from functions.refunds import create as create_refund
from ivy import events, states
from ivy.ledger import PostingKind
from ivy.states import BEGIN, TRANSITIONS, Transition
from tests.conftest import Store
from tests.driving import Account, Platform

PAGE = Path(__file__).parents[2] / "docs" / "states.md"
APPROVE = "IVY_APPROVE"
SUBJECT = UUID(int=0)


def by_kind() -> dict[str, list[Transition]]:
    found: dict[str, list[Transition]] = {}
    for each in TRANSITIONS:
        found.setdefault(each.kind, []).append(each)
    return found


def posting_name(kind: PostingKind | None) -> str | None:
    return kind.name.lower().replace("_", ".") if kind else None


@pytest.fixture(scope="module")
def root(shared_store: Store) -> Iterator[psycopg.Connection[Any]]:
    with shared_store.superuser() as connection:
        yield connection


def test_the_database_has_the_same_table(root: psycopg.Connection[Any]) -> None:
    kept = root.execute("SELECT object, from_status, to_status, event, posting FROM transitions")
    assert sorted(kept.fetchall(), key=str) == sorted(
        ((t.kind, t.before, t.after, t.event, posting_name(t.posting)) for t in TRANSITIONS),
        key=str,
    )


def test_no_way_is_listed_twice_and_every_event_and_posting_belongs_to_one() -> None:
    ways = [(each.kind, each.before, each.after) for each in TRANSITIONS]
    assert len(set(ways)) == len(ways)
    announced = {*get_args(events.MoneyEventType), *get_args(events.BankAccountEventType)}
    announced |= {*get_args(events.ClockEventType), *get_args(events.ReportEventType)}
    assert {each.event for each in TRANSITIONS} == announced
    of_objects = {each for each in PostingKind if each not in range(60, 70)}  # which are ours
    assert {each.posting for each in TRANSITIONS} == {None, *of_objects}


@pytest.mark.parametrize("kind", by_kind())
def test_each_other_way_is_refused_by_both(root: psycopg.Connection[Any], kind: Any) -> None:
    listed = {(each.before, each.after) for each in by_kind()[kind]}
    names = sorted({state for way in listed for state in way})
    for before, after in itertools.product(names, repeat=2):
        ask = ("SELECT check_transition(%s, %s, %s, %s, 4, 5)", (kind, SUBJECT, before, after))
        if (before, after) in listed:
            root.execute(*ask)
            states.transition(kind, before, after)
        else:
            with pytest.raises(errors.CheckViolation, match="no way from"):
                root.execute(*ask)
            with pytest.raises(states.IllegalTransitionError):
                states.transition(kind, before, after)


@pytest.fixture(scope="module")
def decided(deployed: Platform, ada: Account) -> dict[str, UUID]:
    """A refund that succeeded and a dispute that is open."""
    from functions.charges import create  # noqa: PLC0415 - as the fixture ``charging``, per module

    made = {}
    for token in ("tok_visa", "tok_dispute"):
        body = {"amount": 5_000, "currency": "USD", "payment_method": token}
        made[token] = deployed.post(create.handler, ada, body).json()["id"]
    deployed.drain()
    refund = deployed.post(create_refund.handler, ada, {"charge": made["tok_visa"]}).json()["id"]
    deployed.hear()
    (dispute,) = deployed.read(list_disputes.handler, ada)["data"]
    return {"refunds": UUID(hex=refund[3:]), "disputes": UUID(hex=dispute["id"][3:])}


@pytest.mark.parametrize(
    ("table", "change", "refused"),
    [
        ("refunds", "status = 'canceled', version = version + 1", "no way from succeeded to"),
        ("refunds", "status = 'failed', failure_code = 'x', version = 3", "no way from succeeded"),
        ("refunds", "fee_returned = 1", "version 2 must follow 2"),
        ("refunds", "amount = amount + 1, version = version + 1", "what was agreed"),
        ("refunds", "currency = 'EUR', version = version + 1", "what was agreed"),
        ("refunds", "failure_code = 'x', version = version + 1", "no way from succeeded"),
        ("disputes", "status = 'under_review'", "version 2 must follow 2"),
        ("disputes", "version = version + 1, status = 'needs_reply'", "no way from needs_response"),
        ("disputes", "amount = 1, version = version + 1", "what was claimed"),
        ("disputes", "reference = 'x', version = version + 1", "what was claimed"),
    ],
)
def test_the_database_refuses_illegal_changes(
    root: psycopg.Connection[Any],
    decided: dict[str, UUID],
    table: str,
    change: str,
    refused: str,
) -> None:
    with pytest.raises(errors.CheckViolation, match=refused):
        root.execute(f"UPDATE {table} SET {change} WHERE id = %s".encode(), (decided[table],))


def test_a_capture_without_its_posting_is_not_recorded() -> None:
    """It is refused before anything is written: there is not even a transaction here."""
    nothing: Any = None
    captured = states.transition("charge", "authorized", "succeeded")
    with pytest.raises(states.IllegalTransitionError, match="cannot be posted"):
        states.record(nothing, nothing, captured, nothing, at=nothing)


# -- the documentation

INTRODUCTION = """\
# States

What can become of a charge, a refund, a dispute and a bank account. Each row is one change: its
event, and its posting where money moves, are written in one transaction with the new version of the
object. Every other change is refused, by the program and by the database: both hold this table
(`ivy/states.py`, `schema/`), and a test compares them and writes this page.

What a pending refund waits for is part of its state here; the API shows it as `pending_reason`.
"""


def page() -> str:
    return "\n".join([INTRODUCTION, *(section(kind, rows) for kind, rows in by_kind().items())])


def section(kind: str, rows: list[Transition]) -> str:
    names = dict.fromkeys(state for row in rows for state in (row.before, row.after) if state)
    drawn = [
        *(f'    state "{name}" as {alias(name)}' for name in names if name != alias(name)),
        *(f"    {alias(row.before)} --> {alias(row.after)}{label(row)}" for row in rows),
    ]
    table = [
        f"| {code(row.before) or 'new'} | {code(row.after)} | {code(row.event)}"
        f" | {code(posting_name(row.posting))} |"
        for row in rows
    ]
    return "\n".join(
        [
            f"## {kind.capitalize().replace('_', ' ')}",
            "",
            "```mermaid",
            "stateDiagram-v2",
            *drawn,
            "```",
            "",
            "| From | To | Event | Posting |",
            "|---|---|---|---|",
            *table,
            "",
        ]
    )


def alias(state: str) -> str:
    """The name of a state in a diagram, where parentheses mean something else."""
    return state.replace("(", "_").replace(")", "") if state != BEGIN else "[*]"


def label(row: Transition) -> str:
    """What announces a change, where it is not called after the state that it leads to."""
    event = row.event.partition(".")[2]
    return "" if event == row.after else f": {event}"


def code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def test_the_page_is_the_table() -> None:
    if os.environ.get(APPROVE):
        PAGE.write_text(page())
    assert PAGE.read_text() == page(), f"{APPROVE}=1 writes it anew"
