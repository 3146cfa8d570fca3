"""The settings of a program: versioned, validated, readable also while it is off; and how a tenant comes into being."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import orjson
import pytest

from loyalty.rules.earning import EarnScope, Stacking, WeekdayOf
from loyalty.rules.errors import InvalidInput, NotFound, VersionConflict
from loyalty.rules.ids import TenantId
from loyalty.rules.money import Money, PointValue
from loyalty.rules.program import ProgramSettings, default_settings
from loyalty.rules.redemption import DiscountMethod, RedemptionPolicy
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.program import ProgramEdit, get_program, get_tenant, update_program
from loyalty.services.purchase import record_purchase
from loyalty.services.tenant import provision_tenant
from loyalty.services.world import World
from permissions.roles import Role
from tests.fixtures.snapshots import NothingChanges, snapshot
from tests.fixtures.tenants import Salon, staff_actor
from tests.loyalty.services.builders import NOON, at, earn, order, rule

ALL_OF_IT = ProgramSettings(
    enabled=True,
    stacking=Stacking.BEST,
    earn_scope=EarnScope.OPT_IN,
    weekday_of=WeekdayOf.BOOKED_AT,
    redemption=RedemptionPolicy(
        enabled=True,
        point_value=PointValue(100, Money(100, "EUR")),
        method=DiscountMethod.AUTOMATIC,
        max_discount_percent=50,
        min_balance=10,
        min_points_per_redemption=5,
    ),
)


def redemption(**changes: object) -> ProgramEdit:
    """Return an edit of what points buy."""

    def change(settings: ProgramSettings) -> ProgramSettings:
        return replace(settings, redemption=replace(settings.redemption, **changes))  # type: ignore[arg-type]

    return ProgramEdit(change, None)


async def test_a_new_tenant_begins_with_plain_settings(world: World, salon: Salon) -> None:
    program = await get_program(world, salon.staff)
    assert (program.settings, program.version) == (default_settings("EUR"), 1)
    assert (program.currency, program.time_zone, program.locale) == ("EUR", "Europe/Berlin", "de-DE")


async def test_an_edit_is_a_new_version_and_the_old_ones_stay(world: World, salon: Salon) -> None:
    """PB-14, C-13: all settings at once, money as a ratio of whole numbers."""
    edited, _, _ = await update_program(at(world, NOON), salon.manager, ProgramEdit(lambda _: ALL_OF_IT, 1))
    assert (edited.settings, edited.version, edited.updated_at) == (ALL_OF_IT, 2, NOON)
    assert await get_program(world, salon.staff) == edited
    kept = [orjson.loads(line) for line in (await snapshot(world.database, salon.tenant_id))["program_versions"]]
    assert sorted((row["version"], row["created_by"]) for row in kept) == [(1, "provisioning"), (2, "staff:manager")]


async def test_an_edit_that_changes_nothing_makes_no_version(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    async with nothing_changes(salon.tenant_id):
        program, job, _ = await update_program(world, salon.manager, ProgramEdit(lambda settings: settings, 1))
    assert (program.version, job) == (1, None)


async def test_a_program_is_switched_off_and_on_again(world: World, salon: Salon) -> None:
    """BK-01, BK-71: what is stored stays, and the settings can be read and changed meanwhile."""
    await create_earning_rule(world, salon.manager, rule(10))
    await earn(world, salon, order("before"))
    off = replace(ALL_OF_IT, enabled=False)
    await update_program(world, salon.manager, ProgramEdit(lambda _: off, None))
    assert (await get_program(world, salon.staff)).settings == off
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, enabled=True), None))
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, earn_scope=EarnScope.ALL), None))
    recorded = await record_purchase(world, salon.integration, order("after"))
    assert recorded.customer.points.available == 20
    assert recorded.customer.points.value == Money(20, "EUR")


@pytest.mark.parametrize(
    ("edit", "path"),
    [
        pytest.param(redemption(point_value=PointValue(0, Money(1, "EUR"))), ("point_value", "points"), id="no points"),
        pytest.param(
            redemption(point_value=PointValue(1, Money(0, "EUR"))), ("point_value", "money", "amount"), id="no money"
        ),
        pytest.param(
            redemption(point_value=PointValue(1, Money(1, "USD"))),
            ("point_value", "money", "currency"),
            id="F-22 other currency",
        ),
        pytest.param(
            redemption(max_discount_amount_minor=5, max_discount_percent=5), ("max_discount",), id="BK-74 two caps"
        ),
        pytest.param(redemption(max_discount_percent=101), ("max_discount", "percent"), id="BK-74 over 100 %"),
        pytest.param(redemption(min_balance=-1), ("min_balance",), id="BK-75 negative minimum"),
    ],
)
async def test_settings_that_contradict_themselves_are_refused_without_a_trace(
    world: World, salon: Salon, nothing_changes: NothingChanges, edit: ProgramEdit, path: tuple[str, ...]
) -> None:
    """PB-14."""
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput) as refused:
            await update_program(world, salon.manager, edit)
    assert refused.value.path == ("redemption", *path)


async def test_nobody_overwrites_settings_they_have_not_seen(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    await update_program(world, salon.manager, ProgramEdit(lambda _: ALL_OF_IT, 1))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(VersionConflict):
            await update_program(world, salon.manager, ProgramEdit(lambda _: default_settings("EUR"), 1))


async def test_an_actor_sees_their_own_tenant(world: World, salon: Salon, other_salon: Salon) -> None:
    tenant = await get_tenant(world, salon.staff)
    assert (tenant.id, tenant.name, tenant.currency) == (salon.tenant_id, "Salon", "EUR")
    assert (await get_tenant(world, other_salon.staff)).id == other_salon.tenant_id


async def test_without_a_tenant_there_is_no_program(world: World) -> None:
    nobody = staff_actor(TenantId(uuid4()), Role.OWNER)
    for use in (get_tenant(world, nobody), get_program(world, nobody), record_purchase(world, nobody, order())):
        with pytest.raises(NotFound):
            await use


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"name": ""}, ("name",)),
        ({"currency": "EURO"}, ("currency",)),
        ({"currency": "XTS"}, ("currency",)),
        ({"time_zone": "Berlin"}, ("time_zone",)),
        ({"time_zone": "../etc/passwd"}, ("time_zone",)),
        ({"locale": "german please"}, ("locale",)),
    ],
)
async def test_a_tenant_needs_what_everything_else_counts_in(
    owner_world: World, wrong: dict[str, str], path: tuple[str, ...]
) -> None:
    right: dict[str, Any] = {"name": "Salon", "currency": "EUR", "time_zone": "Europe/Berlin", "locale": "de-DE"}
    with pytest.raises(InvalidInput) as refused:
        await provision_tenant(owner_world, **(right | wrong))
    assert refused.value.path == path
