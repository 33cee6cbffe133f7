-- What is pending is owed in the outbox, and nobody looks for it here; every charge kept this up.
DROP INDEX charges_pending;
