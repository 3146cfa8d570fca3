"""Archived customers are left out of lists and keep their points; who buys again comes back."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from loyalty.rules.archive import ArchiveCause
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.errors import ActiveHolds, CustomerIsArchived, InvalidInput, NotFound, PermissionDenied
from loyalty.rules.ids import CustomerId
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from loyalty.services.authentication import find_fallen, refresh_actor
from loyalty.services.customer import CustomerKey, count_customers, find_customer, list_customers
from loyalty.services.customer_archive import MAX_ARCHIVINGS, archive_customer, load_archivings, unarchive_customer
from loyalty.services.customer_merge import MergeRequest, merge_customers
from loyalty.services.customer_token import CustomerTokenRequest, grant_customer_token
from loyalty.services.profile import upsert_customers
from loyalty.services.purchase_change import PurchaseName
from loyalty.services.purchase_reassign import ReassignRequest, reassign_purchase
from loyalty.services.redemption import release_hold
from loyalty.services.world import World
from loyalty.storage.customer_archivings import ArchivingRow
from loyalty.storage.customer_lists import CustomerFilter
from loyalty.storage.customers import CustomerOrder, CustomerRow, PointsFilter
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.window import Window
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOON,
    at,
    customer_actor,
    earn,
    give,
    hold,
    known_customer,
    merge,
    order,
    pay_back,
    set_redemption,
)

ANNA = CustomerKey(external_id="anna")


@pytest.fixture(autouse=True)
async def sound_in_the_end(salon: Salon, ledger_is_sound: LedgerCheck) -> AsyncIterator[None]:
    """Check after each test that the ledger adds up, after every archive and unarchive."""
    yield
    await ledger_is_sound(salon.tenant_id)


@pytest.fixture
async def anna(world: World, salon: Salon) -> CustomerId:
    """Provide a customer with 30 points."""
    await set_redemption(world, salon)
    customer_id = await known_customer(world, salon)
    await give(world, salon, 30, "welcome")
    return customer_id


async def archive(world: World, salon: Salon, note: str | None = None) -> CustomerRow:
    """Archive Anna as the salon's manager."""
    return await archive_customer(world, salon.manager, ANNA, note)


async def listed(world: World, salon: Salon, **narrowed: object) -> list[str]:
    """Return the customers whom a list shows."""
    wanted = CustomerFilter(having=PointsFilter.ANY, **narrowed)  # type: ignore[arg-type]
    page = await list_customers(world, salon.staff, wanted, CustomerOrder.NEWEST, Window(20))
    assert await count_customers(world, salon.staff, wanted) == len(page)
    return [row.external_id for _, row in page]


async def history(world: World, salon: Salon, customer_id: CustomerId) -> list[ArchivingRow]:
    """Return the archive history of a customer."""
    return (await load_archivings(world, salon.staff, [customer_id])).get(customer_id, [])


async def found(world: World, salon: Salon, key: CustomerKey = ANNA) -> CustomerRow:
    """Return a customer who is there."""
    row = await find_customer(world, salon.staff, key)
    assert row is not None
    return row


async def test_an_archived_customer_is_in_no_list_and_keeps_everything(
    world: World, salon: Salon, anna: CustomerId
) -> None:
    before = await found(world, salon)
    archived = await archive_customer(at(world, NOON), salon.integration, ANNA, "moved away")
    assert archived == before._replace(archived_at=NOON)
    assert await found(world, salon) == await found(world, salon, CustomerKey(id=anna)) == archived
    assert await listed(world, salon) == await listed(world, salon, search="anna") == []
    assert await listed(world, salon, external_ids=["anna"]) == []
    assert (
        await listed(world, salon, archived=True) == await listed(world, salon, archived=True, search="ann") == ["anna"]
    )
    (row,) = await history(world, salon, anna)
    assert (row.archived, row.cause, row.cause_id, row.note, row.changed_at) == (True, "CALL", None, "moved away", NOON)
    assert (row.actor_kind, row.actor) == ("STAFF", salon.integration.display)


async def test_archived_again_nothing_changes(
    world: World, salon: Salon, anna: CustomerId, nothing_changes: NothingChanges
) -> None:
    then = at(world, NOON)
    first = await archive(then, salon)
    async with nothing_changes(salon.tenant_id):
        assert await archive(at(world, NOON + timedelta(days=1)), salon, "again") == first
    await unarchive_customer(then, salon.manager, ANNA, None)
    async with nothing_changes(salon.tenant_id):
        assert (await unarchive_customer(then, salon.manager, ANNA, "again")).archived_at is None
    assert [row.archived for row in await history(world, salon, anna)] == [False, True]


async def test_refused_while_points_are_set_aside(
    world: World, salon: Salon, anna: CustomerId, nothing_changes: NothingChanges
) -> None:
    held = await hold(world, salon, 10, "cart")
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(ActiveHolds) as refusal:
            await archive(world, salon)
    assert (refusal.value.held, refusal.value.path) == (10, ("customer",))
    await release_hold(world, salon.integration, held.hold.id, "released")
    assert (await archive(world, salon)).archived_at is not None
    assert len(await history(world, salon, anna)) == 1


async def test_refuses_what_makes_no_sense(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    async with nothing_changes(salon.tenant_id):
        for change in (archive_customer, unarchive_customer):
            with pytest.raises(NotFound):
                await change(world, salon.manager, CustomerKey(external_id="nobody"), None)
            with pytest.raises(InvalidInput) as refusal:
                await change(world, salon.manager, ANNA, "x" * 501)
            assert refusal.value.path == ("reason",)
            with pytest.raises(PermissionDenied):
                await change(world, salon.staff, ANNA, None)


async def buy(world: World, salon: Salon) -> None:
    """Record a purchase of Anna."""
    await earn(world, salon, order("back"))


async def set_aside(world: World, salon: Salon) -> None:
    """Set points of Anna aside."""
    await hold(world, salon, 10, "cart")


async def reassign(world: World, salon: Salon) -> None:
    """Move a purchase of another customer to Anna."""
    await earn(world, salon, order("anna's", customer="ben"))
    name = PurchaseName(key=PurchaseKey(PurchaseKind.ORDER, "anna's"))
    await reassign_purchase(world, salon.manager, ReassignRequest(name, ANNA, None, "anna's"))


async def merge_ben(world: World, salon: Salon) -> None:
    """Merge Ben, who is not archived, into Anna."""
    await known_customer(world, salon, "ben")
    await merge_into_anna(world, salon, "ben")


async def merge_into_anna(world: World, salon: Salon, source: str) -> None:
    """Merge a customer into Anna."""
    names = (CustomerKey(external_id=source), ANNA)
    await merge_customers(world, salon.manager, MergeRequest(*names, None, f"{source} is anna"))


COMES_BACK: dict[ArchiveCause, tuple[Callable[[World, Salon], Awaitable[None]], ...]] = {
    ArchiveCause.PURCHASE: (buy, reassign),
    ArchiveCause.HOLD: (set_aside,),
    ArchiveCause.MERGE: (merge_ben,),
}


@pytest.mark.parametrize(("cause", "way"), [(cause, way) for cause, ways in COMES_BACK.items() for way in ways])
async def test_who_comes_again_is_back(
    world: World,
    salon: Salon,
    anna: CustomerId,
    cause: ArchiveCause,
    way: Callable[[World, Salon], Awaitable[None]],
) -> None:
    await archive(world, salon)
    await way(world, salon)
    assert (await found(world, salon)).archived_at is None
    assert "anna" in await listed(world, salon)
    back = (await history(world, salon, anna))[0]
    assert (back.archived, back.cause) == (False, cause)
    assert back.cause_id is not None


async def test_reports_that_earn_nothing_new_leave_a_customer_archived(
    world: World, salon: Salon, anna: CustomerId
) -> None:
    """Reports that end a purchase, replays, money back, corrections, and what is told about a customer."""
    await earn(world, salon, order("to be cancelled"))
    await earn(world, salon, order("to be refunded"))
    archived = await archive(world, salon)
    await earn(world, salon, order("to be refunded"))
    await earn(world, salon, order("to be cancelled", status=PurchaseStatus.CANCELLED))
    await earn(world, salon, order("missed", status=PurchaseStatus.NO_SHOW))
    await pay_back(world, salon, "to be refunded", 100, "money back")
    await give(world, salon, 5, "goodwill")
    await upsert_customers(world, salon.manager, [CustomerProfile("anna", full_name="Anna A.")])
    assert (await found(world, salon)).archived_at == archived.archived_at
    assert await listed(world, salon) == []
    assert len(await history(world, salon, anna)) == 1


async def test_a_merge_of_two_archived_customers_stays_archived(world: World, salon: Salon, anna: CustomerId) -> None:
    await known_customer(world, salon, "ben")
    for name in ("ben", "anna"):
        await archive_customer(world, salon.manager, CustomerKey(external_id=name), None)
    await merge_into_anna(world, salon, "ben")
    assert (await found(world, salon)).archived_at is not None
    assert await listed(world, salon, archived=True) == ["anna"]
    assert len(await history(world, salon, anna)) == 1


async def test_an_archived_source_leaves_the_target_as_it_is(world: World, salon: Salon, anna: CustomerId) -> None:
    await archive(world, salon)
    merged = await merge(world, salon, "anna", "ben", "anna is ben")
    assert merged.customer.archived_at is None
    assert await listed(world, salon) == ["ben"]
    assert (await found(world, salon, CustomerKey(id=anna))).external_id == "ben"


async def test_a_late_refusal_brings_nobody_back(world: World, salon: Salon, anna: CustomerId) -> None:
    """A purchase that is refused leaves the customer archived, in a batch too."""
    await archive(world, salon)
    with pytest.raises(InvalidInput):
        await earn(world, salon, order("", customer="anna"))
    assert (await found(world, salon)).archived_at is not None
    assert len(await history(world, salon, anna)) == 1


async def test_tokens_of_an_archived_customer_are_refused_until_they_are_back(
    world: World, salon: Salon, anna: CustomerId, nothing_changes: NothingChanges
) -> None:
    actor = customer_actor(salon.tenant_id, anna)
    assert await refresh_actor(world, actor) == actor
    archived = await archive(world, salon)
    assert await refresh_actor(world, actor) is None
    assert await find_fallen(world, salon.tenant_id, [actor, salon.staff]) == {actor}
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(CustomerIsArchived) as refusal:
            await grant_customer_token(world, salon.owner, CustomerTokenRequest(ANNA, 5, idempotency_key="sign in"))
    assert refusal.value.archived_at == archived.archived_at
    await unarchive_customer(world, salon.manager, ANNA, "is back")
    assert await refresh_actor(world, actor) == actor
    assert (await grant_customer_token(world, salon.owner, CustomerTokenRequest(ANNA, 5))).customer_id == anna


@pytest.mark.usefixtures("anna")
async def test_takes_four_round_trips_whichever_way(world: World, salon: Salon, statements: StatementLog) -> None:
    """Whose, which program, which customer, lock, write."""
    numbers = []
    for change in (archive_customer, archive_customer, unarchive_customer, unarchive_customer):
        with statements() as sent:
            await change(world, salon.manager, ANNA, None)
        numbers.append(len(sent))
    assert numbers == [4] * 4
    await archive(world, salon)
    with statements() as sent:
        await earn(world, salon, order("back"))
    assert len(sent) == 3
    assert (await found(world, salon)).archived_at is None


async def test_the_history_shows_the_newest_rows(world: World, salon: Salon, anna: CustomerId) -> None:
    for number in range(MAX_ARCHIVINGS // 2 + 1):
        await archive(world, salon, str(number))
        await unarchive_customer(world, salon.manager, ANNA, str(number))
    rows = await history(world, salon, anna)
    assert len(rows) == MAX_ARCHIVINGS
    assert (rows[0].archived, rows[0].note) == (False, str(MAX_ARCHIVINGS // 2))
    assert await history(world, salon, CustomerId(salon.tenant_id)) == []
