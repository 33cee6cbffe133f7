"""boto3 clients for the local stack, with credentials that are worth nothing anywhere else."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import boto3

ACCOUNT = "000000000000"
REGION = "us-east-1"
READ_SECONDS = 30
USED = ("cloudformation", "lambda", "secretsmanager", "dynamodb", "logs", "cloudwatch")
"""What every start talks to."""


_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Aws:
    """One emulator's services, reached without the host's profiles or credentials."""

    endpoint: str

    def client(self, service: str) -> Any:
        """Return the client of one service; it may be used from several threads."""
        with _one_at_a_time:  # a session makes its clients in one thread only
            return _client(self.endpoint, service)


def preload() -> None:
    """Load what the clients need, which takes longer than most calls, before they are needed."""
    for service in USED:
        Aws("http://127.0.0.1").client(service)


@cache
def _client(endpoint: str, service: str) -> Any:
    from botocore.config import Config  # noqa: PLC0415 - the command line starts without it

    return _session().client(
        service,  # type: ignore[call-overload]  # one function serves them all
        endpoint_url=endpoint,
        config=Config(
            s3={"addressing_style": "path"},
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": 1},
        ),
    )


@cache
def _session() -> boto3.Session:
    import boto3  # noqa: PLC0415 - a quarter of a second that most commands do not need

    # A profile chosen on the host would be looked up even though keys are given here.
    os.environ.pop("AWS_PROFILE", None)
    return boto3.Session(
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the emulator accepts anything
        region_name=REGION,
    )
