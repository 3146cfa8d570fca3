"""Refusals about members of the team, their roles and limits. Like all refusals they change nothing."""

from datetime import datetime
from typing import ClassVar

from loyalty.rules.errors import Conflict, Refused


class AlreadyMember(Conflict):
    """This person is a member already, or is invited: change the member."""

    code: ClassVar[str] = "ALREADY_MEMBER"

    def __init__(self, path: tuple[str, ...] = ("person",)) -> None:
        super().__init__("This person is a member already, or is invited.", path)


class LastOwner(Refused):
    """The last owner who has signed in stays one: make another owner first."""

    code: ClassVar[str] = "LAST_OWNER"

    def __init__(self, path: tuple[str, ...] = ("id",)) -> None:
        super().__init__("This is the last owner who has signed in; make another owner first.", path)


class RoleInUse(Refused):
    """Members have the role, or a claim of an identity provider stands for it: give them another one first."""

    code: ClassVar[str] = "ROLE_IN_USE"

    def __init__(self, members: int, providers: int, path: tuple[str, ...] = ("id",)) -> None:
        super().__init__(f"{members} members have this role, and {providers} identity providers map to it.", path)
        self.members = members
        self.providers = providers


class AdjustmentLimitReached(Refused):
    """More points than the caller's role may still adjust today."""

    code: ClassVar[str] = "ADJUSTMENT_LIMIT_REACHED"
    transient: ClassVar[bool] = True

    def __init__(
        self, daily_points: int, left: int, requested: int, resets_at: datetime, path: tuple[str, ...] = ("points",)
    ) -> None:
        super().__init__(
            f"Your role may adjust {daily_points} points a day; {left} are left until {resets_at.isoformat()}.", path
        )
        self.daily_points = daily_points
        self.points_left = left
        self.requested_points = requested
        self.resets_at = resets_at
