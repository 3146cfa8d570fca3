"""``signedTokensRevoke``: revoke the signed tokens of a customer or a person of the team."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import strawberry

from loyalty.rules.ids import TokenId
from loyalty.services.revocation import (
    revoke_tokens_made_by,
    revoke_tokens_of_customer,
    revoke_tokens_of_subject,
)
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import row_id_of
from schema.types.customer import CustomerBy, customer_key


@strawberry.input(one_of=True, description="Says whose signed tokens to end; give exactly one.")
class SignedTokensOf:
    customer: CustomerBy | None = strawberry.field(
        default=strawberry.UNSET,
        description="A customer's. CUSTOMERS_SIGN_IN is enough, or TOKENS_MANAGE with LOYALTY_READ.",
    )
    subject: str | None = strawberry.field(
        default=strawberry.UNSET, description="Those of a person of the team, by the `sub` of their tokens."
    )
    api_token: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description=(
            "All customer tokens that this API token made; it stays. A system with CUSTOMERS_SIGN_IN may end those of "
            "its own."
        ),
    )


@strawberry.input(description="Whose signed tokens to end.")
class SignedTokensRevokeInput:
    of: SignedTokensOf = strawberry.field(description="Says whose signed tokens to end.")


@strawberry.type(description="The moment of the end.")
class SignedTokensRevokePayload:
    user_errors: UserErrors = user_errors_field()
    revoked_at: datetime | None = strawberry.field(
        default=None, description="Tokens issued until this second are refused from now on."
    )


@guarded(
    Permission.TOKENS_MANAGE,
    Permission.CUSTOMERS_SIGN_IN,
    description=(
        "End at once all signed tokens (JWT) that a customer or a person of the team has, and the customer tokens that "
        "these made, or that an API token made; open sockets are closed within 5 seconds. API tokens stay: end them "
        "with apiTokenRevoke."
    ),
    even_when_off=True,
)
async def signed_tokens_revoke(
    info: Info,
    input: Annotated[SignedTokensRevokeInput, strawberry.argument(description="Says whose signed tokens to end.")],  # noqa: A002
) -> SignedTokensRevokePayload:
    """Revoke the tokens. A person who signs in again gets a valid token."""

    async def work() -> Mapping[str, Any]:
        world, actor, of = info.context.world, info.context.actor, input.of
        if of.customer:
            revoked_at = await revoke_tokens_of_customer(world, actor, customer_key(of.customer, "of", "customer"))
        elif of.api_token:
            token_id = TokenId(row_id_of(of.api_token, "ApiToken", "of", "api_token"))
            revoked_at = await revoke_tokens_made_by(world, actor, token_id)
        else:
            revoked_at = await revoke_tokens_of_subject(world, actor, of.subject or "")
        return {"revoked_at": revoked_at}

    return await answer_mutation(SignedTokensRevokePayload, work)
