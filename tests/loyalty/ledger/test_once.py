"""An operation happens once for each key: every keyed service goes through the same function."""

import asyncio
from pathlib import Path
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from loyalty.ledger.book import open_book
from loyalty.ledger.once import AskedKey, Booked, Unchanged, ask_key, run_once
from loyalty.rules.errors import IdempotencyConflict, InvalidInput
from loyalty.services import redemption
from loyalty.services.program import program_in_force
from loyalty.services.world import World
from loyalty.storage.idempotency import name_call
from tenancy.database import Transaction
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import known_customer

OPERATION = "test"


class Counter:
    """An operation that books nothing, and says how often it was decided."""

    def __init__(self, world: World, salon: Salon) -> None:
        self.world = world
        self.salon = salon
        self.decided = 0
        self.refuses = False
        self.changes_nothing = False

    async def run(self, key: str, fingerprint: str = "mark") -> tuple[UUID, bool]:
        """Return the id of the result, and whether it was a replay."""
        call = name_call(self.salon.manager, key, OPERATION, fingerprint)
        tenant_id = self.salon.tenant_id
        return await run_once(
            self.world.database, tenant_id, call, ask=ask_key, decide=self._decide, replay=self._replay
        )

    async def _decide(
        self, tx: Transaction, asked: AskedKey
    ) -> Booked[tuple[UUID, bool]] | Unchanged[tuple[UUID, bool]]:
        """Count the decision, and return an answer that books nothing."""
        assert asked.kept_key is None
        self.decided += 1
        if self.refuses:
            raise InvalidInput.one("points", reason="must be more")
        program = await program_in_force(self.world, tx)
        book = await open_book(self.world, tx, program, self.salon.manager, [])
        result_id = uuid7()
        answer = (result_id, False)
        return Unchanged(answer) if self.changes_nothing else Booked(book, result_id, lambda: answer)

    async def _replay(self, _: Transaction, result_id: UUID) -> tuple[UUID, bool]:
        return result_id, True


@pytest.fixture
async def counter(world: World, salon: Salon) -> Counter:
    await known_customer(world, salon)
    return Counter(world, salon)


async def test_answers_a_known_key_with_the_result_it_stands_for(counter: Counter) -> None:
    first = await counter.run("key")
    assert await counter.run("key") == (first[0], True)
    assert counter.decided == 1
    assert (await counter.run("another"))[1] is False


async def test_refuses_a_key_that_stands_for_another_request(
    counter: Counter, salon: Salon, nothing_changes: NothingChanges
) -> None:
    await counter.run("key")
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(IdempotencyConflict):
            await counter.run("key", "another mark")
    assert counter.decided == 1


async def test_a_refusal_leaves_the_key_free(counter: Counter, salon: Salon, nothing_changes: NothingChanges) -> None:
    counter.refuses = True
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput):
            await counter.run("key")
    counter.refuses = False
    assert (await counter.run("key", "another mark"))[1] is False


async def test_an_operation_that_changes_nothing_keeps_no_key(
    counter: Counter, salon: Salon, nothing_changes: NothingChanges
) -> None:
    counter.changes_nothing = True
    async with nothing_changes(salon.tenant_id):
        await counter.run("key")
        await counter.run("key")
    assert counter.decided == 2


async def test_of_eight_at_the_same_time_one_decides(counter: Counter) -> None:
    """The slower ones start again and find the key."""
    answers = await asyncio.gather(*(counter.run("key") for _ in range(8)))
    assert len({result_id for result_id, _ in answers}) == 1
    assert sorted(replayed for _, replayed in answers) == [False, *[True] * 7]


def test_no_service_keeps_keys_in_its_own_way() -> None:
    """An operation on accounts takes `run_once`. Two things book nothing, so they keep their keys beside a lock: the
    clock of a sandbox, and what is created once in the configuration (`creation`).
    """
    folder = Path(redemption.__file__).parent
    own = {
        path.name
        for path in folder.glob("*.py")
        if any(name in path.read_text() for name in ("find_replayed_result", "book.remember(", "keep_key("))
    }
    assert own == {"creation.py", "sandbox.py"}
