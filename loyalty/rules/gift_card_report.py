"""The figures of gift cards in a report, computed from the sums of their ledgers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from loyalty.rules.gift_card import GiftCardEntryKind, GiftCardOrigin
from loyalty.rules.money import Money


class CardSales(NamedTuple):
    """The cards of one origin and currency issued in a range of days, and the points and the money paid for them."""

    currency: str
    origin: GiftCardOrigin
    cards: int
    face_minor: int
    points: int
    price_minor: int


class CardMoves(NamedTuple):
    """The signed sum of the entries of one kind and currency in a range."""

    currency: str
    kind: GiftCardEntryKind
    amount_minor: int


class CardLiability(NamedTuple):
    """The sum of the balances of all cards of a currency at the end of a range."""

    currency: str
    outstanding_minor: int


@dataclass(frozen=True, slots=True)
class SoldCards:
    """The cards of one origin: their number, their face value, and the points and the money paid for them."""

    cards: int
    face_value: Money
    points: int
    price: Money


@dataclass(frozen=True, slots=True)
class GiftCardFigures:
    """The figures of one currency. All amounts are positive in the sense of their name; `outstanding` is at the end."""

    currency: str
    for_points: SoldCards
    for_money: SoldCards
    for_goodwill: SoldCards
    spent: Money
    breakage: Money
    voided: Money
    outstanding: Money


def gift_card_figures(
    sales: Iterable[CardSales], moves: Iterable[CardMoves], liabilities: Iterable[CardLiability]
) -> list[GiftCardFigures]:
    """Return the figures of each currency, in the order of the currency codes.

    `spent` is the spent money less the returned money. `breakage` is the expired money, less the money that extensions
    gave back.
    """
    sold = {(one.currency, one.origin): one for one in sales}
    moved = {(one.currency, one.kind): one.amount_minor for one in moves}
    owed = {one.currency: one.outstanding_minor for one in liabilities}
    currencies = {currency for currency, _ in (*sold, *moved)} | {code for code, minor in owed.items() if minor}
    return [_compute_figures(currency, sold, moved, owed.get(currency, 0)) for currency in sorted(currencies)]


def _compute_figures(
    currency: str,
    sold: Mapping[tuple[str, GiftCardOrigin], CardSales],
    moved: Mapping[tuple[str, GiftCardEntryKind], int],
    outstanding_minor: int,
) -> GiftCardFigures:
    """Return the figures of one currency from the sums of its issued cards, its entries and its balances."""

    def left(*kinds: GiftCardEntryKind) -> Money:
        """Return the money that left the cards by entries of these kinds; their amounts are below zero."""
        return Money(-sum(moved.get((currency, kind), 0) for kind in kinds), currency)

    def issued(origin: GiftCardOrigin) -> SoldCards:
        """Return the cards of an origin that were issued."""
        one = sold.get((currency, origin), CardSales(currency, origin, 0, 0, 0, 0))
        return SoldCards(one.cards, Money(one.face_minor, currency), one.points, Money(one.price_minor, currency))

    kinds = GiftCardEntryKind
    return GiftCardFigures(
        currency=currency,
        for_points=issued(GiftCardOrigin.POINTS),
        for_money=issued(GiftCardOrigin.MONEY),
        for_goodwill=issued(GiftCardOrigin.GOODWILL),
        spent=left(kinds.SPENT, kinds.RETURNED),
        breakage=left(kinds.EXPIRED, kinds.EXTENDED),
        voided=left(kinds.VOIDED),
        outstanding=Money(outstanding_minor, currency),
    )
