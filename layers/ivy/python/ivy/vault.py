"""Secrets Manager, read once per execution environment."""

from __future__ import annotations

import json
from functools import cache

from ivy.aws import client
from ivy.settings import settings


@cache
def read(secret_id: str) -> dict[str, str]:
    """Return the JSON object that a secret holds, every value as text."""
    answer = client("secretsmanager").get_secret_value(SecretId=secret_id)
    return {name: str(value) for name, value in json.loads(answer["SecretString"]).items()}


def database() -> dict[str, str]:
    """Return ``username``, ``password``, ``host``, ``port``, ``dbname`` of this function's role."""
    secret = dict(read(settings().required("database_secret")))
    if host := settings().database_host:
        secret["host"] = host
    return secret


def access() -> dict[str, str]:
    """Return ``pepper`` (API keys) and ``signing_key`` (access tokens)."""
    return read(settings().required("access_secret"))


def stripe() -> dict[str, str]:
    """Return ``test_key``, ``live_key`` and ``return_url`` of Stripe, as far as there are any."""
    return read(settings().required("stripe_secret"))


def forget() -> None:
    """Read every secret again when it is asked for next: what it held is not accepted any more."""
    read.cache_clear()
