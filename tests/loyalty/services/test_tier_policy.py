"""How a salon lets its customers reach and lose tiers: each setting of the policy, and the benefit of a tier."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from loyalty.log.reading import list_events
from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.errors import InvalidInput
from loyalty.rules.expiry import ExpiryKind, ExpiryPolicy, Period
from loyalty.rules.money import Ratio
from loyalty.rules.program import ProgramSettings
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.tiers import Downgrade, TierBasis, TierPolicy
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.expiry import expire_due
from loyalty.services.job import advance_job
from loyalty.services.maturing import mature_due
from loyalty.services.program import ProgramEdit, get_program, update_program
from loyalty.services.purchase import load_accruals, record_purchases
from loyalty.services.tier import change_tier, create_tier
from loyalty.services.tier_review import review_due
from loyalty.services.world import World
from loyalty.storage.customers import CustomerRow
from loyalty.storage.documents import from_document, to_document
from loyalty.storage.tiers import TierRow
from tenancy.database import Database
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOON,
    at,
    bring_along,
    capture,
    earn,
    give,
    give_back,
    hold,
    merge,
    one_point_per_euro,
    order,
    pay_back,
    position_all_events,
    rule,
    set_policy,
    set_redemption,
)

NEW_YEAR = datetime(2026, 12, 31, 23, tzinfo=UTC)
"""In Berlin; NOON is in the March before."""
YEAR_AFTER = NEW_YEAR.replace(year=2027)
MOMENT = timedelta(microseconds=1)
RETIERING = 6
"""Statements of a batch of the job: job, version, program, accounts, posting, job."""
SWEEPING = 4
WINDOW, BALANCE = TierBasis.EARNED_IN_WINDOW, TierBasis.BALANCE


@pytest.fixture(autouse=True)
async def sound_in_the_end(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> AsyncIterator[None]:
    """Check after each test that every tier has its reason, and again in a hundred years."""
    yield
    await ledger_is_sound(salon.tenant_id)
    while (await review_due(at(world, NOON.replace(year=2126)), salon.tenant_id)).done:
        pass
    await ledger_is_sound(salon.tenant_id)


async def set_tiering(world: World, salon: Salon, **policy: Any) -> None:
    """Set how tiers are reached and lost from now on, and run the re-tiering job."""
    edit = ProgramEdit(lambda it: replace(it, tiering=TierPolicy(**policy)), None)
    _, job, _ = await update_program(world, salon.manager, edit)
    while job is not None and await advance_job(world, salon.tenant_id, job.id):
        pass


async def furnish(world: World, salon: Salon, **policy: Any) -> dict[str, TierRow]:
    """Set a point per euro, and the tiers Silver from 100 points and Gold from 500."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    tiers = {}
    for name, minimum in (("Silver", 100), ("Gold", 500)):
        changed = await create_tier(world, salon.manager, name, "#C0C0C0", minimum)
        await advance_job(world, salon.tenant_id, changed.job.id)
        tiers[name] = changed.tier
    await set_tiering(world, salon, **policy)
    return tiers


async def customer(world: World, salon: Salon, name: str = "anna") -> CustomerRow:
    """Return a customer as readers see them."""
    found = await find_customer(world, salon.manager, CustomerKey(external_id=name))
    assert found is not None
    return found


async def tier_of(world: World, salon: Salon, name: str = "anna") -> str | None:
    """Return the name of a customer's tier."""
    tier = (await customer(world, salon, name)).tier
    return tier and tier.name


async def told(world: World, salon: Salon, relay_database: Database) -> list[tuple[str, str]]:
    """Return what was told of tiers, with the causes."""
    await position_all_events(relay_database)
    events = await list_events(world.database, salon.tenant_id, after=0)
    return [(it.kind.removeprefix("tier."), it.payload["cause"]) for it in events if it.kind.startswith("tier.")]


# ── the settings ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_program_that_says_nothing_counts_all_that_was_ever_earned(world: World, salon: Salon) -> None:
    """C-07: also one that was stored before there was a choice."""
    program = await get_program(world, salon.manager)
    assert program.settings.tiering == TierPolicy(TierBasis.LIFETIME_EARNED, Period.YEAR, Downgrade.AT_WINDOW_END, 0)
    stored = to_document(program.settings)
    del stored["tiering"]
    assert from_document(ProgramSettings, stored) == program.settings


async def test_a_policy_is_stored_as_it_was_given(world: World, salon: Salon) -> None:
    policy = TierPolicy(WINDOW, Period.QUARTER, Downgrade.NEVER, 30)
    changed, job, _ = await update_program(
        world, salon.manager, ProgramEdit(lambda it: replace(it, tiering=policy), None)
    )
    assert (await get_program(world, salon.manager)).settings.tiering == policy == changed.settings.tiering
    assert job is not None
    _, no_job, _ = await update_program(
        world, salon.manager, ProgramEdit(lambda it: replace(it, notice_days=(3,)), None)
    )
    assert no_job is None
    await advance_job(world, salon.tenant_id, job.id)


async def test_too_much_grace_is_refused(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    def change(settings: ProgramSettings) -> ProgramSettings:
        return replace(settings, tiering=TierPolicy(WINDOW, Period.MONTH, grace_days=28))

    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput) as refusal:
            await update_program(world, salon.manager, ProgramEdit(change, None))
    assert refusal.value.path == ("tiering", "grace_days")


# ── what was earned in a window ──────────────────────────────────────────────────────────────────────────────────


async def test_a_window_is_lost_a_window_later(world: World, salon: Salon, relay_database: Database) -> None:
    """BK-33, C-07: what was earned in 2026 holds a tier until the end of 2027, and the sweeper tells of its loss."""
    then = at(world, NOON)
    await furnish(then, salon, basis=WINDOW)
    await earn(then, salon, order("first", 60_000))
    assert await tier_of(then, salon) == "Gold"
    assert not (await review_due(at(world, NEW_YEAR - MOMENT), salon.tenant_id)).done
    assert (await review_due(at(world, NEW_YEAR), salon.tenant_id)).done == 1
    anna = await customer(world, salon)
    assert (anna.tier and anna.tier.name, anna.points.qualifying, anna.points.lifetime_earned) == ("Gold", 0, 600)
    await earn(at(world, NEW_YEAR + timedelta(days=90)), salon, order("second", 15_000))
    assert (await customer(world, salon)).points.qualifying == 150
    assert (await review_due(at(world, YEAR_AFTER), salon.tenant_id)).done == 1
    assert await tier_of(world, salon) == "Silver"
    assert await told(world, salon, relay_database) == [("upgraded", "ACCRUAL"), ("downgraded", "REVIEW")]


async def test_the_next_tier_is_reached_within_one_window(world: World, salon: Salon) -> None:
    """BK-92: progress counts what the open window has; a tier that time will take is no start for it."""
    then = at(world, NOON)
    await furnish(then, salon, basis=WINDOW)
    await earn(then, salon, order("first", 20_000))
    after = at(world, NEW_YEAR + timedelta(days=1))
    recorded = await earn(after, salon, order("second", 5_000))
    for anna in (recorded.customer, await customer(world, salon)):
        way = anna.tier_progress
        assert (way.current and way.current.name, way.next and way.next.name) == ("Silver", "Gold")
        assert (way.points_to_next, way.percent, anna.points.qualifying) == (450, 0, 50)
    assert await tier_of(world, salon) == "Silver"
    await earn(after, salon, order("third", 45_000))
    assert await tier_of(world, salon) == "Gold"


@pytest.mark.parametrize(
    ("window", "ends"),
    [
        # The salon is in Berlin: at the end of March its clocks are one hour further than at the beginning.
        (Period.MONTH, datetime(2026, 3, 31, 22, tzinfo=UTC)),
        (Period.QUARTER, datetime(2026, 3, 31, 22, tzinfo=UTC)),
        (Period.YEAR, NEW_YEAR),
    ],
)
async def test_windows_are_parts_of_the_local_calendar(
    world: World, salon: Salon, window: Period, ends: datetime
) -> None:
    """C-12."""
    then = at(world, NOON)
    await furnish(then, salon, basis=WINDOW, window=window)
    await earn(then, salon, order("first", 10_000))
    await earn(at(world, ends - MOMENT), salon, order("second", 20_000))
    assert (await customer(world, salon)).points.qualifying == 300
    await earn(at(world, ends), salon, order("third", 5_000))
    assert (await customer(world, salon)).points.qualifying == 50


async def test_grace_lets_a_tier_live_on(world: World, salon: Salon) -> None:
    """The points that are earned in the days of grace may still save it."""
    then = at(world, NOON)
    await furnish(then, salon, basis=WINDOW, grace_days=31)
    for name in ("anna", "ben"):
        await earn(then, salon, order(f"of {name}", 10_000, customer=name))
    await review_due(at(world, YEAR_AFTER), salon.tenant_id)
    in_grace = YEAR_AFTER + timedelta(days=31) - MOMENT
    await earn(at(world, in_grace), salon, order("saved", 10_000, customer="ben"))
    await review_due(at(world, in_grace), salon.tenant_id)
    assert [await tier_of(world, salon, name) for name in ("anna", "ben")] == ["Silver", "Silver"]
    await review_due(at(world, in_grace + MOMENT), salon.tenant_id)
    assert [await tier_of(world, salon, name) for name in ("anna", "ben")] == [None, "Silver"]


async def test_with_never_time_takes_nothing(world: World, salon: Salon) -> None:
    """Downgrade.NEVER: but a purchase that is called off years later does."""
    then = at(world, NOON)
    await furnish(then, salon, basis=WINDOW, downgrade=Downgrade.NEVER)
    await earn(then, salon, order("first", 12_000))
    later = at(world, NOON.replace(year=2036))
    while (await review_due(later, salon.tenant_id)).done:
        pass
    assert await tier_of(world, salon) == "Silver"
    await earn(later, salon, order("first", 12_000, status=PurchaseStatus.CANCELLED))
    assert await tier_of(world, salon) is None


async def test_a_refund_hits_the_window_that_counted_the_purchase(world: World, salon: Salon) -> None:
    """C-07: one of last year's does not take what was earned this year, nor the other way round."""
    then = at(world, NOON)
    await furnish(then, salon, basis=WINDOW)
    await earn(then, salon, order("last year", 50_000))
    now = at(world, NEW_YEAR + timedelta(days=50))
    await earn(now, salon, order("this year", 45_000))
    assert await tier_of(now, salon) == "Gold"
    await pay_back(now, salon, "last year", 40_000, "a part")
    assert (await tier_of(now, salon), (await customer(now, salon)).points.qualifying) == ("Silver", 450)
    await pay_back(now, salon, "this year", 40_000, "too")
    anna = await customer(now, salon)
    assert (anna.tier and anna.tier.name, anna.points.qualifying) == ("Silver", 50)


async def test_corrections_by_hand_lower_it_at_once(world: World, salon: Salon, relay_database: Database) -> None:
    """C-07: and where the open window has not so much, the one before gives the rest."""
    then = at(world, NOON)
    await furnish(then, salon, basis=WINDOW)
    await earn(then, salon, order("first", 12_000))
    later = at(world, NEW_YEAR)
    await give(later, salon, -30, "mistake", reason=AdjustmentReason.CORRECTION)
    assert await tier_of(world, salon) is None
    assert await told(world, salon, relay_database) == [("upgraded", "ACCRUAL"), ("downgraded", "ADJUSTMENT")]


async def test_opening_balances_and_merged_points_count_in_the_window(world: World, salon: Salon) -> None:
    then = at(world, NOON)
    await furnish(then, salon, basis=WINDOW)
    await bring_along(then, salon, 10, qualifying=60, customer="eva")
    await earn(then, salon, order("first", 5_000))
    assert await tier_of(then, salon) is None
    await merge(then, salon, "eva", "anna", "the same")
    anna = await customer(then, salon)
    assert (anna.tier and anna.tier.name, anna.points.qualifying) == ("Silver", 110)


async def test_a_late_process_counts_in_the_window_that_has_begun(world: World, salon: Salon) -> None:
    """A process whose clock is behind does not book into a window that another has closed."""
    await furnish(at(world, NOON), salon, basis=WINDOW)
    await earn(at(world, NEW_YEAR), salon, order("first", 1_000))
    await earn(at(world, NEW_YEAR - MOMENT), salon, order("second", 2_000))
    assert (await customer(world, salon)).points.qualifying == 30


# ── the balance ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_balance_leads_up_at_once_and_down_at_the_review(
    world: World, salon: Salon, relay_database: Database
) -> None:
    """C-07, F-30: explicit; holds still belong to the balance, what was captured does not."""
    then = at(world, NOON)
    await furnish(then, salon, basis=BALANCE, grace_days=3)
    await set_redemption(then, salon)
    await earn(then, salon, order("first", 15_000))
    held = await hold(then, salon, 100, "basket")
    assert (await customer(then, salon)).points.qualifying == 150
    await capture(then, salon, held, "paid")
    anna = await customer(then, salon)
    assert (anna.tier and anna.tier.name, anna.points.qualifying) == ("Silver", 50)
    review = NEW_YEAR + timedelta(days=3)
    assert not (await review_due(at(world, review - MOMENT), salon.tenant_id)).done
    assert (await review_due(at(world, review), salon.tenant_id)).done == 1
    assert await tier_of(world, salon) is None
    assert await told(world, salon, relay_database) == [("upgraded", "ACCRUAL"), ("downgraded", "REVIEW")]


async def test_points_that_come_back_may_lead_up(world: World, salon: Salon, relay_database: Database) -> None:
    """C-27: an upgrade with its own cause, and only one."""
    then = at(world, NOON)
    await furnish(then, salon, basis=BALANCE)
    await set_redemption(then, salon)
    await earn(then, salon, order("first", 15_000))
    captured = await capture(then, salon, await hold(then, salon, 100, "basket"), "paid")
    await review_due(at(world, NEW_YEAR), salon.tenant_id)
    returned = await give_back(at(world, NEW_YEAR), salon, captured, "back")
    assert returned.customer.tier is not None
    assert await told(world, salon, relay_database) == [
        ("upgraded", "ACCRUAL"),
        ("downgraded", "REVIEW"),
        ("upgraded", "REDEMPTION"),
    ]


async def test_expired_points_count_at_the_review(world: World, salon: Salon) -> None:
    then = at(world, NOON)
    await furnish(then, salon, basis=BALANCE)
    policy = ExpiryPolicy(ExpiryKind.FIXED_DURATION, days=10)
    await update_program(then, salon.manager, ProgramEdit(lambda it: replace(it, expiry=policy), None))
    await earn(then, salon, order("first", 15_000))
    await expire_due(at(world, NOON + timedelta(days=12)), salon.tenant_id)
    assert (await customer(world, salon)).points.qualifying == 0
    assert await tier_of(world, salon) == "Silver"
    await review_due(at(world, NEW_YEAR), salon.tenant_id)
    assert await tier_of(world, salon) is None


async def test_a_balance_never_falls_with_never(world: World, salon: Salon) -> None:
    then = at(world, NOON)
    await furnish(then, salon, basis=BALANCE, downgrade=Downgrade.NEVER)
    await earn(then, salon, order("first", 15_000))
    await give(then, salon, -100, "spent")
    assert not (await review_due(at(world, NEW_YEAR.replace(year=2040)), salon.tenant_id)).done
    assert await tier_of(world, salon) == "Silver"
    await give(then, salon, -50, "mistake", reason=AdjustmentReason.CORRECTION)
    assert await tier_of(world, salon) == "Silver"
    assert (await customer(world, salon)).points.qualifying == 0


# ── another policy ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_another_policy_puts_everybody_right(world: World, salon: Salon, relay_database: Database) -> None:
    """BK-35, F-31: windows are counted from the ledger; one who was faster than the job is counted too."""
    await furnish(at(world, NOON.replace(year=2025)), salon)
    await earn(at(world, NOON.replace(year=2024)), salon, order("long ago", 50_000, customer="ben"))
    await earn(at(world, NOON.replace(year=2025)), salon, order("last year", 50_000))
    then = at(world, NOON)
    await earn(then, salon, order("this year", 12_000, customer="ben"))
    edit = ProgramEdit(lambda it: replace(it, tiering=TierPolicy(WINDOW)), None)
    _, job, _ = await update_program(then, salon.manager, edit)
    assert job is not None
    await earn(then, salon, order("faster", 2_000))
    while await advance_job(then, salon.tenant_id, job.id):
        pass
    assert [await tier_of(world, salon, name) for name in ("anna", "ben")] == ["Gold", "Silver"]
    found = [(await customer(world, salon, name)).points.qualifying for name in ("anna", "ben")]
    assert found == [20, 120]
    await set_tiering(then, salon, basis=TierBasis.LIFETIME_EARNED)
    assert [await tier_of(world, salon, name) for name in ("anna", "ben")] == ["Gold", "Gold"]
    assert await told(world, salon, relay_database) == [
        ("upgraded", "ACCRUAL"),
        ("upgraded", "ACCRUAL"),
        ("downgraded", "PROGRAM_CHANGE"),
        ("upgraded", "PROGRAM_CHANGE"),
    ]


async def test_windows_of_many_are_counted_in_one_statement(
    world: World, salon: Salon, statements: StatementLog
) -> None:
    """A batch of the job takes as many statements for twenty customers as for one, one of them for the windows."""
    then = at(world, NOON)
    await furnish(then, salon)
    orders = [order(f"of {number}", 10_000, customer=f"guest-{number}") for number in range(20)]
    await record_purchases(then, salon.integration, orders)
    edit = ProgramEdit(lambda it: replace(it, tiering=TierPolicy(WINDOW)), None)
    _, job, _ = await update_program(then, salon.manager, edit)
    assert job is not None
    with statements() as sent:
        await advance_job(then, salon.tenant_id, job.id)
    assert sum("AS previous" in statement for statement in sent) == 1
    assert len(sent) == RETIERING + 1


@pytest.mark.parametrize("customers", [1, 20])
async def test_a_sweep_takes_as_many_statements_for_many(
    world: World, salon: Salon, statements: StatementLog, customers: int
) -> None:
    """Version, who is due, their accounts, and one posting."""
    then = at(world, NOON)
    await furnish(then, salon, basis=WINDOW)
    orders = [order(f"of {number}", 10_000, customer=f"guest-{number}") for number in range(customers)]
    await record_purchases(then, salon.integration, orders)
    with statements() as sent:
        assert (await review_due(at(world, NEW_YEAR), salon.tenant_id)).done == customers
    assert len(sent) == SWEEPING


# ── the benefit of a tier ────────────────────────────────────────────────────────────────────────────────────────


async def with_factor(world: World, salon: Salon, **policy: Any) -> TierRow:
    """Create the tier Silver from 100 points, with the earning factor 1.5."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    changed = await create_tier(world, salon.manager, "Silver", "#C0C0C0", 100, Ratio(3, 2))
    await advance_job(world, salon.tenant_id, changed.job.id)
    await set_tiering(world, salon, **policy)
    return changed.tier


async def test_a_tier_multiplies_from_the_next_purchase_on(world: World, salon: Salon) -> None:
    """C-06: the tier before the accrual counts, also within one batch; rounded down once, as a line of its own."""
    then = at(world, NOON)
    await with_factor(then, salon)
    orders = [order("first", 10_000), order("second", 10_100), order("third", 0)]
    await record_purchases(then, salon.integration, orders)
    assert (await customer(then, salon)).points.lifetime_earned == 100 + 151
    recorded = await earn(then, salon, order("fourth", 300))
    accrual = (await load_accruals(then, salon.manager, [recorded.purchase.id]))[recorded.purchase.id]
    last = accrual.breakdown[-1]
    assert (last["rule_id"], last["rule_name"], last["points"], last["outcome"]) == (None, "Silver", 1, "APPLIED")
    assert last["explanation"].startswith("Tier Silver, 1 point: ")


async def test_the_factor_counts_on_all_that_the_rules_give(world: World, salon: Salon) -> None:
    """C-06: after stacking and multipliers."""
    then = at(world, NOON)
    await with_factor(then, salon)
    await create_earning_rule(then, salon.manager, rule(21, name="Welcome"))
    await earn(then, salon, order("first", 10_000))
    recorded = await earn(then, salon, order("second", 1_000))
    accrual = (await load_accruals(then, salon.manager, [recorded.purchase.id]))[recorded.purchase.id]
    assert [line["points"] for line in accrual.breakdown] == [10, 21, 15]


async def test_a_benefit_is_frozen_and_refunded_in_its_share(world: World, salon: Salon) -> None:
    """F-04, F-06: another factor later changes nothing of what was evaluated; a refund takes its part of it."""
    then = at(world, NOON)
    silver = await with_factor(then, salon)
    await earn(then, salon, order("first", 10_000))
    await set_policy(then, salon, delay_minutes=60)
    await earn(then, salon, order("second", 10_000))
    changed = await change_tier(then, salon.manager, silver.id, lambda tier: tier._replace(factor=Ratio(10, 1)))
    await advance_job(then, salon.tenant_id, changed.job.id)
    await mature_due(at(world, NOON + timedelta(hours=1)), salon.tenant_id)
    assert (await customer(then, salon)).points.available == 250
    await pay_back(at(world, NOON + timedelta(hours=2)), salon, "second", 5_000, "half")
    assert (await customer(then, salon)).points.available == 175


async def test_the_tier_after_the_review_gives_the_benefit(world: World, salon: Salon) -> None:
    """C-06: a customer whose tier ended by time buys without it, before and after the sweep."""
    then = at(world, NOON)
    await with_factor(then, salon, basis=WINDOW, window=Period.MONTH)
    await earn(then, salon, order("first", 10_000))
    await earn(at(world, NOON + timedelta(days=31)), salon, order("in April", 2_000))
    await earn(at(world, NOON + timedelta(days=62)), salon, order("in May", 2_000))
    assert (await customer(then, salon)).points.available == 100 + 30 + 20


@pytest.mark.parametrize("factor", [Ratio(1, 2), Ratio(101, 1), Ratio(1, 3), Ratio(100_001, 100_000)])
async def test_an_invalid_factor_is_refused(
    world: World, salon: Salon, nothing_changes: NothingChanges, factor: Ratio
) -> None:
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput) as refusal:
            await create_tier(world, salon.manager, "Silver", "#C0C0C0", 100, factor)
    assert refusal.value.path == ("earning_factor",)
