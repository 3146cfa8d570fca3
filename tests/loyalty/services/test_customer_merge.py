import asyncio
from datetime import date, timedelta

import pytest

from loyalty.rules.account import Overdraft
from loyalty.rules.erasure import ErasureCause
from loyalty.rules.errors import ActiveHolds, HoldEnded, IdempotencyConflict, InvalidInput, LoyaltyError, NotFound
from loyalty.rules.ids import CustomerId
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.redemption import RestorePolicy
from loyalty.services.authentication import refresh_actor
from loyalty.services.customer import CustomerKey, find_customer, get_me, list_activity, list_customers, load_customers
from loyalty.services.customer_merge import MergeRequest, merge_customers
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.erasing import book_erasure, open_person, write_erasure
from loyalty.services.expiry import expire_due, load_expiry_schedules
from loyalty.services.job import advance_job
from loyalty.services.maturing import mature_due
from loyalty.services.program import program_in_force
from loyalty.services.purchase import load_refunds
from loyalty.services.redemption import release_hold
from loyalty.services.tier import create_tier, load_tier_counts
from loyalty.services.world import World
from loyalty.storage.customer_lists import CustomerFilter
from loyalty.storage.customers import CustomerOrder, CustomerRow, PointsFilter
from loyalty.storage.entries import EntryFilter
from loyalty.storage.window import Window
from tenancy.retry import retries
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOON,
    at,
    capture,
    customer_actor,
    earn,
    give,
    give_back,
    hold,
    known_customer,
    merge,
    one_point_per_euro,
    order,
    pay_back,
    read_report,
    set_policy,
    set_redemption,
)

HOUR = timedelta(hours=1)
WAITS_SECONDS = 0.3
"""Long enough for a merge to come to the locks that another transaction holds."""


async def found(world: World, salon: Salon, external_id: str) -> CustomerRow:
    row = await find_customer(world, salon.manager, CustomerKey(external_id=external_id))
    assert row is not None
    return row


async def test_everything_moves_with_its_dates(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """F-35: lots keep their expiry; what was earned and what qualifies come along; every id leads to the target."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    anna = await known_customer(world, salon, "anna")
    ben = await known_customer(world, salon, "ben")
    await earn(world, salon, order("order-1", 3_000))
    await give(world, salon, 20, "short", expires_on=date(2999, 3, 31))
    await give(world, salon, 5, "ben's", customer="ben")
    merged = await merge(world, salon, "anna", "ben", "same person")
    points = merged.customer.points
    assert (points.available, points.lifetime_earned, points.qualifying) == (55, 30, 55)
    schedule = await load_expiry_schedules(world, salon.manager, [ben])
    assert [(row.last_day, row.points) for row in schedule[ben]] == [(date(2999, 3, 31), 20)]
    by_id = await load_customers(world, salon.manager, [anna])
    assert {(await found(world, salon, name)).id for name in ("anna", "ben")} == {ben} == {by_id[anna].id}
    listed = await list_customers(
        world, salon.manager, CustomerFilter(PointsFilter.ANY, None, None), CustomerOrder.NAME, Window(10)
    )
    assert [row.id for _, row in listed] == [ben]
    (entry, *_) = await list_activity(world, salon.manager, EntryFilter(ben), Window(10))
    assert (entry.kind, entry.points, entry.reference_id) == ("MERGED", 50, merged.merge.id)
    await ledger_is_sound(salon.tenant_id)


async def test_reports_for_the_source_of_a_merge_go_to_its_target(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-35: new purchases, the cancellation and the refund of old ones, adjustments, and the customer's own app."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    recorded = await earn(world, salon, order("order-1", 3_000))
    await earn(world, salon, order("order-2", 2_000))
    await pay_back(world, salon, "order-2", 500, "a quarter")
    await merge(world, salon, "anna", "ben", "same person")
    await earn(world, salon, order("order-3", 1_000, customer="anna"))
    await give(world, salon, 1, "for the old id", customer="anna")
    assert (await found(world, salon, "ben")).points.available == 56
    await earn(world, salon, order("order-1", 3_000, status=PurchaseStatus.CANCELLED))
    refunded = await pay_back(world, salon, "order-2", 1_000, "half")
    assert (await found(world, salon, "ben")).points.available == 16
    old_app = await refresh_actor(world, customer_actor(salon.tenant_id, recorded.customer.id))
    assert old_app is not None
    me = await get_me(world, old_app)
    assert me is not None
    assert me.external_id == "ben"
    # The id that the app has kept is still its own, and nobody else's is.
    other = await known_customer(world, salon, "cem")
    seen = await load_customers(world, old_app, [recorded.customer.id, other])
    assert {named: row.external_id for named, row in seen.items()} == {recorded.customer.id: "ben"}
    refunds = await load_refunds(world, old_app, [refunded.purchase.id])
    assert [row.amount_minor for row in refunds[refunded.purchase.id]] == [500, 1_000]
    await ledger_is_sound(salon.tenant_id)


async def test_pending_points_mature_for_the_target(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await set_policy(world, salon, delay_minutes=60)
    await earn(at(world, NOON), salon, order("order-1", 3_000))
    merged = await merge(at(world, NOON), salon, "anna", "ben", "same person")
    assert (merged.customer.points.pending, merged.merge.pending) == (30, 30)
    await mature_due(at(world, NOON + HOUR), salon.tenant_id)
    assert (await found(world, salon, "ben")).points.available == 30
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize(
    ("source", "target", "after"),
    [
        (-30, 100, (70, 0)),
        (-30, 10, (0, 20)),
        (30, -10, (20, 0)),
        (30, -50, (0, 20)),
        (-30, -10, (0, 40)),
        (0, 7, (7, 0)),
    ],
)
async def test_debt_moves_and_is_paid(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, source: int, target: int, after: tuple[int, int]
) -> None:
    for customer, points in (("anna", source), ("ben", target)):
        await known_customer(world, salon, customer)
        if points:
            await give(world, salon, points, customer, customer=customer, overdraft=Overdraft.ALLOW_NEGATIVE)
    merged = await merge(world, salon, "anna", "ben", "same person")
    assert (merged.customer.points.available, merged.customer.points.debt) == after
    await ledger_is_sound(salon.tenant_id)


async def test_a_redemption_of_the_old_id_comes_back_to_the_new_one(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-07, F-35: as a lot with the same dates."""
    await set_redemption(world, salon)
    await known_customer(world, salon)
    await give(world, salon, 100, "riches", expires_on=date(2999, 3, 31))
    captured = await capture(world, salon, await hold(world, salon, 60, "basket"), "paid")
    merged = await merge(world, salon, "anna", "ben", "same person")
    back = await give_back(world, salon, captured, "back", points=25)
    assert (back.customer.external_id, back.customer.points.available) == ("ben", 65)
    schedule = await load_expiry_schedules(world, salon.manager, [merged.customer.id])
    assert [(row.last_day, row.points) for row in schedule[merged.customer.id]] == [(date(2999, 3, 31), 65)]
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize(
    ("restore", "at_once", "later"), [(RestorePolicy.EXPIRE, 16, 10), (RestorePolicy.GRACE, 20, 14)]
)
async def test_returns_in_parts_bring_the_dates_of_each_part(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, restore: RestorePolicy, at_once: int, later: int
) -> None:
    """F-07, F-35: as in a redemption, the longest-lived lots come first, and expired lots have days of grace."""
    await set_redemption(world, salon, restore=restore)
    await known_customer(world, salon)
    for key, day in (("short", date(2026, 12, 31)), ("long", date(2999, 3, 31))):
        await give(at(world, NOON), salon, 10, key, expires_on=day)
    spent = await capture(at(world, NOON), salon, await hold(at(world, NOON), salon, 20, "basket"), "paid")
    ben = (await merge(at(world, NOON), salon, "anna", "ben", "same person")).customer.id
    for part in range(2):
        await give_back(at(world, NOON), salon, spent, f"part {part}", points=8)
    schedule = (await load_expiry_schedules(at(world, NOON), salon.manager, [ben]))[ben]
    assert [(row.last_day, row.points) for row in schedule] == [(date(2026, 12, 31), 6), (date(2999, 3, 31), 10)]
    late = NOON + timedelta(days=400)
    back = await give_back(at(world, late), salon, spent, "the rest")
    assert back.customer.points.available == at_once
    await expire_due(at(world, late), salon.tenant_id)
    assert (await found(world, salon, "ben")).points.available == later
    await ledger_is_sound(salon.tenant_id)


async def test_a_hold_that_ended_before_is_answered_as_it_is(world: World, salon: Salon) -> None:
    """Released once more, and captured too late, under the id that its customer had then."""
    await set_redemption(world, salon)
    await known_customer(world, salon)
    await give(world, salon, 10, "some")
    held = await hold(world, salon, 5, "basket")
    await release_hold(world, salon.integration, held.hold.id, "changed my mind")
    await merge(world, salon, "anna", "ben", "same person")
    for key in ("changed my mind", "again"):
        again = await release_hold(world, salon.integration, held.hold.id, key)
        assert (again.customer.external_id, again.replayed) == ("ben", True)
    with pytest.raises(HoldEnded):
        await capture(world, salon, held, "paid")


async def test_one_person_is_one_active_customer(world: World, salon: Salon) -> None:
    """C-12, F-35: also for the days before the merge; and points that only moved were neither earned nor spent."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    for customer in ("anna", "ben", "cem"):
        await earn(at(world, NOON), salon, order(f"{customer}'s", 1_000, customer=customer))
    before = await read_report(world, salon.manager, NOON.date(), NOON.date())
    await merge(at(world, NOON), salon, "anna", "ben", "same person")
    after = await read_report(world, salon.manager, NOON.date(), NOON.date())
    assert (before.active_customers, after.active_customers) == (3, 2)
    assert after._replace(active_customers=3) == before


async def test_the_tier_follows(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    silver = await create_tier(world, salon.manager, "Silver", "#C0C0C0", 50)
    await advance_job(world, salon.tenant_id, silver.job.id)
    for customer in ("anna", "ben"):
        await known_customer(world, salon, customer)
        await give(world, salon, 30, customer, customer=customer)
    merged = await merge(world, salon, "anna", "ben", "same person")
    assert merged.customer.tier is not None
    await ledger_is_sound(salon.tenant_id)


async def test_who_became_another_stands_in_no_tier(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """F-35: not even in one that begins at no points, nor after everybody was put right; nobody is counted twice."""
    bronze = await create_tier(world, salon.manager, "Bronze", "#CD7F32", 0)
    await advance_job(world, salon.tenant_id, bronze.job.id)
    await known_customer(world, salon)
    await give(world, salon, 30, "some")
    await merge(world, salon, "anna", "ben", "same person")
    for _ in range(2):
        assert await load_tier_counts(world, salon.manager, [bronze.tier.id]) == {bronze.tier.id: 1}
        await ledger_is_sound(salon.tenant_id)
        gold = await create_tier(world, salon.manager, f"Gold {_}", "#FFD700", 500 + _)
        assert gold.job.total == 1
        await advance_job(world, salon.tenant_id, gold.job.id)


async def test_chains_lead_to_their_end(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    await known_customer(world, salon)
    await give(world, salon, 10, "some")
    for source, target in (("anna", "ben"), ("ben", "cem"), ("dora", "anna")):
        await known_customer(world, salon, source) if source == "dora" else None
        await merge_customers(
            world,
            salon.manager,
            MergeRequest(
                CustomerKey(external_id=source),
                CustomerKey(id=await known(world, salon, target)),
                None,
                f"{source} {target}",
            ),
        )
    assert {(await found(world, salon, name)).external_id for name in ("anna", "ben", "cem", "dora")} == {"cem"}
    assert (await found(world, salon, "dora")).points.available == 10
    await ledger_is_sound(salon.tenant_id)


async def known(world: World, salon: Salon, external_id: str) -> CustomerId:
    return await known_customer(world, salon, external_id)


async def test_a_merge_happens_once(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    """F-33."""
    await known_customer(world, salon)
    await give(world, salon, 10, "some")
    first = await merge(world, salon, "anna", "ben", "key")
    async with nothing_changes(salon.tenant_id):
        again = await merge_customers(
            world,
            salon.manager,
            MergeRequest(CustomerKey(external_id="anna"), CustomerKey(external_id="ben"), None, "key"),
        )
        assert (again.replayed, again.merge) == (True, first.merge)
        with pytest.raises(IdempotencyConflict):
            await merge_customers(
                world,
                salon.manager,
                MergeRequest(CustomerKey(external_id="ben"), CustomerKey(external_id="anna"), None, "key"),
            )


@pytest.mark.parametrize(
    ("source", "target", "refusal"),
    [
        ("anna", "anna", InvalidInput),
        ("nobody", "anna", NotFound),
        ("anna", "nobody", NotFound),
        ("held", "anna", ActiveHolds),
    ],
)
async def test_a_refused_merge_leaves_nothing_behind(
    world: World,
    salon: Salon,
    nothing_changes: NothingChanges,
    source: str,
    target: str,
    refusal: type[LoyaltyError],
) -> None:
    await set_redemption(world, salon)
    for customer in ("anna", "held"):
        await known_customer(world, salon, customer)
    await give(world, salon, 10, "some", customer="held")
    await hold(world, salon, 5, "basket", customer="held")
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(refusal):
            await merge_customers(
                world,
                salon.manager,
                MergeRequest(CustomerKey(external_id=source), CustomerKey(external_id=target), None, "key"),
            )


async def test_another_tenants_customer_is_not_there(
    world: World, salon: Salon, other_salon: Salon, nothing_changes: NothingChanges
) -> None:
    anna = await known_customer(world, salon)
    theirs = await known_customer(world, other_salon)
    async with nothing_changes(salon.tenant_id), nothing_changes(other_salon.tenant_id):
        for source, target in ((anna, theirs), (theirs, anna)):
            with pytest.raises(NotFound):
                await merge_customers(
                    world, salon.manager, MergeRequest(CustomerKey(id=source), CustomerKey(id=target), None, "key")
                )


async def test_opposing_merges_and_adjustments_at_once_lose_nothing(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-10, F-35: one of two opposing merges wins, the other finds nothing to merge."""
    for number in range(5):
        names = (f"a{number}", f"b{number}")
        for name in names:
            await known_customer(world, salon, name)
        keys = [CustomerKey(external_id=name) for name in names]
        outcomes = await asyncio.gather(
            merge_customers(world, salon.manager, MergeRequest(keys[0], keys[1], None, f"there {number}")),
            merge_customers(world, salon.manager, MergeRequest(keys[1], keys[0], None, f"back {number}")),
            *(give(world, salon, 1, f"{number} {name} {turn}", customer=name) for name in names for turn in range(10)),
            return_exceptions=True,
        )
        assert [type(one) for one in outcomes if isinstance(one, Exception)] == [InvalidInput]
        assert (await found(world, salon, names[0])).points.available == 20
    await ledger_is_sound(salon.tenant_id)


async def test_merges_and_purchases_at_once_wait_for_one_another_but_never_in_a_circle(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-10, F-35: in either order, all purchases have earned for the target."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    before = retries["deadlock"]
    for number in range(5):
        names = [f"{letter}{number}" for letter in "abc"]
        for name in names:
            await known_customer(world, salon, name)
        keys = [CustomerKey(external_id=name) for name in names]
        outcomes = await asyncio.gather(
            merge_customers(world, salon.manager, MergeRequest(keys[0], keys[1], None, f"first {number}")),
            *(earn(world, salon, order(f"{name} {turn}", 100, customer=name)) for turn in range(5) for name in names),
            merge_customers(world, salon.manager, MergeRequest(keys[1], keys[2], None, f"second {number}")),
            return_exceptions=True,
        )
        assert [one for one in outcomes if isinstance(one, Exception)] == []
        assert {(await found(world, salon, name)).points.available for name in names} == {15}
    assert retries["deadlock"] == before
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize("erased", ["anna", "berta"])
async def test_refuses_a_customer_who_is_erased_while_the_merge_waits(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, erased: str
) -> None:
    """The merge found both, then waited for the erasure. Points may not go where nobody finds them."""
    for name in ("anna", "berta"):
        await known_customer(world, salon, name)
        await give(world, salon, 5, f"points of {name}", customer=name)
    person = (await found(world, salon, erased)).id
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        program = await program_in_force(world, tx)
        opened = await open_person(world, tx, program, salon.owner, person)
        merging = asyncio.create_task(merge(world, salon, "anna", "berta", "merge-1"))
        await asyncio.sleep(WAITS_SECONDS)
        book_erasure(opened, ErasureCause.CALL)
        await write_erasure(tx, opened, ErasureCause.CALL)
    with pytest.raises(NotFound) as refused:
        await merging
    assert refused.value.path == ("source" if erased == "anna" else "target",)
    (kept,) = {"anna", "berta"} - {erased}
    assert (await found(world, salon, kept)).points.available == 5
    await ledger_is_sound(salon.tenant_id)


async def test_how_many_statements_a_merge_takes(world: World, salon: Salon, statements: StatementLog) -> None:
    """The same whatever moves."""
    counts = []
    for customer, lots in (("anna", 1), ("ben", 40)):
        await known_customer(world, salon, customer)
        await known_customer(world, salon, f"{customer}'s twin")
        for number in range(lots):
            await give(world, salon, 1, f"{customer} {number}", customer=customer)
        request = MergeRequest(
            CustomerKey(external_id=customer), CustomerKey(external_id=f"{customer}'s twin"), None, customer
        )
        with statements() as sent:
            await merge_customers(world, salon.manager, request)
        counts.append(len(sent))
    assert counts == [12, 12]
