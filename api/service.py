"""The whole service of one process, put together from values: database, events, credentials, API."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.applications import Starlette

from api.app import create_app
from api.authentication import Authenticator, Unauthenticated
from api.issuer import Issuer
from api.live import EventHub
from api.operation import OperationRequest
from api.tokens import make_token
from loyalty.rules.errors import TenantSuspended
from loyalty.services.authentication import actor_of_token, refreshed_actor
from loyalty.services.customer_token import CustomerGrant
from loyalty.services.world import World
from permissions.actor import Actor
from permissions.catalog import to_grants
from permissions.roles import Role
from schema.context import Context, CustomerTokenSigner, Services
from schema.root import treue_schema
from tenancy.database import Database
from tenancy.startup import refuse_unsafe_role

CURSORS = "cursors"
API_TOKEN_KIND = "api"  # noqa: S105 - a word in the token's prefix
UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeout)
"""What the database raises when it is away, or too busy to answer."""


def build_service(database: Database, issuer: Issuer, *, cors_origins: Sequence[str] = ()) -> Starlette:
    """The ASGI application of one process. Its lifespan checks the database role, listens for events, and ends both."""
    world = World(database)
    hub = EventHub(world)

    async def read_token(sha256: str) -> Actor | None:
        return await actor_of_token(world, sha256)

    async def read_standing(actor: Actor) -> Actor:
        refreshed = await refreshed_actor(world, actor)
        if refreshed is None:
            raise Unauthenticated("The token is not valid.")
        return refreshed

    async def still_valid(actor: Actor) -> bool:
        try:
            refreshed = await refreshed_actor(world, actor)
        except TenantSuspended:
            return False
        # Who has become another customer has to connect anew, to be followed as that one.
        return refreshed is not None and refreshed.customer_id == actor.customer_id

    async def ready() -> None:
        await refuse_unsafe_role(database)

    def new_api_token() -> tuple[str, str]:
        token = make_token(API_TOKEN_KIND)
        return token.text, token.sha256

    services = Services(world, hub, customer_token_signer(issuer), new_api_token, issuer.derive_key(CURSORS))

    def make_context(request: OperationRequest) -> Context:
        return Context(services, request.actor, request.request_id, request.last_event_id)

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        await refuse_unsafe_role(database)
        await hub.start()
        try:
            yield
        finally:
            await hub.stop()
            await database.close()

    return create_app(
        treue_schema(UNAVAILABLE),
        Authenticator(issuer, read_token, read_standing),
        make_context,
        still_valid,
        ready,
        cors_origins=cors_origins,
        lifespan=lifespan,
    )


def customer_token_signer(issuer: Issuer) -> CustomerTokenSigner:
    """What signs customer tokens: each says what it was granted, and which credential it ends with."""

    def sign(maker: Actor, grant: CustomerGrant) -> tuple[str, datetime]:
        token = issuer.issue(
            subject=str(grant.customer_id),
            tenant_id=maker.tenant_id,
            role=Role.CUSTOMER,
            name="Customer",
            lifetime=grant.lifetime,
            grants=to_grants(grant.permissions),
            ends_by=grant.ends_by,
            maker=maker.token_id or next(iter(maker.signed), None),
        )
        return token.text, token.expires_at

    return sign
