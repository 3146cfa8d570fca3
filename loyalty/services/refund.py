"""Refund a purchase, completely or in parts, and let points mature by a call."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.ledger.accruals import mature_accrual, refund_accrual
from loyalty.ledger.book import Book, bring_open_lots, open_book
from loyalty.ledger.once import Booked, Unchanged, post_book, run_once
from loyalty.rules.accrual_steps import CREDITED, AccrualStep
from loyalty.rules.errors import InvalidInput, NotFound, refuse_problems
from loyalty.rules.exchange import Exchange
from loyalty.rules.ids import AccrualId, CustomerId, PurchaseRefundId
from loyalty.rules.instants import check_instant
from loyalty.rules.money import Money
from loyalty.rules.purchase_report import check_not_ahead
from loyalty.rules.quantity import quantity_document
from loyalty.rules.refund import Refund
from loyalty.rules.refund_points import ReturnPoints
from loyalty.rules.refund_steps import (
    DecidedRefund,
    convert_refund,
    decide_maturing,
    decide_refund,
    find_lines_to_refund,
)
from loyalty.rules.text import check_external_id, check_note
from loyalty.rules.tiers import TierChangeCause
from loyalty.services.customer import may_see_row
from loyalty.services.fingerprint import fingerprint
from loyalty.services.program import program_at
from loyalty.services.purchase_change import PurchaseName, read_current_accrual, save_version
from loyalty.services.purchase_key import settle_name
from loyalty.services.refund_points import (
    RefundedPoints,
    count_left_to_do,
    give_points_of_refund_back,
    read_points_of_refund,
)
from loyalty.services.revaluation import post_cards_paid
from loyalty.services.world import World
from loyalty.storage.accruals import AccrualRow, read_accruals, read_accruals_by_id
from loyalty.storage.customers import CustomerRow, read_customers_by_id
from loyalty.storage.documents import from_optional
from loyalty.storage.idempotency import name_call
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.purchases import PurchaseRow, build_refundable, read_purchases_by_id
from loyalty.storage.redemption_preparation import Prepared, prepare_for_purchase
from loyalty.storage.refunds import RefundRow, read_refunds, read_refunds_by_id
from loyalty.storage.tiers import TierChangeRow, read_tier_changes
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.database import Transaction

REFUND, MATURE = "purchaseRefund", "purchaseMature"
MAX_LINES = 500


class RefundRequest(NamedTuple):
    """A refund as a caller asks for it."""

    purchase: PurchaseName
    refund: Refund
    currency: str | None
    reason: str | None
    occurred_at: datetime | None
    idempotency_key: str
    return_points: ReturnPoints = ReturnPoints.NONE

    def fingerprint(self) -> str:
        """Return the fingerprint of this request."""
        lines = [
            {
                "position": line.position,
                "quantity": quantity_document(line.quantity),
                "amount_minor": line.amount_minor,
            }
            | ({} if line.line_id is None else {"line_id": line.line_id})
            for line in self.refund.lines
        ]
        refund = {"lines": lines, "amount_minor": self.refund.amount_minor}
        identity = [self.purchase.identity(), refund, self.currency, self.reason, self.occurred_at]
        return_points = None if self.return_points is ReturnPoints.NONE else self.return_points
        return fingerprint(identity, return_points=return_points)


class RefundSplit(NamedTuple):
    """What the caller still has to do after a refund (F-07): pay money back, and give points back.

    Points that went back already are not among ``points``.
    """

    money: Money
    points: int
    points_value: Money


class RefundedPurchase(NamedTuple):
    """The answer to a refund. A replay gets the same answer."""

    refund: RefundRow
    split: RefundSplit
    purchase: PurchaseRow
    accrual: AccrualRow | None
    customer: CustomerRow
    tier_change: TierChangeRow | None
    replayed: bool
    points: RefundedPoints


class MaturedPurchase(NamedTuple):
    """The answer to `purchaseMature`."""

    purchase: PurchaseRow
    accrual: AccrualRow
    customer: CustomerRow
    tier_change: TierChangeRow | None
    replayed: bool


async def refund_purchase(world: World, actor: Actor, request: RefundRequest) -> RefundedPurchase:
    """Refund a part of a purchase, or all that is left of it. Any split into parts gives the same points in the end.

    Refusals: InvalidInput, IdempotencyConflict, NotFound, CurrencyMismatch, RefundExceedsPurchase, InsufficientPoints
    (debt REJECT).
    """
    require(actor, Permission.PURCHASES_RECORD, even_when_off=True)
    refuse_problems(
        [
            check_external_id(request.idempotency_key, ("idempotency_key",)),
            check_instant(request.occurred_at, ("occurred_at",)),
            check_note(request.reason, ("reason",)),
        ]
    )
    if len(request.refund.lines) > MAX_LINES:
        raise InvalidInput.one("lines", reason=f"must have at most {MAX_LINES} lines")
    if request.refund.amount_minor < 0:
        raise InvalidInput.one("amount", reason="must not be negative")
    request = request._replace(purchase=await settle_name(world, actor, request.purchase))
    call = name_call(actor, request.idempotency_key, REFUND, request.fingerprint())
    return await run_once(
        world.database,
        actor.tenant_id,
        call,
        ask=partial(prepare_for_purchase, **request.purchase.parameters()),
        decide=partial(_decide_refund, world, actor, request),
        replay=_read_refunded,
    )


async def mature_purchase(world: World, actor: Actor, purchase: PurchaseName, idempotency_key: str) -> MaturedPurchase:
    """Let the pending points of a purchase mature now, whether they wait for a time, a status or a call.

    Points that were credited already stay as they are. Refusals: InvalidInput, IdempotencyConflict, NotFound (also for
    a purchase without points).
    """
    require(actor, Permission.LOYALTY_ADJUST)
    refuse_problems([check_external_id(idempotency_key, ("idempotency_key",))])
    purchase = await settle_name(world, actor, purchase)
    call = name_call(actor, idempotency_key, MATURE, fingerprint(purchase.identity()))
    return await run_once(
        world.database,
        actor.tenant_id,
        call,
        ask=partial(prepare_for_purchase, **purchase.parameters()),
        decide=partial(_decide_maturing, world, actor),
        replay=_read_matured,
    )


async def _decide_refund(
    world: World, actor: Actor, request: RefundRequest, tx: Transaction, prepared: Prepared | None
) -> Booked[RefundedPurchase]:
    """Decide a refund: count its money, return points that had paid, take earned points, and book it."""
    book, purchase = await _open(world, tx, actor, prepared, even_when_off=True)
    refuse_problems([check_not_ahead(request.occurred_at, book.now)])
    book.reason = request.reason
    told = from_optional(Exchange, purchase.exchange)
    asked = convert_refund(request.refund, request.currency, purchase.total.currency, told)
    wanted = find_lines_to_refund(build_refundable(purchase), purchase.status, asked)
    earlier = (await read_refunds(tx, [purchase.id]))[purchase.id]
    refunds = [row.refund for row in earlier]
    decided = decide_refund(build_refundable(purchase), purchase.status, refunds, wanted)
    accrual = await read_current_accrual(tx, purchase)
    if accrual is not None and accrual.state in CREDITED:
        await bring_open_lots(tx, book, [purchase.customer_id])
    after = _update_purchase(book, purchase, decided)
    book.know_purchase(after)
    with book.tiers.settle_once(purchase.customer_id):
        # Points that paid for the purchase come back first, so that the points earned with it can be taken from them.
        points = await give_points_of_refund_back(tx, book, purchase, after, earlier, request.return_points)
        accrual, taken, change = _take_points(book, purchase, accrual, [*refunds, decided.refund])
    change = change or book.tiers.change_tier(purchase.customer_id, TierChangeCause.REVERSAL, purchase.id)
    row = _build_row(book, purchase, request, decided, len(earlier) + 1, taken, points)
    book.posting.add(row)
    save_version(
        book, after, ["refund", row.id], {"refund": row.id, "amount_minor": row.amount_minor, "lines": row.lines}
    )
    split = _split_refund(row, after, points)

    def answer() -> RefundedPurchase:
        customer = book.customer(purchase.customer_id)
        return RefundedPurchase(row, split, after, accrual, customer, change, False, points)

    return Booked(book, row.id, answer, _write_refund(purchase, accrual))


def _take_points(
    book: Book, purchase: PurchaseRow, accrual: AccrualRow | None, refunds: Sequence[Refund]
) -> tuple[AccrualRow | None, int, TierChangeRow | None]:
    """Book that earned points are taken, until they are those that all ``refunds`` take together.

    Return the accrual after that, how many points this refund took, and the tier change.
    """
    if accrual is None:
        return None, 0, None
    after, change = refund_accrual(book, accrual, build_refundable(purchase), refunds)
    return after, after.lost_points - accrual.lost_points, change


def _write_refund(purchase: PurchaseRow, accrual: AccrualRow | None) -> Callable[[Transaction, Book], Awaitable[None]]:
    """Return the function that writes a refund. If gift cards paid, they may now pay for another part of the rest."""
    if accrual is None or not accrual.cards_paid_minor:
        return post_book
    return partial(post_cards_paid, keys=[PurchaseKey(purchase.kind, purchase.external_id)])


async def _decide_maturing(
    world: World, actor: Actor, tx: Transaction, prepared: Prepared | None
) -> Booked[MaturedPurchase] | Unchanged[MaturedPurchase]:
    """Decide to credit the pending points of a purchase now; nothing changes if they were credited before."""
    book, purchase = await _open(world, tx, actor, prepared)
    accrual = await read_current_accrual(tx, purchase)
    if accrual is None:
        raise NotFound("accrual", ("purchase",))
    if decide_maturing(accrual.state) is AccrualStep.NOTHING:
        customer = book.customer(purchase.customer_id)
        return Unchanged(MaturedPurchase(purchase, accrual, customer, None, replayed=True))
    book.know_purchase(purchase)
    # The points wait no longer: they mature now.
    accrual, change = mature_accrual(book, accrual._replace(matures_at=book.now))
    return Booked(
        book,
        accrual.id,
        lambda: MaturedPurchase(purchase, accrual, book.customer(purchase.customer_id), change, replayed=False),
    )


async def _open(
    world: World, tx: Transaction, actor: Actor, prepared: Prepared | None, *, even_when_off: bool = False
) -> tuple[Book, PurchaseRow]:
    """Lock the account of the purchase's customer, and read the purchase under the lock.

    Refusal: NotFound, also for a purchase of a location outside the caller's scope.
    """
    config_version = prepared and prepared.config_version
    program = await program_at(world, tx, config_version, even_when_off=even_when_off)
    if prepared is None or prepared.purchase_id is None or prepared.customer_id is None:
        raise NotFound("purchase", ("purchase",))
    book = await open_book(world, tx, program, actor, [prepared.customer_id])
    purchase = (await read_purchases_by_id(tx, [prepared.purchase_id]))[prepared.purchase_id]
    if not may_see_row(actor, purchase):
        raise NotFound("purchase", ("purchase",))
    return book, purchase


def _update_purchase(book: Book, purchase: PurchaseRow, decided: DecidedRefund) -> PurchaseRow:
    """Return the purchase after a refund, at its next version."""
    return purchase._replace(
        version=purchase.version + 1,
        refunded_minor=purchase.refunded_minor + decided.money_minor,
        status=decided.status,
        evaluates_at=None if decided.is_whole else purchase.evaluates_at,
        updated_at=book.now,
    )


def _build_row(
    book: Book,
    purchase: PurchaseRow,
    request: RefundRequest,
    decided: DecidedRefund,
    number: int,
    taken: int,
    points: RefundedPoints,
) -> RefundRow:
    """Return the row of a refund. ``taken`` are the earned points that it took."""
    lines = [
        {
            "position": line.position,
            "quantity": quantity_document(line.quantity),
            "amount_minor": line.amount_minor,
            "money_minor": line_minor,
            "line_id": purchase.lines[line.position].get("line_id"),
        }
        for line, line_minor in zip(decided.refund.lines, decided.lines_minor, strict=True)
    ]
    return RefundRow(
        id=PurchaseRefundId(uuid7()),
        purchase_id=purchase.id,
        customer_id=purchase.customer_id,
        number=number,
        amount_minor=decided.money_minor,
        lines=lines,
        points=-taken,
        reason=request.reason,
        occurred_at=request.occurred_at,
        recorded_at=book.now,
        actor_kind=book.actor.kind,
        actor=book.actor.display,
        point_share=points.part.points,
        point_share_minor=points.part.discount_minor,
        returned_points=points.returned.points,
        returned_minor=points.returned.discount_minor,
    )


def _split_refund(row: RefundRow, purchase: PurchaseRow, points: RefundedPoints) -> RefundSplit:
    """Return what the caller still has to do after a refund."""
    currency = purchase.total.currency
    left, value = count_left_to_do(points, currency)
    return RefundSplit(Money(row.amount_minor - points.part.discount_minor, currency), left, value)


async def _read_refunded(tx: Transaction, result_id: UUID) -> RefundedPurchase:
    """Return the replayed answer to a refund: purchase and customer as they are now."""
    refund_id = PurchaseRefundId(result_id)
    row = (await read_refunds_by_id(tx, [refund_id]))[refund_id]
    purchase = (await read_purchases_by_id(tx, [row.purchase_id]))[row.purchase_id]
    earlier = [one for one in (await read_refunds(tx, [purchase.id]))[purchase.id] if one.number < row.number]
    then = purchase._replace(refunded_minor=sum(one.amount_minor for one in earlier))
    points = await read_points_of_refund(tx, then, row)
    accrual = (await read_accruals(tx, [purchase.id])).get(purchase.id)
    changes = await read_tier_changes(tx, [purchase.id])
    return RefundedPurchase(
        row,
        _split_refund(row, purchase, points),
        purchase,
        accrual,
        await _read_customer(tx, row.customer_id),
        next((change for change in changes if change.changed_at == row.recorded_at), None),
        replayed=True,
        points=points,
    )


async def _read_matured(tx: Transaction, result_id: UUID) -> MaturedPurchase:
    """Return the answer to a replay: accrual, purchase and customer as they are now."""
    accrual_id = AccrualId(result_id)
    accrual = (await read_accruals_by_id(tx, [accrual_id]))[accrual_id]
    purchase = (await read_purchases_by_id(tx, [accrual.purchase_id]))[accrual.purchase_id]
    changes = await read_tier_changes(tx, [purchase.id])
    change = next((change for change in changes if change.changed_at == accrual.matured_at), None)
    return MaturedPurchase(purchase, accrual, await _read_customer(tx, accrual.customer_id), change, replayed=True)


async def _read_customer(tx: Transaction, customer_id: CustomerId) -> CustomerRow:
    return (await read_customers_by_id(tx, [customer_id]))[customer_id]
