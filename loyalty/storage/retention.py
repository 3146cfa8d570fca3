"""Retention: its settings, the customers and the rows of profile histories that are due, and how far the sweep is.

Customers with available points are not in the index that the sweep reads, so they cost it nothing.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Date,
    Integer,
    Row,
    Select,
    Subquery,
    Uuid,
    and_,
    bindparam,
    delete,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from loyalty.rules.ids import CustomerId
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.retention import NO_RETENTION, Keepers, RetentionSettings
from loyalty.storage.narrowed import MAX_TOTAL_COUNT
from loyalty.storage.tables import accounts, customer_profile_changes, gift_card_gifts, gift_cards, purchases, retention
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import INSTANT, among_these, tenant_parameter


class InactivePlace(NamedTuple):
    """The place of a customer in the order of the sweep: who was active longest ago comes first."""

    active_at: datetime
    customer_id: CustomerId


MAX_LOOKED_AT = 200
"""The number of customers without points that one batch looks at."""
FIRST_PLACE = InactivePlace(datetime(1, 1, 1, tzinfo=UTC), CustomerId(UUID(int=0)))
"""A place before every customer."""


class RetentionRow(NamedTuple):
    """The retention of a tenant. ``looks_at`` is when the sweep looks next; it goes on after the place ``after``."""

    settings: RetentionSettings = NO_RETENTION
    begins_at: datetime | None = None
    looks_at: datetime | None = None
    after: InactivePlace = FIRST_PLACE


class InactiveCustomer(NamedTuple):
    """A customer without points who was last active long ago, and whether something else keeps the customer."""

    place: InactivePlace
    kept: bool


class Outlook(NamedTuple):
    """Customers whom nothing keeps: how many are due, and when the first one was last active; None without one."""

    due_count: int
    first_at: datetime | None


_NAMES = ("inactive_months", "profile_history_months", "begins_at", "looks_at", "after_at", "after_id")
_READ = select(*(retention.c[name] for name in _NAMES)).where(retention.c.tenant_id == tenant_parameter())
_READ_SHARED = _READ.with_for_update(read=True)
_READ_ALONE = _READ.with_for_update(key_share=True)
_saved = upsert(retention).values(
    tenant_id=tenant_parameter(),
    inactive_months=bindparam("inactive_months", type_=Integer),
    profile_history_months=bindparam("profile_history_months", type_=Integer),
    begins_at=bindparam("begins_at", type_=INSTANT),
    looks_at=bindparam("looks_at", type_=INSTANT),
    after_at=None,
    after_id=None,
)
_SAVE = _saved.on_conflict_do_update(
    index_elements=["tenant_id"],
    set_={name: _saved.excluded[name] for name in _NAMES},
)
_GO_ON = (
    update(retention)
    .where(retention.c.tenant_id == tenant_parameter(), retention.c.looks_at == bindparam("seen", type_=INSTANT))
    .values(
        looks_at=bindparam("next_look", type_=INSTANT),
        after_at=bindparam("place_at", type_=INSTANT),
        after_id=bindparam("place_id", type_=Uuid),
    )
)

_AHEAD = (PurchaseStatus.CREATED, PurchaseStatus.CONFIRMED, PurchaseStatus.PAID)


def _select_cards(customer: ColumnElement[Any], column: ColumnElement[Any]) -> Select[Any]:
    """Select a column of the gift cards of a customer that have money."""
    return select(column).where(
        gift_cards.c.tenant_id == tenant_parameter(),
        gift_cards.c.holder_id == customer,
        gift_cards.c.balance_minor > 0,
    )


def _select_open_purchases(customer: ColumnElement[Any], column: ColumnElement[Any]) -> Select[Any]:
    """Select a column of the purchases of a customer that are still to come."""
    ends_at = func.coalesce(purchases.c.ends_at, purchases.c.starts_at)
    return select(column).where(
        purchases.c.tenant_id == tenant_parameter(),
        purchases.c.customer_id == customer,
        or_(
            purchases.c.evaluates_at.is_not(None),
            and_(among_these(purchases.c.status, _AHEAD), ends_at > bindparam("now", type_=INSTANT)),
        ),
    )


def _select_open_gifts(customer: ColumnElement[Any], column: ColumnElement[Any]) -> Select[Any]:
    """Select a column of the gifts of a giver that nobody has claimed, and whose day is not over."""
    return select(column).where(
        gift_card_gifts.c.tenant_id == tenant_parameter(),
        gift_card_gifts.c.giver_id == customer,
        gift_card_gifts.c.claimed_at.is_(None),
        gift_card_gifts.c.deliver_on >= bindparam("handed_over_from", type_=Date),
    )


def _has(rows: Select[Any]) -> ColumnElement[bool]:
    """Return the condition, asked row by row: an anti-join would read all gift cards and purchases of the tenant."""
    return rows.limit(1).scalar_subquery().is_not(None)


def _look(rows: int, *conditions: ColumnElement[bool]) -> Subquery:
    """Return customers without points on the account, who were active longest ago first.

    The limit stands inside, so that the rows come from the index in their order, however many are kept.
    """
    return (
        select(accounts.c.active_at, accounts.c.customer_id)
        .where(
            accounts.c.tenant_id == tenant_parameter(),
            accounts.c.active_at.is_not(None),
            # A literal, so that the planner sees that the partial index has all these rows.
            accounts.c.available == literal_column("0"),
            accounts.c.pending == 0,
            accounts.c.held == 0,
            *conditions,
        )
        .order_by(accounts.c.active_at, accounts.c.customer_id)
        .limit(literal_column(str(rows)))
        .subquery("looked")
    )


def _is_kept(looked: Subquery) -> ColumnElement[bool]:
    """Return the condition: money on a gift card, a purchase or a gift still to come keeps a customer of ``looked``."""
    customer = looked.c.customer_id
    return or_(
        _has(_select_cards(customer, gift_cards.c.id)),
        _has(_select_open_purchases(customer, purchases.c.id)),
        _has(_select_open_gifts(customer, gift_card_gifts.c.id)),
    )


_next = _look(
    MAX_LOOKED_AT,
    accounts.c.active_at <= bindparam("until", type_=INSTANT),
    # Said of the time alone, too: the place alone begins no range of the index.
    accounts.c.active_at >= bindparam("place_at", type_=INSTANT),
    tuple_(accounts.c.active_at, accounts.c.customer_id)
    > tuple_(bindparam("place_at", type_=INSTANT), bindparam("place_id", type_=Uuid)),
)
_INACTIVE = select(*_next.c, _is_kept(_next).label("kept")).order_by(*_next.c)
_all = _look(MAX_TOTAL_COUNT)
_OUTLOOK = select(
    func.count().filter(_all.c.active_at <= bindparam("until", type_=INSTANT)).label("due_count"),
    func.min(_all.c.active_at).label("first_at"),
).where(~_is_kept(_all))
_customer: ColumnElement[Any] = bindparam("customer", type_=Uuid)
_KEEPERS = select(
    _select_cards(_customer, func.coalesce(func.sum(gift_cards.c.balance_minor), 0)).scalar_subquery(),
    _select_open_purchases(_customer, func.count(purchases.c.id)).scalar_subquery(),
    _select_open_gifts(_customer, func.count(gift_card_gifts.c.id)).scalar_subquery(),
)
_old = (
    select(customer_profile_changes.c.id)
    .where(
        customer_profile_changes.c.tenant_id == tenant_parameter(),
        customer_profile_changes.c.recorded_at <= bindparam("until", type_=INSTANT),
    )
    .order_by(customer_profile_changes.c.recorded_at, customer_profile_changes.c.id)
    .limit(bindparam("limit"))
)
_DELETE_HISTORY = (
    delete(customer_profile_changes)
    .where(customer_profile_changes.c.tenant_id == tenant_parameter(), customer_profile_changes.c.id.in_(_old))
    .returning(customer_profile_changes.c.id)
)


async def read_retention(tx: Reads) -> RetentionRow:
    """Return the retention of the tenant; a row that keeps everything if nothing was ever set."""
    return _retention_row(await tx.row(_READ))


async def lock_retention(tx: Transaction, *, alone: bool = False) -> RetentionRow:
    """Return the retention, and let nobody change it until the transaction ends.

    Others may lock it as well, unless the lock is ``alone``: who changes the row must not share it before.
    """
    return _retention_row(await tx.row(_READ_ALONE if alone else _READ_SHARED))


def _retention_row(row: Row[Any] | None) -> RetentionRow:
    """Return a row that was read; the default if there is none."""
    if row is None:
        return RetentionRow()
    settings = RetentionSettings(row.inactive_months, row.profile_history_months)
    after = FIRST_PLACE if row.after_at is None else InactivePlace(row.after_at, row.after_id)
    return RetentionRow(settings, row.begins_at, row.looks_at, after)


async def save_retention(tx: Transaction, settings: RetentionSettings, begins_at: datetime | None) -> None:
    """Store settings. The sweep looks at ``begins_at``, and begins with the first customer."""
    await tx.run(
        _SAVE,
        inactive_months=settings.inactive_months,
        profile_history_months=settings.profile_history_months,
        begins_at=begins_at,
        looks_at=begins_at,
    )


async def save_progress(tx: Transaction, seen: RetentionRow, looks_at: datetime, after: InactivePlace | None) -> None:
    """Store when the sweep looks next, and after which customer it goes on; None begins with the first one.

    Nothing is stored if somebody else has stored something since ``seen`` was read.
    """
    place_at, place_id = after or (None, None)
    await tx.run(_GO_ON, seen=seen.looks_at, next_look=looks_at, place_at=place_at, place_id=place_id)


def _find_oldest_day(now: datetime) -> date:
    """Return the first day that may not be over yet wherever a tenant is."""
    return (now.astimezone(UTC) - timedelta(days=1)).date()


async def read_inactive(
    tx: Transaction, until: datetime, after: InactivePlace, now: datetime
) -> list[InactiveCustomer]:
    """Return the next MAX_LOOKED_AT customers without points who were last active at ``until`` or before."""
    place = {"place_at": after.active_at, "place_id": after.customer_id}
    rows = await tx.rows(_INACTIVE, until=until, **place, now=now, handed_over_from=_find_oldest_day(now))
    return [InactiveCustomer(InactivePlace(row.active_at, row.customer_id), row.kept) for row in rows]


async def read_outlook(tx: Reads, until: datetime, now: datetime) -> Outlook:
    """Return how many customers whom nothing keeps were last active until then, and when the first of all was.

    It looks at the first customers without points, up to the ceiling of counts.
    """
    (row,) = await tx.rows(_OUTLOOK, until=until, now=now, handed_over_from=_find_oldest_day(now))
    return Outlook(row.due_count, row.first_at)


async def read_keepers(tx: Transaction, customer_id: CustomerId, now: datetime) -> Keepers:
    """Return what beside the account keeps a customer now."""
    (row,) = await tx.rows(_KEEPERS, customer=customer_id, now=now, handed_over_from=_find_oldest_day(now))
    return Keepers(*(int(value) for value in row))


async def delete_profile_history(tx: Transaction, until: datetime, limit: int) -> int:
    """Delete up to so many rows of profile histories that were recorded until then; return how many."""
    deleted: Sequence[object] = await tx.rows(_DELETE_HISTORY, until=until, limit=limit)
    return len(deleted)
