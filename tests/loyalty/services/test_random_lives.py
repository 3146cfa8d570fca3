"""Random lives of a salon under random policies: whatever happens in whatever order, the ledger adds up."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import FORFEITABLE, AccrualPolicy, EvaluateOn, MatureOn
from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.errors import LoyaltyError
from loyalty.rules.purchase import PurchaseStatus
from loyalty.services.adjustment import adjust_points
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.job import advance_job
from loyalty.services.maturing import mature_due
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import record_purchases
from loyalty.services.tier import create_tier
from loyalty.services.world import World
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOON, adjustment, at, one_point_per_euro, order

STEPS = 12
CUSTOMERS = ("anna", "ben", "cem")


def any_policy(dice: random.Random) -> AccrualPolicy:
    """When points come, when they can be spent, and when they go again."""
    return AccrualPolicy(
        evaluate_on=dice.choice(list(EvaluateOn)),
        mature_on=dice.choice(list(MatureOn)),
        delay_minutes=dice.choice([0, 60, 24 * 60]),
        forfeit_on=frozenset(status for status in FORFEITABLE if dice.random() < 0.8),
        debt=dice.choice(list(Overdraft)),
    )


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_the_ledger_adds_up(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, seed: int
) -> None:
    """F-05, F-06, F-08, F-09, F-36."""
    dice = random.Random(seed)  # noqa: S311 - a life that can be lived again
    now = NOON
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    for name, minimum in (("Silver", 50), ("Gold", 150)):
        changed = await create_tier(world, salon.manager, name, "#C0C0C0", minimum)
        await advance_job(world, salon.tenant_id, changed.job.id)
    for step in range(STEPS):
        now += timedelta(minutes=dice.choice([1, 30, 600]))
        then = at(world, now)
        if dice.random() < 0.4:
            change = ProgramEdit(lambda it: replace(it, accrual=any_policy(dice)), None)
            await update_program(then, salon.manager, change)
        batch = [
            order(
                f"order-{number}",
                100 * dice.randrange(1, 60) if dice.random() < 0.2 else 100 * number,
                customer=CUSTOMERS[number % 3],
                status=dice.choice(list(PurchaseStatus)),
                ends_at=dice.choice([None, NOON, now + timedelta(hours=3)]),
                staff=dice.choice([None, "mia"]),
            )
            for number in dice.choices(range(1, 25), k=dice.choice([1, 3, 12]))
        ]
        await record_purchases(then, salon.integration, batch)
        for number in range(dice.randrange(3)):
            request = adjustment(
                dice.randrange(-80, 40) or 1,
                f"key-{step}-{number}",
                customer=dice.choice(CUSTOMERS),
                reason=dice.choice(list(AdjustmentReason)),
                overdraft=dice.choice(list(Overdraft)),
            )
            try:
                await adjust_points(then, salon.manager, request)
            except LoyaltyError:
                continue
        await mature_due(then, salon.tenant_id)
        await ledger_is_sound(salon.tenant_id)
