"""The report: what a range of the salon's own days brought, from the same rows as the ledger."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from loyalty.rules.account import Overdraft
from loyalty.rules.errors import InvalidInput, LimitReached
from loyalty.rules.points import MAX_POINTS
from loyalty.services.adjustment import adjust_points
from loyalty.services.customer import list_activity
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.purchase import record_purchase
from loyalty.services.tenant import provision_tenant
from loyalty.services.world import World
from loyalty.storage.entries import EntryFilter
from loyalty.storage.window import Window
from tests.fixtures.tenants import Salon, salon_of
from tests.loyalty.rules.clocks import changes_of
from tests.loyalty.services.builders import NOON, adjustment, at, one_point_per_euro, order, read_report

TODAY = NOON.date()


async def buy(world: World, salon: Salon, moment: datetime, points: int, customer: str = "anna") -> None:
    """Record a purchase at a moment that earns so many points."""
    recording = order(f"of {customer} at {moment}", points * 100, customer=customer)
    await record_purchase(at(world, moment), salon.integration, recording)


async def redeem(owner_world: World, salon: Salon, points: int) -> None:
    """Let the newest adjustment count as a redemption; no use case redeems yet."""
    async with owner_world.database.tenant_transaction(salon.tenant_id) as tx:
        await tx.run(
            text("UPDATE entries SET kind = 'REDEEMED' WHERE kind = 'ADJUSTED' AND points = :points"), points=-points
        )


@pytest.fixture(autouse=True)
async def a_point_per_euro(world: World, salon: Salon) -> None:
    """Set a point for each euro in the salon of every test."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())


async def test_an_empty_range_is_all_zeros(world: World, salon: Salon) -> None:
    """BK-52: nothing earned is a rate of 0, no error."""
    report = await read_report(world, salon.staff, TODAY, TODAY)
    assert report[2:-1] == (0,) * 4
    assert report.movements == (0,) * 6


async def test_points_earned_and_active_customers_are_counted(world: World, salon: Salon) -> None:
    """BK-50, BK-53, C-11, C-12: purchases count; what was adjusted by hand stands apart and makes nobody active."""
    await buy(world, salon, NOON, 100)
    await buy(world, salon, NOON + timedelta(hours=1), 50)
    await buy(world, salon, NOON, 30, "ben")
    await buy(world, salon, NOON, 0, "cem")
    for number, points in enumerate((40, -15)):
        key = f"key-{number}"
        await adjust_points(at(world, NOON), salon.manager, adjustment(points, key, customer="cem"))
    report = await read_report(world, salon.staff, TODAY, TODAY)
    assert (report.points_earned, report.movements.earned, report.movements.reversed) == (180, 180, 0)
    assert report.movements.adjusted == 25
    assert report.active_customers == 2


async def test_the_redemption_rate_is_rounded_up(world: World, owner_world: World, salon: Salon) -> None:
    """BK-51, BK-52: 1 of 3 is 34 percent."""
    await buy(world, salon, NOON, 3)
    await adjust_points(at(world, NOON), salon.manager, adjustment(-1, "redeemed"))
    await redeem(owner_world, salon, 1)
    report = await read_report(world, salon.staff, TODAY, TODAY)
    assert (report.points_redeemed, report.movements.redeemed, report.redemption_rate) == (1, 1, 34)
    assert report.movements.adjusted == 0


async def test_the_rate_may_pass_a_hundred_and_is_0_where_nothing_was_earned(
    world: World, owner_world: World, salon: Salon
) -> None:
    """BK-52."""
    await buy(world, salon, NOON, 10)
    tomorrow = NOON + timedelta(days=1)
    await adjust_points(at(world, tomorrow), salon.manager, adjustment(-25, "all", overdraft=Overdraft.ALLOW_NEGATIVE))
    await redeem(owner_world, salon, 25)
    both = await read_report(world, salon.staff, TODAY, tomorrow.date())
    assert both.redemption_rate == 250
    only_tomorrow = await read_report(world, salon.staff, tomorrow.date(), tomorrow.date())
    assert (only_tomorrow.points_redeemed, only_tomorrow.redemption_rate) == (25, 0)
    assert only_tomorrow.active_customers == 1


async def test_days_are_the_salons_own_days(world: World, salon: Salon) -> None:
    """BK-54, F-24: in Berlin, March 4 begins at 23:00 UTC on March 3 and ends one second before 23:00 UTC."""
    moments = [
        (datetime(2026, 3, 3, 22, 59, 59, tzinfo=UTC), 1),
        (datetime(2026, 3, 3, 23, 0, 0, tzinfo=UTC), 10),
        (datetime(2026, 3, 4, 22, 59, 59, tzinfo=UTC), 100),
        (datetime(2026, 3, 4, 23, 0, 0, tzinfo=UTC), 1_000),
    ]
    for moment, points in moments:
        await buy(world, salon, moment, points)
    assert (await read_report(world, salon.staff, TODAY, TODAY)).points_earned == 110
    whole = await read_report(world, salon.staff, TODAY - timedelta(days=1), TODAY + timedelta(days=1))
    assert whole.points_earned == 1_111


async def test_the_day_of_the_clock_change_has_23_hours(world: World, salon: Salon) -> None:
    """BK-54: March 29, 2026 in Berlin."""
    day = date(2026, 3, 29)
    report = await read_report(world, salon.staff, day, day)
    assert report[:2] == (datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC))
    for hours, points in ((0, 1), (22, 10), (23, 100)):
        await buy(world, salon, report[0] + timedelta(hours=hours), points)
    assert (await read_report(world, salon.staff, day, day)).points_earned == 11


@pytest.mark.parametrize(
    "zone",
    [
        "Africa/Casablanca",  # back for Ramadan
        "America/Havana",  # at one, back to midnight
        "America/Santiago",  # at midnight, back to the day before
        "Asia/Beirut",  # at midnight, which does not exist then
        "Australia/Lord_Howe",  # half an hour
        "Pacific/Chatham",
    ],
)
async def test_the_days_around_a_change_of_clocks_add_up_to_their_range(
    world: World, owner_world: World, zone: str
) -> None:
    """BK-54: each entry is in exactly one day, whichever way the clocks go."""
    salon = salon_of(await provision_tenant(owner_world, name="Salon", currency="EUR", time_zone=zone, locale="en-GB"))
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    place, (first, second, *_) = ZoneInfo(zone), changes_of(zone)
    for change in (first, second):
        moments = [change + timedelta(minutes=90 * number) for number in range(-20, 21)]
        for number, moment in enumerate(moments):
            await buy(world, salon, moment, number + 1)
        due: Counter[date] = Counter()
        for number, moment in enumerate(moments):
            due[moment.astimezone(place).date()] += number + 1
        days = sorted(due)
        told = {day: (await read_report(world, salon.staff, day, day)).points_earned for day in days}
        assert told == due
        assert (await read_report(world, salon.staff, days[0], days[-1])).points_earned == sum(told.values())


async def test_a_report_is_the_sum_of_the_log(world: World, salon: Salon) -> None:
    """BK-60, F-36: the same rows, the same range."""
    for number in range(10):
        moment = NOON + timedelta(hours=5 * number)
        await buy(world, salon, moment, number + 1, f"guest-{number % 3}")
        key = f"key-{number}"
        request = adjustment(number - 20, key, customer=f"guest-{number % 3}", overdraft=Overdraft.ALLOW_NEGATIVE)
        await adjust_points(at(world, moment), salon.manager, request)
    report = await read_report(world, salon.staff, TODAY, TODAY)
    log = await list_activity(world, salon.manager, EntryFilter(start_at=report[0], end_at=report[1]), Window(100))
    assert 0 < len(log) < 20
    assert report.movements.earned == sum(entry.points for entry in log if entry.kind == "EARNED")
    assert report.movements.adjusted == sum(entry.points for entry in log if entry.kind == "ADJUSTED")
    assert report.active_customers == len({entry.customer_id for entry in log if entry.kind == "EARNED"})


async def test_another_tenants_points_are_not_in_it(world: World, salon: Salon, other_salon: Salon) -> None:
    await create_earning_rule(world, other_salon.manager, one_point_per_euro())
    await buy(world, other_salon, NOON, 500)
    await buy(world, salon, NOON, 5)
    assert (await read_report(world, salon.staff, TODAY, TODAY)).points_earned == 5


@pytest.mark.parametrize(
    ("first_day", "last_day", "path"),
    [
        (TODAY, TODAY - timedelta(days=1), ("range", "to")),
        (date(1, 1, 1), TODAY, ("range", "from")),
        (TODAY, date.max, ("range", "to")),
    ],
)
async def test_a_range_runs_forwards_and_stays_in_the_calendar(
    world: World, salon: Salon, first_day: date, last_day: date, path: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await read_report(world, salon.staff, first_day, last_day)
    assert refused.value.path == path


async def test_refuses_sums_that_no_number_can_show(world: World, salon: Salon) -> None:
    """F-36: two adjustments, each as large as one may be, are a clear refusal and not a wrong or broken report."""
    for customer in ("anna", "ben"):
        await buy(world, salon, NOON, 1, customer)
        request = adjustment(MAX_POINTS - 1, f"key of {customer}", customer=customer)
        await adjust_points(at(world, NOON), salon.manager, request)
    with pytest.raises(LimitReached):
        await read_report(world, salon.staff, TODAY, TODAY)
