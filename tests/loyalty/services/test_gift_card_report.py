"""The report of gift cards: what was sold, what was spent, what was lost, and what is owed."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.errors import InvalidInput
from loyalty.rules.gift_card import GiftCardEntryKind, GiftCardOrigin
from loyalty.rules.gift_card_report import CardLiability, CardMoves, CardSales, GiftCardFigures, gift_card_figures
from loyalty.rules.money import Money
from loyalty.services.gift_card_expiry import expire_due_cards
from loyalty.services.gift_card_report import get_gift_card_report
from loyalty.services.world import World
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOON, at, known_customer
from tests.loyalty.services.gift_cards import (
    cancel_card,
    capture_card,
    euros,
    extend_card,
    hold_card,
    issue,
    return_card,
)

DAY = NOON.date()


async def figures(world: World, salon: Salon, *, first: int = 0, last: int = 0) -> GiftCardFigures:
    """Return the figures of some days, counted from the day of the test."""
    days = [DAY + timedelta(days=number) for number in (first, last)]
    (found,) = (await get_gift_card_report(world, salon.staff, *days)).figures
    return found


async def test_everything_that_was_issued_is_spent_lost_void_or_owed(world: World, salon: Salon) -> None:
    """In every range from the beginning on, whatever happened."""
    today = at(world, NOON)
    tomorrow = at(world, NOON + timedelta(days=1))
    await known_customer(today, salon)
    spent = await issue(today, salon, 5_000, "a", price=euros(4_500), expires_on=DAY)
    void = await issue(today, salon, 2_000, "b", customer=None)
    await issue(today, salon, 1_000, "c", origin=GiftCardOrigin.GOODWILL)
    held = await hold_card(today, salon, spent.card.id, 3_000, "hold")
    await capture_card(today, salon, held.hold.id, key="capture")
    await return_card(today, salon, held.hold.id, 500, "return")
    await cancel_card(today, salon, void.card.id)
    first_day = await figures(today, salon)
    assert (first_day.currency, first_day.for_points.cards) == ("EUR", 0)
    assert (first_day.for_money.cards, first_day.for_money.face_value, first_day.for_money.price) == (
        2,
        euros(7_000),
        euros(4_500),
    )
    assert (first_day.for_goodwill.cards, first_day.for_goodwill.face_value) == (1, euros(1_000))
    assert (first_day.spent, first_day.voided, first_day.breakage) == (euros(2_500), euros(2_000), euros(0))
    assert first_day.outstanding == euros(3_500)
    await expire_due_cards(tomorrow, salon.tenant_id)
    second_day = await figures(tomorrow, salon, first=1, last=1)
    assert (second_day.for_money.cards, second_day.spent) == (0, euros(0))
    assert (second_day.breakage, second_day.outstanding) == (euros(2_500), euros(1_000))
    await extend_card(tomorrow, salon, spent.card.id, DAY + timedelta(days=9))
    assert (await figures(tomorrow, salon, first=1, last=1)).breakage == euros(0)
    both = await figures(tomorrow, salon, last=1)
    assert both.for_money.face_value.amount_minor + both.for_goodwill.face_value.amount_minor == sum(
        money.amount_minor for money in (both.spent, both.breakage, both.voided, both.outstanding)
    )
    assert (await figures(tomorrow, salon)).outstanding == euros(3_500), "what was owed then does not change"


async def test_without_cards_there_are_no_figures(world: World, salon: Salon, other_salon: Salon) -> None:
    today = at(world, NOON)
    await issue(today, other_salon, customer=None)
    assert (await get_gift_card_report(today, salon.staff, DAY, DAY)).figures == []


async def test_a_range_that_runs_backwards_is_refused(world: World, salon: Salon) -> None:
    with pytest.raises(InvalidInput):
        await get_gift_card_report(world, salon.staff, DAY, DAY - timedelta(days=1))


CODES = st.sampled_from(["EUR", "CHF", "JPY"])


@given(
    moves=st.lists(
        st.builds(CardMoves, CODES, st.sampled_from(GiftCardEntryKind), st.integers(-(10**6), 10**6)),
        unique_by=lambda one: (one.currency, one.kind),
    ),
    owed=st.dictionaries(CODES, st.integers(0, 10**6)),
)
def test_no_currency_is_mixed_with_another(moves: list[CardMoves], owed: dict[str, int]) -> None:
    sales = [CardSales("CHF", GiftCardOrigin.POINTS, 2, 5_000, 1_000, 0)]
    found = gift_card_figures(sales, moves, [CardLiability(*one) for one in owed.items()])
    assert [one.currency for one in found] == sorted({one.currency for one in found})
    assert {one.currency for one in found} >= {"CHF", *(one.currency for one in moves)}
    for one in found:
        money = [one.spent, one.breakage, one.voided, one.outstanding, one.for_money.face_value, one.for_points.price]
        assert {amount.currency for amount in money} == {one.currency}
        assert one.outstanding == Money(owed.get(one.currency, 0), one.currency)
        mine = {move.kind: move.amount_minor for move in moves if move.currency == one.currency}
        assert one.breakage.amount_minor == -mine.get(GiftCardEntryKind.EXPIRED, 0) - mine.get(
            GiftCardEntryKind.EXTENDED, 0
        )
