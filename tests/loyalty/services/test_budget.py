"""Budgets are shared between processes, and cost most operations no statement."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from loyalty.rules.budget import CLIENT_PART, CUSTOMER_PART, LEAST_BUDGET_POINTS, BudgetLimits
from loyalty.rules.errors import InvalidInput, NotFound, TenantClosed
from loyalty.rules.ids import CustomerId, TenantId
from loyalty.services import budget as budget_service
from loyalty.services.budget import (
    MOST_REFUSAL_SECONDS,
    NEWS_SECONDS,
    REFUSALS_PER_SECOND,
    UNBOOKED_SECONDS,
    Budgets,
)
from loyalty.services.tenant import close_tenant, limit_tenant
from loyalty.services.world import World
from loyalty.storage.budgets import Spending, book_spending
from permissions.actor import Actor
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.fixtures.snapshots import snapshot
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOON, customer_actor

LIMITS = BudgetLimits(200_000, 10_000)
CLIENT = LIMITS.share(CLIENT_PART)
READ = 30
"""What a small read costs."""


class Watch:
    """A clock that stands still until it is put forward."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def process(world: World, watch: Watch, limits: BudgetLimits = LIMITS) -> Budgets:
    """Return the budgets of one more server process."""
    return Budgets(world.database, watch, limits)


async def settled(budgets: Budgets) -> None:
    """Wait until nothing is being booked."""
    for known in budgets._tenants.values():  # noqa: SLF001 - only tests look in there
        if known.booking is not None:
            await known.booking


async def spend(budgets: Budgets, actor: Actor, most: int, cost: int = LEAST_BUDGET_POINTS) -> int:
    """Return how many of `most` points an actor can spend at once."""
    spent = 0
    while spent < most:
        charge = await budgets.charge(actor, cost)
        await settled(budgets)
        if charge.retry_after is not None:
            break
        spent += cost
    return spent


async def stored(world: World, salon: Salon) -> dict[str, datetime]:
    """Return the buckets that the database knows, and when each is full."""
    rows = [orjson.loads(line) for line in (await snapshot(world.database, salon.tenant_id))["budgets"]]
    return {row["scope"]: datetime.fromisoformat(row["full_at"]) for row in rows}


async def test_small_reads_send_no_statement(world: World, salon: Salon, statements: StatementLog) -> None:
    """A slice of 10,000 points holds 333 reads of 30; booking it is one statement."""
    budgets = process(world, Watch())
    with statements() as sent:
        for _ in range(CLIENT.slice_points // READ):
            assert (await budgets.charge(salon.manager, READ)).retry_after is None
        await settled(budgets)
        assert sent == []
        await budgets.charge(salon.manager, READ)
        await settled(budgets)
    assert len(sent) == 1


async def test_processes_share_a_budget_up_to_their_slices(world: World, salon: Salon) -> None:
    watch = Watch()
    processes = [process(world, watch) for _ in range(4)]
    spent = 0
    for _ in range(60):
        for budgets in processes:
            charge = await budgets.charge(salon.manager, 1_000)
            spent += 0 if charge.retry_after else 1_000
            await settled(budgets)
    assert CLIENT.points <= spent <= CLIENT.points + len(processes) * (2 * CLIENT.slice_points + 1_000)


async def test_in_the_long_run_the_rate_holds_however_many_processes(world: World, salon: Salon) -> None:
    """What was spent too much is paid before anything is spent again."""
    watch = Watch()
    processes = [process(world, watch) for _ in range(3)]
    spent, seconds = 0, 120
    for _ in range(seconds):
        watch.now += timedelta(seconds=1)
        for _ in range(4):
            for budgets in processes:
                charge = await budgets.charge(salon.manager, 1_000)
                spent += 0 if charge.retry_after else 1_000
                await settled(budgets)
    most = CLIENT.points + seconds * CLIENT.per_second
    assert most * 0.95 <= spent <= most + len(processes) * (2 * CLIENT.slice_points + 1_000)


async def test_a_crowd_at_once_spends_no_more_than_the_budget(world: World, salon: Salon) -> None:
    budgets = process(world, Watch())
    charges = await asyncio.gather(*(budgets.charge(salon.manager, 1_000) for _ in range(500)))
    await settled(budgets)
    assert sum(1_000 for charge in charges if charge.retry_after is None) == CLIENT.points


async def test_a_new_process_learns_what_others_have_spent(world: World, salon: Salon) -> None:
    watch = Watch()
    assert await spend(process(world, watch), salon.manager, CLIENT.points) == CLIENT.points
    again = await spend(process(world, watch), salon.manager, CLIENT.points)
    assert again <= 2 * CLIENT.slice_points + LEAST_BUDGET_POINTS


async def test_clients_tenants_and_customers_have_budgets_of_their_own(
    world: World, salon: Salon, other_salon: Salon
) -> None:
    budgets = process(world, Watch())
    anna = customer_actor(salon.tenant_id, CustomerId(uuid7()))
    assert await spend(budgets, anna, CLIENT.points) == 2 * LEAST_BUDGET_POINTS < LIMITS.points / CUSTOMER_PART
    assert await spend(budgets, salon.manager, 10**6) == CLIENT.points
    # The rest of the tenant's budget, and then nobody of it has anything.
    assert await spend(budgets, salon.owner, 10**6) == LIMITS.points - CLIENT.points - 2 * LEAST_BUDGET_POINTS
    assert await spend(budgets, salon.integration, 10**6) == 0
    assert await spend(budgets, other_salon.manager, 10**6) == CLIENT.points


async def test_other_credentials_of_a_client_share_its_budget(world: World, salon: Salon) -> None:
    budgets = process(world, Watch())
    assert await spend(budgets, salon.manager, 10**6) == CLIENT.points
    assert await spend(budgets, replace(salon.manager, display="from another device"), 10**6) == 0


async def test_full_buckets_are_forgotten(world: World, salon: Salon) -> None:
    watch = Watch()
    budgets = process(world, watch)
    await spend(budgets, salon.manager, LEAST_BUDGET_POINTS)
    assert len(await stored(world, salon)) == 2
    watch.now += timedelta(days=1)
    await spend(budgets, salon.owner, LEAST_BUDGET_POINTS)
    assert sorted(await stored(world, salon)) == [f"client {salon.owner.client}", "tenant"]


async def test_the_end_of_a_process_books_what_it_owes(world: World, salon: Salon) -> None:
    watch = Watch()
    budgets = process(world, watch)
    assert await spend(budgets, salon.manager, 9_000, cost=1_000) == 9_000
    assert await stored(world, salon) == {}
    await budgets.book_all()
    full = await stored(world, salon)
    assert full[f"client {salon.manager.client}"] == watch.now + timedelta(seconds=9_000 / CLIENT.per_second)
    assert full["tenant"] == watch.now + timedelta(seconds=9_000 / LIMITS.per_second)


async def test_limits_of_a_tenants_own_count_with_the_next_booking(
    world: World, owner_world: World, salon: Salon
) -> None:
    """Also where little is spent: a process books once in `UNBOOKED_SECONDS`."""
    watch = Watch()
    budgets = process(world, watch)
    await budgets.charge(salon.manager, READ)
    for own, expected in ((BudgetLimits(2_000_000, 50_000), BudgetLimits(1_000_000, 25_000)), (None, CLIENT)):
        await limit_tenant(owner_world, salon.tenant_id, own)
        watch.now += timedelta(seconds=UNBOOKED_SECONDS)
        await budgets.charge(salon.manager, READ)
        await settled(budgets)
        assert (await budgets.charge(salon.manager, READ)).limits == expected


async def test_more_than_a_tenant_had_is_allowed_as_soon_as_the_platform_says_so(
    world: World, owner_world: World, salon: Salon
) -> None:
    """A refusal looks first whether the limits have changed, at most once in `NEWS_SECONDS`."""
    watch = Watch()
    budgets = process(world, watch, BudgetLimits(LEAST_BUDGET_POINTS, 1))
    assert await spend(budgets, salon.manager, 10**6) == LEAST_BUDGET_POINTS
    await limit_tenant(owner_world, salon.tenant_id, BudgetLimits(2_000_000, 50_000))
    assert (await budgets.charge(salon.manager, LEAST_BUDGET_POINTS)).retry_after is not None
    watch.now += timedelta(seconds=NEWS_SECONDS)
    assert (await budgets.charge(salon.manager, LEAST_BUDGET_POINTS)).retry_after is None


async def test_refused_operations_ask_the_database_once_in_some_seconds(
    world: World, salon: Salon, statements: StatementLog
) -> None:
    budgets = process(world, Watch())
    await spend(budgets, salon.manager, 10**6)
    with statements() as sent:
        for _ in range(100):
            assert (await budgets.charge(salon.manager, LEAST_BUDGET_POINTS)).retry_after is not None
    assert sent == []


async def test_without_the_database_a_process_counts_alone(salon: Salon, database_urls: DatabaseUrls) -> None:
    """Operations are charged all the same, and nobody waits for a booking that has just failed."""
    away = Database(database_urls.app.replace(f"@{database_urls.app.rpartition('@')[2]}", "@127.0.0.1:1/nowhere"))
    watch = Watch()
    budgets = Budgets(away, watch, LIMITS)
    try:
        assert await spend(budgets, salon.manager, 10**6) == CLIENT.points
    finally:
        await away.close()


async def test_spending_that_could_not_be_booked_is_booked_later(
    world: World, salon: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch()
    budgets = process(world, watch)

    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        # Somebody holds the row of the tenant, so booking waits and gives up.
        await book_spending(tx, [Spending("tenant", NOON, 1)], NOON)
        monkeypatch.setattr(budget_service, "BOOKING_SECONDS", 0.05)
        spent = 0
        while spent < CLIENT.points:
            assert (await budgets.charge(salon.manager, LEAST_BUDGET_POINTS)).retry_after is None
            spent += LEAST_BUDGET_POINTS
    await settled(budgets)
    await budgets.book_all()
    other = process(world, watch)
    await spend(other, salon.manager, 10**6)
    rows = await stored(world, salon)
    assert rows["tenant"] >= watch.now + timedelta(seconds=CLIENT.points / LIMITS.per_second)


async def test_a_refusal_that_follows_another_of_its_tenant_is_held_back(
    world: World, salon: Salon, other_salon: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only refusals are, and those of other tenants are not."""
    monkeypatch.setattr(budget_service, "REFUSALS_PER_SECOND", 1 / 3_600)
    monkeypatch.setattr(budget_service, "MOST_REFUSAL_SECONDS", 3_600.0)
    budgets = process(world, Watch())
    for manager in (salon.manager, other_salon.manager):
        assert await spend(budgets, manager, CLIENT.points) == CLIENT.points
    assert (await budgets.charge(salon.manager, READ)).retry_after is not None
    held = asyncio.create_task(budgets.charge(salon.manager, READ))
    assert (await budgets.charge(other_salon.manager, READ)).retry_after is not None
    assert (await budgets.charge(salon.owner, READ)).retry_after is None
    assert not held.done()
    held.cancel()


def test_refusals_take_turns_and_none_waits_longer_than_the_most() -> None:
    budget = budget_service._TenantBudget(LIMITS, NOON)  # noqa: SLF001 - only tests look in there
    step, most = 1 / REFUSALS_PER_SECOND, MOST_REFUSAL_SECONDS
    turns = int(most / step)
    delays = [budget.delay_refusal(100.0) for _ in range(turns + 3)]
    assert delays[:turns] == pytest.approx([number * step for number in range(turns)])
    assert delays[turns:] == pytest.approx([most] * 3)
    assert budget.delay_refusal(100.0 + most + 2 * step) == 0


async def test_limits_are_refused_for_nobody_for_closed_tenants_and_out_of_bounds(
    owner_world: World, salon: Salon
) -> None:
    with pytest.raises(NotFound):
        await limit_tenant(owner_world, TenantId(uuid7()), LIMITS)
    with pytest.raises(InvalidInput) as refused:
        await limit_tenant(owner_world, salon.tenant_id, BudgetLimits(1, 0))
    assert [problem.path for problem in refused.value.problems] == [("points",), ("per_second",)]
    await close_tenant(owner_world, salon.tenant_id)
    with pytest.raises(TenantClosed):
        await limit_tenant(owner_world, salon.tenant_id, LIMITS)


async def test_the_database_refuses_half_a_limit(owner_world: World, salon: Salon) -> None:
    async def limit_points_alone() -> None:
        async with owner_world.database.tenant_transaction(salon.tenant_id) as tx:
            await tx.run(text("UPDATE tenants SET budget_points = 30000 WHERE tenant_id = :current_tenant"))

    with pytest.raises(IntegrityError, match="tenants_budget_check"):
        await limit_points_alone()
