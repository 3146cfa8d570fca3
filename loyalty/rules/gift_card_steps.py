"""What becomes of a gift card outside a checkout: it is extended, given, claimed or cancelled.

Each function takes the numbers of a card and returns a decision, or refuses. The ledger books what was decided.
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
    void,
)
from loyalty.rules.gift_card_errors import GiftCardEnded, GiftCardHasOwner
from loyalty.rules.ids import CustomerId


class CancelledCard(NamedTuple):
    """The account of a card after it was cancelled, and whether the points that bought it come back."""

    account: CardAccount
    returns_points: bool


def choose_later_expiry(account: CardAccount, last_day: date, at: datetime, zone: ZoneInfo) -> datetime:
    """Return when a card expires that is to live until the end of a local day. An expired card lives again.

    Raises GiftCardEnded for a voided card, and InvalidInput for one that never expires, and for a day that is over, not
    later than the expiry, or later than any card may live.
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
    """Refuse to give a card of which nothing can be spent. Refusal: GiftCardEnded, also for one that is spent."""
    state = state_at(account, at)
    if state is not GiftCardState.ACTIVE:
        raise GiftCardEnded(state)


def refuse_claim(account: CardAccount, holder_id: CustomerId | None, at: datetime) -> None:
    """Refuse to take a card whose time is over, that was voided, or that somebody has.

    Refusals: GiftCardEnded, GiftCardHasOwner.
    """
    refuse_ended(account, at, ("code",))
    if holder_id is not None:
        raise GiftCardHasOwner


def cancel_card(
    account: CardAccount, origin: GiftCardOrigin, face_minor: int, at: datetime, *, return_points: bool | None
) -> CancelledCard:
    """Decide to take what is left of a card for good, and whether the points that bought it come back.

    Unless ``return_points`` is False they do, and then nothing of the card may be spent, held or expired. Raises
    InvalidInput where points did not buy it, GiftCardEnded and GiftCardInUse.
    """
    is_bought = origin is GiftCardOrigin.POINTS
    if return_points and not is_bought:
        raise InvalidInput.one("return_points", reason="is only for cards that points bought")
    returns_points = is_bought and return_points is not False
    if returns_points:
        refuse_ended(account, at)
        refuse_used(account, face_minor)
    return CancelledCard(void(account, at), returns_points)
