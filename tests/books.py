"""Books with everything in them: every kind of money state, reached through the handlers.

``played`` drives a deployment through weeks of business, for tests that look at whole books. The
present is the test's: ``Clock`` moves it, and the simulated acquirer is told it with each order.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

from functions.bank_accounts import create as create_account
from functions.bank_accounts import delete as delete_account
from functions.bank_accounts import list as list_accounts
from functions.bank_accounts import verify as verify_account
from functions.charges import cancel, capture, create, process
from functions.charges import get as get_charge
from functions.connectors import collect
from functions.disputes import accept, evidence
from functions.disputes import list as list_disputes
from functions.disputes import process as process_dispute
from functions.events import sweep
from functions.ledger import roll_up
from functions.outbox import relay
from functions.payouts import cancel as cancel_payout
from functions.payouts import create as create_payout
from functions.payouts import reject
from functions.recoveries import approve as approve_write_off
from functions.recoveries import cancel as cancel_debit
from functions.recoveries import debit, propose, report, watch
from functions.refunds import create as create_refund
from functions.refunds import process as process_refund
from functions.settlements import itemise, run, settle
from ivy import (
    acquirer_settlements,
    bank_lines,
    bank_receipts,
    ids,
    payout_outcomes,
    recovery_debit_outcomes,
    suspense,
)
from ivy.bank_files import bai2
from ivy.bank_files.statements import Statement, StatementLine
from ivy.connectors import SettlementReport
from ivy.database import Database, Tenant, Transaction
from ivy.serve.declaration import Command
from tests.driving import Account, LambdaContext, Platform

CONSUMERS = (process.handler, process_refund.handler, process_dispute.handler)
BEGINS = datetime.fromisoformat("2026-11-23T09:00:00Z")
"""A Monday, so that bank debits take as many days as it says."""

SAME_REFUND = 841
"""Refunded once in each currency."""

BY_IBAN = {
    "country": "DE",
    "currency": "EUR",
    "account_holder_name": "Ada",
    "iban": "DE89370400440532013000",
}

RETURNING_FEES = {
    "card": {"basis_points": 290, "fixed_cents": 30},
    "bank_debit": {"basis_points": 80, "max_cents": 500},
    "dispute_fee_cents": 1500,
    "return_fee_cents": 400,
    "fee_return": "proportional",
}


@dataclass
class Clock:
    """The present, which only a test moves."""

    at: datetime

    def now(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at

    def pass_days(self, days: float) -> None:
        self.at += timedelta(days=days)


@contextmanager
def clock(begins: datetime = BEGINS) -> Iterator[Clock]:
    """Stop the clock of the program at a time."""
    made = Clock(begins)
    with mock.patch.object(ids, "now", made.now):
        yield made


@dataclass
class Business:
    """One merchant's doings, each carried through to what the acquirer says."""

    platform: Platform
    account: Account
    _keys: Iterator[int] = field(default_factory=itertools.count)

    def post(self, route: Any, body: dict[str, Any], **path: Any) -> dict[str, Any]:
        key = {"Idempotency-Key": f"{next(self._keys)}"}
        made = self.platform.request(
            route, body, bearer=self.account.secret_key, headers=key, **path
        )
        assert made.status == route.status, made.body
        answer: dict[str, Any] = made.json()
        return answer

    def charge(self, amount: int, token: str = "tok_visa", **fields: Any) -> str:
        body = {"amount": amount, "currency": "USD", "payment_method": token} | fields
        made = self.post(create.handler, body)
        work(self.platform)
        return str(made["id"])

    def hold(self, amount: int) -> str:
        return self.charge(amount, capture=False)

    def capture(self, charge: str, **fields: Any) -> None:
        self.post(capture.handler, fields, id=charge)
        work(self.platform)

    def cancel(self, charge: str) -> None:
        self.post(cancel.handler, {}, id=charge)
        work(self.platform)

    def refund(self, charge: str, *, finish: bool = True, **fields: Any) -> dict[str, Any]:
        made = self.post(create_refund.handler, {"charge": charge} | fields)
        if finish:
            work(self.platform)
        return made

    def dispute_of(self, charge: str) -> str:
        found = self.platform.request(
            list_disputes.handler, bearer=self.account.secret_key, query={"charge": charge}
        )
        return str(found.json()["data"][0]["id"])

    def status_of(self, charge: str) -> str:
        found = self.platform.request(get_charge.handler, bearer=self.account.secret_key, id=charge)
        return str(found.json()["status"])

    def contest(self, charge: str, text: str) -> None:
        said = {"text": text, "submit": True}
        self.post(evidence.handler, said, id=self.dispute_of(charge))
        work(self.platform)

    def concede(self, charge: str) -> None:
        self.post(accept.handler, {}, id=self.dispute_of(charge))
        work(self.platform)


def work(platform: Platform) -> None:
    """Let every queue run empty."""
    for consumer in CONSUMERS:
        platform.drain(consumer)


def hear(platform: Platform) -> None:
    """Let what is overdue be sent again, and hear what the acquirer did by itself."""
    platform.make_overdue()
    platform.run(relay.handler)
    work(platform)
    platform.run(collect.handler)


def close_days(platform: Platform) -> None:
    """Settle every day that has come."""
    platform.run(run.handler)
    platform.drain(settle.handler, itemise.handler)


@dataclass(frozen=True)
class Books:
    """What was played: the merchants and charges that tests look for."""

    ada: Business
    bob: Business
    twins: tuple[str, str]
    """One charge of each merchant, of the same amount."""


def played(platform: Platform) -> Books:
    """Play some weeks of business of three merchants."""
    ada, bob, cyd = (
        Business(platform, platform.open_account(f"{name}@example.com"))
        for name in ("ada", "bob", "cyd")
    )
    with clock() as time:
        with platform.store.superuser() as root:
            root.execute(
                "INSERT INTO fee_plans (code, version, terms) VALUES ('returning', 1, %s)",
                (json.dumps(RETURNING_FEES),),
            )
            root.execute(
                "UPDATE merchants SET fee_plan = 'returning' WHERE id = %s",
                (bob.account.merchant_id,),
            )
            root.execute(
                "UPDATE merchants SET overdraft_cents = 0, recovery_days = 0 WHERE id = %s",
                (cyd.account.merchant_id,),
            )
            root.execute(
                "UPDATE merchants SET reserve_basis_points = 1000, reserve_days = 4 WHERE id = %s",
                (ada.account.merchant_id,),
            )
        twins = ada.charge(10_000), bob.charge(10_000)
        debits = _debit(ada)
        _hold_and_refund(ada, bob)
        platform.run(roll_up.handler)
        platform.run(sweep.handler)
        _dispute(platform, time, ada, cyd)
        _other_currencies(ada)
        for day in (2, 4, 6, 8):
            time.pass_days(2)
            hear(platform)
            close_days(platform)
            if day == 4:  # it has succeeded, and is not back yet
                ada.refund(debits[1], amount=700)
        _bank_accounts(ada)
        _payouts(bob)
        _statement(platform, ada.account.merchant_id)
        ada.post(create_account.handler, BY_IBAN)
        named = _owed(platform, cyd)
        _debits(platform, cyd, named)
        _write_off(platform, cyd, named)
        _verify(ada, "EUR")
        ada.post(create_payout.handler, {"amount": 1, "currency": "EUR"})
        platform.run(roll_up.handler)
        assert [ada.status_of(charge) for charge in debits] == ["succeeded", "failed", "failed"]
        assert bob.refund(bob.charge(900))["fee_returned"] == 0
        ada.charge(9_004, "tok_dispute")
        hear(platform)
        ada.hold(2_500)
        ada.refund(ada.charge(4_000), amount=1_500, finish=False)
        platform.run(sweep.handler)
    return Books(ada, bob, twins)


def _debit(ada: Business) -> list[str]:
    """One bank debit of each ending, the returned one refunded in part before it comes back."""
    tokens = ("tok_ach", "tok_ach_r01", "tok_ach_declined")
    return [ada.charge(20_000, token) for token in tokens]


def _hold_and_refund(ada: Business, bob: Business) -> None:
    ada.hold(5_000)
    ada.capture(ada.hold(8_000), amount=3_000)
    ada.capture(ada.hold(1_100))
    ada.cancel(ada.hold(4_000))
    ada.charge(1_000, "tok_declined")
    ada.charge(1_000, "tok_duplicate")
    ada.charge(1_000, "tok_requires_action")
    for seller in (ada, bob):
        charge = seller.charge(7_000)
        seller.refund(charge, amount=2_000)
        seller.refund(charge, amount=1_001)
    bob.refund(bob.charge(333))
    ada.refund(ada.charge(900), amount=SAME_REFUND)
    ada.refund(ada.charge(6_000, "tok_refund_fails"), amount=1_000)


def _dispute(platform: Platform, time: Clock, ada: Business, cyd: Business) -> None:
    """Win one, give one up, lose one, miss one's deadline, and let one overdraw its merchant."""
    won, given_up, lost, missed = (ada.charge(9_000 + n, "tok_dispute") for n in range(4))
    poor, disputed = cyd.charge(2_000), cyd.charge(1_000, "tok_dispute_twice")
    hear(platform)
    hear(platform)
    assert cyd.dispute_of(disputed)
    ada.contest(won, "Here is winning_evidence.")
    ada.contest(lost, "We have nothing.")
    ada.concede(given_up)
    assert cyd.refund(poor)["pending_reason"] == "insufficient_funds"
    time.pass_days(0.1)
    hear(platform)
    ada.refund(won, amount=100)
    assert ada.dispute_of(missed)


def _other_currencies(ada: Business) -> None:
    for currency, amount in (("JPY", 1_005), ("KWD", 10_505), ("EUR", 2_525)):
        ada.refund(ada.charge(amount, currency=currency), amount=SAME_REFUND)


def _bank_accounts(ada: Business) -> None:
    """One in each state: verified, to be verified, failed, and deleted after each of them."""
    bank = {"country": "US", "currency": "USD", "routing_number": "110000000"}
    endings: tuple[list[tuple[int, int]], ...] = ([], [(32, 45)], [(1, 1)] * 3)
    for number, attempts in enumerate(endings * 2):
        body = bank | {"account_holder_name": "Ada", "account_number": f"0001234560{number:02}"}
        made = str(ada.post(create_account.handler, body)["id"])
        for amounts in attempts:
            ada.platform.post(verify_account.handler, ada.account, {"amounts": amounts}, id=made)
        if number >= len(endings):
            gone = ada.platform.request(
                delete_account.handler, bearer=ada.account.secret_key, id=made
            )
            assert gone.status == delete_account.handler.status


def _owed(platform: Platform, cyd: Business) -> dict[str, str]:
    """Lack something after a dispute, and return the recovery."""
    disputed = cyd.charge(1_000, "tok_dispute")
    hear(platform)
    cyd.concede(disputed)
    platform.run(roll_up.handler)
    platform.run(watch.handler)
    (debt,) = _commanded(platform, report.handler)["data"]
    assert debt["account"] == f"{cyd.account.merchant_id}-test"
    return {name: debt[name] for name in ("account", "recovery")}


def _commanded(platform: Platform, command: Command, **said: Any) -> Any:
    platform.enter(command.needs)
    return command(said, LambdaContext())


def _debits(platform: Platform, cyd: Business, named: dict[str, str]) -> None:
    """Debit what one lacks: each that begins ends in another way."""
    bank = {"country": "US", "currency": "USD", "routing_number": "110000000"}
    body = bank | {"account_holder_name": "Cyd", "account_number": "000123456789"}
    cyd.post(create_account.handler, body)
    _verify(cyd, "USD")
    with platform.store.superuser() as root:
        root.execute(
            "UPDATE merchants SET debit_mandate = 'IVY-1', debit_mandate_signed_on = '2026-11-02'"
            " WHERE id = %s",
            (cyd.account.merchant_id,),
        )
    said = named | {"by": "grace", "reason": "agreed"}
    assert _commanded(platform, debit.handler, **said, amount=10)["status"] == "pending"
    assert _commanded(platform, cancel_debit.handler, **named, by="mary")["status"] == "canceled"
    for amount, became in ((20, "failed"), (30, "returned"), (40, "collected")):
        _debited(platform, cyd, said | {"amount": amount}, became)


def _debited(platform: Platform, cyd: Business, said: dict[str, Any], became: str) -> None:
    """Open a debit, and let it become what it does at the bank."""
    made = _commanded(platform, debit.handler, **said)
    debit_id = ids.Prefix("rd").read(made["id"])
    with platform.store.superuser() as root:
        root.execute("SET session_replication_role = replica")
        root.execute(
            "WITH file AS (INSERT INTO bank_files (id, kind, merchant_id, livemode, total,"
            " created_at, execute_on, transfer_count, rail, currency, key, sha256) VALUES"
            " (uuidv7(), 'recovery_debit', %s, false, 1, now(), now(), 1, 'ach', 'USD',"
            " 'bank/out/test/' || %s, repeat('0', 64)) RETURNING id)"
            " UPDATE recovery_debits SET bank_file = file.id FROM file"
            " WHERE recovery_debits.id = %s",
            (cyd.account.merchant_id, made["id"], debit_id),
        )
    database = Database(platform.store.url("ivy_app"))
    tenant = Tenant(cyd.account.merchant_id, livemode=False)
    with database.transaction(tenant) as tx:
        recovery_debit_outcomes.sent(tx, tenant, debit_id, ids.now().date())
        if became in {"collected", "returned"}:
            recovery_debit_outcomes.collected(tx, tenant, debit_id)
        if became in {"failed", "returned"}:
            recovery_debit_outcomes.came_back(tx, tenant, debit_id, "account_closed")
    database.close()


def _write_off(platform: Platform, cyd: Business, named: dict[str, str]) -> None:
    """What one lacks is given up by two operators."""
    _commanded(platform, propose.handler, **named, by="grace", reason="insolvent")
    approved = _commanded(platform, approve_write_off.handler, **named, by="mary")
    assert approved["status"] == "written_off"
    platform.run(roll_up.handler)
    platform.run(watch.handler)
    said = _owed(platform, cyd) | {"by": "grace", "reason": "agreed"}
    _debited(platform, cyd, said, "in_transit")
    platform.run(watch.handler)


def _verify(who: Business, currency: str) -> None:
    """Verify the newest bank account in a currency."""
    found = who.platform.request(
        list_accounts.handler, bearer=who.account.secret_key, query={"currency": currency}
    )
    account = str(found.json()["data"][0]["id"])
    who.platform.post(verify_account.handler, who.account, {"amounts": [32, 45]}, id=account)


def _payouts(bob: Business) -> None:
    """One in each state that a payout can be in."""
    bank = {"country": "US", "currency": "USD", "routing_number": "110000000"}
    body = bank | {"account_holder_name": "Bob", "account_number": "000123456789"}
    bob.post(create_account.handler, body)
    _verify(bob, "USD")
    with bob.platform.store.superuser() as root:
        root.execute(
            "UPDATE merchants SET payout_approval_cents = 2000 WHERE id = %s",
            (bob.account.merchant_id,),
        )
    made = [
        bob.post(create_payout.handler, {"amount": amount, "currency": "USD"})["id"]
        for amount in (101, 102, 103, 104, 105, 106, 2_001, 2_002)
    ]
    _, in_transit, paid, returned, failed, canceled, asked, rejected = made
    assert asked
    bob.post(cancel_payout.handler, {}, id=canceled)
    refused = bob.platform.request(
        reject.handler,
        {},
        bearer=bob.account.access_token,
        headers={"Idempotency-Key": "reject"},
        id=rejected,
    )
    assert refused.status == 200, refused.body
    database = Database(bob.platform.store.url("ivy_app"))
    tenant = Tenant(bob.account.merchant_id, livemode=False)
    with database.transaction(tenant) as tx:
        for payout in (in_transit, paid, returned, failed):
            payout_outcomes.sent(tx, tenant, ids.Prefix("po").read(payout), ids.now().date())
        for payout in (paid, returned):
            payout_outcomes.paid(tx, tenant, ids.Prefix("po").read(payout))
        for payout in (returned, failed):
            payout_outcomes.came_back(tx, tenant, ids.Prefix("po").read(payout), "account_closed")
    database.close()
    assert bob.post(create_payout.handler, {"amount": 1, "currency": "USD"})["itemisation"]


UNCLAIMED = 5_000
"""Came in, and is nobody's."""

SAID = {"ACQ-1": 4_321, "ACQ-2": 2_000, "ACQ-3": 1_500, "ACQ-4": 1_700}
"""What the acquirer says that it pays: exactly, less a cent, less a fee of a bank, and not yet."""


def _statement(platform: Platform, merchant: int) -> None:
    """A bank states a payout, two deposits, what an acquirer pays, and what is nobody's."""
    with platform.store.superuser() as root:
        root.execute("SET session_replication_role = replica")
        root.execute(
            "WITH file AS (INSERT INTO bank_files (id, merchant_id, livemode, total, created_at,"
            " execute_on, transfer_count, rail, currency, key, sha256)"
            " SELECT uuidv7(), merchant_id, false, 1, now(), now(), 1, 'ach', 'USD',"
            " 'bank/out/test/books', repeat('0', 64)"
            " FROM payouts WHERE status = 'paid' RETURNING id)"
            " UPDATE payouts SET bank_file = file.id FROM file WHERE status = 'paid'"
        )
        ((paid, amount),) = root.execute("SELECT id, amount FROM payouts WHERE status = 'paid'")
        root.execute(
            "WITH file AS (INSERT INTO bank_files (id, kind, merchant_id, livemode, total,"
            " created_at, execute_on, transfer_count, rail, currency, key, sha256)"
            " SELECT uuidv7(), 'micro_deposit', min(merchant_id), false, 77, now(), now(), 2,"
            " 'ach', 'USD', 'bank/out/test/deposits', repeat('0', 64)"
            " FROM micro_deposits WHERE NOT canceled RETURNING id)"
            " UPDATE micro_deposits SET bank_file = file.id FROM file WHERE NOT canceled"
        )
        deposits = dict(root.execute("SELECT amount, id FROM micro_deposits WHERE NOT canceled"))
    at = ids.now()
    reference = ids.Prefix("po").write(paid)
    amounts = {-amount: reference, UNCLAIMED: None, 1: None, -40: None, -7: None, 9_820: None}
    amounts |= {4_321: "ACQ-1", 1_999: "ACQ-2", 1_450: None}
    for each in (-32, -45, 45):
        amounts[each] = ids.Prefix("md").write(deposits[abs(each)])
    lines = tuple(
        StatementLine(each, at.date(), "REF", whose, "A LINE") for each, whose in amounts.items()
    )
    statement = Statement("900000000001", "USD", "", at.date(), 0, sum(amounts), lines)
    content = bai2.write([statement], sender="BANK", receiver="IVY", created_at=at, number=1)
    database = Database(platform.store.url("ivy_jobs"))
    with database.transaction() as tx:
        said = {name: _said(tx, merchant, name, at) for name in SAID}
        file = bank_receipts.received(livemode=False, name="books.bai2", content=content)
        assert bank_receipts.record(tx, file, at).status == "accepted"
    with database.transaction() as tx:
        bank_lines.look_again(tx, at)
        open_items = suspense.find(tx, suspense.SuspenseQuery()).data
        by_amount = {each.amount: each.id for each in open_items}
        assert by_amount.keys() == {UNCLAIMED, 1, -40, -7, 9_820, -1, 1_450}
        paid = {"resolved_as": "acquirer", "connector": "simulated"}
        found: dict[int, dict[str, Any]] = {
            1: {"resolved_as": "rounding"},
            -40: {"resolved_as": "loss"},
            9_820: paid,
            1_450: paid | {"settlement": said["ACQ-3"]},
            -1: {"resolved_as": "rounding"},
        }
        for item, what in found.items():
            told = {"item": by_amount[item], "by": "me", "reason": "x", **what}
            suspense.resolve(tx, suspense.SuspenseResolution.model_validate(told))
    database.close()


def _said(tx: Transaction, merchant: int, reference: str, at: datetime) -> str:
    """Expect what the acquirer says that it pays, and return its name."""
    report = SettlementReport(
        reference=reference,
        currency="USD",
        expected_on=at.date() + timedelta(days=int(reference[-1])),
        gross_minor=SAID[reference] + 500,
        refunds_minor=300,
        returns_minor=150,
        disputes_minor=-50,
        costs_minor=100,
    )
    recorded = acquirer_settlements.record(tx, "simulated", merchant, report, at)
    assert recorded is not None
    return ids.Prefix("acs").write(recorded)
