"""Budgets of points that operations cost: a leaky bucket for a tenant, and one for each of its clients.

A bucket is one instant: when it will be full again. What is spent moves the instant away, and time brings it nearer.
So a bucket needs no counter and no timer (the generic cell rate algorithm, ITU-T I.371).
"""

from math import ceil
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
"""Slices that a process owes at most: what it spent while the database was away is not all booked later."""


class BudgetLimits(NamedTuple):
    """How many points can be spent at once, and how many come back each second."""

    points: int = BUDGET_POINTS
    per_second: int = BUDGET_POINTS_PER_SECOND

    @property
    def slice_points(self) -> int:
        """After how many points a process books what was spent, so that the others know."""
        return max(LEAST_SLICE_POINTS, self.points // SLICE_PART)

    def share(self, part: int) -> "BudgetLimits":
        """The budget of one of those who share this one."""
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

    `part` is the part of the tenant's budget that it holds, 1 for the whole. `full_at` is when it will be full again,
    in seconds since 1970. `owed` are points that were spent here and are not booked yet.
    """

    __slots__ = ("full_at", "owed", "part")

    def __init__(self, part: int = 1) -> None:
        self.part = part
        self.full_at = 0.0
        self.owed = 0

    def count_left(self, limits: BudgetLimits, now: float) -> float:
        """The points that are left; fewer than none while a debt is paid."""
        missing = self.full_at - now
        return limits.points - missing * limits.per_second if missing > 0 else float(limits.points)

    def spend(self, limits: BudgetLimits, cost: int, now: float) -> None:
        """Take points. Where they cannot be booked for a while, no more than a few slices are owed.

        They would be booked as if all were spent at once, while time has brought most of them back already.
        """
        self.full_at = max(self.full_at, now) + cost / limits.per_second
        self.owed = max(self.owed, cost, min(self.owed + cost, MOST_OWED_SLICES * limits.slice_points))

    def settle(self, limits: BudgetLimits, full_at: float, booked: int, now: float) -> None:
        """Take over what all processes have booked. What was spent here meanwhile comes on top."""
        self.owed -= booked
        self.full_at = full_at if self.owed <= 0 else max(full_at, now) + self.owed / limits.per_second

    def change_rate(self, former: int, present: int, now: float) -> None:
        """Keep the points that are missing, where another number of them comes back each second from now on."""
        if self.full_at > now:
            self.full_at = now + (self.full_at - now) * former / present

    def seconds_until(self, limits: BudgetLimits, points: int, now: float) -> int:
        """Whole seconds until so many points are left; none where they are, or less than one point is missing."""
        lacking = points - self.count_left(limits, now)
        return ceil(lacking / limits.per_second) if lacking >= 1 else 0


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


def decide_charge(
    cost: int, client: Bucket, client_limits: BudgetLimits, tenant: Bucket, tenant_limits: BudgetLimits, now: float
) -> Charge:
    """Take the cost of an operation from the budgets of its client and its tenant, or from neither."""
    wait = max(client.seconds_until(client_limits, cost, now), tenant.seconds_until(tenant_limits, cost, now))
    if wait == 0:
        client.spend(client_limits, cost, now)
        tenant.spend(tenant_limits, cost, now)
    left = min(client.count_left(client_limits, now), tenant.count_left(tenant_limits, now))
    full_after = client.seconds_until(client_limits, client_limits.points, now)
    return Charge(cost, client_limits, max(0, int(left)), full_after, wait or None)
