"""Build the whole service of one process from values: database, events, credentials, API."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.applications import Starlette
from strawberry.dataloader import DataLoader

from api.app import create_app
from api.authentication import Authenticator, Unauthenticated
from api.connections import ACTORS_AT_ONCE
from api.entrance import Entrance
from api.gift_cards import card_route
from api.issuer import ClientClaim, Issuer
from api.live import EventHub
from api.metrics import ServerCollector, ServerMetrics
from api.oauth import PartnerDoor, oauth_routes
from api.oauth_server import SignAccessToken
from api.oidc import StaffProviders
from api.oidc_fetch import fetch_document
from api.oidc_keys import ProviderKeys
from api.operation import OperationRequest
from api.pending_sign_in import PENDING_KIND, PendingSignIns
from api.sessions import CookieJar, StaffSessions
from api.sign_in import SignInDoor, sign_in_routes
from api.sign_in_tokens import SignInTokens
from api.tokens import hash_token, is_token, make_token
from loyalty.rules.budget import BudgetLimits
from loyalty.rules.ids import TenantId
from loyalty.rules.sign_in import SignInAddress, read_sign_in_address
from loyalty.services.authentication import actor_of_client, actor_of_token, admit_actors, find_fallen
from loyalty.services.budget import Budgets
from loyalty.services.customer_token import CustomerGrant
from loyalty.services.oauth_client import end_access_token
from loyalty.services.oidc_issuer import find_oidc_issuer
from loyalty.services.staff_session import find_session
from loyalty.services.world import World
from loyalty.storage.gift_card_codes import NO_CODE_KEYS, CodeKeys
from permissions.actor import Actor
from permissions.catalog import to_grants
from permissions.roles import Role
from schema.context import Context, CustomerTokenSigner, Services
from schema.query_store import QueryStore
from schema.root import treue_schema
from schema.watching import Operation
from tenancy.database import Database
from tenancy.metrics import collect_doors
from tenancy.retry import StaleRead
from tenancy.startup import ANY_REVISION, refuse_unready
from tenancy.tracing import Tracer

CURSORS = "cursors"
ACCESS_TOKEN_LIFETIME = timedelta(hours=1)
LAST_USE_SECONDS = 5.0
"""The time between two writes of the last uses of credentials."""

UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeout, StaleRead)
"""The errors of a database that is away or too busy. `StaleRead` is one: other transactions were faster at each
attempt."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.service")


class Edge(NamedTuple):
    """The settings of an installation's edge: allowed origins, proxies, budgets, and the address that clients call.

    Pages of `allowed_origins` may call for every tenant. `budget` is for tenants without limits of their own. Without
    `persisted_queries` clients cannot name documents by their hash.
    """

    allowed_origins: Collection[str] = ()
    trusted_proxies: Sequence[str] = ()
    public_url: str = ""
    access_token_lifetime: timedelta = ACCESS_TOKEN_LIFETIME
    private_providers: bool = False
    budget: BudgetLimits = BudgetLimits()
    persisted_queries: bool = True


NO_EDGE = Edge()


def build_service(
    database: Database,
    issuer: Issuer,
    edge: Edge = NO_EDGE,
    *,
    codes: CodeKeys = NO_CODE_KEYS,
    planned: bool = True,
    registry: CollectorRegistry | None = None,
    newest_revision: str = ANY_REVISION,
    tracer: Tracer | None = None,
) -> Starlette:
    """Return the ASGI application of one process.

    Without ``planned`` no operation is planned; ``codes`` open gift cards. The process is not ready if the home cluster
    is away, or a cluster is at an older revision than ``newest_revision``. Metrics go into ``registry``; without it
    only the doors to the database count. ``tracer`` gets spans of requests and operations; the ``database`` has its own
    tracer for round trips. The lifespan checks the database role, listens for events, and ends both.
    """
    world = World(database, codes=codes, private_providers=edge.private_providers)
    hub = EventHub(world)

    async def read_token(sha256: str) -> Actor | None:
        return await actor_of_token(world, sha256)

    # Credentials that come in the same turn of the event loop are looked up together. Many clients after a restart
    # cost a few statements, not one for each.
    standings: DataLoader[Actor, Actor] = DataLoader(
        partial(admit_all, world), max_batch_size=ACTORS_AT_ONCE, cache=False
    )

    async def read_standing(actor: Actor) -> Actor:
        return await asyncio.shield(standings.load(actor))

    async def find_fallen_actors(tenant_id: TenantId, actors: Sequence[Actor]) -> set[Actor]:
        return await find_fallen(world, tenant_id, actors)

    async def ready() -> None:
        await refuse_unready(database, newest_revision)

    keys = ProviderKeys(partial(fetch_document, private=world.private_providers))
    providers = StaffProviders(partial(find_oidc_issuer, world), keys, world.clock)
    authenticate = Authenticator(issuer, read_token, read_standing, providers)
    address = read_sign_in_address(edge.public_url)
    door_of_staff = None if address is None else staff_door(world, issuer, keys, read_standing, address)
    budgets = Budgets(database, world.clock, edge.budget)
    cursor_key, *older_cursor_keys = issuer.derive_keys(CURSORS)
    services = Services(
        world,
        hub,
        customer_token_signer(issuer),
        make_secret,
        cursor_key,
        hash_of_secret,
        older_cursor_keys=tuple(older_cursor_keys),
        budgets=budgets,
        queries=QueryStore() if edge.persisted_queries else None,
        sign_in=address,
    )
    entrance = Entrance(authenticate, frozenset(edge.allowed_origins), UNAVAILABLE)
    door = partner_door(world, authenticate, access_token_signer(issuer), edge)

    def make_context(request: OperationRequest) -> Context:
        operation = Operation(request.transport.lower())
        return Context(services, request.actor, request.request_id, request.last_event_id, operation, request.send_now)

    metrics = None if registry is None else ServerMetrics(registry)
    schema = treue_schema(UNAVAILABLE, planned=planned)
    schema.watch = metrics
    schema.tracer = tracer

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        await refuse_unready(database)
        await hub.start()
        writing = asyncio.create_task(write_last_uses(world))
        try:
            yield
        finally:
            writing.cancel()
            await hub.stop()
            with contextlib.suppress(*UNAVAILABLE):
                await world.uses.write(database)
            await budgets.book_all()
            await database.close()

    app = create_app(
        schema,
        authenticate,
        make_context,
        find_fallen_actors,
        ready,
        allowed_origins=edge.allowed_origins,
        trusted_proxies=edge.trusted_proxies,
        more_routes=[
            *oauth_routes(door),
            card_route(world, entrance, budgets),
            *(sign_in_routes(door_of_staff) if door_of_staff else ()),
        ],
        lifespan=lifespan,
        watch=metrics,
        tracer=tracer,
        sessions=door_of_staff.sessions if door_of_staff else None,
    )
    if metrics is not None:
        metrics.collect_from(collect_doors("app", database), ServerCollector(app.state.connections, hub))
    return app


def staff_door(
    world: World,
    issuer: Issuer,
    keys: ProviderKeys,
    read_standing: Callable[[Actor], Awaitable[Actor]],
    address: SignInAddress,
) -> SignInDoor:
    """Return the parts that the addresses of browser sign-in need."""
    return SignInDoor(
        world=world,
        sessions=StaffSessions(CookieJar(address), partial(find_session, world), read_standing),
        pending=PendingSignIns(issuer.derive_keys(PENDING_KIND)),
        keys=keys,
        tokens=SignInTokens(keys, world.clock),
        read_standing=read_standing,
        unavailable=UNAVAILABLE,
    )


def partner_door(world: World, authenticate: Authenticator, sign: SignAccessToken, edge: Edge) -> PartnerDoor:
    """Return the parts that the OAuth endpoints need."""

    async def revoke(actor: Actor) -> None:
        if actor.token_id is not None:
            await end_access_token(world, actor.tenant_id, actor.token_id, actor.signed[0].id)

    return PartnerDoor(
        find_client=partial(actor_of_client, world),
        find_bearer=authenticate.actor_of,
        revoke=revoke,
        sign=sign,
        lifetime_seconds=int(edge.access_token_lifetime.total_seconds()),
        unavailable=UNAVAILABLE,
        public_url=edge.public_url.rstrip("/"),
    )


async def write_last_uses(world: World) -> None:
    """Write the times of credentials' last uses every few seconds, until cancelled."""
    while True:
        await asyncio.sleep(LAST_USE_SECONDS)
        try:
            await world.uses.write(world.database)
        except UNAVAILABLE as error:
            log.info("last uses are written later", reason=type(error).__name__)


async def admit_all(world: World, actors: Sequence[Actor]) -> list[Actor | Exception]:
    """Admit the actors of requests that came together.

    Return each with its standing now, in the same order, or the error that refuses the actor. The standings of a tenant
    are read with one statement; where an invitation is accepted, it is written and the standings are read again. An
    error affects only the actors of its tenant.
    """
    by_tenant: defaultdict[TenantId, list[Actor]] = defaultdict(list)
    for actor in actors:
        by_tenant[actor.tenant_id].append(actor)
    answers = await asyncio.gather(
        *(admit_actors(world, tenant_id, asked) for tenant_id, asked in by_tenant.items()), return_exceptions=True
    )
    found: dict[Actor, Actor | Exception] = {}
    for asked, answer in zip(by_tenant.values(), answers, strict=True):
        if isinstance(answer, Exception):
            found |= dict.fromkeys(asked, answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            for actor, admitted in zip(asked, answer, strict=True):
                found[actor] = Unauthenticated("The token is not valid.") if admitted is None else admitted
    return [found[actor] for actor in actors]


def customer_token_signer(issuer: Issuer) -> CustomerTokenSigner:
    """Return a function that signs customer tokens. A token holds its grants, and the credential with which it ends."""

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
            maker=next(iter(maker.signed), None),
            maker_token_id=maker.token_id,
        )
        return token.text, token.expires_at

    return sign


def access_token_signer(issuer: Issuer) -> SignAccessToken:
    """Return a function that signs access tokens of OAuth clients.

    A token holds its client, the secret used, and its scope.
    """

    def sign(client: Actor, scope: str, lifetime_seconds: int) -> str:
        if client.token_id is None or client.secret_mark is None:
            raise ValueError("an access token is for a client that showed its secret")
        return issuer.issue(
            subject=client.subject,
            tenant_id=client.tenant_id,
            role=Role.INTEGRATION,
            name=client.display,
            lifetime=timedelta(seconds=lifetime_seconds),
            grants=tuple(scope.split()),
            ends_by=client.expires_at,
            client=ClientClaim(client.token_id, client.secret_mark),
        ).text

    return sign


def make_secret(kind: str) -> tuple[str, str]:
    """Make a secret for a credential; returns it with the SHA-256 by which it is found."""
    token = make_token(kind)
    return token.text, token.sha256


def hash_of_secret(text: str) -> str | None:
    """Return the SHA-256 of an API token's secret; None if the text cannot be one."""
    return hash_token(text) if is_token(text) else None
