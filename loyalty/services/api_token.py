"""API tokens of partner integrations: made once, shown once, kept as a hash, ended at any time."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.rules.errors import InvalidInput, LimitReached, NotFound, refuse_problems
from loyalty.rules.ids import TokenId
from loyalty.rules.text import check_text
from loyalty.services.world import World
from loyalty.storage.credentials import (
    ApiTokenRow,
    insert_api_token,
    read_api_tokens,
    read_api_tokens_by_id,
    revoke_api_token,
)
from permissions.actor import Actor
from permissions.catalog import Permission, to_grants
from permissions.policy import require
from tenancy.retry import retried

NAME_MAX_LENGTH = 120
MAX_TOKENS = 200
NEEDS_READING = frozenset({Permission.LOYALTY_MANAGE, Permission.LOYALTY_ADJUST})


async def create_api_token(
    world: World,
    actor: Actor,
    *,
    name: str,
    permissions: frozenset[Permission],
    expires_at: datetime | None,
    sha256: str,
) -> ApiTokenRow:
    """Keep a token whose secret only the caller knows. An actor can hand out only what it holds itself.

    Refusals: InvalidInput, LimitReached.
    """
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    refuse_problems([check_text(name, ("name",), NAME_MAX_LENGTH)])
    now = world.clock()
    if not permissions:
        raise InvalidInput.one("permissions", reason="must name at least one permission")
    if Permission.SELF_READ in permissions:
        raise InvalidInput.one("permissions", reason="must not hold SELF_READ, which is for customers")
    if beyond := permissions - actor.permissions:
        raise InvalidInput.one("permissions", reason=f"must be your own; you lack {', '.join(sorted(beyond))}")
    if permissions & NEEDS_READING and Permission.LOYALTY_READ not in permissions:
        raise InvalidInput.one(
            "permissions", reason="must hold LOYALTY_READ too: what is changed is shown in the answer"
        )
    if expires_at is not None and expires_at <= now:
        raise InvalidInput.one("expires_at", reason="must be in the future")
    row = ApiTokenRow(TokenId(uuid7()), name, list(to_grants(permissions)), now, actor.subject, expires_at, None, None)

    async def create() -> ApiTokenRow:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            if sum(_is_live(token, now) for token in await read_api_tokens(tx)) >= MAX_TOKENS:
                raise LimitReached("API tokens", MAX_TOKENS)
            await insert_api_token(tx, row, sha256)
        return row

    return await retried(create)


async def end_api_token(world: World, actor: Actor, token_id: UUID) -> ApiTokenRow:
    """Revoke a token; it stops working at once. Revoking twice keeps the first moment. Refusal: NotFound."""
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        row = await revoke_api_token(tx, token_id, world.clock())
    if row is None:
        raise NotFound("API token", ("id",))
    return row


async def list_api_tokens(world: World, actor: Actor) -> list[ApiTokenRow]:
    """All tokens, newest first, ended ones too."""
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        return await read_api_tokens(tx)


async def load_api_tokens(world: World, actor: Actor, ids: Sequence[UUID]) -> dict[UUID, ApiTokenRow]:
    """The tokens among ``ids``."""
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        return await read_api_tokens_by_id(tx, ids)


def _is_live(token: ApiTokenRow, now: datetime) -> bool:
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > now)
