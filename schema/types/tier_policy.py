"""The tier policy: the type to read it, and the inputs to change it."""

import strawberry

from loyalty.rules.expiry import Period
from loyalty.rules.tiers import Downgrade, TierBasis
from loyalty.rules.tiers import TierPolicy as TieringRules
from schema.mutations.given import choose_given


@strawberry.type(description="How tiers are reached and lost. All but `basis` do nothing with LIFETIME_EARNED.")
class TierPolicy:
    basis: TierBasis = strawberry.field(description="Which points lead to a tier.")
    window: Period = strawberry.field(description="Which part of the calendar a window is, where the tenant is.")
    downgrade: Downgrade = strawberry.field(description="Whether time may lower a tier.")
    grace_days: int = strawberry.field(description="How many days after a window a tier stays.")


@strawberry.input(description="How tiers are reached and lost. What is left out stays as it is.")
class TierPolicyInput:
    basis: TierBasis | None = strawberry.field(default=strawberry.UNSET, description="Which points lead to a tier.")
    window: Period | None = strawberry.field(
        default=strawberry.UNSET, description="Which part of the calendar a window is, where the tenant is."
    )
    downgrade: Downgrade | None = strawberry.field(
        default=strawberry.UNSET, description="Whether time may lower a tier."
    )
    grace_days: int | None = strawberry.field(
        default=strawberry.UNSET,
        description="How many days after a window a tier stays: 0 to 27 with MONTH, to 89 with QUARTER, to 364 with "
        "YEAR.",
    )


def change_tiering(policy: TieringRules, given: TierPolicyInput | None) -> TieringRules:
    """Return the policy after a change. An absent field stays as it is. Refusal: InvalidInput for null."""
    changed = choose_given(given, None, "tiering")
    if changed is None:
        return policy
    names = ("basis", "window", "downgrade", "grace_days")
    return TieringRules(
        **{name: choose_given(getattr(changed, name), getattr(policy, name), "tiering", name) for name in names}
    )
