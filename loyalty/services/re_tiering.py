"""The handler of RETIER: puts every customer into the tier of the present program, a thousand at a time."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from loyalty.jobs.kinds import ClaimedJob, Step
from loyalty.ledger.book import Book
from loyalty.ledger.posting import post
from loyalty.rules.ids import CustomerId
from loyalty.rules.job import ReTierArguments, ReTierResult
from loyalty.rules.standing import previous_start, window_start
from loyalty.rules.tiers import TierBasis, TierChangeCause
from loyalty.services.program import program_in_force
from loyalty.services.world import World
from loyalty.storage.accounts import LockedCustomer, lock_accounts_after
from loyalty.storage.standings import read_window_points
from tenancy.database import Transaction

BATCH = 1_000
FIRST_CUSTOMER = CustomerId(UUID(int=0))


async def re_tier_batch(
    world: World, tx: Transaction, job: ClaimedJob[ReTierArguments, ReTierResult]
) -> Step[ReTierResult]:
    """Re-tier the next customers in the order of their ids, also while the program is off."""
    program = await program_in_force(world, tx, even_when_off=True)
    accounts = await lock_accounts_after(tx, CustomerId(job.cursor) if job.cursor else FIRST_CUSTOMER, BATCH)
    book = Book(program, job.worker, world.now(program))
    changes = await _re_tier(tx, book, [one for one in accounts if not one.account.closed])
    await post(tx, book.finish())
    return Step(
        done=len(accounts),
        cursor=accounts[-1].account.customer_id if accounts else job.cursor,
        finished=len(accounts) < BATCH,
        result=ReTierResult(
            upgraded=job.result.upgraded + sum(changes), downgraded=job.result.downgraded + changes.count(False)
        ),
    )


async def _re_tier(tx: Transaction, book: Book, accounts: Sequence[LockedCustomer]) -> list[bool]:
    """Put customers into the tiers of the program. Standings that another tier policy has counted are recounted first.

    Returns for each change of a tier whether it went up.
    """
    ids = [book.open(locked) for locked in accounts]
    unmeasured = [customer_id for customer_id in ids if not book.tiers.is_measured(customer_id)]
    if unmeasured:
        await _recount(tx, book, unmeasured)
    changes = []
    for customer_id in ids:
        book.tiers.settle_account(customer_id)
        _end_lost_lock(book, customer_id)
        changes.append(book.tiers.change_tier(customer_id, TierChangeCause.PROGRAM_CHANGE, None))
    return [change.upgraded for change in changes if change is not None]


async def _recount(tx: Transaction, book: Book, customer_ids: Sequence[CustomerId]) -> None:
    """Recount the standings of customers by the present tier policy."""
    policy, zone = book.tiers.policy, book.program.zone
    start = window_start(policy.window, book.now, zone)
    before = previous_start(policy.window, start, zone)
    by_window = policy.basis is TierBasis.EARNED_IN_WINDOW
    points = await read_window_points(tx, customer_ids, start, before) if by_window else {}
    for customer_id in customer_ids:
        book.tiers.recount_standing(customer_id, points.get(customer_id, (0, 0)))


def _end_lost_lock(book: Book, customer_id: CustomerId) -> None:
    """End the lock of a customer who is locked in a deleted tier."""
    account = book.account(customer_id)
    if account.tier_locked and account.tier_id in {tier.id for tier in book.program.former_tiers}:
        book.keep(replace(account, tier_locked=False, tier_locked_until=None))
