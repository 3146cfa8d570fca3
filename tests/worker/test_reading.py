"""Readers of the log: every event is worked on once, whatever stops, fails or hurries in between."""

import asyncio
import contextlib
import signal
from collections.abc import MutableMapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from loyalty.log.events import LoggedEvent
from loyalty.log.readers import Lag, Reader, TurnFailed, advance_reader, index_readers, read_lag, retry_seconds
from loyalty.rules.entry import EntryKind
from loyalty.rules.errors import InvalidInput
from loyalty.rules.figures import Figure, FigurePeriod
from loyalty.rules.report import day_range
from loyalty.services.daily_figures import MAX_DAYS, get_daily_figures
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.figures import FIGURES, add_up_entries
from loyalty.services.report import get_report
from loyalty.services.world import World
from loyalty.storage.log_readers import register_readers
from runtime.roles import DatabaseUrls
from tenancy.database import Database, Transaction
from tests.fixtures.live import is_waiting_for_a_lock, until, worker_process
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import at, earn, give, one_point_per_euro, order, position_all_events, read_report
from worker.reading import read_round
from worker.relay import relay_batch

EVE = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)
"""23:30 in Berlin: an hour later it is another day there, and still the same one in UTC."""
FIRST, SECOND = EVE.date(), EVE.date() + timedelta(days=1)


async def relay(relay_database: Database, reader: str) -> None:
    """Let every event get its position, and tell one reader of it."""
    while True:
        if not await relay_batch(relay_database):
            break
    async with relay_database.engine.begin() as connection:
        await register_readers(connection, [reader])


async def lag_of(world: World, salon: Salon, reader: str = FIGURES.name) -> Lag:
    return await read_lag(world.database.reading(salon.tenant_id), reader)


def lines_about(logs: Sequence[MutableMapping[str, Any]], salon: Salon) -> list[MutableMapping[str, Any]]:
    return [line for line in logs if line.get("tenant") == str(salon.tenant_id)]


FIGURES_OF_DAYS = text(
    "SELECT period, starts_on, kind, points FROM figures "
    "WHERE tenant_id = :current_tenant AND period = 'DAY' ORDER BY starts_on, kind"
)


async def figures(world: World, salon: Salon) -> list[Figure]:
    rows = await world.database.reading(salon.tenant_id).rows(FIGURES_OF_DAYS)
    return [Figure(FigurePeriod(row.period), row.starts_on, EntryKind(row.kind), row.points) for row in rows]


async def is_read(world: World, salon: Salon) -> bool:
    return (await lag_of(world, salon)).events == 0 and bool(await figures(world, salon))


async def let_it_be_due(world: World, salon: Salon) -> None:
    """Let the time of a turn, or of a rest, be over."""
    await move_due_time(world, salon, timedelta(0))


async def let_it_rest(world: World, salon: Salon) -> None:
    """Make a rest an hour long: a rest of a second may be over before a slow machine has looked."""
    await move_due_time(world, salon, timedelta(hours=1))


async def move_due_time(world: World, salon: Salon, from_now: timedelta) -> None:
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        await tx.run(
            text("UPDATE log_readers SET due_at = now() + :from_now WHERE due_at IS NOT NULL"), from_now=from_now
        )


@pytest.fixture(autouse=True)
async def two_days(world: World, salon: Salon, other_salon: Salon) -> None:
    """Create two evenings of the same UTC day that are two local days, in both salons."""
    for one in (salon, other_salon):
        await create_earning_rule(world, one.manager, one_point_per_euro())
        await earn(at(world, EVE), one, order("order-1", 1_000))
        await earn(at(world, EVE + timedelta(hours=1)), one, order("order-2", 2_000))
        await give(at(world, EVE + timedelta(hours=1)), one, -5, "key-1")


EXPECTED = [
    Figure(FigurePeriod.DAY, FIRST, EntryKind.EARNED, 10),
    Figure(FigurePeriod.DAY, SECOND, EntryKind.ADJUSTED, -5),
    Figure(FigurePeriod.DAY, SECOND, EntryKind.EARNED, 20),
]


async def test_a_reader_that_was_never_told_of_the_log_has_all_of_it_before_it(
    world: World, salon: Salon, relay_database: Database
) -> None:
    await position_all_events(relay_database)
    assert await lag_of(world, salon, "a reader to come") == Lag(len(EXPECTED), 0, None)


async def test_a_worker_adds_up_each_local_day_and_the_report_agrees(
    world: World, salon: Salon, database_urls: DatabaseUrls
) -> None:
    async with worker_process(database_urls):
        await until(lambda: is_read(world, salon))
    assert await figures(world, salon) == EXPECTED
    report = await read_report(world, salon.manager, FIRST, SECOND)
    daily = await get_daily_figures(world, salon.manager, await get_report(world, salon.manager, FIRST, SECOND))
    assert daily.events_behind == 0
    assert [(one.day, one.movements.earned, one.movements.adjusted) for one in daily.days] == [
        (FIRST, 10, 0),
        (SECOND, 20, -5),
    ]
    for name in daily.days[0].movements._fields:
        assert sum(getattr(one.movements, name) for one in daily.days) == getattr(report.movements, name), name


async def test_daily_figures_of_too_many_days_are_refused(world: World, salon: Salon) -> None:
    begin = date(2026, 1, 1)
    with pytest.raises(InvalidInput) as refused:
        await get_daily_figures(world, salon.manager, day_range(begin, begin + timedelta(days=MAX_DAYS), "UTC"))
    assert [problem.path for problem in refused.value.problems] == [("range",)]


async def test_a_worker_that_is_killed_in_a_turn_leaves_all_of_it_for_the_next(
    world: World, salon: Salon, database_urls: DatabaseUrls
) -> None:
    """The turn ends with its time; what the dead worker has written in it was never committed."""
    with contextlib.suppress(LookupError):
        async with world.database.tenant_transaction(salon.tenant_id) as tx:
            # Another transaction holds the key of the first figure, so the handler waits in the middle of its turn.
            await tx.run(text("INSERT INTO figures VALUES (:current_tenant, 'DAY', :day, 'EARNED', 1)"), day=FIRST)
            async with worker_process(database_urls) as process:
                await until(lambda: is_waiting_for_a_lock(database_urls.app, "treue-worker"))
                process.send_signal(signal.SIGKILL)
                await process.wait()
            raise LookupError
    assert await figures(world, salon) == []
    assert (await lag_of(world, salon)).events == 3
    await let_it_be_due(world, salon)
    async with worker_process(database_urls):
        await until(lambda: is_read(world, salon))
    assert await figures(world, salon) == EXPECTED


async def test_a_reader_that_stops_after_its_work_and_before_its_position_works_again(
    world: World, salon: Salon, relay_database: Database
) -> None:
    """Work and position belong to one transaction, so the figures count nothing twice."""
    await relay(relay_database, FIGURES.name)
    reached = asyncio.Event()

    async def add_up_and_hang(tx: Transaction, events: Sequence[LoggedEvent]) -> None:
        await add_up_entries(tx, events)
        reached.set()
        await asyncio.Event().wait()

    hanging = asyncio.create_task(
        advance_reader(world.database, salon.tenant_id, Reader(FIGURES.name, add_up_and_hang))
    )
    await reached.wait()
    # Another worker finds that the turn is taken.
    assert not await advance_reader(world.database, salon.tenant_id, FIGURES)
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    assert await figures(world, salon) == []
    assert (await lag_of(world, salon)).events == 3
    await let_it_be_due(world, salon)
    assert not await advance_reader(world.database, salon.tenant_id, FIGURES)
    assert await figures(world, salon) == EXPECTED
    assert await lag_of(world, salon) == Lag(0, 0, None)


async def test_two_workers_with_the_same_turn_count_it_once(
    world: World, salon: Salon, relay_database: Database
) -> None:
    """The time of a turn may be over while its worker still works: then the first that moves the position wins."""
    await relay(relay_database, FIGURES.name)
    await asyncio.gather(*(advance_reader(world.database, salon.tenant_id, FIGURES, turn_seconds=0) for _ in range(5)))
    assert await figures(world, salon) == EXPECTED
    assert await lag_of(world, salon) == Lag(0, 0, None)


async def test_a_reader_that_fails_rests_longer_each_time_and_delays_nobody(
    world: World, salon: Salon, other_salon: Salon, relay_database: Database
) -> None:
    seen: list[int] = []

    async def fail_here(tx: Transaction, events: Sequence[LoggedEvent]) -> None:
        seen.extend(one.position for one in events)
        if tx.tenant_id == salon.tenant_id:
            raise ZeroDivisionError("Anna's reason, which stays in the log")

    failing = Reader("failing", fail_here)
    await relay(relay_database, failing.name)
    with capture_logs() as logs:
        # A round takes no more tenants than its limit, and other tests have left theirs.
        while not lines_about(logs, salon) or (await lag_of(world, other_salon, failing.name)).events:
            await read_round(failing, world, relay_database)
            if lines_about(logs, salon):
                await let_it_rest(world, salon)
    assert [
        (line["event"], line["reader"], line["attempts"], line["retry_after_seconds"])
        for line in lines_about(logs, salon)
    ] == [("reader failed, will be tried again", "failing", 1, 1.0)]
    assert await lag_of(world, other_salon, failing.name) == Lag(0, 0, None)
    assert await lag_of(world, salon, failing.name) == Lag(3, 1, "ZeroDivisionError")
    # It rests: nobody tries it before its time.
    assert not await advance_reader(world.database, salon.tenant_id, failing)
    await let_it_be_due(world, salon)
    with pytest.raises(TurnFailed) as again:
        await advance_reader(world.database, salon.tenant_id, failing)
    assert (again.value.attempts, again.value.retry_seconds) == (2, 2.0)
    # The other reader is where it would be without it.
    await advance_reader(world.database, salon.tenant_id, FIGURES)
    assert await figures(world, salon) == EXPECTED
    # And when what was wrong is mended, it goes on with the very event that failed.
    seen.clear()

    async def note(_tx: Transaction, events: Sequence[LoggedEvent]) -> None:
        seen.extend(one.position for one in events)

    await let_it_be_due(world, salon)
    await advance_reader(world.database, salon.tenant_id, Reader("failing", note))
    assert seen == [1, 2, 3]
    assert await lag_of(world, salon, failing.name) == Lag(0, 0, None)


async def test_events_that_come_in_a_turn_are_not_forgotten(
    world: World, salon: Salon, relay_database: Database
) -> None:
    """The relay tells of them while the reader works; the turn ends with more to do."""
    await relay(relay_database, FIGURES.name)

    async def let_more_come(_tx: Transaction, _events: Sequence[LoggedEvent]) -> None:
        await give(at(world, EVE), salon, 7, "key-2")
        await relay_batch(relay_database)

    assert await advance_reader(world.database, salon.tenant_id, Reader(FIGURES.name, let_more_come))
    assert (await lag_of(world, salon)).events == 1
    assert not await advance_reader(world.database, salon.tenant_id, FIGURES)
    assert await figures(world, salon) == [Figure(FigurePeriod.DAY, FIRST, EntryKind.ADJUSTED, 7)]


def test_rests_double_up_to_ten_minutes() -> None:
    assert [retry_seconds(attempts) for attempts in (1, 2, 3, 10, 11, 5_000)] == [1, 2, 4, 512, 600, 600]


def test_two_readers_of_one_name_are_refused() -> None:
    with pytest.raises(TypeError, match="name of its own"):
        index_readers(FIGURES, FIGURES)
