"""boto3 clients for the local stack, with credentials that are worth nothing anywhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import boto3

ACCOUNT = "000000000000"
REGION = "us-east-1"
READ_SECONDS = 30


@dataclass(frozen=True)
class Aws:
    """One emulator's services, reached without the host's profiles or credentials."""

    endpoint: str

    def client(self, service: str) -> Any:
        """Return a client of one service. Callers keep it."""
        from botocore.config import Config  # noqa: PLC0415 - the command line starts without it

        return self._session.client(
            service,  # type: ignore[call-overload]  # one function serves them all
            endpoint_url=self.endpoint,
            config=Config(
                s3={"addressing_style": "path"},
                read_timeout=READ_SECONDS,
                retries={"total_max_attempts": 1},
            ),
        )

    @cached_property
    def _session(self) -> boto3.Session:
        import boto3  # noqa: PLC0415 - a quarter of a second that most commands do not need

        # A profile chosen on the host would be looked up even though keys are given here.
        os.environ.pop("AWS_PROFILE", None)
        return boto3.Session(
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - the emulator accepts anything
            region_name=REGION,
        )
