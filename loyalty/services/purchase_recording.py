"""What a caller reports of a purchase, what identifies the report, and what it is answered."""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any, NamedTuple

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.errors import LoyaltyError
from loyalty.rules.exchange import format_rate
from loyalty.rules.payments import Payment
from loyalty.rules.purchase import LineKind, PurchaseFacts, PurchaseLine, PurchaseStatus
from loyalty.rules.purchase_report import PurchaseReport
from loyalty.rules.quantity import quantity_document
from loyalty.rules.text import tidy_id
from loyalty.services.fingerprint import fingerprint, money_identity
from loyalty.services.points_paid import NOTHING_SETTLED, SettledPoints
from loyalty.storage.accruals import AccrualRow
from loyalty.storage.customers import CustomerRow
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.purchases import PurchaseRow
from loyalty.storage.tiers import TierChangeRow


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
        """The fingerprint that release 0.1.0 gave it, which took null for absent."""
        return fingerprint(self._identity())

    def first_fingerprint(self) -> str:
        """The fingerprint that the server gave it before lines had kinds and points paid for purchases."""
        return fingerprint([_identify_first_report(self.report), self.status, self.customer.external_id])

    def list_claims(self) -> dict[Hashable, object]:
        """What it says of its purchase and its customer; reports that claim different things follow one another.

        Two reports of one purchase always do. So do two that describe one customer differently, or at other times.
        """
        report, profile = self.report, self.customer
        described = (profile, report.occurred_at) if profile.list_told_values() else None
        return {
            PurchaseKey(report.kind, tidy_id(report.external_id)): object(),
            profile.external_id: described,
        }

    def _identity(self) -> list[Any]:
        return [identify_report(self.report), self.status, self.customer.external_id]


class RecordedPurchase(NamedTuple):
    """The answer to one recording; the same again for a replay."""

    purchase: PurchaseRow
    accrual: AccrualRow | None
    customer: CustomerRow
    tier_change: TierChangeRow | None
    replayed: bool
    settled: SettledPoints = NOTHING_SETTLED
    customer_then: CustomerRow | None = None
    """The customer right after this purchase, where others of theirs follow in the same transaction."""

    def as_alone(self) -> "RecordedPurchase":
        """The answer that it has when it is not one of a batch."""
        return self if self.customer_then is None else self._replace(customer=self.customer_then, customer_then=None)


RecordingResult = RecordedPurchase | LoyaltyError


def identify_report(report: PurchaseReport) -> dict[str, Any]:
    """What identifies a report; a field that is added later stands here only when it is given.

    What was not sent stands here as release 0.1.0 wrote it, which had no way to leave a field out.
    """
    given = report.given()
    total = given.get("total")
    return {
        "kind": report.kind,
        "external_id": report.external_id,
        "total": total and money_identity(total),
        "lines": [_line_identity(line) for line in given.get("lines") or () if not line.has_left],
        "location": given.get("location"),
        "staff": given.get("staff"),
        "booked_at": given.get("booked_at"),
        "starts_at": given.get("starts_at"),
        "ends_at": given.get("ends_at"),
        "customer_category": None,
        "occurred_at": report.occurred_at,
        "points_paid_minor": 0,
        **({} if report.exchange_rate is None else {"exchange_rate": format_rate(report.exchange_rate)}),
        **({"payments": [_payment_identity(one) for one in given["payments"]]} if given.get("payments") else {}),
    }


def _identify_first_report(report: PurchaseReport) -> dict[str, Any]:
    """What identified a report at revision 0001: lines of no special kind, and nothing about points."""
    identity = identify_report(report)
    del identity["points_paid_minor"]
    for line in identity["lines"]:
        if line["kind"] is LineKind.ITEM:
            del line["kind"]
    return identity


def mark_state(facts: PurchaseFacts, status: PurchaseStatus) -> str:
    """What identifies what is known after a report, whenever it came about."""
    return fingerprint([identify_report(PurchaseReport.of(replace(facts, occurred_at=None))), status])


def _payment_identity(payment: Payment) -> dict[str, Any]:
    return {"kind": payment.kind, "amount_minor": payment.amount_minor, "reference": payment.reference}


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
