"""``catalogItemsUpsert``: keep the tenant's names for services, categories, locations and staff."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.catalog import CatalogEdit, upsert_catalog_items_once
from loyalty.storage.catalog import CatalogPlace
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.loaders import load
from schema.mutations.payload import UserErrors, optional_key_field, replayed_field, user_errors_field
from schema.types.catalog import CatalogItem, CatalogItemInput, CatalogItemKeyInput, change_from


@strawberry.input(description="Items to keep, and items to remove; all or nothing, 1 to 1,000 together.")
class CatalogItemsUpsertInput:
    items: list[CatalogItemInput] = strawberry.field(
        default_factory=list, description="Inserted, or changed in what is given."
    )
    remove: list[CatalogItemKeyInput] = strawberry.field(
        default_factory=list, description="Removed; unknown ones are no error."
    )
    idempotency_key: str | None = optional_key_field()


@strawberry.type(description="The items as they are now.")
class CatalogItemsUpsertPayload:
    user_errors: UserErrors = user_errors_field()
    items: list[CatalogItem] | None = strawberry.field(default=None, description="The items that were given.")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.LOYALTY_MANAGE,
    prepares=True,
    description="Keep the catalogue: names for external ids, categories, time zones of locations, points per unit. A "
    "field that is left out stays as it is.",
)
async def catalog_items_upsert(
    info: Info,
    input: Annotated[CatalogItemsUpsertInput, strawberry.argument(description="The items.")],  # noqa: A002
) -> CatalogItemsUpsertPayload:
    """Insert or change items. Refuses more than 20,000 items in a catalogue."""

    async def work() -> Mapping[str, Any]:
        currency = (await load(info, "tenant", None)).currency
        edit = CatalogEdit(
            items=[change_from(item, currency, "items", str(position)) for position, item in enumerate(input.items)],
            removals=[CatalogPlace(key.kind, key.external_id) for key in input.remove],
            idempotency_key=input.idempotency_key,
        )
        kept = await upsert_catalog_items_once(info.context.world, info.context.actor, edit)
        info.context.loaders.clear()
        return kept._asdict()

    return await answer_mutation(CatalogItemsUpsertPayload, work)
