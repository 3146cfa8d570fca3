"""``earningRuleDelete``: take a rule out of force for good."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.earning_rule import delete_earning_rule
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import row_id_of


@strawberry.input(description="Which rule to delete.")
class EarningRuleDeleteInput:
    id: strawberry.ID = strawberry.field(description="The rule.")


@strawberry.type(description="What was deleted.")
class EarningRuleDeletePayload:
    user_errors: UserErrors = user_errors_field()
    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="The id of the deleted rule.")


@guarded(
    Permission.LOYALTY_MANAGE,
    prepares=True,
    description="Delete an earning rule. What it earned stays, and stays explained by name and version.",
)
async def earning_rule_delete(
    info: Info,
    input: Annotated[EarningRuleDeleteInput, strawberry.argument(description="The rule to delete.")],  # noqa: A002
) -> EarningRuleDeletePayload:
    """Take a rule out of force. Its versions stay."""

    async def work() -> Mapping[str, Any]:
        rule_id: Any = row_id_of(input.id, "EarningRule", "id")
        await delete_earning_rule(info.context.world, info.context.actor, rule_id)
        info.context.loaders.clear()
        return {"deleted_id": input.id}

    return await answer_mutation(EarningRuleDeletePayload, work)
