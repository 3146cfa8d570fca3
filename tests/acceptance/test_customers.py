"""The list of customers: who is in it, how they are found, and what their rows tell."""

from typing import Any

from tests.acceptance.business import Business
from tests.acceptance.client import ONE_PER_EURO, Json, adjust, create_rule, create_tier, record

NAMES = {
    "anna": "Anna Ärmel",
    "ben": "Ben Zimmer",
    "clara": "Clara Anders",
    "dora": "Dora Müller-Lüdenscheidt",
}


async def furnish(salon: Business) -> None:
    """Create four customers: anna with 100 points, ben with 50, clara who spent all, and dora with debt."""
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    await create_tier(salon.manager, "Silver", 60)
    for name, amount in (("anna", "100.00"), ("ben", "50.00"), ("clara", "70.00"), ("dora", "10.00")):
        profile = {"externalId": name, "fullName": NAMES[name], "email": f"{name}@example.com"}
        await record(salon.integration, f"order of {name}", amount, customer=profile)
    await adjust(salon.manager, "clara spends", -70, customer="clara")
    await adjust(salon.manager, "dora owes", -15, customer="dora", overdraft="ALLOW_NEGATIVE")


async def names(salon: Business, **arguments: Any) -> list[str]:
    """Return the external ids of the customers in the list."""
    found = await salon.staff.get(
        """query($having: PointsFilter! = AVAILABLE, $search: String, $tier: ID, $order: CustomerOrder! = NAME) {
          customers(having: $having, search: $search, tier: $tier, orderBy: $order) { nodes { externalId } }
        }""",
        **arguments,
    )
    return [customer["externalId"] for customer in found["nodes"]]


async def test_the_list_holds_only_customers_who_have_points(salon: Business) -> None:
    """BK-40, C-09: those with something available; who spends the last point vanishes, and comes by filter."""
    await furnish(salon)
    assert await names(salon) == ["anna", "ben"]
    assert await names(salon, having="NONE") == ["clara", "dora"]
    assert await names(salon, having="DEBT") == ["dora"]
    assert await names(salon, having="PENDING") == []
    assert await names(salon, having="ANY") == ["anna", "ben", "clara", "dora"]
    await adjust(salon.manager, "ben spends", -50, customer="ben")
    assert await names(salon) == ["anna"]


async def test_a_row_tells_name_e_mail_picture_points_and_tier(salon: Business) -> None:
    """BK-41, BK-42, SB-29: all of it in one list, with the history one field away."""
    await furnish(salon)
    await record(
        salon.integration,
        "with a picture",
        "1.00",
        customer={"externalId": "anna", "avatarUrl": "https://example.com/anna.png"},
    )
    rows = await salon.staff.get(
        """{ customers(orderBy: POINTS) { nodes {
          fullName email avatarUrl points { available value { amount currency } } tier { name color }
          activity(first: 1) { nodes { points } }
        } } }"""
    )
    assert rows["nodes"] == [
        {
            "fullName": "Anna Ärmel",
            "email": "anna@example.com",
            "avatarUrl": "https://example.com/anna.png",
            "points": {"available": 101, "value": {"amount": "1.01", "currency": "EUR"}},
            "tier": {"name": "Silver", "color": "#C0C0C0"},
            "activity": {"nodes": [{"points": 1}]},
        },
        {
            "fullName": "Ben Zimmer",
            "email": "ben@example.com",
            "avatarUrl": None,
            "points": {"available": 50, "value": {"amount": "0.50", "currency": "EUR"}},
            "tier": None,
            "activity": {"nodes": [{"points": 50}]},
        },
    ]


async def test_customers_are_found_by_what_people_type(salon: Business) -> None:
    """SB-24: the beginning of name, family name, e-mail or external id, without regard to case and accents."""
    await furnish(salon)
    for text, found in (
        ("ann", ["anna"]),
        ("ANNA ARM", ["anna"]),
        ("ärm", ["anna"]),
        ("zimmer", ["ben"]),
        ("clara@ex", ["clara"]),
        ("Dora Mu", ["dora"]),
        ("müller", ["dora"]),
        ("an", ["anna", "clara"]),
        ("nobody", []),
        ("%", []),
        ("_", []),
        ("' OR 1=1 --", []),
    ):
        assert (text, sorted(await names(salon, having="ANY", search=text))) == (text, found)


async def test_the_list_has_orders_and_a_filter_by_tier(salon: Business) -> None:
    """BK-42, BK-36: by name, by points, newest first; and the customers of one tier."""
    await furnish(salon)
    assert (await names(salon, having="ANY", order="POINTS"))[:2] == ["anna", "ben"]
    assert await names(salon, having="ANY", order="NEWEST") == ["dora", "clara", "ben", "anna"]
    silver = (await salon.staff.get("{ tiers { id } }"))[0]["id"]
    assert await names(salon, having="ANY", tier=silver) == ["anna", "clara"]


async def test_a_click_on_a_row_shows_the_history(salon: Business) -> None:
    """SB-29, SB-15, BK-60: every change of the balance has exactly one line, and they add up to it."""
    await furnish(salon)
    found: Json = await salon.staff.get(
        """{ customer(by: {externalId: "dora"}) {
          points { available debt } activity { nodes { points balanceAfter kind } }
        } }"""
    )
    entries = found["activity"]["nodes"]
    assert entries == [
        {"points": -15, "balanceAfter": -5, "kind": "ADJUSTED"},
        {"points": 10, "balanceAfter": 10, "kind": "EARNED"},
    ]
    assert sum(entry["points"] for entry in entries) == found["points"]["available"] - found["points"]["debt"]
