"""The log of events."""

from collections.abc import Mapping

QUESTIONS: Mapping[str, str] = {
    "events are numbered without a gap, and the log knows the last number": """
        SELECT p.last_position, e.events, e.first, e.last
        FROM (SELECT coalesce(max(last_position), 0) AS last_position FROM event_positions
              WHERE tenant_id = :current_tenant) p,
             (SELECT count(position) AS events, min(position) AS first, coalesce(max(position), 0) AS last FROM events
              WHERE tenant_id = :current_tenant) e
        WHERE (p.last_position, p.last_position) <> (e.events, e.last) OR e.first <> 1
    """,
}
"""Each finds rows that break it."""
