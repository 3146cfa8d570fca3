"""Products of gift cards over HTTP: what a manager sets, and what the button "select by points" is told."""

import pytest

from tests.acceptance.business import Business
from tests.acceptance.client import Caller, Json, adjust, code_of, money, mutation

SHOWN = (
    "giftCardProduct { id name description pictureUrl faceValue { amount currency } purchasableWithPoints pointsCost "
    "validity { kind months days lastDay years } stock limitPerCustomer active version archivedAt }"
)


async def make(salon: Business, **given: object) -> Json:
    """Create a product, and return it as it is shown."""
    draft = {"name": "Voucher", "faceValue": money("25.00")} | given
    made: Json = (await salon.manager.do("giftCardProductCreate", SHOWN, **draft))["giftCardProduct"]
    return made


async def refused(caller: Caller, operation: str, /, **given: object) -> list[tuple[str, list[str]]]:
    """Return the codes and paths of the refusals of a mutation."""
    answer = await caller.answer(mutation(operation, "userErrors { code path }"), input=given)
    assert "errors" not in answer, answer
    return [(error["code"], error["path"]) for error in answer["data"][operation]["userErrors"]]


async def give_points(salon: Business, name: str, points: int) -> None:
    """Create a customer with so many points."""
    await salon.manager.do("customerUpsert", "customer { id }", externalId=name)
    await adjust(salon.manager, f"for {name}", points, customer=name)


async def test_a_manager_makes_a_product(salon: Business) -> None:
    """SB-14: a card of so much, for so many points, valid so long."""
    made = await make(
        salon,
        description="For a friend",
        pictureUrl="https://cdn.salon.example/25.png",
        purchasableWithPoints=True,
        pointsCost=500,
        validity={"fixedDay": "2099-12-31"},
        stock=10,
        limitPerCustomer=2,
    )
    assert made | {"id": ""} == {
        "id": "",
        "name": "Voucher",
        "description": "For a friend",
        "pictureUrl": "https://cdn.salon.example/25.png",
        "faceValue": {"amount": "25.00", "currency": "EUR"},
        "purchasableWithPoints": True,
        "pointsCost": 500,
        "validity": {"kind": "FIXED_DAY", "months": None, "days": None, "lastDay": "2099-12-31", "years": None},
        "stock": 10,
        "limitPerCustomer": 2,
        "active": True,
        "version": 1,
        "archivedAt": None,
    }


async def test_an_absent_field_stays_and_null_removes(salon: Business) -> None:
    made = await make(salon, description="For a friend", stock=10, purchasableWithPoints=True, pointsCost=500)
    assert made["validity"] == {
        "kind": "END_OF_YEAR_AFTER_YEARS", "months": None, "days": None, "lastDay": None, "years": 3
    }  # fmt: skip
    changed = await salon.manager.do(
        "giftCardProductUpdate", SHOWN, id=made["id"], description=None, stock=None, validity={"none": True}
    )
    product = changed["giftCardProduct"]
    assert product == made | {
        "description": None,
        "stock": None,
        "version": 2,
        "validity": {"kind": "NONE", "months": None, "days": None, "lastDay": None, "years": None},
    }
    archived = await salon.manager.do("giftCardProductArchive", SHOWN, id=made["id"], expectedVersion=2)
    assert archived["giftCardProduct"]["archivedAt"] is not None
    assert not archived["giftCardProduct"]["active"]


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"name": " "}, "INVALID_INPUT", ["name"]),
        ({"faceValue": money("0.00")}, "INVALID_INPUT", ["faceValue", "amount"]),
        ({"faceValue": money("25.001")}, "INVALID_INPUT", ["faceValue", "amount"]),
        ({"faceValue": {"amount": "25.00", "currency": "USD"}}, "CURRENCY_MISMATCH", ["faceValue", "currency"]),
        ({"purchasableWithPoints": True}, "INVALID_INPUT", ["pointsCost"]),
        ({"pointsCost": 0}, "INVALID_INPUT", ["pointsCost"]),
        ({"pointsCost": 1.5}, "INVALID_INPUT", ["pointsCost"]),
        ({"pictureUrl": "http://salon.example/a.png"}, "INVALID_INPUT", ["pictureUrl"]),
        ({"stock": -1}, "INVALID_INPUT", ["stock"]),
        ({"limitPerCustomer": 0}, "INVALID_INPUT", ["limitPerCustomer"]),
        ({"validity": {"duration": {}}}, "INVALID_INPUT", ["validity", "duration"]),
        ({"validity": {"duration": {"months": 121}}}, "INVALID_INPUT", ["validity", "duration", "months"]),
        ({"validity": {"fixedDay": "2020-01-01"}}, "INVALID_INPUT", ["validity", "fixedDay"]),
        ({"validity": {"fixedDay": "2099-02-30"}}, "INVALID_INPUT", ["validity", "fixedDay"]),
        ({"validity": {"endOfYearAfterYears": 41}}, "INVALID_INPUT", ["validity", "endOfYearAfterYears"]),
        ({"validity": {"none": False}}, "INVALID_INPUT", ["validity", "none"]),
    ],
)
async def test_names_the_field_that_was_sent(salon: Business, given: Json, code: str, path: list[str]) -> None:
    made = await make(salon)
    async with salon.unchanged():
        draft = {"name": "Voucher", "faceValue": money("25.00")} | given
        assert await refused(salon.manager, "giftCardProductCreate", **draft) == [(code, path)]
        assert await refused(salon.manager, "giftCardProductUpdate", id=made["id"], **given) == [(code, path)]


async def test_null_is_no_value_for_what_always_has_one(salon: Business) -> None:
    made = await make(salon, purchasableWithPoints=True, pointsCost=500)
    async with salon.unchanged():
        for name in ("name", "faceValue", "purchasableWithPoints", "validity", "active"):
            assert await refused(salon.manager, "giftCardProductUpdate", id=made["id"], **{name: None}) == [
                ("INVALID_INPUT", [name])
            ]
        assert await refused(salon.manager, "giftCardProductUpdate", id=made["id"], pointsCost=None) == [
            ("INVALID_INPUT", ["pointsCost"])
        ]
        assert await refused(salon.manager, "giftCardProductUpdate", id=made["id"], expectedVersion=7, name="x") == [
            ("VERSION_CONFLICT", ["expectedVersion"])
        ]


BUTTON = "nodes { name affordable pointsMissing stock }"


async def test_a_card_is_affordable_exactly_when_there_are_as_many_points_as_it_costs(salon: Business) -> None:
    """SB-15: the button "select by points" is active exactly when the points are there."""
    for cost in (99, 100, 101):
        await make(salon, name=str(cost), purchasableWithPoints=True, pointsCost=cost, stock=5)
    await make(salon, name="for money")
    await give_points(salon, "anna", 100)
    anna = await salon.customer("anna")
    own = await anna.get(f"{{ giftCardProducts(direction: ASCENDING) {{ {BUTTON} totalCount }} }}")
    assert own == {
        "nodes": [
            {"name": "99", "affordable": True, "pointsMissing": 0, "stock": None},
            {"name": "100", "affordable": True, "pointsMissing": 0, "stock": None},
            {"name": "101", "affordable": False, "pointsMissing": 1, "stock": None},
        ],
        "totalCount": 3,
    }
    asked = BUTTON.replace("affordable", 'affordable(customer: {externalId: "anna"})').replace(
        "pointsMissing", 'pointsMissing(customer: {externalId: "anna"})'
    )
    seen = (await salon.integration.get(f"{{ giftCardProducts(direction: ASCENDING) {{ {asked} }} }}"))["nodes"]
    assert [(one["name"], one["affordable"], one["pointsMissing"], one["stock"]) for one in seen] == [
        ("99", True, 0, 5),
        ("100", True, 0, 5),
        ("101", False, 1, 5),
        ("for money", None, None, None),
    ]
    unasked = (await salon.integration.get(f"{{ giftCardProducts {{ {BUTTON} }} }}"))["nodes"]
    assert {(one["affordable"], one["pointsMissing"]) for one in unasked} == {(None, None)}
    nobody = asked.replace("anna", "nobody")
    unknown = (await salon.integration.get(f"{{ giftCardProducts {{ {nobody} }} }}"))["nodes"]
    assert {(one["affordable"], one["pointsMissing"]) for one in unknown} == {(None, None)}


async def test_customers_learn_nothing_of_each_other(salon: Business) -> None:
    await make(salon, purchasableWithPoints=True, pointsCost=10)
    await give_points(salon, "anna", 100)
    await give_points(salon, "ben", 1)
    ben = await salon.customer("ben")
    of_anna = '{ giftCardProducts { nodes { affordable(customer: {externalId: "anna"}) } } }'
    assert (await ben.get(of_anna))["nodes"] == [{"affordable": None}]


async def test_a_search_that_is_none_is_refused(salon: Business) -> None:
    answer = await salon.owner.answer(
        "query($search: String!) { giftCardProducts(filter: {search: $search}) { totalCount } }", search="x" * 201
    )
    assert code_of(answer) == "BAD_USER_INPUT"
    assert answer["errors"][0]["extensions"]["problems"][0]["path"] == ["filter", "search"]
