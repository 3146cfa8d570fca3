"""The salon's own names, categories, zones and points for what it sells: kept whole, or not at all."""

from dataclasses import replace
from typing import Any

import pytest

from loyalty.rules.catalog import CatalogChange, CatalogEarning, EarningRate
from loyalty.rules.earning import CatalogItem, CatalogKind
from loyalty.rules.errors import InvalidInput, LimitReached
from loyalty.services import catalog
from loyalty.services.catalog import MAX_ITEMS_AT_ONCE, CatalogEdit, list_catalog_items, upsert_catalog_items
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.world import World
from loyalty.storage.catalog import CatalogPlace
from loyalty.storage.window import Window
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import service_item

ONE_OF_EACH = (
    CatalogItem(CatalogKind.CATEGORY, "hair", "Hair"),
    CatalogItem(CatalogKind.CLASS, "yoga", "Yoga", category="body", enrolled=True, points_per_unit=4),
    CatalogItem(CatalogKind.LOCATION, "west", "Westend", time_zone="Europe/Berlin"),
    CatalogItem(CatalogKind.PRODUCT, "shampoo", "Shampoo", enrolled=True),
    CatalogItem(CatalogKind.SERVICE, "haircut", "Haircut", category="hair", enrolled=True, points_per_unit=7),
    CatalogItem(CatalogKind.STAFF, "mia", "Mia"),
)
"""In the order of kind and external id."""


async def save(world: World, salon: Salon, *items: CatalogItem) -> None:
    """Insert or replace items."""
    await upsert_catalog_items(world, salon.manager, CatalogEdit(items, []))


async def listed(
    world: World, salon: Salon, window: Window[CatalogPlace] | None = None, kind: CatalogKind | None = None
) -> list[str]:
    """Return the external ids of a page."""
    page = await list_catalog_items(world, salon.staff, kind=kind, window=window or Window(50))
    return [item.external_id for item in page]


async def test_every_kind_of_item_is_kept_as_it_was_given(world: World, salon: Salon) -> None:
    """SB-03, SB-12, SB-13."""
    edit = CatalogEdit(ONE_OF_EACH[::-1], [])
    assert await upsert_catalog_items(world, salon.manager, edit) == list(ONE_OF_EACH[::-1])
    assert await list_catalog_items(world, salon.staff, kind=None, window=Window(50)) == list(ONE_OF_EACH)


async def test_an_item_is_replaced_whole(world: World, salon: Salon) -> None:
    await save(world, salon, service_item("haircut", category="hair", enrolled=True, points_per_unit=7))
    await save(world, salon, service_item("haircut", name="Schnitt"))
    (kept,) = await list_catalog_items(world, salon.staff, kind=None, window=Window(50))
    assert kept == CatalogItem(CatalogKind.SERVICE, "haircut", "Schnitt")


async def test_a_change_keeps_what_it_does_not_mention(world: World, salon: Salon) -> None:
    """A nightly sync of names neither un-enrols an item nor deletes its points; null takes away."""
    await save(world, salon, *ONE_OF_EACH)

    async def change(kind: CatalogKind, external_id: str, **values: Any) -> CatalogItem:
        edit = CatalogEdit([CatalogChange(kind, external_id, values)], [])
        (item,) = await upsert_catalog_items(world, salon.manager, edit)
        assert item in await list_catalog_items(world, salon.staff, kind=None, window=Window(50))
        return item

    haircut, west = ONE_OF_EACH[4], ONE_OF_EACH[2]
    assert await change(CatalogKind.SERVICE, "haircut") == haircut
    assert await change(CatalogKind.SERVICE, "haircut", name="Schnitt") == replace(haircut, name="Schnitt")
    assert await change(CatalogKind.LOCATION, "west", name="West") == replace(west, name="West")
    bare = replace(haircut, name="Schnitt", category=None, points_per_unit=None)
    assert await change(CatalogKind.SERVICE, "haircut", category=None, points_per_unit=None) == bare
    silent = replace(bare, enrolled=False, earning=CatalogEarning.NOTHING)
    assert await change(CatalogKind.SERVICE, "haircut", enrolled=False) == silent
    assert await change(CatalogKind.SERVICE, "haircut", name="Cut") == replace(silent, name="Cut")
    assert await change(CatalogKind.SERVICE, "haircut", enrolled=True) == replace(bare, name="Cut", enrolled=True)
    by_program = replace(bare, name="Cut", enrolled=False, earning=CatalogEarning.PROGRAM)
    assert await change(CatalogKind.SERVICE, "haircut", enrolled=False, earning=CatalogEarning.PROGRAM) == by_program
    rated = replace(by_program, rate=EarningRate(2, 100))
    assert await change(CatalogKind.SERVICE, "haircut", rate=EarningRate(2, 100)) == rated
    assert await change(CatalogKind.PRODUCT, "haircut", name="Comb") == CatalogItem(
        CatalogKind.PRODUCT, "haircut", "Comb"
    )


async def test_a_change_is_checked_as_the_item_that_it_makes(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    await save(world, salon, *ONE_OF_EACH)
    edit = CatalogEdit(
        [
            CatalogChange(CatalogKind.STAFF, "mia", {"name": "Mia B."}),
            CatalogChange(CatalogKind.STAFF, "new", {}),
            CatalogChange(CatalogKind.LOCATION, "west", {"enrolled": True}),
        ],
        [],
    )
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput) as refused:
            await upsert_catalog_items(world, salon.manager, edit)
    assert [problem.path for problem in refused.value.problems] == [("items", "1", "name"), ("items", "2", "enrolled")]


async def test_an_item_removed_and_changed_in_one_edit_is_a_new_item(world: World, salon: Salon) -> None:
    await save(world, salon, *ONE_OF_EACH)
    edit = CatalogEdit(
        [CatalogChange(CatalogKind.SERVICE, "haircut", {"name": "Schnitt"})],
        [CatalogPlace(CatalogKind.SERVICE, "haircut")],
    )
    assert await upsert_catalog_items(world, salon.manager, edit) == [
        CatalogItem(CatalogKind.SERVICE, "haircut", "Schnitt")
    ]


async def test_one_external_id_may_mean_a_service_and_a_product(world: World, salon: Salon) -> None:
    await save(world, salon, service_item("1"), CatalogItem(CatalogKind.PRODUCT, "1", "Shampoo"))
    assert await listed(world, salon, kind=CatalogKind.SERVICE) == ["1"]
    assert len(await listed(world, salon)) == 2


async def test_items_are_removed_and_renewed_in_one_edit(world: World, salon: Salon) -> None:
    await save(world, salon, *ONE_OF_EACH)
    removals = [CatalogPlace(item.kind, item.external_id) for item in ONE_OF_EACH]
    gone = CatalogPlace(CatalogKind.SERVICE, "never there")
    await upsert_catalog_items(world, salon.manager, CatalogEdit(ONE_OF_EACH[:1], [*removals, gone]))
    assert await listed(world, salon) == ["hair"]


async def test_pages_fit_together_in_both_directions(world: World, salon: Salon) -> None:
    await save(world, salon, *ONE_OF_EACH)
    places = [CatalogPlace(item.kind, item.external_id) for item in ONE_OF_EACH]
    assert await listed(world, salon, Window(4)) == ["hair", "yoga", "west", "shampoo"]
    assert await listed(world, salon, Window(4, places[3])) == ["haircut", "mia"]
    assert await listed(world, salon, Window(2, places[2], backwards=True)) == ["yoga", "hair"]
    assert await listed(world, salon, Window(1, None, backwards=True)) == ["mia"]


@pytest.mark.parametrize(
    ("item", "path"),
    [
        pytest.param(service_item(""), ("external_id",), id="no id"),
        pytest.param(service_item("a\0"), ("external_id",), id="NUL"),
        pytest.param(service_item("a", name=" "), ("name",), id="blank name"),
        pytest.param(service_item("a", points_per_unit=0), ("points_per_unit",), id="SB-13 no points"),
        pytest.param(service_item("a", time_zone="Europe/Berlin"), ("time_zone",), id="a service is nowhere"),
        pytest.param(
            CatalogItem(CatalogKind.LOCATION, "a", "A", time_zone="Mars/Base"), ("time_zone",), id="no such zone"
        ),
        pytest.param(CatalogItem(CatalogKind.STAFF, "a", "A", enrolled=True), ("enrolled",), id="nobody is sold"),
    ],
)
async def test_one_bad_item_refuses_the_whole_edit(
    world: World, salon: Salon, nothing_changes: NothingChanges, item: CatalogItem, path: tuple[str, ...]
) -> None:
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput) as refused:
            await save(world, salon, service_item("good"), item)
    assert refused.value.path == ("items", "1", *path)


async def test_an_item_stands_in_an_edit_once(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput, match="stands in the list twice"):
            await save(world, salon, service_item("a"), service_item("a", name="B"))


@pytest.mark.parametrize("size", [0, MAX_ITEMS_AT_ONCE + 1])
async def test_an_edit_has_a_size(world: World, salon: Salon, nothing_changes: NothingChanges, size: int) -> None:
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput, match="between 1 and 1000"):
            await save(world, salon, *(service_item(str(number)) for number in range(size)))


async def test_a_catalogue_has_a_limit(
    world: World, salon: Salon, nothing_changes: NothingChanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "MAX_ITEMS", 2)
    await save(world, salon, service_item("a"), service_item("b"))
    await save(world, salon, service_item("b", name="Again"))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(LimitReached):
            await save(world, salon, service_item("c"))


async def test_the_catalogue_is_prepared_while_the_program_is_off(world: World, salon: Salon) -> None:
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, enabled=False), None))
    off = replace(salon.manager, loyalty_enabled=False)
    await upsert_catalog_items(world, off, CatalogEdit([service_item("a")], []))
    found = await list_catalog_items(world, off, kind=None, window=Window(5))
    assert [item.external_id for item in found] == ["a"]
