"""Record purchases: apply each report to the known facts, post the points that the rules give, and answer replays."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from loyalty.ledger.program import CompiledProgram
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.errors import FeatureDisabled, InvalidInput, LoyaltyError, NotFound
from loyalty.rules.ids import AccrualId, PurchaseId
from loyalty.rules.purchase import ENDED, PurchaseKind
from loyalty.services.batch import Refused, attempt_batch, yield_slices
from loyalty.services.customer import may_see_row, visible_lists, visible_rows
from loyalty.services.points_paid import NOTHING_SETTLED, read_settled
from loyalty.services.profile import refresh_profiles
from loyalty.services.program import program_at
from loyalty.services.purchase_batch import name_status, refuse_input, split_into_waves
from loyalty.services.purchase_booking import book_items
from loyalty.services.purchase_draft import RecordingItem
from loyalty.services.purchase_judgement import convert_to_program_currency, judge_in_program
from loyalty.services.purchase_key import settle_keys
from loyalty.services.purchase_location import place_recording
from loyalty.services.purchase_recording import Fingerprints, PurchaseRecording, RecordedPurchase, RecordingResult
from loyalty.services.world import World
from loyalty.storage.accruals import (
    AccrualRow,
    FormerValuationRow,
    read_accruals,
    read_accruals_by_id,
    read_former_valuations,
)
from loyalty.storage.customers import CustomerRow, read_customers_by_id
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.purchase_preparation import KnownPurchase, WantedPurchase, prepare_recording
from loyalty.storage.purchase_relations import MAX_RELATED
from loyalty.storage.purchases import PurchaseRow, read_purchase_by_key, read_purchases_by_id
from loyalty.storage.refunds import RefundRow, read_refunds
from loyalty.storage.tiers import TierChangeRow, read_tier_changes
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import LOYALTY, allows, require, require_any
from tenancy.database import Transaction

MAX_BATCH = 1_000
QUEUES = 2
"""The number of transactions in which single reports of one client are written at once.

All reports of one customer are in one queue.
"""


async def record_purchase(world: World, actor: Actor, recording: PurchaseRecording) -> RecordedPurchase:
    """Record one purchase. A refusal is raised, and then nothing of the report is kept.

    The report may be written together with other reports of the same actor. Each of them gets its own answer.
    """
    _refuse_actor(actor, [recording])
    queue = (actor, hash(recording.customer.external_id) % QUEUES)
    result = await world.groups.join(queue, recording, partial(_record_all, world, actor), recording.list_claims())
    if isinstance(result, LoyaltyError):
        raise result
    return result.as_alone()


async def record_purchases(
    world: World, actor: Actor, recordings: Sequence[PurchaseRecording]
) -> list[RecordingResult]:
    """Record up to ``MAX_BATCH`` purchases. Returns one result per item, in their order.

    A refused item does not affect the others. While the program is off, only the statuses CANCELLED, NO_SHOW and
    REFUNDED are accepted. Raises FeatureDisabled if all items are refused for that.
    """
    _refuse_actor(actor, recordings)
    if not 1 <= len(recordings) <= MAX_BATCH:
        raise InvalidInput.one("items", reason=f"must have between 1 and {MAX_BATCH} items")
    results = await _record_all(world, actor, recordings)
    if all(isinstance(result, FeatureDisabled) for result in results):
        raise FeatureDisabled(LOYALTY)
    return [name_status(result) for result in results]


async def find_purchase(
    world: World, actor: Actor, *, purchase_id: PurchaseId | None, key: tuple[PurchaseKind, str] | None
) -> PurchaseRow | None:
    """Return a purchase by id or by key; None if there is none. Customers find only their own."""
    require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    found: PurchaseRow | None = None
    if key is not None:
        (settled,) = await settle_keys(world, actor, [PurchaseKey(*key)])
        found = await read_purchase_by_key(tx, *settled)
    elif purchase_id is not None:
        found = (await read_purchases_by_id(tx, [purchase_id])).get(purchase_id)
    return found if found and may_see_row(actor, found) else None


async def load_purchases(world: World, actor: Actor, ids: Sequence[PurchaseId]) -> dict[PurchaseId, PurchaseRow]:
    """Return the purchases among ``ids`` that the actor may see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    found = await read_purchases_by_id(tx, ids)
    return visible_rows(actor, found)


async def load_accruals(world: World, actor: Actor, purchase_ids: Sequence[PurchaseId]) -> dict[PurchaseId, AccrualRow]:
    """Return the newest accrual of each purchase that the actor may see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    found = await read_accruals(tx, purchase_ids)
    return visible_rows(actor, found)


def show_accruals(actor: Actor, recorded: Sequence[RecordingResult]) -> dict[PurchaseId, AccrualRow]:
    """Return what `load_accruals` would return for purchases that were just recorded.

    Without the permission it is nothing.
    """
    if not allows(actor, Permission.LOYALTY_READ):
        return {}
    found = {
        one.purchase.id: one.accrual
        for one in recorded
        if isinstance(one, RecordedPurchase) and one.accrual and one.accrual.generation == one.purchase.generation
    }
    return visible_rows(actor, found)


async def load_accruals_by_id(world: World, actor: Actor, ids: Sequence[AccrualId]) -> dict[AccrualId, AccrualRow]:
    """Return the accruals among ``ids`` that the actor may see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    found = visible_rows(actor, await read_accruals_by_id(tx, ids))
    if actor.locations is None or not found:
        return found
    seen = visible_rows(actor, await read_purchases_by_id(tx, [row.purchase_id for row in found.values()]))
    return {accrual_id: row for accrual_id, row in found.items() if row.purchase_id in seen}


async def load_refunds(
    world: World, actor: Actor, purchase_ids: Sequence[PurchaseId]
) -> dict[PurchaseId, list[RefundRow]]:
    """Return the newest ``MAX_RELATED`` refunds of each purchase that the actor may see, in the order they came."""
    require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    found = visible_lists(actor, await read_refunds(tx, purchase_ids))
    return {purchase_id: rows[-MAX_RELATED:] for purchase_id, rows in found.items()}


async def load_former_valuations(
    world: World, actor: Actor, accrual_ids: Sequence[AccrualId]
) -> dict[AccrualId, list[FormerValuationRow]]:
    """Return the former valuations that the actor may see, for each accrual, newest first.

    At most `MAX_FORMER_VALUATIONS` of an accrual are read.
    """
    require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    return visible_lists(actor, await read_former_valuations(tx, accrual_ids))


# ── one transaction ──────────────────────────────────────────────────────────────────────────────────────────────


def _refuse_actor(actor: Actor, recordings: Sequence[PurchaseRecording]) -> None:
    """Refuse an actor who may not record purchases.

    While the program is off, a batch without the end of a purchase is refused, too.
    """
    require(actor, Permission.PURCHASES_RECORD, even_when_off=True)
    if not (actor.loyalty_enabled or any(recording.status in ENDED for recording in recordings)):
        raise FeatureDisabled(LOYALTY)


async def _record_all(world: World, actor: Actor, recordings: Sequence[PurchaseRecording]) -> list[RecordingResult]:
    """Record purchases, those of the same purchase one after another. Returns one result each, in their order."""
    recordings = [_date_profile(recording) for recording in await _settle_ids(world, actor, recordings)]
    results: list[RecordingResult | None] = [refuse_input(one) async for one in yield_slices(recordings)]
    for wave in split_into_waves(recordings, results):
        reports = [recordings[position] for position in wave]
        recorded = await attempt_batch(partial(_record_wave, world, actor, reports), {})
        for position, result in zip(wave, recorded, strict=True):
            results[position] = result
    return [result for result in results if result is not None]


async def _settle_ids(world: World, actor: Actor, recordings: Sequence[PurchaseRecording]) -> list[PurchaseRecording]:
    """Return the recordings with tidy ids of their purchases. Mostly they are tidy, so there is no query."""
    keys = [PurchaseKey(recording.report.kind, recording.report.external_id) for recording in recordings]
    settled = await settle_keys(world, actor, keys)
    return [
        recording
        if key == known
        else recording._replace(report=replace(recording.report, external_id=known.external_id))
        for recording, key, known in zip(recordings, keys, settled, strict=True)
    ]


def _date_profile(recording: PurchaseRecording) -> PurchaseRecording:
    """Return the recording with the report's time for its profile, so a late report overwrites no newer profile."""
    profile, occurred_at = recording.customer, recording.report.occurred_at
    if profile.as_of is not None or occurred_at is None:
        return recording
    return recording._replace(customer=replace(profile, as_of=occurred_at))


async def _record_wave(
    world: World, actor: Actor, wave: Sequence[PurchaseRecording], refused: Refused
) -> list[RecordingResult]:
    """Record one wave in one transaction: judge each report, answer replays, and book new reports."""
    marks = [recording.fingerprints() async for recording in yield_slices(wave)]
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        wanted = [_build_wanted(actor, *one) async for one in yield_slices(zip(wave, marks, strict=True))]
        context = await prepare_recording(tx, wanted)
        if context is None:
            raise NotFound("program")
        program = await program_at(world, tx, context.config_version, even_when_off=True)
        now = world.now(program)
        results: dict[int, RecordingResult] = dict(refused)
        replays: dict[int, KnownPurchase] = {}
        items: dict[int, RecordingItem] = {}
        async for position, (sent, known) in yield_slices(enumerate(zip(wave, context.known, strict=True))):
            if position in results:
                continue
            try:
                recording = place_recording(actor, sent, known)
                judged = judge_in_program(recording, marks[position].present, known, program, now)
            except LoyaltyError as refusal:
                results[position] = refusal
                continue
            if judged.news is None:
                replays[position] = known
            else:
                told = recording._replace(report=convert_to_program_currency(recording.report, known, program))
                items[position] = RecordingItem(told, marks[position].present, known, judged.news, judged.status)
        if replays:
            results |= await _answer_replays(tx, replays)
            results |= await _refresh_replays(world, actor, tx, program, wave, replays, results)
        if items:
            results |= await book_items(world, actor, tx, program, items)
    return [results[position] for position in range(len(wave))]


def _build_wanted(actor: Actor, recording: PurchaseRecording, marks: Fingerprints) -> WantedPurchase:
    """Return what to look for in the database before a report is judged."""
    return WantedPurchase(
        recording.report.kind,
        recording.report.external_id,
        *marks,
        recording.idempotency_key,
        actor.client,
        recording.status,
        recording.customer.external_id,
    )


async def _answer_replays(tx: Transaction, replays: dict[int, KnownPurchase]) -> dict[int, RecordingResult]:
    """Return the answers to replays: the purchase as it is now, with the effects of the repeated fact."""
    purchases = {position: known.purchase for position, known in replays.items() if known.purchase}
    customers = await read_customers_by_id(tx, [purchase.customer_id for purchase in purchases.values()])
    changes = await read_tier_changes(tx, [purchase.id for purchase in purchases.values()])
    # A purchase may change the tier several times. The replay of a fact gets the change that this fact made.
    by_fact: dict[Any, TierChangeRow] = {(change.cause_id, change.changed_at): change for change in changes}
    settled = {
        position: await read_settled(tx, PurchaseKey(known.purchase.kind, known.purchase.external_id), moment)
        for position, known in replays.items()
        if known.purchase and known.checkout_version and (moment := _find_recording_time(known))
    }
    return {
        position: RecordedPurchase(
            purchase=purchase,
            accrual=replays[position].accrual,
            customer=customers[purchase.customer_id],
            tier_change=by_fact.get((purchase.id, _find_recording_time(replays[position]))),
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
    """Write the profiles of replays that tell something new, and return the changed results.

    The report is a replay, but its profile may be new. Unless the profile has its own time, it is as old as the
    repeated fact, so a late retry overwrites nothing newer.
    """
    news: dict[int, CustomerProfile] = {}
    for position, known in replays.items():
        result, profile = results.get(position), wave[position].customer
        if isinstance(result, RecordedPurchase) and _tells_more(profile, result.customer):
            news[position] = replace(profile, as_of=profile.as_of or _find_recording_time(known))
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
    """Tell whether a profile has values that differ from those of the customer."""
    told = profile.list_told_values()
    if told.get("email"):
        told["email"] = told["email"].lower()
    # A name that was never told is stored as an empty text.
    known = {name: None if (value := getattr(customer, name)) == "" else value for name in told}
    return told != known


def _find_recording_time(known: KnownPurchase) -> datetime | None:
    """Return when the fact that a replay repeats was recorded."""
    fact = known.keyed or known.fact
    return fact.recorded_at if fact else None
