"""The figures that a reader of the log keeps, and the sums of a range: figures first, then what they lack yet.

A statement sees the reader's position, the figures, and the entries after that position at one moment. So its sums are
those of all entries, however far the reader is. Where the reader is far behind, the statement adds up entries alone.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Date, Text, bindparam, func, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from loyalty.rules.entry_kinds import ACTIVE, quote
from loyalty.rules.figures import ActiveDay, Figure, Movement, find_spans, split_days
from loyalty.rules.ids import EntryId
from loyalty.rules.report import ReportRange
from loyalty.storage.reports import DaySum
from loyalty.storage.tables import active_days, active_spans, entries, figures
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import INSTANT, among, insert_rows, tenant_parameter

READER = "figures"
"""The name of the reader that keeps the figures."""

MAX_UNREAD_EVENTS = 10_000
"""If the reader has more events before it, a report adds up entries alone. It is a constant of the statements, so they
are planned for so many rows."""

MAX_DAYS_OF_MARKS = 31
"""The longest range whose active customers are found by its days. In a longer one the span of each customer is read."""

_fresh = insert_rows(figures, "figures")
_ADD = _fresh.on_conflict_do_update(
    index_elements=["tenant_id", "period", "starts_on", "kind"],
    set_={"points": figures.c.points + _fresh.excluded.points},
)
_MARK = insert_rows(active_days, "days").on_conflict_do_nothing()
_wider = insert_rows(active_spans, "spans")
_WIDEN = _wider.on_conflict_do_update(
    index_elements=["tenant_id", "customer_id"],
    set_={
        "first_day": func.least(active_spans.c.first_day, _wider.excluded.first_day),
        "last_day": func.greatest(active_spans.c.last_day, _wider.excluded.last_day),
    },
    where=or_(_wider.excluded.first_day < active_spans.c.first_day, _wider.excluded.last_day > active_spans.c.last_day),
)
_MOVEMENTS = select(*(entries.c[name] for name in Movement._fields)).where(
    entries.c.tenant_id == tenant_parameter(), among(entries.c.id, "ids")
)

# Each event is at or before the reader's position, after it, or without a position yet. The entries of the second and
# the third kind are looked up one by one: otherwise a plan could read all entries to find these few. If `read_so_far`
# has no row, no figure counts, and all entries of the range do.
_MOVED = f"""
    WITH read_so_far AS MATERIALIZED (
        SELECT r.position FROM log_readers r CROSS JOIN event_positions p
        WHERE r.tenant_id = :current_tenant AND p.tenant_id = :current_tenant AND r.reader = '{READER}'
          AND p.last_position - r.position <= {MAX_UNREAD_EVENTS}
          AND NOT EXISTS (
              SELECT FROM events WHERE tenant_id = :current_tenant AND position IS NULL
              ORDER BY recorded_at OFFSET {MAX_UNREAD_EVENTS} LIMIT 1
          )
    ), unread AS (
        (SELECT entry_id FROM events
         WHERE tenant_id = :current_tenant AND position > (SELECT position FROM read_so_far)
         ORDER BY position LIMIT {MAX_UNREAD_EVENTS})
        UNION ALL
        (SELECT entry_id FROM events
         WHERE tenant_id = :current_tenant AND position IS NULL AND EXISTS (SELECT FROM read_so_far)
         ORDER BY recorded_at LIMIT {MAX_UNREAD_EVENTS})
    ), moved AS (
        SELECT e.kind, e.points, e.customer_id, e.occurred_at
        FROM unread u CROSS JOIN LATERAL (
            SELECT kind, points, customer_id, occurred_at FROM entries
            WHERE tenant_id = :current_tenant AND id = u.entry_id LIMIT 1
        ) e
        WHERE e.occurred_at >= :start_at AND e.occurred_at < :end_at
        UNION ALL
        SELECT kind, points, customer_id, occurred_at FROM entries
        WHERE tenant_id = :current_tenant AND occurred_at >= :start_at AND occurred_at < :end_at
          AND NOT EXISTS (SELECT FROM read_so_far)
    )"""  # noqa: S608 - made of constants
_AT = (bindparam("start_at", type_=INSTANT), bindparam("end_at", type_=INSTANT))
_ON = (bindparam("first_day", type_=Date), bindparam("after", type_=Date))

_SUMS = text(
    f"""
    {_MOVED}
    SELECT kind, sum(points) AS points
    FROM (
        SELECT f.kind, f.points
        FROM unnest(:periods, :firsts, :afters) AS s (period, first, after) CROSS JOIN LATERAL (
            SELECT kind, points FROM figures
            WHERE tenant_id = :current_tenant AND period = s.period COLLATE "C"
              AND starts_on >= s.first AND starts_on < s.after
            OFFSET 0
        ) f
        WHERE EXISTS (SELECT FROM read_so_far)
        UNION ALL
        SELECT kind, points FROM moved
    ) parts
    GROUP BY kind
    """  # noqa: S608 - made of constants
).bindparams(
    *_AT,
    bindparam("periods", type_=ARRAY(Text)),
    bindparam("firsts", type_=ARRAY(Date)),
    bindparam("afters", type_=ARRAY(Date)),
)

_DAYS = text(
    f"""
    {_MOVED}
    SELECT place, kind, sum(points) AS points
    FROM (
        SELECT starts_on - :first_day AS place, kind, points FROM figures
        WHERE tenant_id = :current_tenant AND period = 'DAY' AND starts_on >= :first_day AND starts_on < :after
          AND EXISTS (SELECT FROM read_so_far)
        UNION ALL
        SELECT width_bucket(occurred_at, :begins) - 1, kind, points FROM moved
    ) parts
    GROUP BY place, kind
    ORDER BY place, kind
    """  # noqa: S608 - made of constants
).bindparams(*_AT, *_ON, bindparam("begins", type_=ARRAY(INSTANT)))

_MARKED = {
    True: """
        SELECT customer_id FROM active_days
        WHERE tenant_id = :current_tenant AND day >= :first_day AND day < :after
          AND EXISTS (SELECT FROM read_so_far)
        """,
    False: """
        SELECT s.customer_id FROM active_spans s
        WHERE s.tenant_id = :current_tenant AND s.first_day < :after AND s.last_day >= :first_day
          AND EXISTS (SELECT FROM read_so_far)
          AND (s.first_day >= :first_day OR s.last_day < :after OR EXISTS (
              SELECT FROM active_days d
              WHERE d.tenant_id = :current_tenant AND d.customer_id = s.customer_id
                AND d.day >= :first_day AND d.day < :after
              OFFSET 0
          ))
        """,
}
"""Customers who were active on a day of the range, for a short range and for a long one.

In a long range most customers have their first or their last active day. Only the others are looked up by their days.
"""

# A merged customer counts as the target; those few are read first.
_ACTIVE = {
    is_short: text(
        f"""
        {_MOVED}, become AS MATERIALIZED (
            SELECT id, merged_into FROM customers WHERE tenant_id = :current_tenant AND merged_into IS NOT NULL
        )
        SELECT count(*) AS customers
        FROM (
            SELECT DISTINCT coalesce(b.merged_into, a.customer_id)
            FROM (
                {marked}
                UNION ALL
                SELECT customer_id FROM moved WHERE kind IN ({quote(ACTIVE)})
            ) a (customer_id) LEFT JOIN become b ON b.id = a.customer_id
        ) found
        """  # noqa: S608 - made of constants
    ).bindparams(*_AT, *_ON)
    for is_short, marked in _MARKED.items()
}


async def read_movements(tx: Reads, ids: Sequence[EntryId]) -> list[Movement]:
    """Return the parts of entries that figures are made of."""
    return [Movement._make(row) for row in await tx.rows(_MOVEMENTS, ids=list(ids))]


async def add_figures(tx: Transaction, new: Sequence[Figure]) -> None:
    """Add to the stored figures."""
    await tx.run(_ADD, figures=[one._asdict() for one in new])


async def mark_active_days(tx: Transaction, new: Sequence[ActiveDay]) -> None:
    """Store active days, given in order, and widen the spans of their customers.

    Days that are stored already stay as they are.
    """
    await tx.run(_MARK, days=[one._asdict() for one in new])
    await tx.run(_WIDEN, spans=[one._asdict() for one in find_spans(new)])


async def sum_figures(tx: Reads, wanted: ReportRange) -> dict[str, int]:
    """Sum points by kind of entry. The sums are signed: points that left a balance are negative."""
    spans = split_days(wanted.first_day, wanted.after)
    split = {
        "periods": [one.period for one in spans],
        "firsts": [one.first for one in spans],
        "afters": [one.after for one in spans],
    }
    rows = await tx.rows(_SUMS, start_at=wanted.starts_at, end_at=wanted.ends_at, **split)
    # The sum of bigints is numeric, which holds any of them.
    return {row.kind: int(row.points) for row in rows}


async def sum_days(tx: Reads, wanted: ReportRange) -> list[DaySum]:
    """Sum points by local day and kind of entry, in the order of the days."""
    begins = wanted.list_begins()
    rows = await tx.rows(_DAYS, **_bind_range(wanted), begins=begins)
    return [DaySum(wanted.first_day + timedelta(days=row.place), row.kind, int(row.points)) for row in rows]


async def count_marked_customers(tx: Reads, wanted: ReportRange) -> int:
    """Count the customers who earned or redeemed (C-12)."""
    is_short = (wanted.after - wanted.first_day).days <= MAX_DAYS_OF_MARKS
    row = await tx.row(_ACTIVE[is_short], **_bind_range(wanted))
    return int(row.customers) if row else 0


def _bind_range(wanted: ReportRange) -> Mapping[str, object]:
    return {
        "start_at": wanted.starts_at,
        "end_at": wanted.ends_at,
        "first_day": wanted.first_day,
        "after": wanted.after,
    }
