"""Customers that move: opening balances from elsewhere, and merges."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from loyalty.storage.customer_merges import MergeRow
from loyalty.storage.opening_balances import OpeningBalanceRow
from permissions.actor import ActorKind
from permissions.visibility import reads_internals
from schema.context import Info
from schema.fields import computed, replaced_by
from schema.loaders import loaded
from schema.scalars import Points
from schema.types.node import Node, node_id, reads
from schema.types.who import actor_kind, actor_name

if TYPE_CHECKING:
    from schema.types.customer import Customer

LazyCustomer = Annotated["Customer", strawberry.lazy("schema.types.customer")]


@strawberry.type(description="What a customer brought along from elsewhere.")
class OpeningBalance(Node):
    is_type_of = reads(OpeningBalanceRow)

    id: strawberry.ID = node_id("OpeningBalance")
    customer: LazyCustomer = loaded(
        "customers", "customer_id", description="The customer who brought the points along."
    )
    points: Points = strawberry.field(description="Points to spend; below zero for debt.")
    lifetime_earned: Points = strawberry.field(description="All that was ever earned.")
    qualifying: Points = strawberry.field(description="The points that counted for the tier.")
    expires_at: datetime | None = strawberry.field(description="When the points expire; null for never.")
    earned_on: date | None = strawberry.field(description="The local day on which they were earned, if it was told.")
    imported_at: datetime = strawberry.field(description="When the points were imported.")
    actor: str = actor_name("actor", did="imported it")
    actor_kind: ActorKind = actor_kind(did="imported it")


@strawberry.type(description="A customer became another one.")
class CustomerMerge(Node):
    is_type_of = reads(MergeRow)

    id: strawberry.ID = node_id("CustomerMerge")
    customer: LazyCustomer = loaded(
        "customers",
        "target_id",
        description="The target, which took everything over; the id of the source leads there too.",
    )
    source_external_id: str = strawberry.field(description="The external id of who became that customer.")
    points: Points = strawberry.field(description="The balance that moved; below zero for debt.")
    pending: Points = strawberry.field(description="Pending points that moved.")
    lifetime_earned: Points = strawberry.field(description="Earned points that moved.")
    qualifying: Points = strawberry.field(description="Qualifying points that moved.")
    merged_at: datetime = strawberry.field(description="When the customers were merged.")
    actor: str = actor_name("actor")
    actor_kind: ActorKind = actor_kind()

    @computed(description="Why, for the team; null for everybody else.")
    def note(self, info: Info) -> str | None:
        """For the team only."""
        return _reason_for(info, self)

    @computed(description="Why, for the team; null for everybody else.", deprecation_reason=replaced_by("note"))
    def reason(self, info: Info) -> str | None:
        """For the team only."""
        return _reason_for(info, self)


def _reason_for(info: Info, merge: Any) -> str | None:
    return merge.reason if reads_internals(info.context.actor) else None
