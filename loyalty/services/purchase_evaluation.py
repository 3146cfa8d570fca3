"""The sweep that evaluates purchases after the end of their service."""

from loyalty.ledger.accruals import accrue_points
from loyalty.ledger.book import open_book
from loyalty.ledger.posting import post_and_commit
from loyalty.rules.ids import TenantId
from loyalty.rules.purchase_report import moment_of
from loyalty.services.program import program_in_force
from loyalty.services.sweep import NOTHING_SWEPT, Swept
from loyalty.services.world import World
from loyalty.storage.purchase_valuations import read_due_evaluations
from loyalty.storage.purchases import build_paid_facts
from loyalty.storage.refunds import read_refunds
from permissions.actor import system_actor
from tenancy.retry import retry_transaction

SWEEP_BATCH = 500


SUBJECT = "worker:evaluation"


async def evaluate_due(world: World, tenant_id: TenantId) -> Swept:
    """Evaluate the rules for up to ``SWEEP_BATCH`` purchases after the end of their service."""
    return await retry_transaction(lambda: _evaluate_batch(world, tenant_id))


async def _evaluate_batch(world: World, tenant_id: TenantId) -> Swept:
    """Evaluate the due purchases of one batch in one transaction."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        program = await program_in_force(world, tx, even_when_off=True)
        seen = await read_due_evaluations(tx, world.now(program), SWEEP_BATCH)
        if not seen:
            return NOTHING_SWEPT
        buyers = [one.purchase.customer_id for one in seen]
        book = await open_book(world, tx, program, system_actor(tenant_id, SUBJECT), buyers)
        # Read the purchases again under the locks: some may have been called off or paid meanwhile.
        again = await read_due_evaluations(tx, world.now(program), SWEEP_BATCH)
        before = {one.purchase.id: one.purchase for one in seen}
        due = [one for one in again if one.purchase == before.get(one.purchase.id)]
        refunds = await read_refunds(tx, [one.purchase.id for one in due if one.was_refunded])
        for purchase, points_paid_minor, cards, _ in due:
            category = book.accounts.profile(purchase.customer_id).category
            facts = build_paid_facts(purchase, category, points_paid_minor, cards)
            policy = program.row.settings.accrual
            moment = moment_of(purchase.evaluates_at, book.now, policy.latest_report)
            accrue_points(book, purchase, facts, moment, [row.refund for row in refunds.get(purchase.id, ())])
            book.posting.move(purchase._replace(evaluates_at=None), seen=purchase)
        await post_and_commit(tx, book.finish())
    return Swept(len(due))
