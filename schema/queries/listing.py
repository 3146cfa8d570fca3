"""Lists of what happened: purchases, adjustments, holds, redemptions. Newest first, a page at a time."""

from typing import Annotated

import strawberry

from loyalty.services.listing import list_adjustments, list_holds, list_purchases, list_redemptions
from permissions.catalog import Permission
from schema.connections import Connection, Page, connection_by_time, window_of
from schema.context import Info
from schema.guard import guarded
from schema.types.arguments import After, Before, First, Last
from schema.types.ledger import ADJUSTMENT_ORDER, Adjustment
from schema.types.listing import (
    AdjustmentFilterInput,
    HoldFilterInput,
    PurchaseFilterInput,
    RedemptionFilterInput,
    adjustment_filter,
    hold_filter,
    purchase_filter,
    redemption_filter,
)
from schema.types.payments import HOLD_ORDER, REDEMPTION_ORDER
from schema.types.purchase import PURCHASE_ORDER, Purchase
from schema.types.redemption import Hold, Redemption

OWN = "Customers list only their own."


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description=f"Purchases by when they were first recorded, newest first. {OWN}",
)
async def purchases(
    info: Info,
    filter: Annotated[PurchaseFilterInput | None, strawberry.argument(description="Which ones.")] = None,  # noqa: A002
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Purchase]:
    """A page of purchases."""
    window = window_of(info.context.seal, Page(first, after, last, before), PURCHASE_ORDER)
    wanted = await purchase_filter(info, filter)
    found = await list_purchases(info.context.world, info.context.actor, wanted, window)
    return connection_by_time(info.context.seal, window, PURCHASE_ORDER, found, "recorded_at")  # type: ignore[no-any-return]


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description=f"Corrections by hand, newest first. {OWN}",
)
async def adjustments(
    info: Info,
    filter: Annotated[AdjustmentFilterInput | None, strawberry.argument(description="Which ones.")] = None,  # noqa: A002
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Adjustment]:
    """A page of adjustments."""
    window = window_of(info.context.seal, Page(first, after, last, before), ADJUSTMENT_ORDER)
    wanted = await adjustment_filter(info, filter)
    found = await list_adjustments(info.context.world, info.context.actor, wanted, window)
    return connection_by_time(info.context.seal, window, ADJUSTMENT_ORDER, found, "created_at")  # type: ignore[no-any-return]


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description=f"Points set aside at checkouts, newest first. {OWN}",
)
async def holds(
    info: Info,
    filter: Annotated[HoldFilterInput | None, strawberry.argument(description="Which ones.")] = None,  # noqa: A002
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Hold]:
    """A page of holds."""
    window = window_of(info.context.seal, Page(first, after, last, before), HOLD_ORDER)
    wanted = await hold_filter(info, filter)
    found = await list_holds(info.context.world, info.context.actor, wanted, window)
    return connection_by_time(info.context.seal, window, HOLD_ORDER, found, "created_at")  # type: ignore[no-any-return]


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description=f"Points spent at checkouts, newest first. {OWN}",
)
async def redemptions(
    info: Info,
    filter: Annotated[RedemptionFilterInput | None, strawberry.argument(description="Which ones.")] = None,  # noqa: A002
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Redemption]:
    """A page of redemptions."""
    window = window_of(info.context.seal, Page(first, after, last, before), REDEMPTION_ORDER)
    wanted = await redemption_filter(info, filter)
    found = await list_redemptions(info.context.world, info.context.actor, wanted, window)
    return connection_by_time(info.context.seal, window, REDEMPTION_ORDER, found, "redeemed_at")  # type: ignore[no-any-return]
