"""The exchange of files with banks: put there outside of any transaction, noted in the next.

Of all merchants by the schedules, or of one in test mode at its own present. Runs as ``ivy_jobs``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ivy import bank_receipts, documents, faults, ids, observe, order_files, outbox
from ivy.bank_files import MAX_FILE_BYTES
from ivy.database import Database, Tenant
from ivy.documents import Document
from ivy.operations import account_name

MODES = {"live": True, "test": False}
"""In the order in which they are looked at: what is in a sandbox holds nothing up."""

MAX_FILES = 50
"""That one run takes in of one mode; more wait for the next."""

MAX_FAILED = 500
"""That one run looks at of one mode without being able to take them in."""


class Submitted(NamedTuple):
    """What was given to the bank.

    Attributes:
        finished: Promises to say so of what is in files that were prepared before.
        begun: New files.
        promised: Promises to say so of what is in those.
    """

    finished: int
    begun: int
    promised: int


class Taken(NamedTuple):
    """What was taken in: files, and promises to carry out what they say of payouts."""

    taken: int
    failed: int
    promised: int
    sent: int


def submit(database: Database, tenant: Tenant | None = None) -> Submitted:
    """Put what waits for the bank into files and give those to it.

    Files are prepared in one transaction and written outside of any. What was prepared and not sent
    before is finished first; its bytes are the same again.

    Raises:
        ChangedError: After everything else is done, when some file's would not be.
    """
    finished, _ = _send(database, tenant)
    with database.transaction() as tx:
        begun = order_files.prepare(tx, ids.now(), tenant)
    faults.point("payouts.submit.after_prepare")
    promised, changed = _send(database, tenant)
    if changed:
        raise order_files.ChangedError(f"{', '.join(changed)}: not what was prepared")
    return Submitted(finished, begun, promised)


def receive(database: Database, tenant: Tenant | None = None) -> Taken:
    """Take in what banks have put here, each file in a transaction of its own, and carry it out."""
    taken = failed = 0
    for mode, livemode in MODES.items():
        if tenant is None or tenant.livemode == livemode:
            some, others = _receive_all(database, mode, tenant)
            taken, failed = taken + some, failed + others
    with database.transaction() as tx:
        tasks = bank_receipts.answered(tx)
    faults.point("bank.receive.after_promise")
    return Taken(taken, failed, len(tasks), outbox.send(tasks))


def _receive_all(database: Database, mode: str, tenant: Tenant | None) -> tuple[int, int]:
    """Take in what has arrived in a mode; returns how many files were, and how many could not be.

    Those that cannot be are passed over: however many there are, they hold no other up.
    """
    taken = failed = 0
    for document in _arrived(mode, tenant):
        if _receive(database, mode, document):
            taken += 1
        else:
            failed += 1
        if taken >= MAX_FILES or failed >= MAX_FAILED:
            break
    return taken, failed


def _send(database: Database, tenant: Tenant | None) -> tuple[int, list[str]]:
    """Give files to the bank; returns how many are to be told, and which files may not go."""
    with database.transaction() as tx:
        files, changed = order_files.prepared(tx, tenant)
    promised = 0
    for file in files:
        documents.put_once(file.key, file.content)
        faults.point("payouts.submit.after_put")
        with database.transaction() as tx:
            tasks = order_files.sent(tx, file)
        faults.point("payouts.submit.after_sent")
        promised += len(tasks)
        outbox.send(tasks)
    return promised, changed


def _arrived(mode: str, tenant: Tenant | None) -> Iterator[Document]:
    """Yield the files that a bank has put; the simulated one names the merchant in them."""
    listed = documents.every(f"bank/in/{mode}/")
    if tenant is not None:
        listed = (each for each in listed if f".{account_name(tenant)}." in each.name)
    return listed


def _receive(database: Database, mode: str, document: Document) -> bool:
    """Take one file in. One that cannot be must not keep the others from being.

    Another may have taken it in meanwhile, and moved it away: then that is done.
    """
    try:
        file = _read(mode, document)
        if file is None:
            return True
        with database.transaction() as tx:
            receipt = bank_receipts.record(tx, file, ids.now())
    except Exception:  # noqa: BLE001 - logged and counted; it is looked at again in a minute
        observe.failure("bank_file.failed", key=document.key)
        observe.count("BankFileFailed")
        return False
    faults.point("bank.receive.after_commit")
    if receipt.status == "rejected":
        observe.line("bank_file.rejected", receipt=receipt.id.hex, reason=receipt.reason)
        observe.count("BankFileRejected")
    if receipt.unmatched:
        observe.line("bank_file.unmatched", receipt=receipt.id.hex, said=receipt.unmatched)
        observe.count("BankAnswerUnmatched", receipt.unmatched)
    documents.move(document, f"bank/archive/{mode}/{receipt.id.hex}-{document.name}")
    faults.point("bank.receive.after_move")
    return True


def _read(mode: str, document: Document) -> bank_receipts.Received | None:
    livemode = MODES[mode]
    if document.size > MAX_FILE_BYTES:
        return bank_receipts.too_long(
            livemode=livemode, name=document.name, size=document.size, etag=document.etag
        )
    try:
        content = documents.read(document.key)
    except documents.GoneError:
        return None
    return bank_receipts.received(livemode=livemode, name=document.name, content=content)
