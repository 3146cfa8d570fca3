"""What happened can be found: lists of purchases, adjustments, holds and redemptions, and what belongs to each."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.business import Business
from tests.acceptance.client import ONE_PER_EURO, Json, adjust, create_rule, record, redeem

ANNA, BEN = {"externalId": "anna"}, {"externalId": "ben"}
PURCHASES = "query($filter: PurchaseFilterInput) { purchases(filter: $filter) { nodes { externalId } } }"


async def furnish(salon: Business) -> None:
    """Record purchases of two customers in several states. Points were spent on one of these purchases."""
    await salon.manager.do("programUpdate", "__typename", redemption={"enabled": True})
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    await record(salon.integration, "web-1", "100.00")
    await record(salon.integration, "web-2", "20.00", status="CREATED")
    await record(salon.integration, "till-1", "30.00", customer="ben")
    await record(salon.integration, "cut", "40.00", kind="APPOINTMENT", status="CANCELLED", customer="ben")
    await adjust(salon.manager, "1", 50, reason="GOODWILL")
    await adjust(salon.manager, "2", -5, customer="ben")
    await redeem(salon.manager, "anna", "web-2", 30)


def ids(found: Json) -> list[str]:
    """Return the external ids of a page, in its order."""
    return [row["externalId"] for row in found["nodes"]]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(None, ["cut", "till-1", "web-2", "web-1"], id="everything, newest first"),
        pytest.param({"customer": ANNA}, ["web-2", "web-1"], id="of a customer"),
        pytest.param({"kind": "APPOINTMENT"}, ["cut"], id="of a kind"),
        pytest.param({"statuses": ["CREATED", "CANCELLED"]}, ["cut", "web-2"], id="in some statuses"),
        pytest.param({"externalIds": [" web-1 ", "till-1", "gone"]}, ["till-1", "web-1"], id="by their ids"),
        pytest.param({"search": "web-"}, ["web-2", "web-1"], id="by a prefix"),
        pytest.param({"search": "WEB-"}, [], id="a prefix minds its case"),
        pytest.param({"search": "w%"}, [], id="a prefix is no pattern"),
        pytest.param({"customer": BEN, "statuses": ["COMPLETED"]}, ["till-1"], id="several conditions together"),
    ],
)
async def test_purchases_are_found_by_what_is_known_of_them(
    salon: Business, wanted: Json | None, expected: list[str]
) -> None:
    """BK-58, F-37: each filter alone, and together."""
    await furnish(salon)
    assert ids(await salon.staff.get(PURCHASES, filter=wanted)) == expected


async def test_purchases_are_found_by_when_they_were_recorded(salon: Business) -> None:
    """The end of a span is not part of it."""
    await record(salon.integration, "order")
    recorded_at = (await salon.staff.get("{ purchases { nodes { recordedAt } } }"))["nodes"][0]["recordedAt"]
    later = (datetime.fromisoformat(recorded_at) + timedelta(seconds=1)).astimezone(UTC).isoformat()
    for span, expected in (
        ({"from": recorded_at}, ["order"]),
        ({"to": recorded_at}, []),
        ({"from": recorded_at, "to": later}, ["order"]),
        ({"from": later}, []),
    ):
        assert ids(await salon.staff.get(PURCHASES, filter={"recorded": span})) == expected, span


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        pytest.param({"externalIds": []}, ["filter", "externalIds"], id="no ids"),
        pytest.param({"externalIds": ["x"] * 101}, ["filter", "externalIds"], id="too many ids"),
        pytest.param({"search": ""}, ["filter", "search"], id="an empty search"),
        pytest.param({"search": "x" * 201}, ["filter", "search"], id="a long search"),
    ],
)
async def test_a_filter_that_cannot_be_meant_is_refused(salon: Business, wanted: Json, path: list[str]) -> None:
    """The refusal names the field that was sent."""
    answer = await salon.staff.answer(PURCHASES, filter=wanted)
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert answer["errors"][0]["extensions"]["problems"][0]["path"] == path


async def test_a_purchase_tells_what_became_of_it(salon: Business) -> None:
    """F-43, PB-16: its entries, holds, redemptions and history, and a hold leads back to it."""
    await furnish(salon)
    await record(salon.integration, "web-1", "100.00", status="CANCELLED")
    found = await salon.staff.get(
        """{ purchases(filter: {externalIds: ["web-1", "web-2"]}) { nodes {
          externalId entries { kind points } history { version status }
          holds { nodes { state points purchase { externalId recorded { status } } } } redemptions { nodes { points } }
        } } }"""
    )
    paid, cancelled = found["nodes"]
    assert cancelled["entries"] == [{"kind": "EARN_REVERSED", "points": -100}, {"kind": "EARNED", "points": 100}]
    assert cancelled["history"] == [{"version": 2, "status": "CANCELLED"}, {"version": 1, "status": "COMPLETED"}]
    assert cancelled["holds"] == cancelled["redemptions"] == {"nodes": []}
    key = {"externalId": "web-2", "recorded": {"status": "CREATED"}}
    assert paid["holds"]["nodes"] == [{"state": "CAPTURED", "points": 30, "purchase": key}]
    assert paid["redemptions"]["nodes"] == [{"points": 30}]


async def test_a_customer_lists_nothing_but_their_own(salon: Business) -> None:
    """SB-15: each list, without a filter and with somebody else's name."""
    await furnish(salon)
    await redeem(salon.manager, "ben", "till-2", 1)
    anna = await salon.customer("anna")
    assert ids(await anna.get("{ purchases { nodes { externalId } } }")) == ["web-2", "web-1"]
    for field in ("purchases", "adjustments", "holds", "redemptions"):
        own = await anna.get(f"{{ {field} {{ nodes {{ customer {{ externalId }} }} }} }}")
        assert {row["customer"]["externalId"] for row in own["nodes"]} == {"anna"}, field
        document = f'{{ {field}(filter: {{customer: {{externalId: "ben"}}}}) {{ nodes {{ id }} }} }}'
        answer = await anna.answer(document)
        assert "ben" not in str(answer.get("data")), field
        assert answer["errors"][0]["extensions"]["reason"] == "NOT_FOUND", field


async def test_adjustments_holds_and_redemptions_are_found(salon: Business) -> None:
    """BK-58: by reason, by state, by purchase."""
    await furnish(salon)

    async def points(document: str) -> list[Any]:
        return [row["points"] for row in (await salon.staff.get(document))["nodes"]]

    assert await points("{ adjustments { nodes { points } } }") == [-5, 50]
    assert await points("{ adjustments(filter: {reasons: [GOODWILL]}) { nodes { points } } }") == [50]
    assert await points("{ holds(filter: {states: [CAPTURED]}) { nodes { points } } }") == [30]
    assert await points("{ holds(filter: {states: [ACTIVE]}) { nodes { points } } }") == []
    key = 'purchase: {kind: ORDER, externalId: "web-2"}'
    assert await points(f"{{ redemptions(filter: {{{key}}}) {{ nodes {{ points }} }} }}") == [30]
    assert await points(f"{{ holds(filter: {{{key}}}) {{ nodes {{ points }} }} }}") == [30]
    assert await points('{ redemptions(filter: {customer: {externalId: "ben"}}) { nodes { points } } }') == []
    own = await salon.staff.get(
        '{ customer(by: {externalId: "anna"}) { purchases { nodes { externalId } } redemptions { nodes { points } } } }'
    )
    assert ids(own["purchases"]) == ["web-2", "web-1"]
    assert own["redemptions"]["nodes"] == [{"points": 30}]


async def test_another_tenants_rows_are_in_no_list(salon: Business, rival: Business) -> None:
    """The same ids there and here."""
    await furnish(salon)
    await record(rival.integration, "web-1", customer="anna")
    assert ids(await rival.staff.get(PURCHASES)) == ["web-1"]
    for field in ("adjustments", "holds", "redemptions"):
        assert (await rival.staff.get(f"{{ {field} {{ nodes {{ id }} }} }}"))["nodes"] == []
    found = await rival.staff.get(
        "{ purchases { nodes { entries { id } holds { nodes { id } } redemptions { nodes { id } } } } }"
    )
    assert found["nodes"] == [{"entries": [], "holds": {"nodes": []}, "redemptions": {"nodes": []}}]
