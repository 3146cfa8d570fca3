"""Which entries happened at some locations: those of purchases, adjustments and redemptions that name one of them."""

from collections.abc import Sequence

from sqlalchemy import ScalarSelect, Table, case, select

from loyalty.rules.entry import ReferenceKind
from loyalty.storage.tables import adjustments, entries, purchases, redemptions
from tenancy.table import among, tenant_parameter

LOCATIONS = "locations"
"""The parameter that holds the external ids of the locations."""

_LOCATED: Sequence[tuple[ReferenceKind, Table]] = (
    (ReferenceKind.PURCHASE, purchases),
    (ReferenceKind.ADJUSTMENT, adjustments),
    (ReferenceKind.REDEMPTION, redemptions),
)


def _read_location(table: Table) -> ScalarSelect[str | None]:
    """The location of what an entry refers to, looked up by its key for each entry that is read."""
    located = table.alias(f"located_{table.name}")
    return (
        select(located.c.location)
        .where(located.c.tenant_id == tenant_parameter(), located.c.id == entries.c.reference_id)
        .correlate(entries)
        .scalar_subquery()
    )


_location = case(*((entries.c.reference_kind == kind, _read_location(table)) for kind, table in _LOCATED))
HAPPENED_THERE = among(_location, LOCATIONS)
"""Whether an entry happened at one of the locations; one that refers to something else happened nowhere."""
