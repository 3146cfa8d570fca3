"""API tokens and OAuth clients, revocations of signed tokens, and the standing of a credential."""

from collections.abc import Mapping, Sequence
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
    insert,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.visitors import replacement_traverse

from loyalty.rules.ids import TokenId
from loyalty.storage.tables import accounts, api_tokens, credential_revocations, customers, oidc_issuers, programs
from permissions.actor import Actor, SignedToken, mark_of_secret, subject_of_token
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import INSTANT, among, record_set, tenant_parameter
from tenancy.tables import tenants, token_directory

TOKEN, CLIENT = "TOKEN", "CLIENT"
"""Kinds of credentials of partner systems: an API token, and an OAuth client."""


class ApiTokenRow(NamedTuple):
    """An API token as its tenant sees it, or an OAuth client; the secret itself is nowhere."""

    id: UUID
    name: str
    permissions: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    made_with: str | None
    client_id: UUID | None
    kind: str
    networks: list[str] | None
    secret_mark: str
    former_secret_mark: str | None
    former_ends_at: datetime | None
    rotated_with: str | None


class Standing(NamedTuple):
    """What the database knows about a credential at this moment."""

    tenant_state: str
    loyalty_enabled: bool
    """Whether the program is on, and granted."""
    loyalty_entitled: bool
    token: ApiTokenRow | None
    customer_id: UUID | None
    former_ids: frozenset[UUID]
    """Of customers who have become this one."""
    maker: ApiTokenRow | None
    """The API token that made the credential."""
    allowed_origins: frozenset[str]
    """Of the tenant: the origins of browser pages that may call."""
    revoked: bool
    """Whether the signed token, or the signed token that made it, was revoked."""
    issuer_version: int | None = None
    """Of the identity provider, as its tenant has set it now."""
    archived: bool = False
    """Whether the customer is archived: then no token of the customer is good."""


class Revocation(NamedTuple):
    """The end of one signed token (``TOKEN``, by its id), or of all that a subject has by now (``SUBJECT``).

    The subject of an API token stands for the customer tokens that it made.
    """

    scope: str
    name: str


_COLUMNS = [api_tokens.c[name] for name in ApiTokenRow._fields]
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
_STANDING = (
    select(
        tenants.c.state,
        tenants.c.allowed_origins,
        and_(func.coalesce(programs.c.enabled, False), tenants.c.loyalty_entitled).label("loyalty_enabled"),
        tenants.c.loyalty_entitled,
        # A credential of a merged customer stands for the target.
        _become.label("customer_id"),
        select(func.array_agg(_former.c.id))
        .where(_former.c.tenant_id == tenant_parameter(), _former.c.merged_into == _become)
        .scalar_subquery()
        .label("former_ids"),
        *_COLUMNS,
        *_MAKER_COLUMNS,
        _REVOKED.label("revoked"),
        oidc_issuers.c.version.label("issuer_version"),
        _ARCHIVED.label("archived"),
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
    ],
)


def _use_asked_column(element: Any, **_options: Any) -> Any:
    """The column of what is asked that stands where the question about one credential has a parameter."""
    return _asked.c.get(element.key) if isinstance(element, BindParameter) else None


# The same question, asked once for each row: a parameter that no column replaces is missing when it runs.
_each = cast("Select[Any]", replacement_traverse(_STANDING, {}, _use_asked_column)).lateral("standing")
_STANDINGS = select(_asked.c.ordinal, *_each.c).select_from(_asked.join(_each, true()))
_INSERT = insert(api_tokens).values(
    tenant_id=tenant_parameter(),
    id=bindparam("id"),
    name=bindparam("name"),
    permissions=bindparam("permissions"),
    created_at=bindparam("now"),
    created_by=bindparam("created_by"),
    expires_at=bindparam("expires_at"),
    made_with=bindparam("made_with"),
    client_id=bindparam("client_id"),
    kind=bindparam("kind"),
    networks=bindparam("networks"),
    secret_mark=bindparam("secret_mark"),
)
_INSERT_DIRECTORY = insert(token_directory).values(
    tenant_id=tenant_parameter(),
    sha256=bindparam("sha256"),
    token_id=bindparam("id"),
)
_REVOKE = (
    update(api_tokens)
    .where(
        api_tokens.c.tenant_id == tenant_parameter(),
        api_tokens.c.id == bindparam("token"),
        api_tokens.c.kind == bindparam("of_kind"),
    )
    .values(revoked_at=func.coalesce(api_tokens.c.revoked_at, bindparam("now")))
    .returning(*_COLUMNS)
)
_CHANGE_SECRET = (
    update(api_tokens)
    .where(api_tokens.c.tenant_id == tenant_parameter(), api_tokens.c.id == bindparam("token"))
    .values(
        former_secret_mark=api_tokens.c.secret_mark,
        former_ends_at=bindparam("ends_at"),
        secret_mark=bindparam("mark"),
        rotated_with=bindparam("credential"),
    )
    .returning(*_COLUMNS)
)
_REVOKE_MADE = (
    update(api_tokens)
    .where(
        api_tokens.c.tenant_id == tenant_parameter(),
        or_(among(api_tokens.c.made_with, "makers"), among(api_tokens.c.rotated_with, "makers")),
        api_tokens.c.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("now"))
    .returning(*_COLUMNS)
)
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
_seen = record_set("seen", [("token_id", Uuid()), ("used_at", INSTANT)])
_USED = (
    update(api_tokens)
    .where(api_tokens.c.tenant_id == tenant_parameter(), api_tokens.c.id == _seen.c.token_id)
    .values(last_used_at=_seen.c.used_at)
)
_LISTED = (
    select(*_COLUMNS)
    .where(api_tokens.c.tenant_id == tenant_parameter(), api_tokens.c.kind == bindparam("of_kind"))
    .order_by(api_tokens.c.id.desc())
)
_BY_IDS = select(*_COLUMNS).where(
    api_tokens.c.tenant_id == tenant_parameter(),
    among(api_tokens.c.id, "ids"),
    api_tokens.c.kind == bindparam("of_kind"),
)


async def read_standing(
    tx: Reads,
    *,
    token_id: UUID | None = None,
    customer_id: UUID | None = None,
    maker_token_id: UUID | None = None,
    issuer_id: UUID | None = None,
    signed: Sequence[SignedToken] = (),
) -> Standing | None:
    """The standing of a credential; None when the tenant does not exist."""
    row = await tx.row(
        _STANDING,
        token_id=token_id,
        customer_id=customer_id,
        maker_token_id=maker_token_id,
        issuer_id=issuer_id,
        signed=_presented_rows(signed, maker_token_id),
    )
    return None if row is None else _standing(row)


def _standing(row: Row[Any]) -> Standing:
    return Standing(
        tenant_state=row.state,
        loyalty_enabled=row.loyalty_enabled,
        loyalty_entitled=row.loyalty_entitled,
        token=ApiTokenRow(*(getattr(row, column.name) for column in _COLUMNS)) if row.id else None,
        customer_id=row.customer_id,
        former_ids=frozenset(row.former_ids or ()),
        maker=ApiTokenRow(*(getattr(row, column.name) for column in _MAKER_COLUMNS)) if row.maker_id else None,
        allowed_origins=frozenset(row.allowed_origins),
        revoked=row.revoked,
        issuer_version=row.issuer_version,
        archived=row.archived,
    )


async def read_standing_of(tx: Reads, actor: Actor) -> Standing | None:
    """The standing of an actor's credential; None when the tenant does not exist."""
    return await read_standing(
        tx,
        token_id=actor.token_id,
        customer_id=actor.customer_id,
        maker_token_id=actor.maker_token_id,
        issuer_id=actor.issuer.id if actor.issuer else None,
        signed=actor.signed,
    )


async def read_standings(tx: Reads, actors: Sequence[Actor]) -> list[Standing | None]:
    """The standings of many actors of one tenant, in their order, in one statement."""
    asked = [
        {
            "ordinal": ordinal,
            "token_id": actor.token_id,
            "customer_id": actor.customer_id,
            "maker_token_id": actor.maker_token_id,
            "issuer_id": actor.issuer.id if actor.issuer else None,
            "signed": _presented_rows(actor.signed, actor.maker_token_id),
        }
        for ordinal, actor in enumerate(actors)
    ]
    found = {row.ordinal: _standing(row) for row in await tx.rows(_STANDINGS, asked=asked)}
    return [found.get(ordinal) for ordinal in range(len(actors))]


async def insert_api_token(tx: Transaction, token: ApiTokenRow, sha256: str) -> None:
    """Keep a new token and the way from its hash to the tenant."""
    await tx.run(
        _INSERT,
        id=token.id,
        name=token.name,
        permissions=token.permissions,
        now=token.created_at,
        created_by=token.created_by,
        expires_at=token.expires_at,
        made_with=token.made_with,
        client_id=token.client_id,
        kind=token.kind,
        networks=token.networks,
        secret_mark=token.secret_mark,
    )
    await tx.run(_INSERT_DIRECTORY, id=token.id, sha256=sha256)


async def revoke_api_token(tx: Transaction, token_id: UUID, now: datetime, kind: str = TOKEN) -> ApiTokenRow | None:
    """End a token, or a client; the first moment counts. None when there is none of this kind."""
    row = await tx.row(_REVOKE, token=token_id, now=now, of_kind=kind)
    return ApiTokenRow._make(row) if row else None


async def change_secret(
    tx: Transaction, token_id: UUID, sha256: str, former_ends_at: datetime, credential: str
) -> ApiTokenRow:
    """Give a token or client another secret. The present one works until `former_ends_at`, the one before no more.

    `credential` names who learns the secret.
    """
    (row,) = await tx.rows(
        _CHANGE_SECRET, token=token_id, mark=mark_of_secret(sha256), ends_at=former_ends_at, credential=credential
    )
    await tx.run(_INSERT_DIRECTORY, id=token_id, sha256=sha256)
    return ApiTokenRow._make(row)


async def revoke_made_tokens(tx: Transaction, makers: Sequence[str], now: datetime) -> list[ApiTokenRow]:
    """End the live API tokens that these credentials made, and what those made, to the last."""
    ended: list[ApiTokenRow] = []
    while made := [ApiTokenRow._make(row) for row in await tx.rows(_REVOKE_MADE, makers=list(makers), now=now)]:
        ended += made
        makers = [subject_of_token(TokenId(token.id)) for token in made]
    return ended


async def revoke_signed(tx: Transaction, revocation: Revocation, now: datetime, revoked_by: str) -> None:
    """End signed tokens; the last moment counts, so that a subject can be revoked again."""
    await tx.run(_REVOKE_SIGNED, **revocation._asdict(), now=now, revoked_by=revoked_by)


async def mark_used(tx: Transaction, uses: Mapping[TokenId, datetime]) -> None:
    """Remember when tokens were last seen."""
    await tx.run(_USED, seen=[{"token_id": token_id, "used_at": used_at} for token_id, used_at in uses.items()])


async def read_api_tokens(tx: Reads, kind: str = TOKEN) -> list[ApiTokenRow]:
    """All tokens of the tenant, or all clients, newest first, ended ones too."""
    return [ApiTokenRow._make(row) for row in await tx.rows(_LISTED, of_kind=kind)]


async def read_api_tokens_by_id(tx: Reads, ids: Sequence[UUID], kind: str = TOKEN) -> dict[UUID, ApiTokenRow]:
    """The tokens, or clients, among ``ids``."""
    return {row.id: ApiTokenRow._make(row) for row in await tx.rows(_BY_IDS, ids=list(ids), of_kind=kind)}


def _presented_rows(signed: Sequence[SignedToken], maker_token_id: UUID | None) -> list[dict[str, Any]]:
    """By what each signed token may have been revoked, with the subject of the API token that made the first."""
    if maker_token_id is not None:
        maker = subject_of_token(TokenId(maker_token_id))
        signed = [*signed, *(SignedToken(f"made by {maker}", maker, token.issued_at) for token in signed[:1])]
    return [
        {"scope": scope, "name": name, "issued_at": token.issued_at}
        for token in signed
        for scope, name in (("TOKEN", token.id), ("SUBJECT", token.subject))
    ]
