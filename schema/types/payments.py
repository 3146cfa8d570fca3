"""Pages of the holds and the redemptions of one purchase."""

from typing import Any

from loyalty.services.listing import count_listed, list_holds, list_redemptions
from loyalty.storage.lists import HoldFilter, RedemptionFilter
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.window import TimePlace
from schema.connections import Order, Page, connection_by_time, time_order, window_of
from schema.context import Info
from schema.loaders import load

HOLD_ORDER: Order[TimePlace] = time_order("holds")
REDEMPTION_ORDER: Order[TimePlace] = time_order("redemptions")


async def holds_of(info: Info, purchase: Any, page: Page) -> Any:
    """A page of the holds that name a purchase, as far as the caller may see them."""
    context, key = info.context, PurchaseKey(purchase.kind, purchase.external_id)
    wanted = HoldFilter(customer_id=context.actor.customer_id, purchase=key)
    window = window_of(context.seal, page, HOLD_ORDER)
    if window.beyond is None and not window.backwards:
        found = (await load(info, "holds_for", key) or [])[: window.limit]
    else:
        found = await list_holds(context.world, context.actor, wanted, window)
    return connection_by_time(
        context.seal,
        window,
        HOLD_ORDER,
        found,
        "created_at",
        count=lambda: count_listed(context.world, context.actor, wanted),
    )


async def redemptions_of(info: Info, purchase: Any, page: Page) -> Any:
    """A page of the redemptions that paid for a purchase, as far as the caller may see them."""
    context, key = info.context, PurchaseKey(purchase.kind, purchase.external_id)
    wanted = RedemptionFilter(customer_id=context.actor.customer_id, purchase=key)
    window = window_of(context.seal, page, REDEMPTION_ORDER)
    if window.beyond is None and not window.backwards:
        found = (await load(info, "redemptions_for", key) or [])[: window.limit]
    else:
        found = await list_redemptions(context.world, context.actor, wanted, window)
    return connection_by_time(
        context.seal,
        window,
        REDEMPTION_ORDER,
        found,
        "redeemed_at",
        count=lambda: count_listed(context.world, context.actor, wanted),
    )
