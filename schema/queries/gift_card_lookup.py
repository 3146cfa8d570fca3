"""Gift cards: one by its id or its code, and lists of them."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.gift_card import GiftCardOrigin, GiftCardState
from loyalty.rules.gift_card_code import normalise_code
from loyalty.rules.ids import CustomerId
from loyalty.rules.listing import OrderDirection
from loyalty.services.customer import get_customer
from loyalty.services.gift_card import look_up_gift_card
from loyalty.storage.gift_card_lists import GiftCardFilter
from permissions.actor import ActorKind
from permissions.catalog import Permission
from schema.connections import Connection, Page
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.loaders import load_node
from schema.mutations.payload import UserErrors
from schema.types.arguments import After, Before, First, Last, NewestFirst
from schema.types.customer import CustomerBy, customer_key
from schema.types.gift_card import GiftCard, tenant_now
from schema.types.gift_card_listed import gift_card_page
from schema.types.time_range import TimeRangeInput, span_of

LISTED_BY = (Permission.GIFT_CARDS_READ, Permission.GIFT_CARDS_MANAGE, Permission.SELF_READ)


@strawberry.input(description="Which gift cards; everything that is given must hold.")
class GiftCardFilterInput:
    holder: CustomerBy | None = strawberry.field(default=None, description="Only cards that this customer has now.")
    buyer: CustomerBy | None = strawberry.field(default=None, description="Only cards that this customer got first.")
    origins: list[GiftCardOrigin] | None = strawberry.field(
        default=None, description="Only gift cards issued for these reasons."
    )
    states: list[GiftCardState] | None = strawberry.field(default=None, description="Only these states, as of now.")
    issued: TimeRangeInput | None = strawberry.field(default=None, description="Only gift cards issued in this span.")


@strawberry.type(description="A gift card that was looked up by its code.")
class GiftCardLookup:
    user_errors: UserErrors = strawberry.field(
        description="Why no card is shown; a wrong code says nothing more than that. Empty where one is."
    )
    gift_card: GiftCard | None = strawberry.field(default=None, description="The card.")


@guarded(
    *LISTED_BY,
    Permission.GIFT_CARDS_ISSUE,
    Permission.GIFT_CARDS_SPEND,
    description="A gift card by its id; null when there is none, or not for this caller.",
)
async def gift_card(
    info: Info,
    id: Annotated[strawberry.ID, strawberry.argument(description="The global id.")],  # noqa: A002
) -> GiftCard | None:
    """Return a card, read in one statement."""
    return await load_node(info, id, "GiftCard", "gift_cards")  # type: ignore[no-any-return]


@guarded(
    Permission.GIFT_CARDS_SPEND,
    Permission.SELF_READ,
    description="The gift card of a code. The code is enough: the caller need not have the card.",
)
async def gift_card_lookup(
    info: Info,
    code: Annotated[str, strawberry.argument(description="As it was typed: case, blanks and dashes do not matter.")],
) -> GiftCardLookup:
    """Return the card of a code, read in one statement."""

    async def work() -> Mapping[str, Any]:
        return {"gift_card": await look_up_gift_card(info.context.world, info.context.actor, normalise_code(code))}

    return await answer_mutation(GiftCardLookup, work)


@guarded(
    *LISTED_BY,
    description="Gift cards by when they were issued, by default newest first. Customers list only those that they "
    "have or, with `buyer`, got first.",
)
async def gift_cards(
    info: Info,
    filter: Annotated[GiftCardFilterInput | None, strawberry.argument(description="Which gift cards to list.")] = None,  # noqa: A002
    direction: NewestFirst = OrderDirection.DESCENDING,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[GiftCard]:
    """A page of cards."""
    wanted = await _filter(info, filter or GiftCardFilterInput())
    return await gift_card_page(info, wanted, Page(first, after, last, before, direction))


async def _filter(info: Info, given: GiftCardFilterInput) -> GiftCardFilter:
    """Return the filter for the input. Refusal: NotFound (customer)."""
    holder_id = await _customer(info, given.holder, "holder")
    buyer_id = await _customer(info, given.buyer, "buyer")
    actor = info.context.actor
    if actor.kind is ActorKind.CUSTOMER and holder_id is None and buyer_id is None:
        holder_id = actor.customer_id
    start_at, end_at = span_of(given.issued, "issued")
    at = None if given.states is None else await tenant_now(info)
    return GiftCardFilter(holder_id, buyer_id, given.origins, given.states, at, start_at, end_at)


async def _customer(info: Info, by: CustomerBy | None, field: str) -> CustomerId | None:
    if by is None:
        return None
    path = ("filter", field)
    return (await get_customer(info.context.world, info.context.actor, customer_key(by, *path), *path)).id
