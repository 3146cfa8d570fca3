"""Let customers of the demo spend points and get refunds. Some of their points expire, and some stay pending."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from loyalty.rules.account import Overdraft
from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.money import Money
from loyalty.rules.program import ProgramSettings
from loyalty.rules.refund import Refund
from loyalty.services.adjustment import AdjustmentRequest, adjust_points
from loyalty.services.checkout import Checkout
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.hold import HoldRequest
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import record_purchases
from loyalty.services.purchase_change import PurchaseName
from loyalty.services.purchase_recording import PurchaseRecording
from loyalty.services.redemption import capture_hold, hold_points
from loyalty.services.refund import RefundRequest, refund_purchase
from loyalty.services.world import World
from loyalty.storage.points_paid import PurchaseKey
from permissions.actor import Actor

SPENT_POINTS = 100
GIFT_POINTS = 25
GIFT_DAYS = 14
WAITING_MINUTES = 14 * 24 * 60


async def spend_and_refund(world: World, actor: Actor, bought: Sequence[PurchaseRecording], key: str) -> None:
    """Let the first customer spend points. Refund half of the second purchase, and give its customer some points.

    These points expire after `GIFT_DAYS`. ``key`` makes the idempotency keys unique.
    """
    first, second = bought[0], bought[1]
    await _spend(world, actor, first, key)
    await refund_purchase(
        world,
        actor,
        RefundRequest(
            PurchaseName(key=key_of(second)),
            Refund((), total_of(second).amount_minor // 2),
            total_of(second).currency,
            "Half of it was not as wished",
            None,
            f"refund of {key}",
        ),
    )
    await adjust_points(
        world,
        actor,
        AdjustmentRequest(
            CustomerKey(external_id=second.customer.external_id),
            GIFT_POINTS,
            AdjustmentReason.PROMOTION,
            "Two weeks to come back",
            "A gift, good for two weeks",
            qualifying=False,
            overdraft=Overdraft.REJECT,
            idempotency_key=f"gift of {key}",
            expires_on=world.clock().date() + timedelta(days=GIFT_DAYS),
        ),
    )


async def _spend(world: World, actor: Actor, bought: PurchaseRecording, key: str) -> None:
    """Let the customer of a purchase spend points on a later purchase.

    Nothing happens if the customer has too few points, or the total is too low.
    """
    who = CustomerKey(external_id=bought.customer.external_id)
    customer = await find_customer(world, actor, who)
    total = total_of(bought)
    if customer is None or customer.points.available < SPENT_POINTS or total.amount_minor < 2 * SPENT_POINTS:
        return
    purchase = PurchaseKey(key_of(bought).kind, f"paid with points, {key}")
    request = HoldRequest(who, SPENT_POINTS, Checkout(total, 0, purchase), None, None, f"hold of {key}")
    held = await hold_points(world, actor, request)
    await capture_hold(world, actor, held.hold.id, None, f"capture of {key}")


async def leave_points_pending(world: World, actor: Actor, batch: Sequence[PurchaseRecording]) -> None:
    """Record purchases whose points stay pending for two weeks, and restore the settings afterwards."""

    def waiting(settings: ProgramSettings) -> ProgramSettings:
        return replace(settings, accrual=replace(settings.accrual, delay_minutes=WAITING_MINUTES))

    def as_before(settings: ProgramSettings) -> ProgramSettings:
        return replace(settings, accrual=replace(settings.accrual, delay_minutes=0))

    await update_program(world, actor, ProgramEdit(waiting, None))
    await record_purchases(world, actor, batch)
    await update_program(world, actor, ProgramEdit(as_before, None))


def key_of(recording: PurchaseRecording) -> PurchaseKey:
    """Return the kind and external id of a purchase."""
    return PurchaseKey(recording.report.kind, recording.report.external_id)


def total_of(recording: PurchaseRecording) -> Money:
    """Return the total in the report of a purchase. Raises TypeError if the report has no total."""
    total = recording.report.total
    if not isinstance(total, Money):
        raise TypeError("every purchase of the demo has a total")
    return total
