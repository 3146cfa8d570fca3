"""The invariants of the ledger, asked of the database itself: nothing may be found that breaks one.

They know the tables but none of the code that fills them, so that a mistake there cannot hide here.

There is a file for each feature. To add an invariant, write a query in QUESTIONS of the feature whose answer must be
no row. When its table grows with the entries, write a source in SOURCES, or add a condition to one that reads the same
rows already: one pass over millions of rows then answers several questions. Name what should be so, and give
tests/fixtures/test_invariants.py a tampering that breaks it; a test demands that.

A large ledger is asked in slices, so that nothing has to be sorted or hashed that does not fit into memory. A source
that joins by ids (of entries, lots, causes ...) bounds both sides of every join with `BETWEEN :first_id AND :last_id`:
ids are UUIDv7, so a slice is a span of time and lies together on disk. What may be missing on one side is found with
FULL JOIN. Compare `tenant_id` with `:current_tenant` in every table, not with another table's: only constants are
planned well behind row-level security. There an index serves no LIKE and no cast either, since those are not leakproof:
write BETWEEN, and cast in a subquery of its own.
"""
