"""What becomes of a purchase when a report about it is booked: its life, its lines, and whether it is valued.

Each function takes what is known and what was reported, and returns a decision. The ledger books what was decided.
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
"""The facts that rules look at."""


class AccrualTask(StrEnum):
    """What a report has to do with what its purchase earns."""

    NOTHING = "NOTHING"
    """Nothing was earned yet, and the time for that has not come."""
    EVALUATE = "EVALUATE"
    """The rules are evaluated, for the first time in this life of the purchase."""
    FOLLOW = "FOLLOW"
    """What was earned follows the report."""


class ToldCategory(NamedTuple):
    """The category of the customer of one item: `told` with it, None if it tells none, and `known` before the batch."""

    customer_id: CustomerId
    told: str | None
    known: str | None


def follow_categories(items: Iterable[ToldCategory]) -> list[str | None]:
    """Return the category by which each item of a batch is judged, in its order.

    An item is judged by what it tells itself, or an item before it told of the same customer; never by a later one.
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
    """Return the generation of a purchase after a report, as ``next_generation`` has it.

    `earned` is the state of what it earned so far. A purchase that `changes_hands` begins a new life, if it comes back:
    its former lives stay with the customer it was recorded for.
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
    """Decide what a report does with what its purchase earns; `is_evaluated` is about this generation.

    Generation 0 was called off before anybody had heard of it: it never earns.
    """
    if is_evaluated:
        return AccrualTask.FOLLOW
    if generation and is_evaluated_at(policy, facts, status, now):
        return AccrualTask.EVALUATE
    return AccrualTask.NOTHING


def is_valued_anew(
    changed: Collection[str], before: PurchaseStatus, status: PurchaseStatus, *, can_be_valued: bool, is_paid: bool
) -> bool:
    """Tell whether a report may change what an evaluated purchase is worth.

    It does where it changes facts that rules look at, or brings the purchase back. Where points or cards pay
    (`is_paid`) what they pay may follow any report; where nothing comes of it, the valuation stays as it is.
    `can_be_valued` says that what it earned is valued again at all.
    """
    if not can_be_valued or status in ENDED:
        return False
    return is_paid or not VALUED_FACTS.isdisjoint(changed) or reactivates(before, status)


def choose_told_lines(
    changed: Collection[str], told: Given[tuple[PurchaseLine, ...] | None], lines: tuple[PurchaseLine, ...]
) -> tuple[PurchaseLine, ...]:
    """Return the lines that are kept with a report: as they were sent, while the purchase keeps an order of its own.

    `lines` are those of the purchase after the report. Where a late report tells lines, but a newer one has told
    others, those of the newer one stay.
    """
    if "lines" not in changed or isinstance(told, Absent):
        return lines
    return told or ()


def choose_path_above_total(changed: Collection[str]) -> tuple[str, ...] | None:
    """Return which field is refused when payments are more than the total, or None where a report changed neither."""
    if "payments" in changed:
        return ("payments",)
    return ("total",) if "total" in changed else None


def moves_end(changed: Collection[str]) -> bool:
    """Tell whether a report moves the start or the end of the service."""
    return not {"starts_at", "ends_at"}.isdisjoint(changed)
