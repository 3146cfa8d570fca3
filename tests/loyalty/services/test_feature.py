"""Switching features: what comes along, what is refused, what is written, and what two do at the same time."""

import asyncio
from dataclasses import replace

import pytest

from loyalty.rules.errors import PermissionDenied
from loyalty.rules.features import STARTING_FEATURES, DependencyRequired, Feature, IncompatibleFeature
from loyalty.services.audit import list_audit_entries
from loyalty.services.feature import set_feature
from loyalty.services.program import ProgramEdit, get_program, get_tenant, update_program
from loyalty.services.world import World
from loyalty.storage.audit import AuditFilter
from loyalty.storage.window import Window
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.tenants import Salon

OFF = ProgramEdit(lambda settings: replace(settings, enabled=False), None)
ON = ProgramEdit(lambda settings: replace(settings, enabled=True), None)
NEEDED = STARTING_FEATURES - {Feature.LOYALTY}


async def features_of(world: World, salon: Salon) -> frozenset[Feature]:
    """Return what is on."""
    return (await get_tenant(world, salon.owner)).features


async def test_a_new_tenant_has_the_program_and_what_it_needs(world: World, salon: Salon) -> None:
    assert await features_of(world, salon) == STARTING_FEATURES


async def test_the_program_brings_what_it_needs(world: World, salon: Salon) -> None:
    """SB-06, SB-09: by either switch; the audit log tells of both, and twice does no harm."""
    await set_feature(world, salon.manager, Feature.LOYALTY, on=False)
    for needed in NEEDED:
        await set_feature(world, salon.manager, needed, on=False)
    assert await features_of(world, salon) == frozenset()
    changed = await update_program(world, salon.manager, ON)
    assert frozenset(changed.also_enabled) == NEEDED
    assert await features_of(world, salon) == STARTING_FEATURES
    for _ in range(2):
        again = await set_feature(world, salon.manager, Feature.LOYALTY, on=True)
        assert (again.tenant.features, again.also_enabled) == (STARTING_FEATURES, ())
    newest = (await list_audit_entries(world, salon.owner, AuditFilter(), Window(2)))[:2]
    assert {entry.subject.name for entry in newest} == {"FEATURES", "PROGRAM"}


async def test_a_feature_that_the_program_needs_stays_on(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """SB-06."""
    for needed in NEEDED:
        async with nothing_changes(salon.tenant_id):
            with pytest.raises(DependencyRequired):
                await set_feature(world, salon.manager, needed, on=False)


async def test_a_history_with_points_is_not_cleared(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """SB-08, C-16: while the program is on; and while histories are cleared it does not come on, by either switch."""
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(IncompatibleFeature):
            await set_feature(world, salon.manager, Feature.CLEAR_HISTORY, on=True)
    await update_program(world, salon.manager, OFF)
    await set_feature(world, salon.manager, Feature.CLEAR_HISTORY, on=True)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(IncompatibleFeature) as by_settings:
            await update_program(world, salon.manager, ON)
        with pytest.raises(IncompatibleFeature) as by_feature:
            await set_feature(world, salon.manager, Feature.LOYALTY, on=True)
    assert (by_settings.value.path, by_feature.value.path) == (("enabled",), ("feature",))
    assert not (await get_program(world, salon.manager)).settings.enabled
    await set_feature(world, salon.manager, Feature.CLEAR_HISTORY, on=False)
    await update_program(world, salon.manager, ON)


async def test_two_who_switch_at_the_same_time_leave_a_sound_state(world: World, salon: Salon) -> None:
    """The program and the clearing of histories: one of the two is refused, every time."""
    for _ in range(10):
        await set_feature(world, salon.manager, Feature.LOYALTY, on=False)
        await set_feature(world, salon.manager, Feature.CLEAR_HISTORY, on=False)
        both = await asyncio.gather(
            set_feature(world, salon.manager, Feature.LOYALTY, on=True),
            set_feature(world, salon.owner, Feature.CLEAR_HISTORY, on=True),
            return_exceptions=True,
        )
        assert [isinstance(one, IncompatibleFeature) for one in both].count(True) == 1, both
        on = await features_of(world, salon)
        assert (Feature.LOYALTY in on) is not (Feature.CLEAR_HISTORY in on)


async def test_who_only_reads_switches_nothing(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    async with nothing_changes(salon.tenant_id):
        for actor in (salon.staff, salon.integration):
            with pytest.raises(PermissionDenied):
                await set_feature(world, actor, Feature.COUPONS, on=True)
