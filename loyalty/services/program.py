"""The tenant's program: read it, check it, and change its settings."""

from collections.abc import Callable
from typing import NamedTuple

from uuid_utils.compat import uuid7

from loyalty.jobs.waiting import add_re_tiering_job
from loyalty.ledger.program import CompiledProgram
from loyalty.rules.audit import AuditedChange, AuditSubject
from loyalty.rules.errors import FeatureDisabled, NotFound, VersionConflict, refuse_problems
from loyalty.rules.features import Feature
from loyalty.rules.ids import JobId
from loyalty.rules.program import ProgramSettings, validate_settings
from loyalty.rules.program_checks import CheckedProgram, ProgramCheck
from loyalty.rules.program_checks import check_program as find_checks
from loyalty.services.audit import note_changes
from loyalty.services.feature_switch import apply_switch
from loyalty.services.world import World
from loyalty.storage.jobs import JobRow
from loyalty.storage.programs import (
    ProgramRow,
    lock_program,
    read_config,
    read_config_version,
    read_program,
    save_program,
)
from loyalty.storage.tenants import TenantRow, read_tenant
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import LOYALTY, allows, require, require_any
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.retry import retry_transaction

SettingsChange = Callable[[ProgramSettings], ProgramSettings]


class ProgramEdit(NamedTuple):
    """A change of settings. ``expected_version`` protects against overwriting another caller's change."""

    change: SettingsChange
    expected_version: int | None


async def get_program(world: World, actor: Actor) -> ProgramRow:
    """Return the tenant's program, also while it is switched off."""
    require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ, even_when_off=True)
    tx = world.database.reading(actor.tenant_id)
    program = await read_program(tx)
    if program is None:
        raise NotFound("program")
    return program


async def check_program(world: World, actor: Actor) -> list[ProgramCheck]:
    """Return what the program lacks, also while it is switched off; an empty list for customers."""
    require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ, even_when_off=True)
    if not allows(actor, Permission.LOYALTY_READ):
        return []
    tx = world.database.reading(actor.tenant_id)
    config = await read_config(tx)
    if config is None:
        raise NotFound("program")
    now = world.clock() + config.program.clock_advance
    return find_checks(CheckedProgram(config.program.settings, config.rules, config.tiers, config.catalog, now))


class ChangedProgram(NamedTuple):
    """The settings after an edit, and the re-tiering job if tiers are counted in another way now.

    ``also_enabled`` are the features that were switched on with the program.
    """

    program: ProgramRow
    job: JobRow | None
    also_enabled: tuple[Feature, ...] = ()


async def update_program(world: World, actor: Actor, edit: ProgramEdit) -> ChangedProgram:
    """Change settings as a new version. Refusals: InvalidInput, VersionConflict, IncompatibleFeature."""
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)
    return await retry_transaction(lambda: _update(world, actor, edit))


async def _update(world: World, actor: Actor, edit: ProgramEdit) -> ChangedProgram:
    """Change settings in one transaction."""
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        return await change_settings(world, tx, actor, edit)


async def change_settings(
    world: World, tx: Transaction, by: Actor, edit: ProgramEdit, path: tuple[str, ...] = ("enabled",)
) -> ChangedProgram:
    """Change settings within a transaction. An edit that changes nothing makes no version.

    A program that is switched on also switches on the features that it needs. ``path`` is the path of the switch.
    Refusals: VersionConflict, InvalidInput, IncompatibleFeature.
    """
    program = await lock_program_in_force(tx, even_when_off=True)
    if edit.expected_version is not None and edit.expected_version != program.version:
        raise VersionConflict(expected=edit.expected_version, actual=program.version)
    settings = edit.change(program.settings)
    refuse_problems(validate_settings(settings, program.currency))
    if settings == program.settings:
        return ChangedProgram(program, None)
    now, version = world.clock(), program.version + 1
    came: tuple[Feature, ...] = ()
    if settings.enabled and not program.settings.enabled:
        came = (await apply_switch(tx, by, now, Feature.LOYALTY, on=True, path=path)).also_enabled
    await save_program(tx, settings, version, now, by.subject)
    change = AuditedChange(AuditSubject.PROGRAM, "program", "Program", program.settings, settings)
    await note_changes(tx, by, now, [change])
    same = settings.tiering == program.settings.tiering
    job = None if same else await add_re_tiering_job(tx, by, job_id=JobId(uuid7()), now=now)
    changed = program._replace(
        settings=settings, version=version, config_version=program.config_version + 1, updated_at=now
    )
    return ChangedProgram(changed, job, came)


async def get_tenant(world: World, actor: Actor) -> TenantRow:
    """Return the tenant of the actor's credential."""
    return await read_tenant(world.database.reading(actor.tenant_id))


async def program_in_force(world: World, tx: Reads, *, even_when_off: bool = False) -> CompiledProgram:
    """Return the compiled program at the version that this transaction sees.

    Raises NotFound if the tenant has none, and FeatureDisabled if it is off, unless ``even_when_off`` is set.
    """
    return await program_at(world, tx, await read_config_version(tx), even_when_off=even_when_off)


async def program_at(
    world: World, tx: Reads, config_version: int | None, *, even_when_off: bool = False
) -> CompiledProgram:
    """Return the compiled program at a version that was read before.

    Raises NotFound for None, and FeatureDisabled if the program is off, unless ``even_when_off`` is set.
    """
    if config_version is None:
        raise NotFound("program")
    program = await world.programs.at(tx, config_version)
    if not (program.row.settings.enabled or even_when_off):
        raise FeatureDisabled(LOYALTY)
    return program


async def lock_program_in_force(tx: Transaction, *, even_when_off: bool = False) -> ProgramRow:
    """Lock the program for an edit of settings, rules, tiers or catalogue, and return it.

    Raises NotFound if the tenant has none, and FeatureDisabled if it is off, unless ``even_when_off`` is set.
    """
    program = await lock_program(tx)
    if program is None:
        raise NotFound("program")
    if not (program.settings.enabled or even_when_off):
        raise FeatureDisabled(LOYALTY)
    return program
