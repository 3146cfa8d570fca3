"""The face value and the expiry of a new gift card, by its product or by the caller."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from loyalty.rules.errors import CurrencyMismatch, InvalidInput, Problem
from loyalty.rules.expiry import end_of_last_day
from loyalty.rules.gift_card import GiftCardOrigin, check_amount
from loyalty.rules.gift_card_product import DEFAULT_VALIDITY, GiftCardProduct, expiry_of
from loyalty.rules.money import MAX_AMOUNT_MINOR, Money

_ONE_OF_TWO = "must be given, or a product, and not both"


class CardWorth(NamedTuple):
    """The face value of a new card, and the first instant at which it cannot be spent; None for never."""

    face: Money
    expires_at: datetime | None


def find_issue_problems(
    origin: GiftCardOrigin, face: Money | None, price: Money | None, *, has_product: bool
) -> Iterator[Problem]:
    """Yield what is wrong with a card to be issued, in the order of its fields.

    The face value comes either from a product or from `face`. `price` is the money paid for the card, 0 or more, and
    only for a card that was sold for money. Cards for points are bought, not issued.
    """
    if origin is GiftCardOrigin.POINTS:
        yield Problem(("origin",), "must be MONEY or GOODWILL")
    if (face is not None) == has_product:
        yield Problem(("amount",), _ONE_OF_TWO)
    if face is not None and (problem := check_amount(face)):
        yield problem
    if price is None:
        return
    if origin is not GiftCardOrigin.MONEY:
        yield Problem(("price",), "is only for cards that were sold for MONEY")
    if not 0 <= price.amount_minor <= MAX_AMOUNT_MINOR:
        yield Problem(("price", "amount"), "must not be negative")


def refuse_other_currencies(currency: str, amounts: Mapping[str, Money | None]) -> None:
    """Refuse amounts in another currency than the program's.

    The keys are the names of their fields; None was not given. Refusal: CurrencyMismatch.
    """
    for field, amount in amounts.items():
        if amount is not None and amount.currency != currency:
            raise CurrencyMismatch(currency, amount.currency, (field, "currency"))


def choose_worth(
    face: Money | None, product: GiftCardProduct | None, last_day: date | None, at: datetime, zone: ZoneInfo
) -> CardWorth:
    """Decide the face value and the expiry of a card that is issued at an instant.

    A product decides both; without a product the caller decides. `last_day`, if given, replaces the expiry in both
    cases. Raises InvalidInput without a face value, and for a last day that is over or too far in the future.
    """
    worth, validity = (face, DEFAULT_VALIDITY) if product is None else (product.face, product.validity)
    if worth is None:
        raise InvalidInput.one("amount", reason=_ONE_OF_TWO)
    if last_day is not None:
        return CardWorth(worth, end_of_last_day(last_day, at, zone))
    return CardWorth(worth, expiry_of(validity, at, zone))
