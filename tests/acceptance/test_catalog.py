"""The catalogue over the wire: what is left out of an item stays, null takes it away."""

from tests.acceptance.business import Business
from tests.acceptance.client import Json

SHOWN = "externalId name category enrolled pointsPerUnit"


async def upsert(salon: Business, **values: object) -> Json:
    """Change the shampoo; the item as it is then."""
    item = {"kind": "PRODUCT", "externalId": "shampoo", **values}
    payload = await salon.manager.do("catalogItemsUpsert", f"items {{ {SHOWN} }}", items=[item])
    (shown,) = payload["items"]
    found = await salon.staff.get(f"{{ catalogItems {{ nodes {{ {SHOWN} }} }} }}")
    assert found["nodes"] == [shown]
    return shown  # type: ignore[no-any-return]


async def test_a_sync_of_names_takes_nothing_away(salon: Business) -> None:
    whole = {"name": "Shampoo", "category": "care", "enrolled": True, "pointsPerUnit": 12}
    first = await upsert(salon, **whole)
    assert first == {"externalId": "shampoo", **whole}
    assert await upsert(salon, name="Shampoo 250 ml") == {**first, "name": "Shampoo 250 ml"}
    assert await upsert(salon, pointsPerUnit=None) == {**first, "name": "Shampoo 250 ml", "pointsPerUnit": None}
    assert (await upsert(salon, category=None, enrolled=False))["category"] is None


async def test_null_is_refused_where_there_is_always_a_value(salon: Business) -> None:
    await upsert(salon, name="Shampoo")
    async with salon.unchanged():
        for field in ("name", "enrolled"):
            item = {"kind": "PRODUCT", "externalId": "shampoo", field: None}
            (refused,) = await salon.manager.refusals("catalogItemsUpsert", items=[item])
            assert (refused["code"], refused["path"]) == ("INVALID_INPUT", ["items", "0", field])
        (refused,) = await salon.manager.refusals("catalogItemsUpsert", items=[{"kind": "STAFF", "externalId": "new"}])
        assert (refused["code"], refused["path"]) == ("INVALID_INPUT", ["items", "0", "name"])
