"""Reports over a range of the tenant's local days."""

from datetime import date, datetime
from typing import Annotated, Any, cast

import strawberry

from loyalty.rules.entry import EntryKind
from loyalty.rules.listing import OrderDirection
from loyalty.rules.money import Ratio
from loyalty.rules.report import ReportRange, redemption_ratio
from loyalty.services.customer import get_customer
from loyalty.services.daily_figures import DailyFiguresRow, DayRow, get_daily_figures
from loyalty.services.report import MovementRow, ReportSums
from loyalty.storage.entries import EntryFilter
from schema.connections import Connection, Page
from schema.context import Info
from schema.fields import computed
from schema.loaders import load
from schema.scalars import Decimal, Points
from schema.types.activity import ActivityFilter, activity_page
from schema.types.arguments import After, Before, First, Last, NewestFirst
from schema.types.customer import CustomerBy, customer_key
from schema.types.ledger import LedgerEntry
from schema.types.node import reads, show_row

RATIO_DECIMALS = 6


@strawberry.type(description="Points by what moved them, gross. Positive numbers, but for adjustments.")
class Movements:
    is_type_of = reads(MovementRow)

    earned: Points = strawberry.field(description="Earned with purchases.")
    reversed: Points = strawberry.field(description="Earned points that were taken back.")
    redeemed: Points = strawberry.field(description="Spent at checkout and on gift cards.")
    returned: Points = strawberry.field(description="Spent points that were given back.")
    expired: Points = strawberry.field(description="Lost at the end of their last day.")
    adjusted: Points = strawberry.field(description="Corrected by hand, signed.")


@strawberry.type(description="What one local day of the tenant brought.")
class ReportDay:
    is_type_of = reads(DayRow)

    day: date = strawberry.field(description="The local day.")
    movements: Movements = strawberry.field(description="Gross sums by what moved the points.")


@strawberry.type(description="The days of a range, for charts. They give the same sums as `report`.")
class DailyFigures:
    is_type_of = reads(DailyFiguresRow)

    days: list[ReportDay] = strawberry.field(description="The days on which points moved, in their order.")
    events_behind: int = strawberry.field(
        description="How many events the stored figures do not hold yet. The days count them all the same."
    )


@strawberry.type(description="What happened in a range of local days; everything here follows the same range.")
class Report:
    is_type_of = reads(ReportRange)

    starts_at: datetime = strawberry.field(description="The first instant of the range.")
    ends_at: datetime = strawberry.field(description="The first instant after the range.")

    @computed(description="Earned, less what was taken back.")
    async def points_earned(self, info: Info) -> Points:
        """One of the sums, which are read once for all fields that ask."""
        return Points((await _load_sums(info, self)).points_earned)

    @computed(description="Redeemed, less what was given back.")
    async def points_redeemed(self, info: Info) -> Points:
        """One of the sums."""
        return Points((await _load_sums(info, self)).points_redeemed)

    @computed(description="Redeemed ÷ earned in percent, rounded up; 0 when nothing was earned; may pass 100.")
    async def redemption_rate(self, info: Info) -> int:
        """Computed from the sums of the report."""
        return (await _load_sums(info, self)).redemption_rate

    @computed(description="Redeemed ÷ earned with 6 decimals, rounded down; null when nothing was earned.")
    async def redemption_ratio(self, info: Info) -> Decimal | None:
        """The exact ratio, cut after six decimals."""
        sums = await _load_sums(info, self)
        ratio = redemption_ratio(sums.points_earned, sums.points_redeemed)
        return None if ratio is None else Decimal(_decimal(ratio))

    @computed(description="Customers who earned or redeemed at least once.")
    async def active_customers(self, info: Info) -> int:
        """Counted only where somebody asks."""
        return cast("int", await load(info, "report_active_customers", self))

    @computed(description="Gross sums by what moved the points.")
    async def movements(self, info: Info) -> Movements:
        """The sums by their figures."""
        return show_row(Movements, (await _load_sums(info, self)).movements)

    @computed(description="The same movements day by day. The range may have at most 366 days for it.")
    async def daily(self, info: Info) -> DailyFigures:
        """Read from figures, and from the entries that they lack yet."""
        row: Any = self
        found = await get_daily_figures(info.context.world, info.context.actor, row)
        return show_row(DailyFigures, found)

    @computed(description="The activity log: every change of a balance in the range, newest first.")
    async def activity(  # noqa: PLR0913, PLR0917 - a list is asked for in many ways
        self,
        info: Info,
        customer: Annotated[CustomerBy | None, strawberry.argument(description="Only this customer's.")] = None,
        kinds: Annotated[list[EntryKind] | None, strawberry.argument(description="Only these kinds.")] = None,
        filter: ActivityFilter = None,  # noqa: A002
        direction: NewestFirst = OrderDirection.DESCENDING,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[LedgerEntry]:
        """A page of the log."""
        row: Any = self
        wanted = EntryFilter(
            kinds=None if kinds is None else tuple(kinds),
            start_at=row.starts_at,
            end_at=row.ends_at,
        )
        if customer is not None:
            key = customer_key(customer, "customer")
            found = await get_customer(info.context.world, info.context.actor, key, "customer")
            wanted = wanted._replace(customer_id=found.id)
        return await activity_page(info, wanted, filter, Page(first, after, last, before, direction))


async def _load_sums(info: Info, report: Report) -> ReportSums:
    return cast("ReportSums", await load(info, "report_sums", report))


def _decimal(ratio: Ratio) -> str:
    scaled = ratio.numerator * 10**RATIO_DECIMALS // ratio.denominator
    sign = "-" if scaled < 0 else ""
    whole, decimals = divmod(abs(scaled), 10**RATIO_DECIMALS)
    return f"{sign}{whole}.{decimals:0{RATIO_DECIMALS}d}"
