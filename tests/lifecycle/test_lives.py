"""Whatever happens in whatever order, the ledger adds up and says what a few plain lists say.

A hypothesis state machine drives the real services, with a clock it moves, beside a small model. After every step the
accounts, their lots and the refusals agree; at the end of every life `verify` holds. A failing life is printed as the
steps that lead there, shrunk; SEED repeats a whole run.
"""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from functools import partial
from typing import Any, ClassVar, NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from loyalty.rules.absent import ABSENT
from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import FORFEITABLE, AccrualPolicy, EvaluateOn, MatureOn, Revalue
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.errors import LoyaltyError
from loyalty.rules.expiry import ExpiryKind, ExpiryPolicy
from loyalty.rules.ids import HoldId, RedemptionId
from loyalty.rules.money import Money, Ratio
from loyalty.rules.opening import OpeningNumbers
from loyalty.rules.program import ProgramSettings
from loyalty.rules.purchase import LineKind, PurchaseKind, PurchaseLine, PurchaseStatus
from loyalty.rules.purchase_report import PurchaseReport
from loyalty.rules.quantity import simplify_quantity
from loyalty.rules.redemption import RestorePolicy
from loyalty.rules.refund import BY_LINE_ID, LineRefund, Refund, RefundPolicy
from loyalty.rules.refund_points import ReturnPoints
from loyalty.services.adjustment import adjust_points
from loyalty.services.customer import CustomerKey
from loyalty.services.customer_merge import MergeRequest, merge_customers
from loyalty.services.hold import HoldRequest
from loyalty.services.opening_balance import Opening, import_opening_balances
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import record_purchase, record_purchases
from loyalty.services.purchase_change import PurchaseName
from loyalty.services.purchase_reassign import ReassignRequest, reassign_purchase
from loyalty.services.purchase_recording import PurchaseRecording
from loyalty.services.redemption import capture_hold, hold_points, release_hold, return_redemption
from loyalty.services.refund import RefundRequest, mature_purchase, refund_purchase
from loyalty.services.tenant_sweeps import SWEEP_BY_NAME, SWEEPS
from loyalty.services.world import World
from loyalty.storage.points_paid import PurchaseKey
from runtime.roles import DatabaseUrls
from tests.lifecycle.basket import CARD, ITEMS, RATE, TIP, ZONE, Line
from tests.lifecycle.model import NEVER, Hold, Model, Order, Redemption, RefundOf, Refusal, Report
from tests.lifecycle.stage import TIERS, Seen, Stage
from tests.loyalty.services.builders import NOON, adjustment, at, checkout
from tests.soak import SEED, STEPS, Clock

STEPS_OF_A_LIFE = 100
LIVES_OF_A_RUN = 40
CUSTOMERS = ("anna", "ben", "cem", "dana")
ORDERS = 16
OPERATIONS = (
    "report_many",
    "report",
    "refund",
    "mature",
    "adjust",
    "hold",
    "capture",
    "release",
    "give_back",
    "bring_along",
    "merge",
    "reassign",
    "refund of lines",
    "refund of an amount",
    "report of lines",
    "report in francs",
    "report without lines",
    "sweep",
)
"""Each must have been done at least once in 2,000 steps of a run: in some runs few lives come to a return."""
SETTINGS = settings(
    max_examples=LIVES_OF_A_RUN,
    stateful_step_count=STEPS_OF_A_LIFE,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

SWEPT_BY_CARDS = {"gift_card_holds": "end_holds", "gift_card_expiry": "let_expire"}
SWEPT = {"evaluation": "evaluate_due", "maturing": "mature_due", "holds": "end_holds"}
"""The sweeps that change what the model says; it expires by itself, and tells nobody."""


class Told(NamedTuple):
    """The content of a report, by numbers from which `Life._report` makes values. 0 leaves a field out."""

    status: PurchaseStatus
    total: int = 1
    lines: tuple[tuple[int, int], ...] | None = None
    staff: int = 0
    start: int = 0
    day: int = 0
    hours_ago: int | None = None
    key: int = 0
    money: int = 0
    buyer: int = 0


lines = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 23)), max_size=4, unique_by=lambda one: one[0])
reports = st.builds(
    Told,
    status=st.sampled_from(PurchaseStatus),
    total=st.sampled_from([0, 0, 1, 1, 1, 2, 3, 4, 4, 4, 5, 6]),
    lines=st.one_of(st.none(), lines.map(tuple)),
    staff=st.integers(0, 3),
    start=st.sampled_from([0, 0, 0, 1, 2, 3, 4]),
    day=st.sampled_from([0, 0, 1, 1, 2, 3, 4]),
    hours_ago=st.sampled_from([None, None, None, -2, 0, 1, 5, 30, 1_000]),
    key=st.sampled_from([0, 0, 0, 1, 2]),
    money=st.sampled_from([0, 0, 0, 0, 0, 0, 1, 2, 3]),
    buyer=st.sampled_from([0] * 10 + [1, 2, 3]),
)
QUANTITIES = (Fraction(1), Fraction(3, 2), Fraction(2), Fraction(1, 4), Fraction(3), Fraction(1, 8))
PRICES = (4_000, 999, 1_250, 333, 2_500)
customers = st.sampled_from(CUSTOMERS)
orders = st.integers(0, ORDERS - 1)
some = st.integers(0, 1_000)
parts = st.integers(1, 100)
durations = st.sampled_from(
    [*(timedelta(minutes=minutes) for minutes in (1, 3, 20, 120, 700)), timedelta(days=1), timedelta(days=15)]
)


K = TypeVar("K")
T = TypeVar("T")


class Life(RuleBasedStateMachine):
    """One salon from its first day on."""

    stage: ClassVar[Stage]

    def __init__(self) -> None:
        super().__init__()
        self.world, self.salon = self.stage.begin()
        self.asked = 0
        self.holds: list[tuple[HoldId, Hold]] = []
        self.redemptions: list[tuple[RedemptionId, Redemption]] = []
        self.model = Model(ExpiryPolicy(), NOON)

    @rule(kind=st.sampled_from([ExpiryKind.NONE, ExpiryKind.FIXED_DURATION, ExpiryKind.INACTIVITY]), days=parts)
    def change_expiry(self, kind: ExpiryKind, days: int) -> None:
        """Set another expiry for points that come from now on. Evaluated purchases keep theirs."""
        policy = ExpiryPolicy() if kind is ExpiryKind.NONE else ExpiryPolicy(kind, days=days)
        self.model.expiry = policy
        self._set(lambda it: replace(it, expiry=policy))

    @rule(
        evaluate_on=st.sampled_from([EvaluateOn.PURCHASE_CREATED, EvaluateOn.PURCHASE_PAID, EvaluateOn.SERVICE_ENDED]),
        mature_on=st.sampled_from(
            [MatureOn.EVALUATION, MatureOn.PURCHASE_COMPLETED, MatureOn.SERVICE_ENDED, MatureOn.MANUAL]
        ),
        delay=st.sampled_from([0, 0, 60, 3_000]),
        forfeit_on=st.sampled_from([FORFEITABLE, FORFEITABLE, {PurchaseStatus.CANCELLED}, {PurchaseStatus.REFUNDED}]),
        debt=st.sampled_from(Overdraft),
        refund=st.sampled_from(RefundPolicy),
        revalue=st.sampled_from([Revalue.ALWAYS, Revalue.ALWAYS, Revalue.ALWAYS, Revalue.NEVER]),
    )
    def change_settings(
        self,
        evaluate_on: EvaluateOn,
        mature_on: MatureOn,
        delay: int,
        forfeit_on: set[PurchaseStatus],
        debt: Overdraft,
        refund: RefundPolicy,
        revalue: Revalue,
    ) -> None:
        """Change settings for decisions from now on. Earlier decisions stay."""
        policy = AccrualPolicy(
            evaluate_on=evaluate_on,
            mature_on=mature_on,
            delay_minutes=delay,
            forfeit_on=frozenset(forfeit_on),
            debt=debt,
            refund=refund,
            revalue=revalue,
        )
        self.model.accrual = policy
        self._set(lambda it: replace(it, accrual=policy))

    @rule(restore=st.sampled_from(RestorePolicy), returns=st.booleans())
    def change_returns(self, restore: RestorePolicy, returns: bool) -> None:  # noqa: FBT001 - hypothesis calls it
        """Set how spent points come back from now on."""
        self.model.restore, self.model.return_on_cancel = restore, returns
        self._set(lambda it: replace(it, redemption=replace(it.redemption, restore=restore, return_on_cancel=returns)))

    @rule(number=orders, told=reports)
    def report(self, number: int, told: Told) -> None:
        """Report a purchase, something new about it, or the same again."""
        report = self._report(number, told)
        self._both(
            "report",
            lambda: self._say_report(number, report),
            lambda: record_purchase(self._now, self.salon.integration, _recording(number, report)),
        )

    @rule(number=orders)
    def buy(self, number: int) -> None:
        """Report a purchase, mostly a new one."""
        status = PurchaseStatus.COMPLETED if number % 3 else PurchaseStatus.CREATED
        lines = ((number % 5, number), ((number + 2) % 5, number // 2), ((number + 3) % 5, 7))
        told = lines[: number % 4] if number % 3 else None
        self.report(number, Told(status, total=4 if told else 1, lines=told, start=number % 3, day=number % 2))

    @rule(batch=st.lists(st.tuples(orders, reports), min_size=2, max_size=6, unique_by=lambda one: one[0]))
    def report_many(self, batch: list[tuple[int, Told]]) -> None:
        """Report a batch. Its result is as if its items had come one by one, and a refused item affects no other."""
        told = [(number, self._report(number, one)) for number, one in batch]
        recordings = [_recording(*one) for one in told]

        def say() -> list[str]:
            return [_code_of(partial(self._say_report, *one)) for one in told]

        async def record() -> list[str]:
            results = await record_purchases(self._now, self.salon.integration, recordings)
            return [result.code if isinstance(result, LoyaltyError) else "" for result in results]

        said, done = self._both("report_many", say, record)
        assert said == done

    @rule(
        number=orders,
        percent=parts,
        cents=st.integers(-1, 1),
        lines=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 7)), max_size=2),
        how=st.integers(0, 11),
        auto=st.booleans(),
    )
    def refund(
        self, number: int, percent: int, cents: int, lines: list[tuple[int, int]], how: int, *, auto: bool
    ) -> None:
        """Refund a part of a purchase, down to the cent, with or without the points that had paid for it."""
        number = self._mostly(number, lambda order: order.status is not PurchaseStatus.REFUNDED)
        known = self.model.orders.get(str(number))
        total_minor = known.total_minor if known else _total_minor(number)
        amount_minor = 0 if lines and how % 3 else max(0, total_minor * percent // 100 + cents)
        asked = RefundOf(
            self._lines_of_refund(known, lines), amount_minor, by_id=how == 1, in_francs=how == 2, auto=auto
        )
        refund = Refund(tuple(_line_refund(asked.by_id, *one) for one in asked.lines), amount_minor)
        currency = "CHF" if asked.in_francs else "EUR"
        request = RefundRequest(_named(number), refund, currency, None, None, self._key())
        request = request._replace(return_points=ReturnPoints.AUTO if auto else ReturnPoints.NONE)
        self.stage.note("refund of lines" if lines else "refund of an amount")
        made = self._both(
            "refund",
            lambda: self.model.refund(str(number), asked),
            lambda: refund_purchase(self._now, self.salon.integration, request),
        )
        if made:
            assert made[1].split.points == made[0]
            assert made[1].split.money.amount_minor >= 0

    @rule(number=orders, right=customers)
    def reassign(self, number: int, right: str) -> None:
        """Move a purchase that was recorded for the wrong customer."""
        number = self._mostly(number, lambda order: not order.refunds)
        request = ReassignRequest(_named(number), CustomerKey(external_id=right), None, self._key())
        made = self._both(
            "reassign",
            lambda: self.model.reassign(str(number), right),
            lambda: reassign_purchase(self._now, self.salon.manager, request),
        )
        if made:
            assert (made[1].taken_points, made[1].given_points) == made[0]

    @rule(number=orders)
    def mature(self, number: int) -> None:
        """Let pending points mature by hand."""
        number = self._mostly(number, lambda order: order.accrual is not None and order.accrual.pending)
        self._both(
            "mature",
            lambda: self.model.mature(str(number)),
            lambda: mature_purchase(self._now, self.salon.manager, _named(number), self._key()),
        )

    @rule(customer=customers, points=st.integers(-150, 100), overdraft=st.sampled_from(Overdraft), days=some)
    def adjust(self, customer: str, points: int, overdraft: Overdraft, days: int) -> None:
        """Add or take points by hand, sometimes with a last day of their own."""
        if not self._knows(customer) or not points:
            return
        until = self._today + timedelta(days=days) if points > 0 and days < 60 else None
        request = adjustment(points, self._key(), customer=customer, overdraft=overdraft, expires_on=until)
        self._both(
            "adjust",
            lambda: self.model.adjust(customer, points, overdraft, until),
            lambda: adjust_points(self._now, self.salon.manager, request),
        )

    @rule(customer=customers, points=parts, minutes=st.sampled_from([5, 600, 10_000]), number=orders, replaces=some)
    def hold(self, customer: str, points: int, minutes: int, number: int, replaces: int) -> None:
        """Set points aside, for a purchase or for one that is never recorded, sometimes in place of another hold."""
        if not self._knows(customer):
            return
        owner = self.model.name(customer)
        mine = [one for one in self.holds if one[1].owner == owner]
        before = mine[replaces % len(mine)] if mine and replaces % 3 == 0 else None
        pays_for = str(number) if replaces % 4 else None
        key = self._key()
        request = HoldRequest(
            customer=CustomerKey(external_id=customer),
            points=points,
            checkout=checkout(purchase=f"order-{number}" if pays_for else f"cart {key}"),
            minutes=minutes,
            replaces=before[0] if before else None,
            idempotency_key=key,
        )
        made = self._both(
            "hold",
            lambda: self.model.hold(customer, points, minutes, pays_for, before[1] if before else None),
            lambda: hold_points(self._now, self.salon.integration, request),
        )
        if made:
            self.holds.append((made[1].hold.id, made[0]))

    @precondition(lambda self: self.holds)
    @rule(which=some, percent=parts)
    def capture(self, which: int, percent: int) -> None:
        """Spend held points, or a part of them."""
        hold_id, hold = _one_of(self.holds, which, lambda it: it.state == "ACTIVE" and it.ends_at > self.model.now)
        self._capture(hold_id, hold, max(1, hold.points * percent // 100))

    @rule(number=orders, points=parts, percent=parts)
    def pay(self, number: int, points: int, percent: int) -> None:
        """Set points aside for an order, and spend all or a part of them at once."""
        known = self.model.orders.get(str(number))
        customer = known.called if known else CUSTOMERS[number % len(CUSTOMERS)]
        if not self._knows(customer):
            return
        self.adjust(customer, points, Overdraft.REJECT, 100)
        made = len(self.holds)
        self.hold(customer, points, 600, number, replaces=1)
        if len(self.holds) > made:
            hold_id, hold = self.holds[-1]
            self._capture(hold_id, hold, max(1, hold.points * percent // 100))

    def _capture(self, hold_id: HoldId, hold: Hold, points: int) -> None:
        """Capture a hold in the model and in the service, and keep the redemption."""
        made = self._both(
            "capture",
            lambda: self.model.capture(hold, points),
            lambda: capture_hold(self._now, self.salon.integration, hold_id, points, self._key()),
        )
        if made:
            self.redemptions.append((made[1].redemption.id, made[0]))

    @precondition(lambda self: self.holds)
    @rule(which=some)
    def release(self, which: int) -> None:
        """Free held points."""
        hold_id, hold = _one_of(self.holds, which, lambda it: it.state == "ACTIVE")
        self._both(
            "release",
            lambda: self.model.release(hold),
            lambda: release_hold(self._now, self.salon.integration, hold_id, self._key()),
        )

    @precondition(lambda self: self.redemptions)
    @rule(which=some, percent=parts)
    def give_back(self, which: int, percent: int) -> None:
        """Return spent points, or a part of them."""
        redemption_id, redemption = _one_of(self.redemptions, which, lambda it: it.points > it.returned)
        points = max(1, redemption.points * percent // 100)
        self._both(
            "give_back",
            lambda: self.model.give_back(redemption, points),
            lambda: return_redemption(self._now, self.salon.integration, redemption_id, points, None, self._key()),
        )

    @rule(customer=customers, points=some, earned=some, days=some)
    def bring_along(self, customer: str, points: int, earned: int, days: int) -> None:
        """Import an opening balance. The second one of a customer must be the first again."""
        numbers = (points % 60 - 10, earned % 300, points % 200)
        if self._knows(customer) and points % 7:
            return
        until = self._today + timedelta(days=days) if days < 60 else None
        opening = Opening(CustomerProfile(customer), OpeningNumbers(*numbers), until)

        async def bring() -> None:
            (result,) = await import_opening_balances(self._now, self.salon.manager, [opening])
            if isinstance(result, LoyaltyError):
                raise result

        self._both("bring_along", lambda: self.model.open(customer, numbers, until), bring)

    @rule(leaves=customers, stays=customers, sure=st.integers(0, 4))
    def merge(self, leaves: str, stays: str, sure: int) -> None:
        """Merge two customers, but not often, or nobody would be left."""
        if sure or not (self._knows(leaves) and self._knows(stays)):
            return
        request = MergeRequest(CustomerKey(external_id=leaves), CustomerKey(external_id=stays), None, self._key())
        self._both(
            "merge",
            lambda: self.model.merge(leaves, stays),
            lambda: merge_customers(self._now, self.salon.manager, request),
        )

    @rule(by=durations)
    def pass_time(self, by: timedelta) -> None:
        """Put the clock on, without a sweep."""
        self.model.now += by
        self.stage.count("pass_time")

    @rule(name=st.sampled_from(list(SWEEP_BY_NAME)))
    def sweep(self, name: str) -> None:
        """Run one of the sweeps."""

        async def come_by() -> None:
            await SWEEP_BY_NAME[name].work(self._now, self.salon.tenant_id)

        self._both("sweep", getattr(self.model, SWEPT.get(name, "do_nothing")), come_by)

    def teardown(self) -> None:
        """Run all sweeps at the end of a life, and check every invariant."""
        self.stage.run(self._sweep_all())
        for sweep in SWEPT.values():
            getattr(self.model, sweep)()
        self._compare()
        self.stage.prove(self.salon)

    # ── how it is compared ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def _now(self) -> World:
        return at(self.world, self.model.now)

    @property
    def _today(self) -> Any:
        return self.model.now.astimezone(ZONE).date()

    async def _sweep_all(self) -> None:
        done = 1
        while done:
            done = sum([(await sweep.work(self._now, self.salon.tenant_id)).done for sweep in SWEEPS])

    def _key(self) -> str:
        self.asked += 1
        return f"key-{self.asked}"

    def _mostly(self, number: int, is_wanted: Callable[[Order], bool]) -> int:
        """Return mostly an order for which ``is_wanted`` is true, sometimes any other."""
        wanted = [int(key) for key, order in self.model.orders.items() if is_wanted(order)]
        return wanted[number % len(wanted)] if wanted and number % 5 else number

    def _knows(self, customer: str) -> bool:
        return customer in self.model.people or customer in self.model.became

    def _set(self, change: Callable[[ProgramSettings], ProgramSettings]) -> None:
        self.stage.count("settings")
        self.stage.run(update_program(self._now, self.salon.manager, ProgramEdit(change, None)))

    def _report(self, number: int, told: Told) -> Report:
        """Return a report.

        Fields of an order may change, be left out or be taken away; every fourth order is in francs.
        """
        day, total_minor = NOON + timedelta(hours=7 * number), _total_minor(number)
        lines = None if told.lines is None else tuple(_line(*one) for one in told.lines)
        of_lines = sum(line.amount_minor for line in lines or ())
        totals = (ABSENT, total_minor, total_minor // 3, total_minor * 2, of_lines, of_lines * 4 // 5, 0)
        fields = {
            "total": ABSENT if told.total in (4, 5) and not lines else totals[told.total],
            "lines": ABSENT if lines is None else lines,
            "staff": (ABSENT, None, "mara", "ben")[told.staff],
            "starts_at": (ABSENT, day - timedelta(hours=1), day + timedelta(days=1), day - timedelta(days=1), None)[
                told.start
            ],
            "ends_at": (ABSENT, day, day + timedelta(days=1), None, day + timedelta(days=3))[told.day],
        }
        ago = None if told.hours_ago is None else timedelta(hours=told.hours_ago)
        tells_money = fields["total"] is not ABSENT or bool(lines)
        in_francs = number % 4 == 1 and told.money != 3
        rate = RATE if tells_money and in_francs else None
        return Report(
            told.status,
            self._name_buyer(number, told.buyer),
            tuple((name, value) for name, value in fields.items() if value is not ABSENT),
            None if ago is None else self.model.now - ago,
            f"report-{told.key}" if told.key else None,
            (rate, None, RATE - Fraction(1, 10), rate)[told.money],
            in_francs,
        )

    def _name_buyer(self, number: int, how: int) -> str:
        """Return a customer: mostly the one who was named last, also the first buyer, and sometimes another one."""
        known = self.model.orders.get(str(number))
        first = CUSTOMERS[number % len(CUSTOMERS)]
        return (known.called if known else first, first, CUSTOMERS[(number + 1) % 4], CUSTOMERS[(number + 2) % 4])[how]

    def _lines_of_refund(
        self, order: Order | None, lines: list[tuple[int, int]]
    ) -> tuple[tuple[int, Fraction, int], ...]:
        """Return lines to refund: units or an amount of a line, sometimes of a line that is not there."""
        asked = []
        for place, how in lines:
            known = order.lines[place].quantity if order and place < len(order.lines) else Fraction(1)
            units = (known, known, known / 2, Fraction(1), Fraction(1, 8), Fraction(1, 4), Fraction(0), known * 2)[how]
            asked.append((place, units if 8 * units % 1 == 0 else known, 100 if how == 6 else 7 if how == 4 else 0))
        return tuple(asked)

    def _say_report(self, number: int, report: Report) -> None:
        self.stage.note("report of lines" if "lines" in dict(report.fields) else "report without lines")
        if report.in_francs and report.tells_money:
            self.stage.note("report in francs")
        self.model.report(str(number), report)

    def _both(self, what: str, said: Callable[[], Any], done: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Let the model say what must happen, and let the service do it. Return both results; None after a refusal."""
        made = self.stage.do_both(what, said, done)
        self._compare()
        return made

    def _compare(self) -> None:
        """Fail if a stored account differs from the model, or its lots do not add up."""
        seen = self.stage.look(self.salon)
        assert seen.keys() == self.model.people.keys()
        for name, account in seen.items():
            assert _shown(account, self.model.now) == _said(self.model, name)
            lots = account.lots or []
            assert account.available == sum(lot[0] for lot in lots)
            assert account.held == sum(lot[1] for lot in lots)
            assert account.entered == account.available + account.held - account.debt


def _code_of(said: Callable[[], None]) -> str:
    """The code of a refusal, or nothing."""
    try:
        said()
    except Refusal as refusal:
        return str(refusal)
    return ""


def _one_of(made: list[tuple[K, T]], which: int, is_wanted: Callable[[T], bool]) -> tuple[K, T]:
    """Return mostly a thing for which ``is_wanted`` is true, sometimes any other."""
    wanted = [one for one in made if is_wanted(one[1])] if which % 5 else []
    return (wanted or made)[which % len(wanted or made)]


def _line(item: int, how: int) -> Line:
    """Return a line of an item. ``how`` chooses its quantity, its discount, and whether it has an id."""
    line = Line(item, QUANTITIES[how % 6], PRICES[item], 0, how < 12)
    return line._replace(discount_minor=line.amount_minor // 3 if how % 4 == 3 else 0)


def _recording(number: int, report: Report) -> PurchaseRecording:
    """Return a report of the model in the form for the service."""
    told: dict[str, Any] = dict(report.fields)
    currency = "CHF" if report.in_francs else "EUR"
    if "total" in told:
        told["total"] = Money(told["total"], currency)
    if "lines" in told:
        told["lines"] = tuple(_purchase_line(line) for line in told["lines"])
    sent = PurchaseReport(
        PurchaseKind.ORDER,
        f"order-{number}",
        **told,
        occurred_at=report.at,
        line_currency=currency if told.get("lines") else None,
        exchange_rate=None if report.rate is None else Ratio(report.rate.numerator, report.rate.denominator),
    )
    return PurchaseRecording(sent, report.status, CustomerProfile(report.customer), report.key)


def _purchase_line(line: Line) -> PurchaseLine:
    kind = {TIP: LineKind.TIP, CARD: LineKind.GIFT_CARD}.get(line.item, LineKind.ITEM)
    quantity = simplify_quantity(line.quantity)
    line_id = _line_id(line.item) if line.has_id else None
    return PurchaseLine(
        ITEMS[line.item], None, quantity, line.price_minor, line.discount_minor, kind=kind, line_id=line_id
    )


def _line_refund(by_id: bool, place: int, units: Fraction, amount_minor: int) -> LineRefund:  # noqa: FBT001
    """Return a refund of units and an amount of a line, which is named by its position or by its id."""
    units_of = simplify_quantity(units)
    if by_id:
        return LineRefund(BY_LINE_ID, units_of, amount_minor, _line_id(place))
    return LineRefund(place, units_of, amount_minor)


def _line_id(item: int) -> str:
    return f"line-{ITEMS[item]}"


def _total_minor(number: int) -> int:
    return 1_000 + 777 * number


def _named(number: int) -> PurchaseName:
    return PurchaseName(key=PurchaseKey(PurchaseKind.ORDER, f"order-{number}"))


def _shown(account: Seen, now: datetime) -> dict[str, Any]:
    """Return an account as it is stored, without points that are due to expire and were not swept yet."""
    due = now.timestamp()
    lots = [(left if end is None or end > due else 0, held, end) for left, held, end in account.lots or []]
    return {
        "available": sum(lot[0] for lot in lots),
        "pending": account.pending,
        "held": account.held,
        "debt": account.debt,
        "earned": account.lifetime_earned,
        "qualifying": account.qualifying,
        "tier": account.tier,
        "lots": [lot for lot in lots if lot[0] + lot[1]],
    }


def _said(model: Model, name: str) -> dict[str, Any]:
    """Return the account of the model in the same form."""
    person = model.people[name]
    lots = [
        (
            lot.remaining if lot.expires_at > model.now else 0,
            lot.held,
            None if lot.expires_at is NEVER else int(lot.expires_at.timestamp()),
        )
        for lot in model.lots_of(name)
    ]
    return {
        "available": model.available(name),
        "pending": model.pending(name),
        "held": model.held(name),
        "debt": person.debt,
        "earned": person.earned,
        "qualifying": person.qualifying,
        "tier": max((minimum for minimum in TIERS.values() if minimum <= person.qualifying), default=None),
        "lots": [lot for lot in lots if lot[0] + lot[1]],
    }


@pytest.mark.soak
def test_every_life_adds_up_and_is_as_the_model_says(own_database_urls: DatabaseUrls) -> None:
    """F-05, F-06, F-08, F-09, F-36: any order of everything that can happen to points, step by step."""
    clock = Clock()
    with Stage(own_database_urls) as stage:
        Life.stage = stage
        run = 0
        while stage.steps < STEPS and not clock.is_over:
            run_state_machine_as_test(seed(SEED + run)(Life), settings=SETTINGS)
            run += 1
        stage.report(clock.seconds)
        stage.refuse_rare(OPERATIONS, one_in=2_000)
