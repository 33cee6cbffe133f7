"""The proof: every law of the ledger that applies so far, evaluated in one snapshot."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, LiteralString

from ivy.database import Transaction
from ivy.laws import Law, accounts, banking, journal, objects, settling
from ivy.models import Object, Time, example

LAWS = (
    journal.L1,
    journal.L2,
    journal.L3,
    journal.L4,
    accounts.L5,
    settling.L6,
    objects.L7,
    settling.L8,
    objects.L9,
    journal.L10,
    accounts.L11,
    objects.L12,
    banking.L13,
    objects.L14,
)
"""L15 is about what does not exist yet, as are the chain and the roots of L12."""

WITNESSES = 5
"""How many violations of a law are shown."""

WORK_MEMORY = "64MB"
"""What each sort or hash of a law may use before it goes through files; the default is 4 MB."""


class LawChecked(Object):
    """One law and what came of it; each witness is one violation, and only the first are shown."""

    law: str
    statement: str
    rows_checked: int
    holds: bool
    violations: int
    witnesses: list[str]


class LedgerProof(Object):
    """Every law, evaluated in one snapshot of the books; ``holds`` when each does.

    ``snapshot`` is the database's own name of what was visible; two proofs with the same one saw
    the same rows. ``livemode`` is null for all books at once.
    """

    model_config = example(
        object="ledger_proof",
        livemode=False,
        snapshot="1042:1042:",
        known_at="2026-11-24T09:31:00.000Z",
        duration_ms=41,
        holds=True,
        laws=[
            {
                "law": "L2",
                "statement": "All balances sum to zero in each currency and mode.",
                "rows_checked": 1,
                "holds": True,
                "violations": 0,
                "witnesses": [],
            }
        ],
    )

    object: Literal["ledger_proof"] = "ledger_proof"
    livemode: bool | None
    snapshot: str
    known_at: Time
    duration_ms: int
    holds: bool
    laws: list[LawChecked]


@dataclass(frozen=True, slots=True)
class _Checked:
    rows_checked: int
    violations: int
    witnesses: list[str]


def prove(
    tx: Transaction, *, livemode: bool | None, at: datetime, laws: tuple[Law, ...] = LAWS
) -> LedgerProof:
    """Return what each law finds in the books that the transaction may see.

    Args:
        tx: Opened with ``snapshot=True``, so that all laws see the same books.
        livemode: The mode of those books; None for all.
        at: The present.
        laws: Which ones.
    """
    started = time.perf_counter()
    tx.run("SELECT set_config('work_mem', %(memory)s, true)", memory=WORK_MEMORY)
    snapshot: str = tx.value("SELECT pg_current_snapshot()::text")
    checked = [_check(tx, law) for law in laws]
    return LedgerProof(
        livemode=livemode,
        snapshot=snapshot,
        known_at=at,
        duration_ms=round((time.perf_counter() - started) * 1000),
        holds=all(each.holds for each in checked),
        laws=checked,
    )


def _check(tx: Transaction, law: Law) -> LawChecked:
    found = tx.row(_Checked, _CHECK[0] + law.query + _CHECK[1], limit=WITNESSES)
    assert found is not None  # noqa: S101 - an aggregate returns one row
    return LawChecked(
        law=law.name,
        statement=law.statement,
        rows_checked=found.rows_checked,
        holds=found.violations == 0,
        violations=found.violations,
        witnesses=found.witnesses,
    )


_CHECK: tuple[LiteralString, LiteralString] = (
    "WITH checked (witness) AS (",
    """)
    SELECT count(*) AS rows_checked, count(witness) AS violations,
           ARRAY(SELECT witness FROM checked WHERE witness IS NOT NULL
                 ORDER BY witness LIMIT %(limit)s) AS witnesses
    FROM checked""",
)
