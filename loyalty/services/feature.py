"""The features of a tenant: switched by its team, with what they need and exclude."""

from dataclasses import replace
from typing import NamedTuple

from loyalty.rules.features import Feature
from loyalty.services.feature_switch import apply_switch
from loyalty.services.program import ProgramEdit, change_settings, lock_program_in_force
from loyalty.services.world import World
from loyalty.storage.tenants import TenantRow, read_tenant
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.database import Transaction
from tenancy.retry import retry_transaction


class SwitchedFeature(NamedTuple):
    """The tenant after a switch, and the features that were switched on because the feature needs them."""

    tenant: TenantRow
    also_enabled: tuple[Feature, ...]


async def set_feature(world: World, actor: Actor, feature: Feature, *, on: bool) -> SwitchedFeature:
    """Switch a feature on or off. A feature in that state stays. LOYALTY is the switch of the program.

    Refusals: DependencyRequired, IncompatibleFeature.
    """
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)

    async def switch() -> SwitchedFeature:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            came = await _switch(world, tx, actor, feature, on=on)
            return SwitchedFeature(await read_tenant(tx), came)

    return await retry_transaction(switch)


async def _switch(world: World, tx: Transaction, actor: Actor, feature: Feature, *, on: bool) -> tuple[Feature, ...]:
    """Switch a feature in one transaction. Return the features that were switched on with it."""
    if feature is Feature.LOYALTY:
        edit = ProgramEdit(lambda settings: replace(settings, enabled=on), None)
        return (await change_settings(world, tx, actor, edit, path=("feature",))).also_enabled
    await lock_program_in_force(tx, even_when_off=True)
    return (await apply_switch(tx, actor, world.clock(), feature, on=on)).also_enabled
