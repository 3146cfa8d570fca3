"""``allowedOriginsSet``: set the origins of browser pages that may call."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.allowed_origins import set_allowed_origins
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.types.program import Tenant


@strawberry.input(description="Which browser pages may call.")
class AllowedOriginsSetInput:
    origins: list[str] = strawberry.field(
        description=(
            "All origins that may call, at most 100; replaces the list, and an empty list lets no page call. Each is "
            "scheme, host and port, such as `https://app.salon.example` or `https://salon.example:8443`, without a "
            "path and without wildcards. The schemes are https, http, capacitor, ionic and tauri. To develop with, "
            "`http://localhost:*` and the same with 127.0.0.1 and [::1] allow every port of one's own computer."
        )
    )


@strawberry.type(description="The list as it is kept.")
class AllowedOriginsSetPayload:
    user_errors: UserErrors = user_errors_field()
    tenant: Tenant | None = strawberry.field(default=None, description="The tenant, with `allowedOrigins`.")


@guarded(
    Permission.LOYALTY_MANAGE,
    description=(
        "Set the origins whose browser pages may call, for every kind of request. It counts from the next request on; "
        "open sockets and streams of pages that are not in the list are closed within 5 seconds. Servers and apps send "
        "no `Origin`, and may always call. A page that takes its own origin out cannot call afterwards."
    ),
    even_when_off=True,
)
async def allowed_origins_set(
    info: Info,
    input: Annotated[AllowedOriginsSetInput, strawberry.argument(description="The new list of allowed origins.")],  # noqa: A002
) -> AllowedOriginsSetPayload:
    """Set the list. The same list again changes nothing."""

    async def work() -> Mapping[str, Any]:
        tenant = await set_allowed_origins(info.context.world, info.context.actor, input.origins)
        return {"tenant": tenant}

    return await answer_mutation(AllowedOriginsSetPayload, work)
