"""The tenant's catalogue of services, categories, locations and staff, kept by the tenant's own system."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

from loyalty.rules.audit import AuditedChange, AuditSubject
from loyalty.rules.catalog import CatalogChange, EarningRate, change_item
from loyalty.rules.counted_lines import LineNames, SoldAs
from loyalty.rules.earning import CatalogItem, CatalogKind, validate_catalog_item
from loyalty.rules.errors import InvalidInput, LimitReached, Problem, refuse_problems
from loyalty.rules.text import check_external_id, tidy_id
from loyalty.services.audit import note_changes
from loyalty.services.creation import call_once
from loyalty.services.fingerprint import fingerprint
from loyalty.services.location_scope import find_locations_in_use
from loyalty.services.program import lock_program_in_force, program_in_force
from loyalty.services.tidy_keys import tidy_keys
from loyalty.services.world import World
from loyalty.storage.catalog import (
    CatalogFilter,
    CatalogPlace,
    count_items,
    count_items_listed,
    delete_items,
    item_values,
    read_items,
    read_items_by_key,
    save_items,
)
from loyalty.storage.frozen_program import keep_former_items, keep_removed_items
from loyalty.storage.programs import touch_config
from loyalty.storage.window import Window
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require, require_any
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.retry import retry_transaction

Key = TypeVar("Key", bound=tuple[str, str])

MAX_ITEMS_AT_ONCE = 1_000
MAX_ITEMS = 20_000

PURCHASE_READERS = (
    Permission.LOYALTY_READ,
    Permission.LOYALTY_REPORT,
    Permission.LOYALTY_ADJUST,
    Permission.PURCHASES_RECORD,
    Permission.SELF_READ,
)
"""Each of these permissions is enough to get a purchase in an answer.

Readers of purchases have them, and callers of mutations that return a purchase.
"""


class CatalogEdit(NamedTuple):
    """An edit of the catalogue, done completely or not at all.

    ``items`` are inserted, replaced (a CatalogItem) or changed (a CatalogChange). ``removals`` are keys of items to
    remove.
    """

    items: Sequence[CatalogItem | CatalogChange]
    removals: Sequence[CatalogPlace]
    idempotency_key: str | None = None

    def fingerprint(self) -> str:
        """Return the fingerprint of this request."""
        return fingerprint([[_identity(one) for one in self.items], [tuple(key) for key in self.removals]])


class KeptCatalog(NamedTuple):
    """The stored items of an edit. For a retry they are the items of the first call, as they are now."""

    items: Sequence[CatalogItem]
    replayed: bool


async def upsert_catalog_items(world: World, actor: Actor, edit: CatalogEdit) -> Sequence[CatalogItem]:
    """Edit the catalogue as `upsert_catalog_items_once` does, and return only the items."""
    return (await upsert_catalog_items_once(world, actor, edit)).items


async def upsert_catalog_items_once(world: World, actor: Actor, given: CatalogEdit) -> KeptCatalog:
    """Edit the catalogue and return its stored items. Removals are done first.

    Refusals: InvalidInput, LimitReached, IdempotencyConflict.
    """
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)
    refuse_problems(_find_key_problems(given))

    once = call_once(actor, given.idempotency_key, "catalogItemsUpsert", given.fingerprint())

    async def save() -> KeptCatalog:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            program = await lock_program_in_force(tx, even_when_off=True)
            made = await once.find_made(tx)
            edit = await _settle_items(tx, given)
            touched = [*edit.removals, *(_key(one) for one in edit.items)]
            stored = await _read_kept(tx, touched)
            if made is not None:
                return KeptCatalog([stored[_key(one)] for one in edit.items if _key(one) in stored], replayed=True)
            until = program.config_version + 1
            refuse_problems(
                await find_locations_in_use(tx, edit.removals, {_key(one) for one in edit.items}, world.clock())
            )
            if edit.removals:
                await keep_removed_items(tx, edit.removals, until)
                await delete_items(tx, edit.removals)
            items = _change_items({key: stored[key] for key in stored.keys() - edit.removals}, edit.items)
            if items:
                await keep_former_items(tx, items, until)
                await save_items(tx, items, world.clock())
            if await count_items(tx) > MAX_ITEMS:
                raise LimitReached("catalogue items", MAX_ITEMS, ("items",))
            await note_changes(tx, actor, world.clock(), _describe_changes(stored, touched, items))
            await touch_config(tx)
            await once.keep(tx, actor.tenant_id, world.clock())
        return KeptCatalog(items, replayed=False)

    return await retry_transaction(save)


async def _settle_items(tx: Transaction, edit: CatalogEdit) -> CatalogEdit:
    """Return the edit with the keys of its items in stored form; see ``tidy_keys``."""
    keys = await tidy_keys([*map(_key, edit.items), *edit.removals], partial(_read_kept, tx))
    count = len(edit.items)
    items = [replace(one, external_id=key.external_id) for one, key in zip(edit.items, keys[:count], strict=True)]
    return edit._replace(items=items, removals=keys[count:])


async def _read_kept(tx: Reads, keys: Sequence[CatalogPlace]) -> dict[CatalogPlace, CatalogItem]:
    """Return the stored items with these keys, by their keys."""
    return {_key(item): item for item in await read_items_by_key(tx, keys)}


def _describe_changes(
    former: Mapping[CatalogPlace, CatalogItem], touched: Sequence[CatalogPlace], items: Sequence[CatalogItem]
) -> list[AuditedChange]:
    """Return the change of each item that an edit touches.

    An item that is removed and given again counts as changed.
    """
    now = {_key(item): item for item in items}
    changes = []
    for key in dict.fromkeys(touched):
        known = now.get(key) or former.get(key)
        if known is not None:
            states = (None if one is None else item_values(one) for one in (former.get(key), now.get(key)))
            name = known.name or known.external_id
            changes.append(AuditedChange(AuditSubject.CATALOG_ITEM, audit_id(key), name, *states))
    return changes


def audit_id(key: CatalogPlace) -> str:
    """Return the id of a catalogue item in the audit log, because the item has none of its own."""
    return f"{key.kind}:{key.external_id}"


def _change_items(
    known: Mapping[CatalogPlace, CatalogItem], given: Sequence[CatalogItem | CatalogChange]
) -> Sequence[CatalogItem]:
    """Return the items in the form to store. Raises InvalidInput with all problems of all items."""
    items: list[CatalogItem] = []
    problems: list[Problem] = []
    for position, one in enumerate(given):
        try:
            item = change_item(known.get(_key(one)), one) if isinstance(one, CatalogChange) else one
        except InvalidInput as refusal:
            found = list(refusal.problems)
        else:
            items.append(item)
            found = validate_catalog_item(item)
        problems += [Problem(("items", str(position), *path), reason) for path, reason in found]
    refuse_problems(problems)
    return items


async def list_catalog_items(
    world: World, actor: Actor, *, kind: CatalogKind | None, window: Window[CatalogPlace], search: str | None = None
) -> list[CatalogItem]:
    """Return a page of the catalogue."""
    require(actor, Permission.LOYALTY_READ)
    tx = world.database.reading(actor.tenant_id)
    return await read_items(tx, CatalogFilter(kind, search), window=window)


async def count_catalog_items(world: World, actor: Actor, *, kind: CatalogKind | None, search: str | None) -> int:
    """Return the number of items in a list, up to the ceiling of counts."""
    require(actor, Permission.LOYALTY_READ)
    tx = world.database.reading(actor.tenant_id)
    return await count_items_listed(tx, CatalogFilter(kind, search))


async def load_catalog_items(world: World, actor: Actor, keys: Sequence[Key]) -> dict[Key, CatalogItem]:
    """Return the items with one of these keys: kind, external id.

    An item with exactly the id that was sent is preferred to an item with the tidied id.
    """
    require(actor, Permission.LOYALTY_READ)
    tx = world.database.reading(actor.tenant_id)
    places = {key: (CatalogPlace(*key), CatalogPlace(key[0], tidy_id(key[1]))) for key in keys}
    kept = await _read_kept(tx, [place for both in places.values() for place in both])
    found = {key: kept.get(as_sent) or kept.get(tidy) for key, (as_sent, tidy) in places.items()}
    return {key: item for key, item in found.items() if item is not None}


async def load_line_names(world: World, actor: Actor, sold: Sequence[SoldAs]) -> dict[SoldAs, LineNames]:
    """Return the present names of sold items in the catalogue. Readers of purchases may read them, also customers."""
    require_any(actor, *PURCHASE_READERS, even_when_off=True)
    program = await program_in_force(world, world.database.reading(actor.tenant_id), even_when_off=True)
    return {line: program.rules.catalog.name_line(line) for line in sold}


def _identity(one: CatalogItem | CatalogChange) -> list[Any]:
    """Return the given values of an item for the fingerprint."""
    values = one.values if isinstance(one, CatalogChange) else item_values(one)
    plain = {
        name: [value.points, value.per_minor] if isinstance(value, EarningRate) else value
        for name, value in values.items()
    }
    return [one.kind, one.external_id, dict(sorted(plain.items()))]


def _key(one: CatalogItem | CatalogChange) -> CatalogPlace:
    return CatalogPlace(one.kind, one.external_id)


def _find_key_problems(edit: CatalogEdit) -> list[Problem | None]:
    """Return a problem for each external id that is not valid or stands in the edit twice.

    Raises InvalidInput for too few or too many items.
    """
    count = len(edit.items) + len(edit.removals)
    if not 1 <= count <= MAX_ITEMS_AT_ONCE:
        raise InvalidInput.one("items", reason=f"must have between 1 and {MAX_ITEMS_AT_ONCE} items")
    problems: list[Problem | None] = []
    seen: set[CatalogPlace] = set()
    for position, one in enumerate(edit.items):
        path = ("items", str(position), "external_id")
        problems.append(check_external_id(tidy_id(one.external_id) or one.external_id, path))
        key = CatalogPlace(one.kind, tidy_id(one.external_id))
        if key in seen:
            problems.append(Problem(path, "stands in the list twice"))
        seen.add(key)
    return problems
