"""One posting = one statement: everything that one decision changes is written together or not at all.

A posting is a list of rows per table. They travel as JSON parameters, so the statement is the same for one purchase and
for a thousand, and PostgreSQL plans it once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Table, Text, bindparam, case, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from loyalty.rules.account import Account
from loyalty.rules.ids import CustomerId, EntryId
from loyalty.rules.lots import Lot, LotState
from loyalty.storage.tables import (
    accounts,
    accruals,
    adjustments,
    allocations,
    checkouts,
    customer_consents,
    customer_merges,
    customer_words,
    customers,
    entries,
    events,
    expiry_notices,
    former_valuations,
    hold_lots,
    holds,
    idempotency_keys,
    lots,
    opening_balances,
    programs,
    purchase_facts,
    purchase_refunds,
    purchases,
    redemption_returns,
    redemptions,
    tier_changes,
)
from loyalty.storage.window import TimePlace, Window, apply_window
from tenancy.database import Transaction
from tenancy.retry import StaleRead
from tenancy.table import INSTANT, insert_rows, record_set, rows_parameter, tenant_parameter

Rows = list[dict[str, Any]]

_TAKEN = frozenset({"23503", "23505"})
"""foreign_key_violation and unique_violation (PostgreSQL, appendix A)."""


@dataclass(slots=True)
class Posting:
    """What one transaction writes to the ledger, as rows by table. A ``…_moves`` changes rows that are there."""

    purchases: Rows = field(default_factory=list)
    purchase_facts: Rows = field(default_factory=list)
    purchase_refunds: Rows = field(default_factory=list)
    purchase_moves: Rows = field(default_factory=list)
    accruals: Rows = field(default_factory=list)
    accrual_moves: Rows = field(default_factory=list)
    former_valuations: Rows = field(default_factory=list)
    adjustments: Rows = field(default_factory=list)
    checkouts: Rows = field(default_factory=list)
    seen_checkouts: Rows = field(default_factory=list)
    holds: Rows = field(default_factory=list)
    hold_moves: Rows = field(default_factory=list)
    hold_lowerings: Rows = field(default_factory=list)
    hold_lots: Rows = field(default_factory=list)
    hold_lot_moves: Rows = field(default_factory=list)
    redemptions: Rows = field(default_factory=list)
    redemption_moves: Rows = field(default_factory=list)
    redemption_returns: Rows = field(default_factory=list)
    customer_merges: Rows = field(default_factory=list)
    customer_consents: Rows = field(default_factory=list)
    customer_words: Rows = field(default_factory=list)
    search_marks: Rows = field(default_factory=list)
    opening_balances: Rows = field(default_factory=list)
    entries: Rows = field(default_factory=list)
    lots: Rows = field(default_factory=list)
    lot_moves: Rows = field(default_factory=list)
    put_offs: Rows = field(default_factory=list)
    allocations: Rows = field(default_factory=list)
    expiry_notices: Rows = field(default_factory=list)
    accounts: Rows = field(default_factory=list)
    tier_changes: Rows = field(default_factory=list)
    events: Rows = field(default_factory=list)
    idempotency_keys: Rows = field(default_factory=list)
    config_version: int | None = None
    """The configuration that it was decided with; None for one that depends on none."""

    def filled(self) -> dict[str, Rows]:
        """The tables that it writes to, with their rows."""
        names = (name for name in Posting.__dataclass_fields__ if name != "config_version")
        return {name: rows for name in names if (rows := getattr(self, name))}


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


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _save_purchases() -> Any:
    """Insert, or move to the next version; a purchase that somebody else moved meanwhile is left alone and missed."""
    statement = insert_rows(purchases, "purchases")
    changing = (
        "customer_id",
        "status",
        "version",
        "generation",
        "total_minor",
        "refunded_minor",
        "currency",
        "lines",
        "exchange",
        "location",
        "staff",
        "told_at",
    )
    times = ("booked_at", "starts_at", "ends_at", "occurred_at", "evaluates_at", "updated_at")
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "kind", "external_id"],
        set_={name: statement.excluded[name] for name in (*changing, *times)},
        where=purchases.c.version == statement.excluded.version - 1,
    ).returning(purchases.c.id)


def _move(table: Table, parameter: str, names: Sequence[str], seen: str) -> Any:
    """Move rows on from the value of ``seen`` that they were read with; one that was moved meanwhile is missed."""
    seen_name = f"seen_{seen}"
    columns = [(name, table.c[name].type) for name in ("id", *names)]
    rows = record_set(parameter, [*columns, (seen_name, table.c[seen].type)])
    return (
        update(table)
        .where(table.c.tenant_id == tenant_parameter(), table.c.id == rows.c.id, table.c[seen] == rows.c[seen_name])
        .values({name: rows.c[name] for name in names})
        .returning(table.c.id)
    )


def _save_keys() -> Any:
    """Keep idempotency keys; one that a concurrent transaction has just kept is missed."""
    statement = insert_rows(idempotency_keys, "idempotency_keys")
    return statement.on_conflict_do_nothing().returning(idempotency_keys.c.key)


def _save_checkouts() -> Any:
    """Open a checkout, or move it to the next version; one that somebody else moved meanwhile is missed."""
    statement = insert_rows(checkouts, "checkouts")
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "purchase_kind", "purchase_external_id"],
        set_={"version": statement.excluded.version},
        where=checkouts.c.version == statement.excluded.version - 1,
    ).returning(checkouts.c.version)


def _see_checkouts() -> Any:
    """Find the checkouts that still have the version they were read with, 0 where there was none."""
    seen = rows_parameter(checkouts, "seen_checkouts", ["purchase_kind", "purchase_external_id", "version"])
    now = (
        select(checkouts.c.version)
        .where(
            checkouts.c.tenant_id == tenant_parameter(),
            checkouts.c.purchase_kind == seen.c.purchase_kind,
            checkouts.c.purchase_external_id == seen.c.purchase_external_id,
        )
        .scalar_subquery()
    )
    return select(seen.c.version).where(func.coalesce(now, 0) == seen.c.version)


def _move_hold_lots() -> Any:
    """Note what a hold gave back to its lots early: only under the lock of the account, so nobody moved them."""
    rows = rows_parameter(hold_lots, "hold_lot_moves", ["hold_id", "lot_id", "lowered_points"])
    return (
        update(hold_lots)
        .where(
            hold_lots.c.tenant_id == tenant_parameter(),
            hold_lots.c.hold_id == rows.c.hold_id,
            hold_lots.c.lot_id == rows.c.lot_id,
        )
        .values(lowered_points=rows.c.lowered_points)
    )


def _save_accounts() -> Any:
    rows = rows_parameter(accounts, "accounts")
    names = [column.name for column in rows.c if column.name != "customer_id"]
    return (
        update(accounts)
        .where(accounts.c.tenant_id == tenant_parameter(), accounts.c.customer_id == rows.c.customer_id)
        .values({name: rows.c[name] for name in names})
    )


def _move_lots() -> Any:
    """Write lots as they are now: they only change under the lock of their account, so nobody moved them meanwhile."""
    names = ("remaining", "held", "expired", "state", "expires_at", "notice_at")
    rows = rows_parameter(lots, "lot_moves", ["id", *names])
    return (
        update(lots)
        .where(lots.c.tenant_id == tenant_parameter(), lots.c.id == rows.c.id)
        .values({name: rows.c[name] for name in names})
    )


def _save_words() -> Any:
    """Add the words that a search does not have yet."""
    return insert_rows(customer_words, "customer_words").on_conflict_do_nothing()


def _drop_words() -> Any:
    """Take away the words of customers who have others now."""
    marked = rows_parameter(customers, "search_marks", ["id"])
    words = rows_parameter(customer_words, "customer_words")
    kept = select(words.c.word).where(
        words.c.customer_id == customer_words.c.customer_id, words.c.word == customer_words.c.word
    )
    return delete(customer_words).where(
        customer_words.c.tenant_id == tenant_parameter(),
        # An array, so that the words are found by their customers however many there are.
        customer_words.c.customer_id == func.any(func.array(select(marked.c.id).scalar_subquery())),
        ~kept.exists(),
    )


def _save_marks() -> Any:
    rows = rows_parameter(customers, "search_marks", ["id", "search_mark", "consent_kept"])
    return (
        update(customers)
        .where(customers.c.tenant_id == tenant_parameter(), customers.c.id == rows.c.id)
        .values(search_mark=rows.c.search_mark, consent_kept=rows.c.consent_kept)
    )


def _put_off(*, spare_moves: bool) -> Any:
    """Put off the expiry of open lots that live as long as their owner is active, and are not over yet.

    ``spare_moves`` leaves out the lots that the same posting moves: one statement cannot write a row twice. Where the
    customer was active on the same day already, the index of open lots leads to no row.
    """
    names = ("customer_id", "inactivity_days", "expires_at", "notice_at")
    rows = record_set("put_offs", [*((name, lots.c[name].type) for name in names), ("active_at", INSTANT)])
    statement = update(lots).where(
        lots.c.tenant_id == tenant_parameter(),
        lots.c.customer_id == rows.c.customer_id,
        lots.c.state == literal(LotState.OPEN),
        lots.c.inactivity_days == rows.c.inactivity_days,
        lots.c.expires_at > rows.c.active_at,
        lots.c.expires_at < rows.c.expires_at,
    )
    if spare_moves:
        statement = statement.where(lots.c.id.not_in(select(rows_parameter(lots, "lot_moves", ["id"]).c.id)))
    return statement.values(expires_at=rows.c.expires_at, notice_at=rows.c.notice_at)


_GUARDED: Mapping[str, Any] = {
    "purchases": _save_purchases(),
    "idempotency_keys": _save_keys(),
    "accrual_moves": _move(
        accruals,
        "accrual_moves",
        (
            *("state", "points", "voided_points", "reversed_points", "matures_at", "matured_at", "raised_standing"),
            *("earned_points", "taken_points", "valuation", "points_paid_minor", "breakdown"),
        ),
        "state",
    ),
    "purchase_moves": _move(purchases, "purchase_moves", ("evaluates_at",), "evaluates_at"),
    "checkouts": _save_checkouts(),
    "seen_checkouts": _see_checkouts(),
    "hold_moves": _move(holds, "hold_moves", ("state", "captured_points", "ended_at"), "state"),
    "hold_lowerings": _move(
        holds, "hold_lowerings", ("lowered_points", "lowered_at", "discount_minor"), "lowered_points"
    ),
    "redemption_moves": _move(redemptions, "redemption_moves", ("returned_points",), "returned_points"),
}
"""What returns the rows it has written: fewer than asked for means that somebody else was faster."""

_WRITTEN: Mapping[str, Any] = {
    "lot_moves": _move_lots(),
    "hold_lot_moves": _move_hold_lots(),
    "accounts": _save_accounts(),
    "customer_words": _save_words(),
    "search_marks": _save_marks(),
    **{
        table.name: insert_rows(table, table.name)
        for table in (
            purchase_facts,
            purchase_refunds,
            accruals,
            former_valuations,
            adjustments,
            holds,
            hold_lots,
            redemptions,
            redemption_returns,
            customer_merges,
            customer_consents,
            opening_balances,
            entries,
            lots,
            allocations,
            expiry_notices,
            tier_changes,
            events,
        )
    },
}


@cache
def _posting_statement(names: frozenset[str]) -> Any:
    """The statement that writes to the tables ``names``, and says how many guarded rows it has written of each."""
    guarded = [name for name in _GUARDED if name in names]
    counted = [
        select(func.count()).select_from(_GUARDED[name].cte(f"saved_{name}")).scalar_subquery().label(name)
        for name in guarded
    ]
    version = select(programs.c.config_version).where(programs.c.tenant_id == tenant_parameter()).scalar_subquery()
    written = [statement.cte(f"saved_{name}") for name, statement in _WRITTEN.items() if name in names]
    if "search_marks" in names:
        written.append(_drop_words().cte("dropped_words"))
    if "put_offs" in names:
        written.append(_put_off(spare_moves="lot_moves" in names).cte("saved_put_offs"))
    return select(version.label("config_version"), *counted).add_cte(*written)


async def post(tx: Transaction, posting: Posting) -> None:
    """Write a posting whole.

    Raises StaleRead, for the whole to run again, when a purchase, accrual or key in it was moved meanwhile, or when
    rules, tiers or settings were changed: a re-tiering that has passed by already would not come back for this account.
    """
    filled = posting.filled()
    try:
        saved = await tx.row(_posting_statement(frozenset(filled)), **filled)
    except IntegrityError as error:
        # Facts of a purchase that another transaction has moved meanwhile: the first constraint to notice speaks.
        # The same goes for an opening balance that another import has written.
        if (posting.purchases or posting.opening_balances) and getattr(error.orig, "sqlstate", None) in _TAKEN:
            raise StaleRead from error
        raise
    if saved is None or any(getattr(saved, name) != len(rows) for name, rows in filled.items() if name in _GUARDED):
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
    accounts.c.chain,
    accounts.c.window_started_at,
    accounts.c.window_points,
    accounts.c.previous_window_points,
    accounts.c.standing,
    accounts.c.standing_by,
    accounts.c.tier_review_at,
    accounts.c.tier_locked,
    accounts.c.tier_locked_until,
    accounts.c.closed,
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
    customers.c.phone,
    customers.c.consent_source,
    customers.c.consent_kept,
    customers.c.facts_at,
    customers.c.merged_into,
    customers.c.search_mark,
    customers.c.created_at,
]


_ACCOUNT_NAMES = tuple(column.name for column in ACCOUNT_COLUMNS)
_NEW_ACCOUNT = Account(CustomerId(UUID(int=0)))
_EMPTY_ACCOUNT = {
    name: value
    for name in _ACCOUNT_NAMES
    if name != "customer_id" and (value := getattr(_NEW_ACCOUNT, name)) is not None
}


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
        # Said of both tables, so that neither is read whole for a batch.
        customers.c.id.in_(bindparam("ids", expanding=True)),
    )
    .order_by(accounts.c.customer_id)
    .with_for_update(of=accounts)
)


_COLUMNS_OF_FACTS = {
    "full_name": ("full_name", "search_name"),
    "email": ("email",),
    "avatar_url": ("avatar_url",),
    "locale": ("locale",),
    "category": ("category",),
    "phone": ("phone",),
    "marketing_consent": ("marketing_consent", "consent_source"),
}
"""Which columns each fact about a customer fills."""


def _open_customers() -> Any:
    """Create or refresh customers: what a profile leaves out stays, and no older fact overwrites a newer one."""
    fresh = insert_rows(customers, "customers", ordered_by="external_id")
    told = fresh.excluded["facts_at"]
    newer = {
        name: told[name].astext.cast(BigInteger) >= func.coalesce(customers.c.facts_at[name].astext.cast(BigInteger), 0)
        for name in _COLUMNS_OF_FACTS
    }
    values = {
        column: case((newer[name], fresh.excluded[column]), else_=customers.c[column])
        for name, columns in _COLUMNS_OF_FACTS.items()
        for column in columns
    }
    times = [part for name in _COLUMNS_OF_FACTS for part in (literal(name, Text), case((newer[name], told[name])))]
    known = customers.c.facts_at.op("||")(func.jsonb_strip_nulls(func.jsonb_build_object(*times)))
    return fresh.on_conflict_do_update(
        index_elements=["tenant_id", "external_id"],
        set_={**values, "facts_at": known, "updated_at": fresh.excluded.updated_at},
    ).returning(*PROFILE_COLUMNS, customers.c.updated_at)


def _open_accounts(opened: Any) -> Any:
    """Give every customer of ``opened`` an account, and lock it: a lock on a row that is not there locks nothing."""
    empty = {name: literal(value, accounts.c[name].type) for name, value in _EMPTY_ACCOUNT.items()}
    source = select(
        tenant_parameter(),
        opened.c.id,
        *empty.values(),
        opened.c.updated_at,
    ).order_by(opened.c.id)
    fresh = upsert(accounts).from_select(["tenant_id", "customer_id", *empty, "updated_at"], source)
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

_LOT_NAMES = tuple(item.name for item in fields(Lot))
LOT_COLUMNS = [lots.c[name] for name in ("customer_id", *_LOT_NAMES)]
_OPEN_LOTS = (
    select(*LOT_COLUMNS)
    .where(
        lots.c.tenant_id == tenant_parameter(),
        lots.c.customer_id.in_(bindparam("customers", expanding=True)),
        lots.c.state == literal(LotState.OPEN),
    )
    .order_by(lots.c.expires_at.asc().nulls_last(), lots.c.opened_at, lots.c.id)
)


async def open_accounts(tx: Transaction, profiles: Rows) -> dict[str, LockedCustomer]:
    """Create or refresh customers by external id and lock their accounts; the result is keyed by external id.

    Customers are locked in the order of their external ids, which only recordings do; accounts in the order of their
    ids, as everybody does. So nobody waits for anybody in a circle. Who has become another customer is answered as that
    one, locked after all others.
    """
    opened = {row.external_id: locked_customer(row) for row in await tx.rows(_OPEN_ACCOUNTS, customers=profiles)}
    merged = {name: one.profile.merged_into for name, one in opened.items() if one.profile.merged_into is not None}
    if merged:
        become = await lock_customers(tx, list(set(merged.values())))
        opened |= {name: become[target_id] for name, target_id in merged.items()}
    return opened


async def lock_customers(tx: Transaction, ids: Sequence[CustomerId]) -> dict[CustomerId, LockedCustomer]:
    """Lock existing customers' accounts in the order of their ids; ids that do not exist are absent.

    Raises StaleRead, for the whole to run again, when one of them has become another customer since the id was read.
    The account says so: it is what is locked, so it is read as it is, while a joined row is as it was before the wait.
    """
    locked = {row.id: locked_customer(row) for row in await tx.rows(_LOCK, ids=sorted(ids))}
    if any(one.account.closed for one in locked.values()):
        raise StaleRead
    return locked


async def read_open_lots(tx: Transaction, customer_ids: Sequence[CustomerId]) -> dict[CustomerId, list[Lot]]:
    """The lots with something left, in the order they are spent in; the accounts must be locked."""
    found: dict[CustomerId, list[Lot]] = {customer_id: [] for customer_id in customer_ids}
    for row in await tx.rows(_OPEN_LOTS, customers=list(customer_ids)):
        found[CustomerId(row.customer_id)].append(lot_of(row))
    return found


def lot_of(row: Any) -> Lot:
    """A lot as the rules know it, from ``LOT_COLUMNS``."""
    return Lot(**{name: getattr(row, name) for name in _LOT_NAMES})


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
    window: Window[TimePlace],
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
    statement, place = apply_window(statement, entries.c.occurred_at, entries.c.id, window)
    return [EntryRow._make(row) for row in await tx.rows(statement, **parameters, **place)]
