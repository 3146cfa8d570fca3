"""The refusals about members, roles and limits as clients see them, and the error of the rules that each type shows."""

from collections.abc import Mapping
from datetime import datetime

import strawberry

from loyalty.rules import team_errors as refusals
from loyalty.rules.errors import LoyaltyError
from schema.scalars import Points
from schema.user_error import UserError


@strawberry.type(description="This person is a member already, or is invited: change the member.")
class AlreadyMember(UserError):
    """Shows ``loyalty.rules.team_errors.AlreadyMember``."""


@strawberry.type(description="The last owner who has signed in stays one: make another owner first.")
class LastOwner(UserError):
    """Shows ``loyalty.rules.team_errors.LastOwner``."""


@strawberry.type(description="Members have the role, or a claim of an identity provider stands for it.")
class RoleInUse(UserError):
    members: int = strawberry.field(description="How many members have it.")
    providers: int = strawberry.field(description="How many identity providers map a value to it.")


@strawberry.type(description="More points than the caller's role may still adjust today.")
class AdjustmentLimitReached(UserError):
    daily_points: Points = strawberry.field(description="How many points a local day the role may adjust.")
    points_left: Points = strawberry.field(description="How many are left today.")
    requested_points: Points = strawberry.field(description="How many the request moves; removed ones count as well.")
    resets_at: datetime = strawberry.field(description="When the next day begins, in the time zone of the tenant.")


TEAM_DETAILS: Mapping[type[LoyaltyError], tuple[type[UserError], tuple[str, ...]]] = {
    refusals.AlreadyMember: (AlreadyMember, ()),
    refusals.LastOwner: (LastOwner, ()),
    refusals.RoleInUse: (RoleInUse, ("members", "providers")),
    refusals.AdjustmentLimitReached: (
        AdjustmentLimitReached,
        ("daily_points", "points_left", "requested_points", "resets_at"),
    ),
}
"""The types of these refusals, with the names of their details."""
