"""Retention over HTTP: look, switch on, wait for the days of notice, and see who is gone and who is not."""

from datetime import datetime, timedelta

import pytest

from tests.acceptance.business import Business
from tests.acceptance.client import adjust, code_of, mutation
from tests.acceptance.conftest import OpenBusiness

DAY = timedelta(days=1)
LOOK = "query($months: Int) { retention { %s } }"
SETTINGS = "inactiveMonths profileHistoryMonths beginsAt"
OUTLOOK = f"{SETTINGS} outlook(inactiveMonths: $months) {{ inactiveMonths beginsAt dueCount nextDueAt }}"
CUSTOMER = "query($id: ID!) { customer(by: {id: $id}) { fullName erasedAt archiveHistory { cause actorKind } } }"
LOG = "{ auditLog(filter: {subjects: [CUSTOMER]}) { nodes { subjectId actorSubject changes { field after } } } }"


@pytest.fixture
async def sandbox(businesses: OpenBusiness) -> Business:
    """A salon to let time pass in."""
    return await businesses(sandbox=True)


async def add(salon: Business, external_id: str) -> str:
    """A new customer with a name."""
    payload = await salon.manager.do(
        "customerUpsert", "customer { id }", externalId=external_id, fullName=f"{external_id} Miller"
    )
    return str(payload["customer"]["id"])


async def advance(salon: Business, days: int) -> datetime:
    """Let days pass, and return the time after them."""
    payload = await salon.manager.do("sandboxClockAdvance", "now", by=f"P{days}D", idempotencyKey=f"{days} days")
    return datetime.fromisoformat(payload["now"])


async def test_customers_who_do_not_come_any_more_are_erased(sandbox: Business) -> None:
    """The clock is the tenant's own; who has points stays; the ledger adds up, and the log names the worker."""
    anna, ben = await add(sandbox, "anna"), await add(sandbox, "ben")
    await adjust(sandbox.manager, "bonus", 5, customer="ben")
    before = await sandbox.manager.get(LOOK % OUTLOOK, months=6)
    assert (before["inactiveMonths"], before["beginsAt"], before["outlook"]["dueCount"]) == (None, None, 0)
    payload = await sandbox.owner.do("retentionSet", f"retention {{ {SETTINGS} }}", inactiveMonths=6)
    assert payload["retention"]["inactiveMonths"] == 6
    today = await advance(sandbox, 170)
    assert (await sandbox.manager.get(CUSTOMER, id=anna))["erasedAt"] is None
    again = await sandbox.manager.get(LOOK % OUTLOOK, months=None)
    due_at = datetime.fromisoformat(again["outlook"]["nextDueAt"])
    assert again["outlook"]["nextDueAt"] == before["outlook"]["nextDueAt"]
    assert today < due_at <= today + 15 * DAY
    await advance(sandbox, 20)
    gone = await sandbox.manager.get(CUSTOMER, id=anna)
    assert (gone["fullName"], gone["archiveHistory"]) == ("", [{"cause": "ERASURE", "actorKind": "SYSTEM"}])
    assert gone["erasedAt"] is not None
    kept = await sandbox.manager.get(CUSTOMER, id=ben)
    assert (kept["fullName"], kept["erasedAt"]) == ("ben Miller", None)
    (entry,) = (await sandbox.manager.get(LOG))["nodes"]
    assert (entry["subjectId"], entry["actorSubject"]) == (anna, "worker:retention")
    assert {"field": "cause", "after": '"RETENTION"'} in entry["changes"]
    await sandbox.check_ledger()


async def test_only_an_owner_switches_it_on_and_wrong_months_have_a_name(salon: Business) -> None:
    by_manager = await salon.manager.answer(mutation("retentionSet", "__typename"), input={"inactiveMonths": 24})
    assert code_of(by_manager) == "FORBIDDEN"
    async with salon.unchanged():
        for months in (5, 121):
            (problem,) = await salon.owner.refusals("retentionSet", inactiveMonths=months)
            assert (problem["code"], problem["path"]) == ("INVALID_INPUT", ["inactiveMonths"])
        (problem,) = await salon.owner.refusals("retentionSet", profileHistoryMonths=0)
        assert problem["path"] == ["profileHistoryMonths"]
        answer = await salon.manager.answer(LOOK % OUTLOOK, months=5)
        assert answer["errors"][0]["extensions"]["problems"][0]["path"] == ["inactiveMonths"]


async def test_what_is_left_out_stays_and_null_ends_it(salon: Business) -> None:
    wanted = f"retention {{ {SETTINGS} }}"
    both = await salon.owner.do("retentionSet", wanted, inactiveMonths=24, profileHistoryMonths=12)
    longer = await salon.owner.do("retentionSet", wanted, inactiveMonths=36)
    assert longer["retention"] == {**both["retention"], "inactiveMonths": 36}
    await salon.owner.do("retentionSet", wanted, inactiveMonths=None)
    off = await salon.owner.do("retentionSet", wanted, profileHistoryMonths=None)
    assert off["retention"] == {"inactiveMonths": None, "profileHistoryMonths": None, "beginsAt": None}
