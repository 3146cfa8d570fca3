"""Merge two customers: everything of the source moves to the target, and the source's id leads to the target."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.ledger.archiving import bring_back
from loyalty.ledger.book import Book, bring_open_lots, open_book
from loyalty.ledger.once import AskedKey, Booked, ask_key, run_once
from loyalty.rules.account import Overdraft, credit, debit
from loyalty.rules.archive import ArchiveCause
from loyalty.rules.entry import EntryKind
from loyalty.rules.entry_kinds import cause_entry
from loyalty.rules.errors import ActiveHolds, InvalidInput, LimitReached, NotFound, refuse_problems
from loyalty.rules.events import PointsMerged
from loyalty.rules.identifier import MAX_IDENTIFIERS
from loyalty.rules.ids import CustomerId, CustomerMergeId
from loyalty.rules.lots import Parcel, allocate, parcel_of, take_points
from loyalty.rules.merge import MovedNumbers, copy_numbers, empty_source, take_over
from loyalty.rules.standing import find_kept_standing, merge_standings
from loyalty.rules.tag import MAX_TAGS, tidy_tags
from loyalty.rules.text import check_external_id, check_note
from loyalty.rules.tiers import TierChangeCause
from loyalty.services.customer import CustomerKey, may_see_customer, resolve_customer
from loyalty.services.customer_lookup import limit_lookups
from loyalty.services.fingerprint import fingerprint
from loyalty.services.program import program_in_force
from loyalty.services.world import World
from loyalty.storage.customer_merges import MergeRow, lock_profiles, move_customer, read_merges_by_id, write_labels
from loyalty.storage.customers import CustomerRow, read_customers_by_id
from loyalty.storage.facts import round_times
from loyalty.storage.idempotency import name_call
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require, require_any
from tenancy.database import Transaction

OPERATION = "customerMerge"


class MergeRequest(NamedTuple):
    """A merge as a caller asks for it."""

    source: CustomerKey
    target: CustomerKey
    reason: str | None
    idempotency_key: str

    def fingerprint(self) -> str:
        """Return the fingerprint of this request."""
        return fingerprint([self.source.identity(), self.target.identity(), self.reason])


class MergedCustomers(NamedTuple):
    """The answer to a merge. A replay gets the same answer."""

    merge: MergeRow
    customer: CustomerRow
    replayed: bool


async def merge_customers(world: World, actor: Actor, request: MergeRequest) -> MergedCustomers:
    """Move points, lots with their dates, pending points, purchases and sums from the source to the target.

    Refusals: InvalidInput (also if both are the same customer), IdempotencyConflict, NotFound, ActiveHolds,
    LimitReached.
    """
    require(actor, Permission.LOYALTY_ADJUST)
    refuse_problems(
        [
            check_external_id(request.idempotency_key, ("idempotency_key",)),
            check_note(request.reason, ("reason",)),
        ]
    )
    call = name_call(actor, request.idempotency_key, OPERATION, request.fingerprint())
    decide = partial(_decide, world, actor, request)
    async with (
        limit_lookups(world, actor, request.source.name_shared_key(), "source"),
        limit_lookups(world, actor, request.target.name_shared_key(), "target"),
    ):
        return await run_once(world.database, actor.tenant_id, call, ask=ask_key, decide=decide, replay=_read_merged)


async def load_merges(world: World, actor: Actor, ids: Sequence[CustomerMergeId]) -> dict[CustomerMergeId, MergeRow]:
    """Return the merges among ``ids`` that the actor may see. Customers see merges into themselves."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    found = await read_merges_by_id(tx, ids)
    return {merge_id: row for merge_id, row in found.items() if may_see_customer(actor, row.target_id)}


async def _decide(
    world: World, actor: Actor, request: MergeRequest, tx: Transaction, _: AskedKey
) -> Booked[MergedCustomers]:
    """Decide a merge: lock both customers, book their numbers, and move purchases, identifiers and tags."""
    program = await program_in_force(world, tx)
    source_id = await resolve_customer(tx, request.source, "source")
    target_id = await resolve_customer(tx, request.target, "target")
    if source_id == target_id:
        raise InvalidInput.one("target", reason="is the same customer already")
    erased = await lock_profiles(tx, source_id, target_id)
    for customer_id, name in ((source_id, "source"), (target_id, "target")):
        if customer_id in erased:
            # Erased after the look-up: nobody finds the customer any more, so nothing may go there.
            raise NotFound("customer", (name,))
    book = await open_book(world, tx, program, actor, [source_id, target_id])
    if book.account(source_id).held:
        raise ActiveHolds(book.account(source_id).held)
    await bring_open_lots(tx, book, [source_id, target_id])
    book.reason = request.reason
    merge = _book(book, source_id, target_id, request.reason)
    await move_customer(tx, source_id, target_id)
    await _move_labels(tx, book, source_id, target_id)
    return Booked(book, merge.id, lambda: MergedCustomers(merge, book.customer(target_id), replayed=False))


async def _move_labels(tx: Transaction, book: Book, source_id: CustomerId, target_id: CustomerId) -> None:
    """Give the target the identifiers and tags of both.

    Raises LimitReached if they are more than one customer may have.
    """
    source, target = (book.customer(customer_id) for customer_id in (source_id, target_id))
    if not source.identifiers and not source.tags:
        return
    identifiers = list(dict.fromkeys([*target.identifiers, *source.identifiers]))
    tags = tidy_tags([*target.tags, *source.tags])
    for what, held, limit in (("identifiers", identifiers, MAX_IDENTIFIERS), ("tags", tags, MAX_TAGS)):
        if len(held) > limit:
            raise LimitReached(f"{what} of a customer", limit, ("source",))
    labels = {"identifiers": [one._asdict() for one in identifiers] or None, "tags": list(tags) or None}
    times = round_times(dict.fromkeys(labels, book.now))
    for customer_id, held_labels in ((source_id, dict.fromkeys(labels)), (target_id, labels)):
        known = book.accounts.profile(customer_id).facts_at
        changed = {**held_labels, "facts_at": {**known, **times}}
        await write_labels(tx, customer_id, changed)
        book.accounts.relabel(customer_id, changed)


def _book(book: Book, source_id: CustomerId, target_id: CustomerId, reason: str | None) -> MergeRow:
    """Book the merge: its row, the entries and accounts of both customers, and their tier changes."""
    moved = copy_numbers(book.account(source_id), find_kept_standing(book.tiers.policy, book.account(source_id)))
    merge = MergeRow(
        id=CustomerMergeId(uuid7()),
        source_id=source_id,
        source_external_id=book.customer(source_id).external_id,
        target_id=target_id,
        points=moved.points,
        pending=moved.pending,
        lifetime_earned=moved.lifetime_earned,
        qualifying=moved.qualifying,
        window_points=moved.window_points,
        previous_window_points=moved.previous_window_points,
        reason=reason,
        merged_at=book.now,
        actor_kind=book.actor.kind,
        actor=book.actor.display,
    )
    book.posting.add(merge)
    if book.account(source_id).archived_at is None:
        bring_back(book, target_id, ArchiveCause.MERGE, merge.id)
    parcels = _empty_source(book, merge, moved)
    _fill_target(book, merge, moved, parcels)
    book.tiers.change_tier(source_id, TierChangeCause.MERGE, merge.id)
    book.tiers.change_tier(target_id, TierChangeCause.MERGE, merge.id)
    return merge


def _empty_source(book: Book, merge: MergeRow, moved: MovedNumbers) -> list[Parcel]:
    """Empty the source's account and lots, and return the points of its lots as parcels with the same dates."""
    source_id = merge.source_id
    after = empty_source(book.account(source_id), moved)
    if not moved.points:
        book.keep(after)
        return []
    cause = cause_entry(EntryKind.MERGED, merge.id, merge.id, "SOURCE")
    entry = book.enter(source_id, -moved.points, after, cause)
    book.tell(PointsMerged(source_id, entry.id, merge.id, -moved.points, 0))
    parcels = []
    for lot in book.lots.spendable(source_id):
        parcels.append(parcel_of(lot, lot.remaining))
        book.lots.allocate(source_id, entry.id, lot.id, lot.remaining)
        book.lots.move(source_id, take_points(lot, lot.remaining))
    return parcels


def _fill_target(book: Book, merge: MergeRow, moved: MovedNumbers, parcels: Sequence[Parcel]) -> None:
    """Give the target the numbers and the balance of the source.

    The standing is settled once, after both, even if one of the two accounts was in debt.
    """
    with book.tiers.settle_once(merge.target_id):
        stands_on = merge_standings(book.tiers.policy, book.account(merge.target_id), moved.kept_standing)
        book.keep(take_over(book.account(merge.target_id), moved, stands_on))
        _move_balance(book, merge, moved, parcels)


def _move_balance(book: Book, merge: MergeRow, moved: MovedNumbers, parcels: Sequence[Parcel]) -> None:
    """Book the balance of the source as a credit of the target, or as a debit if it is a debt."""
    target_id = merge.target_id
    if not moved.points:
        return
    cause = cause_entry(EntryKind.MERGED, merge.id, merge.id, "TARGET")
    account = book.account(target_id)
    if moved.points > 0:
        came = credit(account, moved.points, earned=False, qualifying=False)
        entry = book.credit(target_id, moved.points, came, cause, parcels)
    else:
        owed = debit(account, -moved.points, overdraft=Overdraft.ALLOW_NEGATIVE, qualifying=False)
        entry = book.debit(target_id, owed, allocate(book.lots.spendable(target_id), owed.from_lots), cause)
    book.tell(PointsMerged(target_id, entry.id, merge.id, moved.points, book.account(target_id).available))


async def _read_merged(tx: Transaction, result_id: UUID) -> MergedCustomers:
    """Return the answer to a replay: the merge of the first call, and the target as they are now."""
    merge_id = CustomerMergeId(result_id)
    merge = (await read_merges_by_id(tx, [merge_id]))[merge_id]
    customers = await read_customers_by_id(tx, [merge.target_id])
    return MergedCustomers(merge, customers[merge.target_id], replayed=True)
