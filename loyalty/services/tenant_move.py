"""Move a suspended tenant to another cluster. Each step of a move can be done again.

The state of the tenant's row in both clusters and the directory say how far a move is. So a move that stopped is
continued by the same call. The tenant is never open in two clusters: the old copy is closed before the directory names
the new cluster, and the new copy is opened after that.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from enum import Enum
from typing import NamedTuple

from loyalty.ledger.proof.slicing import STATEMENT_TIMEOUT_MS
from loyalty.rules.errors import InvalidInput, NotFound
from loyalty.rules.ids import TenantId
from loyalty.rules.platform import OPERATOR, PlatformAction, PlatformActionKind
from loyalty.services.log_readers import READER_NAMES
from loyalty.services.tenant import note_tenant_action
from loyalty.services.verification import verify_ledger
from loyalty.services.world import World, system_clock
from loyalty.storage.events import encode_hints, position_events, send_hints
from tenancy.database import HOME, Database
from tenancy.moving import (
    Connection,
    TenantBusy,
    connect_owner,
    copy_tenant,
    delete_copy,
    find_differing_tables,
    has_known_tables,
    has_unpositioned_events,
    point_directory,
    read_place,
    read_state,
    set_state,
    stop_writing,
)
from tenancy.provisioning import open_copy, read_listed_tenant
from tenancy.tables import ARRIVING, MOVED, SUSPENDED

POSITION_SECONDS = 60
"""The longest time that a move waits until each event of the tenant has its position."""

PROOF_CONNECTIONS = 2
_ANSWER_SECONDS = STATEMENT_TIMEOUT_MS / 1_000 + 5


class ClusterUrls(NamedTuple):
    """The addresses by which a move reaches a cluster."""

    owner: str
    app: str
    relay: str


class MoveStep(Enum):
    """The next step of a move. The value is shown to people."""

    COPY = "copying the rows"
    PROVE = "comparing the rows and proving the ledger of the copy"
    CLOSE = "closing the old copy"
    SWITCH = "naming the new cluster in the directory"
    OPEN = "opening the new copy"


class Move(NamedTuple):
    """A tenant, and the cluster it moves to."""

    tenant_id: TenantId
    cluster: str


class _Source(NamedTuple):
    """The cluster that a tenant leaves, and the connection that blocks its writers there."""

    cluster: str
    connection: Connection


class MoveFailed(Exception):
    """The copy is not equal or not proved. Nothing was switched; the tenant stays suspended in its old cluster."""


Tell = Callable[[MoveStep], None]
"""A function that gets each step of a move before it begins."""


async def move_tenant(clusters: Mapping[str, ClusterUrls], move: Move, tell: Tell = lambda _step: None) -> None:
    """Move a suspended tenant, or continue a move that stopped. The tenant stays suspended.

    A move to the cluster where it lives does nothing. The old copy is kept, closed. A closed copy in the new cluster is
    replaced. Raises MoveFailed, TenantBusy. Refusals: NotFound, InvalidInput.
    """
    _check_cluster(clusters, move.cluster)
    async with connect_owner(clusters[HOME].owner) as home, connect_owner(clusters[move.cluster].owner) as target:
        async with _hold_source(clusters, home, move) as source:
            if source is not None:
                await _leave(clusters, move, source, target, tell)
                tell(MoveStep.SWITCH)
                await _confirm_closed(source.connection, move.tenant_id)
                await point_directory(home, move.tenant_id, move.cluster)
        if await read_state(target, move.tenant_id) == ARRIVING:
            tell(MoveStep.OPEN)
            await _open(clusters[move.cluster].owner, move)


async def give_move_up(clusters: Mapping[str, ClusterUrls], move: Move) -> None:
    """Give up a move that has not arrived: the tenant is suspended in its old cluster, and its copy is deleted.

    Raises TenantBusy. Refusals: NotFound, InvalidInput.
    """
    _check_cluster(clusters, move.cluster)
    async with (
        connect_owner(clusters[HOME].owner) as home,
        connect_owner(clusters[move.cluster].owner) as target,
        _hold_source(clusters, home, move) as source,
    ):
        if source is None:
            raise InvalidInput.one("cluster", reason="is where the tenant lives: the move has arrived")
        await set_state(source.connection, move.tenant_id, MOVED, SUSPENDED)
        await delete_copy(target, move.tenant_id, ARRIVING)


async def delete_old_copy(clusters: Mapping[str, ClusterUrls], move: Move) -> int:
    """Delete the closed copy of a tenant in a cluster. Return the number of rows. Refusals: NotFound, InvalidInput."""
    _check_cluster(clusters, move.cluster)
    async with connect_owner(clusters[HOME].owner) as home, connect_owner(clusters[move.cluster].owner) as left:
        if await read_place(home, move.tenant_id) == move.cluster:
            raise InvalidInput.one("cluster", reason="is where the tenant lives")
        deleted = await delete_copy(left, move.tenant_id, MOVED)
    if deleted is None:
        raise NotFound("closed copy")
    return deleted


def _check_cluster(clusters: Mapping[str, ClusterUrls], name: str) -> None:
    """Raise InvalidInput for the name of an unknown cluster."""
    if name not in clusters:
        raise InvalidInput.one("cluster", reason=f"must be one of {', '.join(clusters)}")


@asynccontextmanager
async def _hold_source(
    clusters: Mapping[str, ClusterUrls], home: Connection, move: Move
) -> AsyncIterator[_Source | None]:
    """Yield the cluster where the tenant lives, with its writers blocked.

    None if it lives in the new cluster already.
    """
    place = await read_place(home, move.tenant_id)
    if place == move.cluster:
        yield None
        return
    _check_cluster(clusters, place)
    async with connect_owner(clusters[place].owner) as source, stop_writing(source, move.tenant_id):
        if await read_place(home, move.tenant_id) != place:
            raise TenantBusy
        if await read_state(source, move.tenant_id) is None:
            raise NotFound("tenant")
        yield _Source(place, source)


async def _leave(
    clusters: Mapping[str, ClusterUrls], move: Move, source: _Source, target: Connection, tell: Tell
) -> None:
    """Copy the tenant and close the old copy, unless an earlier call has done so."""
    state = await read_state(source.connection, move.tenant_id)
    if state == MOVED:
        if await read_state(target, move.tenant_id) != ARRIVING:
            raise InvalidInput.one("cluster", reason="is not the one to which a move of the tenant has begun")
        # The copy may be of an older move, and the tenant may have changed since then.
        if await find_differing_tables(source.connection, target, move.tenant_id):
            raise InvalidInput.one("cluster", reason="has a copy that differs from the closed one: give the move up")
        return
    if state != SUSPENDED:
        raise InvalidInput.one("tenant", reason=f"must be SUSPENDED to be moved, and is {state}")
    for cluster, connection in (source, _Source(move.cluster, target)):
        if not await has_known_tables(connection):
            raise MoveFailed(f"the tables of {cluster} are not those of this release")
    tell(MoveStep.COPY)
    await _position_events(clusters[source.cluster].relay, source.connection, move.tenant_id)
    await copy_tenant(source.connection, target, move.tenant_id)
    tell(MoveStep.PROVE)
    await _prove(clusters[move.cluster].app, move.tenant_id, source.connection, target)
    tell(MoveStep.CLOSE)
    if not await set_state(source.connection, move.tenant_id, SUSPENDED, MOVED):
        raise TenantBusy


async def _confirm_closed(source: Connection, tenant_id: TenantId) -> None:
    """Ask the source once more whether its copy is closed. Raises TenantBusy.

    The answer also shows that this move still holds its lock. If the connection was lost, another caller may have given
    the move up and deleted the new copy, and the directory must not name that copy.
    """
    if await read_state(source, tenant_id) != MOVED:
        raise TenantBusy


async def _position_events(relay_url: str, source: Connection, tenant_id: TenantId) -> None:
    """Give the tenant's events their positions before the copy, as the relay does, so that cursors stay valid."""
    relay = Database(relay_url, pool_size=1, name="treue-move")
    try:
        async with asyncio.timeout(POSITION_SECONDS):
            while await has_unpositioned_events(source, tenant_id):
                async with relay.plain_transaction() as connection:
                    positioned = await position_events(connection, READER_NAMES)
                    await send_hints(connection, encode_hints(positioned))
    except TimeoutError as late:
        raise TenantBusy from late
    finally:
        await relay.close()


async def _prove(app_url: str, tenant_id: TenantId, source: Connection, target: Connection) -> None:
    """Compare every row of the copy, and check every invariant in it. Raises MoveFailed."""
    differing = await find_differing_tables(source, target, tenant_id)
    if differing:
        raise MoveFailed(f"the rows of the copy differ in {', '.join(differing)}")
    app = Database(app_url, pool_size=PROOF_CONNECTIONS, answer_seconds=_ANSWER_SECONDS, name="treue-move")
    try:
        verification = await verify_ledger(World(app), tenant_id, workers=PROOF_CONNECTIONS)
    finally:
        await app.close()
    if verification.differences:
        raise MoveFailed(f"the ledger does not add up: {verification.differences[0]}")


async def _open(owner_url: str, move: Move) -> None:
    """Open the copy; the tenant stays suspended. Write the move to both logs, in the new cluster."""
    owner = Database(owner_url, pool_size=1, name="treue-move")
    try:
        async with owner.tenant_transaction(move.tenant_id) as tx:
            tenant = await read_listed_tenant(tx) if await open_copy(tx) else None
            if tenant is not None:
                states = {"cluster": None}, {"cluster": move.cluster}
                action = PlatformAction(PlatformActionKind.TENANT_MOVED, tenant.name, *states, move.tenant_id)
                await note_tenant_action(tx, OPERATOR, action, system_clock())
    finally:
        await owner.close()
