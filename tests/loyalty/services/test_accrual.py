"""The life of an accrual: promised, void, taken back, earned again; as the policy of its evaluation wants it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from loyalty.log.reading import list_events
from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import AccrualState, EvaluateOn, MatureOn
from loyalty.rules.earning import Conditions
from loyalty.rules.errors import InsufficientPoints, LimitReached
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.purchase_errors import AmbiguousReport
from loyalty.services.customer import CustomerKey, find_customer, list_activity
from loyalty.services.earning_rule import create_earning_rule, update_earning_rule
from loyalty.services.maturing import mature_due
from loyalty.services.purchase import load_accruals, record_purchases
from loyalty.services.purchase_recording import PurchaseRecording, RecordedPurchase
from loyalty.services.tier import create_tier
from loyalty.services.world import World
from loyalty.storage.accruals import AccrualRow
from loyalty.storage.customers import CustomerRow
from loyalty.storage.entries import EntryFilter, EntryRow
from loyalty.storage.window import Window
from tenancy.database import Database
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges, snapshot
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOON,
    at,
    earn,
    give,
    one_point_per_euro,
    order,
    position_all_events,
    rule,
    set_policy,
)

CREATED, CONFIRMED, PAID, COMPLETED, CANCELLED, NO_SHOW, REFUNDED = PurchaseStatus
CALLED_OFF = [CANCELLED, NO_SHOW, REFUNDED]
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
async def sound_in_the_end(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> AsyncIterator[None]:
    """Check after each test that the ledger adds up, and once more when all pending points with a date have matured."""
    yield
    await ledger_is_sound(salon.tenant_id)
    while (await mature_due(at(world, NOON.replace(year=2999)), salon.tenant_id)).done:
        pass
    await ledger_is_sound(salon.tenant_id)


async def anna(world: World, salon: Salon) -> CustomerRow:
    """Return Anna as readers see her."""
    found = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert found is not None
    return found


async def entries_of(world: World, salon: Salon) -> list[EntryRow]:
    """Return Anna's entries, the oldest first."""
    customer = await anna(world, salon)
    return (await list_activity(world, salon.manager, EntryFilter(customer.id), Window(100)))[::-1]


async def told(world: World, relay: Database, salon: Salon) -> list[str]:
    """Return the kinds of all events of the salon, in order."""
    await position_all_events(relay)
    return [event.kind for event in await list_events(world.database, salon.tenant_id, after=0)]


def accrual_of(recorded: RecordedPurchase) -> AccrualRow:
    """Return what a purchase earned."""
    assert recorded.accrual is not None
    return recorded.accrual


def numbers(customer: CustomerRow) -> tuple[int, int, int, int, int]:
    """Return available, pending, debt, lifetime, qualifying."""
    points = customer.points
    return (points.available, points.pending, points.debt, points.lifetime_earned, points.qualifying)


def appointment(ends_at: datetime | None = NOON, **facts: Any) -> PurchaseRecording:
    """Return an appointment of 100.00 that ends then."""
    starts_at = ends_at and ends_at - HOUR
    return order(**{"starts_at": starts_at, "ends_at": ends_at, **facts})


# ── promised ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_pending_points_are_shown_and_cannot_be_spent(
    world: World, salon: Salon, relay_database: Database
) -> None:
    """C-01, SB-04: no entry, no lot, no lifetime points and no tier before their time."""
    await set_policy(world, salon, mature_on=MatureOn.SERVICE_ENDED, delay_minutes=180)
    await create_tier(world, salon.manager, "Silver", "#C0C0C0", 50)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    recorded = await earn(at(world, NOON - 5 * HOUR), salon, appointment())
    accrual = accrual_of(recorded)
    assert (accrual.state, accrual.points) == (AccrualState.PENDING, 100)
    assert (accrual.matures_at, accrual.matured_at) == (NOON + 3 * HOUR, None)
    assert numbers(recorded.customer) == (0, 100, 0, 0, 0)
    assert recorded.customer == await anna(world, salon)
    assert (recorded.tier_change, recorded.customer.tier) == (None, None)
    with pytest.raises(InsufficientPoints) as refused:
        await give(world, salon, -1, "too early")
    assert refused.value.available == 0
    kept = await snapshot(world.database, salon.tenant_id)
    assert [len(kept[table]) for table in ("entries", "lots", "allocations")] == [0, 0, 0]
    assert await told(world, relay_database, salon) == ["points.pending"]


async def test_points_of_a_service_that_ended_long_ago_are_spendable_at_once(world: World, salon: Salon) -> None:
    """SB-04: an appointment that is reported late waits no longer than it had to."""
    await set_policy(world, salon, mature_on=MatureOn.SERVICE_ENDED, delay_minutes=180)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    recorded = await earn(at(world, NOON + 3 * HOUR), salon, appointment())
    assert accrual_of(recorded).state == AccrualState.AVAILABLE
    assert accrual_of(recorded).matured_at == NOON + 3 * HOUR
    assert numbers(recorded.customer) == (100, 0, 0, 100, 100)


async def test_a_moment_before_it_is_still_pending(world: World, salon: Salon) -> None:
    """SB-04: never before the end and three hours."""
    await set_policy(world, salon, mature_on=MatureOn.SERVICE_ENDED, delay_minutes=180)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    recorded = await earn(at(world, NOON + 3 * HOUR - timedelta(microseconds=1)), salon, appointment())
    assert accrual_of(recorded).state == AccrualState.PENDING


@pytest.mark.parametrize("delay", [0, 180])
async def test_no_points_are_no_promise(world: World, salon: Salon, relay_database: Database, delay: int) -> None:
    await set_policy(world, salon, delay_minutes=delay)
    recorded = await earn(world, salon, order())
    assert (accrual_of(recorded).state, accrual_of(recorded).points) == (AccrualState.AVAILABLE, 0)
    cancelled = await earn(world, salon, order(status=CANCELLED))
    assert numbers(cancelled.customer) == (0, 0, 0, 0, 0)
    assert await told(world, relay_database, salon) == []


async def test_replays_of_a_promise_count_once(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    """F-08."""
    await set_policy(world, salon, delay_minutes=60)
    await create_earning_rule(world, salon.manager, rule(10))
    first = await earn(world, salon, order())
    async with nothing_changes(salon.tenant_id):
        for _ in range(20):
            assert await earn(world, salon, order()) == first._replace(replayed=True)


async def test_an_account_promises_only_what_it_can_hold(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """F-19: refused when it is promised, so that no maturity can ever fail."""
    await set_policy(world, salon, delay_minutes=60)
    await create_earning_rule(world, salon.manager, rule(MAX_POINTS - 10))
    await earn(at(world, NOON), salon, order("order-1"))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(LimitReached):
            await earn(at(world, NOON), salon, order("order-2"))
        with pytest.raises(LimitReached):
            await give(world, salon, 11, "too much")
    await give(world, salon, 10, "just enough")
    assert (await mature_due(at(world, NOON + HOUR), salon.tenant_id)).done == 1
    assert (await anna(world, salon)).points.available == MAX_POINTS


# ── statuses that evaluate, and statuses that let mature ─────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("evaluate_on", "earning"),
    [
        (EvaluateOn.PURCHASE_CREATED, CREATED),
        (EvaluateOn.PURCHASE_CONFIRMED, CONFIRMED),
        (EvaluateOn.PURCHASE_PAID, PAID),
        (EvaluateOn.PURCHASE_COMPLETED, COMPLETED),
    ],
)
async def test_is_evaluated_when_its_status_comes_and_only_then(
    world: World, salon: Salon, evaluate_on: EvaluateOn, earning: PurchaseStatus
) -> None:
    """C-01, PB-05, F-08: once, with the rules of that moment."""
    await set_policy(world, salon, evaluate_on=evaluate_on)
    made = await create_earning_rule(world, salon.manager, rule(10))
    statuses = [CREATED, CONFIRMED, PAID, COMPLETED]
    accruals = [(await earn(world, salon, order(status=status))).accrual for status in statuses]
    assert [accrual is not None for accrual in accruals] == [it >= statuses.index(earning) for it in range(4)]
    assert len({accrual.id for accrual in accruals if accrual}) == 1
    await update_earning_rule(world, salon.manager, made.id, lambda it: replace(it, name="Other"), None)
    assert (await anna(world, salon)).points.available == 10


async def test_a_later_status_evaluates_as_well(world: World, salon: Salon) -> None:
    """C-01: who is never told of PAID learns it from COMPLETED."""
    await set_policy(world, salon, evaluate_on=EvaluateOn.PURCHASE_PAID)
    await create_earning_rule(world, salon.manager, rule(10))
    assert (await earn(world, salon, order(status=CREATED))).accrual is None
    assert accrual_of(await earn(world, salon, order(status=COMPLETED))).points == 10


async def test_the_facts_at_the_evaluation_count(world: World, salon: Salon) -> None:
    """C-01: evaluated at COMPLETED, a purchase earns by its final total."""
    await set_policy(world, salon, evaluate_on=EvaluateOn.PURCHASE_COMPLETED)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, order(total=10_000, status=CREATED))
    await earn(world, salon, order(total=20_000, status=PAID))
    assert accrual_of(await earn(world, salon, order(total=29_000, status=COMPLETED))).points == 290


async def test_a_purchase_cancelled_before_its_evaluation_loses_no_points(
    world: World, salon: Salon, relay_database: Database
) -> None:
    """C-20, F-09: and earns once, in its first generation, when it takes place after all."""
    await set_policy(world, salon, evaluate_on=EvaluateOn.PURCHASE_COMPLETED)
    await create_earning_rule(world, salon.manager, rule(10))
    await earn(world, salon, order(status=CREATED))
    assert (await earn(world, salon, order(status=CANCELLED))).accrual is None
    revived = await earn(world, salon, order(status=COMPLETED))
    assert (accrual_of(revived).generation, revived.customer.points.available) == (1, 10)
    assert await told(world, relay_database, salon) == ["points.earned"]


@pytest.mark.parametrize(
    ("mature_on", "awaited", "before"),
    [(MatureOn.PURCHASE_PAID, PAID, CONFIRMED), (MatureOn.PURCHASE_COMPLETED, COMPLETED, PAID)],
)
async def test_points_wait_for_a_status(
    world: World,
    salon: Salon,
    relay_database: Database,
    mature_on: MatureOn,
    awaited: PurchaseStatus,
    before: PurchaseStatus,
) -> None:
    """C-01: without a date until it comes; then spendable in the same transaction."""
    await set_policy(world, salon, mature_on=mature_on)
    await create_earning_rule(world, salon.manager, rule(10))
    for status in (CREATED, before):
        waiting = await earn(at(world, NOON), salon, order(status=status))
        assert (accrual_of(waiting).state, accrual_of(waiting).matures_at) == (AccrualState.PENDING, None)
    assert (await mature_due(at(world, NOON + 999 * HOUR), salon.tenant_id)).done == 0
    matured = await earn(at(world, NOON + HOUR), salon, order(status=awaited))
    assert accrual_of(matured).state == AccrualState.AVAILABLE
    assert (accrual_of(matured).matures_at, accrual_of(matured).matured_at) == (NOON + HOUR, NOON + HOUR)
    assert numbers(matured.customer) == (10, 0, 0, 10, 10)
    assert (await load_accruals(world, salon.manager, [matured.purchase.id])) == {matured.purchase.id: matured.accrual}
    assert await told(world, relay_database, salon) == ["points.pending", "points.earned"]


async def test_a_delay_runs_from_the_status_and_starts_once(world: World, salon: Salon) -> None:
    """F-40: P14D after it was paid, whatever is reported after that."""
    await set_policy(world, salon, mature_on=MatureOn.PURCHASE_PAID, delay_minutes=14 * 24 * 60)
    await create_earning_rule(world, salon.manager, rule(10))
    await earn(at(world, NOON), salon, order(status=CREATED))
    paid = await earn(at(world, NOON + HOUR), salon, order(status=PAID))
    due_at = NOON + HOUR + timedelta(days=14)
    assert (accrual_of(paid).state, accrual_of(paid).matures_at) == (AccrualState.PENDING, due_at)
    completed = await earn(at(world, NOON + 24 * HOUR), salon, order(status=COMPLETED))
    assert accrual_of(completed).matures_at == due_at


async def test_a_moved_appointment_moves_its_points(world: World, salon: Salon) -> None:
    """SB-04: the end that counts is the one that was reported last."""
    await set_policy(world, salon, mature_on=MatureOn.SERVICE_ENDED, delay_minutes=180)
    await create_earning_rule(world, salon.manager, rule(10))
    await earn(at(world, NOON - 9 * HOUR), salon, appointment(NOON))
    later = await earn(at(world, NOON - 8 * HOUR), salon, appointment(NOON + 24 * HOUR))
    assert accrual_of(later).matures_at == NOON + 27 * HOUR
    assert (await mature_due(at(world, NOON + 26 * HOUR), salon.tenant_id)).done == 0
    earlier = await earn(at(world, NOON - 7 * HOUR), salon, appointment(NOON - 20 * HOUR))
    assert accrual_of(earlier).state == AccrualState.AVAILABLE
    assert numbers(earlier.customer) == (10, 0, 0, 10, 10)


async def test_a_late_report_does_not_delay_points_that_are_due(world: World, salon: Salon) -> None:
    """SB-04: the sweeper has not come by yet, and the report tells no times: its points are due all the same."""
    await set_policy(world, salon, mature_on=MatureOn.SERVICE_ENDED, delay_minutes=180)
    await create_earning_rule(world, salon.manager, rule(10))
    await earn(at(world, NOON), salon, appointment(NOON))
    late = await earn(at(world, NOON + 3 * HOUR), salon, order(status=COMPLETED))
    assert accrual_of(late).state == AccrualState.AVAILABLE
    assert (accrual_of(late).matures_at, late.customer.points.available) == (NOON + 3 * HOUR, 10)


# ── void, and taken back ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", CALLED_OFF)
async def test_an_accrual_cancelled_while_pending_is_void(
    world: World, salon: Salon, relay_database: Database, status: PurchaseStatus
) -> None:
    """C-20: the points never become spendable, by the sweep or by hand."""
    await set_policy(world, salon, delay_minutes=60)
    await create_earning_rule(world, salon.manager, rule(10))
    await earn(at(world, NOON), salon, order("other"))
    await earn(at(world, NOON), salon, order())
    called_off = await earn(at(world, NOON + HOUR), salon, order(status=status))
    assert (accrual_of(called_off).state, accrual_of(called_off).reversed_points) == (AccrualState.VOIDED, 0)
    assert numbers(called_off.customer) == (0, 10, 0, 0, 0)
    assert (await mature_due(at(world, NOON + 9 * HOUR), salon.tenant_id)).done == 1
    assert numbers(await anna(world, salon)) == (10, 0, 0, 10, 10)
    assert await told(world, relay_database, salon) == ["points.pending"] * 2 + ["points.voided", "points.earned"]


@pytest.mark.parametrize("status", CALLED_OFF)
async def test_a_cancellation_after_the_credit_takes_the_points_back(
    world: World, salon: Salon, relay_database: Database, status: PurchaseStatus
) -> None:
    """F-01, C-20: balance, lifetime points and qualifying points; the entry says why."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    first = await earn(at(world, NOON), salon, order(total=29_000))
    called_off = await earn(at(world, NOON + HOUR), salon, order(total=29_000, status=status))
    accrual = accrual_of(called_off)
    assert accrual.id == accrual_of(first).id
    assert (accrual.state, accrual.points, accrual.reversed_points) == (AccrualState.REVERSED, 290, 290)
    assert numbers(called_off.customer) == (0, 0, 0, 0, 0)
    assert called_off.customer == await anna(world, salon)
    earned, reversed_ = await entries_of(world, salon)
    assert (earned.kind, earned.points, earned.balance_after) == ("EARNED", 290, 290)
    assert (reversed_.kind, reversed_.points, reversed_.balance_after) == ("EARN_REVERSED", -290, 0)
    assert (reversed_.reference_kind, reversed_.reference_id) == ("PURCHASE", called_off.purchase.id)
    assert (reversed_.occurred_at, reversed_.actor) == (NOON + HOUR, "staff:integration")
    assert await told(world, relay_database, salon) == ["points.earned", "points.reversed"]


async def test_points_are_taken_from_the_lot_they_came_in(world: World, salon: Salon) -> None:
    """F-05: not from the oldest one, which a payment would take."""
    await create_earning_rule(world, salon.manager, rule(10))
    for number in range(3):
        await earn(at(world, NOON + number * HOUR), salon, order(f"order-{number}"))
    await give(world, salon, -4, "spent")
    await earn(world, salon, order("order-1", status=CANCELLED))
    assert await _left_in_lots(world, salon) == [6, 0, 10]
    await earn(world, salon, order("order-0", status=CANCELLED))
    assert await _left_in_lots(world, salon) == [0, 0, 6]
    assert numbers(await anna(world, salon)) == (6, 0, 0, 10, 10)


async def _left_in_lots(world: World, salon: Salon) -> list[int]:
    lots = (await snapshot(world.database, salon.tenant_id))["lots"]
    rows = sorted((orjson.loads(lot) for lot in lots), key=lambda lot: str(lot["id"]))
    return [int(row["remaining"]) for row in rows]


async def test_points_spent_before_the_cancellation_become_debt(world: World, salon: Salon) -> None:
    """F-01, F-40: ALLOW_NEGATIVE, the default; the next purchase pays it."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, order("order-1", 10_000))
    await give(world, salon, -70, "spent")
    called_off = await earn(world, salon, order("order-1", 10_000, status=REFUNDED))
    assert numbers(called_off.customer) == (0, 0, 70, 0, 0)
    assert [entry.points for entry in await entries_of(world, salon)] == [100, -70, -100]
    await earn(world, salon, order("order-2", 9_000))
    assert numbers(await anna(world, salon)) == (20, 0, 0, 90, 90)


async def test_other_points_pay_before_debt_is_made(world: World, salon: Salon) -> None:
    """F-40: what is gone from the own lot is taken from the others first."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, order("order-1", 10_000))
    await give(world, salon, -70, "spent")
    await give(world, salon, 50, "bonus")
    called_off = await earn(world, salon, order("order-1", 10_000, status=CANCELLED))
    assert numbers(called_off.customer)[:3] == (0, 0, 20)


async def test_clamping_takes_what_is_there_and_forgets_the_rest(world: World, salon: Salon) -> None:
    """C-20: CLAMP; what was earned is lowered by what was taken."""
    await set_policy(world, salon, debt=Overdraft.CLAMP)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, order("order-1", 10_000))
    await give(world, salon, -70, "spent")
    called_off = await earn(world, salon, order("order-1", 10_000, status=CANCELLED))
    assert numbers(called_off.customer) == (0, 0, 0, 70, 70)
    accrual = accrual_of(called_off)
    assert (accrual.state, accrual.reversed_points) == (AccrualState.REVERSED, 100)
    assert [entry.points for entry in await entries_of(world, salon)] == [100, -70, -30]


async def test_clamping_to_nothing_makes_no_entry(world: World, salon: Salon, relay_database: Database) -> None:
    """C-20: the purchase is called off, and there is nothing to tell."""
    await set_policy(world, salon, debt=Overdraft.CLAMP)
    await create_earning_rule(world, salon.manager, rule(10))
    await earn(world, salon, order())
    await give(world, salon, -10, "spent")
    called_off = await earn(world, salon, order(status=CANCELLED))
    assert accrual_of(called_off).state == AccrualState.REVERSED
    assert numbers(called_off.customer) == (0, 0, 0, 10, 10)
    assert await told(world, relay_database, salon) == ["points.earned", "points.adjusted"]


async def test_a_refused_cancellation_changes_nothing(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """C-20: REJECT; once the points are there it goes through."""
    await set_policy(world, salon, debt=Overdraft.REJECT)
    await create_earning_rule(world, salon.manager, rule(10))
    await earn(world, salon, order())
    await give(world, salon, -1, "spent")
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InsufficientPoints) as refused:
            await earn(world, salon, order(status=CANCELLED))
    assert (refused.value.available, refused.value.required) == (9, 10)
    await give(world, salon, 1, "back", qualifying=False)
    assert numbers((await earn(world, salon, order(status=CANCELLED))).customer) == (0, 0, 0, 0, 0)


async def test_the_tier_falls_back_with_the_points(world: World, salon: Salon, relay_database: Database) -> None:
    """F-01, F-31: told once, with the cause, and risen again with the next purchase."""
    silver = await create_tier(world, salon.manager, "Silver", "#C0C0C0", 50)
    await create_tier(world, salon.manager, "Gold", "#FFD700", 90)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, order("order-1", 6_000))
    await earn(world, salon, order("order-2", 6_000))
    fallen = await earn(world, salon, order("order-2", 6_000, status=NO_SHOW))
    assert fallen.tier_change is not None
    assert (fallen.tier_change.upgraded, fallen.tier_change.cause) == (False, "REVERSAL")
    assert fallen.tier_change.to_tier_id == silver.tier.id
    out = await earn(world, salon, order("order-1", 6_000, status=CANCELLED))
    assert (out.tier_change is not None, out.customer.tier) == (True, None)
    assert await told(world, relay_database, salon) == [
        *("points.earned", "tier.upgraded") * 2,
        *("points.reversed", "tier.downgraded") * 2,
    ]
    events = await list_events(world.database, salon.tenant_id, after=0)
    assert [event.payload["cause"] for event in events if event.kind == "tier.downgraded"] == ["REVERSAL"] * 2


async def test_a_cancellation_counts_once_however_it_is_repeated(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """F-05, F-08: replays, a no-show after it, a refund after that, other facts."""
    await create_earning_rule(world, salon.manager, rule(10))
    await earn(world, salon, order("other"))
    await earn(world, salon, order())
    first = await earn(world, salon, order(status=CANCELLED))
    async with nothing_changes(salon.tenant_id):
        for _ in range(20):
            again = await earn(world, salon, order(status=CANCELLED))
            assert again == first._replace(replayed=True)
    for report in (order(status=CANCELLED, staff="mia"), order(status=NO_SHOW), order(status=REFUNDED)):
        recorded = await earn(world, salon, report)
        assert recorded.accrual == first.accrual
        assert numbers(recorded.customer) == (10, 0, 0, 10, 10)
    assert [entry.points for entry in await entries_of(world, salon)] == [10, 10, -10]


@pytest.mark.parametrize("delay", [0, 60])
@pytest.mark.parametrize("forfeit_on", [frozenset(), frozenset({REFUNDED})], ids=["never", "refunds only"])
async def test_only_the_statuses_of_the_policy_take_points(
    world: World, salon: Salon, delay: int, forfeit_on: frozenset[PurchaseStatus]
) -> None:
    """C-20: elsewhere a cancellation is a fact like any other, and a revival gives nothing more."""
    await set_policy(world, salon, delay_minutes=delay, forfeit_on=forfeit_on)
    await create_earning_rule(world, salon.manager, rule(10))
    first = await earn(world, salon, order(status=CREATED))
    for status in (CANCELLED, NO_SHOW, COMPLETED):
        recorded = await earn(world, salon, order(status=status))
        assert recorded.accrual == first.accrual
    refunded = await earn(world, salon, order(status=REFUNDED))
    assert sum(numbers(refunded.customer)[:2]) == (0 if REFUNDED in forfeit_on else 10)


# ── back to life ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("delay", [0, 60])
async def test_a_purchase_that_comes_back_to_life_earns_anew(
    world: World, salon: Salon, relay_database: Database, delay: int
) -> None:
    """F-09: as its next generation, with the rules of today; the net is right, and it can be called off again."""
    await set_policy(world, salon, delay_minutes=delay)
    made = await create_earning_rule(world, salon.manager, rule(10))
    first = await earn(world, salon, order(status=CREATED))
    await earn(world, salon, order(status=CANCELLED))
    await update_earning_rule(world, salon.manager, made.id, lambda it: replace(it, award=rule(25).award), None)
    revived = await earn(world, salon, order(status=CONFIRMED))
    second = accrual_of(revived)
    assert (revived.purchase.generation, second.generation, second.points) == (2, 2, 25)
    assert second.id != accrual_of(first).id
    assert sum(numbers(revived.customer)[:2]) == 25
    assert (await load_accruals(world, salon.manager, [revived.purchase.id])) == {revived.purchase.id: second}
    further = await earn(world, salon, order(status=PAID))
    assert further.accrual == second
    again = await earn(world, salon, order(status=NO_SHOW))
    assert numbers(again.customer) == (0, 0, 0, 0, 0)
    thrice = await earn(world, salon, order(status=COMPLETED))
    assert (thrice.purchase.generation, sum(numbers(thrice.customer)[:2])) == (3, 25)
    kinds = ["points.pending", "points.voided"] if delay else ["points.earned", "points.reversed"]
    assert await told(world, relay_database, salon) == [*kinds * 2, kinds[0]]


async def test_completed_cancelled_and_completed_again_counts_once(world: World, salon: Salon) -> None:
    """PB-05, F-09: credited, taken back, credited; the rules see the facts of the second time."""
    await set_policy(world, salon, evaluate_on=EvaluateOn.PURCHASE_COMPLETED)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, order(total=29_000, status=COMPLETED))
    await earn(world, salon, order(total=29_000, status=CANCELLED))
    created = await earn(world, salon, order(total=29_000, status=CREATED))
    assert (created.purchase.generation, created.accrual) == (2, None)
    revived = await earn(world, salon, order(total=19_000, status=COMPLETED))
    assert numbers(revived.customer) == (190, 0, 0, 190, 190)
    assert [entry.points for entry in await entries_of(world, salon)] == [290, -290, 190]


async def test_debt_of_a_cancellation_is_paid_when_the_purchase_comes_back(world: World, salon: Salon) -> None:
    """F-09, C-19: whatever was spent meanwhile, the customer ends where they would have been."""
    await create_earning_rule(world, salon.manager, rule(100))
    await earn(world, salon, order(status=CREATED))
    await give(world, salon, -70, "spent")
    owing = await earn(world, salon, order(status=CANCELLED))
    assert numbers(owing.customer) == (0, 0, 70, 0, 0)
    revived = await earn(world, salon, order(status=COMPLETED))
    assert numbers(revived.customer) == (30, 0, 0, 100, 100)


async def test_the_very_same_report_does_not_bring_a_purchase_back(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """F-08: it looks just like a late retry; something about it must differ, such as the time or a key."""
    await create_earning_rule(world, salon.manager, rule(10))
    await earn(world, salon, order(status=PAID))
    await earn(world, salon, order(status=CANCELLED))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(AmbiguousReport):
            await earn(world, salon, order(status=PAID))
    booked_again = await earn(world, salon, order(status=PAID, booked_at=NOON))
    assert numbers(booked_again.customer) == (10, 0, 0, 10, 10)
    called_off_again = await earn(world, salon, order(status=CANCELLED, booked_at=NOON))
    assert numbers(called_off_again.customer) == (0, 0, 0, 0, 0)


async def test_the_time_of_a_status_tells_a_second_cancellation_from_a_late_retry(world: World, salon: Salon) -> None:
    """F-08, F-09: created, cancelled, brought back, cancelled again, all with the same facts but their times."""
    await create_earning_rule(world, salon.manager, rule(10))
    life = (CREATED, CANCELLED, COMPLETED, CANCELLED, COMPLETED)
    reports = [
        order(status=status, occurred_at=datetime(2026, 3, day, 12, tzinfo=UTC))
        for day, status in enumerate(life, start=1)
    ]
    for report, points in zip(reports, (10, 0, 10, 0, 10), strict=True):
        recorded = await earn(world, salon, report)
        assert (recorded.replayed, recorded.customer.points.available) == (False, points)
    for report in reports:
        again = await earn(world, salon, report)
        assert (again.replayed, again.customer.points.available) == (True, 10)
    assert [entry.points for entry in await entries_of(world, salon)] == [10, -10, 10, -10, 10]


async def test_a_refund_is_final(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    """F-01."""
    await create_earning_rule(world, salon.manager, rule(10))
    await earn(world, salon, order(status=PAID))
    await earn(world, salon, order(status=REFUNDED))
    async with nothing_changes(salon.tenant_id):
        assert (await earn(world, salon, order(status=PAID))).replayed


# ── the policy is frozen ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_later_policy_does_not_decide_about_earlier_points(world: World, salon: Salon) -> None:
    """F-04: who was promised to keep the points keeps them, and who was to lose them loses them."""
    await create_earning_rule(world, salon.manager, rule(10))
    await set_policy(world, salon, forfeit_on=frozenset(), debt=Overdraft.REJECT)
    await earn(world, salon, order("kept"))
    await set_policy(world, salon, debt=Overdraft.CLAMP)
    await earn(world, salon, order("clamped"))
    await set_policy(world, salon, forfeit_on=frozenset(), debt=Overdraft.REJECT)
    await give(world, salon, -15, "spent")
    assert accrual_of(await earn(world, salon, order("kept", status=CANCELLED))).state == AccrualState.AVAILABLE
    clamped = await earn(world, salon, order("clamped", status=CANCELLED))
    assert accrual_of(clamped).state == AccrualState.REVERSED
    assert numbers(clamped.customer) == (0, 0, 0, 15, 15)


async def test_a_later_policy_does_not_move_a_maturity(world: World, salon: Salon) -> None:
    """F-04: neither sooner nor later, nor to another moment."""
    await create_earning_rule(world, salon.manager, rule(10))
    await set_policy(world, salon, mature_on=MatureOn.SERVICE_ENDED, delay_minutes=180)
    await earn(at(world, NOON), salon, appointment(NOON + HOUR))
    for policy in (
        {"mature_on": MatureOn.PURCHASE_COMPLETED},
        {"delay_minutes": 0},
        {"mature_on": MatureOn.SERVICE_ENDED, "delay_minutes": 9_999},
    ):
        await set_policy(world, salon, **policy)
        assert (await mature_due(at(world, NOON + 4 * HOUR - timedelta(seconds=1)), salon.tenant_id)).done == 0
    moved = await earn(at(world, NOON), salon, appointment(NOON + 2 * HOUR))
    assert accrual_of(moved).matures_at == NOON + 5 * HOUR
    assert (await mature_due(at(world, NOON + 5 * HOUR), salon.tenant_id)).done == 1


async def test_a_new_generation_is_under_the_policy_of_its_own_time(world: World, salon: Salon) -> None:
    """F-04, F-09."""
    await create_earning_rule(world, salon.manager, rule(10))
    await earn(world, salon, order(status=CREATED))
    await earn(world, salon, order(status=CANCELLED))
    await set_policy(world, salon, forfeit_on=frozenset(), delay_minutes=60)
    revived = await earn(world, salon, order(status=PAID))
    assert accrual_of(revived).state == AccrualState.PENDING
    assert accrual_of(await earn(world, salon, order(status=NO_SHOW))).state == AccrualState.PENDING


# ── in batches ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_one_batch_cancels_and_earns_for_one_customer(world: World, salon: Salon) -> None:
    """C-20, F-10: what is taken back comes from what was there before the batch; then the new points come."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    for number, total in enumerate((10_000, 2_000, 3_000)):
        await earn(world, salon, order(f"order-{number}", total))
    await give(world, salon, -115, "spent")
    results = await record_purchases(
        world,
        salon.integration,
        [
            order("new-1", 1_000),
            order("order-0", 10_000, status=CANCELLED),
            order("new-2", 500),
            order("order-1", 2_000, status=REFUNDED),
            order("ben's", 700, customer="ben"),
        ],
    )
    assert all(isinstance(result, RecordedPurchase) for result in results)
    assert [result.purchase.external_id for result in results if isinstance(result, RecordedPurchase)] == [
        *("new-1", "order-0", "new-2", "order-1", "ben's")
    ]
    # 150 - 115 - 120 + 15
    assert numbers(await anna(world, salon)) == (0, 0, 70, 45, 45)


async def test_a_whole_life_in_one_batch(world: World, salon: Salon) -> None:
    """F-08, F-09: facts about one purchase follow one another."""
    await create_earning_rule(world, salon.manager, rule(10))
    life = [CREATED, CANCELLED, CONFIRMED, NO_SHOW, PAID, COMPLETED]
    results = await record_purchases(world, salon.integration, [order(status=status) for status in life])
    recorded = [result for result in results if isinstance(result, RecordedPurchase)]
    assert [one.purchase.generation for one in recorded] == [1, 1, 2, 2, 3, 3]
    assert [one.customer.points.available for one in recorded] == [10, 0, 10, 0, 10, 10]


async def test_a_refused_cancellation_harms_no_other_item(world: World, salon: Salon) -> None:
    """C-20: REJECT in a batch."""
    await set_policy(world, salon, debt=Overdraft.REJECT)
    await create_earning_rule(world, salon.manager, rule(10, conditions=Conditions(total_greater_than_minor=0)))
    await earn(world, salon, order("spent"))
    await earn(world, salon, order("ben's", customer="ben"))
    await give(world, salon, -5, "spent")
    refused, new, cancelled = await record_purchases(
        world,
        salon.integration,
        [order("spent", status=CANCELLED), order("new"), order("ben's", customer="ben", status=CANCELLED)],
    )
    assert isinstance(refused, InsufficientPoints)
    assert isinstance(new, RecordedPurchase)
    assert new.customer.points.available == 15
    assert isinstance(cancelled, RecordedPurchase)
    assert cancelled.customer.points.available == 0


async def test_the_same_customer_loses_what_several_purchases_gave(world: World, salon: Salon) -> None:
    """F-05: each from its own lot, in one posting."""
    await create_earning_rule(world, salon.manager, rule(10))
    await record_purchases(world, salon.integration, [order(f"order-{number}") for number in range(20)])
    await record_purchases(
        world, salon.integration, [order(f"order-{number}", status=CANCELLED) for number in range(0, 20, 2)]
    )
    assert numbers(await anna(world, salon)) == (100, 0, 0, 100, 100)
    assert sorted(await _left_in_lots(world, salon)) == [0] * 10 + [10] * 10


# ── the number of statements ─────────────────────────────────────────────────────────────────────────────────────


async def test_taking_back_takes_at_most_six(world: World, salon: Salon, statements: StatementLog) -> None:
    """F-37: whose, what is known, lock, is it still so, the lots, write; of one purchase or of two hundred."""
    await create_tier(world, salon.manager, "Silver", "#C0C0C0", 5)
    await create_earning_rule(world, salon.manager, rule(10))
    sent_for = []
    for count in (1, 200):
        batch = [order(f"{count}-{number}", customer=f"guest-{number % 50}") for number in range(count)]
        await record_purchases(world, salon.integration, batch)
        with statements() as sent:
            await record_purchases(world, salon.integration, [one._replace(status=CANCELLED) for one in batch])
        sent_for.append(len(sent))
    assert sent_for[0] == sent_for[1] <= 6


async def test_voiding_and_maturing_by_a_status_take_at_most_five(
    world: World, salon: Salon, statements: StatementLog
) -> None:
    """F-37: no lots are needed."""
    await set_policy(world, salon, mature_on=MatureOn.PURCHASE_PAID)
    await create_earning_rule(world, salon.manager, rule(10))
    for external_id in ("a", "b"):
        await earn(world, salon, order(external_id))
    with statements() as maturing:
        await earn(world, salon, order("a", status=PAID))
    with statements() as voiding:
        await earn(world, salon, order("b", status=CANCELLED))
    assert max(len(maturing), len(voiding)) <= 5
