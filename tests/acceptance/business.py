"""A tenant as the acceptance tests see it: a caller for each role, and the two servers they may call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text

from loyalty.rules.ids import TenantId
from loyalty.services.tenant import provision_tenant
from loyalty.services.world import World
from permissions.roles import Role
from tenancy.database import Database
from tests.acceptance.client import Caller
from tests.fixtures.invariants import check_ledger
from tests.fixtures.live import until
from tests.fixtures.server import Installation
from tests.fixtures.snapshots import snapshot

_UNDONE = text(
    """
    SELECT EXISTS (SELECT FROM events WHERE tenant_id = :current_tenant AND position IS NULL)
        OR EXISTS (SELECT FROM jobs WHERE tenant_id = :current_tenant AND state IN ('WAITING', 'RUNNING'))
        OR EXISTS (SELECT FROM log_readers WHERE tenant_id = :current_tenant AND due_at IS NOT NULL) AS undone
    """
)

AN_HOUR = timedelta(hours=1)
INTEGRATION_GRANTS = [
    *("LOYALTY_READ", "PURCHASES_RECORD", "REDEMPTIONS_MANAGE"),
    *("GIFT_CARDS_READ", "GIFT_CARDS_ISSUE", "GIFT_CARDS_SPEND"),
]


@dataclass(frozen=True, slots=True)
class Business:
    """A tenant with its team and its booking system."""

    installation: Installation
    tenant_id: TenantId
    database: Database
    owner: Caller
    manager: Caller
    staff: Caller
    """Somebody who only reads."""
    integration: Caller

    async def customer(self, external_id: str = "anna") -> Caller:
        """Return a customer with a token for their own app, issued as the business would."""
        payload = await self.owner.do(
            "customerTokenCreate", "token", customer={"externalId": external_id}, lifetimeMinutes=10
        )
        return self.owner._replace(token=payload["token"])

    @asynccontextmanager
    async def unchanged(self) -> AsyncIterator[None]:
        """Fail if any row of the tenant in any table changes inside the block."""
        await until(self._is_at_rest)
        before = await snapshot(self.database, self.tenant_id)
        yield
        after = await snapshot(self.database, self.tenant_id)
        # Requests cost something, also those that are refused.
        changed = {
            name: set(after[name]) ^ set(before[name])
            for name in before
            if after[name] != before[name] and name != "budgets"
        }
        assert not changed, changed

    async def _is_at_rest(self) -> bool:
        """Tell whether the worker has nothing more to do for this tenant."""
        async with self.database.tenant_transaction(self.tenant_id) as tx:
            (row,) = await tx.rows(_UNDONE)
        return not row.undone

    async def check_ledger(self) -> None:
        """Fail unless the ledger adds up."""
        await check_ledger(self.database, self.tenant_id)


async def open_business(
    installation: Installation,
    owner_database: Database,
    database: Database,
    *,
    currency: str = "EUR",
    time_zone: str = "Europe/Berlin",
    locale: str = "en-GB",
    sandbox: bool = False,
    cluster: str | None = None,
) -> Business:
    """Create a tenant as `treue tenant create` does, and return it with credentials for everybody."""
    tenant = await provision_tenant(
        World(owner_database),
        name="Salon",
        currency=currency,
        time_zone=time_zone,
        locale=locale,
        sandbox=sandbox,
        cluster=cluster,
    )

    def person(role: Role) -> Caller:
        token = installation.issuer.issue(
            subject=f"staff:{role.lower()}",
            tenant_id=tenant.tenant_id,
            role=role,
            name=f"The {role.lower()}",
            lifetime=AN_HOUR,
        )
        return Caller(installation.servers[0], token.text)

    owner = person(Role.OWNER)
    made = await owner.do("apiTokenCreate", "secret", name="Booking system", permissions=INTEGRATION_GRANTS)
    return Business(
        installation=installation,
        tenant_id=tenant.tenant_id,
        database=database,
        owner=owner,
        manager=person(Role.MANAGER),
        staff=person(Role.READER),
        integration=owner._replace(token=made["secret"]),
    )
