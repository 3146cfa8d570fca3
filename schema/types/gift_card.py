"""Gift cards, their holds, and the entries of their own ledgers."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from loyalty.rules.gift_card import GiftCardEntryKind, GiftCardOrigin, GiftCardState, spendable_minor, state_at
from loyalty.rules.gift_card_code import group_code, normalise_code
from loyalty.rules.ids import GiftCardId
from loyalty.rules.money import Money as Amount
from loyalty.rules.redemption import HoldState
from loyalty.services.gift_card import CardKey, MovedCard, reveal_code
from loyalty.services.gift_card_hold import HeldCard, ReturnedCard
from loyalty.services.gift_card_issue import IssuedCard
from loyalty.storage.gift_card_holds import GiftCardHoldRow
from loyalty.storage.gift_cards import GiftCardEntryRow, GiftCardRow
from loyalty.storage.tenants import TenantRow
from loyalty.storage.window import TimePlace
from permissions.actor import ActorKind
from permissions.visibility import reads_internals
from schema.connections import Order, time_order
from schema.context import Info
from schema.enums import publish_enum
from schema.fields import computed, shows
from schema.loaders import load, loaded
from schema.node_ids import row_id_of
from schema.scalars import Points
from schema.types.location import location_field
from schema.types.money import Money
from schema.types.node import Node, node_id, reads, row_of, show_row
from schema.types.redemption import PurchaseKey, purchase_key_of
from schema.types.who import actor_kind, actor_name, internal_text, known_actor_kind, known_actor_name

if TYPE_CHECKING:
    from schema.types.customer import Customer
    from schema.types.gift_card_gift import GiftCardGift
    from schema.types.gift_card_product import GiftCardProduct

LazyGift = Annotated["GiftCardGift", strawberry.lazy("schema.types.gift_card_gift")]
LazyProduct = Annotated["GiftCardProduct", strawberry.lazy("schema.types.gift_card_product")]
LazyCustomer = Annotated["Customer", strawberry.lazy("schema.types.customer")]

publish_enum(GiftCardEntryKind)
publish_enum(GiftCardOrigin)

GIFT_CARD_ORDER: Order[TimePlace] = time_order("gift cards")


@strawberry.type(
    description="One line of a gift card's own ledger. Lines are never changed; a correction is a new line."
)
class GiftCardEntry(Node):
    is_type_of = reads(GiftCardEntryRow)

    id: strawberry.ID = node_id("GiftCardEntry")
    gift_card: Annotated["GiftCard", strawberry.lazy("schema.types.gift_card")] | None = loaded(
        "gift_cards", "gift_card_id", description="The card whose balance moved; null for an actor who may not see it."
    )
    card_entry_kind: GiftCardEntryKind = shows("kind", description="Why it moved. More kinds may come.")
    hold: Annotated["GiftCardHold", strawberry.lazy("schema.types.gift_card")] | None = loaded(
        "gift_card_holds", "hold_id", description="The hold whose money was spent or given back; null for other kinds."
    )
    expires_at: datetime | None = strawberry.field(
        description="When the card expires from here on; null for kinds that do not say so, and for never."
    )
    occurred_at: datetime = strawberry.field(description="When the balance moved.")

    @computed(description="The amount of the entry; below zero when money was taken.")
    def amount(self) -> Money:
        """In the currency of the card."""
        return _money(_row(self), _row(self).amount_minor)

    @computed(description="The sum of all entries of the card up to this one.")
    def card_balance_after(self) -> Money:
        """In the currency of the card."""
        return _money(_row(self), _row(self).balance_after_minor)

    @computed(description="Why, as the caller put it; null for customers.")
    def note(self, info: Info) -> str | None:
        """For the team only."""
        return _row(self).reason if reads_internals(info.context.actor) else None


@strawberry.type(
    description="Money of a gift card that was set aside at a checkout. It counts as spent until the hold ends. One "
    "that was captured is a payment."
)
class GiftCardHold(Node):
    is_type_of = reads(GiftCardHoldRow)

    id: strawberry.ID = node_id("GiftCardHold")
    gift_card: Annotated["GiftCard", strawberry.lazy("schema.types.gift_card")] | None = loaded(
        "gift_cards", "gift_card_id", description="The card; null for an actor who may not see it."
    )
    state: HoldState = strawberry.field(description="How far it has come.")
    created_at: datetime = strawberry.field(description="When it was set aside.")
    location: str | None = location_field("made, else where it was captured")
    holds_until: datetime = shows("expires_at", description="When it ends by itself.")
    ended_at: datetime | None = strawberry.field(description="When it ended; null while it is active.")
    actor: str = actor_name("actor", did="set it aside")
    actor_kind: ActorKind = actor_kind(did="set it aside")
    ended_by: str | None = known_actor_name("ended_actor", "ended_actor_kind", did="captured or released it")
    ended_by_kind: ActorKind | None = known_actor_kind("ended_actor_kind", did="captured or released it")
    ended_reason: str | None = internal_text("ended_reason", "Why it was released, as the caller put it.")

    @computed(description="How much was set aside.")
    def amount(self) -> Money:
        """In the currency of the card."""
        return _money(_row(self), _row(self).amount_minor)

    @computed(description="How much of it was spent; the rest went back.")
    def captured_amount(self) -> Money:
        """In the currency of the card."""
        return _money(_row(self), _row(self).captured_minor)

    @computed(description="How much of the spent amount was given back later.")
    def returned_amount(self) -> Money:
        """In the currency of the card."""
        return _money(_row(self), _row(self).returned_minor)

    @computed(description="The purchase that it is to pay for, when the checkout named it.")
    def purchase(self) -> PurchaseKey | None:
        """The natural key of the purchase."""
        return purchase_key_of(row_of(GiftCardHoldRow, self))


@strawberry.type(
    description="A gift card: money that anybody with its code may spend. Its balance is the sum of its entries."
)
class GiftCard(Node):
    is_type_of = reads(GiftCardRow)

    id: strawberry.ID = node_id("GiftCard")
    origin: GiftCardOrigin = strawberry.field(
        description="Why the card was issued: for points, for money or as goodwill."
    )
    product: LazyProduct | None = loaded(
        "products_of_cards", "product_id", description="Of which product it is; null for a free amount."
    )
    buyer: LazyCustomer | None = loaded(
        "customers",
        "buyer_id",
        description="The customer who got the card first; null when unknown, or for an actor who may not know.",
    )
    holder: LazyCustomer | None = loaded(
        "customers",
        "holder_id",
        description="The customer who has the card now; null when unknown, or for an actor who may not know.",
    )
    code_ending: str = strawberry.field(description="The last four symbols of its code.")
    points_cost: Points | None = strawberry.field(description="The points that were burnt for it; null for others.")
    issued_at: datetime = strawberry.field(description="When it was issued.")
    expires_at: datetime | None = strawberry.field(
        description="The first instant at which it cannot be spent; null for never."
    )
    voided_at: datetime | None = strawberry.field(description="When it was cancelled; null for all others.")
    card_entries: list[GiftCardEntry] = loaded(
        "gift_card_entries_of",
        "id",
        many=True,
        description="Its newest entries, at most 100, newest first; empty for a caller who has only the code.",
    )
    active_holds: list[GiftCardHold] = loaded(
        "gift_card_holds_of",
        "id",
        many=True,
        description="Its active holds, at most 100, newest first; empty for a caller who has only the code.",
    )

    gifts: list[LazyGift] = loaded(
        "gifts_of_cards",
        "id",
        many=True,
        description="The gifts of the card, the newest 100; customers see gifts that they gave or claimed.",
    )

    @computed(
        description="The code, grouped for reading, for the customer who has the card; null for everybody else. Who "
        "made the card reads it in the payload of that call."
    )
    def code(self, info: Info) -> str | None:
        """Decrypted when it is asked for."""
        code = reveal_code(info.context.world, info.context.actor, _row(self))
        return None if code is None else group_code(code)

    @computed(description="Whether it can be spent. More states may come.")
    async def card_state(self, info: Info) -> GiftCardState:
        """At this very instant."""
        return state_at(_row(self).account, await tenant_now(info))

    @computed(description="What it was worth when it was issued.")
    def face_value(self) -> Money:
        """In the currency of the program."""
        return _money(_row(self), _row(self).face_minor)

    @computed(description="The sum of its entries: what is left of it, held money included.")
    def balance(self) -> Money:
        """In the currency of the program."""
        return _money(_row(self), _row(self).balance_minor)

    @computed(description="What is set aside at checkouts.")
    def held_amount(self) -> Money:
        """In the currency of the program."""
        return _money(_row(self), _row(self).held_minor)

    @computed(description="What can be spent at this very instant: nothing of a card that is expired or void.")
    async def spendable_amount(self, info: Info) -> Money:
        """The balance less the amount that is held."""
        return _money(_row(self), spendable_minor(_row(self).account, await tenant_now(info)))

    @computed(description="What was paid for it, where the sale told; null for everybody but the team.")
    def price(self, info: Info) -> Money | None:
        """For the team only."""
        row = _row(self)
        return _money(row, row.price_minor) if row.price_minor is not None and _is_team(info) else None

    @computed(description="The sale in the caller's own system; null for everybody but the team.")
    def sale_reference(self, info: Info) -> str | None:
        """For the team only."""
        return _row(self).reference if _is_team(info) else None

    @computed(description="Why it was issued, as the caller put it; null for everybody but the team.")
    def note(self, info: Info) -> str | None:
        """For the team only."""
        return _row(self).reason if _is_team(info) else None


@strawberry.input(description="Names a gift card in exactly one way.", one_of=True)
class GiftCardBy:
    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="The global id.")
    code: str | None = strawberry.field(
        default=strawberry.UNSET, description="The code as it was typed: case, blanks and dashes do not matter."
    )


def gift_card_key(by: GiftCardBy, *path: str) -> CardKey:
    """Return the id or the code in the input. Refusals: NotFound for an id that is no card's, GiftCardCodeMistyped."""
    if by.code:
        return CardKey(code=normalise_code(by.code, (*path, "code")))
    return CardKey(id=GiftCardId(row_id_of(by.id or "", "GiftCard", *path)))


def code_field() -> Any:
    """Declare the ``code`` of a payload that made a card."""
    return strawberry.field(
        default=None,
        description="The code of the card, grouped for reading: who has it may spend the card. This call answers it "
        "again when it is sent again; else only the customer who has the card reads it.",
    )


def build_issued_payload(issued: IssuedCard) -> dict[str, Any]:
    """Return the payload about a new card."""
    return {
        "gift_card": issued.card,
        "code": group_code(issued.code),
        "customer": issued.customer,
        "replayed": issued.replayed,
    }


def build_moved_payload(moved: MovedCard) -> dict[str, Any]:
    """Return the payload about a card after an entry."""
    return {"gift_card": moved.card, "entry": moved.entry, "replayed": moved.replayed}


def build_held_payload(held: HeldCard) -> dict[str, Any]:
    """Return the payload about a hold and its card."""
    return {"gift_card_hold": held.hold, "gift_card": held.card, "replayed": held.replayed}


def build_returned_payload(returned: ReturnedCard) -> dict[str, Any]:
    """Return the payload about money that came back to a card."""
    return {
        "entry": returned.entry,
        "gift_card_hold": returned.hold,
        "gift_card": returned.card,
        "replayed": returned.replayed,
    }


async def tenant_now(info: Info) -> datetime:
    """Return the present time by the tenant's clock."""
    tenant: TenantRow = await load(info, "tenant", None)
    return info.context.world.clock() + tenant.clock_advance


def _money(row: Any, minor: int) -> Money:
    return show_row(Money, Amount(minor, row.currency))


def _is_team(info: Info) -> bool:
    return reads_internals(info.context.actor)


def _row(root: Any) -> Any:
    return root
