"""``earningRuleUpdate``: change a rule, or switch it on or off, as its next version."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import strawberry

from loyalty.rules.earning import EarningRule as Rule
from loyalty.services.earning_rule import update_earning_rule
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.loaders import load
from schema.mutations.given import read_given_fields
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import row_id_of
from schema.types.earning_rule import (
    EarningAwardInput,
    EarningConditionsInput,
    EarningRule,
    award_from,
    conditions_from,
)
from schema.types.expiry import ExpiryPolicyInput, policy_from


@strawberry.input(description="A change of a rule. What is left out stays as it is.")
class EarningRuleUpdateInput:
    id: strawberry.ID = strawberry.field(description="The rule.")
    name: str | None = strawberry.field(default=strawberry.UNSET, description="1 to 120 characters.")
    active: bool | None = strawberry.field(default=strawberry.UNSET, description="Switch it on, or pause it.")
    priority: int | None = strawberry.field(default=strawberry.UNSET, description="Lower comes first.")
    award: EarningAwardInput | None = strawberry.field(default=strawberry.UNSET, description="Replaced whole.")
    conditions: EarningConditionsInput | None = strawberry.field(
        default=strawberry.UNSET, description="Replaced whole; null takes all conditions away."
    )
    starts_at: datetime | None = strawberry.field(default=strawberry.UNSET, description="Null takes the start away.")
    ends_at: datetime | None = strawberry.field(default=strawberry.UNSET, description="Null takes the end away.")
    expiry: ExpiryPolicyInput | None = strawberry.field(
        default=strawberry.UNSET, description="When its points expire; null for as the program says."
    )
    expected_version: int | None = strawberry.field(
        default=None, description="Refuse unless this is the stored version, so that nobody is overwritten."
    )


@strawberry.type(description="The rule as it is now.")
class EarningRuleUpdatePayload:
    user_errors: UserErrors = user_errors_field()
    earning_rule: EarningRule | None = strawberry.field(default=None, description="The rule at its newest version.")


@guarded(
    Permission.LOYALTY_MANAGE,
    prepares=True,
    description="Change an earning rule; what was evaluated before stays as it is.",
)
async def earning_rule_update(
    info: Info,
    input: Annotated[EarningRuleUpdateInput, strawberry.argument(description="The rule to change, and the change.")],  # noqa: A002
) -> EarningRuleUpdatePayload:
    """Change a rule. If nothing differs, there is no new version."""

    async def work() -> Mapping[str, Any]:
        tenant = await load(info, "tenant", None)
        changes = _changes(input, tenant.currency)

        def change(rule: Rule) -> Rule:
            return replace(rule, **changes)

        rule_id: Any = row_id_of(input.id, "EarningRule", "id")
        world, actor = info.context.world, info.context.actor
        rule = await update_earning_rule(world, actor, rule_id, change, input.expected_version)
        info.context.loaders.clear()
        return {"earning_rule": rule}

    return await answer_mutation(EarningRuleUpdatePayload, work)


def _changes(given: EarningRuleUpdateInput, currency: str) -> dict[str, Any]:
    changes = read_given_fields(given, "name", "active", "priority", "award")
    if "award" in changes:
        changes["award"] = award_from(changes["award"], currency)
    if given.conditions is not strawberry.UNSET:
        changes["conditions"] = conditions_from(given.conditions, currency)
    for name in ("starts_at", "ends_at"):
        if getattr(given, name) is not strawberry.UNSET:
            changes[name] = getattr(given, name)
    if given.expiry is not strawberry.UNSET:
        changes["expiry"] = policy_from(given.expiry) if given.expiry else None
    return changes
