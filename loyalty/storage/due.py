"""Where time alone has made something due: which tenants, asked by the relay role across all of them.

A row is due by an index that is sorted by its time, so a look costs the same however many rows wait. A sandbox may be
ahead of the others, so its rows are compared with its own clock.
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
"""Due rows of all tenants that one look reads, those that wait longest first. Where more are due, each tenant is asked
for its first row, so that the backlog of one tenant hides no other."""

_AHEAD = func.make_interval(0, 0, 0, 0, 0, 0, tenants.c.clock_advance_seconds)


class NoDueIndex(TypeError):
    """A sweep is to find its work by an index that does not begin with a time."""


class Due:
    """What becomes due in a table: its rows of an index that begins with their time and the tenant."""

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
        """The columns that the relay role must be allowed to read, and no others of the table."""
        words = set(re.findall(r"\w+", str(self._waits)))
        return {self._at.name, "tenant_id", *(words & set(self.table.c.keys()))}

    def _ask_soonest(self) -> Any:
        """Tenants with due rows, found by the time; and how many due rows were looked at."""
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
        """Tenants with due rows, those that wait longest first, however many rows of each are due."""
        found = self._first_rows(true()).subquery("found")
        return select(found.c.tenant_id).order_by(found.c.since).limit(bindparam("limit"))

    def _first_rows(self, which: ColumnElement[bool]) -> Any:
        """The first row of each tenant, where its time has come by the tenant's own clock."""
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
    """What becomes due by the index of this name. Raises NoDueIndex, also where there is none of this name."""
    for table in metadata.tables.values():
        for index in table.indexes:
            if index.name == index_name:
                return Due(index)
    raise NoDueIndex(f"there is no index {index_name}")


async def read_due_tenants(connection: AsyncConnection, due: Due, now: datetime, limit: int) -> list[TenantId]:
    """Up to so many tenants where something is due, those that wait longest first."""
    asked = {"now": now, "limit": limit}
    rows = (await connection.execute(due.soonest, {**asked, "rows": MAX_ROWS_LOOKED_AT})).all()
    if rows and rows[0].looked == MAX_ROWS_LOOKED_AT:
        rows = (await connection.execute(due.by_tenant, asked)).all()
    return [TenantId(row.tenant_id) for row in rows]


async def read_lateness(connection: AsyncConnection, due: Due, now: datetime) -> float:
    """How long the row that waits longest has been due, in seconds; 0 where nothing is due.

    It goes by the common clock: a sandbox that has advanced its own is caught up with by what advances it.
    """
    oldest = (await connection.execute(due.oldest, {"now": now})).scalar_one_or_none()
    return 0.0 if oldest is None else (now - oldest).total_seconds()
