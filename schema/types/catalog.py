"""The tenant's catalogue of names, kept by its own system."""

import strawberry

from loyalty.rules.catalog import CatalogChange
from loyalty.rules.earning import CatalogItem as Item
from loyalty.rules.earning import CatalogKind
from loyalty.storage.catalog import CatalogPlace
from schema.connections import Order, text_value
from schema.mutations.given import given_fields
from schema.scalars import Points, TimeZone


@strawberry.type(description="One thing the tenant has a name for.")
class CatalogItem:
    kind: CatalogKind = strawberry.field(description="What it is.")
    external_id: str = strawberry.field(description="The id in the tenant's own system; unique within the kind.")
    name: str = strawberry.field(description="What people call it.")
    category: str | None = strawberry.field(description="External id of its category, for what is sold.")
    time_zone: TimeZone | None = strawberry.field(description="The zone of a location's days.")
    enrolled: bool = strawberry.field(description="Whether it takes part in awards per unit and in the scope OPT_IN.")
    points_per_unit: Points | None = strawberry.field(description="Its own points per unit, in place of the rule's.")


@strawberry.input(
    description="An item to insert or to change: a field that is left out stays as it is known, null takes it away."
)
class CatalogItemInput:
    kind: CatalogKind = strawberry.field(description="What it is.")
    external_id: str = strawberry.field(description="1 to 255 characters.")
    name: str | None = strawberry.field(
        default=strawberry.UNSET, description="1 to 200 characters; required for an item that is new."
    )
    category: str | None = strawberry.field(
        default=strawberry.UNSET, description="External id of its category, for what is sold."
    )
    time_zone: TimeZone | None = strawberry.field(
        default=strawberry.UNSET, description="IANA zone, for locations only; null for the tenant's own."
    )
    enrolled: bool | None = strawberry.field(
        default=strawberry.UNSET, description="Whether it takes part (for what is sold); false for an item that is new."
    )
    points_per_unit: Points | None = strawberry.field(
        default=strawberry.UNSET, description="Its own points per unit, at least 1; null for those of the rule."
    )


@strawberry.input(description="Names an item of the catalogue.")
class CatalogItemKeyInput:
    kind: CatalogKind = strawberry.field(description="What it is.")
    external_id: str = strawberry.field(description="The id in the tenant's own system.")


def change_from(given: CatalogItemInput, *path: str) -> CatalogChange:
    """A change as the rules know it; InvalidInput for null where there is always a value."""
    values = {
        name: value
        for name in ("category", "time_zone", "points_per_unit")
        if (value := getattr(given, name)) is not strawberry.UNSET
    }
    return CatalogChange(given.kind, given.external_id, given_fields(given, "name", "enrolled", path=path) | values)


CATALOG_ORDER: Order[CatalogPlace] = Order(
    name="catalog",
    values=tuple,
    place=lambda kind, external_id: CatalogPlace(text_value(kind), text_value(external_id)),
)


def catalog_place(item: Item) -> CatalogPlace:
    """Where an item stands in the list."""
    return CatalogPlace(item.kind, item.external_id)
