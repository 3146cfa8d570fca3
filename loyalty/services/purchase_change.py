"""Functions that all operations on a recorded purchase share: its name, its accrual, and its next version."""

from typing import Any, NamedTuple

from loyalty.ledger.book import Book
from loyalty.ledger.rows import PurchaseFact
from loyalty.rules.ids import PurchaseId
from loyalty.services.fingerprint import fingerprint
from loyalty.storage.accruals import AccrualRow, read_accruals
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.purchases import PurchaseRow
from tenancy.database import Transaction


class PurchaseName(NamedTuple):
    """The caller's name for a purchase: an id or a key, exactly one of them."""

    id: PurchaseId | None = None
    key: PurchaseKey | None = None

    def identity(self) -> list[Any]:
        """Return the values of the name for a fingerprint."""
        return [self.id, self.key and tuple(self.key)]

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of a statement that looks up the purchase."""
        return {"id": self.id} if self.key is None else self.key._asdict()


async def read_current_accrual(tx: Transaction, purchase: PurchaseRow) -> AccrualRow | None:
    """Return the accrual of the purchase's present generation; None if it is not evaluated yet."""
    accrual = (await read_accruals(tx, [purchase.id])).get(purchase.id)
    return accrual if accrual is not None and accrual.generation == purchase.generation else None


def save_version(book: Book, purchase: PurchaseRow, identity: list[Any], facts: dict[str, Any]) -> None:
    """Add a purchase at its next version to the posting, with its fact, for a change that is no report.

    ``identity`` is what the fingerprint of the fact is made of, and ``facts`` the document that the fact keeps.
    """
    book.posting.add(purchase)
    book.posting.add(
        PurchaseFact(
            purchase_id=purchase.id,
            version=purchase.version,
            fingerprint=fingerprint(identity),
            status=purchase.status,
            facts=facts,
            recorded_at=book.now,
            recorded_by=book.actor.subject,
            actor_kind=book.actor.kind,
            actor_name=book.actor.display,
        ),
    )
