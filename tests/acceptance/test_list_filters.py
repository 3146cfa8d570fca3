"""Lists are narrowed, turned round and counted; many are looked up by the caller's own ids at once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, get_named_type

from schema.root import treue_schema
from tests.acceptance.business import Business
from tests.acceptance.client import ONE_PER_EURO, Json, adjust, create_rule, record, redeem

CUSTOMERS = """
query($filter: CustomerFilterInput, $direction: OrderDirection, $first: Int) {
  customers(having: ANY, filter: $filter, direction: $direction, first: $first) {
    nodes { externalId } totalCount totalCountIsExact pageInfo { hasNextPage endCursor }
  }
}
"""
ACTIVITY = """
query($filter: ActivityFilterInput, $direction: OrderDirection! = DESCENDING) {
  customer(by: {externalId: "anna"}) {
    activity(filter: $filter, direction: $direction) { nodes { points kind } totalCount }
  }
}
"""
TOLD: dict[str, Json] = {
    "anna": {
        "fullName": "Anna",
        "category": "vip",
        "locale": "de-DE",
        "tags": ["VIP", "Monday"],
        "birthday": "1990-12-24",
    },
    "ben": {"fullName": "Ben", "category": "vip", "marketingConsent": True, "tags": ["vip"], "birthday": "--01-05"},
    "carl": {"fullName": "Carl", "category": "new", "locale": "de-DE", "birthday": "1980-05-17"},
    "dora": {"fullName": "Dora", "marketingConsent": False},
}


async def tell(salon: Business) -> None:
    """Create four customers of whom different things are known. Anna and Carl have bought something."""
    items = [{"externalId": name, **told} for name, told in TOLD.items()]
    payload = await salon.integration.do("customersUpsert", "results { userErrors { path } }", items=items)
    assert [result["userErrors"] for result in payload["results"]] == [[]] * 4
    for name in ("anna", "carl"):
        await record(salon.integration, f"order-{name}", customer=name)


def names(page: Json) -> list[str]:
    return [row["externalId"] for row in page["nodes"]]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(None, ["anna", "ben", "carl", "dora"], id="everybody"),
        pytest.param({"categories": ["vip"]}, ["anna", "ben"], id="by category"),
        pytest.param({"categories": ["vip", "new"]}, ["anna", "ben", "carl"], id="by categories"),
        pytest.param({"tags": ["vip"]}, ["anna", "ben"], id="by tag, whatever the case"),
        pytest.param({"tags": ["vip", " MONDAY "]}, ["anna"], id="by all tags"),
        pytest.param({"tags": ["vi"]}, [], id="by a whole tag"),
        pytest.param({"locale": "de-DE"}, ["anna", "carl"], id="by locale"),
        pytest.param({"locale": "DE-de"}, ["anna", "carl"], id="by locale, whatever the case"),
        pytest.param({"locale": "de_DE"}, ["anna", "carl"], id="by locale, written with an underscore"),
        pytest.param({"marketingConsent": True}, ["ben"], id="who agreed"),
        pytest.param({"marketingConsent": False}, ["anna", "carl", "dora"], id="who did not"),
        pytest.param({"birthday": {"from": "--05-17", "to": "--05-17"}}, ["carl"], id="by birthday"),
        pytest.param(
            {"birthday": {"from": "--12-20", "to": "--01-06"}}, ["anna", "ben"], id="over the turn of the year"
        ),
        pytest.param({"externalIds": ["dora", "anna", "gone"]}, ["anna", "dora"], id="by ids"),
        pytest.param({"lastPurchase": {}}, ["anna", "carl"], id="who bought anything"),
        pytest.param({"lastPurchase": {"from": "2020-01-01T00:00:00Z"}}, ["anna", "carl"], id="who bought lately"),
        pytest.param({"lastPurchase": {"to": "2020-01-01T00:00:00Z"}}, [], id="who has not bought since"),
        pytest.param({"created": {"to": "2020-01-01T00:00:00Z"}}, [], id="by when they came"),
        pytest.param({"lastPurchase": {}, "tags": ["vip"], "locale": "de-DE"}, ["anna"], id="together"),
    ],
)
async def test_customers_are_narrowed_counted_and_turned_round(
    salon: Business, wanted: Json | None, expected: list[str]
) -> None:
    await tell(salon)
    page = await salon.staff.get(CUSTOMERS, filter=wanted)
    assert (names(page), page["totalCount"], page["totalCountIsExact"]) == (expected, len(expected), True)
    turned = await salon.staff.get(CUSTOMERS, filter=wanted, direction="DESCENDING")
    assert names(turned) == expected[::-1]
    short = await salon.staff.get(CUSTOMERS, filter=wanted, first=1)
    assert (names(short), short["totalCount"]) == (expected[:1], len(expected))


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ({"categories": []}, ["filter", "categories"]),
        ({"externalIds": ["x"] * 101}, ["filter", "externalIds"]),
        ({"tags": ["x" * 51]}, ["filter", "tags", "0"]),
        ({"birthday": {"from": "--02-30", "to": "--05-17"}}, ["filter", "birthday", "from"]),
        ({"birthday": {"from": "--02-01", "to": "May"}}, ["filter", "birthday", "to"]),
    ],
)
async def test_a_filter_that_cannot_be_meant_names_its_field(salon: Business, wanted: Json, path: list[str]) -> None:
    answer = await salon.staff.answer(CUSTOMERS, filter=wanted)
    assert answer["errors"][0]["extensions"]["problems"][0]["path"] == path


BACKWARDS = {"from": "2026-05-02T00:00:00Z", "to": "2026-05-01T00:00:00Z"}


def spans() -> Iterator[tuple[str, str, str]]:
    """Yield each list that can be narrowed to a span: its name, the type of its filter, and the field of the span."""
    query = treue_schema()._schema.query_type  # noqa: SLF001 - the only way to it
    assert query is not None
    for name, listed in query.fields.items():
        given = get_named_type(listed.args["filter"].type) if "filter" in listed.args else None
        if isinstance(given, GraphQLInputObjectType):
            for field, told in given.fields.items():
                if get_named_type(told.type).name == "TimeRangeInput":
                    yield name, given.name, field


async def test_a_span_that_ends_before_it_begins_is_refused_by_every_list(salon: Business) -> None:
    """An empty list would say that nothing happened."""
    found = list(spans())
    assert len(found) >= 7
    for name, given, field in found:
        document = f"query($filter: {given}) {{ {name}(filter: $filter) {{ totalCount }} }}"
        answer = await salon.owner.answer(document, filter={field: BACKWARDS})
        (problem,) = answer["errors"][0]["extensions"]["problems"]
        assert problem == {"path": ["filter", field, "to"], "reason": "must not be before the first instant"}, name
    await tell(salon)
    answer = await salon.staff.answer(ACTIVITY, filter={"occurred": BACKWARDS})
    assert answer["errors"][0]["extensions"]["problems"][0]["path"] == ["filter", "occurred", "to"]
    for name in ("report", "giftCardReport"):
        document = f'{{ {name}(range: {{from: "2026-05-02", to: "2026-05-01"}}) {{ __typename }} }}'
        answer = await salon.owner.answer(document)
        assert answer["errors"][0]["extensions"]["problems"][0]["path"] == ["range", "to"], name


async def test_every_order_can_be_walked_in_both_directions(salon: Business) -> None:
    await tell(salon)
    walk = (
        "query($o: CustomerOrder!, $d: OrderDirection, $a: Cursor) { customers(having: ANY, orderBy: $o, "
        "direction: $d, after: $a, first: 1) { nodes { externalId } pageInfo { hasNextPage endCursor } } }"
    )
    for order in ("NAME", "NEWEST", "POINTS"):
        found = {}
        for direction in ("ASCENDING", "DESCENDING"):
            after, seen = None, []
            while True:
                page = await salon.staff.get(walk, o=order, d=direction, a=after)
                seen += names(page)
                after = page["pageInfo"]["endCursor"]
                if not page["pageInfo"]["hasNextPage"]:
                    break
            found[direction] = seen
        assert found["ASCENDING"] == found["DESCENDING"][::-1]
        assert len(set(found["ASCENDING"])) == 4


async def test_activity_is_narrowed_by_reference_actor_note_sign_kind_and_time(salon: Business) -> None:
    await salon.manager.do("programUpdate", "__typename", redemption={"enabled": True})
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    await record(salon.integration, "o-1", "100.00")
    await record(salon.integration, "o-2", "20.00")
    await adjust(salon.manager, "1", 7, internalNote="Window was BROKEN")
    await adjust(salon.owner, "2", -3, customerDescription="a Broken cup")
    await redeem(salon.manager, "anna", "o-3", 5)
    one = await salon.staff.get('{ purchase(by: {key: {kind: ORDER, externalId: "o-1"}}) { id entries { id } } }')
    (row,) = (await salon.staff.get("{ adjustments(first: 1, direction: ASCENDING) { nodes { actor } } }"))["nodes"]
    adjusted = "query($f: AdjustmentFilterInput) { adjustments(filter: $f) { nodes { points } } }"
    for wanted, points in (
        ({"actor": row["actor"]}, [7]),
        ({"actor": "staff:owner"}, [-3]),
        ({"note": "BROKEN"}, [-3, 7]),
        ({"sign": "NEGATIVE"}, [-3]),
    ):
        page = await salon.staff.get(adjusted, f=wanted)
        assert [one["points"] for one in page["nodes"]] == points, wanted
    soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    expected: list[tuple[Any, list[int]]] = [
        (None, [-5, -3, 7, 20, 100]),
        ({"sign": "NEGATIVE"}, [-5, -3]),
        ({"actor": row["actor"]}, [-5, 7]),
        ({"sign": "POSITIVE", "kinds": ["EARNED"]}, [20, 100]),
        ({"reference": one["id"]}, [100]),
        ({"note": "broken"}, [-3, 7]),
        ({"note": "bro%"}, []),
        ({"actor": "staff:manager", "kinds": ["ADJUSTED"]}, [7]),
        ({"actor": "nobody"}, []),
        ({"occurred": {"from": soon}}, []),
        ({"occurred": {"to": soon}, "kinds": ["REDEEMED"]}, [-5]),
    ]
    report = (
        'query($f: ActivityFilterInput) { report(range: {from: "2020-01-01", to: "2099-01-01"}) { '
        "activity(filter: $f) { nodes { points } totalCount } } }"
    )
    for wanted, points in expected:
        page = (await salon.staff.get(ACTIVITY, filter=wanted))["activity"]
        assert ([entry["points"] for entry in page["nodes"]], page["totalCount"]) == (points, len(points)), wanted
        turned = (await salon.staff.get(ACTIVITY, filter=wanted, direction="ASCENDING"))["activity"]
        assert [entry["points"] for entry in turned["nodes"]] == points[::-1]
        page = (await salon.manager.get(report, f=wanted))["activity"]
        assert ([entry["points"] for entry in page["nodes"]], page["totalCount"]) == (points, len(points)), wanted


async def test_fields_for_the_team_are_no_filter_for_others(salon: Business) -> None:
    """By its answers a filter would tell what the field does not."""
    await record(salon.integration, "o-1", customer="anna")
    await adjust(salon.manager, "1", 7, internalNote="secret")
    customer = await salon.customer("anna")
    for wanted in ({"note": "secret"}, {"actor": "x"}):
        for document in (
            "query($f: ActivityFilterInput) { me { activity(filter: $f) { totalCount } } }",
            "query($f: AdjustmentFilterInput) { adjustments(filter: $f) { totalCount } }",
        ):
            answer = await customer.answer(document, f=wanted)
            assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN", document
    assert (await customer.get("{ me { activity { totalCount } } }"))["activity"] == {"totalCount": 1}


async def test_every_list_is_counted_and_turned_round(salon: Business) -> None:
    await salon.manager.do("programUpdate", "__typename", redemption={"enabled": True})
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    for number in (1, 2, 3):
        await record(salon.integration, f"o-{number}", "100.00")
        await adjust(salon.manager, f"{number}", number)
        await redeem(salon.manager, "anna", f"o-{number}", number)
    items = [{"kind": "SERVICE", "externalId": f"s-{number}", "name": f"Service {number}"} for number in (1, 2, 3)]
    await salon.manager.do("catalogItemsUpsert", "__typename", items=items)
    lists = {"purchases": "externalId", "adjustments": "points", "holds": "points", "redemptions": "points"}
    for where in ("", 'customer(by: {externalId: "anna"}) '):
        for name, shown in {**lists, "lots": "points"}.items():
            if where == "" and name == "lots":
                continue
            if where and name == "adjustments":
                continue
            inner = f"{name}(first: 2) {{ nodes {{ {shown} }} totalCount totalCountIsExact }}"
            turned = f"{name}(first: 2, direction: ASCENDING) {{ nodes {{ {shown} }} totalCount }}"
            first = await salon.staff.get(f"{{ {where}{'{' if where else ''} {inner} {'}' if where else ''} }}")
            last = await salon.staff.get(f"{{ {where}{'{' if where else ''} {turned} {'}' if where else ''} }}")
            newest, oldest = (page[name] if where else page for page in (first, last))
            number = 6 if name == "lots" else 3
            assert (newest["totalCount"], newest["totalCountIsExact"], oldest["totalCount"]) == (number, True, number)
            assert newest["nodes"] != oldest["nodes"], (where, name)
    assert (await salon.staff.get("{ catalogItems(first: 1) { totalCount nodes { name } } }"))["totalCount"] == 3
    assert (await salon.staff.get("{ earningRules(first: 1) { totalCount } }"))["totalCount"] == 1
    of_one = (
        '{ purchase(by: {key: {kind: ORDER, externalId: "o-1"}}) { holds { totalCount } redemptions { totalCount } } }'
    )
    assert await salon.staff.get(of_one) == {"holds": {"totalCount": 1}, "redemptions": {"totalCount": 1}}


async def test_lots_say_what_is_left_and_where_they_come_from(salon: Business) -> None:
    await salon.manager.do("programUpdate", "__typename", redemption={"enabled": True})
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    await record(salon.integration, "o-1", "100.00")
    await adjust(salon.manager, "1", 5)
    await redeem(salon.manager, "anna", "o-2", 102)
    lots = (
        "query($open: Boolean) { me { lots(open: $open, direction: ASCENDING) { totalCount nodes { points remaining "
        "held expired openedAt expiresAt entry { kind reference { ... on Purchase { externalId } "
        "... on Adjustment { points } } } } } } }"
    )
    customer = await salon.customer("anna")
    found = (await customer.get(lots))["lots"]["nodes"]
    assert [(lot["points"], lot["remaining"], lot["entry"]["kind"]) for lot in found] == [
        (100, 0, "EARNED"),
        (5, 3, "ADJUSTED"),
    ]
    assert [lot["entry"]["reference"] for lot in found] == [{"externalId": "o-1"}, {"points": 5}]
    for is_open, sizes in ((True, [5]), (False, [100])):
        page = (await customer.get(lots, open=is_open))["lots"]
        assert ([lot["points"] for lot in page["nodes"]], page["totalCount"]) == (sizes, 1)


async def test_many_are_looked_up_by_the_callers_own_ids_at_once(salon: Business) -> None:
    await tell(salon)
    by_id = "query($ids: [String!]!) { customersByExternalId(externalIds: $ids) { externalId } }"
    found = await salon.staff.get(by_id, ids=["carl", "gone", "anna", " carl ", ""])
    assert [one and one["externalId"] for one in found] == ["carl", None, "anna", "carl", None]
    by_key = "query($keys: [PurchaseKeyInput!]!) { purchasesByKey(keys: $keys) { externalId customer { fullName } } }"
    keys = [{"kind": "ORDER", "externalId": name} for name in ("order-carl", "gone", "order-anna")]
    found = await salon.staff.get(by_key, keys=keys)
    assert [one and one["externalId"] for one in found] == ["order-carl", None, "order-anna"]
    anna = await salon.customer("anna")
    assert await anna.get(by_id, ids=["carl", "anna"]) == [None, {"externalId": "anna"}]
    assert [one and one["externalId"] for one in await anna.get(by_key, keys=keys)] == [None, None, "order-anna"]
    for ids in ([], ["x"] * 101):
        answer = await salon.staff.answer(by_id, ids=ids)
        assert answer["errors"][0]["extensions"]["problems"][0]["path"] == ["externalIds"]
    await salon.integration.do("customerUpsert", "__typename", externalId="old")
    names_ = {"source": {"externalId": "old"}, "target": {"externalId": "anna"}}
    await salon.manager.do("customerMerge", "__typename", **names_, idempotencyKey="merge")
    assert await salon.staff.get(by_id, ids=["old"]) == [{"externalId": "anna"}]


async def test_an_item_of_the_catalogue_is_found_by_key_id_and_search(salon: Business) -> None:
    named = {"m": "Frisör Müßig", "s": "Łukasz' SPA", "x-ray": "Röntgen"}
    items = [{"kind": "SERVICE", "externalId": key, "name": name} for key, name in named.items()]
    await salon.manager.do("catalogItemsUpsert", "__typename", items=items)
    node = "query($id: ID!) { node(id: $id) { id ... on CatalogItem { name } } }"
    item = "query($by: CatalogItemBy!) { catalogItem(by: $by) { id name } }"
    found = await salon.staff.get(item, by={"key": {"kind": "SERVICE", "externalId": "m"}})
    assert found["name"] == "Frisör Müßig"
    assert await salon.staff.get(item, by={"id": found["id"]}) == found
    assert await salon.staff.get(node, id=found["id"]) == found
    for by in (
        {"key": {"kind": "SERVICE", "externalId": "gone"}},
        {"key": {"kind": "STAFF", "externalId": "m"}},
        {"id": "x"},
    ):
        assert await salon.staff.get(item, by=by) is None
    search = "query($s: String!) { catalogItems(search: $s) { nodes { externalId } totalCount } }"
    for text, expected in (
        ("MUSSIG", ["m"]),
        ("müßig", ["m"]),
        ("frisor", ["m"]),
        ("lukasz", ["s"]),
        ("spa", ["s"]),
        ("x-", ["x-ray"]),
        ("ray", []),
        ("%", []),
    ):
        page = await salon.staff.get(search, s=text)
        assert (names(page), page["totalCount"]) == (expected, len(expected)), text
