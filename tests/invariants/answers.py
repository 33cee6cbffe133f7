"""What clients have been told, and what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, LiteralString

from tests.invariants.asking import Connection, lines

_KEPT: dict[str, LiteralString] = {
    "ch": "SELECT amount, currency FROM charges WHERE merchant_id = %s AND id = %s",
    "re": "SELECT amount, currency FROM refunds WHERE merchant_id = %s AND id = %s",
    "dp": "SELECT amount, currency FROM disputes WHERE merchant_id = %s AND id = %s",
    "ba": "SELECT currency FROM bank_accounts WHERE merchant_id = %s AND id = %s",
    "po": "SELECT amount, currency FROM payouts WHERE merchant_id = %s AND id = %s",
    "rpt": "SELECT currency FROM reports WHERE merchant_id = %s AND id = %s",
}


@dataclass(frozen=True)
class Acknowledged:
    """A 2xx, or the 402 of a declined charge, that a client received, byte for byte.

    ``provisional`` is one whose outcome the client asked to wait for and that came without it; the
    outcome takes its place. ``key`` may name the route, where keys are used on several.
    """

    merchant_id: int
    key: str
    status: int
    body: bytes
    provisional: bool = False

    @property
    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def object_id(self) -> str:
        """The object that it is about; a decline names its charge."""
        return str(self.told.get("id") or self.told["charge"])


def i8_a_key_has_one_answer(
    connection: Connection, acknowledged: Collection[Acknowledged] = ()
) -> list[str]:
    """A key has one answer, which shows an object as an event does; the stored bytes were given.

    A key that makes an object names one, and an object has one key that made it.
    """
    found = lines(
        connection,
        """
        WITH kept AS (
            SELECT merchant_id, livemode, scope, status,
                   convert_from(body, 'UTF8')::jsonb AS answer
            FROM answers),
        named AS (
            SELECT *, split_part(
                coalesce(answer->>'id', answer->>'charge'), '_', 2)::uuid AS subject
            FROM kept)
        SELECT 'claimed without an answer', encode(scope, 'hex') FROM kept WHERE status IS NULL
        UNION ALL
        SELECT 'key twice', encode(scope, 'hex') FROM kept
        GROUP BY merchant_id, livemode, scope HAVING count(*) > 1
        UNION ALL
        SELECT 'made under several keys', subject::text FROM named WHERE status = 201
        GROUP BY subject HAVING count(DISTINCT scope) > 1
        UNION ALL
        SELECT 'answer that was never true', encode(scope, 'hex')
        FROM named LEFT JOIN events ON object_id = subject
            AND version = (answer->>'version')::integer
            AND (events.merchant_id, events.livemode) = (named.merchant_id, named.livemode)
        WHERE status < 300
          AND answer - '{disputed,evidence}'::text[]
              IS DISTINCT FROM data::jsonb - '{disputed,evidence}'::text[]
        UNION ALL
        SELECT 'decline that was never true', encode(scope, 'hex')
        FROM named
        WHERE status >= 300 AND NOT (status = 402 AND EXISTS (
            SELECT FROM events WHERE object_id = subject AND type = 'charge.failed'
            AND (events.merchant_id, events.livemode) = (named.merchant_id, named.livemode)
            AND data->>'failure_code' = answer->>'failure_code'))
        """,
    )
    stored = {
        bytes(body)
        for (body,) in connection.execute("SELECT body FROM answers WHERE body IS NOT NULL")
    }
    given: dict[tuple[int, str], set[tuple[int, bytes]]] = {}
    for answer in acknowledged:
        if answer.provisional:
            continue
        given.setdefault((answer.merchant_id, answer.key), set()).add((answer.status, answer.body))
        if answer.body not in stored:
            found.append(f"the answer to {answer.key} is not stored")
    return found + [
        f"{len(answers)} answers to {key}" for key, answers in given.items() if len(answers) > 1
    ]


def i13_acknowledged_is_kept(
    connection: Connection, acknowledged: Iterable[Acknowledged]
) -> list[str]:
    """Every object a client was told of exists, as it was told."""
    found = []
    for answer in acknowledged:
        prefix, _, digits = answer.object_id.partition("_")
        kept = connection.execute(_KEPT[prefix], (answer.merchant_id, digits)).fetchone()
        told = answer.told
        agreed = (told["amount"], told["currency"]) if "amount" in told else kept
        if kept is None or kept != agreed:
            found.append(f"{answer.object_id}: told {told}, kept {kept}")
    return found
