"""Read the facts that a recording of purchases needs before it locks anything, at once for a whole batch."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Integer, Text, and_, case, false, func, or_, select, true
from sqlalchemy.sql.selectable import LateralFromClause

from loyalty.rules.payments import PaidWithCards
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from loyalty.storage.accruals import AccrualRow, accrual_row
from loyalty.storage.cards_paid import cards_paid, read_cards_paid
from loyalty.storage.points_paid import PaidWithPoints, paying_holds, paying_redemptions, read_points_paid
from loyalty.storage.purchase_locks import share_purchase
from loyalty.storage.purchases import PurchaseRow, purchase_row
from loyalty.storage.refunds import was_refunded
from loyalty.storage.tables import accruals, checkouts, customers, programs, purchase_facts, purchases
from tenancy.database import Transaction
from tenancy.table import record_set, tenant_parameter

MAX_STATES_COMPARED = 100
"""The number of earlier states of a purchase with which a report is compared, to see whether it returns to one
of them."""


class KnownFact(NamedTuple):
    """A fact that was recorded before."""

    version: int
    fingerprint: str
    recorded_at: datetime


class KnownPurchase(NamedTuple):
    """The recorded facts about one requested purchase."""

    purchase: PurchaseRow | None
    is_theirs: bool
    """Whether it belongs to the named customer, or to the target of that customer's merge."""
    is_customer_known: bool
    """Whether the named customer exists."""
    customer_category: str | None
    """The category of the named customer before this request."""
    accrual: AccrualRow | None
    fact: KnownFact | None
    """The newest fact with the same fingerprint as the report."""
    keyed: KnownFact | None
    """The fact with the same idempotency key as the report."""
    earlier_states: tuple[str, ...]
    """The marks of the states after earlier reports of this status or the present one, at most
    ``MAX_STATES_COMPARED``."""
    paid: PaidWithPoints
    """What points pay of it, read before any lock."""
    cards: PaidWithCards
    """What gift cards pay of it. It is right as long as its checkout has this version."""
    checkout_version: int
    """How often a hold has changed its payments, without holds from before this was counted."""
    was_refunded: bool
    """Whether it has a refund, even one of a line that cost nothing."""


class RecordingContext(NamedTuple):
    """The facts that a recording needs before it locks anything, in the order of the request."""

    config_version: int
    known: list[KnownPurchase]


_wanted = record_set(
    "wanted",
    [
        ("ordinal", Integer()),
        ("kind", Text()),
        ("external_id", Text()),
        ("fingerprint", Text()),
        ("former_fingerprint", Text()),
        ("first_fingerprint", Text()),
        ("report_key", Text()),
        ("client", Text()),
        ("status", Text()),
        ("customer", Text()),
    ],
)


def look_up(name: str, columns: Sequence[Any], *conditions: ColumnElement[bool]) -> LateralFromClause:
    """Find one row of a table for each row before it, by an index.

    The planner must not hash a whole table for a batch.
    """
    return select(*columns).where(*conditions).limit(1).correlate_except(columns[0].table).lateral(name)


_purchase = look_up(
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
            # Earlier releases took null for absent, so they gave both the same fingerprint.
            and_(
                purchase_facts.c.fingerprint.in_([_wanted.c.former_fingerprint, _wanted.c.first_fingerprint]),
                purchase_facts.c.state_mark.is_(None),
            ),
        ),
    )
    .order_by(purchase_facts.c.version.desc())
    .limit(1)
    .correlate_except(purchase_facts)
    .lateral("fact")
)


_keyed = look_up(
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


_accrual = look_up(
    "accrual",
    [column for column in accruals.c if column.name != "tenant_id"],
    accruals.c.tenant_id == tenant_parameter(),
    accruals.c.purchase_id == _purchase.c.id,
    accruals.c.generation == _purchase.c.generation,
)


_checkout = look_up(
    "checkout",
    [checkouts.c.version],
    checkouts.c.tenant_id == tenant_parameter(),
    checkouts.c.purchase_kind == _wanted.c.kind,
    checkouts.c.purchase_external_id == _wanted.c.external_id,
)


_PREPARE = (
    select(
        programs.c.config_version,
        share_purchase(_wanted.c.kind, _wanted.c.external_id),
        func.coalesce(_customer.c.id == _purchase.c.customer_id, false()).label("is_theirs"),
        _customer.c.id.is_not(None).label("is_customer_known"),
        _customer.c.category.label("customer_category"),
        *(column.label(f"fact_{column.name}") for column in _fact.c),
        *(column.label(f"keyed_{column.name}") for column in _keyed.c),
        select(func.array_agg(_states.c.state_mark)).select_from(_states).scalar_subquery().label("earlier_states"),
        paying_holds(_wanted.c.kind, _wanted.c.external_id),
        paying_redemptions(_wanted.c.kind, _wanted.c.external_id),
        cards_paid(_wanted.c.kind, _wanted.c.external_id),
        func.coalesce(_checkout.c.version, 0).label("checkout_version"),
        was_refunded(_purchase.c.id),
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
        .outerjoin(_accrual, true()),
    )
    .where(programs.c.tenant_id == tenant_parameter())
    .order_by(_wanted.c.ordinal)
)


class WantedPurchase(NamedTuple):
    """The natural key of a purchase, and the marks by which an earlier recording of its report is found."""

    kind: PurchaseKind
    external_id: str
    fingerprint: str
    former_fingerprint: str
    """The fingerprint that release 0.1.0 gave the same report."""
    first_fingerprint: str
    """The fingerprint that the server gave the same report at revision 0001."""
    report_key: str | None
    client: str
    """The client to whom the key belongs."""
    status: PurchaseStatus
    customer: str
    """The external id of the customer in the report."""


async def prepare_recording(tx: Transaction, wanted: Sequence[WantedPurchase]) -> RecordingContext | None:
    """Return the known facts about the purchases and the config version in force; None without a program."""
    keys = [{"ordinal": ordinal, **one._asdict()} for ordinal, one in enumerate(wanted)]
    rows = await tx.rows(_PREPARE, wanted=keys)
    if not rows:
        return None
    return RecordingContext(config_version=rows[0].config_version, known=[_build_known_purchase(row) for row in rows])


def _build_known_purchase(row: Any) -> KnownPurchase:
    return KnownPurchase(
        purchase=purchase_row(row) if row.purchase_id else None,
        is_theirs=row.is_theirs,
        is_customer_known=row.is_customer_known,
        customer_category=row.customer_category,
        accrual=accrual_row(row) if row.accrual_id else None,
        fact=_fact_of(row.fact_version, row.fact_fingerprint, row.fact_recorded_at),
        keyed=_fact_of(row.keyed_version, row.keyed_fingerprint, row.keyed_recorded_at),
        earlier_states=tuple(row.earlier_states or ()),
        paid=read_points_paid(row),
        cards=read_cards_paid(row),
        checkout_version=row.checkout_version,
        was_refunded=row.was_refunded,
    )


def _fact_of(version: int | None, fingerprint: str, recorded_at: datetime) -> KnownFact | None:
    return None if version is None else KnownFact(version, fingerprint, recorded_at)
