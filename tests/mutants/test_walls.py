"""Every part of the wall is needed, and some attack notices when it is missing.

`make mutants` tries every part of every table, and prints which attack notices; the tests try one of each kind.
"""

import os
import sys
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from loyalty.services.world import World
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.fixtures.database import DatabaseServer
from tests.fixtures.tenants import CODE_KEYS
from tests.mutants.walls import Mutant, Stage, breed, find_false_alarms, find_killer
from tests.tenancy.neighbours import move_in, new_salon

ALL = os.environ.get("MUTANTS") == "1"
SAMPLE = ("customers", "event_positions", "token_directory")
"""Of these tables the tests try every mutant: an ordinary one, one that followers read, and the directory."""


@pytest.fixture(scope="module")
def scratch_urls(database_server: DatabaseServer, template_database: str) -> Iterator[DatabaseUrls]:
    """Provide a database whose walls may fall."""
    with database_server.lend(template_database) as urls:
        yield urls


@pytest.fixture(scope="module")
async def stage(scratch_urls: DatabaseUrls) -> AsyncIterator[Stage]:
    """Provide two neighbours in the database."""
    app = Database(scratch_urls.app, pool_size=4, name="treue-mutants")
    owner, relay = Database(scratch_urls.owner, pool_size=2), Database(scratch_urls.relay, pool_size=1)
    world, owner_world = World(app, codes=CODE_KEYS), World(owner)
    ours, theirs = [await move_in(world, relay, await new_salon(owner_world)) for _ in range(2)]
    with psycopg.connect(scratch_urls.owner, autocommit=True) as connection:
        yield Stage(world, owner_world, ours, theirs, connection)
    for database in (app, owner, relay):
        await database.close()


@pytest.fixture(scope="module")
def mutants(stage: Stage) -> list[Mutant]:
    """Provide all mutants, or those of the sample."""
    return [mutant for mutant in breed(stage.owner) if ALL or mutant.table.name in SAMPLE]


async def test_some_attack_notices_each_missing_part_of_a_wall(stage: Stage, mutants: list[Mutant]) -> None:
    for table in dict.fromkeys(mutant.table for mutant in mutants):
        assert await find_false_alarms(stage, table) == [], table.name
    killers = {str(mutant): await find_killer(stage, mutant) for mutant in mutants}
    if ALL:
        lines = [f"{mutant:60} {killer or 'SURVIVES'}" for mutant, killer in killers.items()]
        sys.stdout.write("\n".join(["", *lines, f"{sum(map(bool, killers.values()))} of {len(killers)} killed", ""]))
    assert [mutant for mutant, killer in killers.items() if killer is None] == []
    for table in dict.fromkeys(mutant.table for mutant in mutants):
        assert await find_false_alarms(stage, table) == [], f"{table.name} is not whole again"
