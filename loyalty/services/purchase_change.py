"""What the operations on a recorded purchase share: how it is named, its accrual, and how its next version is kept."""

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
    """Names a purchase in exactly one way."""

    id: PurchaseId | None = None
    key: PurchaseKey | None = None

    def identity(self) -> list[Any]:
        """What identifies the purchase in a fingerprint."""
        return [self.id, self.key and tuple(self.key)]

    def parameters(self) -> dict[str, Any]:
        """The parameters of a statement that looks for the purchase."""
        return {"id": self.id} if self.key is None else self.key._asdict()


async def read_current_accrual(tx: Transaction, purchase: PurchaseRow) -> AccrualRow | None:
    """What the purchase earned in its present life; None when it came back and waits for its evaluation."""
    accrual = (await read_accruals(tx, [purchase.id])).get(purchase.id)
    return accrual if accrual is not None and accrual.generation == purchase.generation else None


def save_version(book: Book, purchase: PurchaseRow, identity: list[Any], facts: dict[str, Any]) -> None:
    """Keep a purchase at its next version, with the fact behind it that is no report."""
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
