import pytest

from loyalty.rules.rounding import Rounding, divide


@pytest.mark.parametrize(
    ("numerator", "denominator", "floor", "half_up", "ceil"),
    [
        (0, 3, 0, 0, 0),
        (6, 3, 2, 2, 2),
        (1, 3, 0, 0, 1),
        (2, 3, 0, 1, 1),
        (1, 2, 0, 1, 1),
        (3, 2, 1, 2, 2),
        (-1, 3, -1, 0, 0),
        (-2, 3, -1, -1, 0),
        (-1, 2, -1, -1, 0),
        (-3, 2, -2, -2, -1),
        (10**30 + 1, 10**15, 10**15, 10**15, 10**15 + 1),
    ],
)
def test_rounds_once_and_exactly(numerator: int, denominator: int, floor: int, half_up: int, ceil: int) -> None:
    """F-19: quotients are exact, however large, and a half goes away from zero."""
    assert divide(numerator, denominator, Rounding.FLOOR) == floor
    assert divide(numerator, denominator, Rounding.HALF_UP) == half_up
    assert divide(numerator, denominator, Rounding.CEIL) == ceil


@pytest.mark.parametrize("denominator", [0, -1])
def test_refuses_a_denominator_that_is_not_positive(denominator: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        divide(1, denominator, Rounding.FLOOR)
