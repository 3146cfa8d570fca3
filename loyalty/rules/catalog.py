"""The tenant's own names for what rules speak about: services, classes, products, categories, locations, staff.

External ids are the tenant's; the same id may stand for a service and for a product.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from loyalty.rules.errors import InvalidInput, Problem
from loyalty.rules.points import check_points
from loyalty.rules.text import check_external_id, check_text
from loyalty.rules.zones import is_time_zone

CATALOG_NAME_MAX_LENGTH = 200


class CatalogKind(StrEnum):
    """What an item of the catalogue is."""

    SERVICE = "SERVICE"
    CLASS = "CLASS"
    PRODUCT = "PRODUCT"
    CATEGORY = "CATEGORY"
    LOCATION = "LOCATION"
    STAFF = "STAFF"


SOLD_KINDS = (CatalogKind.SERVICE, CatalogKind.CLASS, CatalogKind.PRODUCT)
"""Kinds that can stand on the line of a purchase."""


@dataclass(frozen=True, slots=True)
class CatalogItem:
    """One thing the tenant has a name for.

    `category`, `enrolled` and `points_per_unit` belong to what is sold: its category's external id, whether it takes
    part in the program, and its own points per unit in place of the rule's (None: the rule's). An item that shall earn
    nothing is not enrolled. `time_zone` belongs to locations.
    """

    kind: CatalogKind
    external_id: str
    name: str
    category: str | None = None
    time_zone: str | None = None
    enrolled: bool = False
    points_per_unit: int | None = None


@dataclass(frozen=True, slots=True)
class CatalogChange:
    """What a caller says about one item: a field that is missing in `values` stays as it is known."""

    kind: CatalogKind
    external_id: str
    values: Mapping[str, Any] = field(default_factory=dict)


def change_item(known: CatalogItem | None, change: CatalogChange) -> CatalogItem:
    """Return the item with what was said about it; InvalidInput for a new one without a name."""
    if known is not None:
        return replace(known, **change.values)
    if "name" not in change.values:
        raise InvalidInput.one("name", reason="is required for an item that is new")
    return CatalogItem(change.kind, change.external_id, **change.values)


def validate_catalog_item(item: CatalogItem) -> list[Problem]:
    """Return everything wrong with an item.

    Name 1–200 characters; points per unit 1..MAX_POINTS; an IANA zone, for locations only; what belongs to sales, for
    services, classes and products only.
    """
    return [problem for problem in _item_problems(item) if problem is not None]


def _item_problems(item: CatalogItem) -> Iterator[Problem | None]:
    yield check_external_id(item.external_id, ("external_id",))
    yield check_text(item.name, ("name",), CATALOG_NAME_MAX_LENGTH)
    if item.kind not in SOLD_KINDS:
        yield from _stray_sale_problems(item)
    elif item.category is not None:
        yield check_external_id(item.category, ("category",))
    if item.time_zone is not None:
        yield _check_zone(item.kind, item.time_zone)
    if item.points_per_unit is not None:
        yield check_points(item.points_per_unit, ("points_per_unit",))


def _stray_sale_problems(item: CatalogItem) -> Iterator[Problem]:
    given = {"category": item.category, "enrolled": item.enrolled or None, "points_per_unit": item.points_per_unit}
    for name, value in given.items():
        if value is not None:
            yield Problem((name,), "belongs to services, classes and products only")


def _check_zone(kind: CatalogKind, time_zone: str) -> Problem | None:
    if kind is not CatalogKind.LOCATION:
        return Problem(("time_zone",), "belongs to locations only")
    return None if is_time_zone(time_zone) else Problem(("time_zone",), "must be the name of an IANA time zone")
