"""Whatever happens to gift cards beside points, in whatever order: what was issued is spent, left, lost or void.

A second state machine on the same stage: cards are bought with points and for money, held, spent, returned, cancelled,
extended, given and claimed while the clock moves and customers merge.
"""

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from loyalty.rules.gift_card_gift import Gift
from loyalty.rules.gift_card_product import Validity, ValidityKind
from loyalty.rules.ids import GiftCardHoldId
from loyalty.services.adjustment import adjust_points
from loyalty.services.customer import CustomerKey
from loyalty.services.customer_merge import MergeRequest, merge_customers
from loyalty.services.gift_card_buy import BuyRequest, buy_gift_card
from loyalty.services.gift_card_cancel import CancelRequest, cancel_gift_card
from loyalty.services.gift_card_expiry import ExtendRequest, extend_gift_card
from loyalty.services.gift_card_gift import GiveRequest, claim_gift_card, give_gift_card
from loyalty.services.gift_card_hold import capture_gift_card, hold_gift_card, release_gift_card, return_to_gift_card
from loyalty.services.gift_card_issue import IssuedCard, issue_gift_card
from loyalty.services.gift_card_product import create_product
from loyalty.services.tenant_sweeps import SWEEP_BY_NAME
from loyalty.services.world import World
from runtime.roles import DatabaseUrls
from tests.lifecycle.basket import ZONE
from tests.lifecycle.cards import COST, FACE_MINOR, LIMIT, STOCK, VALID_DAYS, Card, CardHold, Cards
from tests.lifecycle.stage import SeenCard, Stage
from tests.lifecycle.test_lives import SETTINGS, SWEPT_BY_CARDS
from tests.loyalty.services.builders import NOON, adjustment, at, known_customer, product
from tests.loyalty.services.gift_cards import card_hold_request, euros, issue_request
from tests.soak import CARD_STEPS, SEED, Clock

CUSTOMERS = ("anna", "ben", "cem")
OPERATIONS = (
    "adjust", "issue", "buy", "hold", "capture", "release", "give_back", "cancel", "extend", "give", "claim", "merge",
    "sweep",
)  # fmt: skip
"""Each must have been done at least once in 1,000 steps of a run."""

customers = st.sampled_from(CUSTOMERS)
some = st.integers(0, 1_000)
percents = st.integers(1, 110)


class CardLife(RuleBasedStateMachine):
    """One salon that sells gift cards."""

    stage: ClassVar[Stage]

    def __init__(self) -> None:
        super().__init__()
        self.world, self.salon = self.stage.begin()
        self.asked = 0
        self.model = Cards(NOON, points=dict.fromkeys(CUSTOMERS, 0))
        self.cards: list[tuple[IssuedCard, Card]] = []
        self.holds: list[tuple[GiftCardHoldId, CardHold]] = []
        self.product_id = self.stage.run(self._open_shop()).product.id

    async def _open_shop(self) -> Any:
        for name in CUSTOMERS:
            await known_customer(self._now, self.salon, name)
        sold = product(
            points_cost=COST,
            face=euros(FACE_MINOR),
            validity=Validity(ValidityKind.DURATION, days=VALID_DAYS),
            stock=STOCK,
            limit_per_customer=LIMIT,
        )
        return await create_product(self._now, self.salon.manager, sold)

    @rule(customer=customers, points=st.sampled_from([-30, -10, 60, 100]))
    def adjust(self, customer: str, points: int) -> None:
        """Add or take points by hand."""
        request = adjustment(points, self._key(), customer=customer)
        self._both(
            "adjust",
            lambda: self.model.adjust(customer, points),
            lambda: adjust_points(self._now, self.salon.manager, request),
        )

    @rule(customer=st.one_of(customers, st.none()), cents=st.integers(1, 9_000), days=st.integers(0, 40))
    def issue(self, customer: str | None, cents: int, days: int) -> None:
        """Sell a card for money."""
        last_day = self._today + timedelta(days=days)
        request = issue_request(cents, self._key(), customer=customer, expires_on=last_day)
        made = self._both(
            "issue",
            lambda: self.model.issue(customer, cents, last_day),
            lambda: issue_gift_card(self._now, self.salon.integration, request),
        )
        self.cards += [(made[1], made[0])] if made else []

    @rule(customer=customers)
    def buy(self, customer: str) -> None:
        """Buy a card with points."""
        request = BuyRequest(CustomerKey(external_id=customer), self.product_id, self._key())
        made = self._both(
            "buy",
            lambda: self.model.buy(customer, self._today),
            lambda: buy_gift_card(self._now, self.salon.manager, request),
        )
        self.cards += [(made[1], made[0])] if made else []

    @precondition(lambda self: self.cards)
    @rule(which=some, percent=percents, minutes=st.sampled_from([5, 600, 10_000]))
    def hold(self, which: int, percent: int, minutes: int) -> None:
        """Set money aside, sometimes more than there is."""
        issued, card = self._card(which, lambda it: it.free_minor > 0)
        cents = max(1, (card.free_minor or card.face_minor) * percent // 100)
        request = card_hold_request(issued.card.id, cents, self._key(), minutes=minutes)
        made = self._both(
            "hold",
            lambda: self.model.hold(card, cents, minutes),
            lambda: hold_gift_card(self._now, self.salon.integration, request),
        )
        self.holds += [(made[1].hold.id, made[0])] if made else []

    @precondition(lambda self: self.holds)
    @rule(which=some, percent=percents)
    def capture(self, which: int, percent: int) -> None:
        """Spend held money, or a part of it."""
        hold_id, hold = self._hold(which, lambda it: it.state == "ACTIVE" and it.ends_at > self.model.now)
        cents = max(1, hold.amount_minor * percent // 100)
        self._both(
            "capture",
            lambda: self.model.capture(hold, cents),
            lambda: capture_gift_card(self._now, self.salon.integration, hold_id, euros(cents), self._key()),
        )

    @precondition(lambda self: self.holds)
    @rule(which=some)
    def release(self, which: int) -> None:
        """Free held money."""
        hold_id, hold = self._hold(which, lambda it: it.state == "ACTIVE")
        self._both(
            "release",
            lambda: self.model.release(hold),
            lambda: release_gift_card(self._now, self.salon.integration, hold_id, self._key()),
        )

    @precondition(lambda self: self.holds)
    @rule(which=some, percent=percents)
    def give_back(self, which: int, percent: int) -> None:
        """Return spent money to its card, sometimes more than was spent."""
        hold_id, hold = self._hold(which, lambda it: it.spent_minor > it.returned_minor)
        cents = max(1, hold.spent_minor * percent // 100)
        self._both(
            "give_back",
            lambda: self.model.give_back(hold, cents),
            lambda: return_to_gift_card(self._now, self.salon.integration, hold_id, euros(cents), None, self._key()),
        )

    @precondition(lambda self: self.cards)
    @rule(which=some, points=st.sampled_from([None, None, True, False]), sure=st.integers(0, 2))
    def cancel(self, which: int, points: bool | None, sure: int) -> None:  # noqa: FBT001 - hypothesis calls it
        """Cancel a card, but not often, or none would be left."""
        if sure:
            return
        issued, card = self._card(which, lambda it: not it.is_void)
        request = CancelRequest(issued.card.id, points, None, self._key())
        self._both(
            "cancel",
            lambda: self.model.cancel(card, return_points=points),
            lambda: cancel_gift_card(self._now, self.salon.manager, request),
        )

    @precondition(lambda self: self.cards)
    @rule(which=some, days=st.integers(0, 60))
    def extend(self, which: int, days: int) -> None:
        """Give a card a later expiry. Money that was lost meanwhile comes back."""
        issued, card = self._card(which, lambda it: it.expires_at <= self.model.now)
        last_day = self._today + timedelta(days=days)
        request = ExtendRequest(issued.card.id, last_day, "a good customer", self._key())
        self._both(
            "extend",
            lambda: self.model.extend(card, last_day),
            lambda: extend_gift_card(self._now, self.salon.manager, request),
        )

    @precondition(lambda self: self.cards)
    @rule(which=some)
    def give(self, which: int) -> None:
        """Give a card to somebody."""
        issued, card = self._card(which, lambda it: it.holder is not None)
        request = GiveRequest(issued.card.id, Gift("Eva"), self._key())
        self._both(
            "give",
            lambda: self.model.give(card),
            lambda: give_gift_card(self._now, self.salon.manager, request),
        )

    @precondition(lambda self: self.cards)
    @rule(which=some, customer=customers)
    def claim(self, which: int, customer: str) -> None:
        """Claim a card with its code into an account."""
        issued, card = self._card(which, lambda it: it.holder is None)
        claimer = CustomerKey(external_id=customer)
        self._both(
            "claim",
            lambda: self.model.claim(card, customer),
            lambda: claim_gift_card(self._now, self.salon.integration, issued.code, claimer, self._key()),
        )

    @rule(leaves=customers, stays=customers, sure=st.integers(0, 9))
    def merge(self, leaves: str, stays: str, sure: int) -> None:
        """Merge two customers, but not often."""
        if sure:
            return
        request = MergeRequest(CustomerKey(external_id=leaves), CustomerKey(external_id=stays), None, self._key())
        self._both(
            "merge",
            lambda: self.model.merge(leaves, stays),
            lambda: merge_customers(self._now, self.salon.manager, request),
        )

    @rule(by=st.sampled_from([timedelta(minutes=3), timedelta(hours=11), timedelta(days=1), timedelta(days=15)]))
    def pass_time(self, by: timedelta) -> None:
        """Put the clock on, without a sweep."""
        self.model.now += by
        self.model.let_expire()
        self.stage.count("pass_time")

    @rule(name=st.sampled_from(list(SWEPT_BY_CARDS)))
    def sweep(self, name: str) -> None:
        """Run one of the sweeps."""
        self._both("sweep", getattr(self.model, SWEPT_BY_CARDS[name]), lambda: self._come_by(name))

    def teardown(self) -> None:
        """Run all sweeps at the end of a life, and check every invariant."""
        for name, sweep in SWEPT_BY_CARDS.items():
            self.stage.run(self._come_by(name))
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

    async def _come_by(self, name: str) -> None:
        await SWEEP_BY_NAME[name].work(self._now, self.salon.tenant_id)

    def _key(self) -> str:
        self.asked += 1
        return f"key-{self.asked}"

    def _card(self, which: int, is_wanted: Callable[[Card], bool]) -> tuple[IssuedCard, Card]:
        wanted = [one for one in self.cards if is_wanted(one[1])] if which % 5 else []
        return (wanted or self.cards)[which % len(wanted or self.cards)]

    def _hold(self, which: int, is_wanted: Callable[[CardHold], bool]) -> tuple[GiftCardHoldId, CardHold]:
        wanted = [one for one in self.holds if is_wanted(one[1])] if which % 5 else []
        return (wanted or self.holds)[which % len(wanted or self.holds)]

    def _both(self, what: str, said: Callable[[], Any], done: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Let the model say what must happen, and let the service do it. Return both results; None after a refusal."""
        made = self.stage.do_both(what, said, done)
        self._compare()
        return made

    def _compare(self) -> None:
        accounts = self.stage.look(self.salon)
        assert {name: account.available for name, account in accounts.items()} == self.model.points
        seen = self.stage.look_at_cards(self.salon)
        assert len(seen) == len(self.model.cards)
        for issued, card in self.cards:
            assert (
                card.face_minor
                == card.free_minor + card.held_minor + card.spent_minor + card.lost_minor + card.void_minor
            )
            assert _shown(seen[issued.card.id], self.model.now) == _said(card)


def _shown(card: SeenCard, now: datetime) -> tuple[object, ...]:
    """Return a card as it is stored, without money that is due to expire and was not swept yet."""
    is_over = card.expires_at is not None and card.expires_at <= now
    free_minor = 0 if is_over else card.balance_minor - card.held_minor
    return (free_minor, card.held_minor, card.spent_minor, card.is_void, card.holder, card.buyer, card.expires_at)


def _said(card: Card) -> tuple[object, ...]:
    return (
        card.free_minor, card.held_minor, card.spent_minor, card.is_void, card.holder, card.buyer, card.expires_at
    )  # fmt: skip


@pytest.mark.soak
def test_every_life_of_gift_cards_adds_up(own_database_urls: DatabaseUrls) -> None:
    """SB-14 to SB-19: issued = spent + outstanding + expired + void, after every step and in the proof."""
    clock = Clock()
    with Stage(own_database_urls) as stage:
        CardLife.stage = stage
        run = 0
        while stage.steps < CARD_STEPS and not clock.is_over:
            run_state_machine_as_test(seed(SEED + run)(CardLife), settings=settings(SETTINGS, max_examples=10))
            run += 1
        stage.report(clock.seconds)
        stage.refuse_rare(OPERATIONS, one_in=1_000)
