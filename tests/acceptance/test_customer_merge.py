"""Two customers turn out to be one: nothing is lost, and the other id leads to who is left, everywhere."""

import asyncio
import contextlib
from typing import Any

from gql.transport.exceptions import TransportError

from tests.acceptance.business import Business
from tests.acceptance.client import (
    ONE_PER_EURO,
    POINTS_CHANGED,
    Caller,
    Json,
    StreamEnded,
    adjust,
    create_rule,
    create_tier,
    find_customer,
    newest_cursor,
    record,
)

MERGED = """
merge { id sourceExternalId points pending lifetimeEarned qualifying reason actor mergedAt customer { externalId } }
customer { id externalId points { available pending lifetimeEarned qualifying } tier { name } } replayed
"""


async def merge(caller: Caller, source: str, target: str, key: str = "same person", **details: Any) -> Json:
    """Let one customer become another."""
    payload: Json = await caller.do(
        "customerMerge",
        MERGED,
        source={"externalId": source},
        target={"externalId": target},
        idempotencyKey=key,
        **details,
    )
    return payload


async def furnish(salon: Business) -> tuple[str, str]:
    """Create Anna with 35 points, 20 of which expire, and Ben with 7. Return their ids."""
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    anna = await record(salon.integration, "anna's", "15.00", customer={"externalId": "anna", "email": "a@example.com"})
    ben = await record(salon.integration, "ben's", "7.00", customer={"externalId": "ben", "email": "b@example.com"})
    await adjust(salon.manager, "short", 20, expiresOn="2999-03-31")
    return anna["customer"]["id"], ben["customer"]["id"]


async def test_everything_moves_with_its_dates_and_both_accounts_say_so(salon: Business) -> None:
    """F-35: points, expiry, what was earned and what qualifies; an entry on both sides, with the merge behind it."""
    await create_tier(salon.manager, "Silver", 40)
    await furnish(salon)
    payload = await merge(salon.manager, "anna", "ben", reason="two cards")
    merged = payload["merge"]
    assert merged | {"id": "", "mergedAt": ""} == {
        "id": "",
        "sourceExternalId": "anna",
        "points": 35,
        "pending": 0,
        "lifetimeEarned": 15,
        "qualifying": 35,
        "reason": "two cards",
        "actor": "The manager",
        "mergedAt": "",
        "customer": {"externalId": "ben"},
    }
    assert payload["customer"]["points"] == {"available": 42, "pending": 0, "lifetimeEarned": 22, "qualifying": 42}
    assert payload["customer"]["tier"] == {"name": "Silver"}
    found = await find_customer(
        salon.staff,
        "ben",
        """expirySchedule { lastDay points }
           activity { nodes { kind points reference { ... on CustomerMerge { id sourceExternalId } } } }""",
    )
    assert found["expirySchedule"] == [{"lastDay": "2999-03-31", "points": 20}]
    assert found["activity"]["nodes"][0] == {
        "kind": "MERGED",
        "points": 35,
        "reference": {"id": merged["id"], "sourceExternalId": "anna"},
    }
    assert (await salon.staff.get("query($id: ID!) { node(id: $id) { id } }", id=merged["id"])) == {"id": merged["id"]}


async def test_the_old_id_leads_to_who_is_left_everywhere(salon: Business) -> None:
    """F-35: look-ups, node, lists and search, purchases new and old, adjustments, new tokens; chains to their end."""
    anna_id, _ = await furnish(salon)
    await merge(salon.manager, "anna", "ben")
    await record(salon.integration, "cem's", "0.00", customer="cem")
    await merge(salon.manager, "ben", "cem", "and another card")
    document = "query($by: CustomerBy!) { customer(by: $by) { externalId points { available } } }"
    for by in ({"id": anna_id}, {"externalId": "anna"}, {"externalId": "ben"}, {"email": "A@example.com"}):
        assert await salon.staff.get(document, by=by) == {"externalId": "cem", "points": {"available": 42}}
    node = "query($id: ID!) { node(id: $id) { ... on Customer { externalId } } }"
    assert await salon.staff.get(node, id=anna_id) == {"externalId": "cem"}
    for arguments in ("having: ANY", 'having: ANY, search: "c"', 'having: ANY, search: "ann"'):
        listed = (await salon.staff.get(f"{{ customers({arguments}) {{ nodes {{ externalId }} }} }}"))["nodes"]
        assert listed == ([] if "ann" in arguments else [{"externalId": "cem"}])
    for named in (["anna"], ["ben"], ["anna", "ben", "cem"]):
        listed = await salon.staff.get(
            "query($ids: [String!]) { customers(filter: {externalIds: $ids}, having: ANY) {"
            " nodes { externalId } totalCount } }",
            ids=named,
        )
        assert listed == {"nodes": [{"externalId": "cem"}], "totalCount": 1}
    new = await record(salon.integration, "anna's next", "3.00", customer="anna")
    assert (new["customer"]["externalId"], new["customer"]["points"]["available"]) == ("cem", 45)
    off = await record(
        salon.integration,
        "anna's",
        "15.00",
        status="CANCELLED",
        customer={"externalId": "anna", "email": "a@example.com"},
    )
    assert (off["customer"]["externalId"], off["customer"]["points"]["available"]) == ("cem", 30)
    assert (await adjust(salon.manager, "for anna", 1))["customer"]["externalId"] == "cem"
    assert (await (await salon.customer("anna")).get("{ me { externalId } }")) == {"externalId": "cem"}


async def test_the_app_of_the_old_id_goes_on_as_the_new_one(salon: Business) -> None:
    """F-35, C-17: same token, same kept id; an open stream ends, and the next one follows the target."""
    anna_id, _ = await furnish(salon)
    app = await salon.customer("anna")
    after = await newest_cursor(salon.owner)
    async with app.follow(POINTS_CHANGED, after=after) as stream:
        await merge(salon.manager, "anna", "ben", reason="for the team only")
        # What left the old account may still be told before the connection is looked at.
        with contextlib.suppress(TransportError, StreamEnded):
            while True:
                assert (await stream.next())["entry"]["points"] == -35
    me = await app.get(
        """{ me { externalId points { available }
             activity { nodes { points reference { ... on CustomerMerge { sourceExternalId reason actor } } } } } }"""
    )
    assert (me["externalId"], me["points"]["available"]) == ("ben", 42)
    assert me["activity"]["nodes"][0] == {
        "points": 35,
        "reference": {"sourceExternalId": "anna", "reason": None, "actor": "STAFF"},
    }
    node = "query($id: ID!) { node(id: $id) { ... on Customer { externalId } } }"
    assert await app.get(node, id=anna_id) == {"externalId": "ben"}
    async with app.follow(POINTS_CHANGED, after=after) as stream:
        assert (await stream.next())["entry"]["points"] == 35


async def test_both_sides_are_told(salon: Business) -> None:
    """F-35, F-32: one entry takes, the other gives, and streams tell both in one commit."""
    await furnish(salon)
    after = await newest_cursor(salon.owner)
    await merge(salon.manager, "anna", "ben")
    async with salon.staff.follow(POINTS_CHANGED, after=after) as stream:
        told = await stream.take(2)
    assert [(event["entry"]["points"], event["points"]["available"]) for event in told] == [(-35, 0), (35, 42)]


async def test_a_merge_that_cannot_be_is_refused_without_a_trace(salon: Business, rival: Business) -> None:
    """F-35, F-33: with oneself, twice, backwards, with nobody, with a full basket, with another tenant's customer."""
    await furnish(salon)
    stranger = (await record(rival.integration, "theirs", customer="stranger"))["customer"]["id"]
    await merge(salon.manager, "anna", "ben")
    ben = {"externalId": "ben"}
    for source, target, key, code, path in (
        (ben, ben, "1", "INVALID_INPUT", ["target"]),
        (ben, {"externalId": "anna"}, "2", "INVALID_INPUT", ["target"]),
        ({"externalId": "anna"}, ben, "3", "INVALID_INPUT", ["target"]),
        ({"externalId": "nobody"}, ben, "4", "NOT_FOUND", ["source"]),
        (ben, {"externalId": "nobody"}, "5", "NOT_FOUND", ["target"]),
        ({"id": stranger}, ben, "6", "NOT_FOUND", ["source"]),
        (ben, {"id": stranger}, "7", "NOT_FOUND", ["target"]),
        (ben, {"externalId": "anna"}, "same person", "IDEMPOTENCY_CONFLICT", ["idempotencyKey"]),
    ):
        async with salon.unchanged(), rival.unchanged():
            (refused,) = await salon.manager.refusals("customerMerge", source=source, target=target, idempotencyKey=key)
        assert (key, refused["code"], refused["path"]) == (key, code, path)
    again = await merge(salon.manager, "anna", "ben")
    assert (again["replayed"], again["merge"]["points"]) == (True, 35)
    await record(salon.integration, "cem's", "10.00", customer="cem")
    await salon.manager.do(
        "programUpdate",
        "program { version }",
        redemption={"enabled": True, "pointValue": {"points": 1, "money": {"amount": "0.01", "currency": "EUR"}}},
    )
    basket = {"customer": {"externalId": "cem"}, "points": 5, "subtotal": {"amount": "9.00", "currency": "EUR"}}
    basket["purchase"] = {"kind": "ORDER", "externalId": "basket"}
    await salon.manager.do("redemptionHold", "hold { id }", idempotencyKey="basket", **basket)
    async with salon.unchanged():
        (refused,) = await salon.manager.refusals(
            "customerMerge", source={"externalId": "cem"}, target=ben, idempotencyKey="8"
        )
    assert (refused["code"], refused["__typename"]) == ("ACTIVE_HOLDS", "ActiveHolds")


async def test_opposing_merges_purchases_and_corrections_at_once_lose_nothing(salon: Business) -> None:
    """F-35, F-10: on two servers; one merge wins, the other finds them one already, and every point is there."""
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    for name in ("anna", "ben"):
        await record(salon.integration, f"{name}'s", "100.00", customer=name)
    first, second = salon.installation.servers
    anna, ben = {"externalId": "anna"}, {"externalId": "ben"}
    merges = (
        salon.manager.at(server).mutate(
            "customerMerge", "merge { points }", source=source, target=target, idempotencyKey=key
        )
        for server, source, target, key in ((first, anna, ben, "there"), (second, ben, anna, "back"))
    )
    bought = (
        record(salon.integration.at((first, second)[turn % 2]), f"{name} {turn}", "1.00", customer=name)
        for turn in range(10)
        for name in ("anna", "ben")
    )
    given = (
        adjust(salon.manager.at(second), f"{name} {turn}", 1, name) for turn in range(10) for name in ("anna", "ben")
    )
    outcomes = await asyncio.gather(*merges, *bought, *given)
    assert sorted(len(payload["userErrors"]) for payload in outcomes[:2]) == [0, 1]
    for name in ("anna", "ben"):
        assert (await find_customer(salon.staff, name))["points"]["available"] == 240
