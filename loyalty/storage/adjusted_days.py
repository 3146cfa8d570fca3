"""Count the points that a person has adjusted by hand today. Adjustments of one person wait for each other here."""

from datetime import date

from sqlalchemy import BigInteger, Date, bindparam, case
from sqlalchemy.dialects.postgresql import insert

from loyalty.storage.tables import adjusted_days
from tenancy.database import Transaction
from tenancy.table import tenant_parameter

_fresh = insert(adjusted_days).values(
    tenant_id=tenant_parameter(),
    subject=bindparam("subject"),
    day=bindparam("day", type_=Date),
    points=bindparam("points", type_=BigInteger),
)
_COUNT = _fresh.on_conflict_do_update(
    index_elements=["tenant_id", "subject"],
    set_={
        "day": _fresh.excluded.day,
        "points": case(
            (adjusted_days.c.day == _fresh.excluded.day, adjusted_days.c.points + _fresh.excluded.points),
            else_=_fresh.excluded.points,
        ),
    },
).returning(adjusted_days.c.points)


async def count_adjusted_points(tx: Transaction, subject: str, day: date, points: int) -> int:
    """Add points to the sum that a person has adjusted on a local day, and return the sum.

    Until the transaction ends, other adjustments of this person wait. A refused adjustment rolls back its part of the
    sum.
    """
    row = await tx.row(_COUNT, subject=subject, day=day, points=points)
    return int(row[0]) if row else points
