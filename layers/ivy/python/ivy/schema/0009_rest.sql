-- Work that rests until there is a reason to look at it again begins anew after it.
GRANT UPDATE (sends) ON outbox TO ivy_app;
