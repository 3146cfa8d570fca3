"""OAuth clients: partner systems that exchange a lasting secret for access tokens of an hour (RFC 6749, 4.4)."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from loyalty.rules.errors import NotFound, Problem, refuse_problems
from loyalty.rules.ids import TenantId, TokenId
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
from loyalty.services.revocation import revoke_signed_token
from loyalty.services.world import World
from loyalty.storage.api_token_lists import TokenFilter, narrow_tokens, read_token_page
from loyalty.storage.api_tokens import (
    CLIENT,
    ApiTokenRow,
    insert_api_token,
    read_api_tokens_by_id,
)
from loyalty.storage.oauth_clients import OAuthClientRow, client_row
from loyalty.storage.window import TimePlace, Window
from permissions.actor import Actor, subject_of_token
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.retry import retry_transaction

MAX_CLIENTS = 200


class OAuthClientRequest(NamedTuple):
    """A client as its maker asks for it."""

    name: str
    permissions: frozenset[Permission]
    expires_at: datetime | None = None
    networks: Sequence[str] | None = None
    idempotency_key: str | None = None

    def fingerprint(self) -> str:
        """Return the fingerprint of this request."""
        return fingerprint([self.name, sorted(self.permissions), self.expires_at, self.networks])


class CreatedClient(NamedTuple):
    """A new client. For a retry it is the client of the first call; its secret cannot be shown again."""

    client: OAuthClientRow
    replayed: bool


async def create_oauth_client(world: World, actor: Actor, request: OAuthClientRequest, sha256: str) -> CreatedClient:
    """Store a client whose secret only the caller knows. The actor can give only permissions that it has itself.

    A client gets no TOKENS_MANAGE: credentials made with its tokens would end with them, after an hour. Refusals:
    InvalidInput, LimitReached, IdempotencyConflict.
    """
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    refuse_problems([check_text(request.name, ("name",), NAME_MAX_LENGTH)])
    once = call_once(actor, request.idempotency_key, "oauthClientCreate", request.fingerprint())
    if Permission.TOKENS_MANAGE in request.permissions:
        reason = "must not hold TOKENS_MANAGE: what the client's tokens made would end with them, after an hour"
        refuse_problems([Problem(("permissions",), reason)])
    wanted = Wanted(request.name, request.permissions, request.expires_at, request.networks)
    row = new_credential(world, actor, wanted, CLIENT, sha256)
    return await retry_transaction(lambda: _create(world, actor, row, sha256, once))


async def end_oauth_client(world: World, actor: Actor, client_id: UUID) -> OAuthClientRow:
    """Revoke a client: its secrets and its access tokens stop working. A second call changes nothing.

    Refusal: NotFound.
    """
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    ended = await end_credential(world, actor, client_id, CLIENT)
    if ended is None:
        raise NotFound("OAuth client", ("id",))
    return client_row(ended.row)


async def page_oauth_clients(
    world: World, actor: Actor, wanted: TokenFilter, window: Window[TimePlace]
) -> list[OAuthClientRow]:
    """Return a page of clients, newest first, also the ended ones."""
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    tx = world.database.reading(actor.tenant_id)
    return [client_row(row) for row in await read_token_page(tx, wanted, world.clock(), window, CLIENT)]


async def count_oauth_clients(world: World, actor: Actor, wanted: TokenFilter) -> int:
    """Return the number of clients in a list, up to the ceiling of counts."""
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    return await narrow_tokens(wanted, world.clock(), CLIENT).count(world.database.reading(actor.tenant_id))


async def load_oauth_clients(world: World, actor: Actor, ids: Sequence[UUID]) -> dict[UUID, OAuthClientRow]:
    """Return the clients among ``ids``."""
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    tx = world.database.reading(actor.tenant_id)
    found = await read_api_tokens_by_id(tx, ids, CLIENT)
    return {client_id: client_row(row) for client_id, row in found.items()}


async def end_access_token(world: World, tenant_id: TenantId, client_id: TokenId, token_id: str) -> None:
    """Revoke one access token for its client, and the customer tokens that were made with it (RFC 7009)."""
    await revoke_signed_token(world, tenant_id, token_id, subject_of_token(client_id))


async def _create(world: World, actor: Actor, row: ApiTokenRow, sha256: str, once: Once) -> CreatedClient:
    """Insert a client in one transaction, or find the client of the first call."""
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        await lock_credentials(tx, actor, row.created_at)
        made = await once.find_made(tx)
        if made is not None:
            return CreatedClient(client_row((await read_api_tokens_by_id(tx, [made], CLIENT))[made]), replayed=True)
        await refuse_too_many(tx, CLIENT, row.created_at, "OAuth clients", MAX_CLIENTS)
        await insert_api_token(tx, row, sha256)
        await note_changes(tx, actor, row.created_at, [describe_credential(None, row)])
        await once.keep(tx, row.id, row.created_at)
    return CreatedClient(client_row(row), replayed=False)
