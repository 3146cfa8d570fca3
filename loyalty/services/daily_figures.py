"""The days of a report: the movements of points on each local day."""

from collections.abc import Iterable
from datetime import date
from itertools import groupby
from typing import NamedTuple

from loyalty.log.readers import read_lag
from loyalty.rules.errors import InvalidInput
from loyalty.rules.report import ReportRange
from loyalty.services.report import MovementRow, movements_of
from loyalty.services.world import World
from loyalty.storage.figures import READER, sum_days
from loyalty.storage.reports import DaySum, sum_days_there
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.multiplexer import Lane

MAX_DAYS = 366
"""The most days that are shown at once."""


class DayRow(NamedTuple):
    """The movements of points on one local day."""

    day: date
    movements: MovementRow


class DailyFiguresRow(NamedTuple):
    """The days of a range on which points moved, and by how many events the stored figures are behind the log."""

    days: list[DayRow]
    events_behind: int


async def get_daily_figures(world: World, actor: Actor, wanted: ReportRange) -> DailyFiguresRow:
    """Return the figures of the local days of a range. Raises InvalidInput for more than ``MAX_DAYS``.

    The days are never behind: what the stored figures lack is added up from entries.
    """
    require(actor, Permission.LOYALTY_REPORT)
    tx = world.database.reading(actor.tenant_id, Lane.SLOW)
    if (wanted.after - wanted.first_day).days > MAX_DAYS:
        raise InvalidInput.one("range", reason=f"must have at most {MAX_DAYS} days where daily figures are asked for")
    if actor.locations is not None:
        # Figures have no locations, so entries are added up.
        sums = await sum_days_there(tx, wanted.starts_at, wanted.ends_at, wanted.time_zone, actor.locations)
        return DailyFiguresRow(_build_days(sums), 0)
    behind = (await read_lag(tx, READER)).events
    return DailyFiguresRow(_build_days(await sum_days(tx, wanted)), behind)


def _build_days(sums: Iterable[DaySum]) -> list[DayRow]:
    days = groupby(sums, key=lambda one: one.day)
    return [DayRow(day, movements_of({one.kind: one.points for one in some})) for day, some in days]
