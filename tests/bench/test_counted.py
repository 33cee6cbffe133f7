"""What a charge takes must not grow unseen: what is counted is compared with what is committed.

``IVY_APPROVE=1`` commits to what was counted.
"""

from __future__ import annotations

import copy
import os

import pytest

from bench import check, counting
from bench.counting import Counts
from tests.driving import Platform

DYNAMODB_UNIT = 1024


@pytest.fixture
def counts(platform: Platform) -> Counts:
    return counting.counted(platform, platform.open_account())


def test_nothing_is_worse_than_what_is_committed(counts: Counts) -> None:
    if os.environ.get("IVY_APPROVE"):
        check.approve(counts)
    assert check.worse(counts, check.committed()) == []
    kept = set(counts["row_bytes"])
    assert all(counts["row_bytes"][table] > 0 for table in kept), "a table is not written any more"


def test_a_charge_writes_and_calls_what_it_says(counts: Counts) -> None:
    assert counts["calls"]["charges/create"] == {
        "AmazonSQS SendMessageBatch": 1,
        "DynamoDB PutItem": 1,
        "DynamoDB UpdateItem": 1,
    }
    assert counts["calls"]["charges/process"]["Lambda Invoke"] == 1
    assert counts["item_bytes"] <= DYNAMODB_UNIT, "each of two writes would cost twice as much"


def test_a_new_statement_import_and_row_are_seen() -> None:
    before = check.committed()
    now = copy.deepcopy(before)
    now["statements"]["charges/create"] += 1
    now["statements"]["charges/process"] -= 1
    now["row_bytes"]["events"] *= 2
    now["calls"]["charges/create"]["DynamoDB GetItem"] = 1
    now["modules"].append("boto3")
    now["modules"].remove("psycopg")
    assert [line.partition(":")[0] for line in check.worse(now, before)] == [
        "statements charges/create",
        "statements charges/process",
        "calls charges/create DynamoDB GetItem",
        "row_bytes events",
        "the charge function imports boto3",
        "the charge function imports psycopg no more",
    ]
