"""What only describes a customer costs nobody points, and one bad value harms nobody else."""

from typing import Any, cast

from tests.acceptance.business import Business
from tests.acceptance.client import Json, create_rule, find_customer, money, purchase_of

RECORDED = "accrual { points } replayed warnings { code message path } userErrors { code path }"
PROFILE = "externalId fullName email avatarUrl locale category marketingConsent points { available }"
PER_EURO = {"perAmount": {"points": 1, "per": money("1.00")}}


async def record_many(salon: Business, *items: Json) -> Any:
    """Record purchases in one request; the whole payload."""
    return await salon.integration.do(
        "purchasesRecord", f"results {{ {RECORDED} }} warnings {{ code path }}", items=list(items)
    )


WRONG_DESCRIPTIONS: dict[str, tuple[Any, str, Any]] = {
    # What is sent, the code of the warning, and what is stored.
    "email": ("k.A.", "LEFT_OUT", None),
    "fullName": ("", "LEFT_OUT", ""),
    "avatarUrl": ("anna.png", "LEFT_OUT", None),
    "locale": ("Deutsch (Deutschland)", "LEFT_OUT", None),
    "category": ("a\nb", "LEFT_OUT", None),
}
TIDY_DESCRIPTIONS: dict[str, tuple[Any, str, Any]] = {
    "email": (" Anna@Example.com\n", "CORRECTED", "anna@example.com"),
    "fullName": (" Anna Groß ", "CORRECTED", "Anna Groß"),
    "avatarUrl": ("https://example.com/a.png ", "CORRECTED", "https://example.com/a.png"),
    "locale": ("de_DE.UTF-8", "CORRECTED", "de-DE"),
    "category": ("e\u0301tudiant", "CORRECTED", "étudiant"),
}


async def test_a_description_that_is_none_costs_no_points(salon: Business) -> None:
    """The facts are recorded, the value is left out or corrected, and the payload says which."""
    await create_rule(salon.manager, "Per euro", PER_EURO)
    for name, cases in (("wrong", WRONG_DESCRIPTIONS), ("tidy", TIDY_DESCRIPTIONS)):
        for field, (sent, code, stored) in cases.items():
            customer = {"externalId": f"{name}-{field}", field: sent}
            given = purchase_of(f"{name}-{field}", "10.00", customer=customer)
            for replayed in (False, True):
                payload = await salon.integration.mutate("purchaseRecord", RECORDED, **given)
                assert (payload["userErrors"], payload["accrual"]["points"]) == ([], 10), field
                assert payload["replayed"] is replayed
                warnings = [(warning["code"], warning["path"]) for warning in payload["warnings"]]
                assert warnings == [(code, ["customer", field])]
            assert (await find_customer(salon.staff, customer["externalId"], PROFILE))[field] == stored


async def test_everything_wrong_with_a_description_is_named_and_the_rest_is_kept(salon: Business) -> None:
    customer = {"externalId": " anna ", "fullName": "Anna", "email": "none", "locale": 5, "marketingConsent": True}
    payload = await salon.integration.mutate("purchaseRecord", RECORDED, **purchase_of("1", customer=customer))
    assert [(warning["code"], warning["path"][1]) for warning in payload["warnings"]] == [
        ("CORRECTED", "externalId"),
        ("LEFT_OUT", "email"),
        ("LEFT_OUT", "locale"),
    ]
    shown = await find_customer(salon.staff, "anna", PROFILE)
    assert (shown["fullName"], shown["email"], shown["marketingConsent"]) == ("Anna", None, True)
    assert await find_customer(salon.staff, " anna", "externalId") == {"externalId": "anna"}


async def test_one_bad_value_in_a_batch_harms_its_own_item_only(salon: Business) -> None:
    """Values that no scalar holds are refused item by item, and descriptions are left out item by item."""
    await create_rule(salon.manager, "Per euro", PER_EURO)
    payload = await record_many(
        salon,
        purchase_of("0"),
        purchase_of("1", "NaN"),
        purchase_of("2", startsAt="tomorrow"),
        purchase_of("3", customer={"externalId": "b", "locale": "de_DE"}),
        purchase_of("4", customer={"externalId": "c", "email": "x"}, total=money("7.0000")),
        purchase_of("5", lines=[{"unitPrice": money("1.00", "euro")}]),
    )
    results = payload["results"]
    assert [result["accrual"] and result["accrual"]["points"] for result in results] == [10, None, None, 10, 7, None]
    assert [[error["path"] for error in result["userErrors"]] for result in results] == [
        [],
        [["total", "amount"]],
        [["startsAt"]],
        [],
        [],
        [["lines", "0", "unitPrice", "currency"]],
    ]
    assert [[warning["path"] for warning in result["warnings"]] for result in results] == [
        [],
        [],
        [],
        [["customer", "locale"]],
        [["customer", "email"]],
        [],
    ]
    assert payload["warnings"] == [
        {"code": "CORRECTED", "path": ["items", "3", "customer", "locale"]},
        {"code": "LEFT_OUT", "path": ["items", "4", "customer", "email"]},
    ]


async def test_opening_balances_are_read_item_by_item(salon: Business) -> None:
    payload = await salon.manager.do(
        "openingBalancesImport",
        "results { customer { externalId points { available } } warnings { code path } userErrors { path } } "
        "warnings { code path }",
        items=[
            {"customer": {"externalId": "a", "email": "k.A."}, "points": 5},
            {"customer": {"externalId": "b"}, "points": "5"},
            {"customer": {"externalId": "c"}, "points": 5, "expiresOn": "31.12.2999"},
            {"customer": {"externalId": "d", "locale": "en_GB"}, "points": 7},
        ],
    )
    assert [result["customer"] and result["customer"]["points"]["available"] for result in payload["results"]] == [
        5,
        None,
        None,
        7,
    ]
    assert [[error["path"] for error in result["userErrors"]] for result in payload["results"]] == [
        [],
        [["points"]],
        [["expiresOn"]],
        [],
    ]
    assert payload["warnings"] == [
        {"code": "LEFT_OUT", "path": ["items", "0", "customer", "email"]},
        {"code": "CORRECTED", "path": ["items", "3", "customer", "locale"]},
    ]


async def test_a_wrong_type_in_one_item_harms_no_other(salon: Business) -> None:
    """Wrong enum values, null, missing fields, other types: each refuses its item, with the path of the field."""
    wrong: list[tuple[Json, list[list[str]]]] = [
        (purchase_of("a", status="DONE"), [["status"]]),
        (purchase_of("b", status=None), [["status"]]),
        (purchase_of("c", customer=None), [["customer"]]),
        (purchase_of("d", customer={"externalId": None}), [["customer", "externalId"]]),
        (purchase_of("e", total="10.00"), [["total"]]),
        (purchase_of("f", total={"amount": "1.00"}), [["total", "currency"]]),
        (purchase_of("g", lines=[{"unitPrice": money("1.00"), "kind": "GIFT"}]), [["lines", "0", "kind"]]),
        (purchase_of("h", lines=[None]), [["lines", "0"]]),
        (purchase_of("i", staff=7), [["staff"]]),
        (purchase_of("j", customer={"externalId": "x", "marketingConsent": "yes"}), [["customer", "marketingConsent"]]),
        ({"externalId": "k", "status": "PAID"}, [["kind"], ["customer"]]),
    ]
    payload = await record_many(salon, purchase_of("first"), *(item for item, _ in wrong), purchase_of("last"))
    first, *results, last = payload["results"]
    assert (first["userErrors"], last["userErrors"]) == ([], [])
    assert [[error["path"] for error in one["userErrors"]] for one in results] == [paths for _, paths in wrong]
    nothing = await record_many(salon, cast("Json", None))
    assert [[error["path"] for error in one["userErrors"]] for one in nothing["results"]] == [[[]]]
    answer = await salon.integration.answer(
        "mutation ($i: PurchasesRecordInput!) { purchasesRecord(input: $i) { results { replayed } } }",
        i={"items": [purchase_of("first"), purchase_of("other", colour="red")]},
    )
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]


async def test_the_other_batches_spare_their_good_items_too(salon: Business) -> None:
    upserted = await salon.integration.do(
        "customersUpsert",
        "results { customer { externalId } userErrors { path message } }",
        items=[{"externalId": "a"}, {"externalId": None}, {"fullName": "B"}, {"externalId": "c"}],
    )
    assert [one["customer"] and one["customer"]["externalId"] for one in upserted["results"]] == ["a", None, None, "c"]
    assert upserted["results"][1]["userErrors"] == [{"path": ["externalId"], "message": "externalId must not be null."}]
    assert upserted["results"][2]["userErrors"][0]["path"] == ["externalId"]
    opened = await salon.manager.do(
        "openingBalancesImport",
        "results { customer { externalId } userErrors { path } }",
        items=[{"customer": {"externalId": "d"}, "points": 5}, {"customer": {"externalId": "e"}, "points": None}],
    )
    assert [one["userErrors"] for one in opened["results"]] == [[], [{"path": ["points"]}]]
    kept = await salon.manager.mutate(
        "catalogItemsUpsert",
        "items { externalId } userErrors { path message }",
        items=[{"kind": "SERVICE", "externalId": "cut", "name": "Cut"}, {"kind": "HAIR", "externalId": "oil"}],
    )
    assert kept["items"] is None, "a catalogue is kept whole or not at all"
    assert [error["path"] for error in kept["userErrors"]] == [["items", "1", "kind"]]
    assert "SERVICE, CLASS" in kept["userErrors"][0]["message"]
