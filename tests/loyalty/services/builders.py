"""Short ways to say what happens in a salon: everything has a plain default, and nothing is written here."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from loyalty.log.readers import advance_reader
from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import AccrualPolicy
from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.earning import (
    Award,
    CatalogItem,
    CatalogKind,
    Conditions,
    EarningRule,
    FixedAward,
    PerAmountAward,
)
from loyalty.rules.errors import LoyaltyError
from loyalty.rules.gift_card_product import GiftCardProduct
from loyalty.rules.ids import CustomerId, GiftCardProductId, RuleId, TenantId
from loyalty.rules.money import Money, PointValue
from loyalty.rules.opening import OpeningNumbers
from loyalty.rules.purchase import PurchaseFacts, PurchaseKind, PurchaseLine, PurchaseStatus
from loyalty.rules.purchase_report import PurchaseReport
from loyalty.rules.redemption import RedemptionPolicy
from loyalty.rules.refund import LineRefund, Refund
from loyalty.services.adjustment import AdjustedPoints, AdjustmentRequest, adjust_points
from loyalty.services.checkout import Checkout
from loyalty.services.customer import CustomerKey
from loyalty.services.customer_merge import MergedCustomers, MergeRequest, merge_customers
from loyalty.services.hold import HoldRequest
from loyalty.services.log_readers import READER_NAMES, READERS
from loyalty.services.opening_balance import Opening, OpeningResult, import_opening_balances
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import record_purchases
from loyalty.services.purchase_change import PurchaseName
from loyalty.services.purchase_recording import PurchaseRecording, RecordedPurchase
from loyalty.services.redemption import capture_hold, hold_points, return_redemption
from loyalty.services.redemption_answer import CapturedPoints, HeldPoints, ReturnedPoints
from loyalty.services.refund import RefundedPurchase, RefundRequest, refund_purchase
from loyalty.services.report import MovementRow, get_report, load_active_customers, load_report_sums
from loyalty.services.world import World
from loyalty.storage.events import position_events
from loyalty.storage.points_paid import PurchaseKey
from permissions.actor import Actor, ActorKind
from permissions.roles import ROLE_PERMISSIONS, Role
from tenancy.database import Database
from tests.fixtures.tenants import Salon

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
"""A Wednesday, in Berlin as in UTC."""

NOBODY = UUID("01890000-0000-7000-8000-000000000000")
"""An id that nothing has."""


def order(
    external_id: str = "order-1",
    total: int = 10_000,
    *lines: PurchaseLine,
    customer: CustomerProfile | str = "anna",
    status: PurchaseStatus = PurchaseStatus.CREATED,
    **facts: Any,
) -> PurchaseRecording:
    """Return an order for so many cents, by a customer without a profile."""
    made = PurchaseFacts(PurchaseKind.ORDER, external_id, Money(total, "EUR"), lines)
    profile = CustomerProfile(customer) if isinstance(customer, str) else customer
    return PurchaseRecording(PurchaseReport.of(replace(made, **facts)), status, profile)


def report(
    status: PurchaseStatus = PurchaseStatus.CREATED,
    external_id: str = "order-1",
    *,
    customer: str = "anna",
    key: str | None = None,
    kind: PurchaseKind = PurchaseKind.ORDER,
    **told: Any,
) -> PurchaseRecording:
    """Return a report that tells only the given fields. A field of None is told, too."""
    return PurchaseRecording(PurchaseReport(kind, external_id, **told), status, CustomerProfile(customer), key)


def rule(award: Award | int = 10, **changes: Any) -> EarningRule:
    """Return an active rule for everything. A bare number gives so many points for each purchase."""
    made = EarningRule(
        id=RuleId(NOBODY),
        name="Welcome",
        version=1,
        priority=0,
        active=True,
        award=FixedAward(award) if isinstance(award, int) else award,
        conditions=Conditions(),
    )
    return replace(made, **changes)


def product(**changes: Any) -> GiftCardProduct:
    """Return a product: a gift card of 25.00 EUR for 500 points."""
    made = GiftCardProduct(
        id=GiftCardProductId(NOBODY),
        name="Voucher",
        face=Money(2_500, "EUR"),
        purchasable_with_points=True,
        points_cost=500,
    )
    return replace(made, **changes)


def one_point_per_euro() -> EarningRule:
    """Return the rule of a shop: one point for each euro."""
    return rule(PerAmountAward(1, 100), name="A point per euro")


def adjustment(points: int, key: str = "key-1", *, customer: str = "anna", **changes: Any) -> AdjustmentRequest:
    """Return a request for an adjustment as goodwill, for a customer by external id."""
    made = AdjustmentRequest(
        customer=CustomerKey(external_id=customer),
        points=points,
        reason=AdjustmentReason.GOODWILL,
        internal_note=None,
        customer_description=None,
        qualifying=None,
        overdraft=Overdraft.REJECT,
        idempotency_key=key,
    )
    return made._replace(**changes)


def service_item(external_id: str, **changes: Any) -> CatalogItem:
    """Return a service of the catalogue that is not enrolled."""
    return replace(CatalogItem(CatalogKind.SERVICE, external_id, external_id.capitalize()), **changes)


def customer_actor(tenant_id: TenantId, customer_id: CustomerId) -> Actor:
    """Return the actor of a customer in the tenant's own app."""
    return Actor(
        kind=ActorKind.CUSTOMER,
        tenant_id=tenant_id,
        subject=f"customer:{customer_id}",
        permissions=ROLE_PERMISSIONS[Role.CUSTOMER],
        display="A customer",
        customer_id=customer_id,
    )


def at(world: World, now: datetime) -> World:
    """Return the same world with a clock that stands at another time."""
    return replace(world, clock=clock_at(now))


def clock_at(now: datetime) -> Callable[[], datetime]:
    """Return a clock that stands still."""
    return lambda: now


async def known_customer(world: World, salon: Salon, external_id: str = "anna") -> CustomerId:
    """Create a customer by a purchase of 0, so that no rule gives points for an amount."""
    recorded = await record_alone(world, salon.manager, order(f"first of {external_id}", 0, customer=external_id))
    return recorded.customer.id


async def earn(world: World, salon: Salon, recording: PurchaseRecording) -> RecordedPurchase:
    """Record a purchase as the salon's own booking system."""
    return await record_alone(world, salon.integration, recording)


async def record_alone(world: World, actor: Actor, recording: PurchaseRecording) -> RecordedPurchase:
    """Record a purchase in a transaction of its own, as another process does.

    It is never written together with others that come at the same time.
    """
    (result,) = await record_purchases(world, actor, [recording])
    if isinstance(result, LoyaltyError):
        raise result
    return result


async def give(world: World, salon: Salon, points: int, key: str, **changes: Any) -> AdjustedPoints:
    """Adjust points as the salon's manager."""
    return await adjust_points(world, salon.manager, adjustment(points, key, **changes))


def checkout(
    subtotal: int = 10_000, discounts: int = 0, purchase: str | None = None, kind: PurchaseKind = PurchaseKind.ORDER
) -> Checkout:
    """Return a checkout over so many cents."""
    key = None if purchase is None else PurchaseKey(kind, purchase)
    return Checkout(Money(subtotal, "EUR"), discounts, key)


async def hold(
    world: World, salon: Salon, points: int, key: str, *, customer: str = "anna", **details: Any
) -> HeldPoints:
    """Set points aside as the salon's own checkout, for a purchase of its own unless one is named."""
    at_checkout = details.pop("checkout", None) or checkout()
    if at_checkout.purchase is None:
        at_checkout = at_checkout._replace(purchase=PurchaseKey(PurchaseKind.ORDER, f"cart of {key}"))
    request = HoldRequest(CustomerKey(external_id=customer), points, at_checkout, None, None, key)
    return await hold_points(world, salon.integration, request._replace(**details))


async def capture(world: World, salon: Salon, held: HeldPoints, key: str, points: int | None = None) -> CapturedPoints:
    """Spend what is held, or a part of it."""
    return await capture_hold(world, salon.integration, held.hold.id, points, key)


async def give_back(
    world: World, salon: Salon, captured: CapturedPoints, key: str, *, points: int | None = None
) -> ReturnedPoints:
    """Give spent points back, all that is left or a part."""
    return await return_redemption(world, salon.integration, captured.redemption.id, points, None, key)


async def pay_back(
    world: World, salon: Salon, external_id: str, amount_minor: int, key: str, *lines: LineRefund, **details: Any
) -> RefundedPurchase:
    """Refund an order: an amount that belongs to no line, or lines of the order."""
    name = PurchaseName(key=PurchaseKey(PurchaseKind.ORDER, external_id))
    request = RefundRequest(name, Refund(lines, amount_minor), "EUR", None, None, key)
    return await refund_purchase(world, salon.integration, request._replace(**details))


async def bring_along(
    world: World, salon: Salon, points: int, *, customer: str = "anna", **details: Any
) -> OpeningResult:
    """Import an opening balance. By default all points were earned, and count for the tier."""
    numbers = OpeningNumbers(points, details.pop("lifetime", points), details.pop("qualifying", points))
    opening = Opening(CustomerProfile(customer), numbers, details.pop("expires_on", None))
    (result,) = await import_opening_balances(world, salon.manager, [opening])
    return result


async def merge(world: World, salon: Salon, source: str, target: str, key: str) -> MergedCustomers:
    """Merge one customer into another. A customer who does not exist is created first."""
    await known_customer(world, salon, target)
    names = (CustomerKey(external_id=source), CustomerKey(external_id=target))
    return await merge_customers(world, salon.manager, MergeRequest(*names, None, key))


async def set_redemption(world: World, salon: Salon, **policy: Any) -> None:
    """Set how points can be spent from now on. By default a point is worth a cent, without limits."""
    redemption = RedemptionPolicy(enabled=True, point_value=PointValue(1, Money(1, "EUR")))
    changed = replace(redemption, **policy)
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, redemption=changed), None))


async def set_policy(world: World, salon: Salon, **policy: Any) -> None:
    """Set how points come and go from now on. Settings that are not given are those of a new program."""
    accrual = AccrualPolicy(**policy)
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, accrual=accrual), None))


async def read_all_events(world: World, tenant_id: TenantId, relay: Database) -> None:
    """Give every committed event its position, and let each reader work through the log of a tenant."""
    await position_all_events(relay)
    for reader in READERS.values():
        while await advance_reader(world.database, tenant_id, reader):
            pass


async def position_all_events(relay: Database) -> None:
    """Give every committed event its position, as the relay does."""
    while True:
        async with relay.engine.begin() as connection:
            if not await position_events(connection, READER_NAMES):
                return


class ReadReport(NamedTuple):
    """A report with all its figures."""

    starts_at: datetime
    ends_at: datetime
    points_earned: int
    points_redeemed: int
    redemption_rate: int
    active_customers: int
    movements: MovementRow


async def read_report(world: World, actor: Actor, first_day: date, last_day: date) -> ReadReport:
    """Ask for all figures of a report."""
    found = await get_report(world, actor, first_day, last_day)
    sums = (await load_report_sums(world, actor, [found]))[found]
    active = (await load_active_customers(world, actor, [found]))[found]
    return ReadReport(
        found.starts_at,
        found.ends_at,
        sums.points_earned,
        sums.points_redeemed,
        sums.redemption_rate,
        active,
        movements=sums.movements,
    )
