"""How long personal data is kept."""

from loyalty.services.retention import get_retention
from permissions.catalog import Permission
from schema.context import Info
from schema.guard import guarded
from schema.types.node import show_row
from schema.types.retention import Retention


@guarded(
    Permission.CUSTOMERS_EXPORT,
    Permission.CUSTOMERS_ERASE,
    description="How long personal data is kept, and what that removes; also while the program is off.",
    even_when_off=True,
)
async def retention(info: Info) -> Retention:
    """Return the settings in force."""
    return show_row(Retention, await get_retention(info.context.world, info.context.actor))
