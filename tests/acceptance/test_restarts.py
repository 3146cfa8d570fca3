"""Ten restarts of a server, by SIGTERM and by SIGKILL in turn: subscribers come back, and hear each event once.

The guide's TypeScript runs with graphql-ws where Node is and `make clients` has been run. A client in Python with the
same rules runs everywhere.
"""

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path

import orjson
import pytest

from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.acceptance.business import Business, open_business
from tests.acceptance.client import GENEROUS_SECONDS, ONE_PER_EURO, Caller, Json, create_rule, newest_cursor
from tests.acceptance.graphql_ws import follow
from tests.acceptance.test_outages import report_until_heard
from tests.fixtures.database import DatabaseServer
from tests.fixtures.left_out import leave_out
from tests.fixtures.server import Installation, installation_on

RESTARTS = 10
PURCHASES = 3 * RESTARTS
CLIENTS = Path(__file__).parents[1] / "clients"
GUIDE = Path(__file__).parents[2] / "docs/guides/subscriptions.md"
TYPESCRIPT = re.compile(r"^```ts\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMPILE = ("--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom", "--skipLibCheck")
CHANGES = "subscription($after: Cursor) { pointsChanged(after: $after) { entry { points } } }"


@pytest.fixture(scope="module")
def own_urls(database_server: DatabaseServer, template_database: str) -> Iterator[DatabaseUrls]:
    """Provide a database that only these servers work on."""
    with database_server.lend(template_database) as urls:
        yield urls


@pytest.fixture(scope="module")
async def restarted(own_urls: DatabaseUrls) -> AsyncIterator[Installation]:
    """Provide one server, which is restarted, one that takes purchases meanwhile, and a worker."""
    with installation_on(own_urls) as installation:
        servers = [installation.serve(), installation.serve()]
        installation.work()
        for server in servers:
            await server.ready()
        yield installation


@pytest.fixture
async def shop(restarted: Installation) -> AsyncIterator[Business]:
    """Provide a business that gives a point per euro."""
    owner, app = Database(restarted.urls.owner, pool_size=1), Database(restarted.urls.app, pool_size=1)
    business = await open_business(restarted, owner, app)
    await create_rule(business.manager, "A point per euro", ONE_PER_EURO)
    await owner.close()
    yield business
    await app.close()


async def restart_ten_times(shop: Business, restarted: Installation) -> None:
    """Report purchases of 1, 2, 3, ... euros while the first server is restarted again and again."""
    unstable, stable = restarted.servers
    reporter = shop.integration.at(stable)
    for number in range(RESTARTS):
        await report_until_heard(reporter, 3 * number + 1)
        under_way = asyncio.create_task(report_until_heard(reporter, 3 * number + 2))
        if number % 2:
            unstable.kill()
        else:
            await asyncio.to_thread(unstable.stop)
        await under_way
        await report_until_heard(reporter, 3 * number + 3)
        unstable.start()
        await unstable.ready()


async def hear_all(events: AsyncGenerator[Json, None]) -> list[int]:
    """Return the points of so many events as purchases are reported."""
    async with contextlib.aclosing(events):
        return [(await anext(events))["data"]["pointsChanged"]["entry"]["points"] for _ in range(PURCHASES)]


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """Provide a folder with the guide's code, compiled with all checks; None if Node or packages are missing."""
    if shutil.which("node") is None or not (CLIENTS / "node_modules" / "graphql-ws").exists():
        return None
    folder = tmp_path_factory.mktemp("clients")
    for name in ("package.json", "read_events.mjs", "sockets.mjs"):
        shutil.copy(CLIENTS / name, folder)
    (folder / "node_modules").symlink_to(CLIENTS / "node_modules")
    code, _use = TYPESCRIPT.findall(GUIDE.read_text("utf-8"))
    (folder / "guide.mts").write_text(code, "utf-8")
    compiler = folder / "node_modules" / "typescript" / "bin" / "tsc"
    subprocess.run([str(shutil.which("node")), compiler, *COMPILE, "guide.mts"], cwd=folder, check=True)
    return folder


def test_the_guides_typescript_compiles(node_folder: Path | None) -> None:
    if node_folder is None:
        leave_out("the TypeScript of the guide compiles, and its reader survives restarts", "Node and `make clients`")
    assert (node_folder / "guide.mjs").exists()


async def test_ten_restarts_cost_no_event_and_double_none(
    shop: Business, restarted: Installation, node_folder: Path | None
) -> None:
    after = await newest_cursor(shop.owner.at(restarted.servers[1]))
    reader = shop.staff.at(restarted.servers[0])
    python = asyncio.create_task(hear_all(follow(reader, CHANGES, after)))
    node = None if node_folder is None else await start_node_client(node_folder, reader, after)
    await restart_ten_times(shop, restarted)
    async with asyncio.timeout(GENEROUS_SECONDS):
        assert await python == list(range(1, PURCHASES + 1))
        if node is not None:
            output, problems = await node.communicate()
            heard = [orjson.loads(line)["points"] for line in output.splitlines()]
            assert heard == list(range(1, PURCHASES + 1)), problems.decode()


async def start_node_client(folder: Path, reader: Caller, after: str) -> asyncio.subprocess.Process:
    """Start the guide's code in Node, as its readers would run it."""
    told = {
        "TREUE_URL": reader.server.socket_url,
        "TREUE_TOKEN": str(reader.token),
        "TREUE_AFTER": after,
        "TREUE_COUNT": str(PURCHASES),
    }
    node = await asyncio.create_subprocess_exec(
        *(str(shutil.which("node")), "read_events.mjs"),
        cwd=folder,
        env={**os.environ, **told},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert node.stdout is not None
    async with asyncio.timeout(GENEROUS_SECONDS):
        assert await node.stdout.readline() == b"ready\n"
    return node
