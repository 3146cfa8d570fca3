"""What Treue is for: a purchase earns points, the tier rises, and subscribers see it at once."""

from tests.acceptance.business import Business
from tests.acceptance.client import (
    CUSTOMER,
    ONE_PER_EURO,
    POINTS_CHANGED,
    TIER_UPGRADED,
    create_rule,
    create_tier,
    find_customer,
    newest_cursor,
    record,
)


async def prepare(salon: Business) -> None:
    """Set one point per euro, and create three tiers."""
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    for name, min_points in (("Regular", 0), ("Silver", 500), ("Gold", 1_500)):
        await create_tier(salon.manager, name, min_points)


async def test_a_purchase_raises_a_customer_from_silver_to_gold_before_everybodys_eyes(salon: Business) -> None:
    """PB-03, BK-03, BK-35, BK-100, F-32: 1 EUR = 1 point, Silver → Gold, seen at once on two servers and by SSE."""
    await prepare(salon)
    first, second = salon.installation.servers
    silver = await record(salon.integration, "a wedding", "600.00")
    assert silver["tierUpgrade"]["tier"]["name"] == "Silver"
    after = await newest_cursor(salon.owner)
    anna = await salon.customer("anna")
    async with (
        salon.manager.at(first).follow(TIER_UPGRADED, after=after) as here,
        salon.staff.at(second).follow(TIER_UPGRADED, after=after) as there,
        anna.at(second).stream(TIER_UPGRADED, after=after) as in_the_app,
        anna.at(first).follow(POINTS_CHANGED, after=after) as balance,
    ):
        gold = await record(salon.integration.at(second), "a year of colour", "900.00")
        seen = [await stream.next() for stream in (here, there, in_the_app)]
        change = await balance.next()

    upgrade = {
        "customer": {"externalId": "anna"},
        "previousTier": {"name": "Silver"},
        "tier": {"name": "Gold"},
        "cause": "ACCRUAL",
        "qualifyingPoints": 1_500,
    }
    assert gold["tierUpgrade"] == upgrade
    assert [{**event, "cursor": "", "occurredAt": ""} for event in seen] == [
        {**upgrade, "cursor": "", "occurredAt": ""}
    ] * 3
    assert seen[0] == seen[1] == seen[2]
    assert change["entry"]["points"] == 900
    assert change["points"] == {"available": 1_500, "qualifying": 1_500}
    # Everybody agrees: the answer of the mutation, the team on the other server, and the customer.
    for caller in (salon.staff.at(first), salon.staff.at(second), anna.at(first)):
        assert await find_customer(caller) == gold["customer"]
    assert await anna.get(f"{{ me {{ {CUSTOMER} }} }}") == gold["customer"]
    assert gold["customer"]["points"]["available"] == 1_500
    assert gold["customer"]["tier"]["name"] == "Gold"
    assert gold["customer"]["tierProgress"] == {
        "current": {"name": "Gold"},
        "next": None,
        "pointsToNext": None,
        "percent": 100,
        "unlimited": True,
    }


async def test_every_way_to_reach_the_purchase_shows_the_same_points(salon: Business) -> None:
    """BK-60, BK-22: the accrual, the purchase, the entry and its reference are one story."""
    await prepare(salon)
    recorded = await record(salon.integration, "order-1", "290.00")
    assert recorded["accrual"]["points"] == 290
    story = await salon.staff.ask(
        """{
          purchase(by: {key: {kind: ORDER, externalId: "order-1"}}) {
            id total { amount currency } customer { externalId } accrual { points lines { ruleName points } }
          }
          customer(by: {externalId: "anna"}) {
            activity { nodes { kind points balanceAfter reference { ... on Purchase { id externalId } } } }
          }
        }"""
    )
    assert story["purchase"] == {
        "id": recorded["purchase"]["id"],
        "total": {"amount": "290.00", "currency": "EUR"},
        "customer": {"externalId": "anna"},
        "accrual": {"points": 290, "lines": [{"ruleName": "A point per euro", "points": 290}]},
    }
    assert story["customer"]["activity"]["nodes"] == [
        {
            "kind": "EARNED",
            "points": 290,
            "balanceAfter": 290,
            "reference": {"id": recorded["purchase"]["id"], "externalId": "order-1"},
        }
    ]
