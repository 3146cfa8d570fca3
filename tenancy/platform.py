"""The rows of the platform's own tables: credentials, actions, and the platform's ids of tenants.

The statements run as the relay's role, which cannot read what a tenant holds.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from tenancy.database import Transaction
from tenancy.platform_tables import platform_actions, platform_tenants, platform_tokens
from tenancy.table import KEY_TEXT


class PlatformTokenRow(NamedTuple):
    """A credential of the platform, without its secret."""

    id: UUID
    name: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class PlatformActionRow(NamedTuple):
    """An action of the platform, with the credential that did it."""

    id: UUID
    tenant_id: UUID | None
    action: str
    subject_name: str
    changes: Sequence[Any]
    happened_at: datetime
    actor_subject: str
    actor: str


class NamedTenant(NamedTuple):
    """The tenant for an id of the platform's own system, and the request that made it."""

    external_id: str
    tenant_id: UUID
    fingerprint: str


_TOKENS = select(*(platform_tokens.c[name] for name in PlatformTokenRow._fields))
_LIST_TOKENS = _TOKENS.order_by(platform_tokens.c.id)
_FIND_TOKEN = _TOKENS.where(platform_tokens.c.sha256 == bindparam("sha256", type_=KEY_TEXT))
_TOKEN = _TOKENS.where(platform_tokens.c.id == bindparam("token_id"))
_INSERT_TOKEN = insert(platform_tokens)
_REVOKE_TOKEN = (
    update(platform_tokens)
    .where(platform_tokens.c.id == bindparam("token_id"), platform_tokens.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
_NOTE_USE = (
    update(platform_tokens)
    .where(
        platform_tokens.c.id == bindparam("token_id"),
        or_(platform_tokens.c.last_used_at.is_(None), platform_tokens.c.last_used_at < bindparam("before")),
    )
    .values(last_used_at=bindparam("now"))
)
_INSERT_ACTION = insert(platform_actions).values({name: bindparam(name) for name in PlatformActionRow._fields})
_ACTIONS = select(*(platform_actions.c[name] for name in PlatformActionRow._fields))
_NAMED = select(*(platform_tenants.c[name] for name in NamedTenant._fields)).where(
    platform_tenants.c.external_id == bindparam("external_id", type_=KEY_TEXT)
)
_NAME_TENANT = (
    postgresql.insert(platform_tenants)
    .values({name: bindparam(name) for name in NamedTenant._fields})
    .on_conflict_do_nothing(index_elements=["external_id"])
)


async def insert_platform_token(connection: AsyncConnection, row: PlatformTokenRow, sha256: str) -> None:
    """Store a new credential with the hash of its text."""
    await connection.execute(_INSERT_TOKEN, {**row._asdict(), "sha256": sha256})


async def list_platform_tokens(connection: AsyncConnection) -> list[PlatformTokenRow]:
    """Return all credentials of the platform, the oldest first, with those that have ended."""
    return [PlatformTokenRow._make(row) for row in await connection.execute(_LIST_TOKENS)]


async def find_platform_token(connection: AsyncConnection, sha256: str) -> PlatformTokenRow | None:
    """Return the credential with this hash, live or ended."""
    row = (await connection.execute(_FIND_TOKEN, {"sha256": sha256})).one_or_none()
    return None if row is None else PlatformTokenRow._make(row)


async def read_platform_token(connection: AsyncConnection, token_id: UUID) -> PlatformTokenRow | None:
    """Return the credential with this id, live or ended."""
    row = (await connection.execute(_TOKEN, {"token_id": token_id})).one_or_none()
    return None if row is None else PlatformTokenRow._make(row)


async def revoke_platform_token_row(connection: AsyncConnection, token_id: UUID, now: datetime) -> bool:
    """End a credential; False if it had ended before, or does not exist."""
    return (await connection.execute(_REVOKE_TOKEN, {"token_id": token_id, "now": now})).rowcount == 1


async def note_platform_use(connection: AsyncConnection, token_id: UUID, now: datetime, interval: timedelta) -> None:
    """Write the time of a credential's use, unless a use was written within the interval."""
    await connection.execute(_NOTE_USE, {"token_id": token_id, "now": now, "before": now - interval})


async def insert_platform_action(place: AsyncConnection | Transaction, row: PlatformActionRow) -> None:
    """Add an action to the platform's log, in the transaction of the action itself."""
    if isinstance(place, Transaction):
        await place.run(_INSERT_ACTION, **row._asdict())
    else:
        await place.execute(_INSERT_ACTION, row._asdict())


async def read_platform_actions(
    connection: AsyncConnection, limit: int, *, before: UUID | None = None, tenant_id: UUID | None = None
) -> list[PlatformActionRow]:
    """Return actions of the platform, the newest first.

    ``before`` is the id of an action: only older ones are returned. ``tenant_id`` limits them to a tenant.
    """
    statement = _ACTIONS.order_by(platform_actions.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(platform_actions.c.id < before)
    if tenant_id is not None:
        statement = statement.where(platform_actions.c.tenant_id == tenant_id)
    return [PlatformActionRow._make(row) for row in await connection.execute(statement)]


async def count_platform_actions(connection: AsyncConnection, ceiling: int, *, tenant_id: UUID | None = None) -> int:
    """Count actions up to a ceiling; ``tenant_id`` limits them to a tenant."""
    listed = select(platform_actions.c.id).limit(ceiling)
    if tenant_id is not None:
        listed = listed.where(platform_actions.c.tenant_id == tenant_id)
    statement = select(func.count()).select_from(listed.subquery("counted"))
    return int((await connection.execute(statement)).scalar_one())


async def read_named_tenant(connection: AsyncConnection, external_id: str) -> NamedTenant:
    """Return the tenant for an id of the platform's own system, even if the tenant's rows do not exist yet."""
    return NamedTenant._make((await connection.execute(_NAMED, {"external_id": external_id})).one())


async def name_tenant(tx: Transaction, named: NamedTenant) -> bool:
    """Give the transaction's tenant an id of the platform's own system; False if the id belongs to another tenant."""
    return await tx.run(_NAME_TENANT, **named._asdict()) == 1
