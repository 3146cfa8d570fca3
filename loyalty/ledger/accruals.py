"""Book the steps of an accrual: it is evaluated once; its points are pending, credited, voided or taken back.

The policy that was frozen at the evaluation decides what an accrual may do, not today's settings. The decisions are in
`loyalty.rules.accrual_steps`.
"""

from collections.abc import Sequence
from datetime import datetime

from uuid_utils.compat import uuid7

from loyalty.ledger.book import Book
from loyalty.rules.account import add_pending, credit, remove_pending, take_back
from loyalty.rules.accrual import AccrualState, matures_at, takes_refunds
from loyalty.rules.accrual_steps import (
    CREDITED,
    AccrualStep,
    choose_first_state,
    follow_report,
    state_of_pending,
    state_of_reversed,
)
from loyalty.rules.earning import evaluate
from loyalty.rules.entry import EntryKind
from loyalty.rules.entry_kinds import cause_entry
from loyalty.rules.evaluation import Evaluation, EvaluationLine
from loyalty.rules.events import PointsEarned, PointsPending, PointsReversed, PointsVoided
from loyalty.rules.ids import AccrualId
from loyalty.rules.lots import Parcel, allocate_own_first, drop_soonest, merge_parcels
from loyalty.rules.purchase import PurchaseFacts
from loyalty.rules.refund import Refund, Refundable, formula_or_fixed, points_kept, subtract_refunds
from loyalty.rules.standing import find_counting_window, measure_fall
from loyalty.rules.tiers import TierChangeCause
from loyalty.storage.accruals import AccrualRow, breakdown_document, frozen_document
from loyalty.storage.purchases import PurchaseRow, build_refundable
from loyalty.storage.tiers import TierChangeRow

AccrualMove = tuple[AccrualRow, TierChangeRow | None]
"""An accrual after a step, and the tier change that the step caused, if any."""


def accrue_points(
    book: Book, purchase: PurchaseRow, facts: PurchaseFacts, moment: datetime, refunds: Sequence[Refund] = ()
) -> AccrualMove:
    """Evaluate the rules for a purchase, freeze the result, and book its points as credited or pending.

    The validity and the weekdays of rules, and the delay until maturity, count from ``moment``, the time of the report.
    Points for the part that was refunded before the evaluation are voided at once.
    """
    book.know_purchase(purchase)
    accrual, evaluation = _evaluate(book, purchase, facts, moment)
    kept = count_kept_points(accrual, build_refundable(purchase), refunds) if refunds else accrual.points
    state = choose_first_state(accrual.points, kept, accrual.matures_at, book.now)
    accrual = accrual._replace(state=state, voided_points=accrual.points - kept)
    change = None
    if state is AccrualState.AVAILABLE:
        accrual = accrual._replace(matured_at=book.now)
        if kept:
            parcels = _build_parcels_of_lines(book, evaluation.lines, accrual.voided_points)
            accrual, change = credit_points(book, accrual, kept, parcels)
    elif state is AccrualState.PENDING:
        book.keep(add_pending(book.account(accrual.customer_id), kept))
        then = book.describe_purchase(purchase.id)
        book.tell(PointsPending(accrual.customer_id, purchase.id, accrual.id, kept, *then))
    book.posting.add(accrual)
    return accrual, change


def _evaluate(
    book: Book, purchase: PurchaseRow, facts: PurchaseFacts, moment: datetime
) -> tuple[AccrualRow, Evaluation]:
    """Evaluate the rules in force for a purchase. Return the new accrual and its evaluation; nothing is booked yet."""
    settings = book.program.row.settings
    tier = book.program.tier(book.account(purchase.customer_id).tier_id)
    evaluation = evaluate(book.program.rules, facts, moment, tier)
    accrual = AccrualRow(
        id=AccrualId(uuid7()),
        purchase_id=purchase.id,
        customer_id=purchase.customer_id,
        generation=purchase.generation,
        state=AccrualState.EVALUATED,
        points=evaluation.points,
        voided_points=0,
        reversed_points=0,
        currency=evaluation.currency,
        breakdown=breakdown_document(evaluation, settings.expiry),
        policy=settings.accrual,
        program_version=book.program.row.version,
        evaluated_at=book.now,
        matures_at=matures_at(settings.accrual, facts, purchase.status, moment),
        matured_at=None,
        raised_standing=0,
        points_paid_minor=facts.points_paid_minor,
        cards_paid_minor=facts.cards_paid_minor,
        frozen=frozen_document(facts.customer_category, moment, tier),
        config_version=book.program.row.config_version,
    )
    return accrual, evaluation


def move_after_report(
    book: Book,
    accrual: AccrualRow,
    purchase: PurchaseRow,
    facts: PurchaseFacts,
    moment: datetime,
    *,
    end_changed: bool,
) -> AccrualMove:
    """Book the step that an accrual takes after a report about its purchase: see ``follow_report``.

    If credited points are taken back, the book must know the customer's open lots.
    """
    book.know_purchase(purchase)
    told = (facts, purchase.status)
    step, due_at = follow_report(
        accrual.policy, accrual.state, accrual.matures_at, told, moment, book.now, end_changed=end_changed
    )
    match step:
        case AccrualStep.FORFEIT:
            return forfeit_accrual(book, accrual)
        case AccrualStep.MATURE:
            return mature_accrual(book, accrual._replace(matures_at=due_at))
        case AccrualStep.WAIT:
            moved = accrual._replace(matures_at=due_at)
            book.posting.move(moved, seen=accrual)
            return moved, None
        case AccrualStep.NOTHING:
            return accrual, None


def mature_accrual(book: Book, accrual: AccrualRow) -> AccrualMove:
    """Credit the pending points of an accrual: they become spendable, and count for the tier.

    The book must know the purchase.
    """
    points, change = accrual.points - accrual.voided_points, None
    matured = accrual._replace(state=AccrualState.AVAILABLE, matured_at=book.now)
    if points:
        book.keep(remove_pending(book.account(accrual.customer_id), points))
        matured, change = credit_points(book, matured, points, build_parcels(book, matured))
    book.posting.move(matured, seen=accrual)
    return matured, change


def refund_accrual(book: Book, accrual: AccrualRow, purchase: Refundable, refunds: Sequence[Refund]) -> AccrualMove:
    """Take from an accrual the points that all refunds take together, less the points that it has lost before.

    Pending points are voided, credited points are taken back. The book must know the purchase. If credited points are
    taken back, it must also know the customer's open lots.
    """
    points = accrual.outstanding_points - count_kept_points(accrual, purchase, refunds)
    return _take_points(book, accrual, points) if points > 0 else (accrual, None)


def count_kept_points(accrual: AccrualRow, purchase: Refundable, refunds: Sequence[Refund]) -> int:
    """Return how many points an accrual keeps after these refunds, by the formulas and the policy frozen in it."""
    if not takes_refunds(accrual.policy):
        return accrual.points
    formulas = [formula_or_fixed(line.points, line.formula) for line in accrual.lines if line.points]
    return points_kept(formulas, subtract_refunds(purchase, refunds), accrual.policy.refund)


def credit_points(book: Book, accrual: AccrualRow, points: int, parcels: Sequence[Parcel]) -> AccrualMove:
    """Credit a customer with points of an accrual: for the first time, or with more points after a new valuation.

    The book must know the purchase. Returns the accrual, which the caller must write, and the tier change, if any. It
    adds to the accrual's `raised_standing` by how much these points raised the standing. If that is None, an earlier
    release did not count it, and it stays None.
    """
    customer_id = accrual.customer_id
    standing_before = book.account(customer_id).standing
    earned = credit(book.account(customer_id), points, earned=True, qualifying=True)
    book.lots.note_activity(customer_id)
    phase = f"EARN-{accrual.valuation}" if accrual.earned_points else "EARN"
    cause = cause_entry(EntryKind.EARNED, accrual.purchase_id, accrual.id, phase)
    entry = book.credit(customer_id, points, earned, cause, parcels)
    available = earned.account.available
    then = book.describe_purchase(accrual.purchase_id)
    book.tell(PointsEarned(customer_id, entry.id, accrual.purchase_id, accrual.id, points, available, *then))
    raised = max(0, book.account(customer_id).standing - standing_before)
    change = book.tiers.change_tier(customer_id, TierChangeCause.ACCRUAL, accrual.purchase_id)
    if accrual.raised_standing is not None:
        accrual = accrual._replace(raised_standing=accrual.raised_standing + raised)
    return accrual._replace(earned_points=accrual.earned_points + points), change


def build_parcels(book: Book, accrual: AccrualRow) -> list[Parcel]:
    """Return the points of an accrual in parcels, one for each expiry that the rules gave.

    Voided points are left out: they are taken from the parcels that expire first.
    """
    return _build_parcels_of_lines(book, accrual.lines, accrual.voided_points)


def _build_parcels_of_lines(book: Book, lines: Sequence[EvaluationLine], voided_points: int) -> list[Parcel]:
    """Return the parcels of the lines of an accrual. A line whose rule has no expiry policy has that of the program."""
    given = [book.lots.parcel(line.points, line.expiry) for line in lines if line.points]
    return drop_soonest(merge_parcels(given), voided_points)


def forfeit_accrual(book: Book, accrual: AccrualRow) -> AccrualMove:
    """Take all the points that an accrual has left. The book must know the purchase."""
    return _take_points(book, accrual, accrual.outstanding_points)


def _take_points(book: Book, accrual: AccrualRow, points: int) -> AccrualMove:
    """Take points of an accrual: pending points are voided, credited points are taken back.

    An accrual in another state has no points to take.
    """
    if accrual.state is AccrualState.PENDING:
        return _void_points(book, accrual, points)
    if accrual.state in CREDITED:
        return _reverse_points(book, accrual, points)
    return accrual, None


def _void_points(book: Book, accrual: AccrualRow, points: int) -> AccrualMove:
    """Void pending points of an accrual: all of them or a part."""
    if points:
        book.keep(remove_pending(book.account(accrual.customer_id), points))
        then = book.describe_purchase(accrual.purchase_id)
        book.tell(PointsVoided(accrual.customer_id, accrual.purchase_id, accrual.id, points, *then))
    voided_points = accrual.voided_points + points
    state = state_of_pending(accrual.points, voided_points)
    voided = accrual._replace(state=state, voided_points=voided_points)
    book.posting.move(voided, seen=accrual)
    return voided, None


def _reverse_points(book: Book, accrual: AccrualRow, points: int) -> AccrualMove:
    """Take back credited points of an accrual: all of them or a part."""
    reversed_points = accrual.reversed_points + points
    state = state_of_reversed(accrual.points, accrual.voided_points, reversed_points)
    taken, change = take_points_back(book, accrual, points) if points else (accrual, None)
    reversed_ = taken._replace(state=state, reversed_points=reversed_points)
    book.posting.move(reversed_, seen=accrual)
    return reversed_, change


def take_points_back(book: Book, accrual: AccrualRow, points: int) -> AccrualMove:
    """Take credited points of an accrual back from the account, as its debt policy says.

    With CLAMP fewer points may be taken. The standing falls only by what these points had raised it. The book must know
    the purchase and the open lots. Returns the accrual, which the caller must write, and the tier change, if any.
    """
    customer_id = accrual.customer_id
    account = book.account(customer_id)
    policy, zone = book.program.row.settings.tiering, book.program.zone
    counted = find_counting_window(policy, account, accrual.matured_at, zone)
    taken = take_back(account, points, overdraft=accrual.policy.debt, counted_in=counted)
    if not taken.points_taken:
        # CLAMP, and the account has no points left: the purchase is called off, but there are no points to enter.
        return accrual, None
    fall = measure_fall(policy, taken.points_taken, accrual.raised_standing, accrual.matured_at, book.now, zone)
    book.tiers.spare_points(customer_id, taken.points_taken - fall)
    phase = f"REVERSE-T{accrual.taken_points}"
    cause = cause_entry(EntryKind.EARN_REVERSED, accrual.purchase_id, accrual.id, phase)
    allocations = allocate_own_first(book.lots.spendable(customer_id), accrual.id, taken.from_lots)
    entry = book.debit(customer_id, taken, allocations, cause)
    available = book.account(customer_id).available
    then = book.describe_purchase(accrual.purchase_id)
    book.tell(PointsReversed(customer_id, entry.id, accrual.purchase_id, accrual.id, entry.points, available, *then))
    change = book.tiers.change_tier(customer_id, TierChangeCause.REVERSAL, accrual.purchase_id)
    if accrual.raised_standing is not None:
        accrual = accrual._replace(raised_standing=max(0, accrual.raised_standing - fall))
    return accrual._replace(taken_points=accrual.taken_points + taken.points_taken), change
