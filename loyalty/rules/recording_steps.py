"""Decide, before a report is applied, whether it may name its customer, and whether it was recorded before.

`report_order.py` judges the other reports: new ones, and those that only their time tells from a retry.
"""

from typing import NamedTuple

from loyalty.rules.accrual import AccrualState
from loyalty.rules.accrual_steps import LOST
from loyalty.rules.errors import IdempotencyConflict, PurchaseOfAnotherCustomer
from loyalty.rules.purchase import ENDED, PurchaseStatus, reactivates


class PurchaseOnRecord(NamedTuple):
    """The recorded state of a purchase when a report about it arrives.

    `is_theirs` says that it belongs to the customer in the report, or to the target of that customer's merge. `earned`
    is the state of its accrual in this generation. `is_refunded` says that money was refunded. `is_paid_with_points`
    says that points pay for it. `is_repeated` says that its newest report is exactly the same.
    """

    status: PurchaseStatus
    generation: int
    is_theirs: bool
    earned: AccrualState | None = None
    is_refunded: bool = False
    is_paid_with_points: bool = False
    is_repeated: bool = False


class SentReport(NamedTuple):
    """The parts of a sent report that tell a replay: its status, its fingerprint, and its idempotency key, if any."""

    status: PurchaseStatus
    fingerprint: str
    key: str | None = None


def find_recorded_status(
    known: PurchaseOnRecord | None, keyed_fingerprint: str | None, sent: SentReport
) -> PurchaseStatus | None:
    """Return the status to answer with if a report was recorded before; None if the report has to be judged.

    `known` is None for a new purchase. `keyed_fingerprint` is the fingerprint of the report that was recorded with the
    same key; None if there is none. Raises, in this order: PurchaseOfAnotherCustomer, IdempotencyConflict.
    """
    if known is not None and not known.is_theirs and not may_change_hands(known, sent.status):
        raise PurchaseOfAnotherCustomer(("customer", "external_id"))
    if sent.key is None:
        return known.status if known is not None and known.is_repeated else None
    if keyed_fingerprint is None:
        return None
    if keyed_fingerprint != sent.fingerprint:
        raise IdempotencyConflict(sent.key)
    return sent.status


def may_change_hands(known: PurchaseOnRecord, requested: PurchaseStatus) -> bool:
    """Tell whether a purchase may come back to life as a purchase of another customer.

    It may if it has nothing left: it was called off, its points were taken, nothing was refunded, and no points pay for
    it.
    """
    has_nothing_left = known.earned is None or known.earned in LOST
    is_untouched = not known.is_refunded and not known.is_paid_with_points
    return bool(known.generation) and has_nothing_left and is_untouched and reactivates(known.status, requested)


def refuse_late_change_of_hands(known: PurchaseOnRecord, after: PurchaseStatus) -> None:
    """Refuse a late report that names another customer and leaves the purchase called off.

    A late report brings nothing back to life, so the purchase stays with its customer. Raises
    PurchaseOfAnotherCustomer.
    """
    if not known.is_theirs and after in ENDED:
        raise PurchaseOfAnotherCustomer(("customer", "external_id"))
