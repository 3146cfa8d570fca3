"""The tenant's catalogue of names, kept by its own system."""

import strawberry

from loyalty.rules.earning import CatalogItem as Item
from loyalty.rules.earning import CatalogKind
from loyalty.storage.catalog import CatalogPlace
from schema.connections import Order, text_value
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


@strawberry.input(description="An item to insert or replace, whole.")
class CatalogItemInput:
    kind: CatalogKind = strawberry.field(description="What it is.")
    external_id: str = strawberry.field(description="1 to 255 characters.")
    name: str = strawberry.field(description="1 to 200 characters.")
    category: str | None = strawberry.field(default=None, description="External id of its category.")
    time_zone: TimeZone | None = strawberry.field(default=None, description="IANA zone, for locations only.")
    enrolled: bool = strawberry.field(default=False, description="Whether it takes part (for what is sold).")
    points_per_unit: Points | None = strawberry.field(default=None, description="Its own points per unit, at least 1.")


@strawberry.input(description="Names an item of the catalogue.")
class CatalogItemKeyInput:
    kind: CatalogKind = strawberry.field(description="What it is.")
    external_id: str = strawberry.field(description="The id in the tenant's own system.")


def item_from(given: CatalogItemInput) -> Item:
    """An item as the rules know it."""
    return Item(
        kind=given.kind,
        external_id=given.external_id,
        name=given.name,
        category=given.category,
        time_zone=given.time_zone,
        enrolled=given.enrolled,
        points_per_unit=given.points_per_unit,
    )


CATALOG_ORDER: Order[CatalogPlace] = Order(
    name="catalog",
    values=tuple,
    place=lambda kind, external_id: CatalogPlace(text_value(kind), text_value(external_id)),
)


def catalog_place(item: Item) -> CatalogPlace:
    """Where an item stands in the list."""
    return CatalogPlace(item.kind, item.external_id)
