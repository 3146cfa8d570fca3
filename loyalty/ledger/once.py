"""Operations with an idempotency key: each takes effect once, however often it is sent.

The key is written in the same posting as the result. So neither of them is ever known without the other.
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
    """The rows that an operation reads before it locks anything; the kept idempotency key is one of them."""

    @property
    def kept_key(self) -> KeptKey | None:
        """The request and the result that the key was used for before; None for a new key."""


class AskedKey(NamedTuple):
    """The rows of an operation that reads only its key."""

    kept_key: KeptKey | None


Answer = TypeVar("Answer")
Asked = TypeVar("Asked", bound=HoldsKey | None)


async def post_book(tx: Transaction, book: Book) -> None:
    """Write the posting of a book and commit the transaction."""
    await post_and_commit(tx, book.finish())


@dataclass(frozen=True, slots=True)
class Booked(Generic[Answer]):
    """A decision to be written: a book, the id of the result, and a function that builds the answer.

    The id is kept with the key. ``answer`` is called after ``write``, so it shows the accounts after the posting.
    ``write`` writes the book, and more if the operation needs it. ``write`` may commit the transaction, so ``answer``
    must not query the database.
    """

    book: Book
    result_id: UUID
    answer: Callable[[], Answer]
    write: Callable[[Transaction, Book], Awaitable[None]] = post_book


@dataclass(frozen=True, slots=True)
class Unchanged(Generic[Answer]):
    """The decision to write nothing. The key is not kept."""

    answer: Answer


async def ask_key(tx: Transaction, call: KeyedCall) -> AskedKey:
    """Read the key of a call, and nothing else."""
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
    """Read, decide and post in one transaction. If another transaction was faster, the whole runs again.

    ``ask`` reads the key and all that ``decide`` needs, before anything is locked. If the key was used before, nothing
    is decided: ``replay`` answers from the id of the kept result. Raises IdempotencyConflict if the key was used for
    another request.
    """
    return await retry_transaction(partial(_try_once, database, tenant_id, call, ask, decide, replay))


async def _try_once(
    database: Database,
    tenant_id: TenantId,
    call: KeyedCall,
    ask: Callable[[Transaction, KeyedCall], Awaitable[Asked]],
    decide: Callable[[Transaction, Asked], Awaitable[Booked[Answer] | Unchanged[Answer]]],
    replay: Callable[[Transaction, UUID], Awaitable[Answer]],
) -> Answer:
    """Make one attempt of ``run_once``."""
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
