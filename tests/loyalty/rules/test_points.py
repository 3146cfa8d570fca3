import pytest

from loyalty.rules.errors import Problem
from loyalty.rules.points import MAX_POINTS, check_points


@pytest.mark.parametrize("value", [1, 2, MAX_POINTS])
def test_takes_positive_points(value: int) -> None:
    assert check_points(value) is None


@pytest.mark.parametrize("value", [0, -1, MAX_POINTS + 1, -MAX_POINTS])
def test_refuses_points_outside_the_range(value: int) -> None:
    """BK-12, F-43: zero, negative and too many points are refused, with the path of the field."""
    assert check_points(value, ("award", "points")) == Problem(
        ("award", "points"), "must be between 1 and 9007199254740991"
    )


def test_takes_zero_where_zero_is_allowed() -> None:
    assert check_points(0, ("min_points",), minimum=0) is None
    assert check_points(-1, ("min_points",), minimum=0) is not None
