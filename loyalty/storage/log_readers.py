"""The progress of each reader of a log: the due readers, their turns, and their positions.

A worker takes a turn by moving its due time ahead. So no row stays locked while a reader works, and the relay, which
tells the readers of new events, never waits for one.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Float, Text, bindparam, case, func, null, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from loyalty.rules.ids import TenantId
from loyalty.storage.tables import log_readers
from tenancy.database import Transaction
from tenancy.elsewhere import is_here
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter


class Turn(NamedTuple):
    """A reader's turn at the log of a tenant."""

    position: int
    """The turn reads the events after this position."""
    reaches: int
    """The position of the last event when the turn began."""
    attempts: int
    """Turns since the last successful one, with this one."""


class ReaderState(NamedTuple):
    """The progress of a reader in the log of a tenant."""

    position: int
    """The reader has read the events up to this position."""
    reaches: int
    """The position of the last event that the reader was told of."""
    attempts: int
    """Turns since the last successful one; one of them may be running."""
    problem: str | None
    """Why its last turn failed; None if it was successful."""


def _seconds_from_now(parameter: str) -> ColumnElement[datetime]:
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, bindparam(parameter, type_=Float))


_OWN = (log_readers.c.tenant_id == tenant_parameter(), log_readers.c.reader == bindparam("name"))
_IN_TURN = (*_OWN, log_readers.c.position == bindparam("read_after"))

_REGISTER = text(
    """
    INSERT INTO log_readers AS r (tenant_id, reader, position, reaches, due_at, attempts)
    SELECT p.tenant_id, n.name, 0, p.last_position, now(), 0
    FROM event_positions p CROSS JOIN unnest(:readers) AS n(name)
    ORDER BY p.tenant_id, n.name
    ON CONFLICT (tenant_id, reader) DO UPDATE
    SET reaches = excluded.reaches, due_at = coalesce(r.due_at, excluded.due_at)
    WHERE r.reaches < excluded.reaches
    """
).bindparams(bindparam("readers", type_=ARRAY(Text)))
_DUE = (
    select(log_readers.c.tenant_id)
    .where(
        log_readers.c.due_at.is_not(None),
        log_readers.c.due_at <= func.now(),
        log_readers.c.reader == bindparam("name"),
        is_here(log_readers.c.tenant_id),
    )
    .order_by(log_readers.c.due_at)
    .limit(bindparam("limit"))
)
_LATENESS = select(func.extract("epoch", func.now() - func.min(log_readers.c.due_at)).cast(Float)).where(
    log_readers.c.due_at.is_not(None),
    log_readers.c.due_at <= func.now(),
    among(log_readers.c.reader, "readers"),
    is_here(log_readers.c.tenant_id),
)
_TAKE = (
    update(log_readers)
    .where(*_OWN, log_readers.c.due_at <= func.now())
    .values(due_at=_seconds_from_now("seconds"), attempts=log_readers.c.attempts + 1)
    .returning(log_readers.c.position, log_readers.c.reaches, log_readers.c.attempts)
)
_MOVE = (
    update(log_readers)
    .where(*_IN_TURN)
    .values(
        position=bindparam("read_up_to"),
        due_at=case((log_readers.c.reaches > bindparam("read_up_to"), func.now()), else_=null()),
        attempts=0,
        problem=None,
    )
    .returning(log_readers.c.due_at.is_not(None).label("more"))
)
_PUT_OFF = (
    update(log_readers)
    .where(*_IN_TURN, log_readers.c.attempts == bindparam("attempt"))
    .values(due_at=_seconds_from_now("seconds"), problem=bindparam("reason"))
)
_STATE = select(*(log_readers.c[name] for name in ReaderState._fields)).where(*_OWN)


async def register_readers(connection: AsyncConnection, readers: Sequence[str]) -> None:
    """Register readers for all existing logs, and tell them of events that they were not told of.

    Runs as the relay role.
    """
    await connection.execute(_REGISTER, {"readers": list(readers)})


async def read_due_logs(connection: AsyncConnection, reader: str, limit: int) -> list[TenantId]:
    """Return up to so many tenants whose log a reader may read, the longest waiting first. Runs as the relay role."""
    rows = await connection.execute(_DUE, {"name": reader, "limit": limit})
    return [TenantId(row.tenant_id) for row in rows]


async def take_turn(tx: Transaction, reader: str, seconds: float) -> Turn | None:
    """Take the turn of a reader for so many seconds; None if another worker has it, or nothing is due."""
    row = await tx.row(_TAKE, name=reader, seconds=seconds)
    return Turn._make(row) if row else None


async def move_reader(tx: Transaction, reader: str, turn: Turn, read_up_to: int) -> bool | None:
    """Store a reader's new position. Returns whether the log has more events; None if another worker took the turn."""
    row = await tx.row(_MOVE, name=reader, read_after=turn.position, read_up_to=read_up_to)
    return bool(row.more) if row else None


async def put_off_reader(tx: Transaction, reader: str, turn: Turn, seconds: float, reason: str) -> None:
    """Let a reader pause for so many seconds after a failed turn.

    Does nothing if another worker has taken a later turn.
    """
    await tx.run(_PUT_OFF, name=reader, read_after=turn.position, attempt=turn.attempts, seconds=seconds, reason=reason)


async def read_reader_state(tx: Reads, reader: str) -> ReaderState | None:
    """Return the progress of a reader; None before the reader was told of the log for the first time."""
    row = await tx.row(_STATE, name=reader)
    return ReaderState._make(row) if row else None


async def read_lateness_of_readers(connection: AsyncConnection, readers: Sequence[str]) -> float:
    """Return for how many seconds the log that waits longest for one of these readers has waited; 0 if none waits.

    A failed turn is due again after its pause. Runs as the relay role, outside any tenant.
    """
    seconds = (await connection.execute(_LATENESS, {"readers": list(readers)})).scalar_one()
    return 0.0 if seconds is None else float(seconds)
