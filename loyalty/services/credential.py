"""Credentials of partner systems, API tokens and OAuth clients alike: how they are created and how they end.

A maker cannot give a right that it does not have.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.rules.audit import AuditedChange, AuditSubject
from loyalty.rules.credential import is_live
from loyalty.rules.errors import LimitReached, PermissionDenied, Problem, refuse_problems
from loyalty.rules.ids import TokenId
from loyalty.rules.location import check_locations, tidy_locations
from loyalty.rules.network import are_within, read_networks
from loyalty.rules.text import check_text
from loyalty.services.audit import describe_change, note_changes
from loyalty.services.authentication import judge_actor
from loyalty.services.program import lock_program_in_force
from loyalty.services.world import World
from loyalty.storage.api_tokens import (
    CLIENT,
    ApiTokenRow,
    read_api_tokens,
    read_api_tokens_by_id,
    revoke_api_token,
    revoke_made_tokens,
)
from loyalty.storage.credentials import read_standing_of
from permissions.actor import Actor, ActorKind, mark_of_secret, subject_of_token
from permissions.catalog import (
    PEOPLE_PERMISSIONS,
    Permission,
    join_names,
    parse_known_grants,
    to_grants,
)
from permissions.policy import check_grantable, check_reading, check_scope
from tenancy.database import Transaction

NAME_MAX_LENGTH = 120


class Wanted(NamedTuple):
    """A credential as its maker asks for it.

    Networks of None are the networks of the maker. Locations of None mean the whole business.
    """

    name: str
    permissions: frozenset[Permission]
    expires_at: datetime | None
    networks: Sequence[str] | None
    locations: Sequence[str] | None = None


class EndedCredential(NamedTuple):
    """A revoked credential, and the credentials that it had made. They ended with it."""

    row: ApiTokenRow
    made: list[ApiTokenRow]


def new_credential(world: World, actor: Actor, wanted: Wanted, kind: str, sha256: str) -> ApiTokenRow:
    """Return the row of a credential that the actor may create.

    ``kind`` says whether it is an API token or an OAuth client, ``sha256`` is the hash of its secret. Refusal:
    InvalidInput.
    """
    now = world.clock()
    networks, wrong_networks = _choose_networks(actor, wanted.networks)
    refuse_problems(
        [
            check_text(wanted.name, ("name",), NAME_MAX_LENGTH),
            _check_permissions(actor, wanted.permissions),
            _check_end(actor, wanted.expires_at, now),
            wrong_networks,
            *check_locations(wanted.locations),
            check_scope(wanted.permissions, wanted.locations, ("permissions",)),
        ]
    )
    return ApiTokenRow(
        id=TokenId(uuid7()),
        name=wanted.name,
        permissions=list(to_grants(wanted.permissions)),
        created_at=now,
        created_by=actor.subject,
        expires_at=wanted.expires_at,
        revoked_at=None,
        last_used_at=None,
        made_with=actor.credential,
        client_id=None,
        kind=kind,
        networks=None if networks is None else list(networks),
        secret_mark=mark_of_secret(sha256),
        former_secret_mark=None,
        former_ends_at=None,
        rotated_with=None,
        rotated_by=None,
        locations=tidy_locations(wanted.locations),
    )


async def lock_credentials(
    tx: Transaction, actor: Actor, now: datetime, permission: Permission = Permission.TOKENS_MANAGE
) -> Actor:
    """Lock the program, so that credentials and members are created, changed and ended one after the other.

    So no credential outlives its maker. Returns the actor with its present standing. Refusal: PermissionDenied, which
    names ``permission``, if the actor's credential has ended meanwhile, or its role gives less than at the request.
    """
    await lock_program_in_force(tx, even_when_off=True)
    judged = judge_actor(actor, await read_standing_of(tx, actor), now)
    if judged is None or actor.permissions - judged.permissions:
        raise PermissionDenied(permission.name)
    return judged


async def end_credential(world: World, by: Actor, credential_id: UUID, kind: str) -> EndedCredential | None:
    """Revoke a credential and the credentials that it made. A second call changes nothing.

    Returns None if the tenant has no credential of this kind with this id.
    """
    async with world.database.tenant_transaction(by.tenant_id) as tx:
        await lock_program_in_force(tx, even_when_off=True)
        now = world.clock()
        before = await read_api_tokens_by_id(tx, [credential_id], kind)
        row = await revoke_api_token(tx, credential_id, now, kind)
        if row is None:
            return None
        await note_changes(tx, by, now, [describe_credential(before[row.id], row)])
        made = await end_made_credentials(tx, by, subject_of_token(TokenId(row.id)), now)
    return EndedCredential(row, made)


async def end_made_credentials(tx: Transaction, by: Actor, maker: str, now: datetime) -> list[ApiTokenRow]:
    """End the live credentials that a maker created, and those that these created, and so on. Return all of them.

    ``maker`` is the subject of the maker.
    """
    ended = await revoke_made_tokens(tx, [maker], now)
    await note_changes(tx, by, now, [describe_credential(row._replace(revoked_at=None), row) for row in ended])
    return ended


def describe_credential(before: ApiTokenRow | None, after: ApiTokenRow) -> AuditedChange:
    """Return the change of an API token or an OAuth client for the audit log, without its secrets."""
    subject = AuditSubject.OAUTH_CLIENT if after.kind == CLIENT else AuditSubject.API_TOKEN
    return describe_change(subject, _show_credential, before, after)


def _show_credential(row: ApiTokenRow) -> dict[str, Any]:
    """Return the state of a credential that the audit log keeps.

    A credential without a scope of locations shows none.
    """
    shown = ("name", "permissions", "networks", "expires_at", "revoked_at", "made_with", "former_ends_at")
    limited = {} if row.locations is None else {"locations": row.locations}
    return {name: getattr(row, name) for name in shown} | limited


async def refuse_too_many(tx: Transaction, kind: str, now: datetime, what: str, maximum: int) -> None:
    """Raise LimitReached if ``maximum`` credentials of a kind are live already. The refusal calls them ``what``."""
    if sum(is_live(one, now) for one in await read_api_tokens(tx, kind)) >= maximum:
        raise LimitReached(what, maximum)


def find_takeover_problem(actor: Actor, row: ApiTokenRow) -> str | None:
    """Return why the actor must not learn a secret of this credential; None if the actor may learn it.

    The actor must not learn it if the credential can do more than the actor: by its permissions, networks or end.
    """
    if row.id == actor.token_id:
        return None
    if beyond := parse_known_grants(row.permissions) - actor.permissions:
        return f"must hold no more than you; you lack {join_names(beyond)}"
    if actor.networks is not None and not are_within(row.networks or ("0.0.0.0/0", "::/0"), actor.networks):
        return "must be held to your networks"
    latest = find_latest_end(actor)
    if latest is not None and (row.expires_at is None or row.expires_at > latest):
        return f"must end at {latest.isoformat()} at the latest, when you do"
    return None


def find_latest_end(actor: Actor) -> datetime | None:
    """Return when a credential made by the actor must end at the latest.

    None for a person: credentials made by people stay with the tenant.
    """
    return actor.expires_at if actor.kind is ActorKind.API_TOKEN else None


def _choose_networks(actor: Actor, wanted: Sequence[str] | None) -> tuple[tuple[str, ...] | None, Problem | None]:
    """Return the networks of a new credential, and the problem of the wanted networks if they have one.

    Without wanted networks the credential gets those of its maker. None stands for every network.
    """
    if wanted is None:
        return actor.networks, None
    networks = read_networks(wanted, ("networks",))
    if isinstance(networks, Problem):
        return None, networks
    if actor.networks is not None and not are_within(networks, actor.networks):
        return None, Problem(("networks",), f"must lie in your own, which are {', '.join(actor.networks)}")
    return networks, None


def _check_permissions(actor: Actor, permissions: frozenset[Permission]) -> Problem | None:
    """Return why the actor must not give these permissions to a credential; None if it may."""
    path = ("permissions",)
    if problem := check_grantable(permissions, PEOPLE_PERMISSIONS, "people of the team", path):
        return problem
    if beyond := permissions - actor.permissions:
        return Problem(path, f"must be your own; you lack {join_names(beyond)}")
    return check_reading(permissions, path)


def _check_end(actor: Actor, expires_at: datetime | None, now: datetime) -> Problem | None:
    """Return why a credential made by the actor must not end at this time; None if it may.

    It never ends without a time.
    """
    path = ("expires_at",)
    if expires_at is not None and expires_at <= now:
        return Problem(path, "must be in the future")
    latest = find_latest_end(actor)
    if latest is not None and (expires_at is None or expires_at > latest):
        return Problem(path, f"must be at most {latest.isoformat()}, when the token that makes it ends")
    return None
