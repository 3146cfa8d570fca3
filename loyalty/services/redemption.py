"""Spend points at a checkout: hold, capture, release, give back. A hold counts as spent until it ends.

Everything happens under the lock of the customer's account; a hold leaves ACTIVE once, whoever is faster.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.ledger.book import Book, open_book
from loyalty.ledger.once import Booked, Unchanged, run_once
from loyalty.ledger.program import CompiledProgram
from loyalty.ledger.rows import CheckoutVersion, HeldLot, LedgerEntry, LotAllocation
from loyalty.rules import account as accounts
from loyalty.rules import lots as parcels
from loyalty.rules.entry import EntryKind
from loyalty.rules.entry_kinds import KINDS, cause_entry
from loyalty.rules.errors import (
    AboveMaximum,
    HoldEnded,
    NotFound,
    Problem,
    ReturnExceedsRedemption,
    refuse_problems,
)
from loyalty.rules.events import PointsHeld, PointsRedeemed, PointsReleased, PointsReturned
from loyalty.rules.expiry import ExpiryKind, ExpiryPolicy
from loyalty.rules.ids import CustomerId, EntryId, HoldId, LotId, RedemptionId, RedemptionReturnId, TenantId
from loyalty.rules.lots import Lot, allocate, is_spendable, parcel_of
from loyalty.rules.money import Money, PointValue, value_of
from loyalty.rules.points import check_points
from loyalty.rules.points_paid import PointsPaid, fit_hold
from loyalty.rules.redemption import (
    MAX_HOLD_MINUTES,
    Application,
    CaptureOn,
    HoldState,
    RestorePolicy,
    apply_points,
    share,
)
from loyalty.rules.refund_points import owed_part
from loyalty.rules.text import check_external_id, check_note
from loyalty.services.checkout import (
    Checkout,
    payable_minor,
    prepare_customer,
    refuse_checkout,
    refuse_currency,
    refuse_payer,
)
from loyalty.services.customer import CustomerKey, may_see_customer, visible_rows
from loyalty.services.fingerprint import fingerprint, money_identity
from loyalty.services.program import program_at, program_in_force
from loyalty.services.revaluation import post_points_paid
from loyalty.services.sweep import NOTHING_SWEPT, Swept
from loyalty.services.world import World
from loyalty.storage.customers import CustomerRow, read_customers_by_id
from loyalty.storage.documents import to_document
from loyalty.storage.entries import EntryRow
from loyalty.storage.idempotency import keyed_call
from loyalty.storage.points_paid import KnownCheckout, PurchaseKey
from loyalty.storage.redemptions import (
    HoldRow,
    PartOfLot,
    Prepared,
    RedemptionRow,
    ReturnRow,
    UnpaidDebit,
    prepare_for_hold,
    prepare_for_redemption,
    read_abandoned_holds,
    read_active_holds_for,
    read_checkout_lots,
    read_held_lots,
    read_hold_with_purchase,
    read_holds_by_id,
    read_redemption_to_return,
    read_redemptions_by,
    read_redemptions_by_id,
    read_redemptions_of_holds,
    read_returns_by_id,
    read_taken_lots,
    read_unpaid_debits,
)
from permissions.actor import Actor, system_actor
from permissions.catalog import Permission
from permissions.policy import require_any
from tenancy.database import Transaction
from tenancy.retry import retry_transaction

HOLD, CAPTURE, RELEASE, RETURN = "redemptionHold", "redemptionCapture", "redemptionRelease", "redemptionReturn"
BATCH = 500
SUBJECT = "worker:holds"


class HoldRequest(NamedTuple):
    """Points to set aside, as a caller asks for it."""

    customer: CustomerKey
    points: int
    checkout: Checkout
    minutes: int | None
    replaces: HoldId | None
    idempotency_key: str
    capture_on: CaptureOn = CaptureOn.CALL

    def fingerprint(self) -> str:
        """What identifies this request."""
        checkout = self.checkout
        subtotal = money_identity(checkout.subtotal)
        paid_for = [subtotal, checkout.discounts_minor, checkout.purchase and tuple(checkout.purchase)]
        capture_on = None if self.capture_on is CaptureOn.CALL else self.capture_on
        identity = [self.customer.told(), self.points, paid_for, self.minutes, self.replaces]
        return fingerprint(identity, capture_on=capture_on)


class HeldPoints(NamedTuple):
    """The hold as it is after an operation, and whose it is."""

    hold: HoldRow
    customer: CustomerRow
    replayed: bool


class CapturedPoints(NamedTuple):
    """The redemption that a hold became."""

    redemption: RedemptionRow
    hold: HoldRow
    customer: CustomerRow
    replayed: bool


class ReturnedPoints(NamedTuple):
    """What a redemption gave back."""

    returned: ReturnRow
    redemption: RedemptionRow
    customer: CustomerRow
    replayed: bool


async def hold_points(world: World, actor: Actor, request: HoldRequest) -> HeldPoints:
    """Set points aside for a checkout, in place of another hold when ``replaces`` names one.

    All active holds and redemptions of the purchase count against its limits. Points that would take nothing more off
    are left with the customer. Refusals: InvalidInput, CurrencyMismatch, IdempotencyConflict, NotFound (customer,
    hold), PurchaseOfAnotherCustomer, PurchaseEnded, HoldEnded, RedemptionDisabled, InsufficientPoints, BelowMinimum,
    NothingToDiscount, AboveMaximum.
    """
    require_any(actor, Permission.REDEMPTIONS_MANAGE, Permission.SELF_REDEEM)
    refuse_checkout(request.checkout)
    minutes = request.minutes
    refuse_problems(
        [
            check_external_id(request.idempotency_key, ("idempotency_key",)),
            check_points(request.points),
            Problem(("purchase",), "must be given") if request.checkout.purchase is None else None,
            None
            if minutes is None or 1 <= minutes <= MAX_HOLD_MINUTES
            else Problem(("time_to_live",), "must be between PT1M and P7D"),
        ],
    )
    call = keyed_call(actor, request.idempotency_key, HOLD, request.fingerprint())
    return await run_once(
        world.database,
        actor.tenant_id,
        call,
        ask=partial(prepare_customer, customer=request.customer),
        decide=partial(_decide_hold, world, actor, request),
        replay=_read_held,
    )


async def capture_hold(
    world: World, actor: Actor, hold_id: HoldId, points: int | None, idempotency_key: str
) -> CapturedPoints:
    """Spend held points, or a part of them; the rest goes back to the customer.

    The limits of the purchase are checked again. Refusals: InvalidInput, IdempotencyConflict, NotFound, HoldEnded,
    PurchaseOfAnotherCustomer, PurchaseEnded, AboveMaximum (more than are held, or than the purchase allows now).
    """
    require_any(actor, Permission.REDEMPTIONS_MANAGE)
    _refuse_key_and_points(idempotency_key, points)
    call = keyed_call(actor, idempotency_key, CAPTURE, fingerprint([hold_id, points]))
    return await run_once(
        world.database,
        actor.tenant_id,
        call,
        ask=partial(prepare_for_hold, hold_id=hold_id),
        decide=partial(_decide_capture, world, actor, hold_id, points),
        replay=_read_captured,
    )


async def release_hold(world: World, actor: Actor, hold_id: HoldId, idempotency_key: str) -> HeldPoints:
    """Give held points back; a hold that gave them back before is answered as it is.

    Refusals: InvalidInput, IdempotencyConflict, NotFound, HoldEnded (captured).
    """
    require_any(actor, Permission.REDEMPTIONS_MANAGE, Permission.SELF_REDEEM)
    _refuse_key_and_points(idempotency_key, None)
    call = keyed_call(actor, idempotency_key, RELEASE, fingerprint([hold_id]))
    return await run_once(
        world.database,
        actor.tenant_id,
        call,
        ask=partial(prepare_for_hold, hold_id=hold_id),
        decide=partial(_decide_release, world, actor, hold_id),
        replay=_read_held,
    )


async def return_redemption(
    world: World,
    actor: Actor,
    redemption_id: RedemptionId,
    points: int | None,
    reason: str | None,
    idempotency_key: str,
) -> ReturnedPoints:
    """Give spent points back to the lots they came from, all that is left of them or a part.

    Refusals: InvalidInput, IdempotencyConflict, NotFound, ReturnExceedsRedemption.
    """
    require_any(actor, Permission.REDEMPTIONS_MANAGE)
    _refuse_key_and_points(idempotency_key, points)
    refuse_problems([check_note(reason, ("reason",))])
    call = keyed_call(actor, idempotency_key, RETURN, fingerprint([redemption_id, points, reason]))
    return await run_once(
        world.database,
        actor.tenant_id,
        call,
        ask=partial(prepare_for_redemption, redemption_id=redemption_id),
        decide=partial(_decide_return, world, actor, redemption_id, points, reason),
        replay=_read_returned,
    )


async def free_abandoned_holds(world: World, tenant_id: TenantId) -> Swept:
    """Give the points of up to ``BATCH`` holds back whose time is over, also while the program is off."""
    return await retry_transaction(lambda: _free_batch(world, tenant_id))


async def load_holds(world: World, actor: Actor, ids: Sequence[HoldId]) -> dict[HoldId, HoldRow]:
    """The holds among ``ids`` that the actor may see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.REDEMPTIONS_MANAGE, Permission.SELF_READ)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        found = await read_holds_by_id(tx, ids)
    return visible_rows(actor, found)


async def load_redemptions(
    world: World, actor: Actor, ids: Sequence[RedemptionId]
) -> dict[RedemptionId, RedemptionRow]:
    """The redemptions among ``ids`` that the actor may see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.SELF_READ)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        found = await read_redemptions_by_id(tx, ids)
    return visible_rows(actor, found)


async def load_redemptions_of_holds(world: World, actor: Actor, ids: Sequence[HoldId]) -> dict[HoldId, RedemptionRow]:
    """The redemption that each captured hold became, as far as the actor may see it."""
    require_any(actor, Permission.LOYALTY_READ, Permission.REDEMPTIONS_MANAGE, Permission.SELF_READ)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        found = await read_redemptions_of_holds(tx, ids)
    return visible_rows(actor, found)


# ── one transaction ──────────────────────────────────────────────────────────────────────────────────────────────


async def _decide_hold(
    world: World, actor: Actor, request: HoldRequest, tx: Transaction, prepared: Prepared | None
) -> Booked[HeldPoints]:
    checkout = request.checkout
    program = await program_at(world, tx, prepared and prepared.config_version)
    refuse_currency(program, checkout)
    customer_id = _owner(actor, prepared, "customer")
    book = await open_book(world, tx, program, actor, [customer_id])
    found = await read_checkout_lots(tx, customer_id, checkout.purchase)
    refuse_payer(found.known, customer_id)
    book.bring_lots(customer_id, found.lots)
    if request.replaces is not None:
        await _replace(tx, book, customer_id, request.replaces)
    usable = [lot for lot in book.lots.spendable(customer_id) if lot.id not in found.earned_with_it]
    application = _apply(program, found.known, request, sum(lot.remaining for lot in usable))
    hold = _new_hold(book, customer_id, request, application)
    book.posting.add(hold)
    if hold.purchase is not None:
        book.posting.add(_next_checkout(book, hold.purchase, found.known))
    book.keep(accounts.set_aside(book.account(customer_id), hold.points))
    for part in allocate(usable, hold.points):
        book.lots.move(customer_id, parcels.set_aside(book.lots.find(customer_id, part.lot_id), part.points))
        book.posting.add(HeldLot(hold.id, part.lot_id, customer_id, part.points))
    book.tell(PointsHeld(customer_id, hold.id, hold.points, book.account(customer_id).available))
    return Booked(book, hold.id, partial(_answer_held, book, hold))


async def _replace(tx: Transaction, book: Book, customer_id: CustomerId, hold_id: HoldId) -> None:
    hold = (await read_holds_by_id(tx, [hold_id])).get(hold_id)
    if hold is None or hold.customer_id != customer_id:
        raise NotFound("hold", ("replaces",))
    if hold.state is not HoldState.ACTIVE:
        raise HoldEnded(hold.state, ("replaces",))
    await end_hold(tx, book, hold, HoldState.RELEASED)


async def _decide_capture(
    world: World, actor: Actor, hold_id: HoldId, wanted: int | None, tx: Transaction, prepared: Prepared | None
) -> Booked[CapturedPoints]:
    book = await _open_owner(world, tx, actor, prepared)
    hold, purchase = await read_hold_with_purchase(tx, hold_id)
    if hold.state is not HoldState.ACTIVE:
        raise HoldEnded(hold.state)
    if hold.expires_at <= book.now:
        raise HoldEnded(HoldState.EXPIRED)
    points = hold.points if wanted is None else wanted
    _refuse_capture(hold, purchase, points)
    redemption, ended = await spend_hold(tx, book, hold, points)
    return Booked(
        book,
        redemption.id,
        lambda: CapturedPoints(redemption, ended, book.customer(hold.customer_id), replayed=False),
        _post_for(hold),
    )


async def _decide_release(
    world: World, actor: Actor, hold_id: HoldId, tx: Transaction, prepared: Prepared | None
) -> Booked[HeldPoints] | Unchanged[HeldPoints]:
    book = await _open_owner(world, tx, actor, prepared)
    hold = (await read_holds_by_id(tx, [hold_id]))[hold_id]
    if hold.state is HoldState.CAPTURED:
        raise HoldEnded(hold.state)
    if hold.state is not HoldState.ACTIVE:
        # Whose hold it was may have become another customer since it ended.
        return Unchanged(HeldPoints(hold, await _customer(tx, hold.customer_id), replayed=True))
    ended = await end_hold(tx, book, hold, HoldState.RELEASED)
    return Booked(book, hold.id, partial(_answer_held, book, ended), _post_for(hold))


def _answer_held(book: Book, hold: HoldRow) -> HeldPoints:
    return HeldPoints(hold, book.customer(hold.customer_id), replayed=False)


async def _decide_return(
    world: World,
    actor: Actor,
    redemption_id: RedemptionId,
    wanted: int | None,
    reason: str | None,
    tx: Transaction,
    prepared: Prepared | None,
) -> Booked[ReturnedPoints]:
    program = await program_at(world, tx, prepared and prepared.config_version)
    # Whose points they were may have become another customer since: they come back to that one.
    customer_id = _owner(actor, prepared, "redemption")
    book = await open_book(world, tx, program, actor, [customer_id])
    redemption, owed_points = await read_redemption_to_return(tx, redemption_id)
    returnable = redemption.points - redemption.returned_points
    points = returnable if wanted is None else wanted
    if not 1 <= points <= returnable:
        raise ReturnExceedsRedemption(returnable=returnable, requested=points)
    returned, after = await give_redemption_back(
        tx, book, redemption, customer_id, points, reason, owed_points=owed_points
    )
    return Booked(
        book,
        returned.id,
        lambda: ReturnedPoints(returned, after, book.customer(customer_id), replayed=False),
        _post_for(redemption),
    )


def _post_for(paying: HoldRow | RedemptionRow) -> Callable[[Transaction, Book], Awaitable[None]]:
    """How a book is written that changes what points pay of a purchase: the purchase may be valued anew."""
    return partial(post_points_paid, keys=[(paying.purchase_kind, paying.purchase_external_id)])


async def _free_batch(world: World, tenant_id: TenantId) -> Swept:
    async with world.database.tenant_transaction(tenant_id) as tx:
        program = await program_in_force(world, tx, even_when_off=True)
        seen = await read_abandoned_holds(tx, world.now(program), BATCH)
        if not seen:
            return NOTHING_SWEPT
        owners = [hold.customer_id for hold in seen]
        book = await open_book(world, tx, program, system_actor(tenant_id, SUBJECT), owners)
        # Read again under the locks: what was captured or released meanwhile is not abandoned.
        now = await read_holds_by_id(tx, [hold.id for hold in seen])
        due = [hold for hold in seen if now[hold.id] == hold]
        parts = await read_held_lots(tx, [hold.id for hold in due])
        for hold in due:
            await end_hold(tx, book, hold, HoldState.EXPIRED, parts[hold.id])
        await post_points_paid(tx, book, [(hold.purchase_kind, hold.purchase_external_id) for hold in due])
    return Swept(len(due))


# ── the limits of the purchase ───────────────────────────────────────────────────────────────────────────────────


def _apply(program: CompiledProgram, known: KnownCheckout, request: HoldRequest, spendable: int) -> Application:
    """What the wanted points take off, beside all that pays for the purchase already; the same as in a quote."""
    replaced = frozenset() if request.replaces is None else frozenset({request.replaces})
    paid = known.paid.without(replaced).sum
    total_minor = payable_minor(request.checkout, known)
    return apply_points(program.row.settings.redemption, spendable, total_minor, request.points, paid)


def _refuse_capture(hold: HoldRow, known: KnownCheckout, points: int) -> None:
    """Refuse to spend more of a hold than is left of it, or than its terms allow for the purchase as it is recorded."""
    refuse_payer(known, hold.customer_id, ("hold",))
    if points > hold.left_points:
        raise AboveMaximum(maximum=hold.left_points, requested=points)
    purchase = known.purchase
    if purchase is None or purchase.currency != hold.currency:
        return
    whole = hold.active
    part = replace(whole, points=points, discount_minor=discount_of(hold, points))
    left_minor, paid = purchase.total_minor - purchase.refunded_minor, known.paid.without(frozenset({hold.id})).sum
    if fit_hold(part, left_minor, paid).points != points:
        raise AboveMaximum(maximum=fit_hold(whole, left_minor, paid).points, requested=points)


def _next_checkout(book: Book, purchase: PurchaseKey, known: KnownCheckout) -> CheckoutVersion:
    """The row that lets only one of two holds pass that saw the same state of a purchase."""
    return CheckoutVersion(purchase.kind, purchase.external_id, known.version + 1, book.now)


# ── what a checkout does to the books ────────────────────────────────────────────────────────────────────────────


async def spend_hold(tx: Transaction, book: Book, hold: HoldRow, points: int) -> tuple[RedemptionRow, HoldRow]:
    """Book that so many points of a hold are spent and that the rest goes back; returns the redemption and the hold."""
    parts = await _bring_held_lots(tx, book, hold)
    redemption, rest = _spend(book, hold, parts, points)
    await _put_back(tx, book, hold, rest)
    return redemption, _end(book, hold, HoldState.CAPTURED, captured_points=points)


async def give_redemption_back(
    tx: Transaction,
    book: Book,
    redemption: RedemptionRow,
    customer_id: CustomerId,
    points: int,
    reason: str | None,
    *,
    owed_points: int = 0,
) -> tuple[ReturnRow, RedemptionRow]:
    """Book that points of a redemption come back to the lots they were taken from; debt is paid first.

    ``owed_points`` is what refunds of the purchase have left to give back: so many had paid for what was refunded.

    To a customer who has taken over whose points they were they come as lots with the same dates. A lot that has
    expired meanwhile lives on for the program's days of grace, or what comes back expires at once.
    """
    value = redemption.discount_minor
    before, after = redemption.returned_points, redemption.returned_points + points
    discount_minor = share(value, after, redemption.points) - share(value, before, redemption.points)
    refunded = owed_part(PointsPaid(points, discount_minor), owed_points)
    returned = ReturnRow(
        id=RedemptionReturnId(uuid7()),
        redemption_id=redemption.id,
        customer_id=customer_id,
        points=points,
        discount_minor=discount_minor,
        reason=reason,
        returned_at=book.now,
        actor_kind=book.actor.kind,
        actor=book.actor.display,
        refunded_points=refunded.points,
        refunded_minor=refunded.discount_minor,
    )
    taken = await read_taken_lots(tx, redemption.id)
    credited = accounts.credit(book.account(customer_id), points, earned=False, qualifying=False)
    cause = cause_entry(EntryKind.REDEMPTION_RETURNED, redemption.id, returned.id)
    entry = book.enter(customer_id, points, credited.account, cause)
    book.tell(PointsReturned(customer_id, entry.id, redemption.id, points, credited.account.available))
    missing, debt_left = points, credited.paid_debt
    # What came back as new lots, or paid debt, still counts as taken from the lots, but does not come back once more.
    back_already = sum(part.points for part in taken) - (redemption.points - before)
    for part in taken:
        is_own = part.customer_id == customer_id
        passed_over = min(part.points, back_already)
        back_already -= passed_over
        here = min(part.points - passed_over, missing)
        missing -= here
        paid = min(debt_left, here)
        debt_left -= paid
        if here > paid and is_own:
            _give_lot_back(book, entry.id, customer_id, part.lot, here - paid)
        elif here > paid:
            _open_lot_again(book, entry, part.lot, here - paid)
    book.posting.add(returned)
    given_back = redemption._replace(returned_points=after)
    book.posting.move(given_back, seen=redemption)
    return returned, given_back


async def give_back_for(
    tx: Transaction, book: Book, purchase: PurchaseKey, customer_id: CustomerId
) -> tuple[list[ReturnRow], list[HoldRow]]:
    """Book that a purchase which was called off gives back what was to pay for it, and what did (F-41).

    What is only held goes back in any case; what was spent does where the program says so. Returns what went back.
    """
    held = [hold for hold in await read_active_holds_for(tx, purchase) if hold.customer_id == customer_id]
    ended = [await end_hold(tx, book, hold, HoldState.RELEASED) for hold in held]
    returns: list[ReturnRow] = []
    if not book.program.row.settings.redemption.return_on_cancel:
        return returns, ended
    for redemption in await read_redemptions_by(tx, customer_id, purchase):
        returnable = redemption.points - redemption.returned_points
        if returnable:
            returned, _ = await give_redemption_back(tx, book, redemption, customer_id, returnable, None)
            returns.append(returned)
    return returns, ended


def _give_lot_back(book: Book, entry_id: EntryId, customer_id: CustomerId, lot: Lot, points: int) -> None:
    policy = book.program.row.settings.redemption
    book.bring_lots(customer_id, [lot])
    given = parcels.give_back(book.lots.find(customer_id, lot.id), points)
    book.lots.allocate(customer_id, entry_id, lot.id, -points)
    # A lot that was exhausted was not kept alive: whatever the customer does next keeps it alive again.
    book.lots.sleep(customer_id)
    if is_spendable(given, book.now):
        book.lots.move(customer_id, given)
    elif policy.restore is RestorePolicy.GRACE:
        grace = ExpiryPolicy(ExpiryKind.FIXED_DURATION, days=policy.restore_grace_days)
        book.lots.put_off(customer_id, given, grace)
    else:
        book.expire(customer_id, given)


def _open_lot_again(book: Book, entry: EntryRow, lot: Lot, points: int) -> None:
    """Give points of somebody else's lot back to who has become that one's successor: a lot with the same dates."""
    policy = book.program.row.settings.redemption
    parcel = replace(parcel_of(lot, points), notice_at=book.lots.next_notice_at(lot.expires_at))
    if is_spendable(lot, book.now):
        book.lots.open(entry, parcel, 0, entry.id)
    elif policy.restore is RestorePolicy.GRACE:
        grace = book.lots.parcel(points, ExpiryPolicy(ExpiryKind.FIXED_DURATION, days=policy.restore_grace_days))
        book.lots.open(entry, replace(parcel, expires_at=grace.expires_at, notice_at=grace.notice_at), 0, entry.id)
    else:
        book.expire(entry.customer_id, book.lots.open(entry, parcel, 0, entry.id))


def _new_hold(book: Book, customer_id: CustomerId, request: HoldRequest, application: Application) -> HoldRow:
    policy = book.program.row.settings.redemption
    purchase = request.checkout.purchase
    minutes = policy.hold_minutes if request.minutes is None else request.minutes
    return HoldRow(
        id=HoldId(uuid7()),
        customer_id=customer_id,
        state=HoldState.ACTIVE,
        points=application.points,
        captured_points=0,
        discount_minor=application.discount_minor,
        currency=policy.point_value.money.currency,
        value_points=policy.point_value.points,
        value_minor=policy.point_value.money.amount_minor,
        purchase_kind=purchase.kind if purchase else None,
        purchase_external_id=purchase.external_id if purchase else None,
        lowered_points=0,
        lowered_at=None,
        terms=to_document(policy.terms),
        capture_on=request.capture_on,
        expires_at=book.now + timedelta(minutes=minutes),
        created_at=book.now,
        ended_at=None,
        actor_kind=book.actor.kind,
        actor=book.actor.display,
    )


def discount_of(hold: HoldRow, points: int) -> int:
    """What a part of a hold takes off, at the value that was frozen with it; for all that is left, all of it."""
    if points == hold.left_points:
        return hold.discount_minor
    return value_of(points, PointValue(hold.value_points, Money(hold.value_minor, hold.currency))).amount_minor


def _spend(
    book: Book, hold: HoldRow, parts: Sequence[PartOfLot], points: int
) -> tuple[RedemptionRow, dict[LotId, int]]:
    """Book that held points are spent; also returns what is left of the hold, by lot."""
    customer_id = hold.customer_id
    redemption = RedemptionRow(
        id=RedemptionId(uuid7()),
        hold_id=hold.id,
        customer_id=customer_id,
        points=points,
        returned_points=0,
        discount_minor=discount_of(hold, points),
        currency=hold.currency,
        purchase_kind=hold.purchase_kind,
        purchase_external_id=hold.purchase_external_id,
        redeemed_at=book.now,
        actor_kind=book.actor.kind,
        actor=book.actor.display,
    )
    book.posting.add(redemption)
    cause = cause_entry(EntryKind.REDEEMED, redemption.id, redemption.id)
    entry = book.enter(customer_id, -points, accounts.spend_held(book.account(customer_id), points), cause)
    book.lots.keep_alive(customer_id)
    rest = {part.lot.id: part.points for part in parts}
    for taken in allocate([replace(part.lot, remaining=part.points) for part in parts], points):
        book.lots.allocate(customer_id, entry.id, taken.lot_id, taken.points)
        book.lots.move(customer_id, parcels.take_held(book.lots.find(customer_id, taken.lot_id), taken.points))
        rest[taken.lot_id] -= taken.points
    book.tell(PointsRedeemed(customer_id, entry.id, redemption.id, -points, book.account(customer_id).available))
    return redemption, {lot_id: left for lot_id, left in rest.items() if left}


async def lower_hold(tx: Transaction, book: Book, hold: HoldRow, kept: PointsPaid) -> HoldRow:
    """Book that a part of a hold goes back because its purchase became smaller; what lives longest goes back first."""
    parts = await _bring_held_lots(tx, book, hold)
    missing, back = hold.left_points - kept.points, {}
    for part in reversed(parts):
        here = min(part.points, missing)
        missing -= here
        if here:
            back[part.lot.id] = here
            lowered_points = part.lowered_points + here
            lowered = HeldLot(hold.id, part.lot.id, hold.customer_id, part.points + part.lowered_points, lowered_points)
            book.posting.move(lowered)
    await _put_back(tx, book, hold, dict(reversed(back.items())))
    after = hold._replace(
        lowered_points=hold.points - kept.points, lowered_at=book.now, discount_minor=kept.discount_minor
    )
    book.posting.move(after, seen=hold)
    return after


async def end_hold(
    tx: Transaction, book: Book, hold: HoldRow, state: HoldState, parts: Sequence[PartOfLot] | None = None
) -> HoldRow:
    """Book that all of a hold goes back to the customer."""
    parts = await _bring_held_lots(tx, book, hold, parts)
    await _put_back(tx, book, hold, {part.lot.id: part.points for part in parts})
    return _end(book, hold, state, captured_points=0)


async def _put_back(tx: Transaction, book: Book, hold: HoldRow, held: Mapping[LotId, int]) -> None:
    """Put held points back into their lots: debt that arose meanwhile is paid first, what has expired expires."""
    points = sum(held.values())
    if not points:
        return
    customer_id = hold.customer_id
    back = accounts.put_back(book.account(customer_id), points)
    book.keep(back.account)
    unpaid = _still_unpaid(book, customer_id, await read_unpaid_debits(tx, customer_id)) if back.paid_debt else []
    debt_left = back.paid_debt
    for lot_id, part in held.items():
        paid = min(debt_left, part)
        debt_left -= paid
        for debit in _pay(unpaid, paid):
            book.lots.allocate(customer_id, debit.entry_id, lot_id, debit.points, settled_by=hold.id)
        lot = parcels.put_back(parcels.take_held(book.lots.find(customer_id, lot_id), paid), part - paid)
        book.lots.move(customer_id, lot)
    book.tell(PointsReleased(customer_id, hold.id, points, back.account.available))
    for lot_id in held:
        lot = book.lots.find(customer_id, lot_id)
        if lot.remaining and not is_spendable(lot, book.now):
            book.expire(customer_id, lot)


def _still_unpaid(book: Book, customer_id: CustomerId, stored: Sequence[UnpaidDebit]) -> list[UnpaidDebit]:
    """The stored debits without lots behind them, and those of these books, as they are after all that was booked."""
    booked = [
        UnpaidDebit(entry.id, -entry.points)
        for entry in book.posting.added(LedgerEntry)
        if entry.customer_id == customer_id and entry.points < 0 and KINDS[EntryKind(entry.kind)].leaves_debt
    ]
    taken: Counter[EntryId] = Counter()
    for allocation in book.posting.added(LotAllocation):
        taken[allocation.entry_id] += allocation.points
    left = (debit._replace(points=debit.points - taken[debit.entry_id]) for debit in (*stored, *booked))
    return [debit for debit in left if debit.points > 0]


def _pay(unpaid: list[UnpaidDebit], points: int) -> Iterator[UnpaidDebit]:
    """Take points out of the oldest unpaid debits; what is left of them stays in the list."""
    while points:
        debit = unpaid.pop(0)
        part = min(points, debit.points)
        points -= part
        if part < debit.points:
            unpaid.insert(0, debit._replace(points=debit.points - part))
        yield debit._replace(points=part)


def _end(book: Book, hold: HoldRow, state: HoldState, *, captured_points: int) -> HoldRow:
    ended = hold._replace(state=state, captured_points=captured_points, ended_at=book.now)
    book.posting.move(ended, seen=hold)
    return ended


# ── what every operation begins with ─────────────────────────────────────────────────────────────────────────────


def _owner(actor: Actor, prepared: Prepared | None, what: str) -> CustomerId:
    """Whose it is, as far as the actor may act for that one; NotFound names what was asked for."""
    customer_id = prepared.customer_id if prepared else None
    if customer_id is None or not may_see_customer(actor, customer_id):
        raise NotFound(what, (what,))
    return customer_id


async def _open_owner(world: World, tx: Transaction, actor: Actor, prepared: Prepared | None) -> Book:
    """Lock the account of whose hold it is."""
    program = await program_at(world, tx, prepared and prepared.config_version)
    return await open_book(world, tx, program, actor, [_owner(actor, prepared, "hold")])


async def _bring_held_lots(
    tx: Transaction, book: Book, hold: HoldRow, parts: Sequence[PartOfLot] | None = None
) -> Sequence[PartOfLot]:
    parts = (await read_held_lots(tx, [hold.id]))[hold.id] if parts is None else parts
    book.bring_lots(hold.customer_id, [part.lot for part in parts])
    return parts


def _refuse_key_and_points(key: str, points: int | None) -> None:
    refuse_problems([check_external_id(key, ("idempotency_key",)), None if points is None else check_points(points)])


# ── the first answer again ───────────────────────────────────────────────────────────────────────────────────────


async def _read_held(tx: Transaction, result_id: UUID) -> HeldPoints:
    hold_id = HoldId(result_id)
    hold = (await read_holds_by_id(tx, [hold_id]))[hold_id]
    return HeldPoints(hold, await _customer(tx, hold.customer_id), replayed=True)


async def _read_captured(tx: Transaction, result_id: UUID) -> CapturedPoints:
    redemption_id = RedemptionId(result_id)
    redemption = (await read_redemptions_by_id(tx, [redemption_id]))[redemption_id]
    hold = (await read_holds_by_id(tx, [redemption.hold_id]))[redemption.hold_id]
    return CapturedPoints(redemption, hold, await _customer(tx, redemption.customer_id), replayed=True)


async def _read_returned(tx: Transaction, result_id: UUID) -> ReturnedPoints:
    return_id = RedemptionReturnId(result_id)
    returned = (await read_returns_by_id(tx, [return_id]))[return_id]
    redemption = (await read_redemptions_by_id(tx, [returned.redemption_id]))[returned.redemption_id]
    return ReturnedPoints(returned, redemption, await _customer(tx, returned.customer_id), replayed=True)


async def _customer(tx: Transaction, customer_id: CustomerId) -> CustomerRow:
    return (await read_customers_by_id(tx, [customer_id]))[customer_id]
