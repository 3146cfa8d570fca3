"""Lists of customers: what they are narrowed to, how they are ordered, and how many there are."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, bindparam, exists, literal_column, or_, select, true, tuple_
from sqlalchemy.sql.elements import ColumnElement

from loyalty.rules.birthday import DayOfYear
from loyalty.rules.ids import TierId
from loyalty.rules.search import WORDS_OF_A_SEARCH, searched_words
from loyalty.rules.tag import fold_tag
from loyalty.storage.customers import (
    CUSTOMERS,
    CustomerOrder,
    CustomerPlace,
    CustomerRow,
    PointsFilter,
    read_customer_row,
)
from loyalty.storage.narrowed import count_rows
from loyalty.storage.tables import accounts, customer_tags, customer_words, customers, purchases
from loyalty.storage.window import Window
from tenancy.database import Transaction
from tenancy.table import INSTANT, tenant_parameter


class TimeSpan(NamedTuple):
    """A span of time, its end left out; None is no limit."""

    start_at: datetime | None = None
    end_at: datetime | None = None


class CustomerFilter(NamedTuple):
    """What a list of customers is narrowed to; None is no limit, and everything that is given must hold."""

    having: PointsFilter = PointsFilter.ANY
    search: str | None = None
    tier_id: TierId | None = None
    external_ids: Sequence[str] | None = None
    categories: Sequence[str] | None = None
    tags: Sequence[str] = ()
    locale: str | None = None
    marketing_consent: bool | None = None
    birthdays: tuple[DayOfYear, DayOfYear] | None = None
    """The first and the last day; where the last is before the first, the turn of the year lies between."""
    created: TimeSpan | None = None
    last_purchase: TimeSpan | None = None


_HAVING: dict[PointsFilter, ColumnElement[bool]] = {
    PointsFilter.AVAILABLE: accounts.c.available > 0,
    PointsFilter.PENDING: accounts.c.pending > 0,
    PointsFilter.DEBT: accounts.c.debt > 0,
    PointsFilter.NONE: and_(accounts.c.available == 0, accounts.c.pending == 0, accounts.c.held == 0),
    PointsFilter.ANY: true(),
}
_LAST_CHARACTER = "\U0010ffff"
"""No word holds it, and it stands behind every other character: `muller` and this is beyond all that begin so."""

_LISTED: Select[Any] = (
    select(literal_column("1"))
    .select_from(
        customers.join(
            accounts, and_(accounts.c.tenant_id == customers.c.tenant_id, accounts.c.customer_id == customers.c.id)
        )
    )
    .where(customers.c.tenant_id == tenant_parameter(), accounts.c.tenant_id == tenant_parameter())
)


_ORDER: dict[CustomerOrder, tuple[Any, bool]] = {
    CustomerOrder.NAME: (customers.c.search_name, False),
    CustomerOrder.POINTS: (accounts.c.available, True),
    # Ids are UUIDv7: their order is the order of creation, and the primary key is the index.
    CustomerOrder.NEWEST: (customers.c.id, True),
}


async def read_customer_page(
    tx: Transaction,
    wanted: CustomerFilter,
    *,
    order: CustomerOrder,
    window: Window[CustomerPlace],
) -> list[tuple[CustomerPlace, CustomerRow]]:
    """A page of customers with their places, in reading direction."""
    statement, parameters = narrow_customers(CUSTOMERS, wanted)
    value, descending = _ORDER[order]
    descends = window.descends(by_default=descending)
    statement = _page(statement, value, descends=descends, beyond=window.beyond is not None).limit(window.limit)
    if window.beyond is not None:
        parameters |= {"after_value": window.beyond.value, "after_id": window.beyond.id}
    return [(_place(row, order), read_customer_row(row)) for row in await tx.rows(statement, **parameters)]


async def count_customers_listed(tx: Transaction, wanted: CustomerFilter) -> int:
    """How many customers a list has, up to its ceiling."""
    statement, parameters = narrow_customers(_LISTED, wanted)
    return await count_rows(tx, statement, parameters)


def narrow_customers(statement: Select[Any], wanted: CustomerFilter) -> tuple[Select[Any], dict[str, Any]]:
    """Narrow a statement over customers and their accounts; and its parameters."""
    parameters: dict[str, Any] = {}
    conditions = [*_search_conditions(wanted, parameters), *_profile_conditions(wanted, parameters)]
    if wanted.created is not None:
        conditions += _within(customers.c.created_at, "created", wanted.created, parameters)
    if wanted.last_purchase is not None:
        conditions += _last_purchase_within(wanted.last_purchase, parameters)
    return statement.where(*conditions), parameters


def _search_conditions(wanted: CustomerFilter, parameters: dict[str, Any]) -> list[ColumnElement[bool]]:
    """By points, words and tags."""
    conditions = [customers.c.merged_into.is_(None), ~accounts.c.closed, _HAVING[wanted.having]]
    for number, words in enumerate(searched_words(wanted.search or "")):
        conditions.append(_has_word(number))
        for way, word in enumerate(words):
            parameters |= {f"word_{number}_{way}": word, f"beyond_{number}_{way}": word + _LAST_CHARACTER}
    for number, tag in enumerate(wanted.tags):
        conditions.append(_has_tag(number))
        parameters[f"tag_{number}"] = fold_tag(tag)
    return conditions


def _profile_conditions(wanted: CustomerFilter, parameters: dict[str, Any]) -> list[ColumnElement[bool]]:
    """By what is known about the customers."""
    conditions: list[ColumnElement[bool]] = []
    for name, column, value in (
        ("tier", accounts.c.tier_id, wanted.tier_id),
        ("locale", customers.c.locale, wanted.locale),
    ):
        if value is not None:
            conditions.append(column == bindparam(name))
            parameters[name] = value
    for name, column, values in (
        ("external_ids", customers.c.external_id, wanted.external_ids),
        ("categories", customers.c.category, wanted.categories),
    ):
        if values is not None:
            conditions.append(column.in_(bindparam(name, expanding=True)))
            parameters[name] = list(values)
    if wanted.marketing_consent is not None:
        agreed = customers.c.marketing_consent.is_(True)
        conditions.append(agreed if wanted.marketing_consent else ~agreed)
    if wanted.birthdays is not None:
        first, last = wanted.birthdays
        conditions.append(_born_between(wraps=last < first))
        parameters |= {"first_day": first.number, "last_day": last.number}
    return conditions


def _within(at: ColumnElement[Any], name: str, span: TimeSpan, parameters: dict[str, Any]) -> list[ColumnElement[bool]]:
    conditions = []
    if span.start_at is not None:
        conditions.append(at >= bindparam(f"{name}_from", type_=INSTANT))
        parameters[f"{name}_from"] = span.start_at
    if span.end_at is not None:
        conditions.append(at < bindparam(f"{name}_to", type_=INSTANT))
        parameters[f"{name}_to"] = span.end_at
    return conditions


def _last_purchase_within(span: TimeSpan, parameters: dict[str, Any]) -> list[ColumnElement[bool]]:
    """There is a purchase from the start on, and none from the end on; an index leads from a customer to both."""
    bought = exists().where(purchases.c.tenant_id == tenant_parameter(), purchases.c.customer_id == customers.c.id)
    conditions: list[ColumnElement[bool]] = []
    if span.start_at is None:
        conditions.append(bought)
    else:
        conditions.append(bought.where(purchases.c.recorded_at >= bindparam("last_purchase_from", type_=INSTANT)))
        parameters["last_purchase_from"] = span.start_at
    if span.end_at is not None:
        conditions.append(~bought.where(purchases.c.recorded_at >= bindparam("last_purchase_to", type_=INSTANT)))
        parameters["last_purchase_to"] = span.end_at
    return conditions


def _born_between(*, wraps: bool) -> ColumnElement[bool]:
    day = customers.c.birth_day
    bounds = (day >= bindparam("first_day"), day <= bindparam("last_day"))
    return and_(day.is_not(None), or_(*bounds) if wraps else and_(*bounds))


def _has_tag(number: int) -> ColumnElement[bool]:
    found = select(customer_tags.c.customer_id).where(
        customer_tags.c.tenant_id == tenant_parameter(), customer_tags.c.tag == bindparam(f"tag_{number}")
    )
    return customers.c.id.in_(found)


def _has_word(number: int) -> ColumnElement[bool]:
    """A customer with a word that begins as one word of the search does, in one of the ways to write it.

    A prefix is a range of words, so that the index serves it under row-level security and with a generic plan.
    """
    ranges = [
        and_(
            customer_words.c.word >= bindparam(f"word_{number}_{way}", type_=customer_words.c.word.type),
            customer_words.c.word < bindparam(f"beyond_{number}_{way}", type_=customer_words.c.word.type),
        )
        for way in range(WORDS_OF_A_SEARCH)
    ]
    found = select(customer_words.c.customer_id).where(customer_words.c.tenant_id == tenant_parameter(), or_(*ranges))
    return customers.c.id.in_(found)


def _page(statement: Select[Any], value: Any, *, descends: bool, beyond: bool) -> Select[Any]:
    if beyond:
        place = tuple_(value, customers.c.id)
        mark = tuple_(bindparam("after_value", type_=value.type), bindparam("after_id", type_=customers.c.id.type))
        statement = statement.where(place < mark if descends else place > mark)
    columns = (value, customers.c.id)
    return statement.order_by(*([column.desc() for column in columns] if descends else columns))


def _place(row: Any, order: CustomerOrder) -> CustomerPlace:
    value = {
        CustomerOrder.NAME: row.search_name,
        CustomerOrder.POINTS: row.available,
        CustomerOrder.NEWEST: row.id,
    }[order]
    return CustomerPlace(value, row.id)
