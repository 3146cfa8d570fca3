"""The tenant's catalogue of names, kept by its own system."""

from typing import Any

import strawberry

from loyalty.rules.catalog import CatalogChange, CatalogEarning
from loyalty.rules.catalog import EarningRate as Rate
from loyalty.rules.earning import CatalogItem as Item
from loyalty.rules.earning import CatalogKind
from loyalty.rules.money import Money as Amount
from loyalty.rules.text import tidy_optional_id
from loyalty.storage.catalog import CatalogPlace
from schema.connections import Order, text_value
from schema.context import Info
from schema.fields import computed, replaced_by, shows
from schema.loaders import load
from schema.mutations.given import read_given_fields
from schema.node_ids import encode_key
from schema.scalars import Points, TimeZone
from schema.types.money import Money, MoneyInput, minor_in
from schema.types.node import Node, reads, row_of, show_row


@strawberry.type(description="A rate: so many points for an amount of money, and in proportion for other amounts.")
class EarningRate:
    points: Points = strawberry.field(description="At least 1.")
    per: Money = strawberry.field(description="The amount that earns these points, in the program's currency.")


@strawberry.input(description="A rate: so many points for an amount of money, and in proportion for other amounts.")
class EarningRateInput:
    points: Points = strawberry.field(description="At least 1.")
    per: MoneyInput = strawberry.field(
        description="The amount that earns these points: above zero, in the program's currency."
    )


def _item_id(root: Any) -> strawberry.ID:
    return encode_key("CatalogItem", root.kind, root.external_id)


@strawberry.type(description="One thing the tenant has a name for.")
class CatalogItem(Node):
    is_type_of = reads(Item)

    id: strawberry.ID = strawberry.field(resolver=_item_id, description="Opaque; the same for as long as its key is.")
    item_kind: CatalogKind = shows("kind", description="The kind of the item. More kinds may come.")
    kind: CatalogKind = strawberry.field(
        description="The kind of the item.", deprecation_reason=replaced_by("itemKind")
    )
    external_id: str = strawberry.field(description="The id in the tenant's own system; unique within the kind.")
    name: str = strawberry.field(description="What people call it.")
    category: str | None = strawberry.field(
        description="External id of its category. Only services, classes and products have one."
    )
    location_time_zone: TimeZone | None = shows("time_zone", description="The zone of a location's days.")
    time_zone: TimeZone | None = strawberry.field(
        description="The zone of a location's days.", deprecation_reason=replaced_by("locationTimeZone")
    )
    enrolled: bool = strawberry.field(description="Whether it takes part in awards per unit and in the scope OPT_IN.")
    points_per_unit: Points | None = strawberry.field(description="Its own points per unit, in place of the rule's.")
    earning: CatalogEarning | None = strawberry.field(
        description="Whether it earns. Null: its category decides, and for a category the program."
    )

    @computed(description="Its own rate, in place of the rates of rules; null for those.")
    async def rate(self, info: Info) -> EarningRate | None:
        """In the program's currency."""
        row = row_of(Item, self)
        if row.rate is None:
            return None
        tenant = await load(info, "tenant", None)
        return EarningRate(
            points=Points(row.rate.points), per=show_row(Money, Amount(row.rate.per_minor, tenant.currency))
        )


@strawberry.input(
    description="An item to insert or to change: a field that is left out stays as it is known, null takes it away."
)
class CatalogItemInput:
    kind: CatalogKind = strawberry.field(description="The kind of the item.")
    external_id: str = strawberry.field(description="1 to 255 characters.")
    name: str | None = strawberry.field(
        default=strawberry.UNSET, description="1 to 200 characters; required for an item that is new."
    )
    category: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="External id of its category. Only services, classes and products have one.",
    )
    time_zone: TimeZone | None = strawberry.field(
        default=strawberry.UNSET, description="IANA zone, for locations only; null for the tenant's own."
    )
    enrolled: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="Whether it takes part in awards per unit and in the scope OPT_IN (for what is sold); false for an "
        "item that is new. False that is sent without `earning` means that the item earns nothing in any scope.",
    )
    points_per_unit: Points | None = strawberry.field(
        default=strawberry.UNSET,
        description="Its own points per unit, at least 1, also of all items of a category; null for those of the rule.",
    )
    earning: CatalogEarning | None = strawberry.field(
        default=strawberry.UNSET,
        description="Whether an item or the items of a category earn; null for as the category says, and for that as "
        "the program says.",
    )
    rate: EarningRateInput | None = strawberry.field(
        default=strawberry.UNSET,
        description="Its own rate in place of the rates of rules, also of all items of a category; not beside "
        "`pointsPerUnit`. Null for the rates of rules.",
    )


@strawberry.input(description="Names an item of the catalogue.")
class CatalogItemKeyInput:
    kind: CatalogKind = strawberry.field(description="The kind of the item.")
    external_id: str = strawberry.field(description="The id in the tenant's own system.")


@strawberry.input(description="Names an item of the catalogue in exactly one way.", one_of=True)
class CatalogItemBy:
    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="The global id.")
    key: CatalogItemKeyInput | None = strawberry.field(default=strawberry.UNSET, description="Kind and external id.")


def change_from(given: CatalogItemInput, currency: str, *path: str) -> CatalogChange:
    """Return a change for the rules.

    Raises InvalidInput for null where a value is required, CurrencyMismatch for rates.
    """
    values: dict[str, Any] = {
        name: value
        for name in ("category", "time_zone", "points_per_unit", "earning")
        if (value := getattr(given, name)) is not strawberry.UNSET
    }
    if isinstance(values.get("category"), str):
        values["category"] = tidy_optional_id(values["category"])
    if isinstance(given.rate, EarningRateInput):
        per_minor = minor_in(given.rate.per, currency, *path, "rate", "per")
        values["rate"] = Rate(given.rate.points, per_minor or 0)
    elif given.rate is None:
        values["rate"] = None
    return CatalogChange(
        given.kind, given.external_id, read_given_fields(given, "name", "enrolled", path=path) | values
    )


CATALOG_ORDER: Order[CatalogPlace] = Order(
    name="catalog",
    values=tuple,
    place=lambda kind, external_id: CatalogPlace(text_value(kind), text_value(external_id)),
)


def catalog_place(item: Item) -> CatalogPlace:
    """Return the place of an item in the list."""
    return CatalogPlace(item.kind, item.external_id)
