from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.tiers import Tier, measure_progress, tier_change, tier_for
from tests.properties.strategies import tier_ladders

QUALIFYING = st.integers(-100, 6_000)


@given(tier_ladders(), QUALIFYING)
def test_a_customer_is_in_the_highest_tier_that_is_reached(tiers: list[Tier], qualifying: int) -> None:
    """BK-34: the maximum, by definition."""
    found = tier_for(tiers, qualifying)
    reached = [tier for tier in tiers if tier.min_points <= qualifying]
    assert (found is None) == (not reached)
    if found is not None:
        assert found in reached
        assert all(tier.min_points <= found.min_points for tier in reached)


@given(tier_ladders(min_size=1))
def test_a_tier_begins_exactly_at_its_minimum(tiers: list[Tier]) -> None:
    """BK-32, F-29: min - 1, min, min + 1 for every tier."""
    for tier in tiers:
        assert tier_for(tiers, tier.min_points) == tier
        assert tier_for(tiers, tier.min_points - 1) != tier
        following = tier_for(tiers, tier.min_points + 1)
        assert following is not None
        assert following.min_points in {tier.min_points, tier.min_points + 1}


@given(tier_ladders(), QUALIFYING, QUALIFYING)
def test_more_points_never_mean_a_lower_tier(tiers: list[Tier], one: int, other: int) -> None:
    """BK-33, BK-34: monotone."""
    lower, higher = (tier_for(tiers, points) for points in sorted((one, other)))
    assert (lower.min_points if lower else -1) <= (higher.min_points if higher else -1)


@given(tier_ladders(), QUALIFYING)
def test_progress_stays_within_its_bounds(tiers: list[Tier], qualifying: int) -> None:
    """BK-92, BK-93, BK-94: 0..99 on the way, 100 at the top and only there."""
    way = measure_progress(tiers, qualifying)
    assert way.current == tier_for(tiers, qualifying)
    if way.next is None:
        assert way.unlimited == (way.current is not None)
        assert (way.percent, way.points_to_next) == (100 if way.unlimited else 0, None)
    else:
        assert not way.unlimited
        assert 0 <= way.percent < 100
        assert way.points_to_next == way.next.min_points - qualifying > 0
        assert tier_for(tiers, qualifying + way.points_to_next) == way.next


@given(tier_ladders(min_size=1), QUALIFYING, QUALIFYING)
def test_progress_grows_with_the_points_within_a_tier(tiers: list[Tier], one: int, other: int) -> None:
    """BK-93."""
    less, more = (measure_progress(tiers, points) for points in sorted((one, other)))
    if less.current == more.current:
        assert less.percent <= more.percent


@given(tier_ladders(min_size=1))
def test_progress_is_zero_at_the_minimum_of_every_tier_but_the_top(tiers: list[Tier]) -> None:
    """BK-93, BK-94."""
    top = max(tier.min_points for tier in tiers)
    for tier in tiers:
        assert measure_progress(tiers, tier.min_points).percent == (100 if tier.min_points == top else 0)


@given(tier_ladders(), QUALIFYING, QUALIFYING)
def test_every_change_leads_from_tier_to_tier(tiers: list[Tier], before: int, after: int) -> None:
    """BK-35, BK-100: exactly one change when the tier differs, up exactly when the points rose."""
    change = tier_change(tiers, tier_for(tiers, before), after)
    if tier_for(tiers, before) == tier_for(tiers, after):
        assert change is None
    else:
        assert change is not None
        assert change.current == tier_for(tiers, after)
        assert change.upgraded == (after > before)
