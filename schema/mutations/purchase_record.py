"""``purchaseRecord``: report a purchase, or how far it has come; it earns once."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import strawberry

from loyalty.rules.customer import CustomerProfile, TidyProfile, tidy_profile
from loyalty.rules.money import Money as Amount
from loyalty.rules.purchase import LineKind, PurchaseFacts, PurchaseKind, PurchaseStatus
from loyalty.rules.purchase import PurchaseLine as Line
from loyalty.rules.warning import InputWarning
from loyalty.services.purchase import PurchaseRecording, RecordedPurchase, record_purchase
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answered
from schema.guard import guarded
from schema.input_values import DESCRIPTIVE
from schema.mutations.payload import UserErrors, user_errors_field
from schema.scalars import Locale, UnreadableValue
from schema.types.customer import Customer
from schema.types.event import TierUpgrade, tier_upgrade_of
from schema.types.money import MoneyInput, amount_of, minor_in
from schema.types.purchase import Accrual, Purchase
from schema.types.warning import Warnings, shown_warnings, warnings_field


@strawberry.input(
    description="Whose purchase it is, and what is known about the person. What is left out stays as it was. A value "
    "that is none, such as a broken e-mail address, is left out with a warning: it costs no points."
)
class PurchaseCustomerInput:
    external_id: str = strawberry.field(description="The id in the caller's own system, 1 to 255 characters.")
    full_name: str | None = strawberry.field(default=None, description="At most 200 characters.")
    email: str | None = strawberry.field(default=None, description="At most 254 characters.")
    avatar_url: str | None = strawberry.field(default=None, description="http or https.")
    locale: Locale | None = strawberry.field(
        default=None, description="The language the customer reads; `de_DE` is taken as `de-DE`.", metadata=DESCRIPTIVE
    )
    category: str | None = strawberry.field(default=None, description="The tenant's own category.")
    marketing_consent: bool | None = strawberry.field(default=None, description="Whether they agreed to marketing.")


@strawberry.input(description="One position of a purchase. Prices include tax.")
class PurchaseLineInput:
    unit_price: MoneyInput = strawberry.field(description="Price of one, in the currency of the total.")
    item: str | None = strawberry.field(default=None, description="External id of the service, class or product.")
    category: str | None = strawberry.field(default=None, description="External id of its category.")
    quantity: int = strawberry.field(default=1, description="How many, 1 to 1,000,000.")
    kind: LineKind = strawberry.field(default=LineKind.ITEM, description="What it is.")
    discount: MoneyInput | None = strawberry.field(default=None, description="Discount of the whole line.")
    tax: MoneyInput | None = strawberry.field(default=None, description="Tax that the amount contains.")
    line_id: str | None = strawberry.field(
        default=None,
        description="Your own id of the line, 1 to 255 characters, once in a purchase. A refund finds the line by it, "
        "and a later report may send the lines in another order.",
    )


@strawberry.input(description="What happened to a purchase. `kind` and `externalId` are its natural key.")
class PurchaseRecordInput:
    kind: PurchaseKind = strawberry.field(description="What was bought.")
    external_id: str = strawberry.field(description="The id in the caller's own system, 1 to 255 characters.")
    status: PurchaseStatus = strawberry.field(description="How far it has come; a later status is a new fact.")
    customer: PurchaseCustomerInput = strawberry.field(description="Whose it is.")
    total: MoneyInput = strawberry.field(description="The total, in the program's currency.")
    lines: list[PurchaseLineInput] = strawberry.field(default_factory=list, description="Its positions, at most 500.")
    location: str | None = strawberry.field(default=None, description="External id of the location.")
    staff: str | None = strawberry.field(default=None, description="External id of the staff member.")
    booked_at: datetime | None = strawberry.field(default=None, description="When it was booked.")
    starts_at: datetime | None = strawberry.field(default=None, description="When the service begins.")
    ends_at: datetime | None = strawberry.field(default=None, description="When the service ends.")
    occurred_at: datetime | None = strawberry.field(
        default=None,
        description="When this status came about in the caller's system. Give it where a purchase may be called off "
        "and brought back: the same status at another time is a new fact, at the same time a replay.",
    )


@strawberry.type(description="The purchase, what it earned, and where the customer stands.")
class PurchaseRecordPayload:
    user_errors: UserErrors = user_errors_field()
    purchase: Purchase | None = strawberry.field(default=None, description="The purchase as it is recorded now.")
    accrual: Accrual | None = strawberry.field(default=None, description="What it earned; null when never evaluated.")
    customer: Customer | None = strawberry.field(default=None, description="The customer, with the new balance.")
    tier_upgrade: TierUpgrade | None = strawberry.field(
        default=None, description="Set when this purchase raised the tier."
    )
    replayed: bool | None = strawberry.field(
        default=None, description="True when this very fact had been recorded before: nothing happened this time."
    )
    warnings: Warnings = warnings_field()


@guarded(
    Permission.PURCHASES_RECORD,
    description="Report a booking, a class or an order, or how far it has come. The rules are evaluated once; the same "
    "fact again changes nothing and is answered the same.",
)
async def purchase_record(
    info: Info,
    input: Annotated[PurchaseRecordInput, strawberry.argument(description="What happened.")],  # noqa: A002
) -> PurchaseRecordPayload:
    """One transaction of four statements, five when credited points are taken back."""

    async def work() -> Mapping[str, Any]:
        recording = recording_of(input)
        recorded = await record_purchase(info.context.world, info.context.actor, recording)
        info.context.loaders.clear()
        return answer_of(recorded) | {"warnings": shown_warnings(customer_warnings(input.customer))}

    return await answered(PurchaseRecordPayload, work)


def recording_of(given: PurchaseRecordInput) -> PurchaseRecording:
    """The report as the service takes it; InvalidInput and CurrencyMismatch name the field."""
    total = amount_of(given.total, "total")
    facts = PurchaseFacts(
        kind=given.kind,
        external_id=given.external_id,
        total=total,
        lines=tuple(_line(line, total, position) for position, line in enumerate(given.lines)),
        location=given.location,
        staff=given.staff,
        booked_at=given.booked_at,
        starts_at=given.starts_at,
        ends_at=given.ends_at,
        occurred_at=given.occurred_at,
    )
    return PurchaseRecording(facts, given.status, profile_of(given.customer).profile)


def answer_of(recorded: RecordedPurchase) -> dict[str, Any]:
    """The fields of the payload."""
    return {
        "purchase": recorded.purchase,
        "accrual": recorded.accrual,
        "customer": recorded.customer,
        "tier_upgrade": tier_upgrade_of(recorded.tier_change),
        "replayed": recorded.replayed,
    }


def _line(given: PurchaseLineInput, total: Amount, position: int) -> Line:
    path = ("lines", str(position))
    return Line(
        item=given.item,
        category=given.category,
        quantity=given.quantity,
        unit_price_minor=minor_in(given.unit_price, total.currency, *path, "unit_price") or 0,
        discount_minor=minor_in(given.discount, total.currency, *path, "discount") or 0,
        kind=given.kind,
        tax_minor=minor_in(given.tax, total.currency, *path, "tax") or 0,
        line_id=given.line_id,
    )


def profile_of(given: PurchaseCustomerInput) -> TidyProfile:
    """A profile as the rules know it, with what was left out or corrected."""
    locale: Any = given.locale
    if isinstance(locale, UnreadableValue):
        # The rules say that it is left out, or which language it means all the same.
        locale = locale.sent if isinstance(locale.sent, str) else ""
    profile = CustomerProfile(
        external_id=given.external_id,
        full_name=given.full_name,
        email=given.email,
        avatar_url=given.avatar_url,
        locale=locale,
        category=given.category,
        marketing_consent=given.marketing_consent,
    )
    return tidy_profile(profile)


def customer_warnings(given: PurchaseCustomerInput, *path: str) -> list[InputWarning]:
    """What is left out or corrected in the customer of a report; ``path`` leads to the report."""
    return [warning.below(*path, "customer") for warning in profile_of(given).warnings]
