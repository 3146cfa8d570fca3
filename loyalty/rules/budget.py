"""Budgets of points of cost: a leaky bucket for a tenant, and one for each of its clients.

A bucket is one instant: the time at which it is full again. Spending moves that time away, and time brings it nearer.
So a bucket needs no counter and no timer (the generic cell rate algorithm, ITU-T I.371).
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from loyalty.rules.errors import Problem

LEAST_BUDGET_POINTS = 20_000
"""The fewest points that any bucket holds: the most expensive operation must be possible."""

MOST_BUDGET_POINTS = 1_000_000_000
"""The most points that a tenant may have, and that may come back each second."""

BUDGET_POINTS = 200_000
"""The points that a tenant may spend at once, unless the settings or the tenant's own limits say otherwise."""

BUDGET_POINTS_PER_SECOND = 10_000
"""The points that come back each second. 20,000 points are about a second of work of one process."""

CLIENT_PART = 2
"""The part of its tenant's budget that one client may spend: a half."""

CUSTOMER_PART = 4
"""The part of their tenant's budget that one customer may spend: a quarter."""

SLICE_PART = 10
"""The part of the budget after which a process books its spent points: a tenth."""

LEAST_SLICE_POINTS = 5_000
"""The fewest points that a process books at once: some hundred small reads."""

MOST_OWED_SLICES = 2
"""The most slices that a process owes. A later operation waits until they are booked.

So not all points that were spent while the database was away are booked later.
"""

SECOND = timedelta(seconds=1)
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class BudgetLimits(NamedTuple):
    """The points that can be spent at once, and the points that come back each second."""

    points: int = BUDGET_POINTS
    per_second: int = BUDGET_POINTS_PER_SECOND

    @property
    def slice_points(self) -> int:
        """Return how many points a process spends before it books them, so that other processes know."""
        return max(LEAST_SLICE_POINTS, self.points // SLICE_PART)

    def time_until(self, points: int) -> timedelta:
        """Return how long it takes until so many points have come back."""
        return -(-points * SECOND // self.per_second)

    def seconds_until(self, points: int) -> int:
        """Return in how many whole seconds so many points come back; 0 if no points are missing."""
        return max(0, -(-points // self.per_second))

    def share(self, part: int) -> "BudgetLimits":
        """Return the limits of a client that may spend one `part`-th of this budget."""
        return BudgetLimits(max(LEAST_BUDGET_POINTS, self.points // part), max(1, self.per_second // part))


def check_limits(limits: BudgetLimits) -> list[Problem | None]:
    """Return a problem for each limit of a tenant's budget that is out of range; None for a limit that is right."""
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
    """The state of one bucket, as a process knows it.

    The bucket holds one `part`-th of the tenant's budget (1 is the whole); `limits` are the limits of that part.
    `full_at` is when it is full again. `owed` are the points spent here that are not booked yet.
    """

    __slots__ = ("full_at", "limits", "owed", "part", "slice_points")

    def __init__(self, limits_of_tenant: BudgetLimits, part: int = 1) -> None:
        self.part = part
        self.full_at = LONG_AGO
        self.owed = 0
        self._set_limits(limits_of_tenant)

    def _set_limits(self, limits_of_tenant: BudgetLimits) -> None:
        """Take over the limits of the tenant, as the share of this bucket."""
        self.limits = limits_of_tenant.share(self.part)
        self.slice_points = self.limits.slice_points

    def count_left(self, now: datetime) -> int:
        """Return the points that are left; below zero while a debt is paid. A part of a point counts as a whole one."""
        if self.full_at <= now:
            return self.limits.points
        return self.limits.points - (self.full_at - now) * self.limits.per_second // SECOND

    def owes(self, slices: int) -> bool:
        """Tell whether at least so many slices are not booked yet."""
        return self.owed >= slices * self.slice_points

    def spend(self, cost: int, now: datetime) -> None:
        """Take points from the bucket, and note them as owed until they are booked.

        If the database is away for a while, the bucket owes no more than a few slices, or the cost of one operation.
        Otherwise it would later book all points as if they were spent at once, although most have come back by then.
        """
        self.full_at = max(self.full_at, now) + self.limits.time_until(cost)
        owed = self.owed + cost
        if owed > MOST_OWED_SLICES * self.slice_points:
            owed = max(self.owed, cost, MOST_OWED_SLICES * self.slice_points)
        self.owed = owed

    def settle(self, full_at: datetime, booked: int, now: datetime) -> None:
        """Take over the result of a booking: `full_at`, which counts what all processes have booked.

        `booked` are the points that this process has booked. The points that it spent meanwhile are added.
        """
        self.owed -= booked
        self.full_at = full_at if self.owed <= 0 else max(full_at, now) + self.limits.time_until(self.owed)

    def change_limits(self, limits_of_tenant: BudgetLimits, now: datetime) -> None:
        """Take over new limits. The number of missing points stays the same; they come back at the new speed."""
        former = self.limits.per_second
        self._set_limits(limits_of_tenant)
        if self.full_at > now:
            self.full_at = now + (self.full_at - now) * former // self.limits.per_second


class Charge(NamedTuple):
    """The cost of an operation, and the budget of its client after it.

    If the operation is refused, `retry_after` says how many whole seconds to wait; it is None if the operation may run.
    `left` is never more than the points that the tenant has left.
    """

    cost: int
    limits: BudgetLimits
    left: int
    full_after: int
    """The whole seconds until all points of the client are back."""
    retry_after: int | None = None


def charge_operation(cost: int, client: Bucket, tenant: Bucket, now: datetime) -> Charge:
    """Take the cost of an operation from the budgets of its client and its tenant, and return the charge.

    If one budget has fewer points left, nothing is taken from either, and the charge says how long to wait.
    """
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
