"""Which pages may call: kept for one tenant, read with the standing of a credential."""

from dataclasses import replace
from functools import partial

import pytest

from loyalty.rules.errors import InvalidInput
from loyalty.rules.origins import LOOPBACK_ORIGINS, parse_origin
from loyalty.services.allowed_origins import set_allowed_origins
from loyalty.services.authentication import find_fallen, refresh_actor
from loyalty.services.program import get_tenant
from loyalty.services.tenant import provision_tenant
from loyalty.services.world import World
from permissions.actor import Actor
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon, salon_of

PAGE = parse_origin("https://salon.example")


async def standing(world: World, actor: Actor) -> Actor:
    now = await refresh_actor(world, actor)
    assert now is not None
    return now


async def test_keeps_the_list_for_one_tenant_and_replaces_it(world: World, salon: Salon, other_salon: Salon) -> None:
    kept = await set_allowed_origins(world, salon.manager, ["https://Salon.example:443", "http://localhost:*"])
    assert kept.allowed_origins == ["https://salon.example", "http://localhost:*"]
    assert await get_tenant(world, salon.manager) == kept
    assert (await get_tenant(world, other_salon.manager)).allowed_origins == []
    assert (await set_allowed_origins(world, salon.manager, [])).allowed_origins == []


async def test_names_every_wrong_origin_and_keeps_the_old_list(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    await set_allowed_origins(world, salon.manager, ["https://salon.example"])
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput) as refused:
            await set_allowed_origins(world, salon.manager, ["*", "https://ok.example", "https://salon.example/app"])
    assert [problem.path for problem in refused.value.problems] == [("origins", "0"), ("origins", "2")]


async def test_a_new_list_counts_for_the_next_request_and_for_open_sockets(
    world: World, salon: Salon, statements: StatementLog
) -> None:
    page, system = replace(salon.owner, origin=PAGE), salon.owner
    assert not (await standing(world, page)).comes_from_allowed_page
    assert (await standing(world, system)).comes_from_allowed_page
    await set_allowed_origins(world, salon.manager, [str(PAGE)])
    with statements() as sent:
        assert (await standing(world, page)).comes_from_allowed_page
    assert len(sent) == 1, "the origins come with the standing of the credential"
    assert await find_fallen(world, salon.tenant_id, [page, system]) == set()
    await set_allowed_origins(world, salon.manager, ["https://another.example"])
    assert await find_fallen(world, salon.tenant_id, [page, system]) == {page}


async def test_a_tenant_can_begin_with_a_list(world: World, owner_world: World) -> None:
    make = partial(
        provision_tenant, owner_world, name="Salon", currency="EUR", time_zone="Europe/Berlin", locale="de-DE"
    )
    salon = salon_of(await make(allowed_origins=LOOPBACK_ORIGINS))
    assert (await get_tenant(world, salon.manager)).allowed_origins == list(LOOPBACK_ORIGINS)
    with pytest.raises(InvalidInput) as refused:
        await make(allowed_origins=["https://*.example"])
    assert refused.value.path == ("allowed_origins", "0")
