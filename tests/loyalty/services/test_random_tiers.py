"""Random lives under random tier policies: whatever happens, and however time passes, every tier has its reason."""

import random
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from loyalty.rules.account import Overdraft
from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.errors import LoyaltyError
from loyalty.rules.expiry import Period
from loyalty.rules.ids import TierId
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.tiers import MAX_GRACE_DAYS, Downgrade, TierBasis, TierPolicy
from loyalty.services.adjustment import adjust_points
from loyalty.services.customer import CustomerKey
from loyalty.services.customer_merge import MergeRequest, merge_customers
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.job import advance_job
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import record_purchase
from loyalty.services.tier import create_tier
from loyalty.services.tier_lock import TierLockRequest, lock_tier, unlock_tier
from loyalty.services.tier_review import review_due
from loyalty.services.world import World
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOON, adjustment, at, bring_along, one_point_per_euro, order

STEPS = 40
CUSTOMERS = ("anna", "ben", "cem", "dora")


def any_policy(dice: random.Random) -> TierPolicy:
    """Return any tier policy."""
    window = dice.choice(list(Period))
    grace_days = dice.choice([0, 0, dice.randrange(MAX_GRACE_DAYS[window])])
    return TierPolicy(
        dice.choice([*TierBasis, TierBasis.EARNED_IN_WINDOW]), window, dice.choice(list(Downgrade)), grace_days
    )


class Life:
    """A few customers of a salon, with whom things happen one after another."""

    def __init__(self, world: World, salon: Salon, seed: int) -> None:
        self.world, self.salon = world, salon
        self.dice = random.Random(seed)  # noqa: S311 - a life that can be lived again
        self.now = NOON
        self.step = 0
        self.tiers: list[TierId] = []
        self.bought: dict[str, tuple[int, str]] = {}

    async def begin(self) -> None:
        """Set a point per euro, and create three tiers."""
        await create_earning_rule(self.then, self.salon.manager, one_point_per_euro())
        for name, minimum in (("Regular", 0), ("Silver", 50), ("Gold", 150)):
            changed = await create_tier(self.then, self.salon.manager, name, "#C0C0C0", minimum)
            await advance_job(self.then, self.salon.tenant_id, changed.job.id)
            self.tiers.append(changed.tier.id)

    @property
    def then(self) -> World:
        """Return the world with the clock of this step."""
        return at(self.world, self.now)

    async def go_on(self) -> None:
        """Do one thing, some time later. What is refused has not happened."""
        self.step += 1
        self.now += timedelta(days=self.dice.choice([0, 1, 9, 40, 40, 40, 100, 400]), minutes=1)
        happens = (
            self.change,
            self.buy,
            self.buy,
            self.call_off,
            self.call_off,
            self.adjust,
            self.lock,
            self.unlock,
            self.merge,
        )
        with suppress(LoyaltyError):
            await self.dice.choice(happens)(self.dice.choice(CUSTOMERS))

    async def change(self, customer: str) -> None:
        """Set another tier policy. Sometimes somebody does something before the job has ended."""
        policy = any_policy(self.dice)
        edit = ProgramEdit(lambda it: replace(it, tiering=policy), None)
        _, job, _ = await update_program(self.then, self.salon.manager, edit)
        if self.dice.random() < 0.5:
            await self.buy(customer)
        if job is not None:
            await advance_job(self.then, self.salon.tenant_id, job.id)

    async def buy(self, customer: str) -> None:
        """Record a purchase that earns points."""
        total = 100 * self.dice.randrange(1, 120)
        self.bought[f"order {self.step}"] = total, customer
        await record_purchase(self.then, self.salon.integration, order(f"order {self.step}", total, customer=customer))

    async def call_off(self, _: str) -> None:
        """Call off one of the last purchases."""
        if self.bought:
            name = self.dice.choice(list(self.bought)[-3:])
            total, customer = self.bought.pop(name)
            called_off = order(name, total, customer=customer, status=PurchaseStatus.CANCELLED)
            await record_purchase(self.then, self.salon.integration, called_off)

    async def adjust(self, customer: str) -> None:
        """Add or take points by hand, for any reason."""
        request = adjustment(
            self.dice.randrange(-120, 60) or 1,
            f"key {self.step}",
            customer=customer,
            reason=self.dice.choice(list(AdjustmentReason)),
            overdraft=self.dice.choice(list(Overdraft)),
        )
        await adjust_points(self.then, self.salon.manager, request)

    async def lock(self, customer: str) -> None:
        """Lock a customer in any tier, for a while or longer."""
        until = self.dice.choice([None, self.now + timedelta(days=30)])
        tier = self.dice.choice([None, *self.tiers])
        wanted = TierLockRequest(CustomerKey(external_id=customer), tier, until, None, f"lock {self.step}")
        await lock_tier(self.then, self.salon.manager, wanted)

    async def unlock(self, customer: str) -> None:
        """Unlock the tier of a customer, whether it was locked or not."""
        await unlock_tier(self.then, self.salon.manager, CustomerKey(external_id=customer))

    async def merge(self, customer: str) -> None:
        """Merge a new customer into this one."""
        source = f"eva {self.step}"
        await bring_along(self.then, self.salon, self.dice.randrange(1, 90), customer=source)
        names = CustomerKey(external_id=source), CustomerKey(external_id=customer)
        await merge_customers(self.then, self.salon.manager, MergeRequest(*names, None, f"merge {self.step}"))


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happens_every_tier_has_its_reason(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, seed: int
) -> None:
    """BK-34, C-07, F-29, F-30: under every policy, across changes of it, merges, locks and years."""
    life = Life(world, salon, seed)
    await life.begin()
    for _ in range(STEPS):
        await life.go_on()
        if life.dice.random() < 0.5:
            await review_due(life.then, salon.tenant_id)
            assert not (await review_due(life.then, salon.tenant_id)).done
        await ledger_is_sound(salon.tenant_id)
