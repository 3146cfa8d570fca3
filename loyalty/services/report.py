"""Reports over a range of local days, straight from the ledger."""

from datetime import date, datetime
from typing import NamedTuple

from loyalty.rules.entry import EntryKind
from loyalty.rules.errors import LimitReached, NotFound
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.report import day_range, redemption_rate
from loyalty.services.world import World
from loyalty.storage.reports import count_active_customers, sum_by_kind
from loyalty.storage.tenants import read_tenant
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require

EARNED_KINDS = (EntryKind.EARNED, EntryKind.EARN_REVERSED)
REDEEMED_KINDS = (EntryKind.REDEEMED, EntryKind.GIFT_CARD, EntryKind.REDEMPTION_RETURNED)


class ReportRow(NamedTuple):
    """What happened to points in a range: earned and redeemed net of what was taken back, adjustments apart."""

    starts_at: datetime
    ends_at: datetime
    points_earned: int
    points_redeemed: int
    redemption_rate: int
    active_customers: int
    earned: int
    reversed: int
    redeemed: int
    returned: int
    expired: int
    adjusted: int


async def get_report(world: World, actor: Actor, first_day: date, last_day: date) -> ReportRow:
    """The report of a range of the tenant's local days, both included. Refusals: InvalidInput, LimitReached."""
    require(actor, Permission.LOYALTY_REPORT)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        tenant = await read_tenant(tx)
        if tenant is None:
            raise NotFound("tenant")
        start_at, end_at = day_range(first_day, last_day, tenant.time_zone)
        sums = {kind: row.points for kind, row in (await sum_by_kind(tx, start_at, end_at)).items()}
        active = await count_active_customers(tx, start_at, end_at)
    if any(abs(points) > MAX_POINTS for points in sums.values()):
        raise LimitReached("points in one report", MAX_POINTS, ("range",))
    earned = sum(sums.get(kind, 0) for kind in EARNED_KINDS)
    redeemed = -sum(sums.get(kind, 0) for kind in REDEEMED_KINDS)
    return ReportRow(
        starts_at=start_at,
        ends_at=end_at,
        points_earned=earned,
        points_redeemed=redeemed,
        redemption_rate=redemption_rate(earned, redeemed),
        active_customers=active,
        earned=sums.get(EntryKind.EARNED, 0),
        reversed=-sums.get(EntryKind.EARN_REVERSED, 0),
        redeemed=-sums.get(EntryKind.REDEEMED, 0) - sums.get(EntryKind.GIFT_CARD, 0),
        returned=sums.get(EntryKind.REDEMPTION_RETURNED, 0),
        expired=-sums.get(EntryKind.EXPIRED, 0),
        adjusted=sums.get(EntryKind.ADJUSTED, 0),
    )
