"""The expiry of points: the policy, the points that expire on each day, and their lots."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from loyalty.rules.errors import InvalidInput
from loyalty.rules.expiry import DEFAULT_MINIMUM_DAYS, NEVER, ExpiryKind, Period
from loyalty.rules.expiry import ExpiryPolicy as Policy
from loyalty.rules.lots import LotState
from loyalty.storage.expiry import ExpiringRow, LotRow
from loyalty.storage.window import TimePlace
from schema.connections import Order, time_order
from schema.fields import computed
from schema.loaders import loaded
from schema.scalars import Points
from schema.types.node import Node, node_id, reads, row_of

if TYPE_CHECKING:
    from schema.types.customer import Customer
    from schema.types.ledger import LedgerEntry

LazyCustomer = Annotated["Customer", strawberry.lazy("schema.types.customer")]
LazyEntry = Annotated["LedgerEntry", strawberry.lazy("schema.types.ledger")]


@strawberry.type(
    description="When points expire: always at the end of a local day of the tenant. The clock begins when they can be "
    "spent. Numbers that the kind does not have are null."
)
class ExpiryPolicy:
    kind: ExpiryKind = strawberry.field(description="The kind of the expiry policy.")

    @computed(description="FIXED_DURATION: so many months, and then ...")
    def months(self) -> int | None:
        """Null for a policy of another kind."""
        return _number(self, "months", ExpiryKind.FIXED_DURATION)

    @computed(description="FIXED_DURATION: ... so many days. INACTIVITY: so many days after the last activity.")
    def days(self) -> int | None:
        """Null for a policy of another kind."""
        return _number(self, "days", ExpiryKind.FIXED_DURATION, ExpiryKind.INACTIVITY)

    @computed(description="END_OF_PERIOD: which part of the calendar.")
    def period(self) -> Period | None:
        """Null for a policy of another kind."""
        return _row(self).period if _row(self).kind is ExpiryKind.END_OF_PERIOD else None

    @computed(description="END_OF_PERIOD: 0 for the one in which points come, 1 for the next one ...")
    def periods_after(self) -> int | None:
        """Null for a policy of another kind."""
        return _number(self, "periods_after", ExpiryKind.END_OF_PERIOD)

    @computed(description="FIXED_DATE: the month, 1 to 12.")
    def month(self) -> int | None:
        """Null for a policy of another kind."""
        return _number(self, "month", ExpiryKind.FIXED_DATE)

    @computed(description="FIXED_DATE: the day, 1 to 31; where the month has no such day it is its last.")
    def day(self) -> int | None:
        """Null for a policy of another kind."""
        return _number(self, "day", ExpiryKind.FIXED_DATE)

    @computed(description="FIXED_DATE: how many days points live at least; else they expire a year later.")
    def minimum_days(self) -> int | None:
        """Null for a policy of another kind."""
        return _number(self, "days", ExpiryKind.FIXED_DATE)


@strawberry.input(description="So many months and days after points can first be spent; at least one of the two.")
class FixedDurationInput:
    months: int = strawberry.field(
        default=0, description="0 to 120; where the last month has no such day, its last day counts."
    )
    days: int = strawberry.field(default=0, description="0 to 3,660, after the months.")


@strawberry.input(description="With the end of a calendar month, quarter or year.")
class EndOfPeriodInput:
    period: Period = strawberry.field(description="Which part of the calendar.")
    periods_after: int = strawberry.field(
        default=0, description="0 for the one in which points come, 1 for the next one; at most 40."
    )


@strawberry.input(description="On the same day of every year.")
class FixedDateInput:
    month: int = strawberry.field(description="1 to 12.")
    day: int = strawberry.field(description="1 to 31; where the month has no such day it is its last.")
    minimum_days: int = strawberry.field(
        default=DEFAULT_MINIMUM_DAYS,
        description="How many days points live at least, 0 to 3,660: those of the day before live a year and a day.",
    )


@strawberry.input(description="When their owner has neither earned nor redeemed for a while; each time all live on.")
class InactivityInput:
    days: int = strawberry.field(description="1 to 3,660.")


@strawberry.input(description="When points expire: exactly one of them.", one_of=True)
class ExpiryPolicyInput:
    none: bool | None = strawberry.field(default=strawberry.UNSET, description="Never: write `true`.")
    fixed_duration: FixedDurationInput | None = strawberry.field(default=strawberry.UNSET, description="After a time.")
    end_of_period: EndOfPeriodInput | None = strawberry.field(
        default=strawberry.UNSET, description="With a part of the calendar."
    )
    fixed_date: FixedDateInput | None = strawberry.field(default=strawberry.UNSET, description="On a day of the year.")
    inactivity: InactivityInput | None = strawberry.field(
        default=strawberry.UNSET, description="When nothing happens for a while."
    )


@strawberry.type(description="So many points can be spent until the end of a day, and not after it.")
class ExpiringPoints:
    is_type_of = reads(ExpiringRow)

    last_day: date = strawberry.field(description="The last local day on which they can be spent.")
    expires_at: datetime = strawberry.field(description="The first instant at which they cannot be spent.")
    points: Points = strawberry.field(description="How many points; held points do not count here.")


@strawberry.type(description="A parcel of points that came in together, with an expiry of its own.")
class PointsLot(Node):
    is_type_of = reads(LotRow)

    id: strawberry.ID = node_id("PointsLot")
    customer: LazyCustomer = loaded("customers", "customer_id", description="The customer whose points they are.")
    entry: LazyEntry = loaded("entries", "entry_id", description="The entry that brought them in.")
    remaining: Points = strawberry.field(description="How many points of the lot can still be spent.")
    held: Points = strawberry.field(description="How many points of the lot are set aside at a checkout.")
    expired: Points = strawberry.field(description="How many points of the lot expired.")
    opened_at: datetime = strawberry.field(description="When the points came in.")
    expires_at: datetime | None = strawberry.field(description="When what remains expires; null for never.")

    @computed(description="How many points came in.")
    def points(self) -> Points:
        """The lot's size."""
        row = row_of(LotRow, self)
        return Points(row.original)


LOT_ORDER: Order[TimePlace] = time_order("lots")


def lot_states(is_open: bool | None) -> list[LotState] | None:  # noqa: FBT001 - it is what a caller gave
    """Return the states of lots with points, or of lots without; None for all."""
    if is_open is None:
        return None
    return [state for state in LotState if (state is LotState.OPEN) == is_open]


def policy_from(given: ExpiryPolicyInput) -> Policy:
    """Return a policy for the rules. Raises InvalidInput if none is named."""
    if given.fixed_duration:
        return Policy(ExpiryKind.FIXED_DURATION, months=given.fixed_duration.months, days=given.fixed_duration.days)
    if given.end_of_period:
        period = given.end_of_period
        return Policy(ExpiryKind.END_OF_PERIOD, period=period.period, periods_after=period.periods_after)
    if given.fixed_date:
        date_ = given.fixed_date
        return Policy(ExpiryKind.FIXED_DATE, month=date_.month, day=date_.day, days=date_.minimum_days)
    if given.inactivity:
        return Policy(ExpiryKind.INACTIVITY, days=given.inactivity.days)
    if given.none is not True:
        raise InvalidInput.one("expiry", "none", reason="must be true, or left out for another kind")
    return NEVER


def _number(root: Any, name: str, *kinds: ExpiryKind) -> int | None:
    return getattr(root, name) if root.kind in kinds else None


def _row(root: Any) -> Any:
    return root
