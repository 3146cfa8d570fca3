"""The points of a salon, computed a second time in a naive way: plain lists, no database, no entries, no caches.

The model is small enough to be read as the specification. It expires what is due before it does anything else, so it
knows nothing of sweeps. A refusal raises `Refusal` with the code that the service must answer with, and leaves the
model as it was.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import Any

from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import AccrualPolicy, EvaluateOn, MatureOn, Revalue
from loyalty.rules.expiry import ExpiryKind, ExpiryPolicy
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.redemption import RestorePolicy
from loyalty.rules.refund import RefundPolicy
from tests.lifecycle.basket import ZONE, Basket, Line, Refunded, Taken, Worth, half_up, is_bonus_day

NEVER = datetime.max.replace(tzinfo=UTC)
AHEAD = timedelta(hours=1)
LATEST = timedelta(days=30)
CALLED_OFF = (PurchaseStatus.CANCELLED, PurchaseStatus.NO_SHOW)
COURSE = (PurchaseStatus.CREATED, PurchaseStatus.CONFIRMED, PurchaseStatus.PAID, PurchaseStatus.COMPLETED)
RANK = {status: rank for rank, status in enumerate((*COURSE, PurchaseStatus.REFUNDED))}
EVALUATED_FROM = {EvaluateOn.PURCHASE_CREATED: 0, EvaluateOn.PURCHASE_PAID: 2, EvaluateOn.PURCHASE_COMPLETED: 3}


class Refusal(Exception):
    """The service must refuse, with this code."""


@dataclass(slots=True, eq=False)
class Lot:
    """Points that came in together."""

    owner: str
    remaining: int
    expires_at: datetime
    opened_at: datetime
    number: int
    cause: "Accrual | None" = None
    days: int | None = None
    held: int = 0

    def order(self) -> tuple[datetime, datetime, int]:
        """Return a sort key: the lot with the least one is spent first."""
        return (self.expires_at, self.opened_at, self.number)


@dataclass(slots=True)
class Person:
    """The numbers of an account, besides its lots."""

    debt: int = 0
    earned: int = 0
    qualifying: int = 0


@dataclass(slots=True, eq=False)
class Accrual:
    """The result of one purchase in one generation."""

    number: int
    order: str
    generation: int
    worth: Worth
    moment: datetime
    """When it was evaluated, as its report told: the weekday of a purchase that tells no start."""
    policy: AccrualPolicy
    expiry: ExpiryPolicy
    due_at: datetime | None
    matured_at: datetime | None = None
    pending: bool = True
    lost: bool = False
    """Whether all of it was taken back."""
    was_credited: bool = False
    """Whether it was ever more than a promise."""
    voided: int = 0
    reversed: int = 0
    earned: int = 0
    taken: int = 0
    """What was credited, and what was really taken of it."""

    @property
    def points(self) -> int:
        """The points of its newest valuation."""
        return self.worth.points

    @property
    def left(self) -> int:
        """The points that have not been taken back."""
        return self.points - self.voided - self.reversed


@dataclass(frozen=True, slots=True)
class Report:
    """A report of a purchase. Only the values in `fields` were sent."""

    status: PurchaseStatus
    customer: str
    fields: tuple[tuple[str, object], ...]
    at: datetime | None = None
    key: str | None = None
    rate: Fraction | None = None
    """What a franc is worth in euros, as the report tells it."""
    in_francs: bool = False

    @property
    def tells_money(self) -> bool:
        """Whether the report tells any amount."""
        told = dict(self.fields)
        return "total" in told or bool(told.get("lines"))


@dataclass(frozen=True, slots=True)
class RefundOf:
    """A refund as it is asked for: lines by position or by item, and an amount that belongs to no line."""

    lines: tuple[tuple[int, Fraction, int], ...]
    amount_minor: int
    by_id: bool = False
    in_francs: bool = False
    auto: bool = False


@dataclass(slots=True, eq=False)
class Order:
    """A purchase."""

    owner: str
    total_minor: int
    status: PurchaseStatus
    generation: int
    evaluates_at: datetime | None = None
    known: dict[str, Any] = field(
        default_factory=lambda: {"staff": None, "starts_at": None, "ends_at": None, "lines": ()}
    )
    called: str = ""
    """How the newest report or reassignment named its customer."""
    rate: Fraction | None = None
    in_francs: bool = False
    """Whether its total was told in francs."""
    times: dict[str, datetime | None] = field(default_factory=dict)
    newest_at: datetime | None = None
    log: list[tuple[object, object]] = field(default_factory=list)
    """Each fact: what was sent, and what was known after it."""
    keys: dict[str, object] = field(default_factory=dict)
    refunds: tuple[Refunded, ...] = ()
    shared: int = 0
    """How many points had paid for what was refunded, and how many of them went back."""
    given_back: int = 0
    newest: Accrual | None = None

    @property
    def ends_at(self) -> datetime | None:
        """The end of the service; else its start; None if no report told one."""
        end: datetime | None = self.known["ends_at"] or self.known["starts_at"]
        return end

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines, in the order in which they were first told."""
        lines: tuple[Line, ...] = self.known["lines"]
        return lines

    @property
    def basket(self) -> Basket:
        """The total, the lines and the refunds."""
        return Basket(self.total_minor, self.lines, self.refunds)

    @property
    def refunded_minor(self) -> int:
        """The sum of the money that was paid back."""
        return self.basket.refunded_minor

    def is_late(self, at: datetime | None) -> bool:
        """Tell whether something that happened at this time is older than the newest report."""
        return at is not None and self.newest_at is not None and at < self.newest_at

    def is_newer(self, at: datetime | None) -> bool:
        """Tell whether something that happened at this time is known to be newer than all reports."""
        return at is not None and (self.newest_at is None or at > self.newest_at)

    def is_new(self, name: str, at: datetime) -> bool:
        """Tell whether a late report tells a field that no newer report has told."""
        told_at = self.times.get(name)
        return not self.known.get(name) if name not in self.times else told_at is None or told_at < at

    @property
    def accrual(self) -> Accrual | None:
        """The accrual of the present generation; None if there is none."""
        return self.newest if self.newest and self.newest.generation == self.generation else None


@dataclass(slots=True, eq=False)
class Hold:
    """Points set aside at a checkout: how many of which lot."""

    owner: str
    parts: dict[Lot, int]
    ends_at: datetime
    pays_for: str | None
    state: str = "ACTIVE"

    @property
    def points(self) -> int:
        """The sum of the points."""
        return sum(self.parts.values())


@dataclass(slots=True, eq=False)
class Redemption:
    """Spent points: how many of which lot have not come back yet."""

    owner: str
    points: int
    parts: dict[Lot, int]
    pays_for: str | None
    returned: int = 0


@dataclass(slots=True)
class Model:
    """A salon in which a euro earns a point, and a point is worth a cent."""

    expiry: ExpiryPolicy
    now: datetime
    accrual: AccrualPolicy = field(default_factory=AccrualPolicy)
    restore: RestorePolicy = RestorePolicy.GRACE
    grace: timedelta = timedelta(days=14)
    return_on_cancel: bool = True
    people: dict[str, Person] = field(default_factory=dict)
    became: dict[str, str] = field(default_factory=dict)
    opened: dict[str, tuple[tuple[int, int, int], date | None]] = field(default_factory=dict)
    lots: list[Lot] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    holds: list[Hold] = field(default_factory=list)
    redemptions: list[Redemption] = field(default_factory=list)
    evaluations: int = 0

    # ── what an account shows ────────────────────────────────────────────────────────────────────────────────────

    def name(self, customer: str) -> str:
        """Return the customer that a customer is now: the target of a merge, or the customer itself."""
        return self.became.get(customer, customer)

    def lots_of(self, owner: str) -> list[Lot]:
        """Return the lots of a customer that have points, in the order in which they are spent."""
        return sorted((lot for lot in self.lots if lot.owner == owner and lot.remaining + lot.held), key=Lot.order)

    def available(self, owner: str) -> int:
        """Return the points that can be spent now."""
        return sum(lot.remaining for lot in self.lots_of(owner) if lot.expires_at > self.now)

    def held(self, owner: str) -> int:
        """Return the points that are set aside."""
        return sum(lot.held for lot in self.lots_of(owner))

    def pending(self, owner: str) -> int:
        """Return the pending points."""
        accruals = (order.newest for order in self.orders.values() if order.owner == owner)
        return sum(accrual.left for accrual in accruals if accrual and accrual.pending)

    # ── what can happen ──────────────────────────────────────────────────────────────────────────────────────────

    def report(self, key: str, report: Report) -> None:
        """Report a purchase. A report that says nothing new changes nothing."""
        before, owner = self.orders.get(key), self.name(report.customer)
        _refuse_order_of_times(dict(report.fields))
        if before and owner != before.owner and not self._may_change_hands(key, before, report):
            raise Refusal("PURCHASE_OF_ANOTHER_CUSTOMER")
        if before and self._is_told(before, report):
            return
        if report.at and report.at > self.now + AHEAD:
            raise Refusal("INVALID_INPUT")
        told = _in_euros(report, before)
        if before is None and "total" not in told:
            raise Refusal("INVALID_INPUT")
        alive = report.status not in CALLED_OFF
        order = before or Order(owner, told["total"], report.status, 1 if alive else 0)
        news, status = self._news(order, report, told) if before else (told, report.status)
        if news is None:
            return
        if before and owner != order.owner and status not in COURSE:
            raise Refusal("PURCHASE_OF_ANOTHER_CUSTOMER")
        if before is None and any(self.name(one.owner) != owner for one in self._paying(key)[1]):
            raise Refusal("PURCHASE_OF_ANOTHER_CUSTOMER")
        with self._nothing_left_of_a_refusal(order):
            self._apply(key, order, owner, report, news, status)
        if before is None:
            self.orders[key] = order
        self.people.setdefault(owner, Person())
        told_at = report.at or (order.newest_at if before and order.generation else None)
        order.times.update(dict.fromkeys(news, told_at))
        order.newest_at = max(filter(None, (report.at, order.newest_at)), default=None)
        order.called, order.status = report.customer, status
        order.log.append((_mark(report), _state(order.known, status)))
        if report.key is not None:
            order.keys[report.key] = _mark(report)

    def _apply(
        self, key: str, order: Order, owner: str, report: Report, news: dict[str, Any], status: PurchaseStatus
    ) -> None:
        """Apply the news of a report to the known facts, then to the points that pay, then to the points earned."""
        changed = {name for name, value in news.items() if order.known.get(name) != value}
        moment = self._moment(report.at)
        lost = _is_lost(order) or not order.generation or owner != order.owner
        if order.status in CALLED_OFF and status in COURSE and lost:
            order.generation += 1
        accrual = order.accrual
        order.known |= news
        order.total_minor = order.known["total"]
        if "total" in news:
            order.rate = order.rate or (report.rate if report.in_francs else None)
            order.in_francs = report.in_francs
        if order.refunds and changed & {"total", "lines"} and not order.basket.covers_refunds():
            raise Refusal("REPORT_BELOW_REFUNDS")
        order.owner = owner
        self._settle(key, order, status)
        end_changed = bool(changed & {"starts_at", "ends_at"})
        if accrual is not None:
            if status in COURSE:
                self._revalue(key, order, accrual, (status, moment, end_changed))
            self._follow(order, accrual, status, moment, end_changed)
        elif order.generation and self._is_evaluated(status, order.ends_at):
            self._accrue(key, order, status, moment)
        waits = order.accrual is None and order.generation and status in COURSE and order.ends_at
        order.evaluates_at = order.ends_at if waits and self.accrual.evaluate_on is EvaluateOn.SERVICE_ENDED else None

    def refund(self, key: str, request: RefundOf) -> int:
        """Refund a part of a purchase, with or without the points that had paid for it.

        Return how many points are still to be given back.
        """
        order = self._order(key)
        made = _refund_of(order, request)
        after = Basket(order.total_minor, order.lines, (*order.refunds, made))
        everything = not after.left().whole
        is_over = everything and order.status not in CALLED_OFF
        with self._nothing_left_of_a_refusal(order):
            left = self._give_points_of_refund_back(key, order, made.money_minor, auto=request.auto, is_over=is_over)
            accrual = order.accrual
            if accrual is not None and not accrual.lost:
                kept = _kept(accrual, after)
                if accrual.left > kept:
                    self._take_from(order.owner, accrual, accrual.left - kept)
        order.refunds = after.refunds
        order.log.append((None, None))
        if everything:
            order.evaluates_at = None
        if is_over:
            order.status = PurchaseStatus.REFUNDED
        return left

    def _give_points_of_refund_back(
        self, key: str, order: Order, amount_minor: int, *, auto: bool, is_over: bool
    ) -> int:
        """Give back the points that had paid for a refund. Return how many are still to be given back.

        ``auto`` gives them back at once. ``is_over`` says that nothing is left of the purchase.
        """
        refunded_minor = order.refunded_minor + amount_minor
        holds, redemptions = self._paying(key)
        holds = [one for one in holds if one.owner == order.owner]
        redemptions = [one for one in redemptions if self.name(one.owner) == order.owner]
        paid = sum(one.points - one.returned for one in redemptions) + order.given_back
        held = sum(one.points for one in holds)
        paid += held if auto else 0
        due = paid * refunded_minor // order.total_minor if order.total_minor else 0
        due = min(max(0, due - order.shared), amount_minor)
        order.shared += due
        if not (auto or is_over):
            return due
        back = held if is_over and auto else 0
        if is_over:
            spent = sum(one.points - one.returned for one in redemptions)
            self._give_back_for(key, order.owner)
            back += spent if self.return_on_cancel else 0
        lowered: dict[int, int] = {}
        for hold in reversed([] if is_over else holds):
            lowered[id(hold)] = min(due - back, hold.points)
            back += lowered[id(hold)]
        for one in reversed(redemptions if auto else []):
            here = min(max(0, due - back), one.points - one.returned)
            back += here
            if here:
                self._return(one, here, sorted(one.parts, key=Lot.order, reverse=True))
        room = order.total_minor - refunded_minor - sum(one.points - one.returned for one in redemptions)
        for hold in [] if is_over else holds:
            here = max(lowered[id(hold)], hold.points - max(room, 0))
            back += here - lowered[id(hold)]
            room -= hold.points - here
            if here == hold.points:
                self._give_up(hold, "RELEASED")
            elif here:
                self._lower(hold, here)
        order.given_back += back
        return max(0, due - back)

    def mature(self, key: str) -> None:
        """Let the pending points of a purchase mature now."""
        order = self._order(key)
        accrual = order.accrual
        if accrual is None or (accrual.lost and not accrual.was_credited):
            raise Refusal("NOT_FOUND")
        if accrual.pending:
            self._mature(order.owner, accrual)

    def reassign(self, key: str, target: str) -> tuple[int, int]:
        """Move a purchase with its points to another customer. Return the points that were taken and given."""
        order, to = self._order(key), self.name(target)
        if to not in self.people:
            raise Refusal("NOT_FOUND")
        if to == order.owner:
            raise Refusal("INVALID_INPUT")
        accrual, (holds, redemptions) = order.accrual, self._paying(key)
        own = [lot for lot in self.lots_of(order.owner) if lot.cause is accrual and lot.expires_at > self.now]
        moves = accrual is not None and not accrual.lost
        if order.refunds or holds or redemptions:
            raise Refusal("PURCHASE_NOT_REASSIGNABLE")
        if moves and accrual and not accrual.pending and sum(lot.remaining for lot in own) != accrual.left:
            raise Refusal("PURCHASE_NOT_REASSIGNABLE")
        moved = accrual.left if moves and accrual else 0
        given = self._reassigned(order, accrual) if moves and accrual else None
        if given and not given.pending and given.left and self._expiry_of_reassigned(given)[0] <= self.now:
            raise Refusal("PURCHASE_NOT_REASSIGNABLE")
        if moves and accrual:
            self._take_from(order.owner, accrual, moved)
        order.generation += 1 if accrual is not None else 0
        order.owner, order.called, order.newest = to, target, given or order.newest
        order.log.append((None, None))
        if given is None:
            return moved, 0
        if not given.pending and given.left:
            self._expire_due(to)
            self._keep_alive(to)
            self._earn(to, given, given.left, self._expiry_of_reassigned(given))
            self.lots[-1].opened_at = _begin_of_day(given.matured_at or self.now)
        return moved, given.left

    def _reassigned(self, order: Order, accrual: Accrual) -> Accrual:
        """Return the accrual of the new customer. Its points are pending as before, or as old as before."""
        self.evaluations += 1
        return Accrual(
            number=self.evaluations,
            order=accrual.order,
            generation=order.generation + 1,
            worth=self._worth(order, 0, accrual.moment),
            moment=accrual.moment,
            policy=accrual.policy,
            expiry=accrual.expiry,
            due_at=accrual.due_at,
            matured_at=accrual.matured_at,
            pending=accrual.pending,
            was_credited=not accrual.pending,
        )

    def _expiry_of_reassigned(self, given: Accrual) -> tuple[datetime, int | None]:
        """Return when moved points expire.

        Points that expire by inactivity live as if they came now. Others expire on the day on which they would have.
        """
        policy, came_at = given.expiry, given.matured_at or self.now
        expires_at, days = self._expiry(policy, at=self.now if policy.kind is ExpiryKind.INACTIVITY else came_at)
        return expires_at, days

    def adjust(self, customer: str, points: int, overdraft: Overdraft, until: date | None = None) -> None:
        """Add or take points by hand, as goodwill."""
        owner = self.name(customer)
        if points > 0:
            self._credit(owner, points, None, self._expiry(until=until))
            self.people[owner].qualifying += points
            return
        if self._debit(owner, -points, overdraft, self.lots_of(owner)) == 0:
            raise Refusal("INSUFFICIENT_POINTS")

    def hold(self, customer: str, points: int, minutes: int, pays_for: str | None, replaces: Hold | None) -> Hold:
        """Set points aside at a checkout. Points that the purchase itself has earned cannot pay for it."""
        owner = self.name(customer)
        self._refuse_payer(owner, pays_for)
        if replaces is not None and replaces.state != "ACTIVE":
            raise Refusal("HOLD_ENDED")
        usable = [lot for lot in self.lots if lot.owner == owner and lot.expires_at > self.now]
        usable = [lot for lot in usable if lot.cause is None or lot.cause.order != pays_for]
        back = self._coming_back(owner, _in_order(replaces.parts)) if replaces is not None else {}
        if sum(lot.remaining + back.get(lot, 0) for lot in usable) < points:
            raise Refusal("INSUFFICIENT_POINTS")
        paid = self._paid_minor(pays_for, but=replaces)
        room = self._payable_minor(pays_for) - paid
        if points > room:
            raise Refusal("ABOVE_MAXIMUM" if room > 0 or paid else "NOTHING_TO_DISCOUNT")
        if replaces is not None:
            self._give_up(replaces, "RELEASED")
        hold = Hold(owner, {}, self.now + timedelta(minutes=minutes), pays_for)
        for lot, part in _take(usable, points):
            lot.remaining -= part
            lot.held += part
            hold.parts[lot] = part
        self.holds.append(hold)
        return hold

    def capture(self, hold: Hold, points: int) -> Redemption:
        """Spend held points, or some of them. The rest is freed."""
        if hold.state != "ACTIVE" or hold.ends_at <= self.now:
            raise Refusal("HOLD_ENDED")
        self._refuse_payer(hold.owner, hold.pays_for)
        if points > hold.points:
            raise Refusal("ABOVE_MAXIMUM")
        room = self._payable_minor(hold.pays_for) - self._paid_minor(hold.pays_for, but=hold)
        if hold.pays_for in self.orders and points > room:
            raise Refusal("ABOVE_MAXIMUM")
        redemption = Redemption(hold.owner, points, {}, hold.pays_for)
        with self._nothing_left_of_a_refusal(redemption):
            self._expire_due(hold.owner)
            redemption.parts, rest = _split(hold.parts, points)
            self._keep_alive(hold.owner)
            for lot, part in redemption.parts.items():
                lot.held -= part
            self._put_back(hold.owner, rest)
            hold.state = "CAPTURED"
            self.redemptions.append(redemption)
            self._follow_points_paid(hold.pays_for)
        return redemption

    def release(self, hold: Hold) -> None:
        """Free held points."""
        if hold.state == "CAPTURED":
            raise Refusal("HOLD_ENDED")
        if hold.state == "ACTIVE":
            self._give_up(hold, "RELEASED")
            self._follow_points_paid(hold.pays_for)

    def give_back(self, redemption: Redemption, points: int) -> None:
        """Return spent points to the lots that they came from, first to the lot that expires last."""
        if not 1 <= points <= redemption.points - redemption.returned:
            raise Refusal("RETURN_EXCEEDS_REDEMPTION")
        self._return(redemption, points, sorted(redemption.parts, key=Lot.order, reverse=True))
        order = self.orders.get(redemption.pays_for or "")
        if order is not None:
            # What had paid for the refunded part still counts as paid: it earns nothing when it comes back.
            order.given_back += max(0, min(points, order.shared - order.given_back))
        self._follow_points_paid(redemption.pays_for)

    def _return(self, redemption: Redemption, points: int, lots: list[Lot]) -> None:
        """Return points of a redemption to these lots, in this order."""
        redemption.returned += points
        owner = self.name(redemption.owner)
        debt_left = self._pay_debt(owner, points)
        # What paid a debt before, or came back as a lot of its own, does not come back once more.
        gone = sum(redemption.parts.values()) - (redemption.points - redemption.returned) - points
        missing = points
        for lot in lots:
            skipped = min(redemption.parts[lot], gone)
            gone -= skipped
            here = min(redemption.parts[lot] - skipped, missing)
            missing -= here
            paid = min(debt_left, here)
            debt_left -= paid
            if lot.owner == owner:
                redemption.parts[lot] -= here - paid
            if here > paid:
                self._give_lot_back(owner, lot, here - paid)

    def open(self, customer: str, numbers: tuple[int, int, int], until: date | None) -> None:
        """Import an opening balance, once for each name.

        It has points or debt, the points ever earned, and the points for the tier.
        """
        if customer in self.opened:
            if self.opened[customer] != (numbers, until):
                raise Refusal("OPENING_BALANCE_EXISTS")
            return
        self.opened[customer] = (numbers, until)
        owner = self.name(customer)
        person = self.people.setdefault(owner, Person())
        points, earned, qualifying = numbers
        person.earned += earned
        person.qualifying += qualifying
        if points > 0:
            self._credit(owner, points, None, self._expiry(until=until))
        elif points:
            self._debit(owner, -points, Overdraft.ALLOW_NEGATIVE, self.lots_of(owner))

    def merge(self, source: str, target: str) -> None:
        """Merge two customers."""
        left, stays = self.name(source), self.name(target)
        if left == stays:
            raise Refusal("INVALID_INPUT")
        if self.held(left):
            raise Refusal("ACTIVE_HOLDS")
        self._expire_due(left)
        self._expire_due(stays)
        one, other = self.people[left], self.people[stays]
        other.earned += one.earned
        other.qualifying += one.qualifying
        paid = min(self.available(left), other.debt)
        owed = one.debt
        for lot in self.lots_of(left):
            part = min(paid, lot.remaining)
            paid -= part
            other.debt -= part
            moved = lot.remaining - part
            self.lots.append(Lot(stays, moved, lot.expires_at, lot.opened_at, len(self.lots), lot.cause, lot.days))
            lot.remaining = 0
        if owed:
            self._debit(stays, owed, Overdraft.ALLOW_NEGATIVE, self.lots_of(stays))
        self.people[left] = Person()
        for order in self.orders.values():
            order.owner = stays if order.owner == left else order.owner
        self.became.update({name: stays for name, became in self.became.items() if became == left})
        self.became[left] = stays

    def do_nothing(self) -> None:
        """Do nothing. So a sweep does whose due work the model has done already."""

    def evaluate_due(self) -> None:
        """Evaluate the purchases whose service has ended."""
        due = [(one.evaluates_at, key) for key, one in self.orders.items() if one.evaluates_at]
        for at, key in sorted(due):
            if at <= self.now:
                self.orders[key].evaluates_at = None
                self._accrue(key, self.orders[key], self.orders[key].status, self._moment(at))

    def mature_due(self) -> None:
        """Let pending points mature whose time has come."""
        for order in sorted(self.orders.values(), key=_when_due):
            accrual = order.newest
            if accrual and accrual.pending and accrual.due_at and accrual.due_at <= self.now:
                self._mature(order.owner, accrual)

    def end_holds(self) -> None:
        """End the holds whose time is over."""
        over = [hold for hold in self.holds if hold.state == "ACTIVE" and hold.ends_at <= self.now]
        for hold in sorted(over, key=lambda one: one.ends_at):
            self._give_up(hold, "EXPIRED")
        for key in dict.fromkeys(hold.pays_for for hold in over):
            self._follow_points_paid(key)

    # ── how it happens ───────────────────────────────────────────────────────────────────────────────────────────

    def _order(self, key: str) -> Order:
        if key not in self.orders:
            raise Refusal("NOT_FOUND")
        return self.orders[key]

    @contextmanager
    def _nothing_left_of_a_refusal(self, begun: Order | Redemption) -> Iterator[None]:
        """Undo all changes of the block if it ends with a refusal."""
        accruals = [one.newest for one in self.orders.values() if one.newest]
        moving: list[Any] = [begun, *accruals, *self.lots, *self.holds, *self.redemptions, *self.people.values()]
        before = [(one, {name: _copied(getattr(one, name)) for name in one.__slots__}) for one in moving]
        lots, redemptions = len(self.lots), len(self.redemptions)
        try:
            yield
        except Refusal:
            del self.lots[lots:], self.redemptions[redemptions:]
            for one, values in before:
                for name, value in values.items():
                    setattr(one, name, value)
            raise

    def _moment(self, at: datetime | None) -> datetime:
        """Return when a report counts: when it happened, unless that is too long ago."""
        return self.now if at is None or at < self.now - LATEST else min(at, self.now)

    def _is_told(self, order: Order, report: Report) -> bool:
        """Tell whether a report is a replay: of its key, or of the newest report if it has no key."""
        if report.key in order.keys:
            if order.keys[report.key] != _mark(report):
                raise Refusal("IDEMPOTENCY_CONFLICT")
            return True
        return report.key is None and order.log[-1][0] == _mark(report)

    def _news(
        self, order: Order, report: Report, fields: dict[str, Any]
    ) -> tuple[dict[str, Any] | None, PurchaseStatus]:
        """Return the fields that a further report tells anew, and the status after it; None for a replay."""
        is_older, status = order.is_late(report.at), _status_after(order, report)
        if is_older and report.at:
            fields = {name: value for name, value in fields.items() if order.is_new(name, report.at)}
        if "lines" in fields:
            fields["lines"] = _align(order.lines, fields["lines"], keep=_keeps_lines(order, status))
        _refuse_order_of_times({**order.known, **fields})
        changed = any(order.known.get(name, value) != value for name, value in fields.items())
        is_late, newer = bool(order.generation) and is_older, order.is_newer(report.at)
        is_news = changed or newer or status is not order.status
        is_stale = _is_stale(order.status, report.status)
        is_untold = report.at is None and report.key is None
        sent_before = any(mark == _mark(report) for mark, _ in order.log)
        if sent_before and report.key is None and (not is_untold or is_stale or not is_news):
            return None, order.status
        if is_stale or (is_late and not changed):
            if not (is_late and changed):
                raise Refusal("STATUS_RUNS_BACKWARDS")
        elif not is_news and report.key is None:
            return None, order.status
        elif is_untold:
            state = _state({**order.known, **fields}, status)
            if sent_before or any(state == earlier for _, earlier in order.log[:-1]):
                raise Refusal("AMBIGUOUS_REPORT")
        return fields, status

    def _is_evaluated(self, status: PurchaseStatus, ends_at: datetime | None) -> bool:
        if self.accrual.evaluate_on is EvaluateOn.SERVICE_ENDED and status in COURSE:
            return status is PurchaseStatus.COMPLETED or bool(ends_at and ends_at <= self.now)
        return status in COURSE and RANK[status] >= EVALUATED_FROM[self.accrual.evaluate_on]

    def _worth(self, order: Order, paid_minor: int, moment: datetime) -> Worth:
        day = is_bonus_day(order.known["starts_at"] or moment)
        return Worth(order.total_minor, order.lines, paid_minor, day, order.in_francs)

    def _accrue(self, key: str, order: Order, status: PurchaseStatus, moment: datetime) -> None:
        """Evaluate a purchase: create its accrual, with the points that refunds leave."""
        due_at = _due_at(self.accrual, status, order.ends_at, moment)
        self.evaluations += 1
        accrual = Accrual(
            number=self.evaluations,
            order=key,
            generation=order.generation,
            worth=self._worth(order, self._counted_minor(key, order), moment),
            moment=moment,
            policy=self.accrual,
            expiry=self.expiry,
            due_at=due_at,
        )
        accrual.voided = accrual.points - _kept(accrual, order.basket)
        order.newest = accrual
        if not accrual.left:
            accrual.pending, accrual.lost = False, accrual.points > 0
            accrual.was_credited, accrual.matured_at = not accrual.lost, self.now
        elif due_at is not None and due_at <= self.now:
            self._mature(order.owner, accrual)

    def _follow(
        self,
        order: Order,
        accrual: Accrual,
        status: PurchaseStatus,
        moment: datetime,
        end_changed: bool,  # noqa: FBT001
    ) -> None:
        """Let an accrual follow the status of its purchase: its points are lost, or mature, or wait."""
        if _forfeits(accrual.policy, status):
            if not accrual.lost:
                self._take_from(order.owner, accrual, accrual.left)
        elif accrual.pending:
            is_due = accrual.due_at is not None and accrual.due_at <= self.now
            moves = end_changed and accrual.policy.mature_on is MatureOn.SERVICE_ENDED
            if (accrual.due_at is None or moves) and not is_due:
                accrual.due_at = _due_at(accrual.policy, status, order.ends_at, moment)
            if accrual.due_at is not None and accrual.due_at <= self.now:
                self._mature(order.owner, accrual)

    def _mature(self, owner: str, accrual: Accrual) -> None:
        """Credit the pending points of an accrual."""
        accrual.pending, accrual.was_credited, accrual.matured_at = False, True, self.now
        self._expire_due(owner)
        if accrual.left:
            self._keep_alive(owner)
            self._earn(owner, accrual, accrual.left, self._expiry(accrual.expiry))

    def _earn(self, owner: str, accrual: Accrual, points: int, expiry: tuple[datetime, int | None]) -> None:
        """Credit earned points to a customer, with this expiry."""
        person = self.people.setdefault(owner, Person())
        person.earned += points
        person.qualifying += points
        accrual.earned += points
        self._credit(owner, points, accrual, expiry)

    def _take_from(self, owner: str, accrual: Accrual, points: int) -> None:
        """Take points from an accrual: pending ones are voided, credited ones are taken back."""
        if accrual.pending:
            accrual.voided += points
            accrual.lost = not accrual.left
            accrual.pending, accrual.was_credited = not accrual.lost, False
            return
        if points:
            self._take_credited(owner, accrual, points)
        accrual.reversed += points
        accrual.lost = not accrual.left

    def _take_credited(self, owner: str, accrual: Accrual, points: int) -> None:
        """Take credited points back from a customer, first from the lots of this accrual."""
        lots = self.lots_of(owner)
        own_first = [lot for lot in lots if lot.cause is accrual] + [lot for lot in lots if lot.cause is not accrual]
        taken = self._debit(owner, points, accrual.policy.debt, own_first)
        accrual.taken += taken
        self.people[owner].earned -= taken
        self.people[owner].qualifying -= taken

    def _revalue(self, key: str, order: Order, accrual: Accrual, told: tuple[PurchaseStatus, datetime, bool]) -> None:
        """Value a purchase again with its present facts. The accrual has more or fewer points then."""
        worth = self._worth(order, self._counted_minor(key, order), accrual.moment)
        before, former = accrual.left, accrual.worth
        if accrual.policy.revalue is Revalue.NEVER:
            return
        accrual.worth = worth
        kept = _kept(accrual, order.basket)
        if worth.said() == former.said() and (not order.refunds or kept == before):
            accrual.worth = former
            return
        gone = accrual.points - kept
        if not accrual.earned:
            status, moment, end_changed = told
            moves = end_changed and accrual.policy.mature_on is MatureOn.SERVICE_ENDED
            if not accrual.pending and accrual.was_credited and (accrual.due_at is None or moves):
                accrual.due_at = _due_at(accrual.policy, status, order.ends_at, moment)
            accrual.voided, accrual.reversed = gone, 0
            accrual.lost = 0 < accrual.points == gone
            accrual.pending, accrual.was_credited = not accrual.lost, False
            return
        accrual.voided = min(accrual.voided, gone)
        accrual.reversed = gone - accrual.voided
        more = accrual.left - before
        forgotten = accrual.earned - accrual.taken - before
        if more < 0:
            self._take_credited(order.owner, accrual, -more)
        elif more > forgotten:
            self._keep_alive(order.owner)
            self._earn(order.owner, accrual, more - forgotten, self._expiry(accrual.expiry))
        accrual.lost = 0 < accrual.reversed == accrual.points - accrual.voided

    def _follow_points_paid(self, key: str | None) -> None:
        """Value a purchase again because another number of points pays for it."""
        order = self.orders.get(key) if key is not None else None
        accrual = order.accrual if order else None
        if key is None or order is None or accrual is None or order.status not in COURSE:
            return
        if accrual.policy.revalue is Revalue.ALWAYS and accrual.worth.paid_minor != self._counted_minor(key, order):
            self._revalue(key, order, accrual, (order.status, self.now, False))
            self._follow(order, accrual, order.status, self.now, end_changed=False)

    def _credit(self, owner: str, points: int, cause: Accrual | None, expiry: tuple[datetime, int | None]) -> None:
        paid = self._pay_debt(owner, points)
        self.lots.append(Lot(owner, points - paid, expiry[0], self.now, len(self.lots), cause, expiry[1]))

    def _pay_debt(self, owner: str, points: int) -> int:
        person = self.people[owner]
        paid = min(person.debt, points)
        person.debt -= paid
        return paid

    def _debit(self, owner: str, points: int, overdraft: Overdraft, lots: Iterable[Lot]) -> int:
        """Take points from a customer, from ``lots`` in this order.

        ``overdraft`` decides what happens if there are too few. Return how many points were taken.
        """
        available = self.available(owner)
        if available < points and overdraft is Overdraft.REJECT:
            raise Refusal("INSUFFICIENT_POINTS")
        self._expire_due(owner)
        missing = points
        for lot in lots:
            part = min(lot.remaining, missing)
            lot.remaining -= part
            missing -= part
        if overdraft is Overdraft.CLAMP:
            return points - missing
        self.people[owner].debt += missing
        return points

    def _expire_due(self, owner: str) -> None:
        for lot in self.lots:
            if lot.owner == owner and lot.expires_at <= self.now:
                lot.remaining = 0

    def _expiry(
        self, policy: ExpiryPolicy | None = None, until: date | None = None, at: datetime | None = None
    ) -> tuple[datetime, int | None]:
        """Return when points that come now expire, and after how many days of inactivity; None without such days."""
        policy = policy or self.expiry
        days = policy.days if policy.kind is ExpiryKind.INACTIVITY else None
        if until is not None:
            return midnight_after(until), None
        if policy.kind is ExpiryKind.NONE:
            return NEVER, None
        return midnight_after((at or self.now).astimezone(ZONE).date() + timedelta(days=policy.days)), days

    def _keep_alive(self, owner: str) -> None:
        for lot in self.lots_of(owner):
            if lot.days is not None and lot.expires_at > self.now:
                alive = midnight_after(self.now.astimezone(ZONE).date() + timedelta(days=lot.days))
                lot.expires_at = max(lot.expires_at, alive)

    def _paying(self, key: str | None) -> tuple[list[Hold], list[Redemption]]:
        """Return what pays for a purchase: active holds, and redemptions that have not come back completely."""
        if key is None:
            return [], []
        holds = [hold for hold in self.holds if hold.pays_for == key and hold.state == "ACTIVE"]
        return holds, [one for one in self.redemptions if one.pays_for == key and one.points > one.returned]

    def _paid_minor(self, key: str | None, but: Hold | None = None) -> int:
        holds, redemptions = self._paying(key)
        held = sum(hold.points for hold in holds if hold is not but)
        return held + sum(one.points - one.returned for one in redemptions)

    def _counted_minor(self, key: str, order: Order) -> int:
        """Return the amount that a valuation takes as paid with points.

        It is what points pay now, and what they had paid for the refunded part.
        """
        return self._paid_minor(key) + order.given_back

    def _may_change_hands(self, key: str, order: Order, report: Report) -> bool:
        """Tell whether a purchase that was called off may come back for another customer. Nothing of it may be left."""
        untouched = not order.refunds and not any(self._paying(key))
        lost = order.accrual is None or _is_lost(order)
        return bool(order.generation and lost and untouched) and order.status in CALLED_OFF and report.status in COURSE

    def _payable_minor(self, key: str | None) -> int:
        """Return the amount that may be paid.

        Each checkout has a subtotal of 100.00; a purchase recorded with less costs less.
        """
        order = self.orders.get(key or "")
        return 10_000 if order is None else min(10_000, order.total_minor - order.refunded_minor)

    def _refuse_payer(self, owner: str, key: str | None) -> None:
        """Refuse a payment by another customer than the owner of the purchase.

        The owner is the customer it is recorded for; before that, the customer whose points pay for it already.
        """
        order = self.orders.get(key or "")
        holds, redemptions = self._paying(key)
        payers = [*(one.owner for one in holds), *(one.owner for one in redemptions)]
        owners = {self.name(payer) for payer in payers} if order is None else {order.owner}
        if owners - {owner}:
            raise Refusal("PURCHASE_OF_ANOTHER_CUSTOMER")
        if order is not None and order.status not in COURSE:
            raise Refusal("PURCHASE_ENDED")

    def _settle(self, key: str, order: Order, status: PurchaseStatus) -> None:
        """Let the points that pay follow a report.

        Other customers get their holds back. Points above the total go back, too.
        """
        for hold in self._paying(key)[0]:
            if hold.owner != order.owner:
                self._give_up(hold, "RELEASED")
        if status not in COURSE:
            self._give_back_for(key, order.owner)
            return
        holds, redemptions = self._paying(key)
        excess = sum(one.points - one.returned for one in redemptions) - order.total_minor
        for one in reversed(redemptions):
            back = min(max(excess, 0), one.points - one.returned)
            excess -= back
            if back:
                self._return(one, back, sorted(one.parts, key=Lot.order, reverse=True))
        room = order.total_minor - sum(one.points - one.returned for one in redemptions)
        for hold in holds:
            back = hold.points - min(hold.points, max(room, 0))
            room -= hold.points - back
            if hold.points == back:
                self._give_up(hold, "RELEASED")
            elif back:
                self._lower(hold, back)

    def _lower(self, hold: Hold, points: int) -> None:
        """Free so many points of a hold, first from the lot that expires last."""
        back: dict[Lot, int] = {}
        for lot in sorted(hold.parts, key=Lot.order, reverse=True):
            back[lot] = min(hold.parts[lot], points)
            points -= back[lot]
            hold.parts[lot] -= back[lot]
        self._put_back(hold.owner, _in_order({lot: part for lot, part in back.items() if part}))

    def _give_back_for(self, key: str, owner: str) -> None:
        """End the holds of a purchase that was called off. Return its redemptions if the program says so."""
        for hold in self.holds:
            if hold.pays_for == key and hold.state == "ACTIVE" and hold.owner == owner:
                self._give_up(hold, "RELEASED")
        if not self.return_on_cancel:
            return
        paid = [one for one in self.redemptions if one.pays_for == key and one.points > one.returned]
        paid = [one for one in paid if self.name(one.owner) == owner]
        for redemption, lots in [(one, sorted(one.parts, key=Lot.order, reverse=True)) for one in paid]:
            self._return(redemption, redemption.points - redemption.returned, lots)

    def _give_up(self, hold: Hold, state: str) -> None:
        hold.state = state
        self._put_back(hold.owner, _in_order(hold.parts))

    def _put_back(self, owner: str, parts: dict[Lot, int]) -> None:
        """Free held points: they pay debt first, and points of expired lots expire."""
        back = self._coming_back(owner, parts)
        self.people[owner].debt -= sum(parts.values()) - sum(back.values())
        for lot, part in parts.items():
            lot.held -= part
            lot.remaining = lot.remaining + back[lot] if lot.expires_at > self.now else 0

    def _coming_back(self, owner: str, parts: dict[Lot, int]) -> dict[Lot, int]:
        """Return what is left of freed points after debt was paid with the points that expire first."""
        debt_left, back = self.people[owner].debt, {}
        for lot, part in parts.items():
            back[lot] = max(0, part - debt_left)
            debt_left = max(0, debt_left - part)
        return back

    def _give_lot_back(self, owner: str, lot: Lot, points: int) -> None:
        """Return points to a lot. If the lot has expired, the points get days of grace or expire."""
        if lot.owner != owner:
            lot = Lot(owner, 0, lot.expires_at, lot.opened_at, len(self.lots), lot.cause, lot.days)
            self.lots.append(lot)
        if lot.expires_at <= self.now:
            lot.remaining = 0
            if self.restore is RestorePolicy.EXPIRE:
                return
            lot.expires_at = midnight_after((self.now + self.grace).astimezone(ZONE).date())
        lot.remaining += points


def _copied(value: Any) -> Any:
    return copy(value) if isinstance(value, dict | list) else value


def _is_stale(current: PurchaseStatus, told: PurchaseStatus) -> bool:
    """Tell whether a status is behind the present status, so that it changes nothing."""
    if current is told or current in CALLED_OFF or told in CALLED_OFF:
        return current is PurchaseStatus.REFUNDED and current is not told
    return RANK[told] < RANK[current]


def _status_after(order: Order, report: Report) -> PurchaseStatus:
    """Return the status after a report. A late report changes no status.

    A purchase that was called off by its first report waits for a report with a later time.
    """
    if order.generation:
        return order.status if order.is_late(report.at) else report.status
    return report.status if report.status in CALLED_OFF or order.is_newer(report.at) else order.status


def _is_lost(order: Order) -> bool:
    return order.accrual is not None and order.accrual.lost


def _refuse_order_of_times(known: dict[str, Any]) -> None:
    starts_at, ends_at = known.get("starts_at"), known.get("ends_at")
    if starts_at and ends_at and ends_at < starts_at:
        raise Refusal("INVALID_INPUT")


def _in_euros(report: Report, order: Order | None) -> dict[str, Any]:
    """Return the fields of a report in euros.

    Amounts in francs use the rate of the purchase, else that of the report.
    """
    told, known = dict(report.fields), order.rate if order else None
    if not report.tells_money or not report.in_francs:
        says_again = not report.tells_money and known == report.rate
        if report.rate is not None and not says_again:
            raise Refusal("INVALID_INPUT")
        return told
    if known is not None and report.rate not in (None, known):
        raise Refusal("INVALID_INPUT")
    rate = known or report.rate
    if rate is None:
        raise Refusal("CURRENCY_MISMATCH")
    changed: dict[str, Any] = dict(told)
    if "total" in told:
        changed["total"] = half_up(Fraction(str(told["total"])) * rate)
    if "lines" in told:
        changed["lines"] = tuple(line.in_euros(rate) for line in changed["lines"])
    return changed


def _keeps_lines(order: Order, status: PurchaseStatus) -> bool:
    """Tell whether a line that a report leaves out stays with the quantity 0, so that refunds find the other lines.

    It stays after a refund, and if the points are not valued again by the told lines.
    """
    is_fixed = order.accrual is not None and order.accrual.policy.revalue is Revalue.NEVER
    is_over = order.accrual is not None and status not in COURSE
    return bool(order.refunds) or is_fixed or is_over


def _align(known: tuple[Line, ...], told: tuple[Line, ...], *, keep: bool) -> tuple[Line, ...]:
    """Return the told lines in the order in which they are known. New lines come last."""
    by_item = {line.item: line for line in told}
    gone = {line.item: line._replace(quantity=Fraction(0), discount_minor=0) for line in known} if keep else {}
    first = [by_item.get(line.item, gone.get(line.item)) for line in known]
    places = {line.item for line in known}
    return (*(line for line in first if line), *(line for line in told if line.item not in places))


def _mark(report: Report) -> object:
    """Return a mark of a report. Two reports with the same mark are the same."""
    fields = tuple(sorted(report.fields, key=lambda one: one[0]))
    return (report.status, report.customer, fields, report.at, report.rate, report.tells_money and report.in_francs)


def _state(known: dict[str, Any], status: PurchaseStatus) -> object:
    lines = tuple(line for line in known["lines"] if line.quantity)
    return (known["total"], lines, known["staff"], known["starts_at"], known["ends_at"], status)


def _refund_of(order: Order, request: RefundOf) -> Refunded:
    """Return a refund in euros and with the items of its lines. Raises Refusal if there is not so much left."""
    if request.in_francs and order.rate is None:
        raise Refusal("CURRENCY_MISMATCH")
    rate = (order.rate or Fraction(1)) if request.in_francs else Fraction(1)
    asked = [(place, units, half_up(amount_minor * rate)) for place, units, amount_minor in request.lines]
    amount_minor, basket = half_up(request.amount_minor * rate), order.basket
    with_ids = {line.item: place for place, line in enumerate(order.lines) if line.has_id}
    if request.by_id and any(place not in with_ids for place, _, _ in asked):
        raise Refusal("INVALID_INPUT")
    places = [(with_ids[place] if request.by_id else place, units, amount) for place, units, amount in asked]
    if order.status is PurchaseStatus.REFUNDED:
        raise Refusal("REFUND_EXCEEDS_PURCHASE")
    if not places and not amount_minor:
        raise Refusal("INVALID_INPUT")
    lines: list[Taken] = []
    for place, units, amount in places:
        if place >= len(order.lines) or not (units or amount):
            raise Refusal("INVALID_INPUT")
        lines.append(Taken(order.lines[place].item, units, amount))
        if basket.share_left(lines[-1].item, *basket.taken(*lines)[lines[-1].item]) < 0:
            raise Refusal("REFUND_EXCEEDS_PURCHASE")
    money_minor = amount_minor + basket.money_of(lines)
    if money_minor > order.total_minor - order.refunded_minor:
        raise Refusal("REFUND_EXCEEDS_PURCHASE")
    return Refunded(tuple(lines), amount_minor, money_minor)


def _forfeits(policy: AccrualPolicy, status: PurchaseStatus) -> bool:
    if status is PurchaseStatus.REFUNDED and policy.refund is RefundPolicy.NONE:
        return False
    return status in policy.forfeit_on


def _kept(accrual: Accrual, basket: Basket) -> int:
    """Return the points that the frozen rules give for what refunds have left of a purchase."""
    if not _forfeits(accrual.policy, PurchaseStatus.REFUNDED) or not basket.refunds:
        return accrual.points
    left = basket.left()
    if not left.whole:
        return 0
    return accrual.points if accrual.policy.refund is RefundPolicy.FULL_ONLY else accrual.worth.points_for(left)


def _due_at(policy: AccrualPolicy, status: PurchaseStatus, ends_at: datetime | None, now: datetime) -> datetime | None:
    """Return when pending points mature; None if they wait for a call or for a status."""
    if policy.mature_on is MatureOn.SERVICE_ENDED and ends_at:
        return ends_at + timedelta(minutes=policy.delay_minutes)
    if policy.mature_on is MatureOn.MANUAL:
        return None
    waits = policy.mature_on in (MatureOn.PURCHASE_COMPLETED, MatureOn.SERVICE_ENDED)
    if waits and status is not PurchaseStatus.COMPLETED:
        return None
    return now + timedelta(minutes=policy.delay_minutes)


def _take(lots: Iterable[Lot], points: int) -> list[tuple[Lot, int]]:
    """Return how many points are taken of each lot, first of the lot that expires first."""
    taken = []
    for lot in sorted(lots, key=Lot.order):
        part = min(lot.remaining, points)
        points -= part
        if part:
            taken.append((lot, part))
    return taken


def _in_order(parts: dict[Lot, int]) -> dict[Lot, int]:
    return {lot: parts[lot] for lot in sorted(parts, key=Lot.order)}


def _split(parts: dict[Lot, int], points: int) -> tuple[dict[Lot, int], dict[Lot, int]]:
    """Return the parts of a hold that are spent, those that expire first, and the parts that are not spent."""
    spent, rest = {}, {}
    for lot in sorted(parts, key=Lot.order):
        spent[lot] = min(parts[lot], points)
        rest[lot] = parts[lot] - spent[lot]
        points -= spent[lot]
    return spent, rest


def _when_due(order: Order) -> tuple[datetime, int]:
    accrual = order.newest
    return (accrual.due_at or NEVER, accrual.number) if accrual else (NEVER, 0)


def _begin_of_day(moment: datetime) -> datetime:
    return midnight_after(moment.astimezone(ZONE).date() - timedelta(days=1))


def midnight_after(day: date) -> datetime:
    """Return the first instant of the next day in Berlin, where every midnight exists."""
    return datetime.combine(day + timedelta(days=1), time.min, ZONE).astimezone(UTC)
