"""Gift cards of the demo: bought with points, sold for money, given and claimed, spent in part, expired, cancelled.

Each step happens at a moment of the history, so the report of the past weeks shows it.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from cli.demo_life import total_of
from loyalty.rules.gift_card import GiftCardOrigin
from loyalty.rules.gift_card_gift import Gift
from loyalty.rules.gift_card_product import GiftCardProduct
from loyalty.rules.ids import GiftCardId, GiftCardProductId
from loyalty.rules.money import Money
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.gift_card import CardKey
from loyalty.services.gift_card_buy import BuyRequest, buy_gift_card
from loyalty.services.gift_card_cancel import CancelRequest, cancel_gift_card
from loyalty.services.gift_card_expiry import expire_due_cards
from loyalty.services.gift_card_gift import GiveRequest, claim_gift_card, give_gift_card
from loyalty.services.gift_card_hold import CardHoldRequest, capture_gift_card, hold_gift_card
from loyalty.services.gift_card_issue import IssuedCard, IssueRequest, issue_gift_card
from loyalty.services.gift_card_product import create_product
from loyalty.services.purchase_recording import PurchaseRecording
from loyalty.services.world import World
from permissions.actor import Actor

POINTS_COST = 250
FACE_MINOR = 2_500
SPENT_MINOR = 1_800
GOODWILL_MINOR = 1_000
GOODWILL_DAYS = 10
_NO_ID = GiftCardProductId(UUID(int=0))
"""The id of a draft. The stored product gets its own id."""


async def offer_card(world: World, actor: Actor, currency: str) -> GiftCardProductId:
    """Create the product of gift cards that customers buy with points."""
    draft = GiftCardProduct(
        _NO_ID,
        f"Gift card, {Money(FACE_MINOR, currency)}",
        Money(FACE_MINOR, currency),
        description="For yourself or for somebody else.",
        purchasable_with_points=True,
        points_cost=POINTS_COST,
    )
    return (await create_product(world, actor, draft)).product.id


async def sell_cards(
    world: World, actor: Actor, product_id: GiftCardProductId, batch: Sequence[PurchaseRecording], key: str
) -> None:
    """Sell, spend, give and cancel gift cards of one week. Cards that are due expire first.

    ``key`` is unique for the week. It makes the idempotency keys unique.
    """
    await expire_due_cards(world, actor.tenant_id)
    await _buy_with_points(world, actor, product_id, batch, key)
    own, given, mistaken = [await _sell(world, actor, product_id, one, key) for one in batch[:3]]
    await _spend(world, actor, own.card.id, own.card.currency, key)
    await _hand_over(world, actor, given, batch[3], key)
    await cancel_gift_card(
        world, actor, CancelRequest(mistaken.card.id, None, "Sold by mistake", f"cancelled card of {key}")
    )
    await _apologize(world, actor, own.card.currency, batch[4], key)


async def _buy_with_points(
    world: World, actor: Actor, product_id: GiftCardProductId, batch: Sequence[PurchaseRecording], key: str
) -> None:
    """Let the first customer with enough points buy a card with them."""
    for bought in batch:
        customer = await find_customer(world, actor, _name_customer(bought))
        if customer is not None and customer.points.available >= POINTS_COST:
            await buy_gift_card(
                world, actor, BuyRequest(_name_customer(bought), product_id, f"card for points of {key}")
            )
            return


async def _sell(
    world: World, actor: Actor, product_id: GiftCardProductId, to: PurchaseRecording, key: str
) -> IssuedCard:
    """Sell a card for money to the customer of the purchase ``to``. The reference of the sale names that purchase."""
    request = IssueRequest(
        GiftCardOrigin.MONEY,
        None,
        f"card sold with {to.report.external_id}, {key}",
        customer=_name_customer(to),
        price=Money(FACE_MINOR, total_of(to).currency),
        product_id=product_id,
    )
    return await issue_gift_card(world, actor, request)


async def _spend(world: World, actor: Actor, card_id: GiftCardId, currency: str, key: str) -> None:
    """Spend a part of a card by a hold and its capture."""
    amount = Money(SPENT_MINOR, currency)
    request = CardHoldRequest(CardKey(card_id), amount, None, None, f"hold of card, {key}")
    held = await hold_gift_card(world, actor, request)
    await capture_gift_card(world, actor, held.hold.id, None, f"capture of card, {key}")


async def _hand_over(world: World, actor: Actor, given: IssuedCard, to: PurchaseRecording, key: str) -> None:
    """Give a card to the customer of the purchase ``to``, who claims it with its code."""
    gift = Gift(to.customer.full_name or to.customer.external_id, to.customer.email, "All the best!")
    await give_gift_card(world, actor, GiveRequest(given.card.id, gift, f"gift of card, {key}"))
    await claim_gift_card(world, actor, given.code, _name_customer(to), f"claim of card, {key}")


async def _apologize(world: World, actor: Actor, currency: str, to: PurchaseRecording, key: str) -> None:
    """Give the customer of the purchase ``to`` a card for goodwill. Nobody spends it, so it expires soon."""
    request = IssueRequest(
        GiftCardOrigin.GOODWILL,
        Money(GOODWILL_MINOR, currency),
        f"apology of {key}",
        customer=_name_customer(to),
        expires_on=world.clock().date() + timedelta(days=GOODWILL_DAYS),
        reason="Sorry for the wait",
    )
    await issue_gift_card(world, actor, request)


def _name_customer(bought: PurchaseRecording) -> CustomerKey:
    """Return the key of the customer of a purchase."""
    return CustomerKey(external_id=bought.customer.external_id)
