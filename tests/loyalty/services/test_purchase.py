"""Recording one purchase: what it earns, what a status does to it, and what is refused without a trace."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from loyalty.ledger.program import ProgramCache
from loyalty.log.reading import list_events
from loyalty.rules.account import Overdraft
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.earning import (
    CatalogItem,
    CatalogKind,
    Conditions,
    EarningRule,
    EarnScope,
    FixedAward,
    Outcome,
    PerAmountAward,
    PerUnitAward,
    Stacking,
    Weekday,
    WeekdayOf,
)
from loyalty.rules.errors import (
    CurrencyMismatch,
    FeatureDisabled,
    InvalidInput,
    LimitReached,
    LoyaltyError,
    PurchaseOfAnotherCustomer,
)
from loyalty.rules.money import Money
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.program import ProgramSettings
from loyalty.rules.purchase import PurchaseKind, PurchaseLine, PurchaseStatus
from loyalty.rules.purchase_errors import StatusRunsBackwards
from loyalty.services.catalog import CatalogEdit, upsert_catalog_items
from loyalty.services.customer import CustomerKey, find_customer, list_activity
from loyalty.services.earning_rule import create_earning_rule, delete_earning_rule, update_earning_rule
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import find_purchase, load_accruals, load_purchases, record_purchase
from loyalty.services.purchase_recording import PurchaseRecording, RecordedPurchase
from loyalty.services.tier import create_tier
from loyalty.services.world import World
from loyalty.storage.entries import EntryFilter
from loyalty.storage.window import Window
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges, snapshot
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOON,
    at,
    customer_actor,
    earn,
    give,
    known_customer,
    one_point_per_euro,
    order,
    position_all_events,
    rule,
    service_item,
)


def points_of(recorded: RecordedPurchase) -> int:
    """Return what a purchase earned."""
    assert recorded.accrual is not None
    return recorded.accrual.points


async def set_rules(world: World, salon: Salon, *rules: EarningRule) -> None:
    """Create earning rules."""
    for one in rules:
        await create_earning_rule(world, salon.manager, one)


async def set_program(world: World, salon: Salon, **changes: object) -> None:
    """Change settings of the program."""

    def change(settings: ProgramSettings) -> ProgramSettings:
        return replace(settings, **changes)  # type: ignore[arg-type]

    await update_program(world, salon.manager, ProgramEdit(change, None))


# ── earning ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_purchase_earns_at_once_and_the_answer_shows_it(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """BK-03, BK-26, PB-03, F-32: 290 EUR are 290 points, in the answer and for every reader after it."""
    await set_rules(world, salon, one_point_per_euro())
    recorded = await earn(world, salon, order(total=29_000))
    assert not recorded.replayed
    assert points_of(recorded) == 290
    assert recorded.customer.points[:6] == (290, 0, 0, 0, 290, 290)
    assert recorded.customer == await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert recorded.purchase == await find_purchase(
        world, salon.manager, purchase_id=None, key=(PurchaseKind.ORDER, "order-1")
    )
    await ledger_is_sound(salon.tenant_id)


async def test_the_entry_says_who_what_and_why(world: World, salon: Salon) -> None:
    """PB-16: every entry has a reason, an actor and a source."""
    await set_rules(world, salon, rule(10))
    recorded = await record_purchase(at(world, NOON), salon.integration, order())
    (entry,) = await list_activity(world, salon.manager, EntryFilter(recorded.customer.id), Window(10))
    assert (entry.kind, entry.points, entry.balance_after, entry.sequence) == ("EARNED", 10, 10, 1)
    assert (entry.reference_kind, entry.reference_id) == ("PURCHASE", recorded.purchase.id)
    assert (entry.actor_kind, entry.actor, entry.occurred_at) == ("STAFF", "staff:integration", NOON)


async def test_without_rules_nothing_is_earned_but_all_is_kept(world: World, salon: Salon) -> None:
    recorded = await earn(world, salon, order())
    assert points_of(recorded) == 0
    kept = await snapshot(world.database, salon.tenant_id)
    assert [len(kept[table]) for table in ("purchases", "accruals", "customers", "accounts")] == [1, 1, 1, 1]
    assert [len(kept[table]) for table in ("entries", "lots", "events")] == [0, 0, 0]


async def test_several_rules_are_used_together_one_line_each(world: World, salon: Salon) -> None:
    """BK-22, C-03: all matching rules contribute, and each says what it gave."""
    colour = Conditions(services=frozenset({"colour"}))
    await set_rules(
        world,
        salon,
        rule(10, name="Every visit"),
        rule(25, name="Colour", conditions=colour, priority=1),
        rule(PerAmountAward(1, 100), name="A point per euro", priority=2),
    )
    recorded = await earn(world, salon, order("order-1", 9_999, PurchaseLine("haircut", None, 1, 9_999)))
    assert recorded.accrual is not None
    lines = [(line["rule_name"], line["outcome"], line["points"]) for line in recorded.accrual.breakdown]
    assert lines == [
        ("Every visit", Outcome.APPLIED, 10),
        ("Colour", Outcome.NOT_MATCHED, 0),
        ("A point per euro", Outcome.APPLIED, 99),
    ]
    assert points_of(recorded) == 109
    assert all(line["explanation"] for line in recorded.accrual.breakdown)


@pytest.mark.parametrize(
    ("stacking", "points"), [(Stacking.SUM, 40), (Stacking.BEST, 30), (Stacking.FIRST_BY_PRIORITY, 10)]
)
async def test_rules_stack_as_the_program_says(world: World, salon: Salon, stacking: Stacking, points: int) -> None:
    """C-03."""
    await set_rules(world, salon, rule(10, priority=0), rule(30, priority=1))
    await set_program(world, salon, stacking=stacking)
    assert points_of(await earn(world, salon, order())) == points


@pytest.mark.parametrize(
    ("conditions", "matches", "misses"),
    [
        pytest.param(
            Conditions(service_categories=frozenset({"hair", "nails"})),
            order("yes", 100, PurchaseLine("haircut", None, 1, 100)),
            order("no", 100, PurchaseLine("massage", None, 1, 100)),
            id="BK-13 category, from the catalogue when the line has none",
        ),
        pytest.param(
            Conditions(services=frozenset({"haircut", "colour"})),
            order("yes", 100, PurchaseLine("haircut", None, 1, 100)),
            order("no", 100, PurchaseLine("massage", None, 1, 100)),
            id="BK-14 service",
        ),
        pytest.param(
            Conditions(customer_categories=frozenset({"vip"})),
            order("yes", customer=CustomerProfile("vera", category="vip")),
            order("no", customer=CustomerProfile("otto", category="new")),
            id="BK-15 customer category",
        ),
        pytest.param(
            Conditions(locations=frozenset({"mitte", "west"})),
            order("yes", location="west"),
            order("no", location="ost"),
            id="BK-16 location",
        ),
        pytest.param(
            Conditions(staff=frozenset({"mia"})), order("yes", staff="mia"), order("no", staff="ben"), id="BK-17 staff"
        ),
        pytest.param(
            Conditions(weekdays=frozenset({Weekday.WED})),
            order("yes", starts_at=NOON),
            order("no", starts_at=NOON.replace(day=5)),
            id="BK-18 weekday",
        ),
        pytest.param(
            Conditions(total_greater_than_minor=10_000),
            order("yes", 10_001),
            order("no", 10_000),
            id="BK-19 greater than, strictly",
        ),
        pytest.param(
            Conditions(total_less_than_minor=10_000),
            order("yes", 9_999),
            order("no", 10_000),
            id="BK-19 less than, strictly",
        ),
        pytest.param(
            Conditions(locations=frozenset({"west"}), staff=frozenset({"mia"})),
            order("yes", location="west", staff="mia"),
            order("no", location="west", staff="ben"),
            id="BK-23 all conditions at once",
        ),
    ],
)
async def test_a_rule_applies_exactly_when_its_conditions_hold(
    world: World, salon: Salon, conditions: Conditions, matches: PurchaseRecording, misses: PurchaseRecording
) -> None:
    """BK-13 to BK-19, BK-23, BK-27."""
    edit = CatalogEdit([service_item("haircut", category="hair"), service_item("massage", category="body")], [])
    await upsert_catalog_items(world, salon.manager, edit)
    await set_rules(world, salon, rule(10, conditions=conditions))
    assert points_of(await earn(world, salon, matches)) == 10
    assert points_of(await earn(world, salon, misses)) == 0


async def test_a_rule_without_conditions_is_for_everything(world: World, salon: Salon) -> None:
    """BK-21."""
    await set_rules(world, salon, rule(10))
    for kind in PurchaseKind:
        assert points_of(await earn(world, salon, order(f"any {kind}", 0, kind=kind))) == 10


async def test_a_customers_category_is_remembered_for_the_next_purchase(world: World, salon: Salon) -> None:
    """BK-15: what is not said stays as it is stored."""
    await set_rules(world, salon, rule(10, conditions=Conditions(customer_categories=frozenset({"vip"}))))
    await earn(world, salon, order("order-1", customer=CustomerProfile("anna", category="vip")))
    recorded = await earn(world, salon, order("order-2"))
    assert points_of(recorded) == 10
    assert recorded.customer.category == "vip"
    facts = (await snapshot(world.database, salon.tenant_id))["purchase_facts"]
    assert all('"customer_category": "vip"' in fact for fact in facts)


@pytest.mark.parametrize(
    ("location", "points"),
    [
        pytest.param(None, 0, id="still Tuesday in Berlin"),
        pytest.param("tokyo", 10, id="already Wednesday in Tokyo"),
        pytest.param("unknown", 0, id="a location without a zone is where the tenant is"),
    ],
)
async def test_the_weekday_is_that_of_the_location(
    world: World, salon: Salon, location: str | None, points: int
) -> None:
    """BK-18, C-05: 20:00 UTC on a Tuesday is 05:00 on Wednesday in Tokyo."""
    tokyo = CatalogItem(CatalogKind.LOCATION, "tokyo", "Tokyo", time_zone="Asia/Tokyo")
    await upsert_catalog_items(world, salon.manager, CatalogEdit([tokyo], []))
    await set_rules(world, salon, rule(10, conditions=Conditions(weekdays=frozenset({Weekday.WED}))))
    tuesday_evening = datetime(2026, 3, 3, 20, tzinfo=UTC)
    assert points_of(await earn(world, salon, order(starts_at=tuesday_evening, location=location))) == points


@pytest.mark.parametrize(("weekday_of", "points"), [(WeekdayOf.SERVICE_START, 0), (WeekdayOf.BOOKED_AT, 10)])
async def test_the_weekday_is_that_of_the_service_or_of_the_booking(
    world: World, salon: Salon, weekday_of: WeekdayOf, points: int
) -> None:
    """C-05."""
    await set_program(world, salon, weekday_of=weekday_of)
    await set_rules(world, salon, rule(10, conditions=Conditions(weekdays=frozenset({Weekday.WED}))))
    booked = order(booked_at=NOON, starts_at=NOON.replace(day=6))
    assert points_of(await earn(world, salon, booked)) == points


async def test_services_and_classes_have_points_of_their_own(world: World, salon: Salon) -> None:
    """SB-01, SB-03, PB-04: the item's own number per unit wins over the rule's."""
    items = [
        service_item("haircut", enrolled=True, points_per_unit=7),
        CatalogItem(CatalogKind.CLASS, "yoga", "Yoga", enrolled=True, points_per_unit=4),
        service_item("massage", enrolled=True),
    ]
    await upsert_catalog_items(world, salon.manager, CatalogEdit(items, []))
    await set_rules(world, salon, rule(PerUnitAward(5)))
    lines = [PurchaseLine(item, None, quantity, 100) for item, quantity in (("haircut", 2), ("massage", 1))]
    visit = order("visit", 300, *lines, kind=PurchaseKind.APPOINTMENT)
    assert points_of(await earn(world, salon, visit)) == 2 * 7 + 5
    yoga = order("yoga", 300, PurchaseLine("yoga", None, 3, 100), kind=PurchaseKind.CLASS)
    assert points_of(await earn(world, salon, yoga)) == 3 * 4


async def test_an_item_that_is_not_enrolled_earns_nothing(world: World, salon: Salon) -> None:
    """SB-13, C-04: with opt-in, only enrolled lines count, for every rule."""
    items = [service_item("haircut", enrolled=True), service_item("massage")]
    await upsert_catalog_items(world, salon.manager, CatalogEdit(items, []))
    await set_program(world, salon, earn_scope=EarnScope.OPT_IN)
    await set_rules(world, salon, one_point_per_euro(), rule(PerUnitAward(5), priority=1))
    haircut, massage = (PurchaseLine(item, None, 1, 10_000) for item in ("haircut", "massage"))
    assert points_of(await earn(world, salon, order("both", 20_000, haircut, massage))) == 100 + 5
    assert points_of(await earn(world, salon, order("massage only", 10_000, massage))) == 0


# ── rules come, change and go ────────────────────────────────────────────────────────────────────────────────────


async def test_a_paused_rule_gives_nothing_until_it_is_switched_on_again(world: World, salon: Salon) -> None:
    """BK-20."""
    paused = await create_earning_rule(world, salon.manager, rule(10, active=False))
    assert points_of(await earn(world, salon, order("order-1"))) == 0
    await update_earning_rule(world, salon.manager, paused.id, lambda it: replace(it, active=True), None)
    assert points_of(await earn(world, salon, order("order-2"))) == 10


async def test_earned_points_stay_explained_by_the_rule_of_that_time(world: World, salon: Salon) -> None:
    """BK-28, F-04: editing and deleting a rule changes no accrual that is there."""
    made = await create_earning_rule(world, salon.manager, rule(10, name="First name"))
    first = await earn(world, salon, order("order-1"))
    await update_earning_rule(
        world, salon.manager, made.id, lambda it: replace(it, award=FixedAward(20), name="New name"), None
    )
    second = await earn(world, salon, order("order-2"))
    await delete_earning_rule(world, salon.manager, made.id)
    third = await earn(world, salon, order("order-3"))
    assert [points_of(one) for one in (first, second, third)] == [10, 20, 0]
    kept = await load_accruals(world, salon.manager, [one.purchase.id for one in (first, second, third)])
    explained = [
        [(line["rule_id"], line["rule_name"], line["rule_version"]) for line in kept[one.purchase.id].breakdown]
        for one in (first, second, third)
    ]
    assert explained == [[(str(made.id), "First name", 1)], [(str(made.id), "New name", 2)], []]


async def test_a_rule_of_another_process_is_in_force_at_its_commit(
    world: World, salon: Salon, database_urls: DatabaseUrls
) -> None:
    """BK-10, BK-28: no process works with what it has compiled before."""
    assert points_of(await earn(world, salon, order("order-1"))) == 0
    database = Database(database_urls.app, pool_size=1, name="treue-tests-elsewhere")
    elsewhere = World(database, programs=ProgramCache())
    try:
        made = await create_earning_rule(elsewhere, salon.manager, rule(10))
        assert points_of(await earn(world, salon, order("order-2"))) == 10
        await update_earning_rule(elsewhere, salon.manager, made.id, lambda it: replace(it, award=FixedAward(20)), None)
        assert points_of(await earn(world, salon, order("order-3"))) == 20
        await delete_earning_rule(elsewhere, salon.manager, made.id)
        assert points_of(await earn(world, salon, order("order-4"))) == 0
        await update_program(elsewhere, salon.manager, ProgramEdit(lambda it: replace(it, enabled=False), None))
        with pytest.raises(FeatureDisabled):
            await earn(world, salon, order("order-5"))
    finally:
        await database.close()


async def test_a_rule_is_valid_in_its_window_only(world: World, salon: Salon) -> None:
    await set_rules(world, salon, rule(10, starts_at=NOON, ends_at=NOON.replace(hour=13)))
    booked = [NOON.replace(hour=11, minute=59), NOON, NOON.replace(hour=12, minute=59), NOON.replace(hour=13)]
    earned = [points_of(await earn(world, salon, order(f"at {moment}", booked_at=moment))) for moment in booked]
    assert earned == [0, 10, 10, 0]


# ── tiers and events ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("points", "reached"),
    [(0, None), (99, None), (100, "Silver"), (101, "Silver"), (499, "Silver"), (500, "Gold"), (10_000, "Gold")],
)
async def test_a_customer_is_always_in_the_highest_tier_reached(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, points: int, reached: str | None
) -> None:
    """BK-33, BK-34, BK-35, F-29: in the same answer, and over several tiers at once."""
    await create_tier(world, salon.manager, "Gold", "#FFD700", 500)
    await create_tier(world, salon.manager, "Silver", "#C0C0C0", 100)
    await set_rules(world, salon, one_point_per_euro())
    recorded = await earn(world, salon, order(total=points * 100))
    assert (recorded.customer.tier.name if recorded.customer.tier else None) == reached
    assert (recorded.tier_change is not None) == (reached is not None)
    await ledger_is_sound(salon.tenant_id)


async def test_a_new_customer_begins_in_the_tier_for_no_points_which_is_no_upgrade(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-29: a tier that begins at 0."""
    await create_tier(world, salon.manager, "Regular", "#808080", 0)
    recorded = await earn(world, salon, order())
    assert recorded.customer.tier is not None
    assert recorded.customer.tier.name == "Regular"
    assert recorded.tier_change is None
    assert (await snapshot(world.database, salon.tenant_id))["tier_changes"] == []
    await ledger_is_sound(salon.tenant_id)


async def test_spending_never_lowers_the_tier(world: World, salon: Salon) -> None:
    """BK-33, F-30."""
    await create_tier(world, salon.manager, "Silver", "#C0C0C0", 100)
    await set_rules(world, salon, one_point_per_euro())
    await earn(world, salon, order(total=10_000))
    adjusted = await give(world, salon, -100, "spent")
    assert adjusted.customer.points.available == 0
    assert adjusted.customer.tier is not None
    assert adjusted.customer.tier.name == "Silver"


async def test_earning_and_upgrading_are_told_once_each(world: World, salon: Salon, relay_database: Database) -> None:
    """C-10: both events, in the order they happened, with the account as it was just then."""
    silver = await create_tier(world, salon.manager, "Silver", "#C0C0C0", 100)
    await set_rules(world, salon, one_point_per_euro())
    recorded = await earn(world, salon, order(total=12_000))
    await earn(world, salon, order(total=12_000))
    await position_all_events(relay_database)
    earned, upgraded = await list_events(world.database, salon.tenant_id, after=0)
    assert (earned.kind, earned.payload["points"], earned.payload["available"]) == ("points.earned", 120, 120)
    assert earned.payload["purchase_id"] == str(recorded.purchase.id)
    assert upgraded.kind == "tier.upgraded"
    assert upgraded.payload["tier_id"] == str(silver.tier.id)
    assert upgraded.payload["previous_tier_id"] is None
    assert (upgraded.payload["cause"], upgraded.payload["qualifying_points"]) == ("ACCRUAL", 120)
    assert (earned.position, upgraded.position) == (1, 2)


async def test_debt_is_paid_before_anything_becomes_available(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """C-19: the next credit pays debt first, and still counts as earned."""
    await known_customer(world, salon)
    await give(world, salon, -30, "too much", overdraft=Overdraft.ALLOW_NEGATIVE)
    await set_rules(world, salon, rule(20))
    first = await earn(world, salon, order("order-1"))
    assert (first.customer.points.available, first.customer.points.debt) == (0, 10)
    second = await earn(world, salon, order("order-2"))
    assert (second.customer.points.available, second.customer.points.debt) == (10, 0)
    assert second.customer.points.lifetime_earned == 40
    await ledger_is_sound(salon.tenant_id)


# ── status, replay ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_hundred_replays_count_once(
    world: World, salon: Salon, nothing_changes: NothingChanges, ledger_is_sound: LedgerCheck
) -> None:
    """F-08, F-33: the same report again has the same answer, and changes nothing."""
    await create_tier(world, salon.manager, "Silver", "#C0C0C0", 10)
    await set_rules(world, salon, rule(10))
    first = await earn(world, salon, order())
    async with nothing_changes(salon.tenant_id):
        for _ in range(100):
            again = await earn(world, salon, order())
            assert again.replayed
            assert again._replace(replayed=False) == first
    await ledger_is_sound(salon.tenant_id)


async def test_a_purchase_earns_once_however_far_it_comes(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-08: created, confirmed, paid and completed are four facts and one accrual."""
    await set_rules(world, salon, rule(10))
    forward = [
        PurchaseStatus.CREATED,
        PurchaseStatus.CONFIRMED,
        PurchaseStatus.PAID,
        PurchaseStatus.COMPLETED,
    ]
    for version, status in enumerate(forward, 1):
        recorded = await earn(world, salon, order(status=status))
        assert (recorded.purchase.status, recorded.purchase.version, recorded.replayed) == (status, version, False)
        assert recorded.customer.points.lifetime_earned == 10
    kept = await snapshot(world.database, salon.tenant_id)
    assert [len(kept[table]) for table in ("purchases", "purchase_facts", "accruals", "entries")] == [1, 4, 1, 1]
    await ledger_is_sound(salon.tenant_id)


async def test_a_late_status_is_refused_and_an_old_fact_is_a_replay(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """F-08: what comes late moves nothing backwards."""
    await set_rules(world, salon, rule(10))
    await earn(world, salon, order(status=PurchaseStatus.CREATED))
    completed = await earn(world, salon, order(status=PurchaseStatus.COMPLETED))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(StatusRunsBackwards) as refused:
            await earn(world, salon, order(status=PurchaseStatus.PAID))
        assert (refused.value.current, refused.value.requested) == ("COMPLETED", "PAID")
        old = await earn(world, salon, order(status=PurchaseStatus.CREATED))
        assert old.replayed
        assert old.purchase == completed.purchase


async def test_new_facts_at_the_same_status_are_a_new_version_that_is_valued_anew(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-04, F-08: under the rules of the first evaluation."""
    await set_rules(world, salon, one_point_per_euro())
    await earn(world, salon, order(total=10_000))
    changed = await earn(world, salon, order(total=20_000))
    assert (changed.purchase.version, changed.purchase.total, changed.replayed) == (2, Money(20_000, "EUR"), False)
    assert points_of(changed) == 200
    assert changed.customer.points.available == 200
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize("status", [PurchaseStatus.CANCELLED, PurchaseStatus.NO_SHOW, PurchaseStatus.REFUNDED])
async def test_a_purchase_first_reported_as_cancelled_earns_nothing(
    world: World, salon: Salon, status: PurchaseStatus
) -> None:
    await set_rules(world, salon, rule(10))
    recorded = await earn(world, salon, order(status=status))
    assert recorded.accrual is None
    assert recorded.customer.points.available == 0


async def test_a_cancellation_that_comes_before_its_purchase_is_remembered(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """C-20: what comes late tells how it began and earns nothing, unless it tells a later moment."""
    await set_rules(world, salon, rule(10))
    await earn(world, salon, order(status=PurchaseStatus.CANCELLED, occurred_at=NOON))
    for number, told in enumerate((None, NOON - timedelta(hours=1), NOON)):
        late = await earn(world, salon, order(staff=f"told {number}", occurred_at=told))
        assert (late.purchase.status, late.purchase.staff) == (PurchaseStatus.CANCELLED, f"told {number}")
        assert (late.accrual, late.customer.points.available) == (None, 0)
    await ledger_is_sound(salon.tenant_id)


async def test_a_purchase_that_takes_place_after_all_earns_then(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """C-20: a later moment tells that it was brought to life."""
    await set_rules(world, salon, rule(10))
    await earn(world, salon, order(status=PurchaseStatus.CANCELLED, occurred_at=NOON))
    later = NOON + timedelta(hours=1)
    revived = await earn(world, salon, order(status=PurchaseStatus.COMPLETED, occurred_at=later))
    assert points_of(revived) == 10
    assert revived.customer.points.available == 10
    await ledger_is_sound(salon.tenant_id)


async def test_the_same_external_id_of_another_kind_is_another_purchase(world: World, salon: Salon) -> None:
    await set_rules(world, salon, rule(10))
    first = await earn(world, salon, order(kind=PurchaseKind.ORDER))
    second = await earn(world, salon, order(kind=PurchaseKind.APPOINTMENT))
    assert not second.replayed
    assert first.purchase.id != second.purchase.id
    assert second.customer.points.available == 20


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("recording", "path"),
    [
        pytest.param(order(""), ("external_id",), id="no external id"),
        pytest.param(order("x" * 256), ("external_id",), id="external id too long"),
        pytest.param(order("line\nbreak"), ("external_id",), id="control character"),
        pytest.param(order(total=-1), ("total", "amount"), id="negative total"),
        pytest.param(order(total=10**15), ("total", "amount"), id="total too large"),
        pytest.param(order(total=0)._replace(report=replace(order().report, total=Money(1, "XXX"))),
                     ("total", "currency"), id="no currency"),
        pytest.param(order("o", 1, PurchaseLine("a", None, 0, 1)), ("lines", "0", "quantity"), id="no quantity"),
        pytest.param(order("o", 1, PurchaseLine("a\0", None, 1, 1)), ("lines", "0", "item"), id="NUL"),
        pytest.param(order("o", 1, PurchaseLine("a", None, 1, 1, 2)), ("lines", "0", "discount"), id="discount"),
        pytest.param(order(location="\ud800"), ("location",), id="lone surrogate"),
        pytest.param(order(booked_at=NOON.replace(tzinfo=None)), ("booked_at",), id="naive time"),
        pytest.param(order(starts_at=NOON, ends_at=NOON.replace(hour=1)), ("ends_at",), id="ends before it starts"),
        pytest.param(order(customer=""), ("customer", "external_id"), id="nobody's"),
        pytest.param(order(customer=CustomerProfile("a", email="nobody")), ("customer", "email"), id="no e-mail"),
        pytest.param(order(customer=CustomerProfile("a", full_name="\0")), ("customer", "full_name"), id="NUL in name"),
        pytest.param(order(customer=CustomerProfile("a", locale="?")), ("customer", "locale"), id="no locale"),
    ],
)  # fmt: skip
async def test_bad_input_is_refused_with_its_place(
    world: World, salon: Salon, nothing_changes: NothingChanges, recording: PurchaseRecording, path: tuple[str, ...]
) -> None:
    """BK-12: every refusal names the field."""
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput) as refused:
            await earn(world, salon, recording)
    assert refused.value.path == path


def _of_somebody_else(recording: PurchaseRecording) -> PurchaseRecording:
    return recording._replace(customer=CustomerProfile("ben", full_name="Ben"), status=PurchaseStatus.PAID)


def _in_dollars(recording: PurchaseRecording) -> PurchaseRecording:
    return recording._replace(report=replace(recording.report, total=Money(100, "USD")))


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        pytest.param(_in_dollars, CurrencyMismatch, id="F-22: another currency"),
        pytest.param(_of_somebody_else, PurchaseOfAnotherCustomer, id="somebody else's purchase"),
        pytest.param(
            lambda it: it._replace(status=PurchaseStatus.CREATED, report=replace(it.report, staff="mia")),
            StatusRunsBackwards,
            id="late status",
        ),
    ],
)
async def test_a_contradiction_is_refused_without_a_trace(
    world: World,
    salon: Salon,
    nothing_changes: NothingChanges,
    change: Callable[[PurchaseRecording], PurchaseRecording],
    refusal: type[LoyaltyError],
) -> None:
    await set_rules(world, salon, rule(10))
    await earn(world, salon, order(status=PurchaseStatus.CONFIRMED))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(refusal):
            await earn(world, salon, change(order(status=PurchaseStatus.CONFIRMED)))


async def test_a_refused_customer_is_not_created_either(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """An evaluation that comes to too many points is refused when the customer was opened already."""
    await set_rules(world, salon, rule(PerAmountAward(MAX_POINTS, 1)))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput, match="would earn more than"):
            await earn(world, salon, order(total=2, customer=CustomerProfile("new", full_name="New")))


async def test_an_account_has_a_limit(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    await set_rules(world, salon, rule(MAX_POINTS))
    await earn(world, salon, order("order-1"))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(LimitReached):
            await earn(world, salon, order("order-2"))


async def test_a_program_that_is_off_records_nothing(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """BK-01: no accrual while the module is off."""
    await set_program(world, salon, enabled=False)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(FeatureDisabled):
            await earn(world, salon, order())
    await set_program(world, salon, enabled=True)
    assert not (await earn(world, salon, order())).replayed


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_customer_sees_only_their_own_purchases(world: World, salon: Salon) -> None:
    await set_rules(world, salon, rule(10))
    mine, other = await earn(world, salon, order("mine")), await earn(world, salon, order("other", customer="ben"))
    anna = customer_actor(salon.tenant_id, mine.customer.id)
    ids = [mine.purchase.id, other.purchase.id]
    assert set(await load_purchases(world, anna, ids)) == {mine.purchase.id}
    assert set(await load_accruals(world, anna, ids)) == {mine.purchase.id}
    assert await find_purchase(world, anna, purchase_id=mine.purchase.id, key=None) == mine.purchase
    assert await find_purchase(world, anna, purchase_id=other.purchase.id, key=None) is None
    assert await find_purchase(world, anna, purchase_id=None, key=(PurchaseKind.ORDER, "other")) is None


async def test_a_purchase_is_found_by_nothing_at_all_or_by_what_is_not_there(world: World, salon: Salon) -> None:
    assert await find_purchase(world, salon.manager, purchase_id=None, key=None) is None
    assert await find_purchase(world, salon.manager, purchase_id=None, key=(PurchaseKind.ORDER, "none")) is None
