"""Decisions on a gift card outside a checkout: to extend, give, claim or cancel it.

Each function takes the numbers of a card, and returns a decision or refuses. The ledger books the decision.
"""

from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from loyalty.rules.errors import InvalidInput
from loyalty.rules.expiry import LAST_EXPIRY_DAY, end_of_day
from loyalty.rules.gift_card import (
    CardAccount,
    GiftCardOrigin,
    GiftCardState,
    refuse_ended,
    refuse_used,
    state_at,
    void_card,
)
from loyalty.rules.gift_card_errors import GiftCardEnded, GiftCardHasOwner
from loyalty.rules.ids import CustomerId


class CancelledCard(NamedTuple):
    """The account of a cancelled card, and whether the points that bought it come back."""

    account: CardAccount
    returns_points: bool


def choose_later_expiry(account: CardAccount, last_day: date, at: datetime, zone: ZoneInfo) -> datetime:
    """Return the expiry of a card whose new last day is a local day. An expired card can be spent again.

    Raises GiftCardEnded for a voided card. Raises InvalidInput for a card that never expires, and for a day that is
    over, not later than the expiry, or later than any card may live.
    """
    if account.voided_at is not None:
        raise GiftCardEnded(GiftCardState.VOIDED)
    if account.expires_at is None:
        raise InvalidInput.one("expires_on", reason="is only for cards that expire")
    if last_day > LAST_EXPIRY_DAY:
        raise InvalidInput.one("expires_on", reason=f"must be at most {LAST_EXPIRY_DAY}")
    expires_at = end_of_day(last_day, zone)
    if expires_at <= max(account.expires_at, at):
        raise InvalidInput.one("expires_on", reason="must be later than the expiry, and not over yet")
    return expires_at


def refuse_gift(account: CardAccount, at: datetime) -> None:
    """Refuse to give a card that cannot be spent. Refusal: GiftCardEnded, also for a card that is spent completely."""
    state = state_at(account, at)
    if state is not GiftCardState.ACTIVE:
        raise GiftCardEnded(state)


def refuse_claim(account: CardAccount, holder_id: CustomerId | None, at: datetime) -> None:
    """Refuse to claim a card that is expired, voided, or in the account of a customer.

    Refusals: GiftCardEnded, GiftCardHasOwner.
    """
    refuse_ended(account, at, ("code",))
    if holder_id is not None:
        raise GiftCardHasOwner


def cancel_card(
    account: CardAccount, origin: GiftCardOrigin, face_minor: int, at: datetime, *, return_points: bool | None
) -> CancelledCard:
    """Decide to void a card, and whether the points that bought it come back.

    They come back unless ``return_points`` is False; then no money of the card may be spent, held or expired. Raises
    InvalidInput if points are to come back but did not buy the card, GiftCardEnded and GiftCardInUse.
    """
    is_bought = origin is GiftCardOrigin.POINTS
    if return_points and not is_bought:
        raise InvalidInput.one("return_points", reason="is only for cards that points bought")
    returns_points = is_bought and return_points is not False
    if returns_points:
        refuse_ended(account, at)
        refuse_used(account, face_minor)
    return CancelledCard(void_card(account, at), returns_points)
