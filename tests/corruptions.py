"""Corruptions of healthy books, each of which breaks one law of the ledger and no other.

They are planted by a superuser for whom no trigger fires. ``tests.books`` plays the books.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from tests.books import Books

Root = psycopg.Connection[Any]


@dataclass(frozen=True)
class Corruption:
    """What is planted.

    In the statements ``:ada`` and ``:bob`` stand for the merchants' numbers, ``:a`` and ``:b`` for
    their twin charges: captured, of one amount, before the watermark.
    """

    law: str
    name: str
    words: str
    """Part of a witness, so that the part of the query that is meant has found it."""
    statements: str
    drop: tuple[str, str] | None = None
    """The table and the name of a constraint that would refuse it."""

    def plant(self, root: Root, books: Books) -> None:
        root.execute("SET session_replication_role = replica")
        if self.drop:
            root.execute("ALTER TABLE {} DROP CONSTRAINT {}".format(*self.drop).encode())
        text = self.statements
        for name, seller in (("ada", books.ada), ("bob", books.bob)):
            text = text.replace(f":{name}", str(seller.account.merchant_id))
        for name, charge in zip("ab", books.twins, strict=True):
            text = text.replace(f":{name}", f"'{charge.removeprefix('ch_')}'")
        root.execute(text.encode())


CAPTURES = """
    (SELECT id, row_number() OVER by_id AS n, lead(id) OVER by_id AS other FROM journal, rollup
     WHERE owner = :ada AND kind = 1 AND part = 0 AND a1 = 8400110 AND xid < watermark
     WINDOW by_id AS (ORDER BY id)) AS c"""
ACCEPTED = CAPTURES.replace("kind = 1", "kind = 10").replace("a1 = 8400110", "a2 = 8400310")
UNPUBLISHED = "DELETE FROM event_numbers; UPDATE event_watermark SET watermark = 0"
"""As if nobody had looked at the events yet: the number of one that is gone would show."""

CORRUPTIONS = (
    Corruption(
        "L1",
        "two transactions out of balance by the same amount",
        "sums to -1 USD",
        f"UPDATE journal SET v1 = v1 + CASE n WHEN 1 THEN 1 ELSE -1 END FROM {CAPTURES}"
        " WHERE c.id = journal.id AND n <= 2",
        drop=("journal", "legs_are_sound"),
    ),
    Corruption(
        "L1",
        "an entry of nothing",
        "an entry of nothing",
        f"UPDATE journal SET a3 = 8400410, v3 = 0 FROM {ACCEPTED}"
        " WHERE c.id = journal.id AND n = 1",
        drop=("journal", "legs_are_sound"),
    ),
    Corruption(
        "L1",
        "entries on an account that does not exist, which sum to zero",
        "an account that the chart does not have",
        "UPDATE journal SET a3 = 8400999, v3 = CASE n WHEN 1 THEN 5 ELSE -5 END,"
        f" v1 = v1 - CASE n WHEN 1 THEN 5 ELSE -5 END FROM {ACCEPTED}"
        " WHERE c.id = journal.id AND n <= 2",
    ),
    Corruption(
        "L1",
        "a transaction of one entry, whose money another has",
        "has a single entry",
        "ALTER TABLE journal ALTER a2 DROP NOT NULL, ALTER v2 DROP NOT NULL;"
        f" UPDATE journal SET v1 = v1 + x, v2 = v2 - x FROM {ACCEPTED}, LATERAL"
        " (SELECT v1 AS x FROM journal o WHERE o.id = c.other) o"
        " WHERE c.id = journal.id AND n = 1;"
        f" UPDATE journal SET v1 = 0, a2 = NULL, v2 = NULL FROM {ACCEPTED}"
        " WHERE c.id = journal.id AND n = 2",
        drop=("journal", "legs_are_sound"),
    ),
    Corruption(
        "L2",
        "one balance twice",
        "all balances in USD, test mode, sum to ",
        "INSERT INTO accounts SELECT * FROM accounts WHERE number = 8400110",
        drop=("accounts", "accounts_pkey"),
    ),
    Corruption(
        "L3",
        "stored money moved to another account of the same merchant",
        "its entries before the watermark sum to ",
        "UPDATE accounts SET balance = balance + CASE mod(number, 1000) WHEN 210 THEN 1"
        " ELSE -1 END WHERE number IN (:ada8400210, :ada8400220)",
    ),
    Corruption(
        "L3",
        "stored balances of accounts without entries",
        "stores 7, its entries before the watermark sum to 0",
        "INSERT INTO accounts (number, balance) VALUES (8400151, 7), (8400190, -7)",
    ),
    Corruption(
        "L3",
        "a watermark from the future",
        "is ahead of the oldest transaction still running",
        "UPDATE rollup SET watermark = watermark + 1000000",
    ),
    Corruption(
        "L4",
        "a grant",
        "ivy_jobs may change or remove entries",
        "GRANT DELETE ON journal TO ivy_jobs",
    ),
    Corruption(
        "L4",
        "a grant on one column",
        "ivy_app may change or remove entries",
        "GRANT UPDATE (reason) ON journal TO ivy_app",
    ),
    Corruption(
        "L4",
        "a grant to everybody",
        "ivy_read may change or remove entries",
        "GRANT TRUNCATE ON journal TO PUBLIC",
    ),
    Corruption(
        "L4",
        "a disabled trigger",
        "no trigger refuses",
        "ALTER TABLE journal DISABLE TRIGGER append_only",
    ),
    Corruption(
        "L4",
        "a trigger that lets TRUNCATE pass",
        "no trigger refuses",
        "DROP TRIGGER append_only ON journal;"
        " CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON journal"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    ),
    Corruption(
        "L4",
        "a trigger that refuses nothing",
        "no trigger refuses",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NULL; END'",
    ),
    Corruption(
        "L5",
        "a cost that was not posted",
        "USD, expense:processor: entries sum to ",
        "UPDATE charges SET cost = cost + 1 WHERE id = :a",
    ),
    Corruption(
        "L5",
        "a fee that was not posted",
        "USD, income:processing: entries sum to ",
        "UPDATE charges SET fee = fee + 1 WHERE id = :a",
    ),
    Corruption(
        "L5",
        "a dispute's fee that was not posted",
        "USD, income:dispute: entries sum to ",
        "UPDATE disputes SET fee = fee + 1 WHERE merchant_id = :ada AND status = 'won'",
    ),
    Corruption(
        "L5",
        "a return's fee that was not posted",
        "USD, income:processing: entries sum to ",
        "UPDATE charges SET fee_plan = 'returning' WHERE failure_code = 'bank_debit_returned';"
        " UPDATE fee_plans SET terms = terms || '{\"return_fee_cents\": 401}'"
        " WHERE code = 'returning'",
    ),
    Corruption(
        "L5",
        "an authorisation of another amount",
        "USD, auth: entries sum to ",
        "UPDATE charges SET amount = amount + 1 WHERE status = 'authorized'",
    ),
    Corruption(
        "L5",
        "a dispute withdrawn by another acquirer",
        "USD, disputes_receivable:stripe: entries sum to 0, the objects to ",
        "UPDATE disputes SET connector = 'stripe' WHERE status = 'needs_response'",
    ),
    Corruption(
        "L5",
        "earned money posted as reserve",
        "USD, reserve: entries sum to -",
        "UPDATE journal SET a2 = :ada8400230 WHERE id = (SELECT id FROM journal, rollup"
        " WHERE xid >= watermark AND a2 = :ada8400210 AND kind = 1 LIMIT 1)",
    ),
    Corruption(
        "L5",
        "a debit in transit that nobody has sent",
        "USD, debit_in_transit: entries sum to ",
        "UPDATE journal SET a1 = 8400170 WHERE a1 = 8400520;"
        " UPDATE accounts SET balance = balance + CASE number WHEN 8400170 THEN gone ELSE -gone END"
        " FROM (SELECT sum(v1) AS gone FROM journal WHERE a1 = 8400170 AND kind = 50) AS moved"
        " WHERE number IN (8400170, 8400520)",
    ),
    Corruption(
        "L5",
        "a debit in transit of another amount than was posted",
        "USD, debit_in_transit: entries sum to ",
        "UPDATE recovery_debits SET amount = amount + 1 WHERE status = 'in_transit'",
    ),
    Corruption(
        "L5",
        "a debit of another amount than was collected",
        " are posted and on no statement yet",
        "UPDATE recovery_debits SET amount = amount + 1 WHERE status = 'collected'",
    ),
    Corruption(
        "L14",
        "a debit that came back and says that it did not",
        "is the last to speak of what is ",
        "UPDATE recovery_debits SET status = 'canceled', bank_file = NULL, failure_code = NULL,"
        " canceled_by = 'me' WHERE status = 'failed'",
    ),
    Corruption(
        "L5",
        "a write-off of another amount",
        "USD, loss:writeoff: entries sum to ",
        "UPDATE recoveries SET written_off = written_off - 1 WHERE status = 'written_off'",
    ),
    Corruption(
        "L5",
        "a micro-deposit of another amount than was posted",
        "USD, expense:processor: entries sum to ",
        "UPDATE micro_deposits SET amount = amount + 1 WHERE amount = 32 AND NOT canceled",
    ),
    Corruption(
        "L14",
        "a micro-deposit that names another posting than its own",
        " is 1 postings of ours, of 0 items, settlements of acquirers or deposits",
        "UPDATE micro_deposits SET ledger_transaction = uuidv7() WHERE amount = 32"
        " AND ledger_transaction IS NOT NULL",
    ),
    Corruption(
        "L14",
        "a balance that has crossed zero and told nobody",
        " is at version ",
        "UPDATE balance_states SET version = version + 1 WHERE merchant_id <> 0",
    ),
    Corruption(
        "L5",
        "a line of another amount than was posted",
        "USD, bank:client: entries sum to ",
        "UPDATE bank_lines SET amount = amount + 1 WHERE amount = 5000",
    ),
    Corruption(
        "L5",
        "a line that is another payout's, which has not moved",
        " are posted and on no statement yet",
        "UPDATE bank_lines SET payout_id = (SELECT id FROM payouts WHERE merchant_id = :bob"
        " AND status = 'in_transit' LIMIT 1) WHERE outcome = 'payout'",
    ),
    Corruption(
        "L5",
        "an acquirer's payment counted as another's",
        "USD, acquirer_receivable:stripe: entries sum to 0, the objects to -9820",
        "UPDATE suspense_items SET connector = 'stripe' WHERE amount = 9820",
    ),
    Corruption(
        "L5",
        "an acquirer that said more than was posted",
        "USD, acquirer_receivable:simulated: entries sum to ",
        "UPDATE acquirer_settlements SET gross = gross + 1, net = net + 1 WHERE net = 4321",
    ),
    Corruption(
        "L5",
        "a settlement that counts as another acquirer's",
        "USD, acquirer_receivable:stripe: entries sum to 0, the objects to -4321",
        "UPDATE acquirer_settlements SET connector = 'stripe' WHERE net = 4321",
    ),
    Corruption(
        "L5",
        "a settlement matched by hand, of another amount",
        "USD, suspense:bank: entries sum to ",
        "UPDATE acquirer_settlements SET gross = gross - 7, net = net - 7 WHERE net = 1500",
    ),
    Corruption(
        "L5",
        "a difference of another amount than is in suspense",
        ", the open items to ",
        "UPDATE suspense_items SET amount = amount + 1 WHERE amount = -50",
    ),
    Corruption(
        "L14",
        "a settlement that came and is posted nowhere",
        "0 postings of ours, of 1 items, settlements of acquirers or deposits",
        "UPDATE acquirer_settlements SET ledger_transaction = uuidv7(), status = 'received',"
        " received_as = 'exact', received_at = now(),"
        " line_id = (SELECT id FROM bank_lines WHERE amount = -40) WHERE net = 1700",
    ),
    Corruption(
        "L5",
        "an item that is closed and still on the account",
        ", the open items to ",
        "UPDATE suspense_items SET (target, resolved_at, resolved_as, resolved_by, reason)"
        " = (uuidv7(), now(), 'opposite', 'me', 'so') WHERE amount = 5000",
    ),
    Corruption(
        "L6",
        "a batch that counts a charge that is in another",
        "there are",
        "UPDATE settlements SET charge_count = charge_count + CASE n WHEN 1 THEN 1 ELSE -1 END"
        " FROM (SELECT id, row_number() OVER (ORDER BY charge_count DESC) AS n FROM settlements)"
        " AS ranked WHERE ranked.id = settlements.id AND n <= 2 AND charge_count > 1",
    ),
    Corruption(
        "L6",
        "two batches that exchanged their days",
        "its items come to",
        "UPDATE settlements SET settled_on = other.settled_on, charge_count = other.charge_count"
        " FROM settlements AS other, (SELECT min(settled_on) AS a, max(settled_on) AS b"
        " FROM settlements WHERE merchant_id = :ada AND currency = 'USD') AS days"
        " WHERE settlements.merchant_id = :ada AND settlements.currency = 'USD'"
        " AND other.merchant_id = :ada AND other.currency = 'USD'"
        " AND (settlements.settled_on, other.settled_on) IN ((a, b), (b, a))",
        ("settlements", "one_batch_a_day"),
    ),
    Corruption(
        "L6",
        "a reserve that is more than the batch says",
        "in reserve",
        "UPDATE settlements SET reserved = reserved - 1 WHERE reserved > 0",
    ),
    Corruption(
        "L6",
        "a payout that takes an entry of the one before",
        "there are",
        "UPDATE payout_items SET payout_id = other.id FROM payouts AS own, payouts AS other"
        " WHERE own.id = payout_id AND other.merchant_id = own.merchant_id"
        " AND other.currency = own.currency AND other.sequence = own.sequence + 1"
        " AND own.sequence = 1",
    ),
    Corruption(
        "L6",
        "a payout that does not open where the one before closed",
        "the one before it closed with",
        "UPDATE payouts SET opening = opening + 1, closing = closing + 1 WHERE sequence = 2",
    ),
    Corruption(
        "L6",
        "items that are not what was posted, and add up",
        "that are not what was posted",
        "UPDATE payout_items SET amount = amount + CASE n WHEN 1 THEN 1 ELSE -1 END FROM ("
        " SELECT ledger_transaction AS id, row_number() OVER (ORDER BY amount DESC) AS n"
        " FROM payout_items WHERE payout_id = (SELECT id FROM payouts WHERE sequence = 1"
        " AND item_count > 1 LIMIT 1)) AS held WHERE held.id = ledger_transaction AND n <= 2",
    ),
    Corruption(
        "L6",
        "a batch that is paid out, says an event too, and is in no payout",
        "its money is in no payout that is paid",
        """
        WITH made AS (
            UPDATE settlements SET status = 'paid_out', version = version + 1
            WHERE id = (SELECT min(id::text)::uuid FROM settlements
                        WHERE merchant_id = :ada AND ledger_transaction IS NOT NULL)
            RETURNING id, version)
        INSERT INTO events (merchant_id, livemode, id, object_id, version, type, data, created_at)
        SELECT :ada, false, uuidv7(), id, version, 'settlement.paid_out', '{"status": "paid_out"}',
               now() FROM made
        """,
    ),
    Corruption(
        "L8",
        "a payout of more than there was, complete with all that belongs to it",
        "pays out",
        """
        CREATE TEMP TABLE made AS
        SELECT uuidv7() AS id, uuidv7() AS ltx, uuidv7() AS evt, now() AS at;
        INSERT INTO payouts (merchant_id, livemode, id, bank_account_id, amount, opening, items,
            closing, item_count, sequence, items_before_xid, ledger_transaction, created_at,
            currency, status)
        SELECT merchant_id, livemode, made.id, bank_account_id, 1000000, closing, 0,
               closing - 1000000, 0, sequence + 1, 0, ltx, at, currency, 'pending'
        FROM made, (SELECT * FROM payouts WHERE merchant_id = :bob AND currency = 'USD'
                    AND sequence IS NOT NULL ORDER BY sequence DESC LIMIT 1) AS last;
        INSERT INTO journal (id, source, owner, livemode, recorded_at, a1, v1, a2, v2, value_on,
            kind)
        SELECT ltx, id, :bob, false, at, 10000000::int8 * :bob + 8400220, 1000000,
               10000000::int8 * :bob + 8400250, -1000000, at::date, 40 FROM made;
        INSERT INTO events (merchant_id, livemode, id, object_id, version, type, data,
            ledger_transaction, created_at)
        SELECT :bob, false, evt, id, 1, 'payout.created', '{"status": "pending"}', ltx, at FROM made
        """,
        ("payouts", "never_overdraws"),
    ),
    Corruption(
        "L7",
        "more captured than authorised",
        "captured 10000 of 9999 authorised",
        "UPDATE charges SET amount = 9999 WHERE id = :a",
        drop=("charges", "captured_within_amount"),
    ),
    Corruption(
        "L7",
        "a charge that says more than its refunds",
        "says 1 refunded, 0 to be, 0 disputed, 0 of the fee returned",
        "UPDATE charges SET amount_refunded = 1 WHERE id = :a",
    ),
    Corruption(
        "L7",
        "refunds of one charge written on a smaller one",
        "gave back 2000 of ",
        "UPDATE charges SET amount_refunded = amount_refunded + CASE charges.id"
        " WHEN r.charge_id THEN -2000 ELSE 2000 END"
        " FROM refunds r, (SELECT id AS small FROM charges"
        " WHERE merchant_id = :ada AND amount_captured = 1100) c"
        " WHERE r.merchant_id = :ada AND r.amount = 2000"
        " AND charges.id IN (r.charge_id, small);"
        " UPDATE refunds SET charge_id = (SELECT id FROM charges WHERE merchant_id = :ada"
        " AND amount_captured = 1100) WHERE merchant_id = :ada AND amount = 2000",
        drop=("charges", "refunded_within_captured"),
    ),
    Corruption(
        "L7",
        "more of a fee returned than was taken",
        " of a fee of ",
        "UPDATE charges SET fee_returned = charges.fee_returned + CASE charges.id"
        " WHEN r.charge_id THEN -r.fee_returned ELSE r.fee_returned END"
        " FROM refunds r, refunds s WHERE r.merchant_id = :bob AND r.amount = 2000"
        " AND s.merchant_id = :bob AND s.amount = 333"
        " AND charges.id IN (r.charge_id, s.charge_id);"
        " UPDATE refunds SET fee_returned = CASE amount WHEN 333 THEN fee_returned"
        " + (SELECT fee_returned FROM refunds WHERE merchant_id = :bob AND amount = 2000)"
        " ELSE 0 END WHERE merchant_id = :bob AND amount IN (333, 2000)",
        drop=("charges", "fee_returned_within_fee"),
    ),
    Corruption(
        "L7",
        "a refund in another currency than its charge",
        "not in the currency of its refunds and disputes",
        "UPDATE refunds SET currency = CASE currency WHEN 'USD' THEN 'EUR' ELSE 'USD' END"
        " WHERE merchant_id = :ada AND amount = 841 AND currency IN ('USD', 'EUR')",
    ),
    Corruption(
        "L9",
        "two postings of one transition",
        "has 2 rows of charge.captured, numbered to 0",
        "UPDATE journal SET source = :a WHERE id = (SELECT id FROM journal WHERE owner = :ada"
        " AND kind = 1 AND source <> :a AND part = 0 LIMIT 1)",
        drop=("journal", "posted_once"),
    ),
    Corruption(
        "L9",
        "the postings of two charges exchanged",
        "and announced as a change of ",
        "UPDATE journal SET source = CASE source WHEN :a THEN other ELSE :a END"
        " FROM (SELECT id AS other FROM charges WHERE merchant_id = :ada"
        " AND amount_captured = 900) c WHERE source IN (:a, other) AND kind = 1",
        drop=("journal", "posted_once"),
    ),
    Corruption(
        "L9",
        "a part that is missing",
        "has 2 rows of charge.captured, numbered to 2",
        "UPDATE journal SET part = 2 WHERE id = (SELECT id FROM journal WHERE part = 1 LIMIT 1)",
    ),
    Corruption(
        "L9",
        "a part written as two of one number",
        "has 3 rows of charge.captured, numbered to 2",
        "CREATE TEMP TABLE half AS SELECT * FROM journal WHERE part = 1 LIMIT 1;"
        " UPDATE journal SET part = 2, v1 = v1 + 1, v2 = v2 - 1 WHERE id = (SELECT id FROM half);"
        " INSERT INTO journal SELECT (jsonb_populate_record(half, jsonb_build_object("
        "'id', uuidv7(), 'part', 2, 'v1', -1, 'v2', 1))).* FROM half",
        drop=("journal", "posted_once"),
    ),
    Corruption(
        "L9",
        "two answers to one idempotency key",
        "has 2 answers",
        "INSERT INTO idempotency_keys SELECT * FROM idempotency_keys LIMIT 1",
        drop=("idempotency_keys", "idempotency_keys_pkey"),
    ),
    Corruption(
        "L9",
        "an idempotency key without an answer",
        "has 0 answers",
        "UPDATE idempotency_keys SET status = NULL, body = NULL, event_id = NULL WHERE scope ="
        " (SELECT min(scope) FROM idempotency_keys)",
    ),
    Corruption(
        "L9",
        "an answer that is an event that is not there",
        "has 0 answers",
        "UPDATE idempotency_keys SET body = NULL, event_id = gen_random_uuid() WHERE scope ="
        " (SELECT min(scope) FROM idempotency_keys)",
    ),
    Corruption(
        "L10",
        "the money of two merchants exchanged",
        "has an entry on account ",
        "UPDATE journal SET a2 = CASE source WHEN :a THEN :bob8400210 ELSE :ada8400210 END"
        " WHERE source IN (:a, :b) AND kind = 1",
        drop=("journal", "legs_are_sound"),
    ),
    Corruption(
        "L10",
        "the transactions of two merchants exchanged",
        "'s and has an entry on account ",
        "UPDATE journal SET owner = CASE source WHEN :a THEN :bob ELSE :ada END"
        " WHERE source IN (:a, :b) AND kind = 1",
        drop=("journal", "legs_are_sound"),
    ),
    Corruption(
        "L10",
        "an account of ours with a merchant's number",
        "and has an entry on account 10018400110",
        "UPDATE journal SET a1 = :ada8400110 WHERE id = (SELECT id FROM journal, rollup"
        " WHERE xid >= watermark AND a1 = 8400110 AND owner = :ada LIMIT 1)",
        drop=("journal", "legs_are_sound"),
    ),
    Corruption(
        "L10",
        "a test transaction that says it is live",
        "is in live mode and has an entry on account ",
        "UPDATE journal SET livemode = true WHERE source = :a AND kind = 1",
        drop=("journal", "legs_are_sound"),
    ),
    Corruption(
        "L10",
        "two merchants' charges posted in each other's books",
        "who has no ch_",
        "DROP INDEX events_ledger_transaction;"
        " UPDATE events SET ledger_transaction = j.id FROM journal j"
        " WHERE ledger_transaction IS NOT NULL AND object_id IN (:a, :b)"
        " AND j.source IN (:a, :b) AND j.source <> object_id AND j.kind = 1;"
        " UPDATE journal SET source = CASE source WHEN :a THEN :b::uuid ELSE :a::uuid END"
        " WHERE source IN (:a, :b) AND kind = 1",
        drop=("journal", "posted_once"),
    ),
    Corruption(
        "L10",
        "a posting of ours about nothing",
        "who has no sus_",
        "UPDATE journal SET source = uuidv7() WHERE kind = 60 AND v1 = 5000",
    ),
    Corruption(
        "L13",
        "an item that has been open for too long",
        " has been open on suspense:bank for 6 days",
        "UPDATE suspense_items SET opened_at = now() - interval '6 days' WHERE amount = 5000",
    ),
    Corruption(
        "L13",
        "a payout that was refused long after it was paid",
        " was refused 6 days ago, after it was paid, and no statement shows it back",
        "INSERT INTO bank_answers (merchant_id, livemode, id, payout_id, receipt_id, created_at,"
        " outcome, code, failure_code, unstated)"
        " SELECT merchant_id, payouts.livemode, uuidv7(), payouts.id, bank_receipts.id,"
        " now() - interval '6 days', 'came_back', 'AC04', 'account_closed', true"
        " FROM payouts, bank_receipts WHERE payouts.status = 'paid' LIMIT 1",
    ),
    Corruption(
        "L13",
        "a debit that was refused long after it was collected",
        " was refused 6 days ago, after it was paid, and no statement shows it back",
        "INSERT INTO bank_answers (merchant_id, livemode, id, debit_id, receipt_id, created_at,"
        " outcome, code, failure_code, unstated)"
        " SELECT merchant_id, debits.livemode, uuidv7(), debits.id, bank_receipts.id,"
        " now() - interval '6 days', 'came_back', 'AC04', 'account_closed', true"
        " FROM recovery_debits AS debits, bank_receipts WHERE debits.status = 'collected' LIMIT 1",
    ),
    Corruption(
        "L14",
        "a posting of ours that no item names",
        " is 1 postings of ours, of 0 items, settlements of acquirers or deposits",
        "UPDATE suspense_items SET ledger_transaction = uuidv7() WHERE amount = 5000",
    ),
    Corruption(
        "L14",
        "a change without an event",
        "is version 2 after 0",
        "DELETE FROM idempotency_keys WHERE event_id IN (SELECT id FROM events"
        " WHERE object_id = :a AND version = 1);"
        f" DELETE FROM events WHERE object_id = :a AND version = 1; {UNPUBLISHED}",
    ),
    Corruption(
        "L14",
        "a last change without an event",
        " is at version 3, its events at 2",
        "DELETE FROM events WHERE type = 'charge.refunded' AND version = 3"
        f" AND object_id IN (SELECT id FROM charges WHERE version = 3); {UNPUBLISHED}",
    ),
    Corruption(
        "L12",
        "a gap in a stream",
        " numbered events, the last of them number 1000001",
        "UPDATE event_numbers SET sequence = sequence + 1000000"
        " WHERE merchant_id = :ada AND sequence = 1;"
        " UPDATE event_numbers SET sequence = 1000001 WHERE sequence > 1000000",
    ),
    Corruption(
        "L12",
        "an event whose number was taken away",
        "has no number",
        "DELETE FROM event_numbers WHERE merchant_id = :ada AND sequence = ("
        "SELECT max(sequence) FROM event_numbers WHERE merchant_id = :ada AND NOT livemode)",
    ),
    Corruption(
        "L12",
        "two changes of an object in the wrong order",
        ", after its object's later number ",
        "UPDATE event_numbers SET event_id = uuidv7() WHERE event_id = ("
        "SELECT id FROM events WHERE object_id = :a AND version = 1);"
        " UPDATE event_numbers SET event_id = (SELECT id FROM events WHERE object_id = :a AND"
        " version = 1) WHERE event_id = (SELECT id FROM events WHERE object_id = :a AND version = 2"
        ");"
        " UPDATE event_numbers SET event_id = (SELECT id FROM events WHERE object_id = :a AND"
        " version = 2) WHERE event_id NOT IN (SELECT id FROM events)",
    ),
    Corruption(
        "L12",
        "a number of no event",
        "is no event's",
        "INSERT INTO event_numbers (merchant_id, livemode, sequence, event_id)"
        " SELECT merchant_id, livemode, max(sequence) + 1, uuidv7() FROM event_numbers"
        " WHERE merchant_id = :ada GROUP BY merchant_id, livemode",
    ),
    Corruption(
        "L12",
        "a number in another merchant's stream",
        "has a number of another stream",
        "UPDATE event_numbers SET merchant_id = :bob, sequence = (SELECT max(sequence) + 1 FROM"
        " event_numbers WHERE merchant_id = :bob) WHERE merchant_id = :ada AND sequence = ("
        "SELECT max(sequence) FROM event_numbers WHERE merchant_id = :ada)",
    ),
    Corruption(
        "L14",
        "events of an object that does not exist",
        "nothing with the id ",
        "INSERT INTO events (merchant_id, livemode, id, object_id, version, type, data, created_at)"
        " SELECT merchant_id, livemode, uuidv7(), uuidv7(), 1, type, data, created_at"
        " FROM events WHERE object_id = :a AND version = 1",
    ),
    Corruption(
        "L14",
        "an event of another type than the machine's",
        "says charge.captured of a change from pending to succeeded",
        "UPDATE events SET type = 'charge.captured' WHERE object_id = :a AND version = 2",
    ),
    Corruption(
        "L14",
        "an event that says what is not so",
        "is the last to speak of what is failed, and says succeeded",
        "UPDATE charges SET status = 'failed', failure_code = 'x' WHERE false;"
        ' UPDATE events SET data = (data::jsonb || \'{"status": "succeeded"}\')::json, type ='
        " 'charge.succeeded' WHERE type = 'charge.failed' AND version = 2",
    ),
    Corruption(
        "L14",
        "a bank account that nobody has verified",
        "is the last to speak of what is verified, and says verification_failed",
        "UPDATE bank_accounts SET status = 'verified', verification_attempts = 0,"
        " failure_code = NULL, last_attempt_at = NULL, verified_at = created_at,"
        " payable_from = created_at + interval '24 hours'"
        " WHERE status = 'verification_failed'",
    ),
    Corruption(
        "L14",
        "a bank account that nobody has added",
        "ba_",
        "INSERT INTO bank_accounts (merchant_id, livemode, id, created_at, country, currency,"
        " account_holder_name, iban, last4, fingerprint, micro_deposits, cools_off)"
        " VALUES (:ada, false, uuidv7(), now(), 'DE', 'EUR', 'Eve', 'DE89370400440532013000',"
        " '3000', repeat('e', 64), '{1,1}', false)",
    ),
    Corruption(
        "L14",
        "a transaction without an event",
        "has 0 events",
        "UPDATE events SET ledger_transaction = NULL WHERE object_id = :a AND version = 2",
    ),
    Corruption(
        "L14",
        "a transaction with two events",
        "has 2 events",
        "DROP INDEX events_ledger_transaction;"
        " UPDATE events SET ledger_transaction = (SELECT ledger_transaction FROM events"
        " WHERE object_id = :a AND version = 2) WHERE object_id = :a AND version = 1",
    ),
    Corruption(
        "L14",
        "an event of a transaction that does not exist",
        "announces a ledger transaction that does not exist",
        "UPDATE events SET ledger_transaction = uuidv7() WHERE object_id = :a AND version = 1",
    ),
    Corruption(
        "L14",
        "a posting of another kind than the machine's",
        "announces the posting of charge.captured, not of charge.released",
        "UPDATE transitions SET posting = 'charge.released' WHERE event = 'charge.canceled'"
        " AND from_status = 'authorized';"
        " UPDATE journal SET kind = 1 WHERE kind = 3",
    ),
)
