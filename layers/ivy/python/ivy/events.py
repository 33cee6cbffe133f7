"""Events: one row per change of state, written in the transaction of the change itself.

Afterwards ``ivy.event_order`` gives each its place in the stream of its merchant and mode: 1, 2, 3,
… with no gap. An event is visible to merchants once it has its number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, LiteralString, Protocol, TypeVar, get_args
from uuid import UUID, uuid5

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from ivy import ids, objects, observe, pages
from ivy.aws import client
from ivy.database import Database, Tenant, Transaction
from ivy.models import API_VERSION, Object, Time, example
from ivy.settings import settings

MAX_BODY_BYTES = 20_000
FREE_MEMBERS = ("metadata", "evidence", "description")
"""What merchants can fill at will."""

MoneyEventType = Literal[
    "charge.pending",
    "charge.requires_action",
    "charge.authorized",
    "charge.captured",
    "charge.succeeded",
    "charge.failed",
    "charge.canceled",
    "charge.expired",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.succeeded",
    "refund.failed",
    "refund.canceled",
    "dispute.created",
    "dispute.updated",
    "dispute.funds_withdrawn",
    "dispute.funds_reinstated",
    "dispute.won",
    "dispute.lost",
    "settlement.closed",
    "settlement.report_ready",
    "settlement.paid_out",
    "settlement.payout_returned",
    "reserve.held",
    "reserve.released",
    "payout.approval_requested",
    "payout.created",
    "payout.approved",
    "payout.rejected",
    "payout.canceled",
    "payout.in_transit",
    "payout.paid",
    "payout.failed",
    "payout.returned",
    "balance.negative",
    "balance.available",
    "recovery.opened",
    "recovery.recovered",
    "recovery.written_off",
    "recovery_debit.created",
    "recovery_debit.in_transit",
    "recovery_debit.collected",
    "recovery_debit.failed",
    "recovery_debit.returned",
    "recovery_debit.canceled",
]
"""Each is a transition of ``ivy.states``."""

BankAccountEventType = Literal[
    "bank_account.created",
    "bank_account.deposits_sent",
    "bank_account.verified",
    "bank_account.verification_failed",
    "bank_account.deleted",
]
"""Transitions too, which move no money."""

ClockEventType = Literal["test_clock.advancing", "test_clock.ready"]
"""Transitions of a merchant's time."""

EndpointEventType = Literal[
    "webhook_endpoint.test",
    "webhook_endpoint.warning",
    "webhook_endpoint.disabled",
    "webhook_endpoint.recovered",
]
ReportEventType = Literal["report.created", "report.ready"]
"""Transitions of what merchants ask for about the rest."""

MerchantEventType = Literal["merchant.updated"]
"""Changes of what has no states."""

EventType = (
    MoneyEventType
    | BankAccountEventType
    | ReportEventType
    | ClockEventType
    | EndpointEventType
    | MerchantEventType
)

EVENT_TYPES: tuple[str, ...] = (
    *get_args(MoneyEventType),
    *get_args(BankAccountEventType),
    *get_args(ReportEventType),
    *get_args(ClockEventType),
    *get_args(EndpointEventType),
    *get_args(MerchantEventType),
)

EVERY_TYPE = "*"


def _known_pattern(text: str) -> str:
    """Return a filter of event types; refuse one that no event could ever match."""
    if text in PATTERNS:
        return text
    raise PydanticCustomError(
        "event_type", "must be an event type, all types of an object such as charge.*, or *"
    )


PATTERNS = frozenset(
    {EVERY_TYPE, *EVENT_TYPES, *(f"{each.partition('.')[0]}.*" for each in EVENT_TYPES)}
)
TypePattern = Annotated[
    str,
    AfterValidator(_known_pattern),
    Field(
        description="An event type, all types of an object, or `*`.",
        json_schema_extra={"enum": sorted(PATTERNS), "examples": ["charge.*"]},
    ),
]


class BalanceChange(Object):
    """What a change did to one of the merchant's balances."""

    account: Annotated[
        str,
        Field(
            description="`pending`, `available`, `reserve`, `dispute_hold` or `payouts_in_transit`."
        ),
    ]
    currency: str
    amount: Annotated[int, Field(description="Minor units; negative takes away.")]


class Event(Object):
    """A change of an object: ``data`` is the object as the change left it.

    ``sequence`` counts the events of one merchant in one mode without gaps; ``data.version`` counts
    the changes of one object. The schema of ``data`` follows from ``type``: see Webhooks. Whoever
    adds up all ``balance_changes`` has the merchant's balances.
    """

    model_config = example(
        id="evt_019ab2c4d7127b3c8e55d02f8b1c4e6b",
        object="event",
        livemode=False,
        created_at="2026-11-24T09:30:01.000Z",
        type="charge.succeeded",
        sequence=42,
        api_version=API_VERSION,
        data={"id": "ch_019ab2c4d5e67f8091a2b3c4d5e6f708", "object": "charge", "version": 2},
        balance_changes=[{"account": "pending", "currency": "USD", "amount": 9680}],
    )

    id: ids.EventId
    object: Literal["event"] = "event"
    livemode: bool
    created_at: Time
    type: str
    sequence: int
    api_version: str = API_VERSION
    data: dict[str, Any]
    balance_changes: list[BalanceChange]


_WRITTEN_ID = re.compile("[a-z]+_([0-9a-f]{32})")


def _any_id(text: str) -> str:
    if _WRITTEN_ID.fullmatch(text):
        return text
    raise PydanticCustomError("id", "must be the id of an object, such as ch_019ab2c4…")


class EventQuery(pages.Page):
    """Which events to list: newest first, or forward from ``after_sequence``."""

    of = "evt"

    after_sequence: Annotated[
        int | None,
        Field(ge=0, le=2**63 - 1, description="List forward: the events that follow this one."),
    ] = None
    type: TypePattern | None = None
    object: Annotated[
        str | None,
        AfterValidator(lambda text: text and _any_id(text)),
        Field(description="The id of an object: its history."),
    ] = None


class Announced(Protocol):
    """An object as a caller sees it."""

    def model_dump_json(self) -> str:
        """Return it as callers see it."""


def record(
    tx: Transaction,
    tenant: Tenant,
    *,
    event: EventType,
    subject: UUID,
    version: int,
    data: Announced,
    at: datetime,
    ledger_transaction: UUID | None = None,
) -> UUID:
    """Write the event that announces a change, and return its id.

    ``ledger_transaction`` is the posting that the change made.

    The table accepts one event per version of an object, so a change cannot be announced twice
    and two changes cannot share an announcement. ``data`` is the object as the change left it.
    """
    tx.to_publish = True
    event_id = ids.new(at)
    text = data.model_dump_json()
    tx.told[text.encode()] = event_id
    tx.run(
        _RECORD,
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        id=event_id,
        subject=subject,
        version=version,
        event=event,
        data=text,
        ledger_transaction=ledger_transaction,
        at=at,
    )
    return event_id


@dataclass(frozen=True, slots=True)
class Announcement:
    """A change that is announced together with others: what ``record`` takes of one."""

    tenant: Tenant
    event: EventType
    subject: UUID
    version: int
    data: Announced
    at: datetime
    ledger_transaction: UUID | None = None


def record_all(tx: Transaction, announcements: Sequence[Announcement]) -> None:
    """Write the events of several merchants in one statement, as ``record`` does each."""
    if not announcements:
        return
    tx.to_publish = True
    tx.run(
        _RECORD_ALL,
        merchant_id=[each.tenant.merchant_id for each in announcements],
        livemode=[each.tenant.livemode for each in announcements],
        id=[ids.new(each.at) for each in announcements],
        subject=[each.subject for each in announcements],
        version=[each.version for each in announcements],
        event=[each.event for each in announcements],
        data=[each.data.model_dump_json() for each in announcements],
        ledger_transaction=[each.ledger_transaction for each in announcements],
        at=[each.at for each in announcements],
    )


def wake(database: Database) -> None:
    """Let what was committed since the last call be published now, not within a minute.

    Never raises: the schedule publishes whatever nobody was woken for. A function that does not
    declare the need leaves it to the schedule.
    """
    to_publish, database.to_publish = database.to_publish, False
    url = settings().events_queue_url
    if not to_publish or url is None:
        return
    try:
        client("sqs").send_message(QueueUrl=url, MessageBody="{}")
    except Exception:  # noqa: BLE001 - the events are committed; only the kick is lost
        observe.failure("events.wake_failed")


def get(tx: Transaction, event_id: UUID) -> Event:
    """Return one event of the transaction's tenant.

    Raises:
        ResourceMissing: This merchant has no such event in this mode.
    """
    return objects.one(tx, Event, _SELECT + " WHERE events.id = %(id)s", event_id)


def page(tx: Transaction, query: EventQuery) -> pages.Listing[Event]:
    """Return one page of events: newest first, or forward from ``after_sequence``."""
    lowest, below = query.bounds()
    forward = query.after_sequence is not None
    found = tx.rows(
        Event,
        _SELECT
        + " WHERE events.id >= %(lowest)s"
        # only what is asked: see ``pages.read``
        + (_OF_TYPE if query.type else "")
        + (" AND object_id = %(object)s" if query.object else "")
        + (_FORWARD if forward else _BACKWARD)
        + query.rows,
        lowest=lowest,
        below=below,
        after=query.after_sequence,
        cursor=query.last_id,
        type=query.type,
        object=_subject(query.object) if query.object else None,
    )
    return pages.listing(Event, found, query.limit)


def of_merchant(merchant: UUID) -> UUID:
    """Return the subject of events about a merchant itself, whose id its test clock has too."""
    return uuid5(merchant, "merchant")


def _subject(written: str) -> UUID:
    prefix, _, digits = written.partition("_")
    named = UUID(hex=digits)
    return of_merchant(named) if prefix == "mer" else named


Data = TypeVar("Data")


class Notification(Object, Generic[Data]):
    """The body of a webhook: ``data`` is the object as the change left it.

    ``omitted`` names members of ``data`` that would have made it too large.
    """

    id: ids.EventId
    type: str
    timestamp: Time
    sequence: int
    livemode: bool
    api_version: str
    data: Data
    balance_changes: list[BalanceChange]
    omitted: tuple[str, ...] = ()


def notification(event: Event, api_version: str) -> str:
    """Return what receivers of webhooks get of an event: always the same bytes, below 20 kB.

    An object that does not fit goes without the members that merchants can fill at will; it still
    has them when it is asked for.
    """
    written = Notification[dict[str, Any]](
        id=event.id,
        type=event.type,
        timestamp=event.created_at,
        sequence=event.sequence,
        livemode=event.livemode,
        api_version=api_version,
        data=event.data,
        balance_changes=event.balance_changes,
    )
    text = written.model_dump_json(exclude_defaults=True)
    if len(text.encode()) < MAX_BODY_BYTES:
        return text
    omitted = tuple(name for name in FREE_MEMBERS if event.data.get(name))
    kept = {
        name: ({} if isinstance(each, dict) else None) if name in omitted else each
        for name, each in event.data.items()
    }
    return written.model_copy(update={"data": kept, "omitted": omitted}).model_dump_json()


_RECORD = """
    INSERT INTO events (merchant_id, livemode, id, object_id, version, type, data,
                        ledger_transaction, created_at)
    VALUES (%(merchant_id)s, %(livemode)s, %(id)s, %(subject)s, %(version)s, %(event)s,
            %(data)s, %(ledger_transaction)s, %(at)s)
"""

# In binary: escaping texts that are written as an array takes longer than all the rest of it.
_RECORD_ALL = """
    INSERT INTO events (merchant_id, livemode, id, object_id, version, type, data,
                        ledger_transaction, created_at)
    SELECT * FROM unnest(
        %(merchant_id)s::bigint[], %(livemode)s::boolean[], %(id)s::uuid[], %(subject)s::uuid[],
        %(version)s::integer[], %(event)b::text[], %(data)b::text[]::json[],
        %(ledger_transaction)s::uuid[], %(at)b::timestamptz[])
"""

# The whole posting that an event announces: what is too long for one row has several.
BALANCE_CHANGES: LiteralString = """
    coalesce((
        SELECT json_agg(json_build_object(
            'account', chart.name, 'currency', currencies.code, 'amount', -leg.amount)
            ORDER BY leg.account, journal.part)
        FROM journal AS announced
        JOIN journal ON (journal.source, journal.kind) = (announced.source, announced.kind)
        CROSS JOIN LATERAL (VALUES (journal.a1, journal.v1), (journal.a2, journal.v2),
            (journal.a3, journal.v3), (journal.a4, journal.v4)) AS leg (account, amount)
        JOIN chart ON chart.code = mod(leg.account, 1000) AND chart.code BETWEEN 200 AND 299
        JOIN currencies ON currencies.number = mod(leg.account / 10000, 1000)
        WHERE (announced.owner, announced.livemode, announced.id)
            = (events.merchant_id, events.livemode, events.ledger_transaction)), '[]')
        AS balance_changes
"""

_SELECT: LiteralString = (
    "SELECT events.id, events.livemode, created_at, type, sequence, data, "
    + BALANCE_CHANGES
    + " FROM events JOIN event_numbers ON event_id = events.id"
)

_OF_TYPE = " AND %(type)s IN ('*', type, split_part(type, '.', 1) || '.*')"

_BACKWARD = " AND events.id < %(below)s ORDER BY events.id DESC"

_FORWARD = """
    AND sequence > greatest(%(after)s, (
        SELECT sequence FROM event_numbers WHERE event_id = %(cursor)s))
    ORDER BY sequence
"""
