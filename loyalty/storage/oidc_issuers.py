"""The identity providers that tenants have set for their staff."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from loyalty.storage.narrowed import Narrowed
from loyalty.storage.tables import oidc_issuers
from loyalty.storage.window import Keyset
from permissions.roles import BUILT_IN_ROLES, TeamRole
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter
from tenancy.tables import token_directory


class OidcIssuerRow(NamedTuple):
    """A tenant's identity provider: its issuer and audience, and the role for each value of a claim.

    ``role`` names a built-in role, ``role_id`` a role made by the tenant.
    """

    id: UUID
    issuer: str
    audience: str
    role_claim: str
    roles: list[dict[str, str]]
    version: int
    created_at: datetime
    changed_at: datetime
    changed_by: str
    made_with: str
    removed_at: datetime | None
    client_id: str | None = None
    client_secret: bytes | None = None
    """The sealed secret."""


class SealedSecret(NamedTuple):
    """The sealed secret of the tenant's application at a provider."""

    id: UUID
    client_secret: bytes


_COLUMNS = [oidc_issuers.c[name] for name in OidcIssuerRow._fields]
_OURS = oidc_issuers.c.tenant_id == tenant_parameter()
_SET = select(*_COLUMNS).where(_OURS, oidc_issuers.c.removed_at.is_(None))
_ISSUERS_BY_TIME = Keyset((oidc_issuers.c.created_at, oidc_issuers.c.id), descending=False)
_LISTED = _SET.order_by(oidc_issuers.c.id)
_BY_IDS = select(*_COLUMNS).where(_OURS, among(oidc_issuers.c.id, "ids"), oidc_issuers.c.removed_at.is_(None))
_BY_PAIR = select(*_COLUMNS).where(
    _OURS, oidc_issuers.c.issuer == bindparam("issuer"), oidc_issuers.c.audience == bindparam("audience")
)
_INSERT = insert(oidc_issuers).values(
    tenant_id=tenant_parameter(), **{name: bindparam(name) for name in OidcIssuerRow._fields if name != "removed_at"}
)
_CHANGE = (
    update(oidc_issuers)
    .where(_OURS, oidc_issuers.c.id == bindparam("issuer_row"))
    .values(
        role_claim=bindparam("new_claim"),
        roles=bindparam("new_roles"),
        version=oidc_issuers.c.version + 1,
        changed_at=bindparam("now"),
        changed_by=bindparam("actor"),
        made_with=bindparam("credential"),
        client_id=bindparam("new_client_id"),
        client_secret=bindparam("new_client_secret"),
        removed_at=None,
    )
    .returning(*_COLUMNS)
)
_REMOVE = (
    update(oidc_issuers)
    .where(_OURS, oidc_issuers.c.id == bindparam("issuer_row"))
    .values(
        removed_at=func.coalesce(oidc_issuers.c.removed_at, bindparam("now")),
        version=oidc_issuers.c.version + 1,
        # Nobody signs in at a removed provider, so its secret is deleted.
        client_secret=None,
    )
    .returning(*_COLUMNS)
)
_LOCK_SECRETS = (
    select(oidc_issuers.c.id, oidc_issuers.c.client_secret)
    .where(_OURS, oidc_issuers.c.client_secret.is_not(None))
    .order_by(oidc_issuers.c.id)
    .with_for_update()
)
_KEEP_SECRET = (
    update(oidc_issuers)
    .where(_OURS, oidc_issuers.c.id == bindparam("issuer_row"))
    .values(client_secret=bindparam("new_client_secret"))
)
_HAS = select(oidc_issuers.c.id).where(_OURS, oidc_issuers.c.id == bindparam("issuer_row"))
_CLAIM_PAIR = (
    upsert(token_directory)
    .values(tenant_id=tenant_parameter(), sha256=bindparam("sha256"), token_id=bindparam("id"))
    .on_conflict_do_nothing()
    .execution_options(preserve_rowcount=True)
)


def parse_mapped_roles(row: OidcIssuerRow) -> list[tuple[str, UUID]]:
    """Return the values of the claim with the ids of their roles."""
    return [
        (one["value"], UUID(one["role_id"]) if "role_id" in one else BUILT_IN_ROLES[TeamRole[one["role"]]].id)
        for one in row.roles
    ]


def hash_of_pair(issuer: str, audience: str) -> str:
    """Return the name of issuer and audience in the directory: 64 hexadecimal digits, like that of a credential."""
    return hashlib.sha256(f"oidc\n{len(issuer)}\n{issuer}\n{audience}".encode()).hexdigest()


def list_issuers() -> Narrowed:
    """Return the list of a tenant's providers, ordered by their first setting."""
    return Narrowed(_SET, _ISSUERS_BY_TIME)


async def read_issuers(tx: Reads) -> list[OidcIssuerRow]:
    """Return the providers of a tenant, the oldest first."""
    return [OidcIssuerRow._make(row) for row in await tx.rows(_LISTED)]


async def read_issuers_by_id(tx: Reads, ids: Sequence[UUID]) -> dict[UUID, OidcIssuerRow]:
    """Return the providers among ``ids`` that are not removed."""
    return {row.id: OidcIssuerRow._make(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}


async def read_issuer_of_pair(tx: Reads, issuer: str, audience: str) -> OidcIssuerRow | None:
    """Return the provider with this issuer and audience, also a removed one."""
    row = await tx.row(_BY_PAIR, issuer=issuer, audience=audience)
    return OidcIssuerRow._make(row) if row else None


async def has_issuer(tx: Reads, issuer_id: UUID) -> bool:
    """Return whether the tenant has, or had, a provider with this id."""
    return await tx.row(_HAS, issuer_row=issuer_id) is not None


async def claim_pair(tx: Transaction, issuer: str, audience: str, row_id: UUID) -> bool:
    """Let an issuer and audience lead to the tenant, for good. Returns False if they already lead to a tenant."""
    return bool(await tx.run(_CLAIM_PAIR, sha256=hash_of_pair(issuer, audience), id=row_id))


async def insert_issuer(tx: Transaction, row: OidcIssuerRow) -> bool:
    """Insert a provider, and the row by which its issuer and audience lead to the tenant.

    Returns False, and inserts nothing, if they lead to another tenant.
    """
    if not await claim_pair(tx, row.issuer, row.audience, row.id):
        return False
    kept = row._asdict()
    del kept["removed_at"]
    await tx.run(_INSERT, **kept)
    return True


async def change_issuer(tx: Transaction, issuer_id: UUID, row: OidcIssuerRow) -> OidcIssuerRow:
    """Give a known provider another mapping. A removed provider comes back."""
    (changed,) = await tx.rows(
        _CHANGE,
        issuer_row=issuer_id,
        new_claim=row.role_claim,
        new_roles=row.roles,
        now=row.changed_at,
        actor=row.changed_by,
        credential=row.made_with,
        new_client_id=row.client_id,
        new_client_secret=row.client_secret,
    )
    return OidcIssuerRow._make(changed)


async def lock_client_secrets(tx: Transaction) -> list[SealedSecret]:
    """Return the sealed client secrets of a tenant, and lock them until the transaction ends.

    Secrets of removed providers are among them.
    """
    return [SealedSecret(row.id, bytes(row.client_secret)) for row in await tx.rows(_LOCK_SECRETS)]


async def keep_client_secret(tx: Transaction, secret: SealedSecret) -> None:
    """Store a client secret that was sealed again."""
    await tx.run(_KEEP_SECRET, issuer_row=secret.id, new_client_secret=secret.client_secret)


async def remove_issuer(tx: Transaction, issuer_id: UUID, now: datetime) -> OidcIssuerRow | None:
    """Remove a provider. If it was removed before, the first time stays. None if there is none."""
    row = await tx.row(_REMOVE, issuer_row=issuer_id, now=now)
    return OidcIssuerRow._make(row) if row else None
