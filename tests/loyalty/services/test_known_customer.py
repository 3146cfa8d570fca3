"""A report that tells nothing about a known customer locks the customer, and writes nothing about them."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from loyalty.rules.customer import CustomerProfile
from loyalty.services.customer import CustomerKey
from loyalty.services.customer_erase import EraseRequest, erase_customer
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.purchase import record_purchase, record_purchases
from loyalty.services.purchase_recording import RecordedPurchase
from loyalty.services.world import World
from loyalty.storage.accounts import lock_known_customers
from tenancy.retry import StaleRead
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import merge, order, rule

VERSION_OF = text(
    "SELECT customers.xmin::text || ' ' || customers.ctid::text AS version FROM customers "
    "WHERE tenant_id = :tenant ::uuid AND external_id = 'anna'"
)
CROWD = 20


async def read_version(world: World, salon: Salon) -> str:
    """The version of Anna's row as PostgreSQL counts it."""
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        row = await tx.row(VERSION_OF, tenant=str(salon.tenant_id))
    assert row is not None
    version: str = row.version
    return version


async def test_writes_no_row_of_a_customer_of_whom_nothing_is_told(world: World, salon: Salon) -> None:
    await record_purchase(world, salon.integration, order("order-1"))
    before = await read_version(world, salon)
    await record_purchase(world, salon.integration, order("order-2"))
    await record_purchases(world, salon.integration, [order("order-3"), order("order-4")])
    assert await read_version(world, salon) == before


async def test_writes_what_is_told_of_a_known_customer(world: World, salon: Salon) -> None:
    await record_purchase(world, salon.integration, order("order-1"))
    before = await read_version(world, salon)
    told = await record_purchase(
        world, salon.integration, order("order-2", customer=CustomerProfile("anna", full_name="Anna"))
    )
    assert told.customer.full_name == "Anna"
    assert await read_version(world, salon) != before
    untold = await record_purchase(world, salon.integration, order("order-3"))
    assert untold.customer.full_name == "Anna"


async def test_credits_the_target_of_a_merged_customer(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await create_earning_rule(world, salon.manager, rule(10))
    await record_purchase(world, salon.integration, order("order-1", customer="anna"))
    await merge(world, salon, "anna", "berta", "merge-1")
    recorded = await record_purchase(world, salon.integration, order("order-3", customer="anna"))
    assert recorded.customer.external_id == "berta"
    # Berta came by a purchase of her own.
    assert recorded.customer.points.available == 30
    await ledger_is_sound(salon.tenant_id)


async def test_begins_again_when_a_customer_is_gone_under_the_lock(world: World, salon: Salon) -> None:
    await record_purchase(world, salon.integration, order("order-1"))
    with pytest.raises(StaleRead):
        async with world.database.tenant_transaction(salon.tenant_id) as tx:
            await lock_known_customers(tx, {"anna", "berta"})


async def test_gives_the_name_of_an_erased_customer_to_a_new_one(world: World, salon: Salon) -> None:
    first = await record_purchase(world, salon.integration, order("order-1"))
    await erase_customer(world, salon.owner, EraseRequest(CustomerKey(external_id="anna"), "erase-1"))
    second = await record_purchase(world, salon.integration, order("order-2"))
    assert second.customer.id != first.customer.id
    assert second.customer.external_id == "anna"


async def test_batches_that_name_customers_in_another_order_do_not_stop_each_other(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await create_earning_rule(world, salon.manager, rule(10))
    names = [f"customer-{number}" for number in range(CROWD)]
    await record_purchases(world, salon.integration, [order(f"first-{name}", customer=name) for name in names])
    told = [CustomerProfile(name, full_name=name) for name in reversed(names)]
    batches = [
        [order(f"untold-{name}", customer=name) for name in names],
        [order(f"told-{one.external_id}", customer=one) for one in told],
        [order(f"again-{name}", customer=name) for name in reversed(names)],
        [order(f"category-{one.external_id}", customer=replace(one, category="regular")) for one in told],
    ]
    recorded = await asyncio.gather(*(record_purchases(world, salon.integration, batch) for batch in batches))
    assert all(isinstance(result, RecordedPurchase) for results in recorded for result in results)
    await ledger_is_sound(salon.tenant_id)
