import pytest

from loyalty.rules.accrual import AccrualState
from loyalty.rules.errors import IdempotencyConflict, PurchaseOfAnotherCustomer
from loyalty.rules.purchase import ENDED, PurchaseStatus
from loyalty.rules.recording_steps import (
    PurchaseOnRecord,
    SentReport,
    find_recorded_status,
    may_change_hands,
    refuse_late_change_of_hands,
)

PAID, COMPLETED, CANCELLED = PurchaseStatus.PAID, PurchaseStatus.COMPLETED, PurchaseStatus.CANCELLED
OWN = PurchaseOnRecord(PAID, 1, is_theirs=True)
FOREIGN = OWN._replace(is_theirs=False)
CALLED_OFF = FOREIGN._replace(status=CANCELLED)
SENT = SentReport(PAID, "mark")
KEYED = SENT._replace(key="till-7")


@pytest.mark.parametrize(
    ("known", "keyed_fingerprint", "sent", "status"),
    [
        # Nothing is known, or nothing like it was told before.
        (None, None, SENT, None),
        (None, None, KEYED, None),
        (OWN, None, SENT, None),
        (OWN, None, KEYED, None),
        # The newest report told the same. Its key says that a report is another one, even if it tells the same.
        (OWN._replace(is_repeated=True), None, SENT, PAID),
        (OWN._replace(is_repeated=True, status=COMPLETED), None, SENT, COMPLETED),
        (OWN._replace(is_repeated=True), None, KEYED, None),
        # The key was used for the same report: it is answered with its own status, whatever came after it.
        (OWN._replace(status=COMPLETED), "mark", KEYED, PAID),
        # It comes back as a purchase of another customer.
        (CALLED_OFF, None, SENT, None),
    ],
)
def test_a_report_that_was_recorded_is_answered_again(
    known: PurchaseOnRecord | None, keyed_fingerprint: str | None, sent: SentReport, status: PurchaseStatus | None
) -> None:
    assert find_recorded_status(known, keyed_fingerprint, sent) is status


@pytest.mark.parametrize("sent", [SENT, KEYED])
@pytest.mark.parametrize("keyed_fingerprint", [None, "mark", "another mark"])
def test_a_report_about_a_purchase_of_another_customer_is_refused_first(
    keyed_fingerprint: str | None, sent: SentReport
) -> None:
    with pytest.raises(PurchaseOfAnotherCustomer):
        find_recorded_status(FOREIGN._replace(is_repeated=True), keyed_fingerprint, sent)


@pytest.mark.parametrize("known", [None, OWN, OWN._replace(is_repeated=True)])
def test_a_key_is_for_one_report(known: PurchaseOnRecord | None) -> None:
    with pytest.raises(IdempotencyConflict):
        find_recorded_status(known, "another mark", KEYED)


@pytest.mark.parametrize(
    ("known", "requested", "may"),
    [
        (CALLED_OFF, PAID, True),
        (CALLED_OFF._replace(earned=AccrualState.VOIDED), PAID, True),
        (CALLED_OFF._replace(earned=AccrualState.REVERSED), PAID, True),
        # Something is left of it.
        (CALLED_OFF._replace(earned=AccrualState.PENDING), PAID, False),
        (CALLED_OFF._replace(earned=AccrualState.AVAILABLE), PAID, False),
        (CALLED_OFF._replace(is_refunded=True), PAID, False),
        (CALLED_OFF._replace(is_paid_with_points=True), PAID, False),
        # It was not called off, does not come back, or was called off before anybody had heard of it.
        (FOREIGN, COMPLETED, False),
        (FOREIGN._replace(status=PurchaseStatus.REFUNDED), PAID, False),
        (CALLED_OFF, CANCELLED, False),
        (CALLED_OFF, PurchaseStatus.REFUNDED, False),
        (CALLED_OFF._replace(generation=0), PAID, False),
    ],
)
def test_a_purchase_changes_hands_only_where_nothing_is_left_of_it(
    known: PurchaseOnRecord, requested: PurchaseStatus, *, may: bool
) -> None:
    assert may_change_hands(known, requested) is may


@pytest.mark.parametrize("status", sorted(ENDED))
def test_a_late_report_gives_no_purchase_to_another_customer(status: PurchaseStatus) -> None:
    refuse_late_change_of_hands(OWN, status)
    refuse_late_change_of_hands(FOREIGN, PAID)
    with pytest.raises(PurchaseOfAnotherCustomer):
        refuse_late_change_of_hands(FOREIGN, status)
