"""The demo's businesses: made once, found again later, and shown with fresh credentials.

What is kept of them in the data folder are their ids, never a secret.
"""

import secrets
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import click
import orjson

from api.service import API_TOKEN_KIND
from api.tokens import make_token
from cli.credentials import local_issuer
from cli.demo_business import BUSINESSES, Business, furnish, purchase_count, record_history
from loyalty.rules.ids import CustomerId, TenantId
from loyalty.services.api_token import ApiTokenRequest, create_api_token, end_api_token, list_api_tokens
from loyalty.services.customer import list_customers
from loyalty.services.tenant import provision_tenant
from loyalty.services.tier import list_tiers
from loyalty.services.world import World
from loyalty.storage.customer_lists import CustomerFilter
from loyalty.storage.customers import CustomerOrder, CustomerRow, PointsFilter
from loyalty.storage.window import Window
from permissions.actor import Actor, ActorKind
from permissions.roles import ROLE_PERMISSIONS, Role
from runtime.problems import SetupProblem
from runtime.roles import DatabaseUrls
from runtime.settings import Settings
from tenancy.database import Database

STATE_FILE = "demo.json"
TOKEN_NAME = "Demo booking system"  # noqa: S105 - a name
TOKEN_LIFETIME = timedelta(hours=12)


class Credentials(NamedTuple):
    """One ready bearer token for each kind of caller."""

    manager: str
    staff: str
    customer: str
    integration: str


class Showcase(NamedTuple):
    """What the printed commands are about: somebody just below Gold, and how much it takes."""

    customer: CustomerRow
    amount: str
    currency: str


async def provided_businesses(urls: DatabaseUrls, settings: Settings) -> list[TenantId]:
    """The demo's tenants: those that an earlier run made, or new ones."""
    state = settings.data_dir / STATE_FILE
    owner, app = Database(urls.owner, pool_size=1), Database(urls.app, pool_size=4)
    try:
        known = [TenantId(UUID(text)) for text in orjson.loads(state.read_bytes())] if state.exists() else []
        if known and await _exist(app, known):
            return known
        made = [await _make(business, owner, app) for business in BUSINESSES]
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        state.write_bytes(orjson.dumps([str(tenant_id) for tenant_id in made]))
        return made
    finally:
        await owner.close()
        await app.close()


async def _exist(app: Database, tenants: list[TenantId]) -> bool:
    world = World(app)
    return all([bool(await list_tiers(world, _manager(tenant_id))) for tenant_id in tenants])


async def _make(business: Business, owner: Database, app: Database) -> TenantId:
    now = datetime.now(UTC)
    tenant = await provision_tenant(
        World(owner),
        name=business.name,
        currency=business.currency,
        time_zone=business.time_zone,
        locale=business.locale,
        # Whoever tries the demo may let time pass in it.
        sandbox=True,
    )
    world = World(app)
    await furnish(world, tenant.tenant_id, business, now)

    def at(moment: datetime) -> World:
        return World(app, clock=lambda: moment, programs=world.programs)

    with click.progressbar(length=purchase_count(business), label=f"{business.name:<18}") as bar:
        await record_history(at, tenant.tenant_id, business, now, bar.update)
    return tenant.tenant_id


def _manager(tenant_id: TenantId) -> Actor:
    return Actor(
        kind=ActorKind.STAFF,
        tenant_id=tenant_id,
        subject="demo:owner",
        permissions=ROLE_PERMISSIONS[Role.OWNER],
        display="Demo owner",
    )


async def show(urls: DatabaseUrls, settings: Settings, tenant_id: TenantId) -> tuple[Credentials, Showcase]:
    """Fresh credentials of a tenant, and whom to raise to Gold."""
    app = Database(urls.app, pool_size=1)
    try:
        showcase = await _showcase(World(app), tenant_id)
        return await _credentials(World(app), settings, tenant_id, showcase.customer.id), showcase
    finally:
        await app.close()


async def _showcase(world: World, tenant_id: TenantId) -> Showcase:
    """The Silver customer who is nearest to Gold."""
    actor = _manager(tenant_id)
    silver = next(tier for tier in await list_tiers(world, actor) if tier.name == "Silver")
    wanted = CustomerFilter(having=PointsFilter.ANY, search=None, tier_id=silver.id)
    found = await list_customers(world, actor, wanted, CustomerOrder.POINTS, Window(1))
    if not found:
        raise SetupProblem("Every demo customer has reached Gold: begin anew with `make demo-reset`.")
    customer = found[0][1]
    missing = customer.tier_progress.points_to_next or 1
    return Showcase(customer, f"{missing}.00", customer.points.value.currency)


async def _credentials(world: World, settings: Settings, tenant_id: TenantId, customer_id: CustomerId) -> Credentials:
    issuer, owner = local_issuer(settings), _manager(tenant_id)

    def token(role: Role, subject: str, name: str) -> str:
        return issuer.issue(subject=subject, tenant_id=tenant_id, role=role, name=name, lifetime=TOKEN_LIFETIME).text

    known = [token for token in await list_api_tokens(world, owner) if token.name == TOKEN_NAME]
    for token_before in known:
        await end_api_token(world, owner, token_before.id)
    secret = make_token(API_TOKEN_KIND)
    await create_api_token(
        world,
        owner,
        ApiTokenRequest(
            TOKEN_NAME,
            ROLE_PERMISSIONS[Role.INTEGRATION],
            expires_at=datetime.now(UTC) + TOKEN_LIFETIME,
            # What was sent before a restart of the demo and is sent again counts once.
            replaces=known[0].id if known else None,
        ),
        secret.sha256,
    )
    return Credentials(
        manager=token(Role.MANAGER, "demo:manager", "Mara, manager"),
        staff=token(Role.STAFF, "demo:staff", "Aylin, at the counter"),
        customer=token(Role.CUSTOMER, str(customer_id), "The customer"),
        integration=secret.text,
    )


def banner(settings: Settings, port: int, credentials: Credentials, showcase: Showcase) -> str:
    """What a visitor needs: the address, the tokens, and three commands to paste."""
    url = f"http://{settings.host}:{port}/graphql"
    key, name = showcase.customer.external_id, showcase.customer.full_name
    query = (
        f'{{ customer(by: {{externalId: "{key}"}}) {{ fullName points {{ available value {{ amount currency }} }} '
        "expirySchedule { lastDay points } tier { name } tierProgress { percent pointsToNext next { name } } } }"
    )
    money = f'{{amount: "{showcase.amount}", currency: "{showcase.currency}"}}'
    mutation = (
        f'mutation {{ purchaseRecord(input: {{kind: APPOINTMENT, externalId: "demo-{secrets.token_hex(4)}", '
        f'status: CREATED, customer: {{externalId: "{key}"}}, total: {money}}}) {{ '
        "accrual { points lines { ruleName points explanation } } customer { points { available } tier { name } } "
        "tierUpgrade { previousTier { name } tier { name } } replayed userErrors { code message path } } }"
    )
    subscription = (
        "subscription { tierUpgraded { cursor customer { fullName } previousTier { name } tier { name } occurredAt } }"
    )
    lines = [
        "",
        f"Treue is running:   {url}   (schema: http://{settings.host}:{port}/schema.graphql)",
        "",
        "Bearer tokens of Salon Lindenhof, good for 12 hours (INTEGRATION until the next start):",
        "",
        f"MANAGER={credentials.manager}",
        f"STAFF={credentials.staff}",
        f"CUSTOMER={credentials.customer}",
        f"INTEGRATION={credentials.integration}",
        "",
        "Paste the four lines above into a second terminal, then:",
        "",
        f"1. See {name}, who is Silver:",
        "",
        _curl(url, "STAFF", query),
        "",
        "2. Watch upgrades, in a third terminal with the same tokens (Ctrl-C ends it):",
        "",
        _curl(url, "MANAGER", subscription, stream=True),
        "",
        f"3. Record a purchase that raises {name} to Gold, as a booking system would:",
        "",
        _curl(url, "INTEGRATION", mutation),
        "",
        f"Logs: {settings.data_dir / 'log'}. Ctrl-C stops everything; the data stays.",
    ]
    return "\n".join(lines)


def _curl(url: str, token: str, document: str, *, stream: bool = False) -> str:
    body = orjson.dumps({"query": document}).decode()
    accept = " -N -H 'Accept: text/event-stream'" if stream else ""
    return (
        f"curl -sS{accept} {url} -H \"Authorization: Bearer ${token}\" -H 'Content-Type: application/json' -d '{body}'"
    )
