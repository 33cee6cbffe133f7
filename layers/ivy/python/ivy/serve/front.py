"""DynamoDB before the truth: answers replays and turns copies away without touching Postgres.

It fails open. Any error, a lost record, a lost completion cost speed only: the transaction in
``ivy.idempotency`` decides. The record keeps the answer's exact text, because the persistence
layer's own JSON would come back with its keys in another order.
"""

from __future__ import annotations

import hashlib
import json
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from ivy import errors, faults, observe
from ivy.aws import client
from ivy.idempotency import Answer, Key, given
from ivy.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord

    from ivy.database import Tenant

KEEP_SECONDS = 24 * 3600
IN_PROGRESS_SECONDS = 5
"""After this a copy of an unanswered request is let through to Postgres, where it is safe."""

WAIT_SECONDS = 1.0
_POLL_SECONDS = 0.05


@cache
def _layer(table: str) -> Any:
    """Return the persistence layer, which stores the request's fingerprint beside its answer."""
    from aws_lambda_powertools.utilities.idempotency import (  # noqa: PLC0415 - imports boto3
        DynamoDBPersistenceLayer,
    )

    class Layer(DynamoDBPersistenceLayer):
        def _validate_payload(self, *_: object, **__: object) -> None:
            """Leave it to ``Front._answer``: an unfinished request proves nothing about a key."""

    layer = Layer(table, boto3_client=client("dynamodb", hasty=True))
    layer.payload_validation_enabled = True
    return layer


def prepare() -> None:
    """Load what a request's claim takes; the table is not asked."""
    _layer(settings().required("idempotency_table"))


class Front:
    """One request's place in the DynamoDB table."""

    def __init__(self, tenant: Tenant, key: Key) -> None:
        scope = f"{tenant.merchant_id}|{tenant.livemode}|".encode() + key.scope
        self._id = hashlib.sha256(scope).hexdigest()
        self._fingerprint = key.fingerprint.hex()
        self._reachable = True

    def claim(self) -> Answer | None:
        """Claim the request, or return the answer that its first copy got.

        Waits up to a second for a copy that is still running.

        Raises:
            IdempotencyKeyReused: The key was used for a different request.
            IdempotencyKeyInUse: The first copy is still running.
        """
        faults.point("front.before_claim")
        answer = self._open(self._claim)
        faults.point("front.after_claim")
        return answer

    def complete(self, answer: Answer) -> None:
        """Keep an answer for replays. Losing it is counted and otherwise ignored."""
        faults.point("front.before_complete")
        text = json.dumps({"status": answer.status, "body": answer.body.decode()})

        def update() -> None:
            _layer(settings().required("idempotency_table"))._update_record(  # noqa: SLF001 - the layer's extension point
                self._record("COMPLETED", text)
            )

        self._open(update)
        faults.point("front.after_complete")

    def release(self) -> None:
        """Forget the claim of a request that was refused, so that a corrected one may follow."""
        faults.point("front.before_release")

        def delete() -> None:
            _layer(settings().required("idempotency_table"))._delete_record(  # noqa: SLF001 - same
                self._record("INPROGRESS")
            )

        self._open(delete)

    def _claim(self) -> Answer | None:
        from aws_lambda_powertools.utilities.idempotency import exceptions  # noqa: PLC0415 - lazy

        layer = _layer(settings().required("idempotency_table"))
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            claim = self._record("INPROGRESS")
            try:
                layer._put_record(claim)  # noqa: SLF001 - same
            except exceptions.IdempotencyItemAlreadyExistsError as error:
                found = error.old_data_record
            else:
                return None
            if found is not None and _same_claim(found, claim):
                return None  # the answer to our own first attempt was lost, and boto3 tried again
            answer = self._answer(found)
            if answer is not None:
                return answer
            if time.monotonic() >= deadline:
                raise errors.IdempotencyKeyInUse(retry_after_seconds=1)
            time.sleep(_POLL_SECONDS)

    def _answer(self, record: DataRecord | None) -> Answer | None:
        """Return what a finished copy was told; None while it is still running."""
        if record is None or record.status != "COMPLETED":
            return None
        if record.payload_hash != self._fingerprint:
            raise errors.IdempotencyKeyReused
        kept = json.loads(record.response_data)
        return given(int(kept["status"]), str(kept["body"]).encode())

    def _record(self, status: str, text: str = "") -> DataRecord:
        from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import (  # noqa: PLC0415 - lazy
            DataRecord,
        )

        now = time.time()
        return DataRecord(
            idempotency_key=self._id,
            status=status,
            expiry_timestamp=int(now) + KEEP_SECONDS,
            in_progress_expiry_timestamp=int((now + IN_PROGRESS_SECONDS) * 1000),
            response_data=text,
            payload_hash=self._fingerprint,
        )

    def _open(self, call: Callable[[], Answer | None]) -> Answer | None:
        """Run a call to the table; anything but a documented answer counts as "not there".

        A table that has failed once is left alone for the rest of the request.
        """
        if not self._reachable:
            return None
        try:
            return call()
        except errors.Problem:
            raise
        except Exception:  # noqa: BLE001 - fail open: Postgres holds the truth
            self._reachable = False
            observe.failure("idempotency.front_failed")
            observe.count("IdempotencyFrontFailed")
            return None


def _same_claim(found: DataRecord, claim: DataRecord) -> bool:
    return (found.status, found.in_progress_expiry_timestamp, found.payload_hash) == (
        claim.status,
        claim.in_progress_expiry_timestamp,
        claim.payload_hash,
    )
