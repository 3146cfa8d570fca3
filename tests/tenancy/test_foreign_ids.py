"""Another tenant's ids, brought to our own use cases: they are exactly as good as ids that do not exist."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from loyalty.rules.earning import CatalogKind
from loyalty.rules.errors import LoyaltyError
from loyalty.rules.ids import (
    AdjustmentId,
    CustomerId,
    EntryId,
    GiftCardHoldId,
    JobId,
    PurchaseId,
    RuleId,
    TierId,
    TokenId,
)
from loyalty.rules.purchase import PurchaseKind
from loyalty.services.adjustment import adjust_points, load_adjustments
from loyalty.services.api_token import end_api_token, load_api_tokens
from loyalty.services.authentication import refresh_actor
from loyalty.services.catalog import CatalogEdit, upsert_catalog_items
from loyalty.services.customer import (
    CustomerKey,
    find_customer,
    get_me,
    list_activity,
    list_customers,
    load_customers,
    load_entries,
)
from loyalty.services.earning_rule import delete_earning_rule, load_earning_rules, update_earning_rule
from loyalty.services.job import advance_job, load_jobs
from loyalty.services.oauth_client import end_oauth_client, load_oauth_clients
from loyalty.services.purchase import find_purchase, load_accruals, load_purchases
from loyalty.services.secret_change import SecretChange, change_client_secret, change_token_secret
from loyalty.services.tier import change_tier, load_tier_counts, load_tiers, remove_tier
from loyalty.services.tier_lock import TierLockRequest, load_tier_histories, lock_tier, unlock_tier
from loyalty.services.world import World
from loyalty.storage.catalog import CatalogPlace
from loyalty.storage.customer_lists import CustomerFilter
from loyalty.storage.customers import CustomerOrder, PointsFilter
from loyalty.storage.entries import EntryFilter
from loyalty.storage.window import Window
from permissions.actor import Actor, ActorKind, mark_of_secret
from tests.fixtures.snapshots import NothingChanges
from tests.loyalty.services.builders import NOBODY, adjustment, customer_actor, service_item
from tests.loyalty.services.test_api_token import new_hash
from tests.tenancy.neighbours import Neighbour

PAGE: Window[Any] = Window(50)

Use = Callable[[World, Neighbour, Neighbour], Awaitable[object]]


def _customers_in(tier_id: TierId) -> CustomerFilter:
    return CustomerFilter(PointsFilter.ANY, None, tier_id)


def _token_actor(ours: Neighbour, named: Neighbour) -> Actor:
    return Actor(
        kind=ActorKind.API_TOKEN,
        tenant_id=ours.salon.tenant_id,
        subject="token",
        permissions=ours.salon.integration.permissions,
        display="token",
        token_id=TokenId(named.token_id),
        secret_mark=mark_of_secret(named.token_sha256),
    )


USES: dict[str, Use] = {
    "find_customer": lambda w, us, x: find_customer(w, us.salon.owner, CustomerKey(id=x.customer_id)),
    "load_customers": lambda w, us, x: load_customers(w, us.salon.owner, [x.customer_id]),
    "get_me": lambda w, us, x: get_me(w, customer_actor(us.salon.tenant_id, x.customer_id)),
    "list_activity": lambda w, us, x: list_activity(w, us.salon.owner, EntryFilter(customer_id=x.customer_id), PAGE),
    "load_entries": lambda w, us, x: load_entries(w, us.salon.owner, [x.entry_id]),
    "list_customers by tier": lambda w, us, x: list_customers(
        w, us.salon.owner, _customers_in(x.tier_id), CustomerOrder.NAME, PAGE
    ),
    "adjust_points": lambda w, us, x: adjust_points(
        w, us.salon.owner, adjustment(5, "foreign")._replace(customer=CustomerKey(id=x.customer_id))
    ),
    "load_adjustments": lambda w, us, x: load_adjustments(w, us.salon.owner, [x.adjustment_id]),
    "find_purchase": lambda w, us, x: find_purchase(w, us.salon.owner, purchase_id=x.purchase_id, key=None),
    "load_purchases": lambda w, us, x: load_purchases(w, us.salon.owner, [x.purchase_id]),
    "load_accruals": lambda w, us, x: load_accruals(w, us.salon.owner, [x.purchase_id]),
    "load_earning_rules": lambda w, us, x: load_earning_rules(w, us.salon.owner, [x.rule_id]),
    "update_earning_rule": lambda w, us, x: update_earning_rule(w, us.salon.owner, x.rule_id, lambda rule: rule, None),
    "delete_earning_rule": lambda w, us, x: delete_earning_rule(w, us.salon.owner, x.rule_id),
    "load_tiers": lambda w, us, x: load_tiers(w, us.salon.owner, [x.tier_id]),
    "load_tier_counts": lambda w, us, x: load_tier_counts(w, us.salon.owner, [x.tier_id]),
    "change_tier": lambda w, us, x: change_tier(w, us.salon.owner, x.tier_id, lambda tier: tier),
    "remove_tier": lambda w, us, x: remove_tier(w, us.salon.owner, x.tier_id),
    "load_tier_histories": lambda w, us, x: load_tier_histories(w, us.salon.owner, [x.customer_id]),
    "lock_tier of a customer": lambda w, us, x: lock_tier(
        w, us.salon.owner, TierLockRequest(CustomerKey(id=x.customer_id), None, None, None, "foreign")
    ),
    "lock_tier in a tier": lambda w, us, x: lock_tier(
        w, us.salon.owner, TierLockRequest(CustomerKey(id=us.customer_id), x.tier_id, None, None, "foreign")
    ),
    "unlock_tier": lambda w, us, x: unlock_tier(w, us.salon.owner, CustomerKey(id=x.customer_id)),
    "load_jobs": lambda w, us, x: load_jobs(w, us.salon.owner, [x.job_id]),
    "advance_job": lambda w, us, x: advance_job(w, us.salon.tenant_id, x.job_id),
    "load_api_tokens": lambda w, us, x: load_api_tokens(w, us.salon.owner, [x.token_id]),
    "end_api_token": lambda w, us, x: end_api_token(w, us.salon.owner, x.token_id),
    "end_api_token by its secret": lambda w, us, x: end_api_token(w, us.salon.owner, None, x.token_sha256),
    "change_token_secret": lambda w, us, x: change_token_secret(
        w, us.salon.owner, SecretChange(x.token_id, 5), new_hash()
    ),
    "load_oauth_clients": lambda w, us, x: load_oauth_clients(w, us.salon.owner, [x.client_id]),
    "end_oauth_client": lambda w, us, x: end_oauth_client(w, us.salon.owner, x.client_id),
    "change_client_secret": lambda w, us, x: change_client_secret(
        w, us.salon.owner, SecretChange(x.client_id, 5), new_hash()
    ),
    "refreshed_actor of a customer": lambda w, us, x: refresh_actor(
        w, customer_actor(us.salon.tenant_id, x.customer_id)
    ),
    "refreshed_actor of a token": lambda w, us, x: refresh_actor(w, _token_actor(us, x)),
}


async def outcome(use: Use, world: World, ours: Neighbour, named: Neighbour) -> object:
    """Return what a caller gets to know: the answer, or the refusal word by word."""
    try:
        return await use(world, ours, named)
    except LoyaltyError as refusal:
        return type(refusal), refusal.code, refusal.message, refusal.path


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
async def test_their_id_is_as_good_as_none(
    world: World, ours: Neighbour, theirs: Neighbour, nothing_changes: NothingChanges, use: Use
) -> None:
    nobodys = Neighbour(
        salon=theirs.salon,
        customer_id=CustomerId(NOBODY),
        purchase_id=PurchaseId(NOBODY),
        adjustment_id=AdjustmentId(NOBODY),
        entry_id=EntryId(NOBODY),
        rule_id=RuleId(NOBODY),
        tier_id=TierId(NOBODY),
        job_id=JobId(NOBODY),
        token_id=NOBODY,
        token_sha256="",
        card_hold_id=GiftCardHoldId(NOBODY),
        client_id=NOBODY,
    )
    async with nothing_changes(ours.salon.tenant_id), nothing_changes(theirs.salon.tenant_id):
        answer = await outcome(use, world, ours, theirs)
        assert answer == await outcome(use, world, ours, nobodys)
    assert answer in (None, False, {}, []) or (isinstance(answer, tuple) and answer[1] == "NOT_FOUND")


async def test_our_own_ids_do_lead_somewhere(world: World, ours: Neighbour) -> None:
    """So that the uses above fail for the tenant, and for nothing else."""
    nowhere = {
        "lock_tier in a tier",
        "remove_tier",
        "delete_earning_rule",
        "end_api_token",
        "end_api_token by its secret",
        "end_oauth_client",
        "advance_job",
        "adjust_points",
        "change_tier",
    }
    for name, use in USES.items():
        if name not in nowhere:
            assert await use(world, ours, ours), name


async def test_natural_keys_lead_to_our_own_things_only(world: World, ours: Neighbour, theirs: Neighbour) -> None:
    by_key = await find_purchase(world, ours.salon.owner, purchase_id=None, key=(PurchaseKind.ORDER, "order-1"))
    by_name = await find_customer(world, ours.salon.owner, CustomerKey(external_id="anna"))
    assert by_key is not None
    assert by_name is not None
    assert (by_key.id, by_name.id) == (ours.purchase_id, ours.customer_id)
    assert by_key.id != theirs.purchase_id


async def test_removing_from_our_catalogue_leaves_theirs(
    world: World, ours: Neighbour, theirs: Neighbour, nothing_changes: NothingChanges
) -> None:
    async with nothing_changes(theirs.salon.tenant_id):
        edit = CatalogEdit([service_item("haircut")], [CatalogPlace(CatalogKind.SERVICE, "haircut")])
        await upsert_catalog_items(world, ours.salon.owner, edit)
