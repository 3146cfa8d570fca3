"""An idempotency key belongs to one client and one operation: nobody meets, blocks or learns of another's keys."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from loyalty.rules.errors import IdempotencyConflict
from loyalty.rules.ids import CustomerId, TokenId
from loyalty.services.adjustment import AdjustedPoints, adjust_points
from loyalty.services.customer import CustomerKey
from loyalty.services.hold import HoldRequest
from loyalty.services.redemption import hold_points, release_hold
from loyalty.services.redemption_answer import HeldPoints
from loyalty.services.world import World
from permissions.actor import Actor, ActorKind
from permissions.roles import ROLE_PERMISSIONS, Role
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    adjustment,
    capture,
    checkout,
    customer_actor,
    give,
    give_back,
    hold,
    known_customer,
    merge,
    set_redemption,
)

KEY = "capture-booking-4711"
CONCURRENT = 8


@pytest.fixture
async def anna(world: World, salon: Salon) -> CustomerId:
    """Provide a customer with 1,000 points that can be spent."""
    await set_redemption(world, salon)
    await known_customer(world, salon)
    return (await give(world, salon, 1_000, "the first points")).customer.id


def token_actor(salon: Salon) -> Actor:
    """Return a system with an API token of its own."""
    token_id = TokenId(uuid7())
    return Actor(
        kind=ActorKind.API_TOKEN,
        tenant_id=salon.tenant_id,
        subject=f"token:{token_id}",
        permissions=ROLE_PERMISSIONS[Role.OWNER],
        display="Booking system",
        token_id=token_id,
    )


def hold_of(customer_id: CustomerId, points: int, key: str = KEY) -> HoldRequest:
    """Return a hold as the customer's own app asks for it."""
    return HoldRequest(
        CustomerKey(id=customer_id), points, checkout(purchase=f"basket of {customer_id}"), None, None, key
    )


async def hold_as_customer(world: World, salon: Salon, customer_id: CustomerId, points: int) -> HeldPoints:
    """Hold points as the customer, with `KEY`."""
    return await hold_points(world, customer_actor(salon.tenant_id, customer_id), hold_of(customer_id, points))


async def make_ownerless(world: World, salon: Salon, key: str) -> None:
    """Let a key be from before keys had an owner; the application role cannot change one, so it is put in again."""
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        statement = text(
            "INSERT INTO idempotency_keys (tenant_id, key, operation, client, fingerprint, result_id, created_at) "
            "SELECT tenant_id, :new, operation, '', fingerprint, result_id, created_at FROM idempotency_keys "
            "WHERE tenant_id = :current_tenant AND key = :key"
        )
        assert await tx.run(statement, key=key, new=f"old {key}") == 1


async def test_a_customers_key_does_not_block_the_capture_of_the_shop(
    world: World, salon: Salon, anna: CustomerId, ledger_is_sound: LedgerCheck
) -> None:
    held = await hold(world, salon, 100, "the shop's hold")
    own = await hold_as_customer(world, salon, anna, 50)
    captured = await capture(world, salon, held, KEY)
    assert (captured.replayed, captured.redemption.points) == (False, 100)
    assert (await capture(world, salon, held, KEY)).replayed
    again = await hold_as_customer(world, salon, anna, 50)
    assert (again.replayed, again.hold.id) == (True, own.hold.id)
    await ledger_is_sound(salon.tenant_id)


async def test_a_customer_does_not_learn_which_keys_the_shop_has_used(
    world: World, salon: Salon, anna: CustomerId
) -> None:
    """Neither a conflict nor an old answer tells of the key, whether the customer asks for the same or for other."""
    theirs = await hold_points(world, salon.integration, hold_of(anna, 50, "used by the shop"))
    for points, key in ((50, "used by the shop"), (70, "never used")):
        own = await hold_points(world, customer_actor(salon.tenant_id, anna), hold_of(anna, points, key))
        assert not own.replayed
        assert own.hold.id != theirs.hold.id
    other = await hold_points(world, salon.integration, hold_of(anna, 60, "another of the shop"))
    own = await hold_points(world, customer_actor(salon.tenant_id, anna), hold_of(anna, 61, "another of the shop"))
    assert (own.replayed, own.hold.points, other.hold.points) == (False, 61, 60)


async def test_one_customer_does_not_learn_of_the_keys_of_another(world: World, salon: Salon, anna: CustomerId) -> None:
    await known_customer(world, salon, "ben")
    ben = (await give(world, salon, 500, "points of ben", customer="ben")).customer.id
    first, second = [await hold_as_customer(world, salon, one, 50) for one in (anna, ben)]
    assert (first.replayed, second.replayed) == (False, False)
    assert (first.hold.customer_id, second.hold.customer_id) == (anna, ben)


@pytest.mark.usefixtures("anna")
async def test_two_tokens_have_a_namespace_each(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    first, second = token_actor(salon), token_actor(salon)
    made = [await adjust_points(world, actor, adjustment(points)) for actor, points in ((first, 5), (second, 7))]
    assert [one.replayed for one in made] == [False, False]
    again = await adjust_points(world, second, adjustment(7))
    assert (again.replayed, again.adjustment.id) == (True, made[1].adjustment.id)
    with pytest.raises(IdempotencyConflict):
        await adjust_points(world, first, adjustment(7))
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.usefixtures("anna")
async def test_a_person_is_one_client_whatever_the_token(world: World, salon: Salon) -> None:
    """A retry with a new sign-in is the same retry; a namesake with an API token is somebody else."""
    made = await adjust_points(world, salon.manager, adjustment(5))
    signed_in_again = replace(salon.manager, display="Mara, after lunch")
    assert (await adjust_points(world, signed_in_again, adjustment(5))).adjustment.id == made.adjustment.id
    assert not (await adjust_points(world, salon.owner, adjustment(5))).replayed


@pytest.mark.usefixtures("anna")
async def test_one_key_works_in_several_operations_of_one_caller(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    held = await hold(world, salon, 100, KEY)
    captured = await capture(world, salon, held, KEY, 80)
    returned = await give_back(world, salon, captured, KEY, points=30)
    assert (held.replayed, captured.replayed, returned.replayed) == (False, False, False)
    assert (await hold(world, salon, 100, KEY)).hold.id == held.hold.id
    assert (await give_back(world, salon, captured, KEY, points=30)).returned.id == returned.returned.id
    await ledger_is_sound(salon.tenant_id)


async def test_one_key_with_another_input_is_still_a_conflict(
    world: World, salon: Salon, anna: CustomerId, nothing_changes: NothingChanges
) -> None:
    await hold_as_customer(world, salon, anna, 50)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(IdempotencyConflict):
            await hold_as_customer(world, salon, anna, 51)


@pytest.mark.usefixtures("anna")
async def test_a_key_from_before_keys_had_owners_is_found_by_the_team(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    made = await give(world, salon, 5, "booked")
    await make_ownerless(world, salon, "booked")
    async with nothing_changes(salon.tenant_id):
        for actor in (salon.manager, salon.owner, token_actor(salon)):
            again = await adjust_points(world, actor, adjustment(5, "old booked"))
            assert (again.replayed, again.adjustment.id) == (True, made.adjustment.id)
            with pytest.raises(IdempotencyConflict):
                await adjust_points(world, actor, adjustment(6, "old booked"))


async def test_a_key_from_before_keys_had_owners_is_not_shown_to_customers(
    world: World, salon: Salon, anna: CustomerId
) -> None:
    customer = customer_actor(salon.tenant_id, anna)
    for key, points in (("the same input", 50), ("another input", 51)):
        theirs = await hold_points(world, salon.integration, hold_of(anna, 50, key))
        await make_ownerless(world, salon, key)
        own = await hold_points(world, customer, hold_of(anna, points, f"old {key}"))
        assert (own.replayed, own.hold.id == theirs.hold.id) == (False, False)


async def test_a_customers_key_is_found_after_a_merge(
    world: World, salon: Salon, anna: CustomerId, nothing_changes: NothingChanges
) -> None:
    """The retry comes with either credential: the one of the merged customer, or one of the customer it became."""
    own = await hold_as_customer(world, salon, anna, 50)
    await release_hold(world, salon.integration, own.hold.id, "put back")
    target = (await merge(world, salon, "anna", "ben", "merge")).customer.id
    merged = replace(customer_actor(salon.tenant_id, target), former_ids=frozenset({anna}))
    async with nothing_changes(salon.tenant_id):
        again = await hold_points(world, merged, hold_of(anna, 50))
        assert (again.replayed, again.hold.id) == (True, own.hold.id)
        with pytest.raises(IdempotencyConflict):
            await hold_points(world, merged, hold_of(anna, 51))


async def test_two_customers_who_used_one_key_are_both_answered_after_their_merge(
    world: World, salon: Salon, anna: CustomerId
) -> None:
    await known_customer(world, salon, "ben")
    ben = (await give(world, salon, 500, "points of ben", customer="ben")).customer.id
    made = {one: await hold_as_customer(world, salon, one, 50) for one in (anna, ben)}
    for number, held in enumerate(made.values()):
        await release_hold(world, salon.integration, held.hold.id, f"put back {number}")
    await merge(world, salon, "anna", "ben", "merge")
    merged = replace(customer_actor(salon.tenant_id, ben), former_ids=frozenset({anna}))
    for customer_id, held in made.items():
        again = await hold_points(world, merged, hold_of(customer_id, 50))
        assert (again.replayed, again.hold.id) == (True, held.hold.id)


@pytest.mark.usefixtures("anna")
async def test_replays_at_the_same_moment_count_once_for_each_client(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    actors = [token_actor(salon) for _ in range(2)]

    async def book(actor: Actor) -> AdjustedPoints:
        return await adjust_points(world, actor, adjustment(5, KEY))

    made = await asyncio.gather(*(book(actor) for _ in range(CONCURRENT) for actor in actors))
    assert len({one.adjustment.id for one in made}) == len(actors)
    assert sum(not one.replayed for one in made) == len(actors)
    await ledger_is_sound(salon.tenant_id)
