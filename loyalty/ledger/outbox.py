"""Events of a book: each is told in the posting of what it tells of."""

from uuid_utils.compat import uuid7

from loyalty.ledger.accounts import Accounts, account_numbers
from loyalty.ledger.rows import OutboxEvent
from loyalty.ledger.sheet import Sheet
from loyalty.rules.event_codec import AnyEvent, CustomerThen, TierThen, encode_payload
from loyalty.rules.ids import CustomerId, EventId
from loyalty.rules.standing import count_qualifying


def tell_event(sheet: Sheet, accounts: Accounts, event: AnyEvent) -> None:
    """Append an event to the outbox, with the customer as they stand just now."""
    sheet.posting.add(
        OutboxEvent(
            id=EventId(uuid7()),
            kind=event.kind,
            customer_id=event.customer_id,
            entry_id=getattr(event, "entry_id", None),
            payload=encode_payload(event, _describe_customer(sheet, accounts, event.customer_id)),
            occurred_at=sheet.now,
        ),
    )


def _describe_customer(sheet: Sheet, accounts: Accounts, customer_id: CustomerId) -> CustomerThen:
    account = accounts[customer_id]
    counted = count_qualifying(sheet.program.row.settings.tiering, account)
    numbers = {**account_numbers(account), "qualifying": counted}
    tier = sheet.program.tier(account.tier_id)
    return CustomerThen(
        numbers, accounts.profile(customer_id).locale, None if tier is None else TierThen(tier.id, tier.name)
    )
