"""Looking at what Ivy shows, and holding it against the model."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import uuid4

from functions.balance_transactions import list as list_transactions
from functions.charges import get as get_charge
from functions.charges import list as list_charges
from functions.disputes import get as get_dispute
from functions.disputes import list as list_disputes
from functions.merchants import balance as get_balance
from functions.refunds import get as get_refund
from functions.refunds import list as list_refunds
from ivy.serve.declaration import Route
from tests.simulation.model_things import AVAILABLE, HELD, PENDING, RESERVED, Thing
from tests.simulation.story import Story

NOUNS = {
    "charges": ("ch", list_charges.handler, get_charge.handler),
    "refunds": ("re", list_refunds.handler, get_refund.handler),
    "disputes": ("dp", list_disputes.handler, get_dispute.handler),
}
MAX_PAGE = 100


def balance(story: Story, who: int) -> None:
    """The balance is what the model's books say; it lists every currency with something in it."""
    account = story.sandbox.accounts[who]
    books, number = story.model.books, account.merchant_id
    lines = story.sandbox.get(get_balance.handler, account).json()["balances"]
    for line in lines:
        seen = [line[name] for name in ("pending", "available", "disputed", "reserved")]
        codes = (PENDING, AVAILABLE, HELD, RESERVED)
        assert seen == [-books[number, line["currency"], code] for code in codes]
    listed = {line["currency"] for line in lines}
    assert {c for (n, c, _), amount in books.items() if n == number and amount} <= listed


def transactions(story: Story, who: int) -> None:
    """What changed the balance adds up to the balance."""
    merchant, summed = story.sandbox.accounts[who].merchant_id, Counter[str]()
    for each in _pages(story, list_transactions.handler, who, MAX_PAGE):
        assert each["net"] == each["amount"] - each["fee"]
        summed[each["currency"]] += each["net"]
    for currency in {currency for _, currency, _ in story.model.books}:
        assert summed[currency] == story.model.funds(merchant, currency)


def listing(story: Story, who: int, what: str, limit: int) -> None:
    """A list has all of a merchant's things, newest first, however it is cut into pages."""
    seen = _pages(story, NOUNS[what][1], who, limit)
    things = _things(story, what)
    merchant = story.sandbox.accounts[who].merchant_id
    mine = [name for name, thing in things.items() if thing.merchant == merchant]
    assert [each["id"] for each in seen] == sorted(mine, reverse=True)
    for each in seen:
        story.shown(each, things[each["id"]])


def _pages(story: Story, route: Route, who: int, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query = {"limit": str(limit)}
    while True:
        page = story.sandbox.get(route, story.sandbox.accounts[who], query).json()
        found += page["data"]
        if not page["has_more"]:
            return found
        query["cursor"] = page["next_cursor"]


def names(story: Story, what: str) -> list[str]:
    """Return the names of all things of a kind, oldest first."""
    return list(_things(story, what))


def get(story: Story, who: int, what: str, name: str) -> None:
    """A merchant sees what is theirs; what is not, or is nobody's, is missing. \"\" is nobody's."""
    prefix, _, route = NOUNS[what]
    thing = _things(story, what).get(name)
    account = story.sandbox.accounts[who]
    reply = story.sandbox.get(route, account, id=name or f"{prefix}_{uuid4().hex}")
    if thing is None or thing.merchant != account.merchant_id:
        assert (reply.status, reply.code) == (404, "resource_missing")
    else:
        story.shown(reply.json(), thing)


def _things(story: Story, what: str) -> dict[str, Thing]:
    found: dict[str, Thing] = getattr(story.model, what)
    return found
