"""Connectors: each is a function of its own, invoked by those that hold the ledger."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from ivy import observe
from ivy.serve.declaration import ConnectorFunction


class ConnectorError(RuntimeError):
    """A connector failed; its log says why. Raised so that the alarm counts it."""


@dataclass(frozen=True, kw_only=True)
class ConnectorHandler(ConnectorFunction):
    """A connector that is its own Lambda handler; what the function returns is its answer."""

    def __call__(self, event: dict[str, Any], context: Any) -> Any:  # noqa: ARG002 - Lambda passes it
        """Answer one message. A failure is logged and raised without its text."""
        started = time.perf_counter()
        observe.correlate(str(event.get("correlation", "")))
        about = {"connector": self.acquirer, "method": event.get("method")}
        try:
            said = self.function(event)
        except Exception:  # noqa: BLE001 - logged; its text must not reach whoever asked
            observe.failure("connector.failed", **about)
            raise ConnectorError(f"{self.name} failed; see its log.") from None
        observe.line(
            "connector.answered",
            **about,
            **_orders(event, said),
            duration_ms=round((time.perf_counter() - started) * 1000, 1),
        )
        return said


def _orders(event: dict[str, Any], said: Any) -> dict[str, list[Any]]:
    """Say which orders a message was about, and what became of each: nothing if it had none."""
    if "orders" not in event:
        return {}
    charges = [each["order"]["charge"] for each in event["orders"]]
    return {"charges": charges, "outcomes": [each["outcome"] for each in said]}
