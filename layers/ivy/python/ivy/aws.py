"""AWS clients, made when first used and kept for the life of the execution environment."""

from __future__ import annotations

import threading
from typing import Any

CONNECT_SECONDS = 1
READ_SECONDS = 3
READ_SECONDS_OF = {"lambda": 4}

HASTY_SECONDS = 1
"""For what can be done without: a hanging front costs its caller this, twice."""

ATTEMPTS = 2
ATTEMPTS_OF = {"lambda": 1}
"""A connector that did not answer may have acted: it is looked up before it is asked again."""


class Clients:
    """The clients of this process. Threads may share one, but must not make two at once."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, bool], Any] = {}
        self._making = threading.Lock()

    def __call__(self, service: str, *, hasty: bool = False) -> Any:
        """Return the boto3 client of a service, with time limits that fit inside one request.

        A hasty one is for whoever can do without an answer.
        """
        with self._making:
            if (service, hasty) not in self._made:
                patience = HASTY_SECONDS if hasty else READ_SECONDS_OF.get(service, READ_SECONDS)
                self._made[service, hasty] = _make(service, patience)
            return self._made[service, hasty]

    def disconnect(self) -> None:
        """Close the connections of every client; each makes new ones when it is used next."""
        for made in self._made.values():
            made.close()

    def cache_clear(self) -> None:
        """Make every client anew when it is asked for next."""
        self._made.clear()


def _make(service: str, read_seconds: float) -> Any:
    import boto3  # noqa: PLC0415 - half the cold start of a function that never calls AWS
    from botocore.config import Config  # noqa: PLC0415 - same

    connect: Any = boto3.client  # its stub is one overload per service; a name chosen at run time
    limits = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=read_seconds,
        signature_version="s3v4" if service == "s3" else None,  # addresses that S3 signs for others
        retries={"total_max_attempts": ATTEMPTS_OF.get(service, ATTEMPTS), "mode": "standard"},
    )
    return connect(service, config=limits)


client = Clients()
