"""Readers of the log: each has a name, a position in the log of each tenant, and a handler.

The handler runs in the transaction that also moves the position. So its writes there happen once, whatever stops in
between; its effects outside may happen again. A reader that fails in a tenant waits, longer each time, and is then
tried again without end: it skips no event, and delays no other reader and no other tenant.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from loyalty.log.events import LoggedEvent, decode_row
from loyalty.rules.ids import TenantId
from loyalty.storage.events import read_events, read_last_position
from loyalty.storage.log_readers import Turn, move_reader, put_off_reader, read_reader_state, take_turn
from tenancy.database import Database, Transaction
from tenancy.elsewhere import TenantElsewhere
from tenancy.reading import Reads
from tenancy.retry import retry_transaction

MAX_EVENTS_IN_A_TURN = 500
"""The number of events that a handler gets at once."""
MAX_WORK_SECONDS = 20.0
"""How long a handler may take for the events of a turn."""
TURN_SECONDS = 30.0
"""After this time another worker may take the turn of a worker that has died. Longer than ``MAX_WORK_SECONDS``."""
FIRST_RETRY_SECONDS = 1.0
MAX_RETRY_SECONDS = 600.0

Handler = Callable[[Transaction, Sequence[LoggedEvent]], Awaitable[None]]
"""Works on the next events of a tenant, in their order, in the transaction that moves the position."""


class Reader(NamedTuple):
    """A reader of all logs."""

    name: str
    """The key under which its positions are stored. Never change it: under another name the whole log is read again."""
    handle: Handler


class Lag(NamedTuple):
    """How far a reader is behind the log of a tenant."""

    events: int
    attempts: int
    """Turns since the last successful turn; 0 or 1 if all is well."""
    problem: str | None
    """Why its last turn failed."""


class TurnFailed(Exception):
    """A turn of a reader failed; the reader tries again after ``retry_seconds``. ``__cause__`` is the error."""

    def __init__(self, attempts: int, retry_seconds: float) -> None:
        super().__init__(f"attempt {attempts}, the next one in {retry_seconds:g} seconds")
        self.attempts = attempts
        self.retry_seconds = retry_seconds


class _LostTurn(Exception):
    """Another worker took the turn meanwhile. The writes of this worker are rolled back."""


def index_readers(*readers: Reader) -> Mapping[str, Reader]:
    """Return the readers by name. Raises TypeError if two readers have the same name."""
    by_name = {reader.name: reader for reader in readers}
    if len(by_name) != len(readers):
        raise TypeError("each reader has a name of its own")
    return by_name


async def advance_reader(
    database: Database, tenant_id: TenantId, reader: Reader, *, turn_seconds: float = TURN_SECONDS
) -> bool:
    """Run one turn of a reader in a tenant, and return whether more events wait.

    Returns False, too, if another worker has the turn, or the tenant lives elsewhere or is being moved. If the turn
    fails, the failure is stored with the reader, and TurnFailed is raised.
    """
    try:
        async with database.tenant_transaction(tenant_id) as tx:
            turn = await take_turn(tx, reader.name, turn_seconds)
    except TenantElsewhere:
        return False
    if turn is None:
        return False
    try:
        async with asyncio.timeout(MAX_WORK_SECONDS):
            return await retry_transaction(lambda: _run_turn(database, tenant_id, reader, turn))
    except (_LostTurn, TenantElsewhere):
        return False
    except Exception as error:
        seconds = retry_seconds(turn.attempts)
        async with database.tenant_transaction(tenant_id) as tx:
            await put_off_reader(tx, reader.name, turn, seconds, type(error).__name__)
        raise TurnFailed(turn.attempts, seconds) from error


async def read_lag(tx: Reads, reader: str) -> Lag:
    """Return how many events a reader still has to read in the log of the transaction's tenant.

    They are the events up to the last position that the relay told the reader of; events without a position do not
    count yet. A reader without a row was told of nothing yet: it has the whole log to read.
    """
    state = await read_reader_state(tx, reader)
    if state is None:
        return Lag(await read_last_position(tx), 0, None)
    return Lag(max(state.reaches - state.position, 0), state.attempts, state.problem)


def retry_seconds(attempts: int) -> float:
    """Return how many seconds a reader waits after so many failures in a row."""
    return min(MAX_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(attempts - 1, 30))


async def _run_turn(database: Database, tenant_id: TenantId, reader: Reader, turn: Turn) -> bool:
    """Let the handler work on the next events and move the position, in one transaction.

    Returns whether more events wait. Raises _LostTurn if another worker has taken the turn.
    """
    async with database.tenant_transaction(tenant_id) as tx:
        rows = await read_events(tx, after=turn.position, limit=MAX_EVENTS_IN_A_TURN)
        if rows:
            await reader.handle(tx, [decode_row(row) for row in rows])
        more = await move_reader(tx, reader.name, turn, rows[-1].position if rows else turn.reaches)
        if more is None:
            raise _LostTurn
    return more
