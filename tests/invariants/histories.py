"""The way that each object has gone, told by its events."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import LiteralString

from tests.invariants.asking import Connection, lines

Way = tuple[str, str, str, str]
"""Of which object, from where, to where, and what announces it."""

_MACHINES: dict[str, LiteralString] = {
    "charge": """
        - pending pending
        pending requires_action requires_action | pending authorized authorized
        pending succeeded succeeded | pending failed failed
        requires_action authorized authorized | requires_action succeeded succeeded
        requires_action failed failed | requires_action canceled canceled
        authorized succeeded captured | authorized canceled canceled
        authorized expired expired | authorized failed failed
        succeeded succeeded refunded | succeeded failed failed | failed failed refunded
    """,
    "refund": """
        - pending(processing) created | - pending(insufficient_funds) created
        - pending(charge_pending) created
        pending(charge_pending) pending(insufficient_funds) updated
        pending(charge_pending) pending(processing) updated
        pending(charge_pending) canceled canceled
        pending(insufficient_funds) pending(processing) updated
        pending(insufficient_funds) canceled canceled
        pending(processing) succeeded succeeded | pending(processing) failed failed
    """,
    "dispute": """
        - needs_response created | needs_response needs_response funds_withdrawn
        needs_response under_review updated
        needs_response won won | needs_response lost lost
        under_review won won | under_review lost lost
        won won funds_reinstated
    """,
    "settlement": """
        - closed closed
        closed closed report_ready | paid_out paid_out report_ready
        closed paid_out paid_out | paid_out closed payout_returned
    """,
    "report": "- pending created | pending ready ready",
    "reserve": "- held held | held released released",
    "payout": """
        - requires_approval approval_requested | - pending created
        requires_approval pending approved | requires_approval rejected rejected
        requires_approval canceled canceled | pending canceled canceled
        pending in_transit in_transit | in_transit paid paid | in_transit failed failed
        paid returned returned
    """,
    "bank_account": """
        - pending_verification created
        pending_verification pending_verification deposits_sent
        pending_verification verified verified
        pending_verification verification_failed verification_failed
        pending_verification deleted deleted
        verified deleted deleted | verification_failed deleted deleted
    """,
    "balance": """
        - negative negative | negative available available | available negative negative
    """,
    "recovery": "- open opened | open recovered recovered | open written_off written_off",
    "recovery_debit": """
        - pending created | pending canceled canceled | pending in_transit in_transit
        in_transit collected collected | in_transit failed failed | collected returned returned
    """,
    "test_clock": "- advancing advancing | ready advancing advancing | advancing ready ready",
}


def _ways() -> Iterator[Way]:
    for name, machine in _MACHINES.items():
        for way in machine.replace("|", "\n").strip().splitlines():
            before, after, event = way.split()
            yield name, before.replace("-", ""), after, f"{name}.{event}"


WAYS = frozenset(_ways())


def i9_only_legal_states(connection: Connection) -> list[str]:
    """Objects began and moved only along their machines, which the database knows too."""
    known = connection.execute("SELECT object, from_status, to_status, event FROM transitions")
    found = [f"transition {way}" for way in sorted(set(known) ^ WAYS)]
    history = connection.execute(
        """
        SELECT object_id, split_part(min(type), '.', 1),
               array_agg(type ORDER BY version),
               array_agg(data->>'status' || coalesce('(' || (data->>'pending_reason') || ')', '')
                         ORDER BY version)
        FROM events WHERE NOT starts_with(type, 'merchant.') -- which has no states
        GROUP BY merchant_id, livemode, object_id
        """
    )
    for subject, name, events, states in history:
        steps = zip(pairwise(["", *states]), events, strict=True)
        if any((name, before, after, event) not in WAYS for (before, after), event in steps):
            found.append(f"{name} {subject} went {' → '.join(states)}")
    return found


def i7_each_change_has_one_event(connection: Connection) -> list[str]:
    """Versions 1 to n have one event each; the last shows the object, and names what it posted."""
    return lines(
        connection,
        """
        WITH objects AS (
            SELECT merchant_id, livemode, id, version, status, jsonb_build_object(
                       'status', status, 'amount_captured', amount_captured,
                       'amount_refunded', amount_refunded, 'fee', fee,
                       'fee_returned', fee_returned, 'available_on', available_on,
                       'failure_code', failure_code, 'decline_code', decline_code,
                       'ledger_transaction', 'ltx_' || replace(ledger_transaction::text, '-', '')
                   ) AS shown FROM charges
            UNION ALL
            SELECT merchant_id, livemode, id, version, status, jsonb_build_object(
                       'status', status, 'pending_reason', pending_reason,
                       'fee_returned', fee_returned, 'failure_code', failure_code,
                       'ledger_transaction', 'ltx_' || replace(ledger_transaction::text, '-', '')
                   ) FROM refunds
            UNION ALL
            SELECT merchant_id, livemode, id, version, status, jsonb_build_object(
                       'status', status, 'fee', fee, 'amount', amount) FROM disputes
            UNION ALL
            SELECT merchant_id, livemode, id, version, status, jsonb_build_object(
                       'status', status, 'last4', last4, 'fingerprint', fingerprint,
                       'failure_code', failure_code
                   ) FROM bank_accounts
            UNION ALL
            SELECT merchant_id, livemode, id, version, status, jsonb_build_object(
                       'status', status, 'currency', currency, 'settled_on', settled_on,
                       'charge_count', charge_count, 'totals', jsonb_build_object(
                           'charges', charges, 'fees', fees, 'refunds', refunds,
                           'returns', returns, 'net', net, 'reserved', reserved),
                       'report', CASE WHEN reported_at IS NOT NULL THEN jsonb_build_object(
                           'item_count', item_count, 'items_sha256', items_sha256,
                           'size', report_size) END,
                       'ledger_transaction', 'ltx_' || replace(ledger_transaction::text, '-', '')
                   ) FROM settlements
            UNION ALL
            SELECT merchant_id, livemode, id, version, status, jsonb_build_object(
                       'status', status, 'currency', currency, 'format', format,
                       'file', CASE WHEN ready_at IS NOT NULL THEN jsonb_build_object(
                           'sha256', sha256, 'size', size, 'line_count', line_count) END
                   ) FROM reports
            UNION ALL
            SELECT merchant_id, livemode, id, version, status, jsonb_build_object(
                       'status', status, 'amount', amount, 'release_on', release_on,
                       'settlement', 'stl_' || replace(settlement_id::text, '-', ''),
                       'ledger_transaction', 'ltx_' || replace(ledger_transaction::text, '-', '')
                   ) FROM reserves
            UNION ALL
            SELECT merchant_id, livemode, id, version, status, jsonb_build_object(
                       'status', status, 'amount', amount, 'fee', fee,
                       'failure_code', failure_code,
                       'bank_account', 'ba_' || replace(bank_account_id::text, '-', ''),
                       'ledger_transaction', 'ltx_' || replace(ledger_transaction::text, '-', '')
                   ) FROM payouts
            UNION ALL
            SELECT merchant_id, livemode, id, version, status, jsonb_build_object(
                       'status', status, 'available', available) FROM balance_states
            UNION ALL
            SELECT merchant_id, livemode, id, version, status, jsonb_build_object(
                       'status', status, 'amount', amount, 'written_off', written_off,
                       'ledger_transaction', 'ltx_' || replace(ledger_transaction::text, '-', '')
                   ) FROM recoveries
            UNION ALL
            SELECT merchant_id, livemode, id, version, status, jsonb_build_object(
                       'status', status, 'amount', amount, 'mandate', mandate,
                       'failure_code', failure_code, 'arrives_on', arrives_on,
                       'recovery', 'rcv_' || replace(recovery_id::text, '-', ''),
                       'bank_account', 'ba_' || replace(bank_account_id::text, '-', '')
                   ) FROM recovery_debits
            UNION ALL
            SELECT merchant_id, livemode, id, version, status, jsonb_build_object('status', status)
            FROM test_clocks)
        SELECT 'object', objects.id, status, objects.version, count(events.id), max(events.version)
        FROM objects LEFT JOIN events ON object_id = objects.id
            AND (events.merchant_id, events.livemode) = (objects.merchant_id, objects.livemode)
        GROUP BY objects.merchant_id, objects.livemode, objects.id, objects.version, status, shown
        HAVING NOT (count(events.id) = objects.version
            AND count(DISTINCT events.version) = objects.version
            AND max(events.version) = objects.version
            AND bool_or(events.version = objects.version AND data::jsonb @> shown))
        UNION ALL
        SELECT 'event without its object', events.id, type, events.version, null, null
        FROM events LEFT JOIN objects ON objects.id = object_id
            AND (events.merchant_id, events.livemode) = (objects.merchant_id, objects.livemode)
        WHERE objects.id IS NULL AND NOT starts_with(type, 'merchant.')
        UNION ALL
        SELECT 'posting and event', coalesce(journal.id, ledger_transaction), type, kind, null, null
        FROM (SELECT * FROM journal
              WHERE part = 0 AND owner > 0 -- what is ours alone is told to nobody
                AND kind IN (SELECT code FROM posting_kinds)) AS journal
        FULL JOIN (SELECT * FROM events WHERE ledger_transaction IS NOT NULL) AS announced
            ON ledger_transaction = journal.id AND object_id = source
        WHERE journal.id IS NULL OR ledger_transaction IS NULL
        """,
    )
