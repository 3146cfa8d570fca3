"""Find the entries that happened at some locations: those of purchases, adjustments and redemptions there."""

from collections.abc import Sequence

from sqlalchemy import ScalarSelect, Table, case, select

from loyalty.rules.entry import ReferenceKind
from loyalty.storage.tables import adjustments, entries, purchases, redemptions
from tenancy.table import among, tenant_parameter

LOCATIONS = "locations"
"""The parameter with the external ids of the locations."""

_LOCATED: Sequence[tuple[ReferenceKind, Table]] = (
    (ReferenceKind.PURCHASE, purchases),
    (ReferenceKind.ADJUSTMENT, adjustments),
    (ReferenceKind.REDEMPTION, redemptions),
)


def _read_location(table: Table) -> ScalarSelect[str | None]:
    """Return a sub-query for the location of the row of ``table`` that an entry refers to."""
    located = table.alias(f"located_{table.name}")
    return (
        select(located.c.location)
        .where(located.c.tenant_id == tenant_parameter(), located.c.id == entries.c.reference_id)
        .correlate(entries)
        .scalar_subquery()
    )


_location = case(*((entries.c.reference_kind == kind, _read_location(table)) for kind, table in _LOCATED))
HAPPENED_THERE = among(_location, LOCATIONS)
"""The condition that the entry happened at one of the locations. An entry of another kind happened at none."""
