"""Background jobs over all accounts of a tenant, in batches that each commit on their own."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from loyalty.ledger.book import Book
from loyalty.ledger.posting import post
from loyalty.rules.ids import CustomerId, JobId, TenantId
from loyalty.rules.standing import previous_start, window_start
from loyalty.rules.tiers import TierBasis, TierChangeCause
from loyalty.services.program import program_in_force
from loyalty.services.world import World
from loyalty.storage.accounts import LockedCustomer
from loyalty.storage.jobs import RETIER, JobRow, claim_job, lock_accounts_after, read_jobs_by_id, save_job
from loyalty.storage.standings import read_window_points
from permissions.actor import Actor, system_actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.database import Transaction
from tenancy.retry import retry_transaction

BATCH = 1_000
FIRST_CUSTOMER = CustomerId(UUID(int=0))
SUBJECT = "worker:retier"


async def load_jobs(world: World, actor: Actor, ids: Sequence[JobId]) -> dict[JobId, JobRow]:
    """The jobs among ``ids``."""
    require(actor, Permission.LOYALTY_READ)
    tx = world.database.reading(actor.tenant_id)
    return await read_jobs_by_id(tx, ids)


async def advance_job(world: World, tenant_id: TenantId, job_id: JobId) -> bool:
    """Work off one batch of a job; False when it is finished or another worker has it."""
    return await retry_transaction(lambda: _advance(world, tenant_id, job_id))


async def fail_job(world: World, tenant_id: TenantId, job_id: JobId, problem: str) -> bool:
    """Give an unfinished job up; what it has done stays. ``problem`` is for people of the tenant to read.

    False when it is finished or another worker has it: nothing is changed then.
    """
    return await retry_transaction(lambda: _fail(world, tenant_id, job_id, problem))


async def _fail(world: World, tenant_id: TenantId, job_id: JobId, problem: str) -> bool:
    async with world.database.tenant_transaction(tenant_id) as tx:
        job = await claim_job(tx, job_id)
        if job is None:
            return False
        await save_job(tx, job._replace(state="FAILED", problem=problem, updated_at=world.clock()))
    return True


async def _advance(world: World, tenant_id: TenantId, job_id: JobId) -> bool:
    actor = system_actor(tenant_id, SUBJECT)
    async with world.database.tenant_transaction(tenant_id) as tx:
        job = await claim_job(tx, job_id)
        if job is None:
            return False
        if job.kind != RETIER:
            # A newer version of us has put it in line; taken for another kind it would do harm.
            raise ValueError(f"jobs of kind {job.kind!r} are unknown")
        program = await program_in_force(world, tx, even_when_off=True)
        accounts = await lock_accounts_after(tx, CustomerId(job.cursor) if job.cursor else FIRST_CUSTOMER, BATCH)
        book = Book(program, actor, world.now(program))
        await _re_tier(tx, book, [one for one in accounts if not one.account.closed])
        await post(tx, book.finish())
        finished = len(accounts) < BATCH
        done = job.done + len(accounts)
        await save_job(
            tx,
            job._replace(
                state="DONE" if finished else "RUNNING",
                done=done,
                # Customers who came after the job began are done too; the total never lags behind.
                total=max(job.total, done),
                cursor=accounts[-1].account.customer_id if accounts else job.cursor,
                updated_at=book.now,
            ),
        )
    return not finished


async def _re_tier(tx: Transaction, book: Book, accounts: Sequence[LockedCustomer]) -> None:
    """Put customers into the tiers of the program as it is now; whose standing it counts otherwise is counted anew."""
    ids = [book.open(locked) for locked in accounts]
    anew = [customer_id for customer_id in ids if not book.tiers.is_measured(customer_id)]
    if anew:
        policy, zone = book.tiers.policy, book.program.zone
        start = window_start(policy.window, book.now, zone)
        before = previous_start(policy.window, start, zone)
        by_window = policy.basis is TierBasis.EARNED_IN_WINDOW
        points = await read_window_points(tx, anew, start, before) if by_window else {}
        for customer_id in anew:
            book.tiers.recount(customer_id, points.get(customer_id, (0, 0)))
    for customer_id in ids:
        book.tiers.settle(customer_id)
        _end_lost_lock(book, customer_id)
        book.tiers.change(customer_id, TierChangeCause.PROGRAM_CHANGE, None)


def _end_lost_lock(book: Book, customer_id: CustomerId) -> None:
    """Nobody stays locked in a tier that was deleted."""
    account = book.account(customer_id)
    if account.tier_locked and account.tier_id in {tier.id for tier in book.program.former_tiers}:
        book.keep(replace(account, tier_locked=False, tier_locked_until=None))
