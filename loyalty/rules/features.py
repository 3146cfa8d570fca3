"""The features of a tenant that depend on each other: the features that loyalty needs, and those it excludes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, NamedTuple

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import Refused


class Feature(DescribedEnum):
    """A module of a business that loyalty depends on, or that depends on it."""

    LOYALTY = "LOYALTY", "The program: the same switch as `program.enabled`."
    PAYMENTS = "PAYMENTS", "The business accepts payments."
    CUSTOMER_LOGIN = "CUSTOMER_LOGIN", "Customers sign in."
    COUPONS = "COUPONS", "The business gives coupons."
    GIFT_CARDS = "GIFT_CARDS", "The business sells gift cards."
    CLEAR_HISTORY = "CLEAR_HISTORY", "The business clears the history of its customers after a time."


NEEDS: Mapping[Feature, frozenset[Feature]] = MappingProxyType(
    {Feature.LOYALTY: frozenset({Feature.PAYMENTS, Feature.CUSTOMER_LOGIN, Feature.COUPONS, Feature.GIFT_CARDS})}
)
"""The features that each feature needs: they are switched on with it, and cannot be switched off while it is on."""

EXCLUDES: Mapping[Feature, frozenset[Feature]] = MappingProxyType(
    {
        Feature.LOYALTY: frozenset({Feature.CLEAR_HISTORY}),
        Feature.CLEAR_HISTORY: frozenset({Feature.LOYALTY}),
    }
)
"""The features that cannot be on beside each feature: a history with points is a ledger, and is never cleared."""

STARTING_FEATURES = frozenset({Feature.LOYALTY}) | NEEDS[Feature.LOYALTY]
"""The features that are on at a new tenant. Its program is on."""


class DependencyRequired(Refused):
    """Another feature that is on needs this one: switch the other one off first."""

    code: ClassVar[str] = "DEPENDENCY_REQUIRED"

    def __init__(self, feature: Feature, needed_by: Feature, path: tuple[str, ...] = ("feature",)) -> None:
        super().__init__(f"{needed_by.name} is on and needs {feature.name}.", path)
        self.feature = feature
        self.needed_by = needed_by


class IncompatibleFeature(Refused):
    """Two features cannot be on at the same time: switch the other one off first."""

    code: ClassVar[str] = "INCOMPATIBLE_FEATURE"

    def __init__(self, feature: Feature, excluded_by: Feature, path: tuple[str, ...] = ("feature",)) -> None:
        super().__init__(f"{excluded_by.name} is on, and {feature.name} cannot be on beside it.", path)
        self.feature = feature
        self.excluded_by = excluded_by


class SwitchResult(NamedTuple):
    """The features that are on after a switch, and the features that were switched on because it needs them."""

    features: frozenset[Feature]
    also_enabled: tuple[Feature, ...] = ()


def switch_feature(
    features: frozenset[Feature], feature: Feature, *, on: bool, path: tuple[str, ...] = ("feature",)
) -> SwitchResult:
    """Switch a feature on or off. A feature in that state already changes nothing.

    The features that it needs are switched on with it. They stay on when it is switched off. Raises DependencyRequired
    and IncompatibleFeature.
    """
    if on:
        return _switch_on(features, feature, path)
    for other in Feature:
        if other in features and feature in NEEDS.get(other, ()):
            raise DependencyRequired(feature, other, path)
    return SwitchResult(features - {feature})


def _switch_on(features: frozenset[Feature], feature: Feature, path: tuple[str, ...]) -> SwitchResult:
    """Switch a feature on, with the features that it needs. Raises IncompatibleFeature."""
    for other in Feature:
        if other in features and other in EXCLUDES.get(feature, ()):
            raise IncompatibleFeature(feature, other, path)
    wanted = {feature} | NEEDS.get(feature, frozenset())
    came = tuple(other for other in Feature if other in wanted and other is not feature and other not in features)
    return SwitchResult(features | wanted, came)


def sort_features(features: frozenset[Feature]) -> list[Feature]:
    """Return features in the order in which they are declared."""
    return [feature for feature in Feature if feature in features]
