from __future__ import annotations

import json

import pytest

from ivy import settings
from ivy.settings import Settings, SettingsError


def test_the_environment_is_read_by_name() -> None:
    found = settings.read(
        {
            "IVY_TARGET": "local",
            "IVY_DATABASE_SECRET": "arn",
            "IVY_ROLE_SECRETS": json.dumps({"ivy_app": "a"}),
            "IVY_CONNECTORS": json.dumps({"simulated": "ivy-connectors-simulated"}),
            "IVY_SOMETHING_ELSE": "ignored",
            "IVY_IDEMPOTENCY_TABLE": "",  # as good as not set
        }
    )
    assert found == Settings(
        target="local",
        database_secret="arn",
        role_secrets={"ivy_app": "a"},
        connectors={"simulated": "ivy-connectors-simulated"},
    )


@pytest.mark.parametrize(
    "name", sorted(name for name, field in Settings.model_fields.items() if field.default is None)
)
def test_what_is_missing_is_named_with_its_fix(name: str) -> None:
    with pytest.raises(SettingsError) as missing:
        settings.read({}).required(name)
    said = str(missing.value)
    assert f"IVY_{name.upper()} is not set" in said
    assert "uses=" in said
    assert "infra/needs.py" in said


def test_what_is_set_is_returned() -> None:
    assert settings.read({"IVY_ACCESS_SECRET": "arn"}).required("access_secret") == "arn"


@pytest.mark.parametrize(
    "environment",
    [
        {"IVY_TARGET": "moon"},
        {"IVY_ROLE_SECRETS": "not json"},
        {"IVY_ROLE_SECRETS": "[1]"},
        {"IVY_CONNECTORS": '{"simulated": 1}'},
    ],
)
def test_other_values_are_refused(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="not usable"):
        settings.read(environment)


def test_settings_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    settings.settings.cache_clear()
    try:
        monkeypatch.setenv("IVY_TARGET", "local")
        first = settings.settings()
        monkeypatch.setenv("IVY_TARGET", "aws")
        assert settings.settings() is first
    finally:
        settings.settings.cache_clear()
