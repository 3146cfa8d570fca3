"""When points expire: the policy, what expires when, and the lots behind it."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from loyalty.rules.expiry import ExpiryKind, Period
from loyalty.rules.expiry import ExpiryPolicy as Policy
from loyalty.storage.expiry import ExpiringRow, LotRow
from schema.fields import computed
from schema.loaders import loaded
from schema.scalars import Points
from schema.types.node import Node, node_id, reads

if TYPE_CHECKING:
    from schema.types.customer import Customer
    from schema.types.ledger import LedgerEntry

LazyCustomer = Annotated["Customer", strawberry.lazy("schema.types.customer")]
LazyEntry = Annotated["LedgerEntry", strawberry.lazy("schema.types.ledger")]


@strawberry.type(
    description="When points expire: at the end of a local day of the tenant. Which numbers count depends on the kind."
)
class ExpiryPolicy:
    kind: ExpiryKind = strawberry.field(description="By which rule.")
    months: int = strawberry.field(description="FIXED_DURATION: so many months ...")
    days: int = strawberry.field(
        description="FIXED_DURATION: ... and so many days. FIXED_DATE: at least so many. INACTIVITY: so many."
    )
    period: Period = strawberry.field(description="END_OF_PERIOD: which part of the calendar.")
    periods_after: int = strawberry.field(description="END_OF_PERIOD: 0 for the one in which the points came.")
    month: int = strawberry.field(description="FIXED_DATE: 1 to 12.")
    day: int = strawberry.field(description="FIXED_DATE: 1 to 31; a day that the month does not have is its last.")


@strawberry.input(
    description="When points expire. Only the numbers of the kind matter; the others keep their defaults."
)
class ExpiryPolicyInput:
    kind: ExpiryKind = strawberry.field(description="By which rule.")
    months: int = strawberry.field(default=0, description="FIXED_DURATION: 0 to 120.")
    days: int = strawberry.field(default=0, description="FIXED_DURATION, FIXED_DATE and INACTIVITY: at most 3,660.")
    period: Period = strawberry.field(default=Period.YEAR, description="END_OF_PERIOD: which part of the calendar.")
    periods_after: int = strawberry.field(default=0, description="END_OF_PERIOD: 0 to 40.")
    month: int = strawberry.field(default=12, description="FIXED_DATE: 1 to 12.")
    day: int = strawberry.field(default=31, description="FIXED_DATE: 1 to 31.")


@strawberry.type(description="So many points can be spent until the end of a day, and not after it.")
class ExpiringPoints:
    is_type_of = reads(ExpiringRow)

    last_day: date = strawberry.field(description="The last local day on which they can be spent.")
    expires_at: datetime = strawberry.field(description="The first instant at which they cannot.")
    points: Points = strawberry.field(description="How many; held ones are not among them.")


@strawberry.type(description="A parcel of points that came in together, with an expiry of its own.")
class PointsLot(Node):
    is_type_of = reads(LotRow)

    id: strawberry.ID = node_id("PointsLot")
    customer: LazyCustomer = loaded("customers", "customer_id", description="Whose points they are.")
    entry: LazyEntry = loaded("entries", "entry_id", description="The entry that brought them in.")
    remaining: Points = strawberry.field(description="How many can still be spent.")
    held: Points = strawberry.field(description="How many are set aside at a checkout.")
    expired: Points = strawberry.field(description="How many expired.")
    opened_at: datetime = strawberry.field(description="When they came.")
    expires_at: datetime | None = strawberry.field(description="When what remains expires; null for never.")

    @computed(description="How many came in.")
    def points(self) -> Points:
        """The lot's size."""
        row: Any = self
        return Points(row.original)


def policy_from(given: ExpiryPolicyInput) -> Policy:
    """A policy as the rules know it."""
    return Policy(
        kind=given.kind,
        months=given.months,
        days=given.days,
        period=given.period,
        periods_after=given.periods_after,
        month=given.month,
        day=given.day,
    )
