"""API tokens of partner integrations: made once, shown once, kept as a hash, ended at any time."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.rules.errors import LimitReached, NotFound, PermissionDenied, Problem, refuse_problems
from loyalty.rules.ids import TokenId
from loyalty.rules.text import check_text
from loyalty.services.authentication import is_live, judge_actor
from loyalty.services.creation import Once, call_once
from loyalty.services.fingerprint import fingerprint
from loyalty.services.program import locked_program
from loyalty.services.world import World
from loyalty.storage.credentials import (
    ApiTokenRow,
    insert_api_token,
    read_api_tokens,
    read_api_tokens_by_id,
    read_standing_of,
    revoke_api_token,
    revoke_made_tokens,
)
from permissions.actor import Actor, ActorKind, subject_of_token
from permissions.catalog import SELF_PERMISSIONS, Permission, join_names, to_grants
from permissions.policy import require
from tenancy.database import Transaction
from tenancy.retry import retry_transaction

NAME_MAX_LENGTH = 120
MAX_TOKENS = 200
NEEDS_READING = frozenset({Permission.LOYALTY_MANAGE, Permission.LOYALTY_ADJUST})


class ApiTokenRequest(NamedTuple):
    """A token as its maker asks for it. ``replaces`` is a token whose idempotency keys it takes over."""

    name: str
    permissions: frozenset[Permission]
    expires_at: datetime | None = None
    replaces: UUID | None = None
    idempotency_key: str | None = None

    def fingerprint(self) -> str:
        """What identifies this request."""
        return fingerprint([self.name, sorted(self.permissions), self.expires_at, self.replaces])


class CreatedToken(NamedTuple):
    """A new token, or for a retry the one that the first call made, whose secret nobody can show again."""

    token: ApiTokenRow
    replayed: bool


class EndedToken(NamedTuple):
    """A token that was revoked, and the tokens that it had made, which ended with it."""

    token: ApiTokenRow
    made: list[ApiTokenRow]


async def create_api_token(world: World, actor: Actor, request: ApiTokenRequest, sha256: str) -> ApiTokenRow:
    """The same as `create_api_token_once` for who needs to know nothing but the token."""
    return (await create_api_token_once(world, actor, request, sha256)).token


async def create_api_token_once(world: World, actor: Actor, request: ApiTokenRequest, sha256: str) -> CreatedToken:
    """Keep a token whose secret only the caller knows. An actor can hand out only what it holds itself.

    A token that an API token makes ends with its maker, at the latest. A retry with the same idempotency key finds the
    token of the first call; its secret is kept nowhere. Refusals: InvalidInput, NotFound (replaces), LimitReached,
    IdempotencyConflict.
    """
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    now = world.clock()
    refuse_problems([check_text(request.name, ("name",), NAME_MAX_LENGTH)])
    once = call_once(actor, request.idempotency_key, "apiTokenCreate", request.fingerprint())
    refuse_problems([_problem_of_permissions(actor, request.permissions), _problem_of_end(actor, request, now)])
    row = ApiTokenRow(
        id=TokenId(uuid7()),
        name=request.name,
        permissions=list(to_grants(request.permissions)),
        created_at=now,
        created_by=actor.subject,
        expires_at=request.expires_at,
        revoked_at=None,
        last_used_at=None,
        made_with=actor.credential,
        client_id=None,
    )
    return await retry_transaction(lambda: _create(world, actor, row, request.replaces, sha256, once))


async def end_api_token(world: World, actor: Actor, token_id: UUID) -> EndedToken:
    """Revoke a token and what it made; they stop working at once. Revoking twice keeps the first moment.

    Refusal: NotFound.
    """
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        await locked_program(tx, even_when_off=True)
        now = world.clock()
        row = await revoke_api_token(tx, token_id, now)
        made = await revoke_made_tokens(tx, [subject_of_token(TokenId(token_id))], now)
    if row is None:
        raise NotFound("API token", ("id",))
    return EndedToken(row, made)


async def list_api_tokens(world: World, actor: Actor) -> list[ApiTokenRow]:
    """All tokens, newest first, ended ones too."""
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    tx = world.database.reading(actor.tenant_id)
    return await read_api_tokens(tx)


async def load_api_tokens(world: World, actor: Actor, ids: Sequence[UUID]) -> dict[UUID, ApiTokenRow]:
    """The tokens among ``ids``."""
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    tx = world.database.reading(actor.tenant_id)
    return await read_api_tokens_by_id(tx, ids)


async def _create(
    world: World, actor: Actor, row: ApiTokenRow, replaces: UUID | None, sha256: str, once: Once
) -> CreatedToken:
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        # Tokens are made and revoked one after the other, so that nothing is made by what has just been revoked.
        await locked_program(tx, even_when_off=True)
        if judge_actor(actor, await read_standing_of(tx, actor), row.created_at) is None:
            raise PermissionDenied(Permission.TOKENS_MANAGE.name)
        made = await once.find_made(tx)
        if made is not None:
            return CreatedToken((await read_api_tokens_by_id(tx, [made]))[made], replayed=True)
        if sum(is_live(token, row.created_at) for token in await read_api_tokens(tx)) >= MAX_TOKENS:
            raise LimitReached("API tokens", MAX_TOKENS)
        if replaces is not None:
            row = row._replace(client_id=await _client_of(tx, replaces))
        await insert_api_token(tx, row, sha256)
        await once.keep(tx, row.id, row.created_at)
    return CreatedToken(row, replayed=False)


async def _client_of(tx: Transaction, token_id: UUID) -> UUID:
    replaced = (await read_api_tokens_by_id(tx, [token_id])).get(token_id)
    if replaced is None:
        raise NotFound("API token", ("replaces",))
    return replaced.client_id or replaced.id


def _problem_of_permissions(actor: Actor, permissions: frozenset[Permission]) -> Problem | None:
    path = ("permissions",)
    if not permissions:
        return Problem(path, "must name at least one permission")
    if own := permissions & SELF_PERMISSIONS:
        return Problem(path, f"must not hold {join_names(own)}, which is for customers")
    if beyond := permissions - actor.permissions:
        return Problem(path, f"must be your own; you lack {join_names(beyond)}")
    if permissions & NEEDS_READING and Permission.LOYALTY_READ not in permissions:
        return Problem(path, "must hold LOYALTY_READ too: what is changed is shown in the answer")
    return None


def _problem_of_end(actor: Actor, request: ApiTokenRequest, now: datetime) -> Problem | None:
    path, expires_at = ("expires_at",), request.expires_at
    if expires_at is not None and expires_at <= now:
        return Problem(path, "must be in the future")
    latest = actor.expires_at if actor.kind is ActorKind.API_TOKEN else None
    if latest is not None and (expires_at is None or expires_at > latest):
        return Problem(path, f"must be at most {latest.isoformat()}, when the token that makes it ends")
    return None
