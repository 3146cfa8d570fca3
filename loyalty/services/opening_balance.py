"""Import opening balances: the points that customers had elsewhere, once for each customer."""

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import NamedTuple

from uuid_utils.compat import uuid7

from loyalty.ledger.book import Book, bring_open_lots
from loyalty.ledger.posting import post_and_commit
from loyalty.rules.account import Debit
from loyalty.rules.customer import CustomerProfile, validate_profile
from loyalty.rules.entry import EntryKind
from loyalty.rules.entry_kinds import cause_entry
from loyalty.rules.errors import InvalidInput, LoyaltyError, OpeningBalanceExists, Problem
from loyalty.rules.events import PointsOpened
from loyalty.rules.ids import CustomerId, OpeningBalanceId
from loyalty.rules.lots import Parcel, allocate
from loyalty.rules.opening import OpeningNumbers, open_balance, validate_opening
from loyalty.rules.tiers import TierChangeCause
from loyalty.services.batch import LateRefusals, Refused, attempt_batch, yield_slices
from loyalty.services.customer import visible_rows
from loyalty.services.profile import open_customers
from loyalty.services.program import program_in_force
from loyalty.services.world import World
from loyalty.storage.accounts import LockedCustomer
from loyalty.storage.customers import CustomerRow, read_customers_by_id
from loyalty.storage.opening_balances import (
    NamedOpening,
    OpeningBalanceRow,
    read_named_openings,
    read_opening_balances_by_id,
)
from loyalty.storage.tiers import TierChangeRow
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require, require_any
from tenancy.database import Transaction
from tenancy.retry import StaleRead

MAX_BATCH = 1_000
FIRST_EARNED_ON = date(1970, 1, 1)
"""The earliest day on which points can have been earned. An earlier day is a mistake."""


class Opening(NamedTuple):
    """The opening balance of one customer, as a caller sends it."""

    customer: CustomerProfile
    numbers: OpeningNumbers
    expires_on: date | None
    earned_on: date | None = None
    """The local day on which the points were earned; None for today."""

    def equals_stored(self, row: OpeningBalanceRow) -> bool:
        """Tell whether this opening balance equals the stored one."""
        return (row.numbers, row.expires_on, row.earned_on) == (self.numbers, self.expires_on, self.earned_on)


class OpenedBalance(NamedTuple):
    """The answer for one customer. A replay gets the same answer."""

    balance: OpeningBalanceRow
    customer: CustomerRow
    tier_change: TierChangeRow | None
    replayed: bool


OpeningResult = OpenedBalance | LoyaltyError


async def import_opening_balances(world: World, actor: Actor, openings: Sequence[Opening]) -> list[OpeningResult]:
    """Import up to ``MAX_BATCH`` opening balances. Returns one result for each, in their order.

    A refused one does not affect the others. A customer who is in the batch twice is answered as in two batches: with a
    replay, or OpeningBalanceExists. Refusals of one: InvalidInput, OpeningBalanceExists (with other numbers or other
    days), LimitReached.
    """
    require(actor, Permission.LOYALTY_ADJUST, even_when_off=True)
    if not 1 <= len(openings) <= MAX_BATCH:
        raise InvalidInput.one("items", reason=f"must have between 1 and {MAX_BATCH} items")
    refused: dict[int, LoyaltyError] = {}
    for position, opening in enumerate(openings):
        problems = [
            *validate_opening(opening.numbers),
            *(Problem(("customer", *path), reason) for path, reason in validate_profile(opening.customer)),
        ]
        if opening.earned_on is not None and opening.earned_on < FIRST_EARNED_ON:
            problems.append(Problem(("earned_on",), f"must be {FIRST_EARNED_ON} or later"))
        if problems:
            refused[position] = InvalidInput(problems)
    return await attempt_batch(partial(_import, world, actor, openings), refused)


async def load_opening_balances(
    world: World, actor: Actor, ids: Sequence[OpeningBalanceId]
) -> dict[OpeningBalanceId, OpeningBalanceRow]:
    """Return the opening balances among ``ids`` that the actor may see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    found = await read_opening_balances_by_id(tx, ids)
    return visible_rows(actor, found)


async def _import(world: World, actor: Actor, openings: Sequence[Opening], refused: Refused) -> list[OpeningResult]:
    """Import the items that are not refused, in one transaction. Return the results of all items."""
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        program = await program_in_force(world, tx, even_when_off=True)
        results: dict[int, OpeningResult] = dict(refused)
        items = {position: one for position, one in enumerate(openings) if position not in refused}
        known = await read_named_openings(tx, [one.customer.external_id for one in items.values()]) if items else {}
        results |= await _answer_known(tx, items, known)
        fresh = {position: one for position, one in items.items() if position not in results}
        if fresh:
            opened = await open_customers(tx, [one.customer for one in fresh.values()], world.now(program))
            book = Book(program, actor, world.now(program))
            in_debt = [opened[one.customer.external_id] for one in fresh.values() if one.numbers.points < 0]
            if in_debt:
                await bring_open_lots(tx, book, [book.open(locked) for locked in in_debt])
            results |= await _book_items(book, fresh, known, opened)
            await post_and_commit(tx, book.finish())
            results = {position: _answer(book, result) async for position, result in yield_slices(results.items())}
    return [results[position] for position in range(len(openings))]


async def _answer_known(
    tx: Transaction, items: dict[int, Opening], known: dict[str, NamedOpening]
) -> dict[int, OpeningResult]:
    """Return the results of items whose customers have an opening balance already. Nothing is written for them."""
    results: dict[int, OpeningResult] = {}
    replayed: dict[int, OpeningBalanceRow] = {}
    for position, opening in items.items():
        named = known.get(opening.customer.external_id)
        if named is None or named.balance is None:
            continue
        if opening.equals_stored(named.balance):
            replayed[position] = named.balance
        else:
            results[position] = OpeningBalanceExists(named.balance.points)
    ids = [row.customer_id for row in replayed.values()]
    customers = await read_customers_by_id(tx, ids) if ids else {}
    return results | {
        position: OpenedBalance(row, customers[row.customer_id], None, replayed=True)
        for position, row in replayed.items()
    }


async def _book_items(
    book: Book, items: dict[int, Opening], known: dict[str, NamedOpening], opened: dict[str, LockedCustomer]
) -> dict[int, OpeningResult]:
    """Book the items one after another, and return their results.

    ``known`` are customers that were read before the locks, ``opened`` the locked ones, both by external id. Raises
    LateRefusals with all refused items after the last one.
    """
    results: dict[int, OpeningResult] = {}
    late: dict[int, LoyaltyError] = {}
    first: dict[str, OpenedBalance] = {}
    async for position, opening in yield_slices(items.items()):
        external_id = opening.customer.external_id
        if external_id in first:
            results[position] = _answer_duplicate(first[external_id], opening)
            continue
        locked = opened[external_id]
        if external_id not in known and locked.profile.external_id != external_id:
            # The customer was created and merged after ``known`` was read, so it has to be read again.
            raise StaleRead
        named_id = known[external_id].id if external_id in known else CustomerId(locked.profile.id)
        try:
            results[position] = first[external_id] = _book(book, book.open(locked), named_id, opening)
        except LoyaltyError as refusal:
            late[position] = refusal
    if late:
        raise LateRefusals(late)
    return results


def _answer_duplicate(first: OpenedBalance, opening: Opening) -> OpeningResult:
    """Return the result for a customer who is in the batch once more."""
    if opening.equals_stored(first.balance):
        return first._replace(tier_change=None, replayed=True)
    return OpeningBalanceExists(first.balance.points)


def _book(book: Book, customer_id: CustomerId, named_id: CustomerId, opening: Opening) -> OpenedBalance:
    """Book one opening balance: its row, its entry if it has points or debt, its event and the tier change."""
    parcel = _build_parcel(book, opening)
    row = OpeningBalanceRow(
        id=OpeningBalanceId(uuid7()),
        customer_id=customer_id,
        named_id=named_id,
        points=opening.numbers.points,
        lifetime_earned=opening.numbers.lifetime_earned,
        qualifying=opening.numbers.qualifying,
        expires_on=opening.expires_on,
        expires_at=parcel.expires_at,
        earned_on=opening.earned_on,
        imported_at=book.now,
        actor_kind=book.actor.kind,
        actor=book.actor.display,
    )
    account, moved = open_balance(book.account(customer_id), opening.numbers)
    book.keep(account)
    if moved is not None:
        cause = cause_entry(EntryKind.OPENING, row.id, row.id)
        if isinstance(moved, Debit):
            allocations = allocate(book.lots.spendable(customer_id), moved.from_lots)
            entry = book.debit(customer_id, moved, allocations, cause)
        else:
            entry = book.credit(customer_id, row.points, moved, cause, [parcel])
        book.tell(PointsOpened(customer_id, entry.id, row.id, row.points, moved.account.available))
    book.posting.add(row)
    change = book.tiers.change_tier(customer_id, TierChangeCause.OPENING, row.id)
    return OpenedBalance(row, book.customer(customer_id), change, replayed=False)


def _build_parcel(book: Book, opening: Opening) -> Parcel:
    """Return the points of an opening balance as a parcel.

    Raises InvalidInput for a day in the future, and for points that have expired already.
    """
    if opening.earned_on is not None and opening.earned_on > book.today:
        raise InvalidInput.one("earned_on", reason="must not be in the future, where the tenant is")
    parcel = book.lots.parcel_until(max(0, opening.numbers.points), opening.expires_on, opening.earned_on)
    if parcel.expires_at is not None and parcel.expires_at <= book.now and opening.numbers.points > 0:
        reason = "is so long ago that the points have expired by the program; give expiresOn, or 0 points"
        raise InvalidInput.one("earned_on", reason=reason)
    return parcel


def _answer(book: Book, result: OpeningResult) -> OpeningResult:
    """Return the result with the customer as it is after the commit. A refusal stays as it is."""
    if isinstance(result, LoyaltyError) or result.customer.id not in book.accounts:
        return result
    return result._replace(customer=book.customer(result.customer.id))
