from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.errors import (
    AboveMaximum,
    BelowMinimum,
    InsufficientPoints,
    NothingToDiscount,
    RedemptionDisabled,
    Refused,
)
from loyalty.rules.money import Money, PointValue, value_of
from loyalty.rules.points_paid import find_share
from loyalty.rules.redemption import (
    Application,
    DiscountMethod,
    Offer,
    RedemptionPolicy,
    apply_points,
    find_offer,
    give_back,
    propose_points,
    validate_redemption,
)

CENT_EACH = PointValue(1, Money(1, "EUR"))
HUNDRED_A_EURO = PointValue(100, Money(100, "EUR"))
THREE_A_CENT = PointValue(3, Money(1, "EUR"))
EUROS_EACH = PointValue(1, Money(250, "EUR"))


def policy(value: PointValue = CENT_EACH, **changes: object) -> RedemptionPolicy:
    return replace(RedemptionPolicy(enabled=True, point_value=value), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rules", "spendable", "total", "expected"),
    [
        # BK-72, PB-10: the ratio.
        (policy(HUNDRED_A_EURO), 250, 10_000, Offer(250, 250)),
        (policy(HUNDRED_A_EURO), 1, 10_000, Offer(1, 1)),
        (policy(THREE_A_CENT), 100, 10_000, Offer(99, 33)),
        (policy(EUROS_EACH), 10, 10_000, Offer(10, 2_500)),
        # BK-74, PB-12: a fixed cap, a percentage rounded down, the total.
        (policy(max_discount_amount_minor=1_000), 5_000, 10_000, Offer(1_000, 1_000)),
        (policy(max_discount_percent=50), 5_000, 1_999, Offer(999, 999)),
        (policy(), 5_000, 1_999, Offer(1_999, 1_999)),
        (policy(max_discount_amount_minor=1_000), 5_000, 700, Offer(700, 700)),
        (policy(max_points_per_redemption=300), 5_000, 10_000, Offer(300, 300)),
        # F-18: a point worth more than what is left is not broken.
        (policy(EUROS_EACH), 10, 700, Offer(2, 500)),
        # BK-75, C-14: a balance equal to the minimum is enough.
        (policy(min_balance=500), 500, 10_000, Offer(500, 500)),
        (policy(min_points_per_redemption=200), 200, 10_000, Offer(200, 200)),
        # The minimum may take a point more than the discount needs.
        (policy(THREE_A_CENT, min_points_per_redemption=500), 500, 10_000, Offer(500, 166)),
    ],
)
def test_the_most_that_points_take_off(rules: RedemptionPolicy, spendable: int, total: int, expected: Offer) -> None:
    assert find_offer(rules, spendable, total) == expected


@pytest.mark.parametrize(
    ("rules", "spendable", "total", "refusal"),
    [
        (policy(enabled=False), 500, 10_000, RedemptionDisabled),
        (policy(), 0, 10_000, InsufficientPoints),
        (policy(min_balance=501), 500, 10_000, BelowMinimum),
        (policy(min_points_per_redemption=501), 500, 10_000, BelowMinimum),
        (policy(min_points_per_redemption=101), 500, 100, BelowMinimum),
        (policy(), 500, 0, NothingToDiscount),
        (policy(EUROS_EACH), 500, 249, NothingToDiscount),
        (policy(THREE_A_CENT), 2, 10_000, NothingToDiscount),
        (policy(max_discount_percent=1), 500, 99, NothingToDiscount),
    ],
)
def test_why_nothing_can_be_redeemed(
    rules: RedemptionPolicy, spendable: int, total: int, refusal: type[Refused]
) -> None:
    """BK-70, BK-75."""
    made = find_offer(rules, spendable, total)
    assert (made.max_points, made.max_discount_minor, type(made.refusal)) == (0, 0, refusal)
    with pytest.raises(refusal):
        apply_points(rules, spendable, total, max(1, min(spendable, 200)))


@pytest.mark.parametrize(
    ("rules", "wanted", "expected"),
    [
        (policy(), 999, Application(999, 999)),
        (policy(THREE_A_CENT), 5, Application(3, 1)),
        (policy(HUNDRED_A_EURO), 250, Application(250, 250)),
    ],
)
def test_the_customer_says_how_many(rules: RedemptionPolicy, wanted: int, expected: Application) -> None:
    """BK-82, F-17: and keeps what would take nothing more off (F-19)."""
    assert apply_points(rules, 1_000, 10_000, wanted) == expected


@pytest.mark.parametrize(
    ("rules", "wanted", "refusal"),
    [
        (policy(), 1_001, InsufficientPoints),
        (policy(max_points_per_redemption=300), 301, AboveMaximum),
        (policy(max_discount_amount_minor=300), 301, AboveMaximum),
        (policy(min_points_per_redemption=100), 99, BelowMinimum),
        (policy(THREE_A_CENT), 2, BelowMinimum),
    ],
)
def test_points_outside_the_limits_are_refused_and_never_clamped(
    rules: RedemptionPolicy, wanted: int, refusal: type[Refused]
) -> None:
    """BK-82."""
    with pytest.raises(refusal):
        apply_points(rules, 1_000, 10_000, wanted)


def test_only_the_automatic_method_proposes_points() -> None:
    """BK-73, C-30."""
    made = Offer(70, 70)
    assert propose_points(policy(method=DiscountMethod.AUTOMATIC), made) == 70
    assert propose_points(policy(method=DiscountMethod.CUSTOMER_CHOICE), made) == 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"max_points_per_redemption": 0}, "max_points_per_redemption"),
        ({"min_points_per_redemption": 5, "max_points_per_redemption": 4}, "max_points_per_redemption"),
        ({"hold_minutes": 0}, "hold_time_to_live"),
        ({"hold_minutes": 7 * 24 * 60 + 1}, "hold_time_to_live"),
        ({"restore_grace_days": 0}, "restore_grace_days"),
    ],
)
def test_an_impossible_policy_names_the_field(changes: dict[str, object], field: str) -> None:
    (problem,) = validate_redemption(policy(CENT_EACH, **changes), "EUR")
    assert problem.path == ("redemption", field)


VALUES = st.builds(PointValue, st.integers(1, 1_000), st.builds(Money, st.integers(1, 1_000), st.just("EUR")))
POLICIES = st.builds(
    policy,
    VALUES,
    max_discount_percent=st.none() | st.integers(1, 100),
    min_balance=st.integers(0, 50),
    min_points_per_redemption=st.integers(0, 50),
    max_points_per_redemption=st.none() | st.integers(50, 2_000),
)


@given(POLICIES, st.integers(0, 3_000), st.integers(0, 100_000))
def test_the_most_is_possible_and_one_point_more_is_not(rules: RedemptionPolicy, spendable: int, total: int) -> None:
    """F-18, F-20: what a quote promises, a hold keeps; the discount never passes the total or the cap."""
    made = find_offer(rules, spendable, total)
    if made.refusal is not None:
        return
    assert apply_points(rules, spendable, total, made.max_points) == Application(
        made.max_points, made.max_discount_minor
    )
    assert 0 < made.max_discount_minor <= total * (rules.max_discount_percent or 100) // 100
    assert made.max_points <= min(spendable, rules.max_points_per_redemption or spendable)
    for wanted in range(made.max_points + 1, min(spendable, made.max_points + 3_000) + 1):
        if value_of(wanted, rules.point_value).amount_minor > made.max_discount_minor:
            with pytest.raises(AboveMaximum):
                apply_points(rules, spendable, total, wanted)
            break


@given(POLICIES, st.integers(1, 3_000), st.integers(0, 100_000), st.integers(1, 3_000))
def test_no_point_is_taken_for_nothing(rules: RedemptionPolicy, spendable: int, total: int, wanted: int) -> None:
    """F-19: one point less would take less off, unless the minimum demands it."""
    try:
        applied = apply_points(rules, spendable, total, wanted)
    except Refused:
        return
    assert applied.points <= wanted
    assert applied.discount_minor == value_of(wanted, rules.point_value).amount_minor
    less = value_of(applied.points - 1, rules.point_value).amount_minor
    assert less < applied.discount_minor or applied.points == rules.min_points_per_redemption


@given(st.integers(0, 10_000), st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_the_shares_of_any_split_add_up(discount: int, parts: list[int]) -> None:
    """F-02, F-07."""
    whole, so_far, shares = sum(parts), 0, 0
    for part in parts:
        shares += find_share(discount, so_far + part, whole) - find_share(discount, so_far, whole)
        so_far += part
    assert shares == discount


@pytest.mark.parametrize(
    ("taken", "points", "outstanding", "debt", "given"),
    [
        ([60, 40], 100, 100, 0, [60, 40]),
        ([60, 40], 70, 100, 0, [60, 10]),
        # 30 came back before as a new lot of another customer: they do not come back once more.
        ([60, 40], 70, 70, 0, [30, 40]),
        # Debt is paid first, from what would live longest.
        ([60, 40], 100, 100, 70, [0, 30]),
        ([60, 40], 50, 70, 10, [20, 20]),
        ([], 0, 0, 0, []),
    ],
)
def test_gives_points_back_to_the_lots_they_came_from(
    taken: list[int], points: int, outstanding: int, debt: int, given: list[int]
) -> None:
    assert give_back(taken, points, outstanding=outstanding, debt=debt) == given


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=6), st.data())
def test_two_returns_give_each_lot_what_one_does(taken: list[int], data: st.DataObject) -> None:
    """What came back is no longer taken, so it does not matter how often points come back."""
    whole = sum(taken)
    first = data.draw(st.integers(1, whole))
    once = give_back(taken, first, outstanding=whole, debt=0)
    left = [part - back for part, back in zip(taken, once, strict=True)]
    again = give_back(left, whole - first, outstanding=whole - first, debt=0)
    assert [one + two for one, two in zip(once, again, strict=True)] == taken


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=6), st.data())
def test_points_that_do_not_return_to_lots_pay_debt(taken: list[int], data: st.DataObject) -> None:
    outstanding = data.draw(st.integers(1, sum(taken)))
    points = data.draw(st.integers(1, outstanding))
    debt = data.draw(st.integers(0, points))
    given_back = give_back(taken, points, outstanding=outstanding, debt=debt)
    assert sum(given_back) == points - debt
    assert all(0 <= back <= part for part, back in zip(taken, given_back, strict=True))
