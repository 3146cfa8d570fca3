"""Book reports of purchases: the next version, its payments with points and gift cards, and its accrual."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.ledger.accruals import accrue_points, move_after_report
from loyalty.ledger.archiving import bring_back
from loyalty.ledger.book import Book
from loyalty.ledger.posting import post_and_commit
from loyalty.ledger.program import CompiledProgram
from loyalty.ledger.rows import PurchaseFact, SeenCheckout
from loyalty.rules.absent import choose_given_or_known
from loyalty.rules.accrual import choose_sweep_time
from loyalty.rules.archive import ArchiveCause
from loyalty.rules.booking_steps import (
    AccrualTask,
    choose_generation,
    choose_path_above_total,
    choose_task,
    choose_told_lines,
    moves_end,
)
from loyalty.rules.errors import LoyaltyError
from loyalty.rules.ids import PurchaseId
from loyalty.rules.paid_facts import count_paid
from loyalty.rules.purchase import ENDED
from loyalty.rules.purchase_report import moment_of
from loyalty.rules.refund import Refundable, refuse_below_refunds
from loyalty.rules.tiers import TierChangeCause
from loyalty.services.batch import LateRefusals, yield_slices
from loyalty.services.payments import NamedPayment, refuse_above_total, refuse_named_payments
from loyalty.services.points_paid import Payable, list_payers, settle_points
from loyalty.services.profile import open_customers
from loyalty.services.purchase_draft import (
    LockedFacts,
    PurchaseDraft,
    RecordingItem,
    draft_items,
    read_under_locks,
    refuse_stale_accruals,
)
from loyalty.services.purchase_recording import RecordedPurchase, mark_state
from loyalty.services.revaluation import revalue_accrual
from loyalty.services.world import World
from loyalty.storage.accounts import lock_known_customers
from loyalty.storage.accruals import AccrualRow
from loyalty.storage.documents import to_document
from loyalty.storage.points_paid import PaidWithPoints
from loyalty.storage.purchases import PurchaseRow, facts_document
from loyalty.storage.tiers import TierChangeRow
from permissions.actor import Actor
from tenancy.database import Transaction


async def book_items(
    world: World, actor: Actor, tx: Transaction, program: CompiledProgram, items: dict[int, RecordingItem]
) -> dict[int, RecordedPurchase]:
    """Open the customers of all items, book the items one after another, and write them together.

    Raises LateRefusals with every item that is refused only here, so that one more attempt is enough.
    """
    paying = {position: item.key for position, item in items.items() if item.is_paid_with_points}
    payers = list_payers([items[position].known.paid for position in paying])
    # Of several profiles of one customer the later one counts. The profile of a payer is empty.
    profiles = [*payers, *(item.recording.customer for item in items.values())]
    if any(item.changes_customer for item in items.values()):
        opened = await open_customers(tx, profiles, world.now(program))
    else:
        opened = await lock_known_customers(tx, {profile.external_id for profile in profiles})
    await refuse_stale_accruals(tx, items)
    # The time is taken under the locks, so the entries of one account are in the order of their time.
    book = Book(program, actor, world.now(program))
    facts = await read_under_locks(tx, book, items, paying, opened)
    for payer in payers:
        book.open(opened[payer.external_id])
    booked = await _book_each(tx, book, items, facts)
    await post_and_commit(tx, book.finish())
    last = {recorded.purchase.customer_id: position for position, recorded in booked.items()}
    return {
        position: recorded._replace(
            customer=book.customer(recorded.purchase.customer_id),
            customer_then=None if last[recorded.purchase.customer_id] == position else recorded.customer,
        )
        async for position, recorded in yield_slices(booked.items())
    }


async def _book_each(
    tx: Transaction, book: Book, items: dict[int, RecordingItem], facts: LockedFacts
) -> dict[int, RecordedPurchase]:
    """Book the items one after another. Raises LateRefusals with all refused items after the last one."""
    drafts = draft_items(items, facts)
    booked: dict[int, RecordedPurchase] = {}
    late: dict[int, LoyaltyError] = {}
    async for position, draft in yield_slices(drafts.items()):
        book.open(facts.find_customer(draft.item))
        try:
            booked[position] = await _book_item(tx, book, draft, facts.paid.get(position), facts.named)
        except LoyaltyError as refusal:
            late[position] = refusal
    if late:
        raise LateRefusals(late)
    return booked


async def _book_item(
    tx: Transaction,
    book: Book,
    draft: PurchaseDraft,
    paid: PaidWithPoints | None,
    named: Mapping[UUID, NamedPayment],
) -> RecordedPurchase:
    """Check one item and book it. If its purchase ends, the points that pay for it come back first."""
    _refuse_below_refunds(draft)
    refuse_named_payments(draft.item.news, named)
    if draft.item.status in ENDED and paid is not None:
        return await _call_off(tx, book, draft, paid)
    return await _book_settled(tx, book, draft, paid)


async def _book_settled(
    tx: Transaction, book: Book, draft: PurchaseDraft, paid: PaidWithPoints | None
) -> RecordedPurchase:
    """Book one item after the points that pay for it. Mostly there are none, so there is no query.

    The points follow the report first, so that the purchase is valued with the new payments.
    """
    item, key = draft.item, draft.item.key
    # No hold may have changed the payments since they were read.
    book.posting.add(SeenCheckout(key.kind, key.external_id, item.known.checkout_version))
    if paid is None:
        return _book(book, _count_paid(draft, 0))
    facts = draft.facts
    total_minor, is_new = facts.total.amount_minor, item.known.purchase is None
    purchase = Payable(key, draft.customer_id, total_minor, item.status, facts.location, is_new)
    settled, left = await settle_points(tx, book, purchase, paid)
    # Points that went back for a refund had paid for the refunded part, which is still in the facts.
    paid_minor = left.discount_minor + paid.given_back.discount_minor
    return _book(book, _count_paid(draft, paid_minor))._replace(settled=settled)


def _count_paid(draft: PurchaseDraft, points_minor: int) -> PurchaseDraft:
    """Return the draft with the payments of points and cards. Refuses told payments that are above the total."""
    cards, refunded_minor = draft.item.known.cards, draft.before.refunded_minor if draft.before else 0
    path = choose_path_above_total(draft.item.news.changed)
    if path is not None:
        refuse_above_total(draft.facts, points_minor, cards, path)
    facts = count_paid(draft.facts, points_minor, cards, refunded_minor)
    return draft if facts is draft.facts else replace(draft, facts=facts)


async def _call_off(tx: Transaction, book: Book, draft: PurchaseDraft, paid: PaidWithPoints) -> RecordedPurchase:
    """Book the end of a purchase that was paid with points.

    The points come back first, so that the points earned with the purchase can be taken from them. Both are one
    movement for the tier.
    """
    with book.tiers.settle_once(draft.customer_id):
        recorded = await _book_settled(tx, book, draft, paid)
    change = book.tiers.change_tier(draft.customer_id, TierChangeCause.REVERSAL, recorded.purchase.id)
    return recorded._replace(tier_change=recorded.tier_change or change, customer=book.customer(draft.customer_id))


def _refuse_below_refunds(draft: PurchaseDraft) -> None:
    """Refuse a report whose total or lines no longer cover the refunds of the purchase."""
    facts = draft.facts
    if draft.refunds and not {"total", "lines"}.isdisjoint(draft.item.news.changed):
        purchase = Refundable(facts.total.amount_minor, facts.lines, facts.total.currency)
        sent = choose_given_or_known(draft.item.recording.report.lines, ())
        refuse_below_refunds(purchase, draft.refunds, sent or ())


def _book(book: Book, draft: PurchaseDraft) -> RecordedPurchase:
    """Book one item: the purchase at its next version, its fact, and its accrual."""
    purchase = _next_version(book, draft)
    if purchase.status not in ENDED:
        bring_back(book, draft.customer_id, ArchiveCause.PURCHASE, purchase.id)
    book.posting.add(purchase)
    book.posting.add(_build_fact(book, draft, purchase))
    accrual, change = _book_accrual(book, draft, purchase)
    book.tiers.follow_customer(draft.customer_id)
    return RecordedPurchase(purchase, accrual, book.customer(draft.customer_id), change, replayed=False)


def _build_fact(book: Book, draft: PurchaseDraft, purchase: PurchaseRow) -> PurchaseFact:
    """Return the fact of a report: its content, its actor, and the facts after it."""
    recording = draft.item.recording
    lines = choose_told_lines(draft.item.news.changed, recording.report.lines, draft.facts.lines)
    return PurchaseFact(
        purchase_id=purchase.id,
        version=purchase.version,
        fingerprint=draft.item.fingerprint,
        status=purchase.status,
        facts=facts_document(draft.facts, lines),
        recorded_at=book.now,
        recorded_by=book.actor.subject,
        actor_kind=book.actor.kind,
        actor_name=book.actor.display,
        report_key=recording.idempotency_key,
        report_client=book.actor.client if recording.idempotency_key else None,
        state_mark=mark_state(draft.facts, purchase.status),
    )


def _book_accrual(
    book: Book, draft: PurchaseDraft, purchase: PurchaseRow
) -> tuple[AccrualRow | None, TierChangeRow | None]:
    """Book the accrual of a purchase: evaluate it, or value it again and let it follow the status."""
    facts, accrual, change = draft.facts, draft.item.known.accrual, None
    policy = book.program.row.settings.accrual
    moment = moment_of(draft.item.recording.report.occurred_at, book.now, policy.latest_report)
    is_evaluated = _is_evaluated(draft, purchase.generation)
    task = choose_task(policy, facts, purchase.status, purchase.generation, book.now, is_evaluated=is_evaluated)
    if task is AccrualTask.EVALUATE:
        return accrue_points(book, purchase, facts, moment, draft.refunds)
    if accrual is None or task is AccrualTask.NOTHING:
        return None, None
    end_changed = moves_end(draft.item.news.changed)
    if draft.frozen is not None:
        accrual, change = revalue_accrual(
            book, accrual, purchase, facts, moment, draft.refunds, draft.frozen, end_changed=end_changed
        )
    accrual, moved = move_after_report(book, accrual, purchase, facts, moment, end_changed=end_changed)
    return accrual, moved or change


def _next_version(book: Book, draft: PurchaseDraft) -> PurchaseRow:
    """Return the purchase at the version that the report makes."""
    facts, before, generation = draft.facts, draft.before, _choose_generation(draft)
    return PurchaseRow(
        id=before.id if before else PurchaseId(uuid7()),
        kind=facts.kind,
        external_id=facts.external_id,
        customer_id=draft.customer_id,
        status=draft.item.status,
        version=before.version + 1 if before else 1,
        generation=generation,
        total_minor=facts.total.amount_minor,
        refunded_minor=before.refunded_minor if before else 0,
        currency=facts.total.currency,
        lines=to_document(facts.lines),
        exchange=to_document(facts.exchange),
        payments=to_document(facts.payments) or None,
        location=facts.location,
        staff=facts.staff,
        booked_at=facts.booked_at,
        starts_at=facts.starts_at,
        ends_at=facts.ends_at,
        occurred_at=facts.occurred_at,
        told_at={name: None if at is None else at.isoformat() for name, at in draft.item.news.told_at.items()},
        evaluates_at=_choose_sweep_time(book, draft, generation),
        recorded_at=before.recorded_at if before else book.now,
        updated_at=book.now,
    )


def _choose_sweep_time(book: Book, draft: PurchaseDraft, generation: int) -> datetime | None:
    """Return when the sweep is to evaluate the rules; None unless the evaluation waits for the end of the service."""
    facts, status, policy = draft.facts, draft.item.status, book.program.row.settings.accrual
    # A purchase of generation 0 was called off by its first report: it is never evaluated.
    is_evaluated = not generation or _is_evaluated(draft, generation)
    return choose_sweep_time(policy, facts, status, book.now, is_evaluated=is_evaluated)


def _is_evaluated(draft: PurchaseDraft, generation: int) -> bool:
    """Tell whether the rules were evaluated in this generation of the purchase."""
    accrual = draft.item.known.accrual
    return accrual is not None and accrual.generation == generation


def _choose_generation(draft: PurchaseDraft) -> int:
    """Return the generation of a purchase after a report."""
    before, accrual = draft.before, draft.item.known.accrual
    known = None if before is None else (before.generation, before.status)
    changes_hands = before is not None and before.customer_id != draft.customer_id
    return choose_generation(known, draft.item.status, accrual and accrual.state, changes_hands=changes_hands)
