"""The ways of working people come from, each as a whole: what earns when, and what a cancellation does about it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.business import Business
from tests.acceptance.client import ONE_PER_EURO, Caller, Json, create_rule, find_customer, money, purchase_of, record
from tests.fixtures.live import until

SETTINGS = """
program {
  version
  accrual { stacking earnScope weekdayOf evaluateOn matureOn matureDelay matureSlack forfeitOn debt }
  redemption { enabled pointValue { points money { amount currency } } }
}
"""
FORFEITABLE = ["CANCELLED", "NO_SHOW", "REFUNDED"]
AN_HOUR = timedelta(hours=1)

RECORDED = """
purchase { status version } accrual { state points reversedPoints evaluatedAt maturesAt maturedAt }
customer { points { available pending debt lifetimeEarned qualifying } } replayed
"""


async def choose(salon: Business, preset: str) -> Json:
    """Apply a preset; the settings after it."""
    program: Json = (await salon.manager.do("programApplyPreset", SETTINGS, preset=preset))["program"]
    return program


async def report(caller: Caller, external_id: str, amount: str = "10.00", **facts: Any) -> Any:
    """Record a purchase that must not be refused."""
    return await caller.do("purchaseRecord", RECORDED, **purchase_of(external_id, amount, **facts))


def points_of(recorded: Json) -> tuple[int, int, int]:
    """Return available, pending and lifetime points of the customer."""
    points = recorded["customer"]["points"]
    return (points["available"], points["pending"], points["lifetimeEarned"])


def instant(text: str) -> datetime:
    """Return an instant as the API writes it."""
    return datetime.fromisoformat(text)


def appointment(ends_at: datetime, **facts: Any) -> Json:
    """Return an appointment of an hour for two massages, which are enrolled."""
    return {
        "kind": "APPOINTMENT",
        "status": "CREATED",
        "startsAt": (ends_at - AN_HOUR).isoformat(),
        "endsAt": ends_at.isoformat(),
        "lines": [{"item": "massage", "quantity": 2, "unitPrice": money("5.00")}],
        **facts,
    }


# ── Booknetic ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_booknetic_gives_points_at_the_booking(salon: Business) -> None:
    """C-01, BK-22, BK-26: in the same answer, from all rules; a point is a cent."""
    program = await choose(salon, "BOOKNETIC")
    assert program["accrual"] | {"weekdayOf": None} == {
        "stacking": "SUM",
        "earnScope": "ALL",
        "weekdayOf": None,
        "evaluateOn": "PURCHASE_CREATED",
        "matureOn": "EVALUATION",
        "matureDelay": "PT0S",
        "matureSlack": "PT1H",
        "forfeitOn": FORFEITABLE,
        "debt": "ALLOW_NEGATIVE",
    }
    assert program["redemption"]["pointValue"] == {"points": 1, "money": money("0.01")}
    await create_rule(salon.manager, "Every visit", 10)
    await create_rule(salon.manager, "Mitte", 5, conditions={"locations": ["mitte"]})
    booked = await report(salon.integration, "booking-1", **appointment(_in_hours(48), location="mitte"))
    assert points_of(booked) == (15, 0, 15)
    assert (booked["accrual"]["state"], booked["accrual"]["points"]) == ("AVAILABLE", 15)
    assert booked["accrual"]["maturedAt"] == booked["accrual"]["evaluatedAt"]


@pytest.mark.parametrize("status", FORFEITABLE)
async def test_booknetic_takes_the_points_back_when_the_booking_is_called_off(salon: Business, status: str) -> None:
    """C-20, F-01: balance and lifetime points; the activity tells both."""
    await choose(salon, "BOOKNETIC")
    await create_rule(salon.manager, "Every visit", 10)
    await report(salon.integration, "booking-1", **appointment(_in_hours(48)))
    called_off = await report(salon.integration, "booking-1", **appointment(_in_hours(48), status=status))
    assert points_of(called_off) == (0, 0, 0)
    assert (called_off["accrual"]["state"], called_off["accrual"]["reversedPoints"]) == ("REVERSED", 10)
    activity = await find_customer(salon.staff, "anna", "activity { nodes { kind points balanceAfter } }")
    assert activity["activity"]["nodes"] == [
        {"kind": "EARN_REVERSED", "points": -10, "balanceAfter": 0},
        {"kind": "EARNED", "points": 10, "balanceAfter": 10},
    ]


# ── SimplyBook ───────────────────────────────────────────────────────────────────────────────────────────────────


async def furnish_simplybook(salon: Business) -> Json:
    """Set points per enrolled item: seven for each massage, nothing for a haircut."""
    program = await choose(salon, "SIMPLYBOOK")
    items = [
        {"kind": "SERVICE", "externalId": "massage", "name": "Massage", "enrolled": True, "pointsPerUnit": 7},
        {"kind": "SERVICE", "externalId": "haircut", "name": "Haircut"},
    ]
    await salon.manager.do("catalogItemsUpsert", "items { externalId }", items=items)
    await create_rule(salon.manager, "Per item", {"perUnit": {"points": 1}})
    return program


async def test_simplybook_promises_points_until_three_hours_after_the_end(salon: Business) -> None:
    """C-01, SB-01, SB-04, SB-13: shown as pending, to the customer too, and nothing can be done with them."""
    program = await furnish_simplybook(salon)
    assert (program["accrual"]["earnScope"], program["accrual"]["evaluateOn"]) == ("OPT_IN", "PURCHASE_CREATED")
    assert (program["accrual"]["matureOn"], program["accrual"]["matureDelay"]) == ("SERVICE_ENDED", "PT3H")
    ends_at = _in_hours(2)
    booked = await report(salon.integration, "booking-1", **appointment(ends_at))
    assert points_of(booked) == (0, 14, 0)
    assert (booked["accrual"]["state"], booked["accrual"]["points"]) == ("PENDING", 14)
    assert instant(booked["accrual"]["maturesAt"]) == ends_at + 3 * AN_HOUR
    assert booked["accrual"]["maturedAt"] is None
    customer = await salon.customer()
    shown = await customer.get("{ viewer { customer { points { available pending } activity { nodes { points } } } } }")
    assert shown["customer"]["points"] == {"available": 0, "pending": 14}
    (refused,) = await salon.manager.refusals(
        "pointsAdjust", customer={"externalId": "anna"}, idempotencyKey="early", amount=-1
    )
    assert (refused["code"], refused["available"]) == ("INSUFFICIENT_POINTS", 0)


async def test_simplybook_gives_points_at_once_for_what_ended_long_ago(salon: Business) -> None:
    """SB-04: reported more than three hours after its end."""
    await furnish_simplybook(salon)
    booked = await report(salon.integration, "booking-1", **appointment(_in_hours(-3.01)))
    assert points_of(booked) == (14, 0, 14)
    assert booked["accrual"]["state"] == "AVAILABLE"
    waiting = await report(salon.integration, "booking-2", **appointment(_in_hours(-2.99)))
    assert points_of(waiting) == (14, 14, 14)


async def test_simplybook_promises_come_true_by_themselves(salon: Business) -> None:
    """SB-04: the worker does it, and subscribers get the event."""
    await furnish_simplybook(salon)
    due_at = datetime.now(UTC) + timedelta(seconds=5)
    booked = await report(salon.integration, "booking-1", **appointment(due_at - 3 * AN_HOUR))
    assert booked["accrual"]["state"] == "PENDING"

    async def has_come() -> bool:
        points = (await find_customer(salon.staff, "anna", "points { available pending }"))["points"]
        return bool(points == {"available": 14, "pending": 0})

    await until(has_come)
    shown = await salon.staff.get(
        'query { purchase(by: {key: {kind: APPOINTMENT, externalId: "booking-1"}}) '
        "{ accrual { state maturesAt maturedAt } } }"
    )
    assert shown["accrual"]["state"] == "AVAILABLE"
    matures_at, matured_at = instant(shown["accrual"]["maturesAt"]), instant(shown["accrual"]["maturedAt"])
    assert matured_at >= matures_at


async def test_simplybook_gives_nothing_for_what_is_not_enrolled(salon: Business) -> None:
    """SB-13, C-04."""
    await furnish_simplybook(salon)
    haircut = [{"item": "haircut", "unitPrice": money("10.00")}]
    booked = await report(salon.integration, "booking-1", **appointment(_in_hours(-9), lines=haircut))
    assert (points_of(booked), booked["accrual"]["points"]) == ((0, 0, 0), 0)


@pytest.mark.parametrize("status", FORFEITABLE)
async def test_simplybook_forgets_its_promise_when_the_booking_is_called_off(salon: Business, status: str) -> None:
    """C-20: void, without an entry."""
    await furnish_simplybook(salon)
    ends_at = _in_hours(2)
    await report(salon.integration, "booking-1", **appointment(ends_at))
    called_off = await report(salon.integration, "booking-1", **appointment(ends_at, status=status))
    assert points_of(called_off) == (0, 0, 0)
    assert (called_off["accrual"]["state"], called_off["accrual"]["reversedPoints"]) == ("VOIDED", 0)
    activity = await find_customer(salon.staff, "anna", "activity { nodes { kind } }")
    assert activity["activity"]["nodes"] == []


async def test_a_moved_appointment_moves_its_promise(salon: Business) -> None:
    """SB-04: the end that counts is the one reported last."""
    await furnish_simplybook(salon)
    await report(salon.integration, "booking-1", **appointment(_in_hours(2)))
    ends_at = _in_hours(26)
    moved = await report(salon.integration, "booking-1", **appointment(ends_at))
    assert instant(moved["accrual"]["maturesAt"]) == ends_at + 3 * AN_HOUR
    assert points_of(moved) == (0, 14, 0)


# ── the shop ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def furnish_shop(salon: Business) -> Json:
    """Set a point per euro."""
    program = await choose(salon, "SHOP")
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    return program


async def test_a_shop_gives_points_when_the_order_is_completed(salon: Business) -> None:
    """C-01, PB-03, PB-05: 290.00 are 290 points; not before, and not again."""
    program = await furnish_shop(salon)
    assert (program["accrual"]["evaluateOn"], program["accrual"]["matureOn"]) == ("PURCHASE_COMPLETED", "EVALUATION")
    assert program["redemption"]["pointValue"] == {"points": 100, "money": money("1.00")}
    for status in ("CREATED", "CONFIRMED", "PAID"):
        waiting = await report(salon.integration, "order-1", "290.00", status=status)
        assert (waiting["accrual"], points_of(waiting)) == (None, (0, 0, 0))
    completed = await report(salon.integration, "order-1", "290.00")
    assert (completed["accrual"]["points"], points_of(completed)) == (290, (290, 0, 290))
    async with salon.unchanged():
        for _ in range(3):
            assert (await report(salon.integration, "order-1", "290.00"))["replayed"]


async def test_a_shop_that_toggles_the_status_credits_once(salon: Business) -> None:
    """PB-05, F-08: Completed, Paid, Completed is one credit, whether the step back is refused or an old fact."""
    await furnish_shop(salon)
    await report(salon.integration, "old", "290.00", status="PAID")
    await report(salon.integration, "old", "290.00")
    await report(salon.integration, "new", "10.00")
    async with salon.unchanged():
        assert (await report(salon.integration, "old", "290.00", status="PAID"))["purchase"]["status"] == "COMPLETED"
        (late,) = await salon.integration.refusals("purchaseRecord", **purchase_of("new", status="PAID"))
        assert (late["code"], late["current"], late["requested"]) == ("STATUS_RUNS_BACKWARDS", "COMPLETED", "PAID")
        again = await report(salon.integration, "old", "290.00")
        assert (again["replayed"], points_of(again)) == (True, (300, 0, 300))


async def test_a_shop_takes_the_points_back_and_gives_them_again(salon: Business) -> None:
    """PB-05, F-01, F-09: cancelled, back to life, completed: credited twice, taken back once, 290 in the end."""
    await furnish_shop(salon)
    await report(salon.integration, "order-1", "290.00")
    cancelled = await report(salon.integration, "order-1", "290.00", status="CANCELLED")
    assert (cancelled["accrual"]["state"], points_of(cancelled)) == ("REVERSED", (0, 0, 0))
    reopened = await report(salon.integration, "order-1", "290.00", status="CREATED")
    assert (reopened["accrual"], points_of(reopened)) == (None, (0, 0, 0))
    booked_at = _in_hours(0).isoformat()
    completed = await report(salon.integration, "order-1", "290.00", bookedAt=booked_at)
    assert (completed["accrual"]["state"], points_of(completed)) == ("AVAILABLE", (290, 0, 290))
    activity = await find_customer(salon.staff, "anna", "activity { nodes { points } }")
    assert [entry["points"] for entry in activity["activity"]["nodes"]] == [290, -290, 290]


@pytest.mark.parametrize(
    ("debt", "available", "owed"), [("ALLOW_NEGATIVE", 0, 250), ("CLAMP", 0, 0)], ids=["owed", "forgotten"]
)
async def test_points_spent_before_the_return_become_debt_or_are_forgotten(
    salon: Business, debt: str, available: int, owed: int
) -> None:
    """F-40, C-20."""
    await furnish_shop(salon)
    await salon.manager.do("programUpdate", "__typename", accrual={"debt": debt})
    await report(salon.integration, "order-1", "290.00")
    await salon.manager.do(
        "pointsAdjust", "__typename", customer={"externalId": "anna"}, idempotencyKey="spent", amount=-250
    )
    returned = await report(salon.integration, "order-1", "290.00", status="REFUNDED")
    points = returned["customer"]["points"]
    assert (points["available"], points["debt"]) == (available, owed)


async def test_a_return_can_be_refused_when_the_points_are_spent(salon: Business) -> None:
    """F-40, C-20: REJECT, and nothing changes."""
    await furnish_shop(salon)
    await salon.manager.do("programUpdate", "__typename", accrual={"debt": "REJECT"})
    await report(salon.integration, "order-1", "290.00")
    await salon.manager.do(
        "pointsAdjust", "__typename", customer={"externalId": "anna"}, idempotencyKey="spent", amount=-250
    )
    async with salon.unchanged():
        (refused,) = await salon.integration.refusals(
            "purchaseRecord", **purchase_of("order-1", "290.00", status="REFUNDED")
        )
        assert (refused["code"], refused["available"], refused["required"]) == ("INSUFFICIENT_POINTS", 40, 290)


async def test_points_may_wait_until_the_return_window_is_over(salon: Business) -> None:
    """F-40: P14D after the order is paid."""
    await furnish_shop(salon)
    await salon.manager.do(
        "programUpdate",
        "__typename",
        accrual={"evaluateOn": "PURCHASE_CREATED", "matureOn": "PURCHASE_PAID", "matureDelay": "P14D"},
    )
    created = await report(salon.integration, "order-1", "290.00", status="CREATED")
    assert (created["accrual"]["maturesAt"], points_of(created)) == (None, (0, 290, 0))
    paid = await report(salon.integration, "order-1", "290.00", status="PAID")
    waits = instant(paid["accrual"]["maturesAt"]) - datetime.now(UTC)
    assert timedelta(days=13, hours=23) < waits <= timedelta(days=14)
    returned = await report(salon.integration, "order-1", "290.00", status="REFUNDED")
    assert (returned["accrual"]["state"], points_of(returned)) == ("VOIDED", (0, 0, 0))


# ── the settings themselves ──────────────────────────────────────────────────────────────────────────────────────


async def test_settings_survive_the_round_trip(salon: Business) -> None:
    """What is set is what is read, on the other server too; what is left out stays; each edit is a version."""
    wanted: Json = {
        "stacking": "BEST",
        "earnScope": "OPT_IN",
        "weekdayOf": "BOOKED_AT",
        "evaluateOn": "PURCHASE_CONFIRMED",
        "matureOn": "PURCHASE_COMPLETED",
        "matureDelay": "P13DT21H30M",
        "matureSlack": "P1D",
        "forfeitOn": ["CANCELLED", "REFUNDED"],
        "debt": "CLAMP",
    }
    updated = await salon.manager.do("programUpdate", SETTINGS, accrual=wanted)
    assert updated["program"]["accrual"] == wanted
    other = salon.manager.at(salon.installation.servers[1])
    read = await other.get(f"{{ {SETTINGS} }}")
    assert read == updated["program"]
    version = read["version"]
    for change, shown in (
        ({"matureDelay": "PT90M"}, {"matureDelay": "PT1H30M"}),
        ({"matureDelay": "P2W"}, {"matureDelay": "P14D"}),
        ({"matureDelay": "P366D"}, {"matureDelay": "P366D"}),
        ({"matureDelay": "PT0S"}, {"matureDelay": "PT0S"}),
        ({"forfeitOn": []}, {"forfeitOn": []}),
        ({"forfeitOn": ["NO_SHOW", "CANCELLED", "NO_SHOW"]}, {"forfeitOn": ["CANCELLED", "NO_SHOW"]}),
    ):
        wanted |= shown
        version += 1
        updated = await salon.manager.do("programUpdate", SETTINGS, accrual=change)
        assert (updated["program"]["accrual"], updated["program"]["version"]) == (wanted, version)


BAD_SETTINGS: dict[str, tuple[Json, list[str]]] = {
    "months, which have no length": ({"matureDelay": "P1M"}, ["accrual", "matureDelay"]),
    "years": ({"matureSlack": "P1Y"}, ["accrual", "matureSlack"]),
    "seconds": ({"matureDelay": "PT30S"}, ["accrual", "matureDelay"]),
    "more than a leap year": ({"matureDelay": "P366DT1M"}, ["accrual", "matureDelay"]),
    "more than a leap year of slack": ({"matureSlack": "P53W"}, ["accrual", "matureSlack"]),
    "as many weeks as can be written": ({"matureDelay": "P99999W"}, ["accrual", "matureDelay"]),
    "no delay at all": ({"matureDelay": None}, ["accrual", "matureDelay"]),
    "no slack at all": ({"matureSlack": None}, ["accrual", "matureSlack"]),
    "a status that takes nothing": ({"forfeitOn": ["CANCELLED", "PAID"]}, ["accrual", "forfeitOn"]),
    "no list of statuses": ({"forfeitOn": None}, ["accrual", "forfeitOn"]),
    "no moment of evaluation": ({"evaluateOn": None}, ["accrual", "evaluateOn"]),
    "no moment of maturity": ({"matureOn": None}, ["accrual", "matureOn"]),
    "no policy for debt": ({"debt": None}, ["accrual", "debt"]),
}


async def test_bad_settings_are_refused_with_their_field(salon: Business) -> None:
    """BK-12: and nothing is changed, good ones beside them neither."""
    async with salon.unchanged():
        for what, (accrual, path) in BAD_SETTINGS.items():
            (refused,) = await salon.manager.refusals("programUpdate", accrual={"stacking": "BEST", **accrual})
            assert (refused["code"], refused["path"]) == ("INVALID_INPUT", path), what
            assert refused["reason"], what


async def test_all_bad_settings_are_named_at_once(salon: Business) -> None:
    refused = await salon.manager.refusals(
        "programUpdate", accrual={"matureDelay": "P400D", "matureSlack": "P400D", "forfeitOn": ["CREATED"]}
    )
    assert [error["path"][1] for error in refused] == ["matureDelay", "matureSlack", "forfeitOn"]


async def test_a_preset_needs_the_right_to_manage_and_guards_against_overwriting(salon: Business) -> None:
    """SB-08: staff may not; an outdated version is refused; the rest of the settings stays."""
    await salon.manager.do("programUpdate", "__typename", redemption={"enabled": True, "minBalance": 50})
    program = await choose(salon, "SHOP")
    assert program["redemption"]["enabled"]
    await record(salon.integration, "order-1")
    customer = await salon.customer()
    async with salon.unchanged():
        assert (await choose(salon, "SHOP"))["version"] == program["version"]
        (refused,) = await salon.manager.refusals(
            "programApplyPreset", preset="BOOKNETIC", expectedVersion=program["version"] - 1
        )
        assert (refused["code"], refused["actual"]) == ("VERSION_CONFLICT", program["version"])
        document = "mutation { programApplyPreset(input: {preset: BOOKNETIC}) { program { version } } }"
        for caller in (salon.staff, customer):
            answer = await caller.answer(document)
            assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_change_of_settings_leaves_earlier_promises_alone(salon: Business) -> None:
    """F-04: what was promised under one preset is kept or taken as that preset wanted."""
    await furnish_simplybook(salon)
    ends_at = _in_hours(2)
    booked = await report(salon.integration, "booking-1", **appointment(ends_at))
    await choose(salon, "BOOKNETIC")
    await salon.manager.do("programUpdate", "__typename", accrual={"forfeitOn": []})
    paid = await report(salon.integration, "booking-1", **appointment(ends_at, status="PAID"))
    assert paid["accrual"] == booked["accrual"]
    called_off = await report(salon.integration, "booking-1", **appointment(ends_at, status="CANCELLED"))
    assert called_off["accrual"]["state"] == "VOIDED"
    await record(salon.integration, "order-1")


def _in_hours(hours: float) -> datetime:
    """Return so many hours from now, in whole seconds."""
    return (datetime.now(UTC) + timedelta(hours=hours)).replace(microsecond=0)
