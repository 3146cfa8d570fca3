"""Many credentials are asked about in one statement, which says of each what the question about it alone says."""

import hashlib
import secrets
from dataclasses import replace
from datetime import timedelta

import pytest

from loyalty.rules.errors import TenantSuspended
from loyalty.rules.ids import CustomerId, TokenId
from loyalty.services.api_token import ApiTokenRequest, create_api_token, end_api_token
from loyalty.services.authentication import find_fallen, refresh_actor
from loyalty.services.customer import CustomerKey
from loyalty.services.customer_merge import MergeRequest, merge_customers
from loyalty.services.revocation import revoke_signed_token, revoke_subject
from loyalty.services.tenant import resume_tenant, suspend_tenant
from loyalty.services.world import World
from permissions.actor import Actor, ActorKind, SignedToken, mark_of_secret
from permissions.catalog import Permission
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOBODY, customer_actor, known_customer

PERMISSIONS = frozenset({Permission.LOYALTY_READ})


async def token_actor(world: World, salon: Salon, *, ended: bool) -> Actor:
    """Return a caller with an API token."""
    sha256 = hashlib.sha256(secrets.token_bytes(32)).hexdigest()
    token = await create_api_token(world, salon.owner, ApiTokenRequest("Till", PERMISSIONS, None), sha256)
    if ended:
        await end_api_token(world, salon.owner, TokenId(token.id))
    return replace(
        salon.integration,
        kind=ActorKind.API_TOKEN,
        subject=f"token:{token.id}",
        token_id=TokenId(token.id),
        secret_mark=mark_of_secret(sha256),
    )


def signed_actor(world: World, actor: Actor, name: str) -> Actor:
    """Return the same person with a signed token of this name, which is also that of its subject."""
    issued_at = world.clock() - timedelta(minutes=5)
    return replace(actor, subject=name, signed=(SignedToken(f"{name}-id", name, issued_at),))


async def test_each_way_to_fall_is_found_in_one_statement(world: World, salon: Salon, statements: StatementLog) -> None:
    anna = customer_actor(salon.tenant_id, await known_customer(world, salon, "anna"))
    merged = customer_actor(salon.tenant_id, await known_customer(world, salon, "berta"))
    dead_token = await token_actor(world, salon, ended=True)
    live_token = await token_actor(world, salon, ended=False)
    people = {
        name: signed_actor(world, salon.staff, f"{name}-{secrets.token_hex(4)}") for name in ("eva", "fee", "gil")
    }
    standing = {
        salon.owner,
        anna,
        live_token,
        people["gil"],
        replace(anna, subject="made", maker_token_id=live_token.token_id),
    }
    fallen = {
        merged,
        dead_token,
        people["eva"],
        people["fee"],
        customer_actor(salon.tenant_id, CustomerId(NOBODY)),
        replace(anna, subject="orphan", maker_token_id=dead_token.token_id),
        replace(salon.staff, subject="late", expires_at=world.clock() - timedelta(seconds=1)),
    }
    await merge_customers(
        world,
        salon.manager,
        MergeRequest(CustomerKey(external_id="berta"), CustomerKey(external_id="anna"), "merge", "One person"),
    )
    await revoke_subject(world, salon.tenant_id, people["eva"].subject, "operator")
    await revoke_signed_token(world, salon.tenant_id, people["fee"].signed[0].id, "operator")
    with statements() as sent:
        found = await find_fallen(world, salon.tenant_id, [*standing, *fallen])
    assert found == fallen
    assert len(sent) == 1, "enter the tenant and ask"
    for actor in standing | fallen:
        refreshed = await refresh_actor(world, actor)
        assert (refreshed is None or refreshed.customer_id != actor.customer_id) == (actor in fallen)


async def test_everybody_of_a_suspended_tenant_falls_and_nobody_of_another(
    world: World, owner_world: World, salon: Salon, other_salon: Salon
) -> None:
    actors = [salon.owner, salon.staff]
    await suspend_tenant(owner_world, salon.tenant_id)
    with pytest.raises(TenantSuspended):
        await refresh_actor(world, salon.owner)
    assert await find_fallen(world, salon.tenant_id, actors) == set(actors)
    assert await find_fallen(world, other_salon.tenant_id, [other_salon.owner]) == set()
    await resume_tenant(owner_world, salon.tenant_id)
    assert await find_fallen(world, salon.tenant_id, actors) == set()


async def test_another_tenants_credentials_do_not_stand_here(world: World, salon: Salon, other_salon: Salon) -> None:
    """The wall holds inside of the question, too: what another tenant has is not there."""
    anna = customer_actor(salon.tenant_id, await known_customer(world, salon, "anna"))
    token = await token_actor(world, salon, ended=False)
    assert await find_fallen(world, other_salon.tenant_id, [anna, token]) == {anna, token}
