"""Questions about customers: merges, opening balances, archiving, identifiers, tags and erasure."""

from collections.abc import Mapping

QUESTIONS: Mapping[str, str] = {
    "a merged customer has nothing left": """
        SELECT a.customer_id, c.merged_into, a.available, a.pending, a.held, a.debt, a.qualifying
        FROM customers c
        JOIN accounts a ON a.tenant_id = c.tenant_id AND a.customer_id = c.id
        LEFT JOIN customers t ON t.tenant_id = c.tenant_id AND t.id = c.merged_into
        WHERE c.tenant_id = :current_tenant AND (a.closed OR c.merged_into IS NOT NULL)
          AND (NOT a.closed OR c.merged_into IS NULL OR t.merged_into IS NOT NULL OR a.tier_id IS NOT NULL
               OR (a.available, a.pending, a.held, a.debt, a.lifetime_earned, a.qualifying) <> (0, 0, 0, 0, 0, 0)
               OR EXISTS (SELECT FROM lots l WHERE l.tenant_id = c.tenant_id AND l.customer_id = c.id
                          AND l.state = 'OPEN')
               OR EXISTS (SELECT FROM purchases p WHERE p.tenant_id = c.tenant_id AND p.customer_id = c.id)
               OR NOT EXISTS (SELECT FROM customer_merges m WHERE m.tenant_id = c.tenant_id AND m.source_id = c.id))
    """,
    "lots that a merge moved keep their age, their expiry and what they came from": """
        WITH left_behind AS (
            SELECT m.id, t.points, l.opened_at, l.cause_id, l.expires_at
            FROM customer_merges m
            JOIN entries e ON e.tenant_id = m.tenant_id AND e.cause_id = m.id AND e.customer_id = m.source_id
            JOIN allocations t ON t.tenant_id = e.tenant_id AND t.entry_id = e.id
            JOIN lots l ON l.tenant_id = t.tenant_id AND l.id = t.lot_id
            WHERE m.tenant_id = :current_tenant AND m.points > 0
        ), taken_over AS (
            SELECT m.id, l.original, l.opened_at, l.cause_id, l.opened_expires_at
            FROM customer_merges m
            JOIN entries e ON e.tenant_id = m.tenant_id AND e.cause_id = m.id AND e.customer_id = m.target_id
            JOIN lots l ON l.tenant_id = e.tenant_id AND l.entry_id = e.id
            WHERE m.tenant_id = :current_tenant AND m.points > 0
        )
        (TABLE left_behind EXCEPT ALL TABLE taken_over) UNION ALL (TABLE taken_over EXCEPT ALL TABLE left_behind)
    """,
    "what a merge or an opening balance moved stands in the ledger": """
        SELECT m.id, m.points, m.customer_id, count(e.id) AS entries
        FROM (
            SELECT id, -points AS points, source_id AS customer_id, 'MERGED' AS kind, 'CUSTOMER_MERGE' AS reference
            FROM customer_merges WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, points, target_id, 'MERGED', 'CUSTOMER_MERGE' FROM customer_merges
            WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, points, customer_id, 'OPENING', 'OPENING_BALANCE' FROM opening_balances
            WHERE tenant_id = :current_tenant
        ) m
        LEFT JOIN entries e ON e.tenant_id = :current_tenant AND e.cause_id = m.id AND e.kind = m.kind
             AND e.points = m.points AND e.customer_id = m.customer_id
             AND e.reference_kind = m.reference AND e.reference_id = m.id
        GROUP BY m.id, m.points, m.customer_id HAVING count(e.id) <> (m.points <> 0)::int
    """,
    "a customer is archived exactly while the newest row of the archive history says so": """
        SELECT a.customer_id, a.archived_at, h.archived, h.changed_at
        FROM accounts a
        LEFT JOIN (
            SELECT DISTINCT ON (customer_id) customer_id, archived, changed_at FROM customer_archivings
            WHERE tenant_id = :current_tenant ORDER BY customer_id, id DESC
        ) h USING (customer_id)
        WHERE a.tenant_id = :current_tenant AND NOT a.closed
          AND a.archived_at IS DISTINCT FROM CASE WHEN h.archived THEN h.changed_at END
    """,
    # Only ASCII texts are compared: PostgreSQL folds the case of other letters in another way than the rules.
    "customers are found by the identifiers that they have, and by no others": r"""
        WITH told AS (
            SELECT c.id, one->>'type' AS type, one->>'value' AS value
            FROM customers c
            CROSS JOIN LATERAL jsonb_array_elements(
                CASE WHEN jsonb_typeof(c.identifiers) = 'array' THEN c.identifiers ELSE '[]' END) one
            WHERE c.tenant_id = :current_tenant
        )
        SELECT coalesce(t.id, k.customer_id) AS customer_id, coalesce(t.type, k.type) AS type, t.told, k.kept
        FROM (SELECT id, type, count(*) AS told FROM told GROUP BY id, type) t
        FULL JOIN (SELECT customer_id, type, count(*) AS kept FROM customer_identifiers
                   WHERE tenant_id = :current_tenant GROUP BY customer_id, type) k
             ON k.customer_id = t.id AND k.type = t.type
        WHERE t.told IS DISTINCT FROM k.kept
        UNION ALL
        SELECT t.id, t.type, 1, NULL FROM told t
        LEFT JOIN customer_identifiers k ON k.tenant_id = :current_tenant AND k.customer_id = t.id AND k.type = t.type
             AND k.value = lower(regexp_replace(t.value, '[[:space:]-]', '', 'g'))
        WHERE t.value ~ '^[ -~]*$' AND k.customer_id IS NULL
    """,
    "customers are found by the tags that they have, and by no others": r"""
        WITH told AS (
            SELECT c.id, one AS tag
            FROM customers c
            CROSS JOIN LATERAL jsonb_array_elements_text(
                CASE WHEN jsonb_typeof(c.tags) = 'array' THEN c.tags ELSE '[]' END) one
            WHERE c.tenant_id = :current_tenant
        )
        SELECT coalesce(t.id, k.customer_id) AS customer_id, t.told, k.kept, NULL AS tag
        FROM (SELECT id, count(*) AS told FROM told GROUP BY id) t
        FULL JOIN (SELECT customer_id, count(*) AS kept FROM customer_tags
                   WHERE tenant_id = :current_tenant GROUP BY customer_id) k ON k.customer_id = t.id
        WHERE t.told IS DISTINCT FROM k.kept
        UNION ALL
        SELECT t.id, 1, NULL, t.tag FROM told t
        LEFT JOIN customer_tags k ON k.tenant_id = :current_tenant AND k.customer_id = t.id AND k.tag = lower(t.tag)
        WHERE t.tag ~ '^[ -~]*$' AND k.customer_id IS NULL
    """,
    "every archiving is told once, and no other": """
        WITH changed AS (
            SELECT customer_id, id::text AS archiving, cause,
                   CASE WHEN archived THEN 'customer.archived' ELSE 'customer.unarchived' END AS kind
            FROM customer_archivings WHERE tenant_id = :current_tenant
        ), told AS (
            SELECT customer_id, payload->>'archiving_id', payload->>'cause', kind FROM events
            WHERE tenant_id = :current_tenant AND kind IN ('customer.archived', 'customer.unarchived')
        )
        (TABLE changed EXCEPT ALL TABLE told) UNION ALL (TABLE told EXCEPT ALL TABLE changed)
    """,
    "an erased customer has no name, and is told of once": """
        SELECT c.id, c.external_id, c.erased_at, e.events
        FROM customers c
        LEFT JOIN (SELECT customer_id, count(*) AS events FROM events
                   WHERE tenant_id = :current_tenant AND kind = 'customer.erased' GROUP BY customer_id) e
             ON e.customer_id = c.id
        WHERE c.tenant_id = :current_tenant
          AND ((c.merged_into IS NULL AND (c.erased_at IS NULL) <> (e.events IS NULL)) OR e.events > 1
               OR (c.erased_at IS NOT NULL
                   AND (c.external_id <> 'erased:' || c.id OR c.full_name <> '' OR c.facts_at <> '{}'
                        OR num_nonnulls(c.email, c.phone, c.avatar_url, c.locale, c.category, c.marketing_consent,
                                        c.consent_source, c.birthday, c.identifiers, c.tags) > 0)))
    """,
}
"""Queries that are asked once, of the whole tenant. Each finds the rows that break its invariant."""
