"""Events of a book: each is told in the posting of what it tells of."""

from uuid_utils.compat import uuid7

from loyalty.ledger.accounts import Accounts, account_numbers
from loyalty.ledger.rows import OutboxEvent
from loyalty.ledger.sheet import Sheet
from loyalty.rules.event_codec import AnyEvent, encode_event
from loyalty.rules.ids import EventId
from loyalty.rules.standing import count_qualifying


def tell_event(sheet: Sheet, accounts: Accounts, event: AnyEvent) -> None:
    """Append an event to the outbox, with the account as it is just now."""
    account = accounts[event.customer_id]
    counted = count_qualifying(sheet.program.row.settings.tiering, account)
    numbers = {**account_numbers(account), "qualifying": counted}
    locale = accounts.profile(event.customer_id).locale
    sheet.posting.add(
        OutboxEvent(
            id=EventId(uuid7()),
            kind=event.kind,
            customer_id=event.customer_id,
            entry_id=getattr(event, "entry_id", None),
            payload={**encode_event(event), "account": numbers, "locale": locale},
            occurred_at=sheet.now,
        ),
    )
