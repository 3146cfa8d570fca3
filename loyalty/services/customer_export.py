"""Export all stored data about one customer, for the team and for the customer."""

from typing import NamedTuple

from loyalty.services.customer import CustomerKey, choose_customer_key, get_customer
from loyalty.services.world import World
from loyalty.storage.held_data import BEGINNING, HeldPlace, HeldRecord, read_held_data, read_people
from permissions.actor import Actor, ActorKind
from permissions.catalog import Permission
from permissions.policy import require_any


class HeldPage(NamedTuple):
    """A page of an export, and whether there is another one."""

    records: list[HeldRecord]
    more: bool


async def export_customer(
    world: World, actor: Actor, customer: CustomerKey | None, after: HeldPlace | None, limit: int
) -> HeldPage:
    """Return a page of the stored data about a customer. Customers export themselves, without data for the team only.

    Refusals: NotFound, AmbiguousCustomer.
    """
    require_any(actor, Permission.CUSTOMERS_EXPORT, Permission.SELF_READ)
    found = await get_customer(world, actor, choose_customer_key(actor, customer), "customer")
    tx = world.database.reading(actor.tenant_id)
    people = await read_people(tx, found.id)
    to_team = actor.kind is not ActorKind.CUSTOMER
    records = await read_held_data(tx, people, after or BEGINNING, limit + 1, to_team=to_team)
    return HeldPage(records[:limit], more=len(records) > limit)
