"""What a million charges come to on AWS: what is counted of one, times ``prices.json``.

Everything is in it that is paid for each charge: the gateway with its firewall, its access log and
its traces, every invocation with its log, the idempotency record, the queues, the database with its
storage of a month, the answer on its way out. What is paid by the month is not: keys, alarms,
endpoints of the network, schedules, the database when nothing happens, snapshots.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.counting import Counts
from bench.rounds import MICRO, Figure, counted
from functions.charges import create, process
from functions.events import publish

PRICES = Path(__file__).parent / "prices.json"
MILLION = 1_000_000
MEMORY_GB = {
    each.handler.name: each.handler.memory_mb / 1024 for each in (create, process, publish)
}
ONE_BY_ONE = 1


@dataclass(frozen=True, slots=True)
class Used:
    """What a charge was measured to use: microseconds of CPU, and bytes."""

    server_us: float
    create_us: float
    process_us: float
    publish_us: float
    wal_bytes: float
    stored_bytes: float


def figures(counts: Counts, used: Used) -> list[Figure]:
    """Return what is counted, and what it comes to."""
    prices = json.loads(PRICES.read_text())
    statements = sum(counts["statements"].values())
    calls = sum(sum(each.values()) for each in counts["calls"].values())
    parts = dollars(counts, used, prices)
    alone = sum(dollars(counts, used, prices, batch=ONE_BY_ONE).values())
    told = ", ".join(f"{name} {price:.2f}" for name, price in parts.items())
    return [
        Figure("14a", "statements of a charge's whole life", "", counted(statements), "counted"),
        Figure("14b", "calls of AWS in a charge's whole life", "", counted(calls), "counted"),
        Figure(
            "14c", "a million charges, modelled from prices.json", "$",
            counted(sum(parts.values())), "modelled", gate=8, target=4.5, note=told,
        ),
        Figure(
            "14d", "the same, with so few that each is a batch of its own", "$", counted(alone),
            "modelled",
        ),
    ]  # fmt: skip


def dollars(
    counts: Counts, used: Used, prices: Mapping[str, Any], batch: int | None = None
) -> dict[str, float]:
    """Return what a million charges come to, by what is paid for.

    Args:
        counts: What is counted of a charge.
        used: What is measured of it.
        prices: What is in ``prices.json``.
        batch: Charges that a queue hands over at once, if other than assumed there.
    """
    assumed = prices["assumptions"]
    together = batch or assumed["charges_in_a_batch"]
    each: defaultdict[str, float] = defaultdict(float)
    each.update(
        {
            "REST API": prices["rest_api_request"],
            "firewall": prices["firewall_request"],
            "traces": assumed["traced"] * prices["trace"],
            "logs": assumed["access_log_bytes"] * prices["log_byte_infrequent_access"],
            "out": assumed["answer_bytes"] * prices["byte_out"],
            "Aurora": _aurora(used, prices),
        }
    )
    cpu_ms = {
        "charges/create": used.create_us / 1e3,
        "charges/process": used.process_us / 1e3 * together,
        "events/publish": used.publish_us / 1e3 * together,
    }
    for name, calls in counts["calls"].items():
        share = 1.0 if name == "charges/create" else 1 / together
        seconds = _seconds(assumed, name, cpu_ms[name], calls, together)
        each["Lambda"] += share * _invocation(prices, MEMORY_GB[name], seconds)
        lines = 1 if name == "charges/process" else share  # it writes one for each message
        written = counts["log_bytes"][name]
        written += assumed["traced"] * assumed["trace_id_bytes_of_a_line"]
        each["logs"] += lines * written * prices["log_byte"]
        each["SQS"] += share * prices["sqs_request"] * _queue_requests(assumed, name, calls)
        units = _write_units(assumed, calls, counts["item_bytes"])
        each["DynamoDB"] += share * units * prices["dynamodb_write_unit"]
    connector = assumed["connector"]
    asked = _invocation(prices, connector["memory_gb"], _asked_ms(assumed, together) / 1e3)
    each["Lambda"] += asked / together
    written = connector["log_bytes"] / together + connector["log_bytes_of_an_order"]
    each["logs"] += written * prices["log_byte"]
    return {name: price * MILLION for name, price in each.items()}


def _aurora(used: Used, prices: Mapping[str, Any]) -> float:
    """Return the price of the CPU of one charge, of its log, and of a month of its rows."""
    assumed = prices["assumptions"]
    hours = used.server_us / MICRO / 3600 * assumed["acu_of_one_busy_core"]
    written = used.wal_bytes / assumed["bytes_of_an_io"] * prices["aurora_io"]
    kept = used.stored_bytes / 1e9 * prices["aurora_gb_month"]
    return float(hours * prices["aurora_acu_hour"] + written + kept)


def _invocation(prices: Mapping[str, Any], memory_gb: float, seconds: float) -> float:
    return float(prices["lambda_request"] + seconds * memory_gb * prices["lambda_gb_second_arm"])


def _queue_requests(assumed: Any, name: str, calls: Mapping[str, int]) -> int:
    sent = sum(times for call, times in calls.items() if call.startswith("AmazonSQS"))
    polled = 0 if name == "charges/create" else assumed["sqs_requests_of_the_poller_per_batch"]
    return int(sent + polled)


def _write_units(assumed: Any, calls: Mapping[str, int], item_bytes: int) -> int:
    """Return the units that an invocation writes: one for each kilobyte begun of the whole item."""
    units: int = math.ceil(item_bytes / assumed["bytes_of_a_write_unit"])
    return calls.get("DynamoDB PutItem", 0) + calls.get("DynamoDB UpdateItem", 0) * units


def _seconds(
    assumed: Any, name: str, cpu_ms: float, calls: Mapping[str, int], together: int
) -> float:
    """Return for how long an invocation is billed: its share of a core, and what it waits for."""
    wait, total = assumed["wait_ms"], sum(calls.values())
    invoked = calls.get("Lambda Invoke", 0)
    working = cpu_ms + total * assumed["cpu_ms_of_an_aws_call"]
    waiting = (total - invoked) * wait["aws_call"]
    waiting += assumed["round_trips"][name] * wait["statement_round_trip"]
    if name == "charges/process":
        waiting += _asked_ms(assumed, together)
        waiting += wait["statement_round_trip"] * assumed["round_trips"][name] * (together - 1)
    return float(working / (MEMORY_GB[name] / assumed["memory_gb_of_one_core"]) + waiting) / 1e3


def _asked_ms(assumed: Any, together: int) -> float:
    """Return how long a connector takes: the CPU of every order, and one wait for all of them."""
    connector = assumed["connector"]
    core = connector["memory_gb"] / assumed["memory_gb_of_one_core"]
    return float(connector["cpu_ms"] * together / core + connector["wait_ms"])
