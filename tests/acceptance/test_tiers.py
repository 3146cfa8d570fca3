"""Tiers through the API: the table, the edits that move everybody, and what a customer sees of the way up."""

import pytest

from tests.acceptance.business import Business
from tests.acceptance.client import (
    CUSTOMER,
    ONE_PER_EURO,
    Json,
    adjust,
    create_rule,
    create_tier,
    find_customer,
    job_done,
    record,
)
from tests.acceptance.conftest import OpenBusiness

TABLE = "{ tiers { name color minPoints customerCount } }"


async def furnish(salon: Business) -> dict[str, str]:
    """Set a point per euro, and the tiers Regular from 0, Silver from 100 and Gold from 300.

    Return their ids by name.
    """
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    plan = (("Gold", 300, "#d4af37"), ("Regular", 0, "#8D6E63"), ("Silver", 100, "#B0BEC5"))
    return {name: await create_tier(salon.manager, name, minimum, color) for name, minimum, color in plan}


async def spend(salon: Business, amounts: Json) -> None:
    """Record one purchase for each customer."""
    for name, amount in amounts.items():
        await record(salon.integration, f"{name} {amount}", amount, customer=name)


async def tiers_of(salon: Business, *names: str) -> list[str | None]:
    """Return the names of the customers' tiers."""
    found = [await find_customer(salon.staff, name, "tier { name }") for name in names]
    return [customer["tier"] and customer["tier"]["name"] for customer in found]


async def test_the_table_of_tiers_counts_its_customers(salon: Business) -> None:
    """BK-30, BK-31, BK-32, BK-36: name, colour, minimum and the exact number of customers, lowest first."""
    await furnish(salon)
    await spend(salon, {"anna": "300.00", "ben": "99.99", "clara": "100.00", "dora": "299.99"})
    assert await salon.staff.get(TABLE) == [
        {"name": "Regular", "color": "#8D6E63", "minPoints": 0, "customerCount": 1},
        {"name": "Silver", "color": "#B0BEC5", "minPoints": 100, "customerCount": 2},
        {"name": "Gold", "color": "#D4AF37", "minPoints": 300, "customerCount": 1},
    ]


async def test_a_customer_stands_in_the_highest_tier_they_qualify_for(salon: Business) -> None:
    """BK-34, BK-35, F-29: at the very minimum, just below it, and over several tiers in one purchase."""
    await furnish(salon)
    for amount, tier, upgraded in (
        ("99.00", "Regular", None),
        ("100.00", "Silver", "Silver"),
        ("299.00", "Silver", "Silver"),
        ("300.00", "Gold", "Gold"),
        ("9000.00", "Gold", "Gold"),
    ):
        recorded = await record(salon.integration, amount, amount, customer=f"spends {amount}")
        assert (amount, recorded["customer"]["tier"]["name"]) == (amount, tier)
        assert (recorded["tierUpgrade"] and recorded["tierUpgrade"]["tier"]["name"]) == upgraded


async def test_spending_points_lowers_no_tier(salon: Business) -> None:
    """BK-33, C-07, F-30: tiers look at what was collected; only a correction of a mistake takes it back."""
    await furnish(salon)
    await spend(salon, {"anna": "120.00"})
    spent = await adjust(salon.manager, "spent", -120)
    assert (spent["customer"]["points"]["available"], spent["customer"]["tier"]["name"]) == (0, "Silver")
    given = await adjust(salon.manager, "given", 180, reason="LOYALTY_BONUS")
    assert (given["customer"]["tier"]["name"], given["tierUpgrade"]["cause"]) == ("Gold", "ADJUSTMENT")
    mistake = await adjust(salon.manager, "mistake", -180, reason="CORRECTION")
    assert mistake["customer"]["tier"]["name"] == "Silver"
    assert mistake["tierUpgrade"] is None


async def test_an_edit_of_a_tier_moves_everybody_and_shows_how_far_it_is(salon: Business) -> None:
    """BK-35, BK-36, F-31: a job re-tiers all customers; a deleted tier's customers go to the next lower one."""
    tiers = await furnish(salon)
    await spend(salon, {"anna": "300.00", "ben": "150.00", "clara": "50.00"})
    raised = await salon.manager.do("tierUpdate", "tier { minPoints } job { id }", id=tiers["Gold"], minPoints=500)
    assert await job_done(salon.staff, raised["job"]["id"]) == {"state": "DONE", "done": 3, "total": 3, "problem": None}
    assert await tiers_of(salon, "anna", "ben", "clara") == ["Silver", "Silver", "Regular"]
    await create_tier(salon.manager, "Bronze", 40)
    assert await tiers_of(salon, "anna", "ben", "clara") == ["Silver", "Silver", "Bronze"]
    deleted = await salon.manager.do("tierDelete", "deletedId job { id }", id=tiers["Silver"])
    assert deleted["deletedId"] == tiers["Silver"]
    await job_done(salon.staff, deleted["job"]["id"])
    assert await tiers_of(salon, "anna", "ben", "clara") == ["Bronze", "Bronze", "Bronze"]
    counts = await salon.staff.get("{ tiers { name customerCount } }")
    assert {tier["name"]: tier["customerCount"] for tier in counts} == {"Regular": 0, "Bronze": 3, "Gold": 0}
    gone = await salon.staff.get(
        "query($id: ID!) { node(id: $id) { ... on Tier { name customerCount } } }", id=tiers["Silver"]
    )
    assert gone in (None, {"name": "Silver", "customerCount": 0})


async def test_names_and_minimums_of_deleted_tiers_are_free_again(salon: Business) -> None:
    """BK-30, BK-32: unique among the tiers in force."""
    tiers = await furnish(salon)
    await salon.manager.do("tierDelete", "__typename", id=tiers["Silver"])
    await create_tier(salon.manager, "Silver", 100)
    twice = await salon.manager.refusals("tierDelete", id=tiers["Silver"])
    assert [(error["code"], error["path"]) for error in twice] == [("NOT_FOUND", ["id"])]


@pytest.mark.parametrize(
    ("amount", "progress"),
    [
        pytest.param("0.00", ("Regular", "Silver", 100, 0, False), id="BK-93 at the minimum: 0 percent"),
        pytest.param("50.00", ("Regular", "Silver", 50, 50, False), id="BK-92 half way"),
        pytest.param("100.00", ("Silver", "Gold", 200, 0, False), id="BK-93 from the current tier, not from nothing"),
        pytest.param("299.00", ("Silver", "Gold", 1, 99, False), id="BK-93 rounded down"),
        pytest.param("300.00", ("Gold", None, None, 100, True), id="BK-94 the top: unlimited, 100 percent"),
    ],
)
async def test_a_customer_sees_the_way_to_the_next_tier(
    salon: Business, amount: str, progress: tuple[object, ...]
) -> None:
    """BK-90…BK-95: the customer's own app, with the customer's own token."""
    await furnish(salon)
    recorded = await record(salon.integration, "order", amount)
    anna = await salon.customer("anna")
    me = await anna.get(f"{{ me {{ {CUSTOMER} }} }}")
    assert me == recorded["customer"]
    assert me["points"]["lifetimeEarned"] == me["points"]["available"] == int(float(amount))
    shown = me["tierProgress"]
    assert (
        shown["current"]["name"],
        shown["next"] and shown["next"]["name"],
        shown["pointsToNext"],
        shown["percent"],
        shown["unlimited"],
    ) == progress
    assert me["tier"]["name"] == progress[0]


async def test_without_tiers_and_below_the_first_there_is_progress_all_the_same(salon: Business) -> None:
    """BK-93: no tier at all; then one that begins above the customer."""
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    nothing = await record(salon.integration, "order", "25.00")
    assert nothing["customer"]["tier"] is None
    assert nothing["customer"]["tierProgress"] == {
        "current": None,
        "next": None,
        "pointsToNext": None,
        "percent": 0,
        "unlimited": False,
    }
    await create_tier(salon.manager, "Club", 100)
    below = await find_customer(salon.staff)
    assert below["tierProgress"] == {
        "current": None,
        "next": {"name": "Club"},
        "pointsToNext": 75,
        "percent": 25,
        "unlimited": False,
    }


async def test_a_policy_counts_what_the_salon_wants(salon: Business) -> None:
    """C-07, BK-33: what is left out stays as it is; a mistake names its field."""
    shown = "program { tiering { basis window downgrade graceDays } } job { id }"
    changed = await salon.manager.do("programUpdate", shown, tiering={"basis": "EARNED_IN_WINDOW", "graceDays": 20})
    policy = {"basis": "EARNED_IN_WINDOW", "window": "YEAR", "downgrade": "AT_WINDOW_END", "graceDays": 20}
    assert changed["program"]["tiering"] == policy
    assert (await job_done(salon.staff, changed["job"]["id"]))["state"] == "DONE"
    same = await salon.manager.do("programUpdate", shown, tiering={"window": "YEAR"})
    assert (same["program"]["tiering"], same["job"]) == (policy, None)
    for wrong, path in (({"graceDays": 365}, "graceDays"), ({"basis": None}, "basis")):
        (refusal,) = await salon.manager.refusals("programUpdate", tiering=wrong)
        assert (refusal["code"], refusal["path"]) == ("INVALID_INPUT", ["tiering", path])


async def test_years_pass_in_a_sandbox(businesses: OpenBusiness) -> None:
    """BK-33, C-07: what was earned in one year holds a tier until the next one is over, and 30 days longer."""
    salon = await businesses(sandbox=True)
    await furnish(salon)
    changed = await salon.manager.do(
        "programUpdate", "job { id }", tiering={"basis": "EARNED_IN_WINDOW", "graceDays": 30}
    )
    await job_done(salon.staff, changed["job"]["id"])
    await spend(salon, {"anna": "300.00"})
    seen = []
    for step, days in enumerate((366, 300, 100)):
        await salon.manager.do("sandboxClockAdvance", "now", by=f"P{days}D", idempotencyKey=f"{step}")
        anna = await find_customer(salon.staff, "anna", "tier { name } points { qualifying lifetimeEarned }")
        seen.append((anna["tier"]["name"], anna["points"]["qualifying"], anna["points"]["lifetimeEarned"]))
    assert seen[0] == ("Gold", 0, 300)
    assert seen[-1] == ("Regular", 0, 300)


async def test_a_tier_that_is_set_by_hand_stays(salon: Business) -> None:
    """C-27: with its note in the history, for the team only; a lock ends when it is told to."""
    tiers = await furnish(salon)
    await spend(salon, {"anna": "120.00"})
    fields = "customer { tier { name } tierLock { until } } replayed"
    given = {
        "customer": {"externalId": "anna"},
        "tier": tiers["Gold"],
        "until": "2999-01-01T00:00:00Z",
        "note": "VIP",
        "idempotencyKey": "vip",
    }
    locked = await salon.manager.do("customerTierSet", fields, **given)
    until = locked["customer"]["tierLock"]["until"]
    assert (locked["customer"]["tier"]["name"], until[:10], locked["replayed"]) == ("Gold", "2999-01-01", False)
    assert (await salon.manager.do("customerTierSet", fields, **given))["replayed"]
    anna = await salon.customer("anna")
    document = "{ me { tierHistory { cause note actor tier { name } previousTier { name } } } }"
    newest = (await anna.get(document))["tierHistory"][0]
    assert newest == {
        "cause": "MANUAL",
        "note": None,
        "actor": None,
        "tier": {"name": "Gold"},
        "previousTier": {"name": "Silver"},
    }
    history = await find_customer(salon.staff, "anna", "tierHistory { cause note }")
    assert history["tierHistory"][0] == {"cause": "MANUAL", "note": "VIP"}
    freed = await salon.manager.do("customerTierUnlock", fields.replace("replayed", ""), customer=given["customer"])
    assert freed["customer"] == {"tier": {"name": "Silver"}, "tierLock": None}
    del given["tier"]
    (refusal,) = await salon.manager.refusals("customerTierSet", **given)
    assert (refusal["code"], refusal["path"]) == ("INVALID_INPUT", ["tier"])


async def test_a_tier_gives_more(salon: Business) -> None:
    """C-06: a benefit, as text of a decimal; a purchase that leads up does not profit from it yet."""
    tiers = await furnish(salon)
    changed = await salon.manager.do(
        "tierUpdate", "tier { earningFactor } job { id }", id=tiers["Silver"], earningFactor="1.25"
    )
    assert changed["tier"] == {"earningFactor": "1.25"}
    await job_done(salon.staff, changed["job"]["id"])
    await spend(salon, {"anna": "100.00"})
    second = await record(salon.integration, "second", "10.00")
    assert second["accrual"]["points"] == 12
    for wrong in ("0.5", "101", "1.00001"):
        (refusal,) = await salon.manager.refusals("tierUpdate", id=tiers["Silver"], earningFactor=wrong)
        assert (refusal["code"], refusal["path"]) == ("INVALID_INPUT", ["earningFactor"])
