"""Erase a person: all data that names the person is removed for good. Points and sums stay with a nameless customer."""

from functools import partial
from typing import NamedTuple
from uuid import UUID

from loyalty.ledger.book import Book
from loyalty.ledger.once import AskedKey, Booked, Unchanged, ask_key, run_once
from loyalty.rules.customer import ERASED_PREFIX
from loyalty.rules.erasure import ErasureCause
from loyalty.rules.errors import NotFound, refuse_problems
from loyalty.rules.ids import CustomerId
from loyalty.rules.text import check_external_id
from loyalty.services.customer import CustomerKey, resolve_customer
from loyalty.services.customer_lookup import limit_lookups
from loyalty.services.erasing import OpenPerson, book_erasure, open_person, write_erasure
from loyalty.services.fingerprint import fingerprint
from loyalty.services.program import program_in_force
from loyalty.services.world import World
from loyalty.storage.customers import CustomerRow, read_customer
from loyalty.storage.idempotency import name_call
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.database import Transaction

OPERATION = "customerErase"


class EraseRequest(NamedTuple):
    """A request to erase a customer."""

    customer: CustomerKey
    idempotency_key: str

    def fingerprint(self) -> str:
        """Return the fingerprint of this request."""
        return fingerprint([self.customer.identity()])


class ErasedCustomer(NamedTuple):
    """The customer without a person. A replay gets the same answer."""

    customer: CustomerRow
    replayed: bool


async def erase_customer(world: World, actor: Actor, request: EraseRequest) -> ErasedCustomer:
    """Erase all data that names a customer, and all customers who were merged into that customer. It cannot be undone.

    The balance stays with the nameless customer, who is archived. Refusals: InvalidInput (idempotency key),
    IdempotencyConflict, NotFound, AmbiguousCustomer, ActiveHolds.
    """
    require(actor, Permission.CUSTOMERS_ERASE, even_when_off=True)
    refuse_problems([check_external_id(request.idempotency_key, ("idempotency_key",))])
    async with limit_lookups(world, actor, request.customer.name_shared_key(), "customer"):
        return await run_once(
            world.database,
            actor.tenant_id,
            name_call(actor, request.idempotency_key, OPERATION, request.fingerprint()),
            ask=ask_key,
            decide=partial(_decide, world, actor, request.customer),
            replay=_read_erased,
        )


async def _decide(
    world: World, actor: Actor, customer: CustomerKey, tx: Transaction, _: AskedKey
) -> Booked[ErasedCustomer] | Unchanged[ErasedCustomer]:
    """Decide to erase a person: lock the rows of the person, archive the customer, and add the event.

    A customer who was erased before stays as they are.
    """
    erased = None if customer.id is None else await read_customer(tx, customer.id)
    if erased is not None and erased.erased_at is not None:
        return Unchanged(ErasedCustomer(erased, replayed=True))
    program = await program_in_force(world, tx, even_when_off=True)
    customer_id = await resolve_customer(tx, customer)
    opened = await open_person(world, tx, program, actor, customer_id)
    if any(row.external_id.startswith(ERASED_PREFIX) for row in opened.person):
        raise NotFound("customer", ("customer",))
    book_erasure(opened, ErasureCause.CALL)
    return Booked(
        opened.book,
        customer_id,
        lambda: ErasedCustomer(_strip_person(opened.book, customer_id), replayed=False),
        partial(_write, opened=opened),
    )


async def _write(tx: Transaction, _: Book, *, opened: OpenPerson) -> None:
    """Write the erasure that somebody asked for."""
    await write_erasure(tx, opened, ErasureCause.CALL)


def _strip_person(book: Book, customer_id: CustomerId) -> CustomerRow:
    """Return the customer without the data of the person, as it will be after the commit."""
    return book.customer(customer_id)._replace(
        external_id=f"{ERASED_PREFIX}{customer_id}",
        full_name="",
        email=None,
        avatar_url=None,
        locale=None,
        category=None,
        marketing_consent=False,
        phone=None,
        birthday=None,
        identifiers=(),
        tags=(),
        erased_at=book.now,
    )


async def _read_erased(tx: Transaction, result_id: UUID) -> ErasedCustomer:
    """Return the answer to a replay: the erased customer as it is now."""
    customer = await read_customer(tx, CustomerId(result_id))
    if customer is None:
        raise NotFound("customer", ("customer",))
    return ErasedCustomer(customer, replayed=True)
