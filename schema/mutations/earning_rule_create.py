"""``earningRuleCreate``: a new rule."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

from loyalty.rules.earning import EarningRule as Rule
from loyalty.rules.ids import RuleId
from loyalty.services.earning_rule import create_earning_rule_once
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.loaders import load
from schema.mutations.payload import UserErrors, optional_key_field, replayed_field, user_errors_field
from schema.types.earning_rule import (
    EarningAwardInput,
    EarningConditionsInput,
    EarningRule,
    award_from,
    conditions_from,
)
from schema.types.expiry import ExpiryPolicyInput, policy_from

DEFAULT_PRIORITY = 100
_UNBORN = RuleId(UUID(int=0))


@strawberry.input(description="A new earning rule.")
class EarningRuleCreateInput:
    name: str = strawberry.field(description="Internal; 1 to 120 characters.")
    award: EarningAwardInput = strawberry.field(description="The award of the rule.")
    conditions: EarningConditionsInput | None = strawberry.field(default=None, description="When; always if left out.")
    active: bool = strawberry.field(default=True, description="Paused rules never match.")
    priority: int = strawberry.field(default=DEFAULT_PRIORITY, description="Lower comes first; 0 to 1,000,000.")
    starts_at: datetime | None = strawberry.field(default=None, description="In force from this instant on.")
    ends_at: datetime | None = strawberry.field(default=None, description="No longer in force at this instant.")
    expiry: ExpiryPolicyInput | None = strawberry.field(
        default=None, description="When its points expire; as the program says if left out."
    )
    idempotency_key: str | None = optional_key_field()


@strawberry.type(description="The new rule.")
class EarningRuleCreatePayload:
    user_errors: UserErrors = user_errors_field()
    earning_rule: EarningRule | None = strawberry.field(default=None, description="The rule, at version 1.")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.LOYALTY_MANAGE,
    prepares=True,
    description="Create an earning rule; it counts for purchases evaluated from now on.",
)
async def earning_rule_create(
    info: Info,
    input: Annotated[EarningRuleCreateInput, strawberry.argument(description="The rule.")],  # noqa: A002
) -> EarningRuleCreatePayload:
    """Create a rule. Refuses more than 200 rules in a program."""

    async def work() -> Mapping[str, Any]:
        tenant = await load(info, "tenant", None)
        draft = Rule(
            id=_UNBORN,
            name=input.name,
            version=1,
            priority=input.priority,
            active=input.active,
            award=award_from(input.award, tenant.currency),
            conditions=conditions_from(input.conditions, tenant.currency),
            starts_at=input.starts_at,
            ends_at=input.ends_at,
            expiry=policy_from(input.expiry) if input.expiry else None,
        )
        created = await create_earning_rule_once(info.context.world, info.context.actor, draft, input.idempotency_key)
        info.context.loaders.clear()
        return {"earning_rule": created.rule, "replayed": created.replayed}

    return await answer_mutation(EarningRuleCreatePayload, work)
