"""Attempts against an endpoint that does its worst: each ends in one outcome, within its limits."""

from __future__ import annotations

import concurrent.futures
import socket
import threading
import tracemalloc
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import get_args

import pytest
from standardwebhooks import Webhook

from ivy import card_numbers, egress, sender, settings, wire
from ivy.egress import Address
from ivy.webhook_messages import Attempted, Delivery
from ivy.wire import Limits, Wire
from tests.certificates import Authority
from tests.spying import watched
from tests.webhook_target import CARD_NUMBER, OFFERED_BYTES, WebhookTarget

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOST = "hooks.example.com"
PUBLIC = "93.184.215.14"
PATIENT = Wire(limits=Limits(look_up_seconds=20, connect_seconds=20, total_seconds=20))
HASTY = Wire(limits=Limits(look_up_seconds=0.3, connect_seconds=0.3, total_seconds=0.6))
MOST_MEMORY = 1_000_000


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("IVY_TARGET", "local")
    settings.settings.cache_clear()
    yield
    settings.settings.cache_clear()


@pytest.fixture(scope="module")
def target() -> Iterator[WebhookTarget]:
    with WebhookTarget() as listening:
        yield listening


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def delivery(url: str, account: str = "1001-test", body: str = '{"a":1}') -> Delivery:
    return Delivery(
        id=uuid.uuid4(),
        account=account,
        endpoint=uuid.uuid4(),
        url=url,
        event="evt_019ab2c4d7127b4d8f66e13a9c2d5f7b",
        number=3,
        body=body,
        api_version="2026-12-01",
    )


def outcome(attempted: Attempted) -> tuple[str, int | None, str | None]:
    return attempted.outcome, attempted.status_code, attempted.error


# -- each behaviour and what it comes to

ENDS = [
    ("ok", "delivered", 200, None, "ok"),
    ("accepted", "delivered", 202, None, "later"),
    ("no_content", "delivered", 204, None, ""),
    ("until_closed", "delivered", 200, None, "until the end"),
    ("chunked", "delivered", 200, None, "in pieces"),
    ("chunked_carelessly", "delivered", 200, None, "abc"),
    ("continued", "delivered", 200, None, "ok"),
    ("largest", "delivered", 200, None, "a" * 4096),
    ("redirect", "failed", 302, "redirect", ""),
    ("redirect_kept", "failed", 307, "redirect", ""),
    ("not_modified", "failed", 304, "redirect", ""),
    ("refused", "failed", 400, "bad_status", "signature wrong"),
    ("gone", "failed", 410, "bad_status", ""),
    ("busy", "failed", 429, "bad_status", ""),
    ("unavailable", "failed", 503, "bad_status", ""),
    ("broken", "failed", 500, "bad_status", ""),
    ("nothing", "failed", None, "connection_lost", None),
    ("garbage", "failed", None, "protocol_error", None),
    ("odd_status", "failed", None, "protocol_error", None),
    ("odd_protocol", "failed", None, "protocol_error", None),
    ("switching", "failed", None, "protocol_error", None),
    ("many_headers", "failed", None, "protocol_error", None),
    ("odd_chunk", "failed", 200, "connection_lost", ""),
    ("cut", "failed", 200, "connection_lost", "a" * 600),
    ("cut_chunk", "failed", 200, "connection_lost", None),
    ("cut_headers", "failed", None, "connection_lost", None),
    ("reset", "failed", 200, "connection_lost", None),
    ("too_large", "failed", 200, "too_large", "a" * 4096),
    ("promised", "failed", 200, "too_large", "a" * 4096),
    ("endless_body", "failed", 200, "too_large", "a" * 4096),
    ("endless_chunks", "failed", 200, "too_large", "12345678" * 512),
    ("endless_chunk_line", "failed", 200, "too_large", ""),
    ("endless_status", "failed", None, "too_large", None),
    ("endless_header", "failed", None, "too_large", None),
    ("endless_continue", "failed", None, "too_large", None),
    ("gzip_bomb", "failed", 200, "too_large", None),
]


@pytest.mark.parametrize(("behaviour", "came_of_it", "status", "error", "response"), ENDS)
def test_ends(
    target: WebhookTarget,
    behaviour: str,
    came_of_it: str,
    status: int | None,
    error: str | None,
    response: str | None,
) -> None:
    sent = delivery(target.url(behaviour))
    attempted = sender.send(sent, [SECRET], PATIENT)
    assert outcome(attempted) == (came_of_it, status, error)
    assert attempted.response == response or (response is None and status is not None)
    assert (attempted.delivery, attempted.endpoint) == (sent.id, sent.endpoint)
    assert (attempted.account, attempted.number) == ("1001-test", 3)
    assert attempted.gone == (behaviour == "gone")
    assert Attempted.model_validate_json(attempted.model_dump_json()) == attempted


@pytest.mark.parametrize("behaviour", ["hang", "slow_headers", "slow_status", "slow_body"])
def test_the_clock_is_not_set_back_by_a_byte(target: WebhookTarget, behaviour: str) -> None:
    """Each of these would deliver in the end, to whoever begins its limit again with every byte."""
    attempted = sender.send(delivery(target.url(behaviour)), [SECRET], HASTY)
    begun = 200 if behaviour == "slow_body" else None
    assert outcome(attempted) == ("failed", begun, "timeout")


def test_an_endpoint_that_flaps(target: WebhookTarget) -> None:
    seen = {
        outcome(sender.send(delivery(target.url("flapping")), [SECRET], PATIENT)) for _ in range(4)
    }
    assert seen == {("delivered", 200, None), ("failed", 500, "bad_status")}


def test_nobody_is_followed(target: WebhookTarget) -> None:
    with watched() as seen:
        sender.send(delivery(target.url("redirect")), [SECRET], PATIENT)
    assert seen.connects == [("127.0.0.1", target.port)]


def test_nobody_is_called_by_proxy(target: WebhookTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with watched() as seen:
        attempted = sender.send(delivery(target.url("ok")), [SECRET], PATIENT)
    assert attempted.outcome == "delivered"
    assert seen.connects == [("127.0.0.1", target.port)]


@pytest.mark.parametrize(
    ("behaviour", "seconds"),
    [
        ("busy", 120),
        ("busy_for_a_week", 86400),
        ("unavailable", 86400),
        ("unavailable_oddly", None),
        ("broken", None),
        ("ok", None),
    ],
)
def test_retry_after_is_heard_where_it_counts(
    target: WebhookTarget, behaviour: str, seconds: int | None
) -> None:
    attempted = sender.send(delivery(target.url(behaviour)), [SECRET], PATIENT)
    assert attempted.retry_after_seconds == seconds


AT = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        (" 7 ", 7),
        ("0000000000000120", 120),
        ("86401", 86400),
        ("9" * 10_000, 86400),
        ("-1", None),
        ("1.5", None),
        ("1e3", None),
        ("١٢", None),
        ("Tue, 24 Nov 2026 12:01:30 GMT", 90),
        ("Tuesday, 24-Nov-26 12:00:05 GMT", 5),
        ("Tue, 24 Nov 2026 14:00:00 +0200", 0),
        ("Tue, 24 Nov 2026 12:00:09 -0000", 9),
        ("Tue, 24 Nov 2020 12:00:00 GMT", 0),
        ("Tue, 24 Nov 9999 12:00:00 GMT", 86400),
        ("Tue, 99 Nov 2026 12:00:00 GMT", None),
        ("Tue, 24 Nov 2026 12:00:00 +9999999", None),
        ("tomorrow", None),
        (",", None),
    ],
)
def test_retry_after(value: str | None, seconds: int | None) -> None:
    assert sender.retry_after_seconds(value, AT) == seconds


# -- what is sent


def test_the_request_is_what_standard_webhooks_say(target: WebhookTarget) -> None:
    body = '{"name":"Zoë \\u0000","amount":100}'
    before = datetime.now(UTC).replace(microsecond=0)
    attempted = sender.send(delivery(target.url("ok"), body=body), [SECRET], PATIENT)
    received = target.received[-1]
    assert received.body == body.encode()
    assert before <= attempted.at <= datetime.now(UTC)
    assert {
        name: received.headers[name] for name in received.headers if name != "webhook-signature"
    } == {
        "host": f"127.0.0.1:{target.port}",
        "user-agent": "Ivy-Webhooks/1",
        "accept": "*/*",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": str(len(body.encode())),
        "connection": "close",
        "webhook-id": "evt_019ab2c4d7127b4d8f66e13a9c2d5f7b",
        "webhook-timestamp": str(int(attempted.at.timestamp())),
    }
    Webhook(SECRET).verify(received.body, received.headers)


def test_the_query_is_sent(target: WebhookTarget) -> None:
    sender.send(delivery(target.url("ok?a=1&b=%20")), [SECRET], PATIENT)
    assert target.received[-1].path == "/ok?a=1&b=%20"


@pytest.mark.parametrize("event", ["evt_1\r\nHost: elsewhere", "evt_1\n", "evt_ü", "evt_1\x00"])
def test_no_header_can_be_smuggled_in(target: WebhookTarget, event: str) -> None:
    smuggling = delivery(target.url("ok")).model_copy(update={"event": event})
    with watched() as seen:
        assert sender.send(smuggling, [SECRET], PATIENT).error == "internal_error"
    assert seen.connects == []


def test_without_a_secret_nothing_is_sent(target: WebhookTarget) -> None:
    with watched() as seen:
        assert outcome(sender.send(delivery(target.url("ok")), [])) == ("failed", None, "no_secret")
    assert seen.connects == []


def test_a_fault_of_ours_is_an_outcome_too(target: WebhookTarget) -> None:
    attempted = sender.send(delivery(target.url("ok")), ["whsec_"], PATIENT)
    assert outcome(attempted) == ("failed", None, "internal_error")


# -- what is kept of the answer


def test_a_compressed_answer_is_never_inflated(target: WebhookTarget) -> None:
    attempted = sender.send(delivery(target.url("gzip")), [SECRET], PATIENT)
    assert attempted.outcome == "delivered"
    assert attempted.response is not None
    assert "\x1f" not in attempted.response
    assert len(attempted.response) == 4096


def test_what_is_shown_is_harmless(target: WebhookTarget) -> None:
    attempted = sender.send(delivery(target.url("telling")), [SECRET], PATIENT)
    assert attempted.response == f"card {card_numbers.REDACTED}��[31m��"
    attempted = sender.send(delivery(target.url("binary")), [SECRET], PATIENT)
    assert attempted.response is not None
    assert set(attempted.response) <= {
        *map(chr, range(32, 127)),
        "\n",
        "\t",
        "\N{REPLACEMENT CHARACTER}",
    }


def test_text_of_every_script_is_shown() -> None:
    text = "Grüße, 你好\u3000こんにちは, שלום 👋\n\tok"
    assert sender.shown(text.encode()) == text
    assert sender.shown(b"one\r\ntwo") == "one\ntwo"


@pytest.mark.parametrize("lead", range(4070, 4100))
def test_a_card_number_at_the_edge_is_not_cut_in_two(lead: int) -> None:
    shown = sender.shown(("-" * lead + f" {CARD_NUMBER} ").encode())
    assert len(shown) <= 4096
    assert "42" not in shown


# -- where it connects to


def test_refused(target: WebhookTarget) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    del target
    attempted = sender.send(delivery(f"http://127.0.0.1:{port}/"), [SECRET], PATIENT)
    assert outcome(attempted) == ("failed", None, "refused")
    assert attempted.response is None


def test_a_connection_that_nobody_accepts() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.settimeout(0)
            each.connect_ex(full.getsockname())
        attempted = sender.send(
            delivery(f"http://127.0.0.1:{full.getsockname()[1]}/"), [SECRET], HASTY
        )
        for each in waiting:
            each.close()
    assert outcome(attempted) == ("failed", None, "connect_timeout")


@pytest.mark.parametrize(
    ("url", "account", "ivy_target"),
    [
        ("http://127.0.0.1:{port}/ok", "1001-live", "local"),
        ("http://127.0.0.1:{port}/ok", "1001-test", "aws"),
        ("http://localhost:{port}/ok", "1001-live", "local"),
    ],
)
def test_loopback_is_for_local_test_mode(
    target: WebhookTarget,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    account: str,
    ivy_target: str,
) -> None:
    monkeypatch.setenv("IVY_TARGET", ivy_target)
    settings.settings.cache_clear()
    with watched() as seen:
        attempted = sender.send(delivery(url.format(port=target.port), account), [SECRET], PATIENT)
    assert outcome(attempted) == ("failed", None, "url_scheme")
    assert seen.connects == []


class Elsewhere:
    """A resolver and a network of the test's own: public addresses lead to one local port."""

    def __init__(self, port: int, *answers: list[str]) -> None:
        self.port = port
        self.answers = list(answers)
        self.asked: list[str] = []
        self.dialled: list[str] = []

    def look_up(self, name: str) -> list[str]:
        self.asked.append(name)
        return self.answers.pop(0)

    def dial(self, address: Address, port: int, seconds: float) -> socket.socket:
        assert port == 443
        self.dialled.append(str(address))
        if str(address) == "2606:4700::1111":
            raise OSError(101, "Network is unreachable")
        return wire.dial(IPv4Address("127.0.0.1"), self.port, seconds)

    def wire(self, authority: Authority, limits: Limits = PATIENT.limits) -> Wire:
        return Wire(look_up=self.look_up, dial=self.dial, trusted=authority.trusting, limits=limits)


def test_a_name_that_changes_its_mind(authority: Authority) -> None:
    """The first answer is public, the second is not: the checked one is connected to."""
    with WebhookTarget(authority.certificate(HOST)) as target:
        outside = Elsewhere(target.port, [PUBLIC], ["127.0.0.1"], ["169.254.169.254"])
        with watched() as seen:
            attempted = sender.send(
                delivery(f"https://{HOST}/ok"), [SECRET], outside.wire(authority)
            )
        assert outcome(attempted) == ("delivered", 200, None)
        assert (outside.asked, outside.dialled) == ([HOST], [PUBLIC])
        assert seen.look_ups == []
        assert target.received[-1].headers["host"] == HOST


def test_one_bad_answer_spoils_all(authority: Authority) -> None:
    outside = Elsewhere(9, [PUBLIC, "10.0.0.1"])
    with watched() as seen:
        attempted = sender.send(delivery(f"https://{HOST}/ok"), [SECRET], outside.wire(authority))
    assert outcome(attempted) == ("failed", None, "address_refused")
    assert outside.dialled == seen.connects == []


def test_the_next_address_is_tried(authority: Authority) -> None:
    with WebhookTarget(authority.certificate(HOST)) as target:
        outside = Elsewhere(target.port, ["2606:4700::1111", PUBLIC])
        attempted = sender.send(delivery(f"https://{HOST}/ok"), [SECRET], outside.wire(authority))
    assert outcome(attempted) == ("delivered", 200, None)
    assert outside.dialled == ["2606:4700::1111", PUBLIC]


def test_only_so_many_addresses_are_tried(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    outside = Elsewhere(port, [f"93.184.215.{n}" for n in range(1, 100)])
    attempted = sender.send(delivery(f"https://{HOST}/ok"), [SECRET], outside.wire(authority))
    assert attempted.error == "refused"
    assert len(outside.dialled) == wire.MOST_ADDRESSES


def test_nowhere_to_go(authority: Authority) -> None:
    outside = Elsewhere(9, ["2606:4700::1111"])
    attempted = sender.send(delivery(f"https://{HOST}/ok"), [SECRET], outside.wire(authority))
    assert attempted.error == "unreachable"


def test_a_resolver_that_never_answers(authority: Authority) -> None:
    answering = threading.Event()

    def look_up(_name: str) -> list[str]:
        answering.wait(20)
        return [PUBLIC]

    hasty = Wire(look_up=look_up, trusted=authority.trusting, limits=HASTY.limits)
    attempted = sender.send(delivery(f"https://{HOST}/ok"), [SECRET], hasty)
    answering.set()
    assert outcome(attempted) == ("failed", None, "dns_failed")


# -- encryption


@pytest.mark.parametrize(
    ("hosts", "more", "error"),
    [
        ((HOST,), {}, None),
        (("*.example.com",), {}, None),
        (("elsewhere.example.com",), {}, "tls_wrong_name"),
        ((PUBLIC,), {}, "tls_wrong_name"),
        ((HOST,), {"ended": True}, "tls_expired"),
        ((HOST,), {"own": True}, "tls_untrusted"),
    ],
)
def test_certificates(
    authority: Authority, hosts: tuple[str, ...], more: dict[str, bool], error: str | None
) -> None:
    with WebhookTarget(authority.certificate(*hosts, **more)) as target:
        outside = Elsewhere(target.port, [PUBLIC])
        attempted = sender.send(delivery(f"https://{HOST}/ok"), [SECRET], outside.wire(authority))
        assert attempted.error == error
        assert len(target.received) == (0 if error else 1)


def test_an_address_with_a_certificate(authority: Authority) -> None:
    with WebhookTarget(authority.certificate(PUBLIC)) as target:
        outside = Elsewhere(target.port)
        attempted = sender.send(delivery(f"https://{PUBLIC}/ok"), [SECRET], outside.wire(authority))
    assert outcome(attempted) == ("delivered", 200, None)
    assert outside.asked == []


def test_a_port_that_speaks_plain_http(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer() -> None:
            connection, _ = plain.accept()
            with connection:
                connection.recv(10)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        outside = Elsewhere(plain.getsockname()[1], [PUBLIC])
        attempted = sender.send(delivery(f"https://{HOST}/ok"), [SECRET], outside.wire(authority))
    assert outcome(attempted) == ("failed", None, "tls_failed")


def test_a_handshake_that_never_ends(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        outside = Elsewhere(silent.getsockname()[1], [PUBLIC])
        attempted = sender.send(
            delivery(f"https://{HOST}/ok"), [SECRET], outside.wire(authority, HASTY.limits)
        )
    assert outcome(attempted) == ("failed", None, "timeout")


@pytest.mark.parametrize("behaviour", ["slow_body", "hang"])
def test_the_clock_holds_through_encryption(authority: Authority, behaviour: str) -> None:
    with WebhookTarget(authority.certificate(HOST)) as target:
        outside = Elsewhere(target.port, [PUBLIC])
        limits = Limits(total_seconds=1.5)  # room for the handshake on a busy machine
        attempted = sender.send(
            delivery(f"https://{HOST}/{behaviour}"), [SECRET], outside.wire(authority, limits)
        )
    assert attempted.error == "timeout"


def test_the_systems_authorities_are_trusted_and_names_checked() -> None:
    context = wire.trusted()
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"
    assert context.minimum_version.name == "TLSv1_2"
    assert wire.trusted() is context


# -- together


def test_one_that_hangs_delays_nobody() -> None:
    with WebhookTarget() as target, concurrent.futures.ThreadPoolExecutor(10) as pool:
        hanging = pool.submit(sender.send, delivery(target.url("hang")), [SECRET], PATIENT)
        others = [
            pool.submit(sender.send, delivery(target.url("ok")), [SECRET], PATIENT)
            for _ in range(9)
        ]
        done, _ = concurrent.futures.wait(others)
        assert {outcome(each.result()) for each in done} == {("delivered", 200, None)}
        assert not hanging.done()
        target.released.set()
        assert outcome(hanging.result()) == ("delivered", 200, None)


def test_memory_is_bounded_however_much_is_offered() -> None:
    endless = ["endless_body", "endless_chunks", "endless_header", "gzip_bomb", "promised"] * 2
    with WebhookTarget() as target, concurrent.futures.ThreadPoolExecutor(10) as pool:
        sender.send(delivery(target.url("ok")), [SECRET], PATIENT)  # what is imported later, now
        tracemalloc.start()
        attempts = [
            pool.submit(sender.send, delivery(target.url(each)), [SECRET], PATIENT)
            for each in endless
        ]
        errors = {each.result().error for each in attempts}
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert errors == {"too_large"}
    assert peak < len(endless) * MOST_MEMORY
    assert target.sent_bytes < len(endless) * OFFERED_BYTES / 4


def test_every_code_is_reached_by_a_test_here() -> None:
    source = Path(__file__).read_text()
    for code in {*get_args(wire.Code), *get_args(egress.Code)} - {
        "url_too_long",  # by the corpus
        "url_malformed",
        "url_userinfo",
        "url_port",
        "url_host",
    }:
        assert f'"{code}"' in source, code


def test_limits() -> None:
    assert Limits() == Limits(
        look_up_seconds=3, connect_seconds=3, total_seconds=15, answer_bytes=65536
    )
    assert timedelta(days=1).total_seconds() == sender.MAX_RETRY_AFTER_SECONDS
