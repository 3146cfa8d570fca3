"""What was acknowledged is what the ledger says, whatever breaks in between: connections, processes, the database.

Faults are counted, and too few of them fail the test: a run in which nothing broke proves nothing.
"""

import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from runtime.postgres import EmbeddedPostgres
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.acceptance.business import Business, open_business
from tests.acceptance.client import ONE_PER_EURO, Caller, create_rule, money, record
from tests.faults.clerk import CARD_EUROS, CARD_POINTS, Acknowledged, Clerk
from tests.faults.proxy import CALM, FaultProxy, Faults, Place
from tests.fixtures.database import crash, server_of_its_own
from tests.fixtures.server import Installation, ServerProcess, TreueProcess, installation_on
from tests.soak import SEED, SOAK

CLERKS = 10
CUSTOMERS = [f"customer-{number}" for number in range(6)]
ROUNDS = 40 if SOAK else 1
"""How often every process is killed at every place, and the database restarted."""
FLOORS = {
    Place.BEFORE_COMMIT: 20 * ROUNDS,
    Place.AFTER_COMMIT: 20 * ROUNDS,
    Place.IN_STATEMENT: 20 * ROUNDS,
    "kills": 6 * ROUNDS,
    "restarts": 2 * ROUNDS,
    "acknowledged": 400 * ROUNDS,
}
"""Fewer of any kind fail the run."""
MAX_SECONDS = 240 * ROUNDS
CHANCES = Faults(dict.fromkeys(Place, 0.02), delay_rate=0.05, delay_seconds=0.05)
ACCOUNTS = "{ customers(first: 100) { nodes { externalId points { available pending held debt } } } }"


class Site:
    """Two servers and a worker, each with a door of its own to a database that may crash."""

    def __init__(self, postgres: EmbeddedPostgres, installation: Installation, proxy: FaultProxy) -> None:
        self.postgres = postgres
        self.installation = installation
        self.proxy = proxy
        self.servers: dict[str, ServerProcess] = {}
        self.worker: TreueProcess | None = None
        self.happened: Counter[str] = Counter()

    async def open(self) -> None:
        """Start every process."""
        urls = self.installation.urls
        for name in ("first server", "second server"):
            self.servers[name] = self.installation.serve(await self.proxy.door(name, urls))
        self.worker = self.installation.work(await self.proxy.door("worker", urls))
        await self.ready()

    async def ready(self) -> None:
        """Wait until every server answers."""
        for server in self.servers.values():
            await server.ready()

    async def kill(self, name: str, place: Place, about: str = "") -> None:
        """Kill a process while one of its transactions is at a place, and start it again."""
        process = self.servers.get(name) or self.worker
        assert process is not None
        async with self.proxy.caught(place, name, about):
            process.kill()
        process.start()
        self.happened["kills"] += 1
        if isinstance(process, ServerProcess):
            await process.ready()

    async def restart_database(self, place: Place) -> None:
        """Crash the database while a transaction is at a place, and start it again."""
        async with self.proxy.caught(place):
            await asyncio.to_thread(crash, self.postgres)
        await asyncio.to_thread(self.postgres.start)
        self.happened["restarts"] += 1
        await self.ready()

    def counts(self) -> Counter[str]:
        """Return how much has broken so far."""
        return self.happened + Counter({str(place): count for place, count in self.proxy.injected.items()})


@pytest.fixture
def own_postgres() -> Iterator[tuple[EmbeddedPostgres, DatabaseUrls]]:
    with server_of_its_own("treue_faults") as own:
        yield own


@pytest.fixture
async def site(own_postgres: tuple[EmbeddedPostgres, DatabaseUrls]) -> AsyncIterator[Site]:
    """Provide two servers and a worker, each behind its own door to the database."""
    postgres, urls = own_postgres
    proxy = FaultProxy(urls.app, random.Random(SEED))  # noqa: S311 - chances, not secrets
    with installation_on(urls) as installation:
        site = Site(postgres, installation, proxy)
        await site.open()
        yield site
        await asyncio.to_thread(installation.stop)
    await proxy.close()


@asynccontextmanager
async def salon_at(site: Site) -> AsyncIterator[Business]:
    """Return a salon with a point per euro, which matures at the end of the service.

    Its checkout takes points.
    """
    urls = site.installation.urls
    owner, app = Database(urls.owner, pool_size=1), Database(urls.app, pool_size=1)
    salon = await open_business(site.installation, owner, app)
    await owner.close()
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    await salon.manager.do(
        "programUpdate", "__typename", accrual={"matureOn": "SERVICE_ENDED"}, redemption={"enabled": True}
    )
    for customer in CUSTOMERS:
        await record(salon.owner, f"first of {customer}", "0.00", customer=customer)
    yield salon
    await app.close()


async def offer_card(salon: Business) -> str:
    """Return a gift card that points can buy; its id."""
    offered = await salon.manager.do(
        "giftCardProductCreate",
        "giftCardProduct { id }",
        name="Voucher",
        faceValue=money(f"{CARD_EUROS}.00"),
        purchasableWithPoints=True,
        pointsCost=CARD_POINTS,
    )
    return str(offered["giftCardProduct"]["id"])


async def break_everything(site: Site) -> None:
    """Kill and restart each process at each place, in the middle of its work; several times in a long run."""
    for _ in range(ROUNDS):
        await site.kill("worker", Place.BEFORE_COMMIT, "saved_accrual_moves")
        await site.kill("first server", Place.BEFORE_COMMIT)
        await site.restart_database(Place.IN_STATEMENT)
        await site.kill("worker", Place.AFTER_COMMIT, "saved_accrual_moves")
        await site.kill("second server", Place.AFTER_COMMIT)
        await site.restart_database(Place.AFTER_COMMIT)
        await site.kill("worker", Place.IN_STATEMENT, "saved_accrual_moves")
        await site.kill("first server", Place.IN_STATEMENT)


async def balances(caller: Caller) -> dict[str, dict[str, int]]:
    """Return the accounts of all customers, as the API shows them."""
    page = await caller.get(ACCOUNTS)
    return {node["externalId"]: node["points"] for node in page["nodes"]}


async def everything_matured(caller: Caller) -> dict[str, dict[str, int]]:
    """Return the accounts once the worker has kept every promise."""
    async with asyncio.timeout(60):
        while True:
            found = await balances(caller)
            if not any(points["pending"] for points in found.values()):
                return found
            await asyncio.sleep(0.1)


def verdict(urls: DatabaseUrls, salon: Business) -> subprocess.CompletedProcess[str]:
    """Return what `treue verify` says."""
    environment = salon.installation.environment_with(urls)
    command = [sys.executable, "-m", "cli.main", "verify", "--tenant", str(salon.tenant_id)]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


@pytest.mark.soak
async def test_the_ledger_holds_every_acknowledged_write(site: Site) -> None:
    """F-33, F-36: cut before and after COMMIT and in the middle of statements, killed, restarted: difference 0."""
    begun = time.monotonic()
    told = Acknowledged()
    async with salon_at(site) as salon:
        card_product = await offer_card(salon)
        clerks = [
            Clerk(f"clerk-{number}", list(site.servers.values()), str(salon.owner.token), CUSTOMERS, told, card_product)
            for number in range(CLERKS)
        ]
        stop = asyncio.Event()
        site.proxy.faults = CHANCES
        async with asyncio.timeout(MAX_SECONDS), asyncio.TaskGroup() as tasks:
            for clerk in clerks:
                tasks.create_task(clerk.work(stop))
            await break_everything(site)
            while _missing(site, told):  # noqa: ASYNC110 - numbers are awaited, not an event
                await asyncio.sleep(0.1)
            stop.set()
        site.proxy.faults = CALM
        found = await everything_matured(salon.owner)
        answers = await _ask_everything_again(clerks, told)
        for clerk in clerks:
            await clerk.close()
        due = told.balances()
        differences = {
            name: due.get(name, 0) - (points["available"] + points["held"] - points["debt"])
            for name, points in found.items()
        }
        difference = sum(abs(one) for one in differences.values())
        print(_summary(site, told, difference, time.monotonic() - begun))  # noqa: T201 - what the run is for
        assert all(answers), f"{answers.count(False)} of {len(answers)} answers were not given again"
        assert due.keys() <= found.keys()
        assert difference == 0, differences
        assert await balances(salon.owner) == found, "asking again changed something"
        said = verdict(site.installation.urls, salon)
        assert said.returncode == 0, said.stdout + said.stderr
    assert not _missing(site, told)


async def _ask_everything_again(clerks: list[Clerk], told: Acknowledged) -> list[bool]:
    """Ask each acknowledged question once more."""

    async def ask(number: int, clerk: Clerk) -> list[bool]:
        return [await clerk.ask_again(effect) for effect in told.effects[number::CLERKS]]

    shares = await asyncio.gather(*(ask(number, clerk) for number, clerk in enumerate(clerks)))
    return [known for share in shares for known in share]


def _missing(site: Site, told: Acknowledged) -> dict[str, int]:
    """Return what is still below its floor, and by how much."""
    counts = site.counts() + Counter({"acknowledged": len(told.effects)})
    return {str(kind): floor - counts[str(kind)] for kind, floor in FLOORS.items() if counts[str(kind)] < floor}


def _summary(site: Site, told: Acknowledged, difference: int, seconds: float) -> str:
    """Return a line about the faults of a run, and what clients were told."""
    counts = site.counts()
    faults = ", ".join(f"{kind} {counts[str(kind)]}" for kind in FLOORS if kind != "acknowledged")
    return (
        f"\nfaults injected: {faults}, delays {site.proxy.delays}; acknowledged {len(told.effects)}, "
        f"refused {told.refused}, asked again {told.repeated}; difference {difference} "
        f"(seed {SEED}, {seconds:.0f} s)"
    )
