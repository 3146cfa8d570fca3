"""Questions about refunds, and about the points that accruals lost to them."""

from collections.abc import Mapping

QUESTIONS: Mapping[str, str] = {
    # After a new valuation, the points that refunds took may be shared out over accruals in another way.
    "a refund takes no more points than its accruals lost": """
        SELECT r.purchase_id, r.points, coalesce(a.lost, 0) AS lost
        FROM (SELECT purchase_id, -sum(points) AS points FROM purchase_refunds
              WHERE tenant_id = :current_tenant GROUP BY purchase_id) r
        LEFT JOIN (SELECT purchase_id, sum(voided_points + reversed_points) AS lost,
                          bool_or(valuation > 1) AS is_valued_anew
                   FROM accruals WHERE tenant_id = :current_tenant GROUP BY purchase_id) a USING (purchase_id)
        WHERE r.points > coalesce(a.lost, 0) AND a.is_valued_anew IS NOT TRUE
    """,
    # Only purchases that lost points to refunds alone: they are in their first generation, and still alive or fully
    # refunded.
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
}
"""Each query finds the rows that break its invariant."""
