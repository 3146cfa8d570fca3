"""Entries as clients read them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, select

from loyalty.rules.ids import CustomerId, EntryId
from loyalty.storage.tables import entries
from loyalty.storage.window import TimePlace, Window, apply_window
from tenancy.database import Transaction
from tenancy.table import tenant_parameter


class EntryRow(NamedTuple):
    """One line of the ledger as clients see it."""

    id: EntryId
    customer_id: CustomerId
    sequence: int
    kind: str
    points: int
    balance_after: int
    reference_kind: str
    reference_id: UUID
    occurred_at: datetime
    actor_kind: str
    actor: str


_ENTRY_COLUMNS = [entries.c[name] for name in EntryRow._fields]
_ENTRIES = select(*_ENTRY_COLUMNS).where(entries.c.tenant_id == tenant_parameter())
_ENTRIES_BY_ID = _ENTRIES.where(entries.c.id.in_(bindparam("ids", expanding=True)))


async def read_entries_by_id(tx: Transaction, ids: Sequence[EntryId]) -> dict[EntryId, EntryRow]:
    """The entries among ``ids``."""
    return {row.id: EntryRow._make(row) for row in await tx.rows(_ENTRIES_BY_ID, ids=list(ids))}


class EntryFilter(NamedTuple):
    """What a list of entries is narrowed to."""

    customer_id: CustomerId | None = None
    kinds: tuple[str, ...] | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None


async def read_entry_page(
    tx: Transaction,
    wanted: EntryFilter,
    *,
    window: Window[TimePlace],
) -> list[EntryRow]:
    """A page of entries, newest first, or towards the newest when the window is backwards."""
    statement = _ENTRIES
    parameters: dict[str, Any] = {}
    if wanted.customer_id is not None:
        statement = statement.where(entries.c.customer_id == bindparam("customer"))
        parameters["customer"] = wanted.customer_id
    if wanted.kinds is not None:
        statement = statement.where(entries.c.kind.in_(bindparam("kinds", expanding=True)))
        parameters["kinds"] = list(wanted.kinds)
    if wanted.start_at is not None:
        statement = statement.where(entries.c.occurred_at >= bindparam("start_at"))
        parameters["start_at"] = wanted.start_at
    if wanted.end_at is not None:
        statement = statement.where(entries.c.occurred_at < bindparam("end_at"))
        parameters["end_at"] = wanted.end_at
    statement, place = apply_window(statement, entries.c.occurred_at, entries.c.id, window)
    return [EntryRow._make(row) for row in await tx.rows(statement, **parameters, **place)]
