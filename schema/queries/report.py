"""Reports."""

from datetime import date
from typing import Annotated

import strawberry

from loyalty.services.gift_card_report import get_gift_card_report
from loyalty.services.report import get_report
from permissions.catalog import Permission
from schema.context import Info
from schema.guard import guarded
from schema.types.gift_card_report import GiftCardReport
from schema.types.node import show_row
from schema.types.report import Report


@strawberry.input(description="A range of the tenant's local days, both included.")
class DateRangeInput:
    from_: date = strawberry.field(name="from", description="The first day.")
    to: date = strawberry.field(description="The last day.")


@guarded(Permission.LOYALTY_REPORT, description="What happened in a range of days, straight from the ledger.")
async def report(
    info: Info,
    range: Annotated[DateRangeInput, strawberry.argument(description="The range of local days.")],  # noqa: A002
) -> Report:
    """The range; what is asked of it is loaded by it."""
    return show_row(Report, await get_report(info.context.world, info.context.actor, range.from_, range.to))


@guarded(
    Permission.LOYALTY_REPORT,
    description="What happened to gift cards in a range of days, and what is owed for them at its end.",
)
async def gift_card_report(
    info: Info,
    range: Annotated[DateRangeInput, strawberry.argument(description="The range of local days.")],  # noqa: A002
) -> GiftCardReport:
    """Return sums over the ledgers of all cards."""
    world, actor = info.context.world, info.context.actor
    return show_row(GiftCardReport, await get_gift_card_report(world, actor, range.from_, range.to))
