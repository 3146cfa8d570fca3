"""The invariants of the ledger, as questions to the database. A row in an answer breaks an invariant.

The questions know the tables, but none of the code that fills them. So a mistake in that code cannot hide here.

There is a file for each feature. To add an invariant, write a query into QUESTIONS of the feature: its answer must be
empty. If the table grows with the entries, write a source into SOURCES instead, or add a condition to a source that
reads the same rows already: then one pass over millions of rows answers several questions. The name of an invariant
says what must be true. Give tests/fixtures/test_invariants.py a tampering that breaks the invariant; a test demands
one.

A large ledger is asked in slices, so that no sort and no hash is larger than the memory. A source that joins by ids (of
entries, lots, causes ...) bounds both sides of every join with `BETWEEN :first_id AND :last_id`: ids are UUIDv7, so a
slice is a span of time and lies together on disk. Use FULL JOIN where a row may be missing on one side. Compare
`tenant_id` with `:current_tenant` in every table, not with the column of another table: PostgreSQL plans only constants
well behind row-level security. Nor does it use an index there for LIKE or a cast, since those are not leakproof: write
BETWEEN, and cast in a subquery of its own.
"""
