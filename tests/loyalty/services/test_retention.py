"""Retention erases inactive customers, after the days of notice, batch by batch, by the same erasure as by hand."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from loyalty.rules.account import Overdraft
from loyalty.rules.archive import ArchiveCause
from loyalty.rules.audit import AuditSubject
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.erasure import ErasureCause
from loyalty.rules.errors import InvalidInput, PermissionDenied
from loyalty.rules.gift_card_gift import Gift
from loyalty.rules.ids import CustomerId
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.retention import NO_RETENTION, NOTICE_DAYS
from loyalty.services.audit import list_audit_entries
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.customer_archive import archive_customer, load_archivings
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.erasing import OpenPerson, write_erasure
from loyalty.services.expiry import expire_due
from loyalty.services.gift_card_gift import GiveRequest, give_gift_card
from loyalty.services.profile import upsert_customers
from loyalty.services.profile_history import list_profile_changes
from loyalty.services.retention import RetentionChange, get_outlook, get_retention, set_retention
from loyalty.services.retention_sweep import BATCH, LOOK_EVERY, _erase_inactive, remove_due
from loyalty.services.sweep import NOTHING_SWEPT, Swept
from loyalty.services.world import World
from loyalty.storage.audit import AuditFilter
from loyalty.storage.profile_changes import ProfileChangeFilter
from loyalty.storage.retention import lock_retention, save_retention
from loyalty.storage.window import Window
from permissions.actor import ActorKind
from runtime.roles import DatabaseUrls
from tenancy.database import Database, Transaction
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.live import is_waiting_for_a_lock, until
from tests.fixtures.snapshots import NothingChanges, snapshot
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOON,
    at,
    earn,
    give,
    hold,
    known_customer,
    merge,
    one_point_per_euro,
    order,
    rule,
    set_policy,
    set_redemption,
)
from tests.loyalty.services.gift_cards import issue

DAY = timedelta(days=1)
NOTICE = timedelta(days=NOTICE_DAYS)
MOMENT = timedelta(microseconds=1)
TWO_YEARS_ON = NOON.replace(year=NOON.year + 2)
"""When who was last active at noon has been inactive for 24 months."""
BEGIN = TWO_YEARS_ON + NOTICE


@pytest.fixture(autouse=True)
async def sound_in_the_end(salon: Salon, ledger_is_sound: LedgerCheck) -> AsyncIterator[None]:
    """Whatever retention removes, the ledger adds up after it."""
    yield
    await ledger_is_sound(salon.tenant_id)


async def switch_on(world: World, salon: Salon, months: int = 24, now: datetime = TWO_YEARS_ON) -> None:
    """Let customers be erased after so many months."""
    await set_retention(at(world, now), salon.owner, RetentionChange(inactive_months=months))


async def sweep(world: World, salon: Salon, now: datetime) -> Swept:
    """One batch of the sweep."""
    return await remove_due(at(world, now), salon.tenant_id)


async def accounts(world: World, salon: Salon) -> dict[str, dict[str, Any]]:
    """The rows of accounts, by customer."""
    lines = (await snapshot(world.database, salon.tenant_id))["accounts"]
    return {row["customer_id"]: row for row in map(json.loads, lines)}


async def active_at(world: World, salon: Salon, customer_id: CustomerId) -> datetime:
    """When a customer was last active."""
    return datetime.fromisoformat((await accounts(world, salon))[str(customer_id)]["active_at"])


async def erased(world: World, salon: Salon) -> set[str]:
    """The ids of erased customers."""
    lines = (await snapshot(world.database, salon.tenant_id))["customers"]
    return {row["id"] for row in map(json.loads, lines) if row["erased_at"] is not None}


async def _with_points(world: World, salon: Salon, name: str) -> None:
    await give(world, salon, 5, f"points of {name}", customer=name)


async def _with_a_hold(world: World, salon: Salon, name: str) -> None:
    await give(world, salon, 5, f"points of {name}", customer=name)
    await hold(world, salon, 5, f"hold of {name}", customer=name, expires_in_minutes=10)


async def _with_pending_points(world: World, salon: Salon, name: str) -> None:
    await set_policy(world, salon, delay_minutes=60 * 24 * 366)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, order(f"order of {name}", customer=name))


async def _with_a_gift_card(world: World, salon: Salon, name: str) -> None:
    await issue(world, salon, key=f"card of {name}", customer=name)


async def _with_a_gift_for_later(world: World, salon: Salon, name: str) -> None:
    await _give_a_card(world, salon, name, (BEGIN + 10 * DAY).date())


async def _with_a_gift_of_before(world: World, salon: Salon, name: str) -> None:
    await _give_a_card(world, salon, name, (TWO_YEARS_ON - 2 * DAY).date())


async def _give_a_card(world: World, salon: Salon, name: str, deliver_on: date) -> None:
    issued = await issue(world, salon, key=f"gift of {name}", customer=name)
    gift = Gift("Eva", "eva@example.com", deliver_on=deliver_on)
    await give_gift_card(world, salon.manager, GiveRequest(issued.card.id, gift, f"give of {name}"))


async def _with_an_appointment(world: World, salon: Salon, name: str) -> None:
    booked = order(f"visit of {name}", 0, customer=name, starts_at=BEGIN + 10 * DAY, ends_at=BEGIN + 10 * DAY)
    await earn(world, salon, booked)


async def _with_a_former_appointment(world: World, salon: Salon, name: str) -> None:
    await earn(world, salon, order(f"visit of {name}", 0, customer=name, starts_at=NOON + DAY, ends_at=NOON + DAY))


async def _with_a_cancelled_appointment(world: World, salon: Salon, name: str) -> None:
    booked = order(f"visit of {name}", 0, customer=name, starts_at=BEGIN + 10 * DAY, status=PurchaseStatus.CANCELLED)
    await earn(world, salon, booked)


async def _with_debt(world: World, salon: Salon, name: str) -> None:
    await give(world, salon, -5, f"debt of {name}", customer=name, overdraft=Overdraft.ALLOW_NEGATIVE)


async def _archived(world: World, salon: Salon, name: str) -> None:
    await archive_customer(world, salon.manager, CustomerKey(external_id=name), None)


async def _with_nothing(world: World, salon: Salon, name: str) -> None:
    pass


KEPT = {
    "points": _with_points,
    "pending": _with_pending_points,
    "card": _with_a_gift_card,
    "appointment": _with_an_appointment,
    "gift": _with_a_gift_for_later,
}
GONE = {
    "former": _with_a_former_appointment,
    "former gift": _with_a_gift_of_before,
    "cancelled": _with_a_cancelled_appointment,
    "debt": _with_debt,
    "archived": _archived,
    "nothing": _with_nothing,
}


async def test_points_and_money_keep_a_customer(world: World, salon: Salon) -> None:
    """The statements find whom the rule finds: nobody loses points, and who has none goes at the first look."""
    then, ids = at(world, NOON), {}
    for name, prepare in {**KEPT, **GONE}.items():
        ids[name] = str(await known_customer(then, salon, name))
        await prepare(then, salon, name)
    recent = str(await known_customer(at(world, NOON + 40 * DAY), salon, "recent"))
    await switch_on(world, salon)
    outlook = await get_outlook(at(world, TWO_YEARS_ON), salon.manager, None)
    assert outlook == (24, BEGIN, len(GONE), BEGIN)
    assert await sweep(world, salon, BEGIN) == Swept(len(GONE))
    assert await erased(world, salon) == {ids[name] for name in GONE}
    left = await get_outlook(at(world, BEGIN), salon.manager, None)
    assert left == (24, BEGIN, 0, NOON.replace(year=2028) + 40 * DAY), f"{recent} is next"


async def test_nothing_is_removed_before_the_days_of_notice_are_over(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    await known_customer(at(world, NOON), salon)
    await switch_on(world, salon)
    assert await get_retention(world, salon.owner) == (24, None, BEGIN)
    async with nothing_changes(salon.tenant_id):
        for now in (TWO_YEARS_ON, BEGIN - MOMENT):
            assert await sweep(world, salon, now) == NOTHING_SWEPT
    assert await sweep(world, salon, BEGIN) == Swept(1)


async def test_a_shorter_time_begins_later_and_a_longer_one_goes_on(world: World, salon: Salon) -> None:
    await known_customer(at(world, NOON), salon)
    await switch_on(world, salon, months=30)
    await switch_on(world, salon, months=24, now=TWO_YEARS_ON + 10 * DAY)
    assert (await get_retention(world, salon.owner)).begins_at == BEGIN + 10 * DAY
    await switch_on(world, salon, months=36, now=BEGIN)
    assert (await get_retention(world, salon.owner)).begins_at == BEGIN + 10 * DAY
    assert await sweep(world, salon, BEGIN + 10 * DAY) == NOTHING_SWEPT, "36 months are not over"


async def test_switched_off_it_removes_nothing_at_once(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    await known_customer(at(world, NOON), salon)
    await switch_on(world, salon)
    await set_retention(at(world, BEGIN - MOMENT), salon.owner, RetentionChange(inactive_months=None))
    async with nothing_changes(salon.tenant_id):
        assert await sweep(world, salon, BEGIN + 400 * DAY) == NOTHING_SWEPT
        assert await get_outlook(at(world, BEGIN), salon.manager, None) is None


async def test_a_look_at_other_settings_changes_nothing(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """A manager sees what 24 months would do, before an owner decides."""
    await known_customer(at(world, NOON), salon)
    now = at(world, NOON + 40 * DAY)
    async with nothing_changes(salon.tenant_id):
        assert await get_outlook(now, salon.manager, 24) == (24, NOON + 40 * DAY + NOTICE, 0, TWO_YEARS_ON)
        later = at(world, TWO_YEARS_ON - 10 * DAY)
        begin = TWO_YEARS_ON + 20 * DAY
        assert await get_outlook(later, salon.manager, 24) == (24, begin, 1, begin)
        with pytest.raises(InvalidInput) as refused:
            await get_outlook(now, salon.manager, 5)
        assert [one.path for one in refused.value.problems] == [("inactive_months",)]


@pytest.mark.parametrize("name", ["inactive_months", "profile_history_months"])
async def test_wrong_months_are_refused_by_name(
    world: World, salon: Salon, nothing_changes: NothingChanges, name: str
) -> None:
    async with nothing_changes(salon.tenant_id):
        for months in (5, 121, 0, -1):
            with pytest.raises(InvalidInput) as refused:
                await set_retention(world, salon.owner, RetentionChange(**{name: months}))
            assert [one.path for one in refused.value.problems] == [(name,)]


async def test_only_who_erases_sets_it_and_only_who_exports_looks(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    async with nothing_changes(salon.tenant_id):
        for actor in (salon.manager, salon.staff, salon.integration):
            with pytest.raises(PermissionDenied):
                await set_retention(world, actor, RetentionChange(inactive_months=24))
        for actor in (salon.staff, salon.integration):
            with pytest.raises(PermissionDenied):
                await get_retention(world, actor)
            with pytest.raises(PermissionDenied):
                await get_outlook(world, actor, 24)


async def test_an_erasure_by_retention_leaves_no_trace_and_says_that_it_was_retention(
    world: World, salon: Salon
) -> None:
    """The audit log, the archive history and the event name the cause; the actor is the worker."""
    profile = CustomerProfile(
        "canary@example.com", full_name="Canary Miller", email="canary@example.com", tags=("canary",)
    )
    (row,) = await upsert_customers(at(world, NOON), salon.manager, [profile])
    assert not isinstance(row, Exception)
    await give(at(world, NOON), salon, 5, "for canary@example.com", customer="canary@example.com")
    await give(at(world, NOON), salon, -5, "from canary@example.com", customer="canary@example.com")
    await switch_on(world, salon)
    await sweep(world, salon, BEGIN)
    rows = await snapshot(world.database, salon.tenant_id)
    assert [table for table, lines in rows.items() if "canary" in "".join(lines).lower()] == []
    wanted = AuditFilter(subjects=[AuditSubject.CUSTOMER])
    (entry,) = await list_audit_entries(world, salon.owner, wanted, Window(20))
    assert (entry.subject_id, entry.actor_kind, entry.actor_subject) == (
        str(row.id),
        ActorKind.SYSTEM,
        "worker:retention",
    )
    assert [tuple(change) for change in entry.changes] == [("cause", None, "RETENTION"), ("erased", False, True)]
    (newest,) = (await load_archivings(world, salon.staff, [row.id]))[row.id]
    assert (newest.archived, newest.cause, newest.actor_kind) == (True, ArchiveCause.ERASURE, ActorKind.SYSTEM)
    (told,) = [json.loads(line) for line in rows["events"] if "customer.erased" in line]
    assert (told["customer_id"], told["payload"]["cause"]) == (str(row.id), "RETENTION")


async def test_the_setting_is_told_with_before_and_after(world: World, salon: Salon) -> None:
    await switch_on(world, salon)
    await switch_on(world, salon)
    changed = RetentionChange(inactive_months=36, profile_history_months=None)
    await set_retention(at(world, TWO_YEARS_ON), salon.owner, changed)
    newest, first = await list_audit_entries(
        world, salon.owner, AuditFilter(subjects=[AuditSubject.RETENTION]), Window(20)
    )
    assert [tuple(one) for one in first.changes] == [
        ("begins_at", None, BEGIN.isoformat()),
        ("inactive_months", None, 24),
    ]
    assert [tuple(one) for one in newest.changes] == [("inactive_months", 24, 36)]


async def test_many_customers_go_batch_by_batch_and_the_next_look_is_a_day_later(world: World, salon: Salon) -> None:
    for number in range(BATCH + 2):
        await known_customer(at(world, NOON), salon, f"customer {number}")
    await switch_on(world, salon)
    swept = [await sweep(world, salon, BEGIN) for _ in range(3)]
    assert swept == [Swept(BATCH, more=True), Swept(2), NOTHING_SWEPT]
    assert len(await erased(world, salon)) == BATCH + 2
    await known_customer(at(world, NOON), salon, "late")
    assert await sweep(world, salon, BEGIN + LOOK_EVERY - MOMENT) == NOTHING_SWEPT
    assert await sweep(world, salon, BEGIN + LOOK_EVERY) == Swept(1)


async def test_a_customer_whose_erasure_fails_holds_up_nobody(
    world: World, salon: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is raised after the others are erased, and the customer is tried again a day later."""
    ids = [await known_customer(at(world, NOON), salon, name) for name in ("broken", "anna", "bea")]
    broken = ids[0]

    async def fail_for_one(tx: Transaction, opened: OpenPerson, cause: ErasureCause) -> None:
        if opened.customer_id == broken:
            raise RuntimeError("broken")
        await write_erasure(tx, opened, cause)

    await switch_on(world, salon)
    monkeypatch.setattr("loyalty.services.retention_sweep.write_erasure", fail_for_one)
    with pytest.raises(RuntimeError, match="broken"):
        await sweep(world, salon, BEGIN)
    assert await erased(world, salon) == {str(one) for one in ids[1:]}
    assert await sweep(world, salon, BEGIN) == NOTHING_SWEPT
    monkeypatch.undo()
    assert await sweep(world, salon, BEGIN + LOOK_EVERY) == Swept(1)
    assert await erased(world, salon) == {str(one) for one in ids}


async def test_two_workers_erase_each_customer_once(world: World, salon: Salon) -> None:
    for number in range(4):
        await known_customer(at(world, NOON), salon, f"customer {number}")
    await switch_on(world, salon)
    await asyncio.gather(*(sweep(world, salon, BEGIN) for _ in range(3)))
    entries = await list_audit_entries(world, salon.owner, AuditFilter(subjects=[AuditSubject.CUSTOMER]), Window(20))
    assert len({entry.subject_id for entry in entries}) == len(entries) == 4


async def test_what_happened_since_the_look_is_read_again_under_the_locks(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """A customer who bought, got points, was merged or was erased meanwhile stays as they are."""
    bought, given, source, target = [
        await known_customer(at(world, NOON), salon, name) for name in ("bought", "given", "source", "target")
    ]
    await switch_on(world, salon)
    await earn(at(world, BEGIN - MOMENT), salon, order("new", 0, customer="bought"))
    await _with_points(at(world, NOON), salon, "given")
    await merge(at(world, BEGIN - MOMENT), salon, "source", "target", "merge")
    gone = await known_customer(at(world, NOON), salon, "gone")
    assert await _erase_inactive(at(world, BEGIN), salon.tenant_id, gone)
    async with nothing_changes(salon.tenant_id):
        for customer_id in (bought, given, source, target, gone):
            assert not await _erase_inactive(at(world, BEGIN), salon.tenant_id, customer_id)
    former = await known_customer(at(world, NOON), salon, "former")
    await set_retention(at(world, BEGIN), salon.owner, RetentionChange(inactive_months=None))
    async with nothing_changes(salon.tenant_id):
        assert not await _erase_inactive(at(world, BEGIN), salon.tenant_id, former)


LATER = NOON + 10 * DAY


async def _buy_for_nothing(world: World, salon: Salon) -> None:
    await earn(world, salon, order("second", 0))


async def _change_the_profile(world: World, salon: Salon) -> None:
    await upsert_customers(world, salon.manager, [CustomerProfile("anna", full_name="Anna")])


async def _agree_to_marketing(world: World, salon: Salon) -> None:
    await upsert_customers(world, salon.manager, [CustomerProfile("anna", marketing_consent=True)])


async def _hold_points(world: World, salon: Salon) -> None:
    await hold(world, salon, 1, "hold")


async def _get_points(world: World, salon: Salon) -> None:
    await give(world, salon, 1, "one more")


async def _get_a_card(world: World, salon: Salon) -> None:
    await issue(world, salon)


async def _report_nothing_new(world: World, salon: Salon) -> None:
    await upsert_customers(world, salon.manager, [CustomerProfile("anna")])
    await earn(world, salon, order("first of anna", 0))


async def _let_points_expire(world: World, salon: Salon) -> None:
    assert (await expire_due(world, salon.tenant_id)).done == 1


async def _archive(world: World, salon: Salon) -> None:
    await archive_customer(world, salon.manager, CustomerKey(external_id="anna"), None)


async def _look(world: World, salon: Salon) -> None:
    assert await find_customer(world, salon.staff, CustomerKey(external_id="anna")) is not None


Act = Callable[[World, Salon], Awaitable[None]]
ACTIVITY: dict[str, tuple[Act, bool]] = {
    "a purchase without points": (_buy_for_nothing, True),
    "a changed profile": (_change_the_profile, True),
    "consent": (_agree_to_marketing, True),
    "points set aside": (_hold_points, True),
    "points by hand": (_get_points, True),
    "a gift card": (_get_a_card, True),
    "reports that say nothing new": (_report_nothing_new, False),
    "points that expire": (_let_points_expire, False),
    "archiving": (_archive, False),
    "somebody who looks": (_look, False),
}


@pytest.mark.parametrize("act", ACTIVITY)
async def test_what_somebody_does_for_a_customer_is_activity(world: World, salon: Salon, act: str) -> None:
    """What time does is none, nor is a report that tells nothing new."""
    do, is_activity = ACTIVITY[act]
    await set_redemption(world, salon)
    anna = await known_customer(at(world, NOON), salon)
    await give(at(world, NOON), salon, 5, "short", expires_on=(NOON + 5 * DAY).date())
    await give(at(world, NOON), salon, 5, "long")
    await do(at(world, LATER), salon)
    assert await active_at(world, salon, anna) == (LATER if is_activity else NOON)
    await expire_due(at(world, LATER), salon.tenant_id)


async def test_a_merge_of_archived_customers_keeps_the_later_activity(world: World, salon: Salon) -> None:
    """The person was last active when the source was, and the merge of two who stay archived is no activity."""
    target = await known_customer(at(world, NOON), salon, "target")
    await known_customer(at(world, LATER), salon, "source")
    for name in ("source", "target"):
        await _archived(at(world, LATER + DAY), salon, name)
    await merge(at(world, LATER + 9 * DAY), salon, "source", "target", "merge")
    assert await active_at(world, salon, target) == LATER


async def test_who_ends_it_waits_for_what_is_deleted_and_nothing_is_deleted_after(
    world: World, salon: Salon, database_urls: DatabaseUrls
) -> None:
    """Rows of histories, too: after the answer nothing goes any more."""
    application = "sweep beside a setting"
    second = replace(world, database=Database(database_urls.app, pool_size=1, name=application))
    for name, now in (("Anna", NOON - DAY), ("Anna Miller", NOON)):
        await upsert_customers(at(world, now), salon.manager, [CustomerProfile("anna", full_name=name)])
    await set_retention(at(world, TWO_YEARS_ON), salon.owner, RetentionChange(profile_history_months=24))
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        await lock_retention(tx, alone=True)
        working = asyncio.create_task(sweep(second, salon, BEGIN))
        await until(lambda: is_waiting_for_a_lock(database_urls.app, application))
        await save_retention(tx, NO_RETENTION, None)
    assert await working == NOTHING_SWEPT
    await second.database.close()


async def test_activity_is_written_once_a_day(world: World, salon: Salon) -> None:
    await create_earning_rule(world, salon.manager, rule(10))
    anna = await known_customer(at(world, NOON), salon)
    await earn(at(world, NOON + DAY - MOMENT), salon, order("soon", 100))
    assert await active_at(world, salon, anna) == NOON
    await earn(at(world, NOON + DAY), salon, order("next day", 100))
    assert await active_at(world, salon, anna) == NOON + DAY


async def test_old_rows_of_profile_histories_are_deleted(world: World, salon: Salon) -> None:
    """The newest stay, and so does the profile; without the other setting nobody is erased."""
    names = ("Anna", "Anna Miller", "Anna Meier")
    times = (NOON - DAY, NOON, TWO_YEARS_ON)
    for name, now in zip(names, times, strict=True):
        await upsert_customers(at(world, now), salon.manager, [CustomerProfile("anna", full_name=name)])
    await set_retention(at(world, TWO_YEARS_ON), salon.owner, RetentionChange(profile_history_months=24))
    assert await sweep(world, salon, BEGIN) == Swept(1)
    found = await find_customer(world, salon.staff, CustomerKey(external_id="anna"))
    assert found is not None
    assert found.full_name == "Anna Meier"
    changes = await list_profile_changes(world, salon.manager, ProfileChangeFilter(found.id), Window(20))
    assert [change.after for change in changes] == ["Anna Meier"]
