"""``featureSet``: switch a feature on or off, with the features that it needs."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.features import Feature
from loyalty.services.feature import set_feature
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.types.program import Tenant


@strawberry.input(description="A feature and its switch.")
class FeatureSetInput:
    feature: Feature = strawberry.field(description="Which feature.")
    on: bool = strawberry.field(description="True to switch it on, false to switch it off.")


@strawberry.type(description="The tenant, with its features as they are now.")
class FeatureSetPayload:
    user_errors: UserErrors = user_errors_field()
    tenant: Tenant | None = strawberry.field(default=None, description="The tenant, with `features`.")
    also_enabled: list[Feature] | None = strawberry.field(
        default=None, description="The features that came on with it because it needs them; empty for none."
    )


@guarded(
    Permission.LOYALTY_MANAGE,
    description=(
        "Switch a feature of the business on or off; twice does no harm. LOYALTY needs PAYMENTS, CUSTOMER_LOGIN, "
        "COUPONS and GIFT_CARDS: they come on with it, and stay on as long as it is on. CLEAR_HISTORY and LOYALTY "
        "cannot be on at the same time. LOYALTY is the same switch as `program.enabled`."
    ),
    even_when_off=True,
)
async def feature_set(
    info: Info,
    input: Annotated[FeatureSetInput, strawberry.argument(description="The switch.")],  # noqa: A002
) -> FeatureSetPayload:
    """Switch a feature. The rules say which feature needs which."""

    async def work() -> Mapping[str, Any]:
        switched = await set_feature(info.context.world, info.context.actor, input.feature, on=input.on)
        info.context.loaders.clear()
        return {"tenant": switched.tenant, "also_enabled": list(switched.also_enabled)}

    return await answer_mutation(FeatureSetPayload, work)
