"""The catalogue: the tenant's names for services, classes, products, categories, locations and staff.

The tenant chooses the external ids. A service and a product may have the same id.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import InvalidInput, Problem
from loyalty.rules.money import MAX_AMOUNT_MINOR
from loyalty.rules.points import check_points
from loyalty.rules.text import check_external_id, check_text
from loyalty.rules.zones import is_time_zone

CATALOG_NAME_MAX_LENGTH = 200


class CatalogKind(DescribedEnum):
    """What an item of the catalogue is."""

    SERVICE = "SERVICE", "A service that is booked."
    CLASS = "CLASS", "A class or course."
    PRODUCT = "PRODUCT", "Something that is sold."
    CATEGORY = "CATEGORY", "A category of services or products."
    LOCATION = "LOCATION", "A place of business, with its own time zone."
    STAFF = "STAFF", "A staff member."


SOLD_KINDS = (CatalogKind.SERVICE, CatalogKind.CLASS, CatalogKind.PRODUCT)
"""Kinds that can stand on the line of a purchase."""


class CatalogEarning(DescribedEnum):
    """Whether an item of the catalogue earns."""

    PROGRAM = "PROGRAM", "By the rules of the program, whatever its category says."
    NOTHING = "NOTHING", "Never, under any rule and in every scope."


@dataclass(frozen=True, slots=True)
class EarningRate:
    """So many points for every `per_minor` minor units of the program's currency."""

    points: int
    per_minor: int


@dataclass(frozen=True, slots=True)
class CatalogItem:
    """One item of the catalogue.

    `category` and `enrolled` are for items that are sold: the external id of the category, and whether the item takes
    part in awards per unit and in the scope OPT_IN. `earning`, `points_per_unit` and `rate` are for items that are sold
    and for categories: whether it earns at all, and its own points per unit or its own rate in place of the rule's.
    None means: as the category says; without that, as the program says. `time_zone` is for locations.
    """

    kind: CatalogKind
    external_id: str
    name: str
    category: str | None = None
    time_zone: str | None = None
    enrolled: bool = False
    points_per_unit: int | None = None
    earning: CatalogEarning | None = None
    rate: EarningRate | None = None


@dataclass(frozen=True, slots=True)
class CatalogChange:
    """A change of one item. A field that is not in `values` does not change."""

    kind: CatalogKind
    external_id: str
    values: Mapping[str, Any] = field(default_factory=dict)


def change_item(known: CatalogItem | None, change: CatalogChange) -> CatalogItem:
    """Return the item after a change. Raises InvalidInput for a new item without a name.

    If a change ends an item's enrolment and does not name `earning`, the item earns nothing from then on. If the item
    is enrolled again, it earns as its category and the program say.
    """
    values = dict(change.values)
    if change.kind in SOLD_KINDS and "enrolled" in values and "earning" not in values:
        if not values["enrolled"]:
            values["earning"] = CatalogEarning.NOTHING
        elif known is None or known.earning is CatalogEarning.NOTHING:
            values["earning"] = None
    if known is not None:
        return replace(known, **values)
    if "name" not in values:
        raise InvalidInput.one("name", reason="is required for an item that is new")
    return CatalogItem(change.kind, change.external_id, **values)


def validate_catalog_item(item: CatalogItem) -> list[Problem]:
    """Return everything wrong with an item.

    The name has 1–200 characters. Points per unit and points of a rate are 1..MAX_POINTS, and only one of both is
    allowed. A time zone is an IANA name, for locations only. Category and enrolment are for services, classes and
    products only; earning is for these and for categories.
    """
    return [problem for problem in _item_problems(item) if problem is not None]


def _item_problems(item: CatalogItem) -> Iterator[Problem | None]:
    """Yield the problems of an item, and None for checks that find none."""
    yield check_external_id(item.external_id, ("external_id",))
    yield check_text(item.name, ("name",), CATALOG_NAME_MAX_LENGTH)
    if item.kind not in SOLD_KINDS:
        yield from _stray_sale_problems(item)
    elif item.category is not None:
        yield check_external_id(item.category, ("category",))
    if item.time_zone is not None:
        yield _check_zone(item.kind, item.time_zone)
    yield from _earning_problems(item)


def _stray_sale_problems(item: CatalogItem) -> Iterator[Problem]:
    """Yield a problem for each value that an item of a kind that is not sold must not have."""
    given = {"category": item.category, "enrolled": item.enrolled or None}
    for name, value in given.items():
        if value is not None:
            yield Problem((name,), "belongs to services, classes and products only")
    if item.kind is not CatalogKind.CATEGORY:
        for name in ("points_per_unit", "earning", "rate"):
            if getattr(item, name) is not None:
                yield Problem((name,), "belongs to services, classes, products and categories only")


def _earning_problems(item: CatalogItem) -> Iterator[Problem | None]:
    """Yield what is wrong with an item's points per unit and its rate, and None for checks that find nothing."""
    if item.points_per_unit is not None:
        yield check_points(item.points_per_unit, ("points_per_unit",))
    if item.rate is None:
        return
    yield check_points(item.rate.points, ("rate", "points"))
    if not 1 <= item.rate.per_minor <= MAX_AMOUNT_MINOR:
        yield Problem(("rate", "per"), "must be a positive amount")
    if item.points_per_unit is not None:
        yield Problem(("rate",), "must not stand beside points per unit")


def _check_zone(kind: CatalogKind, time_zone: str) -> Problem | None:
    if kind is not CatalogKind.LOCATION:
        return Problem(("time_zone",), "belongs to locations only")
    return None if is_time_zone(time_zone) else Problem(("time_zone",), "must be the name of an IANA time zone")
