"""Budgets of points that operations cost: a leaky bucket for a tenant, and one for each of its clients.

A bucket is one instant: when it will be full again. What is spent moves the instant away, and time brings it nearer.
So a bucket needs no counter and no timer (the generic cell rate algorithm, ITU-T I.371).
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from loyalty.rules.errors import Problem

LEAST_BUDGET_POINTS = 20_000
"""Points that any bucket holds at least: the dearest operation must be possible."""

MOST_BUDGET_POINTS = 1_000_000_000
"""Points that a tenant may have at most, and that may come back each second."""

BUDGET_POINTS = 200_000
"""Points that a tenant may spend at once, unless the settings or the tenant's own limits say otherwise."""

BUDGET_POINTS_PER_SECOND = 10_000
"""Points that come back each second. 20,000 points are about a second of work of one process."""

CLIENT_PART = 2
"""One client may spend this part of its tenant's budget: a half."""

CUSTOMER_PART = 4
"""One customer may spend this part of their tenant's budget: a quarter."""

SLICE_PART = 10
"""A process books what was spent when it reaches this part of the budget: a tenth."""

LEAST_SLICE_POINTS = 5_000
"""Points that a process books together at least: some hundred small reads."""

MOST_OWED_SLICES = 2
"""Slices that a process owes at most. An operation that comes then waits until they are booked. What was spent while
the database was away is not all booked later."""

SECOND = timedelta(seconds=1)
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class BudgetLimits(NamedTuple):
    """How many points can be spent at once, and how many come back each second."""

    points: int = BUDGET_POINTS
    per_second: int = BUDGET_POINTS_PER_SECOND

    @property
    def slice_points(self) -> int:
        """Return after how many spent points a process books them, so that other processes know."""
        return max(LEAST_SLICE_POINTS, self.points // SLICE_PART)

    def time_until(self, points: int) -> timedelta:
        """Return how long it takes until so many points have come back."""
        return -(-points * SECOND // self.per_second)

    def seconds_until(self, points: int) -> int:
        """The whole seconds in which so many points come back; none where none are missing."""
        return max(0, -(-points // self.per_second))

    def share(self, part: int) -> "BudgetLimits":
        """Return the part of this budget that one of its sharers has."""
        return BudgetLimits(max(LEAST_BUDGET_POINTS, self.points // part), max(1, self.per_second // part))


def check_limits(limits: BudgetLimits) -> list[Problem | None]:
    """What is wrong with the limits of a tenant."""
    points, per_second = limits
    return [
        None
        if LEAST_BUDGET_POINTS <= points <= MOST_BUDGET_POINTS
        else Problem(("points",), f"must be {LEAST_BUDGET_POINTS} to {MOST_BUDGET_POINTS}"),
        None
        if 1 <= per_second <= MOST_BUDGET_POINTS
        else Problem(("per_second",), f"must be 1 to {MOST_BUDGET_POINTS}"),
    ]


class Bucket:
    """What a process knows of one bucket.

    `part` is the part of the tenant's budget that it holds, 1 for the whole, and `limits` are the limits of that part.
    `full_at` is when it will be full again. `owed` are points that were spent here and are not booked yet.
    """

    __slots__ = ("full_at", "limits", "owed", "part", "slice_points")

    def __init__(self, limits_of_tenant: BudgetLimits, part: int = 1) -> None:
        self.part = part
        self.full_at = LONG_AGO
        self.owed = 0
        self._set_limits(limits_of_tenant)

    def _set_limits(self, limits_of_tenant: BudgetLimits) -> None:
        self.limits = limits_of_tenant.share(self.part)
        self.slice_points = self.limits.slice_points

    def count_left(self, now: datetime) -> int:
        """The points that are left, fewer than none while a debt is paid. A point that is missing in part is left."""
        if self.full_at <= now:
            return self.limits.points
        return self.limits.points - (self.full_at - now) * self.limits.per_second // SECOND

    def owes(self, slices: int) -> bool:
        """Tell whether at least so many slices are not booked yet."""
        return self.owed >= slices * self.slice_points

    def spend(self, cost: int, now: datetime) -> None:
        """Take points. Where they cannot be booked for a while, no more than a few slices are owed.

        They would be booked as if all were spent at once, while time has brought most of them back already.
        """
        self.full_at = max(self.full_at, now) + self.limits.time_until(cost)
        owed = self.owed + cost
        if owed > MOST_OWED_SLICES * self.slice_points:
            owed = max(self.owed, cost, MOST_OWED_SLICES * self.slice_points)
        self.owed = owed

    def settle(self, full_at: datetime, booked: int, now: datetime) -> None:
        """Take over what all processes have booked. What was spent here meanwhile comes on top."""
        self.owed -= booked
        self.full_at = full_at if self.owed <= 0 else max(full_at, now) + self.limits.time_until(self.owed)

    def change_limits(self, limits_of_tenant: BudgetLimits, now: datetime) -> None:
        """Take over other limits. The points that are missing stay missing, however fast they come back from now on."""
        former = self.limits.per_second
        self._set_limits(limits_of_tenant)
        if self.full_at > now:
            self.full_at = now + (self.full_at - now) * former // self.limits.per_second


class Charge(NamedTuple):
    """What an operation costs, and what its client may spend.

    `retry_after` are the whole seconds to wait where the operation is refused, and None where it may run. `left` is
    never more than what the tenant has left.
    """

    cost: int
    limits: BudgetLimits
    left: int
    full_after: int
    """Whole seconds until all points of the client are back."""
    retry_after: int | None = None


def decide_charge(cost: int, client: Bucket, tenant: Bucket, now: datetime) -> Charge:
    """Take the cost of an operation from the budgets of its client and its tenant, or from neither."""
    left, left_of_tenant = client.count_left(now), tenant.count_left(now)
    wait = None
    if cost <= left and cost <= left_of_tenant:
        client.spend(cost, now)
        tenant.spend(cost, now)
        left, left_of_tenant = left - cost, left_of_tenant - cost
    else:
        wait = max(client.limits.seconds_until(cost - left), tenant.limits.seconds_until(cost - left_of_tenant))
    full_after = client.limits.seconds_until(client.limits.points - left)
    return Charge(cost, client.limits, max(0, min(left, left_of_tenant)), full_after, wait)
