"""Let pending points mature at their time: each accrual once, in order, with any number of workers."""

from loyalty.ledger.accruals import mature_accrual
from loyalty.ledger.book import Book, open_book
from loyalty.ledger.posting import post_and_commit
from loyalty.rules.ids import TenantId
from loyalty.services.program import program_in_force
from loyalty.services.sweep import NOTHING_SWEPT, Swept
from loyalty.services.world import World
from loyalty.storage.accruals import AccrualRow, read_accruals_by_id, read_due_accruals
from loyalty.storage.purchases import read_purchases_by_id
from permissions.actor import system_actor
from tenancy.retry import retry_transaction

BATCH = 500
SUBJECT = "worker:maturing"
SECONDS_PER_MINUTE = 60


async def mature_due(world: World, tenant_id: TenantId) -> Swept:
    """Credit up to ``BATCH`` due accruals, also while the program is off, because the points were earned before."""
    return await retry_transaction(lambda: _mature_batch(world, tenant_id))


async def _mature_batch(world: World, tenant_id: TenantId) -> Swept:
    """Credit the due accruals of one batch in one transaction, and count the late ones."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        program = await program_in_force(world, tx, even_when_off=True)
        seen = await read_due_accruals(tx, world.now(program), BATCH)
        if not seen:
            return NOTHING_SWEPT
        owners = [accrual.customer_id for accrual in seen]
        book = await open_book(world, tx, program, system_actor(tenant_id, SUBJECT), owners)
        # Read the accruals again under the locks: some may have matured or been voided meanwhile.
        present = await read_accruals_by_id(tx, [accrual.id for accrual in seen])
        due = [accrual for accrual in seen if present[accrual.id] == accrual]
        for purchase in (await read_purchases_by_id(tx, [accrual.purchase_id for accrual in due])).values():
            book.know_purchase(purchase)
        for accrual in due:
            mature_accrual(book, accrual)
        await post_and_commit(tx, book.finish())
    return Swept(len(due), sum(_is_late(accrual, book) for accrual in due))


def _is_late(accrual: AccrualRow, book: Book) -> bool:
    """Tell whether an accrual matured later than its policy allows the sweep."""
    if accrual.matures_at is None:
        return False
    waited_seconds = (book.now - accrual.matures_at).total_seconds()
    return waited_seconds > accrual.policy.slack_minutes * SECONDS_PER_MINUTE
