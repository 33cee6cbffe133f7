-- A payer's bank may take back all of a charge that is refunded in part, or whose refund is on its
-- way: what an acquirer has done is written, whatever it comes to. That no refund is accepted beyond
-- what is left is for whoever accepts it; that the payer got more than was paid, law L7 says.
ALTER TABLE charges
    DROP CONSTRAINT refunded_within_captured,
    ADD CONSTRAINT refunded_within_captured CHECK (
        amount_refund_pending >= 0
        AND amount_refunded BETWEEN 0 AND amount_captured
        AND amount_disputed BETWEEN 0 AND amount_captured);
