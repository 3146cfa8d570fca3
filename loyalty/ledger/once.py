"""An operation that happens once for each idempotency key, however often it is sent.

The key is kept in the posting of what it stands for, so there is no moment in which one is known without the other.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from loyalty.ledger.book import Book
from loyalty.ledger.posting import post_and_commit
from loyalty.rules.ids import TenantId
from loyalty.storage.idempotency import KeptKey, KeyedCall, find_replayed_result, read_kept_key
from tenancy.database import Database, Transaction
from tenancy.retry import retry_transaction


class HoldsKey(Protocol):
    """What an operation asks before it locks anything; with it comes the key, as it was kept."""

    @property
    def kept_key(self) -> KeptKey | None:
        """What the key was used for before; None for a new one."""


class AskedKey(NamedTuple):
    """An operation that asks for its key alone."""

    kept_key: KeptKey | None


Answer = TypeVar("Answer")
Asked = TypeVar("Asked", bound=HoldsKey | None)


async def post_book(tx: Transaction, book: Book) -> None:
    """Write what a book says, and end the transaction with it."""
    await post_and_commit(tx, book.finish())


@dataclass(frozen=True, slots=True)
class Booked(Generic[Answer]):
    """What was decided: a book to write, the id of the result, which the key will stand for, and the answer.

    ``answer`` is asked after the book was written, so that it shows accounts as they are then. ``write`` writes more
    than the book where an operation needs it. It may end the transaction, so nothing asks that afterwards.
    """

    book: Book
    result_id: UUID
    answer: Callable[[], Answer]
    write: Callable[[Transaction, Book], Awaitable[None]] = post_book


@dataclass(frozen=True, slots=True)
class Unchanged(Generic[Answer]):
    """The decision that there is nothing to do; the key is not kept."""

    answer: Answer


async def ask_key(tx: Transaction, call: KeyedCall) -> AskedKey:
    """Ask for the key of a call, and for nothing else."""
    return AskedKey(await read_kept_key(tx, call))


async def run_once(
    database: Database,
    tenant_id: TenantId,
    call: KeyedCall,
    *,
    ask: Callable[[Transaction, KeyedCall], Awaitable[Asked]],
    decide: Callable[[Transaction, Asked], Awaitable[Booked[Answer] | Unchanged[Answer]]],
    replay: Callable[[Transaction, UUID], Awaitable[Answer]],
) -> Answer:
    """Ask, decide and post in one transaction, which runs again when somebody else was faster.

    ``ask`` reads what is needed before anything is locked, with the key. A key that is known is answered by ``replay``,
    from the result that it stands for. Raises IdempotencyConflict when the key stands for another request.
    """
    return await retry_transaction(partial(_run_once, database, tenant_id, call, ask, decide, replay))


async def _run_once(
    database: Database,
    tenant_id: TenantId,
    call: KeyedCall,
    ask: Callable[[Transaction, KeyedCall], Awaitable[Asked]],
    decide: Callable[[Transaction, Asked], Awaitable[Booked[Answer] | Unchanged[Answer]]],
    replay: Callable[[Transaction, UUID], Awaitable[Answer]],
) -> Answer:
    async with database.tenant_transaction(tenant_id) as tx:
        asked = await ask(tx, call)
        known = find_replayed_result(asked.kept_key if asked is not None else None, call)
        if known is not None:
            return await replay(tx, known)
        decided = await decide(tx, asked)
        if isinstance(decided, Unchanged):
            return decided.answer
        decided.book.remember(call, decided.result_id)
        await decided.write(tx, decided.book)
        return decided.answer()
