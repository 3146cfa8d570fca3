"""A person is erased everywhere: no table keeps a trace, sums and chains stay, and nobody finds the customer again."""

import json
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from loyalty.ledger.proof.asking import find_differences
from loyalty.rules.archive import ArchiveCause
from loyalty.rules.audit import AuditAction, AuditSubject
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.errors import ActiveHolds, IdempotencyConflict, InvalidInput, NotFound, PermissionDenied
from loyalty.rules.identifier import Identifier
from loyalty.services.adjustment import adjust_points
from loyalty.services.audit import list_audit_entries
from loyalty.services.authentication import refresh_actor
from loyalty.services.customer import CustomerKey, find_customer, list_customers
from loyalty.services.customer_archive import load_archivings, unarchive_customer
from loyalty.services.customer_erase import ErasedCustomer, EraseRequest, erase_customer
from loyalty.services.profile import upsert_customers
from loyalty.services.redemption import hold_points, release_hold
from loyalty.services.world import World
from loyalty.storage.audit import AuditFilter
from loyalty.storage.customer_lists import CustomerFilter
from loyalty.storage.customers import CustomerOrder, PointsFilter
from loyalty.storage.window import Window
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges, snapshot
from tests.fixtures.tenants import Salon
from tests.fixtures.test_invariants import as_owner
from tests.loyalty.services.builders import (
    adjustment,
    earn,
    give,
    hold,
    merge,
    order,
    pay_back,
)
from tests.loyalty.services.gift_cards import issue
from tests.loyalty.services.person import ANNA, BIRTHDAY, CANARY, PHONE, Life, live, own_hold

BEFORE = {
    "adjustments": "customer_description internal_note",
    "checkouts": "purchase_external_id",
    "customer_archivings": "note",
    "customer_consents": "source",
    "customer_identifiers": "value",
    "customer_merges": "reason",
    "customer_profile_changes": "after before",
    "customer_tags": "tag",
    "customer_words": "word",
    "customers": "avatar_url birthday consent_source email external_id full_name identifiers phone profile_kept "
    "search_name tags",
    "entries": "actor_name reason",
    "gift_card_entries": "reason",
    "gift_card_gifts": "actor message recipient_email recipient_name",
    "gift_card_holds": "actor ended_actor ended_reason purchase_external_id",
    "gift_cards": "actor reason reference",
    "holds": "actor ended_actor ended_reason purchase_external_id",
    "idempotency_keys": "key",
    "purchase_facts": "facts report_key",
    "purchase_refunds": "reason",
    "purchases": "external_id",
    "redemption_returns": "reason",
    "redemptions": "purchase_external_id",
    "tier_changes": "note",
}
"""Where the person stands before: table and columns. So a place that is not tried is missed here."""


@pytest.fixture
async def life(world: World, salon: Salon) -> Life:
    """Provide a customer for whom the service has done everything that keeps a name."""
    return await live(world, salon)


def erase_request(key: str = "erase", customer: CustomerKey = ANNA) -> EraseRequest:
    """Return a request to erase Anna."""
    return EraseRequest(customer, key)


async def erase(world: World, salon: Salon, key: str = "erase", customer: CustomerKey = ANNA) -> ErasedCustomer:
    """Erase Anna as the salon's owner."""
    return await erase_customer(world, salon.owner, erase_request(key, customer))


@pytest.fixture(autouse=True)
async def sound_in_the_end(salon: Salon, ledger_is_sound: LedgerCheck) -> AsyncIterator[None]:
    """Check after each test that the ledger adds up, after every kind of customer is erased."""
    yield
    await ledger_is_sound(salon.tenant_id)


async def places(world: World, salon: Salon, *traces: str) -> dict[str, str]:
    """Return the columns of tables in which one of the texts stands, in any case of letters."""
    found: dict[str, set[str]] = {}
    for table, lines in (await snapshot(world.database, salon.tenant_id)).items():
        for line in lines:
            for column, value in json.loads(line).items():
                held = json.dumps(value, ensure_ascii=False).lower()
                if any(trace.lower() in held for trace in traces):
                    found.setdefault(table, set()).add(column)
    return {table: " ".join(sorted(columns)) for table, columns in found.items()}


async def test_no_column_of_any_table_keeps_a_trace(world: World, salon: Salon, life: Life) -> None:
    """Every column of every table of a tenant is read, before and after."""
    traces = (CANARY, BIRTHDAY, PHONE)
    assert await places(world, salon, *traces) == BEFORE
    points = (await find_customer(world, salon.staff, ANNA)).points  # type: ignore[union-attr]
    erased = await erase(world, salon)
    assert await places(world, salon, *traces) == {}
    assert (erased.customer.id, erased.replayed, erased.customer.points) == (life.customer_id, False, points)
    stored = await find_customer(world, salon.staff, CustomerKey(id=life.customer_id))
    assert stored == erased.customer
    assert (stored.full_name, stored.email, stored.marketing_consent) == ("", None, False)
    assert stored.erased_at is not None
    assert stored.archived_at is not None
    merged = await find_customer(world, salon.staff, CustomerKey(id=life.merged_id))
    assert merged == stored, "who was merged into the customer is erased with it"


@pytest.mark.usefixtures("life")
async def test_an_erased_text_is_proved_by_its_hash(owner_world: World, world: World, salon: Salon) -> None:
    """Who changes the hash that was kept of it breaks the chain."""
    await erase(world, salon)
    for table, column in (
        ("entries", "reason_hash"),
        ("gift_card_entries", "reason_hash"),
        ("entries", "actor_name_hash"),
    ):
        async with as_owner(owner_world, salon) as tx:
            changed = await tx.run(text(f"UPDATE {table} SET {column} = sha256({column}) WHERE {column} IS NOT NULL"))
            assert changed, (table, column)
            broken = [difference.invariant for difference in await find_differences(tx)]
            assert any("carries the hash of all it says" in one for one in broken), (table, column)


async def test_nobody_can_be_named_by_what_was_erased(world: World, salon: Salon, life: Life) -> None:
    await erase(world, salon)
    by = (
        ANNA,
        CustomerKey(email="canary@example.com"),
        CustomerKey(phone=PHONE),
        CustomerKey(identifier=Identifier("CARD", "canary-77").key),
        CustomerKey(external_id="former-canary@example.com"),
    )
    for key in by:
        assert await find_customer(world, salon.staff, key) is None
    wanted = CustomerFilter(having=PointsFilter.ANY, search="canary")
    assert await list_customers(world, salon.staff, wanted, CustomerOrder.NAME, Window(20)) == []
    assert await refresh_actor(world, life.anna) is None, "a token of the customer ends"


async def test_nothing_new_is_told_about_an_erased_customer(
    world: World, salon: Salon, life: Life, nothing_changes: NothingChanges
) -> None:
    """The id still leads to the nameless customer; no operation that names a customer takes it."""
    customer = (await erase(world, salon)).customer
    key = CustomerKey(id=life.customer_id)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(NotFound):
            await adjust_points(world, salon.manager, adjustment(5)._replace(customer=key))
        with pytest.raises(NotFound):
            await hold_points(world, salon.integration, own_hold("basket", "hold")._replace(customer=key))
        with pytest.raises(NotFound):
            await unarchive_customer(world, salon.manager, key, None)
        with pytest.raises(NotFound):
            await issue(world, salon, key="card 3", customer=customer.external_id)
        with pytest.raises(NotFound):
            await merge(world, salon, customer.external_id, "bea", "merge again")
        (refused,) = await upsert_customers(
            world, salon.manager, [CustomerProfile(customer.external_id, full_name="Anna")]
        )
        assert isinstance(refused, InvalidInput)
        assert [problem.path for problem in refused.problems] == [("external_id",)]


async def test_an_erased_purchase_can_still_be_called_off(world: World, salon: Salon, life: Life) -> None:
    """By its own id, as a shop does: the nameless customer loses what it had earned."""
    await erase(world, salon)
    paid_back = await pay_back(world, salon, "order-1", 5_000, "later")
    assert paid_back.customer.id == life.customer_id
    assert paid_back.customer.full_name == ""


async def test_who_comes_again_is_a_new_customer(world: World, salon: Salon, life: Life) -> None:
    await erase(world, salon)
    again = await earn(world, salon, order("new order", 1_000, customer=ANNA.external_id or ""))
    assert again.customer.id != life.customer_id
    assert again.customer.points.available == 10


@pytest.mark.usefixtures("life")
async def test_erasing_waits_for_a_checkout(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    held = await hold(world, salon, 50, "basket", customer=ANNA.external_id or "")
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(ActiveHolds) as refused:
            await erase(world, salon)
        assert (refused.value.held, refused.value.path) == (50, ("customer",))
    await release_hold(world, salon.integration, held.hold.id, "let go")
    assert (await erase(world, salon)).customer.erased_at is not None


async def test_a_retry_changes_nothing(world: World, salon: Salon, life: Life, nothing_changes: NothingChanges) -> None:
    """A retry replays with the same key and any name of the customer, and by id with any key."""
    first = await erase(world, salon)
    async with nothing_changes(salon.tenant_id):
        assert await erase(world, salon) == first._replace(replayed=True)
        by_id = CustomerKey(id=life.customer_id)
        assert await erase(world, salon, "another key", by_id) == first._replace(replayed=True)
        with pytest.raises(IdempotencyConflict):
            await erase(world, salon, customer=CustomerKey(external_id="bea"))
        with pytest.raises(NotFound):
            await erase(world, salon, "third key")


async def test_an_erasure_is_told_without_the_name_of_the_customer(world: World, salon: Salon, life: Life) -> None:
    """An entry of the audit log, a row of the archive history, and an event; each says whose id and who did it."""
    await erase(world, salon)
    wanted = AuditFilter(subjects=[AuditSubject.CUSTOMER])
    (entry,) = await list_audit_entries(world, salon.owner, wanted, Window(20))
    assert (entry.subject_id, entry.subject_name, entry.action) == (str(life.customer_id), "", AuditAction.CHANGED)
    assert entry.actor == "The owner"
    (newest, *_) = (await load_archivings(world, salon.staff, [life.customer_id]))[life.customer_id]
    assert (newest.archived, newest.cause, newest.note) == (True, ArchiveCause.ERASURE, None)
    events = (await snapshot(world.database, salon.tenant_id))["events"]
    (told,) = [json.loads(line) for line in events if "customer.erased" in line]
    assert told["customer_id"] == str(life.customer_id)


async def test_only_who_may_erases(world: World, salon: Salon, life: Life, nothing_changes: NothingChanges) -> None:
    async with nothing_changes(salon.tenant_id):
        for actor in (salon.manager, salon.staff, salon.integration, life.anna):
            with pytest.raises(PermissionDenied):
                await erase_customer(world, actor, erase_request())


@pytest.mark.usefixtures("life")
async def test_others_keep_everything(world: World, salon: Salon, other_salon: Salon) -> None:
    """Another customer of the tenant, and another tenant's customer with the same names."""
    profile = CustomerProfile(ANNA.external_id or "", full_name="Anna Canary", email="canary@example.com")
    await upsert_customers(world, other_salon.manager, [profile])
    theirs = await snapshot(world.database, other_salon.tenant_id)
    await give(world, salon, 3, "for bea", customer="bea", internal_note="bea's own")
    await erase(world, salon)
    assert await snapshot(world.database, other_salon.tenant_id) == theirs
    assert await places(world, salon, "bea's own") == {"adjustments": "internal_note"}
