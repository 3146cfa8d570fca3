"""How commands work on the database: as one of its roles, with refusals that a person at a terminal can act on.

Importing this module is quick. What takes long to import is imported when there is work to do.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from loyalty.services.world import World

T = TypeVar("T")


def work_as_app(work: Callable[["World"], Awaitable[T]], *, unknown: str) -> T:
    """Do ``work`` as ``treue_app``, which is always inside one tenant.

    A NotFound ends the command with the sentence ``unknown``, every other refusal with its own message.
    """
    from runtime.databases import provide_database
    from runtime.roles import APP_ROLE
    from runtime.settings import load_settings

    with provide_database(load_settings(), APP_ROLE) as urls:
        return asyncio.run(work_on(urls.app, work, unknown=unknown))


def work_as_relay(work: Callable[["World"], Awaitable[T]], *, unknown: str) -> T:
    """Do ``work`` as ``treue_relay``, which works across tenants. Refusals end the command as with `work_as_app`."""
    from runtime.databases import provide_database
    from runtime.roles import RELAY_ROLE
    from runtime.settings import load_settings

    with provide_database(load_settings(), RELAY_ROLE) as urls:
        return asyncio.run(work_on(urls.relay, work, unknown=unknown))


async def work_on(url: str, work: Callable[["World"], Awaitable[T]], *, unknown: str) -> T:
    """Do ``work`` over one connection to the database at ``url``. Refusals end the command as with `work_as_app`."""
    from loyalty.rules.errors import LoyaltyError, NotFound
    from loyalty.services.world import World
    from runtime.problems import SetupProblem
    from tenancy.database import Database

    database = Database(url, pool_size=1, name="treue-cli")
    try:
        return await work(World(database))
    except NotFound as refusal:
        raise SetupProblem(unknown) from refusal
    except LoyaltyError as refusal:
        raise SetupProblem(str(refusal)) from refusal
    finally:
        await database.close()


def no_tenant(tenant_id: uuid.UUID) -> str:
    """What is said of a tenant that is unknown."""
    return f"There is no tenant {tenant_id}: see `treue tenant list`."
