"""Making one attempt: an event signed as Standard Webhooks say, sent once, and what came of it.

An attempt has exactly one outcome, and it is never an exception. Its codes are those of
``ivy.egress`` (where nothing is sent), those of ``ivy.wire`` (no complete answer), and:

- ``redirect``: a status of 3xx; nobody is followed anywhere.
- ``bad_status``: any other status that is not 2xx.
- ``no_secret``: the endpoint has no secret, so nothing that it could verify can be sent.
- ``internal_error``: our own fault; the log says which.

A status of 2xx whose body does not end well is a failure: what answers before it has finished may
not have kept the event, and a second copy is better than none.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from ivy import card_numbers, egress, observe
from ivy.aws import client
from ivy.settings import settings
from ivy.webhook_messages import Attempted, Delivery
from ivy.wire import Answer, FailedError, Wire

USER_AGENT = "Ivy-Webhooks/1"
MAX_RESPONSE = 4096
MAX_RETRY_AFTER_SECONDS = 24 * 60 * 60

_RESTING = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""The answers whose ``Retry-After`` counts."""

_CATEGORIES_SHOWN = frozenset("LMNPSZ")
_SEPARATES_LINES = frozenset({"Zl", "Zp"})


def send(delivery: Delivery, secrets: Sequence[str], wire: Wire | None = None) -> Attempted:
    """Make one attempt and return what came of it. Never raises, and may run in many threads.

    Args:
        delivery: What to send, and where.
        secrets: The endpoint's active secrets, ``whsec_…``; each signs.
        wire: What it touches of the machine, if not the usual.
    """
    at = datetime.fromtimestamp(int(time.time()), UTC)
    began = time.monotonic()
    answer = Answer()
    error = _attempt(delivery, secrets, at, wire or Wire(), answer)
    status = answer.status
    return Attempted(
        delivery=delivery.id,
        account=delivery.account,
        endpoint=delivery.endpoint,
        number=delivery.number,
        at=at,
        outcome="failed" if error else "delivered",
        status_code=status,
        error=error,
        milliseconds=round((time.monotonic() - began) * 1000),
        response=None if status is None else shown(answer.body),
        retry_after_seconds=(
            retry_after_seconds(answer.retry_after, at) if status in _RESTING else None
        ),
        gone=status == HTTPStatus.GONE,
    )


def report(attempted: Attempted) -> None:
    """Tell those who decide on deliveries what came of an attempt.

    Raises:
        Exception: The queue did not take it. The attempt is then made again: better than no word.
    """
    client("sqs").send_message(
        QueueUrl=settings().required("delivery_results_queue_url"),
        MessageBody=attempted.model_dump_json(),
    )


def _attempt(
    delivery: Delivery, secrets: Sequence[str], at: datetime, wire: Wire, answer: Answer
) -> str | None:
    """Make the attempt and return why it failed, or None."""
    if not secrets:
        return "no_secret"
    try:
        local_test = settings().target == "local" and delivery.account.endswith("-test")
        target = egress.check_url(delivery.url, allow_loopback=local_test)
        wire.post(target, headers(delivery, secrets, at), delivery.body.encode(), answer)
    except (egress.RefusedError, FailedError) as failed:
        return failed.code
    except Exception:  # noqa: BLE001 - a delivery whose attempt is not recorded would be lost
        observe.failure("webhook.sender_failed", delivery=delivery.id.hex)
        return "internal_error"
    return _judged(answer.status)


def _judged(status: int | None) -> str | None:
    family = (status or 0) // 100
    return None if family == 2 else "redirect" if family == 3 else "bad_status"  # noqa: PLR2004 - 2xx, 3xx


def headers(delivery: Delivery, secrets: Sequence[str], at: datetime) -> dict[str, str]:
    """Return the headers of one attempt, signed with every secret."""
    from standardwebhooks import Webhook  # noqa: PLC0415 - only the sender carries its cost

    signatures = [Webhook(each).sign(delivery.event, at, delivery.body) for each in secrets]
    return {
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "webhook-id": delivery.event,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def shown(body: bytes | bytearray) -> str:
    """Return the beginning of an answer, fit to be stored and shown.

    Card numbers are taken out; what is not text, not visible, or moves text about is a
    replacement character.
    """
    text = body.decode(errors="replace").replace("\r\n", "\n")
    kept = card_numbers.redact(text)[:MAX_RESPONSE]  # in this order: no number is cut in two
    return "".join(each if _harmless(each) else "\N{REPLACEMENT CHARACTER}" for each in kept)


def _harmless(character: str) -> bool:
    category = unicodedata.category(character)
    visible = category[0] in _CATEGORIES_SHOWN and category not in _SEPARATES_LINES
    return visible or character in "\n\t"


def retry_after_seconds(value: str | None, at: datetime) -> int | None:
    """Return how long ``Retry-After`` asks to wait from ``at``, at most a day; None for nonsense.

    It is a number of seconds or a date.
    """
    value = (value or "").strip()
    if re.fullmatch(r"[0-9]+", value):
        digits = value.lstrip("0")[: len(str(MAX_RETRY_AFTER_SECONDS)) + 1]
        return min(int(digits or "0"), MAX_RETRY_AFTER_SECONDS)
    try:
        until = parsedate_to_datetime(value)
        aware = until if until.tzinfo else until.replace(tzinfo=UTC)
        seconds = (aware - at).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0, min(int(seconds), MAX_RETRY_AFTER_SECONDS))
