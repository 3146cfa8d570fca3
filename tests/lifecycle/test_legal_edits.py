"""The proof raises no false alarm: whatever a tenant is allowed to do, in any order, its ledger adds up.

Managers edit rules, tiers, settings and the catalogue at random, apply presets and switch the program off, while
purchases, refunds, checkouts, merges and imports go on and the clock moves. What is refused has not happened.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from functools import partial
from typing import Any, TypeVar

import pytest

from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import FORFEITABLE, AccrualPolicy, EvaluateOn, MatureOn, Revalue
from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.basis import BasisPolicy, TaxBasis
from loyalty.rules.catalog import CatalogEarning, EarningRate
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.earning import (
    CatalogItem,
    CatalogKind,
    Conditions,
    EarnScope,
    FixedAward,
    MultiplierAward,
    PerAmountAward,
    PerUnitAward,
    Ratio,
    Stacking,
    Weekday,
)
from loyalty.rules.errors import LoyaltyError
from loyalty.rules.expiry import ExpiryKind, ExpiryPolicy, Period
from loyalty.rules.gift_card import GiftCardOrigin
from loyalty.rules.gift_card_product import Validity, ValidityKind
from loyalty.rules.ids import (
    GiftCardHoldId,
    GiftCardId,
    GiftCardProductId,
    HoldId,
    RedemptionId,
    RuleId,
    TierId,
)
from loyalty.rules.money import Money, PointValue
from loyalty.rules.opening import OpeningNumbers
from loyalty.rules.presets import Preset, apply_preset
from loyalty.rules.program import ProgramSettings
from loyalty.rules.purchase import LineKind, PurchaseKind, PurchaseLine, PurchaseStatus
from loyalty.rules.quantity import Quantity
from loyalty.rules.redemption import CaptureOn, RedemptionPolicy, RestorePolicy
from loyalty.rules.refund import LineRefund, Refund, RefundPolicy
from loyalty.rules.tiers import Downgrade, TierBasis, TierPolicy
from loyalty.services.adjustment import adjust_points
from loyalty.services.allowed_origins import set_allowed_origins
from loyalty.services.catalog import CatalogEdit, upsert_catalog_items
from loyalty.services.customer import CustomerKey
from loyalty.services.customer_merge import MergeRequest, merge_customers
from loyalty.services.earning_rule import create_earning_rule, delete_earning_rule, update_earning_rule
from loyalty.services.gift_card import CardKey
from loyalty.services.gift_card_buy import BuyRequest, buy_gift_card
from loyalty.services.gift_card_cancel import CancelRequest, cancel_gift_card
from loyalty.services.gift_card_hold import (
    CardHoldRequest,
    capture_gift_card,
    hold_gift_card,
    release_gift_card,
    return_to_gift_card,
)
from loyalty.services.gift_card_issue import IssueRequest, issue_gift_card
from loyalty.services.gift_card_product import archive_product, change_product, create_product
from loyalty.services.hold import HoldRequest
from loyalty.services.job import advance_job
from loyalty.services.opening_balance import Opening, import_opening_balances
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import record_purchase
from loyalty.services.purchase_change import PurchaseName
from loyalty.services.purchase_reassign import ReassignRequest, reassign_purchase
from loyalty.services.redemption import capture_hold, hold_points, release_hold, return_redemption
from loyalty.services.refund import RefundRequest, mature_purchase, refund_purchase
from loyalty.services.sandbox import advance_sandbox_clock
from loyalty.services.tenant import provision_tenant
from loyalty.services.tenant_sweeps import SWEEPS
from loyalty.services.tier import change_tier, create_tier, remove_tier
from loyalty.services.tier_lock import TierLockRequest, lock_tier, unlock_tier
from loyalty.services.world import World
from loyalty.storage.catalog import CatalogPlace
from loyalty.storage.jobs import JobRow
from loyalty.storage.points_paid import PurchaseKey
from tenancy.database import Database
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.tenants import Salon, salon_of
from tests.loyalty.services.builders import (
    NOON,
    adjustment,
    at,
    checkout,
    one_point_per_euro,
    position_all_events,
    product,
    report,
    rule,
    set_redemption,
)
from tests.soak import SEED, SOAK, Clock

STEPS = 10_000 if SOAK else 400
STEPS_OF_A_SALON = 400
STEPS_BETWEEN_PROOFS = 25
PURCHASES = 25
CUSTOMERS = ("anna", "ben", "cem", "dora", "eva")
ITEMS = ("cut", "oil", "wax")
T = TypeVar("T")


class Business:
    """A salon, its team and its customers. Everything that they try is allowed, or is refused."""

    def __init__(self, world: World, salon: Salon, seed: int) -> None:
        self.world, self.salon = world, salon
        self.dice = random.Random(seed)  # noqa: S311 - a business that can be run again
        self.clock, self.ahead, self.step = NOON, timedelta(), 0
        self.rules: list[RuleId] = []
        self.tiers: list[TierId] = []
        self.holds: list[HoldId] = []
        self.redemptions: list[RedemptionId] = []
        self.products: list[GiftCardProductId] = []
        self.cards: list[GiftCardId] = []
        self.card_holds: list[GiftCardHoldId] = []
        self.jobs: list[JobRow] = []
        self.reported: set[int] = set()
        self.is_on = True
        self.happened: Counter[str] = Counter()

    @property
    def then(self) -> World:
        """Return the world with the clock of this step."""
        return at(self.world, self.clock)

    @property
    def now(self) -> datetime:
        """Return the present time of the sandbox."""
        return self.clock + self.ahead

    @property
    def key(self) -> str:
        """Return an idempotency key of this step."""
        return f"step {self.step}"

    def one(self, values: Sequence[T]) -> T:
        """Return one of the values, chosen at random."""
        return self.dice.choice(values)

    async def begin(self) -> None:
        """Set a point per euro that is worth a cent, and give customers some points."""
        first = await create_earning_rule(self.then, self.salon.manager, one_point_per_euro())
        self.rules.append(first.id)
        await set_redemption(self.then, self.salon)
        numbers = OpeningNumbers(300, 300, 60)
        openings = [Opening(CustomerProfile(customer), numbers, None) for customer in CUSTOMERS]
        await import_opening_balances(self.then, self.salon.manager, openings)

    async def go_on(self) -> None:
        """Do one thing, chosen at random. What is refused has not happened."""
        self.step += 1
        self.clock += timedelta(minutes=self.one([1, 1, 1, 30, 600, 3_000]))
        happens: list[Callable[[], Awaitable[object]]] = [
            *[self.report] * 20,
            *[self.refund] * 8,
            *[self.hold] * 6,
            *[self.capture] * 5,
            *[self.adjust] * 3,
            *(
                self.release,
                self.give_back,
                self.give_back,
                self.give_back,
                self.mature,
                self.bring_along,
                self.merge,
                self.reassign,
                self.buy_card,
                self.buy_card,
                self.hold_card,
                self.hold_card,
                self.end_card_hold,
                self.end_card_hold,
                self.cancel_card,
                self.lock,
                self.unlock,
            ),
            *(self.edit_rule, self.edit_rule, self.remove_rule, self.edit_tier, self.edit_tier, self.remove_tier),
            *(self.edit_product, self.archive_product, self.edit_origins),
            *(self.edit_settings, self.edit_settings, self.preset, self.switch, self.edit_catalog, self.put_clock_on),
            *[self.work] * 4,
        ]
        if not self.is_on and self.dice.random() < 0.3:
            happens = [self.switch]
        name = (happening := self.one(happens)).__name__
        try:
            await happening()
        except LoyaltyError as refusal:
            name = f"{name} {refusal.code}"
        self.happened[name] += 1

    # ── purchases and points ─────────────────────────────────────────────────────────────────────────────────────

    async def report(self) -> None:
        """Report a purchase, or something else about it.

        The report may be thin, reordered or late, at another price or in another currency.
        """
        number = self.dice.randrange(PURCHASES)
        lines = tuple(self.line(place) for place in range(self.dice.randrange(4)))
        told: dict[str, Any] = {
            "total": Money(self.one([sum(line.amount_minor for line in lines)] * 3 + [5_000, 0, 12_345]), "EUR"),
            "lines": tuple(self.dice.sample(lines, len(lines))),
            "location": self.one(["main street", "market", None]),
            "staff": self.one(["mara", None]),
            "starts_at": self.one([self.now + timedelta(days=1), None]),
            "ends_at": self.one([self.now + timedelta(days=1, hours=1), self.now - timedelta(days=2), None]),
            "occurred_at": self.one([self.now, self.now - timedelta(hours=9), None]),
        }
        if self.dice.random() < 0.1:
            told |= {"total": Money(4_200, "USD"), "exchange_rate": Fraction(9, 10), "lines": ()}
        told = {name: value for name, value in told.items() if self.dice.random() < 0.7 or name == "total"}
        if number in self.reported and self.dice.random() < 0.5:
            del told["total"]
        statuses = [*PurchaseStatus, PurchaseStatus.PAID, PurchaseStatus.COMPLETED, PurchaseStatus.COMPLETED]
        key = self.one([None, self.key, self.key])
        buyer = self.one([CUSTOMERS[number % len(CUSTOMERS)]] * 30 + [*CUSTOMERS])
        sent = report(self.one(statuses), f"order-{number}", customer=buyer, key=key, **told)
        await record_purchase(self.then, self.salon.integration, sent)
        self.reported.add(number)

    def line(self, place: int) -> PurchaseLine:
        """Return a line of something that is sold."""
        price = self.one([0, 499, 2_000, 7_777])
        quantities: list[Quantity] = [1, 2, Fraction(3, 2), Fraction(1, 4)]
        kind = self.one([LineKind.ITEM, LineKind.ITEM, *LineKind])
        line_id = self.one([None, f"line-{place}"])
        return PurchaseLine(
            self.one(ITEMS), self.one(["care", None]), self.one(quantities), price, kind=kind, line_id=line_id
        )

    def name(self) -> PurchaseName:
        """Return the name of any purchase, reported or not."""
        number = self.one(sorted(self.reported) or [0])
        return PurchaseName(key=PurchaseKey(PurchaseKind.ORDER, f"order-{number}"))

    async def refund(self) -> None:
        """Refund an amount, or units of a line."""
        lines = self.one([(), (LineRefund(self.dice.randrange(3), 1),), (LineRefund(0, Fraction(1, 2), 10),)])
        refund = Refund(lines, 0 if lines else self.one([1, 500, 2_500, 5_000]))
        request = RefundRequest(self.name(), refund, "EUR", None, None, self.key)
        await refund_purchase(self.then, self.salon.integration, request)

    async def hold(self) -> None:
        """Set points aside for a purchase, or for one that is never reported."""
        number = self.dice.randrange(PURCHASES)
        purchase = self.one([f"order-{number}", f"cart {self.step}"])
        request = HoldRequest(
            CustomerKey(external_id=CUSTOMERS[number % len(CUSTOMERS)]),
            self.one([1, 7, 50]),
            checkout(self.one([1_000, 9_000]), purchase=purchase),
            self.one([5, 1_000]),
            self.one([None, None, *self.holds[-1:]]),
            self.key,
            capture_on=self.one(list(CaptureOn)),
        )
        self.holds.append((await hold_points(self.then, self.salon.integration, request)).hold.id)

    async def capture(self) -> None:
        """Capture all or a part of a hold."""
        hold_id = self.one(self.holds[-5:] or [HoldId(self.salon.tenant_id)])
        points = self.one([None, 1, 5])
        captured = await capture_hold(self.then, self.salon.integration, hold_id, points, self.key)
        self.redemptions.append(captured.redemption.id)

    async def release(self) -> None:
        """Release a hold, whether it has ended or not."""
        hold_id = self.one(self.holds[-5:] or [HoldId(self.salon.tenant_id)])
        await release_hold(self.then, self.salon.integration, hold_id, self.key)

    async def give_back(self) -> None:
        """Return spent points."""
        redemption_id = self.one(self.redemptions[-5:] or [RedemptionId(self.salon.tenant_id)])
        points = self.one([None, 1, 3])
        await return_redemption(self.then, self.salon.integration, redemption_id, points, None, self.key)

    async def mature(self) -> None:
        """Let pending points mature by hand."""
        await mature_purchase(self.then, self.salon.manager, self.name(), self.key)

    async def adjust(self) -> None:
        """Add or take points, for any reason."""
        points = self.one([-80, -5, 3, 40, 200])
        last_day = (self.now + timedelta(days=self.dice.randrange(2, 60))).date()
        request = adjustment(
            points,
            self.key,
            customer=self.one(CUSTOMERS),
            reason=self.one(list(AdjustmentReason)),
            overdraft=self.one(list(Overdraft)),
            expires_on=self.one([None, last_day]) if points > 0 else None,
        )
        await adjust_points(self.then, self.salon.manager, request)

    async def bring_along(self) -> None:
        """Import an opening balance, sometimes with debt."""
        numbers = OpeningNumbers(self.one([-20, 0, 15, 90]), 100, self.one([0, 60]))
        earned_on = self.one([None, (self.now - timedelta(days=20)).date()])
        who = self.one([*CUSTOMERS, f"guest {self.step}"])
        opening = Opening(CustomerProfile(who), numbers, None, earned_on=earned_on)
        await import_opening_balances(self.then, self.salon.manager, [opening])

    async def merge(self) -> None:
        """Merge two customers, mostly a new one and a known one."""
        source = self.one([f"twin {self.step}"] * 9 + ["eva"])
        twin = Opening(CustomerProfile(source), OpeningNumbers(self.one([-9, 30]), 30, 30), None)
        await import_opening_balances(self.then, self.salon.manager, [twin])
        names = CustomerKey(external_id=source), CustomerKey(external_id=self.one(CUSTOMERS[:3]))
        await merge_customers(self.then, self.salon.manager, MergeRequest(*names, None, self.key))

    async def reassign(self) -> None:
        """Move a purchase to another customer."""
        right = CustomerKey(external_id=self.one(CUSTOMERS))
        await reassign_purchase(self.then, self.salon.manager, ReassignRequest(self.name(), right, None, self.key))

    # ── gift cards ───────────────────────────────────────────────────────────────────────────────────────────────

    async def buy_card(self) -> None:
        """Issue a card for points or for money, whether the product is still sold or not."""
        customer = CustomerKey(external_id=self.one(CUSTOMERS))
        product_id = self.one(self.products[-3:] or [GiftCardProductId(self.salon.tenant_id)])
        if self.dice.random() < 0.5:
            bought = BuyRequest(customer, product_id, self.key)
            self.cards.append((await buy_gift_card(self.then, self.salon.manager, bought)).card.id)
        else:
            sold = IssueRequest(GiftCardOrigin.MONEY, None, self.key, customer, product_id=product_id)
            self.cards.append((await issue_gift_card(self.then, self.salon.manager, sold)).card.id)

    async def hold_card(self) -> None:
        """Set money of a card aside, for a purchase or for one that is never reported."""
        purchase = PurchaseKey(PurchaseKind.ORDER, f"order-{self.dice.randrange(PURCHASES)}")
        card = CardKey(self.one(self.cards[-5:] or [GiftCardId(self.salon.tenant_id)]))
        amount = Money(self.one([1, 500, 2_500]), "EUR")
        request = CardHoldRequest(card, amount, self.one([None, purchase, purchase]), self.one([5, 1_000]), self.key)
        self.card_holds.append((await hold_gift_card(self.then, self.salon.integration, request)).hold.id)

    async def end_card_hold(self) -> None:
        """Capture or release a hold of a card, or return what it spent."""
        hold_id = self.one(self.card_holds[-4:] or [GiftCardHoldId(self.salon.tenant_id)])
        by, then, key = self.salon.integration, self.then, self.key
        amount = self.one([None, Money(1, "EUR")])
        ends: list[Callable[[], Awaitable[object]]] = [
            *[partial(capture_gift_card, then, by, hold_id, amount, key)] * 2,
            partial(return_to_gift_card, then, by, hold_id, amount, None, key),
            partial(release_gift_card, then, by, hold_id, key),
        ]
        await self.one(ends)()

    async def cancel_card(self) -> None:
        """Cancel a card, and return its points or not."""
        card_id = self.one(self.cards[-5:] or [GiftCardId(self.salon.tenant_id)])
        await cancel_gift_card(
            self.then, self.salon.manager, CancelRequest(card_id, self.one([None, True, False]), None, self.key)
        )

    async def lock(self) -> None:
        """Lock somebody in any tier, for a while or longer."""
        until, tier = self.one([None, self.now + timedelta(days=3)]), self.one([None, *self.tiers])
        wanted = TierLockRequest(CustomerKey(external_id=self.one(CUSTOMERS)), tier, until, None, self.key)
        await lock_tier(self.then, self.salon.manager, wanted)

    async def unlock(self) -> None:
        """Unlock the tier of somebody, whether it was locked or not."""
        await unlock_tier(self.then, self.salon.manager, CustomerKey(external_id=self.one(CUSTOMERS)))

    # ── what managers edit ───────────────────────────────────────────────────────────────────────────────────────

    async def edit_rule(self) -> None:
        """Create a rule, or change an award, a name, a priority, the validity or the expiry of a rule."""
        awards = [
            *(FixedAward(20), PerAmountAward(1, 100), PerAmountAward(3, 250), PerUnitAward(7)),
            MultiplierAward(Ratio(3, 2)),
        ]
        conditions = [
            *(Conditions(), Conditions(), Conditions(services=frozenset({"cut"}))),
            *(Conditions(except_services=frozenset({"oil"})), Conditions(weekdays=frozenset({Weekday.MON}))),
        ]
        changed: dict[str, Any] = {
            "award": self.one(awards),
            "conditions": self.one(conditions),
            "priority": self.dice.randrange(3),
            "active": self.one([True, True, False]),
            "expiry": self.one([None, self.expiry()]),
            "ends_at": self.one([None, None, self.now + timedelta(days=9)]),
        }
        if not self.rules or self.dice.random() < 0.3:
            made = await create_earning_rule(self.then, self.salon.manager, rule(name=self.key, **changed))
            self.rules.append(made.id)
            return
        told = dict(self.dice.sample(sorted(changed.items()), 2))
        change: Callable[[Any], Any] = lambda it: replace(it, **told)  # noqa: E731 - named for its type
        await update_earning_rule(self.then, self.salon.manager, self.one(self.rules), change, None)

    async def remove_rule(self) -> None:
        """Delete a rule."""
        if self.rules:
            await delete_earning_rule(self.then, self.salon.manager, self.one(self.rules))

    async def edit_tier(self) -> None:
        """Create a tier, or change the minimum or the factor of a tier."""
        minimum, factor = self.dice.randrange(300), self.one([None, Ratio(3, 2)])
        if len(self.tiers) < 2 or self.dice.random() < 0.2:
            made = await create_tier(self.then, self.salon.manager, self.key, "#C0C0C0", minimum, factor)
            self.tiers.append(made.tier.id)
        else:
            tier = self.one(self.tiers)
            made = await change_tier(self.then, self.salon.manager, tier, lambda it: it._replace(min_points=minimum))
        self.jobs.append(made.job)

    async def remove_tier(self) -> None:
        """Delete a tier with everybody in it."""
        if self.tiers:
            tier = self.one(self.tiers)
            self.jobs.append((await remove_tier(self.then, self.salon.manager, tier)).job)
            self.tiers.remove(tier)

    async def edit_product(self) -> None:
        """Create a product of gift cards, or change the price, validity or stock of a product."""
        changed: dict[str, Any] = {
            "points_cost": self.one([1, 40, 90]),
            "validity": self.one([Validity(ValidityKind.NONE), Validity(ValidityKind.DURATION, days=5), Validity()]),
            "stock": self.one([None, 3]),
            "active": self.one([True, True, False]),
        }
        if not self.products or self.dice.random() < 0.3:
            made = await create_product(self.then, self.salon.manager, product(**changed | {"active": True}))
            self.products.append(made.product.id)
            return
        told = dict(self.dice.sample(sorted(changed.items()), 2))
        change: Callable[[Any], Any] = lambda it: replace(it, **told)  # noqa: E731 - named for its type
        await change_product(self.then, self.salon.manager, self.one(self.products), change)

    async def archive_product(self) -> None:
        """Archive a product."""
        if self.products and self.dice.random() < 0.3:
            await archive_product(self.then, self.salon.manager, self.one(self.products))

    async def edit_origins(self) -> None:
        """Set which pages may call."""
        pages = self.one([[], ["https://salon.example"], [f"https://shop-{self.step}.example", "http://localhost:*"]])
        await set_allowed_origins(self.then, self.salon.manager, pages)

    def expiry(self) -> ExpiryPolicy:
        """Return any kind of expiry."""
        return self.one(
            [
                ExpiryPolicy(),
                ExpiryPolicy(ExpiryKind.FIXED_DURATION, months=self.one([0, 1]), days=self.one([2, 40])),
                ExpiryPolicy(ExpiryKind.END_OF_PERIOD, period=self.one(list(Period)), periods_after=self.one([0, 1])),
                ExpiryPolicy(ExpiryKind.FIXED_DATE, month=self.one([2, 4, 12]), day=31, days=self.one([0, 30])),
                ExpiryPolicy(ExpiryKind.INACTIVITY, days=self.one([3, 30])),
            ]
        )

    async def edit_settings(self) -> None:
        """Change any part of the settings."""
        dice = self.one
        parts: dict[str, Any] = {
            "stacking": dice(list(Stacking)),
            "earn_scope": dice([EarnScope.ALL, *EarnScope]),
            "expiry": self.expiry(),
            "basis": BasisPolicy(
                tax=dice(list(TaxBasis)),
                after_discount=dice([True, False]),
                include_shipping=dice([True, False]),
                exclude_gift_cards=dice([True, False]),
                exclude_points_paid=dice([True, False]),
            ),
            "accrual": AccrualPolicy(
                evaluate_on=dice(list(EvaluateOn)),
                mature_on=dice(list(MatureOn)),
                delay_minutes=dice([0, 0, 600]),
                forfeit_on=frozenset(dice([FORFEITABLE, {PurchaseStatus.REFUNDED}])),
                debt=dice(list(Overdraft)),
                refund=dice(list(RefundPolicy)),
                revalue=dice(list(Revalue)),
            ),
            "redemption": RedemptionPolicy(
                enabled=dice([True, True, True, False]),
                point_value=PointValue(dice([1, 3]), Money(dice([1, 10]), "EUR")),
                restore=dice(list(RestorePolicy)),
                restore_grace_days=dice([1, 14]),
                return_on_cancel=dice([True, False]),
            ),
            "tiering": TierPolicy(dice(list(TierBasis)), dice(list(Period)), dice(list(Downgrade)), dice([0, 3])),
        }
        told = dict(self.dice.sample(sorted(parts.items()), 2))
        await self.change(lambda it: replace(it, **told))

    async def preset(self) -> None:
        """Apply a preset."""
        preset = self.one(list(Preset))
        await self.change(lambda it: apply_preset(it, preset, "EUR"))

    async def switch(self) -> None:
        """Switch the program off, or mostly on."""
        enabled = not self.is_on or self.dice.random() < 0.5
        await self.change(lambda it: replace(it, enabled=enabled))
        self.is_on = enabled

    async def change(self, change: Callable[[ProgramSettings], ProgramSettings]) -> None:
        """Save settings, and note the job that follows."""
        changed = await update_program(self.then, self.salon.manager, ProgramEdit(change, None))
        self.jobs += [] if changed.job is None else [changed.job]

    async def edit_catalog(self) -> None:
        """Add, change or remove items and a category."""
        item = CatalogItem(
            self.one([CatalogKind.PRODUCT, CatalogKind.SERVICE]),
            self.one(ITEMS),
            self.key,
            category=self.one([None, "care"]),
            enrolled=self.one([True, False]),
        )
        earning: dict[str, Any] = self.one(
            [{}, {"points_per_unit": 9}, {"rate": EarningRate(3, 100)}, {"earning": CatalogEarning.NOTHING}]
        )
        removals = [] if self.dice.random() < 0.7 else [CatalogPlace(CatalogKind.CATEGORY, "care")]
        category = [] if removals else [CatalogItem(CatalogKind.CATEGORY, "care", "Care")]
        edit = CatalogEdit([replace(item, **earning), *category], removals)
        await upsert_catalog_items(self.then, self.salon.manager, edit)

    async def put_clock_on(self) -> None:
        """Advance the clock of the sandbox. Everything that becomes due happens on the way."""
        by = timedelta(days=self.one([1, 9, 40]))
        await advance_sandbox_clock(self.then, self.salon.owner, by, self.key)
        self.ahead += by

    async def work(self) -> None:
        """Run the jobs and the sweeps, as the worker does."""
        for job in self.jobs:
            while await advance_job(self.then, self.salon.tenant_id, job.id):
                pass
        self.jobs = []
        for sweep in SWEEPS:
            while (await sweep.work(self.then, self.salon.tenant_id)).done:
                pass


@pytest.mark.soak
async def test_no_legal_edit_makes_the_proof_raise_an_alarm(
    world: World, owner_world: World, relay_database: Database, ledger_is_sound: LedgerCheck
) -> None:
    """Who edits a tier or a rule cooks no books: the proof must not say so, now or after the next purchase."""
    clock, happened = Clock(), Counter[str]()
    for number in range(STEPS // STEPS_OF_A_SALON):
        if clock.is_over:
            break
        tenant = await provision_tenant(
            owner_world, name="Salon", currency="EUR", time_zone="Europe/Berlin", locale="de-DE", sandbox=True
        )
        business = Business(world, salon_of(tenant), SEED + number)
        await business.begin()
        for step in range(1, STEPS_OF_A_SALON + 1):
            await business.go_on()
            if step % STEPS_BETWEEN_PROOFS == 0:
                await business.work()
                await position_all_events(relay_database)
                await ledger_is_sound(tenant.tenant_id)
        happened += business.happened
    for name, count in sorted(happened.items()):
        print(f"{name:<50} {count:>6}")  # noqa: T201 - what the run has seen
    steps, seconds = happened.total(), clock.seconds
    print(f"{steps} steps, {steps / seconds:.0f} a second (seed {SEED}, {seconds:.0f} s)")  # noqa: T201 - what it is for
    done = {name for name in happened if " " not in name}
    assert len(done) > 20, f"too little has happened: {sorted(done)}"
