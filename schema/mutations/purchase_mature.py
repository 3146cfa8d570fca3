"""``purchaseMature``: let pending points mature now."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.refund import mature_purchase
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.types.checkout import PurchaseBy, purchase_name
from schema.types.customer import Customer
from schema.types.event import TierUpgrade, tier_upgrade_of
from schema.types.purchase import Accrual, Purchase


@strawberry.input(description="Which purchase.")
class PurchaseMatureInput:
    purchase: PurchaseBy = strawberry.field(description="A purchase with pending points.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )


@strawberry.type(description="The purchase, its points, and where the customer stands with them.")
class PurchaseMaturePayload:
    user_errors: UserErrors = user_errors_field()
    purchase: Purchase | None = strawberry.field(default=None, description="The purchase.")
    accrual: Accrual | None = strawberry.field(default=None, description="What it earned, spendable now.")
    customer: Customer | None = strawberry.field(default=None, description="The customer, with the new balance.")
    tier_upgrade: TierUpgrade | None = strawberry.field(default=None, description="Set when the customer came up.")
    replayed: bool | None = strawberry.field(
        default=None, description="True when the points had come before: nothing happened this time."
    )


@guarded(
    Permission.LOYALTY_ADJUST,
    description="Let the pending points of a purchase become spendable now, whatever they were waiting for; the only "
    "way to them in a program whose points mature MANUAL.",
)
async def purchase_mature(
    info: Info,
    input: Annotated[PurchaseMatureInput, strawberry.argument(description="Which purchase.")],  # noqa: A002
) -> PurchaseMaturePayload:
    """Let the points mature in one transaction."""

    async def work() -> Mapping[str, Any]:
        name = purchase_name(input.purchase, "purchase")
        matured = await mature_purchase(info.context.world, info.context.actor, name, input.idempotency_key)
        info.context.loaders.clear()
        return {
            "purchase": matured.purchase,
            "accrual": matured.accrual,
            "customer": matured.customer,
            "tier_upgrade": tier_upgrade_of(matured.tier_change),
            "replayed": matured.replayed,
        }

    return await answer_mutation(PurchaseMaturePayload, work)
