"""Run the work of commands on the clusters as one of the roles.

A refusal becomes a sentence for the person at the terminal. Importing this module is quick. Slow imports happen when
there is work to do.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from cli.clusters import Role
    from loyalty.services.world import World
    from runtime.roles import DatabaseUrls

T = TypeVar("T")


def work_as_app(work: Callable[["World"], Awaitable[T]], *, unknown: str) -> T:
    """Run ``work`` as ``treue_app``, which is always inside one tenant.

    A NotFound ends the command with the sentence ``unknown``, every other refusal with its own message.
    """
    from runtime.databases import provide_clusters
    from runtime.roles import APP_ROLE
    from runtime.settings import load_settings

    with provide_clusters(load_settings(), APP_ROLE) as clusters:
        return asyncio.run(work_on(clusters, "app", work, unknown=unknown))


def work_as_relay(work: Callable[["World"], Awaitable[T]], *, unknown: str) -> T:
    """Run ``work`` as ``treue_relay``, which works across tenants. A refusal ends the command as with `work_as_app`."""
    from runtime.databases import provide_clusters
    from runtime.roles import RELAY_ROLE
    from runtime.settings import load_settings

    with provide_clusters(load_settings(), RELAY_ROLE) as clusters:
        return asyncio.run(work_on(clusters, "relay", work, unknown=unknown))


async def work_on(
    clusters: "Mapping[str, DatabaseUrls]", role: "Role", work: Callable[["World"], Awaitable[T]], *, unknown: str
) -> T:
    """Run ``work`` with one connection to each cluster. A refusal ends the command as with `work_as_app`."""
    from cli.clusters import open_database, refuse_old_home
    from loyalty.services.world import World

    database = open_database(clusters, role, pool_size=1, name="treue-cli")
    try:
        await refuse_old_home(database)
        with explain_refusals(unknown=unknown):
            return await work(World(database))
    finally:
        await database.close()


@contextmanager
def explain_refusals(*, unknown: str) -> Iterator[None]:
    """End the command with a sentence if the block is refused, as with `work_as_app`."""
    from loyalty.rules.errors import LoyaltyError, NotFound
    from runtime.problems import SetupProblem
    from tenancy.elsewhere import TenantElsewhere

    try:
        yield
    except NotFound as refusal:
        raise SetupProblem(unknown) from refusal
    except LoyaltyError as refusal:
        raise SetupProblem(str(refusal)) from refusal
    except TenantElsewhere as refusal:
        raise SetupProblem("The tenant is being moved to another cluster: call again soon.") from refusal


def no_tenant(tenant_id: uuid.UUID) -> str:
    """Return the sentence about an unknown tenant."""
    return f"There is no tenant {tenant_id}: see `treue tenant list`."
