"""The answers of operations at a checkout, the first time and for a replay."""

from typing import NamedTuple
from uuid import UUID

from loyalty.ledger.book import Book
from loyalty.rules.ids import CustomerId, HoldId, RedemptionId, RedemptionReturnId
from loyalty.storage.customers import CustomerRow, read_customers_by_id
from loyalty.storage.holds import HoldRow, read_holds_by_id
from loyalty.storage.redemptions import RedemptionRow, ReturnRow, read_redemptions_by_id, read_returns_by_id
from tenancy.database import Transaction
from tenancy.reading import Reads


class HeldPoints(NamedTuple):
    """The hold after an operation, and its customer."""

    hold: HoldRow
    customer: CustomerRow
    replayed: bool


class CapturedPoints(NamedTuple):
    """The redemption of a captured hold."""

    redemption: RedemptionRow
    hold: HoldRow
    customer: CustomerRow
    replayed: bool


class ReturnedPoints(NamedTuple):
    """The return of a redemption's points."""

    returned: ReturnRow
    redemption: RedemptionRow
    customer: CustomerRow
    replayed: bool


def answer_held(book: Book, hold: HoldRow) -> HeldPoints:
    """Return a hold with its customer, as both are after the posting."""
    return HeldPoints(hold, book.customer(hold.customer_id), replayed=False)


async def read_held(tx: Transaction, result_id: UUID) -> HeldPoints:
    """Return the answer to a replay of a hold or a release: hold and customer as they are now."""
    hold_id = HoldId(result_id)
    hold = (await read_holds_by_id(tx, [hold_id]))[hold_id]
    return HeldPoints(hold, await read_customer(tx, hold.customer_id), replayed=True)


async def read_captured(tx: Transaction, result_id: UUID) -> CapturedPoints:
    """Return the answer to a replay of a capture: redemption, hold and customer as they are now."""
    redemption_id = RedemptionId(result_id)
    redemption = (await read_redemptions_by_id(tx, [redemption_id]))[redemption_id]
    hold = (await read_holds_by_id(tx, [redemption.hold_id]))[redemption.hold_id]
    return CapturedPoints(redemption, hold, await read_customer(tx, redemption.customer_id), replayed=True)


async def read_returned(tx: Transaction, result_id: UUID) -> ReturnedPoints:
    """Return the answer to a replay of a return: the return, and redemption and customer as they are now."""
    return_id = RedemptionReturnId(result_id)
    returned = (await read_returns_by_id(tx, [return_id]))[return_id]
    redemption = (await read_redemptions_by_id(tx, [returned.redemption_id]))[returned.redemption_id]
    return ReturnedPoints(returned, redemption, await read_customer(tx, returned.customer_id), replayed=True)


async def read_customer(tx: Reads, customer_id: CustomerId) -> CustomerRow:
    """Return a customer as they are now."""
    return (await read_customers_by_id(tx, [customer_id]))[customer_id]
