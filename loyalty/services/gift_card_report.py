"""The report of gift cards over a range of local days, computed from their ledgers."""

from datetime import date, datetime
from typing import NamedTuple

from loyalty.rules.gift_card_report import GiftCardFigures, gift_card_figures
from loyalty.services.report import read_day_range
from loyalty.services.world import World
from loyalty.storage.gift_card_reports import sum_card_liability, sum_card_moves, sum_card_sales
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require_whole_business
from tenancy.multiplexer import Lane


class GiftCardReportRow(NamedTuple):
    """The issued, spent and lost money of gift cards in a range, and the outstanding money at its end."""

    starts_at: datetime
    ends_at: datetime
    figures: list[GiftCardFigures]


async def get_gift_card_report(world: World, actor: Actor, first_day: date, last_day: date) -> GiftCardReportRow:
    """Return the report for a range of the tenant's local days, both included. Refusal: InvalidInput."""
    require_whole_business(actor, Permission.LOYALTY_REPORT)
    tx = world.database.reading(actor.tenant_id, Lane.SLOW)
    start_at, end_at, *_ = await read_day_range(tx, first_day, last_day)
    figures = gift_card_figures(
        await sum_card_sales(tx, start_at, end_at),
        await sum_card_moves(tx, start_at, end_at),
        await sum_card_liability(tx, end_at),
    )
    return GiftCardReportRow(start_at, end_at, figures)
