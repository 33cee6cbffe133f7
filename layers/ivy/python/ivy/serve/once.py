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


def once(caller: Caller, key: Key, work: Callable[[Transaction], Answer]) -> Given:
    """Do the work of a request once, however often it is sent, and answer alike each time.

    Only a success is kept. Whatever is raised leaves nothing behind, so a corrected request may
    use the same key.
    """
    front = Front(caller.tenant, key)
    replay = front.claim()
    if replay is not None:
        return Given(replay, replayed=True)
    try:
        with database().transaction(caller.tenant) as tx:
            given = _work(tx, caller, key, work)
        faults.point("once.after_commit")
    except Exception:
        front.release()
        raise
    front.complete(given.answer)
    outbox.send(tx.after_commit)
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
