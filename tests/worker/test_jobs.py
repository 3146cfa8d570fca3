import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs
from uuid_utils.compat import uuid7

from loyalty.jobs.kinds import ClaimedJob, JobType, Step, index_job_types
from loyalty.rules.earning import Conditions, EarningRule, FixedAward
from loyalty.rules.errors import NotFound
from loyalty.rules.ids import JobId, RuleId
from loyalty.rules.job import JobKind, ReTierResult
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.job import advance_job, fail_job, load_jobs, result_of
from loyalty.services.job_kinds import JOB_TYPES
from loyalty.services.re_tiering import BATCH
from loyalty.services.tier import create_tier, remove_tier
from loyalty.services.world import World
from loyalty.storage.accounts import lock_customers
from loyalty.storage.jobs import JobRow, NewJob, start_job
from runtime.roles import DatabaseUrls
from tenancy.database import Database, Transaction
from tests.fixtures.live import buy, end_sessions, is_waiting_for_a_lock, until, worker_process
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from worker.jobs import MAX_ATTEMPTS, problem_text, work_off_jobs

STATEMENTS_OF_A_BATCH = 5
"""Claim the job, ask for the program's version, lock the accounts, post, keep how far the job is."""


async def reward(world: World, salon: Salon, points: int) -> None:
    """Let every purchase earn so many points from now on."""
    draft = EarningRule(
        id=RuleId(uuid7()),
        name="Welcome",
        version=1,
        priority=1,
        active=True,
        award=FixedAward(points),
        conditions=Conditions(),
        starts_at=None,
        ends_at=None,
    )
    await create_earning_rule(world, salon.manager, draft)


async def add_job(world: World, salon: Salon, kind: str, arguments: dict[str, Any] | None = None) -> JobId:
    job_id = JobId(uuid7())
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        await start_job(tx, NewJob(job_id, kind, arguments or {}, 0, "STAFF", "staff:ann", "Ann", world.clock()))
    return job_id


async def job_of(world: World, salon: Salon, job_id: JobId) -> JobRow:
    return (await load_jobs(world, salon.manager, [job_id]))[job_id]


async def has_state(world: World, salon: Salon, job_id: JobId, state: str) -> bool:
    return (await job_of(world, salon, job_id)).state == state


async def count(world: World, salon: Salon, question: str) -> int:
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        row = await tx.row(text(question))
    assert row is not None
    return int(row[0])


async def changes(world: World, salon: Salon) -> tuple[int, int]:
    """Return how many tier changes there are, and of how many customers."""
    return (
        await count(world, salon, "SELECT count(*) FROM tier_changes"),
        await count(world, salon, "SELECT count(DISTINCT customer_id) FROM tier_changes"),
    )


@contextlib.asynccontextmanager
async def working(world: World, relay: Database, workers: int = 1) -> AsyncIterator[None]:
    """Run workers during the block."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(work_off_jobs(world, relay, stop, first_retry_seconds=0.01)) for _ in range(workers)]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def test_re_tiers_everybody_in_batches_with_a_fixed_number_of_statements(
    world: World, salon: Salon, statements: StatementLog
) -> None:
    await reward(world, salon, 100)
    await buy(world, salon, 2_500)
    changed = await create_tier(world, salon.manager, "Silver", "#C0C0C0", 50)
    assert (changed.job.state, changed.job.done, changed.job.total) == ("WAITING", 0, 2_500)
    job = changed.job
    seen: list[tuple[str, int, int]] = []
    sent: list[int] = []
    for unfinished in (True, True, False):
        with statements() as batch:
            assert await advance_job(world, salon.tenant_id, changed.job.id) is unfinished
        sent.append(len(batch))
        job = await job_of(world, salon, changed.job.id)
        seen.append((job.state, job.done, job.total))
    assert result_of(job) == ReTierResult(upgraded=2_500)
    assert (job.actor_kind, job.actor_subject, job.actor) == (
        salon.manager.kind,
        salon.manager.subject,
        salon.manager.display,
    )
    assert seen == [("RUNNING", BATCH, 2_500), ("RUNNING", 2 * BATCH, 2_500), ("DONE", 2_500, 2_500)]
    # The first batch may have to read the program that its process does not know yet.
    assert sent[1:] == [STATEMENTS_OF_A_BATCH] * 2
    assert await changes(world, salon) == (2_500, 2_500)
    assert await count(world, salon, "SELECT count(*) FROM events WHERE kind = 'tier.upgraded'") == 2_500
    assert not await advance_job(world, salon.tenant_id, changed.job.id)


async def test_two_workers_share_a_job_and_do_nothing_twice(
    world: World, salon: Salon, other_salon: Salon, relay_database: Database
) -> None:
    for tenant, customers in ((salon, 2_500), (other_salon, 1_100)):
        await reward(world, tenant, 100)
        await buy(world, tenant, customers)
    async with working(world, relay_database, workers=2):
        jobs = [
            (tenant, (await create_tier(world, tenant.manager, name, "#C0C0C0", minimum)).job.id)
            for tenant in (salon, other_salon)
            for name, minimum in (("Silver", 50), ("Gold", 500))
        ]
        for tenant, job_id in jobs:
            await until(lambda tenant=tenant, job_id=job_id: has_state(world, tenant, job_id, "DONE"))  # type: ignore[misc]
    assert await changes(world, salon) == (2_500, 2_500)
    assert await changes(world, other_salon) == (1_100, 1_100)
    assert [(await job_of(world, tenant, job_id)).done for tenant, job_id in jobs] == [2_500, 2_500, 1_100, 1_100]


async def test_a_killed_worker_leaves_the_rest_to_the_next_one(
    world: World, salon: Salon, relay_database: Database, database_urls: DatabaseUrls
) -> None:
    async with worker_process(database_urls, "--only", "jobs") as process:
        await reward(world, salon, 100)
        customers = await buy(world, salon, 1_100)
        async with world.database.tenant_transaction(salon.tenant_id) as tx:
            await lock_customers(tx, [customers[-1]])
            job_id = (await create_tier(world, salon.manager, "Silver", "#C0C0C0", 50)).job.id
            await until(lambda: is_waiting_for_a_lock(database_urls.app, "treue-worker"))
            process.send_signal(signal.SIGKILL)
            assert await process.wait() == -signal.SIGKILL
    job = await job_of(world, salon, job_id)
    assert (job.state, job.done) == ("RUNNING", BATCH)
    assert await changes(world, salon) == (BATCH, BATCH)
    async with working(world, relay_database):
        await until(lambda: has_state(world, salon, job_id, "DONE"))
    assert (await job_of(world, salon, job_id)).done == 1_100
    assert await changes(world, salon) == (1_100, 1_100)


async def test_a_job_that_fails_is_given_up_with_a_problem_and_stops_no_other(
    world: World, salon: Salon, other_salon: Salon, relay_database: Database
) -> None:
    bad = await add_job(world, salon, "MAKE_COFFEE")
    good = await add_job(world, other_salon, JobKind.RETIER)
    with capture_logs() as lines:
        async with working(world, relay_database):
            await until(lambda: has_state(world, salon, bad, "FAILED"))
            await until(lambda: has_state(world, other_salon, good, "DONE"))
    job = await job_of(world, salon, bad)
    assert job.problem == f"Given up after {MAX_ATTEMPTS} attempts. Something went wrong on our side."
    told = [line["event"] for line in lines if line.get("job_id") == bad]
    assert told == [*["job failed, will be tried again"] * (MAX_ATTEMPTS - 1), "job given up"]
    assert good not in {line.get("job_id") for line in lines}
    assert not await advance_job(world, salon.tenant_id, bad)


async def test_a_lost_connection_is_no_failure_of_the_job(
    world: World, salon: Salon, database_urls: DatabaseUrls, relay_database: Database
) -> None:
    (customer,) = await buy(world, salon, 1)
    worker = Database(database_urls.app, pool_size=1, name="treue-tests-worker")
    with capture_logs() as lines:
        async with working(World(worker), relay_database):
            async with world.database.tenant_transaction(salon.tenant_id) as tx:
                await lock_customers(tx, [customer])
                job_id = await add_job(world, salon, JobKind.RETIER)
                for _ in range(2):
                    await until(lambda: is_waiting_for_a_lock(database_urls.app, "treue-tests-worker"))
                    assert await end_sessions(database_urls.app, "treue-tests-worker")
            await until(lambda: has_state(world, salon, job_id, "DONE"))
    await worker.close()
    assert (await job_of(world, salon, job_id)).problem is None
    assert job_id not in {line.get("job_id") for line in lines}


async def test_a_finished_job_cannot_fail(world: World, salon: Salon, other_salon: Salon) -> None:
    job_id = await add_job(world, salon, JobKind.RETIER)
    assert not await fail_job(world, other_salon.tenant_id, job_id, "not theirs")
    assert not await advance_job(world, salon.tenant_id, job_id)
    assert not await fail_job(world, salon.tenant_id, job_id, "too late")
    job = await job_of(world, salon, job_id)
    assert (job.state, job.problem) == ("DONE", None)


async def test_a_job_tells_how_many_fell(world: World, salon: Salon) -> None:
    await reward(world, salon, 100)
    await buy(world, salon, 3)
    silver = await create_tier(world, salon.manager, "Silver", "#C0C0C0", 50)
    await advance_job(world, salon.tenant_id, silver.job.id)
    removed = await remove_tier(world, salon.manager, silver.tier.id)
    assert result_of(removed.job) is None
    await advance_job(world, salon.tenant_id, removed.job.id)
    job = await job_of(world, salon, removed.job.id)
    assert (job.state, result_of(job)) == ("DONE", ReTierResult(downgraded=3))


@dataclass(frozen=True, slots=True)
class Count:
    """Arguments of a kind of job of this test: to count up to a number, in twos."""

    up_to: int


@dataclass(frozen=True, slots=True)
class Counted:
    """Its result."""

    reached: int = 0


async def count_on(_world: World, tx: Transaction, job: ClaimedJob[Count, Counted]) -> Step[Counted]:
    """Count two further, and leave a trace in the same transaction; stumble the first time at four."""
    reached = min(job.result.reached + 2, job.arguments.up_to)
    await tx.run(text("UPDATE tenants SET allowed_origins = allowed_origins || to_jsonb(CAST(:n AS text))"), n=reached)
    if reached == 4 and not STUMBLED:
        STUMBLED.append(reached)
        raise RuntimeError("stumbled")
    return Step(reached - job.result.reached, job.cursor, reached == job.arguments.up_to, Counted(reached))


STUMBLED: list[int] = []
COUNTING = {"COUNT": JobType(JobKind.RETIER, Count, Counted, count_on)}


async def test_a_batch_and_how_far_the_job_is_are_kept_together(world: World, salon: Salon) -> None:
    """The handler gets its arguments and its result as classes; a batch that fails leaves neither trace nor result."""
    job_id = await add_job(world, salon, "COUNT", {"up_to": 5})
    assert await advance_job(world, salon.tenant_id, job_id, COUNTING)
    with pytest.raises(RuntimeError):
        await advance_job(world, salon.tenant_id, job_id, COUNTING)
    assert (await job_of(world, salon, job_id)).result == {"reached": 2}
    assert await advance_job(world, salon.tenant_id, job_id, COUNTING)
    assert not await advance_job(world, salon.tenant_id, job_id, COUNTING)
    job = await job_of(world, salon, job_id)
    assert (job.state, job.done, job.result) == ("DONE", 5, {"reached": 5})
    assert await count(world, salon, "SELECT jsonb_array_length(allowed_origins) FROM tenants") == 3


async def test_a_job_of_the_release_before_has_no_owner_and_is_done_all_the_same(world: World, salon: Salon) -> None:
    job_id = JobId(uuid7())
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        await tx.run(
            text(
                "INSERT INTO jobs (tenant_id, id, kind, state, done, total, created_at, updated_at) "
                "VALUES (:current_tenant, :id, 'RETIER', 'WAITING', 0, 0, now(), now())"
            ),
            id=job_id,
        )
    assert not await advance_job(world, salon.tenant_id, job_id)
    job = await job_of(world, salon, job_id)
    assert (job.state, job.actor, result_of(job)) == ("DONE", None, ReTierResult())


def test_every_kind_of_job_has_one_handler() -> None:
    retier = JOB_TYPES[JobKind.RETIER]
    with pytest.raises(TypeError, match="without one: RETIER"):
        index_job_types()
    with pytest.raises(TypeError, match="without one: none"):
        index_job_types(retier, retier)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NotFound("program"), "Given up after 5 attempts. There is no such program."),
        (RuntimeError("password=hunter2"), "Given up after 5 attempts. Something went wrong on our side."),
    ],
)
def test_tells_the_tenant_only_what_a_caller_may_know(error: Exception, told: str) -> None:
    assert problem_text(error, 5) == told
