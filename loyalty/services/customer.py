"""Find customers, and list what happened to their points."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from loyalty.rules.errors import AmbiguousCustomer, CustomerCandidate, NotFound
from loyalty.rules.identifier import IdentifierKey
from loyalty.rules.ids import CustomerId, EntryId
from loyalty.rules.location import is_in_scope
from loyalty.services.customer_lookup import limit_lookups
from loyalty.services.world import World
from loyalty.storage.customer_lists import CustomerFilter, count_customers_listed, read_customer_page
from loyalty.storage.customers import (
    CustomerOrder,
    CustomerPlace,
    CustomerRow,
    find_candidates,
    find_customer_id,
    read_customer,
    read_customer_by_external_id,
    read_customers_by_external_id,
    read_customers_by_id,
    read_customers_by_shared_name,
)
from loyalty.storage.entries import EntryFilter, EntryRow, narrow_entries, read_entries_by_id, read_entry_page
from loyalty.storage.shared_names import SharedName, email_name, identifier_name, phone_name
from loyalty.storage.window import TimePlace, Window
from permissions.actor import Actor, ActorKind
from permissions.catalog import Permission
from permissions.policy import require, require_any
from permissions.visibility import is_the_customer
from tenancy.database import Transaction
from tenancy.reading import Reads


class OfCustomer(Protocol):
    """A row about one customer."""

    @property
    def customer_id(self) -> CustomerId:
        """The customer of the row."""


@runtime_checkable
class Located(Protocol):
    """A row about something that happened at a location."""

    @property
    def location(self) -> str | None:
        """The external id of the location; None if it was not told."""


K = TypeVar("K")
R = TypeVar("R", bound=OfCustomer)


_ACTIVITY = (
    Permission.LOYALTY_REPORT,
    *(Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.SELF_READ),
)
"""The permission to list everybody's activity, then the permissions to list one customer's."""


class OfSomebody(Protocol):
    """A filter of a list that may be narrowed to one customer."""

    @property
    def customer_id(self) -> CustomerId | None:
        """The customer of the rows; None for the rows of all customers."""


class CustomerKey(NamedTuple):
    """Names a customer in exactly one way."""

    id: CustomerId | None = None
    external_id: str | None = None
    email: str | None = None
    phone: str | None = None
    identifier: IdentifierKey | None = None

    def name_shared_key(self) -> SharedName | None:
        """Return the e-mail address, telephone number or identifier of the key; None for a key by id or external id.

        Several customers may be found by such a name.
        """
        if self.email is not None:
            return email_name(self.email)
        if self.phone is not None:
            return phone_name(self.phone)
        return None if self.identifier is None else identifier_name(self.identifier)

    def identity(self) -> tuple[object, ...]:
        """Return the values of the key for a fingerprint.

        A telephone number and an identifier came with later releases. So they are left out if the key has neither, and
        older fingerprints stay the same.
        """
        first = (self.id, self.external_id, self.email)
        return first if (self.phone, self.identifier) == (None, None) else tuple(self)


async def find_customer(world: World, actor: Actor, key: CustomerKey, *path: str) -> CustomerRow | None:
    """Return a customer by id, external id, e-mail, telephone number or identifier; None if there is none.

    Customers find only themselves. ``path`` is the field of the key in the caller's input; refusals name it. Raises
    AmbiguousCustomer if several customers whom the actor may see match.
    """
    try:
        return await get_customer(world, actor, key, *path)
    except NotFound:
        return None


async def get_customer(world: World, actor: Actor, key: CustomerKey, *path: str) -> CustomerRow:
    """Return a customer as `find_customer` does. Raises NotFound if there is none."""
    require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ)
    return await _get_visible(world, actor, key, path)


def choose_customer_key(actor: Actor, key: CustomerKey | None) -> CustomerKey:
    """Return the key of the named customer, or of the calling customer.

    Raises NotFound if no customer is named and the caller is no customer.
    """
    if key is not None:
        return key
    if actor.customer_id is None:
        raise NotFound("customer", ("customer",))
    return CustomerKey(id=actor.customer_id)


async def choose_customer_to_sign_in(world: World, actor: Actor, key: CustomerKey, *path: str) -> CustomerRow:
    """Return the customer for whom a partner system gets a token. It needs no permission to read customers.

    Raises NotFound if there is none, and AmbiguousCustomer if several match.
    """
    require(actor, Permission.CUSTOMERS_SIGN_IN)
    return await _get_visible(world, actor, key, path)


async def _get_visible(world: World, actor: Actor, key: CustomerKey, path: tuple[str, ...]) -> CustomerRow:
    """Return the only customer with this key whom the actor may see. Raises NotFound and AmbiguousCustomer."""
    shared = key.name_shared_key()
    async with limit_lookups(world, actor, shared, *path):
        tx = world.database.reading(actor.tenant_id)
        found = [row for row in await _read_by_key(tx, key) if may_see_customer(actor, row.id)]
        if not found:
            raise NotFound("customer", path)
    if len(found) > 1:
        candidates = [CustomerCandidate(row.id, row.external_id, row.full_name) for row in found]
        raise AmbiguousCustomer(candidates, (*path, shared.field) if shared else path)
    return found[0]


async def get_me(world: World, actor: Actor) -> CustomerRow | None:
    """Return the calling customer; None for other callers."""
    require_any(actor, Permission.SELF_READ, Permission.LOYALTY_READ)
    if actor.customer_id is None:
        return None
    tx = world.database.reading(actor.tenant_id)
    return await read_customer(tx, actor.customer_id)


async def load_customers(world: World, actor: Actor, ids: Sequence[CustomerId]) -> dict[CustomerId, CustomerRow]:
    """Return the customers among ``ids`` that the actor may see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.SELF_READ)
    visible = [customer_id for customer_id in ids if may_see_customer(actor, customer_id)]
    tx = world.database.reading(actor.tenant_id)
    return await read_customers_by_id(tx, visible)


async def list_customers(
    world: World, actor: Actor, wanted: CustomerFilter, order: CustomerOrder, window: Window[CustomerPlace]
) -> list[tuple[CustomerPlace, CustomerRow]]:
    """Return a page of customers."""
    require(actor, Permission.LOYALTY_READ)
    tx = world.database.reading(actor.tenant_id)
    return await read_customer_page(tx, wanted, order=order, window=window)


async def count_customers(world: World, actor: Actor, wanted: CustomerFilter) -> int:
    """Return the number of customers in a list, up to the ceiling of counts."""
    require(actor, Permission.LOYALTY_READ)
    tx = world.database.reading(actor.tenant_id)
    return await count_customers_listed(tx, wanted)


async def load_customers_by_external_id(
    world: World, actor: Actor, external_ids: Sequence[str]
) -> dict[str, CustomerRow]:
    """Return the customers among ``external_ids`` that the actor may see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    found = await read_customers_by_external_id(tx, external_ids)
    return {name: row for name, row in found.items() if may_see_customer(actor, row.id)}


async def list_activity(world: World, actor: Actor, wanted: EntryFilter, window: Window[TimePlace]) -> list[EntryRow]:
    """Return a page of ledger entries, newest first. A customer sees only their own."""
    if not may_list(actor, wanted, *_ACTIVITY):
        return []
    tx = world.database.reading(actor.tenant_id)
    return await read_entry_page(tx, _narrow_to_scope(actor, wanted), window=window)


async def count_activity(world: World, actor: Actor, wanted: EntryFilter) -> int:
    """Return the number of entries in a list, up to the ceiling of counts."""
    if not may_list(actor, wanted, *_ACTIVITY):
        return 0
    tx = world.database.reading(actor.tenant_id)
    return await narrow_entries(_narrow_to_scope(actor, wanted)).count(tx)


def _narrow_to_scope(actor: Actor, wanted: EntryFilter) -> EntryFilter:
    """Limit a filter to the actor's scope of locations.

    A filter for one customer stays: that ledger is shown completely.
    """
    if actor.locations is None or wanted.customer_id is not None:
        return wanted
    return wanted._replace(locations=sorted(actor.locations))


def may_list(actor: Actor, wanted: OfSomebody, everybody: Permission, *somebody: Permission) -> bool:
    """Tell whether the actor may see the rows of a list: those of one customer, or those of all customers.

    The list of all customers needs the permission ``everybody``, the list of one customer one of ``somebody``. A filter
    by actor or note also needs LOYALTY_READ, because only the team reads these fields. Raises PermissionDenied without
    the permission.
    """
    if getattr(wanted, "actor", None) is not None or getattr(wanted, "note", None) is not None:
        require(actor, Permission.LOYALTY_READ)
    if wanted.customer_id is None:
        require(actor, everybody)
        return True
    require_any(actor, *somebody)
    return may_see_customer(actor, wanted.customer_id)


async def load_entries(world: World, actor: Actor, ids: Sequence[EntryId]) -> dict[EntryId, EntryRow]:
    """Return the entries among ``ids`` that the actor may see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    found = await read_entries_by_id(tx, ids)
    return visible_rows(actor, found)


async def resolve_customer(tx: Transaction, key: CustomerKey, *path: str) -> CustomerId:
    """Return the id of a customer. A merged customer gives the id of the target.

    Raises NotFound, and AmbiguousCustomer if several customers match.
    """
    path = path or ("customer",)
    shared = key.name_shared_key()
    if shared is not None:
        found = await resolve_shared_name(tx, shared, *path)
    else:
        found = await find_customer_id(tx, customer_id=key.id, external_id=key.external_id)
    if found is None:
        raise NotFound("customer", path)
    return found


async def resolve_shared_name(tx: Reads, name: SharedName, *path: str) -> CustomerId | None:
    """Return the only customer with an e-mail address, telephone number or identifier; None if there is none.

    Raises AmbiguousCustomer if there are several.
    """
    candidates = await find_candidates(tx, name)
    if len(candidates) > 1:
        raise AmbiguousCustomer(candidates, (*path, name.field))
    return candidates[0].id if candidates else None


def may_see_customer(actor: Actor, customer_id: CustomerId | None) -> bool:
    """Tell whether an actor may see data of this customer. Customers see only themselves and their merged sources.

    Data of nobody (None) is visible to all callers but customers.
    """
    return actor.kind is not ActorKind.CUSTOMER or is_the_customer(actor, customer_id)


def may_see_row(actor: Actor, row: OfCustomer) -> bool:
    """Tell whether an actor may see a row about a customer.

    An actor with a scope of locations sees only purchases, holds, redemptions and adjustments of these locations. Rows
    about the customer as a whole, such as the ledger, have no location; the whole team sees them.
    """
    # Without a scope the type of the row is not looked at: that costs far more than the rest of this check.
    if actor.locations is not None and isinstance(row, Located) and not is_in_scope(actor.locations, row.location):
        return False
    return may_see_customer(actor, row.customer_id)


def visible_rows(actor: Actor, found: Mapping[K, R]) -> dict[K, R]:
    """Return the rows that the actor may see."""
    return {key: row for key, row in found.items() if may_see_row(actor, row)}


def visible_lists(actor: Actor, found: Mapping[K, list[R]]) -> dict[K, list[R]]:
    """Return the lists of rows without the rows that the actor may not see."""
    return {key: [row for row in rows if may_see_row(actor, row)] for key, rows in found.items()}


async def _read_by_key(tx: Reads, key: CustomerKey) -> list[CustomerRow]:
    """Return all customers with a key, also those whom the caller may not see."""
    shared = key.name_shared_key()
    if shared is not None:
        return await read_customers_by_shared_name(tx, shared)
    if key.id is not None:
        found = await read_customer(tx, key.id)
    else:
        found = await read_customer_by_external_id(tx, key.external_id or "")
    return [found] if found else []
