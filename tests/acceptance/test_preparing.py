"""A program is prepared as a whole while it is off, says what it still lacks, and works when it is switched on."""

from tests.acceptance.business import Business
from tests.acceptance.client import Json, create_rule, mutation, purchase_of, record

CHECKS = "checks { code message path }"


async def lacks(salon: Business) -> list[str]:
    """Return the codes of what the program lacks."""
    found: list[Json] = (await salon.staff.get(f"{{ program {{ {CHECKS} }} }}"))["checks"]
    return [check["code"] for check in found]


async def test_everything_is_prepared_while_the_program_is_off(salon: Business) -> None:
    """Rules, tiers, catalogue, presets, customers and what they bring along; then it is switched on and earns."""
    do = salon.manager.do
    await do("programUpdate", "program { enabled }", enabled=False)
    assert await lacks(salon) == ["PROGRAM_OFF", "NOTHING_EARNS", "NO_TIERS", "REDEMPTION_OFF"]
    await do("programUpdate", "program { version }", redemption={"enabled": True})
    made = await do(
        "programApplyPreset", f"earningRule {{ name award {{ __typename }} }} {CHECKS}", preset="SHOP", createRule=True
    )
    assert made["earningRule"] == {"name": "Preset SHOP", "award": {"__typename": "PerAmountAward"}}
    assert [check["code"] for check in made["checks"]] == ["PROGRAM_OFF", "NO_TIERS"]
    await do("tierCreate", "tier { name customerCount } job { jobState }", name="Gold", color="#D4AF37", minPoints=50)
    items = [{"kind": "SERVICE", "externalId": "cut", "name": "Cut", "pointsPerUnit": 5}]
    await do("catalogItemsUpsert", "items { id name }", items=items)
    await do("customerUpsert", "customer { id tier { name } account { available } }", externalId="ben", fullName="Ben")
    customer = "fullName account { available } activity { nodes { points } }"
    brought = await do(
        "openingBalancesImport",
        f"results {{ openingBalance {{ points customer {{ {customer} }} }} }}",
        items=[{"customer": {"externalId": "anna", "fullName": "Anna"}, "points": 60}],
    )
    assert brought["results"][0]["openingBalance"]["customer"] == {
        "fullName": "Anna",
        "account": {"available": 60},
        "activity": {"nodes": [{"points": 60}]},
    }
    found = await salon.staff.get("{ customers(having: ANY) { nodes { externalId } } }")
    assert {row["externalId"] for row in found["nodes"]} == {"anna", "ben"}
    checks = (await salon.staff.get(f"{{ program {{ {CHECKS} }} }}"))["checks"]
    assert [(check["code"], check["path"]) for check in checks] == [
        ("PROGRAM_OFF", ["enabled"]),
        ("ITEM_WITHOUT_RULE", ["catalogItems", "SERVICE", "cut"]),
    ]
    await create_rule(salon.manager, "Per unit", {"perUnit": {"points": 1}})
    await do("programUpdate", "program { enabled }", enabled=True)
    assert await lacks(salon) == []
    assert (await record(salon.integration, "order-1", "20.00", customer="anna"))["accrual"]["points"] == 20


async def test_a_preset_adds_a_rule_only_where_none_gives_points_and_only_when_asked(salon: Business) -> None:
    """A program with rules of its own would give twice as much."""
    for preset in ("BOOKNETIC", "SHOP", "SIMPLYBOOK"):
        made = await salon.manager.do("programApplyPreset", f"earningRule {{ id }} {CHECKS}", preset=preset)
        assert made["earningRule"] is None
        assert made["checks"][0]["code"] == "NOTHING_EARNS"
    await create_rule(salon.manager, "Double", {"multiplier": {"factor": "2"}})
    made = await salon.manager.do(
        "programApplyPreset", f"earningRule {{ name }} {CHECKS}", preset="SIMPLYBOOK", createRule=True
    )
    assert made["earningRule"] == {"name": "Preset SIMPLYBOOK"}
    assert [check["code"] for check in made["checks"]][:2] == ["NOTHING_EARNS", "NOTHING_ENROLLED"]
    again = await salon.manager.do("programApplyPreset", "earningRule { id }", preset="SHOP", createRule=True)
    assert again["earningRule"] is None
    rules = await salon.staff.get("{ earningRules { nodes { name } } }")
    assert [row["name"] for row in rules["nodes"]] == ["Double", "Preset SIMPLYBOOK"]


async def test_customers_are_told_nothing_of_what_a_program_lacks(salon: Business) -> None:
    """Checks are for the team."""
    await record(salon.integration, "order-1", "20.00", customer="anna")
    anna = await salon.customer("anna")
    assert (await anna.get("{ program { checks { code } } }"))["checks"] == []
    assert (await lacks(salon))[0] == "NOTHING_EARNS"


async def test_nothing_is_earned_or_spent_while_the_program_is_off(salon: Business) -> None:
    """What is prepared is no running program."""
    await create_rule(salon.manager, "Ten", 10)
    await salon.manager.do("programUpdate", "program { enabled }", enabled=False)
    adjustment = {"customer": {"externalId": "anna"}, "amount": 5, "idempotencyKey": "a"}
    async with salon.unchanged():
        for name, given in (("purchaseRecord", purchase_of("1", "10.00")), ("pointsAdjust", adjustment)):
            answer = await salon.owner.answer(mutation(name, "__typename"), input=given)
            assert answer["errors"][0]["extensions"]["code"] == "FEATURE_DISABLED", name
