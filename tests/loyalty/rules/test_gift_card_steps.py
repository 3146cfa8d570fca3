from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from loyalty.rules.errors import InvalidInput, Refused
from loyalty.rules.expiry import LAST_EXPIRY_DAY
from loyalty.rules.gift_card import CardAccount, GiftCardOrigin
from loyalty.rules.gift_card_errors import GiftCardEnded, GiftCardHasOwner, GiftCardInUse
from loyalty.rules.gift_card_steps import (
    CancelledCard,
    cancel_card,
    choose_later_expiry,
    refuse_claim,
    refuse_gift,
)
from loyalty.rules.ids import CustomerId

BERLIN = ZoneInfo("Europe/Berlin")
# The end of 30 June where the tenant is.
EXPIRY = datetime(2026, 6, 30, 22, tzinfo=UTC)
BEFORE, INSTANT = datetime(2026, 6, 1, tzinfo=UTC), timedelta(microseconds=1)
CARD = CardAccount("EUR", balance_minor=5_000, expires_at=EXPIRY, sequence=1)
VOIDED = replace(CARD, balance_minor=0, voided_at=BEFORE)
SPENT = replace(CARD, balance_minor=0)
HELD = replace(CARD, held_minor=1)
SOMEBODY = CustomerId(UUID(int=1))
POINTS, MONEY, GOODWILL = GiftCardOrigin.POINTS, GiftCardOrigin.MONEY, GiftCardOrigin.GOODWILL


@pytest.mark.parametrize(
    ("last_day", "at", "expires_at"),
    [
        (date(2026, 7, 1), BEFORE, EXPIRY + timedelta(days=1)),
        # An expired card lives again, if only until the end of today.
        (date(2026, 8, 1), datetime(2026, 8, 1, 21, 59, tzinfo=UTC), datetime(2026, 8, 1, 22, tzinfo=UTC)),
        (LAST_EXPIRY_DAY, BEFORE, datetime(9998, 12, 31, 23, tzinfo=UTC)),
    ],
)
def test_a_card_is_extended_to_the_end_of_a_later_local_day(last_day: date, at: datetime, expires_at: datetime) -> None:
    assert choose_later_expiry(CARD, last_day, at, BERLIN) == expires_at


@pytest.mark.parametrize(
    ("account", "last_day", "at"),
    [
        (replace(CARD, expires_at=None), date(2026, 7, 1), BEFORE),
        # The same day, and one before.
        (CARD, date(2026, 6, 30), BEFORE),
        (CARD, date(2026, 6, 29), BEFORE),
        # Later than the expiry, and over by now.
        (CARD, date(2026, 8, 1), datetime(2026, 8, 1, 22, tzinfo=UTC)),
        (CARD, LAST_EXPIRY_DAY + timedelta(days=1), BEFORE),
    ],
)
def test_no_other_day_is_taken(account: CardAccount, last_day: date, at: datetime) -> None:
    with pytest.raises(InvalidInput) as raised:
        choose_later_expiry(account, last_day, at, BERLIN)
    assert [problem.path for problem in raised.value.problems] == [("expires_on",)]


@pytest.mark.parametrize("account", [VOIDED, replace(VOIDED, expires_at=None)])
def test_a_voided_card_is_not_extended(account: CardAccount) -> None:
    with pytest.raises(GiftCardEnded):
        choose_later_expiry(account, date(2026, 7, 1), BEFORE, BERLIN)


@pytest.mark.parametrize(
    ("account", "at", "state"),
    [(SPENT, BEFORE, "SPENT"), (VOIDED, BEFORE, "VOIDED"), (CARD, EXPIRY, "EXPIRED"), (SPENT, EXPIRY, "EXPIRED")],
)
def test_only_an_active_card_is_given(account: CardAccount, at: datetime, state: str) -> None:
    refuse_gift(CARD, EXPIRY - INSTANT)
    with pytest.raises(GiftCardEnded) as raised:
        refuse_gift(account, at)
    assert (raised.value.card_state, raised.value.path) == (state, ("gift_card",))


@pytest.mark.parametrize(
    ("account", "holder_id", "at", "refusal"),
    [
        (CARD, None, EXPIRY - INSTANT, None),
        # Nothing can be spent of it now, but what was spent may come back.
        (SPENT, None, BEFORE, None),
        (CARD, None, EXPIRY, GiftCardEnded),
        (VOIDED, None, BEFORE, GiftCardEnded),
        (CARD, SOMEBODY, BEFORE, GiftCardHasOwner),
        (CARD, SOMEBODY, EXPIRY, GiftCardEnded),
    ],
)
def test_a_card_is_claimed_that_nobody_has(
    account: CardAccount, holder_id: CustomerId | None, at: datetime, refusal: type[Refused] | None
) -> None:
    if refusal is None:
        refuse_claim(account, holder_id, at)
        return
    with pytest.raises(refusal) as raised:
        refuse_claim(account, holder_id, at)
    assert raised.value.path == ("code",)


@pytest.mark.parametrize(
    ("account", "origin", "return_points", "at", "returns_points"),
    [
        # Points come back by default, and only those that bought a card.
        (CARD, POINTS, None, BEFORE, True),
        (CARD, POINTS, True, EXPIRY - INSTANT, True),
        (CARD, POINTS, False, BEFORE, False),
        (CARD, MONEY, None, BEFORE, False),
        (CARD, GOODWILL, False, BEFORE, False),
        # Without points it may be used or expired.
        (SPENT, POINTS, False, BEFORE, False),
        (CARD, POINTS, False, EXPIRY, False),
        (SPENT, MONEY, None, EXPIRY, False),
    ],
)
def test_a_cancelled_card_has_nothing_left(
    *,
    account: CardAccount,
    origin: GiftCardOrigin,
    return_points: bool | None,
    at: datetime,
    returns_points: bool,
) -> None:
    after = replace(account, balance_minor=0, sequence=2, voided_at=at)
    assert cancel_card(account, origin, 5_000, at, return_points=return_points) == CancelledCard(after, returns_points)


@pytest.mark.parametrize(
    ("account", "origin", "return_points", "at", "refusal"),
    [
        (VOIDED, MONEY, True, BEFORE, InvalidInput),
        (HELD, POINTS, None, EXPIRY, GiftCardEnded),
        (HELD, POINTS, None, BEFORE, GiftCardInUse),
        (replace(CARD, balance_minor=4_999), POINTS, True, BEFORE, GiftCardInUse),
        (VOIDED, POINTS, None, BEFORE, GiftCardEnded),
        (VOIDED, POINTS, False, BEFORE, GiftCardEnded),
        (HELD, POINTS, False, BEFORE, GiftCardInUse),
        (HELD, MONEY, None, BEFORE, GiftCardInUse),
    ],
)
def test_a_card_that_is_used_or_over_is_not_cancelled(
    *,
    account: CardAccount,
    origin: GiftCardOrigin,
    return_points: bool | None,
    at: datetime,
    refusal: type[Exception],
) -> None:
    with pytest.raises(refusal):
        cancel_card(account, origin, 5_000, at, return_points=return_points)
