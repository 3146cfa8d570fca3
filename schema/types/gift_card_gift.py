"""Gifts: gift cards that were handed to somebody."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from loyalty.storage.gift_card_gifts import GiftRow
from permissions.visibility import is_the_customer, reads_internals
from schema.context import Info
from schema.fields import computed
from schema.loaders import loaded
from schema.types.node import Node, node_id, reads, row_of

if TYPE_CHECKING:
    from schema.types.customer import Customer
    from schema.types.gift_card import GiftCard

LazyCustomer = Annotated["Customer", strawberry.lazy("schema.types.customer")]
LazyGiftCard = Annotated["GiftCard", strawberry.lazy("schema.types.gift_card")]


@strawberry.type(description="A gift card that was handed to somebody: the giver's reference.")
class GiftCardGift(Node):
    is_type_of = reads(GiftRow)

    id: strawberry.ID = node_id("GiftCardGift")
    gift_card: LazyGiftCard | None = loaded(
        "gift_cards", "gift_card_id", description="The card; null for an actor who may not see it any more."
    )
    giver: LazyCustomer | None = loaded(
        "customers",
        "giver_id",
        description="The holder who gave the card; null when unknown, or for an actor who may not know.",
    )
    claimer: LazyCustomer | None = loaded(
        "customers",
        "claimer_id",
        description="The customer who claimed the card; null while nobody has, and for other customers.",
    )
    recipient_name: str = strawberry.field(description="For whom it is, as the giver said.")
    message: str | None = strawberry.field(description="The message of the giver; null for none.")
    deliver_on: date | None = strawberry.field(description="On which day it is to be handed over; null for at once.")
    given_at: datetime = strawberry.field(description="When it was given.")
    claimed_at: datetime | None = strawberry.field(description="When somebody took it into their account; else null.")

    @computed(description="How to reach the receiver; null for none, and for everybody but the team and the giver.")
    def recipient_email(self, info: Info) -> str | None:
        """The receiver's own address: only the team and the giver read it."""
        row = row_of(GiftRow, self)
        gave = is_the_customer(info.context.actor, row.giver_id)
        return row.recipient_email if gave or reads_internals(info.context.actor) else None
