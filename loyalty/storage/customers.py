"""Customers with their account, tier and progress to the next tier: values that must agree, read in one statement."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import Case, FromClause, Text, and_, bindparam, case, cast, func, select, true

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import CustomerCandidate
from loyalty.rules.identifier import Identifier, identifiers_of
from loyalty.rules.ids import CustomerId, TierId
from loyalty.rules.money import Money, PointValue, value_of
from loyalty.rules.tiers import Tier, TierBasis, measure_way
from loyalty.storage.shared_names import SharedName, conditions_of
from loyalty.storage.tables import accounts, customers, programs, tiers
from loyalty.storage.tiers import KEPT_TIERS, TierRow, factor_of, tier_row
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.statements import keep_plan
from tenancy.table import among, tenant_parameter


class PointsRow(NamedTuple):
    """A customer's account as clients see it."""

    available: int
    pending: int
    held: int
    debt: int
    lifetime_earned: int
    qualifying: int
    value: Money
    customer_id: CustomerId


class TierProgressRow(NamedTuple):
    """The progress of a customer to the next tier."""

    current: TierRow | None
    next: TierRow | None
    points_to_next: int | None
    percent: int
    unlimited: bool


class TierLockRow(NamedTuple):
    """A tier that was set by hand."""

    until: datetime | None


class CustomerRow(NamedTuple):
    """A customer as clients see it."""

    id: CustomerId
    external_id: str
    full_name: str
    email: str | None
    avatar_url: str | None
    locale: str | None
    category: str | None
    marketing_consent: bool
    points: PointsRow
    tier: TierRow | None
    tier_progress: TierProgressRow
    created_at: datetime
    tier_lock: TierLockRow | None = None
    phone: str | None = None
    birthday: str | None = None
    identifiers: tuple[Identifier, ...] = ()
    tags: tuple[str, ...] = ()
    archived_at: datetime | None = None
    erased_at: datetime | None = None


class PointsFilter(DescribedEnum):
    """Which customers a list shows, by their points."""

    AVAILABLE = "AVAILABLE", "Those with points to spend."
    PENDING = "PENDING", "Those with points that are not spendable yet."
    DEBT = "DEBT", "Those who owe points."
    NONE = "NONE", "Those without any points."
    ANY = "ANY", "All."


class CustomerOrder(DescribedEnum):
    """How a list of customers is ordered."""

    NAME = "NAME", "By name."
    POINTS = "POINTS", "Most available points first."
    NEWEST = "NEWEST", "Newest customer first."


class CustomerPlace(NamedTuple):
    """The place of a customer in a list: the value of the order, then the id."""

    value: str | int | UUID
    id: CustomerId


# The points that lead to the next tier, as `counted` in the rules returns them.
_counted = case(
    (programs.c.settings["tiering"]["basis"].astext == TierBasis.EARNED_IN_WINDOW, accounts.c.window_points),
    (
        programs.c.settings["tiering"]["basis"].astext == TierBasis.BALANCE,
        accounts.c.available + accounts.c.held - accounts.c.debt,
    ),
    else_=accounts.c.qualifying,
)
_above = tiers.alias("above")
_next_tier = (
    select(
        _above.c.id,
        _above.c.name,
        _above.c.color,
        _above.c.min_points,
        _above.c.factor_numerator,
        _above.c.factor_denominator,
    )
    .where(
        _above.c.tenant_id == tenant_parameter(),
        _above.c.deleted_at.is_(None),
        _above.c.min_points > func.greatest(_counted, tiers.c.min_points),
    )
    .order_by(_above.c.min_points)
    .limit(1)
    .correlate(accounts, programs, tiers)
    .lateral("next_tier")
)
_point_value = programs.c.settings["redemption"]["point_value"]
_SHOWN_OF_PROFILE = [
    customers.c[name]
    for name in (
        "id",
        "external_id",
        "full_name",
        "email",
        "avatar_url",
        "locale",
        "category",
        "marketing_consent",
        "phone",
        "birthday",
        "identifiers",
        "tags",
        "erased_at",
        "created_at",
    )
]
_SHOWN_OF_ACCOUNT = [
    accounts.c[name]
    for name in (
        "available",
        "pending",
        "held",
        "debt",
        "lifetime_earned",
        "tier_id",
        "tier_locked",
        "tier_locked_until",
        "archived_at",
    )
]
KEPT_POINT_VALUES = 1_000
"""The number of values of points that one process keeps: each tenant has one."""

CUSTOMERS = (
    select(
        *_SHOWN_OF_PROFILE,
        *_SHOWN_OF_ACCOUNT,
        tiers.c.name.label("tier_name"),
        tiers.c.color.label("tier_color"),
        tiers.c.min_points.label("tier_min_points"),
        tiers.c.factor_numerator.label("tier_factor_numerator"),
        tiers.c.factor_denominator.label("tier_factor_denominator"),
        _next_tier.c.id.label("next_id"),
        _next_tier.c.name.label("next_name"),
        _next_tier.c.color.label("next_color"),
        _next_tier.c.min_points.label("next_min_points"),
        _next_tier.c.factor_numerator.label("next_factor_numerator"),
        _next_tier.c.factor_denominator.label("next_factor_denominator"),
        _counted.label("counted"),
        cast(_point_value, Text).label("point_value"),
        customers.c.search_name,
    )
    .select_from(
        customers.join(
            accounts,
            and_(accounts.c.tenant_id == customers.c.tenant_id, accounts.c.customer_id == customers.c.id),
        )
        .join(programs, programs.c.tenant_id == customers.c.tenant_id)
        .outerjoin(tiers, and_(tiers.c.tenant_id == accounts.c.tenant_id, tiers.c.id == accounts.c.tier_id))
        .outerjoin(_next_tier, true()),
    )
    .where(customers.c.tenant_id == tenant_parameter())
)
"""The statement that every list and look-up of customers begins with."""
# A look-up finds the customer who is named, then follows a merge to the target by a second key. Under row-level
# security an index serves only what is leakproof. CASE is; coalesce is not and would read all customers of the tenant.
NAMED = customers.alias("named")
"""The customer that a call names, who may be a merged customer."""


def target_of(named: FromClause) -> Case[Any]:
    """Return the id of a customer, or of the target if the customer was merged."""
    return case((named.c.merged_into.is_(None), named.c.id), else_=named.c.merged_into)


_NAMED = CUSTOMERS.add_columns(NAMED.c.id.label("named_id"), NAMED.c.external_id.label("named_external_id")).join(
    NAMED,
    and_(NAMED.c.tenant_id == customers.c.tenant_id, customers.c.id == target_of(NAMED)),
)
_BY_IDS = keep_plan(_NAMED.where(NAMED.c.tenant_id == tenant_parameter(), among(NAMED.c.id, "ids")))
_BY_EXTERNAL_IDS = keep_plan(
    _NAMED.where(NAMED.c.tenant_id == tenant_parameter(), among(NAMED.c.external_id, "external_ids"))
)
MAX_CANDIDATES = 10
"""The number of customers that a refusal names if a look-up may mean several."""


_BY_SHARED = {
    what: _NAMED.where(NAMED.c.tenant_id == tenant_parameter(), condition).order_by(NAMED.c.id).limit(MAX_CANDIDATES)
    for what, condition in conditions_of(NAMED).items()
}

_become = func.coalesce(customers.c.merged_into, customers.c.id).label("id")
_CAN_BE_NAMED = (customers.c.tenant_id == tenant_parameter()) & customers.c.erased_at.is_(None)
_ID_BY_ID = select(_become).where(_CAN_BE_NAMED, customers.c.id == bindparam("id"))
_ID_BY_EXTERNAL_ID = select(_become).where(_CAN_BE_NAMED, customers.c.external_id == bindparam("external_id"))
_CANDIDATES = (
    select(customers.c.id, customers.c.external_id, customers.c.full_name)
    .join(
        NAMED,
        and_(
            NAMED.c.tenant_id == customers.c.tenant_id,
            customers.c.id == target_of(NAMED),
        ),
    )
    .where(
        customers.c.tenant_id == tenant_parameter(),
        NAMED.c.tenant_id == tenant_parameter(),
    )
    .order_by(customers.c.id)
    .distinct()
    .limit(MAX_CANDIDATES)
)
_CANDIDATES_BY_SHARED = {what: _CANDIDATES.where(condition) for what, condition in conditions_of(NAMED).items()}


async def read_customers_by_id(tx: Reads, ids: Sequence[CustomerId]) -> dict[CustomerId, CustomerRow]:
    """Return the customers among ``ids``; for a merged customer the target."""
    return {row.named_id: read_customer_row(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}


async def read_customer(tx: Reads, customer_id: CustomerId) -> CustomerRow | None:
    """Return one customer by id."""
    return (await read_customers_by_id(tx, [customer_id])).get(customer_id)


async def read_customers_by_external_id(tx: Reads, external_ids: Sequence[str]) -> dict[str, CustomerRow]:
    """Return customers by their external ids; for a merged customer the target."""
    rows = await tx.rows(_BY_EXTERNAL_IDS, external_ids=list(external_ids))
    return {row.named_external_id: read_customer_row(row) for row in rows}


async def read_customer_by_external_id(tx: Reads, external_id: str) -> CustomerRow | None:
    """Return one customer by external id."""
    return (await read_customers_by_external_id(tx, [external_id])).get(external_id)


async def read_customers_by_shared_name(tx: Reads, name: SharedName) -> list[CustomerRow]:
    """Return the customers with a shared name, such as an e-mail address, the oldest first.

    At most ``MAX_CANDIDATES`` are returned.
    """
    found = [read_customer_row(row) for row in await tx.rows(_BY_SHARED[name.what], **name.values)]
    return list({customer.id: customer for customer in found}.values())


async def find_candidates(tx: Reads, name: SharedName) -> list[CustomerCandidate]:
    """Return the customers that a shared name may mean, targets for merged ones; at most ``MAX_CANDIDATES``."""
    return [CustomerCandidate._make(row) for row in await tx.rows(_CANDIDATES_BY_SHARED[name.what], **name.values)]


async def find_customer_id(
    tx: Transaction, *, customer_id: CustomerId | None, external_id: str | None
) -> CustomerId | None:
    """Return the id of a customer by id or external id; for a merged customer the target's.

    None for an erased customer.
    """
    if customer_id is not None:
        row = await tx.row(_ID_BY_ID, id=customer_id)
    else:
        row = await tx.row(_ID_BY_EXTERNAL_ID, external_id=external_id)
    return CustomerId(row.id) if row else None


def customer_row(
    profile: Any,
    account: Any,
    *,
    tier: Tier | None,
    next_tier: Tier | None,
    counted: int,
    point_value: PointValue,
) -> CustomerRow:
    """Return a customer as clients see it, from a stored profile and the points and the tier of an account."""
    current, following = tier_row(tier), tier_row(next_tier)
    ahead = measure_way(tier, next_tier, counted)
    available = account.available
    points = PointsRow(
        available,
        account.pending,
        account.held,
        account.debt,
        account.lifetime_earned,
        counted,
        value_of(available, point_value),
        profile.id,
    )
    # By position: a page makes fifty of these, and names would take half of the time.
    return CustomerRow(
        profile.id,
        profile.external_id,
        profile.full_name,
        profile.email,
        profile.avatar_url,
        profile.locale,
        profile.category,
        bool(profile.marketing_consent),
        points,
        current,
        TierProgressRow(current, following, ahead.points_to_next, ahead.percent, ahead.unlimited),
        profile.created_at,
        TierLockRow(account.tier_locked_until) if account.tier_locked else None,
        profile.phone,
        profile.birthday,
        identifiers_of(profile.identifiers) if profile.identifiers else (),
        tuple(profile.tags or ()),
        account.archived_at,
        profile.erased_at,
    )


def read_customer_row(row: Any) -> CustomerRow:
    """Return a customer from a row of ``CUSTOMERS``."""
    return customer_row(
        row,
        row,
        tier=_read_tier(
            row.tier_id,
            row.tier_name,
            row.tier_color,
            row.tier_min_points,
            row.tier_factor_numerator,
            row.tier_factor_denominator,
        ),
        next_tier=_read_tier(
            row.next_id,
            row.next_name,
            row.next_color,
            row.next_min_points,
            row.next_factor_numerator,
            row.next_factor_denominator,
        ),
        counted=row.counted,
        point_value=_read_point_value(row.point_value),
    )


@lru_cache(KEPT_TIERS)
def _read_tier(
    tier_id: TierId | None,
    name: str,
    color: str,
    min_points: int,
    numerator: int | None,
    denominator: int | None,
) -> Tier | None:
    return None if tier_id is None else Tier(tier_id, name, color, min_points, factor_of(numerator, denominator))


@lru_cache(KEPT_POINT_VALUES)
def _read_point_value(stored: str) -> PointValue:
    """Read the value of points in the settings of a program."""
    value = orjson.loads(stored)
    return PointValue(value["points"], Money(value["amount_minor"], value["currency"]))
