"""Erase a person: all data that names the person is removed for good. Points and sums stay with a nameless customer."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID

from loyalty.ledger.archiving import archive_in_book
from loyalty.ledger.book import Book, open_book
from loyalty.ledger.once import AskedKey, Booked, Unchanged, ask_key, run_once
from loyalty.ledger.posting import post
from loyalty.rules.archive import ArchiveCause
from loyalty.rules.audit import AuditedChange, AuditSubject
from loyalty.rules.customer import ERASED_PREFIX
from loyalty.rules.erasure import marks_of
from loyalty.rules.errors import ActiveHolds, NotFound, refuse_problems
from loyalty.rules.events import CustomerErased
from loyalty.rules.ids import CustomerId
from loyalty.rules.text import check_external_id
from loyalty.services.audit import note_changes
from loyalty.services.customer import CustomerKey, resolve_customer
from loyalty.services.customer_lookup import limit_lookups
from loyalty.services.fingerprint import fingerprint
from loyalty.services.program import program_in_force
from loyalty.services.world import World
from loyalty.storage.customers import CustomerRow, read_customer
from loyalty.storage.erasures import PersonRow, erase_person, lock_person
from loyalty.storage.idempotency import name_call
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.database import Transaction

OPERATION = "customerErase"


class EraseRequest(NamedTuple):
    """The customer whose person is erased."""

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
    person = await lock_person(tx, customer_id)
    if any(row.external_id.startswith(ERASED_PREFIX) for row in person):
        raise NotFound("customer", ("customer",))
    book = await open_book(world, tx, program, actor, [customer_id])
    if book.account(customer_id).held:
        raise ActiveHolds(book.account(customer_id).held, ("customer",))
    archive_in_book(book, customer_id, None, ArchiveCause.ERASURE)
    book.tell(CustomerErased(customer_id))
    return Booked(
        book,
        customer_id,
        lambda: ErasedCustomer(_strip_person(book, customer_id), replayed=False),
        partial(_write, person=person, customer_id=customer_id),
    )


async def _write(tx: Transaction, book: Book, *, person: Sequence[PersonRow], customer_id: CustomerId) -> None:
    """Post the book, then erase the person. In this order the texts of the new rows are erased too."""
    await post(tx, book.finish())
    marks = marks_of(
        external_ids=[row.external_id for row in person],
        names=[row.full_name for row in person],
        emails=[row.email for row in person],
        phones=[row.phone for row in person],
        identifiers=[one["value"] for row in person for one in row.identifiers or ()],
    )
    await erase_person(tx, [row.id for row in person], marks, book.now)
    change = AuditedChange(AuditSubject.CUSTOMER, str(customer_id), "", {"erased": False}, {"erased": True})
    await note_changes(tx, book.actor, book.now, [change])


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
