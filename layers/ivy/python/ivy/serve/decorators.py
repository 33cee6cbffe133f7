"""The decorators: they turn a typed function into a declaration that can run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from ivy.callers import Scope
from ivy.database import Transaction
from ivy.errors import Problem
from ivy.needs import Need
from ivy.serve.authorizing import AuthorizerHandler
from ivy.serve.commands import OperatorCommand
from ivy.serve.connecting import ConnectorHandler
from ivy.serve.declaration import (
    CONNECTOR_TIMEOUT_SECONDS,
    CONSUMER_BATCH,
    CONSUMER_CONCURRENCY,
    FUNCTION_TIMEOUT_SECONDS,
    MEMORY_MB,
)
from ivy.serve.http import Endpoint
from ivy.serve.queues import QueueConsumer
from ivy.serve.schedules import ScheduledJob


def endpoint(
    route: str,
    *,
    status: int = 200,
    scope: Scope | None = None,
    public: bool = False,
    idempotent: bool = False,
    repeatable: bool = False,
    settled: Callable[[Transaction, UUID], BaseModel | None] | None = None,
    bank_numbers: tuple[str, ...] = (),
    errors: tuple[type[Problem], ...] = (),
    uses: tuple[Need, ...] = (),
    memory_mb: int = MEMORY_MB,
    snapshot: bool = False,
) -> Callable[[Callable[..., Any]], Endpoint]:
    """Declare an HTTP endpoint.

    Args:
        route: ``"POST /v1/charges"``; parameters of the path in braces.
        status: The status of a successful answer.
        scope: What the credential must be allowed to do; None needs only a valid credential.
        public: Whether the route is open to everyone.
        idempotent: Whether ``Idempotency-Key`` is required; every POST that moves money says so.
        repeatable: Whether ``Idempotency-Key`` may be sent, and is honoured where it is. Such a
            function takes a transaction, and answers nothing secret: answers are kept.
        settled: Returns the object that the function answered once its outcome is known, None
            before; for requests that say ``"wait": true``.
        bank_numbers: Fields of the body that hold the number of a bank account. It may look like a
            card number, and can be guessed from a hash that has no key.
        errors: What the function can raise beyond what every route can.
        uses: The resources it touches.
        memory_mb: Lambda memory, and with it CPU.
        snapshot: Whether AWS starts it from a snapshot, at a price for every month it is deployed.
    """
    method, _, path = route.partition(" ")

    def declare(function: Callable[..., Any]) -> Endpoint:
        return Endpoint(
            function=function,
            uses=uses,
            memory_mb=memory_mb,
            snapshot=snapshot,
            method=method,
            path=path,
            status=status,
            scope=scope,
            idempotent=idempotent,
            repeatable=repeatable,
            public=public,
            settled=settled,
            bank_numbers=bank_numbers,
            errors=errors,
        )

    return declare


def consumer(
    queue: str,
    *,
    uses: tuple[Need, ...] = (),
    timeout_seconds: int = FUNCTION_TIMEOUT_SECONDS,
    parallel: bool = False,
    batch_size: int = CONSUMER_BATCH,
    max_concurrency: int = CONSUMER_CONCURRENCY,
    memory_mb: int = MEMORY_MB,
) -> Callable[[Callable[..., Any]], QueueConsumer]:
    """Declare the consumer of a queue; the queue and its dead-letter queue come with it.

    The function takes a ``Task``, or a model whose JSON its messages are; or nothing of them, and
    is then run once for each batch.

    Args:
        queue: The queue's name.
        uses: The resources it touches.
        timeout_seconds: For a whole batch.
        parallel: Whether the messages of a batch are worked on at once, each in its own thread:
            for functions that mostly wait, and keep nothing that threads must not share.
        batch_size: Messages that one invocation gets at most.
        max_concurrency: Environments that may work on the queue at once; AWS knows no fewer than 2.
        memory_mb: Lambda memory, and with it CPU.
    """

    def declare(function: Callable[..., Any]) -> QueueConsumer:
        return QueueConsumer(
            function=function,
            uses=uses,
            queue=queue,
            timeout_seconds=timeout_seconds,
            parallel=parallel,
            batch_size=batch_size,
            max_concurrency=max_concurrency,
            memory_mb=memory_mb,
        )

    return declare


def job(
    schedule: str | None,
    *,
    uses: tuple[Need, ...] = (),
    timeout_seconds: int = FUNCTION_TIMEOUT_SECONDS,
) -> Callable[[Callable[..., Any]], ScheduledJob]:
    """Declare work that a schedule starts, or the deployment when there is no schedule."""

    def declare(function: Callable[..., Any]) -> ScheduledJob:
        return ScheduledJob(
            function=function, uses=uses, schedule=schedule, timeout_seconds=timeout_seconds
        )

    return declare


def command(*, uses: tuple[Need, ...] = ()) -> Callable[[Callable[..., Any]], OperatorCommand]:
    """Declare a command of the operators; its one request parameter is a model of the payload."""

    def declare(function: Callable[..., Any]) -> OperatorCommand:
        return OperatorCommand(function=function, uses=uses)

    return declare


def authorizer(
    *, uses: tuple[Need, ...] = (), snapshot: bool = False
) -> Callable[[Callable[..., Any]], AuthorizerHandler]:
    """Declare the authoriser that stands before every route that is not public."""

    def declare(function: Callable[..., Any]) -> AuthorizerHandler:
        return AuthorizerHandler(function=function, uses=uses, snapshot=snapshot)

    return declare


def connector(
    acquirer: str, *, uses: tuple[Need, ...] = ()
) -> Callable[[Callable[..., Any]], ConnectorHandler]:
    """Declare the function that stands for an acquirer: it is given messages, and answers them."""

    def declare(function: Callable[..., Any]) -> ConnectorHandler:
        return ConnectorHandler(
            function=function,
            uses=uses,
            timeout_seconds=CONNECTOR_TIMEOUT_SECONDS,
            acquirer=acquirer,
        )

    return declare
