"""Who did what, and why: the team reads names and reasons, customers neither."""

from typing import Any

from tests.acceptance.business import Business
from tests.acceptance.client import Json, adjust, create_rule, money, record

ENTRIES = '{ customer(by: {externalId: "anna"}) { activity { nodes { entryKind actor actorKind note } } } }'
OWN_ENTRIES = "{ viewer { customer { activity { nodes { entryKind actor actorKind note } } } } }"
PURCHASE = '{ purchase(by: {key: {kind: ORDER, externalId: "%s"}}) { %s } }'
WHY = "whyNothing { reasonCode message waitsFor ruleName failedCondition }"


async def read(salon: Business, external_id: str, selection: str) -> Json:
    """Read fields of a purchase, as the team."""
    found: Json = await salon.staff.get(PURCHASE % (external_id, selection))
    return found


async def why(caller: Any, external_id: str) -> list[Json]:
    """Return why a purchase gave nothing."""
    found: Json = await caller.get(PURCHASE % (external_id, WHY))
    return list(found["whyNothing"])


async def test_every_entry_says_who_and_why(salon: Business) -> None:
    await create_rule(salon.manager, "Ten", 100)
    await salon.manager.do("programUpdate", "program { version }", redemption={"enabled": True})
    recorded = await record(salon.integration, "order-1", "100.00")
    held = await salon.integration.do(
        "redemptionHold",
        "hold { id actor actorKind endedBy endedByKind }",
        customer={"externalId": "anna"},
        points=20,
        subtotal=money("50.00"),
        purchase={"kind": "ORDER", "externalId": "order-2"},
        idempotencyKey="hold",
    )
    assert recorded["accrual"]["points"] == 100
    integration = held["hold"]["actor"]
    assert (held["hold"]["actorKind"], held["hold"]["endedBy"], held["hold"]["endedByKind"]) == (
        "API_TOKEN",
        None,
        None,
    )
    captured = await salon.manager.do(
        "redemptionCapture",
        "redemption { id actor actorKind } hold { endedBy endedByKind }",
        hold=held["hold"]["id"],
        idempotencyKey="paid",
    )
    manager = captured["redemption"]["actor"]
    assert captured["hold"] == {"endedBy": manager, "endedByKind": "STAFF"}
    assert manager != integration
    back = await salon.manager.do(
        "redemptionReturn",
        "returned { actor actorKind }",
        redemption=captured["redemption"]["id"],
        points=5,
        reason="wrong colour",
        idempotencyKey="back",
    )
    assert back["returned"] == {"actor": manager, "actorKind": "STAFF"}
    refund = await salon.manager.do(
        "purchaseRefund",
        "refund { actor actorKind reason }",
        purchase={"key": {"kind": "ORDER", "externalId": "order-1"}},
        amount=money("50.00"),
        reason="broken",
        idempotencyKey="refund",
    )
    assert refund["refund"] == {"actor": manager, "actorKind": "STAFF", "reason": "broken"}
    await adjust(salon.manager, "goodwill", 5, internalNote="a regular", customerDescription="Thank you")
    team = (await salon.staff.get(ENTRIES))["activity"]["nodes"]
    assert [(one["entryKind"], one["actor"], one["note"]) for one in team] == [
        ("ADJUSTED", manager, "a regular"),
        ("EARN_REVERSED", manager, "broken"),
        ("REDEMPTION_RETURNED", manager, "wrong colour"),
        ("REDEEMED", manager, None),
        ("EARNED", integration, None),
    ]
    assert [one["actorKind"] for one in team] == [*["STAFF"] * 4, "API_TOKEN"]
    anna = await salon.customer("anna")
    own = (await anna.get(OWN_ENTRIES))["customer"]["activity"]["nodes"]
    assert {(one["actor"], one["actorKind"]) for one in own} == {("STAFF", "STAFF")}
    assert [one["note"] for one in own] == ["Thank you", None, None, None, None]
    facts = (await read(salon, "order-1", "history { actor actorKind recordedBy }"))["history"]
    assert [(one["actor"], one["actorKind"]) for one in facts] == [(manager, "STAFF"), (integration, "API_TOKEN")]


async def test_a_released_hold_says_who_ended_it_and_why(salon: Business) -> None:
    """Points and money of gift cards alike; the first reason stays, and customers read none."""
    await create_rule(salon.manager, "Ten", 100)
    await salon.manager.do("programUpdate", "program { version }", redemption={"enabled": True})
    await record(salon.integration, "order-1", "100.00")
    basket = {"kind": "ORDER", "externalId": "basket"}
    held = await salon.integration.do(
        "redemptionHold",
        "hold { id endedReason }",
        customer={"externalId": "anna"},
        points=20,
        subtotal=money("50.00"),
        purchase=basket,
        idempotencyKey="hold",
    )
    assert held["hold"]["endedReason"] is None
    (refused,) = await salon.manager.refusals(
        "redemptionRelease", hold=held["hold"]["id"], reason="x" * 501, idempotencyKey="long"
    )
    assert (refused["code"], refused["path"]) == ("INVALID_INPUT", ["reason"])
    for key, reason in (("release", "She pays cash"), ("later", "another reason")):
        released = await salon.manager.do(
            "redemptionRelease",
            "hold { state endedBy endedReason }",
            hold=held["hold"]["id"],
            reason=reason,
            idempotencyKey=key,
        )
        assert released["hold"] == {"state": "RELEASED", "endedBy": "The manager", "endedReason": "She pays cash"}
    (conflict,) = await salon.manager.refusals(
        "redemptionRelease", hold=held["hold"]["id"], reason="not what was sent", idempotencyKey="release"
    )
    assert conflict["code"] == "IDEMPOTENCY_CONFLICT"
    own = "{ viewer { customer { holds { nodes { endedBy endedReason } } } } }"
    anna = await salon.customer("anna")
    assert (await anna.get(own))["customer"]["holds"]["nodes"] == [{"endedBy": "STAFF", "endedReason": None}]

    sold = await salon.manager.do(
        "giftCardIssue", "giftCard { id }", origin="MONEY", amount=money("50.00"), idempotencyKey="sold"
    )
    card = {"id": sold["giftCard"]["id"]}
    shown = "giftCardHold { id state actor actorKind endedBy endedByKind endedReason }"
    set_aside = await salon.integration.do(
        "giftCardHold", shown, giftCard=card, amount=money("10.00"), purchase=basket, idempotencyKey="card"
    )
    hold = set_aside["giftCardHold"]
    assert (hold["actorKind"], hold["endedBy"], hold["endedByKind"], hold["endedReason"]) == ("API_TOKEN", *[None] * 3)
    let_go = await salon.manager.do(
        "giftCardRelease", shown, hold=hold["id"], reason="Wrong card", idempotencyKey="let go"
    )
    assert let_go["giftCardHold"] == {
        **hold,
        "state": "RELEASED",
        "endedBy": "The manager",
        "endedByKind": "STAFF",
        "endedReason": "Wrong card",
    }
    again = await salon.integration.do(
        "giftCardHold", "giftCardHold { id }", giftCard=card, amount=money("10.00"), idempotencyKey="again"
    )
    spent = await salon.manager.do(
        "giftCardCapture",
        "giftCardHold { endedBy endedReason }",
        hold=again["giftCardHold"]["id"],
        idempotencyKey="spent",
    )
    assert spent["giftCardHold"] == {"endedBy": "The manager", "endedReason": None}


async def test_a_rule_tells_its_history(salon: Business) -> None:
    rule = await create_rule(salon.manager, "Ten", 10)
    edits: list[Json] = [{"active": False}, {"name": "Twenty", "award": {"fixed": {"points": 20}}, "active": True}]
    for edit in edits:
        await salon.owner.do("earningRuleUpdate", "earningRule { version }", id=rule["id"], **edit)
    selection = (
        "versions { version name active actor actorKind changedFields changedAt conditionSummary"
        " award { ... on FixedAward { points } } conditions { services } }"
    )
    (found,) = (await salon.staff.get(f"{{ earningRules {{ nodes {{ {selection} }} }} }}"))["nodes"]
    versions = found["versions"]
    assert [(one["version"], one["name"], one["active"], one["award"]["points"]) for one in versions] == [
        (3, "Twenty", True, 20),
        (2, "Ten", False, 10),
        (1, "Ten", True, 10),
    ]
    assert [one["changedFields"] for one in versions] == [["name", "active", "award"], ["active"], []]
    owner, again, manager = (one["actor"] for one in versions)
    assert owner == again != manager
    assert {one["actorKind"] for one in versions} == {"STAFF"}


async def test_a_purchase_says_why_it_gave_nothing(salon: Business) -> None:
    """A paused rule, a condition that did not hold, and a status that is still to come."""
    paused = await create_rule(salon.manager, "Paused", 10, active=False)
    await create_rule(salon.manager, "In Graz", 10, conditions={"locations": ["graz"]})
    await record(salon.integration, "nothing")
    found = await why(salon.staff, "nothing")
    assert [(one["reasonCode"], one["ruleName"], one["failedCondition"]) for one in found] == [
        ("RULE_NOT_MATCHED", "In Graz", "LOCATIONS"),
        ("RULE_PAUSED", "Paused", None),
    ]
    await salon.manager.do("earningRuleUpdate", "earningRule { version }", id=paused["id"], active=True)
    assert await why(salon.staff, "nothing") == found, "what was paused then stays named"
    hidden: Json = dict.fromkeys(("waitsFor", "ruleName", "failedCondition"))
    hidden |= {"reasonCode": "NOTHING_MATCHED", "message": "No rule gave points for it."}
    anna = await salon.customer("anna")
    assert await why(anna, "nothing") == [hidden]
    await record(salon.integration, "something")
    assert await why(salon.staff, "something") == []
    await salon.manager.do("programUpdate", "program { version }", accrual={"evaluateOn": "PURCHASE_COMPLETED"})
    await record(salon.integration, "waits", status="PAID")
    (waiting,) = await why(anna, "waits")
    assert (waiting["reasonCode"], waiting["waitsFor"]) == ("WAITS_FOR_STATUS", "COMPLETED")
    assert waiting["message"] == "It waits for COMPLETED; it is PAID."
