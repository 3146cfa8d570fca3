"""Questions about purchases, their facts and their refunds."""

from collections.abc import Mapping, Sequence

from loyalty.ledger.proof.question import Broken, Source

SOURCES: Sequence[Source] = (
    # Every purchase with its facts and its refunds, once for each of its accruals.
    Source(
        """
        SELECT p.*, coalesce(r.amount_minor, 0) AS refunded, coalesce(r.refunds, 0) AS refunds,
               coalesce(r.last, 0) AS last_refund,
               a.id AS accrual_id, a.customer_id AS earner, a.generation AS accrual_generation, a.state
        FROM (
            SELECT p.id, p.customer_id, p.generation, p.version, p.status, p.refunded_minor,
                   count(f.version) AS facts, max(f.version) AS last_fact,
                   bool_or(f.version = p.version AND f.status = p.status) AS agrees
            FROM purchases p
            LEFT JOIN purchase_facts f ON f.tenant_id = p.tenant_id AND f.purchase_id = p.id
                 AND f.purchase_id BETWEEN :first_id AND :last_id
            WHERE p.tenant_id = :current_tenant AND p.id BETWEEN :first_id AND :last_id
            GROUP BY p.tenant_id, p.id
        ) p
        LEFT JOIN (SELECT purchase_id, sum(amount_minor) AS amount_minor, count(*) AS refunds, max(number) AS last
                   FROM purchase_refunds
                   WHERE tenant_id = :current_tenant AND purchase_id BETWEEN :first_id AND :last_id
                   GROUP BY purchase_id) r ON r.purchase_id = p.id
        LEFT JOIN (SELECT id, purchase_id, customer_id, generation, state FROM accruals
                   WHERE tenant_id = :current_tenant AND purchase_id BETWEEN :first_id AND :last_id) a
            ON a.purchase_id = p.id
        """,
        {
            "an accrual belongs to whom the purchase belongs": Broken(
                "accrual_generation = generation AND earner <> customer_id", "accrual_id, earner, customer_id"
            ),
            "a purchase earns again only when it has lost what it earned": Broken(
                "accrual_generation > generation"
                " OR (accrual_generation < generation AND state NOT IN ('VOIDED', 'REVERSED'))",
                "accrual_id, id, accrual_generation, state",
            ),
            "a purchase is what its last fact said, and no fact is missing": Broken(
                "facts <> version OR last_fact IS DISTINCT FROM version OR agrees IS NOT TRUE",
                "id, version, status, facts",
            ),
            "what was refunded of a purchase is the sum of its refunds": Broken(
                "refunded_minor <> refunded OR refunds <> last_refund", "id, refunded_minor, refunded, refunds"
            ),
        },
    ),
)

QUESTIONS: Mapping[str, str] = {
    # A purchase may be called off after a reassignment. It may then come back for another customer, in a later
    # generation.
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
}
"""Each query finds the rows that break its invariant."""
