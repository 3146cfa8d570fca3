"""API tokens, and the standing of whoever presents a credential."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, bindparam, case, func, insert, select, update

from loyalty.storage.tables import api_tokens, customers, programs
from tenancy.database import Transaction
from tenancy.table import tenant_parameter
from tenancy.tables import tenants, token_directory


class ApiTokenRow(NamedTuple):
    """An API token as its tenant sees it; the secret itself is nowhere."""

    id: UUID
    name: str
    permissions: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class Standing(NamedTuple):
    """What the database knows about a credential at this moment."""

    tenant_state: str
    loyalty_enabled: bool
    token: ApiTokenRow | None
    customer_id: UUID | None
    former_ids: frozenset[UUID]
    """Of customers who have become this one."""


_COLUMNS = [api_tokens.c[name] for name in ApiTokenRow._fields]
# CASE and not coalesce: under row-level security an index serves only what is leakproof.
_become = case((customers.c.merged_into.is_(None), customers.c.id), else_=customers.c.merged_into)
_former = customers.alias("former")
_STANDING = (
    select(
        tenants.c.state,
        func.coalesce(programs.c.enabled, False).label("loyalty_enabled"),
        # Whoever signed in as a customer that has become another one is that one.
        _become.label("customer_id"),
        select(func.array_agg(_former.c.id))
        .where(_former.c.tenant_id == tenant_parameter(), _former.c.merged_into == _become)
        .scalar_subquery()
        .label("former_ids"),
        *_COLUMNS,
    )
    .select_from(
        tenants.outerjoin(programs, programs.c.tenant_id == tenants.c.tenant_id)
        .outerjoin(
            customers,
            and_(customers.c.tenant_id == tenants.c.tenant_id, customers.c.id == bindparam("customer_id")),
        )
        .outerjoin(
            api_tokens,
            and_(api_tokens.c.tenant_id == tenants.c.tenant_id, api_tokens.c.id == bindparam("token_id")),
        ),
    )
    .where(tenants.c.tenant_id == tenant_parameter())
)
_INSERT = insert(api_tokens).values(
    tenant_id=tenant_parameter(),
    id=bindparam("id"),
    name=bindparam("name"),
    permissions=bindparam("permissions"),
    created_at=bindparam("now"),
    created_by=bindparam("created_by"),
    expires_at=bindparam("expires_at"),
)
_INSERT_DIRECTORY = insert(token_directory).values(
    tenant_id=tenant_parameter(),
    sha256=bindparam("sha256"),
    token_id=bindparam("id"),
)
_REVOKE = (
    update(api_tokens)
    .where(api_tokens.c.tenant_id == tenant_parameter(), api_tokens.c.id == bindparam("token"))
    .values(revoked_at=func.coalesce(api_tokens.c.revoked_at, bindparam("now")))
    .returning(*_COLUMNS)
)
_USED = (
    update(api_tokens)
    .where(api_tokens.c.tenant_id == tenant_parameter(), api_tokens.c.id == bindparam("token"))
    .values(last_used_at=bindparam("now"))
)
_LISTED = select(*_COLUMNS).where(api_tokens.c.tenant_id == tenant_parameter()).order_by(api_tokens.c.id.desc())
_BY_IDS = select(*_COLUMNS).where(
    api_tokens.c.tenant_id == tenant_parameter(),
    api_tokens.c.id.in_(bindparam("ids", expanding=True)),
)


async def read_standing(tx: Transaction, *, token_id: UUID | None, customer_id: UUID | None) -> Standing | None:
    """The standing of a credential; None when the tenant does not exist."""
    row = await tx.row(_STANDING, token_id=token_id, customer_id=customer_id)
    if row is None:
        return None
    token = ApiTokenRow(*(getattr(row, column.name) for column in _COLUMNS)) if row.id else None
    return Standing(row.state, row.loyalty_enabled, token, row.customer_id, frozenset(row.former_ids or ()))


async def insert_api_token(tx: Transaction, token: ApiTokenRow, sha256: str) -> None:
    """Keep a new token and the way from its hash to the tenant."""
    await tx.run(
        _INSERT,
        id=token.id,
        name=token.name,
        permissions=token.permissions,
        now=token.created_at,
        created_by=token.created_by,
        expires_at=token.expires_at,
    )
    await tx.run(_INSERT_DIRECTORY, id=token.id, sha256=sha256)


async def revoke_api_token(tx: Transaction, token_id: UUID, now: datetime) -> ApiTokenRow | None:
    """End a token; the first moment counts. None when there is no such token."""
    row = await tx.row(_REVOKE, token=token_id, now=now)
    return ApiTokenRow._make(row) if row else None


async def mark_used(tx: Transaction, token_id: UUID, now: datetime) -> None:
    """Remember when a token was last seen."""
    await tx.run(_USED, token=token_id, now=now)


async def read_api_tokens(tx: Transaction) -> list[ApiTokenRow]:
    """All tokens of the tenant, newest first, ended ones too."""
    return [ApiTokenRow._make(row) for row in await tx.rows(_LISTED)]


async def read_api_tokens_by_id(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, ApiTokenRow]:
    """The tokens among ``ids``."""
    return {row.id: ApiTokenRow._make(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}
