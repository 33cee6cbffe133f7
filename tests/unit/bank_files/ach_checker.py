"""What an ACH file says about itself, worked out again from the published layout alone.

Shares nothing with the product. Fields are counted from 1, as in the layout.
"""

from __future__ import annotations


def field(record: str, first: int, last: int) -> str:
    return record[first - 1 : last]


def complaints(content: bytes) -> list[str]:
    """Return what is wrong with a file; nothing if it keeps to the layout."""
    records = content.decode("ascii").split("\n")
    found: list[str] = []
    if records.pop() != "":
        found.append("no line feed at the end")
    found += [f"{n}: not 94" for n, record in enumerate(records, 1) if len(record) != 94]
    if len(records) % 10:
        found.append("blocks are not full")
    while records and set(records[-1]) == {"9"}:
        records.pop()
    kinds = "".join(record[0] for record in records)
    if kinds[0] != "1" or kinds[-1] != "9" or kinds.count("9") != 1 or kinds.count("1") != 1:
        found.append("file header or file control are not in their place")
    if field(records[0], 2, 3) != "01" or field(records[0], 35, 40) != "094101":
        found.append("file header")
    batches: list[list[str]] = []
    for record in records[1:-1]:
        if record[0] == "5":
            batches.append([])
        batches[-1].append(record)
    totals = [batch_totals(number, batch, found) for number, batch in enumerate(batches, 1)]
    control = records[-1]
    whole = [sum(column) for column in zip(*totals, strict=True)]
    stated = {
        "batches": (field(control, 2, 7), len(batches)),
        "blocks": (field(control, 8, 13), (len(records) + 9) // 10),
        "entries": (field(control, 14, 21), whole[0]),
        "hash": (field(control, 22, 31), whole[1] % 10_000_000_000),
        "debits": (field(control, 32, 43), whole[2]),
        "credits": (field(control, 44, 55), whole[3]),
    }
    found += [f"file {name}" for name, (text, right) in stated.items() if int(text) != right]
    if field(control, 56, 94).strip():
        found.append("file control: something reserved is used")
    return found


def batch_totals(number: int, batch: list[str], found: list[str]) -> tuple[int, int, int, int]:
    header, *records, control = batch
    ctx = field(header, 51, 53) == "CTX"
    routing = debit = credit = 0
    trace, directions = "", set()
    for at, entry in enumerate(records):
        if entry[0] != "6":
            continue
        following = "".join(each[0] for each in records[at + 1 :])
        addenda = records[at + 1 : at + 1 + len(following) - len(following.lstrip("7"))]
        found += [f"batch {number}: {each}" for each in entry_complaints(entry, addenda, ctx=ctx)]
        if field(entry, 80, 94) <= trace:
            found.append(f"batch {number}: traces do not ascend")
        trace = field(entry, 80, 94)
        routing += int(field(entry, 4, 11))
        amount = int(field(entry, 30, 39))
        into = field(entry, 3, 3) in "1234"
        directions.add("credit" if into else "debit")
        credit, debit = (credit + amount, debit) if into else (credit, debit + amount)
    service = {"credit": "220", "debit": "225"}.get("".join(directions), "200")
    stated = {
        "service class": (field(control, 2, 4), service),
        "service class above": (field(header, 2, 4), service),
        "count": (int(field(control, 5, 10)), len(records)),
        "hash": (int(field(control, 11, 20)), routing % 10_000_000_000),
        "debits": (int(field(control, 21, 32)), debit),
        "credits": (int(field(control, 33, 44)), credit),
        "company": (field(control, 45, 54), field(header, 41, 50)),
        "bank": (field(control, 80, 87), field(header, 80, 87)),
        "number": (int(field(control, 88, 94)), number),
        "number above": (int(field(header, 88, 94)), number),
        "reserved": (field(control, 55, 79).strip(), ""),
    }
    found += [f"batch {number}: {name}" for name, (text, right) in stated.items() if text != right]
    return len(records), routing, debit, credit


def entry_complaints(entry: str, addenda: list[str], *, ctx: bool) -> list[str]:
    found = []
    digits = [int(each) for each in field(entry, 4, 12)]
    if sum(d * w for d, w in zip(digits, (3, 7, 1) * 3, strict=True)) % 10:
        found.append("check digit")
    if int(field(entry, 79, 79)) != bool(addenda):
        found.append("addenda indicator")
    if (int(field(entry, 55, 58)) != len(addenda)) if ctx else len(addenda) > 1:
        found.append("number of addenda")
    trace = field(entry, 80, 94)
    for sequence, record in enumerate(addenda, 1):
        if field(record, 2, 3) == "99":
            right = field(record, 80, 94) == trace
        else:
            right = field(record, 2, 3) == "05" and field(record, 84, 94) == (
                f"{sequence:04d}{trace[-7:]}"
            )
        if not right:
            found.append(f"addenda {sequence}")
    return found
