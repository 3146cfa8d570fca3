"""Load relations in batches: each loader reads once for all fields of one operation that ask.

Every relation of the API is declared with ``loaded``, which protects the shared future: graphql-core cancels the
siblings of a failed field, and a cancelled future would fail at all other positions, too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

import strawberry
from strawberry.dataloader import DataLoader

from execution.resolvers import RESOLVE_ALL
from loyalty.rules.catalog import CatalogItem
from loyalty.rules.ids import (
    CustomerId,
)
from loyalty.services.adjustment import load_adjustments
from loyalty.services.api_token import load_api_tokens
from loyalty.services.audit import load_audit_entries
from loyalty.services.browser_session import load_browser_sessions
from loyalty.services.catalog import load_catalog_items, load_line_names
from loyalty.services.customer import (
    CustomerKey,
    find_customer,
    load_customers,
    load_customers_by_external_id,
    load_entries,
)
from loyalty.services.customer_archive import load_archivings
from loyalty.services.customer_merge import load_merges
from loyalty.services.earning_rule import load_catalog_names, load_earning_rules, load_rule_versions
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
from loyalty.services.member import load_members
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
    show_accruals,
)
from loyalty.services.purchase_recording import RecordingResult
from loyalty.services.redemption import load_holds, load_redemptions, load_redemptions_of_holds
from loyalty.services.report import load_active_customers, load_report_sums
from loyalty.services.role import load_roles
from loyalty.services.tier import load_tier_counts, load_tiers
from loyalty.services.tier_lock import load_tier_histories
from loyalty.services.world import World
from loyalty.storage.customers import CustomerRow, PointsRow
from permissions.actor import Actor
from schema.node_ids import RowKey, decode_id

K = TypeVar("K")
V = TypeVar("V")

MAX_BATCH = 500
"""The number of keys of one statement.

A page has 100 rows, so a batch has the keys of more than one page only in nested lists.
"""


def load_by_key(
    load: Callable[[World, Actor, Sequence[K]], Awaitable[Mapping[K, V]]],
) -> "cached_property[DataLoader[K, V | None]]":
    """Return a loader for the rows of each key; None for a key without a row."""

    def make(loaders: "Loaders") -> DataLoader[K, V | None]:
        async def batch(keys: list[K]) -> Sequence[V | None]:
            found = await load(loaders.world, loaders.actor, keys)
            return [found.get(key) for key in keys]

        return DataLoader(batch, max_batch_size=MAX_BATCH)

    return cached_property(make)


def load_once(read: Callable[[World, Actor], Awaitable[V]]) -> "cached_property[DataLoader[None, V]]":
    """Return a loader for a value that a tenant has once; its key is None."""

    def make(loaders: "Loaders") -> DataLoader[None, V]:
        async def batch(keys: list[None]) -> Sequence[V]:
            return [await read(loaders.world, loaders.actor)] * len(keys)

        return DataLoader(batch)

    return cached_property(make)


class Loaders:
    """The loaders of one operation. They read as its actor, so they find only rows that the actor may see.

    Each loader is made at its first use, because an operation uses few of them.
    """

    def __init__(self, world: World, actor: Actor) -> None:
        self.world = world
        self.actor = actor

    accrual_policy = load_once(get_accrual_policy)
    paused_rules = load_once(list_paused_rules)
    program_checks = load_once(check_program)
    program = load_once(get_program)
    tenant = load_once(get_tenant)
    customers = load_by_key(load_customers)
    catalog_items: cached_property[DataLoader[RowKey, CatalogItem | None]] = load_by_key(load_catalog_items)
    customers_by_external_id = load_by_key(load_customers_by_external_id)
    gift_card_gifts = load_by_key(load_gifts)
    gifts_of_cards = load_by_key(load_gifts_of_cards)
    gifts_of_givers = load_by_key(load_gifts_of_givers)
    purchases = load_by_key(load_purchases)
    accruals = load_by_key(load_accruals)
    accruals_by_id = load_by_key(load_accruals_by_id)
    former_valuations = load_by_key(load_former_valuations)
    adjustments = load_by_key(load_adjustments)
    expiry_schedules = load_by_key(load_expiry_schedules)
    lots = load_by_key(load_lots)
    merges = load_by_key(load_merges)
    opening_balances = load_by_key(load_opening_balances)
    refunds = load_by_key(load_refunds)
    purchases_by_key = load_by_key(load_purchases_by_key)
    purchase_histories = load_by_key(load_purchase_histories)
    purchase_entries = load_by_key(load_purchase_entries)
    holds_for = load_by_key(load_holds_for)
    redemptions_for = load_by_key(load_redemptions_for)
    holds = load_by_key(load_holds)
    redemptions = load_by_key(load_redemptions)
    redemptions_of_holds = load_by_key(load_redemptions_of_holds)
    entries = load_by_key(load_entries)
    report_active_customers = load_by_key(load_active_customers)
    report_sums = load_by_key(load_report_sums)
    tiers = load_by_key(load_tiers)
    archivings = load_by_key(load_archivings)
    consents = load_by_key(load_consents)
    tier_histories = load_by_key(load_tier_histories)
    tier_counts = load_by_key(load_tier_counts)
    earning_rules = load_by_key(load_earning_rules)
    rule_versions = load_by_key(load_rule_versions)
    jobs = load_by_key(load_jobs)
    audit_entries = load_by_key(load_audit_entries)
    api_tokens = load_by_key(load_api_tokens)
    catalog_names = load_once(load_catalog_names)
    line_names = load_by_key(load_line_names)
    oauth_clients = load_by_key(load_oauth_clients)
    oidc_issuers = load_by_key(load_oidc_issuers)
    members = load_by_key(load_members)
    roles = load_by_key(load_roles)
    browser_sessions = load_by_key(load_browser_sessions)
    gift_card_products = load_by_key(load_products)
    products_of_cards = load_by_key(load_products_of_cards)
    gift_cards = load_by_key(load_gift_cards)
    gift_card_holds = load_by_key(load_card_holds)
    gift_card_entries = load_by_key(load_card_entries)
    gift_card_entries_of = load_by_key(load_card_entries_of)
    gift_card_holds_of = load_by_key(load_active_holds_of)

    @cached_property
    def points_accounts(self) -> DataLoader[CustomerId, PointsRow | None]:
        """Loads accounts: they come with their customers."""

        async def batch(keys: list[CustomerId]) -> Sequence[PointsRow | None]:
            found = await asyncio.gather(*(self.customers.load(key) for key in keys))
            return [row.points if row else None for row in found]

        return DataLoader(batch)

    @cached_property
    def customers_by_key(self) -> DataLoader[CustomerKey, CustomerRow | None]:
        """Loads customers by the key with which a caller names them."""

        async def batch(keys: list[CustomerKey]) -> Sequence[CustomerRow | None]:
            return await asyncio.gather(*(find_customer(self.world, self.actor, key, "customer") for key in keys))

        return DataLoader(batch)

    def know_accruals(self, recorded: Sequence[RecordingResult]) -> None:
        """Keep the accruals of purchases that were just recorded, so that they are not read again."""
        for purchase_id, accrual in show_accruals(self.actor, recorded).items():
            self.accruals.prime(purchase_id, accrual, force=True)

    def clear(self) -> None:
        """Forget the loaded rows: after a mutation, and before each event of a subscription."""
        for made in vars(self).values():
            if isinstance(made, DataLoader):
                made.clear_all()


LOADERS = tuple(name for name, made in vars(Loaders).items() if isinstance(made, cached_property))
"""The names of all loaders."""


def loaded(loader: str, key: str, *, description: str, many: bool = False) -> Any:
    """Declare a relation: the loader ``loader`` loads it with the row's attribute ``key``. None stays null.

    With ``many`` the loader returns lists, and a missing list becomes an empty one.
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
    """Load the row of a global id of one type; None for an id of another type, or for an unknown id."""
    found = decode_id(text)
    return await load(info, loader, found.id) if found and found.type_name == type_name else None


async def load(info: Any, loader: str, key: Any) -> Any:
    """Load one value through a loader of the operation."""
    return await asyncio.shield(getattr(info.context.loaders, loader).load(key))


async def load_all(info: Any, loader: str, keys: Sequence[Any]) -> list[Any]:
    """Load values for a whole list of keys, with an exception in the place of a value that failed; None stays None.

    Waiting cancels no future, so other waiters still get theirs.
    """
    source = getattr(info.context.loaders, loader)
    futures = {key: source.load(key) for key in dict.fromkeys(keys) if key is not None}
    for future in futures.values():
        # A batch brings all of its futures at once, so this waits about once for each batch.
        if not future.done():
            await asyncio.wait((future,))
    found = {key: future.exception() or future.result() for key, future in futures.items()}
    return [found.get(key) for key in keys]
