"""Requests as clients of earlier releases sent them, the same in every run and on every version of Python."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from loyalty.rules.account import Overdraft
from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.ids import CustomerId, HoldId, PurchaseId, TierId
from loyalty.rules.money import Money
from loyalty.rules.purchase import LineKind, PurchaseFacts, PurchaseKind, PurchaseLine, PurchaseStatus
from loyalty.rules.purchase_report import PurchaseReport
from loyalty.rules.refund import LineRefund, Refund
from loyalty.services.adjustment import AdjustmentRequest
from loyalty.services.checkout import Checkout
from loyalty.services.customer import CustomerKey
from loyalty.services.customer_merge import MergeRequest
from loyalty.services.hold import HoldRequest
from loyalty.services.purchase_change import PurchaseName
from loyalty.services.purchase_recording import PurchaseRecording
from loyalty.services.refund import RefundRequest
from loyalty.services.tier_lock import TierLockRequest
from loyalty.storage.points_paid import PurchaseKey

Request = PurchaseRecording | AdjustmentRequest | MergeRequest | HoldRequest | RefundRequest | TierLockRequest

Value = TypeVar("Value")

NUMBER = 1_000
_KINDS = (LineKind.ITEM, LineKind.SHIPPING, LineKind.GIFT_CARD)
"""The kinds of lines that release 0.1.0 knew."""

_START = datetime(2026, 1, 1, 8, tzinfo=UTC)


class _Dice:
    """A generator of numbers that no library can change: the one of Knuth's MMIX."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def below(self, limit: int) -> int:
        """Return a number from 0 to ``limit`` - 1."""
        self.state = (self.state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        return (self.state >> 33) % limit

    def pick(self, *values: Value) -> Value:
        """Return one of the values."""
        return values[self.below(len(values))]

    def uuid(self) -> UUID:
        """Return an id."""
        return UUID(int=self.below(2**31) << 96 | self.below(2**31))


def golden_requests() -> Iterator[Request]:
    """Yield requests of release 0.1.0 in their order: every kind in turn."""
    makers = (_recording, _adjustment, _merge, _hold, _refund, _tier_lock)
    dice = _Dice(2026)
    for number in range(NUMBER):
        yield makers[number % len(makers)](dice)


def _recording(dice: _Dice) -> PurchaseRecording:
    lines = tuple(
        PurchaseLine(
            dice.pick(None, f"item-{dice.below(50)}"),
            dice.pick(None, "hair"),
            quantity,
            price,
            dice.below(price + 1),
            0,
            dice.pick(*_KINDS) if dice.below(5) == 0 else LineKind.ITEM,
        )
        for quantity, price in [(1 + dice.below(4), dice.below(9_000)) for _ in range(dice.below(4))]
    )
    return _report(dice, lines)


def _report(dice: _Dice, lines: tuple[PurchaseLine, ...]) -> PurchaseRecording:
    facts = PurchaseFacts(
        dice.pick(PurchaseKind.APPOINTMENT, PurchaseKind.CLASS, PurchaseKind.ORDER),
        f"purchase-{dice.below(10_000)}",
        Money(dice.below(50_000), dice.pick("EUR", "JPY")),
        lines,
        dice.pick(None, "mitte"),
        dice.pick(None, "anna", "Zoë"),
        dice.pick(None, _instant(dice)),
        dice.pick(None, _instant(dice)),
        None,
        None,
        dice.pick(None, _instant(dice)),
    )
    status = dice.pick(PurchaseStatus.CREATED, PurchaseStatus.PAID, PurchaseStatus.COMPLETED, PurchaseStatus.CANCELLED)
    return PurchaseRecording(PurchaseReport.of(facts), status, CustomerProfile(f"customer-{dice.below(100)}"))


def golden_first_reports() -> Iterator[PurchaseRecording]:
    """Yield reports of purchases as they were sent before lines had kinds."""
    dice = _Dice(1)
    for _ in range(NUMBER):
        yield _first_report(dice)


def _first_report(dice: _Dice) -> PurchaseRecording:
    lines = tuple(
        PurchaseLine(
            dice.pick(None, f"item-{dice.below(50)}"),
            dice.pick(None, "hair"),
            quantity,
            price,
            dice.below(price + 1),
            dice.below(90),
        )
        for quantity, price in [(1 + dice.below(4), dice.below(9_000)) for _ in range(dice.below(4))]
    )
    return _report(dice, lines)


def _adjustment(dice: _Dice) -> AdjustmentRequest:
    return AdjustmentRequest(
        _customer(dice),
        dice.below(2_000) - 1_000,
        dice.pick(*AdjustmentReason.__members__.values()),
        dice.pick(None, "spoke on the phone"),
        dice.pick(None, "Für Sie"),
        dice.pick(None, True, False),
        dice.pick(Overdraft.REJECT, Overdraft.CLAMP, Overdraft.ALLOW_NEGATIVE),
        "key",
        dice.pick(None, date(2026, 12, 1 + dice.below(31))),
    )


def _merge(dice: _Dice) -> MergeRequest:
    return MergeRequest(_customer(dice), _customer(dice), dice.pick(None, "the same person"), "key")


def _hold(dice: _Dice) -> HoldRequest:
    purchase = PurchaseKey(PurchaseKind.ORDER, f"cart-{dice.below(1_000)}")
    checkout = Checkout(Money(dice.below(20_000), "EUR"), dice.below(500), dice.pick(None, purchase))
    replaces = dice.pick(None, HoldId(dice.uuid()))
    return HoldRequest(_customer(dice), 1 + dice.below(900), checkout, dice.pick(None, 30), replaces, "key")


def _refund(dice: _Dice) -> RefundRequest:
    name = dice.pick(
        PurchaseName(id=PurchaseId(dice.uuid())),
        PurchaseName(key=PurchaseKey(PurchaseKind.ORDER, f"purchase-{dice.below(1_000)}")),
    )
    lines = tuple(LineRefund(position, dice.below(3), dice.below(900)) for position in range(dice.below(3)))
    refund = Refund(lines, dice.below(5_000))
    return RefundRequest(
        name, refund, dice.pick(None, "EUR"), dice.pick(None, "broken"), dice.pick(None, _instant(dice)), "key"
    )


def _tier_lock(dice: _Dice) -> TierLockRequest:
    tier = dice.pick(None, TierId(dice.uuid()))
    return TierLockRequest(_customer(dice), tier, dice.pick(None, _instant(dice)), dice.pick(None, "VIP"), "key")


def _customer(dice: _Dice) -> CustomerKey:
    return dice.pick(
        CustomerKey(id=CustomerId(dice.uuid())),
        CustomerKey(external_id=f"customer-{dice.below(1_000)}"),
        CustomerKey(email=f"c{dice.below(1_000)}@example.com"),
    )


def _instant(dice: _Dice) -> datetime:
    return _START + timedelta(minutes=dice.below(500_000))
