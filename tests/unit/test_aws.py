"""Clients give up in time, and a connector is asked once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ivy import aws


@pytest.fixture(autouse=True)
def _somewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    aws.client.cache_clear()
    yield
    aws.client.cache_clear()


@pytest.mark.parametrize(
    ("service", "hasty", "read_seconds", "attempts"),
    [
        ("lambda", False, 4, 1),
        ("dynamodb", False, 3, 2),
        ("dynamodb", True, 1, 2),
        ("kms", False, 3, 2),
        ("sqs", False, 3, 2),
    ],
)
def test_limits(service: str, hasty: bool, read_seconds: int, attempts: int) -> None:
    limits = aws.client(service, hasty=hasty).meta.config
    assert (limits.connect_timeout, limits.read_timeout) == (1, read_seconds)
    assert limits.retries["total_max_attempts"] == attempts
