"""The price of a charge: each thing that is paid for moves it, and nothing is free."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from bench import check, pricing
from bench.pricing import Used

USED = Used(2_000, 1_500, 2_000, 100, 6_000, 3_500)


@pytest.fixture
def prices() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(pricing.PRICES.read_text())
    return read


def test_every_price_of_a_charge_is_in_it(prices: dict[str, Any]) -> None:
    counts = check.committed()
    before = sum(pricing.dollars(counts, USED, prices).values())
    by_the_month = {name for name in prices if name.startswith(("lambda_snapshot", "lambda_rest"))}
    for name, price in prices.items():
        if isinstance(price, float) and name not in by_the_month:
            dearer = prices | {name: 2 * price}
            assert sum(pricing.dollars(counts, USED, dearer).values()) > before, name


def test_a_record_of_more_than_a_unit_is_written_for_two(prices: dict[str, Any]) -> None:
    counts = copy.deepcopy(check.committed())
    before = pricing.dollars(counts, USED, prices)["DynamoDB"]
    counts["item_bytes"] = 1_025
    unit = prices["dynamodb_write_unit"] * pricing.MILLION
    assert pricing.dollars(counts, USED, prices)["DynamoDB"] == pytest.approx(before + unit)


def test_batches_of_one_cost_more_and_only_what_queues_start(prices: dict[str, Any]) -> None:
    counts = check.committed()
    full = pricing.dollars(counts, USED, prices)
    alone = pricing.dollars(counts, USED, prices, batch=1)
    dearer = {name for name in full if alone[name] > full[name] * 1.001}
    assert dearer == {"Lambda", "SQS", "logs"}
