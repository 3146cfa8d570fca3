"""Archive a customer who does not come any more, and end the archiving when the customer comes back."""

from dataclasses import replace
from datetime import datetime

from loyalty.rules.account import Account
from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import ActiveHolds


class ArchiveCause(DescribedEnum):
    """Why a customer was archived or came back. More causes may come."""

    CALL = "CALL", "Somebody asked for it with `customerArchive` or `customerUnarchive`."
    PURCHASE = "PURCHASE", "A purchase was recorded for the customer, or reassigned to the customer."
    HOLD = "HOLD", "Points were set aside at a checkout."
    GIFT_CARD = "GIFT_CARD", "The customer bought, received or claimed a gift card."
    ERASURE = "ERASURE", "The person was erased."
    MERGE = "MERGE", "A customer who was not archived was merged into this one."


def archive(account: Account, now: datetime) -> Account:
    """Return the account of an archived customer; points and debt stay.

    An account that is archived already stays as it is. Raises ActiveHolds while points are set aside.
    """
    if account.archived_at is not None:
        return account
    if account.held:
        raise ActiveHolds(account.held, ("customer",))
    return replace(account, archived_at=now)


def unarchive(account: Account) -> Account:
    """Return the account of a customer who is not archived any more."""
    return account if account.archived_at is None else replace(account, archived_at=None)
