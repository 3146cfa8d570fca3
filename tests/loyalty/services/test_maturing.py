"""Pending points become spendable at their time: once, in order, by the sweep or a request, beside any other change."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from loyalty.log.reading import list_events
from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import AccrualState, MatureOn
from loyalty.rules.errors import InsufficientPoints
from loyalty.rules.purchase import PurchaseStatus
from loyalty.services.customer import CustomerKey, find_customer, list_activity
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.job import advance_job
from loyalty.services.maturing import BATCH, mature_due
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import load_accruals, record_purchases
from loyalty.services.sweep import Swept
from loyalty.services.tier import create_tier
from loyalty.services.world import World
from loyalty.storage.customers import CustomerRow
from loyalty.storage.entries import EntryFilter
from loyalty.storage.window import Window
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.live import is_waiting_for_a_lock, until
from tests.fixtures.snapshots import NothingChanges, snapshot
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOON,
    at,
    earn,
    give,
    one_point_per_euro,
    order,
    position_all_events,
    rule,
    set_policy,
)

HOUR = timedelta(hours=1)
LATER = NOON + HOUR
MOMENT = timedelta(microseconds=1)
CANCELLED, COMPLETED = PurchaseStatus.CANCELLED, PurchaseStatus.COMPLETED


@pytest.fixture(autouse=True)
async def sound_in_the_end(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> AsyncIterator[None]:
    """Check after each test that the ledger adds up, and once more when all pending points with a date have matured."""
    yield
    await ledger_is_sound(salon.tenant_id)
    while (await mature_due(at(world, NOON.replace(year=2999)), salon.tenant_id)).done:
        pass
    await ledger_is_sound(salon.tenant_id)


async def an_hour_later(world: World, salon: Salon, points: int = 10) -> None:
    """Set a program whose points mature an hour after the booking, so many for each purchase."""
    await set_policy(world, salon, delay_minutes=60)
    await create_earning_rule(world, salon.manager, rule(points))


async def anna(world: World, salon: Salon) -> CustomerRow:
    """Return Anna as readers see her."""
    found = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert found is not None
    return found


async def spendable(world: World, salon: Salon) -> tuple[int, int]:
    """Return what Anna has, and what she is promised."""
    points = (await anna(world, salon)).points
    return (points.available, points.pending)


# ── at its time ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_points_are_spendable_from_their_time_on(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """SB-04: not a moment earlier."""
    await an_hour_later(world, salon)
    recorded = await earn(at(world, NOON), salon, order())
    async with nothing_changes(salon.tenant_id):
        assert await mature_due(at(world, NOON + HOUR - MOMENT), salon.tenant_id) == Swept(0, 0)
        with pytest.raises(InsufficientPoints):
            await give(world, salon, -1, "early")
    assert await mature_due(at(world, NOON + HOUR), salon.tenant_id) == Swept(1, 0)
    customer = await anna(world, salon)
    assert customer.points[:6] == (10, 0, 0, 0, 10, 10)
    (accrual,) = (await load_accruals(world, salon.manager, [recorded.purchase.id])).values()
    assert (accrual.state, accrual.matured_at) == (AccrualState.AVAILABLE, NOON + HOUR)
    (entry,) = await list_activity(world, salon.manager, EntryFilter(customer.id), Window(10))
    assert (entry.kind, entry.points, entry.occurred_at) == ("EARNED", 10, NOON + HOUR)
    assert (entry.actor_kind, entry.actor, entry.reference_id) == ("SYSTEM", "worker:maturing", recorded.purchase.id)
    await give(world, salon, -10, "spent")
    assert await mature_due(at(world, NOON + 2 * HOUR), salon.tenant_id) == Swept(0, 0)


@pytest.mark.parametrize(
    ("ended", "due"),
    [
        pytest.param("2026-03-04T13:00+01:00", "2026-03-04T15:00:00Z", id="an ordinary day"),
        pytest.param("2026-03-29T01:30+01:00", "2026-03-29T03:30:00Z", id="the night that has no 02:30"),
        pytest.param("2026-10-25T01:30+02:00", "2026-10-25T02:30:00Z", id="the night that has 02:30 twice"),
        pytest.param("2026-10-25T02:30+02:00", "2026-10-25T03:30:00Z", id="the first 02:30"),
        pytest.param("2026-10-25T02:30+01:00", "2026-10-25T04:30:00Z", id="the second 02:30"),
    ],
)
async def test_three_hours_after_the_end_of_the_appointment(world: World, salon: Salon, ended: str, due: str) -> None:
    """SB-04, C-29: exactly three hours after it ended, also when the clocks change meanwhile."""
    await set_policy(world, salon, mature_on=MatureOn.SERVICE_ENDED, delay_minutes=180)
    await create_earning_rule(world, salon.manager, rule(10))
    ends_at, due_at = datetime.fromisoformat(ended), datetime.fromisoformat(due)
    assert ends_at.astimezone(UTC) + 3 * HOUR == due_at
    await earn(at(world, NOON), salon, order(starts_at=ends_at - HOUR, ends_at=ends_at))
    assert (await mature_due(at(world, due_at - MOMENT), salon.tenant_id)).done == 0
    assert (await mature_due(at(world, due_at), salon.tenant_id)).done == 1
    assert await spendable(world, salon) == (10, 0)


async def test_nothing_is_lost_when_nobody_looked_for_a_year(world: World, salon: Salon) -> None:
    """SB-04: late is late, and is told as late; the points are there."""
    await set_policy(world, salon, delay_minutes=60, slack_minutes=30)
    await create_earning_rule(world, salon.manager, rule(10))
    for number in range(3):
        await earn(at(world, NOON + number * HOUR), salon, order(f"order-{number}"))
    just_in_time = at(world, NOON + HOUR + timedelta(minutes=30))
    assert await mature_due(just_in_time, salon.tenant_id) == Swept(1, 0)
    assert await mature_due(at(world, NOON + 8_760 * HOUR), salon.tenant_id) == Swept(2, 2)
    assert await spendable(world, salon) == (30, 0)


async def test_points_mature_in_the_order_they_are_due(world: World, salon: Salon) -> None:
    """C-01: not in the order they were recorded in."""
    await set_policy(world, salon, mature_on=MatureOn.SERVICE_ENDED)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    hours = [5, 1, 4, 2, 3]
    for hour in hours:
        await earn(at(world, NOON), salon, order(f"{hour}", 100 * hour, ends_at=NOON + hour * HOUR))
    assert (await mature_due(at(world, NOON + 3 * HOUR), salon.tenant_id)).done == 3
    assert (await mature_due(at(world, NOON + 9 * HOUR), salon.tenant_id)).done == 2
    entries = await list_activity(world, salon.manager, EntryFilter((await anna(world, salon)).id), Window(10))
    assert [entry.points for entry in entries] == [5, 4, 3, 2, 1]
    assert [entry.sequence for entry in entries] == [5, 4, 3, 2, 1]


async def test_the_tier_rises_at_maturity_and_both_are_told_then(
    world: World, salon: Salon, relay_database: Database
) -> None:
    """BK-34, C-10: pending points lift nobody."""
    silver = await create_tier(world, salon.manager, "Silver", "#C0C0C0", 15)
    await an_hour_later(world, salon)
    for number in range(2):
        recorded = await earn(at(world, NOON), salon, order(f"order-{number}"))
        assert recorded.tier_change is None
    await mature_due(at(world, NOON + HOUR), salon.tenant_id)
    customer = await anna(world, salon)
    assert customer.tier is not None
    assert customer.tier.id == silver.tier.id
    await position_all_events(relay_database)
    events = await list_events(world.database, salon.tenant_id, after=0)
    assert [event.kind for event in events] == ["points.pending"] * 2 + ["points.earned"] * 2 + ["tier.upgraded"]
    assert [event.payload["available"] for event in events[2:4]] == [10, 20]
    assert events[2].payload["account"]["pending"] == 10
    assert (events[4].payload["cause"], events[4].payload["qualifying_points"]) == ("ACCRUAL", 20)


async def test_a_tier_that_came_meanwhile_counts(world: World, salon: Salon) -> None:
    """BK-34: points are frozen, tiers are those in force at maturity."""
    await an_hour_later(world, salon)
    await earn(at(world, NOON), salon, order())
    silver = await create_tier(world, salon.manager, "Silver", "#C0C0C0", 10)
    while await advance_job(world, salon.tenant_id, silver.job.id):
        pass
    await mature_due(at(world, NOON + HOUR), salon.tenant_id)
    tier = (await anna(world, salon)).tier
    assert tier is not None
    assert tier.name == "Silver"


async def test_matured_points_pay_debt_first(world: World, salon: Salon) -> None:
    """C-19."""
    await an_hour_later(world, salon)
    await earn(at(world, NOON), salon, order())
    await give(world, salon, -4, "owed", overdraft=Overdraft.ALLOW_NEGATIVE)
    assert (await anna(world, salon)).points.debt == 4
    await mature_due(at(world, NOON + HOUR), salon.tenant_id)
    assert await spendable(world, salon) == (6, 0)


async def test_a_program_that_is_off_keeps_its_promises(world: World, salon: Salon) -> None:
    """BK-01: nothing new is earned, what was promised comes."""
    await an_hour_later(world, salon)
    await earn(at(world, NOON), salon, order())
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, enabled=False), None))
    assert (await mature_due(at(world, NOON + HOUR), salon.tenant_id)).done == 1
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, enabled=True), None))
    assert await spendable(world, salon) == (10, 0)


async def test_another_tenants_points_are_left_alone(
    world: World, salon: Salon, other_salon: Salon, nothing_changes: NothingChanges
) -> None:
    for tenant in (salon, other_salon):
        await an_hour_later(world, tenant)
        await earn(at(world, NOON), tenant, order())
    async with nothing_changes(other_salon.tenant_id):
        assert (await mature_due(at(world, NOON + HOUR), salon.tenant_id)).done == 1


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────────


async def promise(world: World, salon: Salon, count: int, prefix: str = "order", customers: int = 100) -> None:
    """Record so many purchases at NOON, whose points are pending."""
    batch = [order(f"{prefix}-{number}", customer=f"guest-{number % customers}") for number in range(count)]
    await record_purchases(at(world, NOON), salon.integration, batch)


async def test_a_batch_has_a_size_and_the_rest_follows(world: World, salon: Salon) -> None:
    """F-37."""
    await an_hour_later(world, salon)
    await promise(world, salon, BATCH + 1)
    later = at(world, NOON + HOUR)
    assert [(await mature_due(later, salon.tenant_id)).done for _ in range(3)] == [BATCH, 1, 0]


async def test_a_batch_takes_as_many_statements_as_one(world: World, salon: Salon, statements: StatementLog) -> None:
    """F-37."""
    await an_hour_later(world, salon)
    later = at(world, NOON + HOUR)
    sent_for = []
    for count in (1, 300):
        await promise(world, salon, count, f"of {count}")
        with statements() as sent:
            assert (await mature_due(later, salon.tenant_id)).done == count
        sent_for.append(len(sent))
    assert sent_for[0] == sent_for[1] <= 6
    with statements() as idle:
        await mature_due(later, salon.tenant_id)
    assert len(idle) <= 3


async def test_points_mature_once_however_many_workers_look(world: World, salon: Salon) -> None:
    """F-08, F-10: eight at the same time, over several customers with several promises each."""
    await an_hour_later(world, salon)
    await promise(world, salon, 60, customers=7)
    later = at(world, NOON + HOUR)
    batches = await asyncio.gather(*(mature_due(later, salon.tenant_id) for _ in range(8)))
    assert sum(batch.done for batch in batches) == 60
    kept = await snapshot(world.database, salon.tenant_id)
    assert [len(kept[table]) for table in ("entries", "lots", "accruals")] == [60, 60, 60]


async def test_maturing_and_cancelling_at_once_leaves_nothing_behind(world: World, salon: Salon) -> None:
    """C-20, F-10: each promise is void, or credited and taken back; either way it is gone."""
    await an_hour_later(world, salon)
    await promise(world, salon, 40, customers=5)
    later = at(world, NOON + HOUR)
    cancellations = [order(f"order-{number}", customer=f"guest-{number % 5}", status=CANCELLED) for number in range(40)]
    results = await asyncio.gather(
        *(mature_due(later, salon.tenant_id) for _ in range(3)),
        *(earn(later, salon, one) for one in cancellations),
        mature_due(later, salon.tenant_id),
        return_exceptions=True,
    )
    assert [result for result in results if isinstance(result, BaseException)] == []
    for number in range(5):
        guest = await find_customer(world, salon.manager, CustomerKey(external_id=f"guest-{number}"))
        assert guest is not None
        assert guest.points[:6] == (0, 0, 0, 0, 0, 0)


async def test_everything_about_the_same_promises_at_once_adds_up(world: World, salon: Salon) -> None:
    """F-10, F-36: maturing, cancelling, refunding, coming back to life, spending, and a policy that changes."""
    await an_hour_later(world, salon)
    await promise(world, salon, 20, customers=3)
    later = at(world, NOON + HOUR)
    work: list[Awaitable[object]] = []
    for number in range(20):
        guest = f"guest-{number % 3}"
        work += [
            earn(later, salon, order(f"order-{number}", customer=guest, status=CANCELLED)),
            earn(later, salon, order(f"order-{number}", customer=guest, status=PurchaseStatus.PAID)),
            give(later, salon, -7, f"spend-{number}", customer=guest, overdraft=Overdraft.CLAMP),
            earn(later, salon, order(f"new-{number}", customer=guest)),
            mature_due(later, salon.tenant_id),
        ]
    work += [set_policy(world, salon, delay_minutes=minutes) for minutes in (0, 30)]
    results = await asyncio.gather(*work, return_exceptions=True)
    unexpected = [
        result for result in results if isinstance(result, BaseException) and not isinstance(result, InsufficientPoints)
    ]
    assert not unexpected
    states = Counter(
        state
        for line in (await snapshot(world.database, salon.tenant_id))["accruals"]
        for state in AccrualState
        if f'"state": "{state}"' in line
    )
    assert states.total() >= 40


# ── what is changed by somebody else between our look and our lock ───────────────────────────────────────────────


class _Interrupted:
    """A clock that lets something happen when it is looked at: the first time nothing is locked, the second time all.

    A use case looks at it once before it locks its customers, and once again under the lock.
    """

    def __init__(self, now: datetime, happening: Callable[[], None], *, glance: int) -> None:
        self.now = now
        self.happening = happening
        self.glances_left = glance

    def __call__(self) -> datetime:
        self.glances_left -= 1
        if self.glances_left == 0:
            self.happening()
        return self.now


class _Elsewhere:
    """Another process that does one thing, with a loop, a pool and a cache of its own."""

    NAME = "treue-tests-elsewhere"

    def __init__(self, urls: DatabaseUrls, now: datetime, work: Callable[[World], Awaitable[object]]) -> None:
        self._urls, self._now, self._work = urls, now, work
        self._thread = threading.Thread(target=lambda: asyncio.run(self._process()))
        self.result: object = None

    async def _process(self) -> None:
        database = Database(self._urls.app, pool_size=1, name=self.NAME)
        try:
            self.result = await self._work(World(database, lambda: self._now))
        finally:
            await database.close()

    def run(self) -> None:
        """Run the work of the other process, and wait for its end."""
        self._thread.start()
        self._thread.join()

    def begin(self) -> None:
        """Begin the work of the other process, and wait until it waits for a lock."""
        self._thread.start()
        waits = threading.Thread(target=lambda: asyncio.run(until(self._is_waiting)))
        waits.start()
        waits.join()

    async def end(self) -> object:
        """Wait for the end of the other process, and return its result."""
        await asyncio.to_thread(self._thread.join)
        return self.result

    async def _is_waiting(self) -> bool:
        return await is_waiting_for_a_lock(self._urls.app, self.NAME)


def overtaken(world: World, other: _Elsewhere) -> World:
    """Return a world in which the other process is done between the look and the lock of this process."""
    return World(world.database, _Interrupted(LATER, other.run, glance=1), world.programs)


def overtaking(world: World, other: _Elsewhere) -> World:
    """Return a world in which the other process begins while this process holds the lock, and waits for the lock."""
    return World(world.database, _Interrupted(LATER, other.begin, glance=2), world.programs)


async def test_a_cancellation_that_read_before_points_matured_takes_them_back(
    world: World, salon: Salon, database_urls: DatabaseUrls
) -> None:
    """C-20: it saw a promise, and finds a credit."""
    await an_hour_later(world, salon)
    await earn(at(world, NOON), salon, order())
    maturing = _Elsewhere(database_urls, LATER, lambda other: mature_due(other, salon.tenant_id))
    cancelled = await earn(overtaken(world, maturing), salon, order(status=CANCELLED))
    assert maturing.result == Swept(1, 0)
    assert cancelled.accrual is not None
    assert cancelled.accrual.state == AccrualState.REVERSED
    assert cancelled.customer.points[:6] == (0, 0, 0, 0, 0, 0)


async def test_a_completion_that_read_before_points_matured_matures_nothing_again(
    world: World, salon: Salon, database_urls: DatabaseUrls
) -> None:
    """F-08."""
    await an_hour_later(world, salon)
    await earn(at(world, NOON), salon, order())
    maturing = _Elsewhere(database_urls, LATER, lambda other: mature_due(other, salon.tenant_id))
    completed = await earn(overtaken(world, maturing), salon, order(status=COMPLETED))
    assert completed.customer.points[:2] == (10, 0)


async def test_a_refusal_is_not_founded_on_what_is_over(
    world: World, salon: Salon, database_urls: DatabaseUrls
) -> None:
    """C-20, REJECT: what the same report has taken back elsewhere is not missing, it is a replay."""
    await set_policy(world, salon, debt=Overdraft.REJECT)
    await create_earning_rule(world, salon.manager, rule(10))
    await earn(at(world, NOON), salon, order())
    cancelling = _Elsewhere(database_urls, LATER, lambda other: earn(other, salon, order(status=CANCELLED)))
    again = await earn(overtaken(world, cancelling), salon, order(status=CANCELLED))
    assert (again.replayed, again.customer.points.available) == (True, 0)


@pytest.mark.parametrize(
    ("change", "matured", "points"),
    [
        pytest.param({"status": CANCELLED}, 1, (10, 0), id="called off"),
        pytest.param({"ends_at": NOON + 9 * HOUR, "status": COMPLETED}, 1, (20, 0), id="completed"),
    ],
)
async def test_a_due_accrual_is_read_again_under_the_lock(
    world: World,
    salon: Salon,
    database_urls: DatabaseUrls,
    change: dict[str, Any],
    matured: int,
    points: tuple[int, int],
) -> None:
    """C-20, F-08: the worker saw two promises due; one of them was called off, or credited, before its lock."""
    await set_policy(world, salon, mature_on=MatureOn.SERVICE_ENDED)
    await create_earning_rule(world, salon.manager, rule(10))
    for external_id in ("seen", "other"):
        await earn(at(world, NOON), salon, order(external_id, ends_at=LATER))
    maturing = _Elsewhere(database_urls, LATER, lambda other: mature_due(other, salon.tenant_id))
    await earn(overtaking(world, maturing), salon, order("seen", **{"ends_at": LATER, **change}))
    assert await maturing.end() == Swept(matured, 0)
    assert await spendable(world, salon) == points


async def test_two_workers_that_saw_the_same_promises_keep_them_once(
    world: World, salon: Salon, database_urls: DatabaseUrls
) -> None:
    """F-08, F-10."""
    await an_hour_later(world, salon)
    await promise(world, salon, 5, customers=2)
    second = _Elsewhere(database_urls, LATER, lambda other: mature_due(other, salon.tenant_id))
    assert await mature_due(overtaking(world, second), salon.tenant_id) == Swept(5, 0)
    assert await second.end() == Swept(0, 0)
