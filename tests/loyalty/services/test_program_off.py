"""While the program is off nothing new is recorded, but what was booked before still ends."""

from dataclasses import replace

import pytest

from loyalty.rules.errors import FeatureDisabled, InvalidInput
from loyalty.rules.purchase import PurchaseStatus
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import record_purchase, record_purchases
from loyalty.services.purchase_recording import RecordedPurchase
from loyalty.services.world import World
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import earn, one_point_per_euro, order, pay_back

CREATED, CONFIRMED, PAID, COMPLETED, CANCELLED, NO_SHOW, REFUNDED = PurchaseStatus


async def switch_off(world: World, salon: Salon) -> None:
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, enabled=False), None))


@pytest.mark.parametrize("status", [CANCELLED, NO_SHOW, REFUNDED])
async def test_a_purchase_ends_while_the_program_is_off(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, status: PurchaseStatus
) -> None:
    """What was booked before is called off all the same: its points go back, and nothing new is earned."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, order())
    await switch_off(world, salon)
    off = replace(salon.integration, loyalty_enabled=False)
    ended = await record_purchase(world, off, order(status=status))
    assert (ended.purchase.status, ended.customer.points.available) == (status, 0)
    assert (await record_purchase(world, off, order(status=status))).replayed
    unheard = await record_purchase(world, off, order("never heard of", status=status))
    assert (unheard.purchase.status, unheard.accrual) == (status, None)
    for actor in (off, salon.integration):
        with pytest.raises(FeatureDisabled):
            await record_purchase(world, actor, order(status=COMPLETED))
    await ledger_is_sound(salon.tenant_id)


async def test_in_a_batch_only_the_ends_are_taken_while_the_program_is_off(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await earn(world, salon, order())
    await switch_off(world, salon)
    off = replace(salon.integration, loyalty_enabled=False)
    ended, refused = await record_purchases(world, off, [order(status=CANCELLED), order("new")])
    assert isinstance(ended, RecordedPurchase)
    assert isinstance(refused, InvalidInput)
    assert [problem.path for problem in refused.problems] == [("status",)]
    with pytest.raises(FeatureDisabled):
        await record_purchases(world, off, [order("new"), order("newer")])
    await ledger_is_sound(salon.tenant_id)


async def test_a_purchase_is_refunded_while_the_program_is_off(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, order())
    await switch_off(world, salon)
    off = salon._replace(integration=replace(salon.integration, loyalty_enabled=False))
    refunded = await pay_back(world, off, "order-1", 4_000, "a part")
    assert refunded.customer.points.available == 60
    await ledger_is_sound(salon.tenant_id)
