"""What the database knows about a presented credential, read anew for every request: revoked means revoked."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from loyalty.rules.errors import TenantSuspended
from loyalty.rules.ids import CustomerId, TenantId, TokenId
from loyalty.services.world import World
from loyalty.storage.credentials import (
    ApiTokenRow,
    Standing,
    mark_used,
    read_standing,
    read_standing_of,
    read_standings,
)
from permissions.actor import Actor, ActorKind, subject_of_token
from permissions.catalog import known_grants
from tenancy.tables import ACTIVE

LAST_USED_STEP = timedelta(minutes=1)
"""``last_used_at`` is kept to the minute, so that a busy token does not write with every request."""


async def actor_of_token(world: World, sha256: str) -> Actor | None:
    """The actor behind an API token; None when it is unknown, revoked or expired. Raises TenantSuspended."""
    found = await world.database.tenant_of_token(sha256)
    if found is None:
        return None
    tenant_id, token_id = found
    now = world.clock()
    standing = await read_standing(world.database.reading(tenant_id), token_id=token_id)
    if standing is None or standing.token is None:
        world.database.forget_token(sha256)
        return None
    actor = _token_actor(tenant_id, standing, now)
    if actor and _is_stale(standing.token.last_used_at, now):
        async with world.database.tenant_transaction(tenant_id) as tx:
            await mark_used(tx, token_id, now)
    return actor


async def refresh_actor(world: World, actor: Actor) -> Actor | None:
    """The actor as it stands now; None when its tenant, credential or customer is gone, revoked or expired.

    A credential ends with the one that made it. A customer's credential rests while the
    customer is archived. Raises TenantSuspended for a credential that stands otherwise.
    """
    tx = world.database.reading(actor.tenant_id)
    standing = await read_standing_of(tx, actor)
    return judge_actor(actor, standing, world.clock())


async def refresh_actors(
    world: World, tenant_id: TenantId, actors: Sequence[Actor]
) -> list[Actor | TenantSuspended | None]:
    """What `refresh_actor` says of each of a tenant's actors, in their order, asked in one statement."""
    tx = world.database.reading(tenant_id)
    standings = await read_standings(tx, actors)
    now = world.clock()
    return [_judge(actor, standing, now) for actor, standing in zip(actors, standings, strict=True)]


def _judge(actor: Actor, standing: Standing | None, now: datetime) -> Actor | TenantSuspended | None:
    try:
        return judge_actor(actor, standing, now)
    except TenantSuspended as suspended:
        return suspended


async def find_fallen(world: World, tenant_id: TenantId, actors: Sequence[Actor]) -> set[Actor]:
    """Those of a tenant's actors whose open connections have to end, asked for in one statement.

    Their credential does not stand any more, the tenant does not allow the origin of their page any more, or their
    customer was merged: then they have to connect again, to be followed as the target.
    """
    refreshed = await refresh_actors(world, tenant_id, actors)
    return {actor for actor, now in zip(actors, refreshed, strict=True) if not _may_stay(actor, now)}


def _may_stay(actor: Actor, now: Actor | TenantSuspended | None) -> bool:
    if not isinstance(now, Actor) or now.customer_id != actor.customer_id:
        return False
    return replace(now, origin=actor.origin).comes_from_allowed_page


def judge_actor(actor: Actor, standing: Standing | None, now: datetime) -> Actor | None:
    """The actor that a standing leaves of a presented one; as `refresh_actor`."""
    if standing is None:
        return None
    if actor.kind is ActorKind.API_TOKEN:
        return _token_actor(actor.tenant_id, standing, now)
    if standing.revoked or (actor.expires_at is not None and actor.expires_at <= now):
        return None
    if actor.kind is ActorKind.CUSTOMER and (standing.customer_id is None or standing.archived):
        return None
    if actor.maker_token_id is not None and not (standing.maker and is_live(standing.maker, now)):
        return None
    _refuse_suspended(standing)
    customer_id = CustomerId(standing.customer_id) if standing.customer_id else None
    former_ids = frozenset(CustomerId(former) for former in standing.former_ids)
    return replace(
        actor,
        customer_id=customer_id,
        former_ids=former_ids,
        loyalty_enabled=standing.loyalty_enabled,
        allowed_origins=standing.allowed_origins,
    )


def _token_actor(tenant_id: TenantId, standing: Standing | None, now: datetime) -> Actor | None:
    if standing is None or standing.token is None or not is_live(standing.token, now):
        return None
    _refuse_suspended(standing)
    token = standing.token
    return Actor(
        kind=ActorKind.API_TOKEN,
        tenant_id=tenant_id,
        subject=subject_of_token(TokenId(token.id)),
        permissions=known_grants(token.permissions),
        display=token.name,
        expires_at=token.expires_at,
        token_id=TokenId(token.id),
        token_client_id=None if token.client_id is None else TokenId(token.client_id),
        loyalty_enabled=standing.loyalty_enabled,
        allowed_origins=standing.allowed_origins,
    )


def _refuse_suspended(standing: Standing) -> None:
    if standing.tenant_state != ACTIVE:
        raise TenantSuspended


def is_live(token: ApiTokenRow, now: datetime) -> bool:
    """Whether an API token is neither revoked nor expired."""
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > now)


def _is_stale(last_used_at: datetime | None, now: datetime) -> bool:
    return last_used_at is None or now - last_used_at >= LAST_USED_STEP
