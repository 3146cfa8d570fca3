"""Buy a gift card with points: the points are spent and the card is issued in one posting."""

from functools import partial
from typing import NamedTuple

from uuid_utils.compat import uuid7

from loyalty.ledger.book import Book, bring_open_lots, open_book
from loyalty.ledger.once import Booked, run_once
from loyalty.rules.account import Overdraft, debit
from loyalty.rules.entry import EntryKind
from loyalty.rules.entry_kinds import cause_entry
from loyalty.rules.errors import NotFound, refuse_problems
from loyalty.rules.gift_card import GiftCardOrigin
from loyalty.rules.gift_card_events import GiftCardBought
from loyalty.rules.gift_card_product import expiry_of
from loyalty.rules.ids import CustomerId, GiftCardId, GiftCardProductId
from loyalty.rules.lots import allocate
from loyalty.rules.text import check_external_id
from loyalty.services.checkout import prepare_customer
from loyalty.services.customer import CustomerKey, may_see_customer
from loyalty.services.customer_lookup import limit_lookups
from loyalty.services.fingerprint import fingerprint
from loyalty.services.gift_card_issue import CardTerms, IssuedCard, issue_card, read_issued, sell_product
from loyalty.services.program import program_at
from loyalty.services.world import World
from loyalty.storage.idempotency import name_call
from loyalty.storage.redemption_preparation import Prepared
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require_any
from tenancy.database import Transaction

BUY = "giftCardBuy"


class BuyRequest(NamedTuple):
    """A card that a customer buys with points."""

    customer: CustomerKey
    product_id: GiftCardProductId
    idempotency_key: str

    def fingerprint(self) -> str:
        """Return the fingerprint of this request."""
        return fingerprint([self.customer.identity(), self.product_id])


async def buy_gift_card(world: World, actor: Actor, request: BuyRequest) -> IssuedCard:
    """Spend a customer's points on a new gift card. That earns no points and counts for no tier.

    Refusals: InvalidInput, IdempotencyConflict, NotFound (customer, product), GiftCardProductUnavailable (also sold
    out), InsufficientPoints. A refusal writes nothing.
    """
    require_any(actor, Permission.GIFT_CARDS_ISSUE, Permission.SELF_REDEEM)
    refuse_problems([check_external_id(request.idempotency_key, ("idempotency_key",))])
    async with limit_lookups(world, actor, request.customer.name_shared_key(), "customer"):
        return await run_once(
            world.database,
            actor.tenant_id,
            name_call(actor, request.idempotency_key, BUY, request.fingerprint()),
            ask=partial(prepare_customer, customer=request.customer),
            decide=partial(_decide, world, actor, request),
            replay=partial(read_issued, world, actor),
        )


async def _decide(
    world: World, actor: Actor, request: BuyRequest, tx: Transaction, prepared: Prepared | None
) -> Booked[IssuedCard]:
    """Decide a purchase of a card: spend the points of the customer and issue the card."""
    program = await program_at(world, tx, prepared and prepared.config_version)
    customer_id = prepared.customer_id if prepared else None
    if customer_id is None or not may_see_customer(actor, customer_id):
        raise NotFound("customer", ("customer",))
    book = await open_book(world, tx, program, actor, [customer_id])
    product = await sell_product(tx, book, request.product_id, customer_id, GiftCardOrigin.POINTS)
    points = product.points_cost or 0
    await bring_open_lots(tx, book, [customer_id])
    card_id = GiftCardId(uuid7())
    _spend_points(book, customer_id, card_id, points)
    terms = CardTerms(
        origin=GiftCardOrigin.POINTS,
        face=product.face,
        expires_at=expiry_of(product.validity, book.now, program.zone),
        customer_id=customer_id,
        product_id=product.id,
        points_cost=points,
    )
    return issue_card(world, book, card_id, terms)


def _spend_points(book: Book, customer_id: CustomerId, card_id: GiftCardId, points: int) -> None:
    """Book the points that a card costs. It is an activity, so lots that expire by inactivity expire later.

    Refusal: InsufficientPoints.
    """
    account = book.account(customer_id)
    paid = debit(account, points, overdraft=Overdraft.REJECT, qualifying=False, path=("product",))
    allocations = allocate(book.lots.spendable(customer_id), points)
    entry = book.debit(customer_id, paid, allocations, cause_entry(EntryKind.GIFT_CARD, card_id, card_id))
    book.lots.note_activity(customer_id)
    book.tell(GiftCardBought(customer_id, entry.id, card_id, -points, book.account(customer_id).available))
