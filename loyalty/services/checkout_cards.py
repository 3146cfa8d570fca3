"""Gift cards in the quote of a checkout: how much each pays after points and other payments, in the order given."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from loyalty.rules.errors import InvalidInput, LoyaltyError, NotFound, PurchaseOfAnotherCustomer, Refused
from loyalty.rules.gift_card_code import GiftCardCode
from loyalty.rules.gift_card_errors import TooManyWrongCodes
from loyalty.rules.gift_card_hold import count_payable
from loyalty.rules.money import Money
from loyalty.rules.payments import share_out
from loyalty.rules.purchase import PurchaseStatus
from loyalty.services.customer import may_see_customer
from loyalty.services.gift_card import CardKey, may_use_card
from loyalty.services.gift_card_guess import limit_guesses
from loyalty.services.world import World
from loyalty.storage.gift_card_quotes import CardToPay, read_cards_to_pay
from loyalty.storage.known_checkouts import KnownCheckout
from loyalty.storage.points_paid import PurchaseKey
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require_any

MAX_QUOTED_CARDS = 10
"""The most gift cards in one quote: each code in it is looked up and counted."""

NamedCard = CardKey | LoyaltyError
"""The caller's name for a card of a quote, or the refusal of a name that is not valid."""

FoundCard = CardToPay | LoyaltyError
"""A card of a quote, or the refusal if no card is found."""


class Price(NamedTuple):
    """The amounts of a quote, in minor units.

    ``total_minor`` is the caller's total, ``payable_minor`` the part of it that may be paid. ``points_minor`` is paid
    with points already, without the holds that a new one may replace. ``applied_minor`` is the discount of points in
    this quote.
    """

    currency: str
    total_minor: int
    payable_minor: int
    points_minor: int
    applied_minor: int


class QuotedCard(NamedTuple):
    """A card of a quote: how much it could pay (``available``), how much it pays (``amount``), or why it pays nothing.

    ``card`` is None if no card is found, or if the caller may not know it.
    """

    card: CardToPay | None
    available: Money
    amount: Money
    refusal: LoyaltyError | None


class QuotedCards(NamedTuple):
    """The cards of a quote in the order given.

    ``already_minor`` is the sum of all other payments for the purchase, in minor units.
    """

    cards: Sequence[QuotedCard] = ()
    already_minor: int = 0


def card_path(position: int, *more: str) -> tuple[str, ...]:
    """Return the path of a card in the input of a quote."""
    return ("gift_cards", str(position), *more)


def refuse_cards(actor: Actor, named: Sequence[NamedCard]) -> None:
    """Refuse callers who may not spend cards, and more cards than one quote takes. Refusal: InvalidInput."""
    if not named:
        return
    require_any(actor, Permission.GIFT_CARDS_SPEND, Permission.SELF_READ)
    if len(named) > MAX_QUOTED_CARDS:
        raise InvalidInput.one("gift_cards", reason=f"must have at most {MAX_QUOTED_CARDS} cards")


async def find_quoted_cards(
    world: World, by: Actor, named: Sequence[NamedCard], purchase: PurchaseKey | None
) -> list[FoundCard]:
    """Return each card of a quote, or the refusal if it is not found. Each wrong code counts against the caller.

    The order is that of ``named``.
    """
    if not named:
        return []
    hashes = [
        world.codes.hashes(by.tenant_id, one.code) if isinstance(one, CardKey) and one.code is not None else ()
        for one in named
    ]
    ids = [one.id for one in named if isinstance(one, CardKey) and one.id is not None]
    tx = world.database.reading(by.tenant_id)
    rows = await read_cards_to_pay(tx, ids, [one for each in hashes for one in each], purchase)
    found: list[FoundCard] = []
    for position, one in enumerate(named):
        if isinstance(one, LoyaltyError):
            found.append(one)
        elif one.code is not None:
            card = next((row for row in rows if row.card.code_hash in hashes[position]), None)
            found.append(await _find_by_code(world, by, one.code, card, card_path(position, "code")))
        else:
            card = next((row for row in rows if row.card.id == one.id and may_use_card(by, row.card)), None)
            found.append(card or NotFound("gift card", card_path(position)))
    return found


async def _find_by_code(
    world: World, by: Actor, code: GiftCardCode, card: CardToPay | None, path: tuple[str, ...]
) -> FoundCard:
    """Return the card that was found for a code, or a refusal. A code without a card counts against the caller."""
    try:
        await limit_guesses(world, by, code, known=card is not None, path=path)
    except TooManyWrongCodes as refusal:
        return refusal
    return card or NotFound("gift card", path)


def quote_cards(
    actor: Actor, known: KnownCheckout, found: Sequence[FoundCard], price: Price, now: datetime
) -> QuotedCards:
    """Return how much each card pays after points and other payments, in the order given.

    Money that the cards hold for this purchase counts as available. A customer who may not see the purchase learns
    nothing of it, and no card pays.
    """
    if not all(may_see_customer(actor, owner_id) for owner_id in known.owner_ids):
        refusal = PurchaseOfAnotherCustomer(("purchase",))
        return QuotedCards([_refuse_card(one, price.currency, refusal) for one in found])
    judged = _judge_cards(known, found, price.currency, now)
    # Other payments: all that does not come from these cards or from the points of this quote.
    own = {one.card.id: one.held_minor for one in found if isinstance(one, CardToPay)}
    already_minor = (
        known.beside_cards_minor(price.points_minor + price.applied_minor)
        - price.applied_minor
        + known.cards.net_minor
        - sum(own.values())
    )
    already_minor = min(already_minor, price.total_minor - price.applied_minor)
    left_minor = max(0, price.payable_minor - price.applied_minor - already_minor)
    shares = share_out(left_minor, [could for could, _ in judged])
    cards = [
        QuotedCard(
            one if isinstance(one, CardToPay) else None,
            Money(could, price.currency),
            Money(pays, price.currency),
            refusal,
        )
        for one, (could, refusal), pays in zip(found, judged, shares, strict=True)
    ]
    return QuotedCards(cards, already_minor)


def _judge_cards(
    known: KnownCheckout, found: Sequence[FoundCard], currency: str, now: datetime
) -> list[tuple[int, LoyaltyError | None]]:
    """Return how much each card could pay; 0 and the refusal for a card that pays nothing."""
    status = None if known.purchase is None else known.purchase.status
    judged: list[tuple[int, LoyaltyError | None]] = []
    seen = set()
    for position, one in enumerate(found):
        path = card_path(position)
        if isinstance(one, LoyaltyError):
            judged.append((0, one))
        elif one.card.id in seen:
            judged.append((0, InvalidInput.one(*path, reason="names a card that stands in the list already")))
        else:
            seen.add(one.card.id)
            judged.append(_judge_card(one, currency, status, now, path))
    return judged


def _judge_card(
    one: CardToPay, currency: str, status: PurchaseStatus | None, now: datetime, path: tuple[str, ...]
) -> tuple[int, LoyaltyError | None]:
    """Return how much a card could pay; 0 and the refusal if it can pay nothing."""
    try:
        return count_payable(one.card.account, one.held_minor, currency, status, now, path), None
    except Refused as refusal:
        return 0, refusal


def _refuse_card(one: FoundCard, currency: str, refusal: LoyaltyError) -> QuotedCard:
    """Return a card of a quote that pays nothing because of this refusal.

    The refusal of a card not found is its own.
    """
    nothing = Money(0, currency)
    if isinstance(one, CardToPay):
        return QuotedCard(one, nothing, nothing, refusal)
    return QuotedCard(None, nothing, nothing, one)
