"""The part of the reference about what Ivy sends: one schema for each type of event."""

from __future__ import annotations

from typing import Any

from ivy.balance_states import BalanceState
from ivy.bank_accounts import BankAccount
from ivy.charges import Charge
from ivy.clocks import Clock
from ivy.disputes import Dispute
from ivy.events import EVENT_TYPES, Notification
from ivy.merchants import MerchantSettings
from ivy.payouts import Payout
from ivy.recoveries import Recovery
from ivy.recovery_debits import RecoveryDebit
from ivy.refunds import Refund
from ivy.reports import Report
from ivy.reserves import Reserve
from ivy.settlements import Settlement
from ivy.webhooks import Endpoint

DATA = {
    "charge": Charge.__name__,
    "refund": Refund.__name__,
    "dispute": Dispute.__name__,
    "settlement": Settlement.__name__,
    "reserve": Reserve.__name__,
    "report": Report.__name__,
    "payout": Payout.__name__,
    "bank_account": BankAccount.__name__,
    "test_clock": Clock.__name__,
    "webhook_endpoint": Endpoint.__name__,
    "balance": BalanceState.__name__,
    "recovery": Recovery.__name__,
    "recovery_debit": RecoveryDebit.__name__,
    "merchant": MerchantSettings.__name__,
}
"""The schema of ``data``, by the first part of an event's type."""

UNROUTED = (Reserve, BalanceState, Recovery, RecoveryDebit)
"""What no route answers with; everything else is described there."""

_DESCRIPTION = """\
Sent as [Standard Webhooks](https://www.standardwebhooks.com) 1.0.0 say, to each endpoint that
subscribes to it. Verify the bytes as they came. Any answer but 2xx within 15 seconds is a failure,
and the event is sent again: up to ten times in 75 hours.
"""

_HEADERS = {
    "webhook-id": (
        "The event's id, the same in every attempt.",
        "evt_019ab2c4d7127b3c8e55d02f8b1c4e6b",
    ),
    "webhook-timestamp": ("The second of the attempt, since 1970.", "1795512601"),
    "webhook-signature": (
        "For each secret of the endpoint `v1,` and the signature of `id.timestamp.body`.",
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
}


def webhooks() -> dict[str, Any]:
    """Return the ``webhooks`` of the reference."""
    return {
        event_type: {
            "post": {
                "tags": ["webhooks"],
                "summary": event_type,
                "description": _DESCRIPTION,
                "operationId": f"receive_{event_type.replace('.', '_')}",
                "security": [],
                "parameters": [
                    {
                        "name": name,
                        "in": "header",
                        "required": True,
                        "description": description,
                        "schema": {"type": "string"},
                        "example": example,
                    }
                    for name, (description, example) in _HEADERS.items()
                ],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": _reference(_name(event_type))}},
                },
                "responses": {"2XX": {"description": "It has arrived."}},
            }
        }
        for event_type in EVENT_TYPES
    }


def schemas() -> dict[str, Any]:
    """Return the schema of each type of event, and of what no route answers with, by its name."""
    return {
        **{each.__name__: each.model_json_schema(mode="serialization") for each in UNROUTED},
        **{_name(event_type): schema_of(event_type) for event_type in EVENT_TYPES},
    }


def schema_of(event_type: str) -> dict[str, Any]:
    """Return the JSON Schema of the bodies that announce one type of event."""
    schema = Notification[dict[str, Any]].model_json_schema(
        mode="serialization", ref_template="#/components/schemas/{model}"
    )
    del schema["$defs"]  # which the routes describe too
    schema["title"] = _name(event_type)
    schema["properties"]["type"] = {"const": event_type, "title": "Type"}
    schema["properties"]["data"] = _reference(DATA[event_type.partition(".")[0]])
    schema["required"] = [each for each in schema["properties"] if each != "omitted"]
    return schema


def _name(event_type: str) -> str:
    return event_type.replace(".", "_").title().replace("_", "") + "Event"


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
