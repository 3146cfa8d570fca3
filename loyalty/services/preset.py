"""Apply a preset to a program, with a rule of the preset if no rule gives points."""

from functools import partial
from typing import NamedTuple
from uuid import UUID

from loyalty.rules.earning import EarningRule
from loyalty.rules.ids import RuleId
from loyalty.rules.presets import Preset, apply_preset, preset_award
from loyalty.rules.program_checks import gives_points
from loyalty.services.earning_rule import add_rule
from loyalty.services.program import ProgramEdit, change_settings
from loyalty.services.world import World
from loyalty.storage.earning_rules import EarningRuleRow
from loyalty.storage.programs import ProgramRow, read_config
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.database import Transaction
from tenancy.retry import retry_transaction

PRIORITY = 100
_NO_ID = RuleId(UUID(int=0))
"""The id of a draft. The stored rule gets its own id."""


class PresetRequest(NamedTuple):
    """A preset as a caller asks for it. ``create_rule`` adds the preset's own rule if no rule gives points."""

    preset: Preset
    expected_version: int | None = None
    create_rule: bool = False


class AppliedPreset(NamedTuple):
    """The settings after a preset, and the rule that was added."""

    program: ProgramRow
    rule: EarningRuleRow | None


async def apply_program_preset(world: World, actor: Actor, request: PresetRequest) -> AppliedPreset:
    """Set the accrual, scope, stacking and point value of a preset, also while the program is off.

    Refusals: VersionConflict, LimitReached.
    """
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)

    async def change() -> AppliedPreset:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            return await _apply(world, tx, actor, request)

    return await retry_transaction(change)


async def _apply(world: World, tx: Transaction, actor: Actor, request: PresetRequest) -> AppliedPreset:
    """Apply a preset in a transaction. Add the rule of the preset if the request wants it and no rule gives points."""
    config = await read_config(tx)
    currency = config.program.currency if config else ""
    edit = ProgramEdit(partial(apply_preset, preset=request.preset, currency=currency), request.expected_version)
    program = (await change_settings(world, tx, actor, edit)).program
    # The transaction holds the lock of the program now, so the rules that are read here cannot change.
    config = await read_config(tx) if request.create_rule else None
    now = world.clock() + program.clock_advance
    if config is None or any(gives_points(rule, now) for rule in config.rules):
        return AppliedPreset(program, None)
    award = preset_award(request.preset, program.currency)
    draft = EarningRule(_NO_ID, f"Preset {request.preset.value}", 1, PRIORITY, active=True, award=award)
    return AppliedPreset(program, await add_rule(world, tx, actor, draft))
