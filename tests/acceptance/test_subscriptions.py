"""Subscriptions: what they tell, what they leave out, and how they go on where they stopped."""

import asyncio

from tests.acceptance.business import Business
from tests.acceptance.client import (
    ONE_PER_EURO,
    POINTS_CHANGED,
    TIER_UPGRADED,
    Json,
    adjust,
    create_rule,
    create_tier,
    find_customer,
    job_done,
    newest_cursor,
    record,
)


async def test_every_entry_is_told_once_in_the_order_of_its_customer(salon: Business) -> None:
    """BK-107, C-10, F-32: what two servers book at once is streamed once, and agrees with the ledger."""
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    after = await newest_cursor(salon.owner)
    first, second = salon.installation.servers
    async with salon.staff.at(second).follow(POINTS_CHANGED, after=after) as stream:
        await asyncio.gather(
            *(
                record(
                    salon.integration.at((first, second)[number % 2]),
                    f"order-{number}",
                    f"{number + 1}.00",
                    customer=f"customer-{number % 3}",
                )
                for number in range(30)
            )
        )
        await adjust(salon.manager, "bonus", 5, customer="customer-0")
        told = await stream.take(31)
    assert len({event["cursor"] for event in told}) == len({event["entry"]["id"] for event in told}) == 31
    for number in range(3):
        name = f"customer-{number}"
        entries = [event["entry"] for event in told if event["entry"]["customer"]["externalId"] == name]
        found = await find_customer(salon.staff, name, "activity(first: 50) { nodes { id points balanceAfter } }")
        ledger = [{key: entry[key] for key in ("id", "points", "balanceAfter")} for entry in reversed(entries)]
        assert ledger == found["activity"]["nodes"]
    assert told[-1]["entry"] | {"id": ""} == {
        "id": "",
        "kind": "ADJUSTED",
        "points": 5,
        "balanceAfter": told[-1]["points"]["available"],
        "customer": {"externalId": "customer-0"},
    }


async def test_a_stream_goes_on_after_any_cursor_without_gap_or_repetition(salon: Business) -> None:
    """Every cursor is a place to go on from, on any server, over WebSocket and as server-sent events."""
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    after = await newest_cursor(salon.owner)
    for number in range(6):
        await record(salon.integration, f"order-{number}", f"{number + 1}.00")
    async with salon.staff.follow(POINTS_CHANGED, after=after) as stream:
        told = await stream.take(6)
    assert [event["entry"]["points"] for event in told] == [1, 2, 3, 4, 5, 6]
    for position, event in enumerate(told):
        caller = salon.staff.at(salon.installation.servers[position % 2])
        follow = caller.follow if position % 3 else caller.stream
        async with follow(POINTS_CHANGED, after=event["cursor"]) as stream:
            assert await stream.take(5 - position) == told[position + 1 :]


async def test_a_stream_that_has_caught_up_goes_live(salon: Business) -> None:
    """No event is lost or repeated where the past meets the present."""
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    after = await newest_cursor(salon.owner)
    async with salon.staff.follow(POINTS_CHANGED, after=after) as stream:
        for number in range(10):
            recorded = await record(salon.integration, f"order-{number}", "1.00")
            event = await stream.next()
            assert event["points"]["available"] == recorded["customer"]["points"]["available"] == number + 1


async def test_who_reads_the_cursor_before_the_state_misses_nothing(salon: Business) -> None:
    """F-32: cursor, then state, then subscription: what happens in between comes, on whichever server."""
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    first, second = salon.installation.servers
    screen = salon.staff.at(second)
    after = await screen.get("{ eventCursor }")
    await record(salon.integration.at(first), "in between", "7.00")
    async with screen.follow(POINTS_CHANGED, after=after) as stream:
        assert (await stream.next())["entry"]["points"] == 7


async def rise(salon: Business, name: str, locale: str | None = None, amount: str = "100.00") -> Json:
    """Record a purchase that lifts a customer to a higher tier."""
    return await record(salon.integration, f"{name} {amount}", amount, customer={"externalId": name, "locale": locale})


async def upgrades(salon: Business, after: str, count: int, **filters: object) -> list[tuple[str, str]]:
    """Return who rose to what, as a subscription with these filters tells it."""
    async with salon.staff.follow(TIER_UPGRADED, after=after, **filters) as stream:
        told = await stream.take(count)
    return [(event["customer"]["externalId"], event["tier"]["name"]) for event in told]


async def test_upgrades_are_filtered_by_tier_language_and_customer(salon: Business) -> None:
    """BK-100, BK-101, BK-102: filters by tier, by locale with its prefix (de takes de-AT), by customer."""
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    silver = await create_tier(salon.manager, "Silver", 100)
    gold = await create_tier(salon.manager, "Gold", 300)
    after = await newest_cursor(salon.owner)
    await rise(salon, "anna", "de-AT")
    await rise(salon, "ben", "en-GB", "300.00")
    await rise(salon, "clara", "de", "120.00")
    await rise(salon, "nobody knows")
    await rise(salon, "anna", "de-AT", "250.00")
    await rise(salon, "den", "den")
    # The last one closes every list: what should have been left out would have come before it.
    await rise(salon, "last", "de-DE", "100.00")
    await rise(salon, "last", "de-DE", "200.00")
    everything = [
        ("anna", "Silver"),
        ("ben", "Gold"),
        ("clara", "Silver"),
        ("nobody knows", "Silver"),
        ("anna", "Gold"),
        ("den", "Silver"),
        ("last", "Silver"),
        ("last", "Gold"),
    ]
    assert await upgrades(salon, after, 8) == everything
    assert await upgrades(salon, after, 3, tiers=[gold]) == [event for event in everything if event[1] == "Gold"]
    assert await upgrades(salon, after, 8, tiers=[gold, silver]) == everything
    german = [event for event in everything if event[0] in {"anna", "clara", "last"}]
    assert await upgrades(salon, after, 5, locale="de") == german
    assert await upgrades(salon, after, 2, locale="DE-at") == [("anna", "Silver"), ("anna", "Gold")]
    assert await upgrades(salon, after, 2, locale="de_AT") == [("anna", "Silver"), ("anna", "Gold")]
    assert await upgrades(salon, after, 1, locale="en") == [("ben", "Gold")]
    assert await upgrades(salon, after, 2, customer={"externalId": "anna"}) == [("anna", "Silver"), ("anna", "Gold")]
    assert await upgrades(salon, after, 2, tiers=[gold], locale="de") == [("anna", "Gold"), ("last", "Gold")]


async def test_upgrades_tell_why_and_by_default_only_of_collected_points(salon: Business) -> None:
    """C-27, BK-100: corrections and changes of the program are told when asked for; going down is no upgrade."""
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    await create_tier(salon.manager, "Silver", 100)
    for name in ("anna", "ben", "clara"):
        await record(salon.integration, f"first of {name}", "60.00", customer=name)
    after = await newest_cursor(salon.owner)
    await adjust(salon.manager, "up", 40)
    await adjust(salon.manager, "down", -40, reason="CORRECTION")
    bronze = await salon.manager.do("tierCreate", "job { id }", name="Bronze", color="#CD7F32", minPoints=50)
    await job_done(salon.staff, bronze["job"]["id"])
    await record(salon.integration, "second of ben", "40.00", customer="ben")
    assert await upgrades(salon, after, 1) == [("ben", "Silver")]
    assert await upgrades(salon, after, 1, causes=["ADJUSTMENT"]) == [("anna", "Silver")]
    by_program = await upgrades(salon, after, 3, causes=["PROGRAM_CHANGE"])
    assert sorted(by_program) == [("anna", "Bronze"), ("ben", "Bronze"), ("clara", "Bronze")]
    every = await upgrades(salon, after, 5, causes=["ACCRUAL", "ADJUSTMENT", "PROGRAM_CHANGE"])
    assert (every[0], every[-1]) == (("anna", "Silver"), ("ben", "Silver"))


async def test_a_replay_tells_nothing(salon: Business) -> None:
    """BK-100, F-08: one upgrade and one entry, however often the purchase is reported."""
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    await create_tier(salon.manager, "Silver", 100)
    after = await newest_cursor(salon.owner)
    for _ in range(3):
        await rise(salon, "anna")
    await rise(salon, "last")
    assert await upgrades(salon, after, 2) == [("anna", "Silver"), ("last", "Silver")]
    async with salon.staff.follow(POINTS_CHANGED, after=after) as stream:
        told = await stream.take(2)
    assert [event["entry"]["customer"]["externalId"] for event in told] == ["anna", "last"]
