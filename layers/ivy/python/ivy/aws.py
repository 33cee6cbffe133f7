"""AWS clients, made when first used and kept for the life of the execution environment."""

from __future__ import annotations

import threading
from typing import Any

CONNECT_SECONDS = 1
READ_SECONDS = 3
READ_SECONDS_OF = {"dynamodb": 1, "kms": 1, "lambda": 4}
"""A hanging front costs its caller the first, twice, before Postgres decides without it."""

ATTEMPTS = 2
ATTEMPTS_OF = {"lambda": 1}
"""A connector that did not answer may have acted: it is looked up before it is asked again."""


class Clients:
    """The clients of this process. Threads may share one, but must not make two at once."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}
        self._making = threading.Lock()

    def __call__(self, service: str) -> Any:
        """Return the boto3 client of a service, with time limits that fit inside one request."""
        with self._making:
            if service not in self._made:
                self._made[service] = _make(service)
            return self._made[service]

    def cache_clear(self) -> None:
        """Make every client anew when it is asked for next."""
        self._made.clear()


def _make(service: str) -> Any:
    import boto3  # noqa: PLC0415 - half the cold start of a function that never calls AWS
    from botocore.config import Config  # noqa: PLC0415 - same

    connect: Any = boto3.client  # its stub is one overload per service; a name chosen at run time
    limits = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS_OF.get(service, READ_SECONDS),
        retries={"total_max_attempts": ATTEMPTS_OF.get(service, ATTEMPTS), "mode": "standard"},
    )
    return connect(service, config=limits)


client = Clients()
