"""A database for one test alone, as each role sees it: a worker looks after all tenants of a database."""

from collections.abc import AsyncIterator

import pytest

from loyalty.services.world import World
from runtime.roles import DatabaseUrls
from tenancy.database import Database

RELAY_NAME = "treue-tests-worker-relay"
"""What the connections of ``relay`` are called."""


@pytest.fixture
async def own_world(own_database_urls: DatabaseUrls) -> AsyncIterator[World]:
    """Provide the database as the application sees it."""
    database = Database(own_database_urls.app, pool_size=4, name="treue-tests-worker-own")
    yield World(database)
    await database.close()


@pytest.fixture
async def relay(own_database_urls: DatabaseUrls) -> AsyncIterator[Database]:
    """Provide the same database as the relay sees it."""
    database = Database(own_database_urls.relay, pool_size=2, name=RELAY_NAME)
    yield database
    await database.close()


@pytest.fixture
async def owner(own_database_urls: DatabaseUrls) -> AsyncIterator[World]:
    """Provide the same database as the owner of its tables."""
    database = Database(own_database_urls.owner, pool_size=1, name="treue-tests-worker-own")
    yield World(database)
    await database.close()
