"""Questions about standings, tiers and tier changes."""

from collections.abc import Mapping

from loyalty.rules.entry_kinds import QUALIFYING, quote

_NO_JOB = """NOT EXISTS (SELECT FROM jobs j WHERE j.tenant_id = :current_tenant
                          AND j.state IN ('WAITING', 'RUNNING'))"""

_POLICY = """
    SELECT t.time_zone, coalesce(p.settings->'tiering'->>'basis', 'LIFETIME_EARNED') AS basis,
           p.settings->'tiering'->>'window' AS window_name, p.settings->'tiering'->>'downgrade' AS downgrade,
           (p.settings->'tiering'->>'grace_days')::integer AS grace_days,
           CASE p.settings->'tiering'->>'window' WHEN 'MONTH' THEN interval '1 month'
               WHEN 'QUARTER' THEN interval '3 months' ELSE interval '1 year' END AS length
    FROM programs p JOIN tenants t ON t.tenant_id = p.tenant_id WHERE p.tenant_id = :current_tenant
"""

_TIERING = "CASE p.basis WHEN 'EARNED_IN_WINDOW' THEN p.basis || ' ' || p.window_name ELSE p.basis END"


QUESTIONS: Mapping[str, str] = {
    # While a re-tiering job runs, customers may still be in the tiers that the former tiers or settings gave them.
    "a customer stands in the highest tier that the standing reaches, unless it was set by hand": f"""
        SELECT a.customer_id, a.standing, a.tier_id, due.id AS due
        FROM accounts a
        LEFT JOIN LATERAL (
            SELECT t.id FROM tiers t
            WHERE t.tenant_id = a.tenant_id AND t.deleted_at IS NULL AND t.min_points <= a.standing
            ORDER BY t.min_points DESC LIMIT 1) due ON true
        WHERE a.tenant_id = :current_tenant AND NOT a.closed AND NOT a.tier_locked AND a.tier_id IS DISTINCT FROM due.id
          AND {_NO_JOB}
    """,  # noqa: S608 - made of constants
    # A day after the review at the latest, a standing must equal the reached points. Before, it may only be higher.
    "a standing is what the program counts, or what it lets a customer keep": f"""
        SELECT customer_id, standing, standing_by, reached, reviewed FROM (
            SELECT a.customer_id, a.standing, a.standing_by, a.closed, a.sequence, {_TIERING} AS measure,
                   CASE p.basis
                       WHEN 'EARNED_IN_WINDOW' THEN greatest(
                           a.window_points, a.previous_window_points + least(0, a.window_points))
                       WHEN 'BALANCE' THEN a.available + a.held - a.debt
                       ELSE a.qualifying END AS reached,
                   p.basis = 'LIFETIME_EARNED' OR (
                       p.basis = 'EARNED_IN_WINDOW' AND p.downgrade = 'AT_WINDOW_END'
                       AND a.updated_at >= ((a.window_started_at AT TIME ZONE p.time_zone)::date + p.grace_days + 1)
                           ::timestamp AT TIME ZONE p.time_zone) AS reviewed
            FROM accounts a, ({_POLICY}) p
            WHERE a.tenant_id = :current_tenant AND {_NO_JOB}
        ) a
        WHERE CASE WHEN closed THEN standing <> 0
                   WHEN standing_by <> measure THEN sequence > 0 OR standing <> 0
                   WHEN reviewed THEN standing <> reached
                   ELSE standing < reached END
    """,  # noqa: S608 - made of constants
    # A reversal counts in the tier window in which its points were earned. Points of a merged customer count for the
    # target.
    "window points are what qualified since the window began, and in the one before": f"""
        WITH windows AS (
            SELECT a.customer_id, a.window_started_at, a.window_points, a.previous_window_points,
                   ((a.window_started_at AT TIME ZONE p.time_zone)::date - p.length)::timestamp
                       AT TIME ZONE p.time_zone AS before
            FROM accounts a, ({_POLICY}) p
            WHERE a.tenant_id = :current_tenant AND NOT a.closed AND a.window_started_at IS NOT NULL AND {_NO_JOB}
        ), qualified AS (
            SELECT e.customer_id, e.points, coalesce(o.occurred_at, e.occurred_at) AS at
            FROM entries e
            LEFT JOIN adjustments d ON d.tenant_id = :current_tenant AND d.id = e.cause_id AND e.kind = 'ADJUSTED'
            LEFT JOIN entries o ON o.tenant_id = :current_tenant AND o.cause_id = e.cause_id
                 AND o.phase = 'EARN' AND e.kind = 'EARN_REVERSED'
            WHERE e.tenant_id = :current_tenant AND e.occurred_at >= (SELECT min(before) FROM windows)
              AND e.kind IN ({quote(QUALIFYING)}) AND (e.kind <> 'ADJUSTED' OR d.qualifying)
            UNION ALL
            SELECT customer_id, qualifying, imported_at FROM opening_balances WHERE tenant_id = :current_tenant
        )
        SELECT w.customer_id, w.window_points, w.previous_window_points, due.points, due.previous
        FROM windows w
        LEFT JOIN (
            SELECT w.customer_id, sum(q.points) FILTER (WHERE q.at >= w.window_started_at) AS points,
                   sum(q.points) FILTER (WHERE q.at < w.window_started_at) AS previous
            FROM qualified q
            JOIN customers c ON c.tenant_id = :current_tenant AND c.id = q.customer_id
            JOIN windows w ON w.customer_id = coalesce(c.merged_into, c.id) AND q.at >= w.before
            GROUP BY w.customer_id) due USING (customer_id)
        WHERE (w.window_points, w.previous_window_points) <> (coalesce(due.points, 0), coalesce(due.previous, 0))
    """,  # noqa: S608 - made of constants
    "tier changes follow one another, and the last one leads to the account's tier": """
        SELECT * FROM (
            SELECT c.id, c.to_tier_id, a.tier_id, c.from_tier_id,
                   lag(c.to_tier_id) OVER earlier AS before,
                   row_number() OVER earlier > 1 AS follows,
                   lead(c.id) OVER earlier IS NULL AS is_last
            FROM tier_changes c JOIN accounts a ON a.tenant_id = c.tenant_id AND a.customer_id = c.customer_id
            WHERE c.tenant_id = :current_tenant AND a.sequence > 0
            WINDOW earlier AS (PARTITION BY c.customer_id ORDER BY c.id)
        ) c
        WHERE (follows AND from_tier_id IS DISTINCT FROM before) OR (is_last AND to_tier_id IS DISTINCT FROM tier_id)
    """,
    "every tier change is told once, and no other": """
        WITH changed AS (
            SELECT customer_id, from_tier_id::text AS previous, to_tier_id::text AS current, qualifying,
                   CASE WHEN upgraded AND to_tier_id IS NOT NULL THEN 'tier.upgraded' ELSE 'tier.downgraded' END AS kind
            FROM tier_changes
            -- Somebody may have set by hand what was so already.
            WHERE tenant_id = :current_tenant AND (cause <> 'MANUAL' OR from_tier_id IS DISTINCT FROM to_tier_id)
        ), told AS (
            SELECT customer_id, payload->>'previous_tier_id', payload->>'tier_id',
                   (payload->>'qualifying_points')::bigint, kind
            FROM events
            WHERE tenant_id = :current_tenant AND entry_id IS NULL AND kind IN ('tier.upgraded', 'tier.downgraded')
        )
        (TABLE changed EXCEPT ALL TABLE told) UNION ALL (TABLE told EXCEPT ALL TABLE changed)
    """,
    # The minima are those in force at the change. Changes from before they were kept are not compared.
    "an upgrade leads up, a downgrade down": """
        SELECT c.id, c.upgraded, c.from_min_points, c.to_min_points
        FROM tier_changes c
        WHERE c.tenant_id = :current_tenant AND c.cause <> 'PROGRAM_CHANGE'
          AND c.from_tier_id IS DISTINCT FROM c.to_tier_id
          AND (c.from_tier_id IS NULL) = (c.from_min_points IS NULL)
          AND (c.to_tier_id IS NULL) = (c.to_min_points IS NULL)
          AND c.upgraded <> (coalesce(c.to_min_points, -1) > coalesce(c.from_min_points, -1))
    """,
}
"""Queries that are asked once, of the whole tenant. Each finds the rows that break its invariant."""
