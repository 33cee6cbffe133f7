"""What pages an operator: alarms that each name the runbook to follow, and one dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns

from infra.catalogue import declared
from infra.function import METRICS_NAMESPACE
from infra.responses import STAGE
from ivy.serve.declaration import Route

if TYPE_CHECKING:
    from constructs import Construct

    from infra.catalogue import Function
    from infra.data import DataStack
    from infra.target import Target
    from infra.workers import WorkersStack

RUNBOOKS = "docs/runbooks"
PERIOD = Duration.minutes(1)
OVERDUE_SECONDS = 1
"""Work is overdue when it is five minutes late."""

WAITING_SECONDS = 60
"""Events are published within seconds; a minute later they are published by the schedule."""

DEBT_DAYS = 30
"""A balance of live mode that is below zero for so long is not coming back by itself."""

DEBIT_DAYS = 7
"""A debit of a recovery that is under way for so long is stuck; banks take one day."""

UNMATCHED_DAYS = 2
"""A line of a statement that nobody has accounted for by then."""

OVERDUE_DAYS = 4
"""What an acquirer said that it pays is not there: after a weekend and a day."""

BANK = "bank-files"
BANK_COUNTS = {
    "bank-file-rejected": "BankFileRejected",
    "bank-file-failed": "BankFileFailed",
    "bank-answer-unmatched": "BankAnswerUnmatched",
}

QUEUE_AGE_SECONDS = 300
SERVER_ERRORS_A_MINUTE = 5
SLOW_MS = 3000
FRONT_FAILURES_A_MINUTE = 50
CAPACITY_PERCENT = 90


class WatchStack(Stack):
    """Alarms, the topic they go to, the dashboard."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        target: Target,
        functions: list[Function],
        data: DataStack,
        workers: WorkersStack,
        **stack: Any,
    ) -> None:
        super().__init__(scope, construct_id, **stack)
        self._prefix = target.prefix
        self._topic = sns.Topic(
            self,
            "Alarms",
            topic_name=f"{target.prefix}-alarms",
            enforce_ssl=target.on_aws,
        )
        self._alarms: list[cloudwatch.Alarm] = []
        for function in functions:
            self._function(function)
        self._queues(data, workers)
        self._gateway()
        self._product(functions)
        if data.database is not None:
            self._database(f"{target.prefix}-ledger")
        self._dashboard()

    def _alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        threshold: float,
        runbook: str,
        *,
        minutes: int = 1,
    ) -> None:
        """Add an alarm for a metric at or above a threshold for some minutes in a row."""
        alarm = cloudwatch.Alarm(
            self,
            name.title().replace("-", ""),
            alarm_name=f"{self._prefix}-{name}",
            alarm_description=f"{RUNBOOKS}/{runbook}.md",
            metric=metric,
            threshold=threshold,
            evaluation_periods=minutes,
            comparison_operator=(cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD),
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self._topic))
        self._alarms.append(alarm)

    def _function(self, function: Function) -> None:
        """Handlers never raise, so an error means a crash, a timeout, or memory used up."""
        name = function.physical_name(self._prefix)
        errors = _metric("AWS/Lambda", "Errors", {"FunctionName": name})
        self._alarm(f"errors-{function.noun}-{function.verb}", errors, 1, "function-errors")

    def _queues(self, data: DataStack, workers: WorkersStack) -> None:
        dead = [f"{self._prefix}-{name}-dead-letters" for name in data.dead_letters]
        if workers.dead_letters is not None:
            dead.append(f"{self._prefix}-jobs-dead-letters")
        for queue in dead:
            waiting = _metric(
                "AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": queue}, "Maximum"
            )
            self._alarm(queue.removeprefix(f"{self._prefix}-"), waiting, 1, "dead-letters")
        for name in data.shared.queues:
            oldest = _metric(
                "AWS/SQS",
                "ApproximateAgeOfOldestMessage",
                {"QueueName": f"{self._prefix}-{name}"},
                "Maximum",
            )
            self._alarm(f"queue-age-{name}", oldest, QUEUE_AGE_SECONDS, "queue-age", minutes=3)

    def _gateway(self) -> None:
        stage = {"ApiName": self._prefix, "Stage": STAGE}
        failed = _metric("AWS/ApiGateway", "5XXError", stage)
        self._alarm("gateway-errors", failed, SERVER_ERRORS_A_MINUTE, "gateway-errors", minutes=3)
        slow = _metric("AWS/ApiGateway", "Latency", stage, "p99")
        self._alarm("gateway-latency", slow, SLOW_MS, "gateway-latency", minutes=5)
        throttled = _metric("AWS/Lambda", "Throttles", {})
        self._alarm("throttles", throttled, 1, "throttles", minutes=3)

    def _product(self, functions: list[Function]) -> None:
        """Alarm on what functions report about themselves; ``service`` is the function's noun."""
        self._alarm("stuck", _overdue(), OVERDUE_SECONDS, "stuck", minutes=3)
        self._alarm("events-waiting", _waiting(), WAITING_SECONDS, "events-waiting", minutes=3)
        for name, metric in BANK_COUNTS.items():
            self._alarm(name, _metric(METRICS_NAMESPACE, metric, {"service": "bank"}), 1, BANK)
        unwritable = _metric(METRICS_NAMESPACE, "PayoutUnwritable", {"service": "payouts"})
        self._alarm("payout-unwritable", unwritable, 1, BANK)
        unmatched = _metric(
            METRICS_NAMESPACE, "BankLineUnmatchedDays", {"service": "bank"}, "Maximum"
        )
        self._alarm("bank-line-unmatched", unmatched, UNMATCHED_DAYS, BANK, minutes=3)
        overdue = _metric(
            METRICS_NAMESPACE, "AcquirerSettlementOverdueDays", {"service": "bank"}, "Maximum"
        )
        self._alarm("acquirer-settlement-overdue", overdue, OVERDUE_DAYS, BANK, minutes=3)
        debts = _metric(
            METRICS_NAMESPACE, "NegativeBalanceDays", {"service": "recoveries"}, "Maximum"
        )
        self._alarm("negative-balance", debts, DEBT_DAYS, "recoveries", minutes=3)
        collecting = _metric(
            METRICS_NAMESPACE, "RecoveryDebitDays", {"service": "recoveries"}, "Maximum"
        )
        self._alarm("recovery-debit", collecting, DEBIT_DAYS, "recoveries", minutes=3)
        for noun in sorted({f.noun for f, route in declared(functions, Route) if route.idempotent}):
            failed = _metric(METRICS_NAMESPACE, "IdempotencyFrontFailed", {"service": noun})
            self._alarm(
                f"front-failed-{noun}", failed, FRONT_FAILURES_A_MINUTE, "front-failed", minutes=5
            )

    def _database(self, cluster: str) -> None:
        capacity = _metric("AWS/RDS", "ACUUtilization", {"DBClusterIdentifier": cluster}, "Maximum")
        self._alarm("database-capacity", capacity, CAPACITY_PERCENT, "database", minutes=10)
        lag = _metric(
            "AWS/RDS", "AuroraReplicaLagMaximum", {"DBClusterIdentifier": cluster}, "Maximum"
        )
        self._alarm("database-standby-lag", lag, 1000, "database", minutes=5)

    def _dashboard(self) -> None:
        """The alarms first, then what they are made of."""
        stage = {"ApiName": self._prefix, "Stage": STAGE}
        dashboard = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=self._prefix)
        dashboard.add_widgets(
            cloudwatch.AlarmStatusWidget(title="Alarms", alarms=[*self._alarms], width=24)
        )
        dashboard.add_widgets(
            _graph(
                "Requests",
                [_metric("AWS/ApiGateway", n, stage) for n in ("Count", "4XXError", "5XXError")],
            ),
            _graph(
                "Latency, ms",
                [_metric("AWS/ApiGateway", "Latency", stage, p) for p in ("p50", "p99")],
            ),
            _graph(
                "Work: most overdue, s",
                [_overdue()],
            ),
            _graph(
                "Events: longest without a number, s",
                [_waiting()],
            ),
        )


def _metric(
    namespace: str, name: str, dimensions: dict[str, str], statistic: str = "Sum"
) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        dimensions_map=dimensions,
        statistic=statistic,
        period=PERIOD,
    )


def _overdue() -> cloudwatch.Metric:
    return _metric(METRICS_NAMESPACE, "OutboxOverdue", {"service": "outbox"}, "Maximum")


def _waiting() -> cloudwatch.Metric:
    return _metric(METRICS_NAMESPACE, "EventsWaiting", {"service": "events"}, "Maximum")


def _graph(title: str, metrics: list[cloudwatch.Metric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=[*metrics], width=8)
