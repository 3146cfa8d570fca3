"""Daily figures: a reader of the log adds them up, and a report shows them."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from loyalty.log.events import LoggedEvent
from loyalty.log.readers import Reader, read_lag
from loyalty.rules.daily_figures import sum_by_day
from loyalty.rules.entry_kinds import KINDS
from loyalty.rules.errors import InvalidInput
from loyalty.rules.zones import find_time_zone
from loyalty.services.report import MovementRow, movements_of
from loyalty.services.world import World
from loyalty.storage.daily_figures import add_figures, read_figures
from loyalty.storage.reports import DaySum, sum_days_there
from loyalty.storage.tenants import read_tenant
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.database import Transaction
from tenancy.multiplexer import Lane

MAX_DAYS = 366
"""The most days that are shown at once."""

_KIND_OF_EVENT = {row.event: kind for kind, row in KINDS.items() if row.event is not None}


class DayRow(NamedTuple):
    """The movements of points on one local day."""

    day: date
    movements: MovementRow


class DailyFiguresRow(NamedTuple):
    """The days of a range on which points moved, and by how many events the figures are behind the log."""

    days: list[DayRow]
    events_behind: int


async def add_up_events(tx: Transaction, events: Sequence[LoggedEvent]) -> None:
    """Add events to the figures of their days. This is the handler of the reader."""
    tenant = await read_tenant(tx)
    happened = ((one.occurred_at, one.event) for one in events)
    await add_figures(tx, sum_by_day(happened, find_time_zone(tenant.time_zone)))


DAILY_FIGURES = Reader("daily_figures", add_up_events)


async def get_daily_figures(world: World, actor: Actor, start_at: datetime, end_at: datetime) -> DailyFiguresRow:
    """Return the figures of the local days in ``[start_at, end_at)``.

    Raises InvalidInput for more than ``MAX_DAYS``.
    """
    require(actor, Permission.LOYALTY_REPORT)
    tx = world.database.reading(actor.tenant_id, Lane.SLOW)
    tenant = await read_tenant(tx)
    zone = find_time_zone(tenant.time_zone)
    first_day, after = start_at.astimezone(zone).date(), end_at.astimezone(zone).date()
    if (after - first_day).days > MAX_DAYS:
        raise InvalidInput.one("range", reason=f"must have at most {MAX_DAYS} days where daily figures are asked for")
    if actor.locations is not None:
        # The log has no locations, so the entries of the ledger are added up. They are never behind.
        sums = await sum_days_there(tx, start_at, end_at, tenant.time_zone, actor.locations)
        return DailyFiguresRow(_build_days(sums), 0)
    behind = (await read_lag(tx, DAILY_FIGURES.name)).events
    figures = await read_figures(tx, first_day, after - timedelta(days=1))
    sums = [DaySum(one.day, _KIND_OF_EVENT[one.kind], one.points) for one in figures if one.kind in _KIND_OF_EVENT]
    return DailyFiguresRow(_build_days(sums), behind)


def _build_days(sums: Iterable[DaySum]) -> list[DayRow]:
    days = groupby(sums, key=lambda one: one.day)
    return [DayRow(day, movements_of({one.kind: one.points for one in some})) for day, some in days]
