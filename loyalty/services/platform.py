"""The credentials of the platform, and its list of tenants. The platform cannot read the data of a tenant.

The statements run as the role of the relay. Of a credential only the hash of its text is stored.
"""

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.rules.credential import is_live
from loyalty.rules.errors import LimitReached, NotFound, refuse_problems
from loyalty.rules.platform import (
    LAST_USE_INTERVAL,
    MAX_PLATFORM_TOKENS,
    OPERATOR,
    PlatformAction,
    PlatformActionKind,
    PlatformCaller,
    caller_of_token,
)
from loyalty.rules.text import check_text
from loyalty.services.platform_log import note_action
from loyalty.services.world import World
from loyalty.storage.narrowed import MAX_TOTAL_COUNT
from tenancy.platform import (
    PlatformTokenRow,
    find_platform_token,
    insert_platform_token,
    list_platform_tokens,
    note_platform_use,
    read_platform_token,
    revoke_platform_token_row,
)
from tenancy.provisioning import ListedTenant, TenantFilter, count_tenants, read_tenants

TOKEN_NAME_MAX_LENGTH = 120


class PlatformTokenRequest(NamedTuple):
    """A credential as somebody asks for it. Without ``lifetime`` it never expires."""

    name: str
    lifetime: timedelta | None


async def create_platform_token(
    world: World, request: PlatformTokenRequest, sha256: str, by: PlatformCaller = OPERATOR
) -> PlatformTokenRow:
    """Store a new credential of the platform. Refusals: InvalidInput, LimitReached."""
    refuse_problems([check_text(request.name, ("name",), TOKEN_NAME_MAX_LENGTH)])
    now = world.clock()
    ends = None if request.lifetime is None else now + request.lifetime
    row = PlatformTokenRow(uuid7(), request.name, now, ends, None, None)
    async with world.database.plain_transaction() as connection:
        live = [one for one in await list_platform_tokens(connection) if is_live(one, now)]
        if len(live) >= MAX_PLATFORM_TOKENS:
            raise LimitReached("credentials of the platform", MAX_PLATFORM_TOKENS)
        await insert_platform_token(connection, row, sha256)
        await note_action(connection, by, _describe(PlatformActionKind.TOKEN_CREATED, None, row), now)
    return row


async def revoke_platform_token(world: World, token_id: UUID, by: PlatformCaller = OPERATOR) -> PlatformTokenRow:
    """End a credential of the platform at once. A second call changes nothing. Refusal: NotFound."""
    now = world.clock()
    async with world.database.plain_transaction() as connection:
        row = await read_platform_token(connection, token_id)
        if row is None:
            raise NotFound("credential of the platform", ("id",))
        if not await revoke_platform_token_row(connection, token_id, now):
            return row
        ended = row._replace(revoked_at=now)
        await note_action(connection, by, _describe(PlatformActionKind.TOKEN_REVOKED, row, ended), now)
    return ended


async def list_tokens(world: World) -> list[PlatformTokenRow]:
    """Return all credentials of the platform, oldest first, also the ended ones."""
    async with world.database.plain_transaction() as connection:
        return await list_platform_tokens(connection)


async def find_token_id(world: World, sha256: str) -> UUID | None:
    """Return the id of the credential with this hash, live or not; None if there is none."""
    async with world.database.plain_transaction() as connection:
        row = await find_platform_token(connection, sha256)
    return None if row is None else row.id


async def find_caller(world: World, sha256: str) -> PlatformCaller | None:
    """Return the holder of the credential with this hash; None if the credential is not live.

    The use of the credential is noted, at most once a minute.
    """
    now = world.clock()
    async with world.database.plain_transaction() as connection:
        row = await find_platform_token(connection, sha256)
        if row is None or not is_live(row, now):
            return None
        if row.last_used_at is None or row.last_used_at < now - LAST_USE_INTERVAL:
            await note_platform_use(connection, row.id, now, LAST_USE_INTERVAL)
    return caller_of_token(row.id, row.name)


async def list_tenants_of_platform(
    world: World, wanted: TenantFilter, limit: int, after: UUID | None = None
) -> list[ListedTenant]:
    """Return tenants in the order of their creation."""
    return await read_tenants(world.database, wanted, limit, after)


async def count_tenants_of_platform(world: World, wanted: TenantFilter) -> int:
    """Return the number of tenants in a list, up to the ceiling of counts."""
    return await count_tenants(world.database, wanted, MAX_TOTAL_COUNT + 1)


def _describe(kind: PlatformActionKind, before: PlatformTokenRow | None, after: PlatformTokenRow) -> PlatformAction:
    """Return the action that records a change of a credential, with its state before and after."""
    return PlatformAction(kind, after.name, None if before is None else _show(before), _show(after))


def _show(row: PlatformTokenRow) -> dict[str, object]:
    """Return the state of a credential that the log keeps."""
    return {"expires_at": row.expires_at, "revoked_at": row.revoked_at}
