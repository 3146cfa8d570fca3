"""Questions about what the reader of the figures keeps: figures, active days and active spans.

They are compared with the entries that the reader has added up: those whose event lies at or before its position. A
question reads the position, the rows and the entries in one statement, so it is exact while the reader works.
"""

from collections.abc import Mapping, Sequence

from loyalty.ledger.proof.question import Broken, Source
from loyalty.rules.entry_kinds import ACTIVE, quote
from loyalty.rules.figures import FigurePeriod
from loyalty.storage.figures import READER

_READ_SO_FAR = f"""coalesce((SELECT max(position) FROM log_readers
    WHERE tenant_id = :current_tenant AND reader = '{READER}'), 0)"""  # noqa: S608 - made of constants
"""SQL for the position of the reader; 0 if it was never told of the log."""

_LAST_OF_LOG = "(SELECT max(last_position) FROM event_positions WHERE tenant_id = :current_tenant)"
"""SQL for the last position of the log. With this bound the planner expects few unread events, and uses the index."""

_DAY = """(e.occurred_at AT TIME ZONE
    (SELECT time_zone FROM tenants WHERE tenant_id = :current_tenant))::date"""
"""SQL for the local day of an entry."""


def _is_added_up(among: str = "true") -> str:
    """Return the SQL condition that the reader has added up an entry.

    Every entry has one event, as another question asks. The events that the reader has not read are few, so they are
    sought, and not those that it has read. ``among`` limits these events.
    """
    return f"""NOT EXISTS (
        SELECT FROM (
            SELECT entry_id FROM events
            WHERE tenant_id = :current_tenant AND {among}
              AND position > {_READ_SO_FAR} AND position <= {_LAST_OF_LOG}
            UNION ALL
            SELECT entry_id FROM events
            WHERE tenant_id = :current_tenant AND position IS NULL AND {among}
        ) unread
        WHERE unread.entry_id = e.id
    )"""  # noqa: S608 - made of constants


SOURCES: Sequence[Source] = (
    # A row for each customer who earned or redeemed, and for each who has an active day or an active span: the days
    # that the entries say, and the days that are kept.
    Source(
        f"""
        SELECT coalesce(d.customer_id, s.customer_id) AS customer_id, d.missing_on, d.strange_on,
               d.first_due, d.last_due, s.first_day, s.last_day
        FROM (
            SELECT coalesce(due.customer_id, kept.customer_id) AS customer_id,
                   min(due.day) AS first_due, max(due.day) AS last_due,
                   min(due.day) FILTER (WHERE kept.day IS NULL) AS missing_on,
                   min(kept.day) FILTER (WHERE due.day IS NULL) AS strange_on
            FROM (
                SELECT DISTINCT e.customer_id, {_DAY} AS day FROM entries e
                WHERE e.tenant_id = :current_tenant AND e.customer_id BETWEEN :first_customer AND :last_customer
                  AND e.kind IN ({quote(ACTIVE)})
                  AND {_is_added_up("customer_id BETWEEN :first_customer AND :last_customer")}
            ) due
            FULL JOIN (
                SELECT customer_id, day FROM active_days
                WHERE tenant_id = :current_tenant AND customer_id BETWEEN :first_customer AND :last_customer
            ) kept ON kept.customer_id = due.customer_id AND kept.day = due.day
            GROUP BY 1
        ) d
        FULL JOIN (
            SELECT customer_id, first_day, last_day FROM active_spans
            WHERE tenant_id = :current_tenant AND customer_id BETWEEN :first_customer AND :last_customer
        ) s ON s.customer_id = d.customer_id
        """,  # noqa: S608 - made of constants
        {
            "active days are those on which customers earned or redeemed, as far as the reader has read": Broken(
                "missing_on IS NOT NULL OR strange_on IS NOT NULL", "customer_id, missing_on, strange_on"
            ),
            "an active span is the first and the last day on which a customer earned or redeemed": Broken(
                "(first_day, last_day) IS DISTINCT FROM (first_due, last_due)",
                "customer_id, first_day, last_day, first_due, last_due",
            ),
        },
    ),
)

QUESTIONS: Mapping[str, str] = {
    # A figure of 0 points says the same as none.
    "figures are the sums of the entries, as far as the reader has read": f"""
        WITH days AS MATERIALIZED (
            SELECT {_DAY} AS day, e.kind, sum(e.points) AS points FROM entries e
            WHERE e.tenant_id = :current_tenant AND {_is_added_up()}
            GROUP BY 1, 2
        ), due AS (
            SELECT p.period, date_trunc(p.period, d.day::timestamp)::date AS starts_on, d.kind, sum(d.points) AS points
            FROM days d CROSS JOIN unnest(ARRAY[{quote(FigurePeriod)}]) AS p (period)
            GROUP BY 1, 2, 3
        )
        SELECT coalesce(f.period, due.period) AS period, coalesce(f.starts_on, due.starts_on) AS starts_on,
               coalesce(f.kind, due.kind) AS kind, f.points, due.points AS due
        FROM due
        FULL JOIN (SELECT period, starts_on, kind, points FROM figures WHERE tenant_id = :current_tenant) f
            ON f.period = due.period AND f.starts_on = due.starts_on AND f.kind = due.kind
        WHERE coalesce(f.points, 0) <> coalesce(due.points, 0)
    """,  # noqa: S608 - made of constants
}
"""Queries that are asked once, of the whole tenant. Each finds the rows that break its invariant."""
