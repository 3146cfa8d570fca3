"""The refusals about features as clients see them, and the error of the rules that each type shows."""

from collections.abc import Mapping

import strawberry

from loyalty.rules import features as refusals
from loyalty.rules.errors import LoyaltyError
from loyalty.rules.features import Feature
from schema.user_error import UserError


@strawberry.type(description="A feature that is on needs this one: switch the other one off first.")
class DependencyRequired(UserError):
    feature: Feature = strawberry.field(description="What was to be switched off.")
    needed_by: Feature = strawberry.field(description="What needs it and is on.")


@strawberry.type(description="Two features cannot be on at the same time: switch the other one off first.")
class IncompatibleFeature(UserError):
    feature: Feature = strawberry.field(description="What was to be switched on.")
    excluded_by: Feature = strawberry.field(description="What is on and excludes it.")


FEATURE_DETAILS: Mapping[type[LoyaltyError], tuple[type[UserError], tuple[str, ...]]] = {
    refusals.DependencyRequired: (DependencyRequired, ("feature", "needed_by")),
    refusals.IncompatibleFeature: (IncompatibleFeature, ("feature", "excluded_by")),
}
"""The types of these refusals, with the names of their details."""
