"""API tokens of partner integrations: created, shown once, stored as a hash, and revoked."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from loyalty.rules.errors import NotFound, refuse_problems
from loyalty.rules.location import tidy_locations
from loyalty.rules.text import check_text
from loyalty.services.audit import note_changes
from loyalty.services.creation import Once, call_once
from loyalty.services.credential import (
    NAME_MAX_LENGTH,
    Wanted,
    describe_credential,
    end_credential,
    lock_credentials,
    new_credential,
    refuse_too_many,
)
from loyalty.services.fingerprint import fingerprint
from loyalty.services.location_scope import find_unknown_locations
from loyalty.services.world import World
from loyalty.storage.api_token_lists import TokenFilter, narrow_tokens, read_token_page
from loyalty.storage.api_tokens import (
    CLIENT,
    TOKEN,
    ApiTokenRow,
    insert_api_token,
    read_api_tokens,
    read_api_tokens_by_id,
)
from loyalty.storage.oauth_clients import OAuthClientRow, client_row
from loyalty.storage.window import TimePlace, Window
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.database import Transaction
from tenancy.retry import retry_transaction

MAX_TOKENS = 200


class ApiTokenRequest(NamedTuple):
    """A token as its maker asks for it.

    If ``replaces`` names a token, the new token takes over the idempotency keys of that token. Networks of None are the
    networks of the maker. Locations of None mean the whole business.
    """

    name: str
    permissions: frozenset[Permission]
    expires_at: datetime | None = None
    replaces: UUID | None = None
    idempotency_key: str | None = None
    networks: Sequence[str] | None = None
    locations: Sequence[str] | None = None

    def fingerprint(self) -> str:
        """Return the fingerprint of this request."""
        asked = [self.name, sorted(self.permissions), self.expires_at, self.replaces]
        return fingerprint(asked, networks=self.networks, locations=tidy_locations(self.locations))


class CreatedToken(NamedTuple):
    """A new token. For a retry it is the token of the first call; its secret cannot be shown again."""

    token: ApiTokenRow
    replayed: bool


class EndedToken(NamedTuple):
    """A revoked token, and the tokens and OAuth clients that it had made. They ended with it."""

    token: ApiTokenRow
    made: list[ApiTokenRow]
    made_clients: list[OAuthClientRow]


async def create_api_token(world: World, actor: Actor, request: ApiTokenRequest, sha256: str) -> ApiTokenRow:
    """Create a token as `create_api_token_once` does, and return only the token."""
    return (await create_api_token_once(world, actor, request, sha256)).token


async def create_api_token_once(world: World, actor: Actor, request: ApiTokenRequest, sha256: str) -> CreatedToken:
    """Store a token whose secret only the caller knows. The actor can give only permissions that it has itself.

    A token made by an API token ends with its maker, at the latest. A retry with the same idempotency key gets the
    token of the first call; its secret is not stored. Refusals: InvalidInput, NotFound (replaces), LimitReached,
    IdempotencyConflict.
    """
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    refuse_problems([check_text(request.name, ("name",), NAME_MAX_LENGTH)])
    once = call_once(actor, request.idempotency_key, "apiTokenCreate", request.fingerprint())
    wanted = Wanted(request.name, request.permissions, request.expires_at, request.networks, request.locations)
    row = new_credential(world, actor, wanted, TOKEN, sha256)
    return await retry_transaction(lambda: _create(world, actor, row, request.replaces, sha256, once))


async def end_api_token(world: World, actor: Actor, token_id: UUID | None, sha256: str | None = None) -> EndedToken:
    """Revoke a token and the credentials that it made. They stop working at once. A second call changes nothing.

    The token is named by its id, or by the hash of one of its secrets. Refusal: NotFound.
    """
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    path = ("id",) if sha256 is None else ("token",)
    if sha256 is not None:
        found = await world.database.tenant_of_token(sha256)
        token_id = found[1] if found is not None and found[0] == actor.tenant_id else None
    ended = None if token_id is None else await end_credential(world, actor, token_id, TOKEN)
    if ended is None:
        raise NotFound("API token", path)
    return EndedToken(
        ended.row,
        [one for one in ended.made if one.kind == TOKEN],
        [client_row(one) for one in ended.made if one.kind == CLIENT],
    )


async def list_api_tokens(world: World, actor: Actor) -> list[ApiTokenRow]:
    """Return all tokens, newest first, also the ended ones."""
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    tx = world.database.reading(actor.tenant_id)
    return await read_api_tokens(tx)


async def page_api_tokens(
    world: World, actor: Actor, wanted: TokenFilter, window: Window[TimePlace]
) -> list[ApiTokenRow]:
    """Return a page of API tokens, newest first."""
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    return await read_token_page(world.database.reading(actor.tenant_id), wanted, world.clock(), window)


async def count_api_tokens(world: World, actor: Actor, wanted: TokenFilter) -> int:
    """Return the number of API tokens in a list, up to the ceiling of counts."""
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    return await narrow_tokens(wanted, world.clock()).count(world.database.reading(actor.tenant_id))


async def load_api_tokens(world: World, actor: Actor, ids: Sequence[UUID]) -> dict[UUID, ApiTokenRow]:
    """Return the tokens among ``ids``."""
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    tx = world.database.reading(actor.tenant_id)
    return await read_api_tokens_by_id(tx, ids)


async def _create(
    world: World, actor: Actor, row: ApiTokenRow, replaces: UUID | None, sha256: str, once: Once
) -> CreatedToken:
    """Insert a token in one transaction, or find the token of the first call."""
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        await lock_credentials(tx, actor, row.created_at)
        made = await once.find_made(tx)
        if made is not None:
            return CreatedToken((await read_api_tokens_by_id(tx, [made]))[made], replayed=True)
        await refuse_too_many(tx, TOKEN, row.created_at, "API tokens", MAX_TOKENS)
        refuse_problems(await find_unknown_locations(tx, row.locations))
        if replaces is not None:
            row = row._replace(client_id=await _find_client_id(tx, replaces))
        await insert_api_token(tx, row, sha256)
        await note_changes(tx, actor, row.created_at, [describe_credential(None, row)])
        await once.keep(tx, row.id, row.created_at)
    return CreatedToken(row, replayed=False)


async def _find_client_id(tx: Transaction, token_id: UUID) -> UUID:
    """Return the id under which a token keeps its idempotency keys: its own id, or the id that it took over.

    Refusal: NotFound.
    """
    replaced = (await read_api_tokens_by_id(tx, [token_id])).get(token_id)
    if replaced is None:
        raise NotFound("API token", ("replaces",))
    return replaced.client_id or replaced.id
