"""Every minute: take in what banks have put here, and let it be carried out."""

from typing import Any

from ivy import bank_receipts, documents, faults, ids, observe, outbox
from ivy.bank_files import MAX_FILE_BYTES
from ivy.database import Database
from ivy.documents import Document
from ivy.needs import Need
from ivy.serve import job

MODES = {"test": False, "live": True}
MAX_FILES = 50
"""Of one mode in one run; more wait for the next."""


@job("rate(1 minute)", uses=(Need.DATABASE_JOBS, Need.BANK_IN_READ, Need.PAYOUTS_QUEUE))
def handler(database: Database) -> dict[str, Any]:
    """Record each file in a transaction of its own, then move it to the archive."""
    taken = failed = 0
    for mode in MODES:
        for document in documents.found(f"bank/in/{mode}/", limit=MAX_FILES):
            if _receive(database, mode, document):
                taken += 1
            else:
                failed += 1
    with database.transaction() as tx:
        tasks = bank_receipts.answered(tx)
        unmatched_days = bank_receipts.oldest_unmatched_days(tx)
    faults.point("bank.receive.after_promise")
    observe.count("BankLineUnmatchedDays", unmatched_days)
    return {"taken": taken, "failed": failed, "promised": len(tasks), "sent": outbox.send(tasks)}


def _receive(database: Database, mode: str, document: Document) -> bool:
    """Take one file in. One that cannot be must not keep the others from being."""
    try:
        file = _read(mode, document)
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


def _read(mode: str, document: Document) -> bank_receipts.Received:
    livemode = MODES[mode]
    if document.size > MAX_FILE_BYTES:
        return bank_receipts.too_long(
            livemode=livemode, name=document.name, size=document.size, etag=document.etag
        )
    content = documents.read(document.key)
    return bank_receipts.received(livemode=livemode, name=document.name, content=content)
