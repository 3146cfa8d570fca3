"""Lock a customer's tier by hand, and give it back to the rules."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import NamedTuple
from uuid import UUID

from loyalty.ledger.book import Book, open_book
from loyalty.ledger.once import AskedKey, Booked, ask_key, run_once
from loyalty.ledger.posting import post_and_commit
from loyalty.rules.errors import InvalidInput, NotFound, refuse_problems
from loyalty.rules.ids import CustomerId, TierId
from loyalty.rules.text import check_external_id, check_note
from loyalty.rules.tiers import Tier, TierChange, TierChangeCause, tier_for
from loyalty.services.customer import CustomerKey, may_see_customer, resolve_customer
from loyalty.services.customer_lookup import limit_lookups
from loyalty.services.fingerprint import fingerprint
from loyalty.services.program import program_in_force
from loyalty.services.world import World
from loyalty.storage.customers import CustomerRow, read_customers_by_id
from loyalty.storage.idempotency import name_call
from loyalty.storage.tiers import TierChangeRow, read_tier_history
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require, require_any
from tenancy.database import Transaction
from tenancy.retry import retry_transaction

OPERATION = "customerTierSet"
MAX_HISTORY = 20


class TierLockRequest(NamedTuple):
    """A tier to lock. A tier of None is "in no tier"; a time of None is "until it is unlocked"."""

    customer: CustomerKey
    tier_id: TierId | None
    until: datetime | None
    note: str | None
    idempotency_key: str

    def fingerprint(self) -> str:
        """Return the fingerprint of this request."""
        return fingerprint([self.customer.identity(), self.tier_id, self.until, self.note])


class LockedTier(NamedTuple):
    """The answer to a locked tier. A replay gets the customer as they are now."""

    customer: CustomerRow
    replayed: bool


async def lock_tier(world: World, actor: Actor, request: TierLockRequest) -> LockedTier:
    """Put a customer into a tier and lock it, until a time or until it is unlocked.

    Refusals: InvalidInput, IdempotencyConflict, NotFound (customer, tier).
    """
    require(actor, Permission.LOYALTY_ADJUST)
    refuse_problems(
        [
            check_external_id(request.idempotency_key, ("idempotency_key",)),
            check_note(request.note, ("note",)),
        ]
    )
    call = name_call(actor, request.idempotency_key, OPERATION, request.fingerprint())
    decide = partial(_decide, world, actor, request)
    async with limit_lookups(world, actor, request.customer.name_shared_key(), "customer"):
        return await run_once(world.database, actor.tenant_id, call, ask=ask_key, decide=decide, replay=_read_locked)


async def unlock_tier(world: World, actor: Actor, customer: CustomerKey) -> CustomerRow:
    """Unlock a customer's tier, so that the rules decide again. A tier without a lock stays. Refusal: NotFound."""
    require(actor, Permission.LOYALTY_ADJUST)
    async with limit_lookups(world, actor, customer.name_shared_key(), "customer"):
        return await retry_transaction(lambda: _unlock(world, actor, customer))


async def load_tier_histories(
    world: World, actor: Actor, ids: Sequence[CustomerId]
) -> dict[CustomerId, list[TierChangeRow]]:
    """Return the newest ``MAX_HISTORY`` tier changes of each customer, newest first. Customers see their own."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.SELF_READ)
    visible = [customer_id for customer_id in ids if may_see_customer(actor, customer_id)]
    tx = world.database.reading(actor.tenant_id)
    return await read_tier_history(tx, visible, MAX_HISTORY)


async def _decide(
    world: World, actor: Actor, request: TierLockRequest, tx: Transaction, _: AskedKey
) -> Booked[LockedTier]:
    """Decide to lock a tier: move the customer to it, until a time or until it is unlocked."""
    book, customer_id = await _open(world, tx, actor, request.customer)
    if request.until is not None and request.until <= book.now:
        raise InvalidInput.one("until", reason="must be in the future")
    tier = _find_tier(book, request.tier_id)
    locked = replace(book.account(customer_id), tier_locked=True, tier_locked_until=request.until)
    book.keep(locked)
    change = TierChange(book.program.tier(locked.tier_id), tier)
    book.tiers.set_tier(customer_id, change, TierChangeCause.MANUAL, None, request.note or None)
    return Booked(book, customer_id, lambda: LockedTier(book.customer(customer_id), replayed=False))


async def _read_locked(tx: Transaction, result_id: UUID) -> LockedTier:
    """Return the answer to a replay: the customer as they are now."""
    customer_id = CustomerId(result_id)
    return LockedTier((await read_customers_by_id(tx, [customer_id]))[customer_id], replayed=True)


async def _unlock(world: World, actor: Actor, customer: CustomerKey) -> CustomerRow:
    """End the lock of a tier, and move the customer to the tier of their standing."""
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        book, customer_id = await _open(world, tx, actor, customer)
        account = book.account(customer_id)
        if account.tier_locked:
            book.keep(replace(account, tier_locked=False, tier_locked_until=None))
            change = TierChange(book.program.tier(account.tier_id), tier_for(book.program.tiers, account.standing))
            book.tiers.set_tier(customer_id, change, TierChangeCause.MANUAL, None)
        await post_and_commit(tx, book.finish())
        return book.customer(customer_id)


async def _open(world: World, tx: Transaction, actor: Actor, customer: CustomerKey) -> tuple[Book, CustomerId]:
    """Return a book with the locked account of a customer, and the id of the customer. Refusal: NotFound."""
    program = await program_in_force(world, tx)
    customer_id = await resolve_customer(tx, customer)
    return await open_book(world, tx, program, actor, [customer_id]), customer_id


def _find_tier(book: Book, tier_id: TierId | None) -> Tier | None:
    """Return the tier with this id; None for no tier. Refusal: NotFound."""
    tier = next((one for one in book.program.tiers if one.id == tier_id), None)
    if tier_id is not None and tier is None:
        raise NotFound("tier", ("tier",))
    return tier
