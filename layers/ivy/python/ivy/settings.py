"""Configuration: one frozen model, read from the environment once, when first asked for.

``infra/needs.py`` writes these variables; a function that did not declare a need has no value for
it, and asking for one fails with the name of what is missing.
"""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping


_JSON = frozenset({"role_secrets", "connectors", "connector_names"})
"""Settings that are written as JSON."""


class SettingsError(RuntimeError):
    """The environment does not say what the function needs; the message is the fix."""


class Settings(BaseModel):
    """What a deployment tells its functions."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    target: Literal["local", "aws"] = "aws"
    database_secret: str | None = None
    database_host: str | None = None
    role_secrets: dict[str, str] | None = None
    access_secret: str | None = None
    idempotency_table: str | None = None
    charges_queue_url: str | None = None
    refunds_queue_url: str | None = None
    disputes_queue_url: str | None = None
    payouts_queue_url: str | None = None
    settlements_queue_url: str | None = None
    settlement_reports_queue_url: str | None = None
    reports_queue_url: str | None = None
    scheduled_payouts_queue_url: str | None = None
    test_banking_queue_url: str | None = None
    clock_queue_url: str | None = None
    events_queue_url: str | None = None
    webhooks_queue_url: str | None = None
    delivery_results_queue_url: str | None = None
    webhook_secrets_table: str | None = None
    webhook_key: str | None = None
    connectors: dict[str, str] | None = None
    connector_names: tuple[str, ...] = ("simulated",)
    acquirer_table: str | None = None
    documents_bucket: str | None = None
    stripe_secret: str | None = None
    stripe_api_base: str | None = None

    def required(self, name: str) -> Any:
        """Return a setting, or fail with the variable to set and the need that sets it."""
        value = getattr(self, name)
        if value is None:
            raise SettingsError(
                f"IVY_{name.upper()} is not set: the function does not declare the need that "
                f"provides it (uses=...), or infra/needs.py does not map it."
            )
        return value


def read(environment: Mapping[str, str]) -> Settings:
    """Return the settings that an environment holds, or fail naming each wrong variable."""
    values: dict[str, Any] = {
        name: environment[f"IVY_{name.upper()}"]
        for name in Settings.model_fields
        if environment.get(f"IVY_{name.upper()}")
    }
    try:
        for name in _JSON & set(values):
            values[name] = json.loads(values[name])
        return Settings(**values)
    except (ValidationError, json.JSONDecodeError) as error:
        raise SettingsError(f"The IVY_* variables are not usable: {error}") from error


@cache
def settings() -> Settings:
    """Return the settings of this process."""
    return read(os.environ)
