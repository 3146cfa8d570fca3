"""Questions about idempotency keys."""

from collections.abc import Mapping

_MADE_ONCE = " UNION ALL ".join(
    f"SELECT id, '{operation}' AS operation FROM {table} WHERE tenant_id = :current_tenant"  # noqa: S608 - as above
    for operation, table in {
        "pointsAdjust": "adjustments",
        "redemptionHold": "holds",
        "redemptionCapture": "redemptions",
        "redemptionReturn": "redemption_returns",
        "purchaseRefund": "purchase_refunds",
        "customerMerge": "customer_merges",
        "earningRuleCreate": "earning_rules",
        "giftCardProductCreate": "gift_card_products",
        "apiTokenCreate": "api_tokens",
        "oauthClientCreate": "api_tokens",
        "memberAdd": "members",
        "roleCreate": "roles",
        "giftCardHold": "gift_card_holds",
        "giftCardGive": "gift_card_gifts",
    }.items()
)
"""SQL for the rows that operations with a key create: a new row each time, with the id that the key keeps."""

_MADE_BEFORE = " ".join(
    f"WHEN '{operation}' THEN EXISTS (SELECT FROM {table} WHERE tenant_id = :current_tenant AND {id_} = k.result_id)"
    for operation, table, id_ in (
        ("redemptionRelease", "holds", "id"),
        ("apiTokenRotate", "api_tokens", "id"),
        ("oauthClientRotateSecret", "api_tokens", "id"),
        ("sandboxClockAdvance", "tenants", "tenant_id"),
        ("customerTierSet", "accounts", "customer_id"),
        ("customerErase", "customers", "id"),
        ("purchaseMature", "accruals", "id"),
        ("catalogItemsUpsert", "tenants", "tenant_id"),
        # A tier and the re-tiering job that its change starts have one id.
        ("tierCreate", "tiers", "id"),
        ("tierUpdate", "jobs", "id"),
        ("tierDelete", "jobs", "id"),
        *((operation, "gift_cards", "id") for operation in ("giftCardBuy", "giftCardIssue", "giftCardClaim")),
        *((operation, "gift_card_holds", "id") for operation in ("giftCardCapture", "giftCardRelease")),
        *(
            (operation, "gift_card_entries", "id")
            for operation in ("giftCardReturn", "giftCardCancel", "giftCardExtend")
        ),
    )
)
"""SQL for keys of the other operations.

They change a row that existed before, or write a table that several operations write.
"""

_REASSIGNED = """WHEN 'purchaseReassign' THEN k.result_id::text IN (
            SELECT facts->'reassignment'->>'id' FROM purchase_facts
            WHERE tenant_id = :current_tenant AND facts ? 'reassignment')"""
"""SQL for keys of reassignments: a reassignment is kept as a fact of its purchase."""


QUESTIONS: Mapping[str, str] = {
    "an idempotency key leads to what it made": f"""
        SELECT k.key, k.operation
        FROM (SELECT key, operation, result_id FROM idempotency_keys WHERE tenant_id = :current_tenant) k
        LEFT JOIN ({_MADE_ONCE}) m ON m.id = k.result_id AND m.operation = k.operation
        WHERE k.operation <> 'customerTokenCreate' -- signed, and kept nowhere
          AND NOT CASE WHEN m.operation = k.operation THEN true
                  ELSE CASE k.operation {_MADE_BEFORE} {_REASSIGNED} ELSE false END END
    """,  # noqa: S608 - made of constants
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
"""Queries that are asked once, of the whole tenant. Each finds the rows that break its invariant."""
