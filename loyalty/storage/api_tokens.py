"""API tokens and OAuth clients: stored and found by a hash; they can be ended at any time."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import (
    Uuid,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from loyalty.rules.ids import TokenId
from loyalty.storage.tables import api_tokens
from permissions.actor import Actor, mark_of_secret, subject_of_token
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import INSTANT, among, record_set, tenant_parameter
from tenancy.tables import token_directory

TOKEN, CLIENT = "TOKEN", "CLIENT"
"""Kinds of credentials of partner systems: an API token, and an OAuth client."""


class ApiTokenRow(NamedTuple):
    """An API token or an OAuth client as its tenant sees it. Its secret is stored nowhere."""

    id: UUID
    name: str
    permissions: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    made_with: str | None
    client_id: UUID | None
    kind: str
    networks: list[str] | None
    secret_mark: str
    former_secret_mark: str | None
    former_ends_at: datetime | None
    rotated_with: str | None
    rotated_by: str | None
    locations: list[str] | None = None


TOKEN_COLUMNS = [api_tokens.c[name] for name in ApiTokenRow._fields]


_INSERT = insert(api_tokens).values(
    tenant_id=tenant_parameter(),
    id=bindparam("id"),
    name=bindparam("name"),
    permissions=bindparam("permissions"),
    created_at=bindparam("now"),
    created_by=bindparam("created_by"),
    expires_at=bindparam("expires_at"),
    made_with=bindparam("made_with"),
    client_id=bindparam("client_id"),
    kind=bindparam("kind"),
    networks=bindparam("networks"),
    locations=bindparam("locations"),
    secret_mark=bindparam("secret_mark"),
)


_INSERT_DIRECTORY = insert(token_directory).values(
    tenant_id=tenant_parameter(),
    sha256=bindparam("sha256"),
    token_id=bindparam("id"),
)


_REVOKE = (
    update(api_tokens)
    .where(
        api_tokens.c.tenant_id == tenant_parameter(),
        api_tokens.c.id == bindparam("token"),
        api_tokens.c.kind == bindparam("of_kind"),
    )
    .values(revoked_at=func.coalesce(api_tokens.c.revoked_at, bindparam("now")))
    .returning(*TOKEN_COLUMNS)
)


_CHANGE_SECRET = (
    update(api_tokens)
    .where(api_tokens.c.tenant_id == tenant_parameter(), api_tokens.c.id == bindparam("token"))
    .values(
        former_secret_mark=api_tokens.c.secret_mark,
        former_ends_at=bindparam("ends_at"),
        secret_mark=bindparam("mark"),
        rotated_with=bindparam("credential"),
        rotated_by=bindparam("subject"),
    )
    .returning(*TOKEN_COLUMNS)
)


_REVOKE_MADE = (
    update(api_tokens)
    .where(
        api_tokens.c.tenant_id == tenant_parameter(),
        or_(among(api_tokens.c.made_with, "makers"), among(api_tokens.c.rotated_with, "makers")),
        api_tokens.c.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("now"))
    .returning(*TOKEN_COLUMNS)
)


_seen = record_set("seen", [("token_id", Uuid()), ("used_at", INSTANT)])


_USED = (
    update(api_tokens)
    .where(api_tokens.c.tenant_id == tenant_parameter(), api_tokens.c.id == _seen.c.token_id)
    .values(last_used_at=_seen.c.used_at)
)


_LISTED = (
    select(*TOKEN_COLUMNS)
    .where(api_tokens.c.tenant_id == tenant_parameter(), api_tokens.c.kind == bindparam("of_kind"))
    .order_by(api_tokens.c.id.desc())
)


_BY_IDS = select(*TOKEN_COLUMNS).where(
    api_tokens.c.tenant_id == tenant_parameter(),
    among(api_tokens.c.id, "ids"),
    api_tokens.c.kind == bindparam("of_kind"),
)


async def insert_api_token(tx: Transaction, token: ApiTokenRow, sha256: str) -> None:
    """Store a new API token or OAuth client, and the row of the directory that leads from its hash to the tenant."""
    await tx.run(
        _INSERT,
        id=token.id,
        name=token.name,
        permissions=token.permissions,
        now=token.created_at,
        created_by=token.created_by,
        expires_at=token.expires_at,
        made_with=token.made_with,
        client_id=token.client_id,
        kind=token.kind,
        networks=token.networks,
        locations=token.locations,
        secret_mark=token.secret_mark,
    )
    await tx.run(_INSERT_DIRECTORY, id=token.id, sha256=sha256)


async def revoke_api_token(tx: Transaction, token_id: UUID, now: datetime, kind: str = TOKEN) -> ApiTokenRow | None:
    """End a token or a client. If it has ended before, the first time stays. None if there is none of this kind."""
    row = await tx.row(_REVOKE, token=token_id, now=now, of_kind=kind)
    return ApiTokenRow._make(row) if row else None


async def change_secret(
    tx: Transaction, token_id: UUID, sha256: str, former_ends_at: datetime, actor: Actor
) -> ApiTokenRow:
    """Give a token or client a new secret.

    The present secret works until `former_ends_at`, the secret before it ends now. `actor` is stored, because the actor
    knows the new secret.
    """
    (row,) = await tx.rows(
        _CHANGE_SECRET,
        token=token_id,
        mark=mark_of_secret(sha256),
        ends_at=former_ends_at,
        credential=actor.credential,
        subject=actor.subject,
    )
    await tx.run(_INSERT_DIRECTORY, id=token_id, sha256=sha256)
    return ApiTokenRow._make(row)


async def revoke_made_tokens(tx: Transaction, makers: Sequence[str], now: datetime) -> list[ApiTokenRow]:
    """End what these credentials made or gave a new secret: live API tokens and OAuth clients.

    What the ended ones made or gave a new secret ends, too, and so on.
    """
    ended: list[ApiTokenRow] = []
    while made := [ApiTokenRow._make(row) for row in await tx.rows(_REVOKE_MADE, makers=list(makers), now=now)]:
        ended += made
        makers = [subject_of_token(TokenId(token.id)) for token in made]
    return ended


async def mark_used(tx: Transaction, uses: Mapping[UUID, datetime]) -> None:
    """Store the time of each token's last use, by its id."""
    await tx.run(_USED, seen=[{"token_id": token_id, "used_at": used_at} for token_id, used_at in uses.items()])


async def read_api_tokens(tx: Reads, kind: str = TOKEN) -> list[ApiTokenRow]:
    """Return all tokens or all clients of the tenant, newest first, with those that have ended."""
    return [ApiTokenRow._make(row) for row in await tx.rows(_LISTED, of_kind=kind)]


async def read_api_tokens_by_id(tx: Reads, ids: Sequence[UUID], kind: str = TOKEN) -> dict[UUID, ApiTokenRow]:
    """Return the tokens or clients among ``ids``."""
    return {row.id: ApiTokenRow._make(row) for row in await tx.rows(_BY_IDS, ids=list(ids), of_kind=kind)}
