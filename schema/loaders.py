"""Relations, loaded in batches: each loader reads once for all the fields of one operation that ask.

Every relation of the API is declared with ``loaded``. It shields the shared future: graphql-core cancels the siblings
of a failed field, and a cancelled future would take the other positions with it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import strawberry
from strawberry.dataloader import DataLoader

from execution.resolvers import RESOLVE_ALL
from loyalty.rules.accrual import AccrualPolicy
from loyalty.rules.earning import CatalogItem
from loyalty.rules.ids import (
    AccrualId,
    AdjustmentId,
    CustomerId,
    CustomerMergeId,
    EntryId,
    GiftCardEntryId,
    GiftCardGiftId,
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
)
from loyalty.rules.nothing_earned import PausedRule
from loyalty.rules.program_checks import ProgramCheck
from loyalty.services.adjustment import load_adjustments
from loyalty.services.api_token import load_api_tokens
from loyalty.services.audit import load_audit_entries
from loyalty.services.catalog import load_catalog_items
from loyalty.services.customer import (
    CustomerKey,
    find_customer,
    load_customers,
    load_customers_by_external_id,
    load_entries,
)
from loyalty.services.customer_archive import load_archivings
from loyalty.services.customer_merge import load_merges
from loyalty.services.earning_rule import CatalogNames, load_catalog_names, load_earning_rules, load_rule_versions
from loyalty.services.expiry import load_expiry_schedules, load_lots
from loyalty.services.gift_card import load_gift_cards
from loyalty.services.gift_card_gift import load_gifts, load_gifts_of_cards, load_gifts_of_givers
from loyalty.services.gift_card_listing import (
    load_active_holds_of,
    load_card_entries,
    load_card_entries_of,
    load_card_holds,
)
from loyalty.services.gift_card_product import load_products, load_products_of_cards
from loyalty.services.job import load_jobs
from loyalty.services.listing import (
    load_holds_for,
    load_purchase_entries,
    load_purchase_histories,
    load_purchases_by_key,
    load_redemptions_for,
)
from loyalty.services.nothing_earned import get_accrual_policy, list_paused_rules
from loyalty.services.oauth_client import load_oauth_clients
from loyalty.services.oidc_issuer import load_oidc_issuers
from loyalty.services.opening_balance import load_opening_balances
from loyalty.services.profile import load_consents
from loyalty.services.program import check_program, get_program, get_tenant
from loyalty.services.purchase import (
    load_accruals,
    load_accruals_by_id,
    load_former_valuations,
    load_purchases,
    load_refunds,
)
from loyalty.services.redemption import load_holds, load_redemptions, load_redemptions_of_holds
from loyalty.services.tier import load_tier_counts, load_tiers
from loyalty.services.tier_lock import load_tier_histories
from loyalty.services.world import World
from loyalty.storage.accruals import AccrualRow, FormerValuationRow
from loyalty.storage.adjustments import AdjustmentRow
from loyalty.storage.api_tokens import ApiTokenRow
from loyalty.storage.audit import AuditRow
from loyalty.storage.consents import ConsentRow
from loyalty.storage.customer_archivings import ArchivingRow
from loyalty.storage.customer_merges import MergeRow
from loyalty.storage.customers import CustomerRow, PointsRow
from loyalty.storage.earning_rule_versions import RuleVersionRow
from loyalty.storage.earning_rules import EarningRuleRow
from loyalty.storage.entries import EntryRow
from loyalty.storage.expiry import ExpiringRow, LotRow
from loyalty.storage.gift_card_gifts import GiftRow
from loyalty.storage.gift_card_holds import GiftCardHoldRow
from loyalty.storage.gift_card_products import GiftCardProductRow
from loyalty.storage.gift_cards import GiftCardEntryRow, GiftCardRow
from loyalty.storage.holds import HoldRow
from loyalty.storage.jobs import JobRow
from loyalty.storage.oauth_clients import OAuthClientRow
from loyalty.storage.oidc_issuers import OidcIssuerRow
from loyalty.storage.opening_balances import OpeningBalanceRow
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.programs import ProgramRow
from loyalty.storage.purchase_relations import PurchaseFactRow
from loyalty.storage.purchases import PurchaseRow
from loyalty.storage.redemptions import RedemptionRow
from loyalty.storage.refunds import RefundRow
from loyalty.storage.tenants import TenantRow
from loyalty.storage.tiers import TierChangeRow, TierRow
from permissions.actor import Actor
from schema.node_ids import RowKey, decode_id

K = TypeVar("K")
V = TypeVar("V")

MAX_BATCH = 500
"""Keys of one statement; a page has 100 rows, so a batch is more than one page only in nested lists."""


class Loaders:
    """The loaders of one operation. They read as its actor, so they find what the actor may see and nothing else."""

    def __init__(self, world: World, actor: Actor) -> None:  # noqa: PLR0915 - one statement for each loader
        def by_id(load: Callable[[World, Actor, Sequence[K]], Awaitable[Mapping[K, V]]]) -> DataLoader[K, V | None]:
            async def batch(keys: list[K]) -> Sequence[V | None]:
                found = await load(world, actor, keys)
                return [found.get(key) for key in keys]

            return DataLoader(batch, max_batch_size=MAX_BATCH)

        def once(read: Callable[[World, Actor], Awaitable[V]]) -> DataLoader[None, V]:
            async def batch(keys: list[None]) -> Sequence[V]:
                return [await read(world, actor)] * len(keys)

            return DataLoader(batch)

        async def accounts(keys: list[CustomerId]) -> Sequence[PointsRow | None]:
            found = await asyncio.gather(*(self.customers.load(key) for key in keys))
            return [row.points if row else None for row in found]

        async def named_customers(keys: list[CustomerKey]) -> Sequence[CustomerRow | None]:
            return await asyncio.gather(*(find_customer(world, actor, key, "customer") for key in keys))

        self.accrual_policy: DataLoader[None, AccrualPolicy] = once(get_accrual_policy)
        self.paused_rules: DataLoader[None, list[PausedRule]] = once(list_paused_rules)
        self.program_checks: DataLoader[None, list[ProgramCheck]] = once(check_program)
        self.program: DataLoader[None, ProgramRow] = once(get_program)
        self.tenant: DataLoader[None, TenantRow] = once(get_tenant)
        self.customers: DataLoader[CustomerId, CustomerRow | None] = by_id(load_customers)
        self.points_accounts: DataLoader[CustomerId, PointsRow | None] = DataLoader(accounts)
        self.catalog_items: DataLoader[RowKey, CatalogItem | None] = by_id(load_catalog_items)
        self.customers_by_external_id: DataLoader[str, CustomerRow | None] = by_id(load_customers_by_external_id)
        self.customers_by_key: DataLoader[CustomerKey, CustomerRow | None] = DataLoader(named_customers)
        self.gift_card_gifts: DataLoader[GiftCardGiftId, GiftRow | None] = by_id(load_gifts)
        self.gifts_of_cards: DataLoader[GiftCardId, list[GiftRow] | None] = by_id(load_gifts_of_cards)
        self.gifts_of_givers: DataLoader[CustomerId, list[GiftRow] | None] = by_id(load_gifts_of_givers)
        self.purchases: DataLoader[PurchaseId, PurchaseRow | None] = by_id(load_purchases)
        self.accruals: DataLoader[PurchaseId, AccrualRow | None] = by_id(load_accruals)
        self.accruals_by_id: DataLoader[AccrualId, AccrualRow | None] = by_id(load_accruals_by_id)
        self.former_valuations: DataLoader[AccrualId, list[FormerValuationRow] | None] = by_id(load_former_valuations)
        self.adjustments: DataLoader[AdjustmentId, AdjustmentRow | None] = by_id(load_adjustments)
        self.expiry_schedules: DataLoader[CustomerId, list[ExpiringRow] | None] = by_id(load_expiry_schedules)
        self.lots: DataLoader[LotId, LotRow | None] = by_id(load_lots)
        self.merges: DataLoader[CustomerMergeId, MergeRow | None] = by_id(load_merges)
        self.opening_balances: DataLoader[OpeningBalanceId, OpeningBalanceRow | None] = by_id(load_opening_balances)
        self.refunds: DataLoader[PurchaseId, list[RefundRow] | None] = by_id(load_refunds)
        self.purchases_by_key: DataLoader[PurchaseKey, PurchaseRow | None] = by_id(load_purchases_by_key)
        self.purchase_histories: DataLoader[PurchaseId, list[PurchaseFactRow] | None] = by_id(load_purchase_histories)
        self.purchase_entries: DataLoader[PurchaseId, list[EntryRow] | None] = by_id(load_purchase_entries)
        self.holds_for: DataLoader[PurchaseKey, list[HoldRow] | None] = by_id(load_holds_for)
        self.redemptions_for: DataLoader[PurchaseKey, list[RedemptionRow] | None] = by_id(load_redemptions_for)
        self.holds: DataLoader[HoldId, HoldRow | None] = by_id(load_holds)
        self.redemptions: DataLoader[RedemptionId, RedemptionRow | None] = by_id(load_redemptions)
        self.redemptions_of_holds: DataLoader[HoldId, RedemptionRow | None] = by_id(load_redemptions_of_holds)
        self.entries: DataLoader[EntryId, EntryRow | None] = by_id(load_entries)
        self.tiers: DataLoader[TierId, TierRow | None] = by_id(load_tiers)
        self.archivings: DataLoader[CustomerId, list[ArchivingRow] | None] = by_id(load_archivings)
        self.consents: DataLoader[CustomerId, list[ConsentRow] | None] = by_id(load_consents)
        self.tier_histories: DataLoader[CustomerId, list[TierChangeRow] | None] = by_id(load_tier_histories)
        self.tier_counts: DataLoader[TierId, int | None] = by_id(load_tier_counts)
        self.earning_rules: DataLoader[RuleId, EarningRuleRow | None] = by_id(load_earning_rules)
        self.rule_versions: DataLoader[RuleId, list[RuleVersionRow] | None] = by_id(load_rule_versions)
        self.jobs: DataLoader[JobId, JobRow | None] = by_id(load_jobs)
        self.audit_entries: DataLoader[Any, AuditRow | None] = by_id(load_audit_entries)
        self.api_tokens: DataLoader[Any, ApiTokenRow | None] = by_id(load_api_tokens)
        self._read_gift_cards(by_id)
        self.catalog_names: DataLoader[None, CatalogNames] = once(load_catalog_names)
        self.oauth_clients: DataLoader[Any, OAuthClientRow | None] = by_id(load_oauth_clients)
        self.oidc_issuers: DataLoader[Any, OidcIssuerRow | None] = by_id(load_oidc_issuers)

    def _read_gift_cards(self, by_id: Any) -> None:
        """Products, cards, and what belongs to a card."""
        self.gift_card_products: DataLoader[GiftCardProductId, GiftCardProductRow | None] = by_id(load_products)
        self.products_of_cards: DataLoader[GiftCardProductId, GiftCardProductRow | None] = by_id(load_products_of_cards)
        self.gift_cards: DataLoader[GiftCardId, GiftCardRow | None] = by_id(load_gift_cards)
        self.gift_card_holds: DataLoader[GiftCardHoldId, GiftCardHoldRow | None] = by_id(load_card_holds)
        self.gift_card_entries: DataLoader[GiftCardEntryId, GiftCardEntryRow | None] = by_id(load_card_entries)
        self.gift_card_entries_of: DataLoader[GiftCardId, list[GiftCardEntryRow] | None] = by_id(load_card_entries_of)
        self.gift_card_holds_of: DataLoader[GiftCardId, list[GiftCardHoldRow] | None] = by_id(load_active_holds_of)

    def clear(self) -> None:
        """Forget what was loaded: after a mutation, and before each event of a subscription."""
        for loader in vars(self).values():
            loader.clear_all()


def loaded(loader: str, key: str, *, description: str, many: bool = False) -> Any:
    """Declare a relation: the row's attribute ``key`` names what the loader ``loader`` brings; None stays null.

    With ``many`` the loader brings lists, and no list is an empty one.
    """

    async def resolve(root: Any, info: strawberry.Info) -> Any:
        value = getattr(root, key)
        found = None if value is None else await load(info, loader, value)
        return [] if many and found is None else found

    async def resolve_all(rows: list[Any], info: strawberry.Info) -> list[Any]:
        found = await load_all(info, loader, [getattr(row, key) for row in rows])
        return [[] if one is None else one for one in found] if many else found

    return strawberry.field(resolver=resolve, description=description, metadata={RESOLVE_ALL: resolve_all})


async def load_node(info: Any, text: str, type_name: str, loader: str) -> Any:
    """Load what a global id of one type names; None for an id of another type, or of none."""
    found = decode_id(text)
    return await load(info, loader, found.id) if found and found.type_name == type_name else None


async def load(info: Any, loader: str, key: Any) -> Any:
    """Load one value through a loader of the operation."""
    return await asyncio.shield(getattr(info.context.loaders, loader).load(key))


async def load_all(info: Any, loader: str, keys: Sequence[Any]) -> list[Any]:
    """Load for a whole list: what each key brings, or the exception that took its place; None stays None.

    Waiting cancels no future, so whoever else waits for one keeps it.
    """
    source = getattr(info.context.loaders, loader)
    futures = {key: source.load(key) for key in dict.fromkeys(keys) if key is not None}
    for future in futures.values():
        # A batch brings all of its futures at once, so this waits about once for each batch.
        if not future.done():
            await asyncio.wait((future,))
    found = {key: future.exception() or future.result() for key, future in futures.items()}
    return [found.get(key) for key in keys]
