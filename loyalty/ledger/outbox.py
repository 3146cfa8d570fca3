"""Events of a book. An event is written in the same posting as the fact that it tells."""

from uuid_utils.compat import uuid7

from loyalty.ledger.accounts import Accounts, account_numbers
from loyalty.ledger.rows import OutboxEvent
from loyalty.ledger.sheet import Sheet
from loyalty.rules.event_codec import AnyEvent, CustomerThen, TierThen, encode_payload
from loyalty.rules.event_subjects import EventSubject, find_subject
from loyalty.rules.ids import CustomerId, EventId
from loyalty.rules.standing import count_qualifying


def tell_event(sheet: Sheet, accounts: Accounts, event: AnyEvent) -> None:
    """Add an event to the posting.

    If it names a customer, it carries the customer's numbers and tier as they are now.
    """
    subject = find_subject(event)
    customer_id = event.customer_id
    sheet.posting.add(
        OutboxEvent(
            id=EventId(uuid7()),
            kind=event.kind,
            subject_kind=subject.kind,
            subject_id=None if subject.kind is EventSubject.CUSTOMER else subject.id,
            customer_id=customer_id,
            entry_id=getattr(event, "entry_id", None),
            payload=encode_payload(
                event, None if customer_id is None else _describe_customer(sheet, accounts, customer_id)
            ),
            occurred_at=sheet.now,
        ),
    )


def _describe_customer(sheet: Sheet, accounts: Accounts, customer_id: CustomerId) -> CustomerThen:
    """Return the customer's numbers, language and tier as they are now.

    The number `qualifying` is what leads to the next tier, as the tier policy counts it.
    """
    account = accounts[customer_id]
    counted = count_qualifying(sheet.program.row.settings.tiering, account)
    numbers = {**account_numbers(account), "qualifying": counted}
    tier = sheet.program.tier(account.tier_id)
    return CustomerThen(
        numbers, accounts.profile(customer_id).locale, None if tier is None else TierThen(tier.id, tier.name)
    )
