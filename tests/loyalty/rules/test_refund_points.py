from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.points_paid import ActiveHold, DiscountTerms, LiveRedemption, PointsPaid, point_value
from loyalty.rules.refund_points import GivenBack, choose_returns, find_owed_part, share_of_refund

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


def test_what_cost_nothing_has_no_part_that_points_paid() -> None:
    assert share_of_refund(0, 0, 0, PointsPaid(5, 0), NOTHING) == NOTHING
    assert share_of_refund(100, 0, 50, NOTHING, NOTHING) == NOTHING


def test_holds_go_back_before_redemptions_and_the_newest_first() -> None:
    holds = [ActiveHold(A, 10, 10, CENT, DiscountTerms())]
    redemptions = [LiveRedemption(B, 20, 0, 20), LiveRedemption(C, 20, 15, 20)]
    assert choose_returns(12, holds, redemptions) == GivenBack({A: 10}, {C: 2})
    assert choose_returns(99, holds, redemptions) == GivenBack({A: 10}, {C: 5, B: 20})
    assert choose_returns(0, holds, redemptions) == GivenBack({}, {})


def test_a_return_by_hand_counts_for_a_refund_as_far_as_one_has_points_left_to_do() -> None:
    assert find_owed_part(PointsPaid(50, 250), 30) == PointsPaid(30, 150)
    assert find_owed_part(PointsPaid(50, 250), 80) == PointsPaid(50, 250)
    assert find_owed_part(PointsPaid(50, 250), 0) == NOTHING
