"""The daily figures, which a reader of the log keeps."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Date, bindparam, select

from loyalty.rules.daily_figures import DailyFigure
from loyalty.rules.events import EventKind
from loyalty.storage.tables import daily_figures
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import insert_rows, tenant_parameter

_fresh = insert_rows(daily_figures, "figures")
_ADD = _fresh.on_conflict_do_update(
    index_elements=["tenant_id", "day", "kind"],
    set_={
        "events": daily_figures.c.events + _fresh.excluded.events,
        "points": daily_figures.c.points + _fresh.excluded.points,
    },
)
_BETWEEN = (
    select(*(daily_figures.c[name] for name in DailyFigure._fields))
    .where(
        daily_figures.c.tenant_id == tenant_parameter(),
        daily_figures.c.day >= bindparam("first_day", type_=Date),
        daily_figures.c.day <= bindparam("last_day", type_=Date),
    )
    .order_by(daily_figures.c.day, daily_figures.c.kind)
)


async def add_figures(tx: Transaction, figures: Sequence[DailyFigure]) -> None:
    """Add to the stored figures of each day and kind."""
    await tx.run(_ADD, figures=[one._asdict() | {"day": one.day.isoformat()} for one in figures])


async def read_figures(tx: Reads, first_day: date, last_day: date) -> list[DailyFigure]:
    """Return the figures of a range of days in their order; both ends are included."""
    rows = await tx.rows(_BETWEEN, first_day=first_day, last_day=last_day)
    return [DailyFigure._make(row)._replace(kind=EventKind(row.kind)) for row in rows]
