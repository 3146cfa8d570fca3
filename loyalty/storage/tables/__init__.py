"""Every table of a tenant's loyalty program.

The ledger (entries, allocations, adjustments, facts, versions, tier changes, keys) and the audit log only grow: the
application role has no UPDATE and no DELETE on them. Accounts and lots are cached sums of the ledger, provable from it
at any moment.
"""

from loyalty.storage.tables.administration import (
    api_tokens,
    audit_entries,
    credential_revocations,
    jobs,
    oidc_issuers,
    provider_logouts,
    staff_sessions,
)
from loyalty.storage.tables.budgets import budgets
from loyalty.storage.tables.checkouts import checkouts, hold_lots, holds, redemption_returns, redemptions
from loyalty.storage.tables.customers import (
    accounts,
    customer_archivings,
    customer_consents,
    customer_identifiers,
    customer_merges,
    customer_profile_changes,
    customer_tags,
    customer_words,
    customers,
    opening_balances,
    tier_changes,
)
from loyalty.storage.tables.gift_card_gifts import gift_card_gifts
from loyalty.storage.tables.gift_card_guesses import gift_card_guesses
from loyalty.storage.tables.gift_card_products import gift_card_product_versions, gift_card_products
from loyalty.storage.tables.gift_cards import gift_card_entries, gift_card_holds, gift_cards
from loyalty.storage.tables.ledger import (
    adjustments,
    allocations,
    entries,
    event_positions,
    events,
    expiry_notices,
    idempotency_keys,
    lots,
)
from loyalty.storage.tables.program import (
    catalog_history,
    catalog_items,
    earning_rule_versions,
    earning_rules,
    program_versions,
    programs,
    tiers,
)
from loyalty.storage.tables.purchases import accruals, former_valuations, purchase_facts, purchase_refunds, purchases
from loyalty.storage.tables.readers import active_days, active_spans, figures, log_readers
from loyalty.storage.tables.retention import retention
from loyalty.storage.tables.team import adjusted_days, members, roles
from loyalty.storage.tables.trusted_documents import trusted_documents

__all__ = [
    "accounts",
    "accruals",
    "active_days",
    "active_spans",
    "adjusted_days",
    "adjustments",
    "allocations",
    "api_tokens",
    "audit_entries",
    "budgets",
    "catalog_history",
    "catalog_items",
    "checkouts",
    "credential_revocations",
    "customer_archivings",
    "customer_consents",
    "customer_identifiers",
    "customer_merges",
    "customer_profile_changes",
    "customer_tags",
    "customer_words",
    "customers",
    "earning_rule_versions",
    "earning_rules",
    "entries",
    "event_positions",
    "events",
    "expiry_notices",
    "figures",
    "former_valuations",
    "gift_card_entries",
    "gift_card_gifts",
    "gift_card_guesses",
    "gift_card_holds",
    "gift_card_product_versions",
    "gift_card_products",
    "gift_cards",
    "hold_lots",
    "holds",
    "idempotency_keys",
    "jobs",
    "log_readers",
    "lots",
    "members",
    "oidc_issuers",
    "opening_balances",
    "program_versions",
    "programs",
    "provider_logouts",
    "purchase_facts",
    "purchase_refunds",
    "purchases",
    "redemption_returns",
    "redemptions",
    "retention",
    "roles",
    "staff_sessions",
    "tier_changes",
    "tiers",
    "trusted_documents",
]
