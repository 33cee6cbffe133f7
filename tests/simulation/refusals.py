"""What merchants may not do: in which state, asked how, refused with which code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from functions.charges import cancel, capture
from functions.connectors import collect
from functions.disputes import accept, evidence, lapse
from functions.refunds import create as create_refund
from ivy.money import MAX_AMOUNT_MINOR
from tests.driving import Reply
from tests.simulation.shop import Shop

Request = Callable[[], Reply]
Case = Callable[[Shop, Shop], Request]
"""Brings things into a state, and returns the request that must be refused in it."""

INVALID = (422, "request_invalid")
MISSING = (404, "resource_missing")
NOT_CAPTURABLE = (409, "charge_not_capturable")
NOT_CANCELABLE = (409, "charge_not_cancelable")
NOT_REFUNDABLE = (409, "charge_not_refundable")
EXCEEDS = (422, "refund_exceeds_charge")
CLOSED = (409, "dispute_closed")
BUSY = (409, "operation_in_progress")

WRONG_AMOUNTS: list[Any] = [
    0, -1, -10_000, MAX_AMOUNT_MINOR + 1, 10**30, 100.0, 0.5, "100", True, None, [100],
]  # fmt: skip


def charged(**fields: Any) -> Callable[[Shop], str]:
    return lambda shop: shop.charge(**fields)


def authorized(**fields: Any) -> Callable[[Shop], str]:
    return lambda shop: shop.authorized(**fields)


def canceled(shop: Shop) -> str:
    name = shop.authorized()
    shop.cancel(name)
    shop.work()
    return name


def expired(shop: Shop) -> str:
    name = shop.authorized()
    shop.pass_time(days=8)
    shop.go_on()
    return name


def captured(amount: int | None = None) -> Callable[[Shop], str]:
    def make(shop: Shop) -> str:
        name = shop.authorized()
        shop.capture(name, **({} if amount is None else {"amount": amount}))
        shop.work()
        return name

    return make


def pending(shop: Shop) -> str:
    return str(shop.pay().json()["id"])


def returned(shop: Shop) -> str:
    name = shop.charge(payment_method="tok_ach_r01")
    for _ in range(3):
        shop.pass_time(days=5)
        shop.go_on()
    assert shop.see(name)["failure_code"] == "bank_debit_returned"
    return name


def being_captured(shop: Shop) -> str:
    name = shop.authorized()
    assert shop.capture(name).status == 200
    return name


def being_canceled(**fields: Any) -> Callable[[Shop], str]:
    def make(shop: Shop) -> str:
        name = shop.authorized(**fields)
        assert shop.cancel(name).status == 200
        return name

    return make


def refunded(*amounts: int) -> Callable[[Shop], str]:
    def make(shop: Shop) -> str:
        name = shop.charge()
        for amount in amounts:
            assert shop.refund(name, amount=amount).status == 201
            shop.work()
        return name

    return make


def refund_under_way(shop: Shop) -> str:
    name = shop.charge()
    assert shop.refund(name, amount=6_000).status == 201
    return name


def disputed(shop: Shop) -> str:
    return str(shop.see(shop.disputed())["charge"])


def disputed_while_a_refund_waits(shop: Shop) -> str:
    """The dispute takes what the refund was to give back: less than nothing is left."""
    name = str(shop.pay(payment_method="tok_dispute").json()["id"])
    assert shop.refund(name).json()["pending_reason"] == "charge_pending"
    shop.here.pocket.take("refunds")
    shop.work()
    shop.here.run(collect.handler)
    return name


def capturing(made: Callable[[Shop], str], **body: Any) -> Case:
    def case(shop: Shop, _: Shop) -> Request:
        name = made(shop)
        return lambda: shop.capture(name, **body)

    return case


def canceling(made: Callable[[Shop], str]) -> Case:
    def case(shop: Shop, _: Shop) -> Request:
        name = made(shop)
        return lambda: shop.cancel(name)

    return case


def refunding(made: Callable[[Shop], str], **body: Any) -> Case:
    def case(shop: Shop, _: Shop) -> Request:
        name = made(shop)
        return lambda: shop.refund(name, **body)

    return case


def closing(*ways: Callable[[Shop, str], Any]) -> Callable[[Shop], str]:
    """A dispute after some ways of ending it."""

    def make(shop: Shop) -> str:
        name = shop.disputed()
        for way in ways:
            way(shop, name)
        return name

    return make


def answered(text: str) -> Callable[[Shop, str], None]:
    def way(shop: Shop, name: str) -> None:
        assert shop.answer(name, text).status == 200
        shop.work()

    return way


def decided(shop: Shop, name: str) -> None:
    shop.pass_time(minutes=5)
    shop.go_on()
    assert shop.see(name)["status"] in ("won", "lost")


def given_up(shop: Shop, name: str) -> None:
    assert shop.accept(name).status == 200
    shop.work()


def late(shop: Shop, _: str) -> None:
    shop.pass_time(days=9)


def lapsed(shop: Shop, name: str) -> None:
    shop.pass_time(days=9)
    shop.go_on()
    assert shop.see(name)["status"] == "lost"


def lapsing(shop: Shop, _: str) -> None:
    """The deadline has passed and the job has promised to close the dispute."""
    shop.pass_time(days=9)
    shop.here.run(lapse.handler)


def evidencing(made: Callable[[Shop], str], **body: Any) -> Case:
    def case(shop: Shop, _: Shop) -> Request:
        name = made(shop)
        return lambda: shop.answer(name, **{"text": "a letter", **body})

    return case


def accepting(made: Callable[[Shop], str]) -> Case:
    def case(shop: Shop, _: Shop) -> Request:
        name = made(shop)
        return lambda: shop.accept(name)

    return case


def theirs(what: str) -> Case:
    """The same request by another merchant."""

    def case(shop: Shop, other: Shop) -> Request:
        dispute = shop.disputed() if what in ("evidence", "accept") else ""
        charge = shop.charge() if what == "refund" else shop.authorized()
        return {
            "capture": lambda: other.capture(charge),
            "cancel": lambda: other.cancel(charge),
            "refund": lambda: other.refund(charge),
            "evidence": lambda: other.answer(dispute, "a letter"),
            "accept": lambda: other.accept(dispute),
        }[what]

    return case


def nobodys(what: str) -> Case:
    charge, dispute = f"ch_{uuid4().hex}", f"dp_{uuid4().hex}"

    def case(shop: Shop, _: Shop) -> Request:
        return {
            "capture": lambda: shop.capture(charge),
            "cancel": lambda: shop.cancel(charge),
            "refund": lambda: shop.refund(charge),
            "evidence": lambda: shop.answer(dispute, "a letter"),
            "accept": lambda: shop.accept(dispute),
        }[what]

    return case


def misnamed(what: str) -> Case:
    """An id of another kind of object."""

    def case(shop: Shop, _: Shop) -> Request:
        charge = shop.charge()
        wrong = charge.replace("ch_", "re_")
        return {
            "capture": lambda: shop.post(capture.handler, {}, id=wrong),
            "cancel": lambda: shop.post(cancel.handler, {}, id=wrong),
            "refund": lambda: shop.post(create_refund.handler, {"charge": wrong}),
            "evidence": lambda: shop.post(evidence.handler, {"text": "a letter"}, id=wrong),
            "accept": lambda: shop.post(accept.handler, {}, id=wrong),
        }[what]

    return case


def paying(**fields: Any) -> Case:
    return lambda shop, _: lambda: shop.pay(**fields)


VERBS = ("capture", "cancel", "refund", "evidence", "accept")

CHARGES: dict[str, dict[str, Any]] = {
    **{f"charge {a!r}": {"amount": a} for a in WRONG_AMOUNTS},
    "charge 49 cents": {"amount": 49},
    "charge 49 yen": {"amount": 49, "currency": "JPY"},
    "charge 499 fils": {"amount": 499, "currency": "KWD"},
    "charge in nobody's currency": {"currency": "XXX"},
    "charge a token that nobody knows": {"payment_method": "tok_nobody"},
    "charge no token": {"payment_method": "visa"},
    "charge, but only authorise a bank debit": {"payment_method": "tok_ach", "capture": False},
}

REFUNDS: dict[str, tuple[Callable[[Shop], str], dict[str, Any], tuple[int, str]]] = {
    **{
        f"refund {a!r}": (charged(), {"amount": a}, INVALID)
        for a in WRONG_AMOUNTS if a is not None
    },
    "refund above captured": (charged(), {"amount": 10_001}, EXCEEDS),
    "refund above partly captured": (captured(4_000), {"amount": 4_001}, EXCEEDS),
    "refund above the rest": (refunded(3_000, 4_000), {"amount": 3_001}, EXCEEDS),
    "refund when nothing is left": (refunded(10_000), {}, EXCEEDS),
    "refund beside one under way": (refund_under_way, {"amount": 4_001}, EXCEEDS),
    "refund what is disputed": (disputed, {"amount": 1}, EXCEEDS),
    "refund the rest of what is disputed": (disputed, {}, EXCEEDS),
    "refund the rest when a dispute took more": (disputed_while_a_refund_waits, {}, EXCEEDS),
    "refund more than a pending charge": (pending, {"amount": 10_001}, EXCEEDS),
    "refund in another currency": (charged(), {"currency": "EUR"}, (422, "currency_mismatch")),
    "refund an authorised charge": (authorized(), {}, NOT_REFUNDABLE),
    "refund a failed charge": (charged(payment_method="tok_declined"), {}, NOT_REFUNDABLE),
    "refund a canceled charge": (canceled, {}, NOT_REFUNDABLE),
    "refund an expired charge": (expired, {}, NOT_REFUNDABLE),
    "refund a returned bank debit": (returned, {}, NOT_REFUNDABLE),
}  # fmt: skip

CASES: dict[str, tuple[Case, tuple[int, str]]] = {
    **{name: (paying(**said), INVALID) for name, said in CHARGES.items()},
    **{f"rehearse: {n}": (paying(**s, dry_run=True), INVALID) for n, s in CHARGES.items()},
    **{
        f"capture {a!r}": (capturing(authorized(), amount=a), INVALID)
        for a in WRONG_AMOUNTS if a is not None
    },
    "capture above authorised": (
        capturing(authorized(), amount=10_001), (422, "amount_exceeds_authorized"),
    ),
    "capture in another currency": (
        capturing(authorized(), currency="EUR"), (422, "currency_mismatch"),
    ),
    "capture twice": (capturing(captured()), (409, "charge_already_captured")),
    "capture the rest": (
        capturing(captured(4_000), amount=6_000), (409, "charge_already_captured"),
    ),
    "capture what was charged": (capturing(charged()), (409, "charge_already_captured")),
    "capture what came back": (capturing(returned), (409, "charge_already_captured")),
    "capture a pending charge": (capturing(pending), NOT_CAPTURABLE),
    "capture a failed charge": (
        capturing(charged(payment_method="tok_declined")), NOT_CAPTURABLE,
    ),
    "capture a canceled charge": (capturing(canceled), NOT_CAPTURABLE),
    "capture an expired charge": (capturing(expired), NOT_CAPTURABLE),
    "capture before the payer acts": (
        capturing(authorized(payment_method="tok_requires_action")), NOT_CAPTURABLE,
    ),
    "capture while it is captured": (capturing(being_captured), BUSY),
    "capture while it is canceled": (capturing(being_canceled()), BUSY),
    "cancel while it is captured": (canceling(being_captured), BUSY),
    "cancel while it is canceled": (canceling(being_canceled()), BUSY),
    "cancel again before the payer acts": (
        canceling(being_canceled(payment_method="tok_requires_action")), BUSY,
    ),
    "cancel after capture": (canceling(captured()), NOT_CANCELABLE),
    "cancel what was charged": (canceling(charged()), NOT_CANCELABLE),
    "cancel a pending charge": (canceling(pending), NOT_CANCELABLE),
    "cancel a failed charge": (canceling(charged(payment_method="tok_declined")), NOT_CANCELABLE),
    "cancel twice": (canceling(canceled), NOT_CANCELABLE),
    "cancel an expired charge": (canceling(expired), NOT_CANCELABLE),
    **{name: (refunding(made, **said), refusal) for name, (made, said, refusal) in REFUNDS.items()},
    **{
        f"rehearse: {name}": (refunding(made, **said, dry_run=True), refusal)
        for name, (made, said, refusal) in REFUNDS.items()
    },
    "answer a dispute twice": (evidencing(closing(answered("a letter"))), CLOSED),
    "answer a won dispute": (
        evidencing(closing(answered("winning_evidence"), decided)), CLOSED,
    ),
    "answer a lost dispute": (evidencing(closing(answered("a letter"), decided)), CLOSED),
    "answer a dispute that was given up": (evidencing(closing(given_up)), CLOSED),
    "answer a dispute too late": (evidencing(closing(late)), CLOSED),
    "draft an answer too late": (evidencing(closing(late), submit=False), CLOSED),
    "answer a dispute that lapsed": (evidencing(closing(lapsed)), CLOSED),
    "answer with nothing": (evidencing(closing(), text=""), INVALID),
    "answer with too much": (evidencing(closing(), text="a" * 20_001), INVALID),
    "answer with a document that does not exist": (
        evidencing(closing(), documents=[f"doc_{uuid4().hex}"]), INVALID,
    ),
    "give up a dispute twice": (accepting(closing(given_up)), CLOSED),
    "give up a dispute under review": (accepting(closing(answered("a letter"))), CLOSED),
    "give up a won dispute": (
        accepting(closing(answered("winning_evidence"), decided)), CLOSED,
    ),
    "give up a dispute that is lapsing": (accepting(closing(lapsing)), BUSY),
    **{f"{verb} another merchant's": (theirs(verb), MISSING) for verb in VERBS},
    **{f"{verb} what does not exist": (nobodys(verb), MISSING) for verb in VERBS},
    **{
        f"{verb} something else": (misnamed(verb), INVALID if verb == "refund" else MISSING)
        for verb in VERBS
    },
}  # fmt: skip
