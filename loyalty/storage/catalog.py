"""The tenant's catalogue: names, categories, zones and points of the items that purchases name by external id."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, delete, func, literal_column, or_, select, tuple_

from loyalty.rules.catalog import CatalogEarning, EarningRate
from loyalty.rules.earning import CatalogItem, CatalogKind
from loyalty.rules.search import fold_text
from loyalty.rules.text import tidy_text
from loyalty.storage.narrowed import Narrowed, starts_with
from loyalty.storage.tables import catalog_items
from loyalty.storage.window import Keyset, Window
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import insert_rows, record_set, tenant_parameter


class CatalogPlace(NamedTuple):
    """The place of an item in the list: by kind, then by external id."""

    kind: str
    external_id: str


_COLUMNS = (
    catalog_items.c.kind,
    catalog_items.c.external_id,
    catalog_items.c.name,
    catalog_items.c.category,
    catalog_items.c.time_zone,
    catalog_items.c.enrolled,
    catalog_items.c.points_per_unit,
    catalog_items.c.earning,
    catalog_items.c.rate_points,
    catalog_items.c.rate_per_minor,
)
_LISTED = select(*_COLUMNS).where(catalog_items.c.tenant_id == tenant_parameter())
_BY_KEY = Keyset((catalog_items.c.kind, catalog_items.c.external_id), descending=False)
_asked = record_set("keys", [("kind", catalog_items.c.kind.type), ("external_id", catalog_items.c.external_id.type)])
_BY_KEYS = _LISTED.where(catalog_items.c.kind == _asked.c.kind, catalog_items.c.external_id == _asked.c.external_id)
_COUNT = select(func.count()).where(catalog_items.c.tenant_id == tenant_parameter())


def _upsert() -> Any:
    statement = insert_rows(catalog_items, "items", ordered_by="external_id")
    changing = (
        "name",
        "category",
        "time_zone",
        "enrolled",
        "points_per_unit",
        "earning",
        "rate_points",
        "rate_per_minor",
        "updated_at",
    )
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "kind", "external_id"],
        set_={name: statement.excluded[name] for name in changing},
    )


_UPSERT = _upsert()
_DELETE = delete(catalog_items).where(
    catalog_items.c.tenant_id == tenant_parameter(),
    tuple_(catalog_items.c.kind, catalog_items.c.external_id).in_(select(_asked.c.kind, _asked.c.external_id)),
)


async def save_items(tx: Transaction, items: Sequence[CatalogItem], now: datetime) -> None:
    """Insert or replace items, each whole."""
    await tx.run(_UPSERT, items=[{**item_values(item), "updated_at": now} for item in items])


def item_values(item: CatalogItem) -> dict[str, Any]:
    """Return an item's values by column."""
    return {
        "kind": item.kind,
        "external_id": item.external_id,
        "name": item.name,
        "category": item.category,
        "time_zone": item.time_zone,
        "enrolled": item.enrolled,
        "points_per_unit": item.points_per_unit,
        "earning": item.earning,
        "rate_points": item.rate.points if item.rate else None,
        "rate_per_minor": item.rate.per_minor if item.rate else None,
    }


async def delete_items(tx: Transaction, keys: Sequence[CatalogPlace]) -> int:
    """Delete items; returns how many there were."""
    return await tx.run(_DELETE, keys=[key._asdict() for key in keys])


async def count_items(tx: Transaction) -> int:
    """Count the items of the catalogue."""
    row = await tx.row(_COUNT)
    return int(row[0]) if row else 0


async def read_items_by_key(tx: Reads, keys: Sequence[CatalogPlace]) -> list[CatalogItem]:
    """Return the items with these keys."""
    return [_item(row) for row in await tx.rows(_BY_KEYS, keys=[key._asdict() for key in {*keys}])]


class CatalogFilter(NamedTuple):
    """Limits a list of items; None is no limit."""

    kind: CatalogKind | None = None
    search: str | None = None
    """A text inside the name, or at the beginning of the external id."""


_SPELLED = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"})


def fold_column(name: ColumnElement[str]) -> ColumnElement[str]:
    """Return a column of short texts as `fold_text` folds a text. The database does so row by row: for short lists."""
    text: ColumnElement[str] = func.lower(name)
    for letter, letters in _SPELLED.items():
        text = func.replace(text, chr(letter), letters)
    plain = func.translate(func.normalize(text, literal_column("NFKD")), "øłđıåð", "oldiad")
    return func.regexp_replace(plain, "[\u0300-\u036f]", "", "g")


_folded_name = fold_column(catalog_items.c.name)


def _narrow_items(wanted: CatalogFilter) -> Narrowed:
    rows = Narrowed(_LISTED, _BY_KEY)
    rows.keep_equal(catalog_items.c.kind, wanted.kind)
    if wanted.search is not None:
        rows.keep("search", _is_found, searched=fold_text(wanted.search), prefix=tidy_text(wanted.search))
    return rows


def _is_found() -> ColumnElement[bool]:
    return or_(func.strpos(_folded_name, bindparam("searched")) > 0, starts_with(catalog_items.c.external_id, "prefix"))


async def count_items_listed(tx: Reads, wanted: CatalogFilter) -> int:
    """Count the items of a list, up to its ceiling."""
    return await _narrow_items(wanted).count(tx)


async def read_items(tx: Reads, wanted: CatalogFilter, *, window: Window[CatalogPlace]) -> list[CatalogItem]:
    """Return a page of items in the order of kind and external id."""
    return [_item(row) for row in await _narrow_items(wanted).read(tx, window)]


def _item(row: Any) -> CatalogItem:
    return CatalogItem(
        kind=CatalogKind(row.kind),
        external_id=row.external_id,
        name=row.name,
        category=row.category,
        time_zone=row.time_zone,
        enrolled=row.enrolled,
        points_per_unit=row.points_per_unit,
        earning=earning_of(row.earning),
        rate=rate_of(row.rate_points, row.rate_per_minor),
    )


def earning_of(stored: str | None) -> CatalogEarning | None:
    """Return whether an item earns, from its stored value."""
    return CatalogEarning(stored) if stored else None


def rate_of(points: int | None, per_minor: int | None) -> EarningRate | None:
    """Return an item's own rate, from its columns."""
    return None if points is None or per_minor is None else EarningRate(points, per_minor)
