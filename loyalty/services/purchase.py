"""Record purchases: apply each report to what is known, post what the rules give, and answer a replay as it stands."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from uuid_utils.compat import uuid7

from loyalty.ledger.book import Book, bring_open_lots, open_book
from loyalty.ledger.posting import post
from loyalty.ledger.program import CompiledProgram
from loyalty.ledger.rows import PurchaseFact, SeenCheckout
from loyalty.rules.absent import given_or_known
from loyalty.rules.accrual import AccrualState, evaluates_at, is_evaluated_at
from loyalty.rules.customer import CustomerProfile, validate_profile
from loyalty.rules.errors import (
    IdempotencyConflict,
    InvalidInput,
    LoyaltyError,
    NotFound,
    Problem,
    PurchaseOfAnotherCustomer,
    refuse_problems,
)
from loyalty.rules.exchange import Exchange, format_rate
from loyalty.rules.ids import AccrualId, CustomerId, PurchaseId, TenantId
from loyalty.rules.purchase import (
    CALLED_OFF,
    ENDED,
    PurchaseFacts,
    PurchaseKind,
    PurchaseLine,
    PurchaseStatus,
    reactivates,
)
from loyalty.rules.purchase_lines import are_same_lines
from loyalty.rules.purchase_report import (
    AppliedReport,
    KnownFacts,
    PurchaseReport,
    check_not_ahead,
    moment_of,
    validate_report,
)
from loyalty.rules.quantity import quantity_document
from loyalty.rules.refund import Refund
from loyalty.rules.report_exchange import convert_report
from loyalty.rules.report_order import Judgement, KnownState, judge_first_report, judge_report
from loyalty.rules.text import check_external_id
from loyalty.rules.tiers import TierChangeCause
from loyalty.services.accrual import CREDITED, accrue, facts_of, follow, may_have_refunds, takes_back
from loyalty.services.batch import LateRefusals, Refused, attempt_batch, yield_slices
from loyalty.services.customer import may_see_customer, visible_rows
from loyalty.services.fingerprint import fingerprint, money_identity
from loyalty.services.points_paid import (
    NOTHING_SETTLED,
    Payable,
    SettledPoints,
    profiles_of_payers,
    read_payments,
    read_settled,
    settle_points,
)
from loyalty.services.profile import profile_rows, refresh_profiles
from loyalty.services.program import program_at, program_in_force
from loyalty.services.revaluation import VALUED_FACTS, FrozenRules, may_be_revalued, read_frozen_rules, revalue
from loyalty.services.sweep import NOTHING_SWEPT, Swept
from loyalty.services.world import World
from loyalty.storage.accounts import LockedCustomer, open_accounts
from loyalty.storage.customers import CustomerRow, read_customers_by_id
from loyalty.storage.documents import from_optional, read_lines, to_document
from loyalty.storage.points_paid import PaidWithPoints, PurchaseKey
from loyalty.storage.purchases import (
    AccrualRow,
    FormerValuationRow,
    KnownPurchase,
    PurchaseRow,
    RefundRow,
    WantedPurchase,
    facts_document,
    prepare_recording,
    read_accruals,
    read_accruals_by_id,
    read_due_evaluations,
    read_former_valuations,
    read_purchase_by_key,
    read_purchases_by_id,
    read_refunds,
    told_times,
)
from loyalty.storage.tiers import TierChangeRow, read_tier_changes
from permissions.actor import Actor, system_actor
from permissions.catalog import Permission
from permissions.policy import require, require_any
from tenancy.database import Transaction
from tenancy.retry import StaleRead, retry_transaction

MAX_BATCH = 1_000
SWEEP_BATCH = 500
SUBJECT = "worker:evaluation"
MAX_REPORTS_OF_ONE_PURCHASE = 100
"""In one batch: each further report is a transaction of its own."""


class PurchaseRecording(NamedTuple):
    """What a caller reports about one purchase: what was sent of its facts, how far it has come, and whose it is.

    ``idempotency_key`` names this report among those of the purchase.
    """

    report: PurchaseReport
    status: PurchaseStatus
    customer: CustomerProfile
    idempotency_key: str | None = None

    def fingerprint(self) -> str:
        """What identifies this report: facts, status and whose it is, not how the customer is described."""
        return fingerprint(self._identity(), taken_away=self.report.taken_away() or None)

    def former_fingerprint(self) -> str:
        """The fingerprint that the first release gave it, which took null for absent."""
        return fingerprint(self._identity())

    def _identity(self) -> list[Any]:
        return [_report_identity(self.report), self.status, self.customer.external_id]


class RecordedPurchase(NamedTuple):
    """The answer to one recording; the same again for a replay."""

    purchase: PurchaseRow
    accrual: AccrualRow | None
    customer: CustomerRow
    tier_change: TierChangeRow | None
    replayed: bool
    settled: SettledPoints = NOTHING_SETTLED


RecordingResult = RecordedPurchase | LoyaltyError


async def record_purchase(world: World, actor: Actor, recording: PurchaseRecording) -> RecordedPurchase:
    """Record one purchase; raises the refusal when it is refused, and nothing is left of it then."""
    (result,) = await record_purchases(world, actor, [recording])
    if isinstance(result, LoyaltyError):
        raise result
    return result


async def record_purchases(
    world: World, actor: Actor, recordings: Sequence[PurchaseRecording]
) -> list[RecordingResult]:
    """Record up to ``MAX_BATCH`` purchases; one result per item, in their order. A refused item harms no other."""
    require(actor, Permission.PURCHASES_RECORD)
    if not 1 <= len(recordings) <= MAX_BATCH:
        raise InvalidInput.one("items", reason=f"must have between 1 and {MAX_BATCH} items")
    results: list[RecordingResult | None] = [_refusal_of_input(one) async for one in yield_slices(recordings)]
    for wave in _waves(recordings, results):
        reports = [recordings[position] for position in wave]
        recorded = await attempt_batch(partial(_record_wave, world, actor, reports), {})
        for position, result in zip(wave, recorded, strict=True):
            results[position] = result
    return [result for result in results if result is not None]


async def find_purchase(
    world: World, actor: Actor, *, purchase_id: PurchaseId | None, key: tuple[PurchaseKind, str] | None
) -> PurchaseRow | None:
    """A purchase by id or by natural key; a customer finds only their own."""
    require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        found = (
            await read_purchase_by_key(tx, *key)
            if key
            else (await read_purchases_by_id(tx, [purchase_id])).get(purchase_id)
            if purchase_id
            else None
        )
    return found if found and may_see_customer(actor, found.customer_id) else None


async def load_purchases(world: World, actor: Actor, ids: Sequence[PurchaseId]) -> dict[PurchaseId, PurchaseRow]:
    """The purchases among ``ids`` that the actor may see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.SELF_READ)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        found = await read_purchases_by_id(tx, ids)
    return visible_rows(actor, found)


async def load_accruals(world: World, actor: Actor, purchase_ids: Sequence[PurchaseId]) -> dict[PurchaseId, AccrualRow]:
    """The newest accrual of each purchase that the actor may see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        found = await read_accruals(tx, purchase_ids)
    return visible_rows(actor, found)


async def load_accruals_by_id(world: World, actor: Actor, ids: Sequence[AccrualId]) -> dict[AccrualId, AccrualRow]:
    """The accruals among ``ids`` that the actor may see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        found = await read_accruals_by_id(tx, ids)
    return visible_rows(actor, found)


async def evaluate_due(world: World, tenant_id: TenantId) -> Swept:
    """Evaluate the rules for up to ``SWEEP_BATCH`` purchases whose service has ended."""
    return await retry_transaction(lambda: _evaluate_batch(world, tenant_id))


async def load_refunds(
    world: World, actor: Actor, purchase_ids: Sequence[PurchaseId]
) -> dict[PurchaseId, list[RefundRow]]:
    """The refunds of each purchase that the actor may see, in the order they came."""
    require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        found = await read_refunds(tx, purchase_ids)
    return {
        purchase_id: [row for row in rows if may_see_customer(actor, row.customer_id)]
        for purchase_id, rows in found.items()
    }


async def load_former_valuations(
    world: World, actor: Actor, accrual_ids: Sequence[AccrualId]
) -> dict[AccrualId, list[FormerValuationRow]]:
    """The former valuations of each accrual that the actor may see, newest first."""
    require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        found = await read_former_valuations(tx, accrual_ids)
    return {
        accrual_id: [row for row in rows if may_see_customer(actor, row.customer_id)]
        for accrual_id, rows in found.items()
    }


# ── what can be refused before the database is asked ─────────────────────────────────────────────────────────────


def _refusal_of_input(recording: PurchaseRecording) -> InvalidInput | None:
    problems = [
        *validate_report(recording.report),
        *(Problem(("customer", *path), reason) for path, reason in validate_profile(recording.customer)),
    ]
    if recording.idempotency_key is not None:
        key_problem = check_external_id(recording.idempotency_key, ("idempotency_key",))
        problems += [key_problem] if key_problem else []
    return InvalidInput(problems) if problems else None


def _waves(recordings: Sequence[PurchaseRecording], results: list[RecordingResult | None]) -> list[list[int]]:
    """Split a batch so that no purchase stands twice in one wave: two facts about one purchase follow one another.

    The items of one customer keep their order. Items that have a result already are left out; too many reports of one
    purchase get their refusal here.
    """
    waves: list[list[int]] = []
    reports: Counter[tuple[PurchaseKind, str]] = Counter()
    next_wave: dict[tuple[PurchaseKind, str], int] = {}
    wave_of_customer: dict[str, int] = {}
    for position, recording in enumerate(recordings):
        if results[position] is not None:
            continue
        key, customer = (recording.report.kind, recording.report.external_id), recording.customer.external_id
        if reports[key] == MAX_REPORTS_OF_ONE_PURCHASE:
            reason = f"stands in the batch more than {MAX_REPORTS_OF_ONE_PURCHASE} times"
            results[position] = InvalidInput.one("external_id", reason=reason)
            continue
        reports[key] += 1
        number = max(next_wave.get(key, 0), wave_of_customer.get(customer, 0))
        next_wave[key], wave_of_customer[customer] = number + 1, number
        if number == len(waves):
            waves.append([])
        waves[number].append(position)
    return waves


# ── one transaction ──────────────────────────────────────────────────────────────────────────────────────────────


async def _record_wave(
    world: World, actor: Actor, wave: Sequence[PurchaseRecording], refused: Refused
) -> list[RecordingResult]:
    marks = [recording.fingerprint() async for recording in yield_slices(wave)]
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        wanted = [_wanted(actor, *one) async for one in yield_slices(zip(wave, marks, strict=True))]
        context = await prepare_recording(tx, wanted)
        if context is None:
            raise NotFound("program")
        program = await program_at(world, tx, context.config_version)
        now = world.now(program)
        results: dict[int, RecordingResult] = dict(refused)
        replays: dict[int, KnownPurchase] = {}
        items: dict[int, _Item] = {}
        async for position, (recording, known) in yield_slices(enumerate(zip(wave, context.known, strict=True))):
            if position in results:
                continue
            try:
                judged = _judge(recording, marks[position], known, program, now)
            except LoyaltyError as refusal:
                results[position] = refusal
                continue
            if judged.news is None:
                replays[position] = known
            else:
                told = recording._replace(report=_in_program_currency(recording.report, known, program))
                items[position] = _Item(told, marks[position], known, judged.news, judged.status)
        if replays:
            results |= await _answer_replays(tx, replays)
            results |= await _refresh_replays(world, actor, tx, program, wave, replays, results)
        if items:
            results |= await _book_items(world, actor, tx, program, items)
    return [results[position] for position in range(len(wave))]


def _wanted(actor: Actor, recording: PurchaseRecording, mark: str) -> WantedPurchase:
    return WantedPurchase(
        recording.report.kind,
        recording.report.external_id,
        mark,
        recording.former_fingerprint(),
        recording.idempotency_key,
        actor.client,
        recording.status,
        recording.customer.external_id,
    )


def _judge(
    recording: PurchaseRecording, mark: str, known: KnownPurchase, program: CompiledProgram, now: datetime
) -> Judgement:
    """Say what becomes of a report. Refused in this order: customer, key, replay, time, currency, what goes before."""
    report, purchase = recording.report, known.purchase
    if purchase is not None and not known.is_theirs and not _changes_hands(recording, known, purchase):
        raise PurchaseOfAnotherCustomer(("customer", "external_id"))
    if known.keyed is not None and recording.idempotency_key is not None:
        if known.keyed.fingerprint != mark:
            raise IdempotencyConflict(recording.idempotency_key)
        return Judgement(None, recording.status)
    is_keyed = recording.idempotency_key is not None
    if purchase is not None and known.fact and known.fact.version == purchase.version and not is_keyed:
        return Judgement(None, purchase.status)
    refuse_problems([check_not_ahead(report.occurred_at, now)])
    report = _in_program_currency(report, known, program)
    if purchase is None:
        return judge_first_report(report, recording.status)
    judged = judge_report(
        report,
        recording.status,
        known_state(purchase, now),
        is_keyed=is_keyed,
        sent_before=known.fact is not None,
        is_earlier_state=lambda facts, status: _state_mark(facts, status) in known.earlier_states,
    )
    if judged.news is not None:
        _refuse_change_after_refund(judged.news, purchase)
    return judged


def _in_program_currency(report: PurchaseReport, known: KnownPurchase, program: CompiledProgram) -> PurchaseReport:
    exchange = from_optional(Exchange, known.purchase.exchange) if known.purchase else None
    return convert_report(report, program.row.currency, exchange)


def _changes_hands(recording: PurchaseRecording, known: KnownPurchase, purchase: PurchaseRow) -> bool:
    """Whether a purchase that was called off may come back to life as somebody else's: nothing is left of it."""
    lost = known.accrual is None or known.accrual.state in (AccrualState.VOIDED, AccrualState.REVERSED)
    untouched = not purchase.refunded_minor and not known.paid.owner_ids
    return bool(purchase.generation) and lost and untouched and reactivates(purchase.status, recording.status)


def _refuse_change_after_refund(news: AppliedReport, purchase: PurchaseRow) -> None:
    """What was refunded in parts is told by the total and the lines, so they stay as they are from then on."""
    if not purchase.refunded_minor:
        return
    if "total" in news.changed:
        raise InvalidInput.one("total", reason="must not change once a part was refunded")
    if not are_same_lines(_known_lines(purchase), news.facts.lines):
        raise InvalidInput.one("lines", reason="must not change once a part was refunded")


def _known_lines(purchase: PurchaseRow) -> tuple[PurchaseLine, ...]:
    return read_lines(purchase.lines)


def known_state(purchase: PurchaseRow, now: datetime) -> KnownState:
    """What is known of a purchase, as the rules see it.

    A time that lies in the future, as an earlier release let pass, is none: it would make every later report late.
    """
    facts = facts_of(purchase, None, 0)
    if check_not_ahead(facts.occurred_at, now):
        facts = replace(facts, occurred_at=None)
    return KnownState(KnownFacts(facts, told_times(purchase)), purchase.status, purchase.generation)


async def _answer_replays(tx: Transaction, replays: dict[int, KnownPurchase]) -> dict[int, RecordingResult]:
    purchases = {position: known.purchase for position, known in replays.items() if known.purchase}
    customers = await read_customers_by_id(tx, [purchase.customer_id for purchase in purchases.values()])
    changes = await read_tier_changes(tx, [purchase.id for purchase in purchases.values()])
    # A purchase may change the tier several times; each fact answers with the change it made itself.
    by_fact: dict[Any, TierChangeRow] = {(change.cause_id, change.changed_at): change for change in changes}
    settled = {
        position: await read_settled(tx, PurchaseKey(known.purchase.kind, known.purchase.external_id), moment)
        for position, known in replays.items()
        if known.purchase and known.checkout_version and (moment := _recorded_at(known))
    }
    return {
        position: RecordedPurchase(
            purchase=purchase,
            accrual=replays[position].accrual,
            customer=customers[purchase.customer_id],
            tier_change=by_fact.get((purchase.id, _recorded_at(replays[position]))),
            replayed=True,
            settled=settled.get(position, NOTHING_SETTLED),
        )
        for position, purchase in purchases.items()
    }


async def _refresh_replays(
    world: World,
    actor: Actor,
    tx: Transaction,
    program: CompiledProgram,
    wave: Sequence[PurchaseRecording],
    replays: dict[int, KnownPurchase],
    results: Mapping[int, RecordingResult],
) -> dict[int, RecordingResult]:
    """The replays whose profile says something that is not known: the fact is old, what it says of the person is not.

    Unless the profile tells its own time, it is as old as the fact that is repeated, so a late retry undoes nothing.
    """
    news: dict[int, CustomerProfile] = {}
    for position, known in replays.items():
        result, profile = results.get(position), wave[position].customer
        if isinstance(result, RecordedPurchase) and _tells_more(profile, result.customer):
            news[position] = replace(profile, as_of=profile.as_of or _recorded_at(known))
    if not news:
        return {}
    refreshed = await refresh_profiles(tx, program, actor, news.values(), world.now(program))
    changed: dict[int, RecordingResult] = {}
    for position, profile in news.items():
        result = results[position]
        if isinstance(result, RecordedPurchase):
            changed[position] = result._replace(customer=refreshed[profile.external_id])
    return changed


def _tells_more(profile: CustomerProfile, customer: CustomerRow) -> bool:
    told = profile.told_values()
    if told.get("email"):
        told["email"] = told["email"].lower()
    # A name that was never told is stored as an empty one.
    known = {name: None if (value := getattr(customer, name)) == "" else value for name in told}
    return told != known


def _recorded_at(known: KnownPurchase) -> datetime | None:
    """When the fact that a replay repeats was recorded."""
    fact = known.keyed or known.fact
    return fact.recorded_at if fact else None


class _Item(NamedTuple):
    """One item that is new: what is reported, what was known, and what is known after it."""

    recording: PurchaseRecording
    fingerprint: str
    known: KnownPurchase
    news: AppliedReport
    status: PurchaseStatus


@dataclass(frozen=True, slots=True)
class _Draft:
    """One item that will be booked: the facts as they are now, what was known before, and whose it is."""

    item: _Item
    facts: PurchaseFacts
    customer_id: CustomerId
    refunds: Sequence[Refund]
    frozen: FrozenRules | None

    @property
    def before(self) -> PurchaseRow | None:
        """The purchase as it was before this report."""
        return self.item.known.purchase


async def _book_items(
    world: World, actor: Actor, tx: Transaction, program: CompiledProgram, items: dict[int, _Item]
) -> dict[int, RecordedPurchase]:
    """Open the customers of all items, book one after another, and write them together.

    Raises LateRefusals with every item that is refused only now, so that one more attempt is enough.
    """
    paying = {position: _key_of(item) for position, item in items.items() if _is_paid_with_points(item.known)}
    payers = profiles_of_payers([items[position].known.paid for position in paying])
    # Of several profiles of one customer the later one wins, and a payer's says nothing.
    profiles = profile_rows([*payers, *(item.recording.customer for item in items.values())], world.now(program))
    opened = await open_accounts(tx, profiles)
    await _refuse_stale_accruals(tx, items)
    paid = await read_payments(tx, paying, opened)
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
        draft = _Draft(item, facts, customer_id, refunds.get(position, ()), frozen.get(position))
        try:
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


def _key_of(item: _Item) -> PurchaseKey:
    return PurchaseKey(item.news.facts.kind, item.news.facts.external_id)


def _open_payers(book: Book, opened: dict[str, LockedCustomer], payers: Sequence[CustomerProfile]) -> None:
    for payer in payers:
        book.open(opened[payer.external_id])


async def _book_settled(tx: Transaction, book: Book, draft: _Draft, paid: PaidWithPoints | None) -> RecordedPurchase:
    """Book one item after the points that pay for it; mostly there are none, and then this takes no statement.

    They follow the report first, so that what the purchase earns is valued as it is after that.
    """
    item, key = draft.item, _key_of(draft.item)
    if paid is None:
        # Nobody may have begun to pay since that was read.
        book.posting.add(SeenCheckout(key.kind, key.external_id, item.known.checkout_version))
        return _book(book, draft)
    total_minor = draft.facts.total.amount_minor
    purchase = Payable(key, draft.customer_id, total_minor, item.status, is_new=item.known.purchase is None)
    settled, left = await settle_points(tx, book, purchase, paid)
    # What went back for a refund had paid for the refunded part, which is still among the facts.
    paid_minor = left.discount_minor + paid.given_back.discount_minor
    draft = replace(draft, facts=replace(draft.facts, points_paid_minor=paid_minor))
    return _book(book, draft)._replace(settled=settled)


async def _call_off(tx: Transaction, book: Book, draft: _Draft, paid: PaidWithPoints) -> RecordedPurchase:
    """Book the end of a purchase that was paid with points.

    They come back first, so that what the purchase earned can be taken from them; both are one movement for the tier.
    """
    with book.tiers.settle_once(draft.customer_id):
        recorded = await _book_settled(tx, book, draft, paid)
    change = book.tiers.change(draft.customer_id, TierChangeCause.REVERSAL, recorded.purchase.id)
    return recorded._replace(tier_change=recorded.tier_change or change)


async def _refuse_stale_accruals(tx: Transaction, items: dict[int, _Item]) -> None:
    """Raise StaleRead when an accrual was moved before its account was locked: under the lock nobody moves it."""
    known = {item.known.accrual.id: item.known.accrual for item in items.values() if item.known.accrual}
    if known and await read_accruals_by_id(tx, list(known)) != known:
        raise StaleRead


async def _read_refunds(tx: Transaction, items: dict[int, _Item]) -> dict[int, Sequence[Refund]]:
    """The refunds of purchases that may be evaluated only now; mostly there are none, and then no statement."""
    refunded = {
        position: item.known.purchase.id
        for position, item in items.items()
        if item.known.purchase and may_have_refunds(item.known.purchase)
    }
    if not refunded:
        return {}
    found = await read_refunds(tx, list(refunded.values()))
    return {position: [row.refund for row in found[purchase_id]] for position, purchase_id in refunded.items()}


async def _load_lots_to_take_back(
    tx: Transaction, book: Book, items: dict[int, _Item], opened: dict[str, LockedCustomer]
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


async def _evaluate_batch(world: World, tenant_id: TenantId) -> Swept:
    async with world.database.tenant_transaction(tenant_id) as tx:
        program = await program_in_force(world, tx, even_when_off=True)
        seen = await read_due_evaluations(tx, world.now(program), SWEEP_BATCH)
        if not seen:
            return NOTHING_SWEPT
        buyers = [purchase.customer_id for purchase, _ in seen]
        book = await open_book(world, tx, program, system_actor(tenant_id, SUBJECT), buyers)
        # Read again under the locks: what was called off meanwhile is not evaluated any more.
        now = await read_purchases_by_id(tx, [purchase.id for purchase, _ in seen])
        due = [(purchase, paid) for purchase, paid in seen if now[purchase.id] == purchase]
        refunds = await read_refunds(tx, [purchase.id for purchase, _ in due if may_have_refunds(purchase)])
        for purchase, points_paid_minor in due:
            category = book.accounts.profile(purchase.customer_id).category
            facts = facts_of(purchase, category, points_paid_minor)
            policy = program.row.settings.accrual
            moment = moment_of(purchase.evaluates_at, book.now, policy.latest_report)
            accrue(book, purchase, facts, moment, [row.refund for row in refunds.get(purchase.id, ())])
            book.posting.move(purchase._replace(evaluates_at=None), seen=purchase)
        await post(tx, book.finish())
    return Swept(len(due))


async def _frozen_rules(tx: Transaction, program: CompiledProgram, items: dict[int, _Item]) -> dict[int, FrozenRules]:
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


def _is_revalued(item: _Item) -> bool:
    """Whether a report changes what rules look at, after the purchase was evaluated."""
    accrual, before = item.known.accrual, item.known.purchase
    if accrual is None or before is None or not may_be_revalued(accrual, item.status):
        return False
    changed = not VALUED_FACTS.isdisjoint(item.news.changed) or reactivates(before.status, item.status)
    # What points pay may follow the report; where nothing comes of it, the valuation stays.
    return changed or bool(accrual.points_paid_minor) or bool(item.known.paid.owner_ids)


def _is_credited(item: _Item) -> bool:
    return item.known.accrual is not None and item.known.accrual.state in CREDITED


def _takes_back(item: _Item) -> bool:
    return takes_back(item.known.accrual, item.status)


def _book(book: Book, draft: _Draft) -> RecordedPurchase:
    """Book one item: the purchase at its next version, the fact behind it, and what it earns the first time."""
    purchase = _next_version(book, draft)
    book.posting.add(purchase)
    book.posting.add(
        PurchaseFact(
            purchase_id=purchase.id,
            version=purchase.version,
            fingerprint=draft.item.fingerprint,
            status=purchase.status,
            # As it was sent: the purchase keeps its lines in the order in which it knows them.
            facts=facts_document(
                replace(draft.facts, lines=given_or_known(draft.item.recording.report.lines, draft.facts.lines))
            ),
            recorded_at=book.now,
            recorded_by=book.actor.subject,
            report_key=draft.item.recording.idempotency_key,
            report_client=book.actor.client if draft.item.recording.idempotency_key else None,
            state_mark=_state_mark(draft.facts, purchase.status),
        ),
    )
    facts, accrual, change = draft.facts, draft.item.known.accrual, None
    policy = book.program.row.settings.accrual
    moment = moment_of(draft.item.recording.report.occurred_at, book.now, policy.latest_report)
    if draft.before and purchase.generation != draft.before.generation:
        accrual = None
    if accrual is not None:
        end_changed = not {"starts_at", "ends_at"}.isdisjoint(draft.item.news.changed)
        if draft.frozen is not None:
            accrual, change = revalue(
                book, accrual, purchase, facts, moment, draft.refunds, draft.frozen, end_changed=end_changed
            )
        accrual, moved = follow(book, accrual, purchase, facts, moment, end_changed=end_changed)
        change = moved or change
    elif purchase.generation and is_evaluated_at(policy, facts, purchase.status, book.now):
        accrual, change = accrue(book, purchase, facts, moment, draft.refunds)
    return RecordedPurchase(purchase, accrual, book.customer(draft.customer_id), change, replayed=False)


def _next_version(book: Book, draft: _Draft) -> PurchaseRow:
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


def _evaluates_at(book: Book, draft: _Draft) -> datetime | None:
    """When the sweep will evaluate the rules: only while that waits for the end of the service."""
    facts, status, policy = draft.facts, draft.item.status, book.program.row.settings.accrual
    generation, accrual = _generation(draft), draft.item.known.accrual
    is_evaluated = accrual is not None and accrual.generation == generation
    if not generation or is_evaluated or is_evaluated_at(policy, facts, status, book.now):
        return None
    return evaluates_at(policy, facts, status)


def _generation(draft: _Draft) -> int:
    """A purchase that comes back to life after its points were taken earns anew, as its next generation.

    Generation 0 is that of a purchase that was called off before anybody had heard of it: a late report of how it began
    fills in its facts, and only one that tells a later time brings it to life (C-20).
    """
    before, accrual, status = draft.before, draft.item.known.accrual, draft.item.status
    if before is None:
        return 0 if status in CALLED_OFF else 1
    if before.generation == 0:
        return 1 if reactivates(before.status, status) else 0
    lost = accrual is not None and accrual.state in (AccrualState.VOIDED, AccrualState.REVERSED)
    return before.generation + 1 if lost and reactivates(before.status, status) else before.generation


def _report_identity(report: PurchaseReport) -> dict[str, Any]:
    """What identifies a report; a field that is added later stands here only when it is given.

    What was not sent stands here as the first release wrote it, which had no way to leave a field out.
    """
    given = report.given()
    total = given.get("total")
    return {
        "kind": report.kind,
        "external_id": report.external_id,
        "total": total and money_identity(total),
        "lines": [_line_identity(line) for line in given.get("lines") or ()],
        "location": given.get("location"),
        "staff": given.get("staff"),
        "booked_at": given.get("booked_at"),
        "starts_at": given.get("starts_at"),
        "ends_at": given.get("ends_at"),
        "customer_category": None,
        "occurred_at": report.occurred_at,
        "points_paid_minor": 0,
        **({} if report.exchange_rate is None else {"exchange_rate": format_rate(report.exchange_rate)}),
    }


def _state_mark(facts: PurchaseFacts, status: PurchaseStatus) -> str:
    """What identifies what is known after a report, whenever it came about."""
    return fingerprint([_report_identity(PurchaseReport.of(replace(facts, occurred_at=None))), status])


def _line_identity(line: PurchaseLine) -> dict[str, Any]:
    return {
        "item": line.item,
        "category": line.category,
        "quantity": quantity_document(line.quantity),
        "unit_price_minor": line.unit_price_minor,
        "discount_minor": line.discount_minor,
        "tax_minor": line.tax_minor,
        "kind": line.kind,
        **({} if line.line_id is None else {"line_id": line.line_id}),
    }
