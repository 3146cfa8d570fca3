"""The present state of purchases, and the facts of a report in their stored form."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Text, bindparam, cast, extract, func, select

from loyalty.rules.exchange import Exchange
from loyalty.rules.ids import CustomerId, PurchaseId
from loyalty.rules.money import Money
from loyalty.rules.paid_facts import count_paid
from loyalty.rules.payments import PaidWithCards
from loyalty.rules.purchase import PurchaseFacts, PurchaseKind, PurchaseLine, PurchaseStatus
from loyalty.rules.refund import Refundable
from loyalty.storage.documents import from_optional, read_lines, read_payments, to_document
from loyalty.storage.tables import purchases
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter


class PurchaseRow(NamedTuple):
    """A purchase as clients see it."""

    id: PurchaseId
    kind: PurchaseKind
    external_id: str
    customer_id: CustomerId
    status: PurchaseStatus
    version: int
    generation: int
    total_minor: int
    refunded_minor: int
    currency: str
    lines: list[dict[str, Any]]
    exchange: dict[str, Any] | None
    payments: list[dict[str, Any]] | None
    location: str | None
    staff: str | None
    booked_at: datetime | None
    starts_at: datetime | None
    ends_at: datetime | None
    occurred_at: datetime | None
    told_at: dict[str, str | None]
    """When each fact was last reported, as ISO 8601 texts; see ``read_told_times``."""
    evaluates_at: datetime | None
    recorded_at: datetime
    updated_at: datetime

    @property
    def total(self) -> Money:
        """The total, in the currency of the program."""
        return Money(self.total_minor, self.currency)


purchase_columns = [column.label(f"purchase_{column.name}") for column in purchases.c if column.name != "tenant_id"]
_BY_IDS = select(*purchase_columns).where(
    purchases.c.tenant_id == tenant_parameter(),
    among(purchases.c.id, "ids"),
)
_BY_KEY = select(*purchase_columns).where(
    purchases.c.tenant_id == tenant_parameter(),
    purchases.c.kind == bindparam("kind"),
    purchases.c.external_id == bindparam("external_id"),
)


async def read_purchases_by_id(tx: Reads, ids: Sequence[PurchaseId]) -> dict[PurchaseId, PurchaseRow]:
    """Return the purchases among ``ids``."""
    return {row.purchase_id: purchase_row(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}


async def read_purchase_by_key(tx: Reads, kind: PurchaseKind, external_id: str) -> PurchaseRow | None:
    """Return a purchase by its kind and external id."""
    row = await tx.row(_BY_KEY, kind=kind, external_id=external_id)
    return purchase_row(row) if row else None


def facts_document(facts: PurchaseFacts, lines: tuple[PurchaseLine, ...]) -> dict[str, Any]:
    """Return the reported facts of a purchase as a document to store, with the ``lines`` of the report."""
    values = {name: getattr(facts, name) for name in _FACTS}
    documents = {
        "lines": to_document(lines),
        "exchange": to_document(facts.exchange),
        "payments": to_document(facts.payments),
    }
    return values | documents


_FACTS = tuple(field.name for field in fields(PurchaseFacts))


def fact_digest(fact: Any) -> Any:
    """Return the SHA-256 (FIPS 180-4) of all columns of a fact, as SQL.

    It covers the columns as UTF-8 text with `|` between them: the document as PostgreSQL writes it, the instant as
    whole microseconds since 1970 in UTC, nothing for null.
    """
    recorded_at = cast(extract("epoch", fact.recorded_at) * 1_000_000, BigInteger)
    said = (
        *(fact.purchase_id, fact.version, fact.fingerprint, fact.status, cast(fact.facts, Text)),
        *(recorded_at, fact.recorded_by),
        *(func.coalesce(column, "") for column in (fact.report_key, fact.report_client, fact.state_mark)),
    )
    return func.sha256(func.convert_to(func.concat_ws("|", *said), "UTF8"))


def read_told_times(purchase: PurchaseRow) -> dict[str, datetime | None]:
    """Return when each fact was last reported."""
    return {name: None if at is None else datetime.fromisoformat(at) for name, at in purchase.told_at.items()}


def purchase_row(row: Any) -> PurchaseRow:
    """Return a purchase from columns labelled ``purchase_…``."""
    return PurchaseRow(
        id=row.purchase_id,
        kind=PurchaseKind(row.purchase_kind),
        external_id=row.purchase_external_id,
        customer_id=row.purchase_customer_id,
        status=PurchaseStatus(row.purchase_status),
        version=row.purchase_version,
        generation=row.purchase_generation,
        total_minor=row.purchase_total_minor,
        refunded_minor=row.purchase_refunded_minor,
        currency=row.purchase_currency,
        lines=row.purchase_lines,
        exchange=row.purchase_exchange,
        payments=row.purchase_payments,
        location=row.purchase_location,
        staff=row.purchase_staff,
        booked_at=row.purchase_booked_at,
        starts_at=row.purchase_starts_at,
        ends_at=row.purchase_ends_at,
        occurred_at=row.purchase_occurred_at,
        told_at=row.purchase_told_at,
        evaluates_at=row.purchase_evaluates_at,
        recorded_at=row.purchase_recorded_at,
        updated_at=row.purchase_updated_at,
    )


def build_refundable(purchase: PurchaseRow) -> Refundable:
    """Return a purchase for the rules of refunds."""
    lines = read_lines(purchase.lines)
    return Refundable(purchase.total.amount_minor, lines, purchase.total.currency)


def build_paid_facts(
    purchase: PurchaseRow, customer_category: str | None, points_paid_minor: int, cards: PaidWithCards
) -> PurchaseFacts:
    """Return the facts of a purchase as rules see them, with what points and gift cards paid of it."""
    return count_paid(facts_of(purchase, customer_category), points_paid_minor, cards, purchase.refunded_minor)


def facts_of(purchase: PurchaseRow, customer_category: str | None) -> PurchaseFacts:
    """Return the facts of a purchase as reports told them."""
    return PurchaseFacts(
        kind=purchase.kind,
        external_id=purchase.external_id,
        total=purchase.total,
        lines=read_lines(purchase.lines),
        location=purchase.location,
        staff=purchase.staff,
        booked_at=purchase.booked_at,
        starts_at=purchase.starts_at,
        ends_at=purchase.ends_at,
        customer_category=customer_category,
        occurred_at=purchase.occurred_at,
        exchange=from_optional(Exchange, purchase.exchange),
        payments=read_payments(purchase.payments),
    )
