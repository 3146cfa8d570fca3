"""A day at a business: everything that requests, jobs, sweeps and the relay do, each with few rows of its own."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import text

from loyalty.log.events import LoggedEvent
from loyalty.log.readers import Reader, TurnFailed, advance_reader
from loyalty.log.reading import last_position, last_positions, list_events
from loyalty.rules.accrual import MatureOn
from loyalty.rules.audit import AuditSubject
from loyalty.rules.birthday import DayOfYear
from loyalty.rules.budget import LEAST_SLICE_POINTS, BudgetLimits
from loyalty.rules.catalog import CatalogChange
from loyalty.rules.counted_lines import SoldAs
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.earning import CatalogItem, CatalogKind
from loyalty.rules.errors import LoyaltyError
from loyalty.rules.event_subjects import EventSubject, Subject
from loyalty.rules.events import EventKind
from loyalty.rules.features import Feature
from loyalty.rules.gift_card import GiftCardState
from loyalty.rules.gift_card_gift import Gift
from loyalty.rules.identifier import Identifier, IdentifierKey
from loyalty.rules.ids import CustomerId, JobId, RuleId
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from loyalty.rules.report import day_range
from loyalty.rules.staff_session import Logout
from loyalty.rules.tiers import TierBasis, TierPolicy
from loyalty.rules.trusted_document import DocumentRule, OfferedDocument
from loyalty.services.adjustment import adjust_points
from loyalty.services.allowed_origins import set_allowed_origins
from loyalty.services.api_token import ApiTokenRequest, create_api_token, end_api_token, list_api_tokens
from loyalty.services.audit import count_audit_entries, list_audit_entries
from loyalty.services.authentication import actor_of_client, actor_of_token, admit_actors, find_fallen, refresh_actor
from loyalty.services.browser_session import (
    SessionFilter,
    count_browser_sessions,
    end_browser_session,
    page_browser_sessions,
)
from loyalty.services.budget import Budgets
from loyalty.services.catalog import CatalogEdit, count_catalog_items, list_catalog_items, upsert_catalog_items
from loyalty.services.checkout import quote_checkout
from loyalty.services.client_secret import reseal_client_secrets
from loyalty.services.customer import (
    CustomerKey,
    count_activity,
    count_customers,
    find_customer,
    get_me,
    list_activity,
    list_customers,
)
from loyalty.services.customer_erase import EraseRequest, erase_customer
from loyalty.services.customer_export import export_customer
from loyalty.services.daily_figures import get_daily_figures
from loyalty.services.earning_rule import (
    count_earning_rules,
    create_earning_rule,
    create_earning_rule_once,
    delete_earning_rule,
    list_earning_rules,
    update_earning_rule,
)
from loyalty.services.event_log import poll_events
from loyalty.services.feature import set_feature
from loyalty.services.gift_card import CardKey, look_up_gift_card
from loyalty.services.gift_card_buy import BuyRequest, buy_gift_card
from loyalty.services.gift_card_gift import GiveRequest, claim_gift_card, give_gift_card
from loyalty.services.gift_card_guess import limit_guesses
from loyalty.services.gift_card_listing import count_gift_cards, list_gift_cards
from loyalty.services.gift_card_product import (
    archive_product,
    change_product,
    count_products_of_list,
    create_product,
    list_products,
)
from loyalty.services.gift_card_report import get_gift_card_report
from loyalty.services.gift_card_reseal import reseal_codes
from loyalty.services.hold import HoldRequest
from loyalty.services.job import advance_job
from loyalty.services.listing import (
    count_listed,
    list_adjustments,
    list_holds,
    list_lots,
    list_purchases,
    list_redemptions,
)
from loyalty.services.log_readers import READER_NAMES, READERS
from loyalty.services.member import (
    MemberChange,
    MemberRequest,
    add_member,
    count_listed_members,
    end_membership,
    page_members,
    update_member,
)
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
    RoleValue,
    count_oidc_issuers,
    find_oidc_issuer,
    find_provider,
    page_oidc_issuers,
    remove_oidc_issuer,
    set_oidc_issuer,
)
from loyalty.services.profile import upsert_customers
from loyalty.services.profile_history import count_profile_changes, list_profile_changes
from loyalty.services.program import ProgramEdit, get_program, update_program
from loyalty.services.purchase import find_purchase, record_purchases
from loyalty.services.purchase_change import PurchaseName
from loyalty.services.purchase_reassign import ReassignRequest, reassign_purchase
from loyalty.services.redemption import hold_points, release_hold
from loyalty.services.refund import mature_purchase
from loyalty.services.report import get_report, load_active_customers, load_report_sums
from loyalty.services.retention import RetentionChange, get_outlook, get_retention, set_retention
from loyalty.services.revocation import revoke_signed_token, revoke_subject
from loyalty.services.role import RoleChange, RoleRequest, create_role, list_roles, remove_role, update_role
from loyalty.services.secret_change import SecretChange, change_client_secret, change_token_secret
from loyalty.services.staff_session import end_sessions_by_provider, find_session, start_session
from loyalty.services.tenant_sweeps import SWEEPS
from loyalty.services.tier import change_tier, create_tier, list_tiers, remove_tier
from loyalty.services.tier_lock import TierLockRequest, lock_tier, unlock_tier
from loyalty.services.trusted_document import (
    count_documents,
    find_document,
    page_documents,
    register_documents,
    remove_documents,
    set_document_rule,
)
from loyalty.services.world import World
from loyalty.storage.api_token_lists import TokenFilter
from loyalty.storage.audit import AuditFilter
from loyalty.storage.catalog import CatalogPlace
from loyalty.storage.customer_lists import CustomerFilter
from loyalty.storage.customers import CustomerOrder, PointsFilter
from loyalty.storage.due import read_due_tenants, read_lateness
from loyalty.storage.entries import EntryFilter
from loyalty.storage.events import EventFilter, Positioned, encode_hints, position_events, read_relay_lag, send_hints
from loyalty.storage.gift_card_codes import CodeKeys, new_code
from loyalty.storage.gift_card_lists import GiftCardFilter
from loyalty.storage.gift_card_products import GiftCardProductFilter
from loyalty.storage.holds import read_holds_moved_at
from loyalty.storage.idempotency import keep_key, name_call
from loyalty.storage.jobs import count_unfinished_jobs, read_due_jobs
from loyalty.storage.lists import AdjustmentFilter, HoldFilter, LotFilter, PurchaseFilter, RedemptionFilter
from loyalty.storage.log_readers import read_due_logs, read_lateness_of_readers, register_readers
from loyalty.storage.members import MemberFilter
from loyalty.storage.oidc_issuers import OidcIssuerRow
from loyalty.storage.points_paid import PurchaseKey, read_paid_with_points
from loyalty.storage.profile_changes import ProfileChangeFilter
from loyalty.storage.redemptions import read_redemptions_for, read_returns_made_at
from loyalty.storage.window import TimePlace, Window
from permissions.actor import subject_at_provider
from permissions.catalog import Permission
from permissions.roles import BUILT_IN_ROLES, TeamRole
from schema.loaders import LOADERS, Loaders
from schema.node_ids import RowKey
from tenancy.database import Database, Transaction
from tenancy.provisioning import list_tenants
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    adjustment,
    at,
    bring_along,
    capture,
    checkout,
    customer_actor,
    earn,
    give,
    give_back,
    hold,
    merge,
    one_point_per_euro,
    order,
    pay_back,
    product,
    service_item,
    set_policy,
    set_redemption,
)
from tests.loyalty.services.gift_cards import (
    cancel_card,
    capture_card,
    extend_card,
    hold_card,
    issue,
    release_card,
    return_card,
)
from tests.loyalty.services.team import Team, sign_in_of

LATER = timedelta(days=3_650)
"""When everything that waits in the large tenant has become due."""

LOADED: Mapping[str, tuple[str, str]] = {
    "customers": ("customers", "id"),
    "points_accounts": ("customers", "id"),
    "purchases": ("purchases", "id"),
    "accruals": ("purchases", "id"),
    "accruals_by_id": ("accruals", "id"),
    "former_valuations": ("accruals", "id"),
    "adjustments": ("adjustments", "id"),
    "expiry_schedules": ("customers", "id"),
    "consents": ("customers", "id"),
    "archivings": ("customers", "id"),
    "rule_versions": ("earning_rules", "id"),
    "lots": ("lots", "id"),
    "merges": ("customer_merges", "id"),
    "opening_balances": ("opening_balances", "id"),
    "refunds": ("purchases", "id"),
    "purchase_histories": ("purchases", "id"),
    "purchase_entries": ("purchases", "id"),
    "holds": ("holds", "id"),
    "redemptions": ("redemptions", "id"),
    "redemptions_of_holds": ("holds", "id"),
    "entries": ("entries", "id"),
    "tiers": ("tiers", "id"),
    "tier_histories": ("customers", "id"),
    "tier_counts": ("tiers", "id"),
    "earning_rules": ("earning_rules", "id"),
    "gift_card_products": ("gift_card_products", "id"),
    "products_of_cards": ("gift_card_products", "id"),
    "jobs": ("jobs", "id"),
    "api_tokens": ("api_tokens", "id"),
    "oauth_clients": ("api_tokens", "id"),
    "oidc_issuers": ("oidc_issuers", "id"),
    "browser_sessions": ("staff_sessions", "id"),
    "members": ("members", "id"),
    "roles": ("roles", "id"),
    "gift_cards": ("gift_cards", "id"),
    "gift_card_holds": ("gift_card_holds", "id"),
    "gift_card_entries": ("gift_card_entries", "id"),
    "gift_card_gifts": ("gift_card_gifts", "id"),
    "gifts_of_cards": ("gift_cards", "id"),
    "gifts_of_givers": ("customers", "id"),
    "gift_card_entries_of": ("gift_cards", "id"),
    "gift_card_holds_of": ("gift_cards", "id"),
    "audit_entries": ("audit_entries", "id"),
}
"""Where the ids come from that each loader is asked for."""

ONE_OF_A_KIND = ("tenant", "program", "program_checks", "catalog_names", "accrual_policy", "paused_rules")
"""Loaders of what a tenant has once."""
NAMED: Mapping[str, Sequence[Any]] = {
    **{
        loader: [PurchaseKey(PurchaseKind.ORDER, name) for name in ("to-be-paid", "day-1")]
        for loader in ("purchases_by_key", "holds_for", "redemptions_for")
    },
    "customers_by_external_id": ["customer-152", "customer-153", "nobody"],
    **{
        loader: [day_range(date(2023, 1, 1), date(2030, 12, 31), "UTC")]
        for loader in ("report_active_customers", "report_sums")
    },
    "customers_by_key": [CustomerKey(external_id="customer-152")],
    "catalog_items": [RowKey("SERVICE", "service-1"), RowKey("SERVICE", "nowhere")],
    "line_names": [SoldAs(PurchaseKind.ORDER, "service-1", None), SoldAs(PurchaseKind.ORDER, None, "nowhere")],
}
"""Loaders that are asked for names of the tenant's own, and which."""


async def fail(_tx: Transaction, _events: Sequence[LoggedEvent]) -> None:
    """Fail, as a handler that cannot do its work."""
    raise ZeroDivisionError


FAILING = Reader("failing", fail)


class Day:
    """A tenant's day; every step is one that the product does."""

    def __init__(self, world: World, relay: Database, salon: Salon) -> None:
        self.world = world
        self.relay = relay
        self.salon = salon

    async def live(self) -> None:
        """Do everything of the day."""
        await self.configure()
        await self.trade()
        await self.use_gift_cards()
        await self.look()
        await self.follow_events()
        await self.sweep()
        await self.change_tiering()
        async with self.world.database.tenant_transaction(self.salon.tenant_id) as tx:
            call = name_call(self.salon.manager, "key", "sandboxClockAdvance", "mark")
            paid = PurchaseKey(PurchaseKind.ORDER, "to-be-paid")
            await read_paid_with_points(tx, [paid])
            await read_redemptions_for(tx, paid)
            await read_holds_moved_at(tx, paid, datetime.now(UTC))
            await read_returns_made_at(tx, paid, datetime.now(UTC))
            await keep_key(tx, call, self.salon.tenant_id, datetime.now(UTC))

    async def configure(self) -> None:
        """Set up settings, rules, tiers, catalogue and tokens."""
        world, manager = self.world, self.salon.manager
        await set_redemption(world, self.salon)
        await get_program(world, manager)
        made = await create_earning_rule(world, manager, one_point_per_euro())
        await update_earning_rule(world, manager, RuleId(made.id), lambda it: replace(it, name="Points"), None)
        spare = (await create_earning_rule_once(world, manager, one_point_per_euro(), "spare rule")).rule
        await create_earning_rule_once(world, manager, one_point_per_euro(), "spare rule")
        await delete_earning_rule(world, manager, RuleId(spare.id))
        await list_earning_rules(world, manager, active=True, window=Window(20))
        silver = await create_tier(world, manager, "Bronze", "#000000", 10**9)
        await change_tier(world, manager, silver.tier.id, lambda it: it._replace(color="#111111"))
        await list_tiers(world, manager)
        await remove_tier(world, manager, silver.tier.id)
        card = (await create_product(world, manager, product(), "card")).product
        await create_product(world, manager, product(), "card")
        await change_product(world, manager, card.id, lambda it: replace(it, points_cost=600))
        await list_products(world, manager, GiftCardProductFilter(search="voucher"), Window(20))
        await count_products_of_list(world, manager, GiftCardProductFilter(active=True))
        await limit_guesses(world, manager, new_code(), known=False)
        budgets = Budgets(world.database, world.clock, BudgetLimits())
        await budgets.charge(manager, LEAST_SLICE_POINTS)
        await budgets.book_all()
        spare_card = (await create_product(world, manager, product(name="Spare"))).product
        await archive_product(world, manager, spare_card.id)
        items = [service_item("cut"), service_item("colour")]
        await upsert_catalog_items(world, manager, CatalogEdit(items, [CatalogPlace("SERVICE", "gone")]))
        renamed = CatalogChange(CatalogKind.SERVICE, "cut", {"name": "Haircut"})
        await upsert_catalog_items(world, manager, CatalogEdit([renamed], []))
        await list_catalog_items(world, manager, kind=None, window=Window(20))
        await self.hand_out_credentials()
        await self._read_audit_log(str(made.id))

    async def hand_out_credentials(self) -> None:
        """Create API tokens, OAuth clients and identity providers, and end them."""
        world, manager, owner = self.world, self.salon.manager, self.salon.owner
        await create_api_token(world, owner, ApiTokenRequest("till", frozenset({Permission.LOYALTY_READ})), "a" * 64)
        (token, *_) = await list_api_tokens(world, owner)
        replacing = ApiTokenRequest("till 2", frozenset({Permission.LOYALTY_READ}), replaces=token.id)
        await create_api_token(world, owner, replacing, "b" * 64)
        await revoke_subject(world, self.salon.tenant_id, "staff:left", "operator")
        await revoke_signed_token(world, self.salon.tenant_id, "leaked", "operator")
        actor = await actor_of_token(world, "a" * 64)
        assert actor is not None
        assert await refresh_actor(world, actor) is not None
        await set_allowed_origins(world, manager, ["https://salon.example"])
        await set_retention(world, owner, RetentionChange(inactive_months=24, profile_history_months=12))
        await get_retention(world, manager)
        await get_outlook(world, manager, 36)
        offered = [OfferedDocument(f"{number:064x}", "{ viewer { name } }") for number in range(100)]
        await register_documents(world, manager, offered)
        assert await find_document(world, manager, offered[5].sha256) is not None
        await page_documents(world, manager, None, Window(20))
        await count_documents(world, manager, None)
        await remove_documents(world, manager, [offered[0].sha256])
        await set_document_rule(world, manager, DocumentRule.CUSTOMERS)
        await set_document_rule(world, manager, DocumentRule.ANY)
        await set_feature(world, manager, Feature.LOYALTY, on=False)
        await set_feature(world, manager, Feature.COUPONS, on=False)
        await set_feature(world, manager, Feature.LOYALTY, on=True)
        await world.uses.write(world.database)
        await change_token_secret(world, owner, SecretChange(token.id, 5), "c" * 64)
        await end_api_token(world, owner, None, "c" * 64)
        reading = frozenset({Permission.LOYALTY_READ})
        partner = await create_oauth_client(world, owner, OAuthClientRequest("partner", reading), "d" * 64)
        await change_client_secret(world, owner, SecretChange(partner.client.id, 5), "e" * 64)
        assert await actor_of_client(world, "e" * 64) is not None
        await page_oauth_clients(world, owner, TokenFilter(live=True), Window(20))
        await count_oauth_clients(world, owner, TokenFilter())
        await load_oauth_clients(world, owner, [partner.client.id])
        await end_oauth_client(world, owner, partner.client.id)
        sign_in = OidcIssuerRequest("https://login.example", "treue", "roles", [RoleValue("boss", TeamRole.OWNER)])
        await set_oidc_issuer(world, owner, sign_in)
        provider = await set_oidc_issuer(world, owner, sign_in)
        assert await find_oidc_issuer(world, "https://login.example", "treue") is not None
        await page_oidc_issuers(world, owner, None, Window(20))
        await count_oidc_issuers(world, owner, None)
        provider = await self._sign_in_with_browsers(provider)
        await self._change_team(provider)
        await remove_oidc_issuer(world, owner, provider.id)

    async def _sign_in_with_browsers(self, provider: OidcIssuerRow) -> OidcIssuerRow:
        """Let people sign in with browsers, look around and sign out, here and at the provider."""
        world, team, tenant_id = self.world, Team(self.world, self.salon, provider), self.salon.tenant_id
        now = datetime.now(UTC)
        await find_provider(world, tenant_id, provider.id)
        application = OidcIssuerRequest(
            provider.issuer,
            provider.audience,
            "roles",
            [RoleValue("boss", TeamRole.OWNER)],
            client_id="console",
            client_secret="sealed by the old key",
        )
        old, new = b"o" * 32, b"n" * 32
        provider = await set_oidc_issuer(replace(world, codes=CodeKeys.of([old])), self.salon.owner, application)
        team = team._replace(issuer=provider)
        resealed = await reseal_client_secrets(replace(world, codes=CodeKeys.of([new, old])), tenant_id)
        assert resealed == (1, ())
        for name in ("eva", "ben", "ida", "leo"):
            person = team.token(name, groups=("boss",))
            assert await start_session(world, person, sign_in_of(name, now, f"at-{name}"), name * 16)
        found = await find_session(world, tenant_id, "eva" * 16)
        assert found is not None
        assert found.session is not None
        assert (await admit_actors(world, tenant_id, [found]))[0] is not None
        for wanted in (SessionFilter(), SessionFilter(subject=found.subject)):
            listed = await page_browser_sessions(world, self.salon.owner, wanted, Window(20))
            assert await count_browser_sessions(world, self.salon.owner, wanted) == len(listed)
        await world.uses.write(world.database)
        await end_browser_session(world, self.salon.owner, found.session.id)
        ben, ida = (subject_at_provider(provider.id, name) for name in ("ben", "ida"))
        for subject, session in ((ben, None), (ida, "at-ida"), (None, "at-leo")):
            assert await end_sessions_by_provider(world, tenant_id, Logout(provider.id, subject, session, now)) == 1
        return provider

    async def _change_team(self, provider: OidcIssuerRow) -> None:
        """Add, invite, admit, change and remove members. Make, change and delete a role."""
        world, owner, team = self.world, self.salon.owner, Team(self.world, self.salon, provider)
        reading = frozenset({Permission.LOYALTY_READ})
        role = (await create_role(world, owner, RoleRequest("Till", reading))).role
        await update_role(world, owner, RoleChange(role.id, name="Counter"))
        await list_roles(world, owner)
        await add_member(world, owner, MemberRequest("Eva", role.id, "eva@salon.example"))
        eva = await team.person("eva", email="eva@salon.example")
        ben = await team.member("ben", BUILT_IN_ROLES[TeamRole.STAFF].id)
        await earn(world, self.salon, order("at the counter", 1_000, customer="customer-149"))
        await adjust_points(world, ben, adjustment(1, "by the counter", customer="customer-149"))
        for wanted in (MemberFilter(), MemberFilter(present=True, role_id=role.id)):
            await page_members(world, owner, wanted, Window(20))
            await count_listed_members(world, owner, wanted)
        otto, olga = [await team.member(name, BUILT_IN_ROLES[TeamRole.OWNER].id) for name in ("otto", "olga")]
        assert otto.member_id
        assert olga.member_id
        await update_member(world, owner, MemberChange(otto.member_id, role_id=role.id))
        for gone in (otto.member_id, eva.member_id):
            assert gone
            await end_membership(world, owner, gone)
        await remove_role(world, owner, role.id)
        places = [CatalogPlace(CatalogKind.LOCATION, name) for name in ("till", "closed")]
        salons = [CatalogItem(CatalogKind.LOCATION, one.external_id, "Salon") for one in places]
        await upsert_catalog_items(world, owner, CatalogEdit(salons, []))
        assert ben.member_id
        await update_member(world, owner, MemberChange(ben.member_id, locations=["till"]))
        await upsert_catalog_items(world, owner, CatalogEdit([], places[1:]))

    async def _read_audit_log(self, rule_id: str) -> None:
        """Read the whole audit log, and what somebody did to a rule."""
        world, owner = self.world, self.salon.owner
        of_rule = AuditFilter([AuditSubject.EARNING_RULE], rule_id, actor=self.salon.manager.subject)
        await list_audit_entries(world, owner, AuditFilter(), Window(20))
        await list_audit_entries(world, owner, of_rule, Window(20))
        await count_audit_entries(world, owner, of_rule)

    async def trade(self) -> None:
        """Make purchases, refunds, adjustments, checkouts and merges, and import opening balances."""
        world, salon = self.world, self.salon
        for number in range(6):
            await earn(world, salon, order(f"day-{number}", 50_000, customer=f"customer-{150 + number}"))
        batch = [order(f"batch-{number}", 1_000, customer=f"customer-{250 + number}") for number in range(5)]
        await record_purchases(world, salon.integration, batch)
        await earn(world, salon, order("day-0", 50_000, customer="customer-150", status=PurchaseStatus.CANCELLED))
        await pay_back(world, salon, "day-1", 10_000, "refund-1")
        await pay_back(world, salon, "day-1", 10_000, "refund-1")
        await set_policy(world, salon, mature_on=MatureOn.PURCHASE_COMPLETED)
        await earn(world, salon, order("pending", 1_000, customer="customer-151"))
        await set_policy(world, salon)
        name = PurchaseName(key=PurchaseKey(PurchaseKind.ORDER, "pending"))
        await mature_purchase(world, salon.manager, name, "mature-1")
        await give(world, salon, 50, "adjust-1", customer="customer-152")
        await give(world, salon, -20, "adjust-2", customer="customer-152")
        await give(world, salon, -20, "adjust-2", customer="customer-152")
        await self._check_out()
        await bring_along(world, salon, 10, customer="brought")
        await bring_along(world, salon, 10, customer="brought")
        labelled = CustomerProfile("customer-155", identifiers=(Identifier("CARD", "155"),), tags=("vip",))
        await upsert_customers(world, salon.manager, [labelled])
        await upsert_customers(world, salon.manager, [replace(labelled, tags=("regular",))])
        await merge(world, salon, "customer-155", "customer-156", "merge-1")
        gone = CustomerProfile("customer-157", email="gone@example.com")
        await upsert_customers(world, salon.manager, [gone])
        await earn(world, salon, order("ordered by gone@example.com", 1_000, customer="customer-157"))
        (renamed,) = await upsert_customers(world, salon.manager, [replace(gone, full_name="Gone")])
        assert not isinstance(renamed, LoyaltyError)
        await list_profile_changes(world, salon.manager, ProfileChangeFilter(renamed.id), Window(20))
        await count_profile_changes(world, salon.manager, ProfileChangeFilter(renamed.id))
        page = await export_customer(world, salon.manager, CustomerKey(external_id="customer-157"), None, 2)
        await export_customer(world, salon.manager, CustomerKey(external_id="customer-157"), page.records[-1].place, 20)
        await export_customer(world, customer_actor(salon.tenant_id, renamed.id), None, None, 20)
        by_name = EraseRequest(CustomerKey(external_id="customer-157"), "erase-1")
        await erase_customer(world, salon.owner, by_name)
        await erase_customer(world, salon.owner, by_name)
        moved = ReassignRequest(
            PurchaseName(key=PurchaseKey(PurchaseKind.ORDER, "day-2")),
            CustomerKey(external_id="customer-156"),
            None,
            "m",
        )
        await reassign_purchase(world, salon.manager, moved)
        await reassign_purchase(world, salon.manager, moved)
        tiers = await list_tiers(world, salon.manager)
        key = CustomerKey(external_id="customer-153")
        await lock_tier(world, salon.manager, TierLockRequest(key, tiers[0].id, None, None, "lock-1"))
        await unlock_tier(world, salon.manager, key)

    async def _check_out(self) -> None:
        world, salon = self.world, self.salon
        key = CustomerKey(email=await self._email("customer-152"))
        purchase = PurchaseKey(PurchaseKind.ORDER, "to-be-paid")
        await quote_checkout(world, salon.staff, key, checkout(purchase="to-be-paid"), None)
        first = await hold(world, salon, 30, "hold-1", customer="customer-152")
        second = await hold(world, salon, 30, "hold-2", customer="customer-152", replaces=first.hold.id)
        captured = await capture(world, salon, second, "capture-1", 20)
        await give_back(world, salon, captured, "return-1", points=10)
        await give_back(world, salon, captured, "return-1", points=10)
        third = await hold(world, salon, 10, "hold-3", customer="customer-152")
        await release_hold(world, salon.integration, third.hold.id, "release-1")
        await give(world, salon, 100, "before-debt", customer="customer-157")
        await earn(world, salon, order("indebted", 50_000, customer="customer-157"))
        held = await hold(world, salon, 200, "hold-4", customer="customer-157")
        await earn(world, salon, order("indebted", 50_000, customer="customer-157", status=PurchaseStatus.CANCELLED))
        await release_hold(world, salon.integration, held.hold.id, "release-2")
        paying = order(purchase.external_id, 10_000, customer="customer-152")
        await earn(world, salon, paying)
        at_purchase = checkout(purchase=purchase.external_id)
        to_pay = await hold(world, salon, 10, "hold-5", customer="customer-152", checkout=at_purchase)
        await capture(world, salon, to_pay, "capture-5")
        await hold(world, salon, 10, "hold-6", customer="customer-152", checkout=at_purchase)
        await earn(world, salon, order("to-be-paid", 10_000, customer="customer-152", status=PurchaseStatus.CANCELLED))

    async def _email(self, external_id: str) -> str:
        found = await find_customer(self.world, self.salon.staff, CustomerKey(external_id=external_id))
        assert found is not None
        return found.email or ""

    async def use_gift_cards(self) -> None:
        """Sell, look up, spend, return, extend, cancel and list cards.

        Some cards are due, or their holds are abandoned.
        """
        world, salon, last_day = self.world, self.salon, (datetime.now(UTC) + timedelta(days=400)).date()
        sold = await issue(world, salon, 5_000, "card-1", customer="customer-152", expires_on=last_day)
        await issue(world, salon, 5_000, "card-1", customer="customer-152", expires_on=last_day)
        product_id = (await create_product(world, salon.manager, product(points_cost=1, stock=5))).product.id
        request = BuyRequest(CustomerKey(external_id="customer-152"), product_id, "card-3")
        bought = await buy_gift_card(world, salon.integration, request)
        await cancel_card(world, salon, bought.card.id, "card-3")
        nobodys = await issue(world, salon, 1_000, "card-2", customer=None, expires_on=last_day)
        await look_up_gift_card(world, salon.integration, sold.code)
        named = (CardKey(sold.card.id), CardKey(code=nobodys.code))
        await quote_checkout(
            world, salon.integration, CustomerKey(external_id="nobody"), checkout(purchase="cart"), None, named
        )
        await earn(world, salon, order("told-first", 50_000, customer="customer-157"))
        for_recorded = await hold_card(world, salon, nobodys.card.id, 500, "recorded", order="told-first")
        await release_card(world, salon, for_recorded.hold.id, "recorded")
        held = await hold_card(world, salon, CardKey(code=sold.code), 2_000, "card-1")
        await capture_card(world, salon, held.hold.id, 1_500, "card-1")
        for _ in range(2):
            await return_card(world, salon, held.hold.id, 500, "card-1")
        await hold_card(world, salon, sold.card.id, 100, "in the basket", minutes=1)
        await extend_card(world, salon, sold.card.id, last_day + timedelta(days=1), "card-1")
        await cancel_card(world, salon, nobodys.card.id, "card-2")
        gift = GiveRequest(sold.card.id, Gift("Eva"), "card-1")
        for _ in range(2):
            await give_gift_card(world, salon.manager, gift)
        await claim_gift_card(world, salon.manager, sold.code, CustomerKey(external_id="customer-153"), "card-1")
        wanted = GiftCardFilter(states=tuple(GiftCardState), at=datetime.now(UTC))
        for one in (GiftCardFilter(), wanted, GiftCardFilter(holder_id=sold.card.holder_id)):
            await list_gift_cards(world, salon.manager, one, Window(20))
            await count_gift_cards(world, salon.manager, one)
        await get_gift_card_report(world, salon.manager, last_day, last_day)
        rotated = replace(world, codes=CodeKeys((*CodeKeys.of([b"n" * 32]).keys, *world.codes.keys)))
        async for _ in reseal_codes(rotated, salon.tenant_id):
            pass
        async for _ in reseal_codes(replace(world, codes=CodeKeys(rotated.codes.keys[::-1])), salon.tenant_id):
            pass

    async def look(self) -> None:
        """Read everything that people look at, and every relation that a document may ask for."""
        world, salon = self.world, self.salon
        found = await find_customer(world, salon.staff, CustomerKey(external_id="customer-152"))
        assert found is not None
        card = IdentifierKey("CARD", "155")
        for number, key in enumerate(
            (
                *(CustomerKey(id=found.id), CustomerKey(email=found.email), CustomerKey(phone=found.phone)),
                *(CustomerKey(identifier=card), CustomerKey(identifier=card._replace(type=None))),
            )
        ):
            await find_customer(world, salon.staff, key)
            at_purchase = checkout(purchase=f"named-{number}")
            with suppress(LoyaltyError):
                await hold_points(
                    world, salon.integration, HoldRequest(key, 900_000, at_purchase, None, None, f"named-{number}")
                )
            await quote_checkout(world, salon.staff, key, checkout(), None)
            await unlock_tier(world, salon.manager, key)
        await get_me(world, customer_actor(salon.tenant_id, found.id))
        await refresh_actor(world, customer_actor(salon.tenant_id, found.id))
        assert await find_fallen(world, salon.tenant_id, [customer_actor(salon.tenant_id, found.id)]) == set()
        for order_by in CustomerOrder:
            await self._page_of_customers(order_by, PointsFilter.ANY)
        await self._page_of_customers(CustomerOrder.NAME, PointsFilter.AVAILABLE)
        mine = EntryFilter(customer_id=found.id)
        page = await list_activity(world, salon.staff, mine, Window(20))
        place = TimePlace(page[0].occurred_at, page[0].id)
        await list_activity(world, salon.staff, mine, Window(20, place))
        await list_activity(world, salon.manager, EntryFilter(), Window(50, place))
        await find_purchase(world, salon.staff, purchase_id=None, key=(PurchaseKind.ORDER, "day-1"))
        await self._read_reports()
        by_hand = adjustment(1, "at the till", customer="customer-149", location="till")
        await adjust_points(world, salon.manager, by_hand)
        at_till = replace(salon.staff, locations=frozenset({"till"}))
        await list_activity(world, at_till, EntryFilter(), Window(1))
        for counter in (at_till, replace(salon.staff, locations=frozenset({"till", "nowhere"}))):
            for beyond in (None, TimePlace(datetime.now(UTC), found.id)):
                await list_purchases(world, counter, PurchaseFilter(), Window(20, beyond))
                await list_adjustments(world, counter, AdjustmentFilter(), Window(20, beyond))
                await list_holds(world, counter, HoldFilter(), Window(20, beyond))
                await list_redemptions(world, counter, RedemptionFilter(), Window(20, beyond))
        await self._look_through_lists(found.id)
        await self._load_relations()

    async def _read_reports(self) -> None:
        """Read reports of a long range and a short one, for the whole business and at a counter."""
        world, manager = self.world, self.salon.manager
        at_till = replace(self.salon.staff, locations=frozenset({"till"}))
        today = datetime.now(UTC).date()
        month = await get_report(world, manager, today - timedelta(days=30), today)
        report = await get_report(world, manager, date(2023, 1, 1), date(2030, 12, 31))
        for actor in (manager, at_till):
            await load_report_sums(world, actor, [report])
            await load_active_customers(world, actor, [report, month])
            await get_daily_figures(world, actor, month)

    async def _look_through_lists(self, customer_id: CustomerId) -> None:
        """Read pages of what happened, of the tenant and of one customer, and holds and redemptions of one purchase."""
        world, actor, key = self.world, self.salon.manager, PurchaseKey(PurchaseKind.ORDER, "to-be-paid")
        for whose in (None, customer_id):
            await list_purchases(world, actor, PurchaseFilter(whose), Window(20))
            await list_adjustments(world, actor, AdjustmentFilter(whose), Window(20))
            await list_holds(world, actor, HoldFilter(whose), Window(20))
            await list_redemptions(world, actor, RedemptionFilter(whose), Window(20))
            await list_activity(world, actor, EntryFilter(whose), Window(20, ascending=True))
            await count_listed(world, actor, PurchaseFilter(whose))
            await count_listed(world, actor, AdjustmentFilter(whose))
            await count_listed(world, actor, HoldFilter(whose))
            await count_listed(world, actor, RedemptionFilter(whose))
            await count_activity(world, actor, EntryFilter(whose))
        await list_lots(world, actor, LotFilter(customer_id), Window(20, ascending=True))
        spent = await list_redemptions(world, actor, RedemptionFilter(customer_id), Window(1))
        await list_activity(world, actor, EntryFilter(reference_id=spent[0].id), Window(20))
        await list_activity(world, actor, EntryFilter(customer_id, note="kept"), Window(20))
        await count_earning_rules(world, actor, active=True)
        await count_catalog_items(world, actor, kind=None, search="cut")
        await list_catalog_items(world, actor, kind=None, window=Window(20), search="cut")
        await list_holds(world, actor, HoldFilter(purchase=key), Window(20))
        await list_redemptions(world, actor, RedemptionFilter(purchase=key), Window(20))

    async def _page_of_customers(self, order_by: CustomerOrder, having: PointsFilter) -> None:
        await self._narrow_customers(order_by)
        wanted = CustomerFilter(having, None, None)
        page = await list_customers(self.world, self.salon.staff, wanted, order_by, Window(20))
        await list_customers(self.world, self.salon.staff, wanted, order_by, Window(20, page[-1][0]))

    async def _narrow_customers(self, order_by: CustomerOrder) -> None:
        """List customers by what is known of them. Each filter leaves few customers."""
        some = CustomerFilter()
        for wanted in (
            some._replace(tags=("tag-152",)),
            some._replace(categories=["category-152"]),
            some._replace(external_ids=["customer-152", "customer-153"]),
            some._replace(birthdays=(DayOfYear(1, 11), DayOfYear(1, 11)), search="customer-15"),
            some._replace(search="customer-152"),
            some._replace(having=PointsFilter.ANY, archived=True),
        ):
            await list_customers(self.world, self.salon.staff, wanted, order_by, Window(20))
            await count_customers(self.world, self.salon.staff, wanted)

    async def _load_relations(self) -> None:
        loaders = Loaders(self.world, self.salon.owner)
        for name in LOADERS:
            await getattr(loaders, name).load_many(await self._keys(name))

    async def _keys(self, loader: str) -> Sequence[Any]:
        """Return keys that a loader may be asked for: of five rows, where it loads many."""
        if loader in ONE_OF_A_KIND:
            return [None]
        if loader in NAMED:
            return NAMED[loader]
        table, key = LOADED[loader]
        async with self.world.database.tenant_transaction(self.salon.tenant_id) as tx:
            rows = await tx.rows(text(f"SELECT {key} FROM {table} WHERE tenant_id = :current_tenant LIMIT 5"))
        return [row[0] for row in rows]

    async def follow_events(self) -> None:
        """Run batches of the relay, and let readers resume."""
        async with self.relay.engine.begin() as connection:
            await read_relay_lag(connection)
            await position_events(connection, READER_NAMES)
            await register_readers(connection, [*READER_NAMES, FAILING.name])
            await read_lateness_of_readers(connection, READER_NAMES)
            await send_hints(connection, encode_hints([Positioned(self.salon.tenant_id, 1, 1)]))
        newest = await last_position(self.world.database, self.salon.tenant_id)
        assert await last_positions(self.world.database, [self.salon.tenant_id]) == {self.salon.tenant_id: newest}
        everything = EventFilter(kinds=[EventKind.POINTS_EARNED])
        await poll_events(self.world, self.salon.manager, everything, after=newest - 300, limit=50)
        await list_events(self.world.database, self.salon.tenant_id, after=500)
        async with self.world.database.tenant_transaction(self.salon.tenant_id) as tx:
            card = await tx.row(text("SELECT id FROM gift_cards WHERE tenant_id = :current_tenant LIMIT 1"))
        assert card is not None
        subject = Subject(EventSubject.GIFT_CARD, card.id)
        await poll_events(self.world, self.salon.manager, EventFilter(subject=subject), after=0, limit=50)
        for reader in READERS.values():
            async with self.relay.engine.connect() as connection:
                await read_due_logs(connection, reader.name, 100)
            while await advance_reader(self.world.database, self.salon.tenant_id, reader):
                pass
        await self._read_reports()
        with suppress(TurnFailed):
            await advance_reader(self.world.database, self.salon.tenant_id, FAILING)

    async def sweep(self) -> None:
        """Look for due work across tenants, and do the work of this tenant."""
        now = datetime.now(UTC)
        for one in SWEEPS:
            async with self.relay.engine.connect() as connection:
                for moment in (now, now + LATER):
                    await read_due_tenants(connection, one.due, moment, 100)
                await read_lateness(connection, one.due, now)
            if one.name in {
                "holds",
                "gift_card_holds",
                "gift_card_notices",
                "gift_card_expiry",
                "notices",
                "expiry",
                "tiers",
                "retention",
            }:
                await one.work(at(self.world, now + LATER), self.salon.tenant_id)
            await one.work(self.world, self.salon.tenant_id)
        async with self.relay.engine.connect() as connection:
            await read_due_jobs(connection, 100)
            await count_unfinished_jobs(connection)
        await list_tenants(self.relay)

    async def change_tiering(self) -> None:
        """Count tiers by windows from now on: a job recounts everybody, batch by batch."""
        tiering = TierPolicy(basis=TierBasis.EARNED_IN_WINDOW)
        changed = await update_program(
            self.world, self.salon.manager, ProgramEdit(lambda it: replace(it, tiering=tiering), None)
        )
        assert changed.job is not None
        await advance_job(self.world, self.salon.tenant_id, JobId(changed.job.id))
