"""The key: only ever in a request, only ever encrypted, only ever to Stripe."""

from __future__ import annotations

import json
import logging
import socket
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from ipaddress import ip_address
from pathlib import Path

import pytest
import stripe as package
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ivy import observe, settings, vault
from ivy.connectors import Approved, Declined, Outcome, Unknown, carry_out, stripe_http
from ivy.connectors.stripe import StripeConnector
from tests.connectors.stripe_account import LIVE_KEY, TEST_KEY
from tests.connectors.stripe_orders import KEYS, WRITTEN, invalid, order
from tests.connectors.stripe_server import FAULTS, Fault, StripeServer, serving

CREATE = "POST payment_intents"
Said = Callable[[], str]


# -- encryption, proxies


def certificate(folder: Path) -> Path:
    """Write a certificate for this machine that nobody has signed, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def test_a_certificate_that_nobody_signed_is_not_spoken_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = certificate(tmp_path)
    with serving(str(own)) as server:
        stripe = StripeConnector(secret=lambda: KEYS, base=server.base)
        assert isinstance(stripe.authorize(order()), Unknown)
        assert server.calls == []
        monkeypatch.setattr(package, "ca_bundle_path", str(own))
        assert isinstance(stripe.authorize(order()), Approved)
        wrong_name = server.base.replace("127.0.0.1", "localhost")
        elsewhere = StripeConnector(secret=lambda: KEYS, base=wrong_name)
        assert isinstance(elsewhere.lookup(order()), Unknown)


@pytest.mark.parametrize("base", ["http://api.stripe.com", "ftp://127.0.0.1", "api.stripe.com", ""])
def test_the_key_never_travels_unencrypted(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("somebody was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    stripe = StripeConnector(secret=lambda: KEYS, base=base)
    assert stripe.authorize(order()) == Unknown(reason="APIConnectionError")


def test_no_proxy_is_used(stripe: StripeConnector, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert isinstance(stripe.authorize(order()), Approved)


# -- the key


@pytest.fixture
def said(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> Said:
    """Everything that is logged or printed, by anybody, at any level."""
    caplog.set_level(logging.DEBUG)
    written = StringIO()
    for handler in observe.logger().handlers:
        monkeypatch.setattr(handler, "stream", written)

    def everything() -> str:
        out, err = capfd.readouterr()
        return f"{written.getvalue()}\n{caplog.text}\n{out}\n{err}"

    return everything


@pytest.mark.parametrize("fault", [*FAULTS, "tell"])
def test_the_key_is_nowhere_but_in_the_request(
    server: StripeServer, stripe: StripeConnector, fault: Fault, said: Said
) -> None:
    server.misbehave(CREATE, fault)
    outcome = stripe.authorize(order())
    assert server.calls[-1].headers["Authorization"] == f"Bearer {TEST_KEY}"
    assert TEST_KEY not in outcome.model_dump_json()
    assert TEST_KEY not in repr(stripe)
    assert TEST_KEY not in said()


def test_an_error_on_the_way_does_not_quote_what_was_to_be_sent(server: StripeServer) -> None:
    transport = stripe_http.Transport(stripe_http.Clock(1))
    with pytest.raises(package.APIConnectionError) as failed:
        transport.request("get", server.base, {"Authorization": f"Bearer {TEST_KEY}\n"})
    assert TEST_KEY not in "".join(traceback.format_exception(failed.value))


def test_what_repeats_the_key_is_a_refusal_without_a_code(
    server: StripeServer, stripe: StripeConnector
) -> None:
    server.misbehave(CREATE, "tell")
    assert stripe.authorize(order()) == Declined(failure_code="invalid_request")


def test_a_refusal_is_logged_with_its_code_and_stripes_name_of_the_request(
    stripe: StripeConnector, said: Said
) -> None:
    stripe.authorize(order(payment_method="pm_card_chargeDeclined"))
    lines = [json.loads(line) for line in said().splitlines() if line.startswith("{")]
    (line,) = lines
    assert line["message"] == "stripe.refused"
    assert (line["code"], line["decline"]) == ("card_declined", "generic_decline")
    assert line["request"].startswith("req_")


def test_nothing_is_measured_and_sent_along(server: StripeServer, stripe: StripeConnector) -> None:
    stripe.authorize(order())
    for call in server.calls:
        assert "X-Stripe-Client-Telemetry" not in call.headers
        assert "platform" not in call.headers["X-Stripe-Client-User-Agent"]


class SecretsManager:
    """Holds one key when it is read first, and then the one that Stripe accepts."""

    def __init__(self, first: str) -> None:
        self._first = first
        self.read = 0

    def get_secret_value(self, **wanted: str) -> dict[str, str]:
        assert wanted == {"SecretId": "arn:stripe"}
        self.read += 1
        key = self._first if self.read == 1 else TEST_KEY
        return {"SecretString": json.dumps({"test_key": key, "live_key": None})}


@pytest.mark.parametrize(
    ("first", "outcome"),
    [
        ("sk_test_revoked1", Unknown(reason="the key was refused")),
        ("", invalid("no_key_for_this_mode")),
    ],
)
def test_a_key_that_was_rolled_or_filled_in_is_read_again(
    server: StripeServer, monkeypatch: pytest.MonkeyPatch, first: str, outcome: Outcome
) -> None:
    manager = SecretsManager(first)
    monkeypatch.setattr(vault, "client", lambda _service: manager)
    monkeypatch.setenv("IVY_STRIPE_SECRET", "arn:stripe")
    settings.settings.cache_clear()
    vault.forget()
    try:
        stripe = StripeConnector(base=server.base)
        assert stripe.authorize(order()) == outcome
        assert isinstance(stripe.authorize(order()), Approved)
        assert isinstance(stripe.authorize(order(key=f"{WRITTEN}.2")), Approved)
        assert manager.read == 2
    finally:
        settings.settings.cache_clear()
        vault.forget()


# -- test and live


@pytest.mark.parametrize(("account", "key"), [("1001-test", TEST_KEY), ("1001-live", LIVE_KEY)])
def test_each_mode_has_its_key(
    server: StripeServer, stripe: StripeConnector, account: str, key: str
) -> None:
    assert isinstance(stripe.authorize(order(account=account)), Approved)
    assert {call.headers["Authorization"] for call in server.calls} == {f"Bearer {key}"}


@pytest.mark.parametrize(
    ("account", "secret"),
    [
        ("1001-test", {"test_key": LIVE_KEY, "live_key": LIVE_KEY}),
        ("1001-live", {"test_key": TEST_KEY, "live_key": TEST_KEY}),
        ("1001-test", {"live_key": LIVE_KEY}),
        ("1001-live", {"test_key": TEST_KEY}),
        ("1001-live", {"live_key": "", "test_key": ""}),
        ("1001-live", {"live_key": "None"}),
        ("1001-live", {"live_key": "pk_live_12345678"}),
        ("1001-live", {"live_key": f"{LIVE_KEY}\r\nX: y"}),
        ("1001", KEYS),
        ("1001-moon", {"moon_key": TEST_KEY}),
    ],
)
def test_no_account_uses_the_key_of_the_other_mode(
    server: StripeServer, account: str, secret: dict[str, str]
) -> None:
    stripe = StripeConnector(secret=lambda: secret, base=server.base)
    wanted = order(account=account)
    assert stripe.authorize(wanted) == invalid("no_key_for_this_mode")
    assert isinstance(stripe.lookup(wanted), Unknown)
    for operation in ("capture", "void", "refund", "contest", "concede"):
        again = order(operation, account=account, reference="pi_1")
        assert isinstance(carry_out(stripe, again, asked_before=False), Unknown)
        assert isinstance(stripe.lookup(again), Unknown)
    assert stripe.notices(datetime.now(UTC), account) == []
    assert server.calls == []


def test_a_secret_that_cannot_be_read_leaves_everything_open(server: StripeServer) -> None:
    def unreadable() -> dict[str, str]:
        raise RuntimeError("no")

    stripe = StripeConnector(secret=unreadable, base=server.base)
    assert isinstance(stripe.authorize(order()), Unknown)
    assert stripe.notices(datetime.now(UTC)) == []
    assert server.calls == []
