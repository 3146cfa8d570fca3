"""Relay connections: every list can be walked in both directions, and stays the same list while it grows."""

from typing import Any, NamedTuple

import pytest

from tests.acceptance.business import Business
from tests.acceptance.client import Caller, Json, adjust, create_rule, record, redeem

PAGE = "first: $first, after: $after, last: $last, before: $before"
PAGE_VARIABLES = "$first: Int, $after: Cursor, $last: Int, $before: Cursor"
COUNT = 7
ORDER = '{key: {kind: ORDER, externalId: "order"}}'


class List(NamedTuple):
    """A list of the API: where it stands, what is around it, and which field tells its rows apart."""

    field: str
    around: str = "LIST"
    key: str = "id"


LISTS = {
    "customers by name": List("customers(having: ANY, orderBy: NAME, PAGE)"),
    "customers by points": List("customers(having: ANY, orderBy: POINTS, PAGE)"),
    "customers by age": List("customers(having: ANY, orderBy: NEWEST, PAGE)"),
    "earning rules": List("earningRules(PAGE)"),
    "catalogue": List("catalogItems(PAGE)", key="externalId"),
    "purchases": List("purchases(PAGE)"),
    "purchases of a customer": List("purchases(PAGE)", 'customer(by: {externalId: "customer-0"}) { LIST }'),
    "adjustments": List("adjustments(PAGE)"),
    "holds": List("holds(PAGE)"),
    "holds of a customer": List("holds(PAGE)", 'customer(by: {externalId: "customer-0"}) { LIST }'),
    "holds of a purchase": List("holds(PAGE)", f"purchase(by: {ORDER}) {{ LIST }}"),
    "redemptions": List("redemptions(PAGE)"),
    "redemptions of a purchase": List("redemptions(PAGE)", f"purchase(by: {ORDER}) {{ LIST }}"),
    "redemptions of a customer": List("redemptions(PAGE)", 'customer(by: {externalId: "customer-0"}) { LIST }'),
    "activity of a customer": List("activity(PAGE)", 'customer(by: {externalId: "customer-0"}) { LIST }'),
    "activity of a report": List("activity(PAGE)", 'report(range: {from: "2026-01-01", to: "2099-12-31"}) { LIST }'),
}


async def furnish(salon: Business) -> None:
    """Create seven or more rows in every list. Some of them are equal in what orders the list."""
    await salon.manager.do("programUpdate", "__typename", redemption={"enabled": True})
    for number in range(COUNT):
        await create_rule(salon.manager, f"Rule {number}", 1 + number % 2, priority=number // 2)
    items = [{"kind": "SERVICE", "externalId": f"service-{number}", "name": "Cut"} for number in range(COUNT)]
    await salon.manager.do("catalogItemsUpsert", "__typename", items=items)
    for number in range(COUNT):
        profile = {"externalId": f"customer-{number}", "fullName": f"Name {number // 2}"}
        await record(salon.integration, f"order-{number}", customer=profile)
        await record(salon.integration, f"own-{number}", customer={"externalId": "customer-0"})
        await adjust(salon.manager, f"key-{number}", number + 1, customer="customer-0")
    await record(salon.integration, "order", customer={"externalId": "customer-0"})
    for number in range(COUNT):
        await redeem(salon.manager, "customer-0", f"own-{number}")
        await redeem(salon.manager, "customer-0", "order", key=f"order-{number}")


async def page(caller: Caller, wanted: List, **arguments: Any) -> Json:
    """Read one page. Its edges and its nodes must be the same."""
    rows = f"{{ nodes {{ {wanted.key} }} edges {{ cursor node {{ {wanted.key} }} }} "
    info = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }"
    field = wanted.field.replace("PAGE", PAGE) + rows + info
    answer = await caller.get(f"query({PAGE_VARIABLES}) {{ {wanted.around.replace('LIST', field)} }}", **arguments)
    found: Json = answer if "pageInfo" in answer else next(iter(answer.values()))
    assert [edge["node"] for edge in found["edges"]] == found["nodes"]
    if found["edges"]:
        ends = (found["edges"][0]["cursor"], found["edges"][-1]["cursor"])
        assert ends == (found["pageInfo"]["startCursor"], found["pageInfo"]["endCursor"])
    return found


def keys(found: Json, wanted: List) -> list[str]:
    """Return what distinguishes the rows of a page, in their order."""
    return [row[wanted.key] for row in found["nodes"]]


async def walk(caller: Caller, wanted: List, size: int, *, backwards: bool) -> list[str]:
    """Read a whole list, page by page, in its own order."""
    rows: list[str] = []
    arguments: Json = {"last": size} if backwards else {"first": size}
    while True:
        found = await page(caller, wanted, **arguments)
        info = found["pageInfo"]
        rows = keys(found, wanted) + rows if backwards else rows + keys(found, wanted)
        assert info["hasNextPage" if backwards else "hasPreviousPage"] == (len(arguments) == 2)
        if not info["hasPreviousPage" if backwards else "hasNextPage"]:
            return rows
        assert len(found["nodes"]) == size
        arguments |= {"before": info["startCursor"]} if backwards else {"after": info["endCursor"]}


async def test_every_list_is_the_same_in_both_directions_and_in_pages_of_any_size(salon: Business) -> None:
    """F-37: keyset pages without a gap or a repetition, also where rows are equal in their order."""
    await furnish(salon)
    for name, wanted in LISTS.items():
        whole = keys(await page(salon.staff, wanted, first=100), wanted)
        assert len(whole) == len(set(whole)) >= COUNT, name
        for size in (1, 3, len(whole)):
            for backwards in (False, True):
                assert (name, size, await walk(salon.staff, wanted, size, backwards=backwards)) == (name, size, whole)


async def test_an_empty_list_is_a_page_too(salon: Business) -> None:
    """No rows, no cursors, nothing before or after."""
    await record(salon.integration, "order", customer="customer-0")
    for name, wanted in LISTS.items():
        if not name.startswith(("customers", "purchases")):
            found = await page(salon.staff, wanted, first=5)
            assert (name, found["nodes"]) == (name, [])
            assert not any(found["pageInfo"].values()), name


@pytest.mark.parametrize("order", ["NAME", "POINTS", "NEWEST"])
async def test_a_page_stays_in_its_place_while_the_list_grows(salon: Business, order: str) -> None:
    """What is inserted meanwhile moves no row to another page: the next page begins right after the last row seen."""
    await furnish(salon)
    wanted = List(f"customers(having: ANY, orderBy: {order}, PAGE)", key="externalId")
    whole = keys(await page(salon.staff, wanted, first=100), wanted)
    first = await page(salon.staff, wanted, first=3)
    for number, name in enumerate(("Aaron", "Name 1", "Zoe")):
        await record(salon.integration, f"new {number}", customer={"externalId": f"new-{number}", "fullName": name})
    second = await page(salon.staff, wanted, first=100, after=first["pageInfo"]["endCursor"])
    seen = keys(first, wanted) + [key for key in keys(second, wanted) if not key.startswith("new")]
    assert seen == whole
    back = await page(salon.staff, wanted, last=100, before=second["pageInfo"]["startCursor"])
    assert [key for key in keys(back, wanted) if not key.startswith("new")] == whole[:3]


async def test_twenty_rows_are_a_page_when_nobody_says(salon: Business) -> None:
    """The default is 20, the most is 100, and the rest is reachable."""
    items = [{"kind": "PRODUCT", "externalId": f"{number:03d}", "name": "Oil"} for number in range(105)]
    await salon.manager.do("catalogItemsUpsert", "__typename", items=items)
    catalogue = LISTS["catalogue"]
    assert keys(await page(salon.staff, catalogue), catalogue) == [f"{number:03d}" for number in range(20)]
    hundred = await page(salon.staff, catalogue, first=100)
    assert (len(hundred["nodes"]), hundred["pageInfo"]["hasNextPage"]) == (100, True)
    rest = await page(salon.staff, catalogue, first=100, after=hundred["pageInfo"]["endCursor"])
    assert (len(rest["nodes"]), rest["pageInfo"]["hasNextPage"]) == (5, False)
