import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from loyalty.rules.errors import IdempotencyConflict, InvalidInput, LimitReached, NotASandbox
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.retention import RetentionChange, set_retention
from loyalty.services.sandbox import MAX_ADVANCE_DAYS, advance_sandbox_clock
from loyalty.services.tenant import provision_tenant
from loyalty.services.world import World
from loyalty.storage.customers import PointsRow
from loyalty.storage.retention import InactiveCustomer, read_inactive
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges, snapshot
from tests.fixtures.tenants import Salon, salon_of
from tests.loyalty.services.builders import earn, give, hold, known_customer, order, rule, set_policy, set_redemption
from tests.loyalty.services.gift_cards import issue

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
async def sandbox(owner_world: World) -> Salon:
    """Provide a salon to try things in."""
    return salon_of(
        await provision_tenant(
            owner_world, name="Salon", currency="EUR", time_zone="Europe/Berlin", locale="de-DE", sandbox=True
        )
    )


async def points(world: World, salon: Salon) -> PointsRow:
    found = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert found is not None
    return found.points


async def test_advancing_the_clock_does_all_that_became_due_before_it_answers(
    world: World, sandbox: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-44: points mature, holds end, points expire, one advance after another."""
    await set_redemption(world, sandbox)
    await set_policy(world, sandbox, delay_minutes=24 * 60)
    await create_earning_rule(world, sandbox.manager, rule(10))
    await earn(world, sandbox, order())
    assert ((await points(world, sandbox)).available, (await points(world, sandbox)).pending) == (0, 10)
    advanced = await advance_sandbox_clock(world, sandbox.manager, DAY, "a day")
    assert abs(advanced.now - datetime.now(UTC) - DAY) < HOUR
    assert (await points(world, sandbox)).available == 10
    await hold(world, sandbox, 10, "basket")
    await advance_sandbox_clock(world, sandbox.manager, HOUR, "an hour")
    assert ((await points(world, sandbox)).available, (await points(world, sandbox)).held) == (10, 0)
    last_day = (datetime.now(UTC) + 3 * DAY).date()
    await give(world, sandbox, 5, "short", expires_on=last_day)
    await advance_sandbox_clock(world, sandbox.manager, 4 * DAY, "four days")
    assert (await points(world, sandbox)).available == 10
    await ledger_is_sound(sandbox.tenant_id)


async def test_advancing_the_clock_goes_on_after_a_batch_of_customers_who_are_kept(
    world: World, sandbox: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention looks at customers in batches. Gift cards keep all customers of the first batch."""

    async def read_two(*asked: Any) -> list[InactiveCustomer]:
        return (await read_inactive(*asked))[:2]

    monkeypatch.setattr("loyalty.services.retention_sweep.MAX_LOOKED_AT", 2)
    monkeypatch.setattr("loyalty.services.retention_sweep.read_inactive", read_two)
    for name in ("first", "second", "anna"):
        await known_customer(world, sandbox, name)
    for name in ("first", "second"):
        await issue(world, sandbox, key=f"card of {name}", customer=name)
    await set_retention(world, sandbox.owner, RetentionChange(inactive_months=6))
    await advance_sandbox_clock(world, sandbox.manager, 300 * DAY, "ten months")
    lines = (await snapshot(world.database, sandbox.tenant_id))["customers"]
    assert [row["erased_at"] is not None for row in map(json.loads, lines)].count(True) == 1


async def test_the_clock_of_a_live_tenant_stays(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(NotASandbox):
            await advance_sandbox_clock(world, salon.manager, DAY, "a day")
        with pytest.raises(IntegrityError, match="tenants_clock_check"):
            async with world.database.tenant_transaction(salon.tenant_id) as tx:
                await tx.run(text("UPDATE tenants SET clock_advance_seconds = 1"))


async def test_time_only_goes_forward_and_not_for_ever(
    world: World, sandbox: Salon, nothing_changes: NothingChanges
) -> None:
    await advance_sandbox_clock(world, sandbox.manager, DAY, "a day")
    async with nothing_changes(sandbox.tenant_id):
        for by, refusal in (
            (timedelta(0), InvalidInput),
            (-DAY, InvalidInput),
            (timedelta(days=MAX_ADVANCE_DAYS), LimitReached),
        ):
            with pytest.raises(refusal):
                await advance_sandbox_clock(world, sandbox.manager, by, "impossible")
        with pytest.raises(IdempotencyConflict):
            await advance_sandbox_clock(world, sandbox.manager, 2 * DAY, "a day")


async def test_the_same_key_lets_time_pass_once(world: World, sandbox: Salon) -> None:
    answers = await asyncio.gather(*(advance_sandbox_clock(world, sandbox.manager, DAY, "a day") for _ in range(10)))
    assert sum(not answer.replayed for answer in answers) == 1
    assert abs(answers[0].now - datetime.now(UTC) - DAY) < HOUR


async def test_a_sandbox_next_door_is_not_a_sandbox_here(world: World, sandbox: Salon, salon: Salon) -> None:
    """Each has its own clock."""
    await set_policy(world, salon, delay_minutes=24 * 60)
    await create_earning_rule(world, salon.manager, rule(10))
    await earn(world, salon, order())
    await advance_sandbox_clock(world, sandbox.manager, 2 * DAY, "two days")
    assert (await points(world, salon)).pending == 10
