"""Lists of purchases, adjustments, holds and redemptions, newest first, a page at a time."""

from typing import Annotated

import strawberry

from loyalty.rules.listing import OrderDirection
from loyalty.services.listing import list_adjustments, list_holds, list_purchases, list_redemptions
from permissions.catalog import Permission
from schema.connections import Connection, Page
from schema.context import Info
from schema.guard import guarded
from schema.types.arguments import After, Before, First, Last, NewestFirst
from schema.types.ledger import ADJUSTMENT_ORDER, Adjustment
from schema.types.listed import load_listed_page
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
    description=f"Purchases by when they were first recorded, by default newest first. {OWN}",
)
async def purchases(
    info: Info,
    filter: Annotated[PurchaseFilterInput | None, strawberry.argument(description="Which purchases to list.")] = None,  # noqa: A002
    direction: NewestFirst = OrderDirection.DESCENDING,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Purchase]:
    """A page of purchases."""
    wanted = await purchase_filter(info, filter)
    page = Page(first, after, last, before, direction)
    return await load_listed_page(info, PURCHASE_ORDER, page, list_purchases, wanted, "recorded_at")


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description=f"Corrections by hand, by default newest first. {OWN}",
)
async def adjustments(
    info: Info,
    filter: Annotated[  # noqa: A002
        AdjustmentFilterInput | None, strawberry.argument(description="Which adjustments to list.")
    ] = None,
    direction: NewestFirst = OrderDirection.DESCENDING,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Adjustment]:
    """A page of adjustments."""
    wanted = await adjustment_filter(info, filter)
    page = Page(first, after, last, before, direction)
    return await load_listed_page(info, ADJUSTMENT_ORDER, page, list_adjustments, wanted, "created_at")


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description=f"Points set aside at checkouts, by default newest first. {OWN}",
)
async def holds(
    info: Info,
    filter: Annotated[HoldFilterInput | None, strawberry.argument(description="Which holds to list.")] = None,  # noqa: A002
    direction: NewestFirst = OrderDirection.DESCENDING,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Hold]:
    """A page of holds."""
    wanted = await hold_filter(info, filter)
    page = Page(first, after, last, before, direction)
    return await load_listed_page(info, HOLD_ORDER, page, list_holds, wanted, "created_at")


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description=f"Points spent at checkouts, by default newest first. {OWN}",
)
async def redemptions(
    info: Info,
    filter: Annotated[  # noqa: A002
        RedemptionFilterInput | None, strawberry.argument(description="Which redemptions to list.")
    ] = None,
    direction: NewestFirst = OrderDirection.DESCENDING,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Redemption]:
    """A page of redemptions."""
    wanted = await redemption_filter(info, filter)
    page = Page(first, after, last, before, direction)
    return await load_listed_page(info, REDEMPTION_ORDER, page, list_redemptions, wanted, "redeemed_at")
