"""What the database knows about a presented credential, read anew for every request: revoked means revoked."""

from dataclasses import replace
from datetime import datetime, timedelta

from loyalty.rules.ids import CustomerId, TenantId, TokenId
from loyalty.services.world import World
from loyalty.storage.credentials import Standing, mark_used, read_standing
from permissions.actor import Actor, ActorKind
from permissions.catalog import known_grants

LAST_USED_STEP = timedelta(minutes=1)
"""``last_used_at`` is kept to the minute, so that a busy token does not write with every request."""


async def actor_of_token(world: World, sha256: str) -> Actor | None:
    """The actor behind an API token; None when it is unknown, revoked, expired, or its tenant is suspended."""
    found = await world.database.tenant_of_token(sha256)
    if found is None:
        return None
    tenant_id, token_id = found
    now = world.clock()
    async with world.database.tenant_transaction(tenant_id) as tx:
        standing = await read_standing(tx, token_id=token_id, customer_id=None)
        actor = _token_actor(tenant_id, standing, now)
        if actor and standing and standing.token and _is_stale(standing.token.last_used_at, now):
            await mark_used(tx, token_id, now)
    return actor


async def refreshed_actor(world: World, actor: Actor) -> Actor | None:
    """The actor as it stands now; None when its tenant, token or customer is gone, ended or suspended."""
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        standing = await read_standing(tx, token_id=actor.token_id, customer_id=actor.customer_id)
    if standing is None or standing.tenant_state != "ACTIVE":
        return None
    if actor.kind is ActorKind.API_TOKEN:
        return _token_actor(actor.tenant_id, standing, world.clock())
    if actor.kind is ActorKind.CUSTOMER and standing.customer_id is None:
        return None
    if actor.expires_at is not None and actor.expires_at <= world.clock():
        return None
    customer_id = CustomerId(standing.customer_id) if standing.customer_id else None
    former_ids = frozenset(CustomerId(former) for former in standing.former_ids)
    return replace(actor, customer_id=customer_id, former_ids=former_ids, loyalty_enabled=standing.loyalty_enabled)


def _token_actor(tenant_id: TenantId, standing: Standing | None, now: datetime) -> Actor | None:
    if standing is None or standing.tenant_state != "ACTIVE" or standing.token is None:
        return None
    token = standing.token
    if token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now):
        return None
    return Actor(
        kind=ActorKind.API_TOKEN,
        tenant_id=tenant_id,
        subject=f"token:{token.id}",
        permissions=known_grants(token.permissions),
        display=token.name,
        expires_at=token.expires_at,
        token_id=TokenId(token.id),
        loyalty_enabled=standing.loyalty_enabled,
    )


def _is_stale(last_used_at: datetime | None, now: datetime) -> bool:
    return last_used_at is None or now - last_used_at >= LAST_USED_STEP
