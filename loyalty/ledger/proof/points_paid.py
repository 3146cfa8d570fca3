"""More questions of the proof: about purchases that points pay for, about settings, and about what could be missing.

They are asked once of the whole tenant. What earlier releases wrote without these
rules is left out: a purchase is asked about from the first hold on that was counted for it (`checkouts`).
"""

from collections.abc import Mapping

_LIVE_REDEMPTIONS = """
    SELECT c.purchase_kind, c.purchase_external_id, c.opened_at, r.id, r.redeemed_at, r.currency,
           coalesce(o.merged_into, o.id) AS owner_id,
           r.discount_minor - div(r.discount_minor::numeric * r.returned_points, r.points)::bigint AS discount_minor
    FROM checkouts c
    JOIN redemptions r ON r.tenant_id = :current_tenant AND r.purchase_kind = c.purchase_kind
         AND r.purchase_external_id = c.purchase_external_id AND r.returned_points < r.points
    JOIN customers o ON o.tenant_id = :current_tenant AND o.id = r.customer_id
    WHERE c.tenant_id = :current_tenant
"""

_ACTIVE_HOLDS = """
    SELECT c.purchase_kind, c.purchase_external_id, h.id, h.created_at, h.currency, h.customer_id AS owner_id,
           h.discount_minor
    FROM checkouts c
    JOIN holds h ON h.tenant_id = :current_tenant AND h.purchase_kind = c.purchase_kind
         AND h.purchase_external_id = c.purchase_external_id AND h.state = 'ACTIVE' AND h.created_at >= c.opened_at
    WHERE c.tenant_id = :current_tenant
"""

QUESTIONS: Mapping[str, str] = {
    "points take no more off a purchase than it costs": f"""
        SELECT p.id, p.total_minor, sum(x.discount_minor) AS discount_minor
        FROM (
            SELECT purchase_kind, purchase_external_id, currency, owner_id, discount_minor
            FROM ({_LIVE_REDEMPTIONS}) r
            UNION ALL SELECT purchase_kind, purchase_external_id, currency, owner_id, discount_minor
            FROM ({_ACTIVE_HOLDS}) h
        ) x
        JOIN purchases p ON p.tenant_id = :current_tenant AND p.kind = x.purchase_kind
             AND p.external_id = x.purchase_external_id AND p.currency = x.currency AND p.customer_id = x.owner_id
        GROUP BY p.id, p.total_minor HAVING sum(x.discount_minor) > p.total_minor
    """,  # noqa: S608 - made of constants
    "a purchase is paid with the points of one customer, its owner": f"""
        SELECT r.purchase_kind, r.purchase_external_id, array_agg(r.id) AS redemptions
        FROM ({_LIVE_REDEMPTIONS}) r
        LEFT JOIN purchases p ON p.tenant_id = :current_tenant AND p.kind = r.purchase_kind
             AND p.external_id = r.purchase_external_id
        WHERE r.redeemed_at >= r.opened_at
        GROUP BY r.purchase_kind, r.purchase_external_id
        HAVING count(DISTINCT coalesce(p.customer_id, r.owner_id)) > 1 OR count(DISTINCT r.owner_id) > 1
            OR bool_or(p.customer_id <> r.owner_id)
    """,  # noqa: S608 - as above
    "nothing is held for a purchase that is over": f"""
        SELECT h.id, p.id AS purchase_id, p.status
        FROM ({_ACTIVE_HOLDS}) h
        JOIN purchases p ON p.tenant_id = :current_tenant AND p.kind = h.purchase_kind
             AND p.external_id = h.purchase_external_id AND p.customer_id = h.owner_id
        WHERE p.status IN ('CANCELLED', 'NO_SHOW', 'REFUNDED')
    """,  # noqa: S608 - as above
    "a discount is what its points are worth at the value that was kept with them": """
        SELECT h.id, h.points, h.lowered_points, h.discount_minor, h.value_points, h.value_minor,
               r.points AS redeemed, r.discount_minor AS taken_off
        FROM holds h
        LEFT JOIN redemptions r ON r.tenant_id = :current_tenant AND r.hold_id = h.id
        WHERE h.tenant_id = :current_tenant AND (
            h.discount_minor <> div((h.points - h.lowered_points)::numeric * h.value_minor, h.value_points)
            OR r.discount_minor <> div(r.points::numeric * h.value_minor, h.value_points)
            OR (r.purchase_kind, r.purchase_external_id, r.currency)
               IS DISTINCT FROM (h.purchase_kind, h.purchase_external_id, h.currency) AND r.id IS NOT NULL)
    """,
    # A purchase that was called off since may have come back as somebody else's, in a later generation.
    "a purchase belongs to the customer that it was moved to last": """
        SELECT p.id, p.customer_id, m.target_id
        FROM (SELECT DISTINCT ON (purchase_id) purchase_id, (facts->'reassignment'->>'target_id')::uuid AS target_id,
                     (facts->'reassignment'->>'generation')::integer AS generation
              FROM purchase_facts WHERE tenant_id = :current_tenant AND facts ? 'reassignment'
              ORDER BY purchase_id, version DESC) m
        JOIN purchases p ON p.tenant_id = :current_tenant AND p.id = m.purchase_id AND p.generation = m.generation
        LEFT JOIN customers c ON c.tenant_id = :current_tenant AND c.id = m.target_id
        WHERE p.customer_id IS DISTINCT FROM coalesce(c.merged_into, c.id)
    """,
    # What a refund took of a former valuation, the newest one may share out otherwise.
    "a refund takes no more points than its accruals lost": """
        SELECT r.purchase_id, r.points, coalesce(a.lost, 0) AS lost
        FROM (SELECT purchase_id, -sum(points) AS points FROM purchase_refunds
              WHERE tenant_id = :current_tenant GROUP BY purchase_id) r
        LEFT JOIN (SELECT purchase_id, sum(voided_points + reversed_points) AS lost,
                          bool_or(valuation > 1) AS is_valued_anew
                   FROM accruals WHERE tenant_id = :current_tenant GROUP BY purchase_id) a USING (purchase_id)
        WHERE r.points > coalesce(a.lost, 0) AND a.is_valued_anew IS NOT TRUE
    """,
    # Where nothing but refunds took points of a purchase: it lives its first life, or refunds have ended it.
    "what an accrual lost to refunds is what they say that they took": """
        SELECT a.id, a.purchase_id, a.voided_points, a.reversed_points, r.points
        FROM accruals a
        JOIN purchases p ON p.tenant_id = :current_tenant AND p.id = a.purchase_id
        JOIN (SELECT purchase_id, -sum(points) AS points, min(recorded_at) AS first_at FROM purchase_refunds
              WHERE tenant_id = :current_tenant GROUP BY purchase_id) r ON r.purchase_id = a.purchase_id
        WHERE a.tenant_id = :current_tenant AND a.valuation = 1 AND p.generation = 1 AND r.first_at > a.evaluated_at
          AND (p.status IN ('CREATED', 'CONFIRMED', 'PAID', 'COMPLETED')
               OR (p.status = 'REFUNDED' AND p.total_minor > 0 AND p.refunded_minor = p.total_minor))
          AND a.voided_points + a.reversed_points <> r.points
    """,
    "points that were brought along expire when their import said": """
        SELECT l.id, l.opened_expires_at, o.expires_at
        FROM opening_balances o
        JOIN entries e ON e.tenant_id = :current_tenant AND e.cause_id = o.id AND e.kind = 'OPENING'
        JOIN lots l ON l.tenant_id = :current_tenant AND l.entry_id = e.id
        WHERE o.tenant_id = :current_tenant AND l.opened_expires_at IS DISTINCT FROM o.expires_at
    """,
    "events are numbered without a gap, and the log knows the last number": """
        SELECT p.last_position, e.events, e.first, e.last
        FROM (SELECT coalesce(max(last_position), 0) AS last_position FROM event_positions
              WHERE tenant_id = :current_tenant) p,
             (SELECT count(position) AS events, min(position) AS first, coalesce(max(position), 0) AS last FROM events
              WHERE tenant_id = :current_tenant) e
        WHERE (p.last_position, p.last_position) <> (e.events, e.last) OR e.first <> 1
    """,
    "settings and earning rules are their last versions, and no version is missing": """
        SELECT p.version, v.version AS last, 'program' AS what FROM programs p
        LEFT JOIN program_versions v ON v.tenant_id = :current_tenant AND v.version = p.version
        WHERE p.tenant_id = :current_tenant AND (v.settings IS DISTINCT FROM p.settings OR p.version <>
              (SELECT count(*) FROM program_versions WHERE tenant_id = :current_tenant))
        UNION ALL
        SELECT r.version, v.version AS last, r.id::text FROM earning_rules r
        LEFT JOIN earning_rule_versions v ON v.tenant_id = :current_tenant AND v.rule_id = r.id
             AND v.version = r.version
        WHERE r.tenant_id = :current_tenant AND ((r.name, r.priority, r.active, r.award,
              r.conditions, r.starts_at, r.ends_at, r.expiry) IS DISTINCT FROM (v.name, v.priority, v.active, v.award,
              v.conditions, v.starts_at, v.ends_at, v.expiry) OR r.version <>
              (SELECT count(*) FROM earning_rule_versions WHERE tenant_id = :current_tenant AND rule_id = r.id))
    """,
    "what is made under a key has its key": """
        SELECT m.id, m.operation FROM (
            SELECT id, 'pointsAdjust' AS operation FROM adjustments WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'redemptionHold' FROM holds WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'purchaseRefund' FROM purchase_refunds WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'customerMerge' FROM customer_merges WHERE tenant_id = :current_tenant
            -- A payment may capture a hold too.
            UNION ALL SELECT r.id, 'redemptionCapture' FROM redemptions r
            JOIN holds h ON h.tenant_id = :current_tenant AND h.id = r.hold_id
            WHERE r.tenant_id = :current_tenant AND h.capture_on = 'CALL'
            -- Reports and refunds give points back too, at the very moment that they are recorded.
            UNION ALL SELECT t.id, 'redemptionReturn' FROM redemption_returns t
            JOIN redemptions r ON r.tenant_id = :current_tenant AND r.id = t.redemption_id
            WHERE t.tenant_id = :current_tenant AND NOT EXISTS (
                SELECT FROM purchases p
                JOIN purchase_facts f ON f.tenant_id = :current_tenant AND f.purchase_id = p.id
                WHERE p.tenant_id = :current_tenant AND p.kind = r.purchase_kind
                  AND p.external_id = r.purchase_external_id AND f.recorded_at = t.returned_at)
            UNION ALL SELECT (facts->'reassignment'->>'id')::uuid, 'purchaseReassign' FROM purchase_facts
                      WHERE tenant_id = :current_tenant AND facts ? 'reassignment'
        ) m
        LEFT JOIN idempotency_keys k ON k.tenant_id = :current_tenant AND k.result_id = m.id
             AND k.operation = m.operation
        WHERE k.key IS NULL
    """,
}
"""Each finds rows that break it."""
