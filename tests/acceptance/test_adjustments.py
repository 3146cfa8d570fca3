"""Corrections by hand: both forms, both notes, what happens below zero, and never twice."""

import asyncio
from typing import Any

from tests.acceptance.business import Business
from tests.acceptance.client import (
    POINTS_ADJUSTED,
    Json,
    adjust,
    create_rule,
    find_customer,
    newest_cursor,
    record,
)

ANNA = {"externalId": "anna"}


async def furnish(salon: Business, points: int = 100) -> None:
    """Create a customer with points to adjust."""
    await create_rule(salon.manager, "Welcome", points)
    await record(salon.integration, "order-1")


async def balance(salon: Business) -> Any:
    """Return what the customer has."""
    return (await find_customer(salon.staff, "anna", "points { available debt lifetimeEarned qualifying }"))["points"]


async def test_points_are_added_and_removed_in_either_form(salon: Business) -> None:
    """BK-43, BK-44, BK-45, SB-23, SB-25, SB-28, C-18, PB-09: direction and points, or a signed amount."""
    await furnish(salon)
    customer_id = (await find_customer(salon.staff))["id"]
    for key, given, stored, available in (
        ("1", {"direction": "ADD", "points": 50}, 50, 150),
        ("2", {"direction": "REMOVE", "points": 20}, -20, 130),
        ("3", {"amount": 5}, 5, 135),
        ("4", {"amount": -50}, -50, 85),
    ):
        payload = await salon.manager.do(
            "pointsAdjust", POINTS_ADJUSTED, customer={"id": customer_id}, idempotencyKey=key, **given
        )
        assert payload["adjustment"]["points"] == payload["adjustment"]["requestedPoints"] == stored
        assert payload["adjustment"]["internalNote"] is None
        assert payload["customer"]["points"]["available"] == available


async def test_the_detail_view_tells_who_gave_what_to_whom_and_why(salon: Business) -> None:
    """BK-46, BK-47: id, customer, value, note; with reason, actor and time."""
    await furnish(salon)
    made = await adjust(salon.manager, "key", 30, reason="GOODWILL", internalNote="waited too long")
    detail = await salon.staff.get(
        """query($id: ID!) { adjustment(id: $id) {
          id customer { externalId fullName } points reason internalNote customerDescription actor qualifying createdAt
        } }""",
        id=made["adjustment"]["id"],
    )
    assert detail == {
        "id": made["adjustment"]["id"],
        "customer": {"externalId": "anna", "fullName": ""},
        "points": 30,
        "reason": "GOODWILL",
        "internalNote": "waited too long",
        "customerDescription": None,
        "actor": "The manager",
        "qualifying": True,
        "createdAt": made["adjustment"]["createdAt"],
    }


async def test_the_team_and_the_customer_read_different_notes(salon: Business) -> None:
    """SB-26, C-17: the description is for the customer, the note stays inside."""
    await furnish(salon)
    await adjust(salon.manager, "both", 1, internalNote="inside", customerDescription="outside")
    await adjust(salon.manager, "inside", 1, internalNote="only inside")
    document = '{ customer(by: {externalId: "anna"}) { activity { nodes { note } } } }'
    anna = await salon.customer("anna")
    for caller, notes in ((salon.staff, ["only inside", "inside", None]), (anna, [None, "outside", None])):
        activity = (await caller.get(document))["activity"]
        assert [entry["note"] for entry in activity["nodes"]] == notes


async def test_the_customer_is_told_at_once_with_the_description(salon: Business) -> None:
    """SB-26, SB-27: the customer's own app hears of every correction, and reads what is meant for the customer."""
    await furnish(salon)
    anna = await salon.customer("anna")
    after = await newest_cursor(salon.owner)
    document = "subscription($after: Cursor) { pointsChanged(after: $after) { entry { points note } } }"
    async with anna.follow(document, after=after) as stream:
        await adjust(salon.manager, "sorry", 25, internalNote="waited too long", customerDescription="We are sorry!")
        assert (await stream.next())["entry"] == {"points": 25, "note": "We are sorry!"}


async def test_removing_more_than_there_is_follows_the_overdraft_that_was_chosen(salon: Business) -> None:
    """C-19: REJECT by default, CLAMP takes what is there, ALLOW_NEGATIVE makes a debt that the next credit pays."""
    await furnish(salon)
    async with salon.unchanged():
        (refused,) = await salon.manager.refusals("pointsAdjust", customer=ANNA, idempotencyKey="1", amount=-101)
        assert (refused["code"], refused["available"], refused["required"]) == ("INSUFFICIENT_POINTS", 100, 101)
    clamped = await adjust(salon.manager, "2", -150, overdraft="CLAMP")
    assert (clamped["adjustment"]["points"], clamped["adjustment"]["requestedPoints"]) == (-100, -150)
    async with salon.unchanged():
        (nothing,) = await salon.manager.refusals(
            "pointsAdjust", customer=ANNA, idempotencyKey="3", amount=-1, overdraft="CLAMP"
        )
        assert nothing["code"] == "INSUFFICIENT_POINTS"
    negative = await adjust(salon.manager, "4", -30, overdraft="ALLOW_NEGATIVE")
    assert (negative["customer"]["points"]["available"], negative["customer"]["points"]["debt"]) == (0, 30)
    paid = await record(salon.integration, "order-2")
    assert (paid["customer"]["points"]["available"], paid["customer"]["points"]["debt"]) == (70, 0)
    assert await balance(salon) == {"available": 70, "debt": 0, "lifetimeEarned": 200, "qualifying": 200}


async def test_only_what_counts_for_the_tier_counts_for_the_tier(salon: Business) -> None:
    """C-07: what is added qualifies and what is removed does not, unless the caller or the reason says otherwise."""
    await furnish(salon)
    for key, amount, details, qualifying in (
        ("added", 10, {}, 110),
        ("removed", -10, {}, 110),
        ("corrected", -10, {"reason": "CORRECTION"}, 100),
        ("a gift", 10, {"qualifying": False}, 100),
        ("taken back", -10, {"qualifying": True}, 90),
    ):
        adjusted = await adjust(salon.manager, key, amount, **details)
        assert (key, adjusted["customer"]["points"]["qualifying"]) == (key, qualifying)
    assert (await balance(salon))["lifetimeEarned"] == 100


async def test_the_same_key_never_counts_twice(salon: Business) -> None:
    """F-33: the same request is answered the same, another one with the same key is a conflict."""
    await furnish(salon)
    first = await adjust(salon.manager, "key", 25, internalNote="once")
    assert not first["replayed"]
    async with salon.unchanged():
        for server in salon.installation.servers:
            again = await adjust(salon.manager.at(server), "key", 25, internalNote="once")
            assert again == {**first, "replayed": True}
        for other in ({"amount": 26}, {"amount": 25}, {"amount": 25, "internalNote": "twice"}):
            (conflict,) = await salon.manager.refusals("pointsAdjust", customer=ANNA, idempotencyKey="key", **other)
            assert (conflict["code"], conflict["path"]) == ("IDEMPOTENCY_CONFLICT", ["idempotencyKey"])


async def test_fifty_at_once_take_the_whole_balance_once(salon: Business) -> None:
    """F-10: 50 parallel removals of everything, on two servers: one succeeds, 49 are told what is left."""
    await furnish(salon)
    servers = salon.installation.servers

    async def take(number: int) -> Json:
        payload: Json = await salon.manager.at(servers[number % 2]).mutate(
            "pointsAdjust", "adjustment { points }", customer=ANNA, idempotencyKey=f"take {number}", amount=-100
        )
        return payload

    answers = await asyncio.gather(*(take(number) for number in range(50)))
    done = [answer for answer in answers if not answer["userErrors"]]
    refused = [answer["userErrors"][0] for answer in answers if answer["userErrors"]]
    assert len(done) == 1
    assert [(error["code"], error["available"]) for error in refused] == [("INSUFFICIENT_POINTS", 0)] * 49
    assert (await balance(salon))["available"] == 0


async def test_the_same_key_at_the_same_time_counts_once(salon: Business) -> None:
    """F-33, F-10: two clicks at once on two servers count as one."""
    await furnish(salon)
    servers = salon.installation.servers
    answers = await asyncio.gather(*(adjust(salon.manager.at(servers[number % 2]), "key", 7) for number in range(10)))
    assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 9
    assert len({answer["adjustment"]["id"] for answer in answers}) == 1
    assert (await balance(salon))["available"] == 107
