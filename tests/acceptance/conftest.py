"""One installation for all acceptance tests, and for each of them a new tenant with everybody who calls in it.

After every test the ledgers of its tenants must add up.
"""

from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Protocol

import pytest

from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.acceptance.business import Business, open_business
from tests.acceptance.sign_in import SIGNING, SignInStage, open_stage
from tests.fixtures.database import DatabaseServer
from tests.fixtures.provider import Provider, provider_process
from tests.fixtures.server import HOST, Installation, ServerProcess, running_installation


class OpenBusiness(Protocol):
    """A function that creates a business. By default it is in Berlin and counts in euros."""

    def __call__(
        self, *, currency: str = ..., time_zone: str = ..., locale: str = ..., sandbox: bool = ...
    ) -> Awaitable[Business]:
        """Return the business."""


@pytest.fixture(scope="package")
def acceptance_urls(database_server: DatabaseServer, template_database: str) -> Iterator[DatabaseUrls]:
    """Provide a migrated database for these tests alone."""
    with database_server.lend(template_database) as urls:
        yield urls


@pytest.fixture(scope="package")
async def installation(acceptance_urls: DatabaseUrls) -> AsyncIterator[Installation]:
    """Provide two servers and a worker, which nobody may stop."""
    async with running_installation(acceptance_urls) as running:
        yield running


@pytest.fixture(scope="package")
async def app_database(acceptance_urls: DatabaseUrls) -> AsyncIterator[Database]:
    """Provide the database as the application role, to read what is stored."""
    database = Database(acceptance_urls.app, pool_size=4, name="treue-acceptance")
    yield database
    await database.close()


@pytest.fixture(scope="package")
async def owner_database(acceptance_urls: DatabaseUrls) -> AsyncIterator[Database]:
    """Provide the database as the owner's role, to create tenants."""
    database = Database(acceptance_urls.owner, pool_size=1, name="treue-acceptance-owner")
    yield database
    await database.close()


@pytest.fixture
async def businesses(
    installation: Installation, owner_database: Database, app_database: Database
) -> AsyncIterator[OpenBusiness]:
    """Provide a function that creates businesses. After the test their ledgers must add up."""
    made: list[Business] = []

    async def new_business(
        *, currency: str = "EUR", time_zone: str = "Europe/Berlin", locale: str = "en-GB", sandbox: bool = False
    ) -> Business:
        business = await open_business(
            installation,
            owner_database,
            app_database,
            currency=currency,
            time_zone=time_zone,
            locale=locale,
            sandbox=sandbox,
        )
        made.append(business)
        return business

    yield new_business
    for business in made:
        await business.check_ledger()


@pytest.fixture
async def salon(businesses: OpenBusiness) -> Business:
    """Provide a new salon in Berlin that counts in euros."""
    return await businesses()


@pytest.fixture
async def rival(businesses: OpenBusiness) -> Business:
    """Provide another tenant that looks just like `salon`."""
    return await businesses()


@pytest.fixture(scope="module")
def sign_in_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Provide a provider at which people sign in with a browser."""
    with provider_process(tmp_path_factory.mktemp("provider")) as running:
        running.publish(SIGNING)
        running.sign_with(SIGNING)
        running.describe_sign_in()
        yield running


@pytest.fixture(scope="module")
async def sign_in_server(installation: Installation) -> AsyncIterator[ServerProcess]:
    """Provide a server that may reach providers on this machine."""
    settings = {"TREUE_PRIVATE_PROVIDERS": "true", "TREUE_PUBLIC_URL": f"http://{HOST}:{{port}}"}
    async with installation.serve_apart("sign-in", settings) as running:
        yield running


@pytest.fixture
async def stage(salon: Business, sign_in_provider: Provider, sign_in_server: ServerProcess) -> SignInStage:
    """Provide a salon whose staff sign in with a browser."""
    return await open_stage(salon, sign_in_provider, sign_in_server)
