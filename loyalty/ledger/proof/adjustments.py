"""Questions about adjustments."""

from collections.abc import Sequence

from loyalty.ledger.proof.question import Broken, Source

SOURCES: Sequence[Source] = (
    # Every adjustment with its entry.
    Source(
        """
        SELECT d.id, d.points, e.cause_id, e.entries, e.points AS entered, e.is_about_it,
               e.entries = 1 AND e.points = d.points AND e.customer_id = d.customer_id AS agrees
        FROM (SELECT * FROM adjustments WHERE tenant_id = :current_tenant AND id BETWEEN :first_id AND :last_id) d
        FULL JOIN (SELECT cause_id, customer_id, count(*) AS entries, sum(points) AS points,
                          bool_and(reference_kind = 'ADJUSTMENT' AND reference_id = cause_id) AS is_about_it
                   FROM entries
                   WHERE tenant_id = :current_tenant AND cause_id BETWEEN :first_id AND :last_id AND phase = 'ADJUST'
                   GROUP BY cause_id, customer_id) e ON e.cause_id = d.id
        """,
        {
            "an adjustment has one entry, for the same customer and the same points": Broken(
                "id IS NOT NULL AND agrees IS NOT TRUE", "id, points, entries, entered"
            ),
            "every entry has a cause": Broken("id IS NULL", "cause_id, entered"),
            "every entry leads to what it is about": Broken("NOT is_about_it", "id, cause_id"),
        },
    ),
)
