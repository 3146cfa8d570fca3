"""Tiers that are set by hand: locked against all rules, until a time or until somebody gives them back."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.errors import IdempotencyConflict, InvalidInput, LoyaltyError, NotFound
from loyalty.rules.ids import TierId
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.job import advance_job
from loyalty.services.tier import remove_tier
from loyalty.services.tier_lock import (
    MAX_HISTORY,
    LockedTier,
    TierLockRequest,
    load_tier_histories,
    lock_tier,
    unlock_tier,
)
from loyalty.services.tier_review import review_due
from loyalty.services.world import World
from loyalty.storage.customers import TierLockRow
from tenancy.database import Database
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOBODY, NOON, at, customer_actor, earn, give, known_customer, order
from tests.loyalty.services.test_tier_policy import customer, furnish, tier_of, told

ANNA = CustomerKey(external_id="anna")
LATER = NOON + timedelta(days=7)


@pytest.fixture(autouse=True)
async def sound_in_the_end(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> AsyncIterator[None]:
    """Check after each test that the ledger adds up, with tiers that were set by hand, and after their locks end."""
    yield
    await ledger_is_sound(salon.tenant_id)
    await review_due(at(world, NOON.replace(year=2126)), salon.tenant_id)
    await ledger_is_sound(salon.tenant_id)


async def lock(world: World, salon: Salon, tier_id: TierId | None, key: str = "key", **details: Any) -> LockedTier:
    """Set Anna's tier as the salon's manager."""
    request = TierLockRequest(ANNA, tier_id, None, None, key)
    return await lock_tier(world, salon.manager, request._replace(**details))


async def test_a_locked_tier_stays_whatever_the_points_do(world: World, salon: Salon, relay_database: Database) -> None:
    """A VIP by hand: earning and corrections count on, and lead nowhere until it is unlocked. C-27: MANUAL."""
    then = at(world, NOON)
    tiers = await furnish(then, salon)
    await known_customer(then, salon)
    locked = await lock(then, salon, tiers["Silver"].id, note="A friend of the house")
    assert locked.customer.tier == tiers["Silver"]
    assert locked.customer.tier_lock == TierLockRow(None)
    await earn(then, salon, order("first", 60_000))
    assert await tier_of(then, salon) == "Silver"
    await give(then, salon, -600, "mistake", reason=AdjustmentReason.CORRECTION)
    assert await tier_of(then, salon) == "Silver"
    await earn(then, salon, order("second", 50_000))
    unlocked = await unlock_tier(then, salon.manager, ANNA)
    assert (unlocked.tier, unlocked.tier_lock) == (tiers["Gold"], None)
    assert await told(world, salon, relay_database) == [("upgraded", "MANUAL"), ("upgraded", "MANUAL")]
    history = await load_tier_histories(then, salon.staff, [unlocked.id])
    rows = [(row.to_tier_id, row.cause, row.note, row.qualifying) for row in history[unlocked.id]]
    assert rows == [
        (tiers["Gold"].id, "MANUAL", None, 500),
        (tiers["Silver"].id, "MANUAL", "A friend of the house", 0),
    ]


async def test_somebody_can_be_kept_out_of_all_tiers(world: World, salon: Salon, relay_database: Database) -> None:
    then = at(world, NOON)
    await furnish(then, salon)
    await earn(then, salon, order("first", 60_000))
    assert (await lock(then, salon, None)).customer.tier is None
    await earn(then, salon, order("second", 60_000))
    assert await tier_of(then, salon) is None
    assert await told(world, salon, relay_database) == [("upgraded", "ACCRUAL"), ("downgraded", "MANUAL")]


async def test_a_lock_ends_by_time(world: World, salon: Salon, relay_database: Database) -> None:
    """The sweep ends the lock; a reader who comes before the sweep sees it ended already."""
    then = at(world, NOON)
    tiers = await furnish(then, salon)
    await earn(then, salon, order("first", 10_000))
    await lock(then, salon, tiers["Gold"].id, until=LATER)
    assert not (await review_due(at(world, LATER - timedelta(microseconds=1)), salon.tenant_id)).done
    assert (await customer(world, salon)).tier_lock == TierLockRow(LATER)
    assert (await review_due(at(world, LATER), salon.tenant_id)).done == 1
    anna = await customer(world, salon)
    assert (anna.tier, anna.tier_lock) == (tiers["Silver"], None)
    await lock(then, salon, tiers["Gold"].id, "again", until=LATER)
    recorded = await earn(at(world, LATER), salon, order("second", 100))
    assert (recorded.customer.tier, recorded.customer.tier_lock) == (tiers["Silver"], None)
    causes = [cause for _, cause in await told(world, salon, relay_database)]
    assert causes == ["ACCRUAL", "MANUAL", "REVIEW", "MANUAL", "REVIEW"]


async def test_locking_the_present_tier_is_noted_and_not_told(
    world: World, salon: Salon, relay_database: Database
) -> None:
    """BK-100: no upgrade when the tier is unchanged, but the team can read who locked it and why."""
    then = at(world, NOON)
    tiers = await furnish(then, salon)
    recorded = await earn(then, salon, order("first", 10_000))
    await lock(then, salon, tiers["Silver"].id, note="Not below this")
    assert await told(world, salon, relay_database) == [("upgraded", "ACCRUAL")]
    (newest, *_) = (await load_tier_histories(then, salon.staff, [recorded.customer.id]))[recorded.customer.id]
    assert (newest.from_tier_id, newest.to_tier_id, newest.note) == (tiers["Silver"].id,) * 2 + ("Not below this",)


async def test_a_repeated_request_is_answered_as_the_first(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    then = at(world, NOON)
    tiers = await furnish(then, salon)
    await known_customer(then, salon)
    first = await lock(then, salon, tiers["Gold"].id, until=LATER)
    async with nothing_changes(salon.tenant_id):
        again = await lock(then, salon, tiers["Gold"].id, until=LATER)
        assert again == first._replace(replayed=True)
        with pytest.raises(IdempotencyConflict):
            await lock(then, salon, tiers["Silver"].id, until=LATER)


@pytest.mark.parametrize(
    ("details", "refusal", "path"),
    [
        ({"customer": CustomerKey(external_id="nobody")}, NotFound, ("customer",)),
        ({"tier_id": TierId(NOBODY)}, NotFound, ("tier",)),
        ({"until": NOON}, InvalidInput, ("until",)),
        ({"note": "x" * 501}, InvalidInput, ("note",)),
        ({"idempotency_key": ""}, InvalidInput, ("idempotency_key",)),
    ],
)
async def test_an_invalid_tier_lock_is_refused_and_leaves_nothing(
    world: World,
    salon: Salon,
    nothing_changes: NothingChanges,
    details: dict[str, Any],
    refusal: type[LoyaltyError],
    path: tuple[str, ...],
) -> None:
    then = at(world, NOON)
    await furnish(then, salon)
    await known_customer(then, salon)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(refusal) as refused:
            await lock_tier(then, salon.manager, TierLockRequest(ANNA, None, None, None, "key")._replace(**details))
    assert refused.value.path == path


async def test_unlocking_what_is_not_locked_changes_nothing(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    then = at(world, NOON)
    await furnish(then, salon)
    await known_customer(then, salon)
    async with nothing_changes(salon.tenant_id):
        assert (await unlock_tier(then, salon.manager, ANNA)).tier_lock is None
        with pytest.raises(NotFound):
            await unlock_tier(then, salon.manager, CustomerKey(external_id="nobody"))


async def test_nobody_stays_locked_in_a_deleted_tier(world: World, salon: Salon) -> None:
    """BK-36: its customers move to the next lower one."""
    then = at(world, NOON)
    tiers = await furnish(then, salon)
    await earn(then, salon, order("first", 10_000))
    await lock(then, salon, tiers["Gold"].id)
    removed = await remove_tier(then, salon.manager, tiers["Gold"].id)
    await advance_job(then, salon.tenant_id, removed.job.id)
    anna = await customer(then, salon)
    assert (anna.tier, anna.tier_lock) == (tiers["Silver"], None)


async def test_customers_see_their_own_history_only(world: World, salon: Salon) -> None:
    then = at(world, NOON)
    await furnish(then, salon)
    ids = [
        (await earn(then, salon, order(f"of {name}", 10_000, customer=name))).customer.id for name in ("anna", "ben")
    ]
    found = await load_tier_histories(then, salon.staff, ids)
    assert {key: len(rows) for key, rows in found.items()} == dict.fromkeys(ids, 1)
    assert set(await load_tier_histories(then, customer_actor(salon.tenant_id, ids[0]), ids)) == {ids[0]}


async def test_a_history_has_an_end(world: World, salon: Salon) -> None:
    then = at(world, NOON)
    tiers = await furnish(then, salon)
    anna = await known_customer(then, salon)
    for number in range(MAX_HISTORY + 1):
        await lock(then, salon, tiers["Gold"].id if number % 2 else tiers["Silver"].id, f"key {number}")
    history = (await load_tier_histories(then, salon.staff, [anna]))[anna]
    assert [row.to_tier_id for row in history] == [tiers["Silver"].id, tiers["Gold"].id] * (MAX_HISTORY // 2)
    assert await find_customer(then, salon.staff, ANNA) is not None
