"""Take the cost of operations from the budgets of their client and their tenant, over all processes together.

A process counts in memory and books its spent points in slices, so most operations need no statement. Between two
bookings the processes do not know of each other. So each may let a client spend two slices and one operation too much.
Points spent too much are a debt, which is paid before the next operation, so the rate holds in the long run. A refused
operation costs nearly as much time as a small read. So refusals of a tenant are answered one after another. If a
booking fails, operations run on, and are counted in this process alone (`docs/decisions/0025`).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from loyalty.rules.budget import (
    CLIENT_PART,
    CUSTOMER_PART,
    MOST_OWED_SLICES,
    Bucket,
    BudgetLimits,
    Charge,
    charge_operation,
)
from loyalty.rules.ids import TenantId
from loyalty.storage.budgets import Booked, Spending, book_spending
from permissions.actor import Actor, ActorKind
from tenancy.database import Database

MAX_REMEMBERED_TENANTS = 10_000
"""The most tenants whose budgets one process remembers."""

MAX_REMEMBERED_CLIENTS = 5_000
"""The most clients of one tenant whose budgets one process remembers.

A forgotten client mostly owed less than a slice.
"""

BOOKING_SECONDS = 1.0
"""The longest time that an operation waits until full slices are booked."""

NEWS_SECONDS = 5.0
"""The greatest age of the known budgets of other processes when this one refuses an operation.

After a failed booking, the next one begins so much later.
"""

UNBOOKED_SECONDS = 300.0
"""The longest time without a booking while a tenant has traffic.

With each booking the process learns the tenant's limits.
"""

REFUSALS_PER_SECOND = 10
"""The most refusals that a process answers a tenant in a second.

The first is answered at once, each of the next ones later. So a client that asks again and again takes little time from
other tenants.
"""

MOST_REFUSAL_SECONDS = 5.0
"""The longest time that a refusal is held back."""

TENANT_SCOPE = "tenant"
AWAY = (OperationalError, InterfaceError, PoolTimeout)
"""The exceptions of a database that is away, or too busy to answer."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.budgets")


class _TenantBudget:
    """The budgets of a tenant and its clients, as a process knows them."""

    __slots__ = ("asked_at", "booking", "clients", "due", "failed", "refusal_at", "tenant")

    def __init__(self, limits: BudgetLimits, now: datetime) -> None:
        self.tenant = Bucket(limits)
        self.clients: OrderedDict[str, Bucket] = OrderedDict()
        self.due: set[str] = set()
        """Clients that are booked next."""
        self.booking: asyncio.Task[None] | None = None
        self.asked_at = now
        """When the last booking began."""
        self.failed = False
        """Whether the last booking failed."""
        self.refusal_at = 0.0
        """When the next refusal may be told, by the clock of the event loop."""

    def change_limits(self, limits: BudgetLimits, now: datetime) -> None:
        """Give the tenant and all its clients these limits, if they are new."""
        if limits != self.tenant.limits:
            for bucket in (self.tenant, *self.clients.values()):
                bucket.change_limits(limits, now)

    def seconds_since_booking(self, now: datetime) -> float:
        return (now - self.asked_at).total_seconds()

    def delay_refusal(self, now: float) -> float:
        """Return how many seconds to hold the next refusal back; ``now`` is the time of the event loop."""
        told_at = min(max(now, self.refusal_at), now + MOST_REFUSAL_SECONDS)
        self.refusal_at = told_at + 1 / REFUSALS_PER_SECOND
        return told_at - now

    def find_client(self, actor: Actor) -> Bucket:
        """Return the budget of a client. A client that the process does not know begins with a full budget.

        The client that has been quiet for longest is forgotten if there are too many.
        """
        name = actor.client
        bucket = self.clients.get(name)
        if bucket is None:
            part = CUSTOMER_PART if actor.kind is ActorKind.CUSTOMER else CLIENT_PART
            bucket = self.clients[name] = Bucket(self.tenant.limits, part)
            if len(self.clients) > MAX_REMEMBERED_CLIENTS:
                forgotten, _ = self.clients.popitem(last=False)
                self.due.discard(forgotten)
        else:
            self.clients.move_to_end(name)
        return bucket


class Budgets:
    """The budgets of one process. `defaults` are for tenants without limits of their own."""

    def __init__(self, database: Database, clock: Callable[[], datetime], defaults: BudgetLimits) -> None:
        self._database = database
        self._clock = clock
        self._defaults = defaults
        self._tenants: OrderedDict[TenantId, _TenantBudget] = OrderedDict()

    async def charge(self, actor: Actor, cost: int) -> Charge:
        """Take the cost of an operation from the budgets of its client and its tenant, or say when to come again.

        A refusal that follows closely on others of its tenant is held back.
        """
        budget = self._find(actor.tenant_id, self._clock())
        charge = await self._charge_at_once(budget, actor, cost)
        if charge.retry_after is not None:
            await asyncio.sleep(budget.delay_refusal(asyncio.get_running_loop().time()))
        return charge

    async def _charge_at_once(self, budget: _TenantBudget, actor: Actor, cost: int) -> Charge:
        """Charge an operation, without holding a refusal back.

        Spent points are booked when a slice is full, or when a refusal needs the newest budgets.
        """
        now = self._clock()
        bucket, tenant = budget.find_client(actor), budget.tenant
        if bucket.owes(MOST_OWED_SLICES) or tenant.owes(MOST_OWED_SLICES):
            await self._wait_for_booking(actor.tenant_id, budget)
            now = self._clock()
        charge = charge_operation(cost, bucket, tenant, now)
        if charge.retry_after is not None and budget.seconds_since_booking(now) >= NEWS_SECONDS:
            budget.due.add(actor.client)
            await self._wait_for_booking(actor.tenant_id, budget)
            charge = charge_operation(cost, bucket, tenant, self._clock())
        if bucket.owes(1):
            budget.due.add(actor.client)
            self._begin_booking(actor.tenant_id, budget)
        elif tenant.owes(1) or budget.seconds_since_booking(now) >= UNBOOKED_SECONDS:
            self._begin_booking(actor.tenant_id, budget)
        return charge

    async def book_all(self) -> None:
        """Book all points that are not booked yet, before the process ends."""
        for tenant_id, budget in list(self._tenants.items()):
            budget.due |= {name for name, bucket in budget.clients.items() if bucket.owed}
            if budget.tenant.owed:
                await self._wait_for_booking(tenant_id, budget)

    def _find(self, tenant_id: TenantId, now: datetime) -> _TenantBudget:
        """Return the budgets of a tenant. A tenant that the process does not know begins with full budgets.

        The tenant that has been quiet for longest is forgotten if there are too many.
        """
        budget = self._tenants.get(tenant_id)
        if budget is None:
            budget = self._tenants[tenant_id] = _TenantBudget(self._defaults, now)
            if len(self._tenants) > MAX_REMEMBERED_TENANTS:
                self._tenants.popitem(last=False)
        else:
            self._tenants.move_to_end(tenant_id)
        return budget

    async def _wait_for_booking(self, tenant_id: TenantId, budget: _TenantBudget) -> None:
        """Wait until the owed points are booked.

        After BOOKING_SECONDS, or if booking has just failed, go on without it.
        """
        self._begin_booking(tenant_id, budget)
        if budget.booking is not None:
            await asyncio.wait({budget.booking}, timeout=BOOKING_SECONDS)

    def _begin_booking(self, tenant_id: TenantId, budget: _TenantBudget) -> None:
        """Begin a booking in the background, unless one is under way or has just failed."""
        rests = budget.failed and budget.seconds_since_booking(self._clock()) < NEWS_SECONDS
        if budget.booking is None and not rests:
            budget.booking = asyncio.create_task(self._book(tenant_id, budget))

    async def _book(self, tenant_id: TenantId, budget: _TenantBudget) -> None:
        """Book the spent points of the due clients and of the tenant, and take over the booked budgets."""
        now = budget.asked_at = self._clock()
        due, budget.due = budget.due, set()
        buckets = {f"client {name}": budget.clients[name] for name in due if name in budget.clients}
        buckets[TENANT_SCOPE] = budget.tenant
        owed = {scope: bucket.owed for scope, bucket in buckets.items()}
        spending = [
            Spending(scope, now + bucket.limits.time_until(owed[scope]), bucket.limits.per_second)
            for scope, bucket in buckets.items()
        ]
        try:
            async with self._database.tenant_transaction(tenant_id) as tx:
                booked = await book_spending(tx, spending, now)
        except Exception as error:  # whatever it is: no operation is refused because of it
            budget.failed = True
            budget.due |= due
            if isinstance(error, AWAY):
                log.warning("budgets are booked later", reason=type(error).__name__)
            else:
                log.exception("booking budgets failed")
        else:
            budget.failed = False
            self._take_over(budget, buckets, owed, booked)
        finally:
            budget.booking = None

    def _take_over(
        self, budget: _TenantBudget, buckets: Mapping[str, Bucket], owed: Mapping[str, int], booked: Booked
    ) -> None:
        """Set the budgets to what was booked by all processes, and take over the limits of the tenant.

        ``owed`` are the points of each budget that this booking has booked.
        """
        now = self._clock()
        for scope, bucket in buckets.items():
            bucket.settle(booked.full_at[scope], owed[scope], now)
        budget.change_limits(booked.own_limits or self._defaults, now)
