"""Every id of the caller's systems has one meaning: blanks round it do not count, and letters are composed (NFC)."""

from typing import Any

from tests.acceptance.business import Business
from tests.acceptance.client import Json, create_rule, money

NFD = "Cafe\u0301"
NFC = "Café"
POINTS = "accrual { points } replayed purchase { externalId location staff lines { item category lineId } } "


def sent(name: str) -> str:
    """Return an id as some systems send it."""
    return f" {name}\t"


async def test_one_purchase_whatever_blanks_are_round_its_id(salon: Business) -> None:
    await create_rule(salon.manager, "Per euro", {"perAmount": {"points": 1, "per": money("1.00")}})
    facts: Json = {"kind": "ORDER", "status": "COMPLETED", "customer": {"externalId": "anna"}, "total": money("30.00")}
    first = await salon.integration.do("purchaseRecord", POINTS, externalId=sent(NFD), **facts)
    assert first["purchase"]["externalId"] == NFC
    again = await salon.integration.do("purchaseRecord", POINTS, externalId=NFC, **facts)
    assert (again["replayed"], again["accrual"]["points"]) == (True, 30)
    (result,) = (
        await salon.integration.do(
            "purchasesRecord", "results { replayed userErrors { code } }", items=[{"externalId": f"{NFC}\n", **facts}]
        )
    )["results"]
    assert result == {"replayed": True, "userErrors": []}
    key = {"kind": "ORDER", "externalId": sent(NFD)}
    refunded = await salon.integration.do(
        "purchaseRefund", "refund { points }", purchase={"key": key}, amount=money("10.00"), idempotencyKey="back"
    )
    assert refunded["refund"]["points"] == -10
    found = await salon.staff.ask(
        "query($key: PurchaseKeyInput!) { purchase(by: {key: $key}) { externalId } "
        "purchasesByKey(keys: [$key, $key]) { externalId } }",
        key=key,
    )
    assert found == {"purchase": {"externalId": NFC}, "purchasesByKey": [{"externalId": NFC}] * 2}


async def test_a_checkout_and_its_purchase_mean_the_same(salon: Business) -> None:
    """The hold was made for an id with blanks; the purchase is recorded without, and only its owner may pay for it."""
    redemption = {"enabled": True, "pointValue": {"points": 1, "money": money("0.01")}}
    await salon.manager.do("programUpdate", "program { version }", redemption=redemption)
    for name in ("anna", "ben"):
        await salon.manager.do("customerUpsert", "customer { id }", externalId=name)
        adjusted: Json = {"amount": 500, "reason": "GOODWILL", "idempotencyKey": name}
        await salon.manager.do("pointsAdjust", "customer { id }", customer={"externalId": name}, **adjusted)
    basket: Json = {"purchase": {"kind": "ORDER", "externalId": sent("7")}, "subtotal": money("4.00"), "points": 300}
    asked = {"customer": {"externalId": "anna"}, **basket}
    held = await salon.integration.do(
        "redemptionHold", "hold { id purchase { externalId } }", **asked, idempotencyKey="h"
    )
    assert held["hold"]["purchase"]["externalId"] == "7"
    other = {**asked, "customer": {"externalId": "ben"}, "purchase": {"kind": "ORDER", "externalId": "7"}}
    refused = await salon.integration.mutate("redemptionHold", "userErrors { code }", **other, idempotencyKey="h2")
    assert [error["code"] for error in refused["userErrors"]] == ["PURCHASE_OF_ANOTHER_CUSTOMER"]
    listed = await salon.staff.ask(
        "query($key: PurchaseKeyInput!) { holds(filter: {purchase: $key}) { nodes { points } } }",
        key={"kind": "ORDER", "externalId": "7 "},
    )
    assert listed["holds"]["nodes"] == [{"points": 300}]


async def test_names_of_the_catalogue_rules_and_lines_mean_the_same(salon: Business) -> None:
    """The rule asks for every kind of name, each written in its own way."""
    item = {"kind": "SERVICE", "externalId": sent(NFD), "name": "Coffee", "category": sent("drinks")}
    for name in (item, {**item, "externalId": NFC, "name": "Café"}):
        kept = await salon.manager.do("catalogItemsUpsert", "items { externalId name category }", items=[name])
        assert kept["items"] == [{"externalId": NFC, "name": name["name"], "category": "drinks"}]
    twice = await salon.manager.mutate(
        "catalogItemsUpsert", "userErrors { path }", items=[item, {**item, "externalId": NFC}]
    )
    assert [error["path"] for error in twice["userErrors"]] == [["items", "1", "externalId"]]
    conditions = {"services": [f"{NFD} "], "serviceCategories": [sent("drinks")]}
    conditions |= {"locations": [sent("mitte")], "staff": ["mara\u00a0"], "customerCategories": [" vip"]}
    await create_rule(salon.manager, "Coffee", {"fixed": {"points": 7}}, conditions=conditions)
    line: Json = {"item": f"{NFD}\n", "unitPrice": money("3.00"), "lineId": " L-1 "}
    told: Json = {"location": "mitte ", "staff": sent("mara"), "total": money("3.00"), "lines": [line]}
    customer = {"externalId": "anna", "category": "vip "}
    paid = await salon.integration.do(
        "purchaseRecord", POINTS, kind="APPOINTMENT", externalId="1", status="PAID", customer=customer, **told
    )
    assert paid["accrual"]["points"] == 7
    assert paid["purchase"]["lines"] == [{"item": NFC, "category": None, "lineId": "L-1"}]
    back: Json = {"purchase": {"key": {"kind": "APPOINTMENT", "externalId": "1"}}, "idempotencyKey": "back"}
    refunded = await salon.integration.do(
        "purchaseRefund", "refund { points }", lines=[{"lineId": "L-1 ", "quantity": "1"}], **back
    )
    assert refunded["refund"]["points"] == -7
    removed = await salon.manager.do(
        "catalogItemsUpsert", "items { name }", items=[], remove=[{"kind": "SERVICE", "externalId": NFD}]
    )
    assert removed["items"] == []
    gone: Any = await salon.staff.ask(
        "query($key: CatalogItemKeyInput!) { catalogItem(by: {key: $key}) { name } }",
        key={"kind": "SERVICE", "externalId": NFC},
    )
    assert gone == {"catalogItem": None}


async def test_a_wrong_character_in_an_id_is_refused_with_the_path_of_the_field(salon: Business) -> None:
    facts: Json = {"kind": "ORDER", "status": "PAID", "customer": {"externalId": "anna"}, "total": money("3.00")}
    for field, value in (("externalId", "a\nb"), ("externalId", " \t"), ("location", "a\rb"), ("staff", "  ")):
        payload = await salon.integration.mutate(
            "purchaseRecord", "userErrors { code path }", **{"externalId": "1", **facts, field: value}
        )
        assert [(error["code"], error["path"]) for error in payload["userErrors"]] == [("INVALID_INPUT", [field])]
