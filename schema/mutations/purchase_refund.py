"""``purchaseRefund``: refund a purchase, whole or in parts.

The points that it earned are taken back, and points that had paid for it can go back to the customer.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import strawberry

from loyalty.rules.errors import InvalidInput
from loyalty.rules.money import parse_amount
from loyalty.rules.refund import BY_LINE_ID, LineRefund, Refund
from loyalty.rules.refund_points import ReturnPoints
from loyalty.services.refund import RefundRequest, refund_purchase
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.scalars import Points, Quantity
from schema.types.checkout import PurchaseBy, purchase_name
from schema.types.customer import Customer
from schema.types.event import TierUpgrade, tier_upgrade_of
from schema.types.money import Money, MoneyInput
from schema.types.node import show_row
from schema.types.purchase import Accrual, Purchase, PurchaseRefund, refund_of
from schema.types.redemption import Hold, RedemptionReturn, return_of


@strawberry.input(description="A refund of one line: units of it, an amount of it, or both.")
class PurchaseRefundLineInput:
    line: int | None = strawberry.field(
        default=None,
        description="Its position among the lines of the purchase, from 0, in the order of `Purchase.lines`.",
    )
    line_id: str | None = strawberry.field(
        default=None, description="The id that you gave the line. Name the line by exactly one of `line` and `lineId`."
    )
    quantity: Quantity = strawberry.field(
        default=0, description="How many units, with at most 3 decimals; each stands for its part of the line."
    )
    amount: MoneyInput | None = strawberry.field(default=None, description="An amount beside the units.")


@strawberry.input(description="A refund: of lines, of an amount that belongs to no line, or of both.")
class PurchaseRefundInput:
    purchase: PurchaseBy = strawberry.field(description="Which purchase.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )
    amount: MoneyInput | None = strawberry.field(
        default=None,
        description="What is paid back without belonging to a line, in the program's currency, or in the one that the "
        "total was told in: then it is converted by the rate of the purchase.",
    )
    lines: list[PurchaseRefundLineInput] = strawberry.field(default_factory=list, description="At most 500 lines.")
    reason: str | None = strawberry.field(default=None, description="At most 500 characters.")
    occurred_at: datetime | None = strawberry.field(
        default=None, description="When it happened in your system, at most an hour ahead of the clock."
    )
    return_points: ReturnPoints = strawberry.field(
        default=ReturnPoints.NONE, description="What becomes of the points that had paid for what is refunded."
    )


@strawberry.type(
    description="What a refund leaves to do. It divides between money and points in the ratio in which it was paid."
)
class RefundSplit:
    money: Money = strawberry.field(description="What to pay back in money; never below zero.")
    points: Points = strawberry.field(
        description="What is left to give back with `redemptionReturn`; 0 when all of it went back with the refund."
    )
    points_value: Money = strawberry.field(description="The amount that those points had taken off the total.")


@strawberry.type(description="The refund, and where purchase, points and customer stand after it.")
class PurchaseRefundPayload:
    user_errors: UserErrors = user_errors_field()
    refund: PurchaseRefund | None = strawberry.field(default=None, description="What was refunded.")
    split: RefundSplit | None = strawberry.field(default=None, description="What this refund leaves to do.")
    returns: list[RedemptionReturn] | None = strawberry.field(
        default=None,
        description="What went back of each redemption that had paid for it, the newest first. Empty when nothing did.",
    )
    holds: list[Hold] | None = strawberry.field(
        default=None,
        description="The holds for it that this refund lowered or ended. Points that are only set aside go back first.",
    )
    purchase: Purchase | None = strawberry.field(
        default=None, description="The purchase; REFUNDED when nothing is left of it."
    )
    accrual: Accrual | None = strawberry.field(default=None, description="What it earned, less what was taken.")
    customer: Customer | None = strawberry.field(default=None, description="The customer, with the new balance.")
    tier_upgrade: TierUpgrade | None = strawberry.field(default=None, description="Set when the customer came up.")
    replayed: bool | None = strawberry.field(
        default=None, description="True when this key had been answered before: nothing happened this time."
    )


@guarded(
    Permission.PURCHASES_RECORD,
    prepares=True,
    description="Pay a purchase back, whole or in parts. What the rules gave for the part that goes is taken from the "
    "points, as frozen at the evaluation; however a refund is split, the points end the same.",
)
async def purchase_refund(
    info: Info,
    input: Annotated[PurchaseRefundInput, strawberry.argument(description="What is refunded.")],  # noqa: A002
) -> PurchaseRefundPayload:
    """Refund the purchase in one transaction."""

    async def work() -> Mapping[str, Any]:
        refunded = await refund_purchase(info.context.world, info.context.actor, _request(input))
        info.context.loaders.clear()
        split = refunded.split
        return {
            "refund": refund_of(refunded.refund, refunded.purchase.total.currency),
            "split": RefundSplit(
                money=show_row(Money, split.money),
                points=Points(split.points),
                points_value=show_row(Money, split.points_value),
            ),
            "returns": [return_of(row, refunded.purchase.total.currency) for row in refunded.points.returns],
            "holds": list(refunded.points.holds),
            "purchase": refunded.purchase,
            "accrual": refunded.accrual,
            "customer": refunded.customer,
            "tier_upgrade": tier_upgrade_of(refunded.tier_change),
            "replayed": refunded.replayed,
        }

    return await answer_mutation(PurchaseRefundPayload, work)


def _request(given: PurchaseRefundInput) -> RefundRequest:
    amounts = [given.amount, *(line.amount for line in given.lines)]
    if given.amount is None and not given.lines:
        raise InvalidInput.one(reason="must have an amount or lines: what is refunded")
    currencies = sorted({amount.currency for amount in amounts if amount is not None})
    if len(currencies) > 1:
        raise InvalidInput.one("lines", reason="must have amounts in one currency")
    lines = tuple(_line(line, "lines", str(number)) for number, line in enumerate(given.lines))
    return RefundRequest(
        purchase=purchase_name(given.purchase, "purchase"),
        refund=Refund(lines, _minor(given.amount, "amount")),
        currency=currencies[0] if currencies else None,
        reason=given.reason,
        occurred_at=given.occurred_at,
        idempotency_key=given.idempotency_key,
        return_points=given.return_points,
    )


def _line(given: PurchaseRefundLineInput, *path: str) -> LineRefund:
    if (given.line is None) == (given.line_id is None):
        raise InvalidInput.one(*path, reason="must name the line by exactly one of line and lineId")
    position = BY_LINE_ID if given.line is None else given.line
    return LineRefund(position, given.quantity, _minor(given.amount, *path, "amount"), given.line_id)


def _minor(given: MoneyInput | None, *path: str) -> int:
    return parse_amount(given.amount, given.currency, (*path, "amount")) if given else 0
