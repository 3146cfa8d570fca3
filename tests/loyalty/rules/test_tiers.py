import pytest

from loyalty.rules.money import Ratio
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.tiers import (
    Progress,
    Tier,
    measure_progress,
    measure_way,
    normal_color,
    tier_change,
    tier_for,
    validate_tier,
)
from tests.loyalty.rules.builders import tier

REGULAR, SILVER, GOLD = tier(0, "Regular"), tier(500, "Silver"), tier(1_000, "Gold")
LADDER = (GOLD, REGULAR, SILVER)


@pytest.mark.parametrize(
    ("qualifying", "expected"),
    [
        (-1, None),
        (0, REGULAR),
        (1, REGULAR),
        (499, REGULAR),
        (500, SILVER),
        (501, SILVER),
        (999, SILVER),
        (1_000, GOLD),
        (1_001, GOLD),
        (MAX_POINTS, GOLD),
    ],
)
def test_the_highest_tier_whose_minimum_is_reached(qualifying: int, expected: Tier | None) -> None:
    """BK-34, F-29: just below, at and just above every minimum; the order of the tiers does not matter."""
    assert tier_for(LADDER, qualifying) == expected
    assert tier_for(reversed(LADDER), qualifying) == expected


def test_below_the_first_tier_there_is_none() -> None:
    """F-29: the first purchase does not lift anyone into a tier that begins higher."""
    assert tier_for((SILVER, GOLD), 499) is None


def test_without_tiers_there_is_none() -> None:
    """F-29: no tiers at all."""
    assert tier_for((), 1_000) is None


def test_a_single_tier_that_begins_at_zero_takes_everybody() -> None:
    """BK-32, F-29: single tier only, minimum 0."""
    assert tier_for((REGULAR,), 0) == REGULAR
    assert measure_progress((REGULAR,), 0) == Progress(REGULAR, None, None, 100, unlimited=True)


@pytest.mark.parametrize(
    ("qualifying", "expected"),
    [
        pytest.param(0, Progress(REGULAR, SILVER, 500, 0, unlimited=False), id="BK-93 at the minimum 0 percent"),
        pytest.param(250, Progress(REGULAR, SILVER, 250, 50, unlimited=False), id="BK-92 half way"),
        pytest.param(499, Progress(REGULAR, SILVER, 1, 99, unlimited=False), id="never 100 before the next tier"),
        pytest.param(500, Progress(SILVER, GOLD, 500, 0, unlimited=False), id="BK-93 not 50 percent of the top"),
        pytest.param(503, Progress(SILVER, GOLD, 497, 0, unlimited=False), id="rounded down"),
        pytest.param(750, Progress(SILVER, GOLD, 250, 50, unlimited=False), id="BK-93 between current and next"),
        pytest.param(1_000, Progress(GOLD, None, None, 100, unlimited=True), id="BK-94 top tier"),
        pytest.param(9_999, Progress(GOLD, None, None, 100, unlimited=True), id="BK-94 beyond the top"),
        pytest.param(-50, Progress(None, REGULAR, 50, 0, unlimited=False), id="below zero never negative"),
    ],
)
def test_progress_runs_between_the_current_and_the_next_tier(qualifying: int, expected: Progress) -> None:
    assert measure_progress(LADDER, qualifying) == expected


def test_below_the_first_tier_progress_runs_from_zero() -> None:
    """BK-93: a customer without a tier is on the way from 0 to the first."""
    assert measure_progress((SILVER, GOLD), 100) == Progress(None, SILVER, 400, 20, unlimited=False)


def test_without_tiers_there_is_no_progress() -> None:
    """BK-92: no tiers at all is 0 percent, and not the top."""
    assert measure_progress((), 100) == Progress(None, None, None, 0, unlimited=False)


def test_jumps_over_several_tiers_at_once() -> None:
    """BK-34, BK-35: one accrual may lift a customer over several tiers; it is one change."""
    change = tier_change(LADDER, REGULAR, 5_000)
    assert change is not None
    assert (change.previous, change.current, change.upgraded) == (REGULAR, GOLD, True)


@pytest.mark.parametrize(
    ("previous", "qualifying", "upgraded"),
    [
        (None, 0, True),
        (REGULAR, 500, True),
        (GOLD, 999, False),
        (SILVER, 0, False),
        (REGULAR, -1, False),
        # A tier that was deleted meanwhile still says whether the move goes up or down.
        (tier(750, "Deleted"), 1_000, True),
        (tier(750, "Deleted"), 760, False),
    ],
)
def test_a_change_goes_up_or_down(previous: Tier | None, qualifying: int, upgraded: bool) -> None:  # noqa: FBT001
    """BK-100: only a move upwards is an upgrade."""
    change = tier_change(LADDER, previous, qualifying)
    assert change is not None
    assert change.upgraded is upgraded


@pytest.mark.parametrize(("previous", "qualifying"), [(None, -1), (REGULAR, 499), (SILVER, 500), (GOLD, 10_000)])
def test_staying_in_a_tier_is_no_change(previous: Tier | None, qualifying: int) -> None:
    """BK-100: no event when the tier stays the same."""
    assert tier_change(LADDER, previous, qualifying) is None


@pytest.mark.parametrize("color", ["#C0C0C0", "#ffd700", "#AbCdEf"])
def test_takes_tiers_with_any_label(color: str) -> None:
    """BK-30, BK-31: the name is free, the colour is #RRGGBB in either case."""
    assert validate_tier("Stammgäste ★", color, 0) == []


@pytest.mark.parametrize(
    ("name", "color", "min_points", "path"),
    [
        ("", "#C0C0C0", 0, "name"),
        ("x" * 61, "#C0C0C0", 0, "name"),
        ("Gold", "gold", 0, "color"),
        ("Gold", "#FFF", 0, "color"),
        ("Gold", "#FFD70G", 0, "color"),
        ("Gold", "#FFD700\n", 0, "color"),
        ("Gold", "#FFD70０", 0, "color"),
        ("Gold", "#FFD700", -1, "min_points"),
        ("Gold", "#FFD700", MAX_POINTS + 1, "min_points"),
    ],
)
def test_refuses_tiers_that_cannot_be(name: str, color: str, min_points: int, path: str) -> None:
    """BK-30, BK-31, BK-32."""
    assert [problem.path for problem in validate_tier(name, color, min_points)] == [(path,)]


@pytest.mark.parametrize(
    ("factor", "fits"),
    [
        (Ratio(1, 1), True),
        (Ratio(10_001, 10_000), True),
        (Ratio(100, 1), True),
        (Ratio(9_999, 10_000), False),
        (Ratio(1_000_001, 10_000), False),
        (Ratio(4, 3), False),
    ],
)
def test_a_factor_is_between_1_and_100(factor: Ratio, fits: bool) -> None:  # noqa: FBT001
    """C-06: at most 4 decimals, as a multiplier has."""
    paths = [problem.path for problem in validate_tier("Gold", "#FFD700", 0, factor)]
    assert paths == ([] if fits else [("earning_factor",)])


@pytest.mark.parametrize(
    ("current", "following", "points", "expected"),
    [
        pytest.param(SILVER, GOLD, 50, Progress(SILVER, GOLD, 950, 0, unlimited=False), id="time keeps the tier"),
        pytest.param(None, GOLD, 600, Progress(None, GOLD, 400, 60, unlimited=False), id="locked out of all tiers"),
        pytest.param(GOLD, None, 50, Progress(GOLD, None, None, 100, unlimited=True), id="locked at the top"),
    ],
)
def test_a_tier_may_stand_above_or_below_what_counts(
    current: Tier | None, following: Tier | None, points: int, expected: Progress
) -> None:
    """BK-92, BK-93: the way is measured from the tier that the customer has."""
    assert measure_way(current, following, points) == expected


def test_stores_colours_in_capitals() -> None:
    """BK-31."""
    assert normal_color("#ffd700") == "#FFD700"
