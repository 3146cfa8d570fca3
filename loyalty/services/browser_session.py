"""Browser sessions for the people of a team: each sees and ends their own, and who manages members those of all."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from loyalty.rules.audit import AuditedChange, AuditSubject
from loyalty.rules.errors import NotFound
from loyalty.services.audit import note_changes
from loyalty.services.world import World
from loyalty.storage.browser_sessions import (
    BrowserSessionRow,
    narrow_sessions,
    read_session_page,
    read_sessions_by_id,
)
from loyalty.storage.staff_sessions import end_one_session
from loyalty.storage.window import TimePlace, Window
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import allows

NOBODY = ""
"""A subject that no person has: the sessions of a caller who is no person of a provider."""


class SessionFilter(NamedTuple):
    """Limits the list of browser sessions."""

    own: bool = False
    """Whether only the sessions of the caller are wanted."""
    subject: str | None = None
    """The subject of a person; None is no limit."""


async def page_browser_sessions(
    world: World, actor: Actor, wanted: SessionFilter, window: Window[TimePlace]
) -> list[BrowserSessionRow]:
    """Return a page of the sessions that have not ended. Who does not manage members finds only their own."""
    tx = world.database.reading(actor.tenant_id)
    return await read_session_page(tx, world.clock(), _whose(actor, wanted), window)


async def count_browser_sessions(world: World, actor: Actor, wanted: SessionFilter) -> int:
    """Return the number of sessions in a list."""
    rows = narrow_sessions(world.clock(), _whose(actor, wanted))
    return await rows.count(world.database.reading(actor.tenant_id))


async def load_browser_sessions(world: World, actor: Actor, ids: Sequence[UUID]) -> dict[UUID, BrowserSessionRow]:
    """Return the sessions among ``ids`` that the actor may see."""
    found = await read_sessions_by_id(world.database.reading(actor.tenant_id), ids)
    return {session_id: row for session_id, row in found.items() if _may_see(actor, row)}


async def end_browser_session(world: World, actor: Actor, session_id: UUID) -> BrowserSessionRow:
    """End a session: of the actor themself, or of somebody else if the actor manages members.

    Its next request is refused, and open sockets are closed. A second call changes nothing. Refusal: NotFound.
    """
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        now = world.clock()
        before = (await read_sessions_by_id(tx, [session_id])).get(session_id)
        if before is None or not _may_see(actor, before):
            raise NotFound("browser session", ("id",))
        if not await end_one_session(tx, session_id, now):
            return (await read_sessions_by_id(tx, [session_id])).get(session_id, before)
        row = before._replace(ended_at=now)
        await note_changes(tx, actor, now, [_describe_session(before, row)])
    return row


def _describe_session(before: BrowserSessionRow, after: BrowserSessionRow) -> AuditedChange:
    """Return the change of a session for the audit log."""
    return AuditedChange(AuditSubject.BROWSER_SESSION, str(after.id), after.display, _show(before), _show(after))


def _show(row: BrowserSessionRow) -> dict[str, str | datetime | None]:
    return {
        "actor_subject": row.subject,
        "issuer": row.issuer,
        "browser": row.user_agent,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
    }


def _whose(actor: Actor, wanted: SessionFilter) -> str | None:
    """Return the subject whose sessions are listed; None for those of everybody."""
    own = _own_subject(actor)
    if wanted.own or not _manages_team(actor):
        return own if wanted.subject in (None, own) else NOBODY
    return wanted.subject


def _own_subject(actor: Actor) -> str:
    return NOBODY if actor.issuer is None else actor.subject


def _manages_team(actor: Actor) -> bool:
    return allows(actor, Permission.MEMBERS_MANAGE)


def _may_see(actor: Actor, row: BrowserSessionRow) -> bool:
    return _manages_team(actor) or row.subject == _own_subject(actor)
