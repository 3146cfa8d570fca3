"""The actor: the caller of an operation. An actor comes only from a credential, and so does its tenant."""

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
"""The number of digits of a secret's hash that distinguish two secrets of one credential."""


class ActorKind(DescribedEnum):
    """What sort of caller a credential stands for."""

    STAFF = "STAFF", "A person of the tenant's team."
    API_TOKEN = "API_TOKEN", "A partner system: with an API token, or with an access token of its OAuth client."
    CUSTOMER = "CUSTOMER", "A customer, in the tenant's own app."
    SYSTEM = "SYSTEM", "The service itself, in the background."
    PLATFORM = "PLATFORM", "The platform that the tenant is on; only the audit log tells of it."


class SignedToken(NamedTuple):
    """A signed token (a JWT) as a revocation names it: by its id, or by its subject and the time of issue."""

    id: str
    subject: str
    issued_at: datetime


class IssuerMark(NamedTuple):
    """The identity provider at which a person of the team signed in, at the version that it had then."""

    id: UUID
    version: int


class SessionMark(NamedTuple):
    """The browser session of a person, and when it began."""

    id: UUID
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The caller of one operation.

    `subject` is stable and goes into the audit log; `display` is a name for people and may change. `expires_at` is the
    end of the credential (aware UTC); None if it has no end. `customer_id` is set only for customers, `token_id` only
    for API tokens and OAuth clients. `former_ids` are the ids of customers who were merged into this customer.

    An API token that replaces another one shares its idempotency keys: `token_client_id` is the first of these tokens.
    `signed` names a signed token, followed by the signed token that made it. A customer's token that an API token made
    names this API token in `maker_token_id`. A token ends with its maker.

    A partner system has an API token, or an access token (`signed`) that an OAuth client got for its secret. `token_id`
    is the API token or the OAuth client. `secret_mark` stands for the secret. The credential may be limited to
    `networks` in CIDR form.

    `issuer` is the tenant's own identity provider at which a person signed in. `session` is set if the person signed in
    with a browser; `signed` then names the session as it names a signed token.

    Such a person has the roles of the provider's claim (`claimed`, ids of roles), or the role of a member of the team
    (`member_id`), who is found by the subject. `email` is the address that the provider has verified: it accepts an
    invitation. `roles` are the person's present roles. `daily_points` is how many points a day the person may adjust
    with only `points:adjust`.

    `locations` is the scope of locations of a member or an API token: external ids. None is the whole business.

    `loyalty_entitled` says whether the platform grants the module; `loyalty_enabled` whether the program is on as well.

    `documents` says who may run only trusted documents, and how often the tenant has changed its trusted
    documents.

    `origin` is the origin of the browser page that calls; None for servers and apps. `allowed_origins` are the origins
    that the tenant allows.
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
        """The name of the client, the same for every credential of this client.

        An API token is a client of its own, unless it replaces another one. A person of the team is a client by their
        subject, a customer by their id.
        """
        if self.kind is ActorKind.CUSTOMER:
            return client_of_customer(self.customer_id)
        if self.kind is ActorKind.API_TOKEN:
            return subject_of_token(self.token_client_id or self.token_id)
        return f"{self.kind.lower()}:{self.subject}"

    @property
    def credential(self) -> str:
        """The name of the credential itself. It is stored with the credentials that this one makes."""
        return f"jwt:{self.signed[0].id}" if self.signed else self.subject

    @property
    def clients(self) -> tuple[str, ...]:
        """All names whose idempotency keys belong to this caller: `client` first, then the customers merged into it."""
        return (self.client, *sorted(client_of_customer(former_id) for former_id in self.former_ids))

    @property
    def rights(self) -> Hashable:
        """The rights of the actor: everything that an answer may depend on.

        The identity of the caller is not among them. Callers with equal rights share answers (`schema/fan_out.py`). So
        if a field reads something of its caller, it must be here.
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
        """Whether the tenant allows the calling page. Servers and apps are not pages, and are always allowed."""
        return self.origin is None or is_allowed(self.origin, self.allowed_origins)

    @property
    def runs_trusted_documents_only(self) -> bool:
        """Whether the tenant refuses all but trusted documents of this caller.

        A caller who may change that rule runs every document.
        """
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
    """Return the name of a customer as a client."""
    return f"customer:{customer_id}"


def mark_of_secret(sha256: str) -> str:
    """Return the mark that distinguishes a secret from another one of the same credential, made of its hash."""
    return sha256[:MARK_LENGTH]


def subject_of_token(token_id: TokenId | None) -> str:
    """Return the subject of an API token."""
    return f"token:{token_id}"


def system_actor(tenant_id: TenantId, subject: str) -> Actor:
    """Return the actor of background work for one tenant; `subject` names the job, such as `worker:maturing`."""
    return Actor(
        kind=ActorKind.SYSTEM,
        tenant_id=tenant_id,
        subject=subject,
        permissions=SYSTEM_PERMISSIONS,
        display="Treue",
    )


def platform_actor(tenant_id: TenantId, subject: str, display: str) -> Actor:
    """Return the platform as the audit log of a tenant names it. It has no permission in any tenant."""
    return Actor(
        kind=ActorKind.PLATFORM, tenant_id=tenant_id, subject=subject, permissions=frozenset(), display=display
    )


def subject_at_provider(issuer_id: UUID, subject: str) -> str:
    """Return the subject of a person who signs in at a provider of their tenant; ``subject`` is the claim `sub`."""
    return f"oidc:{issuer_id}:{subject}"
