"""Questions about purchases that are paid with points.

Earlier releases did not have these rules. So a purchase is checked only from its first hold that has a row in
`checkouts`.
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
    # A purchase that is over has nothing left to pay. Points may stay spent for it, even if a later report changes its
    # total.
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
        WHERE p.status NOT IN ('CANCELLED', 'NO_SHOW', 'REFUNDED')
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
}
"""Each query finds the rows that break its invariant."""
