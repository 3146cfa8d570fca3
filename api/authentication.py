"""Turn a credential into an actor. No other module makes an actor of a request, so no other one leads to a tenant.

An API token is found by its hash. A JWT is verified here, and then its standing is read: do the tenant and the staff
member or customer still exist? A credential may be limited to networks. Callers learn only that the credential was
refused, never why.
"""

import datetime as dt
import uuid
from collections.abc import Awaitable, Callable

import structlog

from api.issuer import MAX_TOKEN_LENGTH, Claims, ClientClaim, InvalidToken, Issuer
from api.oidc import StaffProviders, names_another_issuer
from api.tokens import PREFIX, hash_token, is_token
from loyalty.rules.ids import CustomerId
from loyalty.rules.network import is_within
from permissions.actor import MAX_DISPLAY_LENGTH, Actor, ActorKind
from permissions.catalog import Permission, parse_grants
from permissions.roles import ROLE_PERMISSIONS, Role, most_daily_points, team_roles_of

SCHEME = "bearer"
MAX_HEADER_LENGTH = MAX_TOKEN_LENGTH + len("Bearer ")

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.authentication")


class Unauthenticated(Exception):
    """The request has no credential (`missing` is True), or one that is not valid now.

    The WWW-Authenticate header differs.
    """

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        self.missing = missing
        super().__init__(reason)


class Authenticator:
    """Turns the value of an Authorization header into an actor.

    `read_token` finds the actor of an API token by its SHA-256; None if the token does not exist or is revoked.
    `read_standing` takes the actor that a valid JWT describes, and returns the actor with its standing now. It raises
    `Unauthenticated` if the tenant, person or customer no longer exists. Both may raise other errors if the database is
    away; such an error is not a refusal.
    """

    def __init__(
        self,
        issuer: Issuer,
        read_token: Callable[[str], Awaitable[Actor | None]],
        read_standing: Callable[[Actor], Awaitable[Actor]],
        providers: StaffProviders | None = None,
    ) -> None:
        self._issuer = issuer
        self._read_token = read_token
        self._read_standing = read_standing
        self._providers = providers

    async def __call__(self, authorization: str | None, peer: str | None = None) -> Actor:
        """Return the actor of a credential that was sent from the address `peer`.

        Raises `Unauthenticated` if the credential is not valid, and `TenantNotActive` if its tenant is suspended or
        closed.
        """
        actor = await self.actor_of(bearer_credential(authorization))
        refuse_other_networks(actor, peer)
        return actor

    async def actor_of(self, credential: str) -> Actor:
        """Return the actor of a credential, for any address. Raises the same errors as `__call__`."""
        if credential.startswith(PREFIX):
            return await self._actor_of_token(credential)
        return await self._actor_of_jwt(credential)

    async def _actor_of_token(self, token: str) -> Actor:
        if not is_token(token):
            raise Unauthenticated("The API token is malformed.")
        actor = await self._read_token(hash_token(token))
        if actor is None or is_expired(actor):
            raise Unauthenticated("The API token is not valid.")
        return actor

    async def _actor_of_jwt(self, token: str) -> Actor:
        try:
            claims = self._issuer.verify(token)
        except InvalidToken as refused:
            if self._providers is not None and names_another_issuer(token):
                return await self._actor_of_provider(self._providers, token)
            raise _refuse_jwt(refused) from None
        return await self._read_standing(actor_of_claims(claims))

    async def _actor_of_provider(self, providers: StaffProviders, token: str) -> Actor:
        """Return the actor of a token that a tenant's identity provider signed.

        If the standing refuses the token, the provider is read again. The token is refused unless the provider has
        changed.
        """
        try:
            presented = await providers.actor_of(token)
            try:
                return await self._read_standing(presented)
            except Unauthenticated:
                providers.forget(presented)
                again = await providers.actor_of(token)
        except InvalidToken as refused:
            raise _refuse_jwt(refused) from None
        if again.issuer == presented.issuer:
            raise Unauthenticated("The token is not valid.")
        return await self._read_standing(again)


def _refuse_jwt(refused: InvalidToken) -> Unauthenticated:
    log.info("a JWT was refused", reason=str(refused))
    return Unauthenticated("The token is not valid.")


def actor_of_claims(claims: Claims) -> Actor:
    """Return the actor that the claims of a valid JWT describe.

    Grants narrow the permissions of its role and never add any.
    """
    if claims.client is not None:
        return _actor_of_client(claims, claims.client)
    permissions: frozenset[Permission] = ROLE_PERMISSIONS[claims.role]
    if claims.grants is not None:
        permissions &= parse_grants(claims.grants)
    is_customer = claims.role is Role.CUSTOMER
    roles = team_roles_of(claims.role)
    return Actor(
        kind=ActorKind.CUSTOMER if is_customer else ActorKind.STAFF,
        tenant_id=claims.tenant_id,
        subject=claims.subject,
        permissions=permissions,
        display=claims.name[:MAX_DISPLAY_LENGTH],
        customer_id=CustomerId(uuid.UUID(claims.subject)) if is_customer else None,
        expires_at=claims.expires_at,
        signed=(claims.signed,) if claims.maker is None else (claims.signed, claims.maker),
        maker_token_id=claims.maker_token_id,
        roles=roles,
        daily_points=most_daily_points(roles),
    )


def _actor_of_client(claims: Claims, client: ClientClaim) -> Actor:
    """Return the actor of an OAuth client's access token.

    The permissions of the client are read later, with its standing.
    """
    return Actor(
        kind=ActorKind.API_TOKEN,
        tenant_id=claims.tenant_id,
        subject=claims.subject,
        permissions=parse_grants(claims.grants or ()),
        display=claims.name[:MAX_DISPLAY_LENGTH],
        expires_at=claims.expires_at,
        token_id=client.id,
        secret_mark=client.secret_mark,
        signed=(claims.signed,),
    )


def refuse_other_networks(actor: Actor, peer: str | None) -> None:
    """Raise `Unauthenticated` if the credential is limited to networks and the caller's address is in none of them."""
    if actor.networks is not None and not is_within(peer, actor.networks):
        log.info("a credential was refused outside of its networks", subject=actor.subject, address=peer)
        raise Unauthenticated("The API token is not valid.")


def is_expired(actor: Actor) -> bool:
    """Whether the actor's credential has ended."""
    return actor.expires_at is not None and actor.expires_at <= dt.datetime.now(dt.UTC)


def bearer_credential(authorization: str | None) -> str:
    """Return the credential in an Authorization header. Raises `Unauthenticated` if the header holds none."""
    if not authorization:
        raise Unauthenticated("A credential is required.", missing=True)
    if len(authorization) > MAX_HEADER_LENGTH or not authorization.isascii():
        raise Unauthenticated("The Authorization header is malformed.")
    scheme, _, credential = authorization.partition(" ")
    if scheme.lower() != SCHEME:
        raise Unauthenticated("The Authorization header must use the Bearer scheme.")
    credential = credential.strip(" ")
    if not credential or not credential.isprintable() or " " in credential:
        raise Unauthenticated("The Authorization header is malformed.")
    return credential
