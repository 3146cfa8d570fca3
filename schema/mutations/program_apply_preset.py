"""``programApplyPreset``: make the program work like a system people know."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.presets import Preset, apply_preset
from loyalty.services.program import ProgramEdit, update_program
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.loaders import load
from schema.mutations.payload import UserErrors, user_errors_field
from schema.types.program import Program


@strawberry.input(description="Which preset.")
class ProgramApplyPresetInput:
    preset: Preset = strawberry.field(description="The system to work like.")
    expected_version: int | None = strawberry.field(
        default=None, description="Refuse unless this is the stored version, so that nobody is overwritten."
    )


@strawberry.type(description="The settings as they are now.")
class ProgramApplyPresetPayload:
    user_errors: UserErrors = user_errors_field()
    program: Program | None = strawberry.field(default=None, description="The new version.")


@guarded(
    Permission.LOYALTY_MANAGE,
    description="Set accrual, scope, stacking and point value as a preset wants them; rules, tiers and the rest stay.",
    even_when_off=True,
)
async def program_apply_preset(
    info: Info,
    input: Annotated[ProgramApplyPresetInput, strawberry.argument(description="Which one.")],  # noqa: A002
) -> ProgramApplyPresetPayload:
    """One new version."""

    async def work() -> Mapping[str, Any]:
        tenant = await load(info, "tenant", None)
        edit = ProgramEdit(
            lambda settings: apply_preset(settings, input.preset, tenant.currency), input.expected_version
        )
        changed = await update_program(info.context.world, info.context.actor, edit)
        info.context.loaders.clear()
        return {"program": changed.program}

    return await answer_mutation(ProgramApplyPresetPayload, work)
