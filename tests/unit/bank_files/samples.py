"""Files that are right, and ways to draw more of them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from string import ascii_letters, digits

from hypothesis import strategies as st

from ivy.bank_files import IbanAccount, Originator, Payment, PaymentFile, UsAccount
from ivy.bank_files.nacha_returns import ReturnedEntry, ReturnFile
from ivy.bank_files.pain002 import Report, Transfer
from ivy.bank_files.statements import Statement, StatementLine

AT = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)
DAY = date(2026, 11, 27)
ODFI = "121000248"
RDFI = "021000021"
IBAN = "DE89370400440532013000"
OTHER_IBAN = "FR1420041010050500013M02606"


def payout(number: int) -> str:
    return f"po_{number:032x}"


def us_file(*transfers: Payment, count: int = 3, name: str = "Acme Supplies") -> PaymentFile:
    return PaymentFile(
        file_id=f"bf_{7:032x}",
        created_at=AT,
        execute_on=DAY,
        originator=Originator("Ivy Payments", "1234567890", UsAccount(ODFI, "99887766"), "A Bank"),
        currency="USD",
        transfers=transfers or tuple(us_transfer(each, name=name) for each in range(1, count + 1)),
    )


def us_transfer(
    trace: int, amount_minor: int = 12_345, name: str = "Acme Supplies", lines: tuple[str, ...] = ()
) -> Payment:
    return Payment(
        end_to_end_id=payout(trace),
        trace=trace,
        amount_minor=amount_minor,
        currency="USD",
        party_name=name,
        party=UsAccount(RDFI, f"{1000 + trace}", "savings" if trace % 2 else "checking"),
        remittance=lines,
    )


def iban_file(currency: str = "EUR", count: int = 3, name: str = "Acme Supplies") -> PaymentFile:
    return PaymentFile(
        file_id=f"bf_{7:032x}",
        created_at=AT,
        execute_on=DAY,
        originator=Originator("Ivy Payments", "IVY1", IbanAccount(IBAN, "COBADEFFXXX")),
        currency=currency,
        transfers=tuple(
            Payment(
                end_to_end_id=payout(each),
                trace=each,
                amount_minor=each * 1_001,
                currency=currency,
                party_name=name,
                party=IbanAccount(OTHER_IBAN, "SOGEFRPP" if each % 2 else None),
                remittance=("Invoice", str(each)),
            )
            for each in range(1, count + 1)
        ),
    )


def returns(count: int = 3) -> ReturnFile:
    return ReturnFile(
        destination=ODFI,
        origin=RDFI,
        created_at=AT,
        returned_on=DAY,
        modifier="A",
        entries=tuple(
            ReturnedEntry(
                code=("R03", "R02", "R16")[each % 3],
                original_trace=f"{ODFI[:8]}{each:07d}",
                amount_minor=each * 111,
                account_number=f"{1000 + each}",
                receiver_bank=RDFI[:8],
                name="Acme Supplies",
                company_id="1234567890",
                entry_class="CTX" if each == count else "CCD",
            )
            for each in range(1, count + 1)
        ),
    )


def report(count: int = 6) -> Report:
    return Report(
        message_id="status-1",
        created_at=AT,
        original_message_id=f"bf_{7:032x}",
        status="PART",
        transfers=tuple(
            Transfer(payout(each), "RJCT", "AC04", "closed")
            if each == 2
            else Transfer(payout(each), "ACSC" if each % 2 else "ACSP")
            for each in range(1, count + 1)
        ),
        original_count=count,
    )


def statement(*amounts: int, currency: str = "USD", opening_minor: int = 50_000) -> Statement:
    amounts = amounts or (-12_345, 700, -9)
    return Statement(
        account="123456789",
        currency=currency,
        statement_id="2026-225",
        on=DAY,
        opening_minor=opening_minor,
        closing_minor=opening_minor + sum(amounts),
        lines=tuple(
            StatementLine(
                amount_minor=each,
                booked_on=DAY,
                bank_reference=f"REF{number}",
                end_to_end_id=payout(number) if each < 0 else None,
                description=f"Movement {number}, as agreed",
            )
            for number, each in enumerate(amounts)
        ),
    )


names = st.text(ascii_letters + digits + ".-", min_size=1, max_size=16)
amounts_minor = st.integers(0, 999_999_999_999)
words = st.lists(st.text(ascii_letters + digits + ",.:-", min_size=1, max_size=9), max_size=60)


@st.composite
def statements(draw: st.DrawFn) -> list[Statement]:
    drawn = []
    for number in range(draw(st.integers(1, 3))):
        on = draw(st.dates(date(2020, 1, 1), date(2040, 1, 1)))
        lines = tuple(
            StatementLine(
                amount_minor=draw(amounts_minor) * draw(st.sampled_from((1, -1))),
                booked_on=on,
                bank_reference=draw(st.just("") | names),
                end_to_end_id=draw(st.none() | st.just(payout(number)) | names),
                description=" ".join(draw(words))[:500].strip(),
            )
            for _ in range(draw(st.integers(0, 5)))
        )
        opening_minor = draw(st.integers(-(10**12), 10**12))
        drawn.append(
            Statement(
                account=draw(names | st.just(IBAN)),
                currency=draw(st.sampled_from(("USD", "EUR", "JPY", "KWD"))),
                statement_id=f"S{number}",
                on=on,
                opening_minor=opening_minor,
                closing_minor=opening_minor + sum(each.amount_minor for each in lines),
                lines=lines,
            )
        )
    return drawn
