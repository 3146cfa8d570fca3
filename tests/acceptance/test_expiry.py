"""Expiry over the wire: in sandboxes, whose clock the tests advance as a client would."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.acceptance.business import Business
from tests.acceptance.client import (
    ONE_PER_EURO,
    POINTS_CHANGED,
    Caller,
    Json,
    adjust,
    create_rule,
    find_customer,
    newest_cursor,
    record,
)
from tests.acceptance.conftest import OpenBusiness

BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)
POLICY = "expiry { kind months days period periodsAfter month day minimumDays }"
NOTHING = dict.fromkeys(("months", "days", "period", "periodsAfter", "month", "day", "minimumDays"))
SCHEDULE = "points { available } expirySchedule { lastDay expiresAt points }"
POINTS_EXPIRING = """
subscription($customer: CustomerBy, $daysBefore: [Int!], $after: Cursor) {
  pointsExpiring(customer: $customer, daysBefore: $daysBefore, after: $after) {
    cursor customer { externalId } lot { points remaining } points daysBefore expiresAt marketingConsent
  }
}
"""


@pytest.fixture
async def sandbox(businesses: OpenBusiness) -> Business:
    """Provide a salon in Berlin that can let time pass, and gives a point per euro."""
    made = await businesses(sandbox=True)
    await create_rule(made.manager, "A point per euro", ONE_PER_EURO)
    return made


async def set_expiry(manager: Caller, policy: Json, *notice_days: int) -> Json:
    payload: Json = await manager.do(
        "programUpdate", f"program {{ {POLICY} noticeDays }}", expiry=policy, noticeDays=list(notice_days)
    )
    program: Json = payload["program"]
    return program


async def let_pass(business: Business, days: int, key: str) -> date:
    """Advance the sandbox's clock; the local day that it shows then."""
    payload = await business.manager.do("sandboxClockAdvance", "now", by=f"P{days}D", idempotencyKey=key)
    return datetime.fromisoformat(payload["now"]).astimezone(BERLIN).date()


def today() -> date:
    """Return the day in Berlin; a test that runs across its midnight may fail once."""
    return datetime.now(BERLIN).date()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"none": True}, {"kind": "NONE"}),
        ({"fixedDuration": {"months": 12}}, {"kind": "FIXED_DURATION", "months": 12, "days": 0}),
        ({"fixedDuration": {"days": 90}}, {"kind": "FIXED_DURATION", "months": 0, "days": 90}),
        (
            {"endOfPeriod": {"period": "QUARTER", "periodsAfter": 1}},
            {"kind": "END_OF_PERIOD", "period": "QUARTER", "periodsAfter": 1},
        ),
        (
            {"fixedDate": {"month": 12, "day": 31}},
            {"kind": "FIXED_DATE", "month": 12, "day": 31, "minimumDays": 30},
        ),
        (
            {"fixedDate": {"month": 6, "day": 30, "minimumDays": 0}},
            {"kind": "FIXED_DATE", "month": 6, "day": 30, "minimumDays": 0},
        ),
        ({"inactivity": {"days": 365}}, {"kind": "INACTIVITY", "days": 365}),
    ],
)
async def test_each_kind_of_expiry_is_set_and_shown(salon: Business, given: Json, shown: Json) -> None:
    """PB-13, F-26: for the program and for a rule; never is what a new program says, and what a rule does not."""
    before = await salon.staff.get(f"{{ program {{ {POLICY} noticeDays }} }}")
    assert before == {"expiry": NOTHING | {"kind": "NONE"}, "noticeDays": [30, 7, 1]}
    assert await set_expiry(salon.manager, given, 14, 60) == {"expiry": NOTHING | shown, "noticeDays": [60, 14]}
    made = await salon.manager.do(
        "earningRuleCreate",
        f"earningRule {{ id {POLICY} }}",
        name="With its own",
        award={"fixed": {"points": 1}},
        expiry=given,
    )
    rule = made["earningRule"]
    assert rule["expiry"] == NOTHING | shown
    changed = await salon.manager.do(
        "earningRuleUpdate", f"earningRule {{ version {POLICY} }}", id=rule["id"], expiry=None
    )
    assert changed["earningRule"] == {"version": 2, "expiry": None}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"expiry": {"none": False}}, ["expiry", "none"]),
        ({"expiry": {"fixedDuration": {}}}, ["expiry", "fixedDuration"]),
        ({"expiry": {"fixedDuration": {"months": 121}}}, ["expiry", "fixedDuration", "months"]),
        ({"expiry": {"fixedDate": {"month": 13, "day": 1}}}, ["expiry", "fixedDate", "month"]),
        (
            {"expiry": {"fixedDate": {"month": 1, "day": 1, "minimumDays": -1}}},
            ["expiry", "fixedDate", "minimumDays"],
        ),
        ({"expiry": {"inactivity": {"days": 0}}}, ["expiry", "inactivity", "days"]),
        ({"expiry": None}, ["expiry"]),
        ({"noticeDays": [0]}, ["noticeDays"]),
        ({"noticeDays": [7, 7]}, ["noticeDays"]),
        ({"noticeDays": None}, ["noticeDays"]),
    ],
)
async def test_an_impossible_expiry_is_refused_by_its_field(salon: Business, given: Json, path: list[str]) -> None:
    async with salon.unchanged():
        (refused,) = await salon.manager.refusals("programUpdate", **given)
    assert (refused["code"], refused["path"]) == ("INVALID_INPUT", path)


async def test_points_expire_and_the_entry_tells_which_and_from_what(sandbox: Business) -> None:
    """PB-13, F-25, C-28: grey, with the lot behind it and the purchase behind that, streamed like every other entry."""
    await set_expiry(sandbox.manager, {"fixedDuration": {"days": 10}})
    await record(sandbox.integration, "order-1", "30.00")
    last_day = today() + 10 * DAY
    anna = await find_customer(sandbox.staff, "anna", SCHEDULE)
    (line,) = anna["expirySchedule"]
    assert (line["lastDay"], line["points"]) == (last_day.isoformat(), 30)
    assert datetime.fromisoformat(line["expiresAt"]) == datetime.combine(last_day + DAY, datetime.min.time(), BERLIN)
    after = await newest_cursor(sandbox.owner)
    assert await let_pass(sandbox, 10, "the last day") == last_day
    assert (await find_customer(sandbox.staff, "anna", SCHEDULE))["points"]["available"] == 30
    await let_pass(sandbox, 1, "the day after")
    async with sandbox.staff.follow(POINTS_CHANGED, after=after) as stream:
        assert (await stream.next())["entry"]["kind"] == "EXPIRED"
    anna = await find_customer(
        await sandbox.customer("anna"),
        "anna",
        f"""{SCHEDULE} points {{ lifetimeEarned }} activity(first: 1) {{ nodes {{ kind points displayColor reference {{
          ... on PointsLot {{ points remaining expired expiresAt openedAt
            entry {{ kind reference {{ ... on Purchase {{ externalId }} }} }} }} }} }} }}""",
    )
    (entry,) = anna["activity"]["nodes"]
    lot = entry.pop("reference")
    assert entry == {"kind": "EXPIRED", "points": -30, "displayColor": "GREY"}
    assert (lot["points"], lot["remaining"], lot["expired"]) == (30, 0, 30)
    assert lot["expiresAt"] == line["expiresAt"]
    assert lot["entry"] == {"kind": "EARNED", "reference": {"externalId": "order-1"}}
    assert (anna["points"], anna["expirySchedule"]) == ({"available": 0, "lifetimeEarned": 30}, [])


async def test_all_dates_of_all_customers_are_listed(sandbox: Business) -> None:
    """F-25: soonest first, a line for each day; by hand as the program says, or to a day of its own."""
    await set_expiry(sandbox.manager, {"fixedDuration": {"days": 30}})
    campaign: Json = {"fixedDuration": {"days": 5}}
    await sandbox.manager.do(
        "earningRuleCreate", "earningRule { id }", name="Campaign", award={"fixed": {"points": 7}}, expiry=campaign
    )
    for number in range(2):
        await record(sandbox.integration, f"anna-{number}", "10.00")
    await record(sandbox.integration, "ben", "20.00", customer="ben")
    await adjust(sandbox.manager, "short", 3, expiresOn=today().isoformat())
    await adjust(sandbox.manager, "as usual", 4)
    page = await sandbox.staff.get("{ customers { nodes { externalId expirySchedule { lastDay points } } } }")
    soon, late = (today() + 5 * DAY).isoformat(), (today() + 30 * DAY).isoformat()
    assert {one["externalId"]: [tuple(line.values()) for line in one["expirySchedule"]] for one in page["nodes"]} == {
        "anna": [(today().isoformat(), 3), (soon, 14), (late, 24)],
        "ben": [(soon, 7), (late, 20)],
    }


async def test_a_day_that_is_over_is_refused(salon: Business) -> None:
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    await record(salon.integration, "order-1", "1.00")
    anna: Json = {"externalId": "anna"}
    yesterday = (today() - DAY).isoformat()
    async with salon.unchanged():
        for amount, day in ((5, yesterday), (5, "9999-12-31"), (-1, today().isoformat())):
            (refused,) = await salon.manager.refusals(
                "pointsAdjust", customer=anna, idempotencyKey="key", amount=amount, expiresOn=day
            )
            assert (refused["code"], refused["path"]) == ("INVALID_INPUT", ["expiresOn"])


async def test_owners_are_told_before_and_every_time_once(sandbox: Business) -> None:
    """F-27: 7 days and a day before, filtered by days, to customers only their own."""
    after = await newest_cursor(sandbox.owner)
    await set_expiry(sandbox.manager, {"fixedDuration": {"days": 10}}, 7, 1)
    consents: dict[str, bool] = {"anna": True, "ben": False}
    for name, consent in consents.items():
        who: Json = {"externalId": name, "marketingConsent": consent}
        await record(sandbox.integration, f"order of {name}", "30.00", customer=who)
    for days in range(1, 12):
        await let_pass(sandbox, 1, f"day {days}")
    async with sandbox.staff.follow(POINTS_EXPIRING, after=after) as stream:
        told = await stream.take(4)
    assert [event["daysBefore"] for event in told] == [7, 7, 1, 1]
    assert {event["customer"]["externalId"]: event["marketingConsent"] for event in told} == consents
    assert {(event["points"], event["lot"]["points"], event["lot"]["remaining"]) for event in told} == {(30, 30, 0)}
    filtered: dict[str, Any] = {"daysBefore": [1], "customer": {"externalId": "ben"}}
    async with sandbox.staff.follow(POINTS_EXPIRING, after=after, **filtered) as stream:
        assert await stream.next() == told[2] if told[2]["customer"] == {"externalId": "ben"} else told[3]
    async with (await sandbox.customer("ben")).follow(POINTS_EXPIRING, after=after) as stream:
        own = await stream.take(2)
    assert [event["customer"]["externalId"] for event in own] == ["ben", "ben"]


async def test_points_live_as_long_as_their_owner_comes(sandbox: Business) -> None:
    """PB-13: INACTIVITY, as customers see it."""
    await set_expiry(sandbox.manager, {"inactivity": {"days": 10}})
    await record(sandbox.integration, "order-1", "30.00")
    await let_pass(sandbox, 9, "nine days")
    await record(sandbox.integration, "order-2", "1.00")
    anna = await find_customer(sandbox.staff, "anna", SCHEDULE)
    assert [(line["lastDay"], line["points"]) for line in anna["expirySchedule"]] == [
        ((today() + 19 * DAY).isoformat(), 31)
    ]
    await let_pass(sandbox, 11, "eleven days")
    assert (await find_customer(sandbox.staff, "anna", SCHEDULE))["points"]["available"] == 0
