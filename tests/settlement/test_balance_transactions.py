"""The list of balance transactions: each filter shows what belongs to it and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from functions.balance_transactions import list as list_transactions
from functions.payouts import create
from tests.driving import Reply
from tests.settlement.test_payouts import linked
from tests.settlement.till import Till

Shown = dict[str, Any]


class Week:
    """What a merchant did in two currencies: three settlements, and two payouts of them."""

    def __init__(self, till: Till) -> None:
        self.till = till
        till.be("2026-11-24 09:00")
        till.set(reserve_basis_points=1_000, reserve_days=1)
        linked(till)
        self.kept, self.refunded = till.charge(), till.charge()
        self.refund = str(till.refund(self.refunded, amount=2_000).json()["id"])
        till.work()
        till.be("2026-11-25 09:00")  # no holiday for banks in euros: settled on the same day
        self.in_euros = till.charge(currency="EUR")
        till.close("2026-11-27 00:05")
        self.payout = self._pay(5_000)
        self.dispute = till.disputed()
        self.disputed = str(till.see(self.dispute)["charge"])
        till.close("2026-12-02 00:05")
        self.later_payout = self._pay(100)
        self.all = self.list()

    def _pay(self, amount: int) -> str:
        return str(
            self.till.post(create.handler, {"currency": "USD", "amount": amount}).json()["id"]
        )

    def batch(self, currency: str, settled_on: str) -> str:
        (found,) = [
            each["id"]
            for each in self.till.batches()
            if (each["currency"], each["settled_on"]) == (currency, settled_on)
        ]
        return str(found)

    def ask(self, **query: str) -> Reply:
        return ask(self.till, limit="100", **query)

    def list(self, **query: str) -> list[Shown]:
        reply = self.ask(**query)
        assert reply.status == 200, reply.body
        found: list[Shown] = reply.json()["data"]
        return found

    def where(self, belongs: Callable[[Shown], bool]) -> list[Shown]:
        """Return what belongs to something by what it says itself: some of all, and not all."""
        found = [each for each in self.all if belongs(each)]
        assert 0 < len(found) < len(self.all)
        return found


def ask(till: Till, **query: str) -> Reply:
    return till.here.get(list_transactions.handler, till.account, query)


def named(found: list[Shown]) -> set[tuple[str, str]]:
    """Return what was shown: each once."""
    assert len(found) == len({each["id"] for each in found})
    return {(each["type"], each["source"]) for each in found}


@pytest.fixture
def other(till: Till) -> Week:
    """What a merchant did of whom nothing is to be seen."""
    return Week(Till(till.here, 1))


@pytest.fixture
def week(till: Till, other: Week) -> Week:
    assert other.all
    return Week(till)


def test_by_what_each_says_of_itself(week: Week) -> None:
    for name in ("type", "currency", "source"):
        for value in {each[name] for each in week.all}:
            expected = week.where(lambda each, n=name, v=value: each[n] == v)  # type: ignore[misc]
            assert week.list(**{name: value}) == expected, (name, value)
    assert {each["type"] for each in week.all} == {
        "charge", "refund", "dispute", "payout", "reserve_hold", "reserve_release",
    }  # fmt: skip


def test_a_currency_is_known_in_small_letters_and_another_matches_nothing(week: Week) -> None:
    assert week.list(currency="eur") == week.where(lambda each: each["currency"] == "EUR")
    assert week.list(currency="JPY") == week.list(currency="nobody's") == []


def test_by_settlement(week: Week) -> None:
    dollars = week.batch("USD", "2026-11-27")
    assert named(week.list(settlement=dollars)) == {
        ("charge", week.kept),
        ("charge", week.refunded),
        ("refund", week.refund),
        ("reserve_hold", dollars),
    }
    euros = week.batch("EUR", "2026-11-27")
    assert named(week.list(settlement=euros)) == {
        ("charge", week.in_euros),
        ("reserve_hold", euros),
    }
    later = week.batch("USD", "2026-12-01")
    assert named(week.list(settlement=later)) == {
        ("charge", week.disputed),
        ("reserve_hold", later),
    }


def test_by_payout(week: Week) -> None:
    dollars, later = week.batch("USD", "2026-11-27"), week.batch("USD", "2026-12-01")
    assert named(week.list(payout=week.payout)) == {("reserve_hold", dollars)}
    released = {
        (each["type"], each["source"])
        for each in week.all
        if (each["type"], each["currency"]) == ("reserve_release", "USD")
    }
    assert len(released) == 2
    assert named(week.list(payout=week.later_payout)) == released | {
        ("reserve_hold", later),
        ("dispute", week.dispute),
    }


def test_filters_narrow_each_other(week: Week) -> None:
    dollars, euros = week.batch("USD", "2026-11-27"), week.batch("EUR", "2026-11-27")
    for query, expected in (
        ({"settlement": dollars, "type": "charge"}, [week.refunded, week.kept]),
        ({"settlement": dollars, "type": "refund", "source": week.refund}, [week.refund]),
        ({"settlement": dollars, "source": week.in_euros}, []),
        ({"settlement": dollars, "currency": "EUR"}, []),
        ({"settlement": dollars, "payout": week.payout}, [dollars]),
        ({"settlement": euros, "payout": week.payout}, []),
        ({"payout": week.later_payout, "type": "dispute", "currency": "USD"}, [week.dispute]),
        ({"type": "charge", "currency": "EUR"}, [week.in_euros]),
        ({"type": "payout", "source": week.kept}, []),
        ({"type": "payout", "created_at[gt]": "2026-11-28T00:00:00Z"}, [week.later_payout]),
    ):
        found = week.list(**query)
        assert sorted(each["source"] for each in found) == sorted(expected), query


def test_a_page_of_what_is_filtered_leads_to_the_next(week: Week) -> None:
    expected = week.where(lambda each: each["type"] == "charge")
    found, query = [], {"type": "charge", "limit": "1"}
    while True:
        page = ask(week.till, **query).json()
        found += page["data"]
        if not page["has_more"]:
            break
        query["cursor"] = page["next_cursor"]
    assert found == expected


def test_what_is_another_merchants_shows_nothing(week: Week, other: Week) -> None:
    theirs = [
        *({"source": each["source"]} for each in other.all),
        *({"settlement": each["id"]} for each in other.till.batches()),
        {"payout": other.payout},
        {"payout": other.later_payout},
    ]
    assert len(theirs) == len(other.all) + 5
    for query in theirs:
        assert other.list(**query) != []
        assert week.list(**query) == [], query


def test_an_id_of_another_kind_shows_nothing(week: Week) -> None:
    """Whatever has these digits, no settlement and no payout has."""
    for each in (week.kept, week.refund, week.dispute, week.payout):
        digits = each.partition("_")[2]
        assert week.list(settlement=f"stl_{digits}") == [], each
    for each in (week.kept, week.batch("USD", "2026-11-27")):
        digits = each.partition("_")[2]
        assert week.list(payout=f"po_{digits}") == [], each
        assert week.list(source=f"mer_{digits}") == week.list(source=f"re_{digits}") == [], each


DIGITS = "019ab2c4d5e67f8091a2b3c4d5e6f708"
DASHED = "019ab2c4-d5e6-7f80-91a2-b3c4d5e6f708"


@pytest.mark.parametrize(
    ("name", "prefix"), [("source", "ch"), ("settlement", "stl"), ("payout", "po")]
)
def test_what_is_no_id_is_refused_by_the_name_of_its_field(
    till: Till, name: str, prefix: str
) -> None:
    for written in (
        "",
        DIGITS,
        f"{prefix}_",
        f"{prefix}_{DASHED}",
        f"{prefix}_{{{DIGITS}}}",
        f"{prefix}_{DIGITS.upper()}",
        f"{prefix}_{DIGITS}0",
        f"{prefix}_{DIGITS}\n",
        f"{prefix}_urn:uuid:{DASHED}",
        f"{prefix}{DIGITS}",
    ):
        refused = ask(till, **{name: written})
        assert (refused.status, refused.code) == (422, "request_invalid"), written
        (error,) = refused.json()["errors"]
        assert error["pointer"] == f"?{name}"
    assert ask(till, **{name: f"{prefix}_{DIGITS}"}).json()["data"] == []


def test_a_type_that_there_is_not_is_refused(till: Till) -> None:
    (error,) = ask(till, type="gift").json()["errors"]
    assert error["pointer"] == "?type"
