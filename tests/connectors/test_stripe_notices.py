"""What the Stripe connector tells about disputes, out of an event log that forgets nothing."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest

from ivy import observe
from ivy.connectors import DisputeClosed, DisputeOpened, Notice
from ivy.connectors.stripe import StripeConnector
from ivy.connectors.stripe_notices import PAGES, WINDOW
from tests.connectors.stripe_account import DAY, Object
from tests.connectors.stripe_orders import CHARGE, KEYS, paid
from tests.connectors.stripe_server import StripeServer

LOOKED_UP = "GET payment_intents/.*"


def told(stripe: StripeConnector, account: str | None = None, **later: int) -> list[Notice]:
    return stripe.notices(datetime.now(UTC) + timedelta(**later), account)


def opened(dispute: Object, **more: Any) -> DisputeOpened:
    created = datetime.fromtimestamp(dispute["created"], UTC)
    due_by = dispute["evidence_details"]["due_by"]
    return DisputeOpened(
        **{
            "id": f"{dispute['id']}.opened",
            "account": "1001-test",
            "charge": CHARGE,
            "at": created,
            "dispute": dispute["id"],
            "amount_minor": 10_000,
            "reason": "fraudulent",
            "evidence_due_by": datetime.fromtimestamp(due_by, UTC) if due_by else created,
            **more,
        }
    )


def closed(dispute: Object, *, won: bool) -> DisputeClosed:
    return DisputeClosed(
        id=f"{dispute['id']}.closed",
        account="1001-test",
        charge=CHARGE,
        at=datetime.fromtimestamp(dispute["created"], UTC),
        dispute=dispute["id"],
        won=won,
    )


@pytest.fixture(autouse=True)
def _one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything at the stand-in happen in the same second."""
    present = time.time()
    monkeypatch.setattr("tests.connectors.stripe_account.time.time", lambda: present)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    written = StringIO()
    for handler in observe.logger().handlers:
        monkeypatch.setattr(handler, "stream", written)
    return written


def test_a_dispute_is_told_once_though_two_events_are_about_it(
    server: StripeServer, stripe: StripeConnector
) -> None:
    dispute = server.account.dispute(paid(stripe))
    assert len(server.account.events) == 2
    assert told(stripe) == [opened(dispute)]


@pytest.mark.parametrize(("status", "won"), [("won", True), ("lost", False)])
def test_a_decision_is_told_after_the_dispute(
    server: StripeServer, stripe: StripeConnector, status: str, won: bool
) -> None:
    dispute = server.account.dispute(paid(stripe))
    server.account.decide(dispute, status)
    assert told(stripe) == [opened(dispute), closed(dispute, won=won)]


def test_of_a_dispute_older_than_the_window_the_beginning_is_told_with_its_end(
    server: StripeServer, stripe: StripeConnector
) -> None:
    dispute = server.account.dispute(paid(stripe))
    server.account.events.clear()
    server.account.decide(dispute, "won")
    assert told(stripe) == [opened(dispute), closed(dispute, won=True)]


def test_a_bank_debit_that_comes_back_is_a_dispute_lost_at_once(
    server: StripeServer, stripe: StripeConnector
) -> None:
    name = paid(stripe, payment_method="pm_usBankAccount_success")
    server.account.clear(name)
    details = {"due_by": None, "has_evidence": False, "past_due": False, "submission_count": 0}
    dispute = server.account.dispute(
        name, "lost", reason="insufficient_funds", evidence_details=details
    )
    assert told(stripe) == [
        opened(dispute, reason="insufficient_funds"),
        closed(dispute, won=False),
    ]


def test_an_inquiry_is_told_when_it_takes_money(
    server: StripeServer, stripe: StripeConnector
) -> None:
    dispute = server.account.dispute(paid(stripe), "warning_needs_response")
    assert told(stripe) == []
    dispute["status"] = "needs_response"
    server.account.happened("charge.dispute.funds_withdrawn", dispute)
    assert told(stripe) == [opened(dispute)]


def test_an_inquiry_that_ends_well_is_never_told(
    server: StripeServer, stripe: StripeConnector
) -> None:
    dispute = server.account.dispute(paid(stripe), "warning_needs_response")
    server.account.decide(dispute, "warning_closed")
    server.account.dispute(paid(stripe, key="ch_2"), "prevented")
    assert told(stripe) == []


def test_a_part_of_a_payment_may_be_disputed(server: StripeServer, stripe: StripeConnector) -> None:
    dispute = server.account.dispute(paid(stripe), amount=2_500)
    assert told(stripe) == [opened(dispute, amount_minor=2_500)]


def test_oldest_first(server: StripeServer, stripe: StripeConnector) -> None:
    first = server.account.dispute(paid(stripe))
    second = server.account.dispute(paid(stripe, key="ch_2"))
    server.account.decide(first, "lost")
    assert told(stripe) == [opened(first), opened(second), closed(first, won=False)]


def test_each_account_hears_its_own(server: StripeServer, stripe: StripeConnector) -> None:
    mine = server.account.dispute(paid(stripe))
    other = server.account.dispute(paid(stripe, key="ch_2", account="1002-test"))
    live = server.account.dispute(paid(stripe, key="ch_3", account="1001-live"))
    assert told(stripe, "1001-test") == [opened(mine)]
    assert told(stripe, "1002-test") == [opened(other, account="1002-test")]
    assert told(stripe, "1001-live") == [opened(live, account="1001-live")]
    assert len(told(stripe)) == 3
    assert told(stripe, "1003-test") == []


def test_a_mode_without_a_key_is_left_out(server: StripeServer, stripe: StripeConnector) -> None:
    dispute = server.account.dispute(paid(stripe))
    only_test = StripeConnector(secret=lambda: {"test_key": KEYS["test_key"]}, base=server.base)
    assert told(only_test) == [opened(dispute)]


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"ivy_account": "1001-test"},
        {"ivy_charge": "ch_1", "ivy_account": "1001-test"},
        {"ivy_charge": f"ch_{CHARGE.hex}"},
        {"ivy_charge": f"ch_{CHARGE.hex}", "ivy_account": "1001-live"},  # told by a test key
    ],
)
def test_payments_of_others_are_not_told(
    server: StripeServer, stripe: StripeConnector, metadata: dict[str, str]
) -> None:
    name = paid(stripe)
    server.account.objects[name]["metadata"] = metadata
    server.account.dispute(name)
    assert told(stripe) == []


def test_disputes_without_a_payment_of_ours_are_not_told(
    server: StripeServer, stripe: StripeConnector
) -> None:
    name = paid(stripe)
    server.account.dispute(name, payment_intent=None)
    server.account.dispute(name, payment_intent="pi_elsewhere")
    server.account.dispute(name, livemode=True)
    assert told(stripe) == []


def test_on_a_test_clock_that_is_ahead_it_happened_as_recently(
    server: StripeServer, stripe: StripeConnector
) -> None:
    dispute = server.account.dispute(paid(stripe))
    real = opened(dispute)
    ahead = timedelta(days=90)
    (notice,) = told(stripe, "1001-test", days=90)
    assert isinstance(notice, DisputeOpened)
    assert notice.at == real.at + ahead
    assert notice.evidence_due_by == real.evidence_due_by + ahead


def test_a_notice_is_repeated_under_its_id_and_acknowledging_it_asks_nothing(
    server: StripeServer, stripe: StripeConnector
) -> None:
    server.account.dispute(paid(stripe))
    first = told(stripe)
    server.calls.clear()
    stripe.acknowledge("1001-test", first[0].id)
    assert server.calls == []
    assert told(stripe) == first


def test_whose_a_payment_is_is_asked_once(server: StripeServer, stripe: StripeConnector) -> None:
    server.account.dispute(paid(stripe))
    for _ in range(3):
        assert len(told(stripe)) == 1
    assert len(server.asked(LOOKED_UP)) == 1


def test_only_the_window_is_read(server: StripeServer, stripe: StripeConnector) -> None:
    dispute = server.account.dispute(paid(stripe))
    for event in server.account.events:
        event["created"] -= int(WINDOW.total_seconds()) + 60
    assert told(stripe) == []
    server.account.events[0]["created"] += 120
    assert [notice.id for notice in told(stripe)] == [f"{dispute['id']}.opened"]


def test_several_pages_are_read(server: StripeServer, stripe: StripeConnector) -> None:
    dispute = server.account.dispute(paid(stripe))
    for _ in range(150):
        server.account.happened("charge.dispute.closed", {**dispute, "status": "warning_closed"})
    assert told(stripe) == [opened(dispute)]
    assert len(server.asked("GET events")) == 3  # two of one mode, one of the other


def test_more_than_can_be_read_raises_a_figure(
    server: StripeServer,
    stripe: StripeConnector,
    lines: StringIO,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.account.dispute(paid(stripe))
    newest = server.account.dispute(paid(stripe, key="ch_2"))
    for _ in range(PAGES * 100 - 2):
        server.account.happened("charge.dispute.closed", {**newest, "status": "warning_closed"})
    assert told(stripe, "1001-test") == [opened(newest)]
    assert "stripe.notices_cut" in lines.getvalue()
    assert "ConnectorNoticesCut" in capsys.readouterr().out


def test_what_there_is_no_time_for_comes_later(server: StripeServer, lines: StringIO) -> None:
    stripe = StripeConnector(secret=lambda: KEYS, base=server.base, seconds=0.6)
    first = server.account.dispute(paid(stripe))
    second = server.account.dispute(paid(stripe, key="ch_2"))
    server.misbehave(f"GET payment_intents/{second['payment_intent']}", "hang")
    assert told(stripe, "1001-test") == [opened(first)]
    assert "stripe.notices_unfinished" in lines.getvalue()
    assert told(stripe, "1001-test") == [opened(first), opened(second)]


@pytest.mark.parametrize("fault", ["fail", "garbage", "list", "other", "lose", "busy", "forbid"])
def test_without_an_answer_there_is_nothing_to_tell(
    server: StripeServer, stripe: StripeConnector, fault: Any
) -> None:
    dispute = server.account.dispute(paid(stripe))
    server.misbehave("GET events", fault)
    assert told(stripe, "1001-test") == []
    assert told(stripe, "1001-test") == [opened(dispute)]


def test_a_dispute_in_another_currency_is_not_guessed_at(
    server: StripeServer,
    stripe: StripeConnector,
    lines: StringIO,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.account.dispute(paid(stripe), currency="eur")
    assert told(stripe) == []
    (line, *_) = (json.loads(each) for each in lines.getvalue().splitlines())
    assert line["message"] == "stripe.dispute_in_another_currency"
    assert line["event"] == server.account.events[0]["id"]
    assert "ConnectorNoticeUnusable" in capsys.readouterr().out


def test_one_event_of_another_shape_does_not_hide_the_others(
    server: StripeServer, stripe: StripeConnector, lines: StringIO
) -> None:
    dispute = server.account.dispute(paid(stripe))
    odd = server.account.happened("charge.dispute.closed", {"livemode": False, "object": "x"})
    assert told(stripe, "1001-test") == [opened(dispute)]
    (line,) = (json.loads(each) for each in lines.getvalue().splitlines())
    assert (line["message"], line["event"]) == ("stripe.event_unusable", odd["id"])


def test_a_deadline_is_when_stripe_says(server: StripeServer, stripe: StripeConnector) -> None:
    dispute = server.account.dispute(paid(stripe))
    (notice,) = told(stripe, "1001-test")
    assert isinstance(notice, DisputeOpened)
    left = notice.evidence_due_by - datetime.fromtimestamp(dispute["created"], UTC)
    assert left == timedelta(seconds=10 * DAY)
