"""Laws of the objects: their amounts, their postings, and the events that announce them."""

from __future__ import annotations

from ivy.laws import OBJECTS, Law

L7 = Law(
    "L7",
    "No charge captured more than was authorised, gave back more than was captured, or returned"
    " more than its fee.",
    """
    WITH refunded AS (
        SELECT merchant_id, livemode, charge_id, sum(fee_returned) AS fee_returned,
               coalesce(sum(amount) FILTER (WHERE status = 'succeeded'), 0) AS done,
               coalesce(sum(amount) FILTER (WHERE status = 'pending'), 0) AS pending,
               min(currency) AS least, max(currency) AS most
        FROM refunds GROUP BY 1, 2, 3),
    disputed AS (
        SELECT merchant_id, livemode, charge_id, min(currency) AS least, max(currency) AS most,
               coalesce(sum(amount) FILTER (WHERE status <> 'won'), 0) AS taken,
               coalesce(sum(amount) FILTER (WHERE status = 'lost'), 0) AS lost
        FROM disputes GROUP BY 1, 2, 3),
    told AS (
        SELECT charges.*, coalesce(refunded.done, 0) AS done, coalesce(taken, 0) AS taken,
               coalesce(lost, 0) AS lost,
               coalesce(refunded.pending, 0) AS pending,
               coalesce(refunded.fee_returned, 0) AS returned,
               (refunded.least, refunded.most) <> (currency, currency)
               OR (disputed.least, disputed.most) <> (currency, currency) AS mixed
        FROM charges
        LEFT JOIN refunded ON (refunded.merchant_id, refunded.livemode, refunded.charge_id)
            = (charges.merchant_id, charges.livemode, charges.id)
        LEFT JOIN disputed ON (disputed.merchant_id, disputed.livemode, disputed.charge_id)
            = (charges.merchant_id, charges.livemode, charges.id))
    SELECT 'ch_' || replace(id::text, '-', '') || CASE
        WHEN NOT amount_captured BETWEEN 0 AND amount THEN
            concat(' captured ', amount_captured, ' of ', amount, ' authorised')
        WHEN done + lost > amount_captured THEN
            concat(' gave back ', done + lost, ' of ', amount_captured, ' captured')
        WHEN returned > coalesce(fee, 0) THEN
            concat(' returned ', returned, ' of a fee of ', coalesce(fee, 0))
        WHEN mixed THEN ' is not in the currency of its refunds and disputes'
        WHEN (amount_refunded, amount_refund_pending, amount_disputed, fee_returned)
            IS DISTINCT FROM (done, pending, taken, returned) THEN
            concat(' says ', amount_refunded, ' refunded, ', amount_refund_pending, ' to be, ',
                   amount_disputed, ' disputed, ', fee_returned,
                   ' of the fee returned; its refunds and disputes say ',
                   done, ', ', pending, ', ', taken, ', ', returned)
    END
    FROM told
    """,
)

L9 = Law(
    "L9",
    "Each object has one posting per transition, and each idempotency key one answer.",
    """
    SELECT CASE WHEN count(*) <> max(part) + 1 OR count(*) <> count(DISTINCT part) THEN
        concat(source_prefix, '_', replace(source::text, '-', ''), ' has ', count(*), ' rows of ',
               coalesce(name, 'an unknown kind'), ', numbered to ', max(part))
    END
    FROM journal LEFT JOIN posting_kinds ON code = kind
    GROUP BY source, kind, name, source_prefix
    UNION ALL
    SELECT CASE WHEN object_id <> source THEN
        concat('ltx_', replace(journal.id::text, '-', ''), ' is posted for ', source,
               ' and announced as a change of ', object_id)
    END
    FROM journal JOIN events ON ledger_transaction = journal.id
    UNION ALL
    SELECT CASE WHEN count(*) <> 1 OR count(answer) <> 1 THEN
        concat('an idempotency key of merchant ', merchant_id, ' has ', count(answer),
               ' answers; its scope is ', encode(scope, 'hex'))
    END
    FROM (
        SELECT keys.merchant_id, keys.livemode, scope,
               CASE WHEN event_id IS NULL OR events.id IS NOT NULL THEN status END AS answer
        FROM idempotency_keys AS keys
        LEFT JOIN events ON (events.merchant_id, events.livemode, events.id)
            = (keys.merchant_id, keys.livemode, event_id)) AS kept
    GROUP BY merchant_id, livemode, scope
    """,
)

L14 = Law(
    "L14",
    "Each transaction has one event and each change of state one, and both are what the state"
    " machine says. A transaction in nobody's books but ours has one suspense item, settlement of"
    " an acquirer or micro-deposit instead.",
    "WITH"
    + OBJECTS
    + """,
    told AS (
        SELECT id, merchant_id, livemode, object_id, version, type, ledger_transaction,
               data->>'status' || coalesce('(' || (data->>'pending_reason') || ')', '') AS state,
               ledger_transaction IS NULL AND type = 'settlement.closed'
                   AND data->'totals'->>'net' = '0' AS nothing_to_move
        FROM events -- of what has states
        WHERE split_part(type, '.', 1) NOT IN ('webhook_endpoint', 'merchant')),
    steps AS (
        SELECT told.*, coalesce(lag(state) OVER history, '') AS before,
               coalesce(lag(version) OVER history, 0) AS version_before,
               lead(version) OVER history IS NULL AS last
        FROM told
        WINDOW history AS (PARTITION BY merchant_id, livemode, object_id ORDER BY version)),
    postings AS (
        SELECT journal.id, name, owner FROM journal LEFT JOIN posting_kinds ON code = kind
        WHERE part = 0)
    SELECT 'evt_' || replace(steps.id::text, '-', '') || CASE
        WHEN steps.version <> version_before + 1 THEN
            concat(' is version ', steps.version, ' after ', version_before)
        WHEN transitions.object IS NULL THEN
            concat(' says ', type, ' of a change from ', coalesce(nullif(before, ''), 'nothing'),
                   ' to ', steps.state)
        WHEN last AND steps.state <> objects.state THEN
            concat(' is the last to speak of what is ', objects.state, ', and says ', steps.state)
        WHEN ledger_transaction IS NOT NULL AND postings.id IS NULL THEN
            ' announces a ledger transaction that does not exist'
        WHEN postings.name IS DISTINCT FROM posting AND NOT nothing_to_move THEN
            concat(' announces the posting of ', coalesce(postings.name, 'nothing'), ', not of ',
                   coalesce(posting, 'nothing'))
    END
    FROM steps
    LEFT JOIN objects ON (objects.merchant_id, objects.livemode, objects.id)
        = (steps.merchant_id, steps.livemode, object_id)
    LEFT JOIN transitions ON transitions.object = split_part(type, '.', 1)
        AND from_status = before AND to_status = steps.state AND event = type
    LEFT JOIN postings ON postings.id = ledger_transaction
    UNION ALL
    SELECT CASE WHEN objects.version IS DISTINCT FROM announced.version THEN
        concat(coalesce(prefix || '_', 'nothing with the id '),
               replace(coalesce(objects.id, object_id)::text, '-', ''), ' is at version ',
               coalesce(objects.version, 0), ', its events at ', coalesce(announced.version, 0))
    END
    FROM objects
    FULL JOIN (
        SELECT merchant_id, livemode, object_id, max(version) AS version
        FROM told GROUP BY 1, 2, 3) AS announced
        ON (objects.merchant_id, objects.livemode, objects.id)
            = (announced.merchant_id, announced.livemode, object_id)
    UNION ALL
    SELECT CASE WHEN count(events.id) <> 1 THEN
        concat('ltx_', replace(postings.id::text, '-', ''), ' has ', count(events.id), ' events')
    END
    FROM postings LEFT JOIN events ON ledger_transaction = postings.id
    WHERE owner > 0 GROUP BY postings.id
    UNION ALL
    SELECT CASE WHEN count(postings.id) <> 1 OR count(noted.id) <> 1 THEN
        concat('ltx_', replace(coalesce(postings.id, noted.id)::text, '-', ''), ' is ',
               count(postings.id), ' postings of ours, of ', count(noted.id),
               ' items, settlements of acquirers or deposits')
    END
    FROM (SELECT id FROM postings WHERE owner = 0) AS postings
    FULL JOIN (SELECT ledger_transaction AS id FROM suspense_items WHERE settlement_id IS NULL
               UNION ALL
               SELECT ledger_transaction FROM acquirer_settlements
               WHERE status = 'received' AND received_as <> 'resolved'
               UNION ALL
               SELECT resolution FROM suspense_items WHERE resolution IS NOT NULL
               UNION ALL
               SELECT moved FROM micro_deposits
               CROSS JOIN LATERAL (VALUES (ledger_transaction), (returned_as)) AS its (moved)
               WHERE moved IS NOT NULL AND current_merchant() IS NULL) AS noted
        USING (id)
    GROUP BY coalesce(postings.id, noted.id)
    """,
)

L12 = Law(
    "L12",
    "The events of each merchant and mode are numbered 1, 2, 3, … without gaps and in the order of"
    " each object's versions; each event that is old enough has its number.",
    """
    WITH counted AS (
        SELECT merchant_id, livemode, count(*) AS numbers, max(sequence) AS last
        FROM event_numbers GROUP BY merchant_id, livemode),
    placed AS (
        SELECT events.id, events.xid, sequence, lag(sequence) OVER (
            PARTITION BY events.merchant_id, events.livemode, object_id ORDER BY version) AS before,
            (event_numbers.merchant_id, event_numbers.livemode)
                <> (events.merchant_id, events.livemode) AS astray
        FROM events LEFT JOIN event_numbers ON event_id = events.id)
    SELECT CASE WHEN numbers <> last THEN
        concat('merchant ', merchant_id, CASE WHEN livemode THEN ', live' ELSE ', test' END,
               ' mode, has ', numbers, ' numbered events, the last of them number ', last)
    END
    FROM counted
    UNION ALL
    SELECT 'evt_' || replace(id::text, '-', '') || CASE
        WHEN sequence IS NULL AND xid < watermark THEN ' has no number'
        WHEN astray THEN ' has a number of another stream'
        WHEN sequence <= before THEN
            concat(' is number ', sequence, ', after its object''s later number ', before)
    END
    FROM placed CROSS JOIN event_watermark
    UNION ALL
    SELECT CASE WHEN events.id IS NULL THEN
        concat('number ', sequence, ' of merchant ', event_numbers.merchant_id, ' is no event''s')
    END
    FROM event_numbers LEFT JOIN events ON events.id = event_id
    """,
)
