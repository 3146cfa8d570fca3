"""``programUpdate``: change the tenant's settings, as a new version."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.features import Feature
from loyalty.services.program import ProgramEdit, update_program
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.types.job import Job
from schema.types.program import Program, ProgramUpdateInput, change_settings


@strawberry.type(description="The settings as they are now.")
class ProgramUpdatePayload:
    user_errors: UserErrors = user_errors_field()
    program: Program | None = strawberry.field(default=None, description="The new version.")
    job: Job | None = strawberry.field(
        default=None, description="Re-tiers all customers, when tiers are reached or lost otherwise now."
    )
    also_enabled: list[Feature] | None = strawberry.field(
        default=None, description="The features that came on with the program because it needs them."
    )


@guarded(
    Permission.LOYALTY_MANAGE,
    description="Change the tenant's loyalty settings; works while the program is off, to switch it on again.",
    even_when_off=True,
)
async def program_update(
    info: Info,
    input: Annotated[ProgramUpdateInput, strawberry.argument(description="The settings to change.")],  # noqa: A002
) -> ProgramUpdatePayload:
    """Change the settings as one new version, for any number of fields."""

    async def work() -> Mapping[str, Any]:
        edit = ProgramEdit(lambda settings: change_settings(settings, input), input.expected_version)
        changed = await update_program(info.context.world, info.context.actor, edit)
        info.context.loaders.clear()
        return changed._asdict()

    return await answer_mutation(ProgramUpdatePayload, work)
