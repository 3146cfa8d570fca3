"""The steps of an erasure, the same for a call and for retention: lock the person, book it, write it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from loyalty.ledger.archiving import archive_in_book
from loyalty.ledger.book import Book, open_book
from loyalty.ledger.posting import post
from loyalty.ledger.program import CompiledProgram
from loyalty.rules.archive import ArchiveCause
from loyalty.rules.audit import AuditedChange, AuditSubject
from loyalty.rules.erasure import ErasureCause, marks_of
from loyalty.rules.errors import ActiveHolds
from loyalty.rules.events import CustomerErased
from loyalty.rules.ids import CustomerId
from loyalty.services.audit import note_changes
from loyalty.services.world import World
from loyalty.storage.erasures import PersonRow, erase_person, lock_person
from permissions.actor import Actor
from tenancy.database import Transaction


class OpenPerson(NamedTuple):
    """A locked person: the customer, the book with the account, and the profiles of the customer and its sources."""

    customer_id: CustomerId
    book: Book
    person: Sequence[PersonRow]


async def open_person(
    world: World, tx: Transaction, program: CompiledProgram, by: Actor, customer_id: CustomerId
) -> OpenPerson:
    """Lock the profiles of a customer and of all customers merged into it, then the account, and open a book."""
    person = await lock_person(tx, customer_id)
    return OpenPerson(customer_id, await open_book(world, tx, program, by, [customer_id]), person)


def book_erasure(opened: OpenPerson, cause: ErasureCause) -> None:
    """Archive the customer, and add the event. Refusal: ActiveHolds."""
    book, customer_id = opened.book, opened.customer_id
    if book.account(customer_id).held:
        raise ActiveHolds(book.account(customer_id).held, ("customer",))
    archive_in_book(book, customer_id, None, ArchiveCause.ERASURE)
    book.keep(replace(book.account(customer_id), active_at=None))
    book.tell(CustomerErased(customer_id, cause))


async def write_erasure(tx: Transaction, opened: OpenPerson, cause: ErasureCause) -> None:
    """Post the book, then erase the person. In this order the texts of the new rows are erased too."""
    book, person = opened.book, opened.person
    await post(tx, book.finish())
    marks = marks_of(
        external_ids=[row.external_id for row in person],
        names=[row.full_name for row in person],
        emails=[row.email for row in person],
        phones=[row.phone for row in person],
        identifiers=[one["value"] for row in person for one in row.identifiers or ()],
    )
    await erase_person(tx, [row.id for row in person], marks, book.now)
    after = {"erased": True, "cause": cause.name}
    change = AuditedChange(AuditSubject.CUSTOMER, str(opened.customer_id), "", {"erased": False}, after)
    await note_changes(tx, book.actor, book.now, [change])
