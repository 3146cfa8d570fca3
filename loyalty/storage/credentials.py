"""Revocations of signed tokens, and the standing of a credential."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Row,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.visitors import replacement_traverse

from loyalty.rules.ids import TokenId
from loyalty.rules.trusted_document import NO_POLICY, DocumentPolicy, DocumentRule
from loyalty.storage.api_tokens import TOKEN_COLUMNS, ApiTokenRow
from loyalty.storage.tables import (
    accounts,
    api_tokens,
    credential_revocations,
    customers,
    members,
    oidc_issuers,
    programs,
    roles,
    staff_sessions,
)
from permissions.actor import Actor, SignedToken, subject_of_token
from permissions.catalog import parse_known_grants
from permissions.roles import HeldRole
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import INSTANT, record_set, tenant_parameter
from tenancy.tables import tenants


class Membership(NamedTuple):
    """A membership or an invitation: its row, its role, and its scope of locations."""

    id: UUID
    role_id: UUID
    locations: list[str] | None


class Standing(NamedTuple):
    """The standing of a credential: what the database says about it now."""

    tenant_state: str
    loyalty_enabled: bool
    """Whether the program is on and the platform grants the module."""
    loyalty_entitled: bool
    token: ApiTokenRow | None
    customer_id: UUID | None
    former_ids: frozenset[UUID]
    """The ids of customers who were merged into this customer."""
    maker: ApiTokenRow | None
    """The API token that made the credential."""
    allowed_origins: frozenset[str]
    """The origins of browser pages that the tenant allows."""
    revoked: bool
    """Whether the signed token, or the signed token that made it, was revoked."""
    issuer_version: int | None = None
    """The present version of the tenant's identity provider."""
    archived: bool = False
    """Whether the customer is archived. Then every token of the customer is refused."""
    member: Membership | None = None
    """The membership of a person of the team."""
    invitation: Membership | None = None
    """The open invitation of the address that the person's provider has verified."""
    was_removed: bool = False
    """Whether the person was a member once and was removed."""
    documents: DocumentPolicy = NO_POLICY
    """The tenant's rule about trusted documents, and how often the tenant has changed its trusted documents."""
    session_id: UUID | None = None
    """The browser session of the person, unless they have signed out."""
    session_used_at: datetime | None = None
    """When the browser session was last used, as it was written last."""
    own_roles: tuple[HeldRole, ...] = ()
    """The roles made by the tenant that the person may have by a claim, a membership or an invitation."""


class Revocation(NamedTuple):
    """The end of one signed token (``TOKEN``, by its id), or of all tokens of a subject issued until now (``SUBJECT``).

    The subject of an API token stands for the customer tokens that it made.
    """

    scope: str
    name: str


_maker = api_tokens.alias("maker")
_MAKER_COLUMNS = [_maker.c[name].label(f"maker_{name}") for name in ApiTokenRow._fields]
_presented = record_set("signed", [("scope", Text()), ("name", Text()), ("issued_at", INSTANT)])
_REVOKED = exists(
    select(credential_revocations.c.name)
    .join_from(
        _presented,
        credential_revocations,
        (credential_revocations.c.scope == _presented.c.scope)
        & (credential_revocations.c.name == _presented.c.name)
        & (credential_revocations.c.revoked_at >= _presented.c.issued_at),
    )
    .where(credential_revocations.c.tenant_id == tenant_parameter())
)
# CASE and not coalesce: under row-level security an index serves only what is leakproof.
_become = case((customers.c.merged_into.is_(None), customers.c.id), else_=customers.c.merged_into)
_former = customers.alias("former")
_ARCHIVED = exists(
    select(accounts.c.customer_id).where(
        accounts.c.tenant_id == tenant_parameter(),
        accounts.c.customer_id == _become,
        accounts.c.archived_at.is_not(None),
    )
)
_member = members.alias("member")
_invitation = members.alias("invitation")
_former_member = members.alias("former_member")
_WAS_REMOVED = exists(
    select(_former_member.c.id)
    .where(
        _former_member.c.tenant_id == tenant_parameter(),
        _former_member.c.subject == bindparam("person"),
        _former_member.c.removed_at.is_not(None),
    )
    # Of many questions each is asked about its own person.
    .correlate_except(_former_member)
)
_claimed = record_set("claimed", [("id", Uuid())])
_role = [roles.c.id, roles.c.name, roles.c.permissions, roles.c.daily_points]
_OWN_ROLES = (
    select(func.jsonb_agg(func.jsonb_build_array(*_role), type_=JSONB))
    .where(
        roles.c.tenant_id == tenant_parameter(),
        roles.c.deleted_at.is_(None),
        or_(
            roles.c.id == _member.c.role_id,
            roles.c.id == _invitation.c.role_id,
            roles.c.id.in_(select(_claimed.c.id)),
        ),
    )
    .correlate(_member, _invitation)
    .scalar_subquery()
)
_STANDING = (
    select(
        tenants.c.state,
        tenants.c.allowed_origins,
        tenants.c.document_rule,
        tenants.c.documents_version,
        and_(func.coalesce(programs.c.enabled, False), tenants.c.loyalty_entitled).label("loyalty_enabled"),
        tenants.c.loyalty_entitled,
        # A credential of a merged customer stands for the target.
        _become.label("customer_id"),
        select(func.array_agg(_former.c.id))
        .where(_former.c.tenant_id == tenant_parameter(), _former.c.merged_into == _become)
        .scalar_subquery()
        .label("former_ids"),
        *TOKEN_COLUMNS,
        *_MAKER_COLUMNS,
        _REVOKED.label("revoked"),
        oidc_issuers.c.version.label("issuer_version"),
        _ARCHIVED.label("archived"),
        _member.c.id.label("member_id"),
        _member.c.role_id.label("member_role_id"),
        _member.c.locations.label("member_locations"),
        _invitation.c.id.label("invitation_id"),
        _invitation.c.role_id.label("invitation_role_id"),
        _invitation.c.locations.label("invitation_locations"),
        _WAS_REMOVED.label("was_removed"),
        staff_sessions.c.id.label("session_id"),
        staff_sessions.c.last_used_at.label("session_used_at"),
        _OWN_ROLES.label("own_roles"),
    )
    .select_from(
        tenants.outerjoin(programs, programs.c.tenant_id == tenants.c.tenant_id)
        .outerjoin(
            customers,
            and_(customers.c.tenant_id == tenants.c.tenant_id, customers.c.id == bindparam("customer_id")),
        )
        .outerjoin(
            api_tokens,
            and_(api_tokens.c.tenant_id == tenants.c.tenant_id, api_tokens.c.id == bindparam("token_id")),
        )
        .outerjoin(
            _maker,
            and_(_maker.c.tenant_id == tenants.c.tenant_id, _maker.c.id == bindparam("maker_token_id")),
        )
        .outerjoin(
            oidc_issuers,
            and_(oidc_issuers.c.tenant_id == tenants.c.tenant_id, oidc_issuers.c.id == bindparam("issuer_id")),
        )
        .outerjoin(
            _member,
            and_(
                _member.c.tenant_id == tenants.c.tenant_id,
                _member.c.subject == bindparam("person"),
                _member.c.removed_at.is_(None),
            ),
        )
        .outerjoin(
            _invitation,
            and_(
                _invitation.c.tenant_id == tenants.c.tenant_id,
                _invitation.c.email == bindparam("email"),
                _invitation.c.subject.is_(None),
                _invitation.c.removed_at.is_(None),
            ),
        )
        .outerjoin(
            staff_sessions,
            and_(
                staff_sessions.c.tenant_id == tenants.c.tenant_id,
                staff_sessions.c.id == bindparam("session_id"),
                staff_sessions.c.ended_at.is_(None),
            ),
        ),
    )
    .where(tenants.c.tenant_id == tenant_parameter())
)
_asked = record_set(
    "asked",
    [
        ("ordinal", BigInteger()),
        ("token_id", Uuid()),
        ("customer_id", Uuid()),
        ("maker_token_id", Uuid()),
        ("issuer_id", Uuid()),
        ("signed", JSONB()),
        ("person", Text()),
        ("email", Text()),
        ("claimed", JSONB()),
        ("session_id", Uuid()),
    ],
)


def _use_asked_column(element: Any, **_options: Any) -> Any:
    """Replace a parameter of the statement about one credential by the column of the asked rows."""
    return _asked.c.get(element.key) if isinstance(element, BindParameter) else None


# The same question, asked once for each row: a parameter that no column replaces is missing when it runs.
_each = cast("Select[Any]", replacement_traverse(_STANDING, {}, _use_asked_column)).lateral("standing")
_STANDINGS = select(_asked.c.ordinal, *_each.c).select_from(_asked.join(_each, true()))
_revocation = upsert(credential_revocations).values(
    tenant_id=tenant_parameter(),
    scope=bindparam("scope"),
    name=bindparam("name"),
    revoked_at=bindparam("now"),
    revoked_by=bindparam("revoked_by"),
)
_REVOKE_SIGNED = _revocation.on_conflict_do_update(
    index_elements=["tenant_id", "scope", "name"],
    set_={"revoked_at": _revocation.excluded.revoked_at, "revoked_by": _revocation.excluded.revoked_by},
)


async def read_standing(tx: Reads, *, token_id: UUID | None = None, customer_id: UUID | None = None) -> Standing | None:
    """Return the standing of an API token, OAuth client or customer by its id; None if the tenant does not exist."""
    asked: dict[str, Any] = {
        "token_id": token_id,
        "customer_id": customer_id,
        "maker_token_id": None,
        "issuer_id": None,
        "signed": [],
        "person": None,
        "email": None,
        "claimed": [],
        "session_id": None,
    }
    return await _read(tx, asked)


def _standing(row: Row[Any]) -> Standing:
    return Standing(
        tenant_state=row.state,
        loyalty_enabled=row.loyalty_enabled,
        loyalty_entitled=row.loyalty_entitled,
        token=ApiTokenRow(*(getattr(row, column.name) for column in TOKEN_COLUMNS)) if row.id else None,
        customer_id=row.customer_id,
        former_ids=frozenset(row.former_ids or ()),
        maker=ApiTokenRow(*(getattr(row, column.name) for column in _MAKER_COLUMNS)) if row.maker_id else None,
        allowed_origins=frozenset(row.allowed_origins),
        revoked=row.revoked,
        issuer_version=row.issuer_version,
        archived=row.archived,
        member=_membership(row.member_id, row.member_role_id, row.member_locations),
        invitation=_membership(row.invitation_id, row.invitation_role_id, row.invitation_locations),
        was_removed=row.was_removed,
        documents=DocumentPolicy(DocumentRule[row.document_rule], row.documents_version),
        session_id=row.session_id,
        session_used_at=row.session_used_at,
        own_roles=tuple(_build_held_role(*one) for one in row.own_roles or ()),
    )


def _membership(member_id: UUID | None, role_id: UUID, locations: list[str] | None) -> Membership | None:
    return None if member_id is None else Membership(member_id, role_id, locations)


def _build_held_role(role_id: str, name: str, permissions: list[str], daily_points: int) -> HeldRole:
    return HeldRole(UUID(role_id), name, parse_known_grants(permissions), daily_points)


async def read_standing_of(tx: Reads, actor: Actor) -> Standing | None:
    """Return the standing of an actor's credential; None if the tenant does not exist."""
    return await _read(tx, _collect_parameters(actor))


async def read_standings(tx: Reads, actors: Sequence[Actor]) -> list[Standing | None]:
    """Return the standings of many actors of one tenant, in their order, with one statement."""
    asked = [{"ordinal": ordinal, **_collect_parameters(actor)} for ordinal, actor in enumerate(actors)]
    found = {row.ordinal: _standing(row) for row in await tx.rows(_STANDINGS, asked=asked)}
    return [found.get(ordinal) for ordinal in range(len(actors))]


async def _read(tx: Reads, asked: dict[str, Any]) -> Standing | None:
    row = await tx.row(_STANDING, **asked)
    return None if row is None else _standing(row)


def _collect_parameters(actor: Actor) -> dict[str, Any]:
    """Return the parameters of the statement about an actor's credential."""
    return {
        "token_id": actor.token_id,
        "customer_id": actor.customer_id,
        "maker_token_id": actor.maker_token_id,
        "issuer_id": actor.issuer.id if actor.issuer else None,
        "signed": _list_presented_tokens(actor.signed, actor.maker_token_id),
        # Only people who sign in at a provider are members. An operator's token is the way in if there is no member.
        "person": actor.subject if actor.issuer else None,
        "email": actor.email,
        "claimed": [{"id": role_id} for role_id in sorted(actor.claimed)],
        "session_id": actor.session.id if actor.session else None,
    }


async def revoke_signed(tx: Transaction, revocation: Revocation, now: datetime, revoked_by: str) -> None:
    """Revoke signed tokens. The last time counts, so that a subject can be revoked again."""
    await tx.run(_REVOKE_SIGNED, **revocation._asdict(), now=now, revoked_by=revoked_by)


def _list_presented_tokens(signed: Sequence[SignedToken], maker_token_id: UUID | None) -> list[dict[str, Any]]:
    """Return the revocations that can end each signed token.

    The first one may also end with the API token that made it.
    """
    if maker_token_id is not None:
        maker = subject_of_token(TokenId(maker_token_id))
        signed = [*signed, *(SignedToken(f"made by {maker}", maker, token.issued_at) for token in signed[:1])]
    return [
        {"scope": scope, "name": name, "issued_at": token.issued_at}
        for token in signed
        for scope, name in (("TOKEN", token.id), ("SUBJECT", token.subject))
    ]
