"""Asking a connector: each call noted before it is made and completed with its answer.

The order of things is always the same. In one transaction the attempt is noted; outside any
transaction the connector is asked; in a second transaction the answer is written together with
everything that follows from it. Dying anywhere in between leaves a noted attempt without an
answer, and the next attempt looks the order up before it asks again. What the messages of one batch
have to ask is asked at once.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ivy import observe
from ivy.connectors import Asked, Order, Outcome, remote
from ivy.connectors.remote import RemoteConnector
from ivy.database import Tenant, Transaction

_NOTE_TURNS = 10


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to a connector, noted and about to be made."""

    number: int
    connector: str
    order: Order
    asked_before: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What a connector said, and how long it took to say it."""

    outcome: Outcome
    milliseconds: int
    resolved_by: str | None = None
    """The operator who found it out, where the connector did not say it."""


@dataclass(frozen=True, slots=True)
class _Noted:
    number: int
    asked_before: bool


def account_name(tenant: Tenant) -> str:
    """Return the name by which a connector knows a merchant in a mode: ``1001-test``."""
    return f"{tenant.merchant_id}-{'live' if tenant.livemode else 'test'}"


def tenant_of(account: str) -> Tenant:
    """Return the tenant behind a connector's account name; raises ValueError for anything else."""
    merchant, _, mode = account.partition("-")
    if mode not in ("live", "test"):
        raise ValueError(f"not an account name: {account!r}")
    return Tenant(int(merchant), mode == "live")


def note(
    tx: Transaction, tenant: Tenant, subject: UUID, *, connector: str, order: Order, at: datetime
) -> Attempt:
    """Note that a connector is about to be asked about ``subject``.

    Of two copies of one message that do so at once the second waits for the first, and then knows
    that somebody has asked.
    """
    for _ in range(_NOTE_TURNS):
        noted = tx.row(
            _Noted,
            _NOTE,
            merchant_id=tenant.merchant_id,
            livemode=tenant.livemode,
            subject=subject,
            connector=connector,
            request_id=order.key,
            started_at=at,
        )
        if noted is not None:
            return Attempt(noted.number, connector, order, noted.asked_before)
    raise RuntimeError(f"too many copies ask about {subject} at once")


@dataclass(frozen=True, slots=True)
class Question:
    """An attempt, and the connector that is to be asked."""

    connector: RemoteConnector
    attempt: Attempt
    correlation: str


Steps = Generator[Question, Answer, None]
"""Work that asks between two transactions: it yields a question and is sent the answer."""


def question(attempt: Attempt) -> Question:
    """Return what to ask, on behalf of the request that is being worked on.

    Raises:
        KeyError: There is no such connector.
    """
    return Question(remote.connector(attempt.connector), attempt, observe.correlation_id())


def ask(questions: Sequence[Question]) -> list[Answer]:
    """Ask, and return the answers in the same order. Never raises, and never in a transaction.

    Each connector is asked once, about everything that it is wanted for.
    """
    answers: dict[int, Answer] = {}
    for connector in dict.fromkeys(each.connector for each in questions):
        wanted = {n: each for n, each in enumerate(questions) if each.connector == connector}
        observe.correlate(_common({each.correlation for each in wanted.values()}))
        started = time.perf_counter()
        outcomes = connector.carry_out(
            [
                Asked(
                    order=each.attempt.order,
                    asked_before=each.attempt.asked_before,
                    correlation=each.correlation,
                )
                for each in wanted.values()
            ]
        )
        milliseconds = round((time.perf_counter() - started) * 1000)
        answers |= {
            n: Answer(outcome, milliseconds) for n, outcome in zip(wanted, outcomes, strict=True)
        }
    return [answers[n] for n in range(len(questions))]


def _common(correlations: set[str]) -> str:
    """Return the request that all of it is about; of several, none of them."""
    return next(iter(correlations)) if len(correlations) == 1 else ""


def answered(
    tx: Transaction, tenant: Tenant, subject: UUID, attempt: Attempt, answer: Answer
) -> None:
    """Complete a noted attempt with its answer."""
    tx.run(
        "UPDATE attempts SET outcome = %(outcome)s, reference = %(reference)s,"
        " milliseconds = %(milliseconds)s, resolved_by = %(resolved_by)s"
        " WHERE merchant_id = %(merchant_id)s AND livemode = %(livemode)s"
        " AND subject = %(subject)s AND number = %(number)s",
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        subject=subject,
        number=attempt.number,
        outcome=answer.outcome.outcome,
        reference=getattr(answer.outcome, "reference", None),
        milliseconds=answer.milliseconds,
        resolved_by=answer.resolved_by,
    )


_NOTE = """
    INSERT INTO attempts (merchant_id, livemode, subject, number, connector, request_id, started_at)
    SELECT %(merchant_id)s, %(livemode)s, %(subject)s, coalesce(max(number), 0) + 1, %(connector)s,
           %(request_id)s, %(started_at)s
    FROM attempts
    WHERE merchant_id = %(merchant_id)s AND livemode = %(livemode)s AND subject = %(subject)s
    ON CONFLICT DO NOTHING
    RETURNING number, EXISTS (
        SELECT FROM attempts earlier
        WHERE earlier.merchant_id = %(merchant_id)s AND earlier.livemode = %(livemode)s
          AND earlier.subject = %(subject)s AND earlier.request_id = %(request_id)s
    ) AS asked_before
"""
