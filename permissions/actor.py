"""Who is calling. An actor comes from a credential only, and so does its tenant."""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.ids import CustomerId, TenantId, TokenId
from loyalty.rules.location import Scope
from loyalty.rules.origins import Origin, is_allowed
from loyalty.rules.trusted_document import NO_POLICY, DocumentPolicy, DocumentRule
from permissions.catalog import SELF_PERMISSIONS, Permission
from permissions.roles import SYSTEM_PERMISSIONS, HeldRole

MAX_DISPLAY_LENGTH = 120
MARK_LENGTH = 16
"""Digits of the hash of a secret that tell the two secrets of one credential apart."""


class ActorKind(DescribedEnum):
    """What sort of caller a credential stands for."""

    STAFF = "STAFF", "A person of the tenant's team."
    API_TOKEN = "API_TOKEN", "A partner system: with an API token, or with an access token of its OAuth client."
    CUSTOMER = "CUSTOMER", "A customer, in the tenant's own app."
    SYSTEM = "SYSTEM", "The service itself, in the background."
    PLATFORM = "PLATFORM", "The platform that the tenant is on; only the audit log tells of it."


class SignedToken(NamedTuple):
    """What a signed token (a JWT) can be revoked by: its own id, or its subject with all that was issued until then."""

    id: str
    subject: str
    issued_at: datetime


class IssuerMark(NamedTuple):
    """The identity provider that a person of the team signed in at, as their tenant had set it then."""

    id: UUID
    version: int


class SessionMark(NamedTuple):
    """The session of a person who signed in with a browser, and when it began."""

    id: UUID
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The caller of one operation.

    `subject` is stable and goes into the audit trail; `display` is for people (a name) and may change. `expires_at`
    is the end of the credential (aware UTC), None for one without end. `customer_id` is set for customers only,
    `token_id` for API tokens only. `former_ids` are those of customers who have become this one.

    An API token that replaces another one shares its idempotency keys: `token_client_id` is the first of them.
    A signed token stands in `signed`, followed by the signed token that made it. A customer's token that an API token
    made names it in `maker_token_id`. A token ends with its maker.

    A partner system proves itself with a secret, `secret_mark`, and may be held to `networks` in CIDR form. It has an
    API token, or an access token (`signed`) that an OAuth client got for its secret; `token_id` is either.

    `issuer` is the tenant's own identity provider that a person signed in at. `session` is set where they did so with a
    browser; `signed` then names the session as a signed token is named.

    Such a person has the roles that the provider's claim stands for (`claimed`, ids of roles), or those of a member of
    the team (`member_id`), found by the subject; `email` is what the provider has verified, by which an invitation is
    accepted. `roles` are those of a person as they stand, and `daily_points` how many points a day they may adjust
    where they hold `points:adjust` alone.

    `locations` is the scope of a member or an API token: the external ids of the locations that they work at. None is
    the whole business.

    `loyalty_entitled` tells whether the platform grants the module, `loyalty_enabled` whether it is on as well.

    `documents` says who may run trusted documents only, and how often the tenant has changed those.

    `origin` is that of the browser page that calls, None for servers and apps. `allowed_origins` are what the tenant
    allows.
    """

    kind: ActorKind
    tenant_id: TenantId
    subject: str
    permissions: frozenset[Permission]
    display: str
    customer_id: CustomerId | None = None
    former_ids: frozenset[CustomerId] = frozenset()
    expires_at: datetime | None = None
    token_id: TokenId | None = None
    token_client_id: TokenId | None = None
    signed: tuple[SignedToken, ...] = ()
    maker_token_id: TokenId | None = None
    secret_mark: str | None = None
    networks: tuple[str, ...] | None = None
    issuer: IssuerMark | None = None
    session: SessionMark | None = None
    claimed: frozenset[UUID] = frozenset()
    email: str | None = None
    member_id: UUID | None = None
    roles: tuple[HeldRole, ...] = ()
    daily_points: int = 0
    locations: Scope = None
    loyalty_enabled: bool = True
    loyalty_entitled: bool = True
    allowed_origins: frozenset[str] = frozenset()
    origin: Origin | None = None
    documents: DocumentPolicy = NO_POLICY

    @property
    def client(self) -> str:
        """The name of whom the credential stands for, the same for every credential of theirs.

        An API token is a client of its own, unless it replaces another one. A person of the team is one by their
        subject, a customer by their id.
        """
        if self.kind is ActorKind.CUSTOMER:
            return client_of_customer(self.customer_id)
        if self.kind is ActorKind.API_TOKEN:
            return subject_of_token(self.token_client_id or self.token_id)
        return f"{self.kind.lower()}:{self.subject}"

    @property
    def credential(self) -> str:
        """The name of the credential itself, which what it makes is kept with."""
        return f"jwt:{self.signed[0].id}" if self.signed else self.subject

    @property
    def clients(self) -> tuple[str, ...]:
        """Every name whose idempotency keys are this caller's: `client` first, then the customers merged into it."""
        return (self.client, *sorted(client_of_customer(former_id) for former_id in self.former_ids))

    @property
    def rights(self) -> Hashable:
        """What the answer to a question may depend on. Who asks does not count, only what they may read.

        Callers with equal rights share answers (`schema/fan_out.py`), so whatever a field reads of its caller is here.
        """
        return (
            self.tenant_id,
            self.kind,
            self.permissions,
            self.customer_id,
            self.former_ids,
            self.locations,
            self.loyalty_enabled,
            self.loyalty_entitled,
        )

    @property
    def comes_from_allowed_page(self) -> bool:
        """Whether the tenant lets the calling page call; servers and apps are no pages, and always may."""
        return self.origin is None or is_allowed(self.origin, self.allowed_origins)

    @property
    def runs_trusted_documents_only(self) -> bool:
        """Whether the tenant refuses other documents of this caller. A caller who may change that rule runs all."""
        if Permission.LOYALTY_MANAGE in self.permissions:
            return False
        rule = self.documents.rule
        return rule is DocumentRule.EVERYBODY or (rule is DocumentRule.CUSTOMERS and self.kind is ActorKind.CUSTOMER)

    def __post_init__(self) -> None:
        """Refuse an actor that contradicts itself: a customer without an id would read nobody's data or everybody's."""
        if (self.kind is ActorKind.CUSTOMER) != (self.customer_id is not None):
            raise ValueError("customer_id is set exactly for actors of kind CUSTOMER")
        if self.kind is ActorKind.CUSTOMER and self.permissions - SELF_PERMISSIONS:
            raise ValueError("A customer holds no permission but over themselves")
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            raise ValueError("expires_at needs a time zone")


def client_of_customer(customer_id: CustomerId | None) -> str:
    """The client that a customer is."""
    return f"customer:{customer_id}"


def mark_of_secret(sha256: str) -> str:
    """What tells a secret from another one of the same credential, made of its hash."""
    return sha256[:MARK_LENGTH]


def subject_of_token(token_id: TokenId | None) -> str:
    """The subject of an API token."""
    return f"token:{token_id}"


def system_actor(tenant_id: TenantId, subject: str) -> Actor:
    """The actor of background work for one tenant; `subject` names the job, such as `worker:maturing`."""
    return Actor(
        kind=ActorKind.SYSTEM,
        tenant_id=tenant_id,
        subject=subject,
        permissions=SYSTEM_PERMISSIONS,
        display="Treue",
    )


def platform_actor(tenant_id: TenantId, subject: str, display: str) -> Actor:
    """The platform, as the audit log of a tenant names it. It holds no permission in any tenant."""
    return Actor(
        kind=ActorKind.PLATFORM, tenant_id=tenant_id, subject=subject, permissions=frozenset(), display=display
    )


def subject_at_provider(issuer_id: UUID, subject: str) -> str:
    """The subject of a person who signs in at a provider of their tenant; ``subject`` is the claim `sub`."""
    return f"oidc:{issuer_id}:{subject}"
