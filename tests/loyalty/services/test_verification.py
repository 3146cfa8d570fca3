from itertools import pairwise

import pytest
from sqlalchemy import text

import loyalty.ledger.proof.asking
import loyalty.ledger.proof.slicing
import loyalty.services.verification
from loyalty.ledger.proof.asking import (
    INVARIANTS,
    WHOLE_PASSES,
    find_differences,
    list_sliced_passes,
    merge_differences,
    run_pass,
)
from loyalty.ledger.proof.slicing import EVERYTHING, Slices, prepare_for_many_rows, read_slices
from loyalty.rules.errors import LimitReached
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.verification import get_verification, verify_ledger
from loyalty.services.world import World
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.fixtures.test_invariants import TAMPERINGS, as_owner, busy_salon
from tests.loyalty.services.builders import earn, give, one_point_per_euro, order

__all__ = ["busy_salon"]

CUSTOMERS = 12


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut a ledger as if a few entries were many."""
    monkeypatch.setattr(loyalty.ledger.proof.slicing, "SLICE_ENTRIES", 3)
    monkeypatch.setattr(loyalty.services.verification, "SLICE_ENTRIES", 3)


@pytest.fixture
async def full_salon(world: World, salon: Salon) -> Salon:
    """Provide a salon with a dozen customers, each with two purchases and an addition."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    for number in range(CUSTOMERS):
        for purchase in ("first", "second"):
            await earn(world, salon, order(f"{number} {purchase}", 1_000, customer=f"customer {number}"))
        await give(world, salon, 5, f"for {number}", customer=f"customer {number}")
    return salon


@pytest.mark.usefixtures("small_slices")
async def test_slices_leave_nothing_out_and_cut_no_customer(world: World, full_salon: Salon) -> None:
    """F-36: from the least id to the greatest, each slice beginning where the one before it ends."""
    async with world.database.tenant_transaction(full_salon.tenant_id) as tx:
        slices = await read_slices(tx)
        for cut in slices:
            assert len(cut) > CUSTOMERS / 2
            assert cut[0].first == EVERYTHING.first
            assert cut[-1].last == EVERYTHING.last
            assert all(one.last.int + 1 == following.first.int for one, following in pairwise(cut))
        entries = text("SELECT count(*) FROM entries WHERE tenant_id = :current_tenant AND id BETWEEN :first AND :last")
        counts = [(await tx.rows(entries, **one._asdict()))[0][0] for one in slices.id]
    assert sum(counts) == 3 * CUSTOMERS
    assert max(counts) == 4


@pytest.mark.usefixtures("small_slices")
async def test_in_slices_every_tampering_is_seen_as_it_is_in_one_piece(owner_world: World, busy_salon: Salon) -> None:
    """F-36: the same invariants, in the same number of rows."""
    for tampering, (statement, _) in TAMPERINGS.items():
        async with as_owner(owner_world, busy_salon) as tx:
            await tx.run(text(statement))
            whole = [(one.invariant, one.rows) for one in await find_differences(tx)]
            await prepare_for_many_rows(tx)
            found = [
                one
                for asked in (*WHOLE_PASSES, *list_sliced_passes(await read_slices(tx)))
                for one in await run_pass(tx, asked)
            ]
            assert [(one.invariant, one.rows) for one in merge_differences(found)] == whole, tampering


@pytest.mark.usefixtures("small_slices")
async def test_several_connections_share_the_work(world: World, owner_world: World, full_salon: Salon) -> None:
    """F-36: each pass is done once, and what differs is put together from all of them."""
    done: list[tuple[int, int]] = []
    verification = await verify_ledger(
        world, full_salon.tenant_id, workers=3, progress=lambda passes, total: done.append((passes, total))
    )
    assert (verification.entries, verification.differences) == (3 * CUSTOMERS, [])
    numbers, (_, total) = [number for number, _ in done], done[-1]
    assert numbers == list(range(1, total + 1))
    async with owner_world.database.tenant_transaction(full_salon.tenant_id) as tx:
        await tx.run(text("UPDATE entries SET balance_after = balance_after + 1 WHERE sequence = 3"))
    broken = await verify_ledger(world, full_salon.tenant_id, workers=3)
    assert {one.invariant: one.rows for one in broken.differences} == {
        "the balance after each entry is the sum so far": CUSTOMERS,
        "every entry carries the hash of all it says and of the entry before it": CUSTOMERS,
    }
    assert all(len(one.examples) == loyalty.ledger.proof.asking.MAX_EXAMPLES for one in broken.differences)


async def test_a_small_ledger_is_asked_in_one_piece(world: World, full_salon: Salon, statements: StatementLog) -> None:
    """F-36: count, and a statement for each source."""
    with statements() as sent:
        await verify_ledger(world, full_salon.tenant_id, workers=4)
    assert len(sent) == 1 + len(WHOLE_PASSES) + len(list_sliced_passes(Slices()))


async def test_a_request_verifies_no_more_than_it_should(
    world: World, full_salon: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F-36: the larger ledger is refused, and told where to turn to."""
    monkeypatch.setattr(loyalty.services.verification, "MAX_ENTRIES_IN_A_REQUEST", 3 * CUSTOMERS)
    assert (await get_verification(world, full_salon.staff)).entries == 3 * CUSTOMERS
    monkeypatch.setattr(loyalty.services.verification, "MAX_ENTRIES_IN_A_REQUEST", 3 * CUSTOMERS - 1)
    with pytest.raises(LimitReached, match="treue verify"):
        await get_verification(world, full_salon.staff)


def test_every_invariant_is_named_once_and_in_english() -> None:
    assert len(set(INVARIANTS)) == len(INVARIANTS)
    assert all(len(name) < 100 for name in INVARIANTS)
