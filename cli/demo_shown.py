"""Make fresh credentials for the demo, write them into a file for the shell, and print three commands about a customer.

A visitor of the demo may rename or delete its tiers, rules and customers, and switch the program off. So this module
relies on nothing but the tenant: it chooses one of the customers that exist, and prints what it finds.
"""

import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import orjson

from api.tokens import make_token
from cli.addresses import address_of
from cli.credentials import local_issuer
from cli.demo_tenants import demo_owner
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.ids import CustomerId, TenantId
from loyalty.rules.program_checks import ProgramCheck
from loyalty.services.api_token import ApiTokenRequest, create_api_token, end_api_token, list_api_tokens
from loyalty.services.customer import list_customers
from loyalty.services.profile import upsert_customers
from loyalty.services.program import check_program
from loyalty.services.world import World
from loyalty.storage.customer_lists import CustomerFilter
from loyalty.storage.customers import CustomerOrder, CustomerRow, PointsFilter
from loyalty.storage.window import Window
from permissions.actor import Actor
from permissions.roles import ROLE_PERMISSIONS, Role
from runtime.roles import DatabaseUrls
from runtime.settings import Settings
from schema.context import API_TOKEN
from tenancy.database import Database

TOKEN_NAME = "Demo booking system"  # noqa: S105 - a name
TOKEN_LIFETIME = timedelta(hours=12)
ENVIRONMENT_FILE = "demo.env"
LOOKED_AT = 100
"""The number of customers among whom the demo chooses the one that it shows."""
EVERYBODY = CustomerFilter(having=PointsFilter.ANY, search=None, tier_id=None)
VISITOR = "demo-visitor"


class Credentials(NamedTuple):
    """One ready bearer token for each kind of caller."""

    manager: str
    staff: str
    customer: str
    integration: str


class Shown(NamedTuple):
    """What the printed text names.

    It names a customer, the ``amount`` of a purchase that lifts the customer to the next tier, the credentials, and the
    checks that the program fails.
    """

    customer: CustomerRow
    amount: str
    currency: str
    credentials: Credentials
    checks: list[ProgramCheck]


async def prepare_shown(urls: DatabaseUrls, settings: Settings, tenant_id: TenantId) -> Shown:
    """Make fresh credentials for a tenant, and choose the customer and the amount that the printed commands name."""
    app = Database(urls.app, pool_size=1)
    try:
        world, owner = World(app), demo_owner(tenant_id)
        customer = await _choose_customer(world, owner)
        missing = customer.tier_progress.points_to_next or 10
        credentials = await _credentials(world, settings, owner, customer.id)
        checks = [one for one in await check_program(world, owner) if one.code in {"PROGRAM_OFF", "NOTHING_EARNS"}]
        return Shown(customer, f"{missing}.00", customer.points.value.currency, credentials, checks)
    finally:
        await app.close()


async def _choose_customer(world: World, owner: Actor) -> CustomerRow:
    """Return the customer who is nearest to the next tier, preferably one who already has a tier.

    If nobody has a next tier, returns any customer. If there is no customer, creates one.
    """
    found = [
        customer
        for _, customer in await list_customers(world, owner, EVERYBODY, CustomerOrder.POINTS, Window(LOOKED_AT))
    ]
    ahead = [customer for customer in found if customer.tier_progress.points_to_next]
    # A customer with a tier shows more than a customer below the first tier.
    in_a_tier = [customer for customer in ahead if customer.tier_progress.current]
    if in_a_tier or ahead:
        return min(in_a_tier or ahead, key=lambda customer: customer.tier_progress.points_to_next or 0)
    if found:
        return found[0]
    made = await upsert_customers(world, owner, [CustomerProfile(VISITOR, full_name="Vera Visitor")])
    (customer,) = made
    if isinstance(customer, Exception):
        raise customer
    return customer


async def _credentials(world: World, settings: Settings, owner: Actor, customer_id: CustomerId) -> Credentials:
    """Make new bearer tokens, and replace the API token of an earlier start."""
    issuer, tenant_id = local_issuer(settings), owner.tenant_id

    def token(role: Role, subject: str, name: str) -> str:
        return issuer.issue(subject=subject, tenant_id=tenant_id, role=role, name=name, lifetime=TOKEN_LIFETIME).text

    known = [token for token in await list_api_tokens(world, owner) if token.name == TOKEN_NAME]
    for token_before in known:
        await end_api_token(world, owner, token_before.id)
    secret = make_token(API_TOKEN)
    await create_api_token(
        world,
        owner,
        ApiTokenRequest(
            TOKEN_NAME,
            ROLE_PERMISSIONS[Role.INTEGRATION],
            expires_at=datetime.now(UTC) + TOKEN_LIFETIME,
            # The new token replaces the old one, so a request repeated after a restart of the demo counts once.
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


def write_environment(settings: Settings, port: int, credentials: Credentials) -> Path:
    """Write the tokens into a file that a shell can source. Only the owner of the file can read it."""
    path = settings.data_dir / ENVIRONMENT_FILE
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    lines = [f"TREUE_URL={address_of(settings.host, port)}/graphql", *_lines(credentials)]
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("".join(f"export {line}\n" for line in lines))
    unfinished.replace(path)
    return path


def _lines(credentials: Credentials) -> list[str]:
    """Return a line for each token: the name of its variable, and the token."""
    return [f"{name.upper()}={token}" for name, token in credentials._asdict().items()]


def build_banner(settings: Settings, port: int, shown: Shown, environment: Path) -> str:
    """Return the text for the visitor: the address, the tokens, and three commands to paste."""
    address = address_of(settings.host, port)
    url, customer = f"{address}/graphql", shown.customer
    key, name, way = customer.external_id, customer.full_name or customer.external_id, customer.tier_progress
    query = (
        f'{{ customer(by: {{externalId: "{key}"}}) {{ fullName account {{ available value {{ amount currency }} }} '
        "expirySchedule { lastDay points } tier { name } tierProgress { percent pointsToNext next { name } } } }"
    )
    money = f'{{amount: "{shown.amount}", currency: "{shown.currency}"}}'
    mutation = (
        f'mutation {{ purchaseRecord(input: {{kind: APPOINTMENT, externalId: "demo-{secrets.token_hex(4)}", '
        f'status: CREATED, customer: {{externalId: "{key}"}}, total: {money}}}) {{ '
        "accrual { points ruleLines { ruleName points explanation } } customer { account { available } tier { name } } "
        "tierUpgrade { previousTier { name } tier { name } } replayed userErrors { code message path } } }"
    )
    subscription = (
        "subscription { tierUpgraded { cursor customer { fullName } previousTier { name } tier { name } occurredAt } }"
    )
    standing = f"who is {way.current.name}" if way.current else "who is in no tier"
    effect = f"raises {name} to {way.next.name}" if way.next else f"gives {name} points"
    lines = [
        "",
        f"Treue is running:   {url}   (schema: {address}/schema.graphql)",
        "",
        "Bearer tokens of Salon Lindenhof, good for 12 hours (INTEGRATION until the next start):",
        "",
        *_lines(shown.credentials),
        "",
        f"In a second terminal: source {environment}   (or paste the four lines above), then:",
        "",
        f"1. See {name}, {standing}:",
        "",
        _curl(url, "STAFF", query),
        "",
        "2. Watch upgrades, in a third terminal with the same tokens (Ctrl-C ends it):",
        "",
        _curl(url, "MANAGER", subscription, stream=True),
        "",
        f"3. Record a purchase that {effect}, as a booking system would:",
        "",
        _curl(url, "INTEGRATION", mutation),
        "",
        *(f"Note: {check.message} Ask for `program {{ checks {{ message path }} }}`." for check in shown.checks),
        f"Logs: {settings.data_dir / 'log'}. Ctrl-C stops everything; the data stays.",
    ]
    return "\n".join(lines)


def _curl(url: str, token: str, document: str, *, stream: bool = False) -> str:
    """Return a curl command that sends a document with the token of a variable. With ``stream`` it waits for events."""
    body = orjson.dumps({"query": document}).decode()
    accept = " -N -H 'Accept: text/event-stream'" if stream else ""
    return (
        f"curl -sS{accept} {url} -H \"Authorization: Bearer ${token}\" -H 'Content-Type: application/json' -d '{body}'"
    )
