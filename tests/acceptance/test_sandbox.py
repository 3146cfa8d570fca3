"""Sandboxes: a client lets time pass over the wire, and what becomes due has happened when the answer comes."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.business import Business
from tests.acceptance.client import ONE_PER_EURO, create_rule, find_customer, record
from tests.acceptance.conftest import OpenBusiness

DAY = timedelta(days=1)
A_WHILE = timedelta(minutes=1)
POINTS = "points { available pending held }"
TENANT = "{ viewer { tenant { sandbox now } } }"


@pytest.fixture
async def sandbox(businesses: OpenBusiness) -> Business:
    """Provide a salon to try things in, where a euro is a point that matures after a day."""
    made = await businesses(sandbox=True)
    await create_rule(made.manager, "A point per euro", ONE_PER_EURO)
    await made.manager.do("programUpdate", "program { version }", accrual={"matureDelay": "P1D"})
    return made


async def now(business: Business) -> datetime:
    """Return what the tenant's clock shows."""
    return datetime.fromisoformat((await business.staff.get(TENANT))["tenant"]["now"])


async def test_a_client_lets_points_mature_by_advancing_the_clock(sandbox: Business) -> None:
    """F-44: the clock is the tenant's own, on every server; the points are there when the answer comes."""
    await record(sandbox.integration, "order-1", "30.00")
    assert (await find_customer(sandbox.staff, "anna", POINTS))["points"] == {"available": 0, "pending": 30, "held": 0}
    payload = await sandbox.manager.do("sandboxClockAdvance", "now replayed", by="P1D", idempotencyKey="a day")
    shown = datetime.fromisoformat(payload["now"])
    assert abs(shown - datetime.now(UTC) - DAY) < A_WHILE
    for server in sandbox.installation.servers:
        there = sandbox.staff.at(server)
        assert (await find_customer(there, "anna", POINTS))["points"] == {"available": 30, "pending": 0, "held": 0}
    assert abs(await now(sandbox) - shown) < A_WHILE
    recorded = await record(sandbox.integration.at(sandbox.installation.servers[1]), "order-2", "5.00")
    entries = "activity { nodes { kind occurredAt } }"
    (matured,) = (await find_customer(sandbox.staff, "anna", entries))["activity"]["nodes"]
    assert matured["kind"] == "EARNED"
    assert abs(datetime.fromisoformat(matured["occurredAt"]) - shown) < A_WHILE
    assert recorded["customer"]["points"]["pending"] == 5


async def test_an_abandoned_hold_gives_its_points_back(sandbox: Business) -> None:
    """F-44: what a checkout left behind is free an hour later."""
    await sandbox.manager.do(
        "programUpdate",
        "program { version }",
        accrual={"matureDelay": "PT0M"},
        redemption={"enabled": True, "pointValue": {"points": 1, "money": {"amount": "0.01", "currency": "EUR"}}},
    )
    await record(sandbox.integration, "order-1", "30.00")
    await sandbox.manager.do(
        "redemptionHold",
        "hold { id }",
        customer={"externalId": "anna"},
        points=20,
        subtotal={"amount": "50.00", "currency": "EUR"},
        purchase={"kind": "ORDER", "externalId": "basket"},
        idempotencyKey="basket",
    )
    assert (await find_customer(sandbox.staff, "anna", POINTS))["points"] == {"available": 10, "pending": 0, "held": 20}
    await sandbox.manager.do("sandboxClockAdvance", "now", by="P1D", idempotencyKey="a day")
    assert (await find_customer(sandbox.staff, "anna", POINTS))["points"] == {"available": 30, "pending": 0, "held": 0}


async def test_the_same_key_lets_time_pass_once(sandbox: Business) -> None:
    """F-33: and the credentials, which live in real time, are still good in a year."""
    first = await sandbox.manager.do("sandboxClockAdvance", "now replayed", by="P365D", idempotencyKey="a year")
    again = await sandbox.manager.do("sandboxClockAdvance", "now replayed", by="P365D", idempotencyKey="a year")
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert datetime.fromisoformat(again["now"]) - datetime.fromisoformat(first["now"]) < A_WHILE
    (refused,) = await sandbox.manager.refusals("sandboxClockAdvance", by="P1D", idempotencyKey="a year")
    assert refused["code"] == "IDEMPOTENCY_CONFLICT"


async def test_time_is_not_to_be_had_everywhere_nor_without_end(sandbox: Business, salon: Business) -> None:
    """F-44: not in a live tenant, not backwards, not beyond P3660D in all, and only with LOYALTY_MANAGE."""
    assert (await salon.staff.get(TENANT))["tenant"]["sandbox"] is False
    assert (await sandbox.staff.get(TENANT))["tenant"]["sandbox"] is True
    for business, by, code, path in (
        (salon, "P1D", "NOT_A_SANDBOX", []),
        (sandbox, "PT0M", "INVALID_INPUT", ["by"]),
        (sandbox, "P3661D", "LIMIT_REACHED", ["by"]),
    ):
        async with business.unchanged():
            (refused,) = await business.manager.refusals("sandboxClockAdvance", by=by, idempotencyKey="key")
        assert (by, refused["code"], refused["path"] or []) == (by, code, path)
    answer = await sandbox.staff.answer(
        'mutation { sandboxClockAdvance(input: {by: "P1D", idempotencyKey: "key"}) { now } }'
    )
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_times_of_a_profile_are_compared_with_the_clock_of_the_sandbox(sandbox: Business) -> None:
    await sandbox.owner.do("sandboxClockAdvance", "now", by="P30D", idempotencyKey="a month")
    tomorrow = datetime.now(UTC) + timedelta(days=2)
    told = {"externalId": "anna", "birthday": tomorrow.date().isoformat(), "asOf": tomorrow.isoformat()}
    payload = await sandbox.integration.do("customerUpsert", "customer { birthday }", **told)
    assert payload["customer"]["birthday"] == told["birthday"]
    too_late = (datetime.now(UTC) + timedelta(days=31)).isoformat()
    async with sandbox.unchanged():
        (refused,) = await sandbox.integration.refusals("customerUpsert", externalId="anna", asOf=too_late)
    assert refused["path"] == ["asOf"]
