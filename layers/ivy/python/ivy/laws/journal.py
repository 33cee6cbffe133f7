"""Laws of the journal by itself: balanced, added up, append-only, and apart."""

from __future__ import annotations

from ivy.laws import LEGS, OBJECTS, Law

L1 = Law(
    "L1",
    "Each transaction has at least two entries, none of zero, on accounts of the chart, and sums"
    " to zero in each currency.",
    "WITH"
    + LEGS
    + """,
    sums AS (
        SELECT legs.id, legs.kind, currencies.code AS currency, sum(amount) AS total,
               count(*) AS entries, bool_or(amount IS NULL OR amount = 0) AS zero,
               bool_or(chart.code IS NULL OR currencies.code IS NULL) AS unknown
        FROM legs
        LEFT JOIN chart ON chart.code = mod(account, 1000)
        LEFT JOIN currencies ON currencies.number = mod(account / 10000, 1000)
        GROUP BY legs.id, legs.kind, currencies.code),
    transactions AS (
        SELECT id, kind, sum(entries) AS entries, bool_or(zero) AS zero,
               bool_or(unknown) AS unknown,
               string_agg(total || coalesce(' ' || currency, ''), ', ') FILTER (WHERE total <> 0)
                   AS total
        FROM sums GROUP BY id, kind)
    SELECT 'ltx_' || replace(id::text, '-', '') || CASE
        WHEN posting_kinds.code IS NULL THEN concat(' is of no known kind: ', kind)
        WHEN unknown THEN ' has an entry on an account that the chart does not have'
        WHEN entries < 2 THEN ' has a single entry'
        WHEN zero THEN ' has an entry of nothing'
        WHEN total IS NOT NULL THEN concat(' sums to ', total)
    END
    FROM transactions LEFT JOIN posting_kinds ON posting_kinds.code = kind
    """,
)

L2 = Law(
    "L2",
    "All balances sum to zero in each currency and mode.",
    "WITH"
    + LEGS
    + """,
    balances AS (
        SELECT number AS account, balance AS amount FROM accounts
        UNION ALL
        SELECT account, amount FROM legs CROSS JOIN rollup
        WHERE xid >= watermark
           OR (account < 10000000 AND current_merchant() IS NOT NULL)) -- whose sum is not shown
    SELECT CASE WHEN sum(amount) <> 0 THEN
        concat('all balances in ', coalesce(code, 'an unknown currency'),
               CASE mod(account / 1000, 10) WHEN 0 THEN ', test mode,' ELSE ', live mode,' END,
               ' sum to ', sum(amount))
    END
    FROM balances LEFT JOIN currencies ON currencies.number = mod(account / 10000, 1000)
    GROUP BY code, mod(account / 1000, 10)
    """,
)

L3 = Law(
    "L3",
    "Each stored balance is the sum of the account's entries before the watermark, so that with"
    " those after it, it is the sum of all.",
    "WITH"
    + LEGS
    + """,
    summed AS (
        SELECT account, sum(amount) AS amount FROM legs CROSS JOIN rollup
        WHERE xid < watermark AND (account >= 10000000 OR current_merchant() IS NULL)
        GROUP BY account)
    SELECT CASE WHEN coalesce(balance, 0) <> coalesce(amount, 0) THEN
        concat('account ', coalesce(number, account), ' stores ', coalesce(balance, 0),
               ', its entries before the watermark sum to ', coalesce(amount, 0))
    END
    FROM accounts FULL JOIN summed ON number = account
    UNION ALL
    SELECT CASE WHEN watermark > pg_snapshot_xmin(pg_current_snapshot())::text::bigint THEN
        concat('the watermark ', watermark, ' is ahead of the oldest transaction still running')
    END
    FROM rollup
    """,
)

# tgtype is made of bits: 1 each row, 2 before, 4 insert, 8 delete, 16 update, 32 truncate.
L4 = Law(
    "L4",
    "Nobody may change or remove an entry: there is no grant, and a trigger refuses it.",
    """
    SELECT CASE WHEN has_table_privilege(pg_roles.oid, journal.oid, 'UPDATE, DELETE, TRUNCATE')
                  OR has_any_column_privilege(pg_roles.oid, journal.oid, 'UPDATE') THEN
        rolname || ' may change or remove entries'
    END
    FROM pg_roles CROSS JOIN pg_class AS journal
    WHERE journal.oid = 'ivy.journal'::regclass
      AND NOT rolsuper AND pg_roles.oid <> relowner AND NOT starts_with(rolname, 'pg_')
    UNION ALL
    SELECT CASE WHEN NOT EXISTS (
        SELECT FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
        WHERE tgrelid = 'ivy.journal'::regclass AND tgname = 'append_only'
          AND tgenabled IN ('O', 'A') AND tgtype & 59 = 58 AND tgqual IS NULL
          AND cardinality(tgattr) = 0 AND position('RAISE EXCEPTION' IN prosrc) > 0) THEN
        'no trigger refuses to change entries'
    END
    """,
)

L10 = Law(
    "L10",
    "No transaction joins two modes or two merchants, and each is in the books of its object's"
    " merchant and mode.",
    "WITH"
    + LEGS
    + ","
    + OBJECTS
    + """
    SELECT 'ltx_' || replace(legs.id::text, '-', '') || CASE
        WHEN mod(account / 1000, 10) <> livemode::integer THEN
            concat(' is in ', CASE WHEN livemode THEN 'live' ELSE 'test' END,
                   ' mode and has an entry on account ', account)
        WHEN owned_by = 'merchant' AND (account / 10000000 <> owner OR owner = 0)
            OR owned_by = 'platform' AND account / 10000000 <> 0 THEN
            concat(' is merchant ', owner, '''s and has an entry on account ', account)
    END
    FROM legs LEFT JOIN chart ON code = mod(account, 1000)
    UNION ALL
    SELECT CASE WHEN objects.id IS NULL THEN
        concat('ltx_', replace(journal.id::text, '-', ''), ' is merchant ', owner,
               '''s, who has no ', source_prefix, '_', replace(source::text, '-', ''),
               ' in that mode')
    END
    FROM journal
    JOIN posting_kinds ON code = kind
    LEFT JOIN (SELECT prefix, merchant_id, livemode, id FROM objects
               UNION ALL
               SELECT 'sus', 0, livemode, id FROM suspense_items
               UNION ALL
               SELECT 'acs', 0, livemode, id FROM acquirer_settlements
               UNION ALL
               SELECT 'md', 0, livemode, id FROM micro_deposits) AS objects
        ON (merchant_id, objects.livemode, objects.id, prefix)
        = (owner, journal.livemode, source, source_prefix)
    """,
)
