"""The sweep that releases holds of points after their time is over."""

from loyalty.ledger.book import open_book
from loyalty.rules.ids import TenantId
from loyalty.rules.redemption import HoldState
from loyalty.services.hold import end_hold
from loyalty.services.program import program_in_force
from loyalty.services.revaluation import post_points_paid
from loyalty.services.sweep import NOTHING_SWEPT, Swept
from loyalty.services.world import World
from loyalty.storage.holds import read_abandoned_holds, read_held_lots, read_holds_by_id
from permissions.actor import system_actor
from tenancy.retry import retry_transaction

BATCH = 500


SUBJECT = "worker:holds"


async def free_abandoned_holds(world: World, tenant_id: TenantId) -> Swept:
    """Release up to ``BATCH`` holds of points whose time is over, also while the program is off."""
    return await retry_transaction(lambda: _free_batch(world, tenant_id))


async def _free_batch(world: World, tenant_id: TenantId) -> Swept:
    """Release the holds of one batch in one transaction. A hold that changed meanwhile is left as it is."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        program = await program_in_force(world, tx, even_when_off=True)
        seen = await read_abandoned_holds(tx, world.now(program), BATCH)
        if not seen:
            return NOTHING_SWEPT
        owners = [hold.customer_id for hold in seen]
        book = await open_book(world, tx, program, system_actor(tenant_id, SUBJECT), owners)
        # Read the holds again under the locks: some may have been captured or released meanwhile.
        present = await read_holds_by_id(tx, [hold.id for hold in seen])
        due = [hold for hold in seen if present[hold.id] == hold]
        parts = await read_held_lots(tx, [hold.id for hold in due])
        for hold in due:
            await end_hold(tx, book, hold, HoldState.EXPIRED, parts[hold.id])
        await post_points_paid(tx, book, [hold.purchase for hold in due])
    return Swept(len(due))
