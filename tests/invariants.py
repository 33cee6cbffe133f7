"""What must be true of a database after anything at all has happened to it.

Each function is one invariant. It looks past every grant and policy, through a superuser's
connection with ``search_path=ivy``, and returns one line for each violation; ``broken`` asks all
of them. ``tests/faults/test_invariants.py`` plants a corruption for each and sees it alone found.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, LiteralString

import psycopg

Connection = psycopg.Connection[Any]

CHARGE_CAPTURED = 1
_LEGS: LiteralString = """
    legs AS (
        SELECT id, source, kind, owner, livemode, xid, leg.account, leg.amount
        FROM journal
        CROSS JOIN LATERAL (VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) leg (account, amount)
        WHERE leg.account IS NOT NULL OR leg.amount IS NOT NULL)
"""


@dataclass(frozen=True)
class Acknowledged:
    """A 2xx that a client received for a charge, byte for byte."""

    merchant_id: int
    key: str
    status: int
    body: bytes

    @property
    def charge_id(self) -> str:
        return str(json.loads(self.body)["id"]).removeprefix("ch_")


def _lines(connection: Connection, statement: LiteralString) -> list[str]:
    return [" ".join(map(str, row)) for row in connection.execute(statement).fetchall()]


def i1_entries_sum_to_zero(connection: Connection) -> list[str]:
    """Each ledger transaction, each currency and mode, and the whole."""
    return _lines(
        connection,
        "WITH "
        + _LEGS
        + """
        SELECT 'transaction', id, sum(amount) FROM legs GROUP BY id
        HAVING coalesce(sum(amount), 1) <> 0 OR count(*) < 2 OR bool_or(amount = 0)
            OR count(DISTINCT account / 1000 % 10000) <> 1
        UNION ALL
        SELECT 'currency and mode', null, account / 1000 % 10000 FROM legs
        GROUP BY account / 1000 % 10000 HAVING sum(amount) <> 0
        """,
    )


def i2_balances_equal_entries(connection: Connection) -> list[str]:
    """A stored balance is the sum of every leg before the watermark: none lost, none twice."""
    return _lines(
        connection,
        "WITH "
        + _LEGS
        + """, summed AS (
            SELECT account, sum(amount) AS amount FROM legs, rollup WHERE xid < watermark
            GROUP BY account)
        SELECT 'account', coalesce(number, account), balance, amount
        FROM accounts FULL JOIN summed ON number = account
        WHERE coalesce(balance, 0) <> coalesce(amount, 0)
        """,
    )


def i3_charges_are_posted_once(connection: Connection) -> list[str]:
    """A succeeded charge has its one posting, of its amount and fee; no other has any."""
    return _lines(
        connection,
        "WITH "
        + _LEGS
        + """, posted AS (
            SELECT source, owner, livemode, count(DISTINCT id) AS postings,
                   (array_agg(id))[1] AS id,
                   sum(amount) FILTER (WHERE account % 1000 = 210) AS pending,
                   sum(amount) FILTER (WHERE account % 1000 = 410) AS income
            FROM legs WHERE kind = 1 GROUP BY source, owner, livemode)
        SELECT 'charge', coalesce(charges.id, posted.source), status, postings
        FROM charges FULL JOIN posted
            ON source = charges.id AND owner = merchant_id AND posted.livemode = charges.livemode
        WHERE CASE WHEN charges.status = 'succeeded' THEN (
                postings = 1 AND posted.id = ledger_transaction
                AND -pending = amount_captured - fee AND coalesce(-income, 0) = fee) IS NOT TRUE
            ELSE postings IS NOT NULL END
        """,
    )


def i4_refunded_within_captured(connection: Connection) -> list[str]:
    return _lines(
        connection,
        "SELECT 'charge', id, amount, amount_captured, amount_refunded FROM charges"
        " WHERE NOT (0 <= amount_refunded AND amount_refunded <= amount_captured"
        " AND amount_captured <= amount)",
    )


def i5_available_is_not_negative(connection: Connection) -> list[str]:
    """A merchant's available money, and what is held back of it, in natural sign."""
    return _lines(
        connection,
        "WITH "
        + _LEGS
        + """
        SELECT 'account', account, -sum(amount) FROM legs
        WHERE account % 1000 BETWEEN 220 AND 299
        GROUP BY account HAVING -sum(amount) < 0
        """,
    )


def i6_merchants_hold_their_net_charges(connection: Connection) -> list[str]:
    """What a merchant has, in whatever account it rests, is its charges less its fees."""
    return _lines(
        connection,
        "WITH "
        + _LEGS
        + """, held AS (
            SELECT owner, livemode, -sum(amount) AS amount FROM legs
            WHERE account % 1000 BETWEEN 200 AND 299 GROUP BY owner, livemode),
        earned AS (
            SELECT merchant_id, livemode, sum(amount_captured - amount_refunded - fee) AS amount
            FROM charges WHERE status = 'succeeded' GROUP BY merchant_id, livemode)
        SELECT 'merchant', coalesce(owner, merchant_id), held.amount, earned.amount
        FROM held FULL JOIN earned ON owner = merchant_id AND held.livemode = earned.livemode
        WHERE held.amount IS DISTINCT FROM earned.amount
        """,
    )


def i7_each_change_has_one_event(connection: Connection) -> list[str]:
    """Versions 1 to n of a charge have one event each, and the last shows the charge as it is."""
    return _lines(
        connection,
        """
        SELECT 'charge', charges.id, status, charges.version, count(events.id), max(events.version)
        FROM charges LEFT JOIN events ON object_id = charges.id
            AND (events.merchant_id, events.livemode) = (charges.merchant_id, charges.livemode)
        GROUP BY charges.merchant_id, charges.livemode, charges.id
        HAVING NOT (count(events.id) = charges.version
            AND count(DISTINCT events.version) = charges.version
            AND max(events.version) = charges.version
            AND bool_or(events.version = charges.version AND events.type = 'charge.' || status
                        AND data->>'status' = status
                        AND replace(data->>'ledger_transaction', 'ltx_', '')::uuid
                            IS NOT DISTINCT FROM ledger_transaction))
        UNION ALL
        SELECT 'event without its object', events.id, type, events.version, null, null
        FROM events WHERE NOT EXISTS (
            SELECT FROM charges WHERE charges.id = object_id
            AND (events.merchant_id, events.livemode) = (charges.merchant_id, charges.livemode))
        """,
    )


def i8_a_key_has_one_answer(
    connection: Connection, acknowledged: Collection[Acknowledged] = ()
) -> list[str]:
    """A key names one charge and a charge one key; the stored bytes are the ones given away."""
    found = _lines(
        connection,
        """
        WITH kept AS (
            SELECT merchant_id, livemode, scope, status,
                   replace(convert_from(body, 'UTF8')::jsonb->>'id', 'ch_', '')::uuid AS charge,
                   convert_from(body, 'UTF8')::jsonb AS answer
            FROM idempotency_keys)
        SELECT 'claimed without an answer', encode(scope, 'hex') FROM kept WHERE status IS NULL
        UNION ALL
        SELECT 'key twice', encode(scope, 'hex') FROM kept
        GROUP BY merchant_id, livemode, scope HAVING count(*) > 1
        UNION ALL
        SELECT 'charge of several keys', charge::text FROM kept WHERE charge IS NOT NULL
        GROUP BY charge HAVING count(DISTINCT scope) > 1
        UNION ALL
        SELECT 'answer that was not the charge', encode(scope, 'hex')
        FROM kept LEFT JOIN events ON object_id = charge AND version = 1
            AND (events.merchant_id, events.livemode) = (kept.merchant_id, kept.livemode)
        WHERE status IS NOT NULL AND answer IS DISTINCT FROM data
        """,
    )
    stored = {
        bytes(body)
        for (body,) in connection.execute(
            "SELECT body FROM idempotency_keys WHERE body IS NOT NULL"
        )
    }
    given: dict[tuple[int, str], set[tuple[int, bytes]]] = {}
    for answer in acknowledged:
        given.setdefault((answer.merchant_id, answer.key), set()).add((answer.status, answer.body))
        if answer.body not in stored:
            found.append(f"the answer to {answer.key} is not stored")
    return found + [
        f"{len(answers)} answers to {key}" for key, answers in given.items() if len(answers) > 1
    ]


_MACHINE = {("pending", "succeeded"), ("pending", "failed")}


def i9_only_legal_states(connection: Connection) -> list[str]:
    """A charge began pending and moved only along the machine, as the database knows it too."""
    known = set(connection.execute("SELECT from_status, to_status FROM charge_transitions"))
    found = [f"transition {way}" for way in sorted(known ^ _MACHINE)]
    history = connection.execute(
        "SELECT merchant_id, object_id, array_agg(replace(type, 'charge.', '') ORDER BY version)"
        " FROM events WHERE type LIKE 'charge.%' GROUP BY merchant_id, livemode, object_id"
    )
    for _, charge, states in history:
        ways = {way for way in pairwise(states) if way[0] != way[1]}
        if states[0] != "pending" or ways - _MACHINE:
            found.append(f"charge {charge} went {' → '.join(states)}")
    return found


_TENANT_OF: dict[str, LiteralString] = {
    "accounts": (
        "(number / 10000000, number / 1000 % 10)"
        " IS DISTINCT FROM (current_merchant(), current_livemode()::integer)"
    ),
    "api_keys": "merchant_id IS DISTINCT FROM current_merchant()",
    "attempts": "(merchant_id, livemode) IS DISTINCT FROM (current_merchant(), current_livemode())",
    "charges": "(merchant_id, livemode) IS DISTINCT FROM (current_merchant(), current_livemode())",
    "events": "(merchant_id, livemode) IS DISTINCT FROM (current_merchant(), current_livemode())",
    "idempotency_keys": (
        "(merchant_id, livemode) IS DISTINCT FROM (current_merchant(), current_livemode())"
    ),
    "journal": "(owner, livemode) IS DISTINCT FROM (current_merchant(), current_livemode())",
    "members": "merchant_id IS DISTINCT FROM current_merchant()",
    "merchants": "id IS DISTINCT FROM current_merchant()",
    "outbox": "(merchant_id, livemode) IS DISTINCT FROM (current_merchant(), current_livemode())",
    "users": (
        "NOT EXISTS (SELECT FROM members WHERE user_id = users.id"
        " AND merchant_id = current_merchant())"
    ),
}
"""Each table that holds a tenant's rows, and which of them are somebody else's."""

_NOBODYS = {
    "bank_holidays", "charge_transitions", "chart", "migrations",
    "posting_kinds", "rollup",
}  # fmt: skip
"""Tables with nothing of a merchant's in them."""

_MAX_TENANTS = 4


def i10_no_row_of_another_tenant(connection: Connection) -> list[str]:
    """As ``ivy_app``, each tenant sees its own rows only, and nobody sees nothing."""
    tables = {
        str(name)
        for (name,) in connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'ivy'::regnamespace"
            " AND relkind IN ('r', 'p')"
        )
    }
    found = [f"table {name} is not classified" for name in tables - set(_TENANT_OF) - _NOBODYS]
    merchants = connection.execute("SELECT id FROM merchants ORDER BY id LIMIT %s", (_MAX_TENANTS,))
    tenants = [
        (str(number), mode) for (number,) in merchants.fetchall() for mode in ("true", "false")
    ]
    for merchant, mode in [("", ""), *tenants]:
        seen = _foreign_rows(connection, merchant, mode, tables & set(_TENANT_OF))
        found += [f"{merchant or 'nobody'} {mode} sees {n} of {t}" for t, n in seen if n]
    return found


def _foreign_rows(
    connection: Connection, merchant: str, mode: str, tables: set[str]
) -> list[tuple[str, int]]:
    counts = [f"SELECT '{name}', count(*) FROM {name} WHERE {_TENANT_OF[name]}" for name in tables]
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL ROLE ivy_app")
        connection.execute(
            "SELECT set_config('app.merchant', %s, true), set_config('app.livemode', %s, true)",
            (merchant, mode),
        )
        return connection.execute(" UNION ALL ".join(counts).encode()).fetchall()


def i11_journal_is_append_only(connection: Connection) -> list[str]:
    """Nobody who serves a request may alter the journal, and a trigger refuses everybody else."""
    return _lines(
        connection,
        """
        SELECT grantee, privilege_type FROM information_schema.table_privileges
        WHERE table_schema = 'ivy' AND table_name = 'journal' AND grantee <> 'ivy_owner'
          AND privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE')
        UNION ALL
        SELECT grantee, column_name FROM information_schema.column_privileges
        WHERE table_schema = 'ivy' AND table_name = 'journal' AND grantee <> 'ivy_owner'
          AND privilege_type = 'UPDATE'
        UNION ALL
        SELECT 'the trigger', 'is off' WHERE NOT EXISTS (
            SELECT FROM pg_trigger WHERE tgrelid = 'journal'::regclass
            AND tgname = 'append_only' AND tgenabled IN ('O', 'A'))
        """,
    )


def i12_nothing_is_left_over(
    connection: Connection,
    queued: Collection[str] = (),
    dead: Iterable[str] = (),
    poison: Iterable[str] = (),
) -> list[str]:
    """After the queues have drained: nothing pending or promised, and dead is what was poison."""
    found = _lines(
        connection,
        "SELECT 'charge', id, status FROM charges WHERE status = 'pending'"
        " UNION ALL SELECT 'promise', id, queue FROM outbox",
    )
    found += [f"message {body}" for body in queued]
    died, poisonous = Counter(dead), Counter(poison)
    found += [f"dead: {body}" for body in died - poisonous]
    return found + [f"poison that did not die: {body}" for body in poisonous - died]


def i13_acknowledged_is_kept(
    connection: Connection, acknowledged: Iterable[Acknowledged]
) -> list[str]:
    """Every charge a client was told of exists, as it was told."""
    found = []
    for answer in acknowledged:
        told = json.loads(answer.body)
        kept = connection.execute(
            "SELECT amount, currency FROM charges WHERE merchant_id = %s AND id = %s",
            (answer.merchant_id, answer.charge_id),
        ).fetchone()
        if kept != (told["amount"], told["currency"]):
            found.append(f"charge {answer.charge_id}: told {told}, kept {kept}")
    return found


ALWAYS: tuple[Callable[[Connection], list[str]], ...] = (
    i1_entries_sum_to_zero,
    i2_balances_equal_entries,
    i3_charges_are_posted_once,
    i4_refunded_within_captured,
    i5_available_is_not_negative,
    i6_merchants_hold_their_net_charges,
    i7_each_change_has_one_event,
    i9_only_legal_states,
    i10_no_row_of_another_tenant,
    i11_journal_is_append_only,
)
"""True at any moment, of the database alone."""


def broken(
    connection: Connection, acknowledged: Collection[Acknowledged] = ()
) -> dict[str, list[str]]:
    """Return the violations by invariant; empty when all is well at this moment."""
    found = {invariant.__name__: invariant(connection) for invariant in ALWAYS}
    for invariant in (i8_a_key_has_one_answer, i13_acknowledged_is_kept):
        found[invariant.__name__] = invariant(connection, acknowledged)
    return {name: lines for name, lines in found.items() if lines}
