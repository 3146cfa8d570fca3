"""The standing of a presented credential.

It is read again for every request, so a revoked credential is refused at once.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from loyalty.rules.credential import is_live
from loyalty.rules.errors import TenantClosed, TenantNotActive, TenantSuspended
from loyalty.rules.ids import CustomerId, TenantId, TokenId
from loyalty.rules.location import Scope
from loyalty.services.audit import note_changes
from loyalty.services.team_audit import describe_member
from loyalty.services.world import World
from loyalty.storage.api_tokens import CLIENT, TOKEN, ApiTokenRow
from loyalty.storage.credentials import Standing, read_standing, read_standing_of, read_standings
from loyalty.storage.members import join_member
from permissions.actor import Actor, ActorKind, mark_of_secret, subject_of_token
from permissions.catalog import Permission, parse_known_grants
from permissions.roles import BUILT_IN_BY_ID, HeldRole, join_permissions, most_daily_points
from tenancy.tables import ACTIVE, CLOSED


async def actor_of_token(world: World, sha256: str) -> Actor | None:
    """Return the actor of an API token, found by its hash; None if the token is unknown, revoked or expired.

    Raises TenantNotActive.
    """
    return await _actor_of_secret(world, sha256, TOKEN)


async def actor_of_client(world: World, sha256: str) -> Actor | None:
    """Return the actor of an OAuth client, found by the hash of its secret.

    None and refusals are as for `actor_of_token`.
    """
    return await _actor_of_secret(world, sha256, CLIENT)


async def _actor_of_secret(world: World, sha256: str, kind: str) -> Actor | None:
    """Return the actor whose credential of this kind has a secret with this hash; None if the credential is not valid.

    The use of a valid credential is noted.
    """
    found = await world.database.tenant_of_token(sha256)
    if found is None:
        return None
    tenant_id, token_id = found
    now = world.clock()
    standing = await read_standing(world.database.reading(tenant_id), token_id=token_id)
    if standing is None or standing.token is None:
        world.database.forget_token(sha256)
        return None
    actor = _build_partner(tenant_id, standing, mark_of_secret(sha256), kind, now)
    if actor is not None:
        world.uses.tokens.note(tenant_id, token_id, standing.token.last_used_at, now)
    return actor


async def refresh_actor(world: World, actor: Actor) -> Actor | None:
    """Return the actor with its standing of now; None if its credential is not valid any more.

    A credential is not valid if it was revoked or is expired, if its tenant, customer or maker is gone, or while its
    customer is archived. Raises TenantNotActive for a valid credential of a tenant that is not active.
    """
    standing = await read_standing_of(world.database.reading(actor.tenant_id), actor)
    if standing is not None and await _accept_invitation(world, actor, standing):
        standing = await read_standing_of(world.database.reading(actor.tenant_id), actor)
    return judge_actor(actor, standing, world.clock())


async def refresh_actors(
    world: World, tenant_id: TenantId, actors: Sequence[Actor]
) -> list[Actor | TenantNotActive | None]:
    """Refresh many actors of a tenant with one statement, as `refresh_actor` does. The result is in their order."""
    standings, now = await _read_standings(world, tenant_id, actors)
    return [_judge(actor, standing, now) for actor, standing in zip(actors, standings, strict=True)]


async def admit_actors(
    world: World, tenant_id: TenantId, actors: Sequence[Actor]
) -> list[Actor | TenantNotActive | None]:
    """Refresh actors that came with a request, as `refresh_actors` does, and note the use of their credentials.

    An invited person who comes with the verified address becomes a member first.
    """
    standings, now = await _read_standings(world, tenant_id, actors)
    accepted = [
        standing is not None and await _accept_invitation(world, actor, standing)
        for actor, standing in zip(actors, standings, strict=True)
    ]
    if any(accepted):
        standings, now = await _read_standings(world, tenant_id, actors)
    judged = [_judge(actor, standing, now) for actor, standing in zip(actors, standings, strict=True)]
    for actor, standing in zip(judged, standings, strict=True):
        if isinstance(actor, Actor) and standing is not None:
            _note_use(world, actor, standing, now)
    return judged


def _note_use(world: World, actor: Actor, standing: Standing, now: datetime) -> None:
    if actor.token_id is not None and standing.token:
        world.uses.tokens.note(actor.tenant_id, actor.token_id, standing.token.last_used_at, now)
    if actor.session is not None:
        world.uses.sessions.note(actor.tenant_id, actor.session.id, standing.session_used_at, now)


async def _read_standings(
    world: World, tenant_id: TenantId, actors: Sequence[Actor]
) -> tuple[list[Standing | None], datetime]:
    """Read the standings of actors with one statement. Also return the time after that."""
    standings = await read_standings(world.database.reading(tenant_id), actors)
    return standings, world.clock()


def _judge(actor: Actor, standing: Standing | None, now: datetime) -> Actor | TenantNotActive | None:
    """Judge an actor as `judge_actor` does, but return TenantNotActive in place of raising it."""
    try:
        return judge_actor(actor, standing, now)
    except TenantNotActive as refused:
        return refused


async def find_fallen(world: World, tenant_id: TenantId, actors: Sequence[Actor]) -> set[Actor]:
    """Return the actors of a tenant whose open connections must end, found with one statement.

    A connection must end if the credential is not valid any more, if the role was changed, or if the tenant has lost
    the module. It must end if the tenant no longer allows the origin of the page, or now lets the actor run only
    trusted documents. It must also end if the customer was merged: the customer has to connect again, as the target.
    """
    refreshed = await refresh_actors(world, tenant_id, actors)
    for present in refreshed:
        if isinstance(present, Actor):
            world.documents.remember_version(tenant_id, present.documents.version)
    return {actor for actor, present in zip(actors, refreshed, strict=True) if not _may_stay(actor, present)}


def _may_stay(actor: Actor, present: Actor | TenantNotActive | None) -> bool:
    """Tell whether the connection of an actor may stay open.

    ``actor`` is the actor as the connection began, ``present`` the result of refreshing it.
    """
    if not isinstance(present, Actor) or present.customer_id != actor.customer_id:
        return False
    if actor.loyalty_entitled and not present.loyalty_entitled:
        return False
    if actor.issuer is not None and _show_membership(present) != _show_membership(actor):
        return False
    if present.runs_trusted_documents_only and not actor.runs_trusted_documents_only:
        return False
    return replace(present, origin=actor.origin).comes_from_allowed_page


def _show_membership(actor: Actor) -> tuple[frozenset[Permission], UUID | None, Scope]:
    """Return the rights of a person of the team. A connection ends when they change."""
    return actor.permissions, actor.member_id, actor.locations


def judge_actor(actor: Actor, standing: Standing | None, now: datetime) -> Actor | None:
    """Return the presented actor with the standing that was read for it; None if the credential is not valid.

    Raises TenantNotActive for a valid credential of a tenant that is not active. See `refresh_actor`.
    """
    if standing is None:
        return None
    if actor.kind is ActorKind.API_TOKEN and not actor.signed:
        return _build_partner(actor.tenant_id, standing, actor.secret_mark, TOKEN, now)
    if standing.revoked or _has_ended(actor, now):
        return None
    if actor.kind is ActorKind.API_TOKEN:
        return _judge_access_token(actor, standing, now)
    person = _give_roles(actor, standing) if _has_what_it_stands_on(actor, standing, now) else None
    if person is None:
        return None
    _refuse_inactive(standing)
    customer_id = CustomerId(standing.customer_id) if standing.customer_id else None
    former_ids = frozenset(CustomerId(former) for former in standing.former_ids)
    return replace(
        person,
        customer_id=customer_id,
        former_ids=former_ids,
        loyalty_enabled=standing.loyalty_enabled,
        loyalty_entitled=standing.loyalty_entitled,
        allowed_origins=standing.allowed_origins,
        documents=standing.documents,
    )


def _give_roles(actor: Actor, standing: Standing) -> Actor | None:
    """Return the actor with its present roles; None for a person of a provider who has no role, or was removed.

    A member has the role of the team. Another person of a provider has the roles of the claims.
    """
    if actor.issuer is None:
        return actor
    member = standing.member
    if member is None and standing.was_removed:
        return None
    held = _find_roles(standing, sorted(actor.claimed) if member is None else [member.role_id])
    if not held:
        return None
    return replace(
        actor,
        member_id=member and member.id,
        roles=held,
        permissions=join_permissions(held),
        daily_points=most_daily_points(held),
        locations=_freeze_scope(member and member.locations),
    )


def _freeze_scope(locations: Sequence[str] | None) -> Scope:
    return None if locations is None else frozenset(locations)


def _find_roles(standing: Standing, ids: Sequence[UUID]) -> tuple[HeldRole, ...]:
    """Return the roles with these ids, built-in and of the tenant. A deleted role is left out."""
    known = {**BUILT_IN_BY_ID, **{role.id: role for role in standing.own_roles}}
    return tuple(known[one] for one in ids if one in known)


async def _accept_invitation(world: World, actor: Actor, standing: Standing) -> bool:
    """Make an invited person who comes with the verified address a member.

    Return whether the standing must be read again. Only a valid credential accepts an invitation. An invitation never
    takes rights away: if a claim gives more than the invited role, or the invitation is limited to locations, the claim
    still counts and the invitation stays open.
    """
    if actor.issuer is None or standing.member is not None or standing.invitation is None:
        return False
    if not _is_admitted(actor, standing, world.clock()):
        return False
    invited = standing.invitation
    claimed = () if standing.was_removed else _find_roles(standing, sorted(actor.claimed))
    if claimed and invited.locations is not None:
        return False
    if join_permissions(claimed) - join_permissions(_find_roles(standing, [invited.role_id])):
        return False
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        now = world.clock()
        joined = await join_member(tx, invited.id, actor.subject, now)
        if joined is not None:
            await note_changes(tx, actor, now, [describe_member(joined._replace(subject=None, joined_at=None), joined)])
    return True


def _is_admitted(actor: Actor, standing: Standing, now: datetime) -> bool:
    """Tell whether a person's credential is valid, in an active tenant. The roles of the person do not matter here."""
    if standing.revoked or standing.tenant_state != ACTIVE or _has_ended(actor, now):
        return False
    return _has_what_it_stands_on(actor, standing, now)


def _has_ended(actor: Actor, now: datetime) -> bool:
    return actor.expires_at is not None and actor.expires_at <= now


def _has_what_it_stands_on(actor: Actor, standing: Standing, now: datetime) -> bool:
    """Tell whether the customer, the maker, the identity provider and the session of a credential still exist."""
    if actor.session is not None and actor.session.id != standing.session_id:
        return False
    if actor.issuer is not None and actor.issuer.version != standing.issuer_version:
        return False
    if actor.kind is ActorKind.CUSTOMER and (standing.customer_id is None or standing.archived):
        return False
    return actor.maker_token_id is None or (standing.maker is not None and is_live(standing.maker, now))


def _judge_access_token(actor: Actor, standing: Standing, now: datetime) -> Actor | None:
    """Return the actor of an access token; None if its client, or the secret that was used to get it, is not valid.

    The token has only permissions that the client still has.
    """
    client = _build_partner(actor.tenant_id, standing, actor.secret_mark, CLIENT, now)
    if client is None:
        return None
    ends = [end for end in (actor.expires_at, client.expires_at) if end is not None]
    return replace(
        client,
        permissions=client.permissions & actor.permissions,
        signed=actor.signed,
        expires_at=min(ends, default=None),
    )


def _build_partner(tenant_id: TenantId, standing: Standing, mark: str | None, kind: str, now: datetime) -> Actor | None:
    """Return the actor of a partner system, for the credential in ``standing``; None if the credential is not valid.

    ``mark`` is the mark of the secret that the caller presented, ``kind`` the kind of credential that it must belong
    to. Raises TenantClosed or TenantSuspended.
    """
    token = standing.token
    if token is None or token.kind != kind or not is_live(token, now) or not _is_its_secret(token, mark, now):
        return None
    _refuse_inactive(standing)
    return Actor(
        kind=ActorKind.API_TOKEN,
        tenant_id=tenant_id,
        subject=subject_of_token(TokenId(token.id)),
        permissions=parse_known_grants(token.permissions),
        display=token.name,
        expires_at=token.expires_at,
        token_id=TokenId(token.id),
        token_client_id=None if token.client_id is None else TokenId(token.client_id),
        secret_mark=mark,
        networks=None if token.networks is None else tuple(token.networks),
        locations=_freeze_scope(token.locations),
        loyalty_enabled=standing.loyalty_enabled,
        loyalty_entitled=standing.loyalty_entitled,
        allowed_origins=standing.allowed_origins,
        documents=standing.documents,
    )


def _is_its_secret(token: ApiTokenRow, mark: str | None, now: datetime) -> bool:
    """Tell whether a secret is the present one of a credential, or the former one while both work."""
    if not mark:
        return False
    if mark == token.secret_mark:
        return True
    return mark == token.former_secret_mark and token.former_ends_at is not None and token.former_ends_at > now


def _refuse_inactive(standing: Standing) -> None:
    """Raise TenantClosed or TenantSuspended unless the tenant is active."""
    if standing.tenant_state != ACTIVE:
        raise TenantClosed if standing.tenant_state == CLOSED else TenantSuspended
