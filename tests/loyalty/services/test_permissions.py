"""Who may do what, use case by use case: the table is the policy, and a use case that is not in it fails."""

import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

import loyalty.services
from loyalty.rules.counted_lines import SoldAs
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.errors import FeatureDisabled, LoyaltyError, PermissionDenied
from loyalty.rules.features import Feature
from loyalty.rules.gift_card_gift import Gift
from loyalty.rules.ids import (
    AccrualId,
    CustomerId,
    CustomerMergeId,
    GiftCardEntryId,
    GiftCardHoldId,
    GiftCardId,
    GiftCardProductId,
    HoldId,
    JobId,
    LotId,
    OpeningBalanceId,
    PurchaseId,
    RedemptionId,
    RuleId,
    TierId,
    TokenId,
)
from loyalty.rules.presets import Preset
from loyalty.rules.purchase import PurchaseKind
from loyalty.rules.refund import Refund
from loyalty.rules.report import day_range
from loyalty.rules.trusted_document import DocumentRule
from loyalty.services.adjustment import adjust_points, load_adjustments
from loyalty.services.allowed_origins import set_allowed_origins
from loyalty.services.api_token import (
    ApiTokenRequest,
    count_api_tokens,
    create_api_token,
    create_api_token_once,
    end_api_token,
    list_api_tokens,
    load_api_tokens,
    page_api_tokens,
)
from loyalty.services.audit import count_audit_entries, list_audit_entries, load_audit_entries
from loyalty.services.browser_session import (
    SessionFilter,
    count_browser_sessions,
    end_browser_session,
    load_browser_sessions,
    page_browser_sessions,
)
from loyalty.services.catalog import (
    CatalogEdit,
    count_catalog_items,
    list_catalog_items,
    load_catalog_items,
    load_line_names,
    upsert_catalog_items,
    upsert_catalog_items_once,
)
from loyalty.services.checkout import quote_checkout
from loyalty.services.customer import (
    CustomerKey,
    choose_customer_to_sign_in,
    count_activity,
    count_customers,
    find_customer,
    get_customer,
    get_me,
    list_activity,
    list_customers,
    load_customers,
    load_customers_by_external_id,
    load_entries,
)
from loyalty.services.customer_archive import archive_customer, load_archivings, unarchive_customer
from loyalty.services.customer_erase import EraseRequest, erase_customer
from loyalty.services.customer_export import export_customer
from loyalty.services.customer_merge import MergeRequest, load_merges, merge_customers
from loyalty.services.customer_token import CustomerTokenRequest, grant_customer_token
from loyalty.services.daily_figures import get_daily_figures
from loyalty.services.earning_rule import (
    count_earning_rules,
    create_earning_rule,
    create_earning_rule_once,
    delete_earning_rule,
    list_earning_rules,
    load_catalog_names,
    load_earning_rules,
    load_rule_versions,
    update_earning_rule,
)
from loyalty.services.event_log import find_followed_customer, find_newest_position, poll_events
from loyalty.services.expiry import load_expiry_schedules, load_lots
from loyalty.services.feature import set_feature
from loyalty.services.gift_card import load_gift_cards, look_up_gift_card
from loyalty.services.gift_card_buy import BuyRequest, buy_gift_card
from loyalty.services.gift_card_cancel import CancelRequest, cancel_gift_card
from loyalty.services.gift_card_expiry import ExtendRequest, extend_gift_card
from loyalty.services.gift_card_gift import (
    GiveRequest,
    claim_gift_card,
    give_gift_card,
    load_gifts,
    load_gifts_of_cards,
    load_gifts_of_givers,
)
from loyalty.services.gift_card_hold import (
    capture_gift_card,
    hold_gift_card,
    release_gift_card,
    return_to_gift_card,
)
from loyalty.services.gift_card_issue import issue_gift_card
from loyalty.services.gift_card_listing import (
    count_gift_cards,
    list_gift_cards,
    load_active_holds_of,
    load_card_entries,
    load_card_entries_of,
    load_card_holds,
)
from loyalty.services.gift_card_product import (
    archive_product,
    change_product,
    count_products_of_list,
    create_product,
    list_products,
    load_products,
    load_products_of_cards,
)
from loyalty.services.gift_card_report import get_gift_card_report
from loyalty.services.gift_card_sheet import read_card_sheet
from loyalty.services.hold import HoldRequest
from loyalty.services.job import load_jobs
from loyalty.services.listing import (
    count_listed,
    list_adjustments,
    list_holds,
    list_lots,
    list_purchases,
    list_redemptions,
    load_holds_for,
    load_purchase_entries,
    load_purchase_histories,
    load_purchases_by_key,
    load_redemptions_for,
)
from loyalty.services.member import (
    MemberChange,
    MemberRequest,
    add_member,
    count_listed_members,
    end_membership,
    load_members,
    page_members,
    update_member,
)
from loyalty.services.nothing_earned import get_accrual_policy, list_paused_rules
from loyalty.services.oauth_client import (
    OAuthClientRequest,
    count_oauth_clients,
    create_oauth_client,
    end_oauth_client,
    load_oauth_clients,
    page_oauth_clients,
)
from loyalty.services.oidc_issuer import (
    OidcIssuerRequest,
    count_oidc_issuers,
    load_oidc_issuers,
    page_oidc_issuers,
    remove_oidc_issuer,
    set_oidc_issuer,
)
from loyalty.services.opening_balance import import_opening_balances, load_opening_balances
from loyalty.services.preset import PresetRequest, apply_program_preset
from loyalty.services.profile import load_consents, upsert_customers
from loyalty.services.profile_history import count_profile_changes, list_profile_changes
from loyalty.services.program import ProgramEdit, check_program, get_program, get_tenant, update_program
from loyalty.services.purchase import (
    find_purchase,
    load_accruals,
    load_accruals_by_id,
    load_former_valuations,
    load_purchases,
    load_refunds,
    record_purchase,
    record_purchases,
)
from loyalty.services.purchase_change import PurchaseName
from loyalty.services.purchase_reassign import ReassignRequest, reassign_purchase
from loyalty.services.redemption import (
    capture_hold,
    hold_points,
    load_holds,
    load_redemptions,
    load_redemptions_of_holds,
    release_hold,
    return_redemption,
)
from loyalty.services.refund import RefundRequest, mature_purchase, refund_purchase
from loyalty.services.report import get_report, load_active_customers, load_report_sums
from loyalty.services.retention import RetentionChange, get_outlook, get_retention, set_retention
from loyalty.services.revocation import revoke_tokens_made_by, revoke_tokens_of_customer, revoke_tokens_of_subject
from loyalty.services.role import (
    RoleChange,
    RoleRequest,
    create_role,
    list_roles,
    load_roles,
    remove_role,
    update_role,
)
from loyalty.services.sandbox import advance_sandbox_clock
from loyalty.services.secret_change import SecretChange, change_client_secret, change_token_secret
from loyalty.services.tier import change_tier, create_tier, list_tiers, load_tier_counts, load_tiers, remove_tier
from loyalty.services.tier_lock import TierLockRequest, load_tier_histories, lock_tier, unlock_tier
from loyalty.services.trusted_document import (
    count_documents,
    page_documents,
    register_documents,
    remove_documents,
    set_document_rule,
)
from loyalty.services.verification import get_verification
from loyalty.services.world import World
from loyalty.storage.api_token_lists import TokenFilter
from loyalty.storage.audit import AuditFilter
from loyalty.storage.catalog import CatalogPlace
from loyalty.storage.customer_lists import CustomerFilter
from loyalty.storage.customers import CustomerOrder, PointsFilter
from loyalty.storage.entries import EntryFilter
from loyalty.storage.events import EventFilter
from loyalty.storage.gift_card_codes import new_code
from loyalty.storage.gift_card_lists import GiftCardFilter
from loyalty.storage.gift_card_products import GiftCardProductFilter
from loyalty.storage.lists import AdjustmentFilter, HoldFilter, LotFilter, PurchaseFilter, RedemptionFilter
from loyalty.storage.members import MemberFilter
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.profile_changes import ProfileChangeFilter
from loyalty.storage.window import Window
from permissions.actor import Actor
from permissions.policy import READS
from permissions.roles import Role
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.tenants import Salon, staff_actor
from tests.loyalty.services.builders import (
    NOBODY,
    NOON,
    adjustment,
    checkout,
    customer_actor,
    known_customer,
    order,
    product,
    rule,
)
from tests.loyalty.services.gift_cards import card_hold_request, issue_request
from tests.loyalty.services.test_api_token import RECORDING, new_hash

PAGE: Window[Any] = Window(1)
ANNA = CustomerKey(external_id="anna")
REFUND = RefundRequest(PurchaseName(PurchaseId(NOBODY)), Refund((), 5), "EUR", None, None, "key")
ORDER = PurchaseKey(PurchaseKind.ORDER, "order-1")
EVERYBODY = CustomerFilter(PointsFilter.ANY, None, None)
DAY = NOON.date()

Use = Callable[[World, Actor], Awaitable[object]]

O, A, M, S, R, C, I = tuple(Role)  # noqa: E741
TEAM = {O, A, M, S, R, I}
EVERYONE = set(Role)

MATRIX: dict[str, tuple[set[Role], Use]] = {
    # reading
    "get_tenant": (EVERYONE, get_tenant),
    "get_program": (EVERYONE, get_program),
    "list_products": (EVERYONE, lambda w, a: list_products(w, a, GiftCardProductFilter(), PAGE)),
    "count_products_of_list": (
        EVERYONE,
        lambda w, a: count_products_of_list(w, a, GiftCardProductFilter()),
    ),
    "load_products": (EVERYONE, lambda w, a: load_products(w, a, [GiftCardProductId(NOBODY)])),
    "load_products_of_cards": (
        EVERYONE,
        lambda w, a: load_products_of_cards(w, a, [GiftCardProductId(NOBODY)]),
    ),
    "list_tiers": (EVERYONE, list_tiers),
    "load_tiers": (EVERYONE, lambda w, a: load_tiers(w, a, [TierId(NOBODY)])),
    "load_tier_histories": (EVERYONE, lambda w, a: load_tier_histories(w, a, [CustomerId(NOBODY)])),
    "load_tier_counts": (TEAM, lambda w, a: load_tier_counts(w, a, [TierId(NOBODY)])),
    "get_me": (EVERYONE, get_me),
    "find_customer": (EVERYONE, lambda w, a: find_customer(w, a, CustomerKey(external_id="anna"))),
    "get_customer": (EVERYONE, lambda w, a: get_customer(w, a, CustomerKey(external_id="anna"))),
    "load_customers": (EVERYONE, lambda w, a: load_customers(w, a, [CustomerId(NOBODY)])),
    "list_customers": (TEAM, lambda w, a: list_customers(w, a, EVERYBODY, CustomerOrder.NAME, PAGE)),
    "list_activity": ({O, A, M, S, R}, lambda w, a: list_activity(w, a, EntryFilter(), PAGE)),
    "list_activity of a customer": (
        EVERYONE,
        lambda w, a: list_activity(w, a, EntryFilter(CustomerId(NOBODY)), PAGE),
    ),
    "load_entries": (EVERYONE, lambda w, a: load_entries(w, a, [])),
    "load_adjustments": (EVERYONE, lambda w, a: load_adjustments(w, a, [])),
    "find_purchase": (
        EVERYONE,
        lambda w, a: find_purchase(w, a, purchase_id=PurchaseId(NOBODY), key=None),
    ),
    "load_purchases": (EVERYONE, lambda w, a: load_purchases(w, a, [PurchaseId(NOBODY)])),
    "load_archivings": (EVERYONE, lambda w, a: load_archivings(w, a, [CustomerId(NOBODY)])),
    "load_consents": (EVERYONE, lambda w, a: load_consents(w, a, [CustomerId(NOBODY)])),
    "load_former_valuations": (EVERYONE, lambda w, a: load_former_valuations(w, a, [AccrualId(NOBODY)])),
    "load_accruals": (EVERYONE, lambda w, a: load_accruals(w, a, [PurchaseId(NOBODY)])),
    "load_accruals_by_id": (EVERYONE, lambda w, a: load_accruals_by_id(w, a, [AccrualId(NOBODY)])),
    "get_gift_card_report": ({O, A, M, S, R}, lambda w, a: get_gift_card_report(w, a, DAY, DAY)),
    "get_daily_figures": ({O, A, M, S, R}, lambda w, a: get_daily_figures(w, a, day_range(DAY, DAY, "UTC"))),
    "get_report": ({O, A, M, S, R}, lambda w, a: get_report(w, a, DAY, DAY)),
    "load_active_customers": ({O, A, M, S, R}, lambda w, a: load_active_customers(w, a, [])),
    "load_report_sums": ({O, A, M, S, R}, lambda w, a: load_report_sums(w, a, [])),
    "get_verification": ({O, A, M, S, R}, get_verification),
    # BK-11: the names of rules are internal, so customers do not read rules.
    "list_earning_rules": (TEAM, lambda w, a: list_earning_rules(w, a, active=None, window=PAGE)),
    "load_line_names": (EVERYONE, lambda w, a: load_line_names(w, a, [SoldAs(PurchaseKind.ORDER, "cut", None)])),
    "load_catalog_items": (TEAM, lambda w, a: load_catalog_items(w, a, [CatalogPlace("SERVICE", "cut")])),
    "load_rule_versions": (TEAM, lambda w, a: load_rule_versions(w, a, [RuleId(NOBODY)])),
    "list_paused_rules": (EVERYONE, list_paused_rules),
    "get_accrual_policy": (EVERYONE, get_accrual_policy),
    "load_earning_rules": (TEAM, lambda w, a: load_earning_rules(w, a, [RuleId(NOBODY)])),
    "load_catalog_names": (TEAM, load_catalog_names),
    "list_catalog_items": (TEAM, lambda w, a: list_catalog_items(w, a, kind=None, window=PAGE)),
    "load_jobs": (TEAM, lambda w, a: load_jobs(w, a, [JobId(NOBODY)])),
    # writing
    "update_program": ({O, A, M}, lambda w, a: update_program(w, a, ProgramEdit(lambda it: it, None))),
    "check_program": (EVERYONE, check_program),
    "apply_program_preset": ({O, A, M}, lambda w, a: apply_program_preset(w, a, PresetRequest(Preset.SHOP))),
    "create_earning_rule": ({O, A, M}, lambda w, a: create_earning_rule(w, a, rule(10))),
    "create_earning_rule_once": ({O, A, M}, lambda w, a: create_earning_rule_once(w, a, rule(10), "key")),
    "update_earning_rule": ({O, A, M}, lambda w, a: update_earning_rule(w, a, RuleId(NOBODY), lambda it: it, None)),
    "delete_earning_rule": ({O, A, M}, lambda w, a: delete_earning_rule(w, a, RuleId(NOBODY))),
    "create_product": ({O, A, M}, lambda w, a: create_product(w, a, product())),
    "change_product": ({O, A, M}, lambda w, a: change_product(w, a, GiftCardProductId(NOBODY), lambda it: it)),
    "archive_product": ({O, A, M}, lambda w, a: archive_product(w, a, GiftCardProductId(NOBODY))),
    "create_tier": ({O, A, M}, lambda w, a: create_tier(w, a, "Silver", "#C0C0C0", 100)),
    "change_tier": ({O, A, M}, lambda w, a: change_tier(w, a, TierId(NOBODY), lambda it: it)),
    "remove_tier": ({O, A, M}, lambda w, a: remove_tier(w, a, TierId(NOBODY))),
    "lock_tier": ({O, A, M}, lambda w, a: lock_tier(w, a, TierLockRequest(ANNA, None, None, None, "key"))),
    "unlock_tier": ({O, A, M}, lambda w, a: unlock_tier(w, a, ANNA)),
    "upsert_catalog_items": ({O, A, M}, lambda w, a: upsert_catalog_items(w, a, CatalogEdit([], []))),
    "upsert_catalog_items_once": ({O, A, M}, lambda w, a: upsert_catalog_items_once(w, a, CatalogEdit([], []))),
    "adjust_points": ({O, A, M, S}, lambda w, a: adjust_points(w, a, adjustment(5))),
    "quote_checkout": (EVERYONE, lambda w, a: quote_checkout(w, a, ANNA, checkout(), None)),
    "load_holds": (EVERYONE, lambda w, a: load_holds(w, a, [HoldId(NOBODY)])),
    "load_redemptions": (EVERYONE, lambda w, a: load_redemptions(w, a, [RedemptionId(NOBODY)])),
    "load_redemptions_of_holds": (
        EVERYONE,
        lambda w, a: load_redemptions_of_holds(w, a, [HoldId(NOBODY)]),
    ),
    "load_expiry_schedules": (EVERYONE, lambda w, a: load_expiry_schedules(w, a, [CustomerId(NOBODY)])),
    "load_lots": (EVERYONE, lambda w, a: load_lots(w, a, [LotId(NOBODY)])),
    "load_merges": (EVERYONE, lambda w, a: load_merges(w, a, [CustomerMergeId(NOBODY)])),
    "load_opening_balances": (
        EVERYONE,
        lambda w, a: load_opening_balances(w, a, [OpeningBalanceId(NOBODY)]),
    ),
    "reassign_purchase": (
        {O, A, M},
        lambda w, a: reassign_purchase(w, a, ReassignRequest(PurchaseName(PurchaseId(NOBODY)), ANNA, None, "key")),
    ),
    "list_profile_changes": (
        EVERYONE,
        lambda w, a: list_profile_changes(w, a, ProfileChangeFilter(CustomerId(NOBODY)), PAGE),
    ),
    "count_profile_changes": (
        EVERYONE,
        lambda w, a: count_profile_changes(w, a, ProfileChangeFilter(CustomerId(NOBODY))),
    ),
    "export_customer": ({O, A, M, C}, lambda w, a: export_customer(w, a, ANNA, None, 5)),
    "get_retention": ({O, A, M}, get_retention),
    "get_outlook": ({O, A, M}, lambda w, a: get_outlook(w, a, 24)),
    "set_retention": ({O}, lambda w, a: set_retention(w, a, RetentionChange(inactive_months=24))),
    "erase_customer": ({O}, lambda w, a: erase_customer(w, a, EraseRequest(ANNA, "key"))),
    "merge_customers": ({O, A, M}, lambda w, a: merge_customers(w, a, MergeRequest(ANNA, ANNA, None, "key"))),
    "import_opening_balances": ({O, A, M}, lambda w, a: import_opening_balances(w, a, [])),
    "set_feature": ({O, A, M}, lambda w, a: set_feature(w, a, Feature.COUPONS, on=True)),
    "set_allowed_origins": ({O, A, M}, lambda w, a: set_allowed_origins(w, a, ["https://salon.example"])),
    "register_documents": ({O, A, M}, lambda w, a: register_documents(w, a, [])),
    "remove_documents": ({O, A, M}, lambda w, a: remove_documents(w, a, [])),
    "set_document_rule": ({O, A, M}, lambda w, a: set_document_rule(w, a, DocumentRule.ANY)),
    "page_documents": ({O, A, M}, lambda w, a: page_documents(w, a, None, Window(5))),
    "count_documents": ({O, A, M}, lambda w, a: count_documents(w, a, None)),
    "advance_sandbox_clock": ({O, A, M}, lambda w, a: advance_sandbox_clock(w, a, timedelta(1), "key")),
    "load_refunds": (EVERYONE, lambda w, a: load_refunds(w, a, [PurchaseId(NOBODY)])),
    "hold_points": (
        {O, A, M, S, C, I},
        lambda w, a: hold_points(w, a, HoldRequest(ANNA, 5, checkout(), None, None, "key")),
    ),
    "capture_hold": ({O, A, M, S, I}, lambda w, a: capture_hold(w, a, HoldId(NOBODY), None, "key")),
    "release_hold": ({O, A, M, S, C, I}, lambda w, a: release_hold(w, a, HoldId(NOBODY), "key")),
    "return_redemption": (
        {O, A, M, S, I},
        lambda w, a: return_redemption(w, a, RedemptionId(NOBODY), None, None, "key"),
    ),
    "refund_purchase": ({O, A, M, S, I}, lambda w, a: refund_purchase(w, a, REFUND)),
    "mature_purchase": ({O, A, M}, lambda w, a: mature_purchase(w, a, REFUND.purchase, "key")),
    "record_purchase": ({O, A, M, S, I}, lambda w, a: record_purchase(w, a, order())),
    "archive_customer": ({O, A, M, S, I}, lambda w, a: archive_customer(w, a, ANNA, None)),
    "unarchive_customer": ({O, A, M, S, I}, lambda w, a: unarchive_customer(w, a, ANNA, None)),
    "upsert_customers": ({O, A, M, S, I}, lambda w, a: upsert_customers(w, a, [CustomerProfile("anna")])),
    "record_purchases": ({O, A, M, S, I}, lambda w, a: record_purchases(w, a, [order()])),
    # lists
    "list_purchases": (TEAM, lambda w, a: list_purchases(w, a, PurchaseFilter(), PAGE)),
    "list_adjustments": (TEAM, lambda w, a: list_adjustments(w, a, AdjustmentFilter(), PAGE)),
    "list_holds": (TEAM, lambda w, a: list_holds(w, a, HoldFilter(), PAGE)),
    "list_redemptions": (TEAM, lambda w, a: list_redemptions(w, a, RedemptionFilter(), PAGE)),
    "list_purchases of a customer": (
        EVERYONE,
        lambda w, a: list_purchases(w, a, PurchaseFilter(CustomerId(NOBODY)), PAGE),
    ),
    "list_lots": (TEAM, lambda w, a: list_lots(w, a, LotFilter(), PAGE)),
    "count_listed": (TEAM, lambda w, a: count_listed(w, a, HoldFilter())),
    "count_listed of a customer": (
        EVERYONE,
        lambda w, a: count_listed(w, a, HoldFilter(CustomerId(NOBODY))),
    ),
    "count_customers": (TEAM, lambda w, a: count_customers(w, a, CustomerFilter())),
    "count_activity": ({O, A, M, S, R}, lambda w, a: count_activity(w, a, EntryFilter())),
    "count_catalog_items": (TEAM, lambda w, a: count_catalog_items(w, a, kind=None, search=None)),
    "count_earning_rules": (TEAM, lambda w, a: count_earning_rules(w, a, active=None)),
    "load_customers_by_external_id": (EVERYONE, lambda w, a: load_customers_by_external_id(w, a, ["x"])),
    "find_followed_customer": (EVERYONE, lambda w, a: find_followed_customer(w, a, None, "customer")),
    "find_newest_position": (EVERYONE, find_newest_position),
    "poll_events": (TEAM, lambda w, a: poll_events(w, a, EventFilter(), after=0, limit=1)),
    "load_purchases_by_key": (EVERYONE, lambda w, a: load_purchases_by_key(w, a, [ORDER])),
    "load_holds_for": (EVERYONE, lambda w, a: load_holds_for(w, a, [ORDER])),
    "load_redemptions_for": (EVERYONE, lambda w, a: load_redemptions_for(w, a, [ORDER])),
    "load_purchase_entries": (EVERYONE, lambda w, a: load_purchase_entries(w, a, [PurchaseId(NOBODY)])),
    "load_purchase_histories": (
        EVERYONE,
        lambda w, a: load_purchase_histories(w, a, [PurchaseId(NOBODY)]),
    ),
    # credentials
    "create_api_token": (
        {O, A},
        lambda w, a: create_api_token(w, a, ApiTokenRequest("Token", RECORDING), new_hash()),
    ),
    "create_api_token_once": (
        {O, A},
        lambda w, a: create_api_token_once(w, a, ApiTokenRequest("Token", RECORDING), new_hash()),
    ),
    "end_api_token": ({O, A}, lambda w, a: end_api_token(w, a, NOBODY)),
    "grant_customer_token": ({O, A}, lambda w, a: grant_customer_token(w, a, CustomerTokenRequest(ANNA, 60))),
    "revoke_tokens_of_subject": ({O, A}, lambda w, a: revoke_tokens_of_subject(w, a, "staff:left")),
    "revoke_tokens_of_customer": (
        {O, A},
        lambda w, a: revoke_tokens_of_customer(w, a, CustomerKey(external_id="anna")),
    ),
    "revoke_tokens_made_by": ({O, A}, lambda w, a: revoke_tokens_made_by(w, a, TokenId(NOBODY))),
    "choose_customer_to_sign_in": (
        {O, A},
        lambda w, a: choose_customer_to_sign_in(w, a, CustomerKey(external_id="anna")),
    ),
    "change_token_secret": ({O, A}, lambda w, a: change_token_secret(w, a, SecretChange(NOBODY, 5), new_hash())),
    "look_up_gift_card": ({O, A, M, S, C, I}, lambda w, a: look_up_gift_card(w, a, new_code())),
    "load_gift_cards": (EVERYONE, lambda w, a: load_gift_cards(w, a, [GiftCardId(NOBODY)])),
    "load_card_entries": (EVERYONE, lambda w, a: load_card_entries(w, a, [GiftCardEntryId(NOBODY)])),
    "load_card_entries_of": (EVERYONE, lambda w, a: load_card_entries_of(w, a, [GiftCardId(NOBODY)])),
    "load_card_holds": (EVERYONE, lambda w, a: load_card_holds(w, a, [GiftCardHoldId(NOBODY)])),
    "load_active_holds_of": (EVERYONE, lambda w, a: load_active_holds_of(w, a, [GiftCardId(NOBODY)])),
    "read_card_sheet": ({C}, lambda w, a: read_card_sheet(w, a, GiftCardId(NOBODY))),
    "list_gift_cards": (TEAM, lambda w, a: list_gift_cards(w, a, GiftCardFilter(), PAGE)),
    "list_gift_cards of a customer": (
        EVERYONE,
        lambda w, a: list_gift_cards(w, a, GiftCardFilter(CustomerId(NOBODY)), PAGE),
    ),
    "count_gift_cards": (TEAM, lambda w, a: count_gift_cards(w, a, GiftCardFilter())),
    "buy_gift_card": (
        {O, A, M, C, I},
        lambda w, a: buy_gift_card(w, a, BuyRequest(ANNA, GiftCardProductId(NOBODY), "key")),
    ),
    "issue_gift_card": ({O, A, M, I}, lambda w, a: issue_gift_card(w, a, issue_request(customer=None))),
    "give_gift_card": (
        {O, A, M, C, I},
        lambda w, a: give_gift_card(w, a, GiveRequest(GiftCardId(NOBODY), Gift("Eva"), "key")),
    ),
    "claim_gift_card": ({O, A, M, S, C, I}, lambda w, a: claim_gift_card(w, a, new_code(), None, "key")),
    "load_gifts": (EVERYONE, lambda w, a: load_gifts(w, a, [])),
    "load_gifts_of_cards": (EVERYONE, lambda w, a: load_gifts_of_cards(w, a, [])),
    "load_gifts_of_givers": (EVERYONE, lambda w, a: load_gifts_of_givers(w, a, [])),
    "hold_gift_card": ({O, A, M, S, C, I}, lambda w, a: hold_gift_card(w, a, card_hold_request(GiftCardId(NOBODY), 1))),
    "capture_gift_card": ({O, A, M, S, I}, lambda w, a: capture_gift_card(w, a, GiftCardHoldId(NOBODY), None, "key")),
    "release_gift_card": ({O, A, M, S, C, I}, lambda w, a: release_gift_card(w, a, GiftCardHoldId(NOBODY), "key")),
    "return_to_gift_card": (
        {O, A, M, S, I},
        lambda w, a: return_to_gift_card(w, a, GiftCardHoldId(NOBODY), None, None, "key"),
    ),
    "extend_gift_card": (
        {O, A, M},
        lambda w, a: extend_gift_card(w, a, ExtendRequest(GiftCardId(NOBODY), DAY, "why", "key")),
    ),
    "cancel_gift_card": (
        {O, A, M},
        lambda w, a: cancel_gift_card(w, a, CancelRequest(GiftCardId(NOBODY), None, None, "key")),
    ),
    "list_audit_entries": ({O, A, M}, lambda w, a: list_audit_entries(w, a, AuditFilter(), PAGE)),
    "count_audit_entries": ({O, A, M}, lambda w, a: count_audit_entries(w, a, AuditFilter())),
    "load_audit_entries": ({O, A, M}, lambda w, a: load_audit_entries(w, a, [NOBODY])),
    "list_api_tokens": ({O, A}, list_api_tokens),
    "create_oauth_client": (
        {O, A},
        lambda w, a: create_oauth_client(w, a, OAuthClientRequest("Client", RECORDING), new_hash()),
    ),
    "end_oauth_client": ({O, A}, lambda w, a: end_oauth_client(w, a, NOBODY)),
    "change_client_secret": ({O, A}, lambda w, a: change_client_secret(w, a, SecretChange(NOBODY, 5), new_hash())),
    "page_oauth_clients": ({O, A}, lambda w, a: page_oauth_clients(w, a, TokenFilter(), PAGE)),
    "count_oauth_clients": ({O, A}, lambda w, a: count_oauth_clients(w, a, TokenFilter())),
    "set_oidc_issuer": ({O, A}, lambda w, a: set_oidc_issuer(w, a, OidcIssuerRequest("", "", "", []))),
    "remove_oidc_issuer": ({O, A}, lambda w, a: remove_oidc_issuer(w, a, NOBODY)),
    "page_oidc_issuers": ({O, A}, lambda w, a: page_oidc_issuers(w, a, None, PAGE)),
    "count_oidc_issuers": ({O, A}, lambda w, a: count_oidc_issuers(w, a, None)),
    "load_oidc_issuers": ({O, A}, lambda w, a: load_oidc_issuers(w, a, [NOBODY])),
    "load_oauth_clients": ({O, A}, lambda w, a: load_oauth_clients(w, a, [NOBODY])),
    "page_api_tokens": ({O, A}, lambda w, a: page_api_tokens(w, a, TokenFilter(), PAGE)),
    "count_api_tokens": ({O, A}, lambda w, a: count_api_tokens(w, a, TokenFilter())),
    "load_api_tokens": ({O, A}, lambda w, a: load_api_tokens(w, a, [NOBODY])),
    # the team
    "page_members": ({O, A, M}, lambda w, a: page_members(w, a, MemberFilter(), PAGE)),
    "count_listed_members": ({O, A, M}, lambda w, a: count_listed_members(w, a, MemberFilter())),
    "load_members": (EVERYONE, lambda w, a: load_members(w, a, [NOBODY])),
    "add_member": ({O, A}, lambda w, a: add_member(w, a, MemberRequest("", NOBODY, ""))),
    "update_member": ({O, A}, lambda w, a: update_member(w, a, MemberChange(NOBODY))),
    "end_membership": ({O, A}, lambda w, a: end_membership(w, a, NOBODY)),
    "page_browser_sessions": (EVERYONE, lambda w, a: page_browser_sessions(w, a, SessionFilter(), PAGE)),
    "count_browser_sessions": (EVERYONE, lambda w, a: count_browser_sessions(w, a, SessionFilter())),
    "load_browser_sessions": (EVERYONE, lambda w, a: load_browser_sessions(w, a, [NOBODY])),
    "end_browser_session": (EVERYONE, lambda w, a: end_browser_session(w, a, NOBODY)),
    "list_roles": ({O, A, M}, list_roles),
    "load_roles": (EVERYONE, lambda w, a: load_roles(w, a, [NOBODY])),
    "create_role": ({O, A}, lambda w, a: create_role(w, a, RoleRequest("", frozenset()))),
    "update_role": ({O, A}, lambda w, a: update_role(w, a, RoleChange(NOBODY))),
    "remove_role": ({O, A}, lambda w, a: remove_role(w, a, NOBODY)),
}

SESSIONS = {"page_browser_sessions", "count_browser_sessions", "load_browser_sessions", "end_browser_session"}
FINDS_OWN = {"get_tenant", "load_members", "load_roles", *SESSIONS}
"""What everybody may ask: it finds only what is the caller's own."""

WORKS_WHEN_OFF = {
    "erase_customer",
    "get_retention",
    "get_outlook",
    "set_retention",
    "refund_purchase",
    "get_tenant",
    "get_program",
    "update_program",
    "set_feature",
    "set_allowed_origins",
    "register_documents",
    "remove_documents",
    "set_document_rule",
    "page_documents",
    "count_documents",
    "create_api_token",
    "end_api_token",
    "list_audit_entries",
    "count_audit_entries",
    "load_audit_entries",
    "list_api_tokens",
    "page_api_tokens",
    "count_api_tokens",
    "load_api_tokens",
    "revoke_tokens_of_subject",
    "revoke_tokens_of_customer",
    "revoke_tokens_made_by",
    "change_token_secret",
    "create_oauth_client",
    "end_oauth_client",
    "change_client_secret",
    "page_oauth_clients",
    "count_oauth_clients",
    "set_oidc_issuer",
    "remove_oidc_issuer",
    "page_oidc_issuers",
    "count_oidc_issuers",
    "load_oidc_issuers",
    "load_oauth_clients",
    "page_members",
    "count_listed_members",
    "load_members",
    "add_member",
    "update_member",
    "end_membership",
    *SESSIONS,
    "list_roles",
    "load_roles",
    "create_role",
    "update_role",
    "remove_role",
    "check_program",
    "apply_program_preset",
    "create_earning_rule",
    "create_earning_rule_once",
    "create_api_token_once",
    "upsert_catalog_items_once",
    "update_earning_rule",
    "delete_earning_rule",
    "create_product",
    "change_product",
    "archive_product",
    "create_tier",
    "change_tier",
    "remove_tier",
    "upsert_catalog_items",
    "import_opening_balances",
    "upsert_customers",
    "archive_customer",
    "unarchive_customer",
    # The names of lines, for a purchase that somebody has been shown.
    "load_line_names",
}
"""What must work while the module is off: switching it on again, credentials, and whatever prepares it."""

TEAM_READS = ("load_", "list_", "count_", "get_", "find_", "poll_")
"""How the use cases begin that the team may use while the module is off, and customers may not."""

ASKS_NOBODY = {
    *(
        "refresh_actor",
        "start_session",
        "read_standing_of",
        "book_items",
        "limit_guesses",
        "count_wrong_lookup",
        "lock_credentials",
        "lock_team",
        "change_secret",
        "remove_member",
        "find_document",
    ),
    *("settle_keys", "settle_name", "settle_checkout"),
}
"""They find out who is calling, or work in the transaction of a use case that has asked: nobody calls them alone."""

every_use = pytest.mark.parametrize("name", MATRIX)


@pytest.fixture
async def actors(world: World, salon: Salon) -> dict[Role, Actor]:
    """Provide one actor of each role; the customer is Anna."""
    anna = customer_actor(salon.tenant_id, await known_customer(world, salon))
    return {role: staff_actor(salon.tenant_id, role) for role in Role if role is not C} | {C: anna}


async def _denied(use: Use, world: World, actor: Actor) -> bool:
    """Tell whether a use case is refused because a permission is missing."""
    try:
        await use(world, actor)
    except PermissionDenied:
        return True
    except LoyaltyError:
        pass
    return False


async def _is_off(use: Use, world: World, actor: Actor) -> bool:
    """Tell whether a use case is refused because the program is off."""
    try:
        await use(world, actor)
    except FeatureDisabled:
        return True
    except LoyaltyError:
        pass
    return False


def test_the_table_has_every_use_case() -> None:
    """A new use case has to say who may use it."""
    found = set()
    for module in pkgutil.iter_modules(loyalty.services.__path__, "loyalty.services."):
        for name, function in inspect.getmembers(importlib.import_module(module.name), inspect.iscoroutinefunction):
            if "actor" in inspect.signature(function).parameters and not name.startswith("_"):
                found.add(name)
    assert found - ASKS_NOBODY == {name.partition(" ")[0] for name in MATRIX}


@every_use
async def test_a_use_case_is_for_exactly_these_roles(
    world: World, salon: Salon, actors: dict[Role, Actor], nothing_changes: NothingChanges, name: str
) -> None:
    """BK-111, BK-112, BK-113: who is denied has changed nothing."""
    allowed, use = MATRIX[name]
    async with nothing_changes(salon.tenant_id):
        for role in Role:
            if role not in allowed:
                assert await _denied(use, world, actors[role]), role
    for role in allowed:
        assert not await _denied(use, world, actors[role]), role


@every_use
async def test_without_permissions_nobody_may_do_anything(
    world: World, salon: Salon, nothing_changes: NothingChanges, name: str
) -> None:
    nobody = replace(salon.staff, permissions=frozenset())
    async with nothing_changes(salon.tenant_id):
        assert await _denied(MATRIX[name][1], world, nobody) == (name not in FINDS_OWN)


@every_use
async def test_while_the_module_is_off_everything_else_is_refused(
    world: World, salon: Salon, actors: dict[Role, Actor], nothing_changes: NothingChanges, name: str
) -> None:
    """BK-01: every query and mutation of the module."""
    allowed, use = MATRIX[name]
    if name in WORKS_WHEN_OFF:
        assert not await _denied(use, world, replace(actors[min(allowed)], loyalty_enabled=False))
        return
    async with nothing_changes(salon.tenant_id):
        for role in allowed:
            actor = replace(actors[role], loyalty_enabled=False)
            if role is not C and name.startswith(TEAM_READS) and READS & actor.permissions:
                assert not await _is_off(use, world, actor), role
            else:
                assert await _is_off(use, world, actor), role


@pytest.mark.parametrize("name", sorted(WORKS_WHEN_OFF - {"end_api_token"}))
async def test_while_the_module_is_off_these_still_work(world: World, salon: Salon, name: str) -> None:
    """BK-01."""
    assert not await _is_off(MATRIX[name][1], world, replace(salon.owner, loyalty_enabled=False))
