"""Events: written with their change in one commit, given positions by the relay, read from any position."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import Select, Text, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from loyalty.rules.event_subjects import Subject
from loyalty.rules.events import EventKind
from loyalty.rules.ids import CustomerId, EventId, TenantId
from loyalty.storage.tables import event_positions, events
from tenancy.database import Database
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter

RELAY_BATCH = 1_000
"""The events of one tenant in one batch of the relay, if no other tenant waits."""
RELAY_SHARES = 10
"""If several tenants wait, they share a batch. Each gets a part of it, but never less than a tenth."""
RELAY_TENANTS = 20
"""The number of tenants in one batch, the longest waiting first."""
MOST_POSITIONED = RELAY_BATCH // RELAY_SHARES * RELAY_TENANTS
"""The largest number of events in one batch. It is a constant of the statement, so its update is planned for so many
rows."""
CHANNEL = "treue_events"
MAX_PAYLOAD_BYTES = 7_500
"""PostgreSQL refuses a payload of 8,000 bytes or more."""
MAX_HINT_BYTES = 61
"""One tenant and a position of 19 digits in a payload, with quotes, brackets and commas."""
HINTS_PER_PAYLOAD = (MAX_PAYLOAD_BYTES - 2) // MAX_HINT_BYTES


class EventRow(NamedTuple):
    """A committed event with its position in the tenant's log."""

    id: EventId
    position: int
    kind: str
    customer_id: CustomerId | None
    """The customer who is told of it; None for a gift card without a holder."""
    payload: dict[str, Any]
    occurred_at: datetime


_AFTER = (
    select(*(events.c[name] for name in EventRow._fields))
    .where(events.c.tenant_id == tenant_parameter(), events.c.position > bindparam("after"))
    .order_by(events.c.position)
    .limit(bindparam("limit"))
)
_LAST = select(func.coalesce(func.max(event_positions.c.last_position), 0)).where(
    event_positions.c.tenant_id == tenant_parameter(),
)
_LAST_OF_MANY = select(event_positions.c.tenant_id, event_positions.c.last_position).where(
    among(event_positions.c.tenant_id, "tenants"),
)

_WAITING = """
    WITH RECURSIVE waiting AS (
        (SELECT tenant_id, recorded_at FROM events WHERE position IS NULL ORDER BY tenant_id, recorded_at LIMIT 1)
        UNION ALL
        SELECT following.tenant_id, following.recorded_at
        FROM waiting w CROSS JOIN LATERAL (
            SELECT tenant_id, recorded_at FROM events
            WHERE position IS NULL AND tenant_id > w.tenant_id
            ORDER BY tenant_id, recorded_at LIMIT 1
        ) following
    )"""
"""Finds the tenants whose events wait for their position, each with its oldest event."""

# It goes from tenant to tenant by the index of waiting events, which begins with the tenant. So it never reads or sorts
# more of a backlog than a batch takes. Tenants whose events wait longest come first, and no backlog keeps others out.
# Rows are locked in order and without skipping, so a second relay waits for the first and then finds nothing left:
# two relays never give one customer's events positions in the wrong order.
_POSITION = text(
    f"""
    {_WAITING}, turns AS (
        SELECT tenant_id, count(*) OVER () AS tenants FROM waiting ORDER BY recorded_at, tenant_id LIMIT :tenants
    ), locked AS (
        SELECT e.tenant_id, e.id, e.recorded_at
        FROM (SELECT tenant_id, tenants FROM turns ORDER BY tenant_id) t CROSS JOIN LATERAL (
            SELECT tenant_id, id, recorded_at FROM events
            WHERE tenant_id = t.tenant_id AND position IS NULL
            ORDER BY recorded_at, id
            LIMIT :batch / least(t.tenants, :shares)
            FOR UPDATE
        ) e
    ), numbered AS (
        SELECT tenant_id, id, row_number() OVER (PARTITION BY tenant_id ORDER BY recorded_at, id) AS ordinal
        FROM (SELECT tenant_id, id, recorded_at FROM locked LIMIT {MOST_POSITIONED}) few
    ), counted AS (
        SELECT tenant_id, count(*) AS arrived FROM numbered GROUP BY tenant_id
    ), advanced AS (
        INSERT INTO event_positions AS p (tenant_id, last_position)
        SELECT tenant_id, arrived FROM counted ORDER BY tenant_id
        ON CONFLICT (tenant_id) DO UPDATE SET last_position = p.last_position + excluded.last_position
        RETURNING p.tenant_id, p.last_position
    ), positioned AS (
        UPDATE events e SET position = a.last_position - c.arrived + n.ordinal
        FROM numbered n JOIN counted c USING (tenant_id) JOIN advanced a USING (tenant_id)
        WHERE e.tenant_id = n.tenant_id AND e.id = n.id
        RETURNING e.tenant_id
    ), told AS (
        INSERT INTO log_readers AS r (tenant_id, reader, position, reaches, due_at, attempts)
        SELECT a.tenant_id, n.name, 0, a.last_position, now(), 0
        FROM advanced a CROSS JOIN unnest(:readers) AS n(name) ORDER BY a.tenant_id, n.name
        ON CONFLICT (tenant_id, reader) DO UPDATE
        SET reaches = excluded.reaches, due_at = coalesce(r.due_at, excluded.due_at)
    )
    SELECT a.tenant_id, a.last_position, c.arrived
    FROM advanced a JOIN counted c USING (tenant_id)
    WHERE EXISTS (SELECT FROM positioned)
    """,  # noqa: S608 - made of constants
).bindparams(bindparam("readers", type_=ARRAY(Text)))
_OLDEST_WAIT = text(
    f"{_WAITING} SELECT extract(epoch FROM clock_timestamp() - min(recorded_at))::float8 AS seconds FROM waiting",  # noqa: S608 - made of constants
)
_NOTIFY = text("SELECT pg_notify(:channel, :payload)")


async def read_events(tx: Reads, *, after: int, limit: int) -> list[EventRow]:
    """Return the events after a position, in order."""
    return [EventRow._make(row) for row in await tx.rows(_AFTER, after=after, limit=limit)]


class EventFilter(NamedTuple):
    """Limits the events of a log; None is no limit."""

    kinds: Sequence[EventKind] | None = None
    customer_id: CustomerId | None = None
    subject: Subject | None = None
    """A subject other than a customer."""

    @property
    def is_indexed(self) -> bool:
        """Whether an index finds the events, even if they are far apart."""
        return self.customer_id is not None or self.subject is not None


async def read_event_page(tx: Reads, wanted: EventFilter, *, after: int, up_to: int, limit: int) -> list[EventRow]:
    """Return the first events of a filter in ``(after, up_to]``, in order."""
    parameters: dict[str, Any] = {
        "after": after,
        "up_to": up_to,
        "limit": limit,
        "kinds": None if wanted.kinds is None else list(wanted.kinds),
        "customer": wanted.customer_id,
        "subject_kind": wanted.subject and wanted.subject.kind,
        "subject": wanted.subject and wanted.subject.id,
    }
    statement = _event_page(wanted.kinds is not None, wanted.customer_id is not None, wanted.subject is not None)
    return [EventRow._make(row) for row in await tx.rows(statement, **parameters)]


@cache
def _event_page(
    of_kinds: bool,  # noqa: FBT001 - part of the key of a cache
    of_customer: bool,  # noqa: FBT001 - the same
    of_subject: bool,  # noqa: FBT001 - the same
) -> Select[Any]:
    """Return the statement for a page of a log."""
    statement = _AFTER.where(events.c.position <= bindparam("up_to"))
    if of_kinds:
        statement = statement.where(among(events.c.kind, "kinds"))
    if of_customer:
        statement = statement.where(events.c.customer_id == bindparam("customer"))
    if of_subject:
        is_subject = (events.c.subject_kind == bindparam("subject_kind"), events.c.subject_id == bindparam("subject"))
        statement = statement.where(*is_subject)
    return statement


async def read_last_position(tx: Reads) -> int:
    """Return the position of the newest event; 0 if there is none."""
    row = await tx.row(_LAST)
    return int(row[0]) if row else 0


async def read_last_positions(database: Database, tenant_ids: Sequence[TenantId]) -> dict[TenantId, int]:
    """Return the position of each tenant's newest event, with one statement. A tenant with an empty log is left out."""
    rows = await database.ask_of_followed(tenant_ids, _LAST_OF_MANY, tenants=list(tenant_ids))
    return {TenantId(row.tenant_id): row.last_position for row in rows}


class Positioned(NamedTuple):
    """The newest position of a tenant's log after a batch of the relay."""

    tenant_id: TenantId
    last_position: int
    arrived: int


async def position_events(connection: AsyncConnection, readers: Sequence[str] = ()) -> list[Positioned]:
    """Give positions to the next committed events of all tenants, and tell the readers about them.

    Runs as the relay role, outside any tenant.
    """
    shares = {"batch": RELAY_BATCH, "shares": RELAY_SHARES, "tenants": RELAY_TENANTS}
    rows = await connection.execute(_POSITION, {**shares, "readers": list(readers)})
    return [Positioned._make(row) for row in rows]


async def read_relay_lag(connection: AsyncConnection) -> float:
    """Return for how many seconds the oldest committed event of all tenants waits for its position; 0 if none waits.

    Runs as the relay role, outside any tenant.
    """
    seconds = (await connection.execute(_OLDEST_WAIT)).scalar_one()
    return 0.0 if seconds is None else max(0.0, float(seconds))


def encode_hints(positioned: Sequence[Positioned]) -> list[str]:
    """Return payloads with the newest positions of logs: JSON lists of [tenant, last position], each short enough."""
    return [
        orjson.dumps([log[:2] for log in positioned[start : start + HINTS_PER_PAYLOAD]]).decode()
        for start in range(0, len(positioned), HINTS_PER_PAYLOAD)
    ]


def decode_hints(payload: str) -> list[tuple[TenantId, int]]:
    """Return the newest position of each log in a payload. Raises ValueError for a payload of another form."""
    try:
        return [(TenantId(UUID(tenant)), int(position)) for tenant, position in orjson.loads(payload)]
    except (AttributeError, TypeError) as error:
        raise ValueError("not a list of [tenant, position]") from error


async def send_hints(connection: AsyncConnection, payloads: Sequence[str]) -> None:
    """Send hints to every listening process at commit: logs have grown."""
    for payload in payloads:
        await connection.execute(_NOTIFY, {"channel": CHANNEL, "payload": payload})
