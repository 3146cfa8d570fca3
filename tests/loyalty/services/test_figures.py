"""Reports are equal to the sums of the entries, wherever the reader of the figures stands."""

import asyncio
import random
import re
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from loyalty.ledger.proof import figures as proof
from loyalty.ledger.proof.asking import Pass, run_pass
from loyalty.ledger.proof.question import Broken, Source
from loyalty.ledger.proof.slicing import EVERYTHING
from loyalty.log.readers import advance_reader, read_lag
from loyalty.rules.entry import EntryKind
from loyalty.rules.errors import LoyaltyError
from loyalty.services.daily_figures import get_daily_figures
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.figures import FIGURES
from loyalty.services.log_readers import READER_NAMES
from loyalty.services.report import get_report, load_report_sums, movements_of
from loyalty.services.world import World
from loyalty.storage.figures import MAX_DAYS_OF_MARKS, MAX_UNREAD_EVENTS
from loyalty.storage.log_readers import register_readers
from tenancy.database import Database
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    at,
    bring_along,
    capture,
    earn,
    give,
    give_back,
    hold,
    known_customer,
    merge,
    one_point_per_euro,
    order,
    pay_back,
    position_all_events,
    read_all_events,
    read_report,
    set_redemption,
)

BERLIN = ZoneInfo("Europe/Berlin")
BEGIN = datetime(2023, 11, 20, 22, 30, tzinfo=UTC)
MONTHS = 16
STEPS = 60
ENTRIES = text(
    """
    SELECT e.kind, e.points, e.occurred_at, coalesce(c.merged_into, c.id) AS customer_id
    FROM entries e JOIN customers c ON c.tenant_id = :current_tenant AND c.id = e.customer_id
    WHERE e.tenant_id = :current_tenant
    """
)
OPERATING = Path(__file__).parents[3] / "docs" / "operating.md"
MAKES_ACTIVE = {"EARNED", "REDEEMED", "GIFT_CARD"}


class Life:
    """Customers who earn, spend, give back and merge, at moments that go on by hours or months."""

    def __init__(self, world: World, salon: Salon, chance: random.Random) -> None:
        self.world = world
        self.salon = salon
        self.chance = chance
        self.now = BEGIN
        self.numbers = count()
        self.captured: list[Any] = []
        self.orders: list[str] = []

    async def step(self) -> None:
        """Do one thing, at a later moment than the last one."""
        self.now += self.chance.choice(
            [timedelta(minutes=40), timedelta(hours=9), timedelta(days=5), timedelta(days=33)]
        )
        act = self.chance.choice(
            [self.buy, self.buy, self.spend, self.adjust, self.undo, self.refund, self.arrive_late]
        )
        try:
            await act(at(self.world, self.now), str(next(self.numbers)))
        except LoyaltyError:
            await self.buy(at(self.world, self.now), str(next(self.numbers)))

    def somebody(self) -> str:
        return self.chance.choice(["anna", "ben", "cem"])

    async def buy(self, here: World, key: str) -> None:
        self.orders.append(key)
        await earn(here, self.salon, order(key, self.chance.randrange(1_000, 90_000), customer=self.somebody()))

    async def spend(self, here: World, key: str) -> None:
        held = await hold(here, self.salon, self.chance.randrange(1, 30), f"hold {key}", customer=self.somebody())
        self.captured.append(await capture(here, self.salon, held, f"capture {key}"))

    async def adjust(self, here: World, key: str) -> None:
        await give(here, self.salon, self.chance.choice([-3, 4, 25]), f"adjust {key}", customer=self.somebody())

    async def undo(self, here: World, key: str) -> None:
        if self.captured:
            await give_back(here, self.salon, self.captured.pop(), f"undo {key}")

    async def refund(self, here: World, key: str) -> None:
        if self.orders:
            bought = self.orders.pop(self.chance.randrange(len(self.orders)))
            await pay_back(here, self.salon, bought, 500, f"refund {key}")

    async def arrive_late(self, here: World, key: str) -> None:
        """Somebody new, months ago: a day that the reader may have passed. Then somebody merges, or brings points."""
        before = at(self.world, self.now - timedelta(days=self.chance.randrange(400)))
        await earn(before, self.salon, order(f"late {key}", 7_000, customer=f"late {key}"))
        if self.chance.random() < 0.5:
            await merge(here, self.salon, f"late {key}", self.somebody(), f"merge {key}")
        else:
            await bring_along(here, self.salon, 11, customer=f"moved {key}")


async def compare(world: World, salon: Salon, first: date, last: date) -> None:
    """Every figure of a report, beside the entries themselves added up day by day."""
    rows = await world.database.reading(salon.tenant_id).rows(ENTRIES)
    sums: Counter[str] = Counter()
    by_day: defaultdict[date, Counter[str]] = defaultdict(Counter)
    active = set()
    for row in rows:
        day = row.occurred_at.astimezone(BERLIN).date()
        if first <= day <= last:
            sums[row.kind] += row.points
            by_day[day][row.kind] += row.points
            if row.kind in MAKES_ACTIVE:
                active.add(row.customer_id)
    report = await read_report(world, salon.manager, first, last)
    assert report.movements == movements_of(sums), (first, last)
    assert report.active_customers == len(active), (first, last)
    if (last - first).days < 366:
        found = await get_daily_figures(world, salon.manager, await get_report(world, salon.manager, first, last))
        assert {one.day: one.movements for one in found.days} == {
            day: movements_of(moved) for day, moved in by_day.items()
        }, (first, last)


async def expect_sound_figures(world: World, salon: Salon) -> None:
    """Assert that figures, active days and active spans are those of the entries that the reader has read.

    Each question has a snapshot of its own: nothing but the question itself keeps position and entries together.
    """
    for source in (
        *proof.SOURCES,
        *(Source(rows, {name: Broken("true", "*")}) for name, rows in proof.QUESTIONS.items()),
    ):
        async with world.database.tenant_transaction(salon.tenant_id) as tx:
            assert await run_pass(tx, Pass(source, EVERYTHING)) == []


@pytest.fixture(autouse=True)
async def a_shop(world: World, salon: Salon) -> None:
    """A point for a euro, points that pay, and Anna."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await set_redemption(world, salon)
    await known_customer(at(world, BEGIN), salon)


@pytest.mark.parametrize("seed", range(3))
async def test_every_report_is_the_sum_of_the_entries_wherever_the_reader_stands(
    world: World, salon: Salon, relay_database: Database, seed: int
) -> None:
    """Events wait for the relay, wait for the reader, or are read, and days that were read get more entries later.

    The proof raises no alarm at any of these moments.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    life = Life(world, salon, chance)
    states = Counter[str]()
    for _ in range(STEPS):
        await life.step()
        if chance.random() < 0.3:
            await position_all_events(relay_database)
            states["positioned"] += 1
            if chance.random() < 0.5:
                await advance_reader(world.database, salon.tenant_id, FIGURES)
                states["read"] += 1
        if chance.random() < 0.5:
            first = (BEGIN + timedelta(days=chance.randrange(-3, 30 * MONTHS))).astimezone(BERLIN).date()
            length = chance.choice([0, 1, MAX_DAYS_OF_MARKS - 1, MAX_DAYS_OF_MARKS, 90, 364, 700])
            await compare(world, salon, first, first + timedelta(days=length))
        if chance.random() < 0.1:
            await expect_sound_figures(world, salon)
    for last in (date(2060, 12, 31), date(2024, 2, 29)):
        await compare(world, salon, date(2020, 1, 1), last)
    await read_all_events(world, salon.tenant_id, relay_database)
    await compare(world, salon, date(2020, 1, 1), date(2060, 12, 31))
    await expect_sound_figures(world, salon)
    assert min(states["positioned"], states["read"]) > 3


async def test_a_report_right_after_a_write_has_it(world: World, salon: Salon, relay_database: Database) -> None:
    """First the event waits for its position, then for the reader, then it is in the figures."""
    today = BEGIN.astimezone(BERLIN).date()
    await give(at(world, BEGIN), salon, 5, "first")
    await read_all_events(world, salon.tenant_id, relay_database)
    await give(at(world, BEGIN), salon, 7, "second")

    async def shown() -> int:
        return (await read_report(world, salon.manager, today, today)).movements.adjusted

    assert await shown() == 12
    await position_all_events(relay_database)
    assert await shown() == 12
    assert not await advance_reader(world.database, salon.tenant_id, FIGURES)
    assert await shown() == 12


async def test_each_entry_counts_once_while_relay_and_reader_move(
    world: World, salon: Salon, relay_database: Database
) -> None:
    """Position, figures and newer entries are of one moment, so no point is missing or counted twice.

    For the same reason the proof raises no alarm meanwhile.
    """
    points, today = 40, BEGIN.astimezone(BERLIN).date()
    begun, ended = 0, 0

    async def write() -> None:
        nonlocal begun, ended
        for number in range(points):
            begun += 1
            await give(at(world, BEGIN), salon, 1, f"point {number}")
            ended += 1

    async def follow() -> None:
        while ended < points:
            await read_all_events(world, salon.tenant_id, relay_database)

    async def look() -> None:
        wanted = await get_report(world, salon.manager, today, today)
        while ended < points:
            least = ended
            found = (await load_report_sums(world, salon.manager, [wanted]))[wanted].movements.adjusted
            assert least <= found <= begun

    async def prove() -> None:
        while ended < points:
            await expect_sound_figures(world, salon)

    async with asyncio.TaskGroup() as tasks:
        for work in (write, follow, look, look, prove):
            tasks.create_task(work())
    await read_all_events(world, salon.tenant_id, relay_database)
    assert (await read_report(world, salon.manager, today, today)).movements.adjusted == points


SPOIL = text("UPDATE figures SET points = points + 100 WHERE tenant_id = :current_tenant AND kind = :kind")
LET_THE_LOG_GROW = text("UPDATE event_positions SET last_position = last_position + :events WHERE tenant_id = :tenant")


async def test_a_reader_that_is_far_behind_is_not_asked(world: World, salon: Salon, relay_database: Database) -> None:
    """As in a release that has the reader for the first time: until it is near the end, entries are added up."""
    today = BEGIN.astimezone(BERLIN).date()
    await give(at(world, BEGIN), salon, 5, "first")
    await read_all_events(world, salon.tenant_id, relay_database)
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        await tx.run(SPOIL, kind=EntryKind.ADJUSTED)

    async def adjusted(first: date, last: date) -> int:
        return (await read_report(world, salon.manager, first, last)).movements.adjusted

    assert await adjusted(today, today) == 105
    assert await adjusted(today.replace(day=1), date(2023, 11, 30)) == 105
    assert await adjusted(date(2023, 1, 1), date(2024, 1, 1)) == 105
    for events, expected in ((MAX_UNREAD_EVENTS, 105), (1, 5)):
        async with relay_database.engine.begin() as connection:
            await connection.execute(LET_THE_LOG_GROW, {"events": events, "tenant": salon.tenant_id})
        assert await adjusted(today, today) == expected


async def test_figures_are_added_up_again_as_the_operators_are_told(
    world: World, owner_world: World, salon: Salon, other_salon: Salon, relay_database: Database
) -> None:
    """Reports stay right all the while, and another tenant keeps its figures."""
    statements = [text(one) for one in re.findall("^(DELETE FROM .*);$", OPERATING.read_text(), re.MULTILINE)]
    today = BEGIN.astimezone(BERLIN).date()
    await known_customer(at(world, BEGIN), other_salon)
    for one in (salon, other_salon):
        await give(at(world, BEGIN), one, 5, "first")
    await earn(at(world, BEGIN), salon, order("order-1", 1_000))
    for one in (salon, other_salon):
        await read_all_events(world, one.tenant_id, relay_database)
        async with world.database.tenant_transaction(one.tenant_id) as tx:
            await tx.run(SPOIL, kind=EntryKind.ADJUSTED)

    async def adjusted(whose: Salon) -> int:
        return (await read_report(world, whose.manager, today, today)).movements.adjusted

    async with owner_world.database.tenant_transaction(salon.tenant_id) as tx:
        assert [await tx.run(one) > 0 for one in statements] == [True] * 4
    await compare(world, salon, today, today)
    await expect_sound_figures(world, salon)
    async with relay_database.engine.begin() as connection:
        await register_readers(connection, READER_NAMES)
    await compare(world, salon, today, today)
    await read_all_events(world, salon.tenant_id, relay_database)
    await compare(world, salon, today, today)
    await expect_sound_figures(world, salon)
    assert (await read_lag(world.database.reading(salon.tenant_id), FIGURES.name)).events == 0
    assert (await adjusted(salon), await adjusted(other_salon)) == (5, 105)


async def test_another_tenant_has_figures_of_its_own(
    world: World, salon: Salon, other_salon: Salon, relay_database: Database
) -> None:
    today = BEGIN.astimezone(BERLIN).date()
    await give(at(world, BEGIN), salon, 5, "first")
    await earn(at(world, BEGIN), salon, order("order-1", 1_000))
    for one in (salon, other_salon):
        await read_all_events(world, one.tenant_id, relay_database)
    report = await read_report(world, salon.manager, today, today)
    assert (report.movements.adjusted, report.points_earned, report.active_customers) == (5, 10, 1)
    for length in (0, MAX_DAYS_OF_MARKS):
        report = await read_report(world, other_salon.manager, today, today + timedelta(days=length))
        assert report.movements == (0,) * 6
        assert report.active_customers == 0


async def test_a_long_range_between_active_days_has_only_who_was_active_in_it(
    world: World, salon: Salon, relay_database: Database
) -> None:
    """The span of a customer tells nothing of the days inside of it, so these are looked up."""
    for month, name in ((0, "anna"), (0, "ben"), (5, "ben"), (5, "cem"), (14, "anna"), (14, "ben")):
        moment = BEGIN + timedelta(days=30 * month)
        await earn(at(world, moment), salon, order(f"of {name} in {month}", 1_000, customer=name))
    await read_all_events(world, salon.tenant_id, relay_database)
    begin = BEGIN.astimezone(BERLIN).date()

    async def count_active(first: int, last: int) -> int:
        first_day, last_day = begin + timedelta(days=first), begin + timedelta(days=last)
        return (await read_report(world, salon.manager, first_day, last_day)).active_customers

    assert await count_active(10, 400) == 2
    assert await count_active(0, 400) == 3
    assert await count_active(10, 420) == 3
    assert await count_active(10, 140) == 0
    assert await count_active(155, 400) == 0
