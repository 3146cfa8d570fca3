"""Book reports of purchases: the next version, what points and gift cards pay of it, and what it earns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from uuid_utils.compat import uuid7

from loyalty.ledger.accruals import accrue, follow
from loyalty.ledger.archiving import bring_back
from loyalty.ledger.book import Book, bring_open_lots
from loyalty.ledger.posting import post
from loyalty.ledger.program import CompiledProgram
from loyalty.ledger.rows import PurchaseFact, SeenCheckout
from loyalty.rules.absent import choose_given_or_known
from loyalty.rules.accrual import choose_sweep_time, is_evaluated_at
from loyalty.rules.accrual_steps import CREDITED, LOST, takes_credited_points
from loyalty.rules.archive import ArchiveCause
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.errors import LoyaltyError
from loyalty.rules.ids import CustomerId, PurchaseId
from loyalty.rules.paid_facts import count_paid
from loyalty.rules.purchase import (
    ENDED,
    PurchaseFacts,
    PurchaseLine,
    PurchaseStatus,
    next_generation,
    reactivates,
)
from loyalty.rules.purchase_report import AppliedReport, moment_of
from loyalty.rules.refund import Refund, Refundable, refuse_below_refunds
from loyalty.rules.tiers import TierChangeCause
from loyalty.services.batch import LateRefusals, yield_slices
from loyalty.services.payments import read_named_payments, refuse_above_total, refuse_named_payments
from loyalty.services.points_paid import Payable, profiles_of_payers, read_payments, settle_points
from loyalty.services.profile import open_customers
from loyalty.services.purchase_recording import PurchaseRecording, RecordedPurchase, mark_state
from loyalty.services.revaluation import VALUED_FACTS, FrozenRules, may_be_revalued, read_frozen_rules, revalue
from loyalty.services.world import World
from loyalty.storage.accounts import LockedCustomer
from loyalty.storage.accruals import AccrualRow, read_accruals_by_id
from loyalty.storage.documents import to_document
from loyalty.storage.points_paid import PaidWithPoints, PurchaseKey
from loyalty.storage.purchase_preparation import KnownPurchase
from loyalty.storage.purchases import PurchaseRow, facts_document
from loyalty.storage.refunds import read_refunds
from loyalty.storage.tiers import TierChangeRow
from permissions.actor import Actor
from tenancy.database import Transaction
from tenancy.retry import StaleRead


class RecordingItem(NamedTuple):
    """One item that is new: what is reported, what was known, and what is known after it."""

    recording: PurchaseRecording
    fingerprint: str
    known: KnownPurchase
    news: AppliedReport
    status: PurchaseStatus


@dataclass(frozen=True, slots=True)
class PurchaseDraft:
    """One item that will be booked: the facts as they are now, what was known before, and whose it is."""

    item: RecordingItem
    facts: PurchaseFacts
    customer_id: CustomerId
    refunds: Sequence[Refund]
    frozen: FrozenRules | None

    @property
    def before(self) -> PurchaseRow | None:
        """The purchase as it was before this report."""
        return self.item.known.purchase


async def book_items(
    world: World, actor: Actor, tx: Transaction, program: CompiledProgram, items: dict[int, RecordingItem]
) -> dict[int, RecordedPurchase]:
    """Open the customers of all items, book one after another, and write them together.

    Raises LateRefusals with every item that is refused only now, so that one more attempt is enough.
    """
    paying = {position: _key_of(item) for position, item in items.items() if _is_paid_with_points(item.known)}
    payers = profiles_of_payers([items[position].known.paid for position in paying])
    # Of several profiles of one customer the later one wins, and a payer's says nothing.
    profiles = [*payers, *(item.recording.customer for item in items.values())]
    opened = await open_customers(tx, profiles, world.now(program))
    await _refuse_stale_accruals(tx, items)
    paid = await read_payments(tx, paying, opened)
    named = await read_named_payments(tx, [item.news for item in items.values()])
    # The time is taken under the locks: the entries of one account are in the order of their time.
    book = Book(program, actor, world.now(program))
    await _load_lots_to_take_back(tx, book, items, opened)
    refunds = await _read_refunds(tx, items)
    frozen = await _frozen_rules(tx, program, items)
    booked: dict[int, RecordedPurchase] = {}
    late: dict[int, LoyaltyError] = {}
    categories: dict[CustomerId, str | None] = {}
    _open_payers(book, opened, payers)
    async for position, item in yield_slices(items.items()):
        locked = opened[item.recording.customer.external_id]
        # An item is judged by the profile as it was before it, with what it tells itself; not by what later ones tell.
        told, customer_id = item.recording.customer.category, CustomerId(locked.profile.id)
        known_category = categories.get(customer_id, item.known.customer_category)
        categories[customer_id] = known_category if told is None else told
        # Kept with the facts, so that what was evaluated can be evaluated again.
        facts = replace(item.news.facts, customer_category=categories[customer_id])
        book.open(locked)
        draft = PurchaseDraft(item, facts, customer_id, refunds.get(position, ()), frozen.get(position))
        try:
            _refuse_below_refunds(draft)
            refuse_named_payments(item.news, named)
            if item.status in ENDED and position in paid:
                booked[position] = await _call_off(tx, book, draft, paid[position])
            else:
                booked[position] = await _book_settled(tx, book, draft, paid.get(position))
        except LoyaltyError as refusal:
            late[position] = refusal
    if late:
        raise LateRefusals(late)
    await post(tx, book.finish())
    return {
        position: recorded._replace(customer=book.customer(CustomerId(recorded.purchase.customer_id)))
        async for position, recorded in yield_slices(booked.items())
    }


def _is_paid_with_points(known: KnownPurchase) -> bool:
    """Whether points pay for a purchase, or did until a part of it was refunded."""
    had_paid = known.purchase is not None and known.purchase.refunded_minor and known.checkout_version
    return bool(known.paid.owner_ids or had_paid)


def _key_of(item: RecordingItem) -> PurchaseKey:
    return PurchaseKey(item.news.facts.kind, item.news.facts.external_id)


def _open_payers(book: Book, opened: dict[str, LockedCustomer], payers: Sequence[CustomerProfile]) -> None:
    for payer in payers:
        book.open(opened[payer.external_id])


async def _book_settled(
    tx: Transaction, book: Book, draft: PurchaseDraft, paid: PaidWithPoints | None
) -> RecordedPurchase:
    """Book one item after the points that pay for it; mostly there are none, and then this takes no statement.

    They follow the report first, so that what the purchase earns is valued as it is after that.
    """
    item, key = draft.item, _key_of(draft.item)
    # No hold may have changed what pays since that was read.
    book.posting.add(SeenCheckout(key.kind, key.external_id, item.known.checkout_version))
    if paid is None:
        return _book(book, _count_paid(draft, 0))
    total_minor = draft.facts.total.amount_minor
    purchase = Payable(key, draft.customer_id, total_minor, item.status, is_new=item.known.purchase is None)
    settled, left = await settle_points(tx, book, purchase, paid)
    # What went back for a refund had paid for the refunded part, which is still among the facts.
    paid_minor = left.discount_minor + paid.given_back.discount_minor
    return _book(book, _count_paid(draft, paid_minor))._replace(settled=settled)


def _count_paid(draft: PurchaseDraft, points_minor: int) -> PurchaseDraft:
    """The draft with what points and cards pay. Refuses payments that are more than the total, where they are told."""
    cards, refunded_minor = draft.item.known.cards, draft.before.refunded_minor if draft.before else 0
    told = draft.item.news.changed
    if not {"total", "payments"}.isdisjoint(told):
        path = ("payments",) if "payments" in told else ("total",)
        refuse_above_total(draft.facts, points_minor, cards, path)
    return replace(draft, facts=count_paid(draft.facts, points_minor, cards, refunded_minor))


async def _call_off(tx: Transaction, book: Book, draft: PurchaseDraft, paid: PaidWithPoints) -> RecordedPurchase:
    """Book the end of a purchase that was paid with points.

    They come back first, so that what the purchase earned can be taken from them; both are one movement for the tier.
    """
    with book.tiers.settle_once(draft.customer_id):
        recorded = await _book_settled(tx, book, draft, paid)
    change = book.tiers.change(draft.customer_id, TierChangeCause.REVERSAL, recorded.purchase.id)
    return recorded._replace(tier_change=recorded.tier_change or change)


async def _refuse_stale_accruals(tx: Transaction, items: dict[int, RecordingItem]) -> None:
    """Raise StaleRead when an accrual was moved before its account was locked: under the lock nobody moves it."""
    known = {item.known.accrual.id: item.known.accrual for item in items.values() if item.known.accrual}
    if known and await read_accruals_by_id(tx, list(known)) != known:
        raise StaleRead


async def _read_refunds(tx: Transaction, items: dict[int, RecordingItem]) -> dict[int, Sequence[Refund]]:
    """The refunds of purchases; mostly there are none, and then no statement."""
    refunded = {
        position: item.known.purchase.id
        for position, item in items.items()
        if item.known.purchase and item.known.was_refunded
    }
    if not refunded:
        return {}
    found = await read_refunds(tx, list(refunded.values()))
    return {position: [row.refund for row in found[purchase_id]] for position, purchase_id in refunded.items()}


def _refuse_below_refunds(draft: PurchaseDraft) -> None:
    """What was refunded stays refunded, so the total and the lines must go on covering it."""
    facts = draft.facts
    if draft.refunds and not {"total", "lines"}.isdisjoint(draft.item.news.changed):
        purchase = Refundable(facts.total.amount_minor, facts.lines, facts.total.currency)
        sent = choose_given_or_known(draft.item.recording.report.lines, ())
        refuse_below_refunds(purchase, draft.refunds, sent or ())


async def _load_lots_to_take_back(
    tx: Transaction, book: Book, items: dict[int, RecordingItem], opened: dict[str, LockedCustomer]
) -> None:
    """The open lots of customers from whom credited points are taken back; mostly nobody, and then no statement."""
    externals = {
        item.recording.customer.external_id
        for item in items.values()
        if _takes_back(item) or (_is_revalued(item) and _is_credited(item))
    }
    if not externals:
        return
    await bring_open_lots(tx, book, [book.open(opened[external_id]) for external_id in externals])


async def _frozen_rules(
    tx: Transaction, program: CompiledProgram, items: dict[int, RecordingItem]
) -> dict[int, FrozenRules]:
    """The rules that changed purchases were evaluated with; mostly nothing has changed, and then no statement."""
    changed = {
        position: (item.known.accrual, item.news.facts)
        for position, item in items.items()
        if item.known.accrual and _is_revalued(item)
    }
    if not changed:
        return {}
    found = await read_frozen_rules(tx, program, list(changed.values()))
    return {position: found[accrual.id] for position, (accrual, _) in changed.items()}


def _is_revalued(item: RecordingItem) -> bool:
    """Whether a report changes what rules look at, after the purchase was evaluated."""
    accrual, before = item.known.accrual, item.known.purchase
    if accrual is None or before is None or not may_be_revalued(accrual, item.status):
        return False
    changed = not VALUED_FACTS.isdisjoint(item.news.changed) or reactivates(before.status, item.status)
    # What points pay may follow the report; where nothing comes of it, the valuation stays.
    is_paid = bool(item.known.paid.owner_ids) or bool(item.known.cards.gross_minor)
    return changed or is_paid or bool(accrual.points_paid_minor) or bool(accrual.cards_paid_minor)


def _is_credited(item: RecordingItem) -> bool:
    return item.known.accrual is not None and item.known.accrual.state in CREDITED


def _takes_back(item: RecordingItem) -> bool:
    accrual = item.known.accrual
    return accrual is not None and takes_credited_points(accrual.policy, accrual.state, item.status)


def _book(book: Book, draft: PurchaseDraft) -> RecordedPurchase:
    """Book one item: the purchase at its next version, the fact behind it, and what it earns the first time."""
    purchase = _next_version(book, draft)
    if purchase.status not in ENDED:
        bring_back(book, draft.customer_id, ArchiveCause.PURCHASE, purchase.id)
    book.posting.add(purchase)
    book.posting.add(_build_fact(book, draft, purchase))
    accrual, change = _book_accrual(book, draft, purchase)
    return RecordedPurchase(purchase, accrual, book.customer(draft.customer_id), change, replayed=False)


def _build_fact(book: Book, draft: PurchaseDraft, purchase: PurchaseRow) -> PurchaseFact:
    """The report as it is kept: what was sent, by whom, and what was known after it."""
    recording = draft.item.recording
    return PurchaseFact(
        purchase_id=purchase.id,
        version=purchase.version,
        fingerprint=draft.item.fingerprint,
        status=purchase.status,
        facts=facts_document(replace(draft.facts, lines=_choose_told_lines(draft))),
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
    """Book what a purchase earns: the first time, anew where its facts changed, and what its status does to that."""
    facts, accrual, change = draft.facts, draft.item.known.accrual, None
    policy = book.program.row.settings.accrual
    moment = moment_of(draft.item.recording.report.occurred_at, book.now, policy.latest_report)
    if draft.before and purchase.generation != draft.before.generation:
        accrual = None
    if accrual is None:
        if purchase.generation and is_evaluated_at(policy, facts, purchase.status, book.now):
            return accrue(book, purchase, facts, moment, draft.refunds)
        return None, None
    end_changed = not {"starts_at", "ends_at"}.isdisjoint(draft.item.news.changed)
    if draft.frozen is not None:
        accrual, change = revalue(
            book, accrual, purchase, facts, moment, draft.refunds, draft.frozen, end_changed=end_changed
        )
    accrual, moved = follow(book, accrual, purchase, facts, moment, end_changed=end_changed)
    return accrual, moved or change


def _choose_told_lines(draft: PurchaseDraft) -> tuple[PurchaseLine, ...]:
    """Return the lines of a fact: as they were sent. The purchase keeps them in the order in which it knows them.

    Where a late report tells lines, but a newer one has told others, those of the newer one stay.
    """
    if "lines" not in draft.item.news.changed:
        return draft.facts.lines
    return choose_given_or_known(draft.item.recording.report.lines, draft.facts.lines) or ()


def _next_version(book: Book, draft: PurchaseDraft) -> PurchaseRow:
    facts, before = draft.facts, draft.before
    return PurchaseRow(
        id=before.id if before else PurchaseId(uuid7()),
        kind=facts.kind,
        external_id=facts.external_id,
        customer_id=draft.customer_id,
        status=draft.item.status,
        version=before.version + 1 if before else 1,
        generation=_generation(draft),
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
        evaluates_at=_evaluates_at(book, draft),
        recorded_at=before.recorded_at if before else book.now,
        updated_at=book.now,
    )


def _evaluates_at(book: Book, draft: PurchaseDraft) -> datetime | None:
    """When the sweep will evaluate the rules: only while that waits for the end of the service."""
    facts, status, policy = draft.facts, draft.item.status, book.program.row.settings.accrual
    generation, accrual = _generation(draft), draft.item.known.accrual
    # Generation 0 was called off before anybody had heard of it: it is never evaluated.
    is_evaluated = not generation or (accrual is not None and accrual.generation == generation)
    return choose_sweep_time(policy, facts, status, book.now, is_evaluated=is_evaluated)


def _generation(draft: PurchaseDraft) -> int:
    before, accrual = draft.before, draft.item.known.accrual
    lost = accrual is not None and accrual.state in LOST
    # The lives of a purchase that comes back as somebody else's stay with whom it was recorded for.
    lost = lost or (before is not None and before.customer_id != draft.customer_id)
    known = None if before is None else (before.generation, before.status)
    return next_generation(known, draft.item.status, lost_points=lost)
