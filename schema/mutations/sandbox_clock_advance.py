"""``sandboxClockAdvance``: let time pass in a sandbox."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import strawberry

from loyalty.rules.durations import parse_minutes
from loyalty.services.sandbox import advance_sandbox_clock
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.scalars import Duration


@strawberry.input(description="How much time is to pass.")
class SandboxClockAdvanceInput:
    by: Duration = strawberry.field(description="Weeks, days, hours and minutes, such as P30D; P3660D in all.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )


@strawberry.type(description="The clock after it.")
class SandboxClockAdvancePayload:
    user_errors: UserErrors = user_errors_field()
    now: datetime | None = strawberry.field(default=None, description="What the sandbox's clock shows.")
    replayed: bool | None = strawberry.field(
        default=None, description="True when this key had been answered before: no time has passed."
    )


@guarded(
    Permission.LOYALTY_MANAGE,
    description="Let time pass in a sandbox: when the answer comes, what became due has happened: points came, "
    "expired, went back from holds. Refused for a live tenant.",
)
async def sandbox_clock_advance(
    info: Info,
    input: Annotated[SandboxClockAdvanceInput, strawberry.argument(description="How far to put the clock forward.")],  # noqa: A002
) -> SandboxClockAdvancePayload:
    """Advance the clock in one transaction, and do each batch of due work in another one."""

    async def work() -> Mapping[str, Any]:
        by = timedelta(minutes=parse_minutes(input.by, ("by",)))
        advanced = await advance_sandbox_clock(info.context.world, info.context.actor, by, input.idempotency_key)
        info.context.loaders.clear()
        return advanced._asdict()

    return await answer_mutation(SandboxClockAdvancePayload, work)
