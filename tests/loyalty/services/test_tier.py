"""Tiers: created, changed and deleted by the salon, and every customer is put where they belong."""

from dataclasses import replace

import pytest

from loyalty.log.reading import list_events
from loyalty.rules.errors import (
    DuplicateMinimum,
    DuplicateName,
    InvalidInput,
    LimitReached,
    LoyaltyError,
    NotFound,
)
from loyalty.rules.ids import JobId, TierId
from loyalty.rules.points import MAX_POINTS
from loyalty.services import re_tiering
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.job import advance_job, load_jobs
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import record_purchases
from loyalty.services.tier import (
    MAX_TIERS,
    ChangedTier,
    change_tier,
    create_tier,
    list_tiers,
    load_tier_counts,
    load_tiers,
    remove_tier,
)
from loyalty.services.world import World
from loyalty.storage.tiers import TierRow
from tenancy.database import Database
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges, snapshot
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOBODY, earn, one_point_per_euro, order, position_all_events

SILVER = ("Silver", "#C0C0C0", 100)
GOLD = ("Gold", "#FFD700", 500)


async def settled(world: World, salon: Salon, changed: ChangedTier) -> ChangedTier:
    """Work the re-tiering off, as the worker does."""
    while await advance_job(world, salon.tenant_id, changed.job.id):
        pass
    return changed


async def guests(world: World, salon: Salon, *points: int) -> None:
    """Create one customer for each number of points: guest-0, guest-1 and so on."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await record_purchases(
        world,
        salon.integration,
        [order(f"of {number}", each * 100, customer=f"guest-{number}") for number, each in enumerate(points)],
    )


async def tiers_of_guests(world: World, salon: Salon, count: int) -> list[str | None]:
    """Return the names of the tiers that guest-0, guest-1 and so on stand in."""
    found = [
        await find_customer(world, salon.manager, CustomerKey(external_id=f"guest-{number}")) for number in range(count)
    ]
    return [guest.tier.name if guest and guest.tier else None for guest in found]


# ── the list ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_tiers_have_a_name_a_colour_and_a_minimum(world: World, salon: Salon) -> None:
    """BK-30, BK-31, BK-32: any structure of names, lowest minimum first."""
    gold = await create_tier(world, salon.manager, "Gold", "#ffd700", 500)
    regular = await create_tier(world, salon.manager, "Stammkundin", "#808080", 0)
    assert gold.tier[1:] == ("Gold", "#FFD700", 500, None)
    assert await list_tiers(world, salon.manager) == [regular.tier, gold.tier]


async def test_counts_are_exact(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """BK-36: the number of customers in each tier, before and after an edit."""
    silver = await settled(world, salon, await create_tier(world, salon.manager, *SILVER))
    gold = await settled(world, salon, await create_tier(world, salon.manager, *GOLD))
    ids = [silver.tier.id, gold.tier.id]
    assert await load_tier_counts(world, salon.manager, ids) == {}
    await guests(world, salon, 99, 100, 499, 500, 1_000)
    assert await load_tier_counts(world, salon.manager, ids) == {silver.tier.id: 2, gold.tier.id: 2}
    await settled(world, salon, await remove_tier(world, salon.manager, gold.tier.id))
    assert await load_tier_counts(world, salon.manager, ids) == {silver.tier.id: 4}
    await ledger_is_sound(salon.tenant_id)


# ── everybody is re-tiered ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_new_tier_takes_in_who_has_reached_it(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """BK-35."""
    await guests(world, salon, 99, 100, 600)
    await settled(world, salon, await create_tier(world, salon.manager, *SILVER))
    assert await tiers_of_guests(world, salon, 3) == [None, "Silver", "Silver"]
    await settled(world, salon, await create_tier(world, salon.manager, *GOLD))
    assert await tiers_of_guests(world, salon, 3) == [None, "Silver", "Gold"]
    await ledger_is_sound(salon.tenant_id)


async def test_a_deleted_tier_leaves_its_customers_to_the_next_lower_one(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """BK-36."""
    silver = await create_tier(world, salon.manager, *SILVER)
    gold = await create_tier(world, salon.manager, *GOLD)
    await guests(world, salon, 99, 100, 600)
    await settled(world, salon, await remove_tier(world, salon.manager, gold.tier.id))
    assert await tiers_of_guests(world, salon, 3) == [None, "Silver", "Silver"]
    await settled(world, salon, await remove_tier(world, salon.manager, silver.tier.id))
    assert await tiers_of_guests(world, salon, 3) == [None, None, None]
    assert await list_tiers(world, salon.manager) == []
    for changed in (silver, gold):
        await settled(world, salon, changed)
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize(("minimum", "names"), [(50, ["Silver"] * 3), (101, [None, None, "Silver"])])
async def test_a_moved_minimum_moves_customers(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, minimum: int, names: list[str | None]
) -> None:
    """BK-35, F-29."""
    silver = await settled(world, salon, await create_tier(world, salon.manager, *SILVER))
    await guests(world, salon, 99, 100, 101)
    change = await change_tier(world, salon.manager, silver.tier.id, lambda tier: tier._replace(min_points=minimum))
    await settled(world, salon, change)
    assert await tiers_of_guests(world, salon, 3) == names
    await ledger_is_sound(salon.tenant_id)


async def test_a_new_name_and_colour_move_nobody(world: World, salon: Salon) -> None:
    silver = await create_tier(world, salon.manager, *SILVER)
    await guests(world, salon, 100)
    before = (await snapshot(world.database, salon.tenant_id))["tier_changes"]
    changed = await change_tier(
        world, salon.manager, silver.tier.id, lambda tier: tier._replace(name="Silber", color="#aaaaaa")
    )
    await settled(world, salon, changed)
    assert changed.tier == TierRow(silver.tier.id, "Silber", "#AAAAAA", 100)
    assert await tiers_of_guests(world, salon, 1) == ["Silber"]
    assert (await snapshot(world.database, salon.tenant_id))["tier_changes"] == before


async def test_retiering_goes_on_in_batches_and_shows_how_far_it_is(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BK-35: a job with progress; each batch commits on its own."""
    monkeypatch.setattr(re_tiering, "BATCH", 4)
    await guests(world, salon, *[100] * 10)
    changed = await create_tier(world, salon.manager, *SILVER)
    assert (changed.job.state, changed.job.done, changed.job.total) == ("WAITING", 0, 10)
    progress = []
    while True:
        more = await advance_job(world, salon.tenant_id, changed.job.id)
        at = (await load_jobs(world, salon.manager, [changed.job.id]))[changed.job.id]
        progress.append((at.state, at.done, at.total))
        if not more:
            break
    assert progress == [("RUNNING", 4, 10), ("RUNNING", 8, 10), ("DONE", 10, 10)]
    assert not await advance_job(world, salon.tenant_id, changed.job.id)
    await ledger_is_sound(salon.tenant_id)


async def test_a_changed_program_upgrades_with_its_own_cause(
    world: World, salon: Salon, relay_database: Database
) -> None:
    """BK-100, C-27: nobody takes it for collected points; it is told once, and a second run tells nothing."""
    await guests(world, salon, 100)
    silver = await settled(world, salon, await create_tier(world, salon.manager, *SILVER))
    removed = await settled(world, salon, await remove_tier(world, salon.manager, silver.tier.id))
    await settled(world, salon, silver)
    await settled(world, salon, removed)
    await position_all_events(relay_database)
    told = [
        (event.kind, event.payload["cause"])
        for event in await list_events(world.database, salon.tenant_id, after=0)
        if event.kind.startswith("tier.")
    ]
    assert told == [("tier.upgraded", "PROGRAM_CHANGE"), ("tier.downgraded", "PROGRAM_CHANGE")]


async def test_a_deleted_tier_can_still_be_named(world: World, salon: Salon) -> None:
    silver = await create_tier(world, salon.manager, *SILVER)
    removed = await remove_tier(world, salon.manager, silver.tier.id)
    assert removed.tier == silver.tier
    assert await load_tiers(world, salon.manager, [silver.tier.id]) == {silver.tier.id: silver.tier}


async def test_points_earned_before_the_retiering_has_come_by_lead_to_the_right_tier(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """BK-35: a customer who moves meanwhile moves by the new tiers; the job then finds nothing to do."""
    silver = await create_tier(world, salon.manager, *SILVER)
    await guests(world, salon, 150)
    removed = await remove_tier(world, salon.manager, silver.tier.id)
    recorded = await earn(world, salon, order("meanwhile", 100, customer="guest-0"))
    assert recorded.customer.tier is None
    await settled(world, salon, silver)
    await settled(world, salon, removed)
    await ledger_is_sound(salon.tenant_id)


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "color", "minimum", "refusal", "path"),
    [
        pytest.param("", "#C0C0C0", 1, InvalidInput, ("name",), id="no name"),
        pytest.param("x" * 61, "#C0C0C0", 1, InvalidInput, ("name",), id="name too long"),
        pytest.param("New\0", "#C0C0C0", 1, InvalidInput, ("name",), id="NUL"),
        pytest.param("New", "silver", 1, InvalidInput, ("color",), id="no colour"),
        pytest.param("New", "#C0C0C0\n", 1, InvalidInput, ("color",), id="more than a colour"),
        pytest.param("New", "#C0C0C0", -1, InvalidInput, ("min_points",), id="below zero"),
        pytest.param("New", "#C0C0C0", MAX_POINTS + 1, InvalidInput, ("min_points",), id="beyond reach"),
        pytest.param("New", "#C0C0C0", 100, DuplicateMinimum, ("min_points",), id="same minimum"),
        pytest.param("Silver", "#C0C0C0", 1, DuplicateName, ("name",), id="same name"),
        pytest.param("  SILVER ", "#C0C0C0", 1, DuplicateName, ("name",), id="same name in other letters"),
    ],
)
async def test_an_invalid_tier_is_refused_and_leaves_nothing(
    world: World,
    salon: Salon,
    nothing_changes: NothingChanges,
    name: str,
    color: str,
    minimum: int,
    refusal: type[LoyaltyError],
    path: tuple[str, ...],
) -> None:
    """BK-30, BK-31, BK-32: for a new one as for a changed one."""
    await create_tier(world, salon.manager, *SILVER)
    gold = await create_tier(world, salon.manager, *GOLD)

    def change(tier: TierRow) -> TierRow:
        return tier._replace(name=name, color=color, min_points=minimum)

    async with nothing_changes(salon.tenant_id):
        with pytest.raises(refusal) as created:
            await create_tier(world, salon.manager, name, color, minimum)
        with pytest.raises(refusal) as changed:
            await change_tier(world, salon.manager, gold.tier.id, change)
    assert created.value.path == changed.value.path == path


async def test_a_deleted_tier_frees_its_name_and_minimum(world: World, salon: Salon) -> None:
    silver = await create_tier(world, salon.manager, *SILVER)
    await remove_tier(world, salon.manager, silver.tier.id)
    again = await create_tier(world, salon.manager, *SILVER)
    assert again.tier.id != silver.tier.id


async def test_a_tier_may_keep_its_own_name_and_minimum(world: World, salon: Salon) -> None:
    silver = await create_tier(world, salon.manager, *SILVER)
    assert (await change_tier(world, salon.manager, silver.tier.id, lambda tier: tier)).tier == silver.tier


@pytest.mark.parametrize("what", ["nobody's", "deleted"])
async def test_a_tier_that_is_not_there_cannot_be_changed(
    world: World, salon: Salon, nothing_changes: NothingChanges, what: str
) -> None:
    silver = await create_tier(world, salon.manager, *SILVER)
    await remove_tier(world, salon.manager, silver.tier.id)
    tier_id = silver.tier.id if what == "deleted" else TierId(NOBODY)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(NotFound):
            await change_tier(world, salon.manager, tier_id, lambda tier: tier)
        with pytest.raises(NotFound):
            await remove_tier(world, salon.manager, tier_id)


async def test_there_is_a_limit(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    for number in range(MAX_TIERS):
        await create_tier(world, salon.manager, f"Tier {number}", "#C0C0C0", number)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(LimitReached):
            await create_tier(world, salon.manager, "One more", "#C0C0C0", 1_000)


async def test_tiers_are_prepared_while_the_program_is_off(world: World, salon: Salon) -> None:
    """The job runs too: who has enough points stands in the right tier when the program begins."""
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, enabled=False), None))
    off = replace(salon.manager, loyalty_enabled=False)
    silver = await create_tier(world, off, *SILVER)
    gold = await create_tier(world, off, *GOLD)
    await change_tier(world, off, silver.tier.id, lambda tier: tier._replace(name="Starter"))
    await remove_tier(world, off, gold.tier.id)
    assert [tier.name for tier in await list_tiers(world, off)] == ["Starter"]


async def test_a_job_that_is_not_there_is_finished(world: World, salon: Salon) -> None:
    assert not await advance_job(world, salon.tenant_id, JobId(NOBODY))
    assert await load_jobs(world, salon.manager, [JobId(NOBODY)]) == {}
