"""Reports: one range of local days for everything, the log with its filters, its colours and its references."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.acceptance.business import Business
from tests.acceptance.client import ONE_PER_EURO, adjust, create_rule, record
from tests.acceptance.conftest import OpenBusiness
from tests.fixtures.live import until

REPORT = """
query($range: DateRangeInput!, $customer: CustomerBy, $kinds: [LedgerEntryKind!]) {
  report(range: $range) {
    startsAt endsAt pointsEarned pointsRedeemed redemptionRate redemptionRatio activeCustomers
    movements { earned reversed redeemed returned expired adjusted }
    activity(customer: $customer, kinds: $kinds) {
      nodes {
        occurredAt customer { externalId } points kind color displayColor note
        reference { __typename ... on Purchase { id externalId } ... on Adjustment { id } }
      }
    }
  }
}
"""


def days(first: datetime, last: datetime | None = None) -> dict[str, str]:
    """Return a range of days, by their dates."""
    return {"from": first.date().isoformat(), "to": (last or first).date().isoformat()}


def around_now() -> dict[str, str]:
    """Return a range of days around the present moment, in every time zone."""
    now = datetime.now(UTC)
    return days(now - timedelta(days=1), now + timedelta(days=1))


async def test_one_range_drives_widgets_and_log(salon: Business) -> None:
    """BK-50, BK-51, BK-52, BK-53, BK-54, C-11, C-12: earned, redeemed, rate, active customers, all of one range."""
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    for name, amount in (("anna", "30.00"), ("ben", "12.00"), ("clara", "0.50")):
        await record(salon.integration, f"order of {name}", amount, customer=name)
    await adjust(salon.manager, "bonus", 5, customer="clara")
    await adjust(salon.manager, "mistake", -2, customer="anna")
    report = await salon.staff.get(REPORT, range=around_now())
    assert report["pointsEarned"] == 42
    assert (report["pointsRedeemed"], report["redemptionRate"], report["redemptionRatio"]) == (0, 0, "0.000000")
    assert report["activeCustomers"] == 2, "who only had points corrected, or earned none, was not active"
    assert report["movements"] == {
        "earned": 42,
        "reversed": 0,
        "redeemed": 0,
        "returned": 0,
        "expired": 0,
        "adjusted": 3,
    }
    log = report["activity"]["nodes"]
    assert [entry["points"] for entry in log] == [-2, 5, 12, 30]
    assert sum(entry["points"] for entry in log) == report["movements"]["earned"] + report["movements"]["adjusted"]


async def test_a_range_without_anything_is_no_error(salon: Business) -> None:
    """BK-52: nothing earned is a rate of 0 and no ratio, in the past as in the future."""
    await create_rule(salon.manager, "Welcome", 10)
    await record(salon.integration, "order-1")
    for year in ("1999", "2199"):
        report = await salon.staff.get(REPORT, range={"from": f"{year}-01-01", "to": f"{year}-12-31"})
        assert (report["pointsEarned"], report["redemptionRate"], report["redemptionRatio"]) == (0, 0, None)
        assert (report["activeCustomers"], report["activity"]["nodes"]) == (0, [])


async def test_days_are_those_of_the_business_whatever_the_clocks_do(businesses: OpenBusiness) -> None:
    """BK-54, C-05, F-24: both days included, in the tenant's zone; a day of 23 and one of 25 hours."""
    for zone, day, starts_at, ends_at in (
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ("America/New_York", "2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
        ("Asia/Kolkata", "2026-01-01", "2025-12-31T18:30:00Z", "2026-01-01T18:30:00Z"),
    ):
        business = await businesses(time_zone=zone)
        report = await business.staff.get(REPORT, range={"from": day, "to": day})
        assert (zone, report["startsAt"], report["endsAt"]) == (zone, starts_at, ends_at)


async def test_the_log_has_colours_and_leads_to_what_is_behind_each_line(salon: Business) -> None:
    """BK-55, BK-56, BK-57, C-28: earned green, adjusted purple; the reference is the purchase or the adjustment."""
    await create_rule(salon.manager, "Welcome", 10)
    recorded = await record(salon.integration, "booking-7", kind="APPOINTMENT")
    adjusted = await adjust(salon.manager, "bonus", 5, internalNote="birthday")
    report = await salon.staff.get(REPORT, range=around_now())
    (bonus, earned) = report["activity"]["nodes"]
    assert datetime.fromisoformat(earned["occurredAt"]) <= datetime.fromisoformat(bonus["occurredAt"])
    assert bonus | {"occurredAt": ""} == {
        "occurredAt": "",
        "customer": {"externalId": "anna"},
        "points": 5,
        "kind": "ADJUSTED",
        "color": bonus["color"],
        "displayColor": "PURPLE",
        "note": "birthday",
        "reference": {"__typename": "Adjustment", "id": adjusted["adjustment"]["id"]},
    }
    assert (earned["displayColor"], earned["note"]) == ("GREEN", None)
    assert earned["color"] != bonus["color"]
    assert earned["reference"] == {
        "__typename": "Purchase",
        "id": recorded["purchase"]["id"],
        "externalId": "booking-7",
    }


async def test_the_log_is_filtered_by_customer_and_by_kind_within_the_range(salon: Business) -> None:
    """BK-58, SB-21: both filters go with the range and with each other."""
    await create_rule(salon.manager, "Welcome", 10)
    for name in ("anna", "ben"):
        await record(salon.integration, f"order of {name}", customer=name)
        await adjust(salon.manager, f"bonus of {name}", 5, customer=name)

    async def log(**filters: Any) -> list[tuple[str, int]]:
        report = await salon.staff.get(REPORT, range=around_now(), **filters)
        return [(entry["customer"]["externalId"], entry["points"]) for entry in report["activity"]["nodes"]]

    assert await log() == [("ben", 5), ("ben", 10), ("anna", 5), ("anna", 10)]
    assert await log(customer={"externalId": "anna"}) == [("anna", 5), ("anna", 10)]
    assert await log(kinds=["ADJUSTED"]) == [("ben", 5), ("anna", 5)]
    assert await log(kinds=["EARNED"], customer={"externalId": "ben"}) == [("ben", 10)]
    assert await log(kinds=["REDEEMED", "EXPIRED"]) == []
    assert await log(kinds=[]) == []
    longer_ago = datetime.now(UTC) - timedelta(days=3)
    report = await salon.staff.get(REPORT, range=days(longer_ago), customer={"externalId": "anna"})
    assert report["activity"]["nodes"] == []


DAILY = "query($range: DateRangeInput!) { report(range: $range) { %s daily { eventsBehind days { day %s } } } }"


async def test_the_days_of_a_report_add_up_to_it(salon: Business) -> None:
    """For charts: a reader of the log adds up each local day, and the report says how far it is."""
    movements = "movements { earned reversed redeemed returned expired adjusted }"
    document = DAILY % (movements, movements)
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    await record(salon.integration, "order-1", "30.00")
    await adjust(salon.manager, "mistake", -2)

    async def read() -> Any:
        return await salon.staff.get(document, range=around_now())

    async def is_added_up() -> bool:
        daily = (await read())["daily"]
        return daily["eventsBehind"] == 0 and bool(daily["days"])

    await until(is_added_up)
    report = await read()
    assert report["movements"]["earned"] == 30
    for name, points in report["movements"].items():
        assert sum(day["movements"][name] for day in report["daily"]["days"]) == points, name


async def test_a_range_of_more_than_a_year_has_no_days(salon: Business) -> None:
    answer = await salon.staff.answer(DAILY % ("pointsEarned", "day"), range={"from": "2020-01-01", "to": "2026-12-31"})
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert answer["errors"][0]["extensions"]["problems"][0]["path"] == ["range"]
