"""Send notices of the expiry of gift cards: each once, with any number of workers.

A notice is sent in the transaction that sets the time of the card's next notice, under the lock of the card. So a
worker that stops in between has sent nothing, and the next worker sends the notice.
"""

from loyalty.ledger.book import Book
from loyalty.ledger.gift_cards import keep_card, next_card_notice, open_card_book, tell_of_card
from loyalty.ledger.posting import post_and_commit
from loyalty.rules.expiry import due_notice
from loyalty.rules.gift_card_events import GiftCardExpiring
from loyalty.rules.ids import TenantId
from loyalty.services.gift_card_expiry import BATCH, SUBJECT
from loyalty.services.program import program_in_force
from loyalty.services.sweep import NOTHING_SWEPT, Swept
from loyalty.services.world import World
from loyalty.storage.gift_cards import GiftCardRow, read_due_card_notices
from permissions.actor import system_actor
from tenancy.retry import retry_transaction


async def tell_expiring_cards(world: World, tenant_id: TenantId) -> Swept:
    """Send the due notices of up to ``BATCH`` cards: once for each card, expiry and number of days."""
    return await retry_transaction(lambda: _tell_batch(world, tenant_id))


async def _tell_batch(world: World, tenant_id: TenantId) -> Swept:
    """Send the notices of one batch in one transaction."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        program = await program_in_force(world, tx, even_when_off=True)
        seen = await read_due_card_notices(tx, world.now(program), BATCH)
        if not seen:
            return NOTHING_SWEPT
        by, owners = system_actor(tenant_id, SUBJECT), [card.owner_id for card in seen]
        book, cards = await open_card_book(world, tx, program, by, owners, [card.id for card in seen])
        for card in cards.values():
            _tell_of_card(book, card)
        await post_and_commit(tx, book.finish())
    return Swept(len(seen))


def _tell_of_card(book: Book, card: GiftCardRow) -> None:
    """Send the due notice of one card, as it is under the lock, and set the time of its next notice."""
    if card.notice_at is None or card.notice_at > book.now:
        return
    days = None
    # A card from before notices existed has a time for one even if it never expires. It loses that time here.
    if card.expires_at is not None:
        notice_days, zone = book.program.row.settings.notice_days, book.program.zone
        days = due_notice(card.expires_at, notice_days, card.notice_at, book.now, zone)
    if days is not None and card.account.free_minor and card.expires_at is not None:
        tell_of_card(
            book,
            card,
            GiftCardExpiring,
            amount_minor=card.account.free_minor,
            days_before=days,
            expires_at=card.expires_at.isoformat(),
            marketing_consent=_has_consent(book, card),
        )
    keep_card(book, card._replace(notice_at=next_card_notice(book, card.expires_at)))


def _has_consent(book: Book, card: GiftCardRow) -> bool:
    """Tell whether the owner of a card agreed to marketing; false without an owner."""
    return card.owner_id is not None and bool(book.accounts.profile(card.owner_id).marketing_consent)
