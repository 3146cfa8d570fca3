"""The roles that a tenant has made: names, permissions and the points a day that they may adjust."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, insert, select, update

from loyalty.storage.tables import roles
from permissions.catalog import parse_known_grants
from permissions.roles import BUILT_IN_BY_ID, HeldRole
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter


class RoleRow(NamedTuple):
    """A role that the tenant has made."""

    id: UUID
    name: str
    folded_name: str
    permissions: list[str]
    daily_points: int
    created_at: datetime
    created_by: str
    changed_at: datetime
    changed_by: str
    deleted_at: datetime | None = None


_COLUMNS = [roles.c[name] for name in RoleRow._fields]
_KEPT = (roles.c.tenant_id == tenant_parameter(), roles.c.deleted_at.is_(None))
_LISTED = select(*_COLUMNS).where(*_KEPT).order_by(roles.c.id)
_BY_IDS = select(*_COLUMNS).where(*_KEPT, among(roles.c.id, "ids"))
_INSERT = insert(roles).values(
    tenant_id=tenant_parameter(), **{name: bindparam(name) for name in RoleRow._fields if name != "deleted_at"}
)
_CHANGE = (
    update(roles)
    .where(*_KEPT, roles.c.id == bindparam("role"))
    .values(
        name=bindparam("new_name"),
        folded_name=bindparam("new_folded_name"),
        permissions=bindparam("new_permissions"),
        daily_points=bindparam("new_points"),
        changed_at=bindparam("now"),
        changed_by=bindparam("actor"),
    )
)
_DELETE = update(roles).where(*_KEPT, roles.c.id == bindparam("role")).values(deleted_at=bindparam("now"))


def build_held_role(row: RoleRow) -> HeldRole:
    """Return the role of a row in the form in which people hold it."""
    return HeldRole(row.id, row.name, parse_known_grants(row.permissions), row.daily_points)


async def read_roles(tx: Reads) -> list[RoleRow]:
    """Return the roles that the tenant has made, the oldest first."""
    return [RoleRow._make(row) for row in await tx.rows(_LISTED)]


async def read_roles_by_id(tx: Reads, ids: Sequence[UUID]) -> dict[UUID, RoleRow]:
    """Return the roles among ``ids`` that the tenant has made."""
    return {row.id: RoleRow._make(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}


async def read_held_roles(tx: Reads, ids: Sequence[UUID]) -> dict[UUID, HeldRole]:
    """Return the roles among ``ids``, built-in ones and the tenant's own."""
    own = [one for one in ids if one not in BUILT_IN_BY_ID]
    found = {row.id: build_held_role(row) for row in (await read_roles_by_id(tx, own)).values()} if own else {}
    return found | {one: BUILT_IN_BY_ID[one] for one in ids if one in BUILT_IN_BY_ID}


async def insert_role(tx: Transaction, row: RoleRow) -> None:
    """Insert a new role."""
    kept = row._asdict()
    del kept["deleted_at"]
    await tx.run(_INSERT, **kept)


async def change_role(tx: Transaction, row: RoleRow) -> None:
    """Write the new definition of a role."""
    await tx.run(
        _CHANGE,
        role=row.id,
        new_name=row.name,
        new_folded_name=row.folded_name,
        new_permissions=row.permissions,
        new_points=row.daily_points,
        now=row.changed_at,
        actor=row.changed_by,
    )


async def delete_role(tx: Transaction, role_id: UUID, now: datetime) -> None:
    """Delete a role."""
    await tx.run(_DELETE, role=role_id, now=now)
