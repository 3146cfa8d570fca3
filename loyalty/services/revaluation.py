"""Value a purchase again that changes after its evaluation: by the rules of that time, with its present facts.

Every way to the same facts ends with the same points: what the frozen rules give for them, less what refunds take.
Pending points are changed to the new number. Of credited points the difference is added, or taken back as the debt
policy says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from loyalty.ledger.accruals import AccrualMove, count_kept_points, credit_points, move_after_report, take_points_back
from loyalty.ledger.book import Book, bring_open_lots
from loyalty.ledger.posting import post, post_and_commit
from loyalty.ledger.program import CompiledProgram, earning_policy
from loyalty.ledger.rows import FormerValuation
from loyalty.rules.account import add_pending, remove_pending
from loyalty.rules.accrual import AccrualState, Revalue, matures_at_after
from loyalty.rules.accrual_steps import (
    CREDITED,
    correct_credited,
    find_gain,
    split_by_expiry,
    state_of_credited,
    state_of_pending,
)
from loyalty.rules.earning import CompiledRules, compile_rules, evaluate
from loyalty.rules.events import PointsPending, PointsVoided
from loyalty.rules.expiry import ExpiryPolicy
from loyalty.rules.ids import AccrualId, RuleId, TierId
from loyalty.rules.lots import Parcel, fit_parcels
from loyalty.rules.money import Ratio
from loyalty.rules.purchase import ENDED, PurchaseFacts, PurchaseStatus
from loyalty.rules.refund import Refund
from loyalty.rules.tiers import Tier
from loyalty.storage.accruals import AccrualRow, breakdown_document
from loyalty.storage.frozen_program import read_former_programs
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.purchase_valuations import read_evaluated_purchases
from loyalty.storage.purchases import PurchaseRow, build_paid_facts, build_refundable
from loyalty.storage.refunds import read_refunds
from tenancy.database import Transaction
from tenancy.retry import StaleRead


class FrozenRules(NamedTuple):
    """The rules that a purchase was evaluated with, and the expiry for points of rules without their own."""

    rules: CompiledRules
    expiry: ExpiryPolicy


def can_be_revalued(accrual: AccrualRow) -> bool:
    """Tell whether an accrual has the data for a revaluation, and its policy wants one."""
    return accrual.policy.revalue is Revalue.ALWAYS and accrual.frozen is not None


def may_be_revalued(accrual: AccrualRow | None, status: PurchaseStatus) -> bool:
    """Tell whether changed facts of a purchase in this status change its accrual."""
    return accrual is not None and can_be_revalued(accrual) and status not in ENDED


async def read_frozen_rules(
    tx: Transaction, program: CompiledProgram, purchases: Sequence[tuple[AccrualRow, PurchaseFacts]]
) -> Mapping[AccrualId, FrozenRules]:
    """Return the rules that each accrual was evaluated with.

    It is one query, and none if the program has not changed.
    """
    in_force = FrozenRules(program.rules, program.row.settings.expiry)
    former = [(accrual, facts) for accrual, facts in purchases if accrual.config_version != program.row.config_version]
    found = {accrual.id: in_force for accrual, _ in purchases}
    if not former:
        return found
    programs = await read_former_programs(
        tx,
        rules=[version for accrual, _ in former for version in _list_rule_versions(accrual)],
        versions=[accrual.program_version for accrual, _ in former],
        items=[name for _, facts in former for name in _list_item_names(facts)],
        since=min(accrual.config_version for accrual, _ in former),
    )
    for accrual, _ in former:
        settings = programs.settings[accrual.program_version]
        rules = [programs.rules[version] for version in _list_rule_versions(accrual)]
        catalog = programs.catalog_at(accrual.config_version)
        policy = earning_policy(settings, program.row)
        found[accrual.id] = FrozenRules(compile_rules(policy, rules, catalog), settings.expiry)
    return found


def revalue_accrual(
    book: Book,
    accrual: AccrualRow,
    purchase: PurchaseRow,
    facts: PurchaseFacts,
    moment: datetime,
    refunds: Sequence[Refund],
    frozen: FrozenRules,
    *,
    end_changed: bool = False,
) -> AccrualMove:
    """Value a purchase again by its frozen rules. Return the accrual after that, and the tier change.

    ``purchase`` and ``facts`` are the purchase after the change, ``refunds`` are all its refunds. ``moment`` is the
    time of the change; ``end_changed`` says that the change moves the end of the service. If points were credited, the
    book must know the customer's open lots.
    """
    book.know_purchase(purchase)
    stored: dict[str, Any] = accrual.frozen or {}
    facts = replace(facts, customer_category=stored["customer_category"])
    evaluation = evaluate(
        frozen.rules, facts, datetime.fromisoformat(stored["moment"]), _read_stored_tier(stored["tier"])
    )
    valued = accrual._replace(
        points=evaluation.points,
        breakdown=breakdown_document(evaluation, frozen.expiry),
        valuation=accrual.valuation + 1,
        points_paid_minor=facts.points_paid_minor,
        cards_paid_minor=facts.cards_paid_minor,
    )
    kept = count_kept_points(valued, build_refundable(purchase), refunds) if refunds else valued.points
    # The points that refunds leave may change even with lines for which no rule gives points.
    is_left_alone = not refunds or kept == accrual.outstanding_points
    if is_left_alone and _dump_valuation(valued) == _dump_valuation(accrual):
        return accrual, None
    _keep_former(book, accrual)
    gone = valued.points - kept
    if accrual.earned_points and (accrual.state in CREDITED or accrual.state is AccrualState.REVERSED):
        return _correct_credited(book, accrual, valued, gone)
    if accrual.state in CREDITED:
        # The accrual gave no points so far: its points mature when they would have matured.
        told = (facts, purchase.status)
        due_at = matures_at_after(accrual.policy, told, accrual.matures_at, moment, end_changed=end_changed)
        valued = valued._replace(matures_at=due_at, matured_at=None, state=AccrualState.PENDING)
    return _change_pending(book, accrual, valued, gone)


async def post_points_paid(tx: Transaction, book: Book, keys: Sequence[PurchaseKey | None]) -> None:
    """Write a book that changes how many points pay for purchases, and value evaluated purchases again.

    The same transaction writes both, under the lock of the customer who pays. It may commit, so no query may follow.
    Points of another customer do not change the valuation of a purchase.
    """
    await _post_paid(tx, book, keys, own_only=True)


async def post_cards_paid(tx: Transaction, book: Book, keys: Sequence[PurchaseKey]) -> None:
    """Write a book that changes how much gift cards pay for purchases, and value these purchases again.

    Raises StaleRead for a purchase whose customer is not locked.
    """
    await _post_paid(tx, book, keys, own_only=False)


async def _post_paid(tx: Transaction, book: Book, keys: Sequence[PurchaseKey | None], *, own_only: bool) -> None:
    """Write the book, then value the purchases whose payments changed.

    With `own_only` only those of customers in the book.
    """
    named = [key for key in keys if key is not None]
    if not named:
        await post_and_commit(tx, book.finish())
        return
    await post(tx, book.finish())
    found = [
        one for one in await read_evaluated_purchases(tx, named) if may_be_revalued(one.accrual, one.purchase.status)
    ]
    if own_only:
        found = [one for one in found if one.purchase.customer_id in book.accounts]
    facts = {one.purchase.id: build_paid_facts(one.purchase, None, one.points_paid_minor, one.cards) for one in found}
    changed = [one for one in found if _is_paid_otherwise(one.accrual, facts[one.purchase.id])]
    if not changed:
        return
    if any(one.purchase.customer_id not in book.accounts for one in changed):
        raise StaleRead
    book.begin_posting()
    owners = {one.purchase.customer_id for one in changed if one.accrual.state in CREDITED}
    if owners:
        await bring_open_lots(tx, book, list(owners))
    refunds = await read_refunds(tx, [one.purchase.id for one in changed if one.was_refunded])
    frozen = await read_frozen_rules(tx, book.program, [(one.accrual, facts[one.purchase.id]) for one in changed])
    for purchase, accrual, _, _, _ in changed:
        told = [row.refund for row in refunds.get(purchase.id, ())]
        valued, _ = revalue_accrual(book, accrual, purchase, facts[purchase.id], book.now, told, frozen[accrual.id])
        move_after_report(book, valued, purchase, facts[purchase.id], book.now, end_changed=False)
    await post_and_commit(tx, book.finish())


def _is_paid_otherwise(accrual: AccrualRow, facts: PurchaseFacts) -> bool:
    """Tell whether the payments of points or cards differ from those in the newest valuation."""
    valued = (accrual.points_paid_minor, accrual.cards_paid_minor or 0)
    return valued != (facts.points_paid_minor, facts.cards_paid_minor)


def _change_pending(book: Book, accrual: AccrualRow, valued: AccrualRow, gone: int) -> AccrualMove:
    """Change the pending points of an accrual to its new valuation. ``gone`` points are lost to refunds.

    If the pending points are due, they are credited.
    """
    pending = accrual.points - accrual.voided_points if accrual.state is AccrualState.PENDING else 0
    more = valued.points - gone - pending
    customer_id, then = accrual.customer_id, book.describe_purchase(accrual.purchase_id)
    if more > 0:
        book.keep(add_pending(book.account(customer_id), more))
        book.tell(PointsPending(customer_id, accrual.purchase_id, accrual.id, more, *then))
    elif more < 0:
        book.keep(remove_pending(book.account(customer_id), -more))
        book.tell(PointsVoided(customer_id, accrual.purchase_id, accrual.id, -more, *then))
    state = state_of_pending(valued.points, gone) if valued.points else AccrualState.PENDING
    changed = valued._replace(state=state, voided_points=gone, reversed_points=0)
    book.posting.move(changed, seen=accrual)
    return changed, None


def _correct_credited(book: Book, accrual: AccrualRow, valued: AccrualRow, gone: int) -> AccrualMove:
    """Add credited points, or take some back, so that the accrual has the points of its new valuation.

    ``gone`` points are lost to refunds.
    """
    outstanding = accrual.outstanding_points
    forgotten = accrual.earned_points - accrual.taken_points - outstanding
    correction = correct_credited(valued.points, gone, accrual.voided_points, outstanding, forgotten)
    valued, change = valued._replace(voided_points=correction.voided, reversed_points=correction.reversed), None
    if correction.added:
        parcels = _build_added_parcels(book, accrual, valued, correction.added)
        valued, change = credit_points(book, valued, correction.added, parcels)
    elif correction.taken:
        valued, change = take_points_back(book, valued, correction.taken)
    state = state_of_credited(valued.points, valued.voided_points, valued.reversed_points)
    corrected = valued._replace(state=state)
    book.posting.move(corrected, seen=accrual)
    return corrected, change


def _build_added_parcels(book: Book, before: AccrualRow, after: AccrualRow, points: int) -> list[Parcel]:
    """Return parcels for added points, with the expiry of the rules that give more than before.

    If no rule gives more, refunds leave more of the points than before. Then the points get the first frozen expiry.
    """
    points_after = split_by_expiry(after.lines)
    gain = find_gain(split_by_expiry(before.lines), points_after) or {next(iter(points_after)): points}
    return fit_parcels([book.lots.parcel(more, expiry) for expiry, more in gain.items()], points)


def _keep_former(book: Book, accrual: AccrualRow) -> None:
    """Keep the present valuation of an accrual, because a new one replaces it."""
    book.posting.add(
        FormerValuation(
            accrual_id=accrual.id,
            number=accrual.valuation,
            points=accrual.points,
            breakdown=accrual.breakdown,
            points_paid_minor=accrual.points_paid_minor,
            cards_paid_minor=accrual.cards_paid_minor,
            replaced_at=book.now,
            replaced_by=book.actor.subject,
        )
    )


def _dump_valuation(accrual: AccrualRow) -> bytes:
    """Return the whole content of a valuation in one form, to compare two valuations."""
    # Valuations from before gift cards counted took them as no payment.
    said = [accrual.points, accrual.points_paid_minor, accrual.cards_paid_minor or 0, accrual.breakdown]
    return orjson.dumps(said, option=orjson.OPT_SORT_KEYS)


def _read_stored_tier(stored: dict[str, Any] | None) -> Tier | None:
    """Return the tier that was stored with an accrual; None without a tier, or without an earning factor.

    Only the id, the name and the factor of the tier are stored.
    """
    if stored is None or stored["numerator"] is None:
        return None
    factor = Ratio(stored["numerator"], stored["denominator"])
    return Tier(TierId(UUID(stored["id"])), stored["name"], "#000000", 0, factor)


def _list_rule_versions(accrual: AccrualRow) -> list[tuple[RuleId, int]]:
    """Return the rules that an accrual was evaluated with.

    Each of these rules has a line in the accrual, with or without points.
    """
    return [
        (line.rule_id, line.rule_version)
        for line in accrual.lines
        if line.rule_id is not None and line.rule_version is not None
    ]


def _list_item_names(facts: PurchaseFacts) -> list[str]:
    """Return the external ids of the items and the location of a purchase."""
    names = [line.item for line in facts.lines if line.item is not None]
    return names if facts.location is None else [*names, facts.location]
