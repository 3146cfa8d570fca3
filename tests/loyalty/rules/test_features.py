"""What features need and exclude, over every state and every switch."""

from itertools import combinations

import pytest

from loyalty.rules.features import (
    EXCLUDES,
    NEEDS,
    STARTING_FEATURES,
    DependencyRequired,
    Feature,
    IncompatibleFeature,
    switch_feature,
)

LOYALTY, CLEAR_HISTORY = Feature.LOYALTY, Feature.CLEAR_HISTORY
NEEDED = [Feature.PAYMENTS, Feature.CUSTOMER_LOGIN, Feature.COUPONS, Feature.GIFT_CARDS]
STATES = [frozenset(some) for size in range(len(Feature) + 1) for some in combinations(Feature, size)]


def is_sound(features: frozenset[Feature]) -> bool:
    """Tell whether nothing lacks what it needs, and nothing is on beside what it excludes."""
    return all(NEEDS.get(one, frozenset()) <= features for one in features) and not any(
        EXCLUDES.get(one, frozenset()) & features for one in features
    )


def test_loyalty_brings_what_it_needs() -> None:
    """SB-06: payments, sign-in of customers, coupons and gift cards come on with it."""
    switched = switch_feature(frozenset({Feature.COUPONS}), LOYALTY, on=True)
    assert switched.features == STARTING_FEATURES
    assert switched.also_enabled == (Feature.PAYMENTS, Feature.CUSTOMER_LOGIN, Feature.GIFT_CARDS)
    assert switch_feature(STARTING_FEATURES, LOYALTY, on=True) == (STARTING_FEATURES, ())


@pytest.mark.parametrize("needed", NEEDED)
def test_features_that_loyalty_needs_stay_on_while_it_is_on(needed: Feature) -> None:
    """SB-06."""
    with pytest.raises(DependencyRequired) as refused:
        switch_feature(STARTING_FEATURES, needed, on=False)
    assert (refused.value.feature, refused.value.needed_by, refused.value.path) == (needed, LOYALTY, ("feature",))
    assert needed not in switch_feature(STARTING_FEATURES - {LOYALTY}, needed, on=False).features


def test_features_that_loyalty_switched_on_stay_on_without_it() -> None:
    assert switch_feature(STARTING_FEATURES, LOYALTY, on=False).features == frozenset(NEEDED)


@pytest.mark.parametrize(("first", "second"), [(LOYALTY, CLEAR_HISTORY), (CLEAR_HISTORY, LOYALTY)])
def test_a_history_with_points_is_not_cleared(first: Feature, second: Feature) -> None:
    """SB-08: whichever is on refuses the other one, and nothing comes on with a refusal."""
    with pytest.raises(IncompatibleFeature) as refused:
        switch_feature(frozenset({first}), second, on=True, path=("enabled",))
    assert (refused.value.feature, refused.value.excluded_by, refused.value.path) == (second, first, ("enabled",))


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize("feature", Feature)
def test_no_switch_leads_out_of_a_sound_state(feature: Feature, *, on: bool) -> None:
    """From each sound state: the switch is refused, or leads to a sound state in which it is as was asked."""
    for state in filter(is_sound, STATES):
        try:
            switched = switch_feature(state, feature, on=on)
        except (DependencyRequired, IncompatibleFeature):
            continue
        assert is_sound(switched.features), (state, feature, on)
        assert (feature in switched.features) is on
        assert set(switched.also_enabled) == switched.features - state - {feature}
