"""Points at the checkout: holds and redemptions."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import strawberry

from loyalty.rules.ids import RedemptionId
from loyalty.rules.money import Money as Amount
from loyalty.rules.purchase import PurchaseKind
from loyalty.rules.redemption import CaptureOn, HoldState
from loyalty.storage.gift_card_holds import GiftCardHoldRow
from loyalty.storage.holds import HoldRow
from loyalty.storage.points_paid import PurchaseKey as Key
from loyalty.storage.redemptions import RedemptionRow, ReturnRow
from permissions.actor import ActorKind
from schema.context import Info
from schema.fields import computed, replaced_by, shows
from schema.loaders import load, loaded
from schema.scalars import Points
from schema.types.location import location_field
from schema.types.money import Money
from schema.types.node import Node, node_id, reads, row_of, show_row
from schema.types.who import actor_kind, actor_name, internal_text, known_actor_kind, known_actor_name

if TYPE_CHECKING:
    from schema.types.customer import Customer
    from schema.types.purchase import Purchase

LazyPurchase = Annotated["Purchase", strawberry.lazy("schema.types.purchase")]
LazyCustomer = Annotated["Customer", strawberry.lazy("schema.types.customer")]


@strawberry.type(description="The natural key of a purchase, which may be recorded later.")
class PurchaseKey:
    kind: PurchaseKind = strawberry.field(description="The kind of the purchase.")
    external_id: str = strawberry.field(description="The id in the caller's own system.")

    @computed(description="The purchase itself; null until it is recorded, and for whom it is none of their business.")
    async def recorded(self, info: Info) -> LazyPurchase | None:
        """Loaded for all keys at once."""
        found: LazyPurchase | None = await load(info, "purchases_by_key", Key(self.kind, self.external_id))
        return found


@strawberry.type(description="Points that were spent at a checkout.")
class Redemption(Node):
    is_type_of = reads(RedemptionRow)

    id: strawberry.ID = node_id("Redemption")
    customer: LazyCustomer = loaded("customers", "customer_id", description="The customer whose points were spent.")
    points: Points = strawberry.field(description="How many points were spent.")
    returned_points: Points = strawberry.field(description="How many of these points were given back later.")
    redeemed_at: datetime = strawberry.field(description="When the points were spent.")
    location: str | None = location_field("spent")
    actor: str = actor_name("actor", did="spent them")
    actor_kind: ActorKind = actor_kind(did="spent them")

    @computed(description="The amount that these points took off the total.")
    def discount(self) -> Money:
        """From the hold's own point value."""
        return _discount(self)

    @computed(description="The purchase that they paid for, when the checkout named it.")
    def purchase(self) -> PurchaseKey | None:
        """The natural key of the purchase."""
        return purchase_key_of(row_of(RedemptionRow, self))


@strawberry.type(description="Points set aside at a checkout. They count as spent until the hold ends.")
class Hold(Node):
    is_type_of = reads(HoldRow)

    id: strawberry.ID = node_id("Hold")
    customer: LazyCustomer = loaded("customers", "customer_id", description="The customer whose points are set aside.")
    state: HoldState = strawberry.field(description="How far it has come.")
    points: Points = strawberry.field(description="How many points were set aside.")
    captured_points: Points = strawberry.field(description="How many of the held points were spent.")
    lowered_points: Points = strawberry.field(
        description="How many of them went back early because the purchase became smaller. At most the rest can be "
        "captured, and such a capture says how many."
    )
    capture_on: CaptureOn = strawberry.field(description="What spends its points.")
    created_at: datetime = strawberry.field(description="When they were set aside.")
    location: str | None = location_field("made, else where it was captured")
    holds_until: datetime = shows("expires_at", description="When it ends by itself.")
    expires_at: datetime = strawberry.field(
        description="When it ends by itself.", deprecation_reason=replaced_by("holdsUntil")
    )
    ended_at: datetime | None = strawberry.field(description="When it ended; null while it is active.")
    actor: str = actor_name("actor", did="set them aside")
    actor_kind: ActorKind = actor_kind(did="set them aside")
    ended_by: str | None = known_actor_name("ended_actor", "ended_actor_kind", did="captured or released it")
    ended_by_kind: ActorKind | None = known_actor_kind("ended_actor_kind", did="captured or released it")
    ended_reason: str | None = internal_text("ended_reason", "Why it was released, as the caller put it.")
    redemption: Redemption | None = loaded(
        "redemptions_of_holds", "id", description="What it became when it was captured."
    )

    @computed(
        description="The amount off the total: by the points still set aside, or by those set aside when the hold "
        "ended."
    )
    def discount(self) -> Money:
        """At the point value of that moment."""
        return _discount(self)

    @computed(description="The purchase that it is to pay for, when the checkout named it.")
    def purchase(self) -> PurchaseKey | None:
        """The natural key of the purchase."""
        return purchase_key_of(row_of(HoldRow, self))


@strawberry.type(description="Points of a redemption that were given back to the lots they came from.")
class RedemptionReturn:
    redemption: Redemption = loaded(
        "redemptions", "redemption_id", description="The redemption that the points were spent with."
    )
    points: Points = strawberry.field(description="How many points were given back.")
    reason: str | None = strawberry.field(description="Why, as the caller put it.")
    returned_at: datetime = strawberry.field(description="When the points were given back.")
    actor: str = actor_name("actor", did="gave them back")
    actor_kind: ActorKind = actor_kind(did="gave them back")
    discount: Money = strawberry.field(description="The part of the redemption's discount that they stand for.")


class ShownReturn(NamedTuple):
    """A return as clients see it. The stored discount has no currency."""

    redemption_id: RedemptionId
    points: int
    reason: str | None
    returned_at: datetime
    discount: Amount
    actor_kind: str
    actor: str


def return_of(row: ReturnRow, currency: str) -> ShownReturn:
    """Return a return, with its discount in the currency of the program, which every redemption has."""
    discount = Amount(row.discount_minor, currency)
    return ShownReturn(row.redemption_id, row.points, row.reason, row.returned_at, discount, row.actor_kind, row.actor)


def _discount(root: Any) -> Money:
    return show_row(Money, Amount(root.discount_minor, root.currency))


def purchase_key_of(row: HoldRow | RedemptionRow | GiftCardHoldRow) -> PurchaseKey | None:
    """Return the key of the purchase that a row names, if it names one."""
    key = row.purchase
    return None if key is None else PurchaseKey(kind=key.kind, external_id=key.external_id)
