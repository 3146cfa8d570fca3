"""``programApplyPreset``: set the program to work like a well-known system."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.presets import Preset
from loyalty.services.preset import PresetRequest, apply_program_preset
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.loaders import load
from schema.mutations.payload import UserErrors, user_errors_field
from schema.types.earning_rule import EarningRule
from schema.types.program import Program, ProgramCheck


@strawberry.input(description="Which preset.")
class ProgramApplyPresetInput:
    preset: Preset = strawberry.field(description="The system to work like.")
    expected_version: int | None = strawberry.field(
        default=None, description="Refuse unless this is the stored version, so that nobody is overwritten."
    )
    create_rule: bool = strawberry.field(
        default=False,
        description="Where no rule gives points, create the preset's own: a point per enrolled item (SIMPLYBOOK), or a "
        "point per unit of the currency (BOOKNETIC, SHOP). A program with such a rule gets no other.",
    )


@strawberry.type(description="The settings as they are now, and what the program still lacks.")
class ProgramApplyPresetPayload:
    user_errors: UserErrors = user_errors_field()
    program: Program | None = strawberry.field(default=None, description="The new version.")
    earning_rule: EarningRule | None = strawberry.field(default=None, description="The rule that was created.")
    checks: list[ProgramCheck] | None = strawberry.field(
        default=None, description="What the program still lacks before it earns and pays, as `Program.checks`."
    )


@guarded(
    Permission.LOYALTY_MANAGE,
    description="Set accrual, scope, stacking and point value as a preset wants them; tiers and the rest stay. A "
    "preset needs a rule to earn by: `createRule` makes one where there is none, and `checks` say what is missing.",
    even_when_off=True,
)
async def program_apply_preset(
    info: Info,
    input: Annotated[ProgramApplyPresetInput, strawberry.argument(description="The preset to apply.")],  # noqa: A002
) -> ProgramApplyPresetPayload:
    """Apply a preset as one new version."""

    async def work() -> Mapping[str, Any]:
        request = PresetRequest(input.preset, input.expected_version, input.create_rule)
        applied = await apply_program_preset(info.context.world, info.context.actor, request)
        info.context.loaders.clear()
        checks = await load(info, "program_checks", None)
        return {"program": applied.program, "earning_rule": applied.rule, "checks": checks}

    return await answer_mutation(ProgramApplyPresetPayload, work)
