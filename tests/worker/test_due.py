"""Who has something due is found by the time, however many rows wait, and nobody's backlog hides anybody."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.purchase import record_purchases
from loyalty.services.sandbox import advance_sandbox_clock
from loyalty.services.sweep import Sweep
from loyalty.services.tenant import provision_tenant
from loyalty.services.tenant_sweeps import SWEEP_BY_NAME, SWEEPS
from loyalty.services.world import World
from loyalty.storage.due import MAX_ROWS_LOOKED_AT, Due, NoDueIndex, due_by, read_due_tenants
from loyalty.storage.tables import lots
from tenancy.database import Database
from tests.fixtures.tenants import Salon, salon_of
from tests.loyalty.services.builders import NOON, at, earn, order, rule, set_policy

HOUR = timedelta(hours=1)
MATURING = SWEEP_BY_NAME["maturing"].due


async def waiting_salon(owner: World, world: World, *, sandbox: bool = False) -> Salon:
    """Create a salon whose points mature an hour after the booking."""
    tenant = await provision_tenant(
        owner, name="Salon", currency="EUR", time_zone="Europe/Berlin", locale="de-DE", sandbox=sandbox
    )
    salon = salon_of(tenant)
    await set_policy(world, salon, delay_minutes=60)
    await create_earning_rule(world, salon.manager, rule(10))
    return salon


async def due_among(relay: Database, salons: list[Salon], world: World) -> list[int]:
    """Return which of the salons have points to mature, by their numbers, those that wait longest first."""
    async with relay.engine.connect() as connection:
        found = await read_due_tenants(connection, MATURING, world.clock(), 10_000)
    numbers = {salon.tenant_id: number for number, salon in enumerate(salons)}
    return [numbers[tenant_id] for tenant_id in found if tenant_id in numbers]


async def test_the_backlog_of_one_tenant_hides_no_other(
    world: World, owner_world: World, relay_database: Database
) -> None:
    """F-19: more is due at one salon than a look reads, and it has waited longer."""
    salons = [await waiting_salon(owner_world, world) for _ in range(2)]
    for start in (0, 500):
        batch = [order(f"order-{number}", customer=f"customer-{number}") for number in range(start, start + 500)]
        await record_purchases(at(world, NOON), salons[0].integration, batch)
    await earn(at(world, NOON + HOUR), salons[1], order())
    assert await due_among(relay_database, salons, at(world, NOON + HOUR)) == [0]
    assert await due_among(relay_database, salons, at(world, NOON + 2 * HOUR)) == [0, 1]


async def test_a_sandbox_has_something_due_by_its_own_clock(
    world: World, owner_world: World, relay_database: Database
) -> None:
    salons = [await waiting_salon(owner_world, world, sandbox=sandbox) for sandbox in (False, True)]
    for salon in salons:
        await earn(world, salon, order())
    assert await due_among(relay_database, salons, world) == []
    async with world.database.tenant_transaction(salons[1].tenant_id) as tx:
        await tx.run(text("UPDATE tenants SET clock_advance_seconds = 3601 WHERE tenant_id = :current_tenant"))
    assert await due_among(relay_database, salons, world) == [1]
    await advance_sandbox_clock(world, salons[1].manager, timedelta(minutes=1), "on")
    assert await due_among(relay_database, salons, world) == []


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda sweep: sweep.name)
async def test_every_sweep_finds_its_work_by_the_time(sweep: Sweep, relay_database: Database) -> None:
    """PostgreSQL itself takes the index of the sweep, as the role that asks, and reads the due rows alone."""
    asked = {"now": NOON, "limit": 100, "rows": MAX_ROWS_LOOKED_AT}
    async with relay_database.engine.begin() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        await connection.execute(text("SET LOCAL enable_sort = off"))
        statement = sweep.due.soonest.compile(dialect=relay_database.engine.dialect)
        values = statement.construct_params(asked)
        plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", values)
        lines = [line for (line,) in plan]
    scan = next(number for number, line in enumerate(lines) if str(sweep.due.index.name) in line)
    assert "Index Cond:" in lines[scan + 1]
    assert f"({sweep.due.index.columns[0].name} <= " in lines[scan + 1]


def test_a_sweep_without_an_index_by_the_time_is_refused() -> None:
    (by_tenant,) = (index for index in lots.indexes if index.name == "lots_expiry_idx")
    with pytest.raises(NoDueIndex, match="lots_expiry_idx sorts by tenant_id, due_at, id"):
        Due(by_tenant)
    with pytest.raises(NoDueIndex, match="there is no index lots_coffee_idx"):
        due_by("lots_coffee_idx")


def test_every_sweep_has_a_name_and_an_index_of_its_own() -> None:
    assert len(SWEEP_BY_NAME) == len(SWEEPS)
    assert len({sweep.due.index.name for sweep in SWEEPS}) == len(SWEEPS)
