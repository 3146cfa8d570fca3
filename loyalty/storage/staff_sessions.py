"""Sessions of staff who signed in with a browser: found by the hash of the secret in the cookie."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from loyalty.rules.staff_session import Logout
from loyalty.storage.tables import staff_sessions
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import INSTANT, record_set, tenant_parameter


class StaffSessionRow(NamedTuple):
    """A session: its person, its provider at the version then, and its beginning and end."""

    id: UUID
    sha256: str
    state_sha256: str
    issuer_id: UUID
    issuer_version: int
    subject: str
    display: str
    email: str | None
    claimed: list[str]
    provider_session: str | None
    issued_at: datetime
    started_at: datetime
    ends_at: datetime
    user_agent: str | None = None


_seen = record_set("seen", [("id", Uuid()), ("used_at", INSTANT)])
_OURS = staff_sessions.c.tenant_id == tenant_parameter()
_LIVE = staff_sessions.c.ended_at.is_(None)
_INSERT = (
    upsert(staff_sessions)
    .values(tenant_id=tenant_parameter(), **{name: bindparam(name) for name in StaffSessionRow._fields})
    .on_conflict_do_nothing(index_elements=["tenant_id", "state_sha256"])
    .execution_options(preserve_rowcount=True)
)
_BY_SHA256 = select(*(staff_sessions.c[name] for name in StaffSessionRow._fields)).where(
    _OURS, staff_sessions.c.sha256 == bindparam("sha256"), _LIVE
)
_END = update(staff_sessions).where(_OURS, staff_sessions.c.id == bindparam("session_row"), _LIVE)
_END = _END.values(ended_at=bindparam("now")).execution_options(preserve_rowcount=True)
_OF_ISSUER = (
    update(staff_sessions)
    .where(
        _OURS,
        _LIVE,
        staff_sessions.c.issuer_id == bindparam("issuer"),
        staff_sessions.c.issued_at <= bindparam("issued_until"),
    )
    .values(ended_at=bindparam("now"))
    .execution_options(preserve_rowcount=True)
)
_OF_PERSON = _OF_ISSUER.where(staff_sessions.c.subject == bindparam("person"))
_OF_PROVIDER_SESSION = _OF_ISSUER.where(staff_sessions.c.provider_session == bindparam("provider_session"))
_OF_BOTH = _OF_PERSON.where(staff_sessions.c.provider_session == bindparam("provider_session"))
_USED = update(staff_sessions).where(_OURS, staff_sessions.c.id == _seen.c.id).values(last_used_at=_seen.c.used_at)
_OLDER = (
    select(staff_sessions.c.id)
    .where(_OURS, staff_sessions.c.subject == bindparam("person"))
    .order_by(staff_sessions.c.started_at.desc(), staff_sessions.c.id.desc())
    .offset(bindparam("kept_count"))
)
_FORGET_OLDER = delete(staff_sessions).where(_OURS, staff_sessions.c.id.in_(_OLDER))
_FORGET_OVER = delete(staff_sessions).where(_OURS, staff_sessions.c.ends_at <= bindparam("now"))


async def insert_session(tx: Transaction, row: StaffSessionRow) -> bool:
    """Insert a session. Returns False, and inserts nothing, if its sign-in has already begun a session."""
    return bool(await tx.run(_INSERT, **row._asdict()))


async def read_session(tx: Reads, sha256: str) -> StaffSessionRow | None:
    """Return the session of a secret; None if the person has signed out."""
    row = await tx.row(_BY_SHA256, sha256=sha256)
    return StaffSessionRow._make(row) if row else None


async def end_one_session(tx: Transaction, session_id: UUID, now: datetime) -> bool:
    """End a session. If it has ended before, the first time stays and False is returned."""
    return bool(await tx.run(_END, session_row=session_id, now=now))


async def mark_sessions_used(tx: Transaction, uses: Mapping[UUID, datetime]) -> None:
    """Store the time of each session's last use, by its id."""
    await tx.run(_USED, seen=[{"id": session_id, "used_at": used_at} for session_id, used_at in uses.items()])


async def end_sessions_of(tx: Transaction, logout: Logout, now: datetime) -> int:
    """End the sessions that a logout token names; returns how many."""
    asked = {"issuer": logout.issuer_id, "issued_until": logout.issued_at, "now": now}
    if logout.subject is None:
        return await tx.run(_OF_PROVIDER_SESSION, **asked, provider_session=logout.provider_session)
    if logout.provider_session is None:
        return await tx.run(_OF_PERSON, **asked, person=logout.subject)
    return await tx.run(_OF_BOTH, **asked, person=logout.subject, provider_session=logout.provider_session)


async def forget_sessions(tx: Transaction, subject: str, keep: int, now: datetime) -> None:
    """Delete the tenant's sessions that are over, and all sessions of a person except the ``keep`` newest."""
    await tx.run(_FORGET_OVER, now=now)
    await tx.run(_FORGET_OLDER, person=subject, kept_count=keep)
