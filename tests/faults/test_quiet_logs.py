"""What other people's connections do is no error of ours: the log has warnings at most, and no traceback.

Clients break off in every phase while the pool is small, a table is locked, and the database restarts. Each line that
the server and the worker log is read.
"""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import orjson
import psycopg
import pytest

from runtime.postgres import EmbeddedPostgres
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.acceptance.business import Business, open_business
from tests.acceptance.client import ONE_PER_EURO, create_rule, record
from tests.faults.aborting import PHASES, QUERY, Aborter
from tests.fixtures.database import crash, server_of_its_own
from tests.fixtures.live import is_waiting_for_a_lock, until
from tests.fixtures.server import Installation, installation_on

ROUNDS = 12
"""How often each phase is broken off in a test; so many connections at a time."""

POOL = {"TREUE_POOL_SIZE": "2", "TREUE_POOL_WAIT_SECONDS": "1"}
LOCKED_SECONDS = 12.0
"""Longer than a statement waits for a lock."""

QUIET_LEVELS = {"debug", "info", "warning"}


class Site(NamedTuple):
    """A business whose server has two connections to a database that may restart."""

    postgres: EmbeddedPostgres
    installation: Installation
    shop: Business


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[tuple[EmbeddedPostgres, DatabaseUrls]]:
    with server_of_its_own("treue_quiet") as own:
        yield own


@pytest.fixture
async def site(own_postgres: tuple[EmbeddedPostgres, DatabaseUrls]) -> AsyncIterator[Site]:
    """Provide a business with a rule and a purchase, whose server has two connections to the database."""
    postgres, urls = own_postgres
    with installation_on(urls) as installation:
        server = installation.serve(settings=POOL)
        installation.work()
        await server.ready()
        owner, app = Database(urls.owner, pool_size=1), Database(urls.app, pool_size=1)
        shop = await open_business(installation, owner, app)
        await create_rule(shop.manager, "A point per euro", ONE_PER_EURO)
        await record(shop.integration, "order-0", "10.00")
        await owner.close()
        yield Site(postgres, installation, shop)
        await app.close()


async def break_off(site: Site, rounds: int = ROUNDS) -> int:
    """Break connections off, all phases side by side; returns how many."""
    token = site.shop.owner.token
    assert token is not None
    aborter = Aborter(site.installation.servers[0].port, token, random.Random(7))  # noqa: S311 - chances, not secrets
    for _ in range(rounds):
        await asyncio.gather(*(aborter.run(phase) for phase in PHASES))
    return rounds * len(PHASES)


async def refuse_errors(site: Site) -> None:
    """Fail for a log line above a warning, and for a traceback in any line; the server still serves afterwards."""
    await site.installation.servers[0].ready()
    assert await site.shop.owner.get("{ viewer { kind } }")
    site.installation.stop()
    loud = Counter(told for told in map(say_if_loud, lines_of(site)) if told is not None)
    assert not loud, loud.most_common()


def lines_of(site: Site) -> Iterator[str]:
    """Yield what the server and the worker have logged."""
    for process in (*site.installation.servers, *site.installation.workers):
        yield from process.log.read_text().splitlines()


def say_if_loud(line: str) -> str | None:
    """Return what is too loud about a line: its level, or the traceback it carries. None when nothing is."""
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        return line
    if entry["level"] in QUIET_LEVELS and "exception" not in entry:
        return None
    exception = entry.get("exception", {})
    raised = f"{exception.get('type')}: {str(exception.get('message'))[:200]}"
    return f"{entry['level']} {entry['logger']} {entry['event']}: {raised} {exception.get('trace', [])[-6:]}"


async def test_clients_that_break_off_are_no_errors(site: Site) -> None:
    assert await break_off(site) == ROUNDS * len(PHASES)
    await refuse_errors(site)


async def test_a_locked_table_and_a_full_pool_are_no_errors(site: Site) -> None:
    owner_url = site.installation.urls.owner
    async with await psycopg.AsyncConnection.connect(owner_url) as connection:
        await connection.execute("LOCK TABLE customers, api_tokens IN ACCESS EXCLUSIVE MODE")
        await asyncio.gather(break_off(site, 6), asyncio.sleep(LOCKED_SECONDS))
    await break_off(site, 2)
    await refuse_errors(site)


async def test_a_request_that_is_cut_short_by_the_end_of_the_process_is_answered_and_no_error(site: Site) -> None:
    server = site.installation.serve(settings={**POOL, "TREUE_SHUTDOWN_SECONDS": "1"})
    await server.ready()
    async with await psycopg.AsyncConnection.connect(site.installation.urls.owner) as connection:
        await connection.execute("LOCK TABLE customers IN ACCESS EXCLUSIVE MODE")
        asking = asyncio.create_task(site.shop.owner.at(server).post(orjson.dumps({"query": QUERY})))
        await until(lambda: is_waiting_for_a_lock(site.installation.urls.app, "treue-server"))
        await asyncio.to_thread(server.stop)
        answer = await asking
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "UNAVAILABLE"
    assert server.code in {0, -signal.SIGTERM}, "it ended by itself"
    await refuse_errors(site)


async def test_a_database_that_restarts_is_no_error(site: Site) -> None:
    breaking_off = asyncio.create_task(break_off(site))
    await asyncio.sleep(0.2)
    await asyncio.to_thread(site.postgres.stop)
    await break_off(site, 2)
    await asyncio.to_thread(site.postgres.start)
    await breaking_off
    await asyncio.to_thread(crash, site.postgres)
    await break_off(site, 2)
    await asyncio.to_thread(site.postgres.start)
    await break_off(site, 2)
    await refuse_errors(site)
