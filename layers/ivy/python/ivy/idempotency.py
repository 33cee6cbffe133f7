"""Idempotency: the same request, sent any number of times, happens once and reads the same.

The truth is a row in the money's own transaction. It is inserted first, so a racing copy waits on
the primary key until the winner ends, and the answer's exact bytes are stored before the commit.
``ivy.serve.front`` puts DynamoDB before it to save Postgres the work; losing that costs speed only.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg

from ivy import errors, faults
from ivy.database import Tenant, Transaction

KEEP = timedelta(days=30)
"""How long an answer can be replayed. The ledger itself refuses a second posting for ever."""

EXPIRE_LIMIT = 10_000
"""Rows one transaction of the expiry job deletes."""

MAX_KEY_LENGTH = 255
FIRST_ERROR = 400
_CLAIM_TURNS = 3


@dataclass(frozen=True, slots=True)
class Key:
    """A caller's key, bound to what it was sent for.

    ``scope`` identifies the key under its merchant and mode; ``fingerprint`` the request.
    """

    scope: bytes
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and the exact bytes of a body."""

    status: int
    body: bytes
    media_type: str = "application/json"
    provisional: bool = False
    """Whether the outcome was not known yet; it may be replaced by the outcome, once."""
    headers: tuple[tuple[str, str], ...] = ()
    """Beyond those of every answer; only answers that are not stored have any."""


def key(header: str | None, *, method: str, route: str, path: str, body: Any) -> Key:
    """Return the key of a request.

    Args:
        header: The value of ``Idempotency-Key``, or None when it was not sent.
        method: ``POST``.
        route: The route's template, ``/v1/charges/{id}/capture``.
        path: The path as sent.
        body: The parsed JSON body; spacing and the order of its keys do not matter.

    Raises:
        IdempotencyKeyMissing: No header.
        IdempotencyKeyInvalid: Not 1 to 255 printable ASCII characters.
    """
    if header is None:
        raise errors.IdempotencyKeyMissing(
            "Send an Idempotency-Key header: a value of your own, new for each new request."
        )
    if not (0 < len(header) <= MAX_KEY_LENGTH and header.isascii() and header.isprintable()):
        raise errors.IdempotencyKeyInvalid
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return Key(scope=_digest(method, route, header), fingerprint=_digest(method, path, canonical))


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\n".join(parts).encode()).digest()


@dataclass(frozen=True, slots=True)
class _Kept:
    fingerprint: bytes
    status: int
    body: bytes
    provisional: bool

    @property
    def answer(self) -> Answer:
        """The answer, as it was given."""
        return given(self.status, self.body, provisional=self.provisional)


def claim(tx: Transaction, tenant: Tenant, wanted: Key) -> Answer | None:
    """Claim a key for this transaction, or return the answer that its first request got.

    Waits for a racing copy to end; gives up with a lock timeout, which means "still running".

    Raises:
        IdempotencyKeyReused: The key was used for a different request.
    """
    for _ in range(_CLAIM_TURNS):
        faults.point("idempotency.before_claim")
        claimed = _insert(tx, tenant, wanted)
        faults.point("idempotency.after_claim")
        if claimed:
            return None
        kept = _kept(tx, tenant, wanted)
        if kept is not None:
            if kept.fingerprint != wanted.fingerprint:
                raise errors.IdempotencyKeyReused
            return kept.answer
        # The row we ran into has expired in between; the next turn claims the key.
    raise errors.IdempotencyKeyInUse(retry_after_seconds=1)


def _kept(tx: Transaction, tenant: Tenant, wanted: Key) -> _Kept | None:
    return tx.row(
        _Kept,
        "SELECT fingerprint, status, body, provisional FROM answers"
        " WHERE merchant_id = %(merchant_id)s AND livemode = %(livemode)s AND scope = %(scope)s",
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        scope=wanted.scope,
    )


def _insert(tx: Transaction, tenant: Tenant, wanted: Key) -> bool:
    try:
        claimed = tx.value(
            "INSERT INTO idempotency_keys (merchant_id, livemode, scope, fingerprint)"
            " VALUES (%(merchant_id)s, %(livemode)s, %(scope)s, %(fingerprint)s)"
            " ON CONFLICT DO NOTHING RETURNING true",
            merchant_id=tenant.merchant_id,
            livemode=tenant.livemode,
            scope=wanted.scope,
            fingerprint=wanted.fingerprint,
        )
    except psycopg.errors.LockNotAvailable as error:
        raise errors.IdempotencyKeyInUse(retry_after_seconds=1) from error
    return claimed is not None


def given(status: int, body: bytes, *, provisional: bool = False) -> Answer:
    """Return an answer as it was given: an object, or the problem that the request ended in."""
    media_type = "application/json" if status < FIRST_ERROR else "application/problem+json"
    return Answer(status, body, media_type, provisional=provisional)


def keep_outcome(tx: Transaction, tenant: Tenant, claimed: Key, outcome: Answer) -> Answer:
    """Store the outcome in place of a provisional answer, and return what is stored.

    Of several copies that waited for it at once the first stores its own; the others return that.
    """
    keep(tx, tenant, claimed, outcome)
    kept = _kept(tx, tenant, claimed)
    return outcome if kept is None else kept.answer  # None: it has expired in between


def keep(tx: Transaction, tenant: Tenant, claimed: Key, answer: Answer) -> None:
    """Store the answer to the request that claimed a key, unless a final one is stored.

    One that an event of this transaction tells word for word is stored as that event.
    """
    event_id = tx.told.get(answer.body)
    tx.run(
        "UPDATE idempotency_keys SET status = %(status)s, body = %(body)s,"
        " event_id = %(event_id)s, provisional = %(provisional)s"
        " WHERE (status IS NULL OR provisional)"
        " AND merchant_id = %(merchant_id)s AND livemode = %(livemode)s AND scope = %(scope)s",
        status=answer.status,
        body=answer.body if event_id is None else None,
        event_id=event_id,
        provisional=answer.provisional,
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        scope=claimed.scope,
    )


def expire(tx: Transaction, limit: int = EXPIRE_LIMIT) -> int:
    """Delete up to ``limit`` answers that are too old to replay; returns how many."""
    return int(
        tx.value(
            "WITH gone AS (DELETE FROM idempotency_keys WHERE (merchant_id, livemode, scope) IN ("
            " SELECT merchant_id, livemode, scope FROM idempotency_keys"
            " WHERE created_at < now() - %(keep)s LIMIT %(limit)s) RETURNING 1)"
            " SELECT count(*) FROM gone",
            keep=KEEP,
            limit=limit,
        )
    )
