"""What runs without a caller waiting: consumers of queues, scheduled and deploy-time jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_sqs as sqs

from infra.catalogue import declared
from infra.data import DEAD_LETTER_RETENTION
from infra.needs import all_granted
from ivy.serve.declaration import Command, Consumer, Job

if TYPE_CHECKING:
    from constructs import Construct

    from infra.catalogue import Function
    from infra.function import FunctionFactory
    from infra.needs import Shared
    from infra.target import Target

JOB_RETRIES = 2
JOB_AGE = Duration.hours(1)
CONSUME_ACTIONS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")


class WorkersStack(Stack):
    """Consumers and scheduled jobs, each with a place for what they could not do."""

    def __init__(self, scope: Construct, construct_id: str, **stack: Any) -> None:
        super().__init__(scope, construct_id, **stack)
        self.dead_letters: sqs.Queue | None = None

    def add(
        self, target: Target, functions: list[Function], shared: Shared, make: FunctionFactory
    ) -> None:
        """Add every consumer, every scheduled job and every operators' command."""
        for function, consumer in declared(functions, Consumer):
            most = min(consumer.max_concurrency, target.max_concurrency)
            self._consumer(function, consumer, shared, make, most)
        for function, job in declared(functions, Job):
            if job.schedule is not None:
                self._job(target, function, job.schedule, shared, make)
        for function, command in declared(functions, Command):
            make.make(function, all_granted(command.needs, shared))

    def _consumer(
        self,
        function: Function,
        consumer: Consumer,
        shared: Shared,
        make: FunctionFactory,
        max_concurrency: int,
    ) -> None:
        queue = shared.queues[consumer.queue]
        consume = iam.PolicyStatement(actions=[*CONSUME_ACTIONS], resources=[queue.queue_arn])
        made = make.make(function, all_granted(consumer.needs, shared), consume)
        lambda_.EventSourceMapping(
            made,
            "Queue",
            target=made,
            event_source_arn=queue.queue_arn,
            batch_size=consumer.batch_size,
            max_concurrency=max_concurrency,
            report_batch_item_failures=True,
        )

    def _job(
        self,
        target: Target,
        function: Function,
        schedule: str,
        shared: Shared,
        make: FunctionFactory,
    ) -> None:
        """Add a job, its rule, and both ways into the dead letters: not delivered, and failed."""
        dead = self.dead_letters = self.dead_letters or self._dead_letters(target)
        report = iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[dead.queue_arn])
        made = make.make(function, all_granted(function.declaration.needs, shared), report)
        made.configure_async_invoke(
            max_event_age=JOB_AGE,
            retry_attempts=JOB_RETRIES,
            on_failure=destinations.SqsDestination(dead),
        )
        events.Rule(
            made,
            "Schedule",
            rule_name=function.physical_name(target.prefix),
            description=f"Starts functions/{function.name}.py",
            schedule=events.Schedule.expression(schedule),
            targets=[
                targets.LambdaFunction(
                    made,
                    dead_letter_queue=dead,
                    max_event_age=JOB_AGE,
                    retry_attempts=JOB_RETRIES,
                )
            ],
        )

    def _dead_letters(self, target: Target) -> sqs.Queue:
        return sqs.Queue(
            self,
            "JobsDeadLetters",
            queue_name=f"{target.prefix}-jobs-dead-letters",
            retention_period=DEAD_LETTER_RETENTION,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=target.on_aws,
        )
