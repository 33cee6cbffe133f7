"""Every ten minutes: put pending payouts into files and give them to the bank."""

from typing import Any

from ivy import documents, faults, ids, outbox, payout_files
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job


@job("rate(10 minutes)", uses=(Need.DATABASE_JOBS, Need.BANK_OUT_WRITE, Need.PAYOUTS_QUEUE))
def handler(database: Database) -> dict[str, Any]:
    """Prepare files in one transaction, write each outside of any, note in another that it is sent.

    What was prepared and not sent before is finished first; its bytes are the same again.

    Raises:
        ChangedError: After everything else is done, when some file's would not be.
    """
    left, _ = _send(database)
    with database.transaction() as tx:
        begun = payout_files.prepare(tx, ids.now())
    faults.point("payouts.submit.after_prepare")
    promised, changed = _send(database)
    if changed:
        raise payout_files.ChangedError(f"{', '.join(changed)}: not what was prepared")
    return {"finished": left, "begun": begun, "promised": promised}


def _send(database: Database) -> tuple[int, list[str]]:
    """Give files to the bank; returns how many payouts are told so, and which files may not go."""
    with database.transaction() as tx:
        files, changed = payout_files.prepared(tx)
    promised = 0
    for file in files:
        documents.put(file.key, file.content)
        faults.point("payouts.submit.after_put")
        with database.transaction() as tx:
            tasks = payout_files.sent(tx, file)
        faults.point("payouts.submit.after_sent")
        promised += len(tasks)
        outbox.send(tasks)
    return promised, changed
