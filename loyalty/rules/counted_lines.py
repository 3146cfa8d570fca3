"""The lines of a purchase that earn, and what the catalogue says about each: its category, its own points or rate.

The item of a line decides before its category. If neither says anything, the program's rules decide.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from loyalty.rules.basis import BasisPolicy, LineBasis, line_basis, takes_part
from loyalty.rules.catalog import CatalogEarning, CatalogItem, CatalogKind, EarningRate
from loyalty.rules.purchase import PurchaseKind, PurchaseLine
from loyalty.rules.quantity import Quantity
from loyalty.rules.text import tidy_id, tidy_optional_id

_ITEM_KINDS = {
    PurchaseKind.APPOINTMENT: (CatalogKind.SERVICE, CatalogKind.CLASS, CatalogKind.PRODUCT),
    PurchaseKind.CLASS: (CatalogKind.CLASS, CatalogKind.SERVICE, CatalogKind.PRODUCT),
    PurchaseKind.ORDER: (CatalogKind.PRODUCT, CatalogKind.SERVICE, CatalogKind.CLASS),
}
"""For each kind of purchase, the order in which catalogue kinds are searched for the item of a line.

The order matters if several kinds have an item with the same id.
"""


@dataclass(frozen=True, slots=True)
class CatalogIndex:
    """The catalogue by external ids, for each kind of purchase."""

    items: Mapping[PurchaseKind, Mapping[str, CatalogItem]]
    categories: Mapping[str, CatalogItem]

    def name_line(self, sold: "SoldAs") -> "LineNames":
        """Return the tenant's names for the item and the category of a line; None if the catalogue does not have it.

        A line without a category has the category of its item.
        """
        item_id, category_id = tidy_optional_id(sold.item), tidy_optional_id(sold.category)
        item = self.items[sold.kind].get(item_id) if item_id is not None else None
        if category_id is None and item is not None:
            category_id = tidy_optional_id(item.category)
        category = self.categories.get(category_id) if category_id is not None else None
        return LineNames(None if item is None else item.name, None if category is None else category.name)


class SoldAs(NamedTuple):
    """How a line of a purchase names its item and category: external ids, and the kind of the purchase."""

    kind: PurchaseKind
    item: str | None
    category: str | None


class LineNames(NamedTuple):
    """The tenant's names for the item and the category of a line."""

    item: str | None
    category: str | None


class CountedLine(NamedTuple):
    """A line that takes part: its position, the amounts that count, and what the catalogue says about it."""

    position: int
    item: str | None
    category: str | None
    quantity: Quantity
    amount_minor: int
    basis: LineBasis
    enrolled: bool
    points_per_unit: int | None
    rate: EarningRate | None


class CountedLines(NamedTuple):
    """The lines that take part.

    `left_out` says that an item was left out because it is not enrolled. `earns_nothing` says that an item earns
    nothing.
    """

    lines: tuple[CountedLine, ...]
    left_out: bool
    earns_nothing: bool


def index_catalog(catalog: Iterable[CatalogItem]) -> CatalogIndex:
    """Index the items that are sold by external id. If kinds share an id, the first kind for the kind of purchase wins.

    An earlier release stored ids as they were sent, so they are tidied here. If two ids become equal, the item with the
    tidy id wins.
    """
    catalog = sorted(catalog, key=_has_tidy_id)
    categories = {tidy_id(item.external_id): item for item in catalog if item.kind is CatalogKind.CATEGORY}
    return CatalogIndex({kind: _index_items(catalog, kinds) for kind, kinds in _ITEM_KINDS.items()}, categories)


def count_lines(
    catalog: CatalogIndex, kind: PurchaseKind, lines: Sequence[PurchaseLine], basis: BasisPolicy, *, enrolled_only: bool
) -> CountedLines:
    """Return the lines of a purchase that take part, in their order.

    With ``enrolled_only`` only lines of enrolled items take part.
    """
    items = catalog.items[kind]
    counted: list[CountedLine] = []
    left_out = earns_nothing = False
    for position, line in enumerate(lines):
        if line.is_removed or not takes_part(basis, line):
            continue
        name, told_category = tidy_optional_id(line.item), tidy_optional_id(line.category)
        item = items.get(name) if name is not None else None
        category_id = tidy_optional_id(item.category) if told_category is None and item is not None else told_category
        category = catalog.categories.get(category_id) if category_id is not None else None
        if _find_earning(item, category) is CatalogEarning.NOTHING:
            earns_nothing = True
        elif enrolled_only and (item is None or not item.enrolled):
            left_out = True
        else:
            counted.append(_count_line(position, line, item, (name, category_id), _find_special(item, category), basis))
    return CountedLines(tuple(counted), left_out, earns_nothing)


def _count_line(
    position: int,
    line: PurchaseLine,
    item: CatalogItem | None,
    names: tuple[str | None, str | None],
    special: CatalogItem | None,
    basis: BasisPolicy,
) -> CountedLine:
    """Build a line that takes part. ``names`` are the tidy ids of its item and its category.

    ``special`` is the item or category whose own points per unit or rate the line has; None if it follows the rules.
    """
    return CountedLine(
        position=position,
        item=names[0],
        category=names[1],
        quantity=line.quantity,
        amount_minor=line.amount_minor,
        basis=line_basis(basis, line),
        enrolled=item is not None and item.enrolled,
        points_per_unit=special.points_per_unit if special is not None else None,
        rate=special.rate if special is not None else None,
    )


def _find_earning(item: CatalogItem | None, category: CatalogItem | None) -> CatalogEarning | None:
    """Return whether a line earns by the program or not at all; None if neither item nor category says.

    An item with points or a rate of its own earns by the program, unless its own `earning` says otherwise.
    """
    if item is not None and (item.earning is not None or _has_own_award(item)):
        return item.earning or CatalogEarning.PROGRAM
    return category.earning if category is not None else None


def _find_special(item: CatalogItem | None, category: CatalogItem | None) -> CatalogItem | None:
    """Return the item or category whose own points or rate a line has; None if it follows the rules.

    The item decides before its category, also if it says that it earns by the program.
    """
    if item is not None and (_has_own_award(item) or item.earning is CatalogEarning.PROGRAM):
        return item
    return category if category is not None and _has_own_award(category) else None


def _has_own_award(item: CatalogItem) -> bool:
    """Tell whether an item or a category has points per unit or a rate of its own."""
    return item.points_per_unit is not None or item.rate is not None


def _has_tidy_id(item: CatalogItem) -> bool:
    """Tell whether the external id of an item is stored in tidy form."""
    return tidy_id(item.external_id) == item.external_id


def _index_items(catalog: Iterable[CatalogItem], kinds: Sequence[CatalogKind]) -> Mapping[str, CatalogItem]:
    """Return the items of some kinds by external id. If kinds share an id, the item of the first kind wins."""
    by_kind = {kind: {tidy_id(item.external_id): item for item in catalog if item.kind is kind} for kind in kinds}
    index: dict[str, CatalogItem] = {}
    for kind in reversed(kinds):
        index.update(by_kind[kind])
    return index
