"""One posting = one statement: everything that one decision changes is written together or not at all.

A posting is a list of rows per table. They travel as JSON parameters, so the statement is the same for one purchase and
for a thousand, and PostgreSQL plans it once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Text, Uuid, bindparam, case, cast, func, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from loyalty.rules.account import Account
from loyalty.rules.ids import CustomerId, EntryId, LotId
from loyalty.rules.lots import OpenLot
from loyalty.storage.tables import (
    accounts,
    accruals,
    adjustments,
    allocations,
    customers,
    entries,
    events,
    idempotency_keys,
    lots,
    programs,
    purchase_facts,
    purchases,
    tier_changes,
)
from loyalty.storage.window import Window
from tenancy.database import Transaction
from tenancy.retry import StaleRead
from tenancy.table import INSTANT, insert_rows, record_set, rows_parameter, tenant_parameter

Rows = list[dict[str, Any]]

_TAKEN = frozenset({"23503", "23505"})
"""foreign_key_violation and unique_violation (PostgreSQL, appendix A)."""


@dataclass(slots=True)
class Posting:
    """What one transaction writes to the ledger, as rows by table."""

    purchases: Rows = field(default_factory=list)
    purchase_facts: Rows = field(default_factory=list)
    accruals: Rows = field(default_factory=list)
    accrual_moves: Rows = field(default_factory=list)
    adjustments: Rows = field(default_factory=list)
    entries: Rows = field(default_factory=list)
    lots: Rows = field(default_factory=list)
    lot_debits: Rows = field(default_factory=list)
    allocations: Rows = field(default_factory=list)
    accounts: Rows = field(default_factory=list)
    tier_changes: Rows = field(default_factory=list)
    events: Rows = field(default_factory=list)
    idempotency_keys: Rows = field(default_factory=list)
    config_version: int | None = None
    """The configuration that it was decided with; None for one that depends on none."""


_ROWS = tuple(name for name in Posting.__dataclass_fields__ if name != "config_version")


class EntryRow(NamedTuple):
    """One line of the ledger as clients see it."""

    id: EntryId
    customer_id: CustomerId
    sequence: int
    kind: str
    points: int
    balance_after: int
    reference_kind: str
    reference_id: UUID
    occurred_at: datetime
    actor_kind: str
    actor: str


class EntryPlace(NamedTuple):
    """Where an entry stands in a list of entries: by time, then by id."""

    occurred_at: datetime
    id: EntryId


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _save_purchases() -> Any:
    """Insert, or move to the next version; a purchase that somebody else moved meanwhile is left alone and missed."""
    statement = insert_rows(purchases, "purchases")
    changing = ("status", "version", "generation", "total_minor", "currency", "lines", "location", "staff")
    times = ("booked_at", "starts_at", "ends_at", "occurred_at", "updated_at")
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "kind", "external_id"],
        set_={name: statement.excluded[name] for name in (*changing, *times)},
        where=purchases.c.version == statement.excluded.version - 1,
    ).returning(purchases.c.id)


def _move_accruals() -> Any:
    """Move accruals from the state they were seen in; one that somebody else moved meanwhile is missed."""
    names = ["id", "state", "reversed_points", "matures_at", "matured_at"]
    rows = record_set("accrual_moves", [*((name, accruals.c[name].type) for name in names), ("seen_state", Text())])
    return (
        update(accruals)
        .where(
            accruals.c.tenant_id == tenant_parameter(),
            accruals.c.id == rows.c.id,
            accruals.c.state == rows.c.seen_state,
        )
        .values({name: rows.c[name] for name in names[1:]})
        .returning(accruals.c.id)
    )


def _save_keys() -> Any:
    """Keep idempotency keys; one that a concurrent transaction has just kept is missed."""
    statement = insert_rows(idempotency_keys, "idempotency_keys")
    return statement.on_conflict_do_nothing().returning(idempotency_keys.c.key)


def _save_accounts() -> Any:
    rows = rows_parameter(accounts, "accounts")
    names = [column.name for column in rows.c if column.name != "customer_id"]
    return (
        update(accounts)
        .where(accounts.c.tenant_id == tenant_parameter(), accounts.c.customer_id == rows.c.customer_id)
        .values({name: rows.c[name] for name in names})
    )


def _debit_lots() -> Any:
    rows = rows_parameter(lots, "lot_debits", ["id", "remaining"])
    # Several entries of one posting may take from one lot, but an UPDATE takes only one of several rows for it.
    taken = select(rows.c.id, cast(func.sum(rows.c.remaining), BigInteger).label("points")).group_by(rows.c.id)
    debits = taken.subquery("debits")
    left = lots.c.remaining - debits.c.points
    return (
        update(lots)
        .where(lots.c.tenant_id == tenant_parameter(), lots.c.id == debits.c.id)
        .values(remaining=left, state=case((left + lots.c.held == 0, "EXHAUSTED"), else_=lots.c.state))
    )


_saved_purchases = _save_purchases().cte("saved_purchases")
_saved_keys = _save_keys().cte("saved_keys")
_moved_accruals = _move_accruals().cte("moved_accruals")

_POST = select(
    select(func.count()).select_from(_saved_purchases).scalar_subquery().label("purchases"),
    select(func.count()).select_from(_saved_keys).scalar_subquery().label("keys"),
    select(func.count()).select_from(_moved_accruals).scalar_subquery().label("accruals"),
    select(programs.c.config_version)
    .where(programs.c.tenant_id == tenant_parameter())
    .scalar_subquery()
    .label("config_version"),
).add_cte(
    insert_rows(purchase_facts, "purchase_facts").cte("saved_facts"),
    insert_rows(accruals, "accruals").cte("saved_accruals"),
    insert_rows(adjustments, "adjustments").cte("saved_adjustments"),
    insert_rows(entries, "entries").cte("saved_entries"),
    insert_rows(lots, "lots").cte("saved_lots"),
    _debit_lots().cte("debited_lots"),
    insert_rows(allocations, "allocations").cte("saved_allocations"),
    _save_accounts().cte("saved_accounts"),
    insert_rows(tier_changes, "tier_changes").cte("saved_tier_changes"),
    insert_rows(events, "events").cte("saved_events"),
)


async def post(tx: Transaction, posting: Posting) -> None:
    """Write a posting whole.

    Raises StaleRead, for the whole to run again, when a purchase, accrual or key in it was moved meanwhile, or when
    rules, tiers or settings were changed: a re-tiering that has passed by already would not come back for this account.
    """
    parameters = {name: getattr(posting, name) for name in _ROWS}
    try:
        saved = await tx.row(_POST, **parameters)
    except IntegrityError as error:
        # Facts of a purchase that another transaction has moved meanwhile: the first constraint to notice speaks.
        if posting.purchases and getattr(error.orig, "sqlstate", None) in _TAKEN:
            raise StaleRead from error
        raise
    written = (len(posting.purchases), len(posting.idempotency_keys), len(posting.accrual_moves))
    if saved is None or (saved.purchases, saved.keys, saved.accruals) != written:
        raise StaleRead
    if posting.config_version not in (None, saved.config_version):
        raise StaleRead


# ── locking ──────────────────────────────────────────────────────────────────────────────────────────────────────

ACCOUNT_COLUMNS = [
    accounts.c.customer_id,
    accounts.c.available,
    accounts.c.pending,
    accounts.c.held,
    accounts.c.debt,
    accounts.c.lifetime_earned,
    accounts.c.qualifying,
    accounts.c.tier_id,
    accounts.c.sequence,
]
PROFILE_COLUMNS = [
    customers.c.id,
    customers.c.external_id,
    customers.c.full_name,
    customers.c.email,
    customers.c.avatar_url,
    customers.c.locale,
    customers.c.category,
    customers.c.marketing_consent,
    customers.c.created_at,
]


_ACCOUNT_NAMES = tuple(column.name for column in ACCOUNT_COLUMNS)


class LockedCustomer(NamedTuple):
    """A customer whose account row is locked until the transaction ends."""

    profile: Any
    account: Account


_LOCK = (
    select(*PROFILE_COLUMNS, *ACCOUNT_COLUMNS)
    .join_from(
        accounts,
        customers,
        (customers.c.tenant_id == accounts.c.tenant_id) & (customers.c.id == accounts.c.customer_id),
    )
    .where(
        accounts.c.tenant_id == tenant_parameter(),
        accounts.c.customer_id.in_(bindparam("ids", expanding=True)),
    )
    .order_by(accounts.c.customer_id)
    .with_for_update(of=accounts)
)


_KEPT_WHEN_EMPTY = ("full_name", "search_name", "search_family_name")
_KEPT_WHEN_NULL = ("email", "avatar_url", "locale", "category", "marketing_consent")


def _open_customers() -> Any:
    """Create or refresh customers: what a profile leaves out stays as it was."""
    fresh = insert_rows(customers, "customers", ordered_by="external_id")
    return fresh.on_conflict_do_update(
        index_elements=["tenant_id", "external_id"],
        set_={
            **{
                name: func.coalesce(func.nullif(fresh.excluded[name], ""), customers.c[name])
                for name in _KEPT_WHEN_EMPTY
            },
            **{name: func.coalesce(fresh.excluded[name], customers.c[name]) for name in _KEPT_WHEN_NULL},
            "updated_at": fresh.excluded.updated_at,
        },
    ).returning(*PROFILE_COLUMNS, customers.c.updated_at)


def _open_accounts(opened: Any) -> Any:
    """Give every customer of ``opened`` an account, and lock it: a lock on a row that is not there locks nothing."""
    zeros = {column.name: literal(0) for column in ACCOUNT_COLUMNS if column.name not in ("customer_id", "tier_id")}
    source = select(
        tenant_parameter(),
        opened.c.id,
        *zeros.values(),
        opened.c.updated_at,
    ).order_by(opened.c.id)
    fresh = upsert(accounts).from_select(["tenant_id", "customer_id", *zeros, "updated_at"], source)
    return fresh.on_conflict_do_update(
        index_elements=["tenant_id", "customer_id"],
        set_={"updated_at": fresh.excluded.updated_at},
    ).returning(*ACCOUNT_COLUMNS)


_opened_customers = _open_customers().cte("opened_customers")
_opened_accounts = _open_accounts(_opened_customers).cte("opened_accounts")
_OPEN_ACCOUNTS = select(*_opened_customers.c, *_opened_accounts.c).join_from(
    _opened_customers,
    _opened_accounts,
    _opened_accounts.c.customer_id == _opened_customers.c.id,
)

_OPEN_LOTS = (
    select(
        lots.c.customer_id,
        lots.c.id,
        lots.c.remaining,
        lots.c.expires_at,
        lots.c.opened_at,
        entries.c.cause_id,
    )
    .join_from(lots, entries, (entries.c.tenant_id == lots.c.tenant_id) & (entries.c.id == lots.c.entry_id))
    .where(
        lots.c.tenant_id == tenant_parameter(),
        lots.c.customer_id.in_(bindparam("customers", expanding=True)),
        lots.c.state == literal("OPEN"),
        lots.c.remaining > 0,
    )
    .order_by(lots.c.expires_at.asc().nulls_last(), lots.c.opened_at, lots.c.id)
)


async def open_accounts(tx: Transaction, profiles: Rows) -> dict[str, LockedCustomer]:
    """Create or refresh customers by external id and lock their accounts; the result is keyed by external id.

    Customers are locked in the order of their external ids, which only recordings do; accounts in the order of their
    ids, as everybody does. So nobody waits for anybody in a circle.
    """
    return {row.external_id: locked_customer(row) for row in await tx.rows(_OPEN_ACCOUNTS, customers=profiles)}


async def lock_customers(tx: Transaction, ids: Sequence[CustomerId]) -> dict[CustomerId, LockedCustomer]:
    """Lock existing customers' accounts in the order of their ids; ids that do not exist are absent."""
    return {row.id: locked_customer(row) for row in await tx.rows(_LOCK, ids=sorted(ids))}


class SourcedLot(NamedTuple):
    """A lot with points left, and what its points came from: an accrual, an adjustment."""

    lot: OpenLot
    cause_id: UUID


async def read_open_lots(tx: Transaction, customer_ids: Sequence[CustomerId]) -> dict[CustomerId, list[SourcedLot]]:
    """The lots that debits may take from, in the order they are spent in; the accounts must be locked."""
    found: dict[CustomerId, list[SourcedLot]] = {customer_id: [] for customer_id in customer_ids}
    for row in await tx.rows(_OPEN_LOTS, customers=list(customer_ids)):
        lot = OpenLot(LotId(row.id), row.remaining, row.expires_at, row.opened_at)
        found[CustomerId(row.customer_id)].append(SourcedLot(lot, row.cause_id))
    return found


def locked_customer(row: Any) -> LockedCustomer:
    """A customer from the columns of profile and account, read under a lock."""
    return LockedCustomer(profile=row, account=account_of(row))


def account_of(row: Any) -> Account:
    """An account as the rules know it, from ``ACCOUNT_COLUMNS``."""
    return Account(**{name: getattr(row, name) for name in _ACCOUNT_NAMES})


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

_ENTRY_COLUMNS = [entries.c[name] for name in EntryRow._fields]
_ENTRIES = select(*_ENTRY_COLUMNS).where(entries.c.tenant_id == tenant_parameter())
_ENTRIES_BY_ID = _ENTRIES.where(entries.c.id.in_(bindparam("ids", expanding=True)))


async def read_entries_by_id(tx: Transaction, ids: Sequence[EntryId]) -> dict[EntryId, EntryRow]:
    """The entries among ``ids``."""
    return {row.id: EntryRow._make(row) for row in await tx.rows(_ENTRIES_BY_ID, ids=list(ids))}


class EntryFilter(NamedTuple):
    """What a list of entries is narrowed to."""

    customer_id: CustomerId | None = None
    kinds: tuple[str, ...] | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None


async def read_entry_page(
    tx: Transaction,
    wanted: EntryFilter,
    *,
    window: Window[EntryPlace],
) -> list[EntryRow]:
    """A page of entries, newest first, or towards the newest when the window is backwards."""
    statement = _ENTRIES
    parameters: dict[str, Any] = {}
    if wanted.customer_id is not None:
        statement = statement.where(entries.c.customer_id == bindparam("customer"))
        parameters["customer"] = wanted.customer_id
    if wanted.kinds is not None:
        statement = statement.where(entries.c.kind.in_(bindparam("kinds", expanding=True)))
        parameters["kinds"] = list(wanted.kinds)
    if wanted.start_at is not None:
        statement = statement.where(entries.c.occurred_at >= bindparam("start_at"))
        parameters["start_at"] = wanted.start_at
    if wanted.end_at is not None:
        statement = statement.where(entries.c.occurred_at < bindparam("end_at"))
        parameters["end_at"] = wanted.end_at
    order = (entries.c.occurred_at, entries.c.id)
    if window.beyond is not None:
        place = tuple_(*order)
        mark = tuple_(bindparam("after_at", type_=INSTANT), bindparam("after_id", type_=Uuid))
        statement = statement.where(place > mark if window.backwards else place < mark)
        parameters |= {"after_at": window.beyond.occurred_at, "after_id": window.beyond.id}
    statement = statement.order_by(*(order if window.backwards else [column.desc() for column in order])).limit(
        window.limit
    )
    return [EntryRow._make(row) for row in await tx.rows(statement, **parameters)]
