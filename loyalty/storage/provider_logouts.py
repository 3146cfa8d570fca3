"""Logout tokens of providers, remembered while a sign-in that they name may be under way.

A session and a logout token of one provider wait for each other at the row of the provider, so one is always first.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert

from loyalty.rules.staff_session import Logout, SignIn
from loyalty.storage.tables import oidc_issuers, provider_logouts
from tenancy.database import Transaction
from tenancy.table import tenant_parameter

_OURS = provider_logouts.c.tenant_id == tenant_parameter()
_KEY = (provider_logouts.c.issuer_id, provider_logouts.c.subject, provider_logouts.c.provider_session)
_PROVIDER = select(oidc_issuers.c.id).where(
    oidc_issuers.c.tenant_id == tenant_parameter(), oidc_issuers.c.id == bindparam("issuer_row")
)
_SHARE_PROVIDER = _PROVIDER.with_for_update(read=True)
_LOCK_PROVIDER = _PROVIDER.with_for_update(key_share=True)
_told = upsert(provider_logouts).values(
    tenant_id=tenant_parameter(),
    issuer_id=bindparam("issuer_row"),
    subject=bindparam("person"),
    provider_session=bindparam("ended_session"),
    issued_at=bindparam("issued_until"),
    forget_at=bindparam("forgotten_at"),
)
_REMEMBER = _told.on_conflict_do_update(
    index_elements=[provider_logouts.c.tenant_id, *_KEY],
    set_={
        "issued_at": func.greatest(provider_logouts.c.issued_at, _told.excluded.issued_at),
        "forget_at": _told.excluded.forget_at,
    },
)
_FORGET_OLD = delete(provider_logouts).where(_OURS, provider_logouts.c.forget_at <= bindparam("now"))
_BEYOND = select(*_KEY).where(_OURS).order_by(provider_logouts.c.forget_at.desc()).offset(bindparam("kept_count"))
_FORGET_BEYOND = delete(provider_logouts).where(_OURS, tuple_(*_KEY).in_(_BEYOND))
_NAMED = (
    select(provider_logouts.c.issuer_id)
    .where(
        _OURS,
        provider_logouts.c.issuer_id == bindparam("issuer_row"),
        provider_logouts.c.subject.in_(("", bindparam("person"))),
        provider_logouts.c.provider_session.in_(("", bindparam("ended_session"))),
        provider_logouts.c.issued_at >= bindparam("signed_at"),
    )
    .limit(1)
)


async def share_provider(tx: Transaction, issuer_id: UUID) -> None:
    """Let no logout token of this provider be heard until the transaction ends. Other sessions may begin."""
    await tx.rows(_SHARE_PROVIDER, issuer_row=issuer_id)


async def lock_provider(tx: Transaction, issuer_id: UUID) -> bool:
    """Let no session with this provider begin until the transaction ends, and no other logout token be heard.

    Returns False if the tenant has no such provider.
    """
    return bool(await tx.rows(_LOCK_PROVIDER, issuer_row=issuer_id))


async def remember_logout(tx: Transaction, logout: Logout, now: datetime, forget_at: datetime, keep: int) -> None:
    """Remember a logout token until ``forget_at``, and only the ``keep`` newest. Forget those whose time is over."""
    await tx.run(_FORGET_OLD, now=now)
    await tx.run(
        _REMEMBER,
        issuer_row=logout.issuer_id,
        person=logout.subject or "",
        ended_session=logout.provider_session or "",
        issued_until=logout.issued_at,
        forgotten_at=forget_at,
    )
    await tx.run(_FORGET_BEYOND, kept_count=keep)


async def was_signed_out(tx: Transaction, issuer_id: UUID, subject: str, sign_in: SignIn) -> bool:
    """Tell whether a remembered logout token names this sign-in."""
    found = await tx.row(
        _NAMED,
        issuer_row=issuer_id,
        person=subject,
        ended_session=sign_in.provider_session or "",
        signed_at=sign_in.issued_at,
    )
    return found is not None
