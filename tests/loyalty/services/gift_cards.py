"""Short ways to say what happens to gift cards: everything has a plain default, and nothing is written here."""

from typing import Any

from loyalty.rules.gift_card import GiftCardOrigin
from loyalty.rules.ids import GiftCardHoldId, GiftCardId
from loyalty.rules.money import Money
from loyalty.rules.purchase import PurchaseKind
from loyalty.services.customer import CustomerKey
from loyalty.services.gift_card import CardKey, MovedCard
from loyalty.services.gift_card_cancel import CancelRequest, cancel_gift_card
from loyalty.services.gift_card_expiry import ExtendRequest, extend_gift_card
from loyalty.services.gift_card_hold import (
    CardHoldRequest,
    HeldCard,
    ReturnedCard,
    capture_gift_card,
    hold_gift_card,
    release_gift_card,
    return_to_gift_card,
)
from loyalty.services.gift_card_issue import IssuedCard, IssueRequest, issue_gift_card
from loyalty.services.world import World
from loyalty.storage.points_paid import PurchaseKey
from tests.fixtures.tenants import Salon


def euros(cents: int) -> Money:
    """Return so many cents."""
    return Money(cents, "EUR")


def issue_request(
    cents: int = 5_000, key: str = "issue-1", *, customer: str | None = "anna", **changes: Any
) -> IssueRequest:
    """Return a card that was sold for money."""
    made = IssueRequest(
        origin=GiftCardOrigin.MONEY,
        face=euros(cents),
        idempotency_key=key,
        customer=None if customer is None else CustomerKey(external_id=customer),
    )
    return made._replace(**changes)


async def issue(world: World, salon: Salon, cents: int = 5_000, key: str = "issue-1", **changes: Any) -> IssuedCard:
    """Sell a card to Anna, who must be known."""
    return await issue_gift_card(world, salon.integration, issue_request(cents, key, **changes))


async def sell_card(world: World, salon: Salon, cents: int = 5_000, key: str = "sold", **changes: Any) -> GiftCardId:
    """Sell a card that belongs to nobody: who has its code may spend it."""
    return (await issue(world, salon, cents, key, **{"customer": None, **changes})).card.id


def card_hold_request(
    card: CardKey | GiftCardId,
    cents: int,
    key: str = "card-hold-1",
    *,
    minutes: int | None = None,
    order: str | None = "order-1",
) -> CardHoldRequest:
    """Return a request to hold money of a card for an order."""
    return CardHoldRequest(
        card=card if isinstance(card, CardKey) else CardKey(card),
        amount=euros(cents),
        purchase=None if order is None else PurchaseKey(PurchaseKind.ORDER, order),
        minutes=minutes,
        idempotency_key=key,
    )


async def hold_card(
    world: World, salon: Salon, card: CardKey | GiftCardId, cents: int, key: str = "card-hold-1", **changes: Any
) -> HeldCard:
    """Set money of a card aside."""
    return await hold_gift_card(world, salon.integration, card_hold_request(card, cents, key, **changes))


async def capture_card(
    world: World, salon: Salon, hold_id: GiftCardHoldId, cents: int | None = None, key: str = "card-capture-1"
) -> HeldCard:
    """Spend a hold, or a part of it."""
    amount = None if cents is None else euros(cents)
    return await capture_gift_card(world, salon.integration, hold_id, amount, key)


async def spend_card(
    world: World, salon: Salon, card_id: GiftCardId, cents: int, key: str = "spend-1", **changes: Any
) -> HeldCard:
    """Hold and capture at once."""
    held = await hold_card(world, salon, card_id, cents, f"{key}-hold", **changes)
    return await capture_card(world, salon, held.hold.id, key=f"{key}-capture")


async def release_card(world: World, salon: Salon, hold_id: GiftCardHoldId, key: str = "card-release-1") -> HeldCard:
    """End a hold without spending it."""
    return await release_gift_card(world, salon.integration, hold_id, key)


async def return_card(
    world: World, salon: Salon, hold_id: GiftCardHoldId, cents: int | None = None, key: str = "card-return-1"
) -> ReturnedCard:
    """Give money back to a card."""
    amount = None if cents is None else euros(cents)
    return await return_to_gift_card(world, salon.integration, hold_id, amount, "wrong size", key)


async def cancel_card(
    world: World, salon: Salon, card_id: GiftCardId, key: str = "cancel-1", *, return_points: bool | None = None
) -> MovedCard:
    """Cancel a card."""
    request = CancelRequest(card_id, return_points, "a mistake", key)
    return await cancel_gift_card(world, salon.manager, request)


async def extend_card(
    world: World, salon: Salon, card_id: GiftCardId, expires_on: Any, key: str = "extend-1"
) -> MovedCard:
    """Let a card live longer."""
    return await extend_gift_card(world, salon.manager, ExtendRequest(card_id, expires_on, "a good customer", key))
