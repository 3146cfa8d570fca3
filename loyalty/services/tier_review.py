"""The sweep of tiers: new windows begin, standings are reviewed, and locks of tiers end."""

from loyalty.ledger.book import open_book
from loyalty.ledger.posting import post_and_commit
from loyalty.rules.ids import TenantId
from loyalty.services.program import program_in_force
from loyalty.services.sweep import NOTHING_SWEPT, Swept
from loyalty.services.world import World
from loyalty.storage.standings import read_due_reviews
from permissions.actor import system_actor
from tenancy.retry import retry_transaction

BATCH = 500
SUBJECT = "worker:tiers"


async def review_due(world: World, tenant_id: TenantId) -> Swept:
    """Review up to ``BATCH`` customers who are due, also while the program is off."""
    return await retry_transaction(lambda: _review_batch(world, tenant_id))


async def _review_batch(world: World, tenant_id: TenantId) -> Swept:
    """Review the due customers of one batch in one transaction."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        program = await program_in_force(world, tx, even_when_off=True)
        due = await read_due_reviews(tx, world.now(program), BATCH)
        if not due:
            return NOTHING_SWEPT
        # Opening the book books the due changes. A customer with nothing due gets the time of the next review, or none.
        book = await open_book(world, tx, program, system_actor(tenant_id, SUBJECT), due)
        for customer_id in due:
            book.tiers.settle_account(customer_id)
        await post_and_commit(tx, book.finish())
    return Swept(len(due))
