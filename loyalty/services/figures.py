"""The reader of the log that keeps the figures of days, months and years, and the active days of customers."""

from collections.abc import Sequence

from loyalty.log.events import LoggedEvent
from loyalty.log.readers import Reader
from loyalty.rules.figures import add_up
from loyalty.rules.zones import find_time_zone
from loyalty.storage.figures import READER, add_figures, mark_active_days, read_movements
from loyalty.storage.tenants import read_tenant
from tenancy.database import Transaction


async def add_up_entries(tx: Transaction, events: Sequence[LoggedEvent]) -> None:
    """Add the entries that events tell of to the figures. This is the handler of the reader.

    The time zone of a tenant never changes, so a day that was once added up stays the same day.
    """
    told = [entry_id for one in events if (entry_id := getattr(one.event, "entry_id", None)) is not None]
    if not told:
        return
    tenant = await read_tenant(tx)
    figures, days = add_up(await read_movements(tx, told), find_time_zone(tenant.time_zone))
    await add_figures(tx, figures)
    await mark_active_days(tx, days)


FIGURES = Reader(READER, add_up_entries)
