"""Slices of a large ledger. The statement for each slice gets a plan of its own."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from tenancy.database import Transaction

FEW_ENTRIES = 1_000
"""The most entries of a ledger that needs no plans of its own: a new plan would cost more than the query."""
SLICE_ENTRIES = 100_000
"""The approximate number of entries in a slice.

A smaller ledger is not cut. A customer's entries are never cut in two.
"""
STATEMENT_TIMEOUT_MS = 600_000
"""The longest time for one pass of a large ledger. It replaces the timeout of ordinary statements."""
WORK_MEM = "128MB"
"""The memory for one sort or hash of a large ledger; each worker has one or two of them at a time."""


class Slice(NamedTuple):
    """The ids from `first` to `last`, both included."""

    first: UUID
    last: UUID


EVERYTHING = Slice(UUID(int=0), UUID(int=2**128 - 1))


class Slices(NamedTuple):
    """The slices of a tenant's rows: by ids of customers, and by ids that grow with time."""

    customer: Sequence[Slice] = (EVERYTHING,)
    id: Sequence[Slice] = (EVERYTHING,)


_COUNT = text("""
    SELECT count(*) FROM (SELECT FROM entries WHERE tenant_id = :current_tenant LIMIT :at_most) e
""")

_CUSTOMER_BOUNDS = text("""
    SELECT DISTINCT ON (slice) customer_id
    FROM (SELECT customer_id, div(sum(sequence::bigint) OVER (ORDER BY customer_id), :size) AS slice
          FROM accounts WHERE tenant_id = :current_tenant) a
    WHERE slice > 0 ORDER BY slice, customer_id
""")

_ID_BOUNDS = text("""
    WITH RECURSIVE bound AS (
        (SELECT id FROM entries WHERE tenant_id = :current_tenant ORDER BY id OFFSET :size LIMIT 1)
        UNION ALL
        SELECT (SELECT e.id FROM entries e
                WHERE e.tenant_id = :current_tenant AND e.id > b.id ORDER BY e.id OFFSET :size LIMIT 1)
        FROM bound b WHERE b.id IS NOT NULL
    )
    SELECT id FROM bound WHERE id IS NOT NULL ORDER BY id
""")

_HEADS_DIGEST = text("""
    SELECT encode(sha256(coalesce(string_agg(uuid_send(customer_id) || hash, '' ORDER BY customer_id), '')), 'hex')
    FROM (SELECT DISTINCT ON (customer_id) customer_id, hash FROM entries
          WHERE tenant_id = :current_tenant AND occurred_at <= :moment
          ORDER BY customer_id, sequence DESC) heads
""")

_PATIENCE = text(f"""
    SELECT set_config('statement_timeout', '{STATEMENT_TIMEOUT_MS}', true),
           set_config('idle_in_transaction_session_timeout', '{STATEMENT_TIMEOUT_MS}', true)
""")

# With nested loops, a slice that the planner believed to be empty took 98 s instead of 0.1 s. Without nested loops,
# rows are merged or hashed. A question that has to look up single rows says so with LATERAL and OFFSET 0.
_PLANNING = text(f"""
    SELECT set_config('work_mem', '{WORK_MEM}', true),
           set_config('plan_cache_mode', 'force_custom_plan', true),
           set_config('max_parallel_workers_per_gather', '0', true),
           set_config('random_page_cost', '1.1', true),
           set_config('enable_memoize', 'off', true),
           set_config('enable_nestloop', 'off', true),
           set_config('jit', 'off', true)
""")

# The rows of a small ledger lie scattered among the rows of other tenants, each on its own page. With this setting
# PostgreSQL reads pages in their order, and before they are needed. Two ledgers of 50,000 entries beside 9 million took
# 19 s from a cold disk, and 30 s without the setting.
_IN_ORDER_OF_PAGES = text("SELECT set_config('enable_indexscan', 'off', true)")


async def count_entries(tx: Transaction, *, at_most: int | None = None) -> int:
    """Return the number of the tenant's entries.

    With ``at_most`` it stops counting there, so that it never takes long.
    """
    (row,) = await tx.rows(_COUNT, at_most=at_most)
    return int(row[0])


async def read_slices(tx: Transaction) -> Slices:
    """Return the slices of a large ledger, each of about SLICE_ENTRIES entries: whole customers, and spans of time."""
    customers = await tx.rows(_CUSTOMER_BOUNDS, size=SLICE_ENTRIES)
    ids = await tx.rows(_ID_BOUNDS, size=SLICE_ENTRIES)
    return Slices(_cut_slices([row[0] for row in customers]), _cut_slices([row[0] for row in ids]))


async def read_heads_digest(tx: Transaction, moment: datetime) -> str:
    """Return a SHA-256, in hexadecimal, over each customer's id and the hash of their last entry until the moment."""
    (row,) = await tx.rows(_HEADS_DIGEST, moment=moment)
    return str(row[0])


async def prepare_for_many_rows(tx: Transaction, *, scattered: bool = False) -> None:
    """Give each statement of the transaction more memory, and a plan made for its own tenant and slice.

    ``scattered`` also makes PostgreSQL read pages in their order: for a small ledger among the rows of other tenants.
    """
    await tx.run(_PLANNING)
    if scattered:
        await tx.run(_IN_ORDER_OF_PAGES)


async def raise_timeouts(tx: Transaction) -> None:
    """Raise two timeouts of the transaction: that of a statement, and that of idle time while other passes run."""
    await tx.run(_PATIENCE)


def _cut_slices(bounds: Sequence[UUID]) -> Sequence[Slice]:
    """Return slices that together contain every id: a new slice begins at each bound."""
    marks = [EVERYTHING.first.int, *(bound.int for bound in bounds), EVERYTHING.last.int + 1]
    return tuple(Slice(UUID(int=first), UUID(int=beyond - 1)) for first, beyond in pairwise(marks))
