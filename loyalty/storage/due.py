"""Find the tenants in which time has made something due. The relay role asks for all tenants together.

An index sorted by time finds due rows, so a look costs the same for any number of waiting rows. The clock of a sandbox
may be ahead, so its rows are compared with its own clock.
"""

import re
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Index, TextClause, bindparam, func, select, true, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from loyalty.rules.ids import TenantId
from tenancy.elsewhere import is_here
from tenancy.table import INSTANT, metadata
from tenancy.tables import tenants

MAX_ROWS_LOOKED_AT = 200
"""The number of due rows of all tenants that one look reads, the longest due first. If more are due, the look reads the
first row of each tenant, so that the backlog of one tenant hides no other."""

_AHEAD = func.make_interval(0, 0, 0, 0, 0, 0, tenants.c.clock_advance_seconds)


class NoDueIndex(TypeError):
    """The index of a sweep does not begin with a time."""


class Due:
    """Finds due rows of a table by an index that begins with their time and the tenant."""

    def __init__(self, index: Index) -> None:
        """Raises NoDueIndex."""
        names = [column.name for column in index.columns]
        if index.columns[0].type is not INSTANT or names[1:2] != ["tenant_id"]:
            raise NoDueIndex(f"{index.name} sorts by {', '.join(names)}: it must begin with a time and the tenant")
        self.index = index
        self.table = index.columns[0].table
        self._at = index.columns[0]
        self._waits: TextClause = index.dialect_options["postgresql"]["where"]
        self.soonest = self._ask_soonest()
        self.by_tenant = self._ask_each_tenant()
        self.oldest = (
            select(self._at)
            .where(self._waits, self._at <= bindparam("now", type_=INSTANT), is_here(self.table.c.tenant_id))
            .order_by(self._at)
            .limit(1)
        )

    @property
    def read_columns(self) -> set[str]:
        """The columns that the relay role must be allowed to read. It needs no other columns of the table."""
        words = set(re.findall(r"\w+", str(self._waits)))
        return {self._at.name, "tenant_id", *(words & set(self.table.c.keys()))}

    def _ask_soonest(self) -> Any:
        """Return the statement for tenants with due rows, found by time. It also returns how many due rows it read."""
        look = (
            select(self.table.c.tenant_id, self._at.label("since"))
            .where(self._waits, self._at <= bindparam("now", type_=INSTANT))
            .order_by(self._at)
            .limit(bindparam("rows"))
            .cte("look")
        )
        found = union_all(
            select(look.c.tenant_id, look.c.since), self._first_rows(tenants.c.clock_advance_seconds > 0)
        ).subquery("found")
        since = func.min(found.c.since)
        looked = select(func.count()).select_from(look).scalar_subquery()
        return (
            select(found.c.tenant_id, looked.label("looked"))
            .where(is_here(found.c.tenant_id))
            .group_by(found.c.tenant_id)
            .order_by(since)
            .limit(bindparam("limit"))
        )

    def _ask_each_tenant(self) -> Any:
        """Return the statement for tenants with due rows, the longest due first, for any number of due rows."""
        found = self._first_rows(true()).subquery("found")
        return select(found.c.tenant_id).order_by(found.c.since).limit(bindparam("limit"))

    def _first_rows(self, which: ColumnElement[bool]) -> Any:
        """Return each tenant's first row, if its time has come by the tenant's own clock."""
        first = (
            select(self._at.label("since"))
            .where(self.table.c.tenant_id == tenants.c.tenant_id, self._waits, self._at.is_not(None))
            .order_by(self._at)
            .limit(1)
            .correlate(tenants)
            .lateral("first")
        )
        return (
            select(tenants.c.tenant_id, first.c.since)
            .join_from(tenants, first, true())
            .where(which, is_here(tenants.c.tenant_id), first.c.since <= bindparam("now", type_=INSTANT) + _AHEAD)
        )


def due_by(index_name: str) -> Due:
    """Return the `Due` for the index of this name. Raises NoDueIndex, also if there is no such index."""
    for table in metadata.tables.values():
        for index in table.indexes:
            if index.name == index_name:
                return Due(index)
    raise NoDueIndex(f"there is no index {index_name}")


async def read_due_tenants(connection: AsyncConnection, due: Due, now: datetime, limit: int) -> list[TenantId]:
    """Return up to so many tenants with due rows, the longest due first."""
    asked = {"now": now, "limit": limit}
    rows = (await connection.execute(due.soonest, {**asked, "rows": MAX_ROWS_LOOKED_AT})).all()
    if rows and rows[0].looked == MAX_ROWS_LOOKED_AT:
        rows = (await connection.execute(due.by_tenant, asked)).all()
    return [TenantId(row.tenant_id) for row in rows]


async def read_lateness(connection: AsyncConnection, due: Due, now: datetime) -> float:
    """Return for how many seconds the row that waits longest has been due; 0 if no row is due.

    It uses the common clock: after a sandbox has advanced its clock, its due rows are done by the advance itself.
    """
    oldest = (await connection.execute(due.oldest, {"now": now})).scalar_one_or_none()
    return 0.0 if oldest is None else (now - oldest).total_seconds()
