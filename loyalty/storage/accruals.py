"""The accruals of purchases, with their newest and their former valuations."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, select

from loyalty.rules.accrual import AccrualPolicy, AccrualState, Revalue
from loyalty.rules.evaluation import Evaluation, EvaluationLine
from loyalty.rules.expiry import ExpiryPolicy
from loyalty.rules.ids import AccrualId, CustomerId, PurchaseId
from loyalty.rules.tiers import Tier
from loyalty.storage.documents import from_document, read_evaluation, to_document
from loyalty.storage.tables import accruals, former_valuations
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import INSTANT, among, tenant_parameter

MAX_FORMER_VALUATIONS = 100
"""The number of former valuations of an accrual that can be read, the newest. All are stored."""


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
    """How far its points raised the standing, less the points taken back; None if an earlier release did not
    count it."""
    earned_points: int = 0
    """The credited points, summed over all entries."""
    taken_points: int = 0
    """The points taken back, summed over all entries."""
    valuation: int = 1
    points_paid_minor: int | None = None
    """How much points had paid of the purchase at the newest valuation."""
    cards_paid_minor: int | None = None
    """How much gift cards had paid of it then; None if an earlier release did not count it."""
    frozen: dict[str, Any] | None = None
    """The facts of the evaluation that later valuations use; see ``frozen_document``."""
    config_version: int = 0

    @property
    def lines(self) -> tuple[EvaluationLine, ...]:
        """The points of each rule, with the explanation."""
        return read_evaluation(self.breakdown)

    @property
    def lost_points(self) -> int:
        """The points that were lost, while they were pending or after they were credited."""
        return self.voided_points + self.reversed_points

    @property
    def outstanding_points(self) -> int:
        """The points that are left."""
        return self.points - self.lost_points


class FormerValuationRow(NamedTuple):
    """A former valuation of an accrual, from before its purchase changed."""

    accrual_id: AccrualId
    customer_id: CustomerId
    currency: str
    number: int
    points: int
    breakdown: list[dict[str, Any]]
    replaced_at: datetime

    @property
    def lines(self) -> tuple[EvaluationLine, ...]:
        """The points of each rule at that time, with the explanation."""
        return read_evaluation(self.breakdown)


_accrual_columns = [column.label(f"accrual_{column.name}") for column in accruals.c if column.name != "tenant_id"]


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
    """Return the former valuations of each accrual, newest first, at most ``MAX_FORMER_VALUATIONS``."""
    found: dict[AccrualId, list[FormerValuationRow]] = {accrual_id: [] for accrual_id in accrual_ids}
    for row in await tx.rows(_NEWEST_VALUATIONS, accruals=list(accrual_ids)):
        found[row.accrual_id].append(FormerValuationRow._make(row))
    return found


async def read_accruals(tx: Reads, purchase_ids: Sequence[PurchaseId]) -> dict[PurchaseId, AccrualRow]:
    """Return the newest accrual of each purchase. A purchase that never earned is left out."""
    return {row.accrual_purchase_id: accrual_row(row) for row in await tx.rows(_ACCRUALS, ids=list(purchase_ids))}


async def read_accruals_by_id(tx: Reads, ids: Sequence[AccrualId]) -> dict[AccrualId, AccrualRow]:
    """Return the accruals among ``ids``."""
    return {row.accrual_id: accrual_row(row) for row in await tx.rows(_ACCRUALS_BY_ID, ids=list(ids))}


async def read_due_accruals(tx: Transaction, now: datetime, limit: int) -> list[AccrualRow]:
    """Return pending accruals that are due, the longest due first."""
    return [accrual_row(row) for row in await tx.rows(_DUE, now=now, limit=limit)]


def accrual_row(row: Any) -> AccrualRow:
    """Return an accrual from columns labelled ``accrual_…``."""
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
        # A purchase evaluated before there were later valuations keeps its first valuation.
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
        cards_paid_minor=row.accrual_cards_paid_minor,
        frozen=row.accrual_frozen,
        config_version=row.accrual_config_version,
    )


def frozen_document(customer_category: str | None, moment: datetime, tier: Tier | None) -> dict[str, Any]:
    """Return the facts of an evaluation that later valuations use, as a document to store."""
    factor = tier.factor if tier else None
    return {
        "moment": moment.isoformat(),
        "customer_category": customer_category,
        "tier": tier
        and {
            "id": str(tier.id),
            "name": tier.name,
            "numerator": factor and factor.numerator,
            "denominator": factor and factor.denominator,
        },
    }


def breakdown_document(evaluation: Evaluation, expiry: ExpiryPolicy) -> list[dict[str, Any]]:
    """Return the lines of an evaluation as a document to store.

    ``expiry`` is for lines whose rule has no expiry policy.
    """
    return [
        {**to_document(line), "expiry": to_document(line.expiry or expiry) if line.points else None}
        for line in evaluation.lines
    ]
