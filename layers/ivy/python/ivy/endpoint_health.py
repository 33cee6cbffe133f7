"""How an endpoint's answers change what it is sent. Pure: the database is not touched here.

One that answers well may have more deliveries under way at once, one that fails ever fewer. One
that fails five times in a row rests for a while and is then tried with a single delivery, so a slow
or dead endpoint costs nobody else anything. One that does nothing but fail for five days is
disabled, after warnings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ivy.events import EndpointEventType
from ivy.webhook_messages import Attempted

FIRST_ALLOWANCE = 5
MOST_ALLOWANCE = 50
"""Deliveries under way at once."""

SLOW_MILLISECONDS = 5_000
"""An answer that takes longer is no reason to send more at once."""

REST_AFTER = 5
"""Failures in a row after which an endpoint is left alone for a while."""

FIRST_REST = timedelta(seconds=30)
LONGEST_REST = timedelta(minutes=10)

DISABLE_AFTER = timedelta(days=5)
WARNINGS_PERCENT = (90, 70, 50)
LAST_WARNING_AHEAD = timedelta(hours=12)
"""The last warning comes at least so long before an endpoint is disabled."""


@dataclass(frozen=True, slots=True)
class Health:
    """How an endpoint has been answering.

    Attributes:
        allowance: Deliveries that may be under way at once.
        failures: Attempts that failed since one last succeeded.
        warned_percent: How much of the time until it is disabled was warned of; 0 for nothing.
        resting_until: Nothing is sent before.
    """

    allowance: int = FIRST_ALLOWANCE
    failures: int = 0
    failing_since: datetime | None = None
    warned_percent: int = 0
    warned_at: datetime | None = None
    resting_until: datetime | None = None


Verdict = tuple[Health, EndpointEventType | None]
"""The health after an attempt, and what its merchant should hear of it."""


def after(health: Health, attempted: Attempted, at: datetime) -> Verdict:
    """Return what an attempt makes of an endpoint's health."""
    if attempted.outcome == "delivered":
        return _after_success(health, attempted)
    if attempted.gone:
        return health, "webhook_endpoint.disabled"
    return _after_failure(health, attempted, at)


def _after_success(health: Health, attempted: Attempted) -> Verdict:
    quick = attempted.milliseconds < SLOW_MILLISECONDS
    allowance = min(health.allowance + quick, MOST_ALLOWANCE)
    return Health(allowance=allowance), (
        "webhook_endpoint.recovered" if health.warned_percent else None
    )


def _after_failure(health: Health, attempted: Attempted, at: datetime) -> Verdict:
    since = health.failing_since or attempted.at
    failing = replace(
        health,
        allowance=max(health.allowance // 2, 1),
        failures=health.failures + 1,
        failing_since=since,
        resting_until=_rest(health, attempted, at),
    )
    share = (at - since) / DISABLE_AFTER
    if share >= 1 and _warned_in_time(health, at):
        return failing, "webhook_endpoint.disabled"
    due = next((each for each in WARNINGS_PERCENT if share * 100 >= each), 0)
    if due > health.warned_percent:
        return replace(failing, warned_percent=due, warned_at=at), "webhook_endpoint.warning"
    return failing, None


def _warned_in_time(health: Health, at: datetime) -> bool:
    """Say whether the last warning was given, and long enough ago to be acted upon."""
    return (
        health.warned_percent == WARNINGS_PERCENT[0]
        and health.warned_at is not None
        and at - health.warned_at >= LAST_WARNING_AHEAD
    )


def _rest(health: Health, attempted: Attempted, at: datetime) -> datetime | None:
    """Return until when it is left alone: as long as it asks, and longer the longer it fails."""
    rest = timedelta(seconds=attempted.retry_after_seconds or 0)
    over = health.failures + 1 - REST_AFTER
    if over >= 0:
        doubled = FIRST_REST * min(2**over, LONGEST_REST // FIRST_REST)
        rest = max(rest, doubled)
    ends = [each for each in (health.resting_until, at + rest if rest else None) if each]
    return max(ends, default=None)
