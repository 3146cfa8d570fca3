"""Lists of customers: their filters, their order, and their count."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Exists, Select, and_, bindparam, exists, literal_column, or_, select
from sqlalchemy.sql.elements import ColumnElement

from loyalty.rules.birthday import DayOfYear
from loyalty.rules.ids import TierId
from loyalty.rules.search import WORDS_OF_A_SEARCH, split_search
from loyalty.rules.tag import fold_tag
from loyalty.storage.customers import (
    CUSTOMERS,
    NAMED,
    CustomerOrder,
    CustomerPlace,
    CustomerRow,
    PointsFilter,
    read_customer_row,
    target_of,
)
from loyalty.storage.narrowed import Narrowed
from loyalty.storage.tables import accounts, customer_tags, customer_words, customers, purchases
from loyalty.storage.window import Keyset, Window
from tenancy.reading import Reads
from tenancy.table import INSTANT, among, tenant_parameter


class TimeSpan(NamedTuple):
    """A span of time; its end is not part of it. None is no limit."""

    start_at: datetime | None = None
    end_at: datetime | None = None


class CustomerFilter(NamedTuple):
    """Limits a list of customers; None is no limit. All given limits must hold."""

    having: PointsFilter = PointsFilter.ANY
    search: str | None = None
    tier_id: TierId | None = None
    external_ids: Sequence[str] | None = None
    categories: Sequence[str] | None = None
    tags: Sequence[str] = ()
    locale: str | None = None
    marketing_consent: bool | None = None
    birthdays: tuple[DayOfYear, DayOfYear] | None = None
    """The first and the last day. If the last day is before the first, the span includes the turn of the year."""
    created: TimeSpan | None = None
    last_purchase: TimeSpan | None = None
    archived: bool = False
    """True for archived customers only, False for customers who are not archived."""


_HAVING: dict[PointsFilter, Callable[[], ColumnElement[bool]]] = {
    PointsFilter.AVAILABLE: lambda: accounts.c.available > 0,
    PointsFilter.PENDING: lambda: accounts.c.pending > 0,
    PointsFilter.DEBT: lambda: accounts.c.debt > 0,
    PointsFilter.NONE: lambda: and_(accounts.c.available == 0, accounts.c.pending == 0, accounts.c.held == 0),
}
_LAST_CHARACTER = "\U0010ffff"
"""No word holds it, and it sorts behind every other character: `muller` with it sorts behind all words that
begin so."""

_LISTED: Select[Any] = (
    select(literal_column("1"))
    .select_from(
        customers.join(
            accounts, and_(accounts.c.tenant_id == customers.c.tenant_id, accounts.c.customer_id == customers.c.id)
        )
    )
    .where(customers.c.tenant_id == tenant_parameter(), accounts.c.tenant_id == tenant_parameter())
)


_ORDER: dict[CustomerOrder, Keyset] = {
    CustomerOrder.NAME: Keyset((customers.c.search_name, customers.c.id), descending=False),
    CustomerOrder.POINTS: Keyset((accounts.c.available, customers.c.id), descending=True),
    # Ids are UUIDv7: their order is the order of creation, and the primary key is the index.
    CustomerOrder.NEWEST: Keyset((customers.c.id, customers.c.id), descending=True),
}


async def read_customer_page(
    tx: Reads,
    wanted: CustomerFilter,
    *,
    order: CustomerOrder,
    window: Window[CustomerPlace],
) -> list[tuple[CustomerPlace, CustomerRow]]:
    """Return a page of customers with their places, in reading direction."""
    rows = await _narrow(CUSTOMERS, _ORDER[order], wanted).read(tx, window)
    return [(_place(row, order), read_customer_row(row)) for row in rows]


async def count_customers_listed(tx: Reads, wanted: CustomerFilter) -> int:
    """Count the customers of a list, up to its ceiling."""
    return await _narrow(_LISTED, _ORDER[CustomerOrder.NEWEST], wanted).count(tx)


def _narrow(statement: Select[Any], order: Keyset, wanted: CustomerFilter) -> Narrowed:
    """Narrow a statement over customers and their accounts."""
    rows = Narrowed(statement, order)
    rows.keep("whole", lambda: and_(customers.c.merged_into.is_(None), ~accounts.c.closed))
    rows.keep_if("archived", lambda: accounts.c.archived_at.is_not(None), wanted.archived)
    if wanted.having is not PointsFilter.ANY:
        rows.keep(f"having_{wanted.having}", _HAVING[wanted.having])
    _keep_found(rows, wanted)
    _keep_known(rows, wanted)
    if wanted.created is not None:
        rows.keep_within(customers.c.created_at, *wanted.created)
    if wanted.last_purchase is not None:
        _keep_last_purchase(rows, wanted.last_purchase)
    return rows


def _keep_found(rows: Narrowed, wanted: CustomerFilter) -> None:
    """Keep customers who have every word of the search, and every tag."""
    for number, words in enumerate(split_search(wanted.search or "")):
        ways = {f"word_{number}_{way}": word for way, word in enumerate(words)}
        ends = {f"beyond_{number}_{way}": word + _LAST_CHARACTER for way, word in enumerate(words)}
        rows.keep(f"word_{number}", partial(_has_word, number), **ways, **ends)
    for number, tag in enumerate(wanted.tags):
        rows.keep(f"tag_{number}", partial(_has_tag, number), **{f"tag_{number}": fold_tag(tag)})


def _keep_known(rows: Narrowed, wanted: CustomerFilter) -> None:
    """Keep customers by the known facts about them."""
    rows.keep_equal(accounts.c.tier_id, wanted.tier_id)
    rows.keep_among(customers.c.locale, _spellings(wanted.locale))
    if wanted.external_ids is not None:
        rows.keep("external_ids", _is_named, external_ids=list(wanted.external_ids))
    rows.keep_among(customers.c.category, wanted.categories)
    rows.keep_if("consent", lambda: customers.c.marketing_consent.is_(True), wanted.marketing_consent)
    if wanted.birthdays is not None:
        first, last = wanted.birthdays
        wraps = last < first
        born = partial(_born_between, wraps=wraps)
        rows.keep(f"born_{wraps}", born, first_day=first.number, last_day=last.number)


def _is_named() -> ColumnElement[bool]:
    """Return the condition: a customer has one of these external ids, or is the target of a customer with one."""
    named = select(target_of(NAMED)).where(
        NAMED.c.tenant_id == tenant_parameter(), among(NAMED.c.external_id, "external_ids")
    )
    return customers.c.id.in_(named)


def _spellings(locale: str | None) -> list[str] | None:
    """Return the spellings of a locale: the stored one, and those that earlier releases stored."""
    return None if locale is None else [locale, locale.lower(), locale.upper()]


def _keep_last_purchase(rows: Narrowed, span: TimeSpan) -> None:
    """Keep customers with a purchase at the start of the span or later, and none at its end or later.

    An index leads from a customer to both.
    """
    if span.start_at is None:
        rows.keep("bought", _has_bought_ever)
    else:
        rows.keep("bought_from", partial(_has_bought_from, "bought_from"), bought_from=span.start_at)
    if span.end_at is not None:
        rows.keep("bought_to", lambda: ~_has_bought_from("bought_to"), bought_to=span.end_at)


def _has_bought_ever() -> Exists:
    return exists().where(purchases.c.tenant_id == tenant_parameter(), purchases.c.customer_id == customers.c.id)


def _has_bought_from(parameter: str) -> Exists:
    return _has_bought_ever().where(purchases.c.recorded_at >= bindparam(parameter, type_=INSTANT))


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
    """Return the condition: one of the customer's words begins with a word of the search, in one of its spellings.

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


def _place(row: Any, order: CustomerOrder) -> CustomerPlace:
    value = {
        CustomerOrder.NAME: row.search_name,
        CustomerOrder.POINTS: row.available,
        CustomerOrder.NEWEST: row.id,
    }[order]
    return CustomerPlace(value, row.id)
