"""Decisions on a purchase when a report about it is booked: its generation, its lines, and whether it is valued.

Each function takes the known facts and the report, and returns a decision. The ledger books the decision.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from loyalty.rules.absent import Absent, Given
from loyalty.rules.accrual import AccrualPolicy, AccrualState, is_evaluated_at
from loyalty.rules.accrual_steps import LOST
from loyalty.rules.ids import CustomerId
from loyalty.rules.purchase import (
    ENDED,
    PurchaseFacts,
    PurchaseLine,
    PurchaseStatus,
    next_generation,
    reactivates,
)

VALUED_FACTS = frozenset({"total", "lines", "location", "staff", "booked_at", "starts_at", "payments"})
"""The facts of a purchase that earning rules depend on."""


class AccrualTask(StrEnum):
    """What is to be done with the accrual of a purchase after a report."""

    NOTHING = "NOTHING"
    """Do nothing: there is no accrual yet, and it is not time to evaluate the rules."""
    EVALUATE = "EVALUATE"
    """Evaluate the rules: this generation of the purchase has no accrual yet."""
    FOLLOW = "FOLLOW"
    """Let the existing accrual follow the report."""


class ToldCategory(NamedTuple):
    """The customer's category for one item of a batch.

    `told` is the category that the item tells, None if it tells none. `known` is the category before the batch.
    """

    customer_id: CustomerId
    told: str | None
    known: str | None


def follow_categories(items: Iterable[ToldCategory]) -> list[str | None]:
    """Return the customer's category that each item of a batch is judged by, in the order of the items.

    It is the category that the item tells. If it tells none, it is the last one that an earlier item told of the same
    customer, else the category known before the batch. A later item never counts.
    """
    last: dict[CustomerId, str | None] = {}
    chosen = []
    for item in items:
        last[item.customer_id] = last.get(item.customer_id, item.known) if item.told is None else item.told
        chosen.append(last[item.customer_id])
    return chosen


def choose_generation(
    known: tuple[int, PurchaseStatus] | None,
    requested: PurchaseStatus,
    earned: AccrualState | None,
    *,
    changes_hands: bool,
) -> int:
    """Return the generation of a purchase after a report, by the rule of ``next_generation``.

    `known` is the generation and the status before the report; None for a new purchase. `requested` is the status in
    the report. `earned` is the state of the purchase's accrual; None without one. `changes_hands` says that the
    purchase moves to another customer. If such a purchase comes back to life, it begins a new generation: its former
    generations stay with the customer it was recorded for.
    """
    return next_generation(known, requested, lost_points=changes_hands or earned in LOST)


def choose_task(
    policy: AccrualPolicy,
    facts: PurchaseFacts,
    status: PurchaseStatus,
    generation: int,
    now: datetime,
    *,
    is_evaluated: bool,
) -> AccrualTask:
    """Decide what a report does with the accrual of its purchase.

    `is_evaluated` says that this generation has an accrual. A purchase of generation 0 was called off by its first
    report, so it never earns.
    """
    if is_evaluated:
        return AccrualTask.FOLLOW
    if generation and is_evaluated_at(policy, facts, status, now):
        return AccrualTask.EVALUATE
    return AccrualTask.NOTHING


def is_valued_anew(
    changed: Collection[str], before: PurchaseStatus, status: PurchaseStatus, *, can_be_valued: bool, is_paid: bool
) -> bool:
    """Tell whether a report may change the valuation of an evaluated purchase.

    It may if it changes facts that rules depend on, or brings the purchase back to life. If points or gift cards pay
    for the purchase (`is_paid`), any report may change how much they pay, so the purchase is valued again; an equal
    result changes nothing. `changed` are the names of the facts that the report changes. `can_be_valued` says that the
    accrual may be valued again at all.
    """
    if not can_be_valued or status in ENDED:
        return False
    return is_paid or not VALUED_FACTS.isdisjoint(changed) or reactivates(before, status)


def choose_told_lines(
    changed: Collection[str], told: Given[tuple[PurchaseLine, ...] | None], lines: tuple[PurchaseLine, ...]
) -> tuple[PurchaseLine, ...]:
    """Return the lines that are kept with a report.

    If the report changes the lines, they are kept in the order in which it sent them. If it does not, `lines` are kept:
    the lines of the purchase after the report. That is also so for a late report whose lines a newer report has
    replaced.
    """
    if "lines" not in changed or isinstance(told, Absent):
        return lines
    return told or ()


def choose_path_above_total(changed: Collection[str]) -> tuple[str, ...] | None:
    """Return the field to refuse when the payments are above the total; None if the report changed neither of them."""
    if "payments" in changed:
        return ("payments",)
    return ("total",) if "total" in changed else None


def moves_end(changed: Collection[str]) -> bool:
    """Tell whether a report moves the start or the end of the service."""
    return not {"starts_at", "ends_at"}.isdisjoint(changed)
