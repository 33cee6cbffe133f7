"""A bank for tests: takes the files of orders in test mode, and answers as banks do.

A file in EUR or GBP is reported on at once: what the numbers of ``simulated_bank_accounts`` refuse
is rejected, the rest is being settled. On the day of execution a statement shows each debit, or, of
a file that collects, each credit. Two business days later comes what those numbers return: by a
file of returns in the United States, by a statement elsewhere.

It has no database. Everything that it will say of a file follows from the file, so whoever dies on
the way says it again with the same bytes, which has no effect. What is not due yet lies beside the
note that the file was taken. An account of this bank holds exactly what each file takes from it.

A file is one merchant's, and its name says whose: a merchant whose test clock is ahead of the real
time hears from the bank by that clock. What the simulated acquirer pays is put down here by that,
and shown on its day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from ivy import calendars, documents, faults, ids
from ivy import simulated_bank_accounts as numbers
from ivy.bank_files import bai2, camt053, nacha_returns, pain002
from ivy.bank_files.nacha_returns import ReturnedEntry, ReturnFile
from ivy.bank_files.statements import Statement, StatementLine
from ivy.documents import Document
from ivy.simulated_bank_orders import Order, Orders, Rail, read

OUT, IN = "bank/out/test/", "bank/in/test/"
TAKEN, DUE = "bank/simulated/taken/", "bank/simulated/due/"

RETURN_DAYS = 2
"""Business days from the debit to what comes back."""

LOOKS_BACK = timedelta(days=7)
"""Files that are older are not looked at any more."""

MAX_TAKEN = 50
MAX_GIVEN = 200
"""Of one run; more wait for the next."""

_LONG_AGO = date(1970, 1, 2)

_REJECTED_AT_ONCE = frozenset({"AC01", "AC04"})
"""What a bank of the SEPA sees before it pays; the rest comes back after."""


class Work(NamedTuple):
    """How many files the bank took, and how many it gave."""

    taken: int
    given: int


@dataclass(frozen=True, slots=True)
class Said:
    """A file that the bank will put, and from which day on."""

    on: date
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Account:
    """An account of ours, in a statement about one thing.

    Attributes:
        name: What files about it are named after: an id of ours, and whose it is.
        named_after: That id, from which each statement gets a number of its own.
        number: An account number, or an IBAN.
    """

    name: str
    named_after: UUID
    rail: Rail
    currency: str
    number: str


def work(now: datetime, *, account: str | None = None, present: datetime | None = None) -> Work:
    """Take what has come, then give what is due: of every merchant, or of one by its own present.

    Args:
        now: The real time.
        account: Whose, as ``operations.account_name`` writes it.
        present: What time it is for that merchant.
    """
    return Work(taken=_take(now, account), given=_give(present or now, account))


def next_due(now: datetime, account: str) -> date | None:
    """Return the first day on which the bank has something to do for a merchant, however long past.

    What it has given and nobody has taken in is still to be done.
    """
    if next(_new(now, account), None) or next(_of(documents.every(IN), account), None):
        return _LONG_AGO
    due = next(_of(documents.every(DUE), account), None)
    return date.fromisoformat(_day(due.key)) if due else None


def _take(now: datetime, account: str | None) -> int:
    """Read new files and put down everything that will be said of them."""
    new = list(islice(_new(now, account), MAX_TAKEN))
    for each in new:
        for said in answers(read(each.name, documents.read(each.key))):
            documents.put(f"{DUE}{said.on}/{said.name}", said.content)
        faults.point("bank.simulated.after_due")
        documents.put(TAKEN + each.name, b"")
    return len(new)


def _new(now: datetime, account: str | None) -> Iterator[Document]:
    """Yield files that were not taken yet."""
    after = ids.Prefix("bf").write(ids.first_at(now - LOOKS_BACK))
    listed = list(_of(documents.every(OUT, after=OUT + after), account))
    if listed:
        taken = {each.name for each in documents.every(TAKEN, after=TAKEN + after)}
        yield from (each for each in listed if each.name not in taken)


def _give(now: datetime, account: str | None) -> int:
    """Put what is due where files from banks are looked for."""
    given = 0
    for each in islice(_of(documents.every(DUE), account), MAX_GIVEN):
        if _day(each.key) > now.date().isoformat():
            break  # in the order of days
        documents.put(f"{IN}{_day(each.key)}.{each.name}", documents.read(each.key))
        faults.point("bank.simulated.after_given")
        documents.remove(each.key)
        given += 1
    return given


def _of(documents_: Iterator[Document], account: str | None) -> Iterator[Document]:
    """Return what is about one merchant, whose name is between two dots of each document's."""
    return (each for each in documents_ if account is None or f".{account}." in each.name)


def _day(key: str) -> str:
    """Return the day that a file is due, which follows its prefix."""
    return key.removeprefix(DUE).partition("/")[0]


def answers(orders: Orders) -> Iterator[Said]:
    """Yield everything that the bank says of a file, now and later."""
    codes = {each: numbers.return_code(each.number) for each in orders.orders}
    if orders.rail == "iso20022":
        yield _report(orders, codes)
        codes = {each: code for each, code in codes.items() if code not in _REJECTED_AT_ONCE}
    if not codes:
        return
    day = orders.execute_on
    account = _account(orders)
    what, way = ("collections", 1) if orders.collects else ("debits", -1)
    yield _statement(
        account, what, day, [_line(each, way, day, orders.description) for each in codes]
    )
    back = [(each, code) for each, code in codes.items() if code is not None]
    if not back:
        return
    day = calendars.business_day_after(day, RETURN_DAYS, frozenset())
    if orders.rail == "ach":
        yield _returns(orders, day, back)
    yield _statement(
        account, "returns", day, [_line(each, -way, day, f"RETURN {code}") for each, code in back]
    )


def credit(account: Account, *, reference: str, amount_minor: int, day: date) -> None:
    """Put down what the statement of a day will show: somebody has paid to our account."""
    line = StatementLine(
        amount_minor=amount_minor,
        booked_on=day,
        bank_reference="SIM",
        end_to_end_id=reference,
        description="ACQUIRER",
    )
    said = _statement(account, "credits", day, [line])
    documents.put(f"{DUE}{said.on}/{said.name}", said.content)


def _line(order: Order, sign: int, day: date, description: str) -> StatementLine:
    return StatementLine(
        amount_minor=sign * order.amount_minor,
        booked_on=day,
        bank_reference=f"SIM{order.trace}" if order.trace else "SIM",
        end_to_end_id=order.end_to_end_id,
        description=description,
    )


def _account(orders: Orders) -> Account:
    """Return the account of ours that a file is taken from."""
    named = UUID(hex=orders.file_id.partition("_")[2])
    return Account(orders.name, named, orders.rail, orders.currency, orders.account)


def _statement(account: Account, what: str, day: date, lines: list[StatementLine]) -> Said:
    """State one day of the account: what left leaves nothing, what came in is all there is."""
    total_minor = sum(each.amount_minor for each in lines)
    number = account.named_after.int % 10**15
    first = what in {"debits", "collections"}
    statement = Statement(
        account=account.number,
        currency=account.currency,
        statement_id=f"{what[0].upper()}-{number}",
        on=day,
        opening_minor=max(-total_minor, 0),
        closing_minor=max(total_minor, 0),
        lines=tuple(lines),
    )
    created_at = datetime.combine(day, time(18), UTC)
    if account.rail == "ach":
        content = bai2.write(
            [statement],
            sender="SIMULATED",
            receiver="IVY",
            created_at=created_at,
            number=number * 2 + first,
        )
        return Said(day, f"{account.name}.{what}.bai2", content)
    message_id = f"{statement.statement_id}-{day:%y%m%d}"
    content = camt053.write([statement], message_id=message_id, created_at=created_at)
    return Said(day, f"{account.name}.{what}.camt053.xml", content)


def _report(orders: Orders, codes: dict[Order, str | None]) -> Said:
    """Say at once which transfers are rejected, and that the others are on their way."""
    refused = {each: code for each, code in codes.items() if code in _REJECTED_AT_ONCE}
    report = pain002.Report(
        message_id=f"R-{orders.file_id.partition('_')[2]}",
        created_at=orders.created_at,
        original_message_id=orders.file_id,
        status="PART" if refused else "ACSP",
        transfers=tuple(
            pain002.Transfer(
                each.end_to_end_id, "RJCT" if each in refused else "ACSP", refused.get(each)
            )
            for each in codes
        ),
        original_count=len(codes),
        collects=orders.collects,
    )
    name = f"{orders.name}.report.pain002.xml"
    return Said(orders.created_at.date(), name, pain002.write(report))


def _returns(orders: Orders, day: date, back: list[tuple[Order, str]]) -> Said:
    """Return ACH entries, each with its reason."""
    file = ReturnFile(
        destination=orders.account_bank,
        origin=orders.account_bank,
        created_at=datetime.combine(day, time(6), UTC),
        returned_on=day,
        modifier="A",
        entries=tuple(
            ReturnedEntry(
                code=code,
                original_trace=f"{orders.account_bank[:8]}{each.trace:07d}",
                amount_minor=each.amount_minor,
                account_number=each.number,
                receiver_bank=each.bank[:8],
                name=each.name,
                company_id=orders.company_id,
                direction="debit" if orders.collects else "credit",
                kind="savings" if each.savings else "checking",
            )
            for each, code in back
        ),
    )
    name = f"{orders.name}.returns.ach"
    return Said(day, name, nacha_returns.write(file, company_name="IVY"))
