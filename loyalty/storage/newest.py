"""Read the newest rows for each of several owners, in one statement."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Select, Uuid, bindparam, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from tenancy.reading import Reads
from tenancy.table import tenant_parameter

Owner = TypeVar("Owner", bound=UUID)
Row = TypeVar("Row")

_owners = func.unnest(bindparam("owners", type_=ARRAY(Uuid))).table_valued("id", name="owners").render_derived()


def select_newest(
    columns: Sequence[Column[Any]], owner: str, order: tuple[str, ...], limit: int, *conditions: ColumnElement[bool]
) -> Select[Any]:
    """Select up to ``limit`` rows of each owner, the largest in ``order`` first. An index leads from owner to rows."""
    table = columns[0].table
    newest = (
        select(*columns)
        .where(table.c.tenant_id == tenant_parameter(), table.c[owner] == _owners.c.id, *conditions)
        .order_by(*(table.c[name].desc() for name in order))
        .limit(limit)
        .correlate(_owners)
        .lateral("newest")
    )
    return select(*newest.c).join_from(_owners, newest, true())


async def read_newest(
    tx: Reads, statement: Select[Any], owner: str, owner_ids: Sequence[Owner], make: Callable[[Any], Row]
) -> dict[Owner, list[Row]]:
    """Read the rows of a `select_newest` for each owner, in its order; an empty list for an owner without rows."""
    found: dict[Owner, list[Row]] = {owner_id: [] for owner_id in owner_ids}
    for row in await tx.rows(statement, owners=list(owner_ids)):
        found[getattr(row, owner)].append(make(row))
    return found
