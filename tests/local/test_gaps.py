from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from local.gaps import MetricsForwarder, embedded

if TYPE_CHECKING:
    import pytest

    from local.aws import Aws


def line(**changes: Any) -> str:
    record = {
        "_aws": {
            "Timestamp": int(time.time() * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": "Ivy",
                    "Dimensions": [["route", "service"]],
                    "Metrics": [{"Name": "Latency", "Unit": "Milliseconds"}],
                }
            ],
        },
        "route": "charges/create",
        "service": "charges",
        "Latency": [12.5, 13.5],
    }
    return json.dumps(record | changes)


def test_an_embedded_metric_is_understood() -> None:
    [(namespace, datum)] = embedded(line())
    assert namespace == "Ivy"
    assert datum["MetricName"] == "Latency"
    assert datum["Unit"] == "Milliseconds"
    assert datum["Values"] == [12.5, 13.5]
    assert {d["Name"]: d["Value"] for d in datum["Dimensions"]} == {
        "route": "charges/create",
        "service": "charges",
    }


def test_a_single_value_counts_as_one() -> None:
    [(_, datum)] = embedded(line(Latency=3))
    assert datum["Values"] == [3]


def test_other_lines_are_not_metrics() -> None:
    for text in ("", "START RequestId: 1", '{"level": "INFO"}', "[1]", '{"_aws": 1}', "{"):
        assert embedded(text) == []


def test_a_logged_metric_becomes_one_that_can_be_read_and_is_sent_once(aws: Aws) -> None:
    logs, cloudwatch = aws.client("logs"), aws.client("cloudwatch")
    logs.create_log_group(logGroupName="/aws/lambda/gap-probe")
    logs.create_log_stream(logGroupName="/aws/lambda/gap-probe", logStreamName="one")
    forwarder = MetricsForwarder(aws, "/aws/lambda/gap-")
    now = int(time.time() * 1000)
    logs.put_log_events(
        logGroupName="/aws/lambda/gap-probe",
        logStreamName="one",
        logEvents=[{"timestamp": now, "message": text} for text in (line(), "no metric")],
    )
    time.sleep(0.01)

    assert forwarder.forward() == 1
    assert forwarder.forward() == 0

    found = cloudwatch.get_metric_statistics(
        Namespace="Ivy",
        MetricName="Latency",
        Dimensions=[
            {"Name": "route", "Value": "charges/create"},
            {"Name": "service", "Value": "charges"},
        ],
        StartTime=time.time() - 600,
        EndTime=time.time() + 600,
        Period=60,
        Statistics=["Sum", "SampleCount"],
    )["Datapoints"]
    assert sum(point["Sum"] for point in found) == 26


def test_a_group_that_has_not_grown_is_not_read_again(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = aws.client("logs")
    for name in ("busy", "idle"):
        logs.create_log_group(logGroupName=f"/aws/lambda/lull-{name}")
        logs.create_log_stream(logGroupName=f"/aws/lambda/lull-{name}", logStreamName="one")
    forwarder = MetricsForwarder(aws, "/aws/lambda/lull-")

    def say(group: str) -> None:
        logs.put_log_events(
            logGroupName=f"/aws/lambda/lull-{group}",
            logStreamName="one",
            logEvents=[{"timestamp": int(time.time() * 1000), "message": line()}],
        )
        time.sleep(0.01)

    asked: list[str] = []
    paginator = logs.get_paginator

    def watched(operation: str) -> Any:
        made = paginator(operation)

        def paginate(**wanted: Any) -> Any:
            if operation == "filter_log_events":
                asked.append(wanted["logGroupName"])
            return made.paginate(**wanted)

        return SimpleNamespace(paginate=paginate)

    monkeypatch.setattr(logs, "get_paginator", watched)
    say("busy")
    assert (forwarder.forward(), asked) == (1, ["/aws/lambda/lull-busy"])
    assert (forwarder.forward(), asked) == (0, ["/aws/lambda/lull-busy"])
    say("idle")
    say("busy")
    assert forwarder.forward() == 2, "what was said while nobody read is not lost"
