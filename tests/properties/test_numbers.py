import math
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from loyalty.rules.adjustment import Direction, sign_points
from loyalty.rules.errors import InvalidInput
from loyalty.rules.money import (
    MAX_AMOUNT_MINOR,
    Money,
    PointValue,
    Ratio,
    format_amount,
    format_factor,
    minor_digits,
    parse_amount,
    parse_factor,
    value_of,
)
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.report import redemption_rate
from loyalty.rules.rounding import Rounding, divide
from tests.properties.strategies import currencies, large_points

ANY = st.integers(-(10**20), 10**20)
POSITIVE = st.integers(1, 10**20)


@given(ANY, POSITIVE)
def test_division_rounds_to_the_right_neighbour(numerator: int, denominator: int) -> None:
    """F-19: against exact fractions."""
    value = Fraction(numerator, denominator)
    assert divide(numerator, denominator, Rounding.FLOOR) == math.floor(value)
    assert divide(numerator, denominator, Rounding.CEIL) == math.ceil(value)
    nearest = divide(numerator, denominator, Rounding.HALF_UP)
    assert abs(nearest - value) <= Fraction(1, 2)
    if abs(nearest - value) == Fraction(1, 2):
        assert abs(nearest) > abs(value)


@given(ANY, ANY, POSITIVE, st.sampled_from(Rounding))
def test_division_is_monotone(one: int, other: int, denominator: int, rounding: Rounding) -> None:
    less, more = sorted((one, other))
    assert divide(less, denominator, rounding) <= divide(more, denominator, rounding)


@given(st.integers(-MAX_AMOUNT_MINOR, MAX_AMOUNT_MINOR), currencies)
@example(MAX_AMOUNT_MINOR, "CLF")
@example(-MAX_AMOUNT_MINOR, "JPY")
@example(-1, "KWD")
def test_amounts_survive_writing_and_reading(amount_minor: int, currency: str) -> None:
    """F-19: in every currency of ISO 4217."""
    text = format_amount(amount_minor, currency)
    assert parse_amount(text, currency) == amount_minor
    assert Fraction(text) * 10 ** minor_digits(currency) == amount_minor


@given(st.text(max_size=20) | st.from_regex(r"-?[0-9]{0,17}\.?[0-9]{0,5}", fullmatch=True), currencies)
def test_reading_an_amount_is_exact_or_refused(text: str, currency: str) -> None:
    """F-19: whatever is typed."""
    try:
        amount_minor = parse_amount(text, currency)
    except InvalidInput:
        return
    assert Fraction(text) * 10 ** minor_digits(currency) == amount_minor
    assert abs(amount_minor) <= MAX_AMOUNT_MINOR


@given(st.integers(0, 1_000_000))
def test_factors_survive_writing_and_reading(scaled: int) -> None:
    factor = Ratio(scaled, 10_000)
    assert parse_factor(format_factor(factor)) == factor


@given(ANY, POSITIVE, st.integers(1, 1_000))
def test_equal_ratios_are_equal_values(numerator: int, denominator: int, multiple: int) -> None:
    assert Ratio(numerator * multiple, denominator * multiple) == Ratio(numerator, denominator)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 10**6), st.integers(1, 10**6))
def test_points_are_never_worth_more_together_than_their_ratio(
    one: int, other: int, per_points: int, per_minor: int
) -> None:
    """BK-72, F-18: rounded down to the cent; splitting points never makes money."""
    worth = PointValue(per_points, Money(per_minor, "EUR"))
    apart = value_of(one, worth).amount_minor + value_of(other, worth).amount_minor
    assert apart <= value_of(one + other, worth).amount_minor <= Fraction((one + other) * per_minor, per_points)


@given(st.integers(-MAX_POINTS, MAX_POINTS), st.integers(-MAX_POINTS, MAX_POINTS))
@example(3, 1)
@example(0, 0)
def test_the_redemption_rate_is_the_least_whole_percent_that_covers_the_ratio(earned: int, redeemed: int) -> None:
    """BK-52."""
    rate = redemption_rate(earned, redeemed)
    if earned <= 0 or redeemed <= 0:
        assert rate == 0
    else:
        assert rate == min(math.ceil(Fraction(100 * redeemed, earned)), 2**31 - 1)


@given(large_points, st.sampled_from(Direction))
def test_both_forms_of_an_adjustment_are_one(points: int, direction: Direction) -> None:
    """C-18."""
    signed = sign_points(None, direction, points)
    assert sign_points(signed, None, None) == signed
    assert (abs(signed), signed > 0) == (points, direction is Direction.ADD)
