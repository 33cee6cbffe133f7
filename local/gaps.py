"""What the emulator leaves out, done here in the open.

Each function names one gap. Nothing in the product or its templates knows about any of them:
the same templates need none of this on AWS.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local.aws import Aws
    from local.deployer import Stack

METRICS_SECONDS = 5.0
METRICS_PER_CALL = 500


def expire_items(aws: Aws, stacks: list[Stack]) -> int:
    """Gap: the time-to-live of a DynamoDB table in a template is ignored. Set it by API call.

    Returns:
        How many tables it was set on.
    """
    wanted = dict(pair for stack in stacks for pair in _time_to_live(stack))
    if not wanted:
        return 0
    dynamodb = aws.client("dynamodb")
    cloudformation = aws.client("cloudformation")
    for (stack, logical), specification in wanted.items():
        found = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=logical)
        table = found["StackResourceDetail"]["PhysicalResourceId"]
        state = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        if state["TimeToLiveStatus"] not in ("ENABLED", "ENABLING"):
            dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=specification)
    return len(wanted)


class MetricsForwarder:
    """Gap: metrics embedded in log lines (EMF) never become metrics. Read and send them.

    A thread looks at what the functions logged since it last looked, and puts each embedded
    metric, so that alarms and `GetMetricData` behave as on AWS.
    """

    def __init__(self, aws: Aws, prefix: str) -> None:
        self._logs = aws.client("logs")
        self._cloudwatch = aws.client("cloudwatch")
        self._prefix = prefix
        self._began = int(time.time() * 1000)
        self._read: dict[str, tuple[int, int]] = {}
        """Of each group, until when it was read, and the bytes that it held then."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin forwarding."""
        self._thread.start()

    def stop(self) -> None:
        """Forward what is left and end."""
        self._stopped.set()
        self._thread.join(timeout=METRICS_SECONDS)

    def forward(self) -> int:
        """Forward what was logged since the last call; return how many values that were."""
        data: dict[str, list[dict[str, Any]]] = {}
        for line in self._lines():
            for namespace, datum in embedded(line):
                data.setdefault(namespace, []).append(datum)
        for namespace, values in data.items():
            for first in range(0, len(values), METRICS_PER_CALL):
                self._cloudwatch.put_metric_data(
                    Namespace=namespace, MetricData=values[first : first + METRICS_PER_CALL]
                )
        return sum(map(len, data.values()))

    def _run(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - loaded by now

        while not self._stopped.wait(METRICS_SECONDS):
            with suppress(BotoCoreError, ClientError):  # the emulator is restarting or stopping
                self.forward()

    def _lines(self) -> list[str]:
        """Return what groups hold since they were read, of those that have grown since.

        There are a hundred of them, few say anything, and each question is a request.
        """
        until = int(time.time() * 1000)
        pages = self._logs.get_paginator("describe_log_groups").paginate(
            logGroupNamePrefix=self._prefix
        )
        sizes = {
            group["logGroupName"]: int(group.get("storedBytes", 0))
            for page in pages
            for group in page["logGroups"]
        }
        lines = []
        for group, size in sizes.items():
            since, before = self._read.get(group, (self._began, 0))
            if size == before and any(sizes.values()):  # some emulators tell no sizes at all
                continue
            for page in self._logs.get_paginator("filter_log_events").paginate(
                logGroupName=group, startTime=since, endTime=until - 1, filterPattern='"_aws"'
            ):
                lines += [event["message"] for event in page["events"]]
            self._read[group] = (until, size)
        return lines


def embedded(line: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the (namespace, datum) pairs that one EMF log line holds."""
    try:
        record = json.loads(line)
        envelope = record["_aws"]
        directives = envelope["CloudWatchMetrics"]
    except (ValueError, KeyError, TypeError):
        return []
    moment = envelope["Timestamp"] / 1000
    found = []
    for directive in directives:
        for names in directive.get("Dimensions") or [[]]:
            dimensions = [{"Name": name, "Value": str(record[name])} for name in names]
            for metric in directive["Metrics"]:
                values = record[metric["Name"]]
                datum = {
                    "MetricName": metric["Name"],
                    "Dimensions": dimensions,
                    "Timestamp": moment,
                    "Unit": metric.get("Unit", "None"),
                    "Values": values if isinstance(values, list) else [values],
                }
                found.append((directive["Namespace"], datum))
    return found


def _time_to_live(stack: Stack) -> list[tuple[tuple[str, str], dict[str, Any]]]:
    resources = json.loads(stack.template.read_text())["Resources"]
    return [
        ((stack.name, logical), resource["Properties"]["TimeToLiveSpecification"])
        for logical, resource in resources.items()
        if resource["Type"] in ("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable")
        and "TimeToLiveSpecification" in resource.get("Properties", {})
    ]
