"""The door for reading: statements inside one tenant, each of them one round trip."""

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import Executable
from sqlalchemy.exc import MultipleResultsFound

from loyalty.rules.ids import TenantId
from tenancy.multiplexer import Lane, Multiplexer
from tenancy.table import TENANT_PARAMETER


class Reads(Protocol):
    """Runs statements that read inside one tenant: a transaction, or the door for reading."""

    @property
    def tenant_id(self) -> TenantId:
        """The tenant whose rows are read."""
        ...

    async def rows(self, statement: Executable, **parameters: Any) -> Sequence[Any]:
        """Run a statement and return all its rows."""
        ...

    async def row(self, statement: Executable, **parameters: Any) -> Any | None:
        """Run a statement and return its only row, or None."""
        ...


class Reader:
    """Reads inside one tenant through the multiplexer. Each statement sees its own moment and cannot write."""

    __slots__ = ("_lane", "_multiplexer", "_wherever", "tenant_id")

    def __init__(self, multiplexer: Multiplexer, tenant_id: TenantId, lane: Lane, *, wherever: bool = False) -> None:
        self._multiplexer = multiplexer
        self._lane = lane
        self._wherever = wherever
        self.tenant_id = tenant_id

    async def rows(self, statement: Executable, **parameters: Any) -> Sequence[Any]:
        """Run a statement and return all its rows."""
        asked = (statement, {**parameters, TENANT_PARAMETER: self.tenant_id})
        (rows,) = await self._multiplexer.ask(self.tenant_id, self._lane, [asked], wherever=self._wherever)
        return rows

    async def row(self, statement: Executable, **parameters: Any) -> Any | None:
        """Run a statement and return its only row, or None."""
        return only_row(await self.rows(statement, **parameters))


def only_row(rows: Sequence[Any]) -> Any | None:
    """Return the only row; None if there is no row. Raises MultipleResultsFound for more than one."""
    if len(rows) > 1:
        raise MultipleResultsFound("a single row was expected")
    return rows[0] if rows else None
