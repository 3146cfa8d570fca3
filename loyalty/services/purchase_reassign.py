"""Reassign a purchase that was recorded for the wrong customer, with all that it earned.

The source loses the points of the purchase. The target gets the points that it would have got itself: by the frozen
rules, with its own category and tier, and as old as before.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.ledger.accruals import credit_points, forfeit_accrual
from loyalty.ledger.archiving import bring_back
from loyalty.ledger.book import Book, bring_open_lots, open_book
from loyalty.ledger.once import Booked, run_once
from loyalty.rules.account import add_pending
from loyalty.rules.accrual import AccrualState
from loyalty.rules.accrual_steps import CREDITED
from loyalty.rules.archive import ArchiveCause
from loyalty.rules.earning import evaluate
from loyalty.rules.errors import NotFound, refuse_problems
from loyalty.rules.events import PointsPending
from loyalty.rules.ids import AccrualId, CustomerId
from loyalty.rules.lots import Parcel, merge_parcels
from loyalty.rules.points_paid import sum_paid
from loyalty.rules.purchase import ENDED
from loyalty.rules.reassignment import (
    count_in_window,
    decide_life_at_target,
    refuse_points_of_grace,
    refuse_reassignment,
    refuse_same_customer,
    refuse_used_points,
)
from loyalty.rules.standing import find_counting_window
from loyalty.rules.text import check_external_id, check_note
from loyalty.services.customer import CustomerKey, resolve_customer
from loyalty.services.customer_lookup import limit_lookups
from loyalty.services.fingerprint import fingerprint
from loyalty.services.program import program_at
from loyalty.services.purchase_change import PurchaseName, read_current_accrual, save_version
from loyalty.services.purchase_key import settle_name
from loyalty.services.revaluation import FrozenRules, read_frozen_rules
from loyalty.services.world import World
from loyalty.storage.accruals import AccrualRow, breakdown_document, frozen_document, read_accruals
from loyalty.storage.cards_paid import read_paid_with_cards
from loyalty.storage.customers import CustomerRow, read_customers_by_id
from loyalty.storage.idempotency import NO_CALL, name_call
from loyalty.storage.points_paid import PurchaseKey, read_paid_with_points
from loyalty.storage.purchase_relations import read_reassignment
from loyalty.storage.purchases import PurchaseRow, build_paid_facts, read_purchases_by_id
from loyalty.storage.redemption_preparation import Prepared, prepare_for_purchase
from loyalty.storage.refunds import read_refunds
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.database import Transaction
from tenancy.retry import StaleRead

OPERATION = "purchaseReassign"


class ReassignRequest(NamedTuple):
    """A purchase, and the customer to whom it belongs (``target``)."""

    purchase: PurchaseName
    target: CustomerKey
    reason: str | None
    idempotency_key: str

    def fingerprint(self) -> str:
        """Return the fingerprint of this request."""
        return fingerprint([self.purchase.identity(), tuple(self.target), self.reason])


class MovedPoints(NamedTuple):
    """The points that the source lost and the target got, pending points included."""

    taken_points: int
    given_points: int


class ReassignedPurchase(NamedTuple):
    """The answer to a reassignment. A replay gets the same answer."""

    purchase: PurchaseRow
    accrual: AccrualRow | None
    source: CustomerRow
    customer: CustomerRow
    taken_points: int
    given_points: int
    replayed: bool


async def reassign_purchase(world: World, actor: Actor, request: ReassignRequest) -> ReassignedPurchase:
    """Move a purchase to the customer it belongs to, as long as none of its points were used.

    Refusals: InvalidInput (also for its own customer), IdempotencyConflict, NotFound (purchase, target),
    AmbiguousCustomer, PurchaseNotReassignable, LimitReached.
    """
    require(actor, Permission.LOYALTY_ADJUST)
    refuse_problems(
        [
            check_external_id(request.idempotency_key, ("idempotency_key",)),
            check_note(request.reason, ("reason",)),
        ]
    )
    request = request._replace(purchase=await settle_name(world, actor, request.purchase))
    by = request.purchase.parameters()
    async with limit_lookups(world, actor, request.target.name_shared_key(), "target"):
        return await run_once(
            world.database,
            actor.tenant_id,
            name_call(actor, request.idempotency_key, OPERATION, request.fingerprint()),
            ask=partial(prepare_for_purchase, **by),
            decide=partial(_decide, world, actor, request),
            replay=partial(_read_reassigned, by),
        )


async def _decide(
    world: World, actor: Actor, request: ReassignRequest, tx: Transaction, prepared: Prepared | None
) -> Booked[ReassignedPurchase]:
    """Decide a reassignment: lock both customers, take the points from the source and give them to the target."""
    program = await program_at(world, tx, prepared and prepared.config_version)
    if prepared is None or prepared.purchase_id is None or prepared.customer_id is None:
        raise NotFound("purchase", ("purchase",))
    source_id, target_id = prepared.customer_id, await resolve_customer(tx, request.target, "target")
    refuse_same_customer(source_id, target_id)
    book = await open_book(world, tx, program, actor, [source_id, target_id])
    book.reason = request.reason
    purchase = (await read_purchases_by_id(tx, [prepared.purchase_id]))[prepared.purchase_id]
    if purchase.customer_id != source_id:
        raise StaleRead
    await _refuse_obstacles(tx, purchase)
    accrual = await read_current_accrual(tx, purchase)
    life = decide_life_at_target(purchase.generation, accrual and accrual.state)
    after = purchase._replace(
        customer_id=target_id, version=purchase.version + 1, generation=life.generation, updated_at=book.now
    )
    given = None
    if accrual is not None and life.state is not None:
        await _take_back(tx, book, purchase, accrual)
        given = await _give(tx, book, after, accrual, life.state)
    moved = MovedPoints(*(one.outstanding_points if one else 0 for one in (accrual, given)))
    reassignment_id = uuid7()
    _save(book, after, purchase, request, reassignment_id, moved)
    if after.status not in ENDED:
        bring_back(book, target_id, ArchiveCause.PURCHASE, after.id)

    def answer() -> ReassignedPurchase:
        customers = (book.customer(source_id), book.customer(target_id))
        return ReassignedPurchase(after, given or accrual, *customers, *moved, replayed=False)

    return Booked(book, reassignment_id, answer)


async def _refuse_obstacles(tx: Transaction, purchase: PurchaseRow) -> None:
    """Raise PurchaseNotReassignable for a purchase that was refunded, or that points pay for."""
    # A refund of units that cost nothing has no money, so the refunds are read too.
    is_refunded = bool(purchase.refunded_minor or (await read_refunds(tx, [purchase.id]))[purchase.id])
    (paid,) = await read_paid_with_points(tx, [PurchaseKey(purchase.kind, purchase.external_id)])
    refuse_reassignment(
        is_refunded=is_refunded,
        held=paid._replace(redemptions=()).sum,
        spent=sum_paid(one.redemption.paid for one in paid.redemptions),
    )


async def _take_back(tx: Transaction, book: Book, purchase: PurchaseRow, accrual: AccrualRow) -> None:
    """Take the points of the purchase from the source. Refusal: PurchaseNotReassignable."""
    book.know_purchase(purchase)
    if accrual.state in CREDITED:
        await bring_open_lots(tx, book, [purchase.customer_id])
        own = [lot for lot in book.lots.spendable(purchase.customer_id) if lot.cause_id == accrual.id]
        refuse_used_points(accrual.outstanding_points, own)
    forfeit_accrual(book, accrual)


async def _give(
    tx: Transaction, book: Book, purchase: PurchaseRow, former: AccrualRow, state: AccrualState
) -> AccrualRow:
    """Give the target an accrual in this state, with the points that the purchase is worth for it."""
    book.know_purchase(purchase)
    given = (await _value(tx, book, purchase, former))._replace(
        id=AccrualId(uuid7()),
        customer_id=purchase.customer_id,
        generation=purchase.generation,
        state=state,
        voided_points=0,
        reversed_points=0,
        evaluated_at=book.now,
        raised_standing=0,
        earned_points=0,
        taken_points=0,
        valuation=1,
    )
    if given.state is AccrualState.PENDING:
        if given.points:
            book.keep(add_pending(book.account(given.customer_id), given.points))
            then = book.describe_purchase(purchase.id)
            book.tell(PointsPending(given.customer_id, purchase.id, given.id, given.points, *then))
    elif given.points:
        account, policy = book.account(given.customer_id), book.program.row.settings.tiering
        window = find_counting_window(policy, account, given.matured_at, book.program.zone)
        book.keep(count_in_window(account, given.points, window))
        given, _ = credit_points(book, given, given.points, _build_old_parcels(book, given))
    book.posting.add(given)
    return given


async def _value(tx: Transaction, book: Book, purchase: PurchaseRow, former: AccrualRow) -> AccrualRow:
    """Return the accrual with the points that the frozen rules give for the new customer.

    An accrual of an earlier release that froze no rules keeps its points.
    """
    stored = former.frozen
    if stored is None:
        return former
    category = book.accounts.profile(purchase.customer_id).category
    # A purchase that points pay for cannot be reassigned; with gift cards it can.
    cards = await read_paid_with_cards(tx, PurchaseKey(purchase.kind, purchase.external_id))
    facts = build_paid_facts(purchase, category, 0, cards)
    frozen: FrozenRules = (await read_frozen_rules(tx, book.program, [(former, facts)]))[former.id]
    tier = book.program.tier(book.account(purchase.customer_id).tier_id)
    moment = datetime.fromisoformat(stored["moment"])
    evaluation = evaluate(frozen.rules, facts, moment, tier)
    return former._replace(
        points=evaluation.points,
        breakdown=breakdown_document(evaluation, frozen.expiry),
        points_paid_minor=facts.points_paid_minor,
        cards_paid_minor=facts.cards_paid_minor,
        frozen=frozen_document(facts.customer_category, moment, tier),
    )


def _build_old_parcels(book: Book, accrual: AccrualRow) -> Sequence[Parcel]:
    """Return the points as parcels that are as old as they were for the source, so that they expire on the same day.

    Raises PurchaseNotReassignable for points that have expired by that day: they were spent, and live by days of grace.
    """
    earned_on = (accrual.matured_at or book.now).astimezone(book.program.zone).date()
    parcels = merge_parcels(
        book.lots.parcel_of_another(line.points, line.expiry, earned_on) for line in accrual.lines if line.points
    )
    refuse_points_of_grace(parcels, book.now)
    return parcels


def _save(
    book: Book,
    purchase: PurchaseRow,
    before: PurchaseRow,
    request: ReassignRequest,
    reassignment_id: UUID,
    moved: MovedPoints,
) -> None:
    """Add the purchase at its next version to the posting, with the reassignment as its fact."""
    told: dict[str, Any] = {
        "id": reassignment_id,
        "source_id": before.customer_id,
        "target_id": purchase.customer_id,
        "generation": purchase.generation,
        **moved._asdict(),
        "reason": request.reason,
        "actor": book.actor.display,
    }
    save_version(book, purchase, ["reassignment", reassignment_id], {"reassignment": told})


async def _read_reassigned(by: dict[str, Any], tx: Transaction, reassignment_id: UUID) -> ReassignedPurchase:
    """Return the replayed answer to a reassignment: purchase and customers as they are now."""
    prepared = await prepare_for_purchase(tx, NO_CALL, **by)
    if prepared is None or prepared.purchase_id is None:
        raise NotFound("purchase", ("purchase",))
    purchase_id = prepared.purchase_id
    told = await read_reassignment(tx, purchase_id, fingerprint(["reassignment", reassignment_id]))
    purchase = (await read_purchases_by_id(tx, [purchase_id]))[purchase_id]
    accrual = (await read_accruals(tx, [purchase_id])).get(purchase_id)
    source_id, target_id = CustomerId(UUID(told["source_id"])), CustomerId(UUID(told["target_id"]))
    found = await read_customers_by_id(tx, [source_id, target_id])
    moved = MovedPoints(told["taken_points"], told["given_points"])
    return ReassignedPurchase(purchase, accrual, found[source_id], found[target_id], *moved, replayed=True)
