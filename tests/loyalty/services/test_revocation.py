"""Signed tokens end when they are revoked: one of them, or all of a person or customer, with what they made."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from loyalty.rules.errors import InvalidInput, NotFound, PermissionDenied
from loyalty.rules.ids import CustomerId, TenantId
from loyalty.services.api_token import ApiTokenRequest, create_api_token, list_api_tokens
from loyalty.services.authentication import actor_of_token, refresh_actor
from loyalty.services.customer import CustomerKey
from loyalty.services.revocation import (
    revoke_signed_token,
    revoke_subject,
    revoke_tokens_of_customer,
    revoke_tokens_of_subject,
)
from loyalty.services.world import World
from permissions.actor import Actor, SignedToken
from permissions.catalog import Permission
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOBODY, NOON, at, customer_actor, known_customer, merge
from tests.loyalty.services.test_api_token import RECORDING, new_hash

SECOND = timedelta(seconds=1)
STRANGER = CustomerKey(external_id="nobody")


def signed_in(actor: Actor, token_id: str, issued_at: datetime = NOON, maker: SignedToken | None = None) -> Actor:
    """Return the actor with a signed token of this id; a customer's `sub` is their id."""
    subject = actor.subject if actor.customer_id is None else str(actor.customer_id)
    token = SignedToken(token_id, subject, issued_at)
    return replace(actor, signed=(token,) if maker is None else (token, maker))


async def stands(world: World, actor: Actor) -> bool:
    """Tell whether the actor is let in at noon."""
    return await refresh_actor(at(world, NOON), actor) is not None


@pytest.fixture
async def anna(world: World, salon: Salon) -> Actor:
    """Provide a customer in their own app, with a token that nothing is known of."""
    return customer_actor(salon.tenant_id, await known_customer(world, salon))


async def test_a_revoked_token_is_refused_and_others_are_not(
    world: World, salon: Salon, other_salon: Salon, anna: Actor
) -> None:
    revoked, other = signed_in(salon.owner, "first"), signed_in(salon.owner, "second")
    made = signed_in(anna, "app", maker=revoked.signed[0])
    neighbour = signed_in(other_salon.owner, "first")
    assert all([await stands(world, one) for one in (revoked, other, made, neighbour)])
    await revoke_signed_token(at(world, NOON), salon.tenant_id, "first", "operator")
    assert not await stands(world, revoked)
    assert not await stands(world, made)
    assert await stands(world, other)
    assert await stands(world, neighbour)
    await revoke_signed_token(at(world, NOON + SECOND), salon.tenant_id, "first", "operator")
    assert not await stands(world, revoked)


async def test_a_subject_is_refused_with_all_that_was_issued_until_then(
    world: World, salon: Salon, anna: Actor
) -> None:
    before = [signed_in(salon.manager, f"token {number}", NOON - number * SECOND) for number in range(3)]
    made = signed_in(anna, "app", NOON + SECOND, maker=before[1].signed[0])
    later, owner = signed_in(salon.manager, "later", NOON + SECOND), signed_in(salon.owner, "hers")
    await revoke_subject(at(world, NOON), salon.tenant_id, salon.manager.subject, "operator")
    assert not any([await stands(world, one) for one in (*before, made)])
    assert all([await stands(world, one) for one in (later, owner, signed_in(anna, "other"))])
    await revoke_subject(at(world, NOON + 2 * SECOND), salon.tenant_id, salon.manager.subject, "operator")
    assert not await stands(world, later)


async def test_the_api_tokens_that_a_revoked_token_made_end_with_it(world: World, salon: Salon) -> None:
    """To the last: an API token that one of them made ends, too. The rest of the tenant's tokens stay."""
    thief, owner = signed_in(salon.owner, "stolen"), signed_in(salon.owner, "hers")
    hashes = [new_hash() for _ in range(3)]
    manages = frozenset({Permission.TOKENS_MANAGE, *RECORDING})
    await create_api_token(world, thief, ApiTokenRequest("Backdoor", manages), hashes[0])
    backdoor = await actor_of_token(world, hashes[0])
    assert backdoor is not None
    await create_api_token(world, backdoor, ApiTokenRequest("Second backdoor", RECORDING), hashes[1])
    await create_api_token(world, owner, ApiTokenRequest("Shop", RECORDING), hashes[2])
    ended = await revoke_signed_token(world, salon.tenant_id, "stolen", "operator")
    assert [token.name for token in ended] == ["Backdoor", "Second backdoor"]
    assert [await actor_of_token(world, sha256) is None for sha256 in hashes] == [True, True, False]


async def test_api_tokens_stay_when_a_person_is_revoked(world: World, salon: Salon) -> None:
    sha256 = new_hash()
    await create_api_token(world, signed_in(salon.owner, "hers"), ApiTokenRequest("Shop", RECORDING), sha256)
    await revoke_subject(world, salon.tenant_id, salon.owner.subject, "operator")
    assert await actor_of_token(world, sha256) is not None


async def test_a_revoked_token_makes_nothing_any_more(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """Also when it was let in a moment before."""
    thief = signed_in(salon.owner, "stolen")
    await revoke_signed_token(world, salon.tenant_id, "stolen", "operator")
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(PermissionDenied):
            await create_api_token(world, thief, ApiTokenRequest("Backdoor", RECORDING), new_hash())
    assert await list_api_tokens(world, salon.owner) == []


async def test_a_customer_is_signed_out_everywhere_also_after_a_merge(world: World, salon: Salon, anna: Actor) -> None:
    assert anna.customer_id is not None
    old, ben_id = signed_in(anna, "old phone"), await known_customer(world, salon, "ben")
    ben = signed_in(customer_actor(salon.tenant_id, ben_id), "new phone")
    await merge(world, salon, "anna", "ben", "merge")
    for by in (CustomerKey(external_id="ben"), CustomerKey(id=CustomerId(anna.customer_id))):
        await revoke_tokens_of_customer(at(world, NOON), salon.owner, by)
    assert not await stands(world, old)
    assert not await stands(world, ben)


Revoking = Callable[[World, Salon], Awaitable[object]]


@pytest.mark.parametrize(
    ("revoke", "refusal", "path"),
    [
        (lambda w, s: revoke_tokens_of_subject(w, s.owner, " "), InvalidInput, ("of", "subject")),
        (lambda w, s: revoke_tokens_of_subject(w, s.owner, "x" * 256), InvalidInput, ("of", "subject")),
        (
            lambda w, s: revoke_tokens_of_customer(w, s.owner, STRANGER),
            NotFound,
            ("of", "customer"),
        ),
        (lambda w, s: revoke_subject(w, s.tenant_id, "", "operator"), InvalidInput, ("subject",)),
        (lambda w, s: revoke_signed_token(w, s.tenant_id, "\0", "operator"), InvalidInput, ("id",)),
        (lambda w, _: revoke_subject(w, TenantId(NOBODY), "x", "operator"), NotFound, ()),
        (lambda w, _: revoke_signed_token(w, TenantId(NOBODY), "x", "operator"), NotFound, ()),
    ],
)
async def test_an_impossible_revocation_is_refused_with_its_path(
    world: World,
    salon: Salon,
    nothing_changes: NothingChanges,
    revoke: Revoking,
    refusal: type[Exception],
    path: tuple[str, ...],
) -> None:
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(refusal) as refused:
            await revoke(world, salon)
    assert getattr(refused.value, "path", None) == path
