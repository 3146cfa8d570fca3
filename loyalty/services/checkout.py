"""Quote a checkout: what points can take off, before anything is set aside. A hold asks the same functions."""

from typing import NamedTuple

from loyalty.rules.errors import CurrencyMismatch, Problem, Refused, refuse_problems
from loyalty.rules.lots import is_spendable
from loyalty.rules.money import MAX_AMOUNT_MINOR, Money, value_of
from loyalty.rules.redemption import (
    NO_APPLICATION,
    Application,
    DiscountMethod,
    apply_points,
    offer,
    proposed_points,
)
from loyalty.rules.text import check_external_id
from loyalty.services.customer import CustomerKey, may_see_customer
from loyalty.services.program import program_at
from loyalty.services.world import CompiledProgram, World
from loyalty.storage.idempotency import NO_CALL, KeyedCall
from loyalty.storage.redemptions import Prepared, PurchaseKey, prepare_for_customer, read_lots_for
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require_any
from tenancy.database import Transaction


class Checkout(NamedTuple):
    """What is to be paid: the subtotal, what other discounts take off it, and which purchase it will be."""

    subtotal: Money
    discounts_minor: int = 0
    purchase: PurchaseKey | None = None

    @property
    def total_minor(self) -> int:
        """What is payable before points."""
        return self.subtotal.amount_minor - self.discounts_minor


class LoyaltyQuote(NamedTuple):
    """What points can do for a customer at this checkout."""

    balance: int
    balance_value: Money
    method: DiscountMethod
    points: int
    discount: Money
    max_points: int
    max_discount: Money
    refusal: Refused | None


class Quote(NamedTuple):
    """A checkout with its price; ``loyalty`` is None when there is nothing to show."""

    checkout: Checkout
    loyalty: LoyaltyQuote | None


async def quote_checkout(
    world: World, actor: Actor, customer: CustomerKey, checkout: Checkout, wanted: int | None
) -> Quote:
    """What a checkout costs, and what points can take off it; writes nothing.

    ``wanted`` points are applied, or those that the program proposes. When they cannot be, nothing is applied and the
    quote says why. Refusals: InvalidInput, CurrencyMismatch, NotFound (program).
    """
    require_any(actor, Permission.REDEMPTIONS_MANAGE, Permission.LOYALTY_READ, Permission.SELF_READ)
    refuse_checkout(checkout)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        prepared = await prepare_customer(tx, NO_CALL, customer)
        program = await program_at(world, tx, prepared and prepared.config_version)
        refuse_currency(program, checkout)
        policy = program.row.settings.redemption
        customer_id = prepared.customer_id if prepared else None
        if customer_id is None or not policy.enabled or not may_see_customer(actor, customer_id):
            return Quote(checkout, None)
        lots, earned_with_it = await read_lots_for(tx, customer_id, checkout.purchase)
    now = world.now(program)
    balance = sum(lot.remaining for lot in lots if is_spendable(lot, now))
    spendable = sum(lot.remaining for lot in lots if is_spendable(lot, now) and lot.id not in earned_with_it)
    if not balance:
        return Quote(checkout, None)
    allowed = offer(policy, spendable, checkout.total_minor)
    refusal = allowed.refusal
    application = NO_APPLICATION
    asked = proposed_points(policy, allowed) if wanted is None else wanted
    if asked and refusal is None:
        try:
            application = applied(program, spendable, checkout, asked)
        except Refused as error:
            refusal = error
    currency = program.row.currency
    return Quote(
        checkout,
        LoyaltyQuote(
            balance=balance,
            balance_value=value_of(balance, policy.point_value),
            method=policy.method,
            points=application.points,
            discount=Money(application.discount_minor, currency),
            max_points=allowed.max_points,
            max_discount=Money(allowed.max_discount_minor, currency),
            refusal=refusal,
        ),
    )


async def prepare_customer(tx: Transaction, call: KeyedCall, customer: CustomerKey) -> Prepared | None:
    """What an operation about a customer must know before it locks anything."""
    named = {name: value for name, value in customer._asdict().items() if value is not None}
    if "email" in named:
        named["email"] = named["email"].lower()
    return await prepare_for_customer(tx, call, **named)


def applied(program: CompiledProgram, spendable: int, checkout: Checkout, wanted: int) -> Application:
    """What so many points take off: the same for a quote and for a hold."""
    return apply_points(program.row.settings.redemption, spendable, checkout.total_minor, wanted)


def refuse_checkout(checkout: Checkout) -> None:
    """InvalidInput unless the amounts are possible."""
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
    """CurrencyMismatch unless the checkout is in the program's currency."""
    if checkout.subtotal.currency != program.row.currency:
        raise CurrencyMismatch(program.row.currency, checkout.subtotal.currency, ("subtotal", "currency"))
