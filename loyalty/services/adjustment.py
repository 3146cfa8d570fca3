"""Adjust points by hand: the customer, the points, the reason, and the text that the customer may read."""

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.ledger.book import Book, bring_open_lots, open_book
from loyalty.ledger.once import AskedKey, Booked, ask_key, run_once
from loyalty.rules.account import Overdraft, credit
from loyalty.rules.adjustment import (
    AdjustmentReason,
    choose_qualifying,
    refuse_above_day,
    remove_points,
    validate_notes,
)
from loyalty.rules.entry import EntryKind
from loyalty.rules.entry_kinds import EntryCause, cause_entry
from loyalty.rules.errors import Problem, refuse_problems
from loyalty.rules.events import PointsAdjusted
from loyalty.rules.expiry import end_of_day
from loyalty.rules.ids import AdjustmentId, CustomerId
from loyalty.rules.location import check_location, choose_location
from loyalty.rules.lots import allocate
from loyalty.rules.points import check_points
from loyalty.rules.text import check_external_id
from loyalty.rules.tiers import TierChangeCause
from loyalty.services.customer import CustomerKey, resolve_customer, visible_rows
from loyalty.services.customer_lookup import limit_lookups
from loyalty.services.fingerprint import fingerprint
from loyalty.services.program import program_in_force
from loyalty.services.world import World
from loyalty.storage.adjusted_days import count_adjusted_points
from loyalty.storage.adjustments import AdjustmentRow, read_adjustments_by_id
from loyalty.storage.customers import CustomerRow, read_customers_by_id
from loyalty.storage.entries import EntryRow
from loyalty.storage.idempotency import name_call
from loyalty.storage.tiers import TierChangeRow, read_tier_changes
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import allows, require_any
from tenancy.database import Transaction

OPERATION = "pointsAdjust"


class AdjustmentRequest(NamedTuple):
    """An adjustment as a caller asks for it. Points below 0 are taken away.

    ``qualifying`` says whether the points count for the tier; None lets the rules decide. ``overdraft`` says what
    happens if more points are taken away than are available.
    """

    customer: CustomerKey
    points: int
    reason: AdjustmentReason
    internal_note: str | None
    customer_description: str | None
    qualifying: bool | None
    overdraft: Overdraft
    idempotency_key: str
    expires_on: date | None = None
    """The last local day of added points; None for the expiry of the program."""
    points_field: str = "points"
    """The field in which the caller sent the points. Refusals name it."""
    location: str | None = None

    def fingerprint(self) -> str:
        """Return the fingerprint of this request."""
        values = [
            self.customer.identity(),
            self.points,
            self.reason,
            self.internal_note,
            self.customer_description,
            self.qualifying,
            self.overdraft,
        ]
        if self.expires_on is not None:
            values.append(self.expires_on)
        return fingerprint(values, location=self.location)


class AdjustedPoints(NamedTuple):
    """The answer to an adjustment. A replay gets the same answer."""

    adjustment: AdjustmentRow
    customer: CustomerRow
    tier_change: TierChangeRow | None
    replayed: bool


async def adjust_points(world: World, actor: Actor, request: AdjustmentRequest) -> AdjustedPoints:
    """Add or remove points by hand.

    A caller with only POINTS_ADJUST may adjust as many points a local day as the role allows; added and removed points
    both count. Refusals: InvalidInput, IdempotencyConflict, NotFound (customer), InsufficientPoints,
    AdjustmentLimitReached. A refusal writes nothing.
    """
    require_any(actor, Permission.LOYALTY_ADJUST, Permission.POINTS_ADJUST)
    refuse_problems(
        [
            check_external_id(request.idempotency_key, ("idempotency_key",)),
            check_points(abs(request.points), (request.points_field,)),
            Problem(("expires_on",), "is only for points that are added")
            if request.points < 0 and request.expires_on is not None
            else None,
            *validate_notes(request.internal_note, request.customer_description),
            check_location(actor.locations, request.location),
        ],
    )
    call = name_call(actor, request.idempotency_key, OPERATION, request.fingerprint())
    decide = partial(_decide, world, actor, request)
    async with limit_lookups(world, actor, request.customer.name_shared_key(), "customer"):
        return await run_once(
            world.database, actor.tenant_id, call, ask=ask_key, decide=decide, replay=_read_first_answer
        )


async def load_adjustments(
    world: World, actor: Actor, ids: Sequence[AdjustmentId]
) -> dict[AdjustmentId, AdjustmentRow]:
    """Return the adjustments among ``ids`` that the actor may see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    found = await read_adjustments_by_id(tx, ids)
    return visible_rows(actor, found)


async def _decide(
    world: World, actor: Actor, request: AdjustmentRequest, tx: Transaction, _: AskedKey
) -> Booked[AdjustedPoints]:
    """Decide an adjustment: lock the account, book the adjustment, and check the daily limit of the actor."""
    program = await program_in_force(world, tx)
    customer_id = await resolve_customer(tx, request.customer)
    book = await open_book(world, tx, program, actor, [customer_id])
    adjustment, change = await _book(tx, book, customer_id, request)
    if not allows(actor, Permission.LOYALTY_ADJUST):
        await _count_day(tx, book, abs(adjustment.points), request.points_field)
    return Booked(
        book,
        adjustment.id,
        lambda: AdjustedPoints(adjustment, book.customer(customer_id), change, replayed=False),
    )


async def _count_day(tx: Transaction, book: Book, points: int, field: str) -> None:
    """Add points to the sum that the actor has adjusted on this local day. Refuse a sum above the limit of the role.

    Transactions of the same actor wait for each other here, in all processes. ``field`` is the field that a refusal
    names. Refusal: AdjustmentLimitReached.
    """
    moved = await count_adjusted_points(tx, book.actor.subject, book.today, points)
    refuse_above_day(book.actor.daily_points, moved, points, end_of_day(book.today, book.program.zone), field)


async def _book(
    tx: Transaction, book: Book, customer_id: CustomerId, request: AdjustmentRequest
) -> tuple[AdjustmentRow, TierChangeRow | None]:
    """Book an adjustment: an entry with its lots, the adjustment's row, an event, and the tier change that follows."""
    adjustment_id = AdjustmentId(uuid7())
    cause = cause_entry(EntryKind.ADJUSTED, adjustment_id, adjustment_id)
    qualifying = choose_qualifying(request.points, request.reason, asked=request.qualifying)
    if request.points > 0:
        entry = _add(book, customer_id, request, cause, qualifying=qualifying)
    else:
        await bring_open_lots(tx, book, [customer_id])
        entry = _remove(book, customer_id, request, cause, qualifying=qualifying)
    adjustment = _build_row(book, entry, request, adjustment_id, qualifying=qualifying)
    book.posting.add(adjustment)
    available = book.account(customer_id).available
    book.tell(PointsAdjusted(customer_id, entry.id, adjustment_id, entry.points, available))
    return adjustment, book.tiers.change_tier(customer_id, TierChangeCause.ADJUSTMENT, adjustment_id)


def _add(
    book: Book, customer_id: CustomerId, request: AdjustmentRequest, cause: EntryCause, *, qualifying: bool
) -> EntryRow:
    """Book added points. They pay debt first; the rest is one lot."""
    added = credit(book.account(customer_id), request.points, earned=False, qualifying=qualifying)
    parcels = [book.lots.parcel_until(request.points, request.expires_on)]
    return book.credit(customer_id, request.points, added, cause, parcels)


def _remove(
    book: Book, customer_id: CustomerId, request: AdjustmentRequest, cause: EntryCause, *, qualifying: bool
) -> EntryRow:
    """Book removed points: they are taken from the lots that expire first."""
    removed = remove_points(
        book.account(customer_id),
        -request.points,
        overdraft=request.overdraft,
        qualifying=qualifying,
        field=request.points_field,
    )
    allocations = allocate(book.lots.spendable(customer_id), removed.from_lots)
    return book.debit(customer_id, removed, allocations, cause)


def _build_row(
    book: Book, entry: EntryRow, request: AdjustmentRequest, adjustment_id: AdjustmentId, *, qualifying: bool
) -> AdjustmentRow:
    return AdjustmentRow(
        id=adjustment_id,
        customer_id=entry.customer_id,
        points=entry.points,
        requested_points=request.points,
        reason=request.reason,
        internal_note=request.internal_note or None,
        customer_description=request.customer_description or None,
        qualifying=qualifying,
        actor_kind=book.actor.kind,
        actor=book.actor.display,
        actor_subject=book.actor.subject,
        created_at=book.now,
        location=choose_location(book.actor.locations, request.location),
    )


async def _read_first_answer(tx: Transaction, result_id: UUID) -> AdjustedPoints:
    """Return the answer to a replay: the adjustment of the first call, and the customer as they are now."""
    adjustment_id = AdjustmentId(result_id)
    adjustment = (await read_adjustments_by_id(tx, [adjustment_id]))[adjustment_id]
    customer = (await read_customers_by_id(tx, [adjustment.customer_id]))[adjustment.customer_id]
    changes = await read_tier_changes(tx, [adjustment_id])
    return AdjustedPoints(adjustment, customer, changes[0] if changes else None, replayed=True)
