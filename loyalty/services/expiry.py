"""Let points expire at their time, and send notices before: each once, with any number of workers."""

from collections.abc import Sequence
from dataclasses import replace

from loyalty.ledger.book import Book, open_book
from loyalty.ledger.posting import post_and_commit
from loyalty.ledger.program import CompiledProgram
from loyalty.ledger.rows import ExpiryNotice, LedgerEntry
from loyalty.rules.events import PointsExpiring
from loyalty.rules.expiry import due_notice, next_notice_at
from loyalty.rules.ids import CustomerId, LotId, TenantId
from loyalty.services.customer import may_see_customer, visible_rows
from loyalty.services.program import program_in_force
from loyalty.services.sweep import NOTHING_SWEPT, Swept
from loyalty.services.world import World
from loyalty.storage.expiry import (
    DueLot,
    ExpiringRow,
    LotRow,
    Notice,
    read_due_lots,
    read_due_notices,
    read_expiring,
    read_lots_by_id,
    read_lots_of,
    read_notices_told,
)
from permissions.actor import Actor, system_actor
from permissions.catalog import Permission
from permissions.policy import require_any
from tenancy.database import Transaction
from tenancy.retry import retry_transaction

BATCH = 500
SUBJECT = "worker:expiry"


async def expire_due(world: World, tenant_id: TenantId) -> Swept:
    """Let up to ``BATCH`` due lots expire, also while the program is off."""
    return await retry_transaction(lambda: _expire_batch(world, tenant_id))


async def tell_expiring(world: World, tenant_id: TenantId) -> Swept:
    """Send the due notices of up to ``BATCH`` lots: once for each lot, date and number of days."""
    return await retry_transaction(lambda: _tell_batch(world, tenant_id))


async def load_expiry_schedules(
    world: World, actor: Actor, customer_ids: Sequence[CustomerId]
) -> dict[CustomerId, list[ExpiringRow]]:
    """Return when points of customers expire, soonest first, for the customers whom the actor may see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ)
    visible = [customer_id for customer_id in customer_ids if may_see_customer(actor, customer_id)]
    tx = world.database.reading(actor.tenant_id)
    return await read_expiring(tx, visible, world.clock())


async def load_lots(world: World, actor: Actor, ids: Sequence[LotId]) -> dict[LotId, LotRow]:
    """Return the lots among ``ids`` that the actor may see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    found = await read_lots_by_id(tx, ids)
    return visible_rows(actor, found)


async def _expire_batch(world: World, tenant_id: TenantId) -> Swept:
    """Expire the lots of one batch in one transaction."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        program = await program_in_force(world, tx, even_when_off=True)
        seen = await read_due_lots(tx, world.now(program), BATCH)
        if not seen:
            return NOTHING_SWEPT
        # The book expires due lots as soon as it knows them.
        book = await _open(world, tx, program, seen)
        await post_and_commit(tx, book.finish())
    return Swept(len(book.posting.added(LedgerEntry)))


async def _tell_batch(world: World, tenant_id: TenantId) -> Swept:
    """Send the notices of one batch in one transaction."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        program = await program_in_force(world, tx, even_when_off=True)
        seen = await read_due_notices(tx, world.now(program), BATCH)
        if not seen:
            return NOTHING_SWEPT
        book = await _open(world, tx, program, seen)
        told = await read_notices_told(tx, [one.lot_id for one in seen])
        for one in seen:
            _tell_owner(book, one, told)
        await post_and_commit(tx, book.finish())
    return Swept(len(seen))


async def _open(world: World, tx: Transaction, program: CompiledProgram, seen: Sequence[DueLot]) -> Book:
    """Return a book with the owners of the seen lots. It knows these lots as they are under the lock."""
    owners = [one.customer_id for one in seen]
    book = await open_book(world, tx, program, system_actor(tx.tenant_id, SUBJECT), owners)
    for customer_id, lots in (await read_lots_of(tx, seen)).items():
        book.bring_lots(customer_id, lots)
    return book


def _tell_owner(book: Book, seen: DueLot, told: set[Notice]) -> None:
    """Send the due notice of one lot to its owner, and set the time of the next notice.

    The lot counts as it is under the lock. ``told`` are the notices that were sent before.
    """
    lot = book.lots.find(seen.customer_id, seen.lot_id)
    if lot.expires_at is None or lot.notice_at is None or lot.notice_at > book.now:
        return
    notice_days, zone = book.program.row.settings.notice_days, book.program.zone
    days = due_notice(lot.expires_at, notice_days, lot.notice_at, book.now, zone)
    if days is not None and lot.remaining and Notice(lot.id, lot.expires_at, days) not in told:
        notice = Notice(lot.id, lot.expires_at, days)
        book.posting.add(ExpiryNotice(*notice, book.now))
        consent = bool(book.accounts.profile(seen.customer_id).marketing_consent)
        expires_at = lot.expires_at.isoformat()
        book.tell(PointsExpiring(seen.customer_id, lot.id, lot.remaining, days, expires_at, consent))
    again = next_notice_at(lot.expires_at, notice_days, book.now, zone)
    book.lots.move(seen.customer_id, replace(lot, notice_at=again))
