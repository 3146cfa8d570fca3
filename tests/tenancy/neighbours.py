"""Two tenants who look alike, down to the last external id, with rows in every table."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from loyalty.rules.budget import LEAST_SLICE_POINTS, BudgetLimits
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.gift_card_gift import Gift
from loyalty.rules.identifier import Identifier
from loyalty.rules.ids import AdjustmentId, CustomerId, EntryId, GiftCardHoldId, JobId, PurchaseId, RuleId, TierId
from loyalty.rules.staff_session import Logout
from loyalty.rules.trusted_document import OfferedDocument
from loyalty.services.adjustment import adjust_points
from loyalty.services.api_token import ApiTokenRequest, create_api_token
from loyalty.services.budget import Budgets
from loyalty.services.catalog import CatalogEdit, upsert_catalog_items
from loyalty.services.customer import CustomerKey, list_activity
from loyalty.services.customer_archive import archive_customer
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.expiry import tell_expiring
from loyalty.services.gift_card_gift import GiveRequest, give_gift_card
from loyalty.services.gift_card_guess import limit_guesses
from loyalty.services.gift_card_product import create_product
from loyalty.services.member import Identity, MemberRequest, add_member
from loyalty.services.oauth_client import OAuthClientRequest, create_oauth_client
from loyalty.services.oidc_issuer import OidcIssuerRequest, RoleValue, set_oidc_issuer
from loyalty.services.profile import upsert_customers
from loyalty.services.retention import RetentionChange, set_retention
from loyalty.services.revocation import revoke_subject
from loyalty.services.role import RoleRequest, create_role
from loyalty.services.staff_session import end_sessions_by_provider, start_session
from loyalty.services.tenant import provision_tenant
from loyalty.services.tier import create_tier
from loyalty.services.trusted_document import register_documents
from loyalty.services.world import World
from loyalty.storage.entries import EntryFilter
from loyalty.storage.gift_card_codes import new_code
from loyalty.storage.window import Window
from permissions.catalog import Permission
from permissions.roles import BUILT_IN_ROLES, Role, TeamRole
from tenancy.database import HOME, Database
from tenancy.provisioning import place_tenant
from tests.fixtures.tenants import Salon, salon_of, staff_actor
from tests.loyalty.services.builders import (
    adjustment,
    at,
    bring_along,
    capture,
    earn,
    give,
    give_back,
    hold,
    merge,
    one_point_per_euro,
    order,
    pay_back,
    product,
    read_all_events,
    service_item,
    set_redemption,
)
from tests.loyalty.services.gift_cards import hold_card, issue
from tests.loyalty.services.team import Team, sign_in_of


class Neighbour(NamedTuple):
    """A tenant, and the id of one thing of each kind."""

    salon: Salon
    customer_id: CustomerId
    purchase_id: PurchaseId
    adjustment_id: AdjustmentId
    entry_id: EntryId
    rule_id: RuleId
    tier_id: TierId
    job_id: JobId
    token_id: UUID
    token_sha256: str
    card_hold_id: GiftCardHoldId
    client_id: UUID


async def new_salon(owner_world: World) -> Salon:
    """Create a salon. The directory says where it lives."""
    salon = salon_of(
        await provision_tenant(owner_world, name="Salon", currency="EUR", time_zone="Europe/Berlin", locale="de-DE")
    )
    async with owner_world.database.tenant_transaction(salon.tenant_id) as tx:
        await place_tenant(tx, HOME)
    return salon


async def move_in(world: World, relay: Database, salon: Salon) -> Neighbour:
    """Let everything happen once that can happen in a tenant."""
    token_sha256 = hashlib.sha256(salon.tenant_id.bytes).hexdigest()
    token = await create_api_token(
        world,
        salon.owner,
        ApiTokenRequest("Booking system", frozenset({Permission.PURCHASES_RECORD})),
        token_sha256,
    )
    client = await create_oauth_client(
        world,
        salon.owner,
        OAuthClientRequest("Partner", frozenset({Permission.PURCHASES_RECORD})),
        hashlib.sha256(salon.tenant_id.bytes + b"client").hexdigest(),
    )
    await revoke_subject(world, salon.tenant_id, "staff:left", "staff:owner")
    await set_retention(world, salon.owner, RetentionChange(inactive_months=24))
    await upsert_catalog_items(world, salon.manager, CatalogEdit([service_item("haircut")], []))
    rule = await create_earning_rule(world, salon.manager, one_point_per_euro())
    silver = await create_tier(world, salon.manager, "Silver", "#C0C0C0", 50)
    recorded = await earn(world, salon, order("order-1", 10_000))
    for total in (3_000, 2_000):
        # The second report is valued again, so that there is a former valuation.
        await earn(world, salon, order("order-2", total))
    adjusted = await give(world, salon, -10, "key-1")
    await set_redemption(world, salon)
    spent = await capture(world, salon, await hold(world, salon, 20, "basket"), "paid")
    await give_back(world, salon, spent, "back", points=5)
    await pay_back(world, salon, "order-1", 1_000, "a part of it")
    await bring_along(world, salon, 30, customer="eva")
    told = CustomerProfile("eva", marketing_consent=True, identifiers=(Identifier("CARD", "1"),), tags=("vip",))
    await upsert_customers(world, salon.manager, [told])
    await merge(world, salon, "eva", "emil", "the same")
    await upsert_customers(world, salon.manager, [CustomerProfile("gone")])
    await archive_customer(world, salon.manager, CustomerKey(external_id="gone"), "moved away")
    await create_product(world, salon.manager, product())
    sold = await issue(world, salon)
    sign_in = OidcIssuerRequest(
        f"https://{salon.tenant_id}.example", "treue", "roles", [RoleValue("boss", TeamRole.OWNER)]
    )
    provider = await set_oidc_issuer(world, salon.owner, sign_in)
    await register_documents(world, salon.owner, [OfferedDocument("a" * 64, "{ viewer { name } }")])
    await create_role(world, salon.owner, RoleRequest("Till", frozenset({Permission.LOYALTY_READ})))
    await add_member(
        world,
        salon.owner,
        MemberRequest("Mia", BUILT_IN_ROLES[TeamRole.STAFF].id, Identity(provider.id, "mia")),
    )
    await start_session(
        world, Team(world, salon, provider).token("mia"), sign_in_of("mia", world.clock()), token_sha256
    )
    signed_out = Logout(provider.id, "eva", None, world.clock())
    await end_sessions_by_provider(world, salon.tenant_id, signed_out)
    await give_gift_card(world, salon.owner, GiveRequest(sold.card.id, Gift("Eva"), "a gift"))
    card_held = await hold_card(world, salon, sold.card.id, 500)
    await limit_guesses(world, salon.integration, new_code(), known=False)
    budgets = Budgets(world.database, world.clock, BudgetLimits())
    await budgets.charge(salon.integration, LEAST_SLICE_POINTS)
    await budgets.book_all()
    today = datetime.now(UTC)
    await give(world, salon, 5, "short", expires_on=(today + timedelta(days=20)).date())
    assert (await tell_expiring(at(world, today + timedelta(days=15)), salon.tenant_id)).done
    counter = replace(staff_actor(salon.tenant_id, Role.STAFF), subject="counter")
    await adjust_points(world, counter, adjustment(1, "by the counter"))
    (entry, *_) = await list_activity(world, salon.manager, EntryFilter(), Window(1))
    await read_all_events(world, salon.tenant_id, relay)
    return Neighbour(
        salon=salon,
        customer_id=recorded.customer.id,
        purchase_id=recorded.purchase.id,
        adjustment_id=adjusted.adjustment.id,
        entry_id=entry.id,
        rule_id=rule.id,
        tier_id=silver.tier.id,
        job_id=silver.job.id,
        token_id=token.id,
        token_sha256=token_sha256,
        card_hold_id=card_held.hold.id,
        client_id=client.client.id,
    )
