"""Spend points at a checkout: hold, capture, release, return. Held points count as spent until the hold ends.

Everything happens under the lock of the customer's account. A hold leaves ACTIVE once.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from loyalty.ledger.archiving import bring_back
from loyalty.ledger.book import Book, open_book
from loyalty.ledger.once import Booked, Unchanged, run_once
from loyalty.ledger.program import CompiledProgram
from loyalty.ledger.rows import CheckoutVersion
from loyalty.rules.archive import ArchiveCause
from loyalty.rules.errors import NotFound, Problem, refuse_problems
from loyalty.rules.hold_steps import capture_points, must_release, refuse_payer, refuse_to_replace, return_points
from loyalty.rules.ids import CustomerId, HoldId, RedemptionId
from loyalty.rules.location import (
    check_location,
    check_location_id,
    choose_capture_location,
    is_hold_in_scope,
    is_in_scope,
    refuse_hold_elsewhere,
)
from loyalty.rules.lots import Lot
from loyalty.rules.points import check_points
from loyalty.rules.redemption import Application, HoldState, apply_points, check_hold_minutes
from loyalty.rules.text import check_external_id, check_note
from loyalty.services.checkout import (
    count_payable_minor,
    prepare_hold,
    refuse_checkout,
    refuse_currency,
    settle_checkout,
)
from loyalty.services.customer import may_see_customer, visible_rows
from loyalty.services.customer_lookup import limit_lookups
from loyalty.services.fingerprint import fingerprint
from loyalty.services.hold import HoldRequest, end_hold, new_hold, set_lots_aside, spend_hold
from loyalty.services.program import program_at
from loyalty.services.redemption_answer import (
    CapturedPoints,
    HeldPoints,
    ReturnedPoints,
    answer_held,
    read_captured,
    read_customer,
    read_held,
    read_returned,
)
from loyalty.services.redemption_return import give_redemption_back
from loyalty.services.revaluation import post_points_paid
from loyalty.services.world import World
from loyalty.storage.checkouts import CheckoutLots, read_checkout_lots
from loyalty.storage.holds import HoldRow, read_hold_with_purchase, read_holds_by_id
from loyalty.storage.idempotency import name_call
from loyalty.storage.known_checkouts import KnownCheckout
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.redemption_preparation import Prepared, prepare_for_hold, prepare_for_redemption
from loyalty.storage.redemptions import (
    RedemptionRow,
    read_redemption_to_return,
    read_redemptions_by_id,
    read_redemptions_of_holds,
)
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require_any
from tenancy.database import Transaction

HOLD, CAPTURE, RELEASE, RETURN = "redemptionHold", "redemptionCapture", "redemptionRelease", "redemptionReturn"


async def hold_points(world: World, actor: Actor, request: HoldRequest) -> HeldPoints:
    """Set points aside for a checkout. If ``replaces`` names a hold, the new hold takes its place.

    All active holds and redemptions of the purchase count against its limits. Points that would add no discount are
    left with the customer. Refusals: InvalidInput, CurrencyMismatch, IdempotencyConflict, NotFound (customer, hold),
    PurchaseOfAnotherCustomer, PurchaseEnded, HoldEnded, RedemptionDisabled, InsufficientPoints, BelowMinimum,
    NothingToDiscount, AboveMaximum.
    """
    require_any(actor, Permission.REDEMPTIONS_MANAGE, Permission.SELF_REDEEM)
    request = request._replace(checkout=await settle_checkout(world, actor, request.checkout))
    refuse_checkout(request.checkout)
    purchase = request.checkout.purchase
    refuse_problems(
        [
            check_external_id(request.idempotency_key, ("idempotency_key",)),
            check_points(request.points),
            None if purchase is not None else Problem(("purchase",), "must be given"),
            check_hold_minutes(request.minutes),
            check_location(actor.locations, request.location),
        ],
    )
    call = name_call(actor, request.idempotency_key, HOLD, request.fingerprint())
    async with limit_lookups(world, actor, request.customer.name_shared_key(), "customer"):
        return await run_once(
            world.database,
            actor.tenant_id,
            call,
            ask=partial(prepare_hold, customer=request.customer, purchase=purchase),
            decide=partial(_decide_hold, world, actor, request),
            replay=read_held,
        )


async def capture_hold(
    world: World,
    actor: Actor,
    hold_id: HoldId,
    points: int | None,
    idempotency_key: str,
    location: str | None = None,
) -> CapturedPoints:
    """Spend held points, or a part of them. The rest is freed.

    The limits of the purchase are checked again. A hold without a location takes the location of the capture. Refusals:
    InvalidInput, IdempotencyConflict, NotFound, HoldEnded, PurchaseOfAnotherCustomer, PurchaseEnded, AboveMaximum (more
    than are held, or than the purchase allows now).
    """
    require_any(actor, Permission.REDEMPTIONS_MANAGE)
    _refuse_key_and_points(idempotency_key, points)
    refuse_problems([check_location_id(location)])
    call = name_call(actor, idempotency_key, CAPTURE, fingerprint([hold_id, points], location=location))
    return await run_once(
        world.database,
        actor.tenant_id,
        call,
        ask=partial(prepare_for_hold, hold_id=hold_id),
        decide=partial(_decide_capture, world, actor, hold_id, points, location),
        replay=read_captured,
    )


async def release_hold(
    world: World, actor: Actor, hold_id: HoldId, idempotency_key: str, reason: str | None = None
) -> HeldPoints:
    """Free held points. A hold that was released or has expired already stays as it is, with its reason.

    Refusals: InvalidInput, IdempotencyConflict, NotFound, HoldEnded (captured).
    """
    require_any(actor, Permission.REDEMPTIONS_MANAGE, Permission.SELF_REDEEM)
    _refuse_key_and_points(idempotency_key, None)
    refuse_problems([check_note(reason, ("reason",))])
    call = name_call(actor, idempotency_key, RELEASE, fingerprint([hold_id], reason=reason))
    return await run_once(
        world.database,
        actor.tenant_id,
        call,
        ask=partial(prepare_for_hold, hold_id=hold_id),
        decide=partial(_decide_release, world, actor, hold_id, reason),
        replay=read_held,
    )


async def return_redemption(
    world: World,
    actor: Actor,
    redemption_id: RedemptionId,
    points: int | None,
    reason: str | None,
    idempotency_key: str,
) -> ReturnedPoints:
    """Give spent points back to the lots they came from: all that have not come back yet, or a part.

    Refusals: InvalidInput, IdempotencyConflict, NotFound, ReturnExceedsRedemption.
    """
    require_any(actor, Permission.REDEMPTIONS_MANAGE)
    _refuse_key_and_points(idempotency_key, points)
    refuse_problems([check_note(reason, ("reason",))])
    call = name_call(actor, idempotency_key, RETURN, fingerprint([redemption_id, points, reason]))
    return await run_once(
        world.database,
        actor.tenant_id,
        call,
        ask=partial(prepare_for_redemption, redemption_id=redemption_id),
        decide=partial(_decide_return, world, actor, redemption_id, points, reason),
        replay=read_returned,
    )


async def load_holds(world: World, actor: Actor, ids: Sequence[HoldId]) -> dict[HoldId, HoldRow]:
    """Return the holds among ``ids`` that the actor may see. A hold without a location is visible in every scope."""
    require_any(actor, Permission.LOYALTY_READ, Permission.REDEMPTIONS_MANAGE, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    found = await read_holds_by_id(tx, ids)
    return {
        hold_id: row
        for hold_id, row in found.items()
        if is_hold_in_scope(actor.locations, row.location) and may_see_customer(actor, row.customer_id)
    }


async def load_redemptions(
    world: World, actor: Actor, ids: Sequence[RedemptionId]
) -> dict[RedemptionId, RedemptionRow]:
    """Return the redemptions among ``ids`` that the actor may see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    found = await read_redemptions_by_id(tx, ids)
    return visible_rows(actor, found)


async def load_redemptions_of_holds(world: World, actor: Actor, ids: Sequence[HoldId]) -> dict[HoldId, RedemptionRow]:
    """Return the redemption of each captured hold that the actor may see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.REDEMPTIONS_MANAGE, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    found = await read_redemptions_of_holds(tx, ids)
    return visible_rows(actor, found)


# ── one transaction ──────────────────────────────────────────────────────────────────────────────────────────────


async def _decide_hold(
    world: World, actor: Actor, request: HoldRequest, tx: Transaction, prepared: Prepared | None
) -> Booked[HeldPoints]:
    """Decide a hold: check the owner and the limits of the purchase, and book the held points."""
    checkout = request.checkout
    program = await program_at(world, tx, prepared and prepared.config_version)
    refuse_currency(program, checkout)
    customer_id = _find_owner(actor, prepared, "customer")
    book = await open_book(world, tx, program, actor, [customer_id])
    found = await read_checkout_lots(tx, customer_id, checkout.purchase, request.points, book.now)
    refuse_payer(found.known.build_purchase_to_pay(), customer_id)
    book.bring_lots(customer_id, found.lots)
    brought = sum(lot.remaining for lot in _find_usable_lots(book, customer_id, found))
    if request.replaces is not None:
        await _replace(tx, book, customer_id, request.replaces)
    usable = _find_usable_lots(book, customer_id, found)
    spendable = found.spendable - brought + sum(lot.remaining for lot in usable)
    application = _apply(program, found.known, request, spendable)
    hold = new_hold(book, customer_id, request, application)
    bring_back(book, customer_id, ArchiveCause.HOLD, hold.id)
    book.posting.add(hold)
    if hold.purchase is not None:
        book.posting.add(_next_checkout(book, hold.purchase, found.known))
    set_lots_aside(book, hold, usable)
    return Booked(book, hold.id, partial(answer_held, book, hold))


def _find_usable_lots(book: Book, customer_id: CustomerId, found: CheckoutLots) -> list[Lot]:
    """Return the spendable lots of the book, without lots that the purchase itself earned."""
    return [lot for lot in book.lots.spendable(customer_id) if lot.cause_id not in found.earned_with]


async def _replace(tx: Transaction, book: Book, customer_id: CustomerId, hold_id: HoldId) -> None:
    """Release the hold that a new hold replaces. Refusals: NotFound, HoldEnded."""
    hold = (await read_holds_by_id(tx, [hold_id])).get(hold_id)
    if hold is None or not is_hold_in_scope(book.actor.locations, hold.location):
        raise NotFound("hold", ("replaces",))
    refuse_to_replace(hold.numbers, customer_id)
    await end_hold(tx, book, hold, HoldState.RELEASED)


async def _decide_capture(
    world: World,
    actor: Actor,
    hold_id: HoldId,
    wanted: int | None,
    location: str | None,
    tx: Transaction,
    prepared: Prepared | None,
) -> Booked[CapturedPoints]:
    """Decide a capture: check the hold against its purchase, and book the spent points."""
    book = await _open_book_of_owner(world, tx, actor, prepared)
    hold, purchase = await read_hold_with_purchase(tx, hold_id)
    refuse_hold_elsewhere(actor.locations, hold.location)
    there = choose_capture_location(actor.locations, hold.location, location)
    points = capture_points(hold.numbers, wanted, purchase.build_purchase_to_pay(frozenset({hold.id})), book.now)
    redemption, ended = await spend_hold(tx, book, hold, points, there)
    return Booked(
        book,
        redemption.id,
        lambda: CapturedPoints(redemption, ended, book.customer(hold.customer_id), replayed=False),
        _post_for(hold),
    )


async def _decide_release(
    world: World, actor: Actor, hold_id: HoldId, reason: str | None, tx: Transaction, prepared: Prepared | None
) -> Booked[HeldPoints] | Unchanged[HeldPoints]:
    """Decide a release: free the points, unless they were freed before."""
    book = await _open_book_of_owner(world, tx, actor, prepared)
    hold = (await read_holds_by_id(tx, [hold_id]))[hold_id]
    refuse_hold_elsewhere(actor.locations, hold.location)
    if not must_release(hold.state):
        # The customer of the hold may have been merged since it ended.
        return Unchanged(HeldPoints(hold, await read_customer(tx, hold.customer_id), replayed=True))
    ended = await end_hold(tx, book, hold, HoldState.RELEASED, reason=reason or None)
    return Booked(book, hold.id, partial(answer_held, book, ended), _post_for(hold))


async def _decide_return(
    world: World,
    actor: Actor,
    redemption_id: RedemptionId,
    wanted: int | None,
    reason: str | None,
    tx: Transaction,
    prepared: Prepared | None,
) -> Booked[ReturnedPoints]:
    """Decide a return: book the points that come back to their lots."""
    program = await program_at(world, tx, prepared and prepared.config_version)
    # The customer may have been merged since: the points come back to the target.
    customer_id = _find_owner(actor, prepared, "redemption")
    book = await open_book(world, tx, program, actor, [customer_id])
    book.reason = reason
    redemption, owed_points = await read_redemption_to_return(tx, redemption_id)
    if not is_in_scope(actor.locations, redemption.location):
        raise NotFound("redemption", ("redemption",))
    points = return_points(redemption.live, wanted)
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
    """Return the function that writes the book after a change of the points that pay for a purchase.

    The function may also value the purchase again.
    """
    return partial(post_points_paid, keys=[paying.purchase])


# ── the limits of the purchase ───────────────────────────────────────────────────────────────────────────────────


def _apply(program: CompiledProgram, known: KnownCheckout, request: HoldRequest, spendable: int) -> Application:
    """Return the discount of the wanted points, beside all other payments of the purchase; the same as in a quote."""
    replaced = frozenset() if request.replaces is None else frozenset({request.replaces})
    paid = known.paid.without(replaced).sum
    total_minor = count_payable_minor(request.checkout, known)
    policy = program.row.settings.redemption
    return apply_points(policy, spendable, total_minor, request.points, paid, known.beside_points_minor)


def _next_checkout(book: Book, purchase: PurchaseKey, known: KnownCheckout) -> CheckoutVersion:
    """Return the next version of the checkout of a purchase.

    If two holds saw the same version, only one of them can write the next one. So two holds never share the same
    limits.
    """
    return CheckoutVersion(purchase.kind, purchase.external_id, known.version + 1, book.now)


# ── what every operation begins with ─────────────────────────────────────────────────────────────────────────────


def _find_owner(actor: Actor, prepared: Prepared | None, what: str) -> CustomerId:
    """Return the customer of an operation, if the actor may act for this customer.

    Else NotFound is raised; it names ``what`` the caller named.
    """
    customer_id = prepared.customer_id if prepared else None
    if customer_id is None or not may_see_customer(actor, customer_id):
        raise NotFound(what, (what,))
    return customer_id


async def _open_book_of_owner(world: World, tx: Transaction, actor: Actor, prepared: Prepared | None) -> Book:
    """Return a book with the locked account of a hold's customer."""
    program = await program_at(world, tx, prepared and prepared.config_version)
    return await open_book(world, tx, program, actor, [_find_owner(actor, prepared, "hold")])


def _refuse_key_and_points(key: str, points: int | None) -> None:
    refuse_problems([check_external_id(key, ("idempotency_key",)), None if points is None else check_points(points)])
