"""Reports over a range of local days, from the figures of its days and from the entries that they lack yet."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

from loyalty.rules.entry import EntryKind
from loyalty.rules.entry_kinds import KINDS, ReportFigure
from loyalty.rules.errors import LimitReached
from loyalty.rules.location import Scope
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.report import ReportRange, day_range, redemption_rate
from loyalty.services.world import World
from loyalty.storage.figures import count_marked_customers, sum_figures
from loyalty.storage.reports import count_active_there, sum_there
from loyalty.storage.tenants import read_tenant
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.multiplexer import Lane
from tenancy.reading import Reads

_TAKES_AWAY = frozenset({ReportFigure.REVERSED, ReportFigure.REDEEMED, ReportFigure.EXPIRED})
"""The figures of entries below zero. A report shows them as positive numbers."""


class MovementRow(NamedTuple):
    """The points for each cause of their movement, gross."""

    earned: int
    reversed: int
    redeemed: int
    returned: int
    expired: int
    adjusted: int


class ReportSums(NamedTuple):
    """The points of a range: earned less reversed, redeemed less returned; adjustments are separate."""

    points_earned: int
    points_redeemed: int
    redemption_rate: int
    movements: MovementRow


async def get_report(world: World, actor: Actor, first_day: date, last_day: date) -> ReportRange:
    """Return the range of a report: the tenant's local days, both included. Refusal: InvalidInput.

    For a caller with a scope of locations its figures cover only these locations.
    """
    require(actor, Permission.LOYALTY_REPORT)
    tx = world.database.reading(actor.tenant_id, Lane.SLOW)
    return await read_day_range(tx, first_day, last_day)


async def load_report_sums(world: World, actor: Actor, ranges: Sequence[ReportRange]) -> dict[ReportRange, ReportSums]:
    """Return the sums of each range. Refusal: LimitReached."""
    require(actor, Permission.LOYALTY_REPORT)
    tx = world.database.reading(actor.tenant_id, Lane.SLOW)
    return {one: _build_sums(await _sum_kinds(tx, one, actor.locations)) for one in ranges}


async def load_active_customers(world: World, actor: Actor, ranges: Sequence[ReportRange]) -> dict[ReportRange, int]:
    """Return how many customers earned or redeemed in each range."""
    require(actor, Permission.LOYALTY_REPORT)
    tx = world.database.reading(actor.tenant_id, Lane.SLOW)
    return {one: await _count_active(tx, one, actor.locations) for one in ranges}


async def _sum_kinds(tx: Reads, wanted: ReportRange, scope: Scope) -> dict[str, int]:
    """Sum points by kind. Figures have no locations, so entries are added up for a scope."""
    if scope is None:
        return await sum_figures(tx, wanted)
    return await sum_there(tx, wanted.starts_at, wanted.ends_at, scope)


async def _count_active(tx: Reads, wanted: ReportRange, scope: Scope) -> int:
    if scope is None:
        return await count_marked_customers(tx, wanted)
    return await count_active_there(tx, wanted.starts_at, wanted.ends_at, scope)


def _build_sums(sums: Mapping[str, int]) -> ReportSums:
    if any(abs(points) > MAX_POINTS for points in sums.values()):
        raise LimitReached("points in one report", MAX_POINTS, ("range",))
    moved = movements_of(sums)
    earned = moved.earned - moved.reversed
    redeemed = moved.redeemed - moved.returned
    return ReportSums(earned, redeemed, redemption_rate(earned, redeemed), moved)


async def read_day_range(tx: Reads, first_day: date, last_day: date) -> ReportRange:
    """Return a range of the tenant's local days, both included. Refusal: InvalidInput."""
    tenant = await read_tenant(tx)
    return day_range(first_day, last_day, tenant.time_zone)


def movements_of(sums: Mapping[str, int]) -> MovementRow:
    """Return the figures of a report for the sums of all kinds of entries."""
    figures = dict.fromkeys(ReportFigure, 0)
    for kind, points in sums.items():
        figure = KINDS[EntryKind(kind)].figure
        if figure is not None:
            figures[figure] += -points if figure in _TAKES_AWAY else points
    return MovementRow(**{figure.value.lower(): points for figure, points in figures.items()})
