"""Wrong look-ups of customers by phone and the like are limited, in each use case and for all processes together."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.customer_lookup import LOOKUP_WINDOW, MAX_WRONG_LOOKUPS, MAX_WRONG_LOOKUPS_OF_READER
from loyalty.rules.errors import NotFound
from loyalty.rules.gift_card import GiftCardOrigin
from loyalty.rules.gift_card_errors import TooManyWrongCodes
from loyalty.rules.identifier import IdentifierKey
from loyalty.rules.ids import CustomerId, GiftCardProductId
from loyalty.rules.money import Money
from loyalty.rules.purchase import PurchaseKind
from loyalty.services import customer_lookup
from loyalty.services.adjustment import adjust_points
from loyalty.services.checkout import Quote, quote_checkout
from loyalty.services.customer import CustomerKey, find_customer, get_customer
from loyalty.services.customer_archive import archive_customer, unarchive_customer
from loyalty.services.customer_erase import EraseRequest, erase_customer
from loyalty.services.customer_export import export_customer
from loyalty.services.customer_merge import MergeRequest, merge_customers
from loyalty.services.customer_token import CustomerTokenRequest, grant_customer_token
from loyalty.services.full_windows import MAX_REMEMBERED_WINDOWS, FullWindows
from loyalty.services.gift_card_buy import BuyRequest, buy_gift_card
from loyalty.services.gift_card_issue import IssueRequest, issue_gift_card
from loyalty.services.hold import HoldRequest
from loyalty.services.purchase_change import PurchaseName
from loyalty.services.purchase_reassign import ReassignRequest, reassign_purchase
from loyalty.services.redemption import hold_points
from loyalty.services.revocation import revoke_tokens_of_customer
from loyalty.services.tier_lock import TierLockRequest, lock_tier, unlock_tier
from loyalty.services.world import World
from loyalty.storage.points_paid import PurchaseKey
from permissions.actor import Actor
from permissions.catalog import Permission
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOON,
    adjustment,
    at,
    checkout,
    customer_actor,
    earn,
    known_customer,
    order,
    set_redemption,
)

PHONE = "+436601234567"
ANNA = CustomerKey(phone=PHONE)
NOBODY = [
    CustomerKey(phone="+4366099"),
    CustomerKey(email="no@body.example"),
    CustomerKey(identifier=IdentifierKey(None, "1")),
]
Use = Callable[[World, Actor, CustomerKey], Awaitable[Any]]
BY_ID = CustomerKey(external_id="ben")
CART = PurchaseKey(PurchaseKind.ORDER, "cart")
SOLD = PurchaseName(key=PurchaseKey(PurchaseKind.ORDER, "order-1"))


async def _quote(world: World, by: Actor, key: CustomerKey) -> Quote:
    """Ask for a quote. It shows nothing of a customer who is not there."""
    quote = await quote_checkout(world, by, key, checkout(), None)
    if quote.loyalty is None:
        raise NotFound("customer", ("customer",))
    return quote


USES: dict[str, Use] = {
    "find": lambda world, by, key: get_customer(world, by, key, "by"),
    "export": lambda world, by, key: export_customer(world, by, key, None, 10),
    "quote": _quote,
    "hold": lambda world, by, key: hold_points(
        world, by, HoldRequest(key, 1, checkout()._replace(purchase=CART), None, None, "k")
    ),
    "adjust": lambda world, by, key: adjust_points(world, by, adjustment(1)._replace(customer=key)),
    "lock tier": lambda world, by, key: lock_tier(world, by, TierLockRequest(key, None, None, None, "k")),
    "unlock tier": unlock_tier,
    "archive": lambda world, by, key: archive_customer(world, by, key, None),
    "unarchive": lambda world, by, key: unarchive_customer(world, by, key, None),
    "erase": lambda world, by, key: erase_customer(world, by, EraseRequest(key, "k")),
    "merge from": lambda world, by, key: merge_customers(world, by, MergeRequest(key, BY_ID, None, "k")),
    "merge into": lambda world, by, key: merge_customers(world, by, MergeRequest(BY_ID, key, None, "k")),
    "reassign": lambda world, by, key: reassign_purchase(world, by, ReassignRequest(SOLD, key, None, "k")),
    "issue": lambda world, by, key: issue_gift_card(
        world, by, IssueRequest(GiftCardOrigin.GOODWILL, Money(1_000, "EUR"), "k", customer=key, reason="sorry")
    ),
    "buy": lambda world, by, key: buy_gift_card(world, by, BuyRequest(key, GiftCardProductId(uuid7()), "k")),
    "sign in": lambda world, by, key: grant_customer_token(world, by, CustomerTokenRequest(key, 10)),
    "sign out": revoke_tokens_of_customer,
}


@pytest.fixture
async def anna(world: World, salon: Salon) -> CustomerId:
    """Provide somebody with a telephone number, and points."""
    await set_redemption(world, salon)
    profile = CustomerProfile("anna", phone=PHONE)
    recorded = await earn(world, salon, order("order-1")._replace(customer=profile))
    await known_customer(world, salon, "ben")
    return recorded.customer.id


def counter(salon: Salon) -> Actor:
    """Return a system that spends points, and may not read who there is."""
    return replace(salon.integration, permissions=frozenset({Permission.REDEMPTIONS_MANAGE}))


async def is_looked_at(world: World, by: Actor, key: CustomerKey, use: Use = USES["quote"]) -> bool:
    """Tell whether a look-up was tried, whatever came of it."""
    try:
        await use(world, by, key)
    except TooManyWrongCodes:
        return False
    except NotFound:
        return True
    return True


@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_each_use_case_counts_wrong_names_and_then_refuses_right_ones(
    world: World, salon: Salon, anna: CustomerId, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customer_lookup, "MAX_WRONG_LOOKUPS_OF_READER", len(NOBODY))
    for key in NOBODY:
        with pytest.raises(NotFound):
            await use(world, salon.owner, key)
    for key in (ANNA, NOBODY[0]):
        with pytest.raises(TooManyWrongCodes):
            await use(world, salon.owner, key)
    assert await find_customer(world, salon.owner, CustomerKey(id=anna), "by"), "an id cannot be guessed"
    assert await find_customer(world, salon.manager, ANNA, "by"), "everybody has a window of their own"


@pytest.mark.usefixtures("anna")
async def test_a_caller_who_reads_no_customers_has_a_hundred_wrong_names(world: World, salon: Salon) -> None:
    noon, by = at(world, NOON), counter(salon)
    assert MAX_WRONG_LOOKUPS < MAX_WRONG_LOOKUPS_OF_READER
    for _ in range(MAX_WRONG_LOOKUPS):
        assert await is_looked_at(noon, by, NOBODY[0])
    with pytest.raises(TooManyWrongCodes) as refused:
        await quote_checkout(at(world, NOON + timedelta(minutes=5)), by, ANNA, checkout(), None)
    assert (refused.value.retry_at, refused.value.path) == (NOON + LOOKUP_WINDOW, ("customer",))
    assert not await is_looked_at(at(world, NOON + LOOKUP_WINDOW - timedelta(microseconds=1)), by, ANNA)
    assert await is_looked_at(at(world, NOON + LOOKUP_WINDOW), by, ANNA)
    assert await is_looked_at(at(world, NOON + LOOKUP_WINDOW), by, NOBODY[0])


@pytest.mark.usefixtures("anna")
async def test_a_customer_has_a_hundred_wrong_names_too(world: World, salon: Salon) -> None:
    """Others are nobody for a customer, so their real names count as wrong ones, too."""
    by = customer_actor(salon.tenant_id, CustomerId(uuid7()))
    asked = [await is_looked_at(world, by, key) for key in [ANNA, NOBODY[0]] * (MAX_WRONG_LOOKUPS // 2)]
    assert all(asked)
    assert not await is_looked_at(world, by, ANNA)


@pytest.mark.usefixtures("anna")
async def test_names_that_come_at_once_are_counted_in_all_processes(
    world: World, salon: Salon, database_urls: DatabaseUrls
) -> None:
    """Aliases of one document, many requests, several processes."""
    elsewhere = Database(database_urls.app, pool_size=5)
    try:
        other = replace(world, database=elsewhere, full_lookups=FullWindows())
        by = counter(salon)
        asked = await asyncio.gather(*(is_looked_at(one, by, NOBODY[0]) for one in (world, other) for _ in range(75)))
        assert sum(asked) == MAX_WRONG_LOOKUPS
        late = [await is_looked_at(one, by, key) for one in (world, other) for key in (NOBODY[0], ANNA)]
        assert late == [False] * 4
    finally:
        await elsewhere.close()


@pytest.mark.usefixtures("anna")
async def test_a_process_hears_of_a_full_window_with_its_next_wrong_name(
    world: World, salon: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customer_lookup, "MAX_WRONG_LOOKUPS", 1)
    other, by = replace(world, full_lookups=FullWindows()), counter(salon)
    assert await is_looked_at(world, by, NOBODY[0])
    assert [await is_looked_at(other, by, key) for key in (ANNA, NOBODY[0], ANNA)] == [True, False, False]


@pytest.mark.usefixtures("anna")
async def test_a_right_name_costs_no_statement_more(world: World, salon: Salon, statements: StatementLog) -> None:
    with statements() as sent:
        assert await find_customer(world, salon.manager, ANNA, "by")
    assert len(sent) == 1


def test_a_process_forgets_the_oldest_of_too_many_full_windows() -> None:
    windows = FullWindows()
    tenant: Any = uuid7()
    for number in range(MAX_REMEMBERED_WINDOWS + 1):
        windows.remember(tenant, str(number), NOON)
    found = [windows.find_end(tenant, name, NOON - LOOKUP_WINDOW) for name in ("0", "1", str(MAX_REMEMBERED_WINDOWS))]
    assert found == [None, NOON, NOON]
    assert windows.find_end(tenant, "1", NOON) is None


def test_every_use_case_that_looks_up_names_limits_it() -> None:
    """A new use case that finds a customer in its transaction is limited, too."""
    finds = ("resolve_customer", "resolve_shared_name", "prepare_customer", "prepare_hold")
    services = Path(customer_lookup.__file__).parent
    sources = {path.name: path.read_text("utf-8") for path in services.glob("*.py")}
    looking = {name for name, source in sources.items() if any(one in source for one in finds)}
    assert len(looking) > len(finds)
    assert {name for name in looking if "limit_lookups(" not in sources[name]} == set()
