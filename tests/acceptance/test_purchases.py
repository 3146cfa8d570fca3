"""Recording purchases: replays, statuses, batches, and two servers that hear of the same thing at the same time."""

import asyncio
from typing import Any

from tests.acceptance.business import Business
from tests.acceptance.client import (
    CUSTOMER,
    ONE_PER_EURO,
    PURCHASE_RECORDED,
    Caller,
    Json,
    create_rule,
    create_tier,
    find_customer,
    money,
    purchase_of,
    record,
)


async def furnish(salon: Business) -> None:
    """Set a point per euro, and create a tier."""
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    await create_tier(salon.manager, "Silver", 50)


async def test_a_replay_is_answered_like_the_first_time(salon: Business) -> None:
    """F-08, F-33: the same fact again, any number of times and on any server, is one entry and one answer."""
    await furnish(salon)
    first = await record(salon.integration, "order-1", "60.00")
    assert first["tierUpgrade"]["tier"]["name"] == "Silver"
    async with salon.unchanged():
        for number in range(20):
            server = salon.installation.servers[number % 2]
            assert await record(salon.manager.at(server), "order-1", "60.00") == {**first, "replayed": True}
    activity = await find_customer(salon.staff, "anna", "activity { nodes { points } }")
    assert activity["activity"]["nodes"] == [{"points": 60}]


async def test_a_purchase_earns_once_however_far_it_comes(salon: Business) -> None:
    """F-08, BK-26, PB-05: CREATED earns; what follows is recorded as a new version and earns nothing more."""
    await furnish(salon)
    for version, status in enumerate(("CREATED", "CONFIRMED", "PAID", "COMPLETED"), start=1):
        recorded = await record(salon.integration, "order-1", "60.00", status=status)
        assert recorded["purchase"] | {"id": None} == {
            "id": None,
            "kind": "ORDER",
            "externalId": "order-1",
            "status": status,
            "version": version,
        }
        assert recorded["accrual"]["points"] == recorded["customer"]["points"]["lifetimeEarned"] == 60
        assert bool(recorded["tierUpgrade"]) == (version == 1)
        assert not recorded["replayed"]


async def test_a_status_that_comes_late_changes_nothing(salon: Business) -> None:
    """F-08: nothing moves backwards; a late status that was recorded before is a replay."""
    await furnish(salon)
    created = await record(salon.integration, "order-1", status="CREATED")
    await record(salon.integration, "order-1", status="PAID")
    async with salon.unchanged():
        (late,) = await salon.manager.refusals("purchaseRecord", **purchase_of("order-1", status="CONFIRMED"))
        assert (late["code"], late["current"], late["requested"]) == ("STATUS_RUNS_BACKWARDS", "PAID", "CONFIRMED")
        again = await record(salon.manager, "order-1", status="CREATED")
        assert again["replayed"]
        assert again["accrual"] == created["accrual"]


async def test_a_purchase_cancelled_before_it_began_earns_nothing(salon: Business) -> None:
    """C-20: a purchase first heard of as cancelled is never evaluated."""
    await furnish(salon)
    for status in ("CANCELLED", "NO_SHOW"):
        recorded = await record(salon.integration, status, status=status)
        assert (recorded["accrual"], recorded["customer"]["points"]["available"]) == (None, 0)


async def test_a_writer_reads_the_change_at_once_on_every_server(salon: Business) -> None:
    """F-32: the answer has the new balance, and so has every question that follows, on every server."""
    await furnish(salon)
    first, second = salon.installation.servers
    for number in range(1, 6):
        recorded = await record(salon.integration.at(first), f"order-{number}", "10.00")
        assert recorded["customer"]["points"]["available"] == 10 * number
        assert await find_customer(salon.staff.at(second)) == recorded["customer"]


async def test_two_servers_that_hear_of_one_purchase_at_once_record_it_once(salon: Business) -> None:
    """F-08, F-10: one of them earns, the others answer the same."""
    await furnish(salon)
    servers = salon.installation.servers

    async def hear(number: int) -> Json:
        return await record(salon.integration.at(servers[number % 2]), "order-1", "60.00", customer="new")

    answers = await asyncio.gather(*(hear(number) for number in range(12)))
    assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 11
    (first,) = [answer for answer in answers if not answer["replayed"]]
    assert all(answer == {**first, "replayed": True} for answer in answers if answer["replayed"])
    assert (await find_customer(salon.staff, "new"))["points"]["lifetimeEarned"] == 60


async def test_many_purchases_of_one_customer_at_once_all_count(salon: Business) -> None:
    """F-10, F-37: nothing is lost when two servers book for one customer."""
    await furnish(salon)
    servers = salon.installation.servers
    await asyncio.gather(
        *(record(salon.integration.at(servers[number % 2]), f"order-{number}", "10.00") for number in range(20))
    )
    assert (await find_customer(salon.staff))["points"]["available"] == 200


BATCH = f"results {{ {PURCHASE_RECORDED} userErrors {{ code path }} }}"


async def record_many(caller: Caller, items: list[Json], selection: str = BATCH) -> list[Any]:
    """Record purchases in one request; one result each."""
    payload = await caller.do("purchasesRecord", selection, items=items)
    results: list[Any] = payload["results"]
    return results


async def test_a_thousand_purchases_with_bad_ones_among_them_are_answered_one_by_one(salon: Business) -> None:
    """F-11, F-37: each item has its own result in its own place; a refused one harms no other."""
    await furnish(salon)
    items = [purchase_of(f"order-{number}", "1.00", customer=f"customer-{number % 100}") for number in range(1_000)]
    bad = {
        0: (purchase_of("", "1.00"), "INVALID_INPUT", ["externalId"]),
        10: (purchase_of("usd", total=money("1.00", "USD")), "CURRENCY_MISMATCH", ["total", "currency"]),
        500: (purchase_of("decimals", "1.001"), "INVALID_INPUT", ["total", "amount"]),
        998: (
            purchase_of("order-1", "1.00", customer="thief"),
            "PURCHASE_OF_ANOTHER_CUSTOMER",
            ["customer", "externalId"],
        ),
    }
    for position, (item, _, _) in bad.items():
        items[position] = item
    items[999] = items[5]
    selection = "results { purchase { externalId } accrual { points } replayed userErrors { code path } }"
    results = await record_many(salon.integration, items, selection)
    assert len(results) == 1_000
    for position, (item, result) in enumerate(zip(items, results, strict=True)):
        if position in bad:
            _, code, path = bad[position]
            assert result["userErrors"] == [{"code": code, "path": path}], position
            assert (result["purchase"], result["replayed"]) == (None, None)
        else:
            assert (position, result["userErrors"]) == (position, [])
            assert result["purchase"]["externalId"] == item["externalId"]
            assert (result["accrual"]["points"], result["replayed"]) == (1, position == 999)
    async with salon.unchanged():
        again = await record_many(salon.manager, items, selection)
    assert [result["userErrors"] for result in again] == [result["userErrors"] for result in results]
    assert all(result["replayed"] for position, result in enumerate(again) if position not in bad)
    sample = await find_customer(salon.staff, "customer-3")
    assert sample["points"]["available"] == 10
    assert await find_customer(salon.staff, "thief") is None


async def test_purchases_of_one_batch_follow_one_another(salon: Business) -> None:
    """BK-34, BK-100: two facts about one purchase, and a customer who rises in the middle of a batch."""
    await furnish(salon)
    results = await record_many(
        salon.integration,
        [
            purchase_of("order-1", "30.00", status="CREATED"),
            purchase_of("order-2", "30.00"),
            purchase_of("order-1", "30.00", status="PAID"),
            purchase_of("order-3", "30.00"),
        ],
    )
    assert [result["purchase"]["version"] for result in results] == [1, 1, 2, 1]
    assert [bool(result["tierUpgrade"]) for result in results] == [False, True, False, False]
    assert (await find_customer(salon.staff))["points"]["available"] == 90


async def test_facts_of_a_customer_are_kept_and_absent_ones_stay(salon: Business) -> None:
    """BK-41, SB-07: the profile comes with the purchases; e-mail without regard to case."""
    profile = {
        "externalId": "anna",
        "fullName": "Anna Groß",
        "email": "Anna@Example.com",
        "avatarUrl": "https://example.com/anna.png",
        "locale": "de-AT",
        "category": "student",
        "marketingConsent": True,
    }
    await record(salon.integration, "order-1", customer=profile)
    await record(salon.integration, "order-2", customer={"externalId": "anna", "fullName": "Anna Klein"})
    shown = await salon.staff.get(
        """{ customer(by: {email: "ANNA@EXAMPLE.COM"}) {
          externalId fullName email avatarUrl locale category marketingConsent
        } }"""
    )
    assert shown == {**profile, "fullName": "Anna Klein", "email": "anna@example.com"}
    unknown = await record(salon.integration, "order-3", customer="ben")
    assert unknown["customer"]["externalId"] == "ben"
    consent = await find_customer(salon.staff, "ben", f"marketingConsent fullName {CUSTOMER}")
    assert (consent["marketingConsent"], consent["fullName"]) == (False, "")


FAR_INSTANTS = ("0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z")


async def test_an_instant_at_the_end_of_the_calendar_harms_no_other_item(salon: Business) -> None:
    """BK-29, F-24: it is refused by its name, alone and in a batch, and the rest of the batch is recorded."""
    await furnish(salon)
    wrong = [
        purchase_of(f"{field} {instant}", **{field: instant})
        for field in ("bookedAt", "startsAt", "endsAt", "occurredAt")
        for instant in FAR_INSTANTS
    ]
    items = [purchase_of("good-1"), *wrong, purchase_of("good-2")]
    results = await record_many(salon.integration, items)
    assert [result["userErrors"] == [] for result in results] == [True, *([False] * len(wrong)), True]
    for item, result in zip(wrong, results[1:-1], strict=True):
        (error,) = result["userErrors"]
        assert (error["code"], error["path"]) == ("INVALID_INPUT", [item["externalId"].split(" ")[0]])


async def test_an_earlier_status_cannot_undo_a_later_one(salon: Business) -> None:
    """F-08: a cancellation that happened before the payment comes too late, whenever it arrives."""
    await furnish(salon)
    await record(salon.integration, "order-1", "60.00", status="PAID", occurredAt="2026-05-05T12:00:00Z")
    async with salon.unchanged():
        refused = await salon.integration.refusals(
            "purchaseRecord",
            **purchase_of("order-1", "60.00", status="CANCELLED", occurredAt="2026-05-01T12:00:00Z"),
        )
    assert [error["code"] for error in refused] == ["STATUS_RUNS_BACKWARDS"]
    later = await record(salon.integration, "order-1", "60.00", status="CANCELLED", occurredAt="2026-05-06T12:00:00Z")
    assert later["customer"]["points"]["available"] == 0


async def test_each_replay_tells_the_upgrade_of_its_own_fact(salon: Business) -> None:
    """F-08: the payment changed no tier, so its replay tells of none; the booking did."""
    await furnish(salon)
    first = await record(salon.integration, "order-1", "60.00", status="CREATED")
    paid = await record(salon.integration, "order-1", "60.00", status="PAID")
    assert (first["tierUpgrade"]["tier"]["name"], paid["tierUpgrade"]) == ("Silver", None)
    again = [await record(salon.integration, "order-1", "60.00", status=status) for status in ("CREATED", "PAID")]
    assert [replay["tierUpgrade"] for replay in again] == [first["tierUpgrade"], None]


async def test_a_purchase_may_stand_in_a_batch_a_hundred_times(salon: Business) -> None:
    """Each report after the first is a transaction of its own, so there is a limit, and it harms no other item."""
    await furnish(salon)
    items = [purchase_of("order-1", staff=f"staff-{number}") for number in range(102)]
    results = await record_many(salon.integration, [*items, purchase_of("order-2")])
    assert [result["userErrors"] == [] for result in results] == [*([True] * 100), False, False, True]
    assert results[101]["userErrors"][0]["path"] == ["externalId"]


async def test_customers_read_what_they_earned_and_nothing_about_rules(salon: Business) -> None:
    """BK-11: no names, no conditions, no staff; only what gave points, and that adds up."""
    await furnish(salon)
    conditions = {"staff": ["Jonas the master"], "weekdays": ["MON"]}
    await create_rule(salon.manager, "Secret of the house", 50, conditions=conditions)
    await record(salon.integration, "order-1", "60.00", startsAt="2026-03-03T12:00:00Z")
    customer = await salon.customer("anna")
    lines = "lines { outcome points explanation failedCondition ruleId ruleName ruleVersion }"
    seen = await customer.get(
        f"{{ me {{ activity {{ nodes {{ reference {{ ... on Purchase {{ accrual {{ points {lines} }} }} }} }} }} }} }}"
    )
    accrual = seen["activity"]["nodes"][0]["reference"]["accrual"]
    assert accrual == {
        "points": 60,
        "lines": [
            {
                "outcome": "APPLIED",
                "points": 60,
                "explanation": "60 points: 1 per 1.00 EUR of 60.00 EUR, rounded down.",
                "failedCondition": None,
                "ruleId": None,
                "ruleName": None,
                "ruleVersion": None,
            }
        ],
    }
