"""Products of gift cards: made, changed and archived by the team, read by everybody as far as it concerns them."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import orjson
import pytest

from loyalty.rules.errors import (
    CurrencyMismatch,
    IdempotencyConflict,
    InvalidInput,
    LimitReached,
    NotFound,
    VersionConflict,
)
from loyalty.rules.gift_card_product import DEFAULT_VALIDITY, Validity, ValidityKind
from loyalty.rules.ids import GiftCardProductId
from loyalty.rules.money import Money
from loyalty.services import gift_card_product
from loyalty.services.gift_card_product import (
    archive_product,
    change_product,
    count_products_of_list,
    create_product,
    list_products,
    load_products,
    load_products_of_cards,
)
from loyalty.services.world import World
from loyalty.storage.gift_card_products import GiftCardProductFilter
from loyalty.storage.window import Window
from tests.fixtures.snapshots import NothingChanges, snapshot
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOBODY, at, customer_actor, known_customer, product

PAGE: Window[Any] = Window(100)
EVERYTHING = GiftCardProductFilter(archived=None)


async def names(world: World, salon: Salon, wanted: GiftCardProductFilter, page: Window[Any] = PAGE) -> list[str]:
    """Return the names of a list."""
    return [row.name for row in await list_products(world, salon.staff, wanted, page)]


async def test_a_product_is_kept_as_it_was_told(world: World, salon: Salon) -> None:
    """SB-14: name, picture, value, price in points, validity, stock and limit."""
    draft = product(
        description="For a friend",
        picture_url="https://cdn.salon.example/25.png",
        validity=Validity(ValidityKind.FIXED_DAY, last_day=date(2099, 12, 31), years=0),
        stock=10,
        limit_per_customer=2,
        active=False,
    )
    kept = await create_product(world, salon.manager, draft)
    assert not kept.replayed
    row = kept.product
    assert row.definition == replace(draft, id=row.id)
    assert (row.version, row.archived_at) == (1, None)
    assert await load_products(world, salon.staff, [row.id]) == {row.id: row}


async def test_a_product_without_settings_has_no_limit_and_the_default_validity(world: World, salon: Salon) -> None:
    row = (await create_product(world, salon.manager, product())).product
    assert (row.stock, row.limit_per_customer, row.active, row.validity) == (None, None, True, DEFAULT_VALIDITY)


async def test_a_retry_makes_no_second_product(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    first = await create_product(world, salon.manager, product(), "key")
    await change_product(world, salon.manager, first.product.id, lambda it: replace(it, name="Renamed"))
    async with nothing_changes(salon.tenant_id):
        again = await create_product(world, salon.manager, product(), "key")
        assert (again.replayed, again.product.id, again.product.name) == (True, first.product.id, "Renamed")
        with pytest.raises(IdempotencyConflict):
            await create_product(world, salon.manager, product(points_cost=501), "key")


async def test_every_change_is_a_version_with_who_made_it(world: World, salon: Salon) -> None:
    """The audit: who changed what, and when."""
    row = (await create_product(world, salon.owner, product())).product
    await change_product(world, salon.manager, row.id, lambda it: replace(it, points_cost=600))
    archived = await archive_product(world, salon.owner, row.id)
    assert (archived.version, archived.active) == (3, False)
    assert archived.archived_at is not None
    stored = (await snapshot(world.database, salon.tenant_id))["gift_card_product_versions"]
    versions = sorted((orjson.loads(line) for line in stored), key=lambda version: version["version"])
    assert [(one["version"], one["created_by"]) for one in versions] == [
        (1, salon.owner.subject),
        (2, salon.manager.subject),
        (3, salon.owner.subject),
    ]
    assert [one["definition"]["points_cost"] for one in versions] == [500, 600, 600]
    assert [one["definition"]["archived"] for one in versions] == [False, False, True]


async def test_a_change_that_changes_nothing_makes_no_version(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    row = (await create_product(world, salon.manager, product())).product
    async with nothing_changes(salon.tenant_id):
        assert await change_product(world, salon.manager, row.id, lambda it: it) == row


async def test_nobody_is_overwritten(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    row = (await create_product(world, salon.manager, product())).product
    await change_product(world, salon.manager, row.id, lambda it: replace(it, name="Mine"), 1)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(VersionConflict):
            await change_product(world, salon.manager, row.id, lambda it: replace(it, name="Yours"), 1)
        with pytest.raises(VersionConflict):
            await archive_product(world, salon.manager, row.id, 1)


async def test_an_archived_product_stays_readable_and_never_changes(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    row = (await create_product(world, salon.manager, product())).product
    archived = await archive_product(world, salon.manager, row.id)
    async with nothing_changes(salon.tenant_id):
        assert await archive_product(world, salon.manager, row.id) == archived
        with pytest.raises(InvalidInput, match="archived"):
            await change_product(world, salon.manager, row.id, lambda it: replace(it, active=True))
    assert await load_products(world, salon.staff, [row.id]) == {row.id: archived}
    assert await names(world, salon, GiftCardProductFilter()) == []
    assert await names(world, salon, GiftCardProductFilter(archived=True)) == ["Voucher"]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"name": ""}, ("name",)),
        ({"points_cost": 0}, ("points_cost",)),
        ({"picture_url": "http://salon.example/a.png"}, ("picture_url",)),
        ({"validity": Validity(ValidityKind.FIXED_DAY, last_day=date(2020, 1, 1))}, ("validity", "fixed_day")),
    ],
)
async def test_refuses_a_product_that_is_none(
    world: World, salon: Salon, nothing_changes: NothingChanges, changes: dict[str, Any], path: tuple[str, ...]
) -> None:
    row = (await create_product(world, salon.manager, product())).product
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput) as refused:
            await create_product(world, salon.manager, product(**changes))
        assert refused.value.path == path
        with pytest.raises(InvalidInput) as refused:
            await change_product(world, salon.manager, row.id, lambda it: replace(it, **changes))
        assert refused.value.path == path


async def test_the_face_value_is_in_the_programs_currency(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    row = (await create_product(world, salon.manager, product())).product
    dollars = Money(2_500, "USD")
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(CurrencyMismatch):
            await create_product(world, salon.manager, product(face=dollars))
        with pytest.raises(CurrencyMismatch):
            await change_product(world, salon.manager, row.id, lambda it: replace(it, face=dollars))


async def test_a_fixed_day_that_passed_meanwhile_does_not_stop_other_changes(world: World, salon: Salon) -> None:
    """The day is looked at when somebody sets it; a sale looks at it again."""
    last = Validity(ValidityKind.FIXED_DAY, last_day=date(2030, 6, 30))
    before, after = (
        at(world, moment)
        for moment in (datetime(2030, 6, 30, 21, 59, tzinfo=UTC), datetime(2030, 6, 30, 22, 0, tzinfo=UTC))
    )
    row = (await create_product(before, salon.manager, product(validity=last))).product
    with pytest.raises(InvalidInput, match="must not be over"):
        await create_product(after, salon.manager, product(validity=last))
    changed = await change_product(after, salon.manager, row.id, lambda it: replace(it, name="Late"))
    assert changed.name == "Late"


async def test_there_is_a_limit_of_products(world: World, salon: Salon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gift_card_product, "MAX_PRODUCTS", 2)
    first = (await create_product(world, salon.manager, product(), "first")).product
    await create_product(world, salon.manager, product())
    with pytest.raises(LimitReached):
        await create_product(world, salon.manager, product())
    assert (await create_product(world, salon.manager, product(), "first")).replayed, "a retry is no further product"
    await archive_product(world, salon.manager, first.id)
    await create_product(world, salon.manager, product())


async def test_lists_by_what_is_asked_for(world: World, salon: Salon) -> None:
    made = {}
    for name, changes in {
        "Frühling": {},
        "Summer": {"active": False},
        "Autumn": {"purchasable_with_points": False},
        "Winter": {},
    }.items():
        made[name] = (await create_product(world, salon.manager, product(name=name, **changes))).product
    await archive_product(world, salon.manager, made["Winter"].id)
    assert await names(world, salon, GiftCardProductFilter()) == ["Autumn", "Summer", "Frühling"]
    assert await names(world, salon, GiftCardProductFilter(), Window(100, ascending=True)) == [
        "Frühling",
        "Summer",
        "Autumn",
    ]
    assert await names(world, salon, EVERYTHING) == ["Winter", "Autumn", "Summer", "Frühling"]
    assert await names(world, salon, GiftCardProductFilter(active=True)) == ["Autumn", "Frühling"]
    assert await names(world, salon, GiftCardProductFilter(active=False)) == ["Summer"]
    assert await names(world, salon, GiftCardProductFilter(purchasable_with_points=False)) == ["Autumn"]
    assert await names(world, salon, GiftCardProductFilter(purchasable_with_points=True)) == ["Summer", "Frühling"]
    assert await names(world, salon, GiftCardProductFilter(search="FRUHL")) == ["Frühling"]
    assert await names(world, salon, GiftCardProductFilter(search="%")) == []
    assert await count_products_of_list(world, salon.staff, GiftCardProductFilter()) == 3
    assert await count_products_of_list(world, salon.staff, GiftCardProductFilter(search="um")) == 2


async def test_customers_see_what_is_offered_for_points(world: World, salon: Salon) -> None:
    """SB-15: nobody is shown what they cannot choose."""
    anna = customer_actor(salon.tenant_id, await known_customer(world, salon))
    offered = (await create_product(world, salon.manager, product())).product
    hidden = [
        (await create_product(world, salon.manager, product(active=False))).product,
        (await create_product(world, salon.manager, product(purchasable_with_points=False))).product,
        (await create_product(world, salon.manager, product())).product,
    ]
    await archive_product(world, salon.manager, hidden[-1].id)
    ids = [offered.id, *(row.id for row in hidden)]
    for wanted in (GiftCardProductFilter(), EVERYTHING):
        assert await list_products(world, anna, wanted, PAGE) == [offered]
        assert await count_products_of_list(world, anna, wanted) == 1
    assert await list_products(world, anna, GiftCardProductFilter(active=False), PAGE) == []
    assert set(await load_products(world, anna, ids)) == {offered.id}
    assert set(await load_products_of_cards(world, anna, ids)) == set(ids), "a card shows its product for ever"


async def test_another_tenants_product_is_none(
    world: World, salon: Salon, other_salon: Salon, nothing_changes: NothingChanges
) -> None:
    row = (await create_product(world, salon.manager, product())).product
    async with nothing_changes(salon.tenant_id), nothing_changes(other_salon.tenant_id):
        for product_id in (row.id, GiftCardProductId(NOBODY)):
            with pytest.raises(NotFound):
                await change_product(world, other_salon.manager, product_id, lambda it: replace(it, name="Ours"))
            with pytest.raises(NotFound):
                await archive_product(world, other_salon.manager, product_id)
            assert await load_products(world, other_salon.manager, [product_id]) == {}
        assert await list_products(world, other_salon.manager, EVERYTHING, PAGE) == []
