"""Products of gift cards: create, change, archive, list. Every edit is a new version, stored with its actor."""

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from uuid_utils.compat import uuid7

from loyalty.rules.audit import AuditSubject
from loyalty.rules.errors import (
    LimitReached,
    NotFound,
    VersionConflict,
    refuse_problems,
)
from loyalty.rules.gift_card_product import (
    GiftCardProduct,
    refuse_archived,
    refuse_in_program,
    validate_product,
)
from loyalty.rules.ids import GiftCardProductId
from loyalty.services.audit import describe_change, note_changes
from loyalty.services.creation import call_once
from loyalty.services.fingerprint import fingerprint
from loyalty.services.program import lock_program_in_force, program_in_force
from loyalty.services.world import World
from loyalty.storage.documents import to_document
from loyalty.storage.gift_card_products import (
    GiftCardProductFilter,
    GiftCardProductRow,
    count_products,
    count_products_listed,
    insert_product,
    lock_product,
    read_product_page,
    read_products_by_id,
    update_product,
)
from loyalty.storage.programs import ProgramRow
from loyalty.storage.window import TimePlace, Window
from permissions.actor import Actor, ActorKind
from permissions.catalog import Permission
from permissions.policy import require, require_any
from tenancy.database import Transaction
from tenancy.retry import retry_transaction

MAX_PRODUCTS = 500
"""The most products of one tenant, without archived ones."""

READERS = (
    Permission.GIFT_CARDS_READ,
    Permission.GIFT_CARDS_MANAGE,
    Permission.GIFT_CARDS_ISSUE,
    Permission.GIFT_CARDS_SPEND,
    Permission.SELF_READ,
)
"""Each of these permissions is enough to read products. Customers read only products on offer."""

ProductChange = Callable[[GiftCardProduct], GiftCardProduct]


class KeptProduct(NamedTuple):
    """A new product. For a retry it is the product of the first call, as it is now."""

    product: GiftCardProductRow
    replayed: bool


async def create_product(world: World, actor: Actor, draft: GiftCardProduct, key: str | None = None) -> KeptProduct:
    """Create a product as version 1. The id of ``draft`` is ignored.

    Refusals: InvalidInput, CurrencyMismatch, LimitReached, IdempotencyConflict.
    """
    require(actor, Permission.GIFT_CARDS_MANAGE, even_when_off=True)
    refuse_problems(validate_product(draft))
    once = call_once(actor, key, "giftCardProductCreate", fingerprint(_identity(draft)))

    async def create() -> KeptProduct:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            program = await lock_program_in_force(tx, even_when_off=True)
            made = await once.find_made(tx)
            if made is not None:
                product_id = GiftCardProductId(made)
                return KeptProduct((await read_products_by_id(tx, [product_id]))[product_id], replayed=True)
            if await count_products(tx) >= MAX_PRODUCTS:
                raise LimitReached("gift card products", MAX_PRODUCTS)
            row = _new_row(world, program, draft)
            await insert_product(tx, row, actor.subject)
            await note_changes(tx, actor, row.updated_at, [_describe_change(None, row)])
            await once.keep(tx, row.id, world.clock())
            return KeptProduct(row, replayed=False)

    return await retry_transaction(create)


async def change_product(
    world: World,
    actor: Actor,
    product_id: GiftCardProductId,
    change: ProductChange,
    expected_version: int | None = None,
) -> GiftCardProductRow:
    """Change a product as its next version. An edit that changes nothing makes no version. Its cards do not change.

    Refusals: NotFound, VersionConflict, InvalidInput (an archived product does not change), CurrencyMismatch.
    """
    require(actor, Permission.GIFT_CARDS_MANAGE, even_when_off=True)

    async def edit() -> GiftCardProductRow:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            program = (await program_in_force(world, tx, even_when_off=True)).row
            stored = await _lock(tx, product_id, expected_version)
            before = stored.definition
            refuse_archived(before)
            after = change(before)
            if after == before:
                return stored
            refuse_problems(validate_product(after))
            refuse_in_program(before, after, program.currency, _today(world, program))
            row = stored.with_definition(after)._replace(version=stored.version + 1, updated_at=world.clock())
            await update_product(tx, row, actor.subject)
            await note_changes(tx, actor, row.updated_at, [_describe_change(stored, row)])
        return row

    return await retry_transaction(edit)


async def archive_product(
    world: World, actor: Actor, product_id: GiftCardProductId, expected_version: int | None = None
) -> GiftCardProductRow:
    """Archive a product for good. Its cards do not change. A second call changes nothing.

    Refusals: NotFound, VersionConflict.
    """
    require(actor, Permission.GIFT_CARDS_MANAGE, even_when_off=True)

    async def archive() -> GiftCardProductRow:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            stored = await _lock(tx, product_id, expected_version)
            if stored.archived_at is not None:
                return stored
            now = world.clock()
            row = stored._replace(version=stored.version + 1, active=False, archived_at=now, updated_at=now)
            await update_product(tx, row, actor.subject)
            await note_changes(tx, actor, now, [_describe_change(stored, row)])
        return row

    return await retry_transaction(archive)


async def list_products(
    world: World, actor: Actor, wanted: GiftCardProductFilter, window: Window[TimePlace]
) -> list[GiftCardProductRow]:
    """Return a page of products, by default newest first. Customers find only products on offer."""
    require_any(actor, *READERS)
    return await read_product_page(world.database.reading(actor.tenant_id), _narrow_for(actor, wanted), window)


async def count_products_of_list(world: World, actor: Actor, wanted: GiftCardProductFilter) -> int:
    """Return the number of products in a list, up to the ceiling of counts."""
    require_any(actor, *READERS)
    return await count_products_listed(world.database.reading(actor.tenant_id), _narrow_for(actor, wanted))


async def load_products(
    world: World, actor: Actor, ids: Sequence[GiftCardProductId]
) -> dict[GiftCardProductId, GiftCardProductRow]:
    """Return the products among ``ids``, also archived ones. Customers find only products on offer."""
    found = await load_products_of_cards(world, actor, ids)
    if actor.kind is not ActorKind.CUSTOMER:
        return found
    return {product_id: row for product_id, row in found.items() if row.is_offered}


async def load_products_of_cards(
    world: World, actor: Actor, ids: Sequence[GiftCardProductId]
) -> dict[GiftCardProductId, GiftCardProductRow]:
    """Return the products among ``ids``, also products that are not on offer any more.

    The ids come from cards that the actor sees.
    """
    require_any(actor, *READERS)
    return await read_products_by_id(world.database.reading(actor.tenant_id), ids)


def _show_product(row: GiftCardProductRow) -> dict[str, Any]:
    """Return the state of a product that the audit log keeps."""
    return {name: value for name, value in to_document(row.definition).items() if name != "id"}


_describe_change = partial(describe_change, AuditSubject.GIFT_CARD_PRODUCT, _show_product)


def _narrow_for(actor: Actor, wanted: GiftCardProductFilter) -> GiftCardProductFilter:
    """Limit a filter to products on offer, if the actor is a customer."""
    return wanted._replace(offered=wanted.offered or actor.kind is ActorKind.CUSTOMER)


async def _lock(tx: Transaction, product_id: GiftCardProductId, expected_version: int | None) -> GiftCardProductRow:
    """Lock a product and return it. A version of None is not compared. Refusals: NotFound, VersionConflict."""
    stored = await lock_product(tx, product_id)
    if stored is None:
        raise NotFound("gift card product", ("id",))
    if expected_version is not None and expected_version != stored.version:
        raise VersionConflict(expected=expected_version, actual=stored.version)
    return stored


def _new_row(world: World, program: ProgramRow, draft: GiftCardProduct) -> GiftCardProductRow:
    """Return the row of a new product. Refusals: CurrencyMismatch, InvalidInput (a fixed day that is over)."""
    refuse_in_program(None, draft, program.currency, _today(world, program))
    now = world.clock()
    return GiftCardProductRow(
        id=GiftCardProductId(uuid7()),
        version=1,
        name=draft.name,
        description=draft.description,
        picture_url=draft.picture_url,
        face_minor=draft.face.amount_minor,
        currency=draft.face.currency,
        purchasable_with_points=draft.purchasable_with_points,
        points_cost=draft.points_cost,
        validity=draft.validity,
        stock=draft.stock,
        limit_per_customer=draft.limit_per_customer,
        active=draft.active,
        created_at=now,
        updated_at=now,
        archived_at=None,
    )


def _today(world: World, program: ProgramRow) -> date:
    """Return the local day of the tenant. A sandbox may have put its clock forward."""
    return (world.clock() + program.clock_advance).astimezone(ZoneInfo(program.time_zone)).date()


def _identity(draft: GiftCardProduct) -> list[Any]:
    """Return the given values of a requested product for the fingerprint. Fields that are not given do not count."""
    given = {name: value for name, value in to_document(draft).items() if name != "id" and value is not None}
    return [sorted(given.items())]
