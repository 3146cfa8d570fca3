"""The whole API in three lists: every root field, by the name clients call it."""

import strawberry

from schema.errors import USER_ERROR_TYPES
from schema.executable import ExecutableSchema, build_schema
from schema.mutations import (
    allowed_origins_set,
    api_token_create,
    api_token_revoke,
    api_token_rotate,
    browser_session_end,
    catalog_items_upsert,
    customer_archive,
    customer_erase,
    customer_merge,
    customer_tier_set,
    customer_tier_unlock,
    customer_token_create,
    customer_unarchive,
    customer_upsert,
    customers_upsert,
    document_rule_set,
    earning_rule_create,
    earning_rule_delete,
    earning_rule_update,
    feature_set,
    gift_card_buy,
    gift_card_cancel,
    gift_card_capture,
    gift_card_claim,
    gift_card_extend,
    gift_card_give,
    gift_card_hold,
    gift_card_issue,
    gift_card_product_archive,
    gift_card_product_create,
    gift_card_product_update,
    gift_card_release,
    gift_card_return,
    member_add,
    member_remove,
    member_update,
    oauth_client_create,
    oauth_client_revoke,
    oauth_client_rotate_secret,
    oidc_issuer_remove,
    oidc_issuer_set,
    opening_balances_import,
    points_adjust,
    program_apply_preset,
    program_update,
    purchase_mature,
    purchase_reassign,
    purchase_record,
    purchase_refund,
    purchases_record,
    redemption_capture,
    redemption_hold,
    redemption_release,
    redemption_return,
    retention_set,
    role_create,
    role_delete,
    role_update,
    sandbox_clock_advance,
    signed_tokens_revoke,
    tier_create,
    tier_delete,
    tier_update,
    trusted_documents_register,
    trusted_documents_remove,
)
from schema.queries import audit as audit_queries
from schema.queries import checkout_quote as checkout_queries
from schema.queries import credential as credential_queries
from schema.queries import customer as customer_queries
from schema.queries import customer_export as export_queries
from schema.queries import event as event_queries
from schema.queries import gift_card as gift_card_queries
from schema.queries import gift_card_lookup as gift_card_lookups
from schema.queries import listing as listing_queries
from schema.queries import program as program_queries
from schema.queries import report as report_queries
from schema.queries import retention as retention_queries
from schema.queries import team as team_queries
from schema.queries import trusted_document as document_queries
from schema.queries import verification as verification_queries
from schema.queries import viewer as viewer_queries
from schema.subscriptions import event_logged, points_changed, points_expiring, tier_upgraded


@strawberry.type(description="Everything that can be read. The tenant is the credential's; no argument names it.")
class Query:
    viewer = viewer_queries.viewer
    me = viewer_queries.me
    node = viewer_queries.node
    nodes = viewer_queries.nodes
    program = program_queries.program
    customer_export = export_queries.customer_export
    retention = retention_queries.retention
    earning_rules = program_queries.earning_rules
    tiers = program_queries.tiers
    catalog_items = program_queries.catalog_items
    catalog_item = program_queries.catalog_item
    job = program_queries.job
    api_tokens = credential_queries.api_tokens
    oauth_clients = credential_queries.oauth_clients
    tokens = credential_queries.tokens
    audit_log = audit_queries.audit_log
    trusted_documents = document_queries.trusted_documents
    oidc_issuers = credential_queries.oidc_issuers
    members = team_queries.members
    roles = team_queries.roles
    browser_sessions = team_queries.browser_sessions
    customers = customer_queries.customers
    customers_by_external_id = customer_queries.customers_by_external_id
    purchases_by_key = customer_queries.purchases_by_key
    customer = customer_queries.customer
    purchase = customer_queries.purchase
    adjustment = customer_queries.adjustment
    purchases = listing_queries.purchases
    adjustments = listing_queries.adjustments
    holds = listing_queries.holds
    redemptions = listing_queries.redemptions
    gift_card_products = gift_card_queries.gift_card_products
    gift_card_product = gift_card_queries.gift_card_product
    checkout_quote = checkout_queries.checkout_quote
    gift_card = gift_card_lookups.gift_card
    gift_card_lookup = gift_card_lookups.gift_card_lookup
    gift_cards = gift_card_lookups.gift_cards
    report = report_queries.report
    gift_card_report = report_queries.gift_card_report
    event_cursor = event_queries.event_cursor
    events = event_queries.events
    ledger_verification = verification_queries.ledger_verification


@strawberry.type(description="Everything that can be changed. Refusals a caller can act on are in `userErrors`.")
class Mutation:
    program_update = program_update.program_update
    program_apply_preset = program_apply_preset.program_apply_preset
    earning_rule_create = earning_rule_create.earning_rule_create
    earning_rule_update = earning_rule_update.earning_rule_update
    earning_rule_delete = earning_rule_delete.earning_rule_delete
    tier_create = tier_create.tier_create
    tier_update = tier_update.tier_update
    tier_delete = tier_delete.tier_delete
    catalog_items_upsert = catalog_items_upsert.catalog_items_upsert
    purchase_record = purchase_record.purchase_record
    purchases_record = purchases_record.purchases_record
    purchase_refund = purchase_refund.purchase_refund
    purchase_reassign = purchase_reassign.purchase_reassign
    purchase_mature = purchase_mature.purchase_mature
    points_adjust = points_adjust.points_adjust
    redemption_hold = redemption_hold.redemption_hold
    redemption_capture = redemption_capture.redemption_capture
    redemption_release = redemption_release.redemption_release
    redemption_return = redemption_return.redemption_return
    gift_card_product_create = gift_card_product_create.gift_card_product_create
    gift_card_product_update = gift_card_product_update.gift_card_product_update
    gift_card_product_archive = gift_card_product_archive.gift_card_product_archive
    gift_card_buy = gift_card_buy.gift_card_buy
    gift_card_issue = gift_card_issue.gift_card_issue
    gift_card_hold = gift_card_hold.gift_card_hold
    gift_card_capture = gift_card_capture.gift_card_capture
    gift_card_release = gift_card_release.gift_card_release
    gift_card_return = gift_card_return.gift_card_return
    gift_card_extend = gift_card_extend.gift_card_extend
    gift_card_cancel = gift_card_cancel.gift_card_cancel
    gift_card_give = gift_card_give.gift_card_give
    gift_card_claim = gift_card_claim.gift_card_claim
    customer_merge = customer_merge.customer_merge
    customer_erase = customer_erase.customer_erase
    customer_upsert = customer_upsert.customer_upsert
    customers_upsert = customers_upsert.customers_upsert
    customer_archive = customer_archive.customer_archive
    customer_unarchive = customer_unarchive.customer_unarchive
    customer_tier_set = customer_tier_set.customer_tier_set
    customer_tier_unlock = customer_tier_unlock.customer_tier_unlock
    opening_balances_import = opening_balances_import.opening_balances_import
    feature_set = feature_set.feature_set
    allowed_origins_set = allowed_origins_set.allowed_origins_set
    trusted_documents_register = trusted_documents_register.trusted_documents_register
    trusted_documents_remove = trusted_documents_remove.trusted_documents_remove
    document_rule_set = document_rule_set.document_rule_set
    retention_set = retention_set.retention_set
    sandbox_clock_advance = sandbox_clock_advance.sandbox_clock_advance
    api_token_create = api_token_create.api_token_create
    api_token_revoke = api_token_revoke.api_token_revoke
    api_token_rotate = api_token_rotate.api_token_rotate
    oauth_client_create = oauth_client_create.oauth_client_create
    oauth_client_rotate_secret = oauth_client_rotate_secret.oauth_client_rotate_secret
    oauth_client_revoke = oauth_client_revoke.oauth_client_revoke
    oidc_issuer_set = oidc_issuer_set.oidc_issuer_set
    oidc_issuer_remove = oidc_issuer_remove.oidc_issuer_remove
    member_add = member_add.member_add
    member_update = member_update.member_update
    member_remove = member_remove.member_remove
    role_create = role_create.role_create
    role_update = role_update.role_update
    role_delete = role_delete.role_delete
    browser_session_end = browser_session_end.browser_session_end
    customer_token_create = customer_token_create.customer_token_create
    signed_tokens_revoke = signed_tokens_revoke.signed_tokens_revoke


@strawberry.type(description="What is streamed as it happens; `after` goes on from a cursor, without a gap.")
class Subscription:
    tier_upgraded = tier_upgraded.tier_upgraded
    points_changed = points_changed.points_changed
    event_logged = event_logged.event_logged
    points_expiring = points_expiring.points_expiring


def treue_schema(unavailable: tuple[type[Exception], ...] = (), *, planned: bool = True) -> ExecutableSchema:
    """Return the executable API.

    ``unavailable`` are exceptions that mean "not now"; ``planned`` lets operations run by plans.
    """
    return build_schema(Query, Mutation, Subscription, types=USER_ERROR_TYPES, unavailable=unavailable, planned=planned)
