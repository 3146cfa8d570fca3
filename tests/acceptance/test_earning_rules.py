"""Earning rules through the API: every condition, every award, every edit, and what stays of them."""

from typing import Any

from tests.acceptance.business import Business
from tests.acceptance.client import (
    EARNING_RULE,
    ONE_PER_EURO,
    Json,
    create_rule,
    find_customer,
    money,
    purchase_of,
    record,
)
from tests.acceptance.conftest import OpenBusiness

WEDNESDAY_NOON = "2026-03-04T12:00:00+01:00"
THURSDAY_NOON = "2026-03-05T12:00:00+01:00"


def sold(item: str | None = None, category: str | None = None, quantity: int = 1, price: str = "10.00") -> Json:
    """Return one position of a purchase."""
    return {"unitPrice": money(price), "item": item, "category": category, "quantity": quantity}


CONDITIONS: dict[str, tuple[str, Json, Json, Json, str]] = {
    # The requirement; the condition; a purchase that meets it; one that does not; the condition that failed then.
    "service category": (
        "BK-13",
        {"serviceCategories": ["colour", "care"]},
        {"lines": [sold("cut", "hair"), sold("balayage", "colour")]},
        {"lines": [sold("cut", "hair")]},
        "SERVICE_CATEGORIES",
    ),
    "service": (
        "BK-14",
        {"services": ["cut", "colour"]},
        {"lines": [sold("cut")]},
        {"lines": [sold("shave")]},
        "SERVICES",
    ),
    "customer category": (
        "BK-15, C-06",
        {"customerCategories": ["student"]},
        {"customer": {"externalId": "studying", "category": "student"}},
        {"customer": {"externalId": "working", "category": "regular"}},
        "CUSTOMER_CATEGORIES",
    ),
    "location": ("BK-16", {"locations": ["mitte"]}, {"location": "mitte"}, {"location": "wien"}, "LOCATIONS"),
    "staff": ("BK-17", {"staff": ["mara"]}, {"staff": "mara"}, {}, "STAFF"),
    "weekday": (
        "BK-18, C-05",
        {"weekdays": ["TUE", "WED"]},
        {"startsAt": WEDNESDAY_NOON},
        {"startsAt": THURSDAY_NOON},
        "WEEKDAYS",
    ),
    "total greater than": (
        "BK-19",
        {"totalGreaterThan": money("100.00")},
        {"total": money("100.01")},
        {"total": money("100.00")},
        "TOTAL_GREATER_THAN",
    ),
    "total less than": (
        "BK-19",
        {"totalLessThan": money("20.00")},
        {"total": money("19.99")},
        {"total": money("20.00")},
        "TOTAL_LESS_THAN",
    ),
    "all together": (
        "BK-23",
        {"locations": ["mitte"], "staff": ["mara", "jonas"], "totalGreaterThan": money("5.00")},
        {"location": "mitte", "staff": "jonas"},
        {"location": "mitte", "staff": "aylin"},
        "STAFF",
    ),
}


async def test_each_condition_decides_by_itself(salon: Business) -> None:
    """BK-10, BK-12…BK-19, BK-23, BK-27: within a condition one value is enough, all conditions must hold."""
    for what, (_, conditions, meets, misses, failed) in CONDITIONS.items():
        rule = await create_rule(salon.manager, what, 10, conditions=conditions)
        assert (rule["version"], rule["name"], rule["active"]) == (1, what, True)
        earned = await record(salon.integration, f"{what}: met", **meets)
        assert (what, earned["accrual"]["points"]) == (what, 10)
        assert earned["accrual"]["lines"][0]["outcome"] == "APPLIED"
        missed = await record(salon.integration, f"{what}: missed", **misses)
        assert (what, missed["accrual"]["points"]) == (what, 0)
        (line,) = missed["accrual"]["lines"]
        assert (line["outcome"], line["failedCondition"]) == ("NOT_MATCHED", failed), what
        assert line["explanation"], what
        await salon.manager.do("earningRuleDelete", "deletedId", id=rule["id"])


async def test_a_rule_without_conditions_is_for_everything(salon: Business) -> None:
    """BK-21, SB-01, PB-02: appointments, classes and orders all earn."""
    rule = await create_rule(salon.manager, "Welcome", 10)
    assert rule["conditionSummary"] == "Always"
    for kind in ("APPOINTMENT", "CLASS", "ORDER"):
        assert (await record(salon.integration, "1", kind=kind))["accrual"]["points"] == 10


async def test_the_weekday_is_that_of_the_place_where_the_service_happens(salon: Business) -> None:
    """BK-18, C-05: 23:30 in Berlin on Wednesday is Thursday in Tbilisi, where that location has its days."""
    await salon.manager.do(
        "catalogItemsUpsert",
        "items { externalId timeZone }",
        items=[{"kind": "LOCATION", "externalId": "tbilisi", "name": "Tbilisi", "timeZone": "Asia/Tbilisi"}],
    )
    await create_rule(salon.manager, "Wednesdays", 10, conditions={"weekdays": ["WED"]})
    late = {"startsAt": "2026-03-04T23:30:00+01:00"}
    assert (await record(salon.integration, "here", **late))["accrual"]["points"] == 10
    assert (await record(salon.integration, "there", **late, location="tbilisi"))["accrual"]["points"] == 0
    await salon.manager.do("programUpdate", "__typename", accrual={"weekdayOf": "BOOKED_AT"})
    booked = {"startsAt": WEDNESDAY_NOON, "bookedAt": THURSDAY_NOON}
    assert (await record(salon.integration, "booked on Thursday", **booked))["accrual"]["points"] == 0


async def test_an_edit_is_a_new_version_and_the_past_keeps_the_old_one(salon: Business) -> None:
    """BK-28, F-04: what was earned stays explained by the name and version that were in force then."""
    rule = await create_rule(salon.manager, "Welcome", 10)
    before = await record(salon.integration, "before")
    edited = await salon.manager.do(
        "earningRuleUpdate",
        f"earningRule {{ {EARNING_RULE} }}",
        id=rule["id"],
        name="Warm welcome",
        award={"fixed": {"points": 25}},
        expectedVersion=1,
    )
    assert (edited["earningRule"]["version"], edited["earningRule"]["name"]) == (2, "Warm welcome")
    after = await record(salon.integration, "after")
    assert line_of(after) == {"ruleName": "Warm welcome", "ruleVersion": 2, "points": 25}
    again = await salon.manager.do("earningRuleUpdate", "earningRule { version }", id=rule["id"], name="Warm welcome")
    assert again["earningRule"]["version"] == 2, "an edit that changes nothing is none"
    await salon.manager.do("earningRuleDelete", "deletedId", id=rule["id"])
    assert (await salon.staff.get("{ earningRules { nodes { id } } }"))["nodes"] == []
    assert (await record(salon.integration, "after the end"))["accrual"]["points"] == 0
    for purchase, recorded in (("before", before), ("after", after)):
        assert await stored_line(salon, purchase) == line_of(recorded)
    assert line_of(before) == {"ruleName": "Welcome", "ruleVersion": 1, "points": 10}


def line_of(recorded: Json) -> Json:
    """Return which rule gave what, from the only line of an answer."""
    (line,) = recorded["accrual"]["lines"]
    return {name: line[name] for name in ("ruleName", "ruleVersion", "points")}


async def stored_line(salon: Business, purchase: str) -> Any:
    """Return the rule, points and outcome of the only line, as they are read later."""
    found = await salon.staff.get(
        "query($by: PurchaseBy!) { purchase(by: $by) { accrual { lines { ruleName ruleVersion points } } } }",
        by={"key": {"kind": "ORDER", "externalId": purchase}},
    )
    (line,) = found["accrual"]["lines"]
    return line


async def test_a_paused_rule_waits_and_can_be_switched_on_any_time(salon: Business) -> None:
    """BK-20: active=false never matches, keeps its history, and comes back."""
    rule = await create_rule(salon.manager, "Happy hour", 10)
    for name, active, points in (("on", True, 10), ("off", False, 0), ("on again", True, 10)):
        await salon.manager.do("earningRuleUpdate", "earningRule { active }", id=rule["id"], active=active)
        assert (await record(salon.integration, name))["accrual"]["points"] == points, name
        listed = await salon.staff.get(
            "query($on: Boolean) { earningRules(active: $on) { nodes { name } } }", on=active
        )
        assert listed["nodes"] == [{"name": "Happy hour"}]
    assert (await find_customer(salon.staff))["points"]["available"] == 20


async def test_a_rule_has_a_window_that_ends_just_before_its_end(salon: Business) -> None:
    """BK-27: a campaign counts from its first instant to the last one before its end."""
    window = {"startsAt": "2026-03-01T00:00:00+01:00", "endsAt": "2026-04-01T00:00:00+02:00"}
    await create_rule(salon.manager, "March", 10, **window)
    for booked_at, points in (
        ("2026-02-28T23:59:59+01:00", 0),
        ("2026-03-01T00:00:00+01:00", 10),
        ("2026-03-31T23:59:59+02:00", 10),
        ("2026-04-01T00:00:00+02:00", 0),
    ):
        recorded = await record(salon.integration, booked_at, bookedAt=booked_at)
        assert (booked_at, recorded["accrual"]["points"]) == (booked_at, points)


async def test_several_rules_are_used_together_as_the_program_says(salon: Business) -> None:
    """BK-22, C-03: SUM gives all, BEST the largest, FIRST_BY_PRIORITY the first; each rule has its line."""
    await create_rule(salon.manager, "first", 10, priority=1)
    await create_rule(salon.manager, "best", 30, priority=2)
    await create_rule(salon.manager, "elsewhere", 500, priority=3, conditions={"locations": ["wien"]})
    expected = {
        "SUM": (40, ["APPLIED", "APPLIED", "NOT_MATCHED"]),
        "BEST": (30, ["NOT_STACKED", "APPLIED", "NOT_MATCHED"]),
        "FIRST_BY_PRIORITY": (10, ["APPLIED", "NOT_STACKED", "NOT_MATCHED"]),
    }
    for stacking, (points, outcomes) in expected.items():
        await salon.manager.do("programUpdate", "program { accrual { stacking } }", accrual={"stacking": stacking})
        accrual = (await record(salon.integration, stacking))["accrual"]
        assert (stacking, accrual["points"]) == (stacking, points)
        assert [line["outcome"] for line in accrual["lines"]] == outcomes
        assert sum(line["points"] for line in accrual["lines"]) == points


async def test_points_follow_the_price(salon: Business) -> None:
    """PB-03, C-02: 1 point per 1.00 EUR; 290 € are 290 points, the fraction is rounded as the rule says."""
    rule = await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    assert rule["award"] == {
        "__typename": "PerAmountAward",
        "points": 1,
        "per": {"amount": "1.00", "currency": "EUR"},
        "rounding": "FLOOR",
    }
    for rounding, amount, points in (
        ("FLOOR", "290.00", 290),
        ("FLOOR", "99.99", 99),
        ("HALF_UP", "99.50", 100),
        ("HALF_UP", "99.49", 99),
        ("CEIL", "99.01", 100),
        ("CEIL", "0.00", 0),
    ):
        award = {"perAmount": {"points": 1, "per": money("1.00"), "rounding": rounding}}
        await salon.manager.do("earningRuleUpdate", "__typename", id=rule["id"], award=award)
        recorded = await record(salon.integration, f"{rounding} {amount}", amount)
        assert (rounding, amount, recorded["accrual"]["points"]) == (rounding, amount, points)


async def test_items_that_take_part_earn_their_own_points_per_unit(salon: Business) -> None:
    """SB-03, SB-12, SB-13, PB-04, C-04: enrolled items give their own points or the rule's; the others give none."""
    await salon.manager.do(
        "catalogItemsUpsert",
        "__typename",
        items=[
            {"kind": "SERVICE", "externalId": "cut", "name": "Cut", "enrolled": True, "pointsPerUnit": 15},
            {"kind": "CLASS", "externalId": "yoga", "name": "Yoga", "enrolled": True},
            {"kind": "PRODUCT", "externalId": "oil", "name": "Oil"},
        ],
    )
    await create_rule(salon.manager, "Per unit", {"perUnit": {"points": 4}})
    recorded = await record(
        salon.integration,
        "basket",
        "100.00",
        lines=[sold("cut", quantity=2), sold("yoga", quantity=3), sold("oil"), sold("unknown")],
    )
    assert recorded["accrual"]["points"] == 2 * 15 + 3 * 4
    await salon.manager.do("programUpdate", "__typename", accrual={"earnScope": "OPT_IN"})
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    only_others = await record(salon.integration, "others", "20.00", lines=[sold("oil"), sold("unknown")])
    assert only_others["accrual"]["points"] == 0
    assert {line["failedCondition"] for line in only_others["accrual"]["lines"]} == {"EARN_SCOPE"}


async def test_a_campaign_multiplies_what_the_others_give(salon: Business) -> None:
    """BK-27: half as much again, rounded down."""
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    campaign = await create_rule(salon.manager, "Half as much again", {"multiplier": {"factor": "1.5"}})
    assert campaign["award"] == {"__typename": "MultiplierAward", "factor": "1.5"}
    recorded = await record(salon.integration, "order", "33.00")
    assert [line["points"] for line in recorded["accrual"]["lines"]] == [33, 16]


async def test_the_table_of_rules_tells_conditions_in_words(businesses: OpenBusiness) -> None:
    """BK-24: name, award, conditions as one readable line in the tenant's language, status; in order of priority."""
    conditions = {
        "services": ["cut", "unknown"],
        "weekdays": ["TUE", "MON"],
        "totalGreaterThan": money("100.00"),
        "locations": ["mitte"],
    }
    summaries = {
        "en-GB": "Service: Cut & dry or unknown · Location: Mitte · Mon, Tue · total over 100.00 EUR",
        "de-AT": "Leistung: Cut & dry oder unknown · Standort: Mitte · Mo, Di · Gesamtbetrag über 100,00 EUR",
    }
    for locale, summary in summaries.items():
        salon = await businesses(locale=locale)
        await salon.manager.do(
            "catalogItemsUpsert",
            "__typename",
            items=[
                {"kind": "SERVICE", "externalId": "cut", "name": "Cut & dry"},
                {"kind": "LOCATION", "externalId": "mitte", "name": "Mitte"},
            ],
        )
        await create_rule(salon.manager, "second", 10, priority=20, active=False)
        await create_rule(salon.manager, "first", 10, priority=10, conditions=conditions)
        table = await salon.staff.get(f"{{ earningRules {{ nodes {{ {EARNING_RULE} }} }} }}")
        (first, second) = table["nodes"]
        assert first["conditionSummary"] == summary
        assert (first["name"], first["award"]["points"], first["active"]) == ("first", 10, True)
        assert (second["name"], second["active"]) == ("second", False)
        assert first["conditions"] == {
            "serviceCategories": [],
            "services": ["cut", "unknown"],
            "customerCategories": [],
            "locations": ["mitte"],
            "staff": [],
            "weekdays": ["MON", "TUE"],
            "totalGreaterThan": {"amount": "100.00"},
            "totalLessThan": None,
        }


async def test_rules_are_evaluated_in_the_background_of_the_booking(salon: Business) -> None:
    """BK-26, BK-29, BK-25: the booking comes back unchanged, in the same answer; rules have no mutation in bulk."""
    await create_rule(salon.manager, "Welcome", 10)
    given = purchase_of("booking", "42.00", kind="APPOINTMENT", status="CREATED", lines=[sold("cut", price="42.00")])
    payload = await salon.integration.do(
        "purchaseRecord",
        "purchase { total { amount } status lines { item amount { amount } } } accrual { points state }",
        **given,
    )
    assert payload["purchase"] == {
        "total": {"amount": "42.00"},
        "status": "CREATED",
        "lines": [{"item": "cut", "amount": {"amount": "42.00"}}],
    }
    assert payload["accrual"] == {"points": 10, "state": "AVAILABLE"}
