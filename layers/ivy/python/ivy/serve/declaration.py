"""Declarations: what a function is, before anything runs.

The object that ``@endpoint``, ``@consumer``, ``@job``, ``@authorizer`` or ``@connector`` leaves in
a module *is* the Lambda handler, and it carries everything ``infra/`` needs to deploy it. Nothing
here imports a web framework or an AWS library, so reading sixty declarations costs next to nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from ivy.aws import client
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.errors import Problem
from ivy.needs import Need
from ivy.serve import snapshots

FUNCTION_TIMEOUT_SECONDS = 15
"""Below the gateway's 29 s, above the database's 8 s statement timeout."""

CONNECTOR_TIMEOUT_SECONDS = 10
"""Above what anyone waits for a connector: it ends by itself, and is not killed over an order."""

DEPLOYED_AS = "IVY_FUNCTION"
"""The variable that says which function an environment is for; not set where there is none."""

MEMORY_MB = 512
BACKGROUND_MEMORY_MB = 256
"""For what nobody waits for and mostly waits itself: see docs/decisions/memory.md."""

CONSUMER_BATCH = 10
CONSUMER_CONCURRENCY = 20
"""Environments one queue may start: a backlog must not take every connection of the database."""

MAX_RECEIVES = 5


def services(need: Need) -> tuple[str, ...]:
    """Return the services of AWS that a function calls for a need."""
    if need.endswith("_queue"):
        return ("sqs",)
    return _SERVICES.get(need, ())


_SERVICES: dict[Need, tuple[str, ...]] = {
    Need.DATABASE: ("secretsmanager",),
    Need.DATABASE_JOBS: ("secretsmanager",),
    Need.DATABASE_SETTLE: ("secretsmanager",),
    Need.DATABASE_OWNER: ("secretsmanager",),
    Need.ACCESS_SECRET: ("secretsmanager",),
    Need.STRIPE: ("secretsmanager",),
    Need.CONNECTORS: ("lambda",),
    Need.ACQUIRER_TABLE: ("dynamodb",),
    Need.WEBHOOK_SECRETS_WRITE: ("dynamodb", "kms"),
    Need.WEBHOOK_SECRETS_READ: ("dynamodb", "kms"),
    Need.BANK_OUT_WRITE: ("s3",),
    Need.BANK_IN_READ: ("s3",),
    Need.SIMULATED_BANK: ("s3",),
    Need.SIMULATED_BANK_LIST: ("s3",),
    Need.SIMULATED_BANK_DUE: ("s3",),
    Need.REPORTS_WRITE: ("s3",),
    Need.REPORTS_READ: ("s3",),
}


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What every function declares, whatever invokes it."""

    function: Callable[..., Any]
    uses: tuple[Need, ...] = ()
    timeout_seconds: int = FUNCTION_TIMEOUT_SECONDS
    memory_mb: int = MEMORY_MB
    snapshot: bool = False
    """Whether AWS starts it from a snapshot of a prepared environment: ``snapshots.py``."""

    @property
    def needs(self) -> tuple[Need, ...]:
        """The needs in a stable order, each once."""
        return tuple(sorted(set(self.uses)))

    @property
    def name(self) -> str:
        """``charges/create`` for ``functions/charges/create.py``."""
        return self.function.__module__.removeprefix("functions.").replace(".", "/")

    def __post_init__(self) -> None:
        """Load everything at once where this is the function that is deployed.

        Before its first request Lambda gives an environment a whole processor, whatever its
        memory, and nobody waits for it who need not: see docs/decisions/cold-starts.md.
        """
        if os.environ.get(DEPLOYED_AS) == self.name:
            self.prepare()
            snapshots.prepare(os.environ)

    def prepare(self) -> None:
        """Make the clients that the function will use; nothing is asked of anybody."""
        for service in sorted({service for need in self.needs for service in services(need)}):
            client(service)

    def __call__(self, event: dict[str, Any], context: Any) -> Any:
        """Run one invocation; each kind of declaration says how."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Route(Declaration):
    """An HTTP endpoint: one method on one path of the REST API."""

    method: str
    path: str
    status: int
    scope: Scope | None
    idempotent: bool
    repeatable: bool
    public: bool
    errors: tuple[type[Problem], ...] = ()
    settled: Callable[[Transaction, UUID], BaseModel | None] | None = None
    bank_numbers: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[Need, ...]:
        """A route that takes a key also needs the table that answers replays."""
        implied = (Need.IDEMPOTENCY_TABLE,) if self.takes_key else ()
        return tuple(sorted({*self.uses, *implied}))

    @property
    def takes_key(self) -> bool:
        """Whether ``Idempotency-Key`` is honoured: it must be sent, or may be."""
        return self.idempotent or self.repeatable


@dataclass(frozen=True, kw_only=True)
class Consumer(Declaration):
    """A queue's consumer. The queue and its dead-letter queue exist because this does.

    One that takes no message is only woken: it runs once for a whole batch. Messages of a batch are
    worked on one after the other, or all at once if ``parallel``.
    """

    queue: str
    parallel: bool = False
    batch_size: int = CONSUMER_BATCH
    max_concurrency: int = CONSUMER_CONCURRENCY
    max_receives: int = MAX_RECEIVES

    @property
    def visibility_timeout_seconds(self) -> int:
        """Six function timeouts, so that a message is never handed out while still being worked."""
        return 6 * self.timeout_seconds


@dataclass(frozen=True, kw_only=True)
class Job(Declaration):
    """Work that a schedule starts, or that a deployment starts when ``schedule`` is None.

    ``schedule`` is an EventBridge expression such as ``rate(1 minute)``.
    """

    schedule: str | None


@dataclass(frozen=True, kw_only=True)
class Command(Declaration):
    """Something an operator does: invoked by name, with AWS credentials, never by the gateway."""


@dataclass(frozen=True, kw_only=True)
class Authorizer(Declaration):
    """The Lambda authoriser in front of every route that is not public."""


@dataclass(frozen=True, kw_only=True)
class ConnectorFunction(Declaration):
    """The function that stands for one acquirer, invoked with one message at a time.

    ``acquirer`` is the name of the connector that charges carry.
    """

    acquirer: str
