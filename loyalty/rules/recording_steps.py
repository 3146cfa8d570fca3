"""Decide, before a report is applied, if it may name its customer, and if the same report was recorded before.

`report_order.py` judges what is left: a report that is new, or that only its time tells from a retry.
"""

from typing import NamedTuple

from loyalty.rules.accrual import AccrualState
from loyalty.rules.accrual_steps import LOST
from loyalty.rules.errors import IdempotencyConflict, PurchaseOfAnotherCustomer
from loyalty.rules.purchase import ENDED, PurchaseStatus, reactivates


class PurchaseOnRecord(NamedTuple):
    """A purchase as it is recorded when a report about it comes.

    `is_theirs` says that it belongs to the customer whom the report names, or to the target of that customer's merge.
    `earned` is the state of what it earned in this generation. `is_refunded` and `is_paid_with_points` say that money
    went back for it, and that points pay for it. `is_repeated` says that its newest report told exactly the same.
    """

    status: PurchaseStatus
    generation: int
    is_theirs: bool
    earned: AccrualState | None = None
    is_refunded: bool = False
    is_paid_with_points: bool = False
    is_repeated: bool = False


class SentReport(NamedTuple):
    """What tells one sending of a report from another: the status it reports, its fingerprint, and its key if any."""

    status: PurchaseStatus
    fingerprint: str
    key: str | None = None


def find_recorded_status(
    known: PurchaseOnRecord | None, keyed_fingerprint: str | None, sent: SentReport
) -> PurchaseStatus | None:
    """Return the status to answer a report with that was recorded before, or None for one that has to be judged.

    `keyed_fingerprint` is that of the report that was recorded with the same key. Raises, in this order:
    PurchaseOfAnotherCustomer, IdempotencyConflict.
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

    It may where nothing is left of it: it was called off, its points were taken, nothing was refunded, and no points
    pay for it.
    """
    has_nothing_left = known.earned is None or known.earned in LOST
    is_untouched = not known.is_refunded and not known.is_paid_with_points
    return bool(known.generation) and has_nothing_left and is_untouched and reactivates(known.status, requested)


def refuse_late_change_of_hands(known: PurchaseOnRecord, after: PurchaseStatus) -> None:
    """Refuse a report of another customer that leaves the purchase called off, since it came late.

    A late report brings nothing back to life, so the purchase stays with its customer. Refusal:
    PurchaseOfAnotherCustomer.
    """
    if not known.is_theirs and after in ENDED:
        raise PurchaseOfAnotherCustomer(("customer", "external_id"))
