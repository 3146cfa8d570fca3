import pytest

from loyalty.services.world import World
from tenancy.database import Database
from tests.tenancy.neighbours import Neighbour, move_in, new_salon


@pytest.fixture(scope="session")
async def ours(world: World, owner_world: World, relay_database: Database) -> Neighbour:
    """Provide the tenant that the attacker is in."""
    return await move_in(world, relay_database, await new_salon(owner_world))


@pytest.fixture(scope="session")
async def theirs(world: World, owner_world: World, relay_database: Database) -> Neighbour:
    """Provide the tenant that is attacked."""
    return await move_in(world, relay_database, await new_salon(owner_world))
