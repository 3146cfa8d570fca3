"""``documentRuleSet``: set who may run only trusted documents."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.trusted_document import DocumentRule
from loyalty.services.trusted_document import set_document_rule
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.types.program import Tenant


@strawberry.input(description="Whom the tenant limits to trusted documents.")
class DocumentRuleSetInput:
    rule: DocumentRule = strawberry.field(description="The rule.")


@strawberry.type(description="The rule as it is kept.")
class DocumentRuleSetPayload:
    user_errors: UserErrors = user_errors_field()
    tenant: Tenant | None = strawberry.field(default=None, description="The tenant, with `documentRule`.")


@guarded(
    Permission.LOYALTY_MANAGE,
    description=(
        "Say who may run trusted documents only. It counts from the next request on; open sockets and streams of "
        "callers who are newly held to it are closed within 5 seconds. Callers with LOYALTY_MANAGE are never held "
        "to it, and can change it back."
    ),
    even_when_off=True,
)
async def document_rule_set(
    info: Info,
    input: Annotated[DocumentRuleSetInput, strawberry.argument(description="The rule.")],  # noqa: A002
) -> DocumentRuleSetPayload:
    """Set the rule. The same rule again changes nothing."""

    async def work() -> Mapping[str, Any]:
        tenant = await set_document_rule(info.context.world, info.context.actor, input.rule)
        return {"tenant": tenant}

    return await answer_mutation(DocumentRuleSetPayload, work)
