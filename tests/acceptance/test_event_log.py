"""The log of events is polled without a socket: nothing is missed, nothing comes twice, whatever the filter."""

import json
from typing import Any

from tests.acceptance.business import Business
from tests.acceptance.client import (
    ONE_PER_EURO,
    Caller,
    Json,
    adjust,
    create_rule,
    create_tier,
    money,
    newest_cursor,
    record,
    redeem,
)
from tests.fixtures.live import until

EVENTS = """
query($after: Cursor, $kinds: [EventKind!], $customer: CustomerBy, $first: Int) {
  events(after: $after, kinds: $kinds, customer: $customer, first: $first) {
    nodes { cursor kind points customer { externalId } } endCursor hasNextPage
  }
}
"""


async def furnish(salon: Business) -> None:
    """Create two customers with events of several kinds."""
    await salon.manager.do("programUpdate", "__typename", redemption={"enabled": True})
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    await create_tier(salon.manager, "Silver", 100)
    await record(salon.integration, "first", "120.00")
    await adjust(salon.manager, "1", 5, customer="anna")
    await record(salon.integration, "second", "30.00", customer="ben")
    await redeem(salon.manager, "anna", "third", 20)


async def poll(caller: Caller, **arguments: Any) -> list[Json]:
    """Read every event after a cursor, page by page."""
    events: list[Json] = []
    while True:
        page = await caller.get(EVENTS, **arguments)
        events += page["nodes"]
        if not page["hasNextPage"]:
            return events
        assert page["endCursor"] != arguments.get("after"), "a poll that stands still never ends"
        arguments["after"] = page["endCursor"]


async def settled(salon: Business, number: int) -> list[Json]:
    """Wait until the relay has given so many events their position, and return all events."""

    async def arrived() -> bool:
        return len(await poll(salon.staff)) >= number

    await until(arrived)
    return await poll(salon.staff)


async def test_every_kind_of_event_can_be_polled(salon: Business) -> None:
    """BK-107, F-34: in the order of the log, with points and account as they were."""
    await furnish(salon)
    events = await settled(salon, 6)
    seen = [(event["customer"]["externalId"], event["kind"], event["points"]) for event in events]
    assert seen == [
        ("anna", "POINTS_EARNED", 120),
        ("anna", "TIER_UPGRADED", None),
        ("anna", "POINTS_ADJUSTED", 5),
        ("ben", "POINTS_EARNED", 30),
        ("anna", "POINTS_HELD", 20),
        ("anna", "POINTS_REDEEMED", -20),
    ]


async def test_pages_of_any_size_give_the_same_events(salon: Business) -> None:
    """Also under filters, and from the cursor of any event."""
    await furnish(salon)
    whole = await settled(salon, 6)
    for size in (1, 2, 5, 100):
        assert await poll(salon.staff, first=size) == whole
        redeemed = [event for event in whole if event["kind"] == "POINTS_REDEEMED"]
        assert await poll(salon.staff, first=size, kinds=["POINTS_REDEEMED"]) == redeemed
        bens = [event for event in whole if event["customer"]["externalId"] == "ben"]
        assert await poll(salon.staff, first=size, customer={"externalId": "ben"}) == bens
    for position, event in enumerate(whole):
        assert await poll(salon.staff, after=event["cursor"]) == whole[position + 1 :]


async def test_a_poll_finds_what_happened_since_the_last_one(salon: Business) -> None:
    """The end of one poll is the beginning of the next; what a filter leaves out is passed over."""
    await furnish(salon)
    await settled(salon, 6)
    page = await salon.staff.get(EVENTS, kinds=["POINTS_EXPIRED"])
    assert page["nodes"] == []
    assert page["hasNextPage"] is False
    assert page["endCursor"] == await salon.staff.get("{ eventCursor }")
    await adjust(salon.manager, "2", 7, customer="ben")
    await settled(salon, 7)
    since = await poll(salon.staff, after=page["endCursor"])
    assert [(event["kind"], event["points"]) for event in since] == [("POINTS_ADJUSTED", 7)]


async def test_an_event_names_what_it_is_about(salon: Business) -> None:
    """The objects of each kind, and the account right after it."""
    await furnish(salon)
    await settled(salon, 6)
    found = await salon.staff.get(
        """{ events { nodes { kind account { available held } entry { kind } purchase { externalId }
          adjustment { points } hold { state } redemption { points } lot { id }
          tier { name } previousTier { name } } } }"""
    )
    named = {
        event.pop("kind"): {name: value for name, value in event.items() if value is not None}
        for event in found["nodes"]
        if event["purchase"] != {"externalId": "second"}
    }
    entry, purchase = {"kind": "EARNED"}, {"externalId": "first"}
    assert named["POINTS_EARNED"]["entry"] == entry
    assert named["POINTS_EARNED"]["purchase"] == purchase
    assert named["POINTS_EARNED"]["account"] == {"available": 120, "held": 0}
    assert named["TIER_UPGRADED"].keys() == {"account", "tier"}
    assert named["TIER_UPGRADED"]["tier"] == {"name": "Silver"}
    assert named["POINTS_ADJUSTED"]["adjustment"] == {"points": 5}
    assert named["POINTS_HELD"] == {"account": {"available": 105, "held": 20}, "hold": {"state": "CAPTURED"}}
    assert named["POINTS_REDEEMED"]["redemption"] == {"points": 20}
    assert named["POINTS_REDEEMED"]["account"] == {"available": 105, "held": 0}


async def test_customers_poll_only_their_own_events(salon: Business) -> None:
    """SB-15: whatever they ask for."""
    await furnish(salon)
    whole = await settled(salon, 6)
    ben = await salon.customer("ben")
    own = [event for event in whole if event["customer"]["externalId"] == "ben"]
    assert [event["kind"] for event in await poll(ben)] == [event["kind"] for event in own]
    answer = await ben.answer(EVENTS, customer={"externalId": "anna"})
    assert answer["errors"][0]["extensions"]["reason"] == "NOT_FOUND"


async def test_a_page_has_at_most_100_events(salon: Business) -> None:
    """BAD_USER_INPUT names the argument."""
    for first in (0, 101):
        answer = await salon.staff.answer(EVENTS, first=first)
        assert answer["errors"][0]["extensions"]["problems"][0]["path"] == ["first"]


async def test_another_tenants_cursor_is_refused(salon: Business, rival: Business) -> None:
    """A cursor belongs to its tenant."""
    foreign = await rival.staff.get("{ eventCursor }")
    answer = await salon.staff.answer(EVENTS, after=foreign)
    assert answer["errors"][0]["extensions"]["problems"][0]["path"] == ["after"]


LOGGED = """
subscription($after: Cursor, $kinds: [EventKind!], $customer: CustomerBy) {
  eventLogged(after: $after, kinds: $kinds, customer: $customer) {
    cursor kind subject subjectId customer { externalId } giftCard { id } account { available } payload
  }
}
"""
OF_CARDS = ["GIFT_CARD_ISSUED", "GIFT_CARD_HELD", "GIFT_CARD_CLAIMED"]


async def sell_card_of_nobody(salon: Business, key: str) -> tuple[str, str]:
    """Sell a gift card to somebody who is no customer; return its id and its code."""
    sold = await salon.owner.do(
        "giftCardIssue", "giftCard { id } code", origin="MONEY", amount=money("50.00"), idempotencyKey=key
    )
    return sold["giftCard"]["id"], sold["code"]


async def test_a_gift_card_of_nobody_is_followed_by_the_team_alone(salon: Business) -> None:
    """BK-107: the log has subjects other than customers, for those who read all of it."""
    await record(salon.integration, "first", "10.00")
    after = await newest_cursor(salon.owner)
    card, code = await sell_card_of_nobody(salon, "one")
    await sell_card_of_nobody(salon, "two")
    anna = await salon.customer("anna")
    held = {"giftCard": {"code": code}, "amount": money("5.00"), "idempotencyKey": "h"}
    async with (
        salon.staff.follow(LOGGED, after=after, kinds=OF_CARDS) as stream,
        anna.stream(LOGGED, after=after) as own,
    ):
        await salon.owner.do("giftCardHold", "__typename", **held)
        await anna.do("giftCardClaim", "__typename", code=code, idempotencyKey="c")
        told = await stream.take(4)
        (claimed,) = await own.take(1)
    assert [event["kind"] for event in told] == ["GIFT_CARD_ISSUED", *OF_CARDS]
    assert {event["subject"] for event in told} == {"GIFT_CARD"}
    assert [event["subjectId"] for event in told if event["subjectId"] == card] == [card] * 3
    assert [event["customer"] for event in told] == [None, None, None, {"externalId": "anna"}]
    assert [event["account"] is None for event in told] == [True, True, True, False]
    assert all(code not in event["payload"] for event in told)
    assert claimed["cursor"] == told[-1]["cursor"]
    page = await salon.staff.get("query($card: ID!) { events(giftCard: $card) { nodes { kind } } }", card=card)
    assert [event["kind"] for event in page["nodes"]] == OF_CARDS
    page = await anna.get("query($card: ID!) { events(giftCard: $card) { nodes { kind } } }", card=card)
    assert [event["kind"] for event in page["nodes"]] == ["GIFT_CARD_CLAIMED"]


async def test_a_filter_that_names_nothing_is_refused(salon: Business) -> None:
    card, _ = await sell_card_of_nobody(salon, "one")
    for filter_, path in (("kinds: []", "kinds"), (f'giftCard: "{card[:-1]}"', "giftCard")):
        answer = await salon.staff.answer(f"{{ events({filter_}) {{ endCursor }} }}")
        assert path in json.dumps(answer["errors"])
