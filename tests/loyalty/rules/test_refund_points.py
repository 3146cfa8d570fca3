from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.points_paid import ActiveHold, DiscountTerms, LiveRedemption, PointsPaid, point_value
from loyalty.rules.refund_points import (
    PayersOfRefund,
    PointsToReturn,
    ReturnPoints,
    choose_returns,
    decide_returns,
    find_owed_part,
    fit_holds_after_refund,
    share_as_formerly,
    share_of_refund,
)

NOTHING = PointsPaid()
CENT = point_value(1, 1, "EUR")
A, B, C = (UUID(int=number) for number in range(3))


@given(
    st.integers(1, 100_000).flatmap(
        lambda total: st.tuples(
            st.just(total), st.integers(0, total), st.lists(st.integers(0, total), min_size=1, max_size=6)
        )
    ),
    st.integers(1, 20),
)
def test_shares_add_up_and_depend_on_nothing_but_the_sum(case: tuple[int, int, list[int]], per_cent: int) -> None:
    total, paid_minor, cuts = case
    paid = PointsPaid(paid_minor * per_cent, paid_minor)
    shared, refunded = NOTHING, 0
    for before, after in pairwise([0, *sorted(cuts), total]):
        part = share_of_refund(total, before, after - before, paid, shared)
        assert 0 <= part.discount_minor <= after - before, "no negative amount of money"
        shared = PointsPaid(shared.points + part.points, shared.discount_minor + part.discount_minor)
        at_once = share_of_refund(total, 0, after, paid, NOTHING)
        assert shared == at_once, "however it was split"
        refunded = after
    assert (refunded, shared) == (total, paid), "over all refunds exactly what points paid"


def test_points_that_pay_after_a_refund_all_go_back_in_the_end() -> None:
    """10.00, of which 2.00 were refunded in money; then points pay the other 8.00."""
    paid = PointsPaid(800, 800)
    first = share_of_refund(1_000, 200, 100, paid, NOTHING)
    assert first == PointsPaid(100, 100), "not more than is refunded, though 2.40 would be due"
    assert share_of_refund(1_000, 300, 700, paid, first) == PointsPaid(700, 700)


def test_a_refund_of_a_free_purchase_has_no_part_that_points_paid() -> None:
    assert share_of_refund(0, 0, 0, PointsPaid(5, 0), NOTHING) == NOTHING
    assert share_of_refund(100, 0, 50, NOTHING, NOTHING) == NOTHING


def test_holds_go_back_before_redemptions_and_the_newest_first() -> None:
    holds = [ActiveHold(A, 10, 10, CENT, DiscountTerms())]
    redemptions = [LiveRedemption(B, 20, 0, 20), LiveRedemption(C, 20, 15, 20)]
    assert choose_returns(12, holds, redemptions) == PointsToReturn({A: 10}, {C: 2})
    assert choose_returns(99, holds, redemptions) == PointsToReturn({A: 10}, {C: 5, B: 20})
    assert choose_returns(0, holds, redemptions) == PointsToReturn({}, {})


def test_a_return_by_hand_counts_for_a_refund_as_far_as_one_has_points_left_to_do() -> None:
    assert find_owed_part(PointsPaid(50, 250), 30) == PointsPaid(30, 150)
    assert find_owed_part(PointsPaid(50, 250), 80) == PointsPaid(50, 250)
    assert find_owed_part(PointsPaid(50, 250), 0) == NOTHING


# 10 points are set aside, 20 were spent and 5 are left of 20 others.
PAYERS = PayersOfRefund(
    [ActiveHold(A, 10, 10, CENT, DiscountTerms())],
    [LiveRedemption(B, 20, 0, 20), LiveRedemption(C, 20, 15, 20)],
    PointsPaid(15, 15),
)
NOTHING_GIVEN = PointsToReturn({}, {})


def test_payers_count_points_that_went_back_for_earlier_refunds() -> None:
    assert (PAYERS.held, PAYERS.spent) == (PointsPaid(10, 10), PointsPaid(40, 40))


@pytest.mark.parametrize(
    ("points", "mode", "is_over", "returns_all", "expected"),
    [
        (12, ReturnPoints.AUTO, False, False, PointsToReturn({A: 10}, {C: 2})),
        (12, ReturnPoints.AUTO, False, True, PointsToReturn({A: 10}, {C: 2})),
        (0, ReturnPoints.AUTO, False, False, NOTHING_GIVEN),
        # Nothing is left of the purchase: the hold ends anyway, and its 10 points count.
        (12, ReturnPoints.AUTO, True, False, PointsToReturn({}, {C: 2})),
        (35, ReturnPoints.AUTO, True, False, PointsToReturn({}, {C: 5, B: 20})),
        (9, ReturnPoints.AUTO, True, False, NOTHING_GIVEN),
        # The program gives all redemptions back then.
        (12, ReturnPoints.AUTO, True, True, NOTHING_GIVEN),
        *(
            (12, ReturnPoints.NONE, is_over, returns_all, NOTHING_GIVEN)
            for is_over in (False, True)
            for returns_all in (False, True)
        ),
    ],
)
def test_a_refund_says_where_its_points_come_from(
    points: int, mode: ReturnPoints, *, is_over: bool, returns_all: bool, expected: PointsToReturn
) -> None:
    part = PointsPaid(points, points)
    assert decide_returns(part, PAYERS, mode, is_over=is_over, returns_all=returns_all) == expected


@pytest.mark.parametrize(
    ("left_minor", "given_back", "kept"),
    [
        # All that pays fits into what is left: the hold keeps its points.
        (35, NOTHING_GIVEN, {}),
        (35, PointsToReturn({A: 4}, {}), {A: PointsPaid(6, 6)}),
        (35, PointsToReturn({A: 10}, {C: 2}), {A: PointsPaid(0, 0)}),
        # 25 were spent, so a purchase of 32 has room for 7 points, one of 26 for 1, and one of 20 for none.
        (32, NOTHING_GIVEN, {A: PointsPaid(7, 7)}),
        (26, PointsToReturn({A: 4}, {}), {A: PointsPaid(1, 1)}),
        (20, NOTHING_GIVEN, {A: PointsPaid(0, 0)}),
        # What redemptions give back makes room for the hold.
        (32, PointsToReturn({}, {B: 3}), {}),
    ],
)
def test_a_hold_loses_its_part_and_what_the_purchase_has_no_room_for(
    left_minor: int, given_back: PointsToReturn, kept: dict[UUID, PointsPaid]
) -> None:
    assert fit_holds_after_refund(left_minor, PAYERS, given_back) == kept


def test_lowered_holds_free_what_they_lose() -> None:
    assert PAYERS.sum_freed({}) == NOTHING
    assert PAYERS.sum_freed({A: PointsPaid(7, 7)}) == PointsPaid(3, 3)
    assert PAYERS.sum_freed({A: NOTHING}) == PointsPaid(10, 10)


@pytest.mark.parametrize(
    ("total_minor", "refunded_minor", "amount_minor", "expected"),
    [
        (0, 0, 0, NOTHING),
        (100, 0, 100, PointsPaid(70, 33)),
        # Rounded down over the sum of all refunds: 23.3 of 70 points, then 46.6.
        (99, 0, 33, PointsPaid(23, 11)),
        (99, 33, 33, PointsPaid(23, 11)),
        (99, 66, 33, PointsPaid(24, 11)),
        # Points never paid more than the total.
        (20, 0, 20, PointsPaid(70, 20)),
    ],
)
def test_the_first_releases_shared_what_redemptions_paid_at_first(
    total_minor: int, refunded_minor: int, amount_minor: int, expected: PointsPaid
) -> None:
    assert share_as_formerly(total_minor, refunded_minor, amount_minor, PointsPaid(70, 33)) == expected
