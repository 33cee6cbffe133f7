"""Stripe: nothing of it unless it is switched on, and then nobody but its function has it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from infra import app, layers
from infra.needs import NeedError, Shared, all_granted
from ivy.needs import Need
from tests.infra.templates import Assembly, Resource, as_list, statements

if TYPE_CHECKING:
    from infra.catalogue import Function

FUNCTION = "ivy-connectors-stripe"
MOST_BYTES = 5_000_000


def environment(function: Resource) -> dict[str, Any]:
    found: dict[str, Any] = function.properties["Environment"]["Variables"]
    return found


def layer_names(assembly: Assembly, function: Resource) -> list[str]:
    named = {
        (r.stack, r.logical_id): r.properties["LayerName"]
        for r in assembly.resources("AWS::Lambda::LayerVersion")
    }
    return [named[function.stack, layer["Ref"]] for layer in function.properties.get("Layers", [])]


@pytest.mark.parametrize("name", ["local", "aws"])
def test_off_there_is_not_a_trace_of_it(assemblies: dict[str, Assembly], name: str) -> None:
    for stack, template in assemblies[name].templates.items():
        assert "stripe" not in json.dumps(template).lower(), stack


def test_on_one_function_carries_its_layer(proxied: Assembly) -> None:
    carrying = [
        name for name, f in proxied.functions().items() if "ivy-stripe" in layer_names(proxied, f)
    ]
    assert carrying == [FUNCTION]


def test_on_one_function_may_read_its_secret(proxied: Assembly) -> None:
    (secret,) = (
        r
        for r in proxied.resources("AWS::SecretsManager::Secret")
        if r.properties["Name"] == "ivy/stripe"
    )
    assert json.loads(secret.properties["SecretString"]) == {"test_key": "", "live_key": ""}
    assert "KmsKeyId" in secret.properties
    reading = [
        name
        for name, function in proxied.functions().items()
        for statement in statements(proxied.role_of(function))
        if secret.logical_id in json.dumps(statement["Resource"])
    ]
    assert reading == [FUNCTION]
    (address,) = (v for k, v in environment(proxied.functions()[FUNCTION]).items() if "STRIPE" in k)
    assert secret.logical_id in json.dumps(address)
    attached = proxied.resources("AWS::SecretsManager::SecretTargetAttachment")
    assert secret.logical_id not in json.dumps([a.properties for a in attached])


def test_on_it_is_outside_the_private_network_and_has_no_other_rights(proxied: Assembly) -> None:
    function = proxied.functions()[FUNCTION]
    assert "VpcConfig" not in function.properties
    allowed = {a for s in statements(proxied.role_of(function)) for a in as_list(s["Action"])}
    assert allowed == {
        *("secretsmanager:GetSecretValue", "kms:Decrypt"),
        *("logs:CreateLogStream", "logs:PutLogEvents"),
        *("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
    }


def test_on_whoever_asks_connectors_may_ask_it(
    proxied: Assembly, aws: Assembly, functions: list[Function]
) -> None:
    asking = [f for f in functions if Need.CONNECTORS in f.declaration.needs]
    assert asking
    for function in asking:
        name = function.physical_name("ivy")
        known = {"simulated": "ivy-connectors-simulated"}
        assert json.loads(environment(aws.functions()[name])["IVY_CONNECTORS"]) == known
        known["stripe"] = FUNCTION
        made = proxied.functions()[name]
        assert json.loads(environment(made)["IVY_CONNECTORS"]) == known
        (invoking,) = (
            s for s in statements(proxied.role_of(made)) if "lambda:InvokeFunction" in s["Action"]
        )
        assert len(as_list(invoking["Resource"])) == len(known)
        assert FUNCTION in json.dumps(invoking["Resource"])


def test_on_every_function_knows_which_tokens_are_taken(proxied: Assembly) -> None:
    for name, function in proxied.functions().items():
        if name != "ivy-run-migrations":
            names = json.loads(environment(function)["IVY_CONNECTOR_NAMES"])
            assert names == ["simulated", "stripe"], name


@pytest.mark.parametrize(
    ("context", "arguments", "on"),
    [
        ({}, [], False),
        ({"stripe": "true"}, [], True),
        ({"stripe": True}, [], True),
        ({"stripe": "false"}, [], False),
        ({}, ["--stripe"], True),
    ],
)
def test_the_switch(
    monkeypatch: pytest.MonkeyPatch, context: dict[str, Any], arguments: list[str], on: bool
) -> None:
    asked: dict[str, Any] = {}

    def synthesise(*_: object, **more: Any) -> list[str]:
        asked.update(more)
        return []

    monkeypatch.setattr(app, "synthesise", synthesise)
    monkeypatch.setattr(sys, "argv", ["infra.app", *arguments])
    monkeypatch.setenv("CDK_CONTEXT_JSON", json.dumps(context))
    app.main()
    assert asked["stripe"] is on
    assert asked["proxy"] is False


def test_needing_it_where_it_is_off_fails_at_synthesis() -> None:
    off = Shared(
        table=None,  # type: ignore[arg-type] # never asked
        acquirer_table=None,  # type: ignore[arg-type] # same
        webhook_table=None,  # type: ignore[arg-type] # same
        webhook_key=None,  # type: ignore[arg-type] # same
        queues={},
        connectors={},
        documents=None,  # type: ignore[arg-type] # same
        secrets={},
    )
    with pytest.raises(NeedError, match="--context stripe=true"):
        all_granted((Need.STRIPE,), off)


def test_the_layer_is_the_package_alone() -> None:
    assert "stripe" not in layers.build("local")
    layer = layers.build("local", stripe=True)["stripe"]
    names = {path.name for path in (layer.directory / "python").iterdir()}
    assert {name.partition("-")[0] for name in names} == {"stripe"}
    assert layer.archive.stat().st_size < MOST_BYTES
    assert list((layer.directory / "python").glob("stripe-*.dist-info/licenses/*"))
