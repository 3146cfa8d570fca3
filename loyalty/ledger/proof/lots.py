"""Questions about lots: their allocations and their expiry."""

from collections.abc import Mapping, Sequence

from loyalty.ledger.proof.question import Broken, Source
from loyalty.rules.entry_kinds import ACTIVE, quote

SOURCES: Sequence[Source] = (
    # Every lot with its allocations.
    Source(
        f"""
        SELECT l.*, CASE WHEN l.last_taken_at >= l.expires_at THEN EXISTS (
                   -- It may be late, unless it was set aside in time.
                   SELECT FROM allocations x
                   WHERE x.tenant_id = :current_tenant AND x.lot_id = l.id AND x.points > 0
                     AND x.taken_at >= l.expires_at AND coalesce(
                         (SELECT created_at FROM holds
                          WHERE tenant_id = :current_tenant AND id = CASE WHEN x.settled_by <> x.entry_id
                              THEN x.settled_by ELSE
                              (SELECT hold_id FROM redemptions WHERE tenant_id = :current_tenant AND id =
                                  (SELECT cause_id FROM entries WHERE tenant_id = :current_tenant AND id = x.entry_id))
                              END),
                         x.taken_at) >= l.expires_at
               ) END AS is_late,
               e.cause_id, coalesce(e.points, 0) AS entered, e.is_about_it, e.first_expired_at,
               coalesce(n.notices, 0) AS notices,
               CASE WHEN l.expires_at <> l.opened_expires_at THEN NOT EXISTS (
                   -- The day of the activity that put it off, or of the return that gave it days of grace.
                   SELECT FROM entries x
                   WHERE x.tenant_id = :current_tenant AND x.kind IN ({quote(ACTIVE)}) AND x.customer_id IN (
                         SELECT l.customer_id
                         UNION ALL SELECT id FROM customers
                         WHERE tenant_id = :current_tenant AND merged_into = l.customer_id)
                     AND x.occurred_at BETWEEN l.expires_at - make_interval(days => l.inactivity_days + 3)
                                           AND l.expires_at - make_interval(days => l.inactivity_days - 1)
                     AND (x.occurred_at AT TIME ZONE l.time_zone)::date = l.last_day - l.inactivity_days
                   UNION ALL
                   SELECT FROM allocations x, program_versions v
                   WHERE x.tenant_id = :current_tenant AND x.lot_id = l.id AND x.points < 0
                     AND v.tenant_id = :current_tenant AND (x.taken_at AT TIME ZONE l.time_zone)::date = l.last_day
                         - coalesce((v.settings->'redemption'->>'restore_grace_days')::integer, 14)
               ) END AS is_put_off_by_nothing,
               CASE WHEN l.inactivity_days > 0 AND l.state = 'OPEN' AND l.came_back IS NOT TRUE THEN EXISTS (
                   SELECT FROM entries x
                   WHERE x.tenant_id = :current_tenant AND x.kind IN ({quote(ACTIVE)})
                     AND x.customer_id = l.customer_id AND x.occurred_at < l.expires_at
                     AND x.occurred_at > (SELECT occurred_at FROM entries
                                          WHERE tenant_id = :current_tenant AND id = l.entry_id)
                     AND (x.occurred_at AT TIME ZONE l.time_zone)::date > l.last_day - l.inactivity_days
               ) END AS is_not_put_off
        FROM (
            SELECT l.id, l.state, l.original, l.remaining, l.held, l.expired, l.expires_at, l.notice_at,
                   l.opened_expires_at, l.customer_id, l.entry_id, o.time_zone,
                   (l.expires_at AT TIME ZONE o.time_zone)::date - 1 AS last_day,
                   l.inactivity_days, coalesce(sum(t.points), 0) AS allocated,
                   bool_or(t.customer_id <> l.customer_id) AS is_anothers, bool_or(t.points < 0) AS came_back,
                   max(t.taken_at) FILTER (WHERE t.points > 0) AS last_taken_at
            FROM lots l
            JOIN tenants o ON o.tenant_id = :current_tenant
            LEFT JOIN allocations t ON t.tenant_id = l.tenant_id AND t.lot_id = l.id
                 AND t.lot_id BETWEEN :first_id AND :last_id
            WHERE l.tenant_id = :current_tenant AND l.id BETWEEN :first_id AND :last_id
            GROUP BY l.tenant_id, l.id, o.time_zone
        ) l
        LEFT JOIN (SELECT lot_id, count(*) AS notices FROM expiry_notices
                   WHERE tenant_id = :current_tenant AND lot_id BETWEEN :first_id AND :last_id
                   GROUP BY lot_id) n ON n.lot_id = l.id
        FULL JOIN (SELECT cause_id, -sum(points) AS points, min(occurred_at) AS first_expired_at,
                          bool_and(reference_kind = 'LOT' AND reference_id = cause_id) AS is_about_it
                   FROM entries
                   WHERE tenant_id = :current_tenant AND cause_id BETWEEN :first_id AND :last_id
                     AND phase BETWEEN 'EXPIRE-' AND 'EXPIRE-~'
                   GROUP BY cause_id) e ON e.cause_id = l.id
        """,  # noqa: S608 - made of constants
        {
            "a lot's points are allocated, remaining, held or expired": Broken(
                "original <> allocated + remaining + held + expired",
                "id, original, allocated, remaining, held, expired",
            ),
            "points are taken from a lot only for whom it belongs to": Broken("is_anothers", "id, original, allocated"),
            "nothing is taken from a lot once its time is over": Broken("is_late", "id, expires_at, last_taken_at"),
            "a lot is open exactly while something is left in it": Broken(
                "(state = 'OPEN') <> (remaining + held > 0)", "id, state, remaining, held"
            ),
            "what expired of a lot stands in the ledger": Broken("expired <> entered", "id, expired, entered"),
            # Points that came back after their expiry may have got days of grace.
            "points expire when their time is over, and not before": Broken(
                "first_expired_at IS NOT NULL"
                " AND (expires_at IS NULL OR (first_expired_at < expires_at AND came_back IS NOT TRUE))",
                "id, expires_at, first_expired_at",
            ),
            "only a lot that expires is told of, and lives on by activity": Broken(
                "expires_at IS NULL AND (notices > 0 OR notice_at IS NOT NULL OR inactivity_days IS NOT NULL)",
                "id, expires_at, notices, notice_at, inactivity_days",
            ),
            "a lot expires as it was opened to, unless activity or a return has put that off": Broken(
                "(expires_at IS NULL) <> (opened_expires_at IS NULL) OR expires_at < opened_expires_at"
                " OR is_put_off_by_nothing OR is_not_put_off",
                "id, opened_expires_at, expires_at, inactivity_days",
            ),
            "every entry has a cause": Broken("id IS NULL", "cause_id, entered"),
            "every entry leads to what it is about": Broken("NOT is_about_it", "id, cause_id"),
        },
    ),
)

QUESTIONS: Mapping[str, str] = {
    # The worker is normally a second late; if it is a day late, something is wrong. The time is that of the newest
    # entry.
    "nothing is left of points a day after their time": """
        SELECT l.id, l.customer_id, l.remaining, l.due_at FROM lots l
        WHERE l.tenant_id = :current_tenant AND l.due_at < (
            SELECT max(e.occurred_at) FROM entries e WHERE e.tenant_id = :current_tenant) - interval '1 day'
    """,
    "a notice is told once, of the lot and the date that it names": """
        SELECT n.lot_id, n.days_before, v.lot_id AS named, v.told
        FROM (SELECT n.lot_id, n.expires_at, n.days_before, n.told_at, l.customer_id
              FROM expiry_notices n JOIN lots l ON l.tenant_id = n.tenant_id AND l.id = n.lot_id
              WHERE n.tenant_id = :current_tenant) n
        FULL JOIN (SELECT customer_id, occurred_at, payload->>'lot_id' AS lot_id, count(*) AS told,
                          (payload->>'expires_at')::timestamptz AS expires_at,
                          (payload->>'days_before')::integer AS days_before
                   FROM events
                   WHERE tenant_id = :current_tenant AND entry_id IS NULL AND kind = 'points.expiring'
                   GROUP BY 1, 2, 3, 5, 6) v
            ON (v.lot_id, v.expires_at, v.days_before) = (n.lot_id::text, n.expires_at, n.days_before)
        WHERE n.lot_id IS NULL OR v.told IS DISTINCT FROM 1
           OR (v.customer_id, v.occurred_at) <> (n.customer_id, n.told_at)
    """,
}
"""Queries that are asked once, of the whole tenant. Each finds the rows that break its invariant."""
