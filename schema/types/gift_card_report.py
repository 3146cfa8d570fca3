"""What a report says of gift cards."""

from datetime import datetime

import strawberry

from loyalty.rules import gift_card_report
from loyalty.services.gift_card_report import GiftCardReportRow
from schema.scalars import CurrencyCode, Points
from schema.types.money import Money
from schema.types.node import reads


@strawberry.type(description="Gift cards that were issued for one reason, cancelled ones included.")
class GiftCardSales:
    is_type_of = reads(gift_card_report.SoldCards)

    cards: int = strawberry.field(description="How many cards were issued.")
    face_value: Money = strawberry.field(description="The sum of the face values of these cards.")
    points: Points = strawberry.field(description="The points that were burnt for them; 0 for other reasons.")
    price: Money = strawberry.field(description="What was paid for them, as far as the sales told.")


@strawberry.type(description="What happened to the gift cards of one currency, and what is owed for them.")
class GiftCardFigures:
    is_type_of = reads(gift_card_report.GiftCardFigures)

    currency: CurrencyCode = strawberry.field(description="ISO 4217.")
    for_points: GiftCardSales = strawberry.field(description="Cards that customers bought with points.")
    for_money: GiftCardSales = strawberry.field(description="Cards that were sold for money.")
    for_goodwill: GiftCardSales = strawberry.field(description="Cards that the business gave away.")
    spent: Money = strawberry.field(description="Spent in the range, less what came back.")
    breakage: Money = strawberry.field(
        description="Lost in the range because the time of cards was over, less what an extension gave back."
    )
    voided: Money = strawberry.field(description="Taken off cards that were cancelled in the range.")
    outstanding: Money = strawberry.field(
        description="What all cards were worth at the end of the range: what the business owes, held money included."
    )


@strawberry.type(description="Gift cards in a range of days, straight from their ledgers.")
class GiftCardReport:
    is_type_of = reads(GiftCardReportRow)

    starts_at: datetime = strawberry.field(description="The first instant of the range.")
    ends_at: datetime = strawberry.field(description="The first instant after the range.")
    figures: list[GiftCardFigures] = strawberry.field(
        description="One entry for each currency in which there are cards, in the order of their codes."
    )
