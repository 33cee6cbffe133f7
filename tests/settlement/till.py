"""A merchant's till: charges made on given days, and what settlement makes of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from functions.events import list as list_events
from functions.merchants import balance
from functions.settlements import get
from functions.settlements import list as list_settlements
from tests.simulation.sandbox import Sandbox
from tests.simulation.shop import Shop


class Till(Shop):
    """One of a sandbox's two merchants, on a day that the test names."""

    def __init__(self, here: Sandbox, who: int = 0) -> None:
        super().__init__(here, who)
        self.be("2026-11-24 09:00")

    def be(self, at: str) -> None:
        """Let it be a time of UTC."""
        self.here.clock.set(datetime.fromisoformat(at).replace(tzinfo=UTC))

    def close(self, at: str) -> list[dict[str, Any]]:
        """Let the schedule settle at a time, and return every batch, oldest first."""
        self.be(at)
        self.here.settle()
        return self.batches()

    def batches(self, **query: str) -> list[dict[str, Any]]:
        asked = {"limit": "100", **query}
        found = self.here.get(list_settlements.handler, self.account, asked).json()["data"]
        assert [self.batch(each["id"]) for each in found] == found
        return list(reversed(found))

    def batch(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.here.get(get.handler, self.account, id=name).json()
        return found

    def balance(self, currency: str = "USD") -> tuple[int, int, int]:
        """Return what is pending, available and reserved."""
        lines = self.here.get(balance.handler, self.account).json()["balances"]
        (line,) = [each for each in lines if each["currency"] == currency]
        return line["pending"], line["available"], line["reserved"]

    def told(self, object_type: str) -> list[dict[str, Any]]:
        """Return the events about a kind of object, in their order."""
        self.here.left_over()
        query = {"after_sequence": "0", "type": f"{object_type}.*", "limit": "100"}
        found: list[dict[str, Any]] = self.here.get(
            list_events.handler, self.account, query
        ).json()["data"]
        return found

    def set(self, **terms: Any) -> None:
        """Change what was agreed with the merchant."""
        for name, value in terms.items():
            self.here.connection.execute(
                f"UPDATE merchants SET {name} = %s WHERE id = %s".encode(),
                (value, self.account.merchant_id),
            )
