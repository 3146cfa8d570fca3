"""Browser sessions of staff: how they begin, how they are found, and how they end."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.rules.ids import TenantId
from loyalty.rules.staff_session import (
    LOGOUT_REMEMBERED,
    MAX_REMEMBERED_LOGOUTS,
    MAX_SESSIONS_OF_PERSON,
    REVOCATION_PREFIX,
    SESSION_LIFETIME,
    Logout,
    SignIn,
)
from loyalty.services.world import World
from loyalty.storage.provider_logouts import lock_provider, remember_logout, share_provider, was_signed_out
from loyalty.storage.staff_sessions import (
    StaffSessionRow,
    end_one_session,
    end_sessions_of,
    forget_sessions,
    insert_session,
    read_session,
)
from permissions.actor import Actor, ActorKind, IssuerMark, SessionMark, SignedToken
from tenancy.retry import retry_transaction


class SignedOutMeanwhile(Exception):
    """The provider has signed the person out since it signed the ID token of the sign-in."""


async def start_session(world: World, actor: Actor, sign_in: SignIn, sha256: str) -> StaffSessionRow | None:
    """Begin a session for a person who has just signed in and whose credential is valid.

    ``sha256`` is of its new secret. Returns None if the same sign-in has begun a session already. Raises
    `SignedOutMeanwhile`.
    """
    if actor.issuer is None:
        raise ValueError("a session is of a person who signed in at a provider")
    return await retry_transaction(partial(_start_session, world, actor, actor.issuer, sign_in, sha256))


async def _start_session(
    world: World, actor: Actor, issuer: IssuerMark, sign_in: SignIn, sha256: str
) -> StaffSessionRow | None:
    """Begin a session in one transaction."""
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        await share_provider(tx, issuer.id)
        if await was_signed_out(tx, issuer.id, actor.subject, sign_in):
            raise SignedOutMeanwhile
        now = world.clock()
        row = StaffSessionRow(
            id=uuid7(),
            sha256=sha256,
            state_sha256=sign_in.state_sha256,
            issuer_id=issuer.id,
            issuer_version=issuer.version,
            subject=actor.subject,
            display=actor.display,
            email=actor.email,
            claimed=[str(role_id) for role_id in sorted(actor.claimed)],
            provider_session=sign_in.provider_session,
            issued_at=sign_in.issued_at,
            started_at=now,
            ends_at=now + SESSION_LIFETIME,
            user_agent=sign_in.user_agent,
        )
        if not await insert_session(tx, row):
            return None
        await forget_sessions(tx, actor.subject, MAX_SESSIONS_OF_PERSON, now)
    return row


async def find_session(world: World, tenant_id: TenantId, sha256: str) -> Actor | None:
    """Return the actor of a session; None if no session has this secret.

    The actor has no permissions yet: they are read with the standing.
    """
    row = await read_session(world.database.reading(tenant_id), sha256)
    return None if row is None else _describe_actor(tenant_id, row)


async def end_session(world: World, tenant_id: TenantId, session_id: UUID) -> None:
    """Sign a person out of one browser. No permission is checked: it is the person's own session."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        await end_one_session(tx, session_id, world.clock())


async def end_sessions_by_provider(world: World, tenant_id: TenantId, logout: Logout) -> int:
    """End the sessions that a provider's logout token names, and return how many. The caller has verified the token.

    The token is remembered, so that a sign-in that is under way begins no session after it.
    """
    return await retry_transaction(partial(_end_sessions_by_provider, world, tenant_id, logout))


async def _end_sessions_by_provider(world: World, tenant_id: TenantId, logout: Logout) -> int:
    """Hear a logout token in one transaction. It runs again after a deadlock with the last uses that are written."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        if not await lock_provider(tx, logout.issuer_id):
            return 0
        now = world.clock()
        await remember_logout(tx, logout, now, now + LOGOUT_REMEMBERED, MAX_REMEMBERED_LOGOUTS)
        return await end_sessions_of(tx, logout, now)


def _describe_actor(tenant_id: TenantId, row: StaffSessionRow) -> Actor:
    """Return the actor of a session, without permissions."""
    # A revocation between the ID token and the row ends the session, too. The provider's clock may be ahead.
    signed = SignedToken(f"{REVOCATION_PREFIX}{row.id}", row.subject, min(row.issued_at, row.started_at))
    return Actor(
        kind=ActorKind.STAFF,
        tenant_id=tenant_id,
        subject=row.subject,
        # The permissions of the roles are read with the standing, as for every person of a provider.
        permissions=frozenset(),
        display=row.display,
        expires_at=row.ends_at,
        signed=(signed,),
        issuer=IssuerMark(row.issuer_id, row.issuer_version),
        session=SessionMark(row.id, row.started_at),
        claimed=_parse_ids(row.claimed),
        email=row.email,
    )


def _parse_ids(texts: Sequence[str]) -> frozenset[UUID]:
    return frozenset(UUID(text) for text in texts)
