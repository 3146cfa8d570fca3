"""Who a credential stands for is read again every time: ended means ended, off means off."""

import hashlib
import secrets
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import text

from loyalty.rules.errors import NotFound, TenantSuspended
from loyalty.rules.ids import CustomerId, TenantId, TokenId
from loyalty.services.api_token import ApiTokenRequest, create_api_token, end_api_token, list_api_tokens
from loyalty.services.authentication import actor_of_token, refresh_actor
from loyalty.services.last_use import LAST_USED_STEP
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.tenant import resume_tenant, suspend_tenant
from loyalty.services.world import World
from loyalty.storage.api_tokens import ApiTokenRow
from permissions.actor import Actor, ActorKind
from permissions.catalog import Permission
from permissions.roles import Role
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon, staff_actor
from tests.loyalty.services.builders import NOBODY, NOON, at, customer_actor, known_customer

PERMISSIONS = frozenset({Permission.PURCHASES_RECORD, Permission.LOYALTY_READ})


def hash_of(secret: str) -> str:
    """Return the only form in which a secret is kept."""
    return hashlib.sha256(secret.encode()).hexdigest()


@pytest.fixture
def sha256() -> str:
    """Provide the hash of a new secret."""
    return hash_of(secrets.token_hex(32))


@pytest.fixture
async def token(world: World, salon: Salon, sha256: str) -> ApiTokenRow:
    """Provide a token that lives for a day."""
    return await create_api_token(
        at(world, NOON),
        salon.owner,
        ApiTokenRequest("Booking system", PERMISSIONS, NOON + timedelta(days=1)),
        sha256,
    )


async def test_a_token_leads_to_its_tenant_with_its_permissions(
    world: World, salon: Salon, token: ApiTokenRow, sha256: str
) -> None:
    assert await actor_of_token(at(world, NOON), sha256) == Actor(
        kind=ActorKind.API_TOKEN,
        tenant_id=salon.tenant_id,
        subject=f"token:{token.id}",
        permissions=PERMISSIONS,
        display="Booking system",
        expires_at=NOON + timedelta(days=1),
        token_id=TokenId(token.id),
        secret_mark=sha256[:16],
    )


@pytest.mark.usefixtures("token")
async def test_an_unknown_hash_leads_nowhere(world: World) -> None:
    for wrong in ("", "0" * 64, hash_of("guess"), "' OR ''='", "%"):
        assert await actor_of_token(world, wrong) is None


@pytest.mark.usefixtures("token")
async def test_a_token_ends_at_its_very_instant(world: World, sha256: str) -> None:
    almost = NOON + timedelta(days=1) - timedelta(microseconds=1)
    assert await actor_of_token(at(world, almost), sha256) is not None
    assert await actor_of_token(at(world, NOON + timedelta(days=1)), sha256) is None


async def test_an_ended_token_is_refused_at_once(world: World, salon: Salon, token: ApiTokenRow, sha256: str) -> None:
    actor = await actor_of_token(at(world, NOON), sha256)
    assert actor is not None
    await end_api_token(at(world, NOON), salon.owner, token.id)
    assert await actor_of_token(at(world, NOON), sha256) is None
    assert await refresh_actor(at(world, NOON), actor) is None


async def test_a_token_that_another_process_ends_is_refused_at_the_next_request(
    world: World, salon: Salon, token: ApiTokenRow, sha256: str, database_urls: DatabaseUrls, statements: StatementLog
) -> None:
    """A process remembers which tenant a token leads to, and reads every time whether it stands: one round trip."""
    assert await actor_of_token(at(world, NOON), sha256) is not None
    with statements() as sent:
        assert await actor_of_token(at(world, NOON), sha256) is not None
    assert len(sent) == 1
    elsewhere = Database(database_urls.app, pool_size=1)
    await end_api_token(at(World(elsewhere), NOON), salon.owner, token.id)
    await elsewhere.close()
    assert await actor_of_token(at(world, NOON), sha256) is None


async def test_a_token_that_is_gone_is_looked_up_anew(
    world: World, owner_world: World, salon: Salon, token: ApiTokenRow, sha256: str, statements: StatementLog
) -> None:
    """As after a backup was brought back: where the process thinks the token is, there is none."""
    assert await actor_of_token(at(world, NOON), sha256) is not None
    async with owner_world.database.tenant_transaction(salon.tenant_id) as tx:
        await tx.run(text("DELETE FROM api_tokens WHERE id = :id"), id=token.id)
    assert await actor_of_token(at(world, NOON), sha256) is None
    with statements() as sent:
        assert await actor_of_token(at(world, NOON), sha256) is None
    assert any("token_directory" in statement for statement in sent)


@pytest.mark.usefixtures("token")
async def test_the_last_use_is_kept_to_the_minute(
    world: World, salon: Salon, sha256: str, nothing_changes: NothingChanges
) -> None:
    """A busy token does not write with every request, and no request waits for the writing."""
    await actor_of_token(at(world, NOON), sha256)
    (unused,) = await list_api_tokens(world, salon.owner)
    assert unused.last_used_at is None
    await world.uses.write(world.database)
    async with nothing_changes(salon.tenant_id):
        await actor_of_token(at(world, NOON + LAST_USED_STEP - timedelta(seconds=1)), sha256)
        await world.uses.write(world.database)
    await actor_of_token(at(world, NOON + LAST_USED_STEP), sha256)
    await world.uses.write(world.database)
    (used,) = await list_api_tokens(world, salon.owner)
    assert used.last_used_at == NOON + LAST_USED_STEP


@pytest.mark.usefixtures("token")
async def test_a_refused_token_is_not_marked_as_used(
    world: World, salon: Salon, sha256: str, nothing_changes: NothingChanges
) -> None:
    async with nothing_changes(salon.tenant_id):
        assert await actor_of_token(at(world, NOON + timedelta(days=2)), sha256) is None
        await world.uses.write(world.database)


async def test_a_permission_of_a_newer_version_is_left_out(
    world: World, owner_world: World, salon: Salon, token: ApiTokenRow, sha256: str
) -> None:
    async with owner_world.database.tenant_transaction(salon.tenant_id) as tx:
        statement = 'UPDATE api_tokens SET permissions = \'["loyalty:read", "moon:fly"]\' WHERE id = :id'
        await tx.run(text(statement), id=token.id)
    actor = await actor_of_token(at(world, NOON), sha256)
    assert actor is not None
    assert actor.permissions == {Permission.LOYALTY_READ}


async def test_nobody_of_a_suspended_tenant_is_let_in_until_it_is_resumed(
    world: World, owner_world: World, salon: Salon, other_salon: Salon, token: ApiTokenRow, sha256: str
) -> None:
    """A credential that ended is refused as always: it learns nothing of the tenant."""
    assert token.revoked_at is None
    for _ in range(2):
        await suspend_tenant(owner_world, salon.tenant_id)
    with pytest.raises(TenantSuspended):
        await actor_of_token(at(world, NOON), sha256)
    for actor in (salon.owner, salon.staff, salon.integration):
        with pytest.raises(TenantSuspended):
            await refresh_actor(world, actor)
    assert await actor_of_token(at(world, NOON + timedelta(days=1)), sha256) is None
    assert await refresh_actor(world, replace(salon.owner, expires_at=NOON)) is None
    assert await refresh_actor(world, other_salon.owner) == other_salon.owner
    await resume_tenant(owner_world, salon.tenant_id)
    assert await actor_of_token(at(world, NOON), sha256) is not None
    assert await refresh_actor(world, salon.owner) == salon.owner
    with pytest.raises(NotFound):
        await suspend_tenant(owner_world, TenantId(NOBODY))


async def test_everybody_learns_that_the_program_is_off(
    world: World, salon: Salon, token: ApiTokenRow, sha256: str
) -> None:
    """BK-01."""
    customer = customer_actor(salon.tenant_id, await known_customer(world, salon))
    assert token.revoked_at is None
    for enabled in (False, True):
        await update_program(world, salon.manager, ProgramEdit(partial(replace, enabled=enabled), None))
        by_token = await actor_of_token(at(world, NOON), sha256)
        others = [await refresh_actor(world, actor) for actor in (salon.staff, customer)]
        assert [actor.loyalty_enabled for actor in (by_token, *others) if actor] == [enabled] * 3


async def test_staff_stay_who_they_are(world: World, salon: Salon) -> None:
    assert await refresh_actor(world, salon.staff) == salon.staff


async def test_nobody_outlives_their_credential(world: World, salon: Salon) -> None:
    passing = replace(salon.staff, expires_at=NOON)
    assert await refresh_actor(at(world, NOON - timedelta(seconds=1)), passing) == passing
    assert await refresh_actor(at(world, NOON), passing) is None


async def test_a_customer_must_exist(world: World, salon: Salon) -> None:
    customer_id = await known_customer(world, salon)
    actor = customer_actor(salon.tenant_id, customer_id)
    assert await refresh_actor(world, actor) == actor
    assert await refresh_actor(world, customer_actor(salon.tenant_id, CustomerId(NOBODY))) is None


async def test_a_tenant_must_exist(world: World) -> None:
    assert await refresh_actor(world, staff_actor(TenantId(NOBODY), Role.OWNER)) is None


async def test_a_token_actor_is_read_from_its_token_and_not_from_what_it_claims(
    world: World, token: ApiTokenRow, sha256: str
) -> None:
    actor = await actor_of_token(at(world, NOON), sha256)
    assert actor is not None
    assert actor.token_id == token.id
    claiming = replace(actor, permissions=frozenset(Permission), display="Somebody")
    assert await refresh_actor(at(world, NOON), claiming) == actor
