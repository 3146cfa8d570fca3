"""The whole service of one process, put together from values: database, events, credentials, API."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.applications import Starlette
from strawberry.dataloader import DataLoader

from api.app import create_app
from api.authentication import Authenticator, Unauthenticated
from api.connections import ACTORS_AT_ONCE
from api.issuer import Issuer
from api.live import EventHub
from api.operation import OperationRequest
from api.tokens import make_token
from loyalty.rules.ids import TenantId
from loyalty.services.authentication import actor_of_token, find_fallen, refresh_actors
from loyalty.services.customer_token import CustomerGrant
from loyalty.services.world import World
from loyalty.storage.gift_card_codes import NO_CODE_KEYS, CodeKeys
from permissions.actor import Actor
from permissions.catalog import to_grants
from permissions.roles import Role
from schema.context import Context, CustomerTokenSigner, Services
from schema.root import treue_schema
from tenancy.database import Database
from tenancy.retry import StaleRead
from tenancy.startup import refuse_unsafe_role

CURSORS = "cursors"
API_TOKEN_KIND = "api"  # noqa: S105 - a word in the token's prefix
UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeout, StaleRead)
"""What the database raises when it is away, or too busy to answer; others may have been faster in every attempt."""


def build_service(
    database: Database,
    issuer: Issuer,
    *,
    codes: CodeKeys = NO_CODE_KEYS,
    allowed_origins: Collection[str] = (),
    planned: bool = True,
) -> Starlette:
    """The ASGI application of one process. Without ``planned`` no operation is planned; ``codes`` open gift cards.

    Pages of ``allowed_origins`` may call for every tenant.

    Its lifespan checks the database role, listens for events, and ends both.
    """
    world = World(database, codes=codes)
    hub = EventHub(world)

    async def read_token(sha256: str) -> Actor | None:
        return await actor_of_token(world, sha256)

    async def refresh(actors: list[Actor]) -> Sequence[Actor | Exception]:
        return await refresh_all(world, actors)

    # Credentials that come in the same turn of the event loop are looked up together: a crowd after a restart
    # costs a few statements, not one for each.
    standings: DataLoader[Actor, Actor] = DataLoader(refresh, max_batch_size=ACTORS_AT_ONCE, cache=False)

    async def read_standing(actor: Actor) -> Actor:
        return await asyncio.shield(standings.load(actor))

    async def find_fallen_actors(tenant_id: TenantId, actors: Sequence[Actor]) -> set[Actor]:
        return await find_fallen(world, tenant_id, actors)

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
        treue_schema(UNAVAILABLE, planned=planned),
        Authenticator(issuer, read_token, read_standing),
        make_context,
        find_fallen_actors,
        ready,
        allowed_origins=allowed_origins,
        lifespan=lifespan,
    )


async def refresh_all(world: World, actors: Sequence[Actor]) -> list[Actor | Exception]:
    """The actors as they stand now, in their order, one statement for each tenant; an error for who does not stand.

    An error of one tenant's statement is that of its actors alone.
    """
    by_tenant: defaultdict[TenantId, list[Actor]] = defaultdict(list)
    for actor in actors:
        by_tenant[actor.tenant_id].append(actor)
    answers = await asyncio.gather(
        *(refresh_actors(world, tenant_id, asked) for tenant_id, asked in by_tenant.items()), return_exceptions=True
    )
    found: dict[Actor, Actor | Exception] = {}
    for asked, answer in zip(by_tenant.values(), answers, strict=True):
        if isinstance(answer, Exception):
            found |= dict.fromkeys(asked, answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            for actor, refreshed in zip(asked, answer, strict=True):
                found[actor] = Unauthenticated("The token is not valid.") if refreshed is None else refreshed
    return [found[actor] for actor in actors]


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
            token_id=grant.id,
            issued_at=grant.issued_at,
            maker=maker.token_id or next(iter(maker.signed), None),
        )
        return token.text, token.expires_at

    return sign
