"""All that time alone makes due in a tenant, in the order in which it happens when several are."""

from collections.abc import Awaitable, Callable, Mapping

from loyalty.rules.ids import TenantId
from loyalty.services.abandoned_hold import free_abandoned_holds
from loyalty.services.expiry import expire_due, tell_expiring
from loyalty.services.gift_card_expiry import expire_due_cards, free_abandoned_card_holds
from loyalty.services.maturing import mature_due
from loyalty.services.purchase_evaluation import evaluate_due
from loyalty.services.sweep import Swept
from loyalty.services.tier_review import review_due
from loyalty.services.world import World

TENANT_SWEEPS: Mapping[str, Callable[[World, TenantId], Awaitable[Swept]]] = {
    "evaluation": evaluate_due,
    "maturing": mature_due,
    "holds": free_abandoned_holds,
    "notices": tell_expiring,
    "expiry": expire_due,
    "gift_card_holds": free_abandoned_card_holds,
    "gift_card_expiry": expire_due_cards,
    "tiers": review_due,
}
"""Each does one batch; the worker and a sandbox call them until nothing is left to do."""
