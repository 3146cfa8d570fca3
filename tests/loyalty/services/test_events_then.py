"""Events tell what was so when they happened, whatever is changed afterwards."""

from typing import Any

from loyalty.log.reading import list_events
from loyalty.rules.events import EventKind
from loyalty.rules.purchase import PurchaseStatus
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.maturing import mature_due
from loyalty.services.tier import change_tier, create_tier
from loyalty.services.world import World
from tenancy.database import Database
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOON,
    at,
    earn,
    give,
    known_customer,
    one_point_per_euro,
    order,
    pay_back,
    position_all_events,
    set_policy,
)


async def read_payloads(world: World, relay: Database, salon: Salon, kind: EventKind) -> list[dict[str, Any]]:
    """Return the payloads of all events of a kind, in order."""
    await position_all_events(relay)
    return [one.payload for one in await list_events(world.database, salon.tenant_id, after=0) if one.kind == kind]


def purchase_then(payload: dict[str, Any]) -> tuple[str, int, int, str]:
    """Return status, total, refunded money and currency of the purchase that a payload tells of."""
    return (
        payload["purchase_status"],
        payload["purchase_total_minor"],
        payload["purchase_refunded_minor"],
        payload["currency"],
    )


async def test_a_tier_keeps_the_name_that_it_had(world: World, salon: Salon, relay_database: Database) -> None:
    silver = await create_tier(world, salon.manager, "Silver", "#C0C0C0", 100)
    await known_customer(world, salon)
    await give(world, salon, 150, "up", qualifying=True)
    await change_tier(world, salon.manager, silver.tier.id, lambda tier: tier._replace(name="Platinum"))
    await give(world, salon, 1, "more")
    (upgrade,) = await read_payloads(world, relay_database, salon, EventKind.TIER_UPGRADED)
    assert (upgrade["previous_tier_name"], upgrade["tier_name"]) == (None, "Silver")
    first, second = await read_payloads(world, relay_database, salon, EventKind.POINTS_ADJUSTED)
    assert first["customer_tier"] is None
    assert second["customer_tier"] == {"id": str(silver.tier.id), "name": "Platinum"}
    assert upgrade["customer_tier"] == {"id": str(silver.tier.id), "name": "Silver"}


async def test_a_purchase_is_told_as_it_was(world: World, salon: Salon, relay_database: Database) -> None:
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, order("a", status=PurchaseStatus.COMPLETED))
    await pay_back(world, salon, "a", 4_000, "first")
    await earn(world, salon, order("a", status=PurchaseStatus.CANCELLED))
    (earned,) = await read_payloads(world, relay_database, salon, EventKind.POINTS_EARNED)
    refunded, cancelled = await read_payloads(world, relay_database, salon, EventKind.POINTS_REVERSED)
    assert purchase_then(earned) == ("COMPLETED", 10_000, 0, "EUR")
    assert purchase_then(refunded) == ("COMPLETED", 10_000, 4_000, "EUR")
    assert purchase_then(cancelled) == ("CANCELLED", 10_000, 4_000, "EUR")


async def test_points_that_mature_by_time_tell_their_purchase(
    world: World, salon: Salon, relay_database: Database
) -> None:
    await set_policy(world, salon, delay_minutes=60)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    for external_id, cents in (("a", 10_000), ("b", 20_000)):
        await earn(at(world, NOON), salon, order(external_id, cents))
    while (await mature_due(at(world, NOON.replace(year=2999)), salon.tenant_id)).done:
        pass
    pending = await read_payloads(world, relay_database, salon, EventKind.POINTS_PENDING)
    earned = await read_payloads(world, relay_database, salon, EventKind.POINTS_EARNED)
    assert [one["purchase_total_minor"] for one in pending] == [10_000, 20_000]
    assert sorted((one["points"], one["purchase_total_minor"]) for one in earned) == [(100, 10_000), (200, 20_000)]
