"""Who finds which objects by their ids, as a printed table: every type with a global id, and every kind of caller.

The objects are those that a tenant has after every mutation. A new type fails the test until its row says who sees it.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import text

from api.issuer import Issuer
from api.service import customer_token_signer, hash_of_secret, make_secret
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.ids import CustomerId
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.profile import upsert_customers
from loyalty.services.tenant import provision_tenant
from loyalty.services.world import World
from permissions.actor import Actor
from permissions.catalog import Permission
from schema.context import Context, Services
from schema.executable import ExecutableSchema
from schema.node_ids import decode_id
from schema.queries.viewer import NODE_TYPES
from schema.root import treue_schema
from tenancy.database import Database
from tests.fixtures.tenants import salon_of
from tests.loyalty.services.builders import customer_actor, position_all_events
from tests.schema.test_every_field import Asking, Life, WholeLog

NODE = "query($id: ID!) { node(id: $id) { id } }"
MATRIX = """\
type             owner  staff  anna  ben   stranger  reports  records  cards   spends  tokens
Accrual          all    all    some  some  -         denied   denied   denied  denied  denied
Adjustment       all    all    all   -     -         all      denied   denied  denied  denied
ApiToken         all    -      -     -     -         -        -        -       -       all
AuditEntry       all    -      -     -     -         -        -        -       -       -
BrowserSession   all    -      -     -     -         -        -        -       -       -
CatalogItem      some   some   -     -     -         -        -        -       -       -
Customer         all    all    some  some  -         all      denied   denied  denied  denied
CustomerMerge    all    all    all   -     -         all      denied   denied  denied  denied
EarningRule      some   some   -     -     -         -        -        -       -       -
GiftCard         all    all    some  -     -         -        denied   all     all     denied
GiftCardEntry    all    all    some  -     -         denied   denied   all     all     denied
GiftCardGift     all    all    all   -     -         -        denied   all     -       denied
GiftCardHold     all    all    all   -     -         denied   denied   all     all     denied
GiftCardProduct  all    all    some  some  some      denied   denied   all     all     denied
Hold             all    all    all   -     -         denied   denied   denied  denied  denied
Job              all    all    -     -     -         -        -        -       -       -
LedgerEntry      all    all    some  some  -         all      denied   denied  denied  denied
Member           all    -      -     -     -         -        -        -       -       -
OauthClient      all    -      -     -     -         -        -        -       -       all
OidcIssuer       all    -      -     -     -         -        -        -       -       all
OpeningBalance   all    all    all   -     -         all      denied   denied  denied  denied
PointsAccount    all    all    some  some  -         all      denied   denied  denied  denied
PointsLot        all    all    some  some  -         all      denied   denied  denied  denied
Program          all    all    all   all   all       denied   denied   denied  denied  denied
Purchase         all    all    some  some  -         all      denied   denied  denied  denied
Redemption       all    all    all   -     -         all      denied   denied  denied  denied
Role             some   some   -     -     -         -        -        -       -       -
Tenant           all    all    all   all   all       all      all      all     all     all
Tier             all    all    all   all   all       all      denied   denied  denied  denied
"""
"""`all` or `some` of the objects of a type are found, `-` is none, `denied` is FORBIDDEN."""


class Business(NamedTuple):
    """A tenant with everything in it, the ids of its objects by type, and who asks for them."""

    treue: ExecutableSchema
    services: Services
    ids: Mapping[str, frozenset[str]]
    callers: Mapping[str, Actor]

    async def find(self, caller: str, node_id: str) -> str:
        """Return `found`, `-` or `denied`."""
        context = Context(self.services, self.callers[caller], "request")
        result = await self.treue.execute(NODE, variable_values={"id": node_id}, context_value=context)
        if result.errors:
            assert [(error.extensions or {})["code"] for error in result.errors] == ["FORBIDDEN"]
            return "denied"
        assert result.data is not None
        return "found" if result.data["node"] else "-"

    async def sum_up(self, caller: str, type_name: str) -> str:
        """Return how many objects of a type a caller finds."""
        found = {await self.find(caller, node_id) for node_id in self.ids[type_name]}
        if found == {"found"}:
            return "all"
        return "some" if "found" in found else ", ".join(sorted(found))


@pytest.fixture(scope="module")
async def business(
    world: World, owner_world: World, relay_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Business:
    """Provide a tenant that has lived through every mutation."""
    tenant = await provision_tenant(
        owner_world, name="Salon", currency="EUR", time_zone="Europe/Berlin", locale="de-DE", sandbox=True
    )
    salon, folder = salon_of(tenant), Path(tmp_path_factory.mktemp("issuer"))
    signer = customer_token_signer(Issuer.generate(folder / "key.pem"))
    services, treue = Services(world, WholeLog(world), signer, make_secret, b"key", hash_of_secret), treue_schema()
    asking = Asking(treue, services, salon.owner)
    life = Life(asking)
    for part in (life.set_up, life.earn, life.spend, life.move):
        await part()
    await position_all_events(relay_database)
    await asking.query_everything()
    await upsert_customers(world, salon.owner, [CustomerProfile("a stranger")])
    ids: dict[str, set[str]] = {}
    for node_id in asking.seen.ids:
        named = decode_id(node_id)
        assert named is not None
        ids.setdefault(named.type_name, set()).add(node_id)

    async def customer(external_id: str) -> Actor:
        row = await find_customer(world, salon.owner, CustomerKey(external_id=external_id))
        assert row is not None
        return customer_actor(salon.tenant_id, CustomerId(row.id))

    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        merged = await tx.rows(
            text("SELECT id FROM customers WHERE merged_into IS NOT NULL AND tenant_id = :current_tenant")
        )

    def token(permission: Permission) -> Actor:
        return replace(salon.integration, permissions=frozenset({permission}))

    callers = {
        "owner": salon.owner,
        "staff": salon.staff,
        # Eva was merged into Anna.
        "anna": replace(await customer("anna"), former_ids=frozenset(CustomerId(row.id) for row in merged)),
        "ben": await customer("ben"),
        "stranger": await customer("a stranger"),
        "reports": token(Permission.LOYALTY_REPORT),
        "records": token(Permission.PURCHASES_RECORD),
        "cards": token(Permission.GIFT_CARDS_READ),
        "spends": token(Permission.GIFT_CARDS_SPEND),
        "tokens": token(Permission.TOKENS_MANAGE),
    }
    return Business(treue, services, {name: frozenset(found) for name, found in ids.items()}, callers)


async def test_every_kind_of_caller_sees_what_the_table_says(business: Business) -> None:
    assert set(business.ids) == NODE_TYPES
    found = {
        type_name: [await business.sum_up(caller, type_name) for caller in business.callers]
        for type_name in sorted(business.ids)
    }
    rows = [["type", *business.callers], *([type_name, *cells] for type_name, cells in found.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    assert "\n".join(lines) + "\n" == MATRIX
