"""Purchases, the facts they came from, and the accruals that explain their points."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Text,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.sql.selectable import LateralFromClause

from loyalty.rules.accrual import AccrualPolicy, AccrualState, Revalue
from loyalty.rules.ids import AccrualId, CustomerId, PurchaseId, PurchaseRefundId
from loyalty.rules.money import Money
from loyalty.rules.purchase import PurchaseFacts, PurchaseKind, PurchaseStatus
from loyalty.rules.quantity import quantity_from_document
from loyalty.rules.redemption import HoldState
from loyalty.rules.refund import LineRefund, Refund
from loyalty.storage.documents import from_document, to_document
from loyalty.storage.points_paid import PaidWithPoints, given_back, paid_with_points, paying_holds, paying_redemptions
from loyalty.storage.purchase_locks import share_purchase
from loyalty.storage.tables import (
    accruals,
    checkouts,
    customers,
    former_valuations,
    holds,
    programs,
    purchase_facts,
    purchase_refunds,
    purchases,
    redemption_returns,
    redemptions,
)
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import INSTANT, among, record_set, tenant_parameter

MAX_FORMER_VALUATIONS = 100
"""So many former valuations of an accrual can be read, the newest; all are kept."""
MAX_STATES_COMPARED = 100
"""With so many earlier states of a purchase a report is compared, to see whether it returns to one of them."""


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
    location: str | None
    staff: str | None
    booked_at: datetime | None
    starts_at: datetime | None
    ends_at: datetime | None
    occurred_at: datetime | None
    told_at: dict[str, str | None]
    """When each fact was last told, as ISO 8601 texts; see ``told_times``."""
    evaluates_at: datetime | None
    recorded_at: datetime
    updated_at: datetime

    @property
    def total(self) -> Money:
        """The total, in the currency of the program."""
        return Money(self.total_minor, self.currency)


class AccrualRow(NamedTuple):
    """What a purchase earned, with the explanation line by line."""

    id: AccrualId
    purchase_id: PurchaseId
    customer_id: CustomerId
    generation: int
    state: AccrualState
    points: int
    voided_points: int
    reversed_points: int
    currency: str
    breakdown: list[dict[str, Any]]
    policy: AccrualPolicy
    program_version: int
    evaluated_at: datetime
    matures_at: datetime | None
    matured_at: datetime | None
    raised_standing: int | None = None
    """How far its points raised the standing, as far as they were not taken back; None where nobody counted."""
    earned_points: int = 0
    """What it was credited with, all entries together."""
    taken_points: int = 0
    """What was taken of that, all entries together."""
    valuation: int = 1
    points_paid_minor: int | None = None
    """How much of the purchase was paid with points at the newest valuation."""
    frozen: dict[str, Any] | None = None
    """What later valuations take from the evaluation; see ``loyalty.services.revaluation``."""
    config_version: int = 0

    @property
    def lost_points(self) -> int:
        """What was lost of them, while they were pending or after they were credited."""
        return self.voided_points + self.reversed_points

    @property
    def outstanding_points(self) -> int:
        """What is left of them."""
        return self.points - self.lost_points


class FormerValuationRow(NamedTuple):
    """What an accrual was worth before its purchase changed."""

    accrual_id: AccrualId
    customer_id: CustomerId
    currency: str
    number: int
    points: int
    breakdown: list[dict[str, Any]]
    replaced_at: datetime


class RefundRow(NamedTuple):
    """One refund of a purchase, and what it took of the points."""

    id: PurchaseRefundId
    purchase_id: PurchaseId
    customer_id: CustomerId
    number: int
    amount_minor: int
    lines: list[dict[str, Any]]
    points: int
    reason: str | None
    occurred_at: datetime | None
    recorded_at: datetime
    actor_kind: str
    actor: str
    point_share: int | None = None
    """How many points had paid for what was refunded; None where nobody counted."""
    point_share_minor: int | None = None
    returned_points: int = 0
    """How many of those went back in the same transaction."""
    returned_minor: int = 0

    @property
    def refund(self) -> Refund:
        """As the rules know it: the amounts of its lines are not among those without a line."""
        lines = tuple(
            LineRefund(one["position"], quantity_from_document(one["quantity"]), one["amount_minor"])
            for one in self.lines
        )
        of_no_line_minor = self.amount_minor - sum(one["money_minor"] for one in self.lines)
        return Refund(lines, of_no_line_minor, money_minor=self.amount_minor)


class KnownFact(NamedTuple):
    """A report that was recorded before."""

    version: int
    fingerprint: str
    recorded_at: datetime


class KnownPurchase(NamedTuple):
    """What is already recorded about one requested purchase."""

    purchase: PurchaseRow | None
    is_theirs: bool
    """Whether it belongs to the customer who is named, or to the target of that customer's merge."""
    customer_category: str | None
    """The category of the customer who is named, as it is before this request."""
    accrual: AccrualRow | None
    fact: KnownFact | None
    """The newest fact with the same fingerprint as the report."""
    keyed: KnownFact | None
    """The fact with the same idempotency key as the report."""
    earlier_states: tuple[str, ...]
    """The marks of what was known after earlier reports of this status or the present one, ``MAX_STATES_COMPARED``."""
    paid: PaidWithPoints
    """What points pay of it, read before any lock."""
    checkout_version: int
    """How often points were set aside for it; holds from before this was counted are not."""
    was_refunded: bool
    """Whether it has a refund, if only one of a line that cost nothing."""


class RecordingContext(NamedTuple):
    """What a recording must know before it locks anything, in the order of the request."""

    config_version: int
    known: list[KnownPurchase]


_NOT_SHOWN = ("tenant_id",)

purchase_columns = [column.label(f"purchase_{column.name}") for column in purchases.c if column.name != "tenant_id"]
_accrual_columns = [column.label(f"accrual_{column.name}") for column in accruals.c if column.name not in _NOT_SHOWN]
_wanted = record_set(
    "wanted",
    [
        ("ordinal", Integer()),
        ("kind", Text()),
        ("external_id", Text()),
        ("fingerprint", Text()),
        ("former_fingerprint", Text()),
        ("report_key", Text()),
        ("client", Text()),
        ("status", Text()),
        ("customer", Text()),
    ],
)


def _looked_up(
    name: str, columns: Sequence[Any], *conditions: ColumnElement[bool], table: Any = None
) -> LateralFromClause:
    """One row of a table for each row before it, by an index: the planner must never hash a whole table for a batch."""
    of_table = columns[0].table if table is None else table
    return select(*columns).where(*conditions).limit(1).correlate_except(of_table).lateral(name)


_purchase = _looked_up(
    "purchase",
    [column for column in purchases.c if column.name != "tenant_id"],
    purchases.c.tenant_id == tenant_parameter(),
    purchases.c.kind == _wanted.c.kind,
    purchases.c.external_id == _wanted.c.external_id,
)
_target = customers.alias("target")
# CASE and not coalesce: under row-level security an index serves only what is leakproof.
_target_id = case((customers.c.merged_into.is_(None), customers.c.id), else_=customers.c.merged_into)
_customer = (
    select(_target.c.id, _target.c.category)
    .select_from(
        customers.join(
            _target,
            (_target.c.tenant_id == tenant_parameter()) & (_target.c.id == _target_id),
        )
    )
    .where(customers.c.tenant_id == tenant_parameter(), customers.c.external_id == _wanted.c.customer)
    .limit(1)
    .correlate_except(customers, _target)
    .lateral("customer")
)
_FACT_COLUMNS = [purchase_facts.c[name] for name in KnownFact._fields]
_OF_PURCHASE = (
    purchase_facts.c.tenant_id == tenant_parameter(),
    purchase_facts.c.purchase_id == _purchase.c.id,
)
_fact = (
    select(*_FACT_COLUMNS)
    .where(
        *_OF_PURCHASE,
        or_(
            purchase_facts.c.fingerprint == _wanted.c.fingerprint,
            # The first release took null for absent, so it gave both the same fingerprint.
            and_(
                purchase_facts.c.fingerprint == _wanted.c.former_fingerprint,
                purchase_facts.c.state_mark.is_(None),
            ),
        ),
    )
    .order_by(purchase_facts.c.version.desc())
    .limit(1)
    .correlate_except(purchase_facts)
    .lateral("fact")
)
_keyed = _looked_up(
    "keyed",
    _FACT_COLUMNS,
    *_OF_PURCHASE,
    purchase_facts.c.report_key == _wanted.c.report_key,
    purchase_facts.c.report_client == _wanted.c.client,
)
_states = (
    select(purchase_facts.c.state_mark)
    .where(
        *_OF_PURCHASE,
        # A purchase keeps its status where only how it began is told.
        purchase_facts.c.status.in_([_wanted.c.status, _purchase.c.status]),
        purchase_facts.c.state_mark.is_not(None),
        purchase_facts.c.version < _purchase.c.version,
    )
    .order_by(purchase_facts.c.version.desc())
    .limit(MAX_STATES_COMPARED)
    .correlate_except(purchase_facts)
    .lateral("states")
)
_accrual = _looked_up(
    "accrual",
    [column for column in accruals.c if column.name not in _NOT_SHOWN],
    accruals.c.tenant_id == tenant_parameter(),
    accruals.c.purchase_id == _purchase.c.id,
    accruals.c.generation == _purchase.c.generation,
)


_checkout = _looked_up(
    "checkout",
    [checkouts.c.version],
    checkouts.c.tenant_id == tenant_parameter(),
    checkouts.c.purchase_kind == _wanted.c.kind,
    checkouts.c.purchase_external_id == _wanted.c.external_id,
)


_first_refund = _looked_up(
    "first_refund",
    [purchase_refunds.c.number],
    purchase_refunds.c.tenant_id == tenant_parameter(),
    purchase_refunds.c.purchase_id == _purchase.c.id,
    purchase_refunds.c.number == literal(1),
)


def _paid_with_points(kind: ColumnElement[Any], external_id: ColumnElement[Any]) -> ColumnElement[Any]:
    """What active holds and redemptions that name a purchase take off it, less what was given back.

    What went back for a refund had paid for the refunded part, so it still counts.
    """
    held = select(func.sum(holds.c.discount_minor)).where(
        holds.c.tenant_id == tenant_parameter(),
        holds.c.purchase_kind == kind,
        holds.c.purchase_external_id == external_id,
        holds.c.state == literal(HoldState.ACTIVE),
    )
    of_purchase = (
        redemptions.c.tenant_id == tenant_parameter(),
        redemptions.c.purchase_kind == kind,
        redemptions.c.purchase_external_id == external_id,
    )
    spent = select(func.sum(redemptions.c.discount_minor)).where(*of_purchase)
    returned = (
        select(func.sum(redemption_returns.c.discount_minor))
        .join_from(
            redemptions,
            redemption_returns,
            (redemption_returns.c.tenant_id == redemptions.c.tenant_id)
            & (redemption_returns.c.redemption_id == redemptions.c.id),
        )
        .where(*of_purchase)
    )
    parts = [func.coalesce(part.scalar_subquery(), 0) for part in (held, spent, returned)]
    _, refunded_minor = given_back(kind, external_id)
    return cast(parts[0] + parts[1] - parts[2] + refunded_minor, BigInteger)


_PREPARE = (
    select(
        programs.c.config_version,
        share_purchase(_wanted.c.kind, _wanted.c.external_id),
        func.coalesce(_customer.c.id == _purchase.c.customer_id, false()).label("is_theirs"),
        _customer.c.category.label("customer_category"),
        *(column.label(f"fact_{column.name}") for column in _fact.c),
        *(column.label(f"keyed_{column.name}") for column in _keyed.c),
        select(func.array_agg(_states.c.state_mark)).select_from(_states).scalar_subquery().label("earlier_states"),
        paying_holds(_wanted.c.kind, _wanted.c.external_id),
        paying_redemptions(_wanted.c.kind, _wanted.c.external_id),
        func.coalesce(_checkout.c.version, 0).label("checkout_version"),
        _first_refund.c.number.is_not(None).label("was_refunded"),
        *(column.label(f"purchase_{column.name}") for column in _purchase.c),
        *(column.label(f"accrual_{column.name}") for column in _accrual.c),
    )
    .select_from(
        programs.join(_wanted, true())
        .outerjoin(_purchase, true())
        .outerjoin(_customer, true())
        .outerjoin(_fact, true())
        .outerjoin(_keyed, true())
        .outerjoin(_checkout, true())
        .outerjoin(_first_refund, true())
        .outerjoin(_accrual, true()),
    )
    .where(programs.c.tenant_id == tenant_parameter())
    .order_by(_wanted.c.ordinal)
)
_BY_IDS = select(*purchase_columns).where(
    purchases.c.tenant_id == tenant_parameter(),
    among(purchases.c.id, "ids"),
)
_BY_KEY = select(*purchase_columns).where(
    purchases.c.tenant_id == tenant_parameter(),
    purchases.c.kind == bindparam("kind"),
    purchases.c.external_id == bindparam("external_id"),
)
_ACCRUALS = (
    select(*_accrual_columns)
    .where(
        accruals.c.tenant_id == tenant_parameter(),
        among(accruals.c.purchase_id, "ids"),
    )
    .order_by(accruals.c.generation)
)

_ACCRUALS_BY_ID = select(*_accrual_columns).where(
    accruals.c.tenant_id == tenant_parameter(),
    among(accruals.c.id, "ids"),
)


_DUE = (
    select(*_accrual_columns)
    .where(
        accruals.c.tenant_id == tenant_parameter(),
        accruals.c.state == AccrualState.PENDING,
        accruals.c.matures_at <= bindparam("now", type_=INSTANT),
    )
    .order_by(accruals.c.matures_at, accruals.c.id)
    .limit(bindparam("limit"))
)


_REFUND_COLUMNS = [purchase_refunds.c[name] for name in RefundRow._fields]
_REFUNDS = (
    select(*_REFUND_COLUMNS)
    .where(
        purchase_refunds.c.tenant_id == tenant_parameter(),
        among(purchase_refunds.c.purchase_id, "purchases"),
    )
    .order_by(purchase_refunds.c.purchase_id, purchase_refunds.c.number)
)
_REFUNDS_BY_ID = select(*_REFUND_COLUMNS).where(
    purchase_refunds.c.tenant_id == tenant_parameter(),
    among(purchase_refunds.c.id, "ids"),
)


def _was_refunded(purchase_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a purchase has a refund; of units that cost nothing, no money tells.

    It is looked up and not asked by EXISTS, which PostgreSQL may answer by reading the first refunds of all purchases.
    """
    first = select(purchase_refunds.c.number).where(
        purchase_refunds.c.tenant_id == tenant_parameter(),
        purchase_refunds.c.purchase_id == purchase_id,
        purchase_refunds.c.number == literal(1),
    )
    return first.limit(1).scalar_subquery().is_not(None)


_DUE_EVALUATIONS = (
    select(
        *purchase_columns,
        _paid_with_points(purchases.c.kind, purchases.c.external_id).label("points_paid_minor"),
        _was_refunded(purchases.c.id).label("was_refunded"),
    )
    .where(
        purchases.c.tenant_id == tenant_parameter(),
        purchases.c.evaluates_at <= bindparam("now", type_=INSTANT),
    )
    .order_by(purchases.c.evaluates_at, purchases.c.id)
    .limit(bindparam("limit"))
)


_keys = record_set("keys", [("kind", Text()), ("external_id", Text())])
_of_key = _looked_up(
    "purchase",
    [column for column in purchases.c if column.name != "tenant_id"],
    purchases.c.tenant_id == tenant_parameter(),
    purchases.c.kind == _keys.c.kind,
    purchases.c.external_id == _keys.c.external_id,
)
_of_purchase = _looked_up(
    "accrual",
    [column for column in accruals.c if column.name not in _NOT_SHOWN],
    accruals.c.tenant_id == tenant_parameter(),
    accruals.c.purchase_id == _of_key.c.id,
    accruals.c.generation == _of_key.c.generation,
)
_EVALUATED = select(
    _paid_with_points(_keys.c.kind, _keys.c.external_id).label("points_paid_minor"),
    _was_refunded(_of_key.c.id).label("was_refunded"),
    *(column.label(f"purchase_{column.name}") for column in _of_key.c),
    *(column.label(f"accrual_{column.name}") for column in _of_purchase.c),
).select_from(_keys.join(_of_key, true()).join(_of_purchase, true()))


_of_accruals = among(former_valuations.c.accrual_id, "accruals")
_NUMBER_FROM_NEWEST = func.row_number().over(
    partition_by=former_valuations.c.accrual_id, order_by=former_valuations.c.number.desc()
)
_FORMER_VALUATIONS = (
    select(
        former_valuations.c.accrual_id,
        accruals.c.customer_id,
        accruals.c.currency,
        former_valuations.c.number,
        former_valuations.c.points,
        former_valuations.c.breakdown,
        former_valuations.c.replaced_at,
        _NUMBER_FROM_NEWEST.label("place"),
    )
    .join_from(
        former_valuations,
        accruals,
        (accruals.c.tenant_id == former_valuations.c.tenant_id) & (accruals.c.id == former_valuations.c.accrual_id),
    )
    .where(former_valuations.c.tenant_id == tenant_parameter(), _of_accruals)
    .subquery("former")
)
_NEWEST_VALUATIONS = (
    select(*(_FORMER_VALUATIONS.c[name] for name in FormerValuationRow._fields))
    .where(_FORMER_VALUATIONS.c.place <= MAX_FORMER_VALUATIONS)
    .order_by(_FORMER_VALUATIONS.c.accrual_id, _FORMER_VALUATIONS.c.number.desc())
)


async def read_former_valuations(
    tx: Reads, accrual_ids: Sequence[AccrualId]
) -> dict[AccrualId, list[FormerValuationRow]]:
    """The former valuations of each accrual, newest first, at most ``MAX_FORMER_VALUATIONS``."""
    found: dict[AccrualId, list[FormerValuationRow]] = {accrual_id: [] for accrual_id in accrual_ids}
    for row in await tx.rows(_NEWEST_VALUATIONS, accruals=list(accrual_ids)):
        found[row.accrual_id].append(FormerValuationRow._make(row))
    return found


class EvaluatedPurchase(NamedTuple):
    """A purchase that was evaluated, with what it earned and how much of it is paid with points now."""

    purchase: PurchaseRow
    accrual: AccrualRow
    points_paid_minor: int
    was_refunded: bool


class DueEvaluation(NamedTuple):
    """A purchase whose rules are due to be evaluated, and how much of it is paid with points now."""

    purchase: PurchaseRow
    points_paid_minor: int
    was_refunded: bool


async def read_evaluated_purchases(
    tx: Transaction, keys: Sequence[tuple[PurchaseKind, str]]
) -> list[EvaluatedPurchase]:
    """The purchases with these natural keys that were evaluated in their present life."""
    wanted = [{"kind": kind, "external_id": external_id} for kind, external_id in set(keys)]
    rows = await tx.rows(_EVALUATED, keys=wanted)
    return [
        EvaluatedPurchase(purchase_row(row), accrual_row(row), row.points_paid_minor, row.was_refunded) for row in rows
    ]


class WantedPurchase(NamedTuple):
    """The natural key of a purchase, and what tells whether the report about it was recorded before."""

    kind: PurchaseKind
    external_id: str
    fingerprint: str
    former_fingerprint: str
    """The fingerprint that the first release gave the same report."""
    report_key: str | None
    client: str
    """Whose key it is: a key belongs to one client."""
    status: PurchaseStatus
    customer: str
    """The external id of whose it is said to be."""


async def prepare_recording(tx: Transaction, wanted: Sequence[WantedPurchase]) -> RecordingContext | None:
    """What is known about the purchases, and which configuration is in force; None while there is no program."""
    keys = [{"ordinal": ordinal, **one._asdict()} for ordinal, one in enumerate(wanted)]
    rows = await tx.rows(_PREPARE, wanted=keys)
    if not rows:
        return None
    return RecordingContext(config_version=rows[0].config_version, known=[_known(row) for row in rows])


async def read_purchases_by_id(tx: Reads, ids: Sequence[PurchaseId]) -> dict[PurchaseId, PurchaseRow]:
    """The purchases among ``ids``."""
    return {row.purchase_id: purchase_row(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}


async def read_purchase_by_key(tx: Reads, kind: PurchaseKind, external_id: str) -> PurchaseRow | None:
    """A purchase by the id that the caller's own system has for it."""
    row = await tx.row(_BY_KEY, kind=kind, external_id=external_id)
    return purchase_row(row) if row else None


async def read_accruals(tx: Reads, purchase_ids: Sequence[PurchaseId]) -> dict[PurchaseId, AccrualRow]:
    """The newest accrual of each purchase; one that never earned is absent."""
    return {row.accrual_purchase_id: accrual_row(row) for row in await tx.rows(_ACCRUALS, ids=list(purchase_ids))}


async def read_accruals_by_id(tx: Reads, ids: Sequence[AccrualId]) -> dict[AccrualId, AccrualRow]:
    """The accruals among ``ids``."""
    return {row.accrual_id: accrual_row(row) for row in await tx.rows(_ACCRUALS_BY_ID, ids=list(ids))}


async def read_due_accruals(tx: Transaction, now: datetime, limit: int) -> list[AccrualRow]:
    """Pending accruals that are due, those that are due longest first."""
    return [accrual_row(row) for row in await tx.rows(_DUE, now=now, limit=limit)]


async def read_refunds(tx: Reads, purchase_ids: Sequence[PurchaseId]) -> dict[PurchaseId, list[RefundRow]]:
    """The refunds of each purchase, in the order they came."""
    found: dict[PurchaseId, list[RefundRow]] = {purchase_id: [] for purchase_id in purchase_ids}
    for row in await tx.rows(_REFUNDS, purchases=list(purchase_ids)):
        found[row.purchase_id].append(RefundRow._make(row))
    return found


async def read_refunds_by_id(tx: Transaction, ids: Sequence[PurchaseRefundId]) -> dict[PurchaseRefundId, RefundRow]:
    """The refunds among ``ids``."""
    return {row.id: RefundRow._make(row) for row in await tx.rows(_REFUNDS_BY_ID, ids=list(ids))}


async def read_due_evaluations(tx: Transaction, now: datetime, limit: int) -> list[DueEvaluation]:
    """Purchases whose rules are due to be evaluated."""
    rows = await tx.rows(_DUE_EVALUATIONS, now=now, limit=limit)
    return [DueEvaluation(purchase_row(row), row.points_paid_minor, row.was_refunded) for row in rows]


def facts_document(facts: PurchaseFacts) -> dict[str, Any]:
    """What was reported about a purchase, as it is stored."""
    values = {name: getattr(facts, name) for name in _FACTS}
    stored = {**values, "lines": to_document(facts.lines)}
    return {**stored, "exchange": to_document(facts.exchange)}


_FACTS = tuple(field.name for field in fields(PurchaseFacts))


def _known(row: Any) -> KnownPurchase:
    return KnownPurchase(
        purchase=purchase_row(row) if row.purchase_id else None,
        is_theirs=row.is_theirs,
        customer_category=row.customer_category,
        accrual=accrual_row(row) if row.accrual_id else None,
        fact=_fact_of(row.fact_version, row.fact_fingerprint, row.fact_recorded_at),
        keyed=_fact_of(row.keyed_version, row.keyed_fingerprint, row.keyed_recorded_at),
        earlier_states=tuple(row.earlier_states or ()),
        paid=paid_with_points(row),
        checkout_version=row.checkout_version,
        was_refunded=row.was_refunded,
    )


def _fact_of(version: int | None, fingerprint: str, recorded_at: datetime) -> KnownFact | None:
    return None if version is None else KnownFact(version, fingerprint, recorded_at)


def told_times(purchase: PurchaseRow) -> dict[str, datetime | None]:
    """When each fact was last told."""
    return {name: None if at is None else datetime.fromisoformat(at) for name, at in purchase.told_at.items()}


def purchase_row(row: Any) -> PurchaseRow:
    """A purchase from columns labelled ``purchase_…``."""
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


def accrual_row(row: Any) -> AccrualRow:
    """An accrual from columns labelled ``accrual_…``."""
    return AccrualRow(
        id=row.accrual_id,
        purchase_id=row.accrual_purchase_id,
        customer_id=row.accrual_customer_id,
        generation=row.accrual_generation,
        state=AccrualState(row.accrual_state),
        points=row.accrual_points,
        voided_points=row.accrual_voided_points,
        reversed_points=row.accrual_reversed_points,
        currency=row.accrual_currency,
        breakdown=row.accrual_breakdown,
        # What was evaluated before purchases could be valued anew stays as it was told.
        policy=from_document(AccrualPolicy, {"revalue": Revalue.NEVER, **row.accrual_policy}),
        program_version=row.accrual_program_version,
        evaluated_at=row.accrual_evaluated_at,
        matures_at=row.accrual_matures_at,
        matured_at=row.accrual_matured_at,
        raised_standing=row.accrual_raised_standing,
        earned_points=row.accrual_earned_points,
        taken_points=row.accrual_taken_points,
        valuation=row.accrual_valuation,
        points_paid_minor=row.accrual_points_paid_minor,
        frozen=row.accrual_frozen,
        config_version=row.accrual_config_version,
    )
