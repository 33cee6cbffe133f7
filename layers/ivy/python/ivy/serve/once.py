"""Running a money endpoint under an idempotency key: the front, the truth, the front again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ivy import api_keys, faults, idempotency, outbox
from ivy.callers import Caller
from ivy.database import Transaction, database
from ivy.idempotency import Answer, Key
from ivy.serve.front import Front


@dataclass(frozen=True, slots=True)
class Given:
    """An answer, and whether it was given before."""

    answer: Answer
    replayed: bool


class Rehearsed(Exception):  # noqa: N818 - nothing went wrong: it only must not be kept
    """Raised with the answer of a dry run, to leave nothing of it behind."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def once(
    caller: Caller,
    key: Key,
    work: Callable[[Transaction], Answer],
    outcome: Callable[[Answer], Answer],
) -> Given:
    """Do the work of a request once, however often it is sent, and answer alike each time.

    Only a success and a decline are kept. Whatever else is raised leaves nothing behind, so a
    corrected request may use the same key.

    Args:
        caller: Who asks.
        key: Under which key.
        work: Does it, in the transaction that also keeps the key and the answer.
        outcome: Given a provisional answer, waits for the final one; the same if it takes too long.
    """
    front = Front(caller.tenant, key)
    replay = front.claim()
    if replay is not None:
        return Given(replay, replayed=True)
    try:
        with database().transaction(caller.tenant) as tx:
            given = _work(tx, caller, key, work)
        faults.point("once.after_commit")
        outbox.send(tx.after_commit)
        if given.answer.provisional:
            given = Given(_decided(caller, key, given.answer, outcome), given.replayed)
    except Rehearsed as rehearsed:
        front.release()
        return Given(rehearsed.answer, replayed=False)
    except Exception:
        front.release()
        raise
    if given.answer.provisional:
        front.release()
    else:
        front.complete(given.answer)
    faults.point("once.before_response")
    return given


def _work(
    tx: Transaction, caller: Caller, key: Key, work: Callable[[Transaction], Answer]
) -> Given:
    """Everything that one commit makes true: the key, the rows, the answer's bytes."""
    api_keys.check_standing(tx, caller)
    kept = idempotency.claim(tx, caller.tenant, key)
    if kept is not None:
        return Given(kept, replayed=True)
    answer = work(tx)
    idempotency.keep(tx, caller.tenant, key, answer)
    faults.point("once.before_commit")
    return Given(answer, replayed=False)


def _decided(
    caller: Caller, key: Key, provisional: Answer, outcome: Callable[[Answer], Answer]
) -> Answer:
    """Wait for the outcome and keep it in place of the provisional answer."""
    final = outcome(provisional)
    if final.provisional:
        return final
    with database().transaction(caller.tenant) as tx:
        kept = idempotency.keep_outcome(tx, caller.tenant, key, final)
        faults.point("once.outcome.before_commit")
    return kept
