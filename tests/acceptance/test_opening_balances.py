"""Moving in: customers come with the points they had elsewhere, once, however often the file is sent."""

from typing import Any

import pytest

from tests.acceptance.business import Business
from tests.acceptance.client import CUSTOMER, USER_ERRORS, Json, adjust, create_tier, find_customer

RESULT = f"""
results {{
  openingBalance {{ points lifetimeEarned qualifying expiresAt customer {{ externalId }} }}
  customer {{ {CUSTOMER} }} tierUpgrade {{ tier {{ name }} cause }} replayed {USER_ERRORS}
}}
"""


def item(external_id: str, points: int, **details: Any) -> Json:
    """Return what one customer brings along."""
    return {"customer": {"externalId": external_id}, "points": points, **details}


async def bring(salon: Business, *items: Json) -> list[Json]:
    """Import what these bring along; the results."""
    payload = await salon.manager.do("openingBalancesImport", RESULT, items=list(items))
    results: list[Json] = payload["results"]
    return results


async def test_customers_move_in_with_points_history_and_tier(salon: Business) -> None:
    """C-22, C-07: points to spend, what was ever earned, what counts for the tier; purple, with what it refers to."""
    await create_tier(salon.manager, "Gold", 500)
    eva = item("eva", 120, lifetimePoints=900, qualifyingPoints=600, expiresOn="2999-03-31")
    eva["customer"] |= {"fullName": "Eva Example", "email": "Eva@example.com"}
    anna, ben = await bring(salon, eva, item("ben", 40))
    assert (anna["userErrors"], ben["userErrors"]) == ([], [])
    assert anna["tierUpgrade"] == {"tier": {"name": "Gold"}, "cause": "OPENING"}
    assert anna["customer"]["points"] | {"value": None} == {
        "available": 120,
        "pending": 0,
        "held": 0,
        "debt": 0,
        "lifetimeEarned": 900,
        "qualifying": 600,
        "value": None,
    }
    assert (ben["customer"]["points"]["lifetimeEarned"], ben["customer"]["points"]["qualifying"]) == (40, 40)
    shown = await find_customer(
        salon.staff,
        "eva",
        """fullName email expirySchedule { lastDay points } activity { nodes {
             kind points displayColor reference { __typename ... on OpeningBalance { points lifetimeEarned } }
           } }""",
    )
    assert shown == {
        "fullName": "Eva Example",
        "email": "eva@example.com",
        "expirySchedule": [{"lastDay": "2999-03-31", "points": 120}],
        "activity": {
            "nodes": [
                {
                    "kind": "OPENING",
                    "points": 120,
                    "displayColor": "PURPLE",
                    "reference": {"__typename": "OpeningBalance", "points": 120, "lifetimeEarned": 900},
                }
            ]
        },
    }


async def test_a_file_that_is_sent_again_gives_nothing_again(salon: Business) -> None:
    """C-22, F-33: the customer is the key; other numbers are a conflict that says what came before."""
    items = [item(f"customer-{number}", number + 1) for number in range(50)]
    await bring(salon, *items)
    await adjust(salon.manager, "spent", -1, "customer-9")
    async with salon.unchanged():
        for number, again in enumerate(await bring(salon, *items)):
            assert (again["replayed"], again["openingBalance"]["points"]) == (True, number + 1)
            assert again["customer"]["points"]["available"] == number + (number != 9)
        (refused,) = await bring(salon, item("customer-9", 11))
    assert [(error["code"], error["__typename"]) for error in refused["userErrors"]] == [
        ("OPENING_BALANCE_EXISTS", "OpeningBalanceExists")
    ]


async def test_a_refused_item_harms_no_other(salon: Business) -> None:
    """C-22: results in the order of the items, each with its own refusal; nobody is made for a refused one."""
    results = await bring(
        salon,
        item("first", 1),
        item("nothing", 0, lifetimePoints=-1),
        item("late", 5, expiresOn="2020-12-31"),
        item("below", 5, qualifyingPoints=-1),
        item("first", 2),
        item("last", 6),
    )
    assert [[error["path"] for error in result["userErrors"]] for result in results] == [
        [],
        [["lifetimePoints"]],
        [["expiresOn"]],
        [["qualifyingPoints"]],
        [["customer"]],
        [],
    ]
    for nobody in ("nothing", "late", "below"):
        assert await find_customer(salon.staff, nobody) is None


@pytest.mark.parametrize("size", [0, 1_001])
async def test_a_batch_has_a_size(salon: Business, size: int) -> None:
    """C-22: at most 1,000 at a time."""
    async with salon.unchanged():
        (refused,) = await salon.manager.refusals(
            "openingBalancesImport", items=[item(f"c-{number}", 1) for number in range(size)]
        )
    assert (refused["code"], refused["path"]) == ("INVALID_INPUT", ["items"])


async def test_a_thousand_customers_move_in_at_once(salon: Business) -> None:
    """C-22."""
    results = await bring(salon, *(item(f"c-{number}", number + 1) for number in range(1_000)))
    assert [result["customer"]["points"]["available"] for result in results] == list(range(1, 1_001))
