"""What should happen to points, said a second time and naively: plain lists, no database, no entries, no caches.

A model is small enough to be read as the specification. It expires what is due before it does anything else, so it
knows nothing of sweepers; a refusal raises `Refusal` with the code that the service must answer with, and leaves the
model as it was.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import AccrualPolicy, EvaluateOn, MatureOn
from loyalty.rules.expiry import ExpiryKind, ExpiryPolicy
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.redemption import RestorePolicy
from loyalty.rules.refund import RefundPolicy

ZONE = ZoneInfo("Europe/Berlin")
NEVER = datetime.max.replace(tzinfo=UTC)
CENTS_PER_POINT = 100
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
    """Points that came together."""

    owner: str
    remaining: int
    expires_at: datetime
    opened_at: datetime
    number: int
    cause: "Accrual | None" = None
    days: int | None = None
    held: int = 0

    def order(self) -> tuple[datetime, datetime, int]:
        """Spent sooner is less."""
        return (self.expires_at, self.opened_at, self.number)


@dataclass(slots=True)
class Person:
    """What the account must show, besides the lots."""

    debt: int = 0
    earned: int = 0
    qualifying: int = 0


@dataclass(slots=True, eq=False)
class Accrual:
    """What one purchase earned in one of its lives."""

    number: int
    order: str
    generation: int
    points: int
    total_minor: int
    paid_minor: int
    policy: AccrualPolicy
    expiry: ExpiryPolicy
    due_at: datetime | None
    pending: bool = True
    lost: bool = False
    """Whether all of it was taken back."""
    voided: int = 0
    reversed: int = 0
    earned: int = 0
    taken: int = 0
    """What was credited, and what was really taken of it."""

    @property
    def left(self) -> int:
        """What has not been taken back."""
        return self.points - self.voided - self.reversed


@dataclass(frozen=True, slots=True)
class Report:
    """What one report tells: only what stands in `fields` was sent."""

    status: PurchaseStatus
    fields: tuple[tuple[str, object], ...]
    at: datetime | None = None
    key: str | None = None


@dataclass(slots=True, eq=False)
class Order:
    """A purchase."""

    owner: str
    total_minor: int
    status: PurchaseStatus
    generation: int
    evaluates_at: datetime | None = None
    known: dict[str, object] = field(default_factory=lambda: {"staff": None, "ends_at": None})
    times: dict[str, datetime | None] = field(default_factory=dict)
    newest_at: datetime | None = None
    log: list[tuple[object, object]] = field(default_factory=list)
    """Each fact: what was sent, and what was known after it."""
    keys: dict[str, object] = field(default_factory=dict)
    refunded_minor: int = 0
    shared: int = 0
    """How many points had paid for what was refunded, and how many of them went back."""
    given_back: int = 0
    newest: Accrual | None = None

    @property
    def ends_at(self) -> datetime | None:
        """The end of the service, if anybody told it."""
        return self.known["ends_at"]  # type: ignore[return-value]

    def is_new(self, name: str, at: datetime) -> bool:
        """Whether a late report tells something that no newer one has told."""
        told_at = self.times.get(name)
        return self.known.get(name) is None if name not in self.times else told_at is None or told_at < at

    @property
    def accrual(self) -> Accrual | None:
        """What it earned in the life that it lives now."""
        return self.newest if self.newest and self.newest.generation == self.generation else None


@dataclass(slots=True, eq=False)
class Hold:
    """Points at a checkout: how many of which lot."""

    owner: str
    parts: dict[Lot, int]
    ends_at: datetime
    pays_for: str | None
    state: str = "ACTIVE"

    @property
    def points(self) -> int:
        """All of it."""
        return sum(self.parts.values())


@dataclass(slots=True, eq=False)
class Redemption:
    """Points that were spent, and what of each lot has not been given back to it."""

    owner: str
    points: int
    parts: dict[Lot, int]
    pays_for: str | None
    returned: int = 0


@dataclass(slots=True)
class Model:
    """A salon: a point per whole euro, a point is worth a cent."""

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
        """Who somebody is by now."""
        return self.became.get(customer, customer)

    def lots_of(self, owner: str) -> list[Lot]:
        """The lots with something in them, in the order they are spent in."""
        return sorted((lot for lot in self.lots if lot.owner == owner and lot.remaining + lot.held), key=Lot.order)

    def available(self, owner: str) -> int:
        """What can be spent now."""
        return sum(lot.remaining for lot in self.lots_of(owner) if lot.expires_at > self.now)

    def held(self, owner: str) -> int:
        """What is set aside."""
        return sum(lot.held for lot in self.lots_of(owner))

    def pending(self, owner: str) -> int:
        """What is promised."""
        accruals = (order.newest for order in self.orders.values() if order.owner == owner)
        return sum(accrual.left for accrual in accruals if accrual and accrual.pending)

    # ── what can happen ──────────────────────────────────────────────────────────────────────────────────────────

    def report(self, key: str, customer: str, report: Report) -> None:  # noqa: C901
        """A purchase is reported; a report that says nothing new changes nothing."""
        before = self.orders.get(key)
        if before and self._is_told(before, report):
            return
        if report.at and report.at > self.now + AHEAD:
            raise Refusal("INVALID_INPUT")
        if before is None and "total" not in dict(report.fields):
            raise Refusal("INVALID_INPUT")
        owner = self.name(customer)
        alive = report.status not in CALLED_OFF
        fields = dict(report.fields)
        order = before or Order(owner, int(str(fields["total"])), report.status, 1 if alive else 0)
        news, status = self._news(order, report) if before else (fields, report.status)
        if news is None:
            return
        total_minor = int(str(news.get("total", order.total_minor)))
        if total_minor != order.total_minor and total_minor < order.refunded_minor:
            raise Refusal("REPORT_BELOW_REFUNDS")
        end_changed = "ends_at" in news and news["ends_at"] != order.ends_at
        moment = self._moment(report.at)
        lost = order.accrual is not None and order.accrual.lost
        alive_again = order.status in CALLED_OFF and status in COURSE
        if alive_again and (lost or not order.generation):
            order.generation += 1
        if before is None and any(self.name(one.owner) != owner for one in self._paying(key)[1]):
            raise Refusal("PURCHASE_OF_ANOTHER_CUSTOMER")
        accrual = order.accrual
        with self._nothing_left_of_a_refusal(order):
            order.known |= news
            order.total_minor = total_minor
            self._settle(key, order, status)
            if accrual is not None:
                valued = accrual.total_minor, accrual.paid_minor
                if status in COURSE and valued != (total_minor, self._counted_minor(key)):
                    self._revalue(order, accrual, self._counted_minor(key), (status, moment, end_changed))
                self._follow(order, accrual, status, moment, end_changed)
        if accrual is None and order.generation and self._is_evaluated(status, order.ends_at):
            self._accrue(key, order, status, moment)
        waits = order.accrual is None and order.generation and status in COURSE and order.ends_at
        order.evaluates_at = order.ends_at if waits and self.accrual.evaluate_on is EvaluateOn.SERVICE_ENDED else None
        if before is None:
            self.orders[key] = order
            self.people.setdefault(owner, Person())
        told_at = report.at or (order.newest_at if before and order.generation else None)
        order.times.update(dict.fromkeys(news, told_at))
        order.newest_at = max(filter(None, (report.at, order.newest_at)), default=None)
        order.status = status
        order.log.append((_mark(report), _state(order.known, status)))
        if report.key is not None:
            order.keys[report.key] = _mark(report)

    def refund(self, key: str, amount_minor: int, *, auto: bool) -> int:
        """A part of a purchase is paid back, with the points that had paid for it or without them.

        Returns how many points are left to give back.
        """
        order = self._order(key)
        gone = order.status is PurchaseStatus.REFUNDED
        if gone or order.refunded_minor + amount_minor > order.total_minor:
            raise Refusal("REFUND_EXCEEDS_PURCHASE")
        everything = order.refunded_minor + amount_minor == order.total_minor
        with self._nothing_left_of_a_refusal(order):
            left = self._give_points_of_refund_back(key, order, amount_minor, auto=auto)
            accrual = order.accrual
            if accrual is not None and not accrual.lost:
                kept = _kept(accrual, order.total_minor, order.refunded_minor + amount_minor)
                if accrual.left > kept:
                    self._take_from(order.owner, accrual, accrual.left - kept)
        order.refunded_minor += amount_minor
        order.log.append((None, None))
        if everything:
            order.evaluates_at = None
            if order.status not in CALLED_OFF:
                order.status = PurchaseStatus.REFUNDED
        return left

    def _give_points_of_refund_back(self, key: str, order: Order, amount_minor: int, *, auto: bool) -> int:
        refunded_minor = order.refunded_minor + amount_minor
        is_over = refunded_minor == order.total_minor and order.status not in CALLED_OFF
        holds, redemptions = self._paying(key)
        holds = [one for one in holds if one.owner == order.owner]
        redemptions = [one for one in redemptions if self.name(one.owner) == order.owner]
        paid = sum(one.points - one.returned for one in redemptions) + order.given_back
        held = sum(one.points for one in holds)
        paid += held if auto else 0
        due = min(max(0, paid * refunded_minor // order.total_minor - order.shared), amount_minor)
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
        """Somebody says that the points of a purchase have come."""
        order = self._order(key)
        accrual = order.accrual
        if accrual is None or 0 < accrual.points == accrual.voided:
            raise Refusal("NOT_FOUND")
        if accrual.pending:
            self._mature(order.owner, accrual)

    def adjust(self, customer: str, points: int, overdraft: Overdraft, until: date | None = None) -> None:
        """Points are given or taken by hand, as goodwill."""
        owner = self.name(customer)
        if points > 0:
            self._credit(owner, points, None, self._expiry(until=until))
            self.people[owner].qualifying += points
            return
        if self._debit(owner, -points, overdraft, self.lots_of(owner)) == 0:
            raise Refusal("INSUFFICIENT_POINTS")

    def hold(self, customer: str, points: int, minutes: int, pays_for: str | None, replaces: Hold | None) -> Hold:
        """Points are set aside at a checkout; those that the purchase itself has earned cannot pay for it."""
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
        """Held points, or some of them, are spent; the rest goes back."""
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
        """Held points go back."""
        if hold.state == "CAPTURED":
            raise Refusal("HOLD_ENDED")
        if hold.state == "ACTIVE":
            self._give_up(hold, "RELEASED")
            self._follow_points_paid(hold.pays_for)

    def give_back(self, redemption: Redemption, points: int) -> None:
        """Spent points come back to the lots they came from; what would live longest comes first."""
        if not 1 <= points <= redemption.points - redemption.returned:
            raise Refusal("RETURN_EXCEEDS_REDEMPTION")
        self._return(redemption, points, sorted(redemption.parts, key=Lot.order, reverse=True))
        order = self.orders.get(redemption.pays_for or "")
        if order is not None:
            # What had paid for the refunded part still counts as paid: it earns nothing when it comes back.
            order.given_back += max(0, min(points, order.shared - order.given_back))
        self._follow_points_paid(redemption.pays_for)

    def _return(self, redemption: Redemption, points: int, lots: list[Lot]) -> None:
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
        """A customer brings points along: to spend or owed, ever earned, for the tier. Once for each name."""
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
        """Two customers are one."""
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
        """What a sweeper does that nobody sees: what is due has expired already."""

    def evaluate_due(self) -> None:
        """Services have ended: what they earn is known."""
        due = [(one.evaluates_at, key) for key, one in self.orders.items() if one.evaluates_at]
        for at, key in sorted(due):
            if at <= self.now:
                self.orders[key].evaluates_at = None
                self._accrue(key, self.orders[key], self.orders[key].status, self._moment(at))

    def mature_due(self) -> None:
        """Promises are kept at their time."""
        for order in sorted(self.orders.values(), key=_when_due):
            accrual = order.newest
            if accrual and accrual.pending and accrual.due_at and accrual.due_at <= self.now:
                self._mature(order.owner, accrual)

    def end_holds(self) -> None:
        """Holds end by themselves."""
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
        """What happens inside is undone when it is refused in the end."""
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
        """When a report counts: when it came about, unless that is too long ago."""
        return self.now if at is None or at < self.now - LATEST else min(at, self.now)

    def _is_told(self, order: Order, report: Report) -> bool:
        if report.key in order.keys:
            if order.keys[report.key] != _mark(report):
                raise Refusal("IDEMPOTENCY_CONFLICT")
            return True
        return report.key is None and order.log[-1][0] == _mark(report)

    def _news(self, order: Order, report: Report) -> tuple[dict[str, object] | None, PurchaseStatus]:
        """What a further report tells that is new, and the status after it; nothing at all for a replay."""
        is_older = bool(report.at and order.newest_at and report.at < order.newest_at)
        fields = dict(report.fields)
        if is_older and report.at:
            fields = {name: value for name, value in fields.items() if order.is_new(name, report.at)}
        changed = any(order.known.get(name, value) != value for name, value in fields.items())
        is_late, status = bool(order.generation) and is_older, report.status
        if is_late:
            status = order.status
        elif not order.generation and status not in CALLED_OFF:
            came_later = report.at and (order.newest_at is None or report.at > order.newest_at)
            status = status if came_later else order.status
        newer = report.at is not None and (order.newest_at is None or report.at > order.newest_at)
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

    def _accrue(self, key: str, order: Order, status: PurchaseStatus, moment: datetime) -> None:
        paid_minor = self._counted_minor(key)
        earning_minor = max(0, order.total_minor - paid_minor)
        due_at = _due_at(self.accrual, status, order.ends_at, moment)
        self.evaluations += 1
        accrual = Accrual(
            number=self.evaluations,
            order=key,
            generation=order.generation,
            points=earning_minor // CENTS_PER_POINT,
            total_minor=order.total_minor,
            paid_minor=paid_minor,
            policy=self.accrual,
            expiry=self.expiry,
            due_at=due_at,
        )
        accrual.voided = accrual.points - _kept(accrual, order.total_minor, order.refunded_minor)
        order.newest = accrual
        if not accrual.left:
            accrual.pending, accrual.lost = False, accrual.points > 0
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
        accrual.pending = False
        self._expire_due(owner)
        self._keep_alive(owner)
        person = self.people.setdefault(owner, Person())
        person.earned += accrual.left
        person.qualifying += accrual.left
        accrual.earned += accrual.left
        self._credit(owner, accrual.left, accrual, self._expiry(accrual.expiry))

    def _take_from(self, owner: str, accrual: Accrual, points: int) -> None:
        if accrual.pending:
            accrual.voided += points
            accrual.lost = not accrual.left
            accrual.pending = not accrual.lost
            return
        if points:
            self._take_credited(owner, accrual, points)
        accrual.reversed += points
        accrual.lost = not accrual.left

    def _take_credited(self, owner: str, accrual: Accrual, points: int) -> None:
        lots = self.lots_of(owner)
        own_first = [lot for lot in lots if lot.cause is accrual] + [lot for lot in lots if lot.cause is not accrual]
        taken = self._debit(owner, points, accrual.policy.debt, own_first)
        accrual.taken += taken
        self.people[owner].earned -= taken
        self.people[owner].qualifying -= taken

    def _revalue(
        self, order: Order, accrual: Accrual, paid_minor: int, told: tuple[PurchaseStatus, datetime, bool]
    ) -> None:
        """A purchase costs something else than when it was valued, or points pay another part: less or more earns."""
        before, is_fresh = accrual.left, not accrual.pending and not accrual.earned
        accrual.total_minor, accrual.paid_minor = order.total_minor, paid_minor
        accrual.points = max(0, order.total_minor - paid_minor) // CENTS_PER_POINT
        gone = accrual.points - _kept(accrual, order.total_minor, order.refunded_minor)
        if accrual.pending or is_fresh:
            status, moment, end_changed = told
            moves = end_changed and accrual.policy.mature_on is MatureOn.SERVICE_ENDED
            if is_fresh and (accrual.due_at is None or moves):
                accrual.due_at = _due_at(accrual.policy, status, order.ends_at, moment)
            accrual.voided, accrual.reversed = gone, 0
            accrual.lost = 0 < accrual.points == gone
            accrual.pending = not accrual.lost
            return
        accrual.voided = min(accrual.voided, gone)
        accrual.reversed = gone - accrual.voided
        more = accrual.left - before
        forgotten = accrual.earned - accrual.taken - before
        if more < 0:
            self._take_credited(order.owner, accrual, -more)
        elif more > forgotten:
            points = more - forgotten
            self._keep_alive(order.owner)
            self.people[order.owner].earned += points
            self.people[order.owner].qualifying += points
            accrual.earned += points
            self._credit(order.owner, points, accrual, self._expiry(accrual.expiry))
        accrual.lost = 0 < accrual.reversed == accrual.points - accrual.voided

    def _follow_points_paid(self, key: str | None) -> None:
        """Points pay more or less of a purchase that was valued already."""
        order = self.orders.get(key) if key is not None else None
        accrual = order.accrual if order else None
        if key is None or order is None or accrual is None or order.status not in COURSE:
            return
        if accrual.paid_minor != self._counted_minor(key):
            self._revalue(order, accrual, self._counted_minor(key), (order.status, self.now, False))
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

    def _expiry(self, policy: ExpiryPolicy | None = None, until: date | None = None) -> tuple[datetime, int | None]:
        """From when on points that come now cannot be spent, and how many days without activity let them go."""
        policy = policy or self.expiry
        days = policy.days if policy.kind is ExpiryKind.INACTIVITY else None
        if until is not None:
            return _midnight_after(until), None
        if policy.kind is ExpiryKind.NONE:
            return NEVER, None
        return _midnight_after(self.now.astimezone(ZONE).date() + timedelta(days=policy.days)), days

    def _keep_alive(self, owner: str) -> None:
        for lot in self.lots_of(owner):
            if lot.days is not None and lot.expires_at > self.now:
                alive = _midnight_after(self.now.astimezone(ZONE).date() + timedelta(days=lot.days))
                lot.expires_at = max(lot.expires_at, alive)

    def _paying(self, key: str | None) -> tuple[list[Hold], list[Redemption]]:
        """What points pay of a purchase: active holds, and redemptions with something left."""
        if key is None:
            return [], []
        holds = [hold for hold in self.holds if hold.pays_for == key and hold.state == "ACTIVE"]
        return holds, [one for one in self.redemptions if one.pays_for == key and one.points > one.returned]

    def _paid_minor(self, key: str | None, but: Hold | None = None) -> int:
        holds, redemptions = self._paying(key)
        held = sum(hold.points for hold in holds if hold is not but)
        return held + sum(one.points - one.returned for one in redemptions)

    def _counted_minor(self, key: str) -> int:
        """What a valuation takes as paid with points: what pays, and what had paid for the refunded part."""
        order = self.orders.get(key)
        return self._paid_minor(key) + (order.given_back if order else 0)

    def _payable_minor(self, key: str | None) -> int:
        """The subtotal of every checkout is 100.00; a purchase that is recorded with less costs less."""
        order = self.orders.get(key or "")
        return 10_000 if order is None else min(10_000, order.total_minor - order.refunded_minor)

    def _refuse_payer(self, owner: str, key: str | None) -> None:
        """Only its owner pays for a purchase: whose it is recorded for, else whose points pay for it already."""
        order = self.orders.get(key or "")
        holds, redemptions = self._paying(key)
        payers = [*(one.owner for one in holds), *(one.owner for one in redemptions)]
        owners = {self.name(payer) for payer in payers} if order is None else {order.owner}
        if owners - {owner}:
            raise Refusal("PURCHASE_OF_ANOTHER_CUSTOMER")
        if order is not None and order.status not in COURSE:
            raise Refusal("PURCHASE_ENDED")

    def _settle(self, key: str, order: Order, status: PurchaseStatus) -> None:
        """What points pay follows a report: others get their holds back, and what passes the total goes back too."""
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
        back: dict[Lot, int] = {}
        for lot in sorted(hold.parts, key=Lot.order, reverse=True):
            back[lot] = min(hold.parts[lot], points)
            points -= back[lot]
            hold.parts[lot] -= back[lot]
        self._put_back(hold.owner, _in_order({lot: part for lot, part in back.items() if part}))

    def _give_back_for(self, key: str, owner: str) -> None:
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
        back = self._coming_back(owner, parts)
        self.people[owner].debt -= sum(parts.values()) - sum(back.values())
        for lot, part in parts.items():
            lot.held -= part
            lot.remaining = lot.remaining + back[lot] if lot.expires_at > self.now else 0

    def _coming_back(self, owner: str, parts: dict[Lot, int]) -> dict[Lot, int]:
        """What is left of held points when debt has been paid from those that would expire first."""
        debt_left, back = self.people[owner].debt, {}
        for lot, part in parts.items():
            back[lot] = max(0, part - debt_left)
            debt_left = max(0, debt_left - part)
        return back

    def _give_lot_back(self, owner: str, lot: Lot, points: int) -> None:
        if lot.owner != owner:
            lot = Lot(owner, 0, lot.expires_at, lot.opened_at, len(self.lots), lot.cause, lot.days)
            self.lots.append(lot)
        if lot.expires_at <= self.now:
            lot.remaining = 0
            if self.restore is RestorePolicy.EXPIRE:
                return
            lot.expires_at = _midnight_after((self.now + self.grace).astimezone(ZONE).date())
        lot.remaining += points


def _copied(value: Any) -> Any:
    return copy(value) if isinstance(value, dict | list) else value


def _is_stale(current: PurchaseStatus, told: PurchaseStatus) -> bool:
    if current is told or current in CALLED_OFF or told in CALLED_OFF:
        return current is PurchaseStatus.REFUNDED and current is not told
    return RANK[told] < RANK[current]


def _mark(report: Report) -> object:
    """What makes two reports the same."""
    return (report.status, frozenset(report.fields), report.at)


def _state(known: dict[str, object], status: PurchaseStatus) -> object:
    return (known["total"], known["staff"], known["ends_at"], status)


def _forfeits(policy: AccrualPolicy, status: PurchaseStatus) -> bool:
    if status is PurchaseStatus.REFUNDED and policy.refund is RefundPolicy.NONE:
        return False
    return status in policy.forfeit_on


def _kept(accrual: Accrual, total_minor: int, refunded_minor: int) -> int:
    """What the frozen rule gives for what is left: a point per whole euro that was not paid with points.

    The share that is left is one of the total as it is now; it is taken of what was valued last.
    """
    if not _forfeits(accrual.policy, PurchaseStatus.REFUNDED) or not refunded_minor:
        return accrual.points
    left_minor = total_minor - refunded_minor
    if accrual.policy.refund is RefundPolicy.FULL_ONLY and left_minor:
        return accrual.points
    earning_minor = max(0, accrual.total_minor - accrual.paid_minor)
    return left_minor * earning_minor // (total_minor * CENTS_PER_POINT)


def _due_at(policy: AccrualPolicy, status: PurchaseStatus, ends_at: datetime | None, now: datetime) -> datetime | None:
    if policy.mature_on is MatureOn.SERVICE_ENDED and ends_at:
        return ends_at + timedelta(minutes=policy.delay_minutes)
    if policy.mature_on is MatureOn.MANUAL:
        return None
    waits = policy.mature_on in (MatureOn.PURCHASE_COMPLETED, MatureOn.SERVICE_ENDED)
    if waits and status is not PurchaseStatus.COMPLETED:
        return None
    return now + timedelta(minutes=policy.delay_minutes)


def _take(lots: Iterable[Lot], points: int) -> list[tuple[Lot, int]]:
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
    """What is spent of held points, those first that would expire first, and what is not."""
    spent, rest = {}, {}
    for lot in sorted(parts, key=Lot.order):
        spent[lot] = min(parts[lot], points)
        rest[lot] = parts[lot] - spent[lot]
        points -= spent[lot]
    return spent, rest


def _when_due(order: Order) -> tuple[datetime, int]:
    accrual = order.newest
    return (accrual.due_at or NEVER, accrual.number) if accrual else (NEVER, 0)


def _midnight_after(day: date) -> datetime:
    """The first instant of the next day in Berlin, where every midnight exists."""
    return datetime.combine(day + timedelta(days=1), time.min, ZONE).astimezone(UTC)
