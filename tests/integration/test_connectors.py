"""The near end and the far end of a connector, with a network between them that may fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from functions.connectors import simulated as deployed_connector
from ivy import aws
from ivy.connectors import (
    Approved,
    Asked,
    Declined,
    DisputeOpened,
    Missing,
    Outcome,
    Unknown,
    remote,
)
from ivy.connectors.remote import RemoteConnector
from ivy.connectors.simulated import NOTICES_LIMIT
from ivy.needs import Need
from ivy.serve.connecting import ConnectorError
from tests.asking import ACCOUNT, AT, ask, message, order, simulated
from tests.cloud import CONNECTOR, Fault
from tests.driving import LambdaContext, Platform

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
THREADS = 8
STOPPED = SimpleNamespace(time=lambda: 1_000_000.0)
APPROVED = {"outcome": "approved", "reference": "r", "cost_minor": 0, "expires_at": None}


@pytest.fixture
def connector(deployed: Platform) -> RemoteConnector:
    deployed.enter((Need.CONNECTORS,))
    return remote.connector("simulated")


def at_once(*calls: Callable[[], Outcome]) -> list[Outcome]:
    with ThreadPoolExecutor(THREADS) as threads:
        return [done.result() for done in [threads.submit(call) for call in calls]]


# -- the same answer, however often


def test_every_operation_is_carried_out_once_and_found_again(
    deployed: Platform, connector: RemoteConnector
) -> None:
    acquirer = simulated(deployed)
    held = order(capture=False)
    steps = [
        held,
        order("capture", of=held, amount_minor=6_000),
        order("refund", of=held, amount_minor=1_000),
        order("void", of=held),
        order("contest", of=held),
        order("concede", of=held),
    ]
    for step in steps:
        assert acquirer.lookup(step) == Missing()
        first = ask(connector, step)
        assert isinstance(first, Approved | Declined)
        assert ask(connector, step) == first
        assert ask(connector, step, asked_before=True) == first
        assert acquirer.lookup(step) == first


def test_what_was_never_heard_of_is_asked_for(connector: RemoteConnector) -> None:
    assert isinstance(ask(connector, order(), asked_before=True), Approved)


def test_racing_orders_share_what_there_is(connector: RemoteConnector) -> None:
    for _ in range(5):
        paid = order()
        ask(connector, paid)
        refunds = [order("refund", of=paid, amount_minor=2_000) for _ in range(THREADS)]
        found = at_once(*(lambda each=each: ask(connector, each) for each in refunds))
        assert sum(isinstance(one, Approved) for one in found) == 5


def test_a_racing_copy_is_told_the_same(connector: RemoteConnector) -> None:
    paid = order()
    told = at_once(*[lambda: ask(connector, paid)] * THREADS)
    assert len({one.model_dump_json() for one in told}) == 1
    refund = order("refund", of=paid, amount_minor=6_000)
    told = at_once(*[lambda: ask(connector, refund)] * THREADS)
    assert {type(one) for one in told} == {Approved}


def test_capture_and_void_cannot_both_be(connector: RemoteConnector) -> None:
    for _ in range(10):
        held = order(capture=False)
        ask(connector, held)
        capture, void = order("capture", of=held), order("void", of=held)
        found = at_once(lambda: ask(connector, capture), lambda: ask(connector, void))  # noqa: B023 - run before the next turn
        assert {type(one) for one in found} == {Approved, Declined}


# -- no answer


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("throttle", Missing),
        ("fail", Missing),
        ("lose_request", Missing),
        ("lose_answer", Approved),
        ("lose_one_answer", Approved),  # a second try of boto3's own would have been answered
    ],
)
def test_no_answer_is_unknown_and_a_lookup_tells(
    deployed: Platform, connector: RemoteConnector, fault: Fault, found: type[Outcome]
) -> None:
    asked = order()
    with deployed.cloud.failing(fault, "Invoke"):
        assert isinstance(ask(connector, asked), Unknown)
    assert isinstance(simulated(deployed).lookup(asked), found)


def test_patience_ends(
    deployed: Platform, connector: RemoteConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(aws.READ_SECONDS_OF, "lambda", 0.2)
    aws.client.cache_clear()
    with deployed.cloud.failing("hang", "Invoke"):
        assert ask(connector, order()) == Unknown(reason="ReadTimeoutError")
    aws.client.cache_clear()


@pytest.mark.usefixtures("connector")
def test_a_function_that_fails_is_unknown() -> None:
    nowhere = RemoteConnector(f"nobody{CONNECTOR}")
    assert ask(nowhere, order()) == Unknown(reason="the connector's function failed")
    assert nowhere.notices(AT) == []
    nowhere.acknowledge(ACCOUNT, f"{uuid4().hex}_opened")


class _Babbling(BaseHTTPRequestHandler):
    said = heard = b""

    def do_POST(self) -> None:
        _Babbling.heard = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.said)))
        self.end_headers()
        self.wfile.write(self.said)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def babbling(deployed: Platform) -> Iterator[Callable[[bytes], RemoteConnector]]:
    """A connector that answers every message with the same bytes."""
    server = HTTPServer(("127.0.0.1", 0), _Babbling)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    deployed.override(AWS_ENDPOINT_URL_LAMBDA=f"http://127.0.0.1:{server.server_port}")
    deployed.enter((Need.CONNECTORS,))

    def saying(said: bytes) -> RemoteConnector:
        _Babbling.said = said
        return remote.connector("simulated")

    yield saying
    server.shutdown()
    server.server_close()
    deployed.override()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"<html>",
        b"\xff",
        b"null",
        b"{}",
        b"[null]",
        b"[{}]",
        b'[{"outcome":"maybe"}]',
        b'[{"outcome":"approved"}]',
        b'[{"outcome":"approved","reference":"r","cost_minor":1.5}]',
        b'[{"outcome":"pending","reference":"r","until":"tomorrow"}]',
        b'[{"notice":"dispute_opened"}]',
    ],
)
def test_nonsense_is_unknown_and_no_notice(
    babbling: Callable[[bytes], RemoteConnector], said: bytes
) -> None:
    connector = babbling(said)
    assert isinstance(ask(connector, order()), Unknown)
    assert connector.notices(AT) == []
    connector.acknowledge(ACCOUNT, "x")


def test_200_timeouts_are_found_out_and_captured_once(
    deployed: Platform, connector: RemoteConnector
) -> None:
    asked = [order(payment_method="tok_timeout") for _ in range(200)]
    for each in asked:
        assert isinstance(ask(connector, each), Unknown)
    acquirer = simulated(deployed)
    for each in asked:
        found = ask(connector, each, asked_before=True)
        assert found == Approved(reference=f"sim_{each.charge.hex}", cost_minor=180)
        payment = acquirer._read(f"payment/{each.charge.hex}").payment
        assert payment is not None
        assert (payment.captured_minor, len(payment.outcomes)) == (10_000, 1)


def test_a_token_that_answers_only_when_asked_twice(connector: RemoteConnector) -> None:
    asked = order(payment_method="tok_duplicate")
    assert isinstance(ask(connector, asked), Unknown)
    assert isinstance(ask(connector, asked), Approved)


# -- many at once


def test_orders_of_one_message_are_carried_out_each_by_itself(
    deployed: Platform, connector: RemoteConnector
) -> None:
    tokens = ("tok_visa", "tok_timeout", "tok_declined", "tok_duplicate", "tok_visa")
    asked = [order(payment_method=token) for token in tokens]
    known = order()
    ask(connector, known)
    outcomes = connector.carry_out(
        [
            *(Asked(order=each) for each in asked),
            Asked(order=known, asked_before=True),
            Asked(order=order(), asked_before=True),
        ]
    )
    assert [each.outcome for each in outcomes] == [
        *("approved", "unknown", "declined", "unknown", "approved", "approved", "approved")
    ]
    found = [simulated(deployed).lookup(each) for each in asked]
    assert [each.outcome for each in found] == [
        *("approved", "approved", "declined", "approved", "approved")
    ]


@pytest.mark.parametrize("said", [[], [APPROVED], [APPROVED] * 3, {"outcome": "approved"}])
def test_an_answer_of_another_length_is_about_nothing(
    babbling: Callable[[bytes], RemoteConnector], said: Any
) -> None:
    connector = babbling(json.dumps(said).encode())
    outcomes = connector.carry_out([Asked(order=order()), Asked(order=order())])
    assert [each.outcome for each in outcomes] == ["unknown", "unknown"]


def test_nonsense_about_one_is_not_about_the_others(
    babbling: Callable[[bytes], RemoteConnector],
) -> None:
    connector = babbling(json.dumps([APPROVED, {"outcome": "maybe"}]).encode())
    outcomes = connector.carry_out([Asked(order=order()), Asked(order=order())])
    assert [each.outcome for each in outcomes] == ["approved", "unknown"]


# -- notices


def test_notices_wait_in_order_until_each_is_acknowledged(connector: RemoteConnector) -> None:
    account = "2001-test"
    paid = [
        order(account=account, payment_method="tok_dispute", at=AT + number * MINUTE)
        for number in (2, 0, 1)
    ]
    for each in paid:
        ask(connector, each)
    assert connector.notices(AT - MINUTE, account) == []
    assert len(connector.notices(AT + MINUTE, account)) == 2
    heard = connector.notices(AT + 2 * MINUTE, account)
    assert [notice.charge for notice in heard] == [paid[n].charge for n in (1, 2, 0)]
    assert connector.notices(AT + 2 * MINUTE, account) == heard
    connector.acknowledge(account, heard[0].id)
    connector.acknowledge(account, heard[0].id)
    assert connector.notices(AT + 2 * MINUTE, account) == heard[1:]
    assert {notice.account for notice in heard} == {account}
    everybody = connector.notices(AT + 2 * MINUTE)
    assert [notice for notice in everybody if notice.account == account] == heard[1:]
    for notice in heard:
        connector.acknowledge(account, notice.id)


def test_a_dispute_leaves_out_what_was_refunded_before_it_was_told(
    connector: RemoteConnector,
) -> None:
    paid = order(account="2002-test", payment_method="tok_dispute")
    ask(connector, paid)
    ask(connector, order("refund", of=paid, amount_minor=4_000))
    (opened,) = connector.notices(AT, paid.account)
    assert isinstance(opened, DisputeOpened)
    assert opened.amount_minor == 6_000
    late = ask(connector, order("refund", of=paid, amount_minor=1))
    assert late == Declined(failure_code="charge_disputed")


def test_refunds_and_the_dispute_never_exceed_the_payment(connector: RemoteConnector) -> None:
    account = "2003-test"
    for _ in range(5):
        paid = order(account=account, payment_method="tok_dispute")
        ask(connector, paid)
        refunds = [order("refund", of=paid, amount_minor=4_000) for _ in range(THREADS - 1)]
        with ThreadPoolExecutor(THREADS) as threads:
            refunding = [threads.submit(ask, connector, each) for each in refunds]
            collecting = threads.submit(connector.notices, AT, account)
        collecting.result()
        refunded = sum(4_000 for done in refunding if isinstance(done.result(), Approved))
        (opened,) = (n for n in connector.notices(AT, account) if n.charge == paid.charge)
        assert isinstance(opened, DisputeOpened)
        assert opened.amount_minor + refunded == 10_000


def test_so_many_notices_at_once(connector: RemoteConnector) -> None:
    account = "2004-test"
    for number in range(NOTICES_LIMIT + 5):
        ask(
            connector, order(account=account, payment_method="tok_dispute", at=AT + number * MINUTE)
        )
    first = connector.notices(AT + DAY, account)
    assert len(first) == NOTICES_LIMIT
    for notice in first:
        connector.acknowledge(account, notice.id)
    assert len(connector.notices(AT + DAY, account)) == 5


# -- the function


def test_the_deployed_function_answers_messages(
    deployed: Platform, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    handler = deployed_connector.handler
    deployed.enter(handler.needs)
    asked = order()
    logged()
    (said,) = handler(message(asked), LambdaContext())
    assert said["outcome"] == "approved"
    again = handler(message(asked, order(payment_method="tok_declined")), LambdaContext())
    assert again == [said, again[1]]
    first, second = logged()
    assert (first["message"], first["method"]) == ("connector.answered", "carry_out")
    assert (first["charges"], first["outcomes"]) == ([str(asked.charge)], ["approved"])
    assert second["outcomes"] == ["approved", "declined"]


def test_who_asks_passes_its_correlation_on(babbling: Callable[[bytes], RemoteConnector]) -> None:
    asked = [Asked(order=order(), correlation=f"req-{number}") for number in (8, 9)]
    babbling(b"").carry_out(asked)
    told = json.loads(_Babbling.heard)
    assert [each["correlation"] for each in told["orders"]] == ["req-8", "req-9"]


def test_who_asks_says_how_long_it_listens(
    babbling: Callable[[bytes], RemoteConnector], monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = babbling(b"")
    monkeypatch.setattr(remote, "time", STOPPED)
    ask(connector, order())
    until = json.loads(_Babbling.heard)["until"]
    assert until == 1_000_000 + aws.READ_SECONDS_OF["lambda"]


def test_who_asks_names_what_it_was_not_told(
    babbling: Callable[[bytes], RemoteConnector], logged: Callable[[], list[dict[str, Any]]]
) -> None:
    asked = [Asked(order=order()), Asked(order=order())]
    first, second = [str(each.order.charge) for each in asked]
    logged()
    babbling(b"").carry_out(asked)
    babbling(json.dumps([APPROVED, {"outcome": "maybe"}]).encode()).carry_out(asked)
    silent, senseless = logged()
    assert (silent["message"], silent["charges"]) == ("connector.no_answer", [first, second])
    assert (senseless["message"], senseless["charge"]) == ("connector.no_sense", second)


@pytest.mark.parametrize(
    "event", [{}, {"method": "steal"}, {"method": "carry_out", "orders": [{}]}]
)
def test_the_deployed_function_fails_without_saying_why(
    deployed: Platform, event: dict[str, Any], logged: Callable[[], list[dict[str, Any]]]
) -> None:
    deployed.enter(deployed_connector.handler.needs)
    logged()
    with pytest.raises(ConnectorError, match=r"^connectors/simulated failed; see its log\.$"):
        deployed_connector.handler(event, LambdaContext())
    (line,) = logged()
    assert line["message"] == "connector.failed"
    assert line["error"] in ("KeyError", "ValueError", "ValidationError")
