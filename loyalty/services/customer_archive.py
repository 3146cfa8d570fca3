"""Archive customers and end their archiving. An archived customer keeps the points, but is not in lists and search."""

from collections.abc import Callable, Sequence

from loyalty.ledger.archiving import archive_in_book, bring_back
from loyalty.ledger.book import Book, open_book
from loyalty.ledger.posting import post_and_commit
from loyalty.rules.archive import ArchiveCause
from loyalty.rules.errors import refuse_problems
from loyalty.rules.ids import CustomerId
from loyalty.rules.text import check_note
from loyalty.services.customer import CustomerKey, may_see_customer, resolve_customer
from loyalty.services.customer_lookup import limit_lookups
from loyalty.services.profile import PROFILE_READERS
from loyalty.services.program import program_in_force
from loyalty.services.world import World
from loyalty.storage.customer_archivings import ArchivingRow, read_archivings
from loyalty.storage.customers import CustomerRow
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require_any
from tenancy.retry import retry_transaction

MAX_ARCHIVINGS = 20
"""The most rows of a customer's archive history that are shown, the newest ones."""

Change = Callable[[Book, CustomerId], None]


async def archive_customer(world: World, actor: Actor, customer: CustomerKey, note: str | None) -> CustomerRow:
    """Archive a customer. A customer who is archived already stays as they are.

    Refusals: InvalidInput (note), NotFound, AmbiguousCustomer, ActiveHolds.
    """
    return await _change(world, actor, customer, note, lambda book, found: archive_in_book(book, found, note))


async def unarchive_customer(world: World, actor: Actor, customer: CustomerKey, note: str | None) -> CustomerRow:
    """End the archiving of a customer. A customer who is not archived stays as they are.

    Refusals: InvalidInput (note), NotFound, AmbiguousCustomer.
    """
    return await _change(
        world, actor, customer, note, lambda book, found: bring_back(book, found, ArchiveCause.CALL, note=note)
    )


async def load_archivings(
    world: World, actor: Actor, ids: Sequence[CustomerId]
) -> dict[CustomerId, list[ArchivingRow]]:
    """Return the newest ``MAX_ARCHIVINGS`` rows of each customer's archive history, newest first."""
    require_any(actor, *PROFILE_READERS)
    visible = [customer_id for customer_id in ids if may_see_customer(actor, customer_id)]
    return await read_archivings(world.database.reading(actor.tenant_id), visible, MAX_ARCHIVINGS)


async def _change(world: World, actor: Actor, customer: CustomerKey, note: str | None, change: Change) -> CustomerRow:
    """Change the archiving of a customer in one transaction. Raises PermissionDenied and NotFound."""
    require_any(actor, Permission.PURCHASES_RECORD, Permission.LOYALTY_MANAGE, even_when_off=True)
    refuse_problems([check_note(note, ("reason",))])

    async def attempt() -> CustomerRow:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            program = await program_in_force(world, tx, even_when_off=True)
            customer_id = await resolve_customer(tx, customer)
            book = await open_book(world, tx, program, actor, [customer_id])
            change(book, customer_id)
            await post_and_commit(tx, book.finish())
            return book.customer(customer_id)

    async with limit_lookups(world, actor, customer.name_shared_key(), "customer"):
        return await retry_transaction(attempt)
