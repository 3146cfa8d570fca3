"""Quote a checkout: how much points can take off, before any are set aside. A hold uses the same functions."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from loyalty.ledger.program import CompiledProgram
from loyalty.rules.errors import (
    CurrencyMismatch,
    LoyaltyError,
    Problem,
    Refused,
    refuse_problems,
)
from loyalty.rules.hold_steps import refuse_payer
from loyalty.rules.ids import CustomerId
from loyalty.rules.money import MAX_AMOUNT_MINOR, Money, value_of
from loyalty.rules.points_paid import NOTHING_PAID, PointsPaid
from loyalty.rules.redemption import (
    NO_APPLICATION,
    DiscountLimit,
    DiscountMethod,
    Offer,
    PointsReason,
    apply_points,
    explain_quote,
    find_offer,
    min_points_of,
    propose_points,
    step_of,
)
from loyalty.rules.text import check_external_id
from loyalty.services.checkout_cards import (
    NamedCard,
    Price,
    QuotedCards,
    find_quoted_cards,
    quote_cards,
    refuse_cards,
)
from loyalty.services.customer import CustomerKey, may_see_customer, resolve_shared_name
from loyalty.services.customer_lookup import count_wrong_lookup, limit_lookups
from loyalty.services.program import program_at
from loyalty.services.purchase_key import settle_keys
from loyalty.services.world import World
from loyalty.storage.checkouts import CheckoutPoints, read_checkout_points
from loyalty.storage.idempotency import NO_CALL, KeyedCall
from loyalty.storage.known_checkouts import KnownCheckout, read_known_checkout
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.redemption_preparation import Prepared, prepare_for_customer, prepare_to_hold
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require_running
from tenancy.database import Transaction
from tenancy.reading import Reads


class Checkout(NamedTuple):
    """A checkout: the subtotal, the other discounts, and the key of the purchase that it becomes."""

    subtotal: Money
    discounts_minor: int = 0
    purchase: PurchaseKey | None = None

    @property
    def total_minor(self) -> int:
        """The amount to pay before points."""
        return self.subtotal.amount_minor - self.discounts_minor


class LoyaltyQuote(NamedTuple):
    """How points can be used by a customer at this checkout.

    ``reason`` says why ``points`` is this number, ``limited_by`` which limit sets the maximum. ``held_points`` are set
    aside for this same purchase already. They count as available, because a new hold may replace the hold of these
    points. ``refusal`` says why no points are applied; None if there is no reason.
    """

    balance: int
    balance_value: Money
    method: DiscountMethod
    points: int
    reason: PointsReason
    discount: Money
    min_points: int
    step: int
    max_points: int
    max_discount: Money
    limited_by: DiscountLimit | None
    held_points: int
    refusal: LoyaltyError | None


class Quote(NamedTuple):
    """A checkout with its price. ``loyalty`` is None if there is nothing to show."""

    checkout: Checkout
    loyalty: LoyaltyQuote | None
    paid: QuotedCards = QuotedCards()


class Usable(NamedTuple):
    """How many points may be used: what a customer can spend, and what is left to pay.

    ``spendable`` are the points of the customer, ``total_minor`` is the amount to pay before points. ``paid`` are
    points that pay already, ``beside_minor`` is paid by other means than points.
    """

    spendable: int
    total_minor: int
    paid: PointsPaid = NOTHING_PAID
    beside_minor: int = 0


async def quote_checkout(
    world: World,
    actor: Actor,
    customer: CustomerKey,
    checkout: Checkout,
    wanted: int | None,
    cards: Sequence[NamedCard] = (),
) -> Quote:
    """Return the price of a checkout, and how much of it points and gift cards can pay.

    It applies ``wanted`` points, or the number that the program proposes. If they cannot be applied, it applies none
    and the quote says why; the same for each card. It writes nothing but the count of wrong codes and wrong look-ups.
    Refusals: InvalidInput, CurrencyMismatch, NotFound (program).
    """
    require_running(actor, Permission.REDEMPTIONS_MANAGE, Permission.LOYALTY_READ, Permission.SELF_READ)
    refuse_cards(actor, cards)
    checkout = await settle_checkout(world, actor, checkout)
    refuse_checkout(checkout)
    tx = world.database.reading(actor.tenant_id)
    async with limit_lookups(world, actor, customer.name_shared_key(), "customer"):
        prepared = await prepare_customer(tx, NO_CALL, customer)
    program = await program_at(world, tx, prepared and prepared.config_version)
    refuse_currency(program, checkout)
    customer_id = prepared.customer_id if prepared else None
    if customer_id is None or not may_see_customer(actor, customer_id):
        customer_id = None
        await count_wrong_lookup(world, actor, customer.name_shared_key(), "customer")
    if customer_id is None or not program.row.settings.redemption.enabled:
        known = KnownCheckout() if checkout.purchase is None else await read_known_checkout(tx, checkout.purchase)
        loyalty, points_minor = None, known.paid.sum.discount_minor
    else:
        found = await read_checkout_points(tx, customer_id, checkout.purchase, world.now(program))
        known = found.known
        loyalty, points_minor = _quote_points(program, checkout, customer_id, found, wanted)
    price = Price(
        currency=program.row.currency,
        total_minor=checkout.total_minor,
        payable_minor=count_payable_minor(checkout, known),
        points_minor=points_minor,
        applied_minor=0 if loyalty is None else loyalty.discount.amount_minor,
    )
    named = await find_quoted_cards(world, actor, cards, checkout.purchase)
    return Quote(checkout, loyalty, quote_cards(actor, known, named, price, world.now(program)))


def _quote_points(
    program: CompiledProgram, checkout: Checkout, customer_id: CustomerId, found: CheckoutPoints, wanted: int | None
) -> tuple[LoyaltyQuote | None, int]:
    """Return the quote for points; None for a customer without points.

    Also return the discount that points give already. The customer's own holds for the purchase do not count in that
    discount, because a new hold may replace them.
    """
    known = found.known
    replaced = frozenset(one.id for one in known.paid.holds if one.owner_id == customer_id)
    paid = known.paid.without(replaced).sum
    if not found.balance:
        return None, known.paid.sum.discount_minor
    usable = Usable(found.spendable, count_payable_minor(checkout, known), paid, known.beside_points_minor)
    try:
        refuse_payer(known.build_purchase_to_pay(), customer_id)
    except LoyaltyError as error:
        refusal: LoyaltyError | None = error
    else:
        refusal = None
    quoted = _quote(program, checkout, usable, wanted, refusal)
    quoted = quoted._replace(
        balance=found.balance,
        balance_value=value_of(found.balance, program.row.settings.redemption.point_value),
        held_points=found.held,
    )
    return quoted, paid.discount_minor


def _quote(
    program: CompiledProgram, checkout: Checkout, usable: Usable, wanted: int | None, refusal: LoyaltyError | None
) -> LoyaltyQuote:
    """Return the quote for points. The caller fills in the balance."""
    policy, currency = program.row.settings.redemption, program.row.currency
    allowed = find_offer(policy, *usable) if refusal is None else Offer(0, 0)
    application = NO_APPLICATION
    asked = propose_points(policy, allowed) if wanted is None else wanted
    if asked and refusal is None:
        try:
            application = apply_points(
                policy, usable.spendable, usable.total_minor, asked, usable.paid, usable.beside_minor
            )
        except Refused as error:
            refusal = error
    refusal = refusal or allowed.refusal
    return LoyaltyQuote(
        balance=0,
        balance_value=Money(0, currency),
        method=policy.method,
        points=application.points,
        reason=explain_quote(wanted, application.points),
        discount=Money(application.discount_minor, currency),
        min_points=min_points_of(policy, allowed),
        step=step_of(policy.point_value),
        max_points=allowed.max_points,
        max_discount=Money(allowed.max_discount_minor, currency),
        limited_by=_find_limit(allowed, checkout, usable),
        held_points=0,
        refusal=refusal,
    )


def _find_limit(allowed: Offer, checkout: Checkout, usable: Usable) -> DiscountLimit | None:
    """Return which limit sets the maximum; the recorded total is named if it is below the caller's total."""
    if allowed.limited_by is DiscountLimit.TOTAL and usable.total_minor < checkout.total_minor:
        return DiscountLimit.RECORDED_TOTAL
    return allowed.limited_by


def count_payable_minor(checkout: Checkout, known: KnownCheckout) -> int:
    """Return the amount to pay before points: the recorded amount, or the caller's if that is less."""
    purchase = known.purchase
    if purchase is None or purchase.currency != checkout.subtotal.currency:
        return checkout.total_minor
    return max(0, min(checkout.total_minor, purchase.left_minor))


async def settle_checkout(world: World, actor: Actor, checkout: Checkout) -> Checkout:
    """Return the checkout with the key of its purchase as it is recorded; see ``settle_keys``."""
    if checkout.purchase is None:
        return checkout
    return checkout._replace(purchase=(await settle_keys(world, actor, [checkout.purchase]))[0])


async def prepare_customer(tx: Reads, call: KeyedCall, customer: CustomerKey) -> Prepared | None:
    """Read what an operation about a customer needs before it locks anything."""
    return await _prepare(tx, call, customer, prepare_for_customer)


async def prepare_hold(
    tx: Transaction, call: KeyedCall, customer: CustomerKey, purchase: PurchaseKey | None
) -> Prepared | None:
    """Read what a hold needs, and lock its purchase.

    Until the transaction ends, no other transaction records that purchase or pays for it.
    """
    if purchase is None:
        return await prepare_customer(tx, call, customer)
    return await _prepare(tx, call, customer, partial(prepare_to_hold, purchase=purchase))


async def _prepare(
    tx: Any, call: KeyedCall, customer: CustomerKey, ask: Callable[..., Awaitable[Prepared | None]]
) -> Prepared | None:
    """Read what an operation needs with ``ask``.

    Raises AmbiguousCustomer if several customers have the e-mail address, telephone number or identifier.
    """
    shared = customer.name_shared_key()
    if shared is None:
        what, value = ("id", customer.id) if customer.id is not None else ("external_id", customer.external_id)
        return await ask(tx, call, what=what, value=value)
    prepared = await ask(tx, call, what=shared.what, **shared.values)
    if prepared is not None and prepared.kept_key is None:
        # A replay gets the former answer, even if another customer has the same address since.
        await resolve_shared_name(tx, shared, "customer")
    return prepared


def refuse_checkout(checkout: Checkout) -> None:
    """Raise InvalidInput if an amount is not possible, or the external id of the purchase is not valid."""
    subtotal, discounts_minor, purchase = checkout
    problems: list[Problem | None] = []
    if not 0 <= subtotal.amount_minor <= MAX_AMOUNT_MINOR:
        problems.append(Problem(("subtotal", "amount"), "must not be negative"))
    if not 0 <= discounts_minor <= subtotal.amount_minor:
        problems.append(Problem(("discounts", "amount"), "must be between 0 and the subtotal"))
    if purchase is not None:
        problems.append(check_external_id(purchase.external_id, ("purchase", "external_id")))
    refuse_problems(problems)


def refuse_currency(program: CompiledProgram, checkout: Checkout) -> None:
    """Raise CurrencyMismatch if the checkout is not in the program's currency."""
    if checkout.subtotal.currency != program.row.currency:
        raise CurrencyMismatch(program.row.currency, checkout.subtotal.currency, ("subtotal", "currency"))
