"""F-28: no dead settings. Each setting that can be set changes something.

The settings are read from the schema itself: a leaf of `programUpdate` without a row in TRIALS fails. Each row sets a
leaf over the API to one value and to another, in two salons in which the same happens, and says what is seen in each.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest
from graphql import GraphQLInputObjectType, get_named_type

from loyalty.rules.earning import CatalogItem, Conditions, Weekday
from loyalty.rules.errors import LoyaltyError
from loyalty.rules.gift_card import GiftCardOrigin
from loyalty.rules.money import Money
from loyalty.rules.purchase import LineKind, PurchaseLine, PurchaseStatus
from loyalty.services.catalog import CatalogEdit, upsert_catalog_items
from loyalty.services.checkout import Checkout, LoyaltyQuote, quote_checkout
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.customer_token import CustomerGrant
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.expiry import expire_due, load_expiry_schedules, tell_expiring
from loyalty.services.gift_card_issue import IssueRequest, issue_gift_card
from loyalty.services.gift_card_sheet import read_card_sheet
from loyalty.services.maturing import mature_due
from loyalty.services.tier import create_tier
from loyalty.services.tier_review import review_due
from loyalty.services.world import World
from loyalty.storage.customers import CustomerRow
from permissions.actor import Actor
from schema.context import Context, Services
from schema.executable import ExecutableSchema
from schema.root import treue_schema
from tests.fixtures.feeds import NoFeed
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOON,
    at,
    capture,
    checkout,
    customer_actor,
    earn,
    give,
    give_back,
    hold,
    known_customer,
    one_point_per_euro,
    order,
    pay_back,
    rule,
    service_item,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CREATED, CONFIRMED, PAID, COMPLETED, CANCELLED, NO_SHOW, REFUNDED = PurchaseStatus
VALUES = frozenset({"MoneyInput"})
"""Inputs that are one value, not settings of their own."""
NO_SETTINGS = frozenset({"expectedVersion"})
"""What guards a change and is not kept."""


class Stage(NamedTuple):
    """A salon, at noon."""

    world: World
    salon: Salon

    def later(self, by: timedelta) -> World:
        """Return the world so much later."""
        return at(self.world, NOON + by)

    @property
    def noon(self) -> World:
        """Return the world at noon."""
        return self.later(timedelta())

    async def anna(self) -> CustomerRow:
        """Return Anna as readers see her."""
        found = await find_customer(self.world, self.salon.manager, CustomerKey(external_id="anna"))
        assert found is not None
        return found

    async def points(self) -> tuple[int, int, int, int]:
        """Return the available, pending and held points of Anna, and her debt."""
        return tuple((await self.anna()).points[:4])  # type: ignore[return-value]


Story = Callable[[Stage], Awaitable[Any]]


# ── what happens, and what is seen of it ─────────────────────────────────────────────────────────────────────────

GOODS = (
    PurchaseLine("cut", None, 2, 1_500, discount_minor=500, tax_minor=400),
    PurchaseLine(None, None, 1, 500, kind=LineKind.SHIPPING),
    PurchaseLine("card", None, 1, 5_000, kind=LineKind.GIFT_CARD),
)


async def code_of(work: Awaitable[Any]) -> str:
    """Return "done", or the code of the refusal."""
    try:
        await work
    except LoyaltyError as refusal:
        return refusal.code
    return "done"


async def goods_are_bought(stage: Stage) -> int:
    """Buy goods for 25.00, shipping for 5.00 and a gift card for 50.00. Return the points."""
    await create_earning_rule(stage.world, stage.salon.manager, one_point_per_euro())
    recorded = await earn(stage.noon, stage.salon, order("order-1", 8_000, *GOODS))
    return recorded.accrual.points if recorded.accrual else 0


async def something_is_bought(stage: Stage) -> str:
    """Tell whether a purchase can be recorded."""
    return await code_of(earn(stage.noon, stage.salon, order()))


async def two_rules_match(stage: Stage) -> int:
    """Return the points if two rules match: 10 points by the first rule by priority, 20 by the other."""
    for points, priority in ((10, 1), (20, 2)):
        await create_earning_rule(stage.world, stage.salon.manager, rule(points, priority=priority))
    recorded = await earn(stage.noon, stage.salon, order())
    return recorded.customer.points.available


async def one_of_two_items_is_enrolled(stage: Stage) -> int:
    """Return the points for 30.00 for a cut that is not enrolled, and 20.00 for a colour that is."""
    await create_earning_rule(stage.world, stage.salon.manager, one_point_per_euro())
    items: list[CatalogItem] = [service_item("cut"), service_item("colour", enrolled=True)]
    await upsert_catalog_items(stage.world, stage.salon.manager, CatalogEdit(items, []))
    lines = (PurchaseLine("cut", None, 1, 3_000), PurchaseLine("colour", None, 1, 2_000))
    recorded = await earn(stage.noon, stage.salon, order("order-1", 5_000, *lines))
    return recorded.customer.points.available


async def a_wednesday_is_booked_on_a_tuesday(stage: Stage) -> int:
    """Return the points of a purchase on a Wednesday that was booked on a Tuesday. A rule gives 10 on Wednesdays."""
    wednesdays = Conditions(weekdays=frozenset({Weekday.WED}))
    await create_earning_rule(stage.world, stage.salon.manager, rule(10, conditions=wednesdays))
    recorded = await earn(stage.noon, stage.salon, order(starts_at=NOON, booked_at=NOON - DAY))
    return recorded.customer.points.available


async def a_till_reports_a_day_late(stage: Stage) -> int:
    """Return the points of a late report. A rule gives 10 points until an hour after noon."""
    await create_earning_rule(stage.world, stage.salon.manager, rule(10, ends_at=NOON + HOUR))
    recorded = await earn(stage.later(DAY), stage.salon, order(occurred_at=NOON))
    return recorded.customer.points.available


async def an_order_shrinks(stage: Stage) -> tuple[int, int, int, int]:
    """Return the points of an order that goes from 100.00 to 20.00 after its evaluation."""
    await create_earning_rule(stage.world, stage.salon.manager, one_point_per_euro())
    for total in (10_000, 2_000):
        await earn(stage.noon, stage.salon, order(total=total))
    return await stage.points()


async def an_order_is_created(stage: Stage) -> tuple[int, int, int, int]:
    """Return the points of a new order of 100.00, with a point per euro."""
    await create_earning_rule(stage.world, stage.salon.manager, one_point_per_euro())
    await earn(stage.noon, stage.salon, order())
    return await stage.points()


async def points_mature_three_hours_late(stage: Stage) -> int:
    """Return how many accruals count as late, if the sweep comes three hours late."""
    await an_order_is_created(stage)
    return (await mature_due(stage.later(4 * HOUR), stage.salon.tenant_id)).late


async def an_order_is_called_off(stage: Stage) -> tuple[int, int, int, int]:
    """Return the points after an order was called off, when 30 of its 100 points were spent."""
    await an_order_is_created(stage)
    await give(stage.noon, stage.salon, -30, "spent")
    await earn(stage.noon, stage.salon, order(status=CANCELLED))
    return await stage.points()


async def half_an_order_is_refunded(stage: Stage) -> tuple[int, int, int, int]:
    """Return the points after 50.00 of 100.00 were refunded."""
    await an_order_is_created(stage)
    await pay_back(stage.noon, stage.salon, "order-1", 5_000, "half")
    return await stage.points()


async def rich(stage: Stage) -> None:
    """Give Anna 1,000 points, which expire with this month."""
    await known_customer(stage.noon, stage.salon)
    await give(stage.noon, stage.salon, 1_000, "riches", expires_on=(NOON + 10 * DAY).date())


async def points_pay_for_an_order(stage: Stage) -> int:
    """Return the points that an order of 20.00 earns, when points pay 5.00 of it."""
    await create_earning_rule(stage.world, stage.salon.manager, one_point_per_euro())
    await rich(stage)
    held = await hold(stage.noon, stage.salon, 500, "basket", checkout=checkout(2_000, purchase="order-1"))
    await capture(stage.noon, stage.salon, held, "paid")
    recorded = await earn(stage.noon, stage.salon, order("order-1", 2_000))
    return recorded.accrual.points if recorded.accrual else 0


async def quoted(stage: Stage, wanted: int | None = None) -> LoyaltyQuote | None:
    """Return the quote of a checkout of 5.00."""
    await rich(stage)
    at_checkout = Checkout(Money(500, "EUR"))
    anna = CustomerKey(external_id="anna")
    return (await quote_checkout(stage.noon, stage.salon.integration, anna, at_checkout, wanted)).loyalty


async def is_offered(stage: Stage) -> bool:
    """Tell whether a checkout shows points at all."""
    return await quoted(stage) is not None


async def proposed(stage: Stage) -> int:
    """Return how many points a checkout proposes."""
    offer = await quoted(stage)
    return offer.points if offer else 0


async def worth(stage: Stage) -> int:
    """Return the worth of all points, in cents."""
    offer = await quoted(stage)
    return offer.balance_value.amount_minor if offer else 0


async def most_off(stage: Stage) -> int:
    """Return the most that points take off, in cents."""
    offer = await quoted(stage)
    return offer.max_discount.amount_minor if offer else 0


async def how_a_hold_of_50_ends(stage: Stage) -> str:
    """Try to hold 50 points. Return whether it is done, or the code of the refusal."""
    await rich(stage)
    return await code_of(hold(stage.noon, stage.salon, 50, "basket"))


async def a_hold_lasts(stage: Stage) -> timedelta:
    """Return how long a hold lasts."""
    await rich(stage)
    held = await hold(stage.noon, stage.salon, 50, "basket")
    return held.hold.expires_at - NOON


async def expired_points_come_back(stage: Stage) -> list[int]:
    """Return how many points can be spent if they come back after their expiry: at once, and on four later days."""
    await rich(stage)
    captured = await capture(stage.noon, stage.salon, await hold(stage.noon, stage.salon, 50, "basket"), "paid")
    late = 20 * DAY
    await give_back(stage.later(late), stage.salon, captured, "back")
    seen = []
    for days in range(5):
        await expire_due(stage.later(late + days * DAY), stage.salon.tenant_id)
        seen.append((await stage.points())[0])
    return seen


async def a_purchase_paid_with_points_is_called_off(stage: Stage) -> tuple[int, int, int, int]:
    """Return the points after a purchase was called off for which 50 of 1,000 points had paid."""
    await rich(stage)
    await earn(stage.noon, stage.salon, order())
    held = await hold(stage.noon, stage.salon, 50, "basket", checkout=checkout(purchase="order-1"))
    await capture(stage.noon, stage.salon, held, "paid")
    await earn(stage.noon, stage.salon, order(status=CANCELLED))
    return await stage.points()


async def last_days(stage: Stage) -> list[str]:
    """Return the last day of points that come on 4 March, and of points that come on 10 December."""
    customer_id = await known_customer(stage.noon, stage.salon)
    for key, moment in (("spring", NOON), ("winter", datetime.fromisoformat("2026-12-10T12:00:00Z"))):
        await give(at(stage.world, moment), stage.salon, 10, key)
    schedule = await load_expiry_schedules(stage.noon, stage.salon.manager, [customer_id])
    return [row.last_day.isoformat() for row in schedule[customer_id]]


async def inactive_for_25_days(stage: Stage) -> int:
    """Return what is left of 12 points 45 days after they came, if there was an order 25 days ago."""
    await create_earning_rule(stage.world, stage.salon.manager, rule(1))
    await known_customer(stage.noon, stage.salon)
    await give(stage.noon, stage.salon, 10, "some")
    await earn(stage.later(20 * DAY), stage.salon, order("order-2"))
    await expire_due(stage.later(45 * DAY), stage.salon.tenant_id)
    return (await stage.points())[0]


async def days_of_notice(stage: Stage) -> list[int]:
    """Return on which of the ten days before their expiry Anna is told of her points."""
    await rich(stage)
    last = NOON.replace(hour=23) + 10 * DAY
    moments = {days: at(stage.world, last - days * DAY) for days in range(9, -1, -1)}
    return [days for days, moment in moments.items() if (await tell_expiring(moment, stage.salon.tenant_id)).done]


async def color_of_a_printed_card(stage: Stage) -> str:
    """Return the colour of the sheet that Anna prints of her gift card."""
    request = IssueRequest(GiftCardOrigin.GOODWILL, Money(1_000, "EUR"), "for Anna", CustomerKey(external_id="anna"))
    await rich(stage)
    card = (await issue_gift_card(stage.noon, stage.salon.owner, request)).card
    assert card.holder_id is not None
    anna = customer_actor(stage.salon.tenant_id, card.holder_id)
    return (await read_card_sheet(stage.noon, anna, card.id)).color


async def points_that_do_not_qualify(stage: Stage) -> str | None:
    """Return the tier of a customer who got 100 points that do not count as earned."""
    await create_tier(stage.noon, stage.salon.manager, "Silver", "#C0C0C0", 100)
    await known_customer(stage.noon, stage.salon)
    await give(stage.noon, stage.salon, 100, "some", qualifying=False)
    return await tier_of_anna(stage)


async def tier_in_may(stage: Stage) -> list[str | None]:
    """Return the tier on 5 and on 15 May of a customer who earned 100 points in March."""
    await create_tier(stage.noon, stage.salon.manager, "Silver", "#C0C0C0", 100)
    await an_order_is_created(stage)
    seen = []
    for days in (62, 72):
        await review_due(stage.later(days * DAY), stage.salon.tenant_id)
        seen.append(await tier_of_anna(stage))
    return seen


async def tier_of_anna(stage: Stage) -> str | None:
    """Return the name of Anna's tier."""
    tier = (await stage.anna()).tier
    return tier.name if tier else None


# ── the settings ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Trial:
    """One setting with two values, what happens then, and what is seen with each value."""

    values: tuple[Any, Any]
    story: Story
    seen: tuple[Any, Any]
    besides: dict[str, Any] = field(default_factory=dict)
    """What is set in both salons: the leaves beside it that it needs."""


ONE_DAY = {"fixedDuration": {"days": 1}}
CENT: dict[str, Any] = {"amount": "0.01", "currency": "EUR"}
REDEEMING = {"redemption.enabled": True}
MONTHLY = {"tiering.basis": "EARNED_IN_WINDOW", "tiering.window": "MONTH"}
TRIALS = {
    "enabled": Trial((True, False), something_is_bought, ("done", "FEATURE_DISABLED")),
    "accrual.stacking": Trial(("SUM", "BEST"), two_rules_match, (30, 20)),
    "accrual.earnScope": Trial(("ALL", "OPT_IN"), one_of_two_items_is_enrolled, (50, 20)),
    "accrual.weekdayOf": Trial(("SERVICE_START", "BOOKED_AT"), a_wednesday_is_booked_on_a_tuesday, (10, 0)),
    "accrual.evaluateOn": Trial(
        ("PURCHASE_CREATED", "PURCHASE_PAID"), an_order_is_created, ((100, 0, 0, 0), (0, 0, 0, 0))
    ),
    "accrual.matureOn": Trial(("EVALUATION", "MANUAL"), an_order_is_created, ((100, 0, 0, 0), (0, 100, 0, 0))),
    "accrual.matureDelay": Trial(("PT0S", "PT1H"), an_order_is_created, ((100, 0, 0, 0), (0, 100, 0, 0))),
    "accrual.matureSlack": Trial(
        ("PT1H", "P1D"), points_mature_three_hours_late, (1, 0), {"accrual.matureDelay": "PT1H"}
    ),
    "accrual.revalue": Trial(("ALWAYS", "NEVER"), an_order_shrinks, ((20, 0, 0, 0), (100, 0, 0, 0))),
    "accrual.latestReport": Trial(("P30D", "PT1H"), a_till_reports_a_day_late, (10, 0)),
    "accrual.forfeitOn": Trial((["CANCELLED"], []), an_order_is_called_off, ((0, 0, 0, 30), (70, 0, 0, 0))),
    "accrual.debt": Trial(("ALLOW_NEGATIVE", "CLAMP"), an_order_is_called_off, ((0, 0, 0, 30), (0, 0, 0, 0))),
    "accrual.refund": Trial(("PROPORTIONAL", "FULL_ONLY"), half_an_order_is_refunded, ((50, 0, 0, 0), (100, 0, 0, 0))),
    "accrual.basis.tax": Trial(("INCLUDED", "EXCLUDED"), goods_are_bought, (30, 26)),
    "accrual.basis.afterDiscount": Trial((True, False), goods_are_bought, (30, 35)),
    "accrual.basis.includeShipping": Trial((True, False), goods_are_bought, (30, 25)),
    "accrual.basis.excludeGiftCards": Trial((True, False), goods_are_bought, (30, 80)),
    "accrual.basis.excludePointsPaid": Trial((True, False), points_pay_for_an_order, (15, 20), REDEEMING),
    "redemption.enabled": Trial((True, False), is_offered, (True, False)),
    "redemption.method": Trial(("AUTOMATIC", "CUSTOMER_CHOICE"), proposed, (500, 0), REDEEMING),
    "redemption.pointValue.points": Trial(
        (1, 10), worth, (1_000, 100), {**REDEEMING, "redemption.pointValue.money": CENT}
    ),
    "redemption.pointValue.money": Trial(
        (CENT, {"amount": "0.02", "currency": "EUR"}),
        worth,
        (1_000, 2_000),
        {**REDEEMING, "redemption.pointValue.points": 1},
    ),
    "redemption.maxDiscount.amount": Trial(
        ({"amount": "2.00", "currency": "EUR"}, {"amount": "3.00", "currency": "EUR"}), most_off, (200, 300), REDEEMING
    ),
    "redemption.maxDiscount.percent": Trial((10, 50), most_off, (50, 250), REDEEMING),
    "redemption.minBalance": Trial((1_000, 1_001), how_a_hold_of_50_ends, ("done", "BELOW_MINIMUM"), REDEEMING),
    "redemption.minPointsPerRedemption": Trial((50, 51), how_a_hold_of_50_ends, ("done", "BELOW_MINIMUM"), REDEEMING),
    "redemption.maxPointsPerRedemption": Trial((50, 49), how_a_hold_of_50_ends, ("done", "ABOVE_MAXIMUM"), REDEEMING),
    "redemption.holdTimeToLive": Trial(("PT5M", "PT1H"), a_hold_lasts, (timedelta(minutes=5), HOUR), REDEEMING),
    "redemption.restore": Trial(
        ("GRACE", "EXPIRE"), expired_points_come_back, ([50, 50, 50, 50, 50], [0, 0, 0, 0, 0]), REDEEMING
    ),
    "redemption.restoreGraceDays": Trial(
        (1, 3), expired_points_come_back, ([50, 50, 0, 0, 0], [50, 50, 50, 50, 0]), REDEEMING
    ),
    "redemption.returnOnCancel": Trial(
        (True, False),
        a_purchase_paid_with_points_is_called_off,
        ((1_000, 0, 0, 0), (950, 0, 0, 0)),
        REDEEMING,
    ),
    # The other value of it is another kind of expiry.
    "expiry.none": Trial((True, ONE_DAY), last_days, ([], ["2026-03-05", "2026-12-11"])),
    "expiry.fixedDuration.months": Trial(
        (1, 2), last_days, (["2026-04-04", "2027-01-10"], ["2026-05-04", "2027-02-10"])
    ),
    "expiry.fixedDuration.days": Trial((1, 2), last_days, (["2026-03-05", "2026-12-11"], ["2026-03-06", "2026-12-12"])),
    "expiry.endOfPeriod.period": Trial(("QUARTER", "YEAR"), last_days, (["2026-03-31", "2026-12-31"], ["2026-12-31"])),
    "expiry.endOfPeriod.periodsAfter": Trial(
        (0, 1),
        last_days,
        (["2026-12-31"], ["2027-12-31"]),
        {"expiry.endOfPeriod.period": "YEAR"},
    ),
    "expiry.fixedDate.month": Trial(
        (6, 7), last_days, (["2026-06-30", "2027-06-30"], ["2026-07-30", "2027-07-30"]), {"expiry.fixedDate.day": 30}
    ),
    "expiry.fixedDate.day": Trial(
        (29, 30), last_days, (["2026-06-29", "2027-06-29"], ["2026-06-30", "2027-06-30"]), {"expiry.fixedDate.month": 6}
    ),
    "expiry.fixedDate.minimumDays": Trial(
        (21, 22),
        last_days,
        (["2026-12-31"], ["2026-12-31", "2027-12-31"]),
        {"expiry.fixedDate.month": 12, "expiry.fixedDate.day": 31},
    ),
    "expiry.inactivity.days": Trial((30, 10), inactive_for_25_days, (12, 0)),
    "noticeDays": Trial(([7, 3], []), days_of_notice, ([7, 3], [])),
    "giftCardColor": Trial(("#FF0000", "#00FF00"), color_of_a_printed_card, ("#FF0000", "#00FF00")),
    "tiering.basis": Trial(("LIFETIME_EARNED", "BALANCE"), points_that_do_not_qualify, (None, "Silver")),
    "tiering.window": Trial(
        ("MONTH", "YEAR"), tier_in_may, ([None, None], ["Silver", "Silver"]), {"tiering.basis": "EARNED_IN_WINDOW"}
    ),
    "tiering.downgrade": Trial(("NEVER", "AT_WINDOW_END"), tier_in_may, (["Silver", "Silver"], [None, None]), MONTHLY),
    "tiering.graceDays": Trial((0, 10), tier_in_may, ([None, None], ["Silver", None]), MONTHLY),
}


def no_signer(maker: Actor, grant: CustomerGrant) -> tuple[str, datetime]:
    """Fail, because no operation here signs a token for a customer."""
    raise NotImplementedError


@pytest.fixture(scope="module")
def treue() -> ExecutableSchema:
    """Provide the schema of the whole API."""
    return treue_schema()


def leaves(kind: GraphQLInputObjectType, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield every setting below an input type, by its path."""
    for name, one in kind.fields.items():
        inner = get_named_type(one.type)
        if isinstance(inner, GraphQLInputObjectType) and inner.name not in VALUES:
            yield from leaves(inner, (*path, name))
        else:
            yield ".".join((*path, name))


def nested(given: dict[str, Any]) -> dict[str, Any]:
    """Return an input that is built from its leaves.

    A value that is an input of its own takes the place of the parent of the leaf.
    """
    tree: dict[str, Any] = {}
    for path, value in given.items():
        *parents, name = path.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is ONE_DAY:
            place.update(value)
        else:
            place[name] = value
    return tree


async def set_over_the_api(treue: ExecutableSchema, world: World, salon: Salon, given: dict[str, Any]) -> None:
    """Change settings as a client does."""
    services = Services(world, NoFeed(), no_signer, lambda _kind: ("", ""), b"key", lambda _text: None)
    result = await treue.execute(
        "mutation($input: ProgramUpdateInput!) { programUpdate(input: $input) { userErrors { code message } } }",
        variable_values={"input": nested(given)},
        context_value=Context(services, salon.manager, "request"),
    )
    assert result.errors is None, result.errors
    assert result.data == {"programUpdate": {"userErrors": []}}


def test_every_setting_is_tried(treue: ExecutableSchema) -> None:
    """F-28: a new setting needs a row in TRIALS, and a row needs a setting."""
    kind = treue._schema.type_map["ProgramUpdateInput"]  # noqa: SLF001 - the schema itself, not its text
    assert isinstance(kind, GraphQLInputObjectType)
    assert set(leaves(kind)) - NO_SETTINGS == set(TRIALS)


@pytest.mark.parametrize("path", TRIALS)
async def test_a_setting_changes_what_happens(
    treue: ExecutableSchema, world: World, salon: Salon, other_salon: Salon, path: str
) -> None:
    """F-28: the same story under two values of one setting, and nothing else, ends in two ways."""
    trial = TRIALS[path]
    assert trial.seen[0] != trial.seen[1]
    for place, value, seen in zip((salon, other_salon), trial.values, trial.seen, strict=True):
        await set_over_the_api(treue, world, place, {**trial.besides, path: value})
        assert await trial.story(Stage(world, place)) == seen
