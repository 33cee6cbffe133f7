"""Jobs: started by a schedule, or by a deployment."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from ivy import observe
from ivy.database import database
from ivy.serve.declaration import Job
from ivy.serve.injection import parameters, wake_publisher


class JobError(RuntimeError):
    """A job failed; the log says why. Raised so that the schedule retries and the alarm counts."""


@dataclass(frozen=True, kw_only=True)
class ScheduledJob(Job):
    """A job that is its own Lambda handler; what the function returns is its report."""

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Run once. A failure is logged, counted and raised without its text."""
        started = time.perf_counter()
        observe.correlate(str(event.get("id") or getattr(context, "aws_request_id", "")))
        wanted = parameters(self.function)
        try:
            given = wanted.fill(database=database()) if wanted.opens_transactions else {}
            report: dict[str, Any] = self.function(**given) or {}
        except Exception:  # noqa: BLE001 - logged; its text must not reach the scheduler
            observe.failure("job.failed", job=self.name)
            observe.count("JobFailed", job=self.name)
            raise JobError(f"{self.name} failed; see its log.") from None
        wake_publisher(self.function)
        milliseconds = round((time.perf_counter() - started) * 1000, 1)
        observe.line("job.done", job=self.name, duration_ms=milliseconds, **report)
        return report
