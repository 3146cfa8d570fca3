"""The life of an accrual: evaluated once, pending until it matures, credited, voided or taken back.

What an accrual may do is decided by the policy it was evaluated under, not by today's settings.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from uuid_utils.compat import uuid7

from loyalty.ledger.book import Book
from loyalty.rules.account import add_pending, credit, remove_pending, take_back
from loyalty.rules.accrual import AccrualState, MatureOn, forfeits, matures_at, matures_at_after, takes_refunds
from loyalty.rules.earning import Evaluation, evaluate
from loyalty.rules.entry import EntryKind
from loyalty.rules.entry_kinds import cause_entry
from loyalty.rules.events import PointsEarned, PointsPending, PointsReversed, PointsVoided
from loyalty.rules.exchange import Exchange
from loyalty.rules.expiry import ExpiryPolicy
from loyalty.rules.ids import AccrualId
from loyalty.rules.lots import Allocation, Parcel, allocate, soonest_first
from loyalty.rules.purchase import PurchaseFacts, PurchaseStatus
from loyalty.rules.refund import Refund, Refundable, formula_or_fixed, left_of, points_kept
from loyalty.rules.standing import counted_in, is_reviewed_since
from loyalty.rules.tiers import Tier, TierChangeCause
from loyalty.storage.accruals import AccrualRow
from loyalty.storage.documents import from_optional, read_formula, read_lines, to_document
from loyalty.storage.purchases import PurchaseRow
from loyalty.storage.tiers import TierChangeRow

Moved = tuple[AccrualRow, TierChangeRow | None]

CREDITED = frozenset({AccrualState.AVAILABLE, AccrualState.PARTIALLY_REVERSED})
"""The states in which points of an accrual are, or were, in the customer's account."""


def accrue(
    book: Book, purchase: PurchaseRow, facts: PurchaseFacts, moment: datetime, refunds: Sequence[Refund] = ()
) -> Moved:
    """Evaluate the rules for a purchase, freeze the result, and credit it or promise it for later.

    Windows and weekdays of rules, and the delay until maturity, count from the ``moment`` that the report tells. What
    was refunded before the evaluation never earns.
    """
    policy = book.program.row.settings.accrual
    tier = book.program.tier(book.account(purchase.customer_id).tier_id)
    evaluation = evaluate(book.program.rules, facts, moment, tier)
    due_at = matures_at(policy, facts, purchase.status, moment)
    accrual = AccrualRow(
        id=AccrualId(uuid7()),
        purchase_id=purchase.id,
        customer_id=purchase.customer_id,
        generation=purchase.generation,
        state=AccrualState.PENDING,
        points=evaluation.points,
        voided_points=0,
        reversed_points=0,
        currency=evaluation.currency,
        breakdown=breakdown_of(evaluation, book.program.row.settings.expiry),
        policy=policy,
        program_version=book.program.row.version,
        evaluated_at=book.now,
        matures_at=due_at,
        matured_at=None,
        raised_standing=0,
        points_paid_minor=facts.points_paid_minor,
        frozen=frozen_document(facts, moment, tier),
        config_version=book.program.row.config_version,
    )
    if refunds:
        voided = accrual.points - kept_points(accrual, refundable(purchase), refunds)
        accrual = accrual._replace(voided_points=voided)
    promised = accrual.points - accrual.voided_points
    change = None
    if accrual.points and not promised:
        accrual = accrual._replace(state=AccrualState.VOIDED)
    elif (due_at is not None and due_at <= book.now) or not promised:
        accrual = accrual._replace(state=AccrualState.AVAILABLE, matured_at=book.now)
        if promised:
            accrual, change = credit_points(book, accrual, promised, _build_parcels(book, accrual))
    else:
        book.keep(add_pending(book.account(accrual.customer_id), promised))
        book.tell(PointsPending(accrual.customer_id, purchase.id, accrual.id, promised))
    book.posting.add(accrual)
    return accrual, change


def follow(
    book: Book,
    accrual: AccrualRow,
    purchase: PurchaseRow,
    facts: PurchaseFacts,
    moment: datetime,
    *,
    end_changed: bool,
) -> Moved:
    """Let an accrual follow a report about its purchase: it may be forfeited, mature, or wait for another moment.

    ``moment`` is when the report came about; ``end_changed`` says that it moves the end of the service. The book must
    know the customer's open lots when credited points are taken back.
    """
    if forfeits(accrual.policy, purchase.status):
        return forfeit(book, accrual)
    if accrual.state is not AccrualState.PENDING:
        return accrual, None
    if accrual.matures_at is not None and accrual.matures_at <= book.now:
        # The time has come, and the sweeper has not: what is due does not wait for another moment any more.
        return mature(book, accrual)
    if accrual.policy.mature_on is MatureOn.EVALUATION:
        return accrual, None
    told = (facts, purchase.status)
    due_at = matures_at_after(accrual.policy, told, accrual.matures_at, moment, end_changed=end_changed)
    if due_at is not None and due_at <= book.now:
        return mature(book, accrual._replace(matures_at=due_at))
    moved = accrual._replace(matures_at=due_at)
    if moved != accrual:
        book.posting.move(moved, seen=accrual)
    return moved, None


def mature(book: Book, accrual: AccrualRow) -> Moved:
    """Keep the promise: pending points become spendable, with everything that earning does."""
    points, change = accrual.points - accrual.voided_points, None
    matured = accrual._replace(state=AccrualState.AVAILABLE, matured_at=book.now)
    if points:
        book.keep(remove_pending(book.account(accrual.customer_id), points))
        matured, change = credit_points(book, matured, points, _build_parcels(book, matured))
    book.posting.move(matured, seen=accrual)
    return matured, change


def takes_back(accrual: AccrualRow | None, purchase_status: PurchaseStatus) -> bool:
    """Whether a status takes credited points of this accrual back, so that the customer's lots are needed."""
    return accrual is not None and accrual.state in CREDITED and forfeits(accrual.policy, purchase_status)


def refund(book: Book, accrual: AccrualRow, purchase: Refundable, refunds: Sequence[Refund]) -> Moved:
    """Take what all refunds of a purchase together take, less what was taken before: pending or credited points.

    The book must know the customer's open lots when credited points are taken back.
    """
    if accrual.state is not AccrualState.PENDING and accrual.state not in CREDITED:
        return accrual, None
    points = max(0, accrual.outstanding_points - kept_points(accrual, purchase, refunds))
    if not points:
        return accrual, None
    return _void(book, accrual, points) if accrual.state is AccrualState.PENDING else _reverse(book, accrual, points)


def kept_points(accrual: AccrualRow, purchase: Refundable, refunds: Sequence[Refund]) -> int:
    """What an accrual keeps of its points after these refunds, by the formulas and the policy frozen in it."""
    if not takes_refunds(accrual.policy):
        return accrual.points
    formulas = [
        formula_or_fixed(line["points"], read_formula(line.get("formula")))
        for line in accrual.breakdown
        if line["points"]
    ]
    return points_kept(formulas, left_of(purchase, refunds), accrual.policy.refund)


def frozen_document(facts: PurchaseFacts, moment: datetime, tier: Tier | None) -> dict[str, Any]:
    """What later valuations take from an evaluation, as it is stored."""
    factor = tier.factor if tier else None
    return {
        "moment": moment.isoformat(),
        "customer_category": facts.customer_category,
        "tier": tier
        and {
            "id": str(tier.id),
            "name": tier.name,
            "numerator": factor and factor.numerator,
            "denominator": factor and factor.denominator,
        },
    }


def refundable(purchase: PurchaseRow) -> Refundable:
    """A purchase as refunds see it."""
    lines = read_lines(purchase.lines)
    return Refundable(purchase.total.amount_minor, lines, purchase.total.currency)


def facts_of(purchase: PurchaseRow, customer_category: str | None, points_paid_minor: int) -> PurchaseFacts:
    """The facts of a purchase as rules see them."""
    return PurchaseFacts(
        kind=purchase.kind,
        external_id=purchase.external_id,
        total=purchase.total,
        lines=read_lines(purchase.lines),
        location=purchase.location,
        staff=purchase.staff,
        booked_at=purchase.booked_at,
        starts_at=purchase.starts_at,
        ends_at=purchase.ends_at,
        customer_category=customer_category,
        occurred_at=purchase.occurred_at,
        points_paid_minor=points_paid_minor,
        exchange=from_optional(Exchange, purchase.exchange),
    )


def credit_points(book: Book, accrual: AccrualRow, points: int, parcels: Sequence[Parcel]) -> Moved:
    """Credit a customer with points of an accrual: the first ones, or more of them after a new valuation."""
    customer_id = accrual.customer_id
    stood = book.account(customer_id).standing
    earned = credit(book.account(customer_id), points, earned=True, qualifying=True)
    book.lots.keep_alive(customer_id)
    phase = f"EARN-{accrual.valuation}" if accrual.earned_points else "EARN"
    cause = cause_entry(EntryKind.EARNED, accrual.purchase_id, accrual.id, phase)
    entry = book.credit(customer_id, points, earned, cause, parcels)
    available = earned.account.available
    book.tell(PointsEarned(customer_id, entry.id, accrual.purchase_id, accrual.id, points, available))
    raised = max(0, book.account(customer_id).standing - stood)
    change = book.tiers.change(customer_id, TierChangeCause.ACCRUAL, accrual.purchase_id)
    if accrual.raised_standing is not None:
        accrual = accrual._replace(raised_standing=accrual.raised_standing + raised)
    return accrual._replace(earned_points=accrual.earned_points + points), change


def _build_parcels(book: Book, accrual: AccrualRow) -> list[Parcel]:
    """One parcel for each expiry that the rules gave; what was voided is gone from what would expire first."""
    parcels: dict[tuple[datetime | None, int | None], Parcel] = {}
    for line in accrual.breakdown:
        if line["points"]:
            parcel = book.lots.parcel(line["points"], from_optional(ExpiryPolicy, line.get("expiry")))
            key = (parcel.expires_at, parcel.inactivity_days)
            before = parcels.get(key)
            parcels[key] = replace(parcel, points=parcel.points + (before.points if before else 0))
    voided, left = accrual.voided_points, []
    for parcel in soonest_first(parcels.values()):
        gone = min(voided, parcel.points)
        voided -= gone
        if parcel.points > gone:
            left.append(replace(parcel, points=parcel.points - gone))
    return left


def forfeit(book: Book, accrual: AccrualRow) -> Moved:
    """Take back all that an accrual still gives: pending points are voided, credited ones are taken back."""
    if accrual.state is AccrualState.PENDING:
        return _void(book, accrual, accrual.outstanding_points)
    if accrual.state not in CREDITED:
        return accrual, None
    return _reverse(book, accrual, accrual.outstanding_points)


def _void(book: Book, accrual: AccrualRow, points: int) -> Moved:
    """Take a promise back, or a part of it."""
    if points:
        book.keep(remove_pending(book.account(accrual.customer_id), points))
        book.tell(PointsVoided(accrual.customer_id, accrual.purchase_id, accrual.id, points))
    voided_points = accrual.voided_points + points
    state = AccrualState.VOIDED if voided_points == accrual.points else AccrualState.PENDING
    voided = accrual._replace(state=state, voided_points=voided_points)
    book.posting.move(voided, seen=accrual)
    return voided, None


def _reverse(book: Book, accrual: AccrualRow, points: int) -> Moved:
    """Take credited points back, or a part of them."""
    reversed_points = accrual.reversed_points + points
    whole = reversed_points == accrual.points - accrual.voided_points
    state = AccrualState.REVERSED if whole else AccrualState.PARTIALLY_REVERSED
    taken, change = take_points_back(book, accrual, points) if points else (accrual, None)
    reversed_ = taken._replace(state=state, reversed_points=reversed_points)
    book.posting.move(reversed_, seen=accrual)
    return reversed_, change


def take_points_back(book: Book, accrual: AccrualRow, points: int) -> Moved:
    """Take credited points of an accrual back, as its debt policy says; the book must know the open lots."""
    customer_id = accrual.customer_id
    account = book.account(customer_id)
    counted = counted_in(book.program.row.settings.tiering, account, accrual.matured_at, book.program.zone)
    taken = take_back(account, points, overdraft=accrual.policy.debt, counted_in=counted)
    if not taken.points_taken:
        # CLAMP with nothing left: the purchase is called off, but there is nothing to enter.
        return accrual, None
    fall = _measure_fall(book, accrual, taken.points_taken)
    book.tiers.spare(customer_id, taken.points_taken - fall)
    phase = f"REVERSE-T{accrual.taken_points}"
    cause = cause_entry(EntryKind.EARN_REVERSED, accrual.purchase_id, accrual.id, phase)
    allocations = _take_own_lots_first(book, accrual, taken.from_lots)
    entry = book.debit(customer_id, taken, allocations, cause)
    available = book.account(customer_id).available
    book.tell(PointsReversed(customer_id, entry.id, accrual.purchase_id, accrual.id, entry.points, available))
    change = book.tiers.change(customer_id, TierChangeCause.REVERSAL, accrual.purchase_id)
    if accrual.raised_standing is not None:
        accrual = accrual._replace(raised_standing=max(0, accrual.raised_standing - fall))
    return accrual._replace(taken_points=accrual.taken_points + taken.points_taken), change


def _measure_fall(book: Book, accrual: AccrualRow, points: int) -> int:
    """By how much the standing falls at most when points are taken back: by what they had raised it.

    A review since has put the standing on what was reached, with all of the points.
    """
    raised, came_at = accrual.raised_standing, accrual.matured_at
    if raised is None or came_at is None:
        return points
    if is_reviewed_since(book.tiers.policy, came_at, book.now, book.program.zone):
        return points
    return min(points, raised)


def _take_own_lots_first(book: Book, accrual: AccrualRow, points: int) -> tuple[Allocation, ...]:
    """Take from the lots that the accrual opened, and only what is gone from them from the others, in their order."""
    lots = book.lots.spendable(accrual.customer_id)
    own = [lot for lot in lots if lot.cause_id == accrual.id]
    from_own = min(points, sum(lot.remaining for lot in own))
    others = [lot for lot in lots if lot.cause_id != accrual.id]
    return (*allocate(own, from_own), *allocate(others, points - from_own))


def breakdown_of(evaluation: Evaluation, expiry: ExpiryPolicy) -> list[dict[str, Any]]:
    """The lines of an evaluation as an accrual keeps them."""
    return [
        {
            "rule_id": str(line.rule_id) if line.rule_id else None,
            "rule_name": line.rule_name,
            "rule_version": line.rule_version,
            "outcome": line.outcome,
            "points": line.points,
            "explanation": line.explanation,
            "failed_condition": line.failed_condition,
            "basis_minor": line.basis_minor,
            "units": to_document(line.units),
            "formula": to_document(line.formula),
            "expiry": to_document(line.expiry or expiry) if line.points else None,
        }
        for line in evaluation.lines
    ]
