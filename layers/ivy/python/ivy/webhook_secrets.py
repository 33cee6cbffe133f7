"""What signs webhooks: the secrets of each endpoint, in a table of their own, encrypted.

The database never sees a secret, nor does a message or a log. KMS binds each ciphertext to its
endpoint, so one that is copied to another endpoint's item does not decrypt. Whoever makes secrets
cannot decrypt them, and whoever signs cannot make any.
"""

from __future__ import annotations

import base64
import secrets
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from ivy import ids
from ivy.aws import client
from ivy.settings import settings

PREFIX = "whsec_"
SECRET_BYTES = 32
MAX_SECRETS = 5
"""Secrets that sign at once, if somebody rotates again and again."""

CACHE_SECONDS = 60
CACHE_ENTRIES = 1000
ROTATE_TRIES = 5


class RotatedElsewhereError(RuntimeError):
    """Others rotate the same endpoint's secret again and again; nothing was changed."""


@dataclass(frozen=True, slots=True)
class _Secret:
    """A ciphertext, and when it stops signing; the newest has no end."""

    ciphertext: bytes
    until: float | None


@dataclass(frozen=True, slots=True)
class _Signing:
    """What was read for an endpoint: secrets and their ends, the newest first."""

    secrets: tuple[tuple[str, float | None], ...]
    read_at: float


_cache: dict[UUID, _Signing] = {}


def create(endpoint: UUID) -> str:
    """Give an endpoint its first secret and return it, to be shown once.

    Doing it again replaces the secret: the one before was made for a request that came to nothing.
    """
    secret = _new()
    _write(endpoint, [_Secret(_encrypted(endpoint, secret), None)], revision=1)
    return secret


def rotate(endpoint: UUID, overlap: timedelta) -> str:
    """Give an endpoint another secret and return it; those before sign too during ``overlap``.

    Rotating twice leaves three secrets that sign, so whoever uses the first is not cut off by a
    second click; rotating without overlap ends all before. Senders that are running notice within
    ``CACHE_SECONDS``. An endpoint whose secret was lost gets a first one.

    Raises:
        RotatedElsewhereError: Somebody else was faster, several times.
    """
    secret = _new()
    newest = _Secret(_encrypted(endpoint, secret), None)
    now = ids.now().timestamp()
    end = now + overlap.total_seconds()
    dynamodb = client("dynamodb")
    for _ in range(ROTATE_TRIES):
        revision, kept = _read(endpoint)
        if newest in kept:
            return secret  # an earlier try was written, and its answer lost
        ending = [replace(each, until=min(end, each.until or end)) for each in kept]
        overlapping = [each for each in ending if each.until is not None and each.until > now]
        try:
            signing = [newest, *overlapping][:MAX_SECRETS]
            _write(endpoint, signing, revision=revision + 1, **_unless_changed(revision))
        except dynamodb.exceptions.ConditionalCheckFailedException:
            continue
        return secret
    raise RotatedElsewhereError(endpoint)


def forget(endpoint: UUID) -> None:
    """Remove an endpoint's secrets for good; nothing can be signed for it any more."""
    client("dynamodb").delete_item(TableName=_table(), Key=_key(endpoint))
    _cache.pop(endpoint, None)


def active(endpoint: UUID, at: datetime) -> list[str]:
    """Return the secrets that sign at a time, the newest first; none for an unknown endpoint.

    What was read is kept for ``CACHE_SECONDS``. That there is nothing is never kept, so an endpoint
    that was made a moment ago gets its first event.
    """
    moment = at.timestamp()
    found = _cache.get(endpoint)
    if found is None or time.monotonic() - found.read_at >= CACHE_SECONDS:
        found = _Signing(
            tuple(
                (_decrypted(endpoint, each.ciphertext), each.until)
                for each in _read(endpoint)[1]
                if each.until is None or each.until > moment
            ),
            time.monotonic(),
        )
        _remember(endpoint, found)
    return [secret for secret, until in found.secrets if until is None or until > moment]


def _remember(endpoint: UUID, found: _Signing) -> None:
    while len(_cache) >= CACHE_ENTRIES:
        _cache.pop(next(iter(_cache)), None)
    if found.secrets:
        _cache[endpoint] = found


def _new() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")


def _table() -> str:
    name: str = settings().required("webhook_secrets_table")
    return name


def _key(endpoint: UUID) -> dict[str, Any]:
    return {"id": {"S": endpoint.hex}}


def _write(endpoint: UUID, kept: list[_Secret], *, revision: int, **condition: Any) -> None:
    """Replace an endpoint's item."""
    rows = [
        {
            "secret": {"B": each.ciphertext},
            **({"until": {"N": str(each.until)}} if each.until else {}),
        }
        for each in kept
    ]
    client("dynamodb").put_item(
        TableName=_table(),
        Item={
            **_key(endpoint),
            "revision": {"N": str(revision)},
            "secrets": {"L": [{"M": row} for row in rows]},
        },
        **condition,
    )
    _cache.pop(endpoint, None)


def _unless_changed(revision: int) -> dict[str, Any]:
    """Return the condition that an item is still what it was when it was read."""
    if not revision:
        return {"ConditionExpression": "attribute_not_exists(id)"}
    return {
        "ConditionExpression": "revision = :read",
        "ExpressionAttributeValues": {":read": {"N": str(revision)}},
    }


def _read(endpoint: UUID) -> tuple[int, list[_Secret]]:
    """Return an endpoint's revision and secrets, the newest first; 0 and none without an item."""
    found = client("dynamodb").get_item(TableName=_table(), Key=_key(endpoint), ConsistentRead=True)
    item = found.get("Item")
    if item is None:
        return 0, []
    rows = [each["M"] for each in item["secrets"]["L"]]
    kept = [
        _Secret(bytes(row["secret"]["B"]), float(row["until"]["N"]) if "until" in row else None)
        for row in rows
    ]
    return int(item["revision"]["N"]), kept


def _encrypted(endpoint: UUID, secret: str) -> bytes:
    answer = client("kms").encrypt(
        KeyId=settings().required("webhook_key"),
        Plaintext=base64.b64decode(secret.removeprefix(PREFIX)),
        EncryptionContext={"endpoint": endpoint.hex},
    )
    return bytes(answer["CiphertextBlob"])


def _decrypted(endpoint: UUID, ciphertext: bytes) -> str:
    answer = client("kms").decrypt(
        KeyId=settings().required("webhook_key"),
        CiphertextBlob=ciphertext,
        EncryptionContext={"endpoint": endpoint.hex},
    )
    return PREFIX + base64.b64encode(answer["Plaintext"]).decode("ascii")
