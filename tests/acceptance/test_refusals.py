"""Input that is not allowed is refused clearly, names the field, and leaves nothing behind."""

from typing import Any

import orjson

from loyalty.rules.points import MAX_POINTS
from tests.acceptance.business import Business
from tests.acceptance.client import (
    Json,
    adjust,
    code_of,
    create_rule,
    create_tier,
    money,
    mutation,
    purchase_of,
    record,
)

FIXED = {"fixed": {"points": 5}}
LONG_ID = "x" * 300


def rule(**fields: Any) -> Json:
    """Return a rule that would be fine."""
    return {"name": "Rule", "award": FIXED, **fields}


def tier(**fields: Any) -> Json:
    """Return a tier that would be fine."""
    return {"name": "Gold", "color": "#D4AF37", "minPoints": 100, **fields}


def correction(**fields: Any) -> Json:
    """Return an adjustment that would be fine with points."""
    return {"customer": {"externalId": "anna"}, "idempotencyKey": "new key", **fields}


def item(**fields: Any) -> Json:
    """Return a list of one item of the catalogue that would be fine."""
    return {"items": [{"kind": "LOCATION", "externalId": "mitte", "name": "Mitte", **fields}]}


WRONG_TYPES: dict[str, tuple[str, Json, str]] = {
    # What no value of the type can be, and where the message says that it stands.
    "an unknown weekday": ("earningRuleCreate", rule(conditions={"weekdays": ["SOMEDAY"]}), "conditions.weekdays"),
    "two awards": ("earningRuleCreate", rule(award={**FIXED, "perUnit": {"points": 1}}), "award"),
    "no award": ("earningRuleCreate", rule(award={}), "award"),
    "two ways to name a customer": (
        "pointsAdjust",
        correction(customer={"externalId": "anna", "email": "a@b.c"}, amount=5),
        "customer",
    ),
    "an unknown field": ("tierCreate", tier(bonus=5), "bonus"),
    "a field that is missing": ("tierCreate", {"name": "Gold", "color": "#D4AF37"}, "minPoints"),
}

WRONG_SCALARS: dict[str, tuple[str, Json, list[str]]] = {
    # What no value of one of our scalars can be, and the path of the only entry of `userErrors`.
    "fractional points": (
        "earningRuleCreate",
        rule(award={"fixed": {"points": 1.5}}),
        ["award", "fixed", "points"],
    ),
    "points as a text": ("earningRuleCreate", rule(award={"fixed": {"points": "5"}}), ["award", "fixed", "points"]),
    "points as a boolean": ("pointsAdjust", correction(amount=True), ["amount"]),
    "oversized points": ("pointsAdjust", correction(amount=MAX_POINTS + 1), ["amount"]),
    "points of 64 bits": ("tierCreate", tier(minPoints=2**63), ["minPoints"]),
    "a colour by name": ("tierCreate", tier(color="gold"), ["color"]),
    "a short colour": ("tierCreate", tier(color="#FFF"), ["color"]),
    "an unknown time zone": ("catalogItemsUpsert", item(timeZone="Mars/Olympus"), ["items", "0", "timeZone"]),
    "an unknown currency": ("purchaseRecord", purchase_of("new", total=money("1.00", "XYZ")), ["total", "currency"]),
    "money with an exponent": ("purchaseRecord", purchase_of("new", "1e3"), ["total", "amount"]),
    "money that is NaN": ("purchaseRecord", purchase_of("new", "NaN"), ["total", "amount"]),
    "money as a number": (
        "purchaseRecord",
        purchase_of("new", total={"amount": 10, "currency": "EUR"}),
        ["total", "amount"],
    ),
    "the price of a line": (
        "purchaseRecord",
        purchase_of("new", lines=[{"unitPrice": money("1.00")}, {"unitPrice": money("1,00")}]),
        ["lines", "1", "unitPrice", "amount"],
    ),
    "a naive time": ("purchaseRecord", purchase_of("new", bookedAt="2026-03-01T09:30:00"), ["bookedAt"]),
    "a day that is none": ("purchaseRecord", purchase_of("new", startsAt="2026-02-30T09:30:00Z"), ["startsAt"]),
    "a naive window": ("earningRuleCreate", rule(startsAt="2026-03-01T00:00:00"), ["startsAt"]),
    "a duration in words": (
        "programUpdate",
        {"accrual": {"matureDelay": "three hours"}},
        ["accrual", "matureDelay"],
    ),
    "a last day that is none": ("pointsAdjust", correction(amount=5, expiresOn="2999-02-30"), ["expiresOn"]),
}

WRONG_VALUES: dict[str, tuple[str, Json, str, list[str]]] = {
    # What the rules refuse: the code and the path of the only entry of `userErrors`.
    "zero points of a rule": (
        "earningRuleCreate",
        rule(award={"fixed": {"points": 0}}),
        "INVALID_INPUT",
        ["award", "fixed", "points"],
    ),
    "negative points of a rule": (
        "earningRuleCreate",
        rule(award={"fixed": {"points": -1}}),
        "INVALID_INPUT",
        ["award", "fixed", "points"],
    ),
    "zero points per unit": (
        "earningRuleCreate",
        rule(award={"perUnit": {"points": 0}}),
        "INVALID_INPUT",
        ["award", "perUnit", "points"],
    ),
    "points for no money": (
        "earningRuleCreate",
        rule(award={"perAmount": {"points": 1, "per": money("0.00")}}),
        "INVALID_INPUT",
        ["award", "perAmount", "per"],
    ),
    "points for another currency": (
        "earningRuleCreate",
        rule(award={"perAmount": {"points": 1, "per": money("1.00", "USD")}}),
        "CURRENCY_MISMATCH",
        ["award", "perAmount", "per", "currency"],
    ),
    "a factor of one": (
        "earningRuleCreate",
        rule(award={"multiplier": {"factor": "1"}}),
        "INVALID_INPUT",
        ["award", "multiplier", "factor"],
    ),
    "a rule without a name": ("earningRuleCreate", rule(name=" "), "INVALID_INPUT", ["name"]),
    "a window that ends before it starts": (
        "earningRuleCreate",
        rule(startsAt="2026-03-02T00:00:00Z", endsAt="2026-03-01T00:00:00Z"),
        "INVALID_INPUT",
        ["endsAt"],
    ),
    "a window of nothing": (
        "earningRuleCreate",
        rule(startsAt="2026-03-02T00:00:00Z", endsAt="2026-03-02T01:00:00+01:00"),
        "INVALID_INPUT",
        ["endsAt"],
    ),
    "more than less": (
        "earningRuleCreate",
        rule(conditions={"totalGreaterThan": money("50.00"), "totalLessThan": money("50.00")}),
        "INVALID_INPUT",
        ["conditions", "totalLessThan"],
    ),
    "a condition in another currency": (
        "earningRuleCreate",
        rule(conditions={"totalGreaterThan": money("50.00", "USD")}),
        "CURRENCY_MISMATCH",
        ["conditions", "totalGreaterThan", "currency"],
    ),
    "a condition with a 300-character id": (
        "earningRuleCreate",
        rule(conditions={"services": [LONG_ID]}),
        "INVALID_INPUT",
        ["conditions", "services"],
    ),
    "201 services": (
        "earningRuleCreate",
        rule(conditions={"services": [f"s{number}" for number in range(201)]}),
        "INVALID_INPUT",
        ["conditions", "services"],
    ),
    "a negative minimum": ("tierCreate", tier(minPoints=-1), "INVALID_INPUT", ["minPoints"]),
    "a second tier at the same minimum": ("tierCreate", tier(minPoints=50), "DUPLICATE_MINIMUM", ["minPoints"]),
    "a second tier of the same name": ("tierCreate", tier(name="Silver"), "DUPLICATE_NAME", ["name"]),
    "a tier without a name": ("tierCreate", tier(name=""), "INVALID_INPUT", ["name"]),
    "zero points by hand": ("pointsAdjust", correction(amount=0), "INVALID_INPUT", ["amount"]),
    "no points by hand": ("pointsAdjust", correction(), "INVALID_INPUT", ["amount"]),
    "negative points in an add box": (
        "pointsAdjust",
        correction(direction="ADD", points=-5),
        "INVALID_INPUT",
        ["points"],
    ),
    "zero points in a remove box": (
        "pointsAdjust",
        correction(direction="REMOVE", points=0),
        "INVALID_INPUT",
        ["points"],
    ),
    "both forms of an adjustment": (
        "pointsAdjust",
        correction(amount=5, direction="ADD", points=5),
        "INVALID_INPUT",
        ["amount"],
    ),
    "points without a direction": ("pointsAdjust", correction(points=5), "INVALID_INPUT", ["direction"]),
    "more than the balance": ("pointsAdjust", correction(amount=-21), "INSUFFICIENT_POINTS", ["amount"]),
    "more than the balance, with a direction": (
        "pointsAdjust",
        correction(direction="REMOVE", points=21),
        "INSUFFICIENT_POINTS",
        ["points"],
    ),
    "an empty idempotency key": (
        "pointsAdjust",
        correction(idempotencyKey="", amount=1),
        "INVALID_INPUT",
        ["idempotencyKey"],
    ),
    "a 300-character idempotency key": (
        "pointsAdjust",
        correction(idempotencyKey=LONG_ID, amount=1),
        "INVALID_INPUT",
        ["idempotencyKey"],
    ),
    "a note that is too long": (
        "pointsAdjust",
        correction(amount=1, internalNote="x" * 2_001),
        "INVALID_INPUT",
        ["internalNote"],
    ),
    "an unknown customer": (
        "pointsAdjust",
        correction(customer={"externalId": "nobody"}, amount=1),
        "NOT_FOUND",
        ["customer"],
    ),
    "a negative total": ("purchaseRecord", purchase_of("new", "-0.01"), "INVALID_INPUT", ["total", "amount"]),
    "too many decimals": ("purchaseRecord", purchase_of("new", "1.001"), "INVALID_INPUT", ["total", "amount"]),
    "too many digits": ("purchaseRecord", purchase_of("new", "9" * 20), "INVALID_INPUT", ["total", "amount"]),
    "decimals of a currency without": (
        "purchaseRecord",
        purchase_of("new", total=money("1.5", "JPY")),
        "INVALID_INPUT",
        ["total", "amount"],
    ),
    "another currency": (
        "purchaseRecord",
        purchase_of("new", total=money("1.00", "USD")),
        "CURRENCY_MISMATCH",
        ["total", "currency"],
    ),
    "a line in another currency": (
        "purchaseRecord",
        purchase_of("new", lines=[{"unitPrice": money("1.00", "USD")}]),
        "CURRENCY_MISMATCH",
        ["lines", "0", "unitPrice", "currency"],
    ),
    "a negative price": (
        "purchaseRecord",
        purchase_of("new", lines=[{"unitPrice": money("1.00")}, {"unitPrice": money("-1.00")}]),
        "INVALID_INPUT",
        ["lines", "1", "unitPrice"],
    ),
    "a discount larger than the price": (
        "purchaseRecord",
        purchase_of("new", lines=[{"unitPrice": money("1.00"), "discount": money("1.01")}]),
        "INVALID_INPUT",
        ["lines", "0", "discount"],
    ),
    "a quantity of nothing": (
        "purchaseRecord",
        purchase_of("new", lines=[{"unitPrice": money("1.00"), "quantity": 0}]),
        "INVALID_INPUT",
        ["lines", "0", "quantity"],
    ),
    "a quantity with four decimals": (
        "purchaseRecord",
        purchase_of("new", lines=[{"unitPrice": money("1.00"), "quantity": "1.0001"}]),
        "INVALID_INPUT",
        ["lines", "0", "quantity"],
    ),
    "a refund of nothing": (
        "purchaseRefund",
        {"purchase": {"key": {"kind": "ORDER", "externalId": "none"}}, "idempotencyKey": "k"},
        "INVALID_INPUT",
        [],
    ),
    "a line that is named in no way": (
        "purchaseRefund",
        {"purchase": {"key": {"kind": "ORDER", "externalId": "none"}}, "idempotencyKey": "k", "lines": [{}]},
        "INVALID_INPUT",
        ["lines", "0"],
    ),
    "a line that is named twice": (
        "purchaseRefund",
        {
            "purchase": {"key": {"kind": "ORDER", "externalId": "none"}},
            "idempotencyKey": "k",
            "lines": [{"line": 0, "lineId": "L-1"}],
        },
        "INVALID_INPUT",
        ["lines", "0"],
    ),
    "501 lines": (
        "purchaseRecord",
        purchase_of("new", lines=[{"unitPrice": money("1.00")}] * 501),
        "INVALID_INPUT",
        ["lines"],
    ),
    "an end before the start": (
        "purchaseRecord",
        purchase_of("new", startsAt="2026-03-01T10:00:00Z", endsAt="2026-03-01T09:59:59Z"),
        "INVALID_INPUT",
        ["endsAt"],
    ),
    "an empty external id": ("purchaseRecord", purchase_of(""), "INVALID_INPUT", ["externalId"]),
    "a 300-character external id": ("purchaseRecord", purchase_of(LONG_ID), "INVALID_INPUT", ["externalId"]),
    "an external id with a line break": ("purchaseRecord", purchase_of("a\nb"), "INVALID_INPUT", ["externalId"]),
    "an empty customer id": (
        "purchaseRecord",
        purchase_of("new", customer=""),
        "INVALID_INPUT",
        ["customer", "externalId"],
    ),
    "somebody else's purchase": (
        "purchaseRecord",
        purchase_of("order-1", customer="ben"),
        "PURCHASE_OF_ANOTHER_CUSTOMER",
        ["customer", "externalId"],
    ),
    "a list of nothing": ("purchasesRecord", {"items": []}, "INVALID_INPUT", ["items"]),
    "a time zone of a product": (
        "catalogItemsUpsert",
        item(kind="PRODUCT", timeZone="Europe/Berlin"),
        "INVALID_INPUT",
        ["items", "0", "timeZone"],
    ),
    "points of a unit that are zero": (
        "catalogItemsUpsert",
        item(kind="PRODUCT", pointsPerUnit=0),
        "INVALID_INPUT",
        ["items", "0", "pointsPerUnit"],
    ),
    "an item with an empty id": (
        "catalogItemsUpsert",
        item(externalId=""),
        "INVALID_INPUT",
        ["items", "0", "externalId"],
    ),
    "no items": ("catalogItemsUpsert", {}, "INVALID_INPUT", ["items"]),
    "a point value of no points": (
        "programUpdate",
        {"redemption": {"pointValue": {"points": 0, "money": money("1.00")}}},
        "INVALID_INPUT",
        ["redemption", "pointValue", "points"],
    ),
    "a discount of 101 percent": (
        "programUpdate",
        {"redemption": {"maxDiscount": {"percent": 101}}},
        "INVALID_INPUT",
        ["redemption", "maxDiscount", "percent"],
    ),
    "an old version": (
        "programUpdate",
        {"enabled": True, "expectedVersion": 7},
        "VERSION_CONFLICT",
        ["expectedVersion"],
    ),
    "a token of the past": (
        "apiTokenCreate",
        {"name": "Till", "permissions": ["LOYALTY_READ"], "expiresAt": "2020-01-01T00:00:00Z"},
        "INVALID_INPUT",
        ["expiresAt"],
    ),
    "a token for nothing": ("apiTokenCreate", {"name": "Till", "permissions": []}, "INVALID_INPUT", ["permissions"]),
    "a token for a week": (
        "customerTokenCreate",
        {"customer": {"externalId": "anna"}, "lifetimeMinutes": 7 * 24 * 60},
        "INVALID_INPUT",
        ["lifetimeMinutes"],
    ),
}


async def test_values_that_no_type_holds_are_refused_before_anything_runs(salon: Business) -> None:
    """BK-12, BK-19, BK-31, F-19: BAD_USER_INPUT, and the message says at which field of the input."""
    await furnish(salon)
    async with salon.unchanged():
        for what, (name, given, place) in WRONG_TYPES.items():
            answer = await salon.owner.answer(mutation(name, "__typename"), input=given)
            assert (what, code_of(answer)) == (what, "BAD_USER_INPUT")
            assert place.rpartition(".")[2].lower() in answer["errors"][0]["message"].lower(), (what, answer)
            assert not answer.get("data"), what


async def test_values_that_no_scalar_holds_come_back_with_their_path(salon: Business) -> None:
    """BK-12, BK-31, F-19: in variables and in literals, as an entry of userErrors; nothing is written."""
    await furnish(salon)
    async with salon.unchanged():
        for what, (name, given, path) in WRONG_SCALARS.items():
            payload = await salon.owner.mutate(name, "__typename", **given)
            found = [(error["code"], error["path"]) for error in payload["userErrors"]]
            assert (what, found) == (what, [("INVALID_INPUT", path)])
        for amount in ("NaN", "1e3"):
            (refused,) = (
                await salon.owner.get(
                    f"""mutation {{ purchaseRecord(input: {{kind: ORDER, externalId: "x", status: PAID,
                    customer: {{externalId: "anna"}}, total: {{amount: "{amount}", currency: "EUR"}}}}) {{
                    purchase {{ id }} userErrors {{ code path }} }} }}"""
                )
            )["userErrors"]
            assert (refused["code"], refused["path"]) == ("INVALID_INPUT", ["total", "amount"])


async def test_an_argument_that_no_scalar_holds_names_its_path(salon: Business) -> None:
    """A query has no userErrors: BAD_USER_INPUT at the top, with the path in `problems`; below a root field too."""
    await furnish(salon)
    wrong = {
        '{ customers(after: "a b") { nodes { id } } }': ["after"],
        '{ customer(by: {externalId: "anna"}) { activity(after: "a b") { nodes { id } } } }': ["after"],
        '{ report(range: {from: "2026-02-30", to: "2026-03-01"}) { activity { nodes { id } } } }': ["range", "from"],
    }
    for document, path in wrong.items():
        answer = await salon.owner.answer(document)
        assert (code_of(answer), problem_path(answer)) == ("BAD_USER_INPUT", path), document
    whole = await salon.manager.mutate("pointsAdjust", "adjustment { points }", **correction(amount=5.0))
    assert (whole["adjustment"], whole["userErrors"]) == ({"points": 5}, [])


async def test_values_that_the_rules_refuse_come_back_with_their_path(salon: Business) -> None:
    """BK-12, BK-32, F-43, C-18: one entry of userErrors with code and path for the wrong field; nothing is written."""
    await furnish(salon)
    async with salon.unchanged():
        for what, (name, given, code, path) in WRONG_VALUES.items():
            payload = await salon.owner.mutate(name, "__typename", **given)
            found = [(error["code"], error["path"]) for error in payload["userErrors"]]
            assert (what, found) == (what, [(code, path)])
            assert payload["userErrors"][0]["message"], what


async def furnish(salon: Business) -> None:
    """Create a rule, a tier at 50 and a customer with 20 points. No refusal may change them."""
    await create_rule(salon.manager, "Ten", 10)
    await create_tier(salon.manager, "Silver", 50)
    await record(salon.integration, "order-1")
    await adjust(salon.manager, "key-1", 10)


async def test_every_wrong_field_is_named_at_once(salon: Business) -> None:
    """A form shows all its mistakes at once, so the answer names all of them."""
    async with salon.unchanged():
        refused = await salon.manager.refusals(
            "purchaseRecord",
            **purchase_of("", "-1.00", customer={"externalId": ""}, location=LONG_ID),
        )
    assert [error["path"] for error in refused] == [
        ["externalId"],
        ["total", "amount"],
        ["location"],
        ["customer", "externalId"],
    ]


async def test_texts_that_cannot_be_stored_do_not_get_in(salon: Business) -> None:
    """NUL and lone surrogates, in variables, in literals, in look-ups; NaN in JSON."""
    document = mutation("purchaseRecord", "__typename")
    body = orjson.dumps({"query": document, "variables": {"input": purchase_of("MARK")}})
    literal = orjson.dumps({"query": '{ customer(by: {externalId: "MARK"}) { id } }'})
    search = orjson.dumps({"query": '{ customers(search: "MARK") { nodes { id } } }'})
    async with salon.unchanged():
        for hostile in (rb"\u0000", rb"a\u0000b", rb"\ud800", rb"\udfff\ud800"):
            response = await salon.owner.post(body.replace(b"MARK", hostile))
            (refusal,) = response.json()["data"]["purchaseRecord"]["userErrors"]
            assert (refusal["code"], refusal["path"]) == ("INVALID_INPUT", ["externalId"]), hostile
            for sent in (literal, search):
                response = await salon.owner.post(sent.replace(b"MARK", hostile))
                assert code_of(response.json()) == "BAD_USER_INPUT", (hostile, sent)
        for hostile in (b"\x00", b"\xff"):
            for sent in (body, literal, search):
                response = await salon.owner.post(sent.replace(b"MARK", hostile))
                assert code_of(response.json()) == "BAD_USER_INPUT", (hostile, sent)
        for escaped in (rb"\\u0000", rb"\\uD800", rb"\\u{0}"):
            for sent in (literal, search):
                response = await salon.owner.post(sent.replace(b"MARK", escaped))
                answer = response.json()
                assert code_of(answer) == "BAD_USER_INPUT" if "errors" in answer else is_empty(answer), (
                    escaped,
                    answer,
                )
        for number in (b"NaN", b"Infinity", b"-Infinity", b"1e400"):
            sent = orjson.dumps(
                {"query": mutation("pointsAdjust", "__typename"), "variables": {"input": correction(amount=77)}}
            )
            response = await salon.owner.post(sent.replace(b"77", number))
            assert code_of(response.json()) == "BAD_USER_INPUT", number


def is_empty(answer: Json) -> bool:
    """Tell whether a look-up found nothing."""
    return answer["data"] in ({"customer": None}, {"customers": {"nodes": []}})


async def test_a_list_of_1001_is_refused_as_a_whole(salon: Business) -> None:
    """Every list has a limit, and the refusal names the list."""
    many = [purchase_of(f"order-{number}") for number in range(1_001)]
    items = [{"kind": "SERVICE", "externalId": f"s{number}", "name": "Service"} for number in range(1_001)]
    async with salon.unchanged():
        for name, given in (("purchasesRecord", many), ("catalogItemsUpsert", items)):
            refused = await salon.owner.refusals(name, items=given)
            assert [(error["code"], error["path"]) for error in refused] == [("INVALID_INPUT", ["items"])]
        answer = await salon.owner.answer("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=["x"] * 101)
        assert (code_of(answer), problem_path(answer)) == ("BAD_USER_INPUT", ["ids"])


PAGED = {
    "customers": "customers(PAGE) { nodes { id } }",
    "earningRules": "earningRules(PAGE) { nodes { id } }",
    "catalogItems": "catalogItems(PAGE) { nodes { name } }",
    "activity of a customer": 'customer(by: {externalId: "anna"}) { activity(PAGE) { nodes { id } } }',
    "activity of a report": 'report(range: {from: "2026-01-01", to: "2026-01-02"}) { activity(PAGE) { nodes { id } } }',
}
WRONG_PAGES = {
    "first: 1000": "first",
    "first: 101": "first",
    "first: 0": "first",
    "first: -1": "first",
    "last: 101": "last",
    "last: 0": "last",
    "first: 5, last: 5": "last",
    'first: 5, before: "x"': "before",
    'last: 5, after: "x"': "last",
    'after: "forged"': "after",
    'before: "forged"': "before",
}


async def test_pages_beyond_their_limits_are_refused(salon: Business) -> None:
    """F-37: first: 1000, first with last, and forged cursors are BAD_USER_INPUT that names the argument."""
    await furnish(salon)
    async with salon.unchanged():
        for place, template in PAGED.items():
            for arguments, named in WRONG_PAGES.items():
                answer = await salon.owner.answer("{ " + template.replace("PAGE", arguments) + " }")
                assert (place, arguments, code_of(answer)) == (place, arguments, "BAD_USER_INPUT")
                assert (place, arguments, problem_path(answer)) == (place, arguments, [named])


def problem_path(answer: Json) -> list[str]:
    """Return the path of the only problem of a top-level refusal."""
    (problem,) = answer["errors"][0]["extensions"]["problems"]
    path: list[str] = problem["path"]
    return path


async def test_a_report_of_days_that_run_backwards_is_refused(salon: Business) -> None:
    """BK-54: the range names its days, both included; days that are none or run backwards are refused."""
    for days, named in (
        ('from: "2026-03-02", to: "2026-03-01"', "to"),
        ('from: "0001-01-01", to: "2026-03-01"', "from"),
    ):
        answer = await salon.staff.answer(f"{{ report(range: {{{days}}}) {{ pointsEarned }} }}")
        assert (code_of(answer), problem_path(answer)) == ("BAD_USER_INPUT", ["range", named])
    answer = await salon.staff.answer('{ report(range: {from: "2026-02-30", to: "2026-03-01"}) { pointsEarned } }')
    assert code_of(answer) == "BAD_USER_INPUT"


async def test_an_operation_that_is_too_dear_is_refused(salon: Business) -> None:
    """Depth and cost have limits that are told."""
    activity = "activity(first: 100) { nodes { id } }"
    nested = f"customers(first: 100) {{ nodes {{ activity(first: 100) {{ nodes {{ customer {{ {activity} }} }} }} }} }}"
    answer = await salon.staff.answer(f"{{ {nested} }}")
    assert code_of(answer) == "QUERY_TOO_COMPLEX"


async def test_the_refusals_of_updates_name_their_fields_too(salon: Business) -> None:
    """BK-28: what cannot be created cannot be made by an edit either; null is no value for what must have one."""
    made = await create_rule(salon.manager, "Ten", 10)
    silver = await create_tier(salon.manager, "Silver", 50)
    gold = await create_tier(salon.manager, "Gold", 100)
    cases: dict[str, tuple[str, Json, str, list[str]]] = {
        "no name": ("earningRuleUpdate", {"id": made["id"], "name": None}, "INVALID_INPUT", ["name"]),
        "no award": ("earningRuleUpdate", {"id": made["id"], "award": None}, "INVALID_INPUT", ["award"]),
        "zero": (
            "earningRuleUpdate",
            {"id": made["id"], "award": {"fixed": {"points": 0}}},
            "INVALID_INPUT",
            ["award", "fixed", "points"],
        ),
        "old": (
            "earningRuleUpdate",
            {"id": made["id"], "name": "x", "expectedVersion": 2},
            "VERSION_CONFLICT",
            ["expectedVersion"],
        ),
        "minimum": ("tierUpdate", {"id": gold, "minPoints": 50}, "DUPLICATE_MINIMUM", ["minPoints"]),
        "name": ("tierUpdate", {"id": gold, "name": "Silver"}, "DUPLICATE_NAME", ["name"]),
        "below": ("tierUpdate", {"id": silver, "minPoints": -1}, "INVALID_INPUT", ["minPoints"]),
        "null": ("tierUpdate", {"id": silver, "color": None}, "INVALID_INPUT", ["color"]),
    }
    async with salon.unchanged():
        for what, (name, given, code, path) in cases.items():
            refused = await salon.owner.refusals(name, **given)
            assert (what, [(error["code"], error["path"]) for error in refused]) == (what, [(code, path)])
