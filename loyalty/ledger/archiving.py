"""Archive customers in a book, and end their archiving. Account, history and event change in one posting."""

from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.ledger.book import Book
from loyalty.rules.account import Account
from loyalty.rules.archive import ArchiveCause, archive, unarchive
from loyalty.rules.events import CustomerArchived, CustomerUnarchived
from loyalty.rules.ids import CustomerId
from loyalty.storage.customer_archivings import ArchivingRow


def archive_in_book(
    book: Book, customer_id: CustomerId, note: str | None, cause: ArchiveCause = ArchiveCause.CALL
) -> None:
    """Archive a customer. An archived customer stays as they are. Refusal: ActiveHolds.

    ``note`` is the caller's own text in the archive history.
    """
    _change_archiving(book, archive(book.account(customer_id), book.now), cause, None, note)


def bring_back(
    book: Book, customer_id: CustomerId, cause: ArchiveCause, cause_id: UUID | None = None, note: str | None = None
) -> None:
    """End the archiving of a customer. A customer who is not archived stays as they are.

    ``cause_id`` is the id of what brings the customer back, such as a purchase; None for a call. ``note`` is the
    caller's own text in the archive history.
    """
    _change_archiving(book, unarchive(book.account(customer_id)), cause, cause_id, note)


def _change_archiving(book: Book, after: Account, cause: ArchiveCause, cause_id: UUID | None, note: str | None) -> None:
    """Book the account after the change, a row of the archive history, and an event.

    Nothing is booked if ``after`` has the same time of archiving as the account before.
    """
    customer_id = after.customer_id
    if after.archived_at == book.account(customer_id).archived_at:
        return
    book.keep(after)
    archived, archiving_id = after.archived_at is not None, uuid7()
    book.posting.add(
        ArchivingRow(
            id=archiving_id,
            customer_id=customer_id,
            archived=archived,
            cause=cause,
            cause_id=cause_id,
            note=note,
            changed_at=book.now,
            actor_kind=book.actor.kind,
            actor=book.actor.display,
        )
    )
    told = CustomerArchived if archived else CustomerUnarchived
    book.tell(told(customer_id, archiving_id, cause))
