"""The price of a checkout: what points, gift cards and others pay of it, and the rest."""

import strawberry

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.money import Money as Amount
from loyalty.rules.redemption import DiscountLimit, DiscountMethod, PointsReason
from loyalty.services.checkout import LoyaltyQuote as QuotedPoints
from loyalty.services.checkout import Quote
from loyalty.services.checkout_cards import QuotedCard
from schema.enums import publish_enum
from schema.errors import user_errors
from schema.scalars import Points
from schema.types.gift_card import GiftCard
from schema.types.money import Money
from schema.types.node import show_row
from schema.user_error import UserError


class PriceLineKind(DescribedEnum):
    """What a line of a price is."""

    SUBTOTAL = "SUBTOTAL", "What the goods and services cost."
    DISCOUNT = "DISCOUNT", "What other discounts take off; below zero."
    LOYALTY_DISCOUNT = "LOYALTY_DISCOUNT", "What points take off; below zero."
    ALREADY_PAID = (
        "ALREADY_PAID",
        ("What pays for the purchase already, beside the points and the gift cards of this quote; below zero."),
    )
    GIFT_CARD = "GIFT_CARD", "What one of the named gift cards pays; below zero."


publish_enum(PriceLineKind)


@strawberry.type(description="One line of the price breakdown.")
class PriceLine:
    kind: PriceLineKind = strawberry.field(description="The kind of the line.")
    amount: Money = strawberry.field(
        description="The amount, below zero for what is taken off. The lines add up to the total."
    )
    gift_card: GiftCard | None = strawberry.field(default=None, description="The card that pays; null for other lines.")


@strawberry.type(description="What points can do for the customer at this checkout.")
class LoyaltyQuote:
    balance: Points = strawberry.field(
        description="Points that can be spent. They include points that this purchase has earned, and points held for "
        "it."
    )
    balance_value: Money = strawberry.field(description="What the points of `balance` are worth, rounded down.")
    method: DiscountMethod = strawberry.field(description="Who decides how many points are used.")
    points: Points = strawberry.field(description="How many points this quote applies; 0 when it applies none.")
    points_reason: PointsReason = strawberry.field(
        description="Why this quote applies so many points. There is a reason whenever it applies another number than "
        "asked for."
    )
    discount: Money = strawberry.field(description="The amount that `points` take off the total.")
    min_points: Points = strawberry.field(description="The fewest that may be used here; 0 when none may.")
    step: Points = strawberry.field(
        description="Of a slider from `minPoints` to `maxPoints`: every multiple of it is used as it is. `maxPoints` "
        "may be used too, where it is no multiple."
    )
    max_points: Points = strawberry.field(description="The most that may be used here; 0 when none may.")
    max_discount: Money = strawberry.field(description="The amount that `maxPoints` would take off the total.")
    limited_by: DiscountLimit | None = strawberry.field(
        description="The limit that gives `maxPoints`; null when no points may be used: then `refusal` says why."
    )
    held_points: Points = strawberry.field(
        description="Set aside by the customer's active holds for this very purchase. They count as available here, "
        "because a new hold may replace such a hold."
    )
    redeemable: bool = strawberry.field(description="Whether any points may be used here.")
    refusal: UserError | None = strawberry.field(
        description="Why none may be used, or why the points that were asked for were not applied."
    )


@strawberry.type(description="What a gift card pays at this checkout.")
class GiftCardQuote:
    gift_card: GiftCard | None = strawberry.field(
        description="The card; null when there is none, or it is none of the caller's business."
    )
    amount: Money = strawberry.field(
        description="What it pays: as much as it can of what points, other payments and the cards before it leave."
    )
    available_amount: Money = strawberry.field(
        description="What it could pay: what can be spent of it, and what its own holds set aside for this purchase."
    )
    refusal: UserError | None = strawberry.field(
        description="Why it pays nothing, such as NOT_FOUND, GIFT_CARD_ENDED or TOO_MANY_WRONG_CODES; `path` names the "
        "card in the input."
    )


@strawberry.type(description="The price of a checkout. Asking for it writes nothing and promises nothing: a hold does.")
class CheckoutQuote:
    subtotal: Money = strawberry.field(description="What the goods and services cost.")
    lines: list[PriceLine] = strawberry.field(description="The price breakdown; the lines add up to the total.")
    total: Money = strawberry.field(description="What is left to pay with money.")
    loyalty: LoyaltyQuote | None = strawberry.field(
        description="Null when there is nothing to show: no points, no such customer, or redemption is switched off."
    )
    gift_cards: list[GiftCardQuote] = strawberry.field(description="The named gift cards, in their order.")


def quote_of(quote: Quote) -> CheckoutQuote:
    """Return a quote with its lines and its total."""
    lines = _lines_of(quote)
    currency = quote.checkout.subtotal.currency
    return CheckoutQuote(
        subtotal=show_row(Money, quote.checkout.subtotal),
        lines=[
            PriceLine(kind=kind, amount=show_row(Money, Amount(minor, currency)), gift_card=card and card_of(card))
            for kind, minor, card in lines
        ],
        total=show_row(Money, Amount(sum(minor for _, minor, _ in lines), currency)),
        loyalty=None if quote.loyalty is None else _loyalty_of(quote.loyalty),
        gift_cards=[
            GiftCardQuote(
                gift_card=card_of(one),
                amount=show_row(Money, one.amount),
                available_amount=show_row(Money, one.available),
                refusal=user_errors(one.refusal)[0] if one.refusal else None,
            )
            for one in quote.paid.cards
        ],
    )


def card_of(quoted: QuotedCard) -> GiftCard | None:
    """Return the card of a quote, if it was found."""
    return None if quoted.card is None else show_row(GiftCard, quoted.card.card)


def _lines_of(quote: Quote) -> list[tuple[PriceLineKind, int, QuotedCard | None]]:
    """Return the lines of the price in minor units. A line of 0 is left out, except the subtotal."""
    checkout, loyalty, paid = quote
    off_minor = loyalty.discount.amount_minor if loyalty else 0
    lines: list[tuple[PriceLineKind, int, QuotedCard | None]] = [
        (PriceLineKind.DISCOUNT, -checkout.discounts_minor, None),
        (PriceLineKind.LOYALTY_DISCOUNT, -off_minor, None),
        (PriceLineKind.ALREADY_PAID, -paid.already_minor, None),
        *((PriceLineKind.GIFT_CARD, -one.amount.amount_minor, one) for one in paid.cards),
    ]
    return [(PriceLineKind.SUBTOTAL, checkout.subtotal.amount_minor, None), *(line for line in lines if line[1])]


def _loyalty_of(loyalty: QuotedPoints) -> LoyaltyQuote:
    return LoyaltyQuote(
        balance=Points(loyalty.balance),
        balance_value=show_row(Money, loyalty.balance_value),
        method=loyalty.method,
        points=Points(loyalty.points),
        points_reason=loyalty.reason,
        min_points=Points(loyalty.min_points),
        step=Points(loyalty.step),
        limited_by=loyalty.limited_by,
        held_points=Points(loyalty.held_points),
        discount=show_row(Money, loyalty.discount),
        max_points=Points(loyalty.max_points),
        max_discount=show_row(Money, loyalty.max_discount),
        redeemable=loyalty.max_points > 0,
        refusal=user_errors(loyalty.refusal)[0] if loyalty.refusal else None,
    )
