"""The report of a caller about a purchase, its fingerprints, and its answer."""

from collections.abc import Hashable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.errors import LoyaltyError
from loyalty.rules.exchange import format_rate
from loyalty.rules.money import Ratio
from loyalty.rules.payments import Payment
from loyalty.rules.purchase import LineKind, PurchaseFacts, PurchaseKind, PurchaseLine, PurchaseStatus
from loyalty.rules.purchase_report import PurchaseReport, list_told_facts
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
    """A report of a caller about one purchase: the sent facts, the status, and the customer.

    ``idempotency_key`` names this report among the reports of the purchase.
    """

    report: PurchaseReport
    status: PurchaseStatus
    customer: CustomerProfile
    idempotency_key: str | None = None

    def fingerprint(self) -> str:
        """Return the fingerprint of this report: facts, status and customer id, without the customer's profile."""
        return self.fingerprints().present

    def fingerprints(self) -> "Fingerprints":
        """Return the fingerprint of this report, and those that earlier releases gave it."""
        identity, taken_away = identify_report(self.report), self.report.taken_away()
        values = [identity, self.status, self.customer.external_id]
        former = fingerprint(values)
        present = fingerprint(values, taken_away=taken_away) if taken_away else former
        return Fingerprints(present, former, fingerprint([_identify_first_report(identity), *values[1:]]))

    def list_claims(self) -> dict[Hashable, object]:
        """Return the claims on its purchase and its customer.

        Reports with different claims are written one after another. Two reports of one purchase always differ. Two
        profiles of one customer differ if they tell other values, or at other times.
        """
        report, profile = self.report, self.customer
        described = (profile, report.occurred_at) if profile.list_told_values() else None
        return {
            PurchaseKey(report.kind, tidy_id(report.external_id)): object(),
            profile.external_id: described,
        }


class Fingerprints(NamedTuple):
    """The fingerprint of a report, and those that earlier releases gave it."""

    present: str
    former: str
    """The fingerprint that release 0.1.0 gave; there null was the same as absent."""
    first: str
    """The fingerprint from before lines had kinds and points paid for purchases."""


class RecordedPurchase(NamedTuple):
    """The answer to one recording. A replay gets the same answer."""

    purchase: PurchaseRow
    accrual: AccrualRow | None
    customer: CustomerRow
    tier_change: TierChangeRow | None
    replayed: bool
    settled: SettledPoints = NOTHING_SETTLED
    customer_then: CustomerRow | None = None
    """The customer right after this purchase, if more of their purchases follow in the same transaction."""

    def as_alone(self) -> "RecordedPurchase":
        """Return the answer with the customer right after this purchase, as for a report outside a batch."""
        return self if self.customer_then is None else self._replace(customer=self.customer_then, customer_then=None)


RecordingResult = RecordedPurchase | LoyaltyError


def identify_report(report: PurchaseReport) -> dict[str, Any]:
    """Return the values of a report for its fingerprint. A field of a later release is included only if it is given.

    Absent fields are written as release 0.1.0 wrote them; it had no way to leave a field out.
    """
    return _identify(report.kind, report.external_id, report.given(), report.occurred_at, report.exchange_rate)


def _identify(
    kind: PurchaseKind,
    external_id: str,
    given: Mapping[str, Any],
    occurred_at: datetime | None,
    exchange_rate: Ratio | None,
) -> dict[str, Any]:
    """Return the values that fingerprints and marks of a state are made of.

    Keys and constants are those of the first release, so that stored fingerprints still match. A newer fact is there
    only if it was given.
    """
    total = given.get("total")
    return {
        "kind": kind,
        "external_id": external_id,
        "total": total and money_identity(total),
        "lines": [_line_identity(line) for line in given.get("lines") or () if not line.is_removed],
        "location": given.get("location"),
        "staff": given.get("staff"),
        "booked_at": given.get("booked_at"),
        "starts_at": given.get("starts_at"),
        "ends_at": given.get("ends_at"),
        "customer_category": None,
        "occurred_at": occurred_at,
        "points_paid_minor": 0,
        **({} if exchange_rate is None else {"exchange_rate": format_rate(exchange_rate)}),
        **({"payments": [_payment_identity(one) for one in given["payments"]]} if given.get("payments") else {}),
    }


def _identify_first_report(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values for the fingerprint of revision 0001: without kinds of lines and without points."""
    first = {name: value for name, value in identity.items() if name != "points_paid_minor"}
    first["lines"] = [
        {name: value for name, value in line.items() if name != "kind" or value is not LineKind.ITEM}
        for line in identity["lines"]
    ]
    return first


def mark_state(facts: PurchaseFacts, status: PurchaseStatus) -> str:
    """Return a mark of the facts and the status after a report, without the time of the report."""
    return fingerprint([_identify(facts.kind, facts.external_id, list_told_facts(facts), None, None), status])


def _payment_identity(payment: Payment) -> dict[str, Any]:
    """Return the values of a payment for a fingerprint."""
    return {"kind": payment.kind, "amount_minor": payment.amount_minor, "reference": payment.reference}


def _line_identity(line: PurchaseLine) -> dict[str, Any]:
    """Return the values of a line for a fingerprint. A line id is left out if the line has none."""
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
