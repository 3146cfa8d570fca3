"""The profile history: every change of a customer's profile, with its actor and its time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select

from loyalty.rules.ids import CustomerId
from loyalty.rules.profile_history import ProfileField
from loyalty.storage.narrowed import Narrowed
from loyalty.storage.tables import customer_profile_changes
from loyalty.storage.window import Keyset, TimePlace, Window
from tenancy.reading import Reads
from tenancy.table import tenant_parameter


class ProfileChangeRow(NamedTuple):
    """One field of a customer before and after: a text, or a list of identifiers or tags; None for nothing."""

    id: UUID
    customer_id: CustomerId
    field: ProfileField
    before: Any
    after: Any
    told_at: datetime
    recorded_at: datetime
    actor_kind: str
    actor: str


class ProfileChangeFilter(NamedTuple):
    """Limits a list of changes to a customer and to fields; None is all fields."""

    customer_id: CustomerId
    fields: Sequence[ProfileField] | None = None


_CHANGES = select(*(customer_profile_changes.c[name] for name in ProfileChangeRow._fields)).where(
    customer_profile_changes.c.tenant_id == tenant_parameter()
)
_BY_TIME = Keyset((customer_profile_changes.c.recorded_at, customer_profile_changes.c.id), descending=True)


def narrow_profile_changes(wanted: ProfileChangeFilter) -> Narrowed:
    """Return the list of changes, ordered by the time when they were recorded."""
    rows = Narrowed(_CHANGES, _BY_TIME)
    rows.keep_equal(customer_profile_changes.c.customer_id, wanted.customer_id)
    rows.keep_among(customer_profile_changes.c.field, wanted.fields)
    return rows


async def read_profile_change_page(
    tx: Reads, wanted: ProfileChangeFilter, window: Window[TimePlace]
) -> list[ProfileChangeRow]:
    """Return a page of changes, the newest first unless the window says otherwise."""
    found = [ProfileChangeRow._make(row) for row in await narrow_profile_changes(wanted).read(tx, window)]
    return [row._replace(field=ProfileField(row.field)) for row in found]
