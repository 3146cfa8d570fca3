"""Entries as clients read them."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import or_, select

from loyalty.rules.ids import CustomerId, EntryId
from loyalty.rules.listing import PointsSign
from loyalty.storage.located import HAPPENED_THERE, LOCATIONS
from loyalty.storage.narrowed import Narrowed, has_text
from loyalty.storage.tables import adjustments, entries
from loyalty.storage.window import Keyset, TimePlace, Window
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter


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
    actor_name: str | None = None
    reason: str | None = None
    """The reason in the caller's words."""


_ENTRY_COLUMNS = [entries.c[name] for name in EntryRow._fields]
_ENTRIES = select(*_ENTRY_COLUMNS).where(entries.c.tenant_id == tenant_parameter())
_BY_TIME = Keyset((entries.c.occurred_at, entries.c.id), descending=True)
_ENTRIES_BY_ID = _ENTRIES.where(among(entries.c.id, "ids"))


async def read_entries_by_id(tx: Reads, ids: Sequence[EntryId]) -> dict[EntryId, EntryRow]:
    """Return the entries among ``ids``."""
    return {row.id: EntryRow._make(row) for row in await tx.rows(_ENTRIES_BY_ID, ids=list(ids))}


class EntryFilter(NamedTuple):
    """Limits a list of entries; None is no limit. ``note`` is a text inside a note of an adjustment."""

    customer_id: CustomerId | None = None
    kinds: tuple[str, ...] | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    reference_id: UUID | None = None
    sign: PointsSign | None = None
    actor: str | None = None
    note: str | None = None
    locations: Sequence[str] | None = None
    """Only entries that happened at one of these locations."""


_noted = adjustments.alias("noted")
_HAS_NOTE = (
    select(_noted.c.id)
    .where(
        _noted.c.tenant_id == tenant_parameter(),
        _noted.c.id == entries.c.reference_id,
        or_(*(has_text(note, "note") for note in (_noted.c.internal_note, _noted.c.customer_description))),
    )
    .correlate(entries)
    .exists()
)


def narrow_entries(wanted: EntryFilter) -> Narrowed:
    """Return the list of entries, ordered by time."""
    known, rows = entries.c, Narrowed(_ENTRIES, _BY_TIME)
    rows.keep_equal(known.customer_id, wanted.customer_id)
    rows.keep_among(known.kind, wanted.kinds)
    rows.keep_within(known.occurred_at, wanted.start_at, wanted.end_at)
    rows.keep_equal(known.reference_id, wanted.reference_id)
    rows.keep_sign(known.points, wanted.sign)
    rows.keep_any_equal("actor", (known.actor_name, known.actor), wanted.actor)
    if wanted.note is not None:
        rows.keep("note", lambda: _HAS_NOTE, note=wanted.note)
    if wanted.locations is not None:
        rows.keep("there", lambda: HAPPENED_THERE, **{LOCATIONS: list(wanted.locations)})
    return rows


async def read_entry_page(tx: Reads, wanted: EntryFilter, *, window: Window[TimePlace]) -> list[EntryRow]:
    """Return a page of entries, newest first unless the window says otherwise."""
    return [EntryRow._make(row) for row in await narrow_entries(wanted).read(tx, window)]
