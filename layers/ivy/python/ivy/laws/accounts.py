"""Laws of the accounts: what each must equal, and that what is owed to others is there."""

from __future__ import annotations

from typing import LiteralString

from ivy.laws import LEGS, Law, banking

# What the objects say about each account, in its natural sign. A charge's money is pending until
# its day is settled, and available from then on; disputes and returned fees always meet what is
# available.
_OWED: LiteralString = (
    """
    days AS (
        SELECT charges.*, coalesce(available_on <= settled_on, false) AS settled
        FROM charges LEFT JOIN settled_through USING (merchant_id, livemode, currency)),
    charged AS (
        SELECT merchant_id, livemode, currency, connector, settled,
               sum(amount_captured) AS captured, sum(coalesce(fee, 0)) AS fee, sum(cost) AS cost,
               coalesce(sum(amount) FILTER (WHERE status = 'authorized'), 0) AS authorized
        FROM days GROUP BY 1, 2, 3, 4, 5),
    returned AS (
        SELECT merchant_id, livemode, currency, connector, settled, sum(amount_captured) AS amount,
               sum((terms->>'return_fee_cents')::bigint * CASE exponent WHEN 3 THEN 10 ELSE 1 END)
                   AS fee
        FROM days
        JOIN fee_plans ON fee_plans.code = fee_plan AND fee_plans.version = fee_plan_version
        JOIN currencies ON currencies.code = currency
        WHERE status = 'failed' AND amount_captured > 0 GROUP BY 1, 2, 3, 4, 5),
    refunded AS (
        SELECT merchant_id, livemode, refunds.currency, connector, settled,
               sum(refunds.fee_returned) AS fee_returned,
               coalesce(sum(refunds.amount) FILTER (WHERE pending_reason = 'processing'), 0)
                   AS processing,
               coalesce(sum(refunds.amount) FILTER (WHERE refunds.status = 'succeeded'), 0) AS done
        FROM refunds JOIN days USING (merchant_id, livemode)
        WHERE days.id = charge_id GROUP BY 1, 2, 3, 4, 5),
    disputed AS (
        SELECT merchant_id, livemode, currency, connector, sum(fee) AS fee,
               coalesce(sum(amount) FILTER (WHERE status NOT IN ('won', 'lost')), 0) AS open,
               coalesce(sum(amount) FILTER (WHERE status = 'lost'), 0) AS lost
        FROM disputes GROUP BY 1, 2, 3, 4),
    reserved AS (
        SELECT merchant_id, livemode, currency,
               coalesce(sum(amount) FILTER (WHERE status = 'held'), 0) AS held
        FROM reserves GROUP BY 1, 2, 3),
    paid_out AS (
        SELECT merchant_id, livemode, currency, sum(fee) AS fee,
               coalesce(sum(amount) FILTER (
                   WHERE status IN ('pending', 'in_transit')), 0) AS in_transit,
               coalesce(sum(amount) FILTER (WHERE status = 'paid'), 0) AS paid
        FROM payouts WHERE ledger_transaction IS NOT NULL GROUP BY 1, 2, 3),
    forgiven AS (
        SELECT merchant_id, livemode, currency, sum(written_off) AS amount
        FROM recoveries WHERE status = 'written_off' GROUP BY 1, 2, 3),
    debited AS (
        SELECT merchant_id, livemode, currency,
               coalesce(sum(amount) FILTER (WHERE status = 'in_transit'), 0) AS in_transit,
               coalesce(sum(amount) FILTER (WHERE status = 'collected'), 0) AS collected
        FROM recovery_debits GROUP BY 1, 2, 3),
    deposited AS ( -- ours: a merchant sees the promise, and not the posting
        SELECT livemode, currency,
               coalesce(sum(amount) FILTER (WHERE ledger_transaction IS NOT NULL), 0)
               - coalesce(sum(amount) FILTER (WHERE returned_as IS NOT NULL), 0) AS amount
        FROM micro_deposits WHERE current_merchant() IS NULL GROUP BY 1, 2),
    owed (merchant_id, livemode, currency, name, amount) AS (
        SELECT merchant_id, livemode, currency, line.name, line.amount FROM charged
        CROSS JOIN LATERAL (VALUES
            ('acquirer_receivable:' || connector, captured - cost),
            (CASE WHEN settled THEN 'available' ELSE 'pending' END, captured - fee),
            ('income:processing', fee),
            ('expense:processor', cost),
            ('auth', authorized),
            ('auth_contra', authorized)) AS line (name, amount)
        UNION ALL
        SELECT merchant_id, livemode, currency, line.name, line.amount FROM returned
        CROSS JOIN LATERAL (VALUES
            ('acquirer_receivable:' || connector, -amount),
            (CASE WHEN settled THEN 'available' ELSE 'pending' END, -amount - fee),
            ('income:processing', fee)) AS line (name, amount)
        UNION ALL
        SELECT merchant_id, livemode, currency, line.name, line.amount FROM refunded
        CROSS JOIN LATERAL (VALUES
            ('acquirer_receivable:' || connector, -done),
            (CASE WHEN settled THEN 'available' ELSE 'pending' END, -processing - done),
            ('refunds_payable', processing),
            ('income:processing', -fee_returned),
            ('available', fee_returned)) AS line (name, amount)
        UNION ALL
        SELECT merchant_id, livemode, currency, line.name, line.amount FROM disputed
        CROSS JOIN LATERAL (VALUES
            ('acquirer_receivable:' || connector, -open - lost),
            ('disputes_receivable:' || connector, open),
            ('available', -open - lost - fee),
            ('dispute_hold', open),
            ('income:dispute', fee)) AS line (name, amount)
        UNION ALL
        SELECT merchant_id, livemode, currency, line.name, line.amount FROM reserved
        CROSS JOIN LATERAL (VALUES
            ('available', -held),
            ('reserve', held)) AS line (name, amount)
        UNION ALL
        SELECT merchant_id, livemode, currency, line.name, line.amount FROM paid_out
        CROSS JOIN LATERAL (VALUES
            ('available', -in_transit - paid - fee),
            ('payouts_in_transit', in_transit),
            ('bank:client', -paid),
            ('income:payout', fee)) AS line (name, amount)
        UNION ALL
        SELECT merchant_id, livemode, currency, line.name, line.amount FROM forgiven
        CROSS JOIN LATERAL (VALUES
            ('available', amount),
            ('loss:writeoff', amount)) AS line (name, amount)
        UNION ALL
        SELECT merchant_id, livemode, currency, line.name, line.amount FROM debited
        CROSS JOIN LATERAL (VALUES
            ('available', in_transit + collected),
            ('debit_in_transit', in_transit),
            ('bank:client', collected)) AS line (name, amount)
        UNION ALL"""
    + banking.OWED
    + ")"
)

L5 = Law(
    "L5",
    "Each account is what the objects say it must be: charges and their days, refunds, disputes,"
    " reserves, payouts, recoveries and their debits, lines of statements, settlements of"
    " acquirers. bank:client is what banks state, but for what is on its way.",
    "WITH"
    + _OWED
    + ","
    + LEGS
    + ","
    + banking.STATED
    + """,
    expected AS (
        SELECT merchant_id, livemode::integer AS mode, number AS currency, chart.code AS account,
               sum(CASE side WHEN 'debit' THEN amount ELSE -amount END) AS amount
        FROM owed
        LEFT JOIN chart ON chart.name = owed.name
        LEFT JOIN currencies ON currencies.code = owed.currency
        GROUP BY 1, 2, 3, 4),
    posted AS (
        SELECT CASE WHEN account < 10000000 THEN owner ELSE account / 10000000 END AS merchant_id,
               mod(account / 1000, 10) AS mode, mod(account / 10000, 1000) AS currency,
               mod(account, 1000) AS account, sum(amount) AS amount
        FROM legs GROUP BY 1, 2, 3, 4)
    SELECT CASE WHEN coalesce(posted.amount, 0) <> coalesce(expected.amount, 0) THEN
        concat('merchant ', merchant_id, CASE mode WHEN 0 THEN ', test, ' ELSE ', live, ' END,
               currencies.code, ', ', coalesce(name, 'an account not in the chart'),
               ': entries sum to ', coalesce(posted.amount, 0),
               ', the objects to ', coalesce(expected.amount, 0))
    END
    FROM posted
    FULL JOIN expected USING (merchant_id, mode, currency, account)
    LEFT JOIN chart ON chart.code = account
    LEFT JOIN currencies ON currencies.number = currency
    UNION ALL
    """
    + banking.RECONCILED,
)

# Client money, what acquirers owe and what disputes withdrew are one pool. Two things of ours are
# mixed into it. Our fees stay in it and are owed to nobody, so it may hold more than is owed. An
# acquirer takes its costs out of it before we have brought them, so they are added. What is missing
# then is one merchant's money that went to another, whose debt is more than all our fees; debts are
# never money, written off, on their way by a debit or neither. In the books of one merchant its own
# debt is nobody else's loss, and is added too.
L11 = Law(
    "L11",
    "Client money, what acquirers owe and what disputes withdrew, with the costs that are ours to"
    " bring, cover all that is owed to merchants and payers.",
    "WITH"
    + LEGS
    + """,
    balances AS (
        SELECT account / 10000000 AS merchant_id, mod(account / 1000, 10) AS mode,
               mod(account / 10000, 1000) AS currency,
               split_part(name, ':', 1) AS part, name, sum(amount) AS amount
        FROM legs JOIN chart ON chart.code = mod(account, 1000)
        WHERE chart.code < 900 GROUP BY 1, 2, 3, 4, 5),
    held AS (
        SELECT mode, currency,
               coalesce(sum(amount) FILTER (
                   WHERE name = 'bank:client'
                   OR part IN ('acquirer_receivable', 'disputes_receivable')), 0) AS pool,
               coalesce(sum(amount) FILTER (WHERE name = 'expense:processor'), 0) AS costs,
               coalesce(sum(amount) FILTER (WHERE name = 'loss:writeoff'), 0) AS forgiven,
               coalesce(sum(amount) FILTER (WHERE name = 'debit_in_transit'), 0) AS in_transit,
               coalesce(-sum(amount) FILTER (WHERE name = 'refunds_payable'), 0) AS refunds
        FROM balances GROUP BY mode, currency),
    merchants_have AS (
        SELECT mode, currency, -sum(amount) AS amount
        FROM balances WHERE merchant_id > 0 GROUP BY merchant_id, mode, currency),
    merchants_hold AS (
        SELECT mode, currency, sum(greatest(amount, 0)) AS owed, sum(greatest(-amount, 0)) AS debts
        FROM merchants_have GROUP BY mode, currency)
    SELECT CASE WHEN pool + costs
                    + CASE WHEN current_merchant() IS NULL THEN 0
                           ELSE debts + forgiven + in_transit END
                    < owed + refunds THEN
        concat(code, CASE mode WHEN 0 THEN ', test mode: ' ELSE ', live mode: ' END,
               owed + refunds, ' are owed, ', pool, ' are held and ', costs,
               ' of costs are ours to bring')
    END
    FROM held JOIN merchants_hold USING (mode, currency)
    LEFT JOIN currencies ON number = currency
    """,
)
