"""The catalogue over the wire: what is left out of an item stays, null takes it away."""

from tests.acceptance.business import Business
from tests.acceptance.client import Json, create_rule, money, purchase_of

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


RECORDED = "accrual { points lines { failedCondition explanation } } userErrors { code path }"
SOLD = [
    {"item": "tobacco", "unitPrice": money("20.00")},
    {"item": "tea", "unitPrice": money("10.00")},
]


async def sell(salon: Business, number: str) -> Json:
    """Sell tobacco and tea to somebody new."""
    given = purchase_of(number, "30.00", lines=SOLD, customer={"externalId": number})
    payload = await salon.integration.do("purchaseRecord", RECORDED, **given)
    return payload["accrual"]  # type: ignore[no-any-return]


async def test_products_that_earn_nothing_where_everything_earns(salon: Business) -> None:
    """In every way that one may say it: of the item, of its category, by its enrolment, in the rule."""
    await create_rule(salon.manager, "Per euro", {"perAmount": {"points": 1, "per": money("1.00")}})
    tobacco: Json = {"kind": "PRODUCT", "externalId": "tobacco", "name": "Tobacco", "category": "smoke"}
    smoke: Json = {"kind": "CATEGORY", "externalId": "smoke", "name": "To smoke"}
    ways: list[tuple[list[Json], int]] = [
        ([tobacco, smoke], 30),
        ([{**tobacco, "earning": "NOTHING"}], 10),
        ([{**tobacco, "earning": None}, {**smoke, "earning": "NOTHING"}], 10),
        ([{**tobacco, "earning": "PROGRAM"}], 30),
        ([{**tobacco, "enrolled": False}], 10),
        ([{**tobacco, "enrolled": True}, {**smoke, "earning": None}], 30),
        ([{**tobacco, "rate": {"points": 1, "per": money("10.00")}}], 12),
        ([{**tobacco, "rate": None, "pointsPerUnit": 3}], 13),
    ]
    for number, (items, points) in enumerate(ways):
        await salon.manager.do("catalogItemsUpsert", "items { externalId }", items=items)
        assert (await sell(salon, f"way-{number}"))["points"] == points, items
    found = await salon.staff.get("{ catalogItems { nodes { externalId earning rate { points per { amount } } } } }")
    assert found["nodes"] == [
        {"externalId": "smoke", "earning": None, "rate": None},
        {"externalId": "tobacco", "earning": None, "rate": None},
    ]
    (refused,) = await salon.manager.refusals(
        "catalogItemsUpsert", items=[{**tobacco, "rate": {"points": 1, "per": money("1.00", "USD")}}]
    )
    assert (refused["code"], refused["path"]) == ("CURRENCY_MISMATCH", ["items", "0", "rate", "per", "currency"])


async def test_a_rule_that_excepts_products(salon: Business) -> None:
    conditions = {"exceptServices": ["tobacco"], "exceptWeekdays": []}
    award = {"perAmount": {"points": 1, "per": money("1.00")}}
    made = await salon.manager.do(
        "earningRuleCreate",
        "earningRule { conditionSummary conditions { exceptServices services } }",
        name="No tobacco",
        award=award,
        conditions=conditions,
    )
    assert made["earningRule"] == {
        "conditionSummary": "except Service: tobacco",
        "conditions": {"exceptServices": ["tobacco"], "services": []},
    }
    assert (await sell(salon, "1"))["points"] == 10


NAMED = "lines { item itemName category categoryName }"


async def test_customers_read_the_names_of_what_they_bought(salon: Business) -> None:
    """Of their own purchases, from the catalogue as it is now; nothing else of it."""
    items = [
        {"kind": "PRODUCT", "externalId": "cut", "name": "Scissors"},
        {"kind": "SERVICE", "externalId": "cut", "name": "Haircut", "category": "hair"},
        {"kind": "CATEGORY", "externalId": "hair", "name": "Hair"},
    ]
    await salon.manager.do("catalogItemsUpsert", "items { name }", items=items)
    sold = [{"item": name, "unitPrice": money("10.00")} for name in ("cut", "secret")]
    given = purchase_of(
        "1", "20.00", kind="APPOINTMENT", lines=[*sold, {"category": "hair", "unitPrice": money("0.00")}]
    )
    reported = await salon.integration.do("purchaseRecord", f"purchase {{ {NAMED} }}", **given)
    haircut = {"item": "cut", "itemName": "Haircut", "category": None, "categoryName": "Hair"}
    unnamed = {"item": "secret", "itemName": None, "category": None, "categoryName": None}
    hair = {"item": None, "itemName": None, "category": "hair", "categoryName": "Hair"}
    assert reported["purchase"]["lines"] == [haircut, unnamed, hair]
    anna = await salon.customer("anna")
    asked = f"{{ me {{ purchases {{ nodes {{ {NAMED} }} }} }} }}"
    assert (await anna.get(asked))["purchases"]["nodes"] == [{"lines": [haircut, unnamed, hair]}]
    await salon.manager.do("catalogItemsUpsert", "items { name }", remove=[{"kind": "SERVICE", "externalId": "cut"}])
    (shown,) = (await anna.get(asked))["purchases"]["nodes"]
    assert [line["itemName"] for line in shown["lines"]] == ["Scissors", None, None]
