"""Browser sessions as the team sees them: who is signed in where, without the secrets and what the provider said."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, bindparam, cast, exists, func, or_, select

from loyalty.rules.staff_session import REVOCATION_PREFIX
from loyalty.storage.narrowed import Narrowed
from loyalty.storage.tables import credential_revocations, oidc_issuers, staff_sessions
from loyalty.storage.window import Keyset, TimePlace, Window
from tenancy.reading import Reads
from tenancy.table import INSTANT, among, tenant_parameter


class BrowserSessionRow(NamedTuple):
    """A browser session with its person and the claim `iss` of its provider."""

    id: UUID
    subject: str
    display: str
    issuer: str
    user_agent: str | None
    started_at: datetime
    last_used_at: datetime | None
    ends_at: datetime
    ended_at: datetime | None


_COLUMNS = [oidc_issuers.c.issuer if name == "issuer" else staff_sessions.c[name] for name in BrowserSessionRow._fields]
_SESSIONS = (
    select(*_COLUMNS)
    .join_from(
        staff_sessions,
        oidc_issuers,
        and_(oidc_issuers.c.tenant_id == staff_sessions.c.tenant_id, oidc_issuers.c.id == staff_sessions.c.issuer_id),
    )
    .where(staff_sessions.c.tenant_id == tenant_parameter(), oidc_issuers.c.tenant_id == tenant_parameter())
)
_BY_TIME = Keyset((staff_sessions.c.started_at, staff_sessions.c.id), descending=True)
_BY_IDS = _SESSIONS.where(among(staff_sessions.c.id, "ids"))
_REVOKED = exists(
    select(credential_revocations.c.name).where(
        credential_revocations.c.tenant_id == tenant_parameter(),
        or_(
            and_(
                credential_revocations.c.scope == "SUBJECT",
                credential_revocations.c.name == staff_sessions.c.subject,
            ),
            and_(
                credential_revocations.c.scope == "TOKEN",
                credential_revocations.c.name == REVOCATION_PREFIX + cast(staff_sessions.c.id, Text),
            ),
        ),
        credential_revocations.c.revoked_at >= func.least(staff_sessions.c.issued_at, staff_sessions.c.started_at),
    )
)


def narrow_sessions(now: datetime, subject: str | None) -> Narrowed:
    """Return the list of sessions that have not ended, ordered by when they began; ``subject`` keeps one person's."""
    rows = Narrowed(_SESSIONS, _BY_TIME)
    rows.keep("live", _is_live, live_at=now)
    rows.keep_equal(staff_sessions.c.subject, subject)
    return rows


def _is_live() -> ColumnElement[bool]:
    """Neither signed out, nor over, nor revoked, nor of a provider that has changed or was removed since."""
    return and_(
        staff_sessions.c.ended_at.is_(None),
        staff_sessions.c.ends_at > bindparam("live_at", type_=INSTANT),
        staff_sessions.c.issuer_version == oidc_issuers.c.version,
        ~_REVOKED,
    )


async def read_session_page(
    tx: Reads, now: datetime, subject: str | None, window: Window[TimePlace]
) -> list[BrowserSessionRow]:
    """Return a page of the sessions that have not ended, the newest first unless the window says otherwise."""
    return [BrowserSessionRow._make(row) for row in await narrow_sessions(now, subject).read(tx, window)]


async def read_sessions_by_id(tx: Reads, ids: Sequence[UUID]) -> dict[UUID, BrowserSessionRow]:
    """Return the sessions among ``ids``, with those that have ended and are not yet deleted."""
    return {row.id: BrowserSessionRow._make(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}
