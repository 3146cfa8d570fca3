"""Issue gift cards for money or for goodwill; `giftCardBuy` uses the same functions for points."""

from datetime import date, datetime
from functools import partial
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.ledger.archiving import bring_back
from loyalty.ledger.book import Book, open_book
from loyalty.ledger.gift_cards import enter_card, next_card_notice, tell_of_card
from loyalty.ledger.once import Booked, run_once
from loyalty.ledger.rows import ProductSale
from loyalty.rules.archive import ArchiveCause
from loyalty.rules.chain import CHAIN_START
from loyalty.rules.errors import NotFound, refuse_problems
from loyalty.rules.gift_card import GiftCardEntryKind, GiftCardOrigin, add_to_balance
from loyalty.rules.gift_card_code import GiftCardCode, last_symbols
from loyalty.rules.gift_card_events import GiftCardIssued
from loyalty.rules.gift_card_issue import CardWorth, choose_worth, find_issue_problems, refuse_other_currencies
from loyalty.rules.gift_card_product import GiftCardProduct, refuse_sale
from loyalty.rules.ids import CustomerId, GiftCardId, GiftCardProductId
from loyalty.rules.money import Money
from loyalty.rules.text import check_external_id, check_note
from loyalty.services.checkout import prepare_customer
from loyalty.services.customer import CustomerKey
from loyalty.services.customer_lookup import limit_lookups
from loyalty.services.fingerprint import fingerprint, money_identity
from loyalty.services.gift_card import open_code
from loyalty.services.program import program_at
from loyalty.services.redemption_answer import read_customer
from loyalty.services.world import World
from loyalty.storage.customers import CustomerRow
from loyalty.storage.gift_card_codes import new_code
from loyalty.storage.gift_card_products import read_product_sales
from loyalty.storage.gift_cards import GiftCardRow, read_cards_by_id
from loyalty.storage.idempotency import name_call
from loyalty.storage.redemption_preparation import Prepared, prepare_for_nobody
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.database import Transaction

ISSUE = "giftCardIssue"


class CardTerms(NamedTuple):
    """The properties of a new card."""

    origin: GiftCardOrigin
    face: Money
    expires_at: datetime | None
    customer_id: CustomerId | None = None
    product_id: GiftCardProductId | None = None
    points_cost: int | None = None
    price_minor: int | None = None
    reference: str | None = None
    reason: str | None = None


class IssueRequest(NamedTuple):
    """A card that was sold for money, or is given for goodwill. Without a customer it has no holder.

    ``price`` is the money paid for it, if known. ``reference`` is the sale in the caller's own system.
    """

    origin: GiftCardOrigin
    face: Money | None
    idempotency_key: str
    customer: CustomerKey | None = None
    price: Money | None = None
    expires_on: date | None = None
    reference: str | None = None
    reason: str | None = None
    product_id: GiftCardProductId | None = None
    """The product, in place of ``face``: it decides the face value and the validity."""

    def fingerprint(self) -> str:
        """Return the fingerprint of this request."""
        return fingerprint(
            [
                self.origin,
                self.face and money_identity(self.face),
                self.customer and self.customer.identity(),
                self.price and money_identity(self.price),
                self.expires_on,
                self.reference,
                self.reason,
            ],
            product=self.product_id,
        )

    def build_terms(self, worth: CardWorth, customer_id: CustomerId | None) -> CardTerms:
        """Return the properties of the new card."""
        return CardTerms(
            origin=self.origin,
            face=worth.face,
            expires_at=worth.expires_at,
            customer_id=customer_id,
            product_id=self.product_id,
            price_minor=self.price.amount_minor if self.price else None,
            reference=self.reference,
            reason=self.reason,
        )


class IssuedCard(NamedTuple):
    """A new card with its code and its customer. A replay gets the card as it is now."""

    card: GiftCardRow
    code: GiftCardCode
    customer: CustomerRow | None
    replayed: bool


async def issue_gift_card(world: World, actor: Actor, request: IssueRequest) -> IssuedCard:
    """Issue a card for money that was taken elsewhere, or for goodwill.

    Refusals: InvalidInput, CurrencyMismatch, IdempotencyConflict, NotFound (customer, product),
    GiftCardProductUnavailable. A refusal writes nothing.
    """
    require(actor, Permission.GIFT_CARDS_ISSUE)
    _refuse_issue(request)
    async with limit_lookups(world, actor, request.customer and request.customer.name_shared_key(), "customer"):
        return await run_once(
            world.database,
            actor.tenant_id,
            name_call(actor, request.idempotency_key, ISSUE, request.fingerprint()),
            ask=partial(prepare_customer, customer=request.customer) if request.customer else prepare_for_nobody,
            decide=partial(_decide, world, actor, request),
            replay=partial(read_issued, world, actor),
        )


async def _decide(
    world: World, actor: Actor, request: IssueRequest, tx: Transaction, prepared: Prepared | None
) -> Booked[IssuedCard]:
    """Decide to issue a card: check its currency and its product, choose its worth, and book it."""
    program = await program_at(world, tx, prepared and prepared.config_version)
    customer_id = prepared.customer_id if prepared else None
    if request.customer is not None and customer_id is None:
        raise NotFound("customer", ("customer",))
    refuse_other_currencies(program.row.currency, {"amount": request.face, "price": request.price})
    book = await open_book(world, tx, program, actor, [] if customer_id is None else [customer_id])
    product = None
    if request.product_id is not None:
        product = await sell_product(tx, book, request.product_id, customer_id, request.origin)
    worth = choose_worth(request.face, product, request.expires_on, book.now, program.zone)
    return issue_card(world, book, GiftCardId(uuid7()), request.build_terms(worth, customer_id))


async def sell_product(
    tx: Transaction,
    book: Book,
    product_id: GiftCardProductId,
    customer_id: CustomerId | None,
    origin: GiftCardOrigin,
) -> GiftCardProduct:
    """Book that one more card of a product is sold, and return the product.

    The posting counts the card only within the stock. So of two sales of the last card one runs again and is refused.
    The limit for a customer does not hold for goodwill. Refusals: NotFound, GiftCardProductUnavailable.
    """
    stored, sales = await read_product_sales(tx, product_id, customer_id)
    counts = origin is not GiftCardOrigin.GOODWILL
    product = refuse_sale(sales, book.today, for_points=origin is GiftCardOrigin.POINTS, counts_for_customer=counts)
    book.posting.add(ProductSale(product_id, 1, stored.version if stored else None))
    return product


def issue_card(world: World, book: Book, card_id: GiftCardId, terms: CardTerms) -> Booked[IssuedCard]:
    """Book a new card with its first entry. The archiving of its customer ends."""
    code = new_code()
    blank = _new_card(world, book, card_id, terms, code)
    if terms.customer_id is not None:
        bring_back(book, terms.customer_id, ArchiveCause.GIFT_CARD, card_id)
    after = add_to_balance(blank.account, blank.face_minor)
    card, _ = enter_card(book, blank, GiftCardEntryKind.ISSUED, after, expires_at=blank.expires_at)
    book.posting.add(card)
    tell_of_card(book, card, GiftCardIssued, amount_minor=card.face_minor)
    return Booked(
        book, card_id, lambda: IssuedCard(card, code, _find_customer(book, terms.customer_id), replayed=False)
    )


def _new_card(world: World, book: Book, card_id: GiftCardId, terms: CardTerms, code: GiftCardCode) -> GiftCardRow:
    """Return a new card without money. Its first entry brings the money."""
    tenant_id = book.actor.tenant_id
    return GiftCardRow(
        id=card_id,
        product_id=terms.product_id,
        origin=terms.origin,
        buyer_id=terms.customer_id,
        holder_id=terms.customer_id,
        code_hash=world.codes.hash(tenant_id, code),
        code_sealed=world.codes.seal(tenant_id, card_id, code),
        code_ending=last_symbols(code),
        face_minor=terms.face.amount_minor,
        balance_minor=0,
        held_minor=0,
        currency=terms.face.currency,
        points_cost=terms.points_cost,
        price_minor=terms.price_minor,
        reference=terms.reference,
        reason=terms.reason or None,
        sequence=0,
        chain=CHAIN_START,
        issued_at=book.now,
        expires_at=terms.expires_at,
        notice_at=next_card_notice(book, terms.expires_at),
        voided_at=None,
        actor_kind=book.actor.kind,
        actor=book.actor.display,
    )


async def read_issued(world: World, by: Actor, tx: Transaction, result_id: UUID) -> IssuedCard:
    """Return the replayed answer to an issued card: the card as it is now, with its code."""
    card_id = GiftCardId(result_id)
    card = (await read_cards_by_id(tx, [card_id]))[card_id]
    customer = None if card.buyer_id is None else await read_customer(tx, card.buyer_id)
    return IssuedCard(card, open_code(world, by, card), customer, replayed=True)


def _find_customer(book: Book, customer_id: CustomerId | None) -> CustomerRow | None:
    return None if customer_id is None else book.customer(customer_id)


def _refuse_issue(request: IssueRequest) -> None:
    """Raise InvalidInput with all wrong fields of a request for a card."""
    has_product = request.product_id is not None
    refuse_problems(
        [
            check_external_id(request.idempotency_key, ("idempotency_key",)),
            *find_issue_problems(request.origin, request.face, request.price, has_product=has_product),
            None if request.reference is None else check_external_id(request.reference, ("reference",)),
            check_note(request.reason, ("reason",)),
        ]
    )
