import asyncio
import json
import signal
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.tenant import provision_tenant
from loyalty.services.world import World
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.fixtures.invariants import check_ledger
from tests.fixtures.live import end_sessions, until, worker_process
from tests.fixtures.tenants import Salon, salon_of
from tests.loyalty.services.builders import NOON, at, earn, order, rule, set_policy
from tests.worker.conftest import RELAY_NAME
from worker.sweeping import SweepNews, run_sweeps, sweep_round

HOUR = timedelta(hours=1)


async def new_salon(owner: World, world: World) -> Salon:
    """Create a salon whose purchases give ten points, an hour after the booking. Half an hour later is late."""
    tenant = await provision_tenant(owner, name="Salon", currency="EUR", time_zone="Europe/Berlin", locale="de-DE")
    salon = salon_of(tenant)
    await set_policy(world, salon, delay_minutes=60, slack_minutes=30)
    await create_earning_rule(world, salon.manager, rule(10))
    return salon


async def available(world: World, salon: Salon) -> int:
    """Return what Anna can spend."""
    anna = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert anna is not None
    return anna.points.available


async def test_the_worker_process_lets_due_points_mature(
    own_database_urls: DatabaseUrls, own_world: World, owner: World
) -> None:
    """SB-04: those that were due before it began, and those that become due while it runs; no others."""
    salons = [await new_salon(owner, own_world) for _ in range(3)]
    now = datetime.now(UTC)
    await earn(at(own_world, now - HOUR - timedelta(minutes=10)), salons[0], order())
    await earn(at(own_world, now), salons[2], order())
    async with worker_process(own_database_urls, "--only", "sweeping") as process:
        assert process.stderr is not None
        assert json.loads(await process.stderr.readline())["parts"] == ["SWEEPING"]
        await until(lambda: _has(own_world, salons[0], 10))
        await earn(at(own_world, datetime.now(UTC) - HOUR + timedelta(seconds=0.2)), salons[1], order())
        await until(lambda: _has(own_world, salons[1], 10))
        process.send_signal(signal.SIGTERM)
        stopped = json.loads(await process.stderr.readline())
        assert await process.wait() == 0
    assert (stopped["event"], stopped["finished"]) == ("worker stopped", True)
    assert await available(own_world, salons[2]) == 0
    for salon in salons:
        await check_ledger(own_world.database, salon.tenant_id)


async def _has(world: World, salon: Salon, points: int) -> bool:
    return await available(world, salon) == points


async def test_late_points_raise_an_alarm_and_come_all_the_same(
    own_world: World, relay: Database, owner: World
) -> None:
    """SB-04: `matureSlack` after their time somebody should look; one line for each tenant, without names."""
    punctual, late = [await new_salon(owner, own_world) for _ in range(2)]
    await earn(at(own_world, NOON + HOUR), punctual, order())
    for number in range(3):
        await earn(at(own_world, NOON), late, order(f"order-{number}"))
    with capture_logs() as lines:
        assert await sweep_round(at(own_world, NOON + 2 * HOUR), relay, SweepNews()) == 4
    assert lines == [
        {
            "event": "swept late",
            "log_level": "warning",
            "sweep": "maturing",
            "tenant": str(late.tenant_id),
            "late": 3,
        }
    ]
    assert (await available(own_world, punctual), await available(own_world, late)) == (10, 30)


async def test_a_backlog_is_late_once_and_not_with_every_batch(
    own_world: World, relay: Database, owner: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told again when it happens again: after a round in which nothing was late."""
    monkeypatch.setattr("loyalty.services.maturing.BATCH", 1)
    salon = await new_salon(owner, own_world)
    news = SweepNews()

    async def rounds_after(number: int, moment: datetime) -> list[int]:
        for step in range(3):
            await earn(at(own_world, moment), salon, order(f"order-{number}-{step}"))
        return [await sweep_round(at(own_world, moment + 2 * HOUR), relay, news) for _ in range(4)]

    with capture_logs() as lines:
        assert await rounds_after(1, NOON) == [1, 1, 1, 0]
        assert [line["event"] for line in lines] == ["swept late"]
        assert await rounds_after(2, NOON + 2 * HOUR) == [1, 1, 1, 0]
    assert [line["event"] for line in lines] == ["swept late", "swept late"]
    assert (news.tally.swept["maturing"], news.tally.swept_late["maturing"]) == (6, 6)


async def test_points_within_the_slack_are_no_alarm(own_world: World, relay: Database, owner: World) -> None:
    """SB-04."""
    salon = await new_salon(owner, own_world)
    await earn(at(own_world, NOON), salon, order())
    with capture_logs() as lines:
        assert await sweep_round(at(own_world, NOON + HOUR - timedelta(seconds=1)), relay, SweepNews()) == 0
        assert await sweep_round(at(own_world, NOON + HOUR + timedelta(minutes=30)), relay, SweepNews()) == 1
    assert lines == []


async def test_the_trouble_of_one_tenant_does_not_hold_up_the_others(
    own_world: World, relay: Database, owner: World
) -> None:
    """F-19: logged when it begins and when it is over, and nothing of it is booked in between."""
    troubled, well = [await new_salon(owner, own_world) for _ in range(2)]
    await earn(at(own_world, NOON), troubled, order())
    await earn(at(own_world, NOON + timedelta(minutes=1)), well, order())
    later = at(own_world, NOON + HOUR + timedelta(minutes=2))
    news = SweepNews()
    with capture_logs() as lines:
        await _change_promises(owner, troubled, -10)
        assert [await sweep_round(later, relay, news) for _ in range(3)] == [1, 0, 0]
        assert (await available(own_world, troubled), await available(own_world, well)) == (0, 10)
        await _change_promises(owner, troubled, 10)
        assert await sweep_round(later, relay, news) == 1
    who = f"maturing of {troubled.tenant_id}"
    assert [(line["event"], line["who"]) for line in lines] == [("interrupted", who), ("works again", who)]
    assert news.outages == {}
    await check_ledger(own_world.database, troubled.tenant_id)


async def _change_promises(owner: World, salon: Salon, points: int) -> None:
    """Damage the books of a salon, or repair them."""
    async with owner.database.tenant_transaction(salon.tenant_id) as tx:
        await tx.run(text("UPDATE accounts SET pending = pending + :points"), points=points)


async def test_goes_on_after_its_connections_are_lost(
    own_world: World, relay: Database, owner: World, own_database_urls: DatabaseUrls
) -> None:
    salon = await new_salon(owner, own_world)
    stop = asyncio.Event()
    due = at(own_world, NOON + HOUR)
    with capture_logs() as lines:
        sweeping = asyncio.create_task(run_sweeps(due, relay, stop))
        await earn(at(own_world, NOON), salon, order("order-1"))
        await until(lambda: _has(own_world, salon, 10))
        assert await end_sessions(own_database_urls.relay, RELAY_NAME)
        await earn(at(own_world, NOON), salon, order("order-2"))
        await until(lambda: _has(own_world, salon, 20))
        stop.set()
        await sweeping
    assert {line["event"] for line in lines} <= {"interrupted", "works again"}
    await check_ledger(own_world.database, salon.tenant_id)


async def test_a_policy_without_a_delay_leaves_nothing_to_do(own_world: World, relay: Database, owner: World) -> None:
    """C-01."""
    salon = await new_salon(owner, own_world)
    await set_policy(own_world, salon)
    await earn(at(own_world, NOON), salon, order())
    assert await available(own_world, salon) == 10
    assert await sweep_round(at(own_world, NOON + HOUR), relay, SweepNews()) == 0
