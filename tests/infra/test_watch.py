"""Every alarm names a runbook that exists, and watches something that is really reported."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.infra.templates import REPOSITORY, Assembly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.catalogue import Function

RUNBOOKS = REPOSITORY / "docs" / "runbooks"
ON_DEMAND = {"rotate-secrets.md"}
"""Runbooks that an operator starts, not an alarm."""


def metrics(alarm: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "MetricName" in alarm:
        yield alarm
    for query in alarm.get("Metrics", []):
        if "MetricStat" in query:
            yield query["MetricStat"]["Metric"]


def test_each_alarm_names_its_runbook(aws: Assembly) -> None:
    described = {r.properties["AlarmDescription"] for r in aws.resources("AWS::CloudWatch::Alarm")}
    for path in described:
        assert (REPOSITORY / path).is_file(), path
    named = {path.removeprefix("docs/runbooks/") for path in described}
    assert {path.name for path in RUNBOOKS.glob("*.md")} - ON_DEMAND == named


def test_each_alarm_reaches_somebody(aws: Assembly) -> None:
    for alarm in aws.resources("AWS::CloudWatch::Alarm"):
        assert alarm.properties["AlarmActions"], alarm.where
        assert alarm.properties["TreatMissingData"] == "notBreaching", alarm.where


def test_every_function_and_every_queue_is_watched(
    assembly: Assembly, functions: list[Function]
) -> None:
    alarms = [r.properties for r in assembly.resources("AWS::CloudWatch::Alarm")]
    watched = {
        (metric["MetricName"], dimension["Value"])
        for alarm in alarms
        for metric in metrics(alarm)
        for dimension in metric.get("Dimensions", [])
    }
    for function in functions:
        assert ("Errors", function.physical_name("ivy")) in watched
    for queue in assembly.resources("AWS::SQS::Queue"):
        name = queue.properties["QueueName"]
        measure = (
            "ApproximateNumberOfMessagesVisible"
            if name.endswith("-dead-letters")
            else "ApproximateAgeOfOldestMessage"
        )
        assert (measure, name) in watched


def test_own_metrics_are_ones_that_the_code_reports(aws: Assembly) -> None:
    sources = "".join(
        path.read_text()
        for folder in ("layers/ivy/python/ivy", "functions")
        for path in (REPOSITORY / folder).rglob("*.py")
    )
    reported = set(re.findall(r'observe\.count\(\s*"(\w+)"', sources))
    alarmed = {
        metric["MetricName"]
        for alarm in aws.resources("AWS::CloudWatch::Alarm")
        for metric in metrics(alarm.properties)
        if metric["Namespace"] == "Ivy"
    }
    assert alarmed == {
        *("OutboxOverdue", "IdempotencyFrontFailed", "EventsWaiting", "PayoutUnwritable"),
        *("BankFileRejected", "BankFileFailed", "BankAnswerUnmatched", "BankLineUnmatchedDays"),
        *("AcquirerSettlementOverdueDays", "NegativeBalanceDays", "RecoveryDebitDays"),
    }
    assert alarmed <= reported
