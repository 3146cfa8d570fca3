"""``purchaseRecord``: report a purchase, or a change of its status. It earns once."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import strawberry

from loyalty.rules.absent import ABSENT, Given
from loyalty.rules.customer import CLEARABLE_FIELDS, CustomerProfile, TidyProfile, tidy_profile
from loyalty.rules.errors import InvalidInput
from loyalty.rules.exchange import parse_rate
from loyalty.rules.identifier import Identifier
from loyalty.rules.money import Money as Amount
from loyalty.rules.payments import Payment, PaymentKind
from loyalty.rules.purchase import LineKind, PurchaseKind, PurchaseStatus
from loyalty.rules.purchase import PurchaseLine as Line
from loyalty.rules.purchase_report import PurchaseReport
from loyalty.rules.text import tidy_optional_id
from loyalty.rules.warning import InputWarning
from loyalty.services.purchase import record_purchase
from loyalty.services.purchase_recording import PurchaseRecording, RecordedPurchase
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.input_values import DESCRIPTIVE
from schema.mutations.given import sent
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import RowKey, decode_id
from schema.scalars import Decimal, Locale, Quantity, UnreadableValue
from schema.types.customer import Customer
from schema.types.event import TierUpgrade, tier_upgrade_of
from schema.types.money import MoneyInput, amount_of, minor_in
from schema.types.purchase import Accrual, Purchase
from schema.types.redemption import Hold, Redemption, RedemptionReturn, return_of
from schema.types.warning import Warnings, show_warnings, warnings_field


@strawberry.input(
    description="Whose purchase it is, and what is known about the person. What is left out stays as it was, null "
    "takes it away. A value that is none, such as a broken e-mail address, is left out with a warning: it costs no "
    "points."
)
class PurchaseCustomerInput:
    external_id: str = strawberry.field(description="The id in the caller's own system, 1 to 255 characters.")
    full_name: str | None = strawberry.field(default=strawberry.UNSET, description="At most 200 characters.")
    email: str | None = strawberry.field(default=strawberry.UNSET, description="At most 254 characters.")
    avatar_url: str | None = strawberry.field(default=strawberry.UNSET, description="http or https.")
    locale: Locale | None = strawberry.field(
        default=strawberry.UNSET,
        description="The language the customer reads; `de_DE` is taken as `de-DE`.",
        metadata=DESCRIPTIVE,
    )
    category: str | None = strawberry.field(default=strawberry.UNSET, description="The tenant's own category.")
    marketing_consent: bool | None = strawberry.field(
        default=None, description="Whether they agree to marketing; false withdraws it, null says nothing."
    )
    phone: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="3 to 19 digits, best with + and the country code; other signs are dropped.",
    )
    consent_source: str | None = strawberry.field(
        default=None,
        description="Where the consent was given or withdrawn, such as `web form`; at most 100 characters.",
    )
    as_of: datetime | None = strawberry.field(
        default=None,
        description="When this was so; by default the `occurredAt` of the report that tells it, else now. An older "
        "fact never overwrites a newer one, field by field. A time ahead of the clock counts as now; `customerUpsert` "
        "and `customersUpsert` refuse one that is more than an hour ahead.",
    )


@strawberry.input(description="One position of a purchase. Prices include tax.")
class PurchaseLineInput:
    unit_price: MoneyInput = strawberry.field(description="Price of one, in the program's currency.")
    item: str | None = strawberry.field(default=None, description="External id of the service, class or product.")
    category: str | None = strawberry.field(default=None, description="External id of the category of the item.")
    quantity: Quantity = strawberry.field(
        default=1, description="How many, above 0 and at most 1,000,000, with at most 3 decimals."
    )
    kind: LineKind = strawberry.field(default=LineKind.ITEM, description="The kind of the line.")
    discount: MoneyInput | None = strawberry.field(default=None, description="Discount of the whole line.")
    tax: MoneyInput | None = strawberry.field(default=None, description="Tax that the amount contains.")
    line_id: str | None = strawberry.field(
        default=None,
        description="Your own id of the line, 1 to 255 characters, once in a purchase. A refund finds the line by it, "
        "and a later report may send the lines in another order.",
    )


@strawberry.input(description="A part of the total, and what paid it.")
class PurchasePaymentInput:
    kind: PaymentKind = strawberry.field(description="The kind of the payment: money, points or a gift card.")
    amount: MoneyInput = strawberry.field(description="How much, in the currency of the total; 0 or more.")
    reference: str | None = strawberry.field(
        default=None,
        description="Your own id of the payment, 1 to 255 characters. Where points or a gift card of this program "
        "paid, the global id of the hold or redemption: then nothing is counted twice.",
    )


@strawberry.input(
    description="What happened to a purchase. `kind` and `externalId` are its natural key. A fact that is left out "
    "stays as it is known, null takes it away, a value sets it."
)
class PurchaseRecordInput:
    kind: PurchaseKind = strawberry.field(description="The kind of the purchase.")
    external_id: str = strawberry.field(description="The id in the caller's own system, 1 to 255 characters.")
    status: PurchaseStatus = strawberry.field(description="How far it has come; a later status is a new fact.")
    customer: PurchaseCustomerInput = strawberry.field(description="The customer of the purchase.")
    total: MoneyInput | None = strawberry.field(
        default=strawberry.UNSET,
        description="The total, in the program's currency or with `exchangeRate`. The first report must tell it, later "
        "ones may leave it out; it cannot be null.",
    )
    exchange_rate: Decimal | None = strawberry.field(
        default=None,
        description="For amounts in another currency: what one unit of it is worth in the program's currency, above 0, "
        "at most 9 digits and 10 decimals. The first rate of a purchase is kept: later reports may leave it out, and "
        "another one is refused.",
    )
    lines: list[PurchaseLineInput] | None = strawberry.field(
        default=strawberry.UNSET, description="Its positions, at most 500; given, they replace those that are known."
    )
    payments: list[PurchasePaymentInput] | None = strawberry.field(
        default=strawberry.UNSET,
        description="What it was paid with, at most 50; given, they replace those that were told, and null or an empty "
        "list takes them away. Together at most the total. What points and gift cards of this program pay is known "
        "without them, and counts in any case. A payment of these kinds with a reference of your own is one of another "
        "system, and counts beside it; one without a reference counts as far as it is more than what is known.",
    )
    location: str | None = strawberry.field(default=strawberry.UNSET, description="External id of the location.")
    staff: str | None = strawberry.field(default=strawberry.UNSET, description="External id of the staff member.")
    booked_at: datetime | None = strawberry.field(default=strawberry.UNSET, description="When it was booked.")
    starts_at: datetime | None = strawberry.field(default=strawberry.UNSET, description="When the service begins.")
    ends_at: datetime | None = strawberry.field(default=strawberry.UNSET, description="When the service ends.")
    occurred_at: datetime | None = strawberry.field(
        default=None,
        description="When what is reported came about in the caller's system, at most an hour ahead of the clock. It "
        "tells the order of reports: the same report at another time is a new fact, at the same time a replay. One "
        "that is older than the newest fills in only what no newer one has told. Rules count from it, unless it is "
        "longer ago than the program's `latestReport`.",
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="Names this report among the reports of the purchase, 1 to 255 characters. The same key again is a "
        "replay, a new key is a new fact, in the order of arrival. Needed where neither times nor contents tell a "
        "retry from a return to an earlier state.",
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
    returns: list[RedemptionReturn] | None = strawberry.field(
        default=None,
        description="What went back of the points that had paid for it: what passes its total, the newest redemption "
        "first; all of them when it is called off. Empty when nothing did.",
    )
    holds: list[Hold] | None = strawberry.field(
        default=None,
        description="The holds for it that this report changed. Lowered, the newest first, to what fits the total; "
        "ended, where nothing fits, it is called off or belongs to another customer; captured, as `captureOn` says.",
    )
    redemptions: list[Redemption] | None = strawberry.field(
        default=None, description="What this report captured of holds with `captureOn: PAID`."
    )
    replayed: bool | None = strawberry.field(
        default=None, description="True when this very fact had been recorded before: nothing happened this time."
    )
    warnings: Warnings = warnings_field()


@guarded(
    Permission.PURCHASES_RECORD,
    prepares=True,
    description="Report a booking, a class or an order, or how far it has come. A report carries only what it tells. "
    "The rules are evaluated once; a report that says nothing new changes nothing.",
)
async def purchase_record(
    info: Info,
    input: Annotated[PurchaseRecordInput, strawberry.argument(description="The report about the purchase.")],  # noqa: A002
) -> PurchaseRecordPayload:
    """Run the operation in one transaction."""

    async def work() -> Mapping[str, Any]:
        told = read_report(input)
        recorded = await record_purchase(info.context.world, info.context.actor, told.recording)
        info.context.loaders.clear()
        info.context.loaders.know_accruals([recorded])
        return answer_of(recorded) | {"warnings": show_warnings(told.warnings_below("customer"))}

    return await answer_mutation(PurchaseRecordPayload, work)


class ToldReport(NamedTuple):
    """A report for the service, and the warnings about its customer."""

    recording: PurchaseRecording
    warnings: Sequence[InputWarning]

    def warnings_below(self, *path: str) -> list[InputWarning]:
        """Return the warnings for clients; ``path`` is the path of the customer."""
        return [warning.below(*path) for warning in self.warnings]


def read_report(given: PurchaseRecordInput) -> ToldReport:
    """Return the report for the service. InvalidInput and CurrencyMismatch name the field."""
    if given.total is None:
        raise InvalidInput.one("total", reason="must not be null; leave it out to keep it")
    total = sent(given.total) if given.total is strawberry.UNSET else amount_of(given.total, "total")
    lines, payments = sent(given.lines), sent(given.payments)
    currency = _currency_of(given, total)
    report = PurchaseReport(
        kind=given.kind,
        external_id=given.external_id,
        total=total,
        lines=ABSENT if lines is ABSENT else _lines(lines or (), currency),
        payments=ABSENT if payments is ABSENT else _payments(payments or (), currency),
        location=_tidy_sent_id(given.location),
        staff=_tidy_sent_id(given.staff),
        booked_at=sent(given.booked_at),
        starts_at=sent(given.starts_at),
        ends_at=sent(given.ends_at),
        occurred_at=given.occurred_at,
        line_currency=currency,
        exchange_rate=None if given.exchange_rate is None else parse_rate(given.exchange_rate),
    )
    profile, warnings = profile_of(given.customer)
    return ToldReport(PurchaseRecording(report, given.status, profile, given.idempotency_key), warnings)


def _currency_of(given: PurchaseRecordInput, total: Any) -> str | None:
    """Return the currency of all amounts of a report: that of the first amount."""
    if isinstance(total, Amount):
        return total.currency
    told = [line.unit_price for line in given.lines or ()] + [payment.amount for payment in given.payments or ()]
    return told[0].currency if told else None


def answer_of(recorded: RecordedPurchase) -> dict[str, Any]:
    """Return the fields of the payload."""
    return {
        "purchase": recorded.purchase,
        "accrual": recorded.accrual,
        "customer": recorded.customer,
        "tier_upgrade": tier_upgrade_of(recorded.tier_change),
        "returns": [return_of(row, recorded.purchase.total.currency) for row in recorded.settled.returns],
        "holds": list(recorded.settled.holds),
        "redemptions": list(recorded.settled.redemptions),
        "replayed": recorded.replayed,
    }


def _lines(given: Sequence[PurchaseLineInput], currency: str | None) -> tuple[Line, ...]:
    return tuple(_line(line, currency or "", position) for position, line in enumerate(given))


def _line(given: PurchaseLineInput, currency: str, position: int) -> Line:
    path = ("lines", str(position))
    return Line(
        item=tidy_optional_id(given.item),
        category=tidy_optional_id(given.category),
        quantity=given.quantity,
        unit_price_minor=minor_in(given.unit_price, currency, *path, "unit_price") or 0,
        discount_minor=minor_in(given.discount, currency, *path, "discount") or 0,
        kind=given.kind,
        tax_minor=minor_in(given.tax, currency, *path, "tax") or 0,
        line_id=tidy_optional_id(given.line_id),
    )


def _payments(given: Sequence[PurchasePaymentInput], currency: str | None) -> tuple[Payment, ...]:
    return tuple(_payment(payment, currency or "", position) for position, payment in enumerate(given))


def _payment(given: PurchasePaymentInput, currency: str, position: int) -> Payment:
    reference = tidy_optional_id(given.reference)
    return Payment(
        kind=given.kind,
        amount_minor=minor_in(given.amount, currency, "payments", str(position), "amount") or 0,
        reference=reference,
        names=_find_named_row(given.kind, reference),
    )


def _find_named_row(kind: PaymentKind, reference: str | None) -> UUID | None:
    """Return the row's id from a global id; None for an id of the caller's own system, and for money.

    Any global id is accepted. One that is no hold and no redemption of this purchase is refused, not counted twice.
    """
    named = None if reference is None or kind is PaymentKind.MONEY else decode_id(reference)
    return None if named is None or isinstance(named.id, RowKey) else named.id


def _tidy_sent_id(value: Any) -> Given[str | None]:
    """Return an id in its compared form. It may be absent or null."""
    return tidy_optional_id(told) if isinstance(told := sent(value), str) else told


_TEXTS = tuple(name for name in CLEARABLE_FIELDS if name not in ("locale", "identifiers"))


def profile_of(given: PurchaseCustomerInput) -> TidyProfile:
    """Return the profile for the rules, with the warnings about it."""
    locale: Any = given.locale
    if isinstance(locale, UnreadableValue):
        # The rules say that it is left out, or which language it means all the same.
        locale = locale.sent if isinstance(locale.sent, str) else ""
    told = {name: value for name in _TEXTS if (value := getattr(given, name, strawberry.UNSET)) is not strawberry.UNSET}
    if locale is not strawberry.UNSET:
        told["locale"] = locale
    identifiers = getattr(given, "identifiers", strawberry.UNSET)
    if identifiers is not strawberry.UNSET:
        told["identifiers"] = _identifiers(identifiers)
    profile = CustomerProfile(
        external_id=given.external_id,
        marketing_consent=given.marketing_consent,
        consent_source=given.consent_source,
        as_of=given.as_of,
        cleared=frozenset(name for name, value in told.items() if value is None),
        **{name: value for name, value in told.items() if value is not None},
    )
    return tidy_profile(profile)


def _identifiers(given: Any) -> Any:
    return tuple(Identifier(one.type, one.value) for one in given) if isinstance(given, list) else given


def customer_warnings(given: PurchaseCustomerInput, *path: str) -> list[InputWarning]:
    """Return the warnings about the customer of a report; ``path`` is the path of the report."""
    return [warning.below(*path, "customer") for warning in profile_of(given).warnings]
