"""Corruptions, each of which breaks exactly one invariant.

They are statements of a superuser, with triggers off, in the database that
``tests/faults/test_invariants.py`` writes.
"""

from __future__ import annotations

from typing import LiteralString

_ROW: LiteralString = """
    INSERT INTO journal (id, source, owner, recorded_at, value_on, livemode, kind, part,
                         a1, v1, a2, v2)
    SELECT gen_random_uuid(), source, owner, recorded_at, value_on, livemode,
"""
_FROM_THE_START: LiteralString = """
    UPDATE rollup SET watermark = 0;
    UPDATE accounts SET balance = 0;
"""
_NEW_EVENT: LiteralString = """
    INSERT INTO events (merchant_id, livemode, id, version, type, data, created_at, object_id)
    SELECT merchant_id, livemode, gen_random_uuid(), version, type, data, created_at,
"""
_NEW_KEY: LiteralString = """
    INSERT INTO idempotency_keys (merchant_id, livemode, fingerprint, scope, status, body)
    SELECT merchant_id, livemode, fingerprint,
"""

_I1: list[LiteralString] = [
    # two rows that make up for each other: each is unbalanced, the whole is not
    f"""
    ALTER TABLE journal DROP CONSTRAINT legs_are_sound;
    {_ROW} 99, 0, 8400150, 3, 8400110, -2 FROM journal LIMIT 1;
    {_ROW} 98, 0, 8400150, -3, 8400110, 2 FROM journal LIMIT 1
    """,
    # two currencies in one row, and back in another
    f"""
    ALTER TABLE journal DROP CONSTRAINT legs_are_sound;
    {_ROW} 99, 0, 9780150, 3, 8400150, -3 FROM journal LIMIT 1;
    {_ROW} 98, 0, 9780150, -3, 8400150, 3 FROM journal LIMIT 1
    """,
    # a memo account against a real one
    f"""
    {_ROW} 99, 0, 8400960, 3, 8400150, -3 FROM journal LIMIT 1;
    {_ROW} 98, 0, 8400960, -3, 8400150, 3 FROM journal LIMIT 1
    """,
]

_I2: list[LiteralString] = [
    "UPDATE accounts SET balance = balance + 1 WHERE number % 1000 = 210 AND balance <> 0",
    # a watermark past a row that was never rolled up
    f"{_FROM_THE_START} UPDATE rollup SET watermark = (SELECT max(xid) + 1 FROM journal)",
]

_I3: list[LiteralString] = [
    # a transition posted twice, and undone under the same transition
    f"""
    {_ROW} kind, 1, a1, v1, a2, -v1 FROM journal WHERE kind = 10 LIMIT 1;
    {_ROW} kind, 2, a1, -v1, a2, v1 FROM journal WHERE kind = 10 AND part = 1
    """,
    # a transition that never was
    f"""
    {_ROW} 24, 1, 8400110, 5, 8400160, -5 FROM journal WHERE kind = 22 LIMIT 1;
    {_ROW} 24, 2, 8400110, -5, 8400160, 5 FROM journal WHERE kind = 24 AND part = 1
    """,
    # what captures released was the hold of others
    f"""
    {_FROM_THE_START}
    UPDATE journal SET v1 = v1 + 10 * sign(v1), v2 = v2 + 10 * sign(v2)
    WHERE kind = 1 AND part = 1;
    UPDATE journal SET v1 = v1 - 10 * sign(v1), v2 = v2 - 10 * sign(v2) WHERE kind = 3
    """,
    # another posting is named as the one of the capture
    """
    UPDATE charges SET ledger_transaction = gen_random_uuid() WHERE status = 'succeeded';
    UPDATE events SET data = jsonb_set(data::jsonb, '{ledger_transaction}', to_jsonb(
        'ltx_' || replace(charges.ledger_transaction::text, '-', '')))
    FROM charges WHERE object_id = charges.id AND events.version = charges.version
        AND charges.status = 'succeeded'
    """,
]

_I4: list[LiteralString] = [
    "UPDATE charges SET amount_refund_pending = 7 WHERE status = 'failed'",
    "UPDATE charges SET amount_disputed = amount_disputed - 1 WHERE amount_disputed > 0",
    """
    ALTER TABLE charges DROP CONSTRAINT captured_within_amount;
    UPDATE charges SET amount = amount_captured - 1 WHERE description = 'nobody was told'
    """,
]

_I5: list[LiteralString] = ["UPDATE merchants SET overdraft_cents = 174"]

_I6: list[LiteralString] = [
    f"{_ROW} 99, 0, 8400150, 7, owner * 10000000 + 8400210, -7 FROM journal LIMIT 1",
    f"{_ROW} 99, 0, 8400110, 7, 8400160, -7 FROM journal LIMIT 1",
    f"""
    {_ROW} 99, 0, owner * 10000000 + 8400240, 7, owner * 10000000 + 8400220, -7
    FROM journal LIMIT 1
    """,
    f"{_ROW} 99, 0, 9780110, 7, 9780410, -7 FROM journal LIMIT 1",
]

_I17: list[LiteralString] = [
    # a charge too many
    """
    UPDATE settlements SET charge_count = charge_count + 1;
    UPDATE events SET data = jsonb_set(data::jsonb, '{charge_count}', to_jsonb(charge_count))
    FROM settlements WHERE object_id = settlements.id
    """,
    # settled charges whose day was another, of which there is no batch
    """
    UPDATE charges SET available_on = available_on - 90 WHERE available_on <= (
        SELECT min(settled_on) FROM settled_through);
    UPDATE events SET data = jsonb_set(data::jsonb, '{available_on}', to_jsonb(available_on))
    FROM charges WHERE object_id = charges.id AND events.version = charges.version
        AND available_on IS NOT NULL
    """,
]

_I7: list[LiteralString] = [
    "DELETE FROM events WHERE type = 'charge.failed' AND ledger_transaction IS NULL",
    "UPDATE events SET version = 9 WHERE type = 'refund.failed'",
    """
    UPDATE events SET data = jsonb_set(data::jsonb, '{ledger_transaction}', 'null')
    WHERE type = 'charge.succeeded'
    """,
    """
    UPDATE events SET data = jsonb_set(data::jsonb, '{amount_refunded}', '1')
    WHERE type = 'charge.refunded'
    """,
    "UPDATE events SET ledger_transaction = NULL WHERE type = 'dispute.funds_withdrawn'",
    f"{_NEW_EVENT} gen_random_uuid() FROM events WHERE version = 1 LIMIT 1",
    f"""
    ALTER TABLE events DROP CONSTRAINT events_merchant_id_livemode_object_id_version_key;
    {_NEW_EVENT} object_id FROM events WHERE type = 'charge.refunded' LIMIT 1
    """,
]

_I8: list[LiteralString] = [
    """
    UPDATE idempotency_keys AS keys SET event_id = NULL, body = answers.body || ' '::bytea
    FROM answers WHERE answers.scope = keys.scope
    """,
    """
    UPDATE idempotency_keys AS keys
    SET event_id = NULL,
        body = convert_to(replace(convert_from(answers.body, 'UTF8'), '"USD"', '"EUR"'), 'UTF8')
    FROM answers WHERE answers.scope = keys.scope
    """,
    f"{_NEW_KEY} sha256(scope), status, body FROM answers WHERE status = 201 LIMIT 1",
    f"{_NEW_KEY} sha256(scope), NULL, NULL FROM idempotency_keys LIMIT 1",
    f"""
    ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_pkey;
    {_NEW_KEY} scope, status, body FROM answers LIMIT 1
    """,
    # a decline of a charge that was not declined
    f"""
    {_NEW_KEY} sha256('402'), 402, convert_to(jsonb_build_object(
        'charge', 'ch_' || replace(charges.id::text, '-', ''))::text, 'UTF8')
    FROM idempotency_keys JOIN charges USING (merchant_id, livemode)
    WHERE charges.status = 'succeeded' LIMIT 1
    """,
]

_I9: list[LiteralString] = [
    """
    UPDATE events SET data = jsonb_set(data::jsonb, '{status}', '"lost"')
    WHERE type = 'dispute.created'
    """,
    "UPDATE events SET type = 'refund.updated' WHERE type = 'refund.succeeded'",
    "INSERT INTO transitions VALUES ('charge', 'failed', 'succeeded', 'charge.succeeded')",
    "DELETE FROM transitions WHERE to_status = 'expired'",
]

_I10: list[LiteralString] = [
    "ALTER TABLE events DISABLE ROW LEVEL SECURITY",
    "CREATE POLICY careless ON refunds TO ivy_app USING (livemode = current_livemode())",
    # both modes of one merchant
    "CREATE POLICY careless ON accounts TO ivy_app USING (number / 10000000 = current_merchant())",
    "CREATE TABLE unheard_of (merchant_id bigint)",
]

_I11: list[LiteralString] = [
    "GRANT DELETE ON journal TO ivy_jobs",
    "GRANT UPDATE (v1) ON journal TO ivy_app",
    "ALTER TABLE journal DISABLE TRIGGER append_only",
]

_I14: list[LiteralString] = [
    "DELETE FROM outbox WHERE action = 'authorize'",
    "UPDATE outbox SET action = 'void'",
    """
    INSERT INTO outbox (id, merchant_id, livemode, queue, subject, action, correlation,
                        next_send_at, expected_at, created_at)
    SELECT gen_random_uuid(), merchant_id, livemode, 'refunds', id, 'refund', '', now(), now(),
           now()
    FROM refunds WHERE status = 'succeeded'
    """,
]

_I15: list[LiteralString] = [
    "UPDATE event_numbers SET sequence = sequence + 100000 WHERE sequence = 3",
    # two changes of one object change places
    """
    ALTER TABLE event_numbers DROP CONSTRAINT event_numbers_event_id_key;
    WITH pair AS (
        SELECT array_agg(id ORDER BY version) AS ids FROM events
        WHERE id IN (SELECT event_id FROM event_numbers) GROUP BY object_id
        HAVING count(*) = 2 LIMIT 1)
    UPDATE event_numbers SET event_id = CASE event_id WHEN ids[1] THEN ids[2] ELSE ids[1] END
    FROM pair WHERE event_id = ANY (ids)
    """,
]

_I16: list[LiteralString] = [
    "DELETE FROM deliveries WHERE sequence = 3",
    "DELETE FROM delivery_attempts WHERE number = 1",
]

_BY_INVARIANT: dict[str, list[LiteralString]] = {
    "i17_each_settled_day_is_one_batch": _I17,
    "i1_entries_sum_to_zero": _I1,
    "i2_balances_equal_entries": _I2,
    "i3_each_transition_is_posted_once": _I3,
    "i4_parts_stay_within_the_whole": _I4,
    "i5_refunds_overdraw_within_the_limit": _I5,
    "i6_accounts_hold_what_objects_say": _I6,
    "i7_each_change_has_one_event": _I7,
    "i8_a_key_has_one_answer": _I8,
    "i9_only_legal_states": _I9,
    "i10_no_row_of_another_tenant": _I10,
    "i11_journal_is_append_only": _I11,
    "i14_the_undecided_is_promised": _I14,
    "i15_streams_have_no_gap": _I15,
    "i16_each_event_goes_where_it_is_wanted": _I16,
}

CORRUPTIONS = [
    (invariant, statements) for invariant, each in _BY_INVARIANT.items() for statements in each
]
